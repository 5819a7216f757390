import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import type { ErrorCode, TokenRecord } from '../../lib/index.ts'
import { codesOf } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn, logoutUri, subjectOf } from '../support/app/logout-observer.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { REFRESH_SCOPE, startAged } from '../support/hostile/fault-injection.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

// How long tokens and logins last, whatever a refresh says.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

function refreshForms({ requests }: StrictProvider): readonly URLSearchParams[] {
  return requests.map(({ form }) => form).filter((form) => form.get('grant_type') === 'refresh_token')
}

async function tokensOf(browser: Browser): Promise<TokenRecord> {
  // The route sends what req.oidc.tokens() returned.
  return (await browser.fetch('/tokens')).json() as unknown as TokenRecord
}

describe('the lifetime of a refreshed login', () => {
  it('EOC #11, #444, PR #9: a login lasts longer than its ID Token, and its access token is refreshed on demand', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 300 })
    const { browser } = await stage.startLoggedIn({ scope: REFRESH_SCOPE })
    const { accessToken } = await tokensOf(browser)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_000_000 })
    assert.equal(await isIn(browser), true)
    assert.equal(refreshForms(stage.provider).length, 0)
    const { token } = (await browser.fetch('/access-token')).json()
    assert.notEqual(token, accessToken)
    assert.equal(refreshForms(stage.provider).length, 1)
  })

  it('OKTA-MONO #570: an expired access token is not returned, and a login expires', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 300 })
    const { app, browser } = await stage.startLoggedIn({ loginLifetime: 3600 })
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 301_000 })
    assert.equal((await browser.fetch('/access-token')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
    mock.timers.reset()
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_601_000 })
    assert.equal(await isIn(browser), false)
  })

  it('CVE-2025-46344: a login expires in a session without an expiry, and refreshes do not extend it', async () => {
    const start = Date.now()
    mock.timers.enable({ apis: ['Date'], now: start })
    const { browser } = await startAged(stage, { loginLifetime: 600 }, { session: { cookie: {} } })
    stage.provider.change.refreshResponse = (response) => ({ ...response, expires_in: 0 })
    for (const seconds of [200, 400, 599]) {
      mock.timers.reset()
      mock.timers.enable({ apis: ['Date'], now: start + seconds * 1000 })
      assert.equal((await browser.fetch('/access-token')).status, 200)
    }
    mock.timers.reset()
    mock.timers.enable({ apis: ['Date'], now: start + 601_000 })
    assert.deepEqual([await isIn(browser), (await browser.fetch('/access-token')).status], [false, 401])
  })

  const endless: readonly (readonly [name: string, change: () => void, code: ErrorCode])[] = [
    ['exp of 1e300', () => changeRefreshed({ exp: 1e300 }), 'ERR_OIDC_ID_TOKEN_EXPIRED'],
    ['exp as a string', () => changeRefreshed({ exp: '4102444800' }), 'ERR_OIDC_ID_TOKEN_EXPIRED'],
    ['iat of 1e300', () => changeRefreshed({ iat: 1e300 }), 'ERR_OIDC_ID_TOKEN_ISSUED_AT'],
    ['iat of -1e300', () => changeRefreshed({ iat: -1e300 }), 'ERR_OIDC_ID_TOKEN_ISSUED_AT'],
    ['nbf of 1e300', () => changeRefreshed({ nbf: 1e300 }), 'ERR_OIDC_ID_TOKEN_NOT_BEFORE'],
    ['expires_in of 1e300', () => changeResponse({ expires_in: 1e300 }), 'ERR_OIDC_TOKEN_RESPONSE'],
    ['expires_in below 0', () => changeResponse({ expires_in: -1 }), 'ERR_OIDC_TOKEN_RESPONSE'],
  ]
  function changeRefreshed(more: JsonObject): void {
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, ...more })
  }
  function changeResponse(more: JsonObject): void {
    stage.provider.change.refreshResponse = (response) => ({ ...response, ...more })
  }
  for (const [name, change, code] of endless) {
    it(`of mod_auth_openidc, 2026-08-12: a refresh with ${name} is refused`, async () => {
      const { app, browser } = await startAged(stage, { loginExpiry: 'id_token' })
      change()
      await browser.fetch('/access-token')
      assert.deepEqual([codesOf(app), await isIn(browser)], [[code], true])
    })
  }

  it('of mod_auth_openidc, 2026-08-12: everything works after 2038 and after 2106', async () => {
    for (const year of [2039, 2107]) {
      mock.timers.enable({ apis: ['Date'], now: Date.UTC(year, 1, 1) })
      const { app, browser } = await startAged(stage, { loginExpiry: 'id_token' })
      assert.equal((await browser.fetch('/access-token')).status, 200)
      const answer = await stage.provider.postLogoutToken(logoutUri(app), await subjectOf(browser))
      assert.deepEqual([answer.status, await isIn(browser), codesOf(app)], [200, false, []])
      mock.timers.reset()
    }
  })
})
