import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { requireAuth } from '../../lib/index.ts'
import { narrowedGrant } from '../../lib/protocol/refreshed-login.ts'
import { observeDenials, startApi } from '../support/app/api-app.ts'
import { codesOf } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { createStage, share, stopAfterEach } from '../support/app/stage.ts'
import { startTokenIssuer } from '../support/servers/token-issuer.ts'

const PAYMENT = { type: 'payment_initiation', instructedAmount: { currency: 'EUR', amount: '12.00' } }
const ACCOUNTS = { type: 'account_information', actions: ['list'] }
const MALFORMED: readonly unknown[] = [
  'payment',
  7,
  true,
  {},
  PAYMENT,
  [null],
  ['payment'],
  [[PAYMENT]],
  [{}],
  [{ type: 7 }],
  [PAYMENT, {}],
]

const routes: Routes = {
  '/details': [requireAuth(), answerJson(({ oidc }) => oidc.authorizationDetails)],
  '/pay': answerBy(({ oidc }) =>
    oidc.login({ returnTo: '/details', authorizationParams: { authorization_details: [PAYMENT, ACCOUNTS] } }),
  ),
  '/refresh': [requireAuth(), answerJson(async ({ oidc }) => typeof (await oidc.accessToken({ refresh: true })))],
  '/who': answerJson(({ oidc }) => oidc.authorizationDetails ?? null),
}

describe('authorization_details', () => {
  const stage = createStage({ app: { routes, errorHandler: 'json' } })
  const granted = (details: unknown) => (json: Record<string, unknown>) => ({ ...json, authorization_details: details })

  it('are those that the token response grants', async () => {
    const { app, browser } = await stage.startLoggedIn()
    assert.deepEqual((await browser.open('/details')).json(), [])
    assert.deepEqual((await browser.open('/pay')).json(), [PAYMENT, ACCOUNTS], String(app.errors))
    assert.deepEqual((await browser.open('/details')).json(), [PAYMENT, ACCOUNTS])
    assert.equal((await app.browser().open('/who')).json(), null)
  })

  it('are never those that were requested', async () => {
    const { browser } = await stage.startLoggedIn()
    stage.provider.change.tokenResponse = granted([PAYMENT])
    assert.deepEqual((await browser.open('/pay')).json(), [PAYMENT])
    for (const details of [undefined, null, []]) {
      stage.provider.change.tokenResponse = granted(details)
      assert.deepEqual((await browser.open('/pay')).json(), [])
    }
  })

  for (const details of MALFORMED) {
    it(`are refused in a token response as ${JSON.stringify(details)}, and the login stays`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      stage.provider.change.tokenResponse = granted(details)
      assert.deepEqual([(await browser.open('/pay')).status, codesOf(app)], [502, ['ERR_OIDC_TOKEN_RESPONSE']])
      assert.match(app.errors[0]?.message ?? '', /no valid authorization_details/)
      assert.deepEqual((await browser.open('/details')).json(), [])
    })
  }

  it('are replaced by a refresh that names them, without types that were not granted, and stay otherwise', async () => {
    const { app, browser } = await stage.startLoggedIn({ scope: 'openid offline_access' })
    await browser.open('/pay')
    for (const [named, expected] of [
      [undefined, [PAYMENT, ACCOUNTS]],
      [[ACCOUNTS, { type: 'more' }], [ACCOUNTS]],
      [[PAYMENT, ACCOUNTS], [ACCOUNTS]],
      [[], []],
      [[ACCOUNTS], []],
    ]) {
      stage.provider.change.refreshResponse = granted(named)
      await browser.open('/refresh')
      assert.deepEqual((await browser.open('/details')).json(), expected, String(app.errors))
    }
  })
})

it('authorization_details that a refresh brings to a login from before this version stay out of it', () => {
  const response = { authorization_details: [PAYMENT] }
  const scope = 'openid'
  assert.deepEqual(narrowedGrant({ scope }, response), { scope })
  assert.deepEqual(narrowedGrant({ scope, authorizationDetails: [] }, response), { scope, authorizationDetails: [] })
})

describe('authorization_details of an access token', () => {
  const theIssuer = share(() => startTokenIssuer())
  const stopLater = stopAfterEach()
  const seen = observeDenials()

  it('are those of its claim, and a malformed claim is refused', async () => {
    const api = { '/details': [requireAuth(), answerJson(({ oidc }) => ({ details: oidc.authorizationDetails }))] }
    const app = stopLater(await startApi(theIssuer(), {}, { routes: api }))
    const call = (claims: object) =>
      app.call(theIssuer().token(claims as Record<string, unknown>), { path: '/details' })
    assert.deepEqual((await call({ authorization_details: [PAYMENT] })).json(), { details: [PAYMENT] })
    assert.deepEqual((await call({})).json(), { details: [] })
    for (const details of MALFORMED) {
      assert.equal((await call({ authorization_details: details })).status, 401, JSON.stringify(details))
      assert.equal(seen.denied.at(-1), 'ERR_OIDC_ACCESS_TOKEN_CLAIM')
    }
  })
})
