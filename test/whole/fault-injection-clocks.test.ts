import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it, mock } from 'node:test'
import { type ErrorCode, requireAuth } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn, logoutUri, observeLogouts, subjectOf } from '../support/app/logout-observer.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { onItsWay, REFRESH_SCOPE, startAged, tokenCalls } from '../support/hostile/fault-injection.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'

// The clocks of the application and the provider differ. The tests stop the time, so that one second makes a difference, and
// change the times that the provider sends.

const REVOCATION = '/global-token-revocation'
const routes: Routes = { '/now': [requireAuth({ maxAge: 1 }), answerJson(({ oidc }) => oidc.claims)] }
const stage = createStage({ app: { routes, errorHandler: 'json' } })
const seen = observeLogouts()

/** In seconds since 1970. */
function stopClock(): number {
  const now = Math.floor(Date.now() / 1000)
  mock.timers.enable({ apis: ['Date'], now: now * 1000 })
  return now
}

function passTime(seconds: number): void {
  const now = Date.now() + seconds * 1000
  mock.timers.reset()
  mock.timers.enable({ apis: ['Date'], now })
}

/** The times of a token with a lifetime of a minute, from a provider whose clock is this many seconds ahead. */
const movedBy =
  (seconds: number) =>
  (claims: JsonObject): JsonObject => {
    const { iat, auth_time: authTime } = claims
    const issuedAt = Number(iat ?? Math.floor(Date.now() / 1000)) + seconds
    return {
      ...claims,
      iat: issuedAt,
      nbf: issuedAt,
      exp: issuedAt + 60,
      ...(authTime === undefined ? {} : { auth_time: Number(authTime) + seconds }),
    }
  }

/** Something that holds a time of the provider. */
interface Statement {
  readonly name: string
  readonly options?: Partial<AnyOptions>
  /** Runs the case with the clock stopped. Returns whether it succeeded. */
  act(ahead: number): Promise<{ readonly app: TestApp; readonly isDone: boolean }>
  /** The codes for a clock that is too far ahead, and too far behind. */
  readonly fast?: ErrorCode
  readonly slow?: ErrorCode
  /** From how many seconds behind it is refused; 121 by default, because tokens live for a minute. */
  readonly slowFrom?: number
}

async function startIn(options: Partial<AnyOptions>): Promise<{ readonly app: TestApp; readonly browser: Browser }> {
  return await stage.startLoggedIn({ scope: REFRESH_SCOPE, ...options })
}

let options: Partial<AnyOptions> = {}

const STATEMENTS: readonly Statement[] = [
  {
    name: 'an ID Token',
    async act(ahead) {
      stage.provider.change.idTokenClaims = movedBy(ahead)
      const app = await stage.start(options)
      const page = await app.browser().open('/profile')
      return { app, isDone: page.status === 200 }
    },
    fast: 'ERR_OIDC_ID_TOKEN_ISSUED_AT',
    slow: 'ERR_OIDC_ID_TOKEN_EXPIRED',
  },
  {
    name: 'a login for a page that requires one of the last second',
    async act(ahead) {
      const { app, browser } = await startIn(options)
      // The current login is too old for that page.
      passTime(400)
      stage.provider.change.idTokenClaims = (claims) => ({ ...movedBy(ahead)(claims), exp: Number(claims['exp']) })
      const page = await browser.open('/now')
      if (page.status !== 200) assert.equal(await isIn(browser), true)
      return { app, isDone: page.status === 200 }
    },
    fast: 'ERR_OIDC_ID_TOKEN_ISSUED_AT',
    slow: 'ERR_OIDC_INSUFFICIENT_AUTHENTICATION',
    slowFrom: 62,
  },
  {
    name: 'a login that was requested with max_age',
    async act(ahead) {
      const { app, browser } = await startIn({ authorizationParams: { max_age: 1 }, ...options })
      stage.provider.change.idTokenClaims = (claims) => ({ ...movedBy(ahead)(claims), exp: Number(claims['exp']) })
      const page = await browser.open('/login?returnTo=/profile')
      if (page.status !== 200) assert.equal(await isIn(browser), true)
      return { app, isDone: page.status === 200 }
    },
    fast: 'ERR_OIDC_ID_TOKEN_ISSUED_AT',
    slow: 'ERR_OIDC_ID_TOKEN_AUTH_TIME',
    slowFrom: 62,
  },
  {
    name: 'a refreshed ID Token',
    async act(ahead) {
      const { app, browser } = await startAged(stage, options)
      stage.provider.change.refreshedIdTokenClaims = movedBy(ahead)
      const page = await browser.fetch('/access-token')
      assert.equal(await isIn(browser), true)
      return { app, isDone: page.status === 200 }
    },
    fast: 'ERR_OIDC_ID_TOKEN_ISSUED_AT',
    slow: 'ERR_OIDC_ID_TOKEN_EXPIRED',
  },
  {
    name: 'a logout token',
    async act(ahead) {
      const { app, browser } = await startIn(options)
      stage.provider.change.logoutTokenClaims = movedBy(ahead)
      const { status } = await stage.provider.postLogoutToken(logoutUri(app), await subjectOf(browser))
      assert.equal(await isIn(browser), status !== 200)
      return { app, isDone: status === 200 }
    },
    fast: 'ERR_OIDC_LOGOUT_TOKEN_ISSUED_AT',
    slow: 'ERR_OIDC_LOGOUT_TOKEN_EXPIRED',
  },
  {
    name: 'an authorization response as a JWT',
    async act(ahead) {
      stage.provider.change.responseJwtClaims = movedBy(ahead)
      const app = await stage.start({ responseMode: 'query.jwt', ...options })
      const page = await app.browser().open('/profile')
      return { app, isDone: page.status === 200 }
    },
    slow: 'ERR_OIDC_RESPONSE_JWT_EXPIRED',
  },
  {
    name: 'a global revocation token',
    async act(ahead) {
      const { app, browser } = await startIn({ routes: { tokenRevocation: REVOCATION }, ...options })
      const status = await demandRevocation(app, movedBy(ahead)({}))
      assert.equal(await isIn(browser), status !== 204)
      return { app, isDone: status === 204 }
    },
    fast: 'ERR_OIDC_REVOCATION_JWT',
    slow: 'ERR_OIDC_REVOCATION_JWT',
  },
]

async function demandRevocation(app: TestApp, times: JsonObject): Promise<number> {
  const { issuer: iss, clientId: sub, keys } = stage.provider
  const { kid, privateKey } = keys.rsa
  const claims = { iss, sub, aud: app.baseUrl + REVOCATION, jti: randomUUID(), ...times }
  const header = { alg: 'RS256', kid, typ: 'global-token-revocation+jwt' }
  const answer = await fetch(app.baseUrl + REVOCATION, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Bearer ${signJws('RS256', privateKey, header, claims)}`,
    },
    body: JSON.stringify({ sub_id: { format: 'iss_sub', iss, sub: 'user-subject' } }),
  })
  return answer.status
}

/** The code of the error that was passed to `next` or published, because a provider gets only a status. */
function toldBy(app: TestApp): readonly string[] {
  return [...new Set([...codesOf(app), ...seen.errors])]
}

for (const { name, act, fast, slow, slowFrom = 121 } of STATEMENTS) {
  describe(`the time in ${name}`, () => {
    const refusals = [
      [61, fast],
      [3600, fast],
      [-slowFrom, slow],
      [-slowFrom - 60, slow],
    ] as const

    for (const ahead of [60, 0, -60]) {
      it(`is accepted if the provider's clock is ${ahead} s ahead`, async () => {
        options = {}
        stopClock()
        const { app, isDone } = await act(ahead)
        assert.deepEqual([isDone, toldBy(app), stage.provider.complaints], [true, [], []])
      })
    }

    for (const [ahead, code] of refusals) {
      if (code === undefined) continue
      it(`is refused if the provider's clock is ${ahead} s ahead, with ${code}`, async () => {
        options = {}
        stopClock()
        const { app, isDone } = await act(ahead)
        assert.deepEqual([isDone, toldBy(app)], [false, [code]])
      })
    }

    it('is accepted up to clockTolerance, and not beyond', async () => {
      options = { clockTolerance: 300 }
      stopClock()
      assert.equal((await act(fast === undefined ? -300 : 300)).isDone, true)
      seen.errors.length = 0
      assert.equal((await act(fast === undefined ? -361 : 301)).isDone, false)
    })

    it('is accepted to the second with clockTolerance 0', async () => {
      options = { clockTolerance: 0 }
      stopClock()
      assert.equal((await act(0)).isDone, true)
      seen.errors.length = 0
      assert.equal((await act(fast === undefined ? -61 : 1)).isDone, false)
    })
  })
}

describe('the lifetime of an access token', () => {
  for (const ahead of [60, -60]) {
    it(`counts by our own clock, even if the provider's is ${ahead} s ahead`, async () => {
      stopClock()
      stage.provider.change.idTokenClaims = movedBy(ahead)
      stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 300 })
      const { browser } = await startIn({})
      passTime(239)
      await browser.fetch('/access-token')
      assert.equal(tokenCalls(stage), 1)
      passTime(2)
      await browser.fetch('/access-token')
      assert.equal(tokenCalls(stage), 2)
    })
  }
})

describe('the clock of the application', () => {
  for (const seconds of [60, -60]) {
    it(`can be set ${seconds} s ahead during a login`, async () => {
      stopClock()
      const app = await stage.start()
      const { browser, next } = await onItsWay(app)
      passTime(seconds)
      assert.equal((await browser.go(next)).status, 200)
      assert.deepEqual([codesOf(app), await isIn(browser)], [[], true])
    })

    it(`can be set ${seconds} s ahead during a session, without a logout or a refresh`, async () => {
      stopClock()
      const { app, browser } = await startIn({ idleTimeout: 600 })
      passTime(seconds)
      for (const path of ['/profile', '/access-token', '/tokens']) assert.equal((await browser.fetch(path)).status, 200)
      assert.deepEqual([tokenCalls(stage), codesOf(app)], [1, []])
      const { status } = await stage.provider.postLogoutToken(logoutUri(app), await subjectOf(browser))
      assert.deepEqual([status, await isIn(browser)], [200, false])
      assert.equal((await browser.open('/profile')).status, 200)
    })
  }

  it('can be set back by a day: cached metadata and keys are used, and fetched again', async () => {
    stopClock()
    const { app, browser } = await startIn({})
    passTime(-86_400)
    assert.equal(await isIn(browser), true)
    assert.equal((await app.browser().open('/profile')).status, 200)
    assert.deepEqual([codesOf(app), stage.provider.calls['/discovery']], [[], 2])
  })
})
