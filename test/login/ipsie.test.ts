import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { ConfigError } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { assertionAudience } from '../../lib/provider/client-authentication.ts'
import { type AnyOptions, codesOf } from '../support/app/app.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import {
  assertLoggedIn,
  createStand,
  logIn,
  type Outcome,
  type Row,
  type StandSettings,
  testRefusals,
} from '../support/hostile/hostile.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

// The requirements of the IPSIE SL1 OpenID Connect Profile for relying parties. docs/ipsie.md names these tests.

const rsa = { ...createRsaKeyPair().privateKey.export({ format: 'jwk' }), use: 'sig' }

const GOOD = {
  issuer: 'https://id.example',
  clientId: 'web',
  baseUrl: 'https://app.example',
  secret: 's'.repeat(32),
  profile: 'ipsie-sl1',
  routes: { initiateLogin: '/initiate-login' },
}

const METADATA = {
  issuer: GOOD.issuer,
  authorization_endpoint: `${GOOD.issuer}/authorize`,
  token_endpoint: `${GOOD.issuer}/token`,
  jwks_uri: `${GOOD.issuer}/jwks`,
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

const PROFILE = "with profile 'ipsie-sl1'."
const ALGORITHMS = `must be PS256, ES256 or EdDSA ${PROFILE}`
const SECRET = 'a-Secret_of.40-characters_0123456789abcd'

// [the options, the message]
const CONTRADICTIONS: readonly (readonly [options: object, message: string])[] = [
  [{ routes: {} }, "profile 'ipsie-sl1' needs routes.initiateLogin: other sites must be able to start a login."],
  [
    { dangerouslyAllowInsecureRequests: true },
    "profile 'ipsie-sl1' needs https: leave out dangerouslyAllowInsecureRequests.",
  ],
  [
    { responseType: 'code id_token', responseMode: 'form_post' },
    `responseType must be 'code' ${PROFILE} Received "code id_token".`,
  ],
  [
    { discovery: 'https://id.example/metadata.json' },
    `discovery must be 'oidc' or 'oauth2' ${PROFILE} Received "https://id.example/metadata.json".`,
  ],
  [
    { providerMetadata: METADATA },
    `providerMetadata must be left out, because metadata comes from discovery only, ${PROFILE} Received an object.`,
  ],
  [
    { extraProviderMetadata: { userinfo_endpoint: null } },
    `extraProviderMetadata must be left out, because metadata comes from discovery only, ${PROFILE} Received an object.`,
  ],
  [
    { trustedAudiences: ['https://other.example'] },
    `trustedAudiences must be left out, because aud is one string, ${PROFILE} Received a list.`,
  ],
  [{ userinfoBearerMethod: 'body' }, `userinfoBearerMethod must be 'header' ${PROFILE} Received "body".`],
  [
    { tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: [rsa], clientAssertionAudience: 'endpoint' },
    `clientAssertionAudience must be 'issuer' ${PROFILE} Received "endpoint".`,
  ],
  [
    { tokenEndpointAuthMethod: 'client_secret_jwt', clientSecret: SECRET },
    `tokenEndpointAuthMethod must not be 'client_secret_jwt' ${PROFILE} Received "client_secret_jwt".`,
  ],
  ...[
    ...(['dangerouslyAllowMissingIss', 'dangerouslyAllowMissingNonce', 'dangerouslyDisablePkce'] as const),
    ...(['dangerouslyIgnoreSessionExpiry', 'dangerouslyAllowLogoutTokenWithoutExp'] as const),
    ...(['assumeBearerTokenType', 'allowMissingAccessToken'] as const),
  ].map((name) => [{ [name]: true, clientSecret: SECRET }, `${name} must be false ${PROFILE} Received true.`] as const),
  [{ idTokenSignedResponseAlg: 'RS256' }, `idTokenSignedResponseAlg ${ALGORITHMS} Received "RS256".`],
  [
    { idTokenSignedResponseAlg: 'HS256', clientSecret: SECRET },
    `idTokenSignedResponseAlg ${ALGORITHMS} Received "HS256".`,
  ],
  [{ userinfoSignedResponseAlg: 'RS256' }, `userinfoSignedResponseAlg ${ALGORITHMS} Received "RS256".`],
  [{ requestObjectSigningAlg: 'none' }, `requestObjectSigningAlg ${ALGORITHMS} Received "none".`],
  [
    { tokenEndpointAuthMethod: 'private_key_jwt', tokenEndpointAuthSigningAlg: 'RS256', clientKeys: [rsa] },
    `tokenEndpointAuthSigningAlg ${ALGORITHMS} Received "RS256".`,
  ],
  [
    { tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: [{ ...rsa, alg: 'RS256' }] },
    `clientKeys must have a key that can sign with PS256, ES256 or EdDSA ${PROFILE} Received a list.`,
  ],
  [{ dpopBoundAccessTokens: true, dpopSigningAlg: 'ES384' }, `dpopSigningAlg ${ALGORITHMS} Received "ES384".`],
  [
    { responseMode: 'jwt', authorizationSignedResponseAlg: 'RS256' },
    `authorizationSignedResponseAlg ${ALGORITHMS} Received "RS256".`,
  ],
  [
    { sharedSignals: { audience: 'https://app.example', signingAlg: 'RS256' } },
    `sharedSignals.signingAlg ${ALGORITHMS} Received "RS256".`,
  ],
]

describe('the options of profile ipsie-sl1', () => {
  it('are valid without any other, and ID Tokens are signed with PS256 then', () => {
    assert.equal(parseOptions(GOOD).clients[0]?.idTokenSignedResponseAlg, 'PS256')
  })

  it('accept PS256 alone by default, also in encrypted or signed responses and in security events', () => {
    const [config] = parseOptions({ ...GOOD, responseMode: 'jwt', sharedSignals: { audience: 'a' } }).clients
    assert.equal(config?.authorizationSignedResponseAlg, 'PS256')
    assert.equal(config?.sharedSignals?.signingAlg, 'PS256')
    assert.equal(config?.sharedSignals?.audience, 'a')
    for (const signingAlg of ['ES256', 'EdDSA', 'Ed25519']) {
      const [other] = parseOptions({ ...GOOD, sharedSignals: { audience: 'a', signingAlg } }).clients
      assert.equal(other?.sharedSignals?.signingAlg, signingAlg)
    }
  })

  it('leave open how the client authenticates', () => {
    for (const options of [
      { tokenEndpointAuthMethod: 'none' },
      { tokenEndpointAuthMethod: 'client_secret_basic', clientSecret: SECRET },
      { tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: [rsa] },
      { dpopBoundAccessTokens: true, requirePushedAuthorizationRequests: true, idTokenSignedResponseAlg: 'EdDSA' },
    ]) {
      assert.deepEqual(faultsOf(options), [])
    }
  })

  it('put the issuer into client assertions at Okta too, where the URL of the endpoint is the default', () => {
    const byKey = { tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: [rsa] }
    const metadata = { ...METADATA, token_endpoint: `${GOOD.issuer}/oauth2/default/v1/token` }
    const [config] = parseOptions({ ...GOOD, ...byKey }).clients
    const { profile: _, ...usual } = GOOD
    const [usualConfig] = parseOptions({ ...usual, ...byKey }).clients
    assert.ok(config && usualConfig)
    assert.equal(assertionAudience({ config, metadata }, metadata.token_endpoint), GOOD.issuer)
    assert.equal(assertionAudience({ config: usualConfig, metadata }, metadata.token_endpoint), metadata.token_endpoint)
  })

  for (const [options, message] of CONTRADICTIONS) {
    const name = Object.keys(options).at(-1) ?? ''
    it(`conflict with ${name} ${JSON.stringify(new Map(Object.entries(options)).get(name)).slice(0, 60)}`, () => {
      assert.deepEqual(faultsOf(options), [message])
    })
  }

  it('conflict for the one provider of several that has the profile', () => {
    const { issuer, clientId, profile, routes: _routes, ...app } = GOOD
    const work = { issuer, clientId, profile }
    const shop = { issuer: 'https://shop.example', clientId, clientSecret: SECRET }
    assert.throws(() => parseOptions({ ...app, providers: { work, shop } }), {
      faults: [
        "providers.work.profile 'ipsie-sl1' needs routes.initiateLogin: other sites must be able to start a login.",
      ],
    })
  })
})

/** Over https, with a client that authenticates by a key: how an enterprise would have it. */
const SETTINGS: StandSettings = {
  provider: {
    alg: 'PS256',
    tokenEndpointAuthMethod: 'private_key_jwt',
    tokenEndpointAuthSigningAlg: 'PS256',
    tlsClientCertificateBoundAccessTokens: true,
    issParameter: 'sent',
  },
  app: {
    tls: true,
    options: {
      profile: 'ipsie-sl1',
      routes: { initiateLogin: '/initiate-login' },
      dangerouslyAllowInsecureRequests: false,
      userinfo: true,
    } as Partial<AnyOptions>,
  },
}

/** How many bits a value in base64url has. */
function bitsOf(value: string = ''): number {
  assert.match(value, /^[\w-]+$/)
  return Buffer.from(value, 'base64url').byteLength * 8
}

/** Parameters as text, for JSON. */
function showParams(value: unknown): unknown {
  return value instanceof URLSearchParams ? String(value) : value
}

const nowInSeconds = (): number => Math.floor(Date.now() / 1000)

function change({ change: changes }: StrictProvider, more: object): void {
  changes.idTokenClaims = (claims) => ({ ...claims, session_expiry: nowInSeconds() + 500, ...more })
}

describe('a login by profile ipsie-sl1', () => {
  const stand = createStand(SETTINGS)

  it('sends what the profile asks for, and ends at session_expiry', async () => {
    change(stand.provider, {})
    const outcome = await logIn(stand)
    await assertLoggedIn(stand, outcome)
    const { complaints, requests } = stand.provider
    assert.deepEqual(complaints, [])
    const assertion = requests.map(({ form }) => form.get('client_assertion')).find(Boolean) ?? ''
    assert.equal(decodeProtectedHeader(assertion).alg, 'PS256')
    // One string, not a list of one.
    assert.equal(decodeJwt(assertion).aud, stand.provider.issuer)
    assert.equal(bitsOf(decodeJwt(assertion).jti), 192)
    // Access tokens go to UserInfo alone, in the header.
    const text = (request: object): string => JSON.stringify(request, (_, value) => showParams(value))
    const holders = requests.filter((request) =>
      [...stand.provider.accessTokens.keys()].some((t) => text(request).includes(t)),
    )
    assert.deepEqual(
      holders.map(({ endpoint, form, query, headers }) => [
        endpoint,
        form.size,
        query.size,
        headers.authorization?.slice(0, 7),
      ]),
      [['/userinfo', 0, 0, 'Bearer ']],
    )
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 501_000 })
    assert.equal((await outcome.browser.fetch('/profile')).status, 401)
  })

  it('has a PKCE verifier, a state and a nonce of 256 bits, all new for each request', async () => {
    for (const _ of [1, 2]) {
      change(stand.provider, {})
      assert.equal((await logIn(stand)).page.status, 200)
    }
    const { authorizationRequests, requests } = stand.provider
    const verifiers = requests.flatMap(({ form }) => form.getAll('code_verifier'))
    const sent = (name: string): readonly string[] => authorizationRequests.flatMap((params) => params.getAll(name))
    for (const values of [verifiers, sent('state'), sent('nonce')]) {
      assert.deepEqual(values.map(bitsOf), [256, 256])
      assert.equal(new Set(values).size, 2)
    }
  })

  it('has a PKCE challenge with S256 and a nonce of at most 64 characters, both new for each request', async () => {
    const seen: URLSearchParams[] = []
    for (const _ of [1, 2]) {
      const { next } = await stand.app.browser().open('/login', { stopBefore: isAtProvider })
      seen.push(new URL(next?.url ?? '').searchParams)
    }
    for (const params of seen) {
      assert.deepEqual([params.get('response_type'), params.get('code_challenge_method')], ['code', 'S256'])
      assert.match(params.get('nonce') ?? '', /^[\w-]{20,64}$/)
    }
    for (const name of ['code_challenge', 'nonce', 'state']) {
      assert.equal(new Set(seen.map((params) => params.get(name))).size, 2)
    }
  })

  it('can be started by another site', async () => {
    change(stand.provider, {})
    const page = await stand.app.browser().open(`/initiate-login?iss=${encodeURIComponent(stand.provider.issuer)}`)
    assert.deepEqual([page.status, await stand.app.sessions()], [200, 1])
  })
})

type Change = (provider: StrictProvider) => void

const ID_TOKENS: readonly Row<Change>[] = [
  ['aud in a list of one', (provider) => change(provider, { aud: [provider.clientId] }), 'ERR_OIDC_ID_TOKEN_AUDIENCE'],
  ['another aud', (provider) => change(provider, { aud: 'another' }), 'ERR_OIDC_ID_TOKEN_AUDIENCE'],
  ['no session_expiry', () => undefined, 'ERR_OIDC_ID_TOKEN_SESSION_EXPIRY'],
  [
    'session_expiry as text',
    (provider) => change(provider, { session_expiry: String(nowInSeconds() + 500) }),
    'ERR_OIDC_ID_TOKEN_SESSION_EXPIRY',
  ],
  [
    'session_expiry in the past',
    (provider) => change(provider, { session_expiry: nowInSeconds() - 1 }),
    'ERR_OIDC_LOGIN_EXPIRED',
  ],
]

/** Signs the good ID Token anew, with the right key and another algorithm. */
const signedWith =
  (alg: string): Change =>
  (provider) => {
    change(provider, {})
    provider.change.idToken = (jwt) =>
      signJws(alg, provider.keys.rsa.privateKey, { ...decodeProtectedHeader(jwt), alg }, decodeJwt(jwt))
  }

const ALGORITHMS_OF_ID_TOKENS: readonly Row<Change>[] = [
  ...['RS256', 'RS512', 'PS512'].map(
    (alg): Row<Change> => [`an ID Token signed with ${alg}`, signedWith(alg), 'ERR_OIDC_ID_TOKEN_ALG'],
  ),
  [
    'an ID Token with alg none',
    (provider) => {
      change(provider, {})
      provider.change.idTokenHeader = (header) => ({ ...header, alg: 'none' })
    },
    'ERR_OIDC_ID_TOKEN_ALG',
  ],
]

const RESPONSES: readonly Row<Change>[] = [
  [
    'no iss in the response, which its metadata does not announce',
    (provider) => {
      change(provider, {})
      provider.change.authorizationResponse = (params) => {
        params.delete('iss')
        return params
      }
    },
    'ERR_OIDC_RESPONSE_ISSUER_MISSING',
  ],
  [
    'the iss of another provider in the response',
    (provider) => {
      change(provider, {})
      provider.change.authorizationResponse = (params) => {
        params.set('iss', 'https://evil.example')
        return params
      }
    },
    'ERR_OIDC_RESPONSE_ISSUER',
  ],
]

describe('a login by profile ipsie-sl1', () => {
  const stand = createStand(SETTINGS)
  const attack = async (changeOne: Change): Promise<Outcome> => {
    changeOne(stand.provider)
    return await logIn(stand)
  }
  testRefusals(RESPONSES, stand, attack)
  testRefusals([...ID_TOKENS, ...ALGORITHMS_OF_ID_TOKENS], stand, attack, { '/token': 1 })
})

describe('a refresh by profile ipsie-sl1, in an application that needs no attributes', () => {
  const options = { ...SETTINGS.app?.options, scope: 'openid offline_access', userinfo: false }
  const stand = createStand({ ...SETTINGS, app: { ...SETTINGS.app, errorHandler: 'json', options } })

  /** Logs in, and refreshes with this change of the ID Token. Returns when the login expires before and after. */
  async function refresh(more: object): Promise<readonly unknown[]> {
    const { provider } = stand
    change(provider, {})
    provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { browser } = await logIn(stand)
    const expiry = async (): Promise<unknown> => (await browser.fetch('/profile')).json()['session_expiry']
    const before = await expiry()
    provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, session_expiry: LATER, ...more })
    await browser.fetch('/access-token')
    return [typeof before, (await expiry()) === before ? 'as before' : await expiry()]
  }

  const LATER = nowInSeconds() + 5000

  it('extends the login to the session_expiry of the new ID Token', async () => {
    assert.deepEqual(await refresh({}), ['number', LATER])
    assert.deepEqual([codesOf(stand.app), stand.provider.complaints], [[], []])
  })

  it('refuses aud in a list of one, and the login ends when it would have', async () => {
    assert.deepEqual(await refresh({ aud: [stand.provider.clientId] }), ['number', 'as before'])
    assert.deepEqual(codesOf(stand.app), ['ERR_OIDC_ID_TOKEN_AUDIENCE'])
  })

  it('requests openid and no UserInfo', async () => {
    await refresh({})
    assert.equal(stand.provider.authorizationRequests[0]?.get('scope'), 'openid offline_access')
    assert.equal(stand.provider.calls['/userinfo'], 0)
  })
})

describe('an application by profile ipsie-sl1 that sends no ID Token through the browser', () => {
  const more = { logoutWithoutIdTokenHint: true, requirePushedAuthorizationRequests: true }
  const options = { ...SETTINGS.app?.options, ...more }
  const stand = createStand({
    provider: { ...SETTINGS.provider, pushed: 'required' },
    app: { ...SETTINGS.app, options },
  })

  it('logs in by reference, and logs out without id_token_hint', async () => {
    change(stand.provider, {})
    const { next } = await stand.app.browser().open('/login', { stopBefore: isAtProvider })
    assert.deepEqual([...new URL(next?.url ?? '').searchParams.keys()].sort(), ['client_id', 'request_uri'])
    const outcome = await logIn(stand)
    await assertLoggedIn(stand, outcome)
    const page = await outcome.browser.post('/logout', {}, { stopBefore: isAtProvider })
    const params = new URL(page.next?.url ?? '').searchParams
    assert.deepEqual([params.get('id_token_hint'), params.get('client_id')], [null, stand.provider.clientId])
  })
})
