import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError, ProviderError } from '../../lib/index.ts'
import { discoveryUrl } from '../../lib/provider/discovery.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { createStage, type Stage } from '../support/app/stage.ts'
import { answered } from '../support/strict-provider/context.ts'
import type { StrictProvider, StrictProviderOptions } from '../support/strict-provider/provider.ts'

const CLIENT = 'a client/with=odd&characters?'

/** [issuer, OIDC Discovery 4, RFC 8414 3.1] */
const PLACES = [
  [
    'https://op.example',
    'https://op.example/.well-known/openid-configuration',
    'https://op.example/.well-known/oauth-authorization-server',
  ],
  [
    'https://op.example/',
    'https://op.example/.well-known/openid-configuration',
    'https://op.example/.well-known/oauth-authorization-server',
  ],
  [
    'https://op.example:8443/tenant',
    'https://op.example:8443/tenant/.well-known/openid-configuration',
    'https://op.example:8443/.well-known/oauth-authorization-server/tenant',
  ],
  [
    'https://op.example/tenant/',
    'https://op.example/tenant/.well-known/openid-configuration',
    'https://op.example/.well-known/oauth-authorization-server/tenant',
  ],
  [
    'https://op.example/oauth2/default',
    'https://op.example/oauth2/default/.well-known/openid-configuration',
    'https://op.example/.well-known/oauth-authorization-server/oauth2/default',
  ],
  [
    'https://op.example/a%20b/c',
    'https://op.example/a%20b/c/.well-known/openid-configuration',
    'https://op.example/.well-known/oauth-authorization-server/a%20b/c',
  ],
  [
    'https://login.example/{tenantid}/v2.0',
    'https://login.example/common/v2.0/.well-known/openid-configuration',
    'https://login.example/.well-known/oauth-authorization-server/common/v2.0',
  ],
] as const

describe('the address of the metadata', () => {
  const urlOf = (issuer: string, discovery: string, discoveryWithClientId = false): string =>
    discoveryUrl({ issuer, discovery, discoveryWithClientId, clientId: CLIENT })

  for (const [issuer, oidc, oauth2] of PLACES) {
    it(`of ${issuer} is made by the rules of either specification (AS-5, Q-3)`, () => {
      assert.equal(urlOf(issuer, 'oidc'), oidc)
      assert.equal(urlOf(issuer, 'oauth2'), oauth2)
    })

    it(`of ${issuer} may name the client, and has nothing else in it (AS-7)`, () => {
      for (const [form, place] of [
        ['oidc', oidc],
        ['oauth2', oauth2],
      ] as const) {
        const url = new URL(urlOf(issuer, form, true))
        assert.deepEqual([...url.searchParams], [['client_id', CLIENT]])
        assert.equal(url.origin + url.pathname, place)
      }
    })
  }

  it('may be given whole, with a query that stays', () => {
    const given = 'https://op.example/oauth2/default/.well-known/oauth-authorization-server'
    assert.equal(urlOf('https://other.example', given), given)
    const policy = 'https://b2c.example/tenant/.well-known/openid-configuration?p=B2C_1_signin'
    assert.equal(urlOf('https://b2c.example/tenant', policy), policy)
    assert.deepEqual(
      [...new URL(urlOf('https://b2c.example/tenant', policy, true)).searchParams],
      [
        ['p', 'B2C_1_signin'],
        ['client_id', CLIENT],
      ],
    )
    const named = `${given}?client_id=another`
    assert.deepEqual([...new URL(urlOf('https://op.example', named, true)).searchParams], [['client_id', CLIENT]])
  })
})

/** Which documents a provider was asked for, and how: path and query. */
function documents({ requests }: StrictProvider): readonly string[] {
  return requests
    .filter(({ path }) => path.includes('.well-known'))
    .map(({ path, query }) => (query.size === 0 ? path : `${path}?${query}`))
}

async function firstError(app: TestApp): Promise<ProviderError> {
  const page = await app.browser().open('/profile')
  assert.deepEqual([page.status, page.history.length], [502, 2])
  const [error] = app.errors
  assert.ok(error instanceof ProviderError)
  return error
}

const KINDS: readonly (readonly [name: string, options: StrictProviderOptions, oidc: string, oauth2: string])[] = [
  ['no path', {}, '/.well-known/openid-configuration', '/.well-known/oauth-authorization-server'],
  [
    'a path',
    { layout: 'okta-custom' },
    '/oauth2/default/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server/oauth2/default',
  ],
  [
    'a slash at its end',
    { layout: 'trailing-slash' },
    '/tenant/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server/tenant',
  ],
]

for (const [name, provider, oidc, oauth2] of KINDS) {
  describe(`discovery for an issuer with ${name}`, () => {
    const stage: Stage = createStage({ provider, app: { errorHandler: 'json' } })
    const whole = (path: string): string => new URL(path, stage.provider.issuer).href
    const forms: readonly (readonly [string, () => string, string])[] = [
      ['oidc', () => 'oidc', oidc],
      ['oauth2', () => 'oauth2', oauth2],
      ['its address', () => whole(oauth2), oauth2],
    ]

    for (const [form, discovery, path] of forms) {
      it(`logs in by ${form}`, async () => {
        const app = await stage.start({ discovery: discovery() })
        assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))
        assert.deepEqual([documents(stage.provider), stage.provider.complaints], [[path], []])
      })

      it(`tells which client asks by ${form}, and nothing more`, async () => {
        const app = await stage.start({ discovery: discovery(), discoveryWithClientId: true })
        assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))
        assert.deepEqual(documents(stage.provider), [`${path}?client_id=${stage.provider.clientId}`])
        const [request] = stage.provider.requests
        assert.deepEqual(
          [request?.method, request?.body, request?.headers.authorization, request?.headers.cookie],
          ['GET', '', undefined, undefined],
        )
        assert.ok(!JSON.stringify(request?.headers).includes(stage.provider.clientSecret))
      })

      for (const [change, edit] of [
        ['a slash more or less', (good: string) => (good.endsWith('/') ? good.slice(0, -1) : `${good}/`)],
        ['another host', () => 'https://evil.example'],
        ['no issuer', () => undefined],
      ] as const) {
        it(`compares the issuer that it finds by ${form}: ${change}`, async () => {
          stage.provider.change.discovery = (json) => ({ ...json, issuer: edit(String(json['issuer'])) })
          for (const discoveryWithClientId of [false, true]) {
            const app = await stage.start({ discovery: discovery(), discoveryWithClientId })
            const error = await firstError(app)
            assert.equal(error.code, 'ERR_OIDC_DISCOVERY_ISSUER')
            assert.match(error.message, /metadata has the issuer .*, but the issuer option is 'http:/)
          }
          assert.equal(stage.provider.calls['/authorize'], 0)
        })
      }
    }

    it('fetches only that URL', async () => {
      const app = await stage.start({ discovery: whole('/elsewhere/.well-known/openid-configuration') })
      assert.equal((await firstError(app)).code, 'ERR_OIDC_PROVIDER_STATUS')
      assert.deepEqual(documents(stage.provider), [])
    })
  })
}

describe('discovery that fails', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })
  const ISSUER = /The issuer option is probably wrong. It must be the issuer as the provider names it/
  const rows: readonly (readonly [form: string, options: () => Partial<AnyOptions>, advice: RegExp])[] = [
    ['oidc', () => ({}), ISSUER],
    ['oauth2', () => ({ discovery: 'oauth2' }), /The issuer option is wrong, or .* RFC 8414 .*discovery 'oidc'/],
    [
      'its address',
      () => ({ discovery: `${stage.provider.issuer}/.well-known/openid-configuration` }),
      /The discovery option is probably wrong. It must be the full URL/,
    ],
  ]
  for (const [form, options, advice] of rows) {
    it(`says what to check, by ${form}`, async () => {
      stage.provider.change.discovery = answered(404, { error: 'nothing', error_description: 'secret of the provider' })
      const error = await firstError(await stage.start(options()))
      assert.equal(error.code, 'ERR_OIDC_PROVIDER_STATUS')
      assert.match(error.message, /^Discovery failed: .* answered 404 nothing\./)
      assert.match(error.message, advice)
      assert.doesNotMatch(error.message, /clientId|secret of/)
      assert.equal(error.refusal?.errorDescription, 'secret of the provider')
      assert.ok(error.cause instanceof ProviderError)
    })

    it(`mentions the clientId if it was sent, by ${form}`, async () => {
      stage.provider.change.discovery = answered(400, { error: 'invalid_client' })
      const error = await firstError(await stage.start({ ...options(), discoveryWithClientId: true }))
      assert.match(error.message, advice)
      assert.match(error.message, / Or the provider does not know the clientId\.$/)
      assert.equal(error.refusal?.error, 'invalid_client')
    })
  }

  it('gives no advice if the options are not the likely cause', async () => {
    stage.provider.change.discovery = answered(200, 'no json')
    const error = await firstError(await stage.start({ discovery: 'oauth2' }))
    assert.equal(error.code, 'ERR_OIDC_PROVIDER_RESPONSE_INVALID')
    assert.doesNotMatch(error.message, /option/)
  })

  it('is retried by the next login', async () => {
    stage.provider.change.discovery = answered(500, '{}')
    const app = await stage.start({ discovery: 'oauth2', discoveryWithClientId: true })
    await firstError(app)
    stage.provider.change.discovery = undefined
    assert.equal((await app.browser().open('/profile')).status, 200)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_PROVIDER_STATUS'])
  })

  it('does not follow a redirect to other metadata', async () => {
    stage.provider.change.discovery = answered(302, '', { Location: 'https://evil.example/' })
    assert.equal((await firstError(await stage.start({ discovery: 'oauth2' }))).code, 'ERR_OIDC_PROVIDER_REDIRECT')
  })
})

describe('the option discovery', () => {
  const stage = createStage()

  for (const discovery of [
    ...['', 'OIDC', 'oauth', 'openid', '/metadata', '//op.example/x', 'op.example', 'javascript:alert(1)', 'file:///x'],
    ...['https://', 'https://user:secret@op.example/x', 'https://op.example/x#y', ' https://op.example/x', 5, true, {}],
  ]) {
    it(`cannot be ${JSON.stringify(discovery)}`, async () => {
      const options = { discovery } as Partial<AnyOptions>
      await assert.rejects(stage.start(options), ConfigError)
    })
  }

  it('must be https unless insecure requests are allowed', async () => {
    const http = {
      ...{ issuer: 'https://op.example', baseUrl: 'https://app.example', dangerouslyAllowInsecureRequests: false },
      discovery: 'http://op.example/metadata',
    }
    await assert.rejects(stage.start(http), /discovery/)
  })

  it('cannot be combined with providerMetadata, nor discoveryWithClientId with registration', async () => {
    const { issuer, endpointUrls } = stage.provider
    const providerMetadata = {
      issuer,
      authorization_endpoint: endpointUrls['/authorize'],
      token_endpoint: endpointUrls['/token'],
      jwks_uri: endpointUrls['/jwks'],
    }
    await assert.rejects(stage.start({ providerMetadata, discovery: 'oauth2' }), /Remove discovery/)
    await assert.rejects(stage.start({ providerMetadata, discoveryWithClientId: true }), /Remove discovery/)
  })
})
