import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { ProviderError } from '../../lib/index.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { sendTooManyRequests } from '../support/okta-provider/answers.ts'
import type { OktaEndpoint } from '../support/okta-provider/context.ts'
import { createOktaStage } from '../support/okta-provider/stage.ts'

const stage = createOktaStage()

/** Okta's clock is far from the one here: by it alone an instant can be told. */
const OKTA_NOW = Date.parse('Mon, 23 Nov 2026 12:00:00 GMT') / 1000

function refuseBusy(res: ServerResponse, limit: number, wait: number, status: 400 | 429 = 429): void {
  res.setHeader('Date', new Date(OKTA_NOW * 1000).toUTCString())
  sendTooManyRequests(res, { limit, remaining: 0, reset: OKTA_NOW + wait }, status)
}

/** A login during which one endpoint is too busy. */
async function logInWhile(endpoint: OktaEndpoint, limit: number, wait: number, status?: 400): Promise<TestApp> {
  stage.okta.change.raw[endpoint] = (_req, res) => refuseBusy(res, limit, wait, status)
  const app = await stage.start('default', { userinfo: true })
  const browser = app.browser()
  const page = await browser.open('/profile')
  assert.deepEqual([page.status, page.headers['retry-after']], [503, String(busyError(app).retryAfter)])
  assert.equal((await browser.fetch('/profile')).status, 401)
  return app
}

function busyError(app: TestApp): ProviderError {
  const [error, ...more] = app.errors
  assert.ok(error instanceof ProviderError && more.length === 0, String(app.errors))
  assert.equal(error.code, 'ERR_OIDC_PROVIDER_BUSY')
  return error
}

describe('a rate limit', () => {
  for (const endpoint of ['token', 'userinfo'] as const) {
    it(`Q-24: turns X-Rate-Limit-Reset into a wait by the Date of the answer: ${endpoint}`, async () => {
      const error = busyError(await logInWhile(endpoint, 600, 42))
      assert.equal(error.retryAfter, 42)
      assert.deepEqual(error.refusal, {
        error: 'E0000047',
        errorDescription: 'API call exceeded rate limit due to too many requests.',
      })
    })
  }

  const bounds: readonly (readonly [what: string, wait: number, seconds: number])[] = [
    ['an instant gone by', -30, 1],
    ['the very instant', 0, 1],
    ['another day', 86_400, 3600],
    ['another age of the world', 10_000_000_000, 3600],
  ]
  for (const [what, wait, seconds] of bounds) {
    it(`Q-24: keeps the wait within bounds: ${what}`, async () => {
      assert.equal(busyError(await logInWhile('token', 600, wait)).retryAfter, seconds)
    })
  }

  it('Q-24: is told by the same status where it is one of concurrent requests, with a limit of 0', async () => {
    assert.equal(busyError(await logInWhile('token', 0, 7)).retryAfter, 7)
  })

  it('Q-24: never has a code sent twice, and the next login goes through', async () => {
    const app = await logInWhile('token', 600, 42)
    assert.equal(stage.okta.requestsTo('token').length, 1)
    stage.okta.change.raw = {}
    assert.equal((await app.browser().open('/profile')).status, 200)
  })

  it('Q-25: is far while its headers are on a good answer, whatever they count', async () => {
    stage.okta.change.tokenAnswer = (json, res) => {
      for (const [name, value] of Object.entries({ Limit: 0, Remaining: 0, Reset: OKTA_NOW })) {
        res.setHeader(`X-Rate-Limit-${name}`, String(value))
      }
      return json
    }
    const app = await stage.start('default', { userinfo: true })
    assert.equal((await app.browser().open('/profile')).status, 200)
    assert.deepEqual(app.errors, [])
  })

  it('Q-25: does not count keys and metadata, which are asked for without such headers', async () => {
    for (const path of ['/oauth2/default/v1/keys', '/oauth2/default/.well-known/openid-configuration']) {
      const url = new URL(path, stage.okta.orgOrigin)
      const { status, headers } = await exchange({ method: 'GET', url, headers: { 'user-agent': 'test' } })
      assert.deepEqual([status, headers['x-rate-limit-limit']], [200, undefined])
    }
    const app = await stage.start('default')
    assert.equal((await app.browser().open('/profile')).status, 200)
  })

  it('Q-27: came as 400 before 2020, and is known by its code', async () => {
    const error = busyError(await logInWhile('token', 600, 42, 400))
    assert.deepEqual([error.retryAfter, error.refusal?.error], [42, 'E0000047'])
  })
})

describe('the limits of one browser', () => {
  /** 60 a minute, and 5 at a time. */
  function limitAuthorize(): { readonly most: number } {
    let [count, now, most] = [0, 0, 0]
    stage.okta.change.raw.authorize = (_req, res) => {
      count += 1
      now += 1
      most = Math.max(most, now)
      res.once('close', () => {
        now -= 1
      })
      if (count <= 60 && now <= 5) return false
      refuseBusy(res, now > 5 ? 0 : 60, 10)
      return true
    }
    return {
      get most() {
        return most
      },
    }
  }

  it('Q-26: are not touched by what is no page: scripts, pictures and frames are never sent to Okta', async () => {
    limitAuthorize()
    const app = await stage.start('org')
    const browser = app.browser()
    const answers = await Promise.all(Array.from({ length: 80 }, () => browser.fetch('/profile')))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([401]))
    assert.equal(stage.okta.requestsTo('authorize').length, 0)
  })

  it('Q-26: let five tabs of one browser log in at once', async () => {
    const limits = limitAuthorize()
    const app = await stage.start('org')
    const browser = app.browser()
    const pages = await Promise.all(
      Array.from({ length: 5 }, () => browser.open('/profile', { stopBefore: isCallback })),
    )
    const ends = await Promise.all(pages.map(({ next }) => browser.go(next)))
    assert.deepEqual(
      ends.map(({ status }) => status),
      [200, 200, 200, 200, 200],
    )
    assert.ok(limits.most <= 5)
  })

  it('Q-26: are not reached by a login that fails: it ends in a page, and no other login begins', async () => {
    limitAuthorize()
    stage.okta.change.idTokenClaims = (claims) => ({ ...claims, aud: 'another' })
    const app = await stage.start('org')
    assert.equal((await app.browser().open('/profile')).status, 502)
    assert.deepEqual([codesOf(app), stage.okta.requestsTo('authorize').length], [['ERR_OIDC_ID_TOKEN_AUDIENCE'], 1])
  })

  it('Q-26: are not reached by a session that is not kept: the loop ends by itself', async () => {
    limitAuthorize()
    const app = await stage.start('org', {}, { session: { cookie: { domain: 'elsewhere.test' } } })
    assert.equal((await app.browser().open('/profile')).status, 500)
    assert.deepEqual([codesOf(app), stage.okta.requestsTo('authorize').length], [['ERR_OIDC_SESSION_NOT_KEPT'], 2])
  })
})
