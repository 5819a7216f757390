import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { RedisStore } from 'connect-redis'
import type express from 'express'
import session from 'express-session'
import { type Handler, OidcError } from '../../lib/index.ts'
import { redisState } from '../../lib/redis.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { isIn, subjectOf } from '../support/app/logout-observer.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage, share } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import {
  assertNoSecret,
  connectToRedis,
  inTime,
  onItsWay,
  postToken,
  startAged,
  startMortalRedis,
  tokenCalls,
  untilReady,
} from '../support/hostile/fault-injection.ts'
import { skipWithoutRedis, startRedis } from '../support/servers/redis.ts'
import { laySocketLine } from '../support/servers/socket-line.ts'

// The session store or the shared state fails at different moments. Every case must result in: an error in time, no login
// without all checks, no false report of a logout, no secret in an error, and recovery without a restart.

describe('a Redis that is killed and started again', { skip: skipWithoutRedis }, () => {
  const stage = createStage()
  let app: TestApp
  let browser: Browser
  /** Runs after express-session has read the session of a request. */
  let meanwhile: (() => Promise<void>) | undefined
  const redis = share(startMortalRedis)
  const die = (): Promise<void> => redis().die()
  const revive = (): Promise<void> => redis().revive()

  const interrupt: Handler = (_req, _res, next) => {
    const happening = meanwhile
    meanwhile = undefined
    if (happening === undefined) next()
    else happening().then(() => next(), next)
  }

  beforeEach(async () => {
    const { client } = redis()
    await client.flushAll()
    meanwhile = undefined
    const store = new RedisStore({ client, prefix: 'app:' })
    const settings = { session: { store }, beforeOidc: [interrupt] }
    // A lock that is not released expires after twice this time plus two seconds.
    ;({ app, browser } = await startAged(stage, { sharedState: redisState({ client }), timeout: 2 }, settings))
  })
  afterEach(revive)

  it('does not affect pages for visitors without a session, or the redirect to the login', async () => {
    await die()
    const visitor = app.browser()
    assert.deepEqual((await visitor.open('/')).json(), { authenticated: false, claims: null })
    assert.equal((await visitor.fetch('/profile')).status, 401)
    const page = await visitor.open('/profile', { stopBefore: isCallback })
    assert.ok(page.next, page.body)
    assert.deepEqual([app.errors, app.otherErrors], [[], []])
  })

  it('fails a request with a session with the error of express-session, and shows no page', async () => {
    await die()
    for (const path of ['/', '/profile', '/login', '/access-token', '/callback?code=x&state=y']) {
      const page = await inTime(() => browser.open(path, { follow: false }))
      assert.equal(page.status, 500, path)
      assert.ok(!page.body.includes('user-subject'))
    }
    assert.equal((await inTime(() => browser.post('/logout'))).status, 500)
    assert.deepEqual([app.errors, app.otherErrors.length], [[], 6])
    assertNoSecret(stage, app)
    await revive()
    assert.equal(await isIn(browser), true)
    assert.equal((await browser.post('/logout')).status, 200)
    assert.equal(await isIn(browser), false)
  })

  it('fails it with 503 if the application converts the error as docs/production.md does', async () => {
    const store = new RedisStore({ client: redis().client, prefix: 'app:' })
    const sessions = session({ secret: 'a secret of a test', store, resave: false, saveUninitialized: false })
    const wrapped: Handler = (req, res, next) => {
      // The types of Express.
      sessions(req as express.Request, res as express.Response, (cause: unknown) => {
        if (cause === undefined) next()
        else next(new OidcError('ERR_OIDC_SESSION_STORE', 'The session store failed.', { cause }))
      })
    }
    const own = await stage.startLoggedIn({}, { session: false, beforeOidc: [wrapped] })
    await die()
    for (const path of ['/', '/profile']) {
      const page = await inTime(() => own.browser.open(path))
      assert.equal(page.status, 503)
      assertNoSecret(stage, own.app, page)
    }
    assert.deepEqual([new Set(codesOf(own.app)), own.app.otherErrors], [new Set(['ERR_OIDC_SESSION_STORE']), []])
    await revive()
    assert.equal(await isIn(own.browser), true)
  })

  it('fails a login with 503 and without a session, and the next one works', async () => {
    const { browser: visitor, next } = await onItsWay(app)
    await die()
    const page = await inTime(() => visitor.go(next))
    assert.deepEqual([page.status, codesOf(app), app.otherErrors], [503, ['ERR_OIDC_SHARED_STATE'], []])
    assertNoSecret(stage, app, page)
    assert.deepEqual((await visitor.open('/')).json(), { authenticated: false, claims: null })
    await revive()
    assert.equal((await visitor.open('/profile')).status, 200)
  })

  it('fails a login with 503 if it is killed during it, and the previous login stays', async () => {
    stage.provider.change.idToken = async (jwt) => {
      await die()
      return jwt
    }
    const page = await inTime(() => browser.open('/login?returnTo=/profile'))
    assert.deepEqual([page.status, codesOf(app)], [503, ['ERR_OIDC_SESSION_STORE']])
    assertNoSecret(stage, app, page)
    stage.provider.change.idToken = undefined
    await revive()
    const profile = await browser.fetch('/profile')
    assert.deepEqual([profile.status, codesOf(app).slice(1)], [200, []], profile.body)
    assert.equal((await browser.open('/login?returnTo=/profile')).status, 200)
  })

  it('fails a logout with 503, and the user can try again', async () => {
    meanwhile = die
    const page = await inTime(() => browser.post('/logout'))
    assert.deepEqual([page.status, codesOf(app), stage.provider.calls['/logout']], [503, ['ERR_OIDC_SESSION_STORE'], 0])
    await revive()
    assert.equal(await isIn(browser), true)
    await browser.post('/logout')
    assert.deepEqual([await isIn(browser), stage.provider.calls['/logout']], [false, 1])
  })

  it('fails a logout of the provider with 503, and accepts the same token again', async () => {
    const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
    await die()
    const answer = await postToken(app, token)
    assert.deepEqual([answer.status, codesOf(app)], [503, ['ERR_OIDC_SHARED_STATE']])
    assert.ok(!inspect(app.errors, { depth: 10 }).includes(token))
    await revive()
    assert.equal(await isIn(browser), true)
    assert.equal((await postToken(app, token)).status, 200)
    assert.deepEqual([await isIn(browser), (await postToken(app, token)).status], [false, 400])
  })

  it('fails a refresh with 503 before the refresh token is used, and the next one works', async () => {
    const before = tokenCalls(stage)
    meanwhile = die
    const page = await inTime(() => browser.fetch('/access-token'))
    assert.deepEqual([page.status, codesOf(app), tokenCalls(stage) - before], [503, ['ERR_OIDC_SESSION_STORE'], 0])
    assertNoSecret(stage, app, page)
    await revive()
    assert.equal((await browser.fetch('/access-token')).status, 200)
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('fails a refresh with 503 if it is killed after the token was used; the provider then decides about the login', async () => {
    stage.provider.change.refreshedIdToken = async (jwt) => {
      await die()
      return jwt
    }
    const page = await inTime(() => browser.fetch('/access-token'))
    assert.deepEqual([page.status, codesOf(app)], [503, ['ERR_OIDC_SESSION_STORE']])
    assertNoSecret(stage, app, page)
    stage.provider.change.refreshedIdToken = undefined
    await revive()
    assert.equal(await isIn(browser), true)
    const next = await browser.fetch('/access-token')
    assert.deepEqual([next.status, codesOf(app).at(-1)], [401, 'ERR_OIDC_REFRESH_REFUSED'])
    assert.equal(await isIn(browser), false)
    assert.equal((await browser.open('/profile')).status, 200)
  })
})

describe('a Redis of only the shared state that is killed and started again', { skip: skipWithoutRedis }, () => {
  const stage = createStage()
  let app: TestApp
  let browser: Browser
  const redis = share(startMortalRedis)
  const die = (): Promise<void> => redis().die()
  const revive = (): Promise<void> => redis().revive()

  beforeEach(async () => {
    ;({ app, browser } = await startAged(stage, { sharedState: redisState({ client: redis().client }) }))
  })
  afterEach(revive)

  it('does not affect pages and requests that write nothing', async () => {
    await die()
    for (const path of ['/', '/profile', '/tokens']) assert.equal((await browser.fetch(path)).status, 200, path)
    assert.deepEqual([app.errors, app.otherErrors], [[], []])
  })

  it('fails a login with 503, because no logout of the provider would find it, and the next one works', async () => {
    await die()
    const visitor = app.browser()
    const page = await inTime(() => visitor.open('/profile'))
    assert.deepEqual([page.status, codesOf(app), await app.sessions()], [503, ['ERR_OIDC_SHARED_STATE'], 1])
    assert.deepEqual(Object.keys(await app.records()).filter(isTokens).length, 1)
    assertNoSecret(stage, app, page)
    const { sharedState } = app.auth.status()
    assert.deepEqual([sharedState?.isReachable, sharedState?.lastError?.code], [false, 'ERR_OIDC_SHARED_STATE'])
    await revive()
    assert.equal((await visitor.open('/profile')).status, 200)
    assert.equal(app.auth.status().sharedState?.isReachable, true)
  })

  it('fails a refresh with 503 before the refresh token is used, and the next one works', async () => {
    const before = tokenCalls(stage)
    await die()
    const page = await inTime(() => browser.fetch('/access-token'))
    assert.deepEqual([page.status, codesOf(app), tokenCalls(stage) - before], [503, ['ERR_OIDC_SHARED_STATE'], 0])
    assert.equal(await isIn(browser), true)
    await revive()
    assert.equal((await browser.fetch('/access-token')).status, 200)
  })

  it('does not prevent a logout', async () => {
    await die()
    const page = await inTime(() => browser.post('/logout'))
    assert.deepEqual([page.status, await isIn(browser), await app.sessions()], [200, false, 0])
  })

  it('fails a logout of the provider with 503, and accepts the same token again', async () => {
    const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
    await die()
    const answer = await postToken(app, token)
    assert.deepEqual([answer.status, codesOf(app), await isIn(browser)], [503, ['ERR_OIDC_SHARED_STATE'], true])
    await revive()
    assert.deepEqual([(await postToken(app, token)).status, await isIn(browser)], [200, false])
  })
})

describe('a Redis that accepts commands but does not respond', { skip: skipWithoutRedis }, () => {
  const stage = createStage()

  it('fails requests with 503 in time, and everything works when it responds again', async () => {
    const redis = await startRedis()
    const line = await laySocketLine(redis?.socketPath ?? '', 'redis.sock')
    const client = await connectToRedis(line.path)
    try {
      const { app, browser } = await startAged(stage, { sharedState: redisState({ client }) })
      const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
      line.mute()
      const [page, answer, refreshed] = await Promise.all([
        inTime(() => app.browser().open('/profile')),
        postToken(app, token),
        inTime(() => browser.fetch('/access-token')),
      ])
      assert.deepEqual([page.status, answer.status, refreshed.status, app.otherErrors], [503, 503, 503, []])
      assert.equal(await isIn(browser), true)
      await line.mend()
      await untilReady(client)
      assert.equal((await browser.fetch('/access-token')).status, 200)
      assert.deepEqual([(await postToken(app, token)).status, await isIn(browser)], [200, false])
    } finally {
      client.destroy()
      await line.stop()
      await redis?.stop()
    }
  })
})
