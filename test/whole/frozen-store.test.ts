import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { afterEach, describe, it } from 'node:test'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import session, { type Store } from 'express-session'
import { boundedStore } from '../../lib/index.ts'
import { postgresState } from '../../lib/postgres.ts'
import { redisState } from '../../lib/redis.ts'
import type { SharedState } from '../../lib/state/shared-state.ts'
import { codesOf } from '../support/app/app.ts'
import { isIn, subjectOf } from '../support/app/logout-observer.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import {
  assertNoSecret,
  connectToRedis,
  inTime,
  onItsWay,
  postToken,
  startAged,
  tokenCalls,
} from '../support/hostile/fault-injection.ts'
import { connectToPostgres, SOCKET_NAME, skipWithoutPostgres, startPostgres } from '../support/servers/postgres.ts'
import { skipWithoutRedis, startRedis } from '../support/servers/redis.ts'
import { laySocketLine, type SocketLine } from '../support/servers/socket-line.ts'

// The server of the session store takes every command and responds to none, while requests go on. Each request must end in time
// with 503, nobody may be logged in or out by mistake, and all is well again with the server, without a restart.

/** A session store of a package, whose server is at the other end of a line that can freeze. */
interface FrozenStore {
  readonly store: Store
  /** On the same server, behind the same line. */
  readonly sharedState: SharedState
  readonly line: SocketLine
  stop(): Promise<void>
}

async function overRedis(): Promise<FrozenStore> {
  const redis = await startRedis()
  const line = await laySocketLine(redis?.socketPath ?? '', 'redis.sock')
  const client = await connectToRedis(line.path)
  return {
    store: new RedisStore({ client, prefix: 'app:' }),
    sharedState: redisState({ client }),
    line,
    async stop() {
      client.destroy()
      await line.stop()
      await redis?.stop()
    },
  }
}

async function overPostgres(): Promise<FrozenStore> {
  const postgres = await startPostgres()
  const line = await laySocketLine(postgres?.socketPath ?? '', SOCKET_NAME)
  const pool = connectToPostgres(dirname(line.path))
  const sharedState = postgresState({ pool })
  await sharedState.createTable()
  return {
    sharedState,
    store: new (connectPgSimple(session))({ pool, createTableIfMissing: true, pruneSessionInterval: false }),
    line,
    async stop() {
      // First the line: connections that wait for a response end with it.
      await line.stop()
      await pool.end()
      await postgres?.stop()
    },
  }
}

/** Several requests of a user at a time, one after the other: the line is never without a new command. */
async function traffic(
  browser: Browser,
  rounds: number,
  paths: readonly string[] = ['/profile'],
): Promise<readonly number[]> {
  const visitor = async (index: number): Promise<readonly number[]> => {
    const statuses: number[] = []
    for (let round = 0; round < rounds; round++) {
      const path = paths[(index + round) % paths.length] ?? '/'
      statuses.push((await inTime(() => browser.clone().open(path))).status)
    }
    return statuses
  }
  return (await Promise.all([1, 2, 3, 4, 5, 6].map(visitor))).flat()
}

for (const [name, skip, open] of [
  ['Redis', skipWithoutRedis, overRedis],
  ['PostgreSQL', skipWithoutPostgres, overPostgres],
] as const) {
  describe(`${name} that is frozen under traffic`, { skip, timeout: 120_000 }, () => {
    const stage = createStage()
    let frozen: FrozenStore | undefined
    afterEach(async () => {
      await frozen?.stop()
      frozen = undefined
    })

    it('N-40: fails each request of a bounded store in time, with 503, and all is well when it responds again', async () => {
      frozen = await open()
      const { line } = frozen
      const store = boundedStore(frozen.store, { seconds: 0.5 })
      const { app, browser } = await stage.startLoggedIn({}, { session: { store } })
      const { browser: visitor, next } = await onItsWay(app)
      const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
      line.mute()
      const requests = traffic(browser, 4)
      const [page, loggedOut, answer] = await Promise.all([
        inTime(() => visitor.go(next)),
        inTime(() => browser.clone().post('/logout')),
        postToken(app, token),
      ])
      assert.deepEqual([page.status, loggedOut.status, answer.status], [503, 503, 503])
      assert.deepEqual(new Set(await requests), new Set([503]))
      assert.deepEqual(app.otherErrors, [])
      assert.ok(codesOf(app).includes('ERR_OIDC_SESSION_STORE'))
      assertNoSecret(stage, app, page)
      await line.mend()
      await comesBack(browser)
      assert.equal((await app.browser().open('/profile')).status, 200)
      assert.deepEqual([(await postToken(app, token)).status, await isIn(browser)], [200, false])
    })

    it('N-40: with the shared state on the same server, spends no refresh token and ends no login while it is frozen', async () => {
      frozen = await open()
      const { line, sharedState } = frozen
      const store = boundedStore(frozen.store, { seconds: 0.5 })
      const { app, browser } = await startAged(stage, { sharedState }, { session: { store } })
      const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
      const before = tokenCalls(stage)
      line.mute()
      const requests = traffic(browser, 6, ['/access-token', '/write', '/profile'])
      const answer = await postToken(app, token)
      assert.deepEqual([answer.status, new Set(await requests)], [503, new Set([503])])
      assert.deepEqual([tokenCalls(stage), app.otherErrors], [before, []])
      await line.mend()
      await comesBack(browser)
      assert.equal((await browser.fetch('/access-token')).status, 200)
      assert.deepEqual(stage.provider.complaints, [])
      assert.deepEqual([(await postToken(app, token)).status, await isIn(browser)], [200, false])
    })

    it('N-40: fails a login in which it freezes, under traffic, and the user can log in again', async () => {
      frozen = await open()
      const { line, sharedState } = frozen
      const store = boundedStore(frozen.store, { seconds: 0.5 })
      const { app, browser } = await stage.startLoggedIn({ sharedState }, { session: { store } })
      const { browser: visitor, next } = await onItsWay(app)
      let requests: Promise<readonly number[]> | undefined
      stage.provider.change.idToken = async (jwt) => {
        line.mute()
        requests = traffic(browser, 4)
        return jwt
      }
      const page = await inTime(() => visitor.go(next))
      stage.provider.change.idToken = undefined
      assert.deepEqual([page.status, new Set(await requests), app.otherErrors], [503, new Set([503]), []])
      assertNoSecret(stage, app, page)
      await line.mend()
      await comesBack(browser)
      assert.equal((await visitor.fetch('/profile')).status, 401)
      assert.equal((await visitor.open('/profile')).status, 200)
    })
  })
}

/** The client connects again within moments. */
async function comesBack(browser: Browser): Promise<void> {
  for (let attempt = 1; !(await isIn(browser)); attempt++) assert.ok(attempt < 200, 'it does not come back')
}
