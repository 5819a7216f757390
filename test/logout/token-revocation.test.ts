import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { createMortalState } from '../support/app/mortal-state.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'

const ROUTE = '/global-token-revocation'
const stage = createStage({ app: { errorHandler: 'json' } })
const several = createSeveralProviders({ one: {} })
const options = { routes: { tokenRevocation: ROUTE } }

type Members = Readonly<Record<string, unknown>>

interface RevocationRequest {
  readonly header?: Members
  readonly claims?: Members
  /** Replaces the signed token. */
  readonly token?: string
  readonly body?: unknown
  readonly contentType?: string
  /** Replaces the JSON body. */
  readonly text?: string
}

function tokenFor(app: TestApp, { header, claims }: RevocationRequest, provider = stage.provider): string {
  const { issuer, clientId, keys } = provider
  const now = Math.floor(Date.now() / 1000)
  const good = {
    iss: issuer,
    sub: clientId,
    aud: app.baseUrl + ROUTE,
    jti: randomUUID(),
    iat: now,
    nbf: now - 300,
    exp: now + 300,
  }
  const { kid, privateKey } = keys.rsa
  return signJws(
    'RS256',
    privateKey,
    { alg: 'RS256', kid, typ: 'global-token-revocation+jwt', ...header },
    { ...good, ...claims },
  )
}

function userOf({ issuer }: { issuer: string }, sub = 'user-subject'): unknown {
  return { sub_id: { format: 'iss_sub', iss: issuer, sub } }
}

async function postRevocation(
  app: TestApp,
  request: RevocationRequest = {},
): Promise<{ readonly status: number; readonly cookie: string | null }> {
  const answer = await fetch(app.baseUrl + ROUTE, {
    method: 'POST',
    headers: {
      'Content-Type': request.contentType ?? 'application/json',
      Authorization: `Bearer ${request.token ?? tokenFor(app, request)}`,
    },
    body: request.text ?? JSON.stringify(request.body ?? userOf(stage.provider)),
  })
  return { status: answer.status, cookie: answer.headers.get('set-cookie') }
}

describe('a global token revocation', () => {
  it('N-10: ends a session that the shared state has lost with its next request', async () => {
    const sharedState = createMortalState()
    const { app, browser } = await stage.startLoggedIn({ ...options, sharedState })
    sharedState.lose()
    assert.equal((await postRevocation(app)).status, 204)
    assert.equal((await browser.fetch('/profile')).status, 401)
    assert.equal(await app.sessions(), 0)
  })

  it('ends all sessions of the user, with their tokens, and no others', async () => {
    const { app, browser } = await stage.startLoggedIn(options)
    const second = app.browser()
    await second.open('/profile')
    stage.provider.account = { ...stage.provider.account, sub: 'another-user' }
    const other = app.browser()
    await other.open('/profile')
    assert.deepEqual(await postRevocation(app), { status: 204, cookie: null })
    const left = await Promise.all([browser, second, other].map(async (one) => (await one.fetch('/profile')).status))
    assert.deepEqual(left, [401, 401, 200])
    assert.equal(await app.sessions(), 1)
  })

  it('ends a login in progress', async () => {
    const app = await stage.start(options)
    const browser = app.browser()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    assert.equal((await postRevocation(app)).status, 204)
    await browser.go(next)
    assert.deepEqual([codesOf(app), await app.sessions()], [['ERR_OIDC_LOGIN_ENDED'], 0])
  })

  it('succeeds if the user is not logged in', async () => {
    const app = await stage.start(options)
    assert.equal((await postRevocation(app)).status, 204)
  })

  it('does nothing with a used token, so that a copy of it cannot log the user out again', async () => {
    const { app, browser } = await stage.startLoggedIn(options)
    const token = tokenFor(app, {})
    assert.equal((await postRevocation(app, { token })).status, 204)
    await browser.open('/profile')
    assert.equal((await postRevocation(app, { token })).status, 204)
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('N-11: ends the sessions of each user that one token is sent for', async () => {
    const { app, browser } = await stage.startLoggedIn(options)
    stage.provider.account = { ...stage.provider.account, sub: 'another-user' }
    const other = app.browser()
    await other.open('/profile')
    const token = tokenFor(app, {})
    for (const sub of ['user-subject', 'another-user'])
      assert.equal((await postRevocation(app, { token, body: userOf(stage.provider, sub) })).status, 204)
    const left = await Promise.all([browser, other].map(async (one) => (await one.fetch('/profile')).status))
    assert.deepEqual([left, await app.sessions()], [[401, 401], 0])
  })

  it('N-12: ends the sessions of all provider names that stand for the client of the token', async () => {
    const one = several.optionsFor('one')
    const app = await several.start({ providers: { first: one, second: one }, ...options })
    const browsers = [app.browser(), app.browser()] as const
    await browsers[0].open('/login?returnTo=/profile&provider=first')
    await browsers[1].open('/login?returnTo=/profile&provider=second')
    assert.equal(await app.sessions(), 2, String(app.errors))
    const provider = several.provider('one')
    const request = { token: tokenFor(app, {}, provider), body: userOf(provider) }
    assert.equal((await postRevocation(app, request)).status, 204)
    assert.equal(await app.sessions(), 0)
  })

  it('has no route by default', async () => {
    const { app, browser } = await stage.startLoggedIn()
    assert.equal((await postRevocation(app)).status, 404)
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('works behind a body parser', async () => {
    const { app, browser } = await stage.startLoggedIn(options, { bodyParser: true })
    assert.equal((await postRevocation(app)).status, 204)
    assert.equal((await browser.fetch('/profile')).status, 401)
  })
})

describe('a global token revocation with an invalid token', () => {
  const now = Math.floor(Date.now() / 1000)
  const rows: readonly (readonly [name: string, request: RevocationRequest])[] = [
    ['that is empty', { token: '' }],
    ['that is not a JWT', { token: 'rubbish' }],
    ['with another typ', { header: { typ: 'JWT' } }],
    ['without a typ', { header: { typ: undefined } }],
    ['that is a logout token', { header: { typ: 'logout+jwt' } }],
    ['that is not signed', { header: { alg: 'none' } }],
    ['of another issuer', { claims: { iss: 'https://evil.example' } }],
    ['for another client', { claims: { sub: 'another' } }],
    ['without a sub', { claims: { sub: undefined } }],
    ['with the URL of another receiver as aud', { claims: { aud: 'https://other.example/global-token-revocation' } }],
    ['with a list as aud', { claims: { aud: ['https://other.example'] } }],
    ['without a jti', { claims: { jti: undefined } }],
    ['that has expired', { claims: { iat: now - 900, exp: now - 600 } }],
    ['without an exp', { claims: { exp: undefined } }],
    ['that is valid for a day', { claims: { exp: now + 86_400 } }],
    ['without an iat', { claims: { iat: undefined } }],
    ['issued in the future', { claims: { iat: now + 600, exp: now + 900 } }],
    ['that is not valid yet', { claims: { nbf: now + 600 } }],
  ]
  for (const [name, request] of rows) {
    it(`is refused with 401: a token ${name}`, async () => {
      const { app, browser } = await stage.startLoggedIn(options)
      assert.equal((await postRevocation(app, request)).status, 401)
      assert.equal((await browser.fetch('/profile')).status, 200)
    })
  }
})

describe('the user in a global token revocation', () => {
  const rows: readonly (readonly [name: string, body: unknown, status: number])[] = [
    ['identified by the e-mail address of nobody', { sub_id: { format: 'email', email: 'ada@example.com' } }, 204],
    ['identified by a part of the e-mail address', { sub_id: { format: 'email', email: 'alice@example.tes' } }, 204],
    ['identified by an empty e-mail address', { sub_id: { format: 'email', email: '' } }, 400],
    ['identified by a list of e-mail addresses', { sub_id: { format: 'email', email: ['alice@example.test'] } }, 400],
    ['without the e-mail address', { sub_id: { format: 'email', sub: 'user-subject' } }, 400],
    ['with an e-mail address that is too long', { sub_id: { format: 'email', email: 'a'.repeat(1025) } }, 400],
    ['identified by e-mail in another format', { sub_id: { format: 'account', uri: 'acct:alice@example.test' } }, 422],
    ['identified by an opaque id', { sub_id: { format: 'opaque', id: 'x' } }, 422],
    ['with another issuer', { sub_id: { format: 'iss_sub', iss: 'https://evil.example', sub: 'user-subject' } }, 422],
    ['without a sub', { sub_id: { format: 'iss_sub', iss: 'x' } }, 400],
    ['in an empty body', {}, 400],
    ['in an array', [], 400],
    ['with a sub that is not a string', { sub_id: { format: 'iss_sub', iss: 'x', sub: { $ne: 1 } } }, 400],
  ]
  for (const [name, body, status] of rows) {
    it(`gets ${status}: ${name}`, async () => {
      const { app, browser } = await stage.startLoggedIn(options)
      assert.equal((await postRevocation(app, { body })).status, status)
      assert.equal((await browser.fetch('/profile')).status, 200)
    })
  }

  const byEmail = { sub_id: { format: 'email', email: 'Alice@Example.test' } }

  it('SE-8: is found by e-mail address, whatever the case of its letters', async () => {
    const { app, browser } = await stage.startLoggedIn(options)
    assert.equal((await postRevocation(app, { body: byEmail })).status, 204)
    assert.equal((await browser.fetch('/profile')).status, 401)
    assert.equal(await app.sessions(), 0)
  })

  it('SE-8: is found by e-mail address only if the session keeps it', async () => {
    const { app, browser } = await stage.startLoggedIn({ ...options, sessionClaims: ['name'] })
    assert.equal((await postRevocation(app, { body: byEmail })).status, 204)
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('SE-8: ends the login of an e-mail address that is in progress', async () => {
    const app = await stage.start(options)
    const browser = app.browser()
    const { next } = await browser.open('/login', { stopBefore: isCallback })
    assert.equal((await postRevocation(app, { body: byEmail })).status, 204)
    await browser.open(String(next?.url))
    assert.deepEqual([codesOf(app), await app.sessions()], [['ERR_OIDC_LOGIN_ENDED'], 0])
  })

  it('SE-8: is not logged out again by a copy of the token', async () => {
    const { app, browser } = await stage.startLoggedIn(options)
    const token = tokenFor(app, {})
    assert.equal((await postRevocation(app, { token, body: byEmail })).status, 204)
    await browser.open('/profile')
    assert.equal((await postRevocation(app, { token, body: byEmail })).status, 204)
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('gets 400 for malformed JSON', async () => {
    const { app } = await stage.startLoggedIn(options)
    assert.equal((await postRevocation(app, { text: '{"sub_id":' })).status, 400)
  })

  it('gets 400 for another content type, which the form of any page could send', async () => {
    const { app } = await stage.startLoggedIn(options)
    assert.equal((await postRevocation(app, { contentType: 'text/plain' })).status, 400)
  })
})
