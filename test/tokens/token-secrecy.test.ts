import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import type { SessionData } from 'express-session'
import type { Handler, TokenRecord } from '../../lib/index.ts'
import type { TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { subjectOf } from '../support/app/logout-observer.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { postToken, startAged } from '../support/hostile/fault-injection.ts'
import { answered } from '../support/strict-provider/context.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

// Where a token may be seen, and where not.

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

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

describe('tokens', () => {
  const CHANNELS = ['refresh', 'logout', 'denied', 'error', 'provider', 'login', 'login-start'].map(
    (name) => `express-oidc:${name}`,
  )

  it('of mod_auth_openidc, 2026-05-23 and 2026-07-28: no event and no error contains a token', async () => {
    const told: string[] = []
    const listener = (message: unknown): void => void told.push(inspect(message, { depth: 10 }))
    const secrets = new Set([stage.provider.clientSecret])
    const keep = (jwt: string): string => {
      secrets.add(jwt)
      return jwt
    }
    for (const channel of CHANNELS) subscribe(channel, listener)
    try {
      stage.provider.change.idToken = keep
      const { app, browser } = await startAged(stage)
      stage.provider.change.refreshedIdToken = keep
      await browser.fetch('/access-token')
      const refusals: readonly (readonly [number, unknown])[] = [
        [400, { error: 'invalid_request', error_description: [...secrets].join(' ') }],
        [500, [...secrets].join(' ')],
        [200, { access_token: [...secrets].at(-1), token_type: [...secrets].join(' ') }],
        [400, { error: 'invalid_grant', error_description: 'x' }],
      ]
      const second = await logIn(app)
      for (const [status, body] of refusals) {
        stage.provider.change.refreshResponse = answered(status, body)
        await second.fetch('/access-token')
      }
      const third = await logIn(app)
      const logoutToken = keep(await stage.provider.issueLogoutToken(await subjectOf(third)))
      for (const token of [`${logoutToken}x`, logoutToken, logoutToken]) await postToken(app, token)
      stage.provider.change.revocationResponse = answered(400, { error: 'invalid_client' })
      await browser.post('/logout')
      for (const { form } of stage.provider.requests) {
        for (const name of ['refresh_token', 'token', 'code', 'code_verifier']) {
          for (const value of form.getAll(name)) secrets.add(value)
        }
      }
      for (const token of [...stage.provider.accessTokens.keys(), ...stage.provider.refreshTokens.keys()]) {
        secrets.add(token)
      }
      // The provider's error response is in error.refusal, not in the message.
      told.push(...app.errors.map(({ message, stack, headers }) => inspect({ message, stack, headers })))
    } finally {
      for (const channel of CHANNELS) unsubscribe(channel, listener)
    }
    const text = told.map((one) => one.replace(/errorDescription: .*/g, '')).join('\n')
    assert.ok(told.length > 20 && secrets.size > 15)
    for (const secret of secrets) assert.ok(!text.includes(secret), secret.slice(0, 8))
  })

  it('CVE-2023-1584, CVE-2024-39315: refreshed tokens are in no cookie and no session, and encrypted in the store', async () => {
    const shown: string[] = []
    const show: Handler = (req, _res, next) => {
      const { oidc } = req as typeof req & { readonly oidc: object }
      shown.push(inspect(oidc, { depth: 9, showHidden: true }), JSON.stringify(oidc), JSON.stringify(req.session))
      next()
    }
    const { app, browser } = await startAged(
      stage,
      {},
      { routes: { ...routes, '/shown': [show, answerJson(() => 1)] } },
    )
    await browser.fetch('/access-token')
    const { idToken, accessToken, refreshToken } = await tokensOf(browser)
    await browser.fetch('/shown')
    const cookies = JSON.stringify(browser.cookies())
    const records = JSON.stringify(await app.records())
    for (const token of [idToken, accessToken, refreshToken]) {
      assert.ok(token !== undefined && token.length > 20)
      for (const text of [cookies, records, ...shown]) assert.ok(!text.includes(token))
      for (const text of [cookies, records]) assert.ok(!decodeURIComponent(text).includes(token))
    }
  })

  it('CVE-2026-47775, CVE-2026-40372: a token record with any changed byte is refused, each with the same error', async () => {
    const { app, browser } = await startAged(stage)
    const found = Object.entries(await app.records()).find(([id]) => isTokens(id))
    assert.ok(found)
    const [id, record] = found
    const sealed = Buffer.from(String(Reflect.get(record, 'tokens')), 'base64url')
    const answers = new Set<string>()
    for (let index = 0; index < sealed.length; index += 7) {
      const changed = Buffer.from(sealed)
      changed[index] = (changed[index] ?? 0) ^ 1
      const data = { ...record, tokens: changed.toString('base64url') } as SessionData
      await new Promise((resolve) => app.store.set(id, data, resolve))
      const pages = [await browser.fetch('/tokens'), await browser.fetch('/access-token')]
      answers.add(pages.map(({ status, body }) => `${status} ${body}`).join())
    }
    assert.deepEqual([...answers], ['200 null,401 {"error":"ERR_OIDC_TOKEN_UNAVAILABLE"}'])
    assert.equal(refreshForms(stage.provider).length, 0)
  })

  it('EOC #143, #269, #282, OKTA #14, logto-io/js#779: no cookie grows with the tokens or claims', async () => {
    const groups = Array.from({ length: 500 }, (_, index) => `a group of some length, number ${index}`)
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, groups })
    stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, groups })
    const { browser } = await startAged(stage)
    await browser.fetch('/access-token')
    assert.equal((await browser.fetch('/admin')).status, 403)
    const size = browser.cookies('127.0.0.1').reduce((sum, { name, value }) => sum + name.length + value.length, 0)
    assert.ok(size < 250, String(size))
  })
})
