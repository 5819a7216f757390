import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { ConfigError, ProviderError } from '../../lib/index.ts'
import type { Config } from '../../lib/options/config.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import type { AnyOptions } from '../support/app/app.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { createClientKeys, publicKeySet } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import {
  assertLoggedIn,
  assertRefused,
  createStand,
  logIn,
  type Outcome,
  type Row,
  type Stand,
  startStandAt,
  testRefusals,
} from '../support/hostile/hostile.ts'
import { startProvider } from '../support/servers/provider.ts'
import { createCertificate } from '../support/servers/tls-certificate.ts'
import { answered } from '../support/strict-provider/context.ts'
import {
  type StrictProvider,
  type StrictProviderOptions,
  startStrictProvider,
} from '../support/strict-provider/provider.ts'

const jwk = (type: 'ed25519' | 'P-256' | 'rsa', changes: object = {}): object => {
  const { privateKey } =
    type === 'rsa'
      ? createRsaKeyPair()
      : type === 'ed25519'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('ec', { namedCurve: type })
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', ...changes }
}

const rsa = jwk('rsa')
const p256 = jwk('P-256')
const { cert, key } = createCertificate('web')
const CERTIFICATE = { cert, key }
const SECRET = 'a-Secret_of.40-characters_0123456789abcd'

/** Options of a client with an RSA key. */
const GOOD = {
  issuer: 'https://id.example',
  clientId: 'web',
  baseUrl: 'https://app.example',
  secret: 's'.repeat(32),
  clientKeys: [rsa],
}

function configOf(options: object): Config {
  const [config] = parseOptions({ ...GOOD, ...options }).clients
  assert.ok(config)
  return config
}

function faultsOf(options: object): readonly string[] {
  try {
    parseOptions({ ...GOOD, ...options })
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.faults
  }
}

const SET_BY_PROFILE = [
  ...['requirePushedAuthorizationRequests', 'tokenEndpointAuthMethod', 'dpopBoundAccessTokens'],
  ...['idTokenSignedResponseAlg', 'requestObjectSigningAlg', 'responseMode', 'authorizationSignedResponseAlg'],
] as const

function setBy(options: object): readonly unknown[] {
  const config = configOf(options)
  return SET_BY_PROFILE.map((name) => config[name])
}

describe('a profile sets the options that it requires', () => {
  it('none without a profile', () => {
    assert.deepEqual(setBy({}), [false, 'none', false, 'RS256', undefined, 'query', 'RS256'])
  })

  it('fapi2: pushed requests, private_key_jwt, bound tokens, PS256', () => {
    assert.deepEqual(setBy({ profile: 'fapi2' }), [true, 'private_key_jwt', true, 'PS256', undefined, 'query', 'RS256'])
  })

  it('fapi2 with a certificate: mTLS, and tokens bound to the certificate', () => {
    const options = { profile: 'fapi2', tlsClientCertificate: CERTIFICATE }
    assert.deepEqual(setBy(options), [true, 'tls_client_auth', false, 'PS256', undefined, 'query', 'RS256'])
  })

  it('fapi2-message-signing: signed requests and responses too', () => {
    const set = [true, 'private_key_jwt', true, 'PS256', 'PS256', 'jwt', 'PS256']
    assert.deepEqual(setBy({ profile: 'fapi2-message-signing' }), set)
  })

  it('fapi2 with signed responses: PS256 for them too', () => {
    const options = { profile: 'fapi2', responseMode: 'jwt', sharedSignals: { audience: 'a' } }
    assert.deepEqual(setBy(options), [true, 'private_key_jwt', true, 'PS256', undefined, 'jwt', 'PS256'])
    assert.equal(configOf(options).sharedSignals?.signingAlg, 'PS256')
  })

  it('and keeps options that it allows', () => {
    const options = {
      profile: 'fapi2-message-signing',
      clientKeys: [p256],
      tokenEndpointAuthMethod: 'self_signed_tls_client_auth',
      tlsClientCertificate: CERTIFICATE,
      dpopBoundAccessTokens: true,
      dpopSigningAlg: 'EdDSA',
      idTokenSignedResponseAlg: 'ES256',
      requestObjectSigningAlg: 'ES256',
      responseMode: 'query.jwt',
      authorizationSignedResponseAlg: 'EdDSA',
      userinfoSignedResponseAlg: 'ES256',
    }
    const config: object = configOf(options)
    assert.deepEqual({ ...config, ...options, clientKeys: undefined }, { ...config, clientKeys: undefined })
  })

  it('for one provider of several only', () => {
    const { issuer, clientId, clientKeys, ...app } = GOOD
    const bank = { issuer, clientId, clientKeys, profile: 'fapi2' }
    const shop = { issuer: 'https://shop.example', clientId, clientSecret: SECRET }
    const { clients } = parseOptions({ ...app, providers: { bank, shop } })
    assert.deepEqual(
      clients.map((config) => [config.name, config.dpopBoundAccessTokens, config.idTokenSignedResponseAlg]),
      [
        ['bank', true, 'PS256'],
        ['shop', false, 'RS256'],
      ],
    )
  })
})

// [the options, the message without the name of the profile]
const CONTRADICTIONS: readonly (readonly [options: object, sentence: string])[] = [
  [{ responseType: 'code id_token', responseMode: 'form_post.jwt' }, "responseType must be 'code'"],
  [
    { responseType: 'id_token', responseMode: 'form_post.jwt', dpopBoundAccessTokens: true },
    "responseType must be 'code'",
  ],
  [{ responseType: 'code token', responseMode: 'form_post.jwt' }, "responseType must be 'code'"],
  [{ userinfoBearerMethod: 'body', tlsClientCertificate: CERTIFICATE }, "userinfoBearerMethod must be 'header'"],
  ...['client_secret_basic', 'client_secret_post', 'client_secret_jwt'].map(
    (tokenEndpointAuthMethod) =>
      [
        { tokenEndpointAuthMethod, clientSecret: SECRET },
        "tokenEndpointAuthMethod must be 'private_key_jwt', 'tls_client_auth' or 'self_signed_tls_client_auth'",
      ] as const,
  ),
  [
    { tokenEndpointAuthMethod: 'none' },
    "tokenEndpointAuthMethod must be 'private_key_jwt', 'tls_client_auth' or 'self_signed_tls_client_auth'",
  ],
  [{ requirePushedAuthorizationRequests: false }, 'requirePushedAuthorizationRequests must be true'],
  [{ dpopBoundAccessTokens: false }, 'dpopBoundAccessTokens must be true, unless tlsClientCertificate is given'],
  [{ clientAssertionAudience: 'endpoint' }, "clientAssertionAudience must be 'issuer'"],
  [{ clientAssertionAudience: 'https://id.example/token' }, "clientAssertionAudience must be 'issuer'"],
  [{ dangerouslyAssumeRequestedScope: true }, 'dangerouslyAssumeRequestedScope must be false'],
  [{ dangerouslyAllowLogoutTokenWithoutExp: true }, 'dangerouslyAllowLogoutTokenWithoutExp must be false'],
  [{ idTokenSignedResponseAlg: 'RS256' }, 'idTokenSignedResponseAlg must be PS256, ES256 or EdDSA'],
  [{ idTokenSignedResponseAlg: 'PS384' }, 'idTokenSignedResponseAlg must be PS256, ES256 or EdDSA'],
  [
    { idTokenSignedResponseAlg: 'HS256', clientSecret: SECRET },
    'idTokenSignedResponseAlg must be PS256, ES256 or EdDSA',
  ],
  [{ userinfoSignedResponseAlg: 'RS256' }, 'userinfoSignedResponseAlg must be PS256, ES256 or EdDSA'],
  [
    { authorizationSignedResponseAlg: 'RS256', responseMode: 'jwt' },
    'authorizationSignedResponseAlg must be PS256, ES256 or EdDSA',
  ],
  [{ tokenEndpointAuthSigningAlg: 'RS256' }, 'tokenEndpointAuthSigningAlg must be PS256, ES256 or EdDSA'],
  [{ requestObjectSigningAlg: 'RS256' }, 'requestObjectSigningAlg must be PS256, ES256 or EdDSA'],
  [{ requestObjectSigningAlg: 'none' }, 'requestObjectSigningAlg must be PS256, ES256 or EdDSA'],
  [{ dpopSigningAlg: 'ES384' }, 'dpopSigningAlg must be PS256, ES256 or EdDSA'],
]

for (const profile of ['fapi2', 'fapi2-message-signing']) {
  describe(`the profile ${profile} conflicts with options`, () => {
    for (const [options, sentence] of CONTRADICTIONS) {
      it(`such as ${Object.entries(options)
        .map(([name, value]) => `${name}: ${typeof value === 'object' ? 'given' : value}`)
        .join(', ')}`, () => {
        const option = /^\w+/.exec(sentence)?.[0] ?? ''
        const received = JSON.stringify(new Map(Object.entries(options)).get(option))
        assert.deepEqual(faultsOf({ profile, ...options }), [
          `${sentence} with profile '${profile}'. Received ${received}.`,
        ])
      })
    }

    it('such as a key that signs with RS256 only', () => {
      const keys = [jwk('rsa', { alg: 'RS256' }), jwk('P-256', { use: 'enc' })]
      // Then there is no key for signed requests either.
      const signing =
        profile === 'fapi2' ? [] : ["requestObjectSigningAlg 'PS256' needs a key in clientKeys that can sign with it."]
      assert.deepEqual(faultsOf({ profile, clientKeys: keys }), [
        ...signing,
        `clientKeys must have a key that can sign with PS256, ES256 or EdDSA with profile '${profile}'. Received a list.`,
      ])
    })

    it('and reports a missing key first', () => {
      const options = { profile, clientKeys: undefined }
      assert.equal(faultsOf(options)[0], "tokenEndpointAuthMethod 'private_key_jwt' needs a signing key in clientKeys.")
    })

    it('and reports an invalid option only once', () => {
      for (const name of ['tokenEndpointAuthMethod', 'idTokenSignedResponseAlg', 'responseType', 'dpopSigningAlg']) {
        const faults = faultsOf({ profile, [name]: 'planted' })
        assert.equal(faults.length, 1, faults.join(' '))
        assert.match(String(faults[0]), new RegExp(`^${name} must be one of`))
      }
    })
  })
}

describe('the profile fapi2-message-signing', () => {
  for (const responseMode of ['query', 'form_post', 'fragment']) {
    it(`conflicts with ${responseMode}`, () => {
      const profile = 'fapi2-message-signing'
      assert.deepEqual(faultsOf({ profile, responseMode }), [
        `responseMode must be 'jwt' or another one with jwt with profile '${profile}'. Received "${responseMode}".`,
      ])
    })
  }

  it('requires requestObjectSigningAlg for a client with an EC key', () => {
    const options = { profile: 'fapi2-message-signing', clientKeys: [p256] }
    assert.deepEqual(faultsOf(options), [
      "requestObjectSigningAlg 'PS256' needs a key in clientKeys that can sign with it.",
    ])
    assert.deepEqual(faultsOf({ ...options, requestObjectSigningAlg: 'ES256' }), [])
  })
})

describe('an unknown profile', () => {
  it('is refused', () => {
    assert.deepEqual(faultsOf({ profile: 'fapi1' }), [
      "profile must be one of 'fapi2', 'fapi2-message-signing', 'ipsie-sl1'. Received \"fapi1\".",
    ])
  })
})

const VARIANTS: readonly (readonly [name: string, provider: StrictProviderOptions])[] = [
  ['fapi2', { profile: 'fapi2' }],
  [
    'fapi2 with certificates',
    { profile: 'fapi2', tlsClientCertificateBoundAccessTokens: true, tokenEndpointAuthMethod: 'tls_client_auth' },
  ],
  [
    'fapi2 with certificates of its own',
    {
      profile: 'fapi2',
      tlsClientCertificateBoundAccessTokens: true,
      tokenEndpointAuthMethod: 'self_signed_tls_client_auth',
    },
  ],
  [
    'fapi2 with a key, and tokens bound to a certificate',
    { profile: 'fapi2', tlsClientCertificateBoundAccessTokens: true, tokenEndpointAuthMethod: 'private_key_jwt' },
  ],
  ['fapi2-message-signing', { profile: 'fapi2-message-signing' }],
  [
    'fapi2-message-signing with certificates',
    {
      profile: 'fapi2-message-signing',
      tlsClientCertificateBoundAccessTokens: true,
      tokenEndpointAuthMethod: 'tls_client_auth',
    },
  ],
]

for (const [name, provider] of VARIANTS) {
  describe(`a login by ${name}`, () => {
    const stand = createStand({ provider, app: { options: { userinfo: true } } })

    it('succeeds at a provider that enforces the profile', async () => {
      await assertLoggedIn(stand, await logIn(stand))
      const { calls, complaints, requests } = stand.provider
      assert.deepEqual([complaints, calls['/authorize']], [[], 1])
      assert.ok(calls['/par'] >= 1 && calls['/token'] >= 1 && calls['/userinfo'] >= 1)
      const assertions = requests.flatMap(({ form }) => form.getAll('client_assertion'))
      for (const assertion of assertions) {
        assert.deepEqual(
          [decodeProtectedHeader(assertion).alg, decodeJwt(assertion).aud],
          ['PS256', stand.provider.issuer],
        )
      }
      const isByKey = provider.tokenEndpointAuthMethod === undefined || name.includes('with a key')
      assert.equal(assertions.length > 0, isByKey)
    })

    it('shows the browser only a reference', async () => {
      const { next } = await stand.app.browser().open('/login', { stopBefore: isAtProvider })
      const params = new URL(next?.url ?? '').searchParams
      assert.deepEqual([...params.keys()].sort(), ['client_id', 'request_uri'])
    })
  })
}

type Change = (provider: StrictProvider) => void

/** The valid responses, with one change. */
function attackOn(stand: Stand) {
  return async (change: Change): Promise<Outcome> => {
    // The nonces of the server are known afterwards.
    await logIn(stand)
    await stand.reset()
    change(stand.provider)
    return await logIn(stand)
  }
}

const MISSING: Row<Change>[2] = 'ERR_OIDC_RESPONSE_ISSUER_MISSING'

describe('the profile fapi2 refuses', () => {
  const stand = createStand({ provider: { profile: 'fapi2' }, app: { options: { userinfo: true } } })
  const idToken = (changes: object): Change => {
    return (provider) => {
      provider.change.idTokenClaims = (claims) => ({ ...claims, ...changes })
    }
  }
  const inAnswer = (edit: (params: URLSearchParams) => void): Change => {
    return (provider) => {
      provider.change.authorizationResponse = (params) => {
        edit(params)
        return params
      }
    }
  }

  describe('before the code is redeemed', () => {
    const rows: readonly Row<Change>[] = [
      ['a response without iss', inAnswer((params) => params.delete('iss')), MISSING],
      [
        'a response with another iss',
        inAnswer((params) => params.set('iss', 'https://evil.example')),
        'ERR_OIDC_RESPONSE_ISSUER',
      ],
      [
        'a pushed request that the provider refuses',
        (provider) => {
          provider.change.parResponse = answered(400, { error: 'invalid_request' })
        },
        'ERR_OIDC_PUSHED_REQUEST',
      ],
      [
        'a client without a registered key',
        (provider) => provider.changeClient({ clientJwks: { keys: [] } }),
        'ERR_OIDC_PUSHED_REQUEST',
      ],
    ]
    testRefusals(rows, stand, attackOn(stand))
  })

  describe('after the code is redeemed', () => {
    const rows: readonly Row<Change>[] = [
      [
        'a bearer token',
        (provider) => {
          provider.change.tokenResponse = (json) => ({ ...json, token_type: 'Bearer' })
        },
        'ERR_OIDC_TOKEN_RESPONSE',
      ],
      [
        'an ID Token that is signed with RS256',
        (provider) => provider.changeClient({ alg: 'RS256' }),
        'ERR_OIDC_ID_TOKEN_ALG',
      ],
      [
        'an ID Token that is signed with ES256',
        (provider) => provider.changeClient({ alg: 'ES256' }),
        'ERR_OIDC_ID_TOKEN_ALG',
      ],
      ['an ID Token for two clients', idToken({ aud: ['test-client', 'another'] }), 'ERR_OIDC_ID_TOKEN_AUDIENCE'],
      ['an ID Token of another issuer', idToken({ iss: 'https://evil.example' }), 'ERR_OIDC_ID_TOKEN_ISSUER'],
    ]
    testRefusals(rows, stand, attackOn(stand), { '/token': 1 })
  })
})

describe('the profile fapi2-message-signing refuses', () => {
  const stand = createStand({ provider: { profile: 'fapi2-message-signing' } })
  const inJwt = (edit: (claims: Record<string, unknown>) => Record<string, unknown>): Change => {
    return (provider) => {
      provider.change.responseJwtClaims = edit
    }
  }
  const rows: readonly Row<Change>[] = [
    ['a response without iss', inJwt(({ iss: _, ...claims }) => claims), 'ERR_OIDC_RESPONSE_JWT_ISSUER'],
    [
      'a response for another client',
      inJwt((claims) => ({ ...claims, aud: 'another' })),
      'ERR_OIDC_RESPONSE_JWT_AUDIENCE',
    ],
    ['an expired response', inJwt((claims) => ({ ...claims, exp: 1 })), 'ERR_OIDC_RESPONSE_JWT_EXPIRED'],
    [
      'a response that is signed with RS256',
      (provider) => provider.changeClient({ authorizationSignedResponseAlg: 'RS256' }),
      'ERR_OIDC_RESPONSE_JWT_ALG',
    ],
    [
      'a request that is to be signed with ES256',
      (provider) => provider.changeClient({ requestObjectSigningAlg: 'ES256' }),
      'ERR_OIDC_PUSHED_REQUEST',
    ],
  ]
  testRefusals(rows, stand, attackOn(stand))

  it('a response that is not signed', async () => {
    await attackOn(stand)(() => undefined)
    await stand.reset()
    const browser = stand.app.browser()
    const page = await browser.open('/login', { stopBefore: ({ pathname }) => pathname === '/callback' })
    const url = new URL(page.next?.url ?? '')
    url.search = new URLSearchParams({ code: 'x', state: 'x'.repeat(43), iss: stand.provider.issuer }).toString()
    const refused = await browser.go({ method: 'GET', url: url.href })
    await assertRefused(stand, { browser, page: refused }, { code: 'ERR_OIDC_RESPONSE_JWT_MISSING' })
  })
})

describe('a provider that does not announce iss', () => {
  it('must send it anyway with the profile', async () => {
    const provider = await startStrictProvider({ profile: 'fapi2', issParameter: 'absent' })
    const stand = await startStandAt(provider)
    try {
      await assertRefused(stand, await logIn(stand), { code: MISSING })
    } finally {
      await Promise.all([stand.stop(), provider.stop()])
    }
  })

  it('cannot be used without pushed requests', async () => {
    const provider = await startStrictProvider({ profile: 'fapi2', pushed: 'absent' })
    const stand = await startStandAt(provider)
    try {
      await assertRefused(stand, await logIn(stand), { code: 'ERR_OIDC_METADATA_INVALID' })
      assert.ok(stand.app.errors[0] instanceof ProviderError)
    } finally {
      await Promise.all([stand.stop(), provider.stop()])
    }
  })
})

describe('oidc-provider with its own profile', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })
  const algs = ['PS256', 'ES256', 'EdDSA']

  for (const profile of ['fapi2', 'fapi2-message-signing'] as const) {
    it(`accepts ${profile}`, async () => {
      const keys = createClientKeys()
      const isSigned = profile === 'fapi2-message-signing'
      const provider = stage.stopLater(
        await startProvider({
          client: {
            token_endpoint_auth_method: 'private_key_jwt',
            client_secret: undefined,
            id_token_signed_response_alg: 'PS256',
            dpop_bound_access_tokens: true,
            require_pushed_authorization_requests: true,
            jwks: publicKeySet(keys),
            ...(isSigned ? { authorization_signed_response_alg: 'PS256', request_object_signing_alg: 'PS256' } : {}),
          },
          features: {
            dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
            pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
            fapi: { enabled: true, profile: '2.0' },
            jwtResponseModes: { enabled: isSigned },
            requestObjects: { enabled: isSigned, requireSignedRequestObject: isSigned },
          },
          configuration: {
            enabledJWA: {
              idTokenSigningAlgValues: algs,
              clientAuthSigningAlgValues: algs,
              dPoPSigningAlgValues: algs,
              requestObjectSigningAlgValues: algs,
              authorizationSigningAlgValues: algs,
            },
          },
        }),
      )
      const clientKeys = keys as NonNullable<AnyOptions['clientKeys']>
      const options = { profile, clientKeys, clientSecret: '', secret: 's'.repeat(32) }
      const app = await stage.start(options, { provider })
      const page = await app.browser().open('/profile')
      assert.deepEqual([app.errors.map(String), page.status], [[], 200], page.body)
      assert.equal(await app.sessions(), 1)
    })
  }
})
