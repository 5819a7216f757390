import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  ConfigError,
  type DetailRequirement,
  type Handler,
  OidcError,
  type Request,
  type Response,
  requireAuth,
  requireAuthorizationDetails,
} from '../../lib/index.ts'
import { startApi } from '../support/app/api-app.ts'
import { codesOf } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import { startProvider } from '../support/servers/provider.ts'

const DENIED = 'ERR_OIDC_INSUFFICIENT_AUTHORIZATION_DETAILS'
const THROUGH = 'let through'

/** Runs a guard with these details: `let through`, or the code of the error that it passes to next. */
function judge(guard: Handler, authorizationDetails: unknown): string {
  const oidc = {
    isAuthenticated: true,
    claims: { iss: 'https://op.test', sub: 'alice' },
    scope: '',
    authorizationDetails,
  }
  const outcomes: unknown[] = []
  guard({ method: 'GET', url: '/', headers: {}, oidc } as unknown as Request, {} as Response, (error) => {
    outcomes.push(error)
  })
  assert.equal(outcomes.length, 1)
  const [error] = outcomes
  return error instanceof OidcError ? error.code : error === undefined ? THROUGH : String(error)
}

const PAYMENT = {
  type: 'payment',
  actions: ['read', 'write'],
  identifier: 'a1',
  limit: 7,
  recurring: false,
  nested: { a: 1 },
}

const ROWS: readonly (readonly [name: string, required: DetailRequirement, details: unknown, outcome: string])[] = [
  ['its type', 'payment', [PAYMENT], THROUGH],
  ['its type, second in the list', 'payment', [{ type: 'other' }, PAYMENT], THROUGH],
  ['nothing granted', 'payment', [], DENIED],
  ['another type', 'payment', [{ type: 'payments' }], DENIED],
  ['a type in other letters', 'payment', [{ type: 'Payment' }], DENIED],
  ['its members', { type: 'payment', identifier: 'a1', limit: 7, recurring: false }, [PAYMENT], THROUGH],
  ['one member of another value', { type: 'payment', identifier: 'a2' }, [PAYMENT], DENIED],
  ['a number as text', { type: 'payment', limit: '7' }, [PAYMENT], DENIED],
  ['a member that is missing', { type: 'payment', locations: ['x'] }, [PAYMENT], DENIED],
  ['a flag that is missing', { type: 'payment', instant: false }, [PAYMENT], DENIED],
  ['some of a list', { type: 'payment', actions: ['write'] }, [PAYMENT], THROUGH],
  ['all of a list', { type: 'payment', actions: ['write', 'read'] }, [PAYMENT], THROUGH],
  ['more than the list', { type: 'payment', actions: ['read', 'delete'] }, [PAYMENT], DENIED],
  ['a list, and text is granted', { type: 'payment', identifier: ['a1'] }, [PAYMENT], DENIED],
  ['text, and a list is granted', { type: 'payment', actions: 'read' }, [PAYMENT], DENIED],
  [
    'members of two details together',
    { type: 'payment', actions: ['read'], identifier: 'a1' },
    [
      { type: 'payment', actions: ['read'] },
      { type: 'payment', identifier: 'a1' },
    ],
    DENIED,
  ],
  ['a function', (detail) => Object(detail['nested']).a === 1, [{ type: 'x' }, PAYMENT], THROUGH],
  ['a function that says no', () => false, [PAYMENT], DENIED],
  ['a function that returns something', () => 'yes' as never, [PAYMENT], DENIED],
  ['a function that returns a promise', (async () => true) as never, [PAYMENT], DENIED],
  ['a function without details', () => true, [], DENIED],
  ['what every object has', { type: 'payment', constructor: 'x' } as never, [PAYMENT], DENIED],
]

describe('requireAuthorizationDetails()', () => {
  for (const [name, required, details, outcome] of ROWS) {
    it(`${outcome === THROUGH ? 'lets through' : 'denies'}: ${name}`, () => {
      assert.equal(judge(requireAuthorizationDetails(required), details), outcome)
    })
  }

  const invalid: readonly unknown[] = [
    ...[undefined, null, '', 7, true, {}, [], ['payment'], [PAYMENT], { actions: ['read'] }, { type: '' }, { type: 7 }],
    ...[
      { type: ['payment'] },
      { type: 'a', actions: [] },
      { type: 'a', actions: [{}] },
      { type: 'a', nested: { b: 1 } },
    ],
    ...[
      { type: 'a', limit: Number.NaN },
      { type: 'a', note: '' },
      { type: 'a', note: undefined },
      { type: 'a', x: null },
    ],
  ]
  for (const required of invalid) {
    it(`refuses ${JSON.stringify(required) ?? 'nothing'} as a requirement`, () => {
      assert.throws(() => requireAuthorizationDetails(required as DetailRequirement), ConfigError)
    })
  }

  it('keeps its requirement, whatever the application does with the object', () => {
    const required = { type: 'payment', actions: ['delete'] }
    const guard = requireAuthorizationDetails(required)
    required.type = 'other'
    required.actions.length = 0
    assert.deepEqual([judge(guard, [PAYMENT]), judge(guard, [{ type: 'other' }])], [DENIED, DENIED])
  })
})

describe('oidc-provider with richAuthorizationRequests', () => {
  const API = 'https://api.example.com'
  const stage = createStage({ app: { errorHandler: 'json' } })
  const payment = { type: 'payment', actions: ['initiate'], amount: { currency: 'EUR', value: '12.00' } }
  const accounts = { type: 'accounts', actions: ['list'] }
  const routes: Routes = {
    '/ask': answerBy(({ oidc }) =>
      oidc.login({ returnTo: '/details', authorizationParams: { authorization_details: [payment, accounts] } }),
    ),
    '/bad': answerBy(({ oidc }) =>
      oidc.login({ authorizationParams: { authorization_details: [{ type: 'unknown' }] } }),
    ),
    '/details': [requireAuth(), answerJson(({ oidc }) => oidc.authorizationDetails)],
    '/pay': [
      requireAuthorizationDetails({ type: 'payment', actions: ['initiate'] }),
      answerJson(() => ({ paid: true })),
    ],
    '/list': [requireAuthorizationDetails('accounts'), answerJson(() => ({ listed: true }))],
    '/token': [requireAuth(), answerJson(async ({ oidc }) => ({ token: await oidc.accessToken() }))],
  }

  function start(): ReturnType<typeof startProvider> {
    const types = { payment: { validate: () => {} }, accounts: { validate: () => {} } }
    const richAuthorizationRequests = {
      ...{ enabled: true, types },
      authorizationDetailsForGrantSource: (context: { oidc: { grant: { rar?: unknown } } }) => context.oidc.grant.rar,
      authorizationDetailsForAccessToken: (_context: unknown, _token: unknown, source: { rar?: unknown }) => source.rar,
      authorizationDetailsForIntrospection: (_context: unknown, token: { rar?: unknown }) => token.rar,
    }
    // It grants details only for an API, whose access tokens are then JWTs.
    const resourceIndicators = {
      enabled: true,
      defaultResource: () => API,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: '', audience: API, accessTokenFormat: 'jwt' }),
    }
    return startProvider({
      features: { richAuthorizationRequests, resourceIndicators },
      client: { authorization_details_types: Object.keys(types) },
    })
  }

  it('grants what the guard lets through, in sessions and in tokens alike', async () => {
    const provider = stage.stopLater(await start())
    const scope = 'openid offline_access'
    const app = await stage.start({ scope }, { provider, routes })
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.open('/pay')).status, 403)
    assert.deepEqual((await browser.open('/ask')).json(), [payment, accounts], String(app.errors))
    assert.deepEqual((await browser.open('/pay')).json(), { paid: true })
    assert.deepEqual((await browser.open('/list')).json(), { listed: true })
    assert.deepEqual(codesOf(app), [DENIED])

    const { token } = (await browser.open('/token')).json()
    const api = stage.stopLater(await startApi({ issuer: provider.issuer, audience: API }, {}, { routes }))
    const answers = [await api.call(String(token), { path: '/pay' }), await api.call(String(token), { path: '/list' })]
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body]),
      [
        [200, '{"paid":true}'],
        [200, '{"listed":true}'],
      ],
      String(api.errors),
    )
  })

  it('may grant less than what was requested', async () => {
    const provider = stage.stopLater(await start())
    provider.withheld = ['payment']
    const app = await stage.start({ scope: 'openid' }, { provider, routes })
    const browser = app.browser()
    assert.deepEqual((await browser.open('/ask')).json(), [accounts], String(app.errors))
    assert.equal((await browser.open('/pay')).status, 403)
    assert.deepEqual((await browser.open('/list')).json(), { listed: true })
  })

  it('refuses a type that it does not know', async () => {
    const provider = stage.stopLater(await start())
    const app = await stage.start({ scope: 'openid' }, { provider, routes })
    const page = await app.browser().open('/bad')
    assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_AUTHORIZATION']])
    assert.equal(await app.sessions(), 0)
  })
})
