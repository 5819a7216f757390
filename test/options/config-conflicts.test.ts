import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { Agent } from 'node:https'
import { describe, it } from 'node:test'
import { ConfigError } from '../../lib/errors.ts'
import { SIGNATURE_ALGORITHMS } from '../../lib/jose/algorithms.ts'
import { APP_CONFLICTS, PROVIDER_CONFLICTS } from '../../lib/options/conflicts.ts'
import { CLIENT_CONFLICTS, JOSE_CONFLICTS } from '../../lib/options/key-conflicts.ts'
import { APP_OPTIONS, PROVIDER_OPTIONS } from '../../lib/options/option-table.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { createCertificate } from '../support/servers/tls-certificate.ts'

const ISSUER = 'https://id.example'
/** Of 32 characters. */
const SECRET = 'a-client-secret-of-thirty-two-ch'
const SHORT = 'a-client-secret-of-31-characters'.slice(0, 31)

const METADATA = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  jwks_uri: `${ISSUER}/jwks`,
}

const { jwks_uri: _, ...METADATA_WITHOUT_KEYS } = METADATA
const STATIC_KEY = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })

function jwkOf(kind: 'rsa' | 'P-256' | 'ed25519' | 'x25519', members: object): object {
  const { privateKey } =
    kind === 'rsa'
      ? createRsaKeyPair()
      : kind === 'ed25519'
        ? generateKeyPairSync('ed25519')
        : kind === 'x25519'
          ? generateKeyPairSync('x25519')
          : generateKeyPairSync('ec', { namedCurve: kind })
  return { ...privateKey.export({ format: 'jwk' }), ...members }
}

const signing = jwkOf('rsa', { use: 'sig', kid: 'sig' })
const signingEc = jwkOf('P-256', { use: 'sig', kid: 'sig-ec' })
const decrypting = jwkOf('rsa', { use: 'enc', kid: 'enc' })
const decryptingEc = jwkOf('x25519', { use: 'enc', kid: 'enc-ec' })
const { cert, key } = createCertificate('web')
const certificate = { cert, key }
const store = { read: async () => undefined, write: async () => {}, remove: async () => {} }

/** Valid options, with a secret of its own for the cookies. */
const good = (changes: object = {}): Record<string, unknown> => ({
  issuer: ISSUER,
  clientId: 'web',
  clientSecret: SECRET,
  secret: 's'.repeat(32),
  baseUrl: 'https://app.example',
  ...changes,
})

/** The options of a client that registers itself. */
const registering = (changes: object = {}): Record<string, unknown> =>
  good({ clientId: undefined, clientSecret: undefined, registration: { store }, ...changes })

function faultsOf(options: unknown): readonly string[] {
  try {
    parseOptions(options)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.faults
  }
}

/** The contradiction, the options, and the one message. */
type Row = readonly [name: string, options: Record<string, unknown>, sentence: string]

const several = (changes: object = {}): Record<string, unknown> => {
  const { issuer, clientId, clientSecret, ...app } = good()
  const other = { issuer: 'https://other.example', clientId, clientSecret }
  return { ...app, providers: { one: { issuer, clientId, clientSecret }, other }, ...changes }
}

const insecure = (name: string, url: string): string =>
  `${name} must be https. Received "${url}". In development, allow http with dangerouslyAllowInsecureRequests: true.`

const APP: readonly Row[] = [
  [
    'no secret for cookies, for a public client',
    good({ secret: undefined, clientSecret: undefined }),
    'secret is required unless clientSecret is a string. Set it to at least 32 random characters.',
  ],
  [
    'no secret for cookies, for a client secret from a function',
    good({ secret: undefined, clientSecret: () => SECRET }),
    'secret is required unless clientSecret is a string. Set it to at least 32 random characters.',
  ],
  [
    'no secret for cookies, for a client that registers itself',
    registering({ secret: undefined }),
    'secret is required unless clientSecret is a string. Set it to at least 32 random characters.',
  ],
  [
    'no secret for cookies with several providers',
    several({ secret: undefined }),
    'secret is required with providers. Set it to at least 32 random characters that no provider knows.',
  ],
  [
    'an issuer at the top with several providers',
    several({ issuer: ISSUER }),
    'issuer cannot be combined with providers. Set the issuer of each provider instead.',
  ],
  [
    'a client secret that is too short for cookies',
    good({ secret: undefined, clientSecret: SHORT }),
    'secret is required if clientSecret is shorter than 32 characters, because it encrypts cookies. Set it to at least 32 random characters.',
  ],
  [
    'shared signals for all of several providers',
    {
      baseUrl: 'https://app.example',
      secret: SECRET,
      sharedSignals: { audience: 'https://app.example' },
      providers: { one: { issuer: ISSUER, clientId: 'web' } },
    },
    'sharedSignals must be set in the options of one provider, because a transmitter ends the sessions of its own provider only.',
  ],
  [
    'a provider chooser for a single provider',
    good({ providerChooser: '/choose' }),
    'providerChooser needs providers. With a single provider there is nothing to choose.',
  ],
  [
    'a page after a logout that is the login route',
    good({ postLogoutRedirectUri: '/login' }),
    'postLogoutRedirectUri must not be one of routes. Received "/login". Set it to the page that users see after a logout.',
  ],
  [
    'two routes with one path',
    good({ routes: { jwks: '/keys', requestObjects: '/Keys' } }),
    'routes.requestObjects must differ from routes.jwks: both are /Keys.',
  ],
  [
    'a provider chooser with the path of a route',
    several({ providerChooser: '/login' }),
    'providerChooser must differ from routes.login: both are /login.',
  ],
  ...(['baseUrl', 'postLogoutRedirectUri'] as const).map(
    (name): Row => [
      `plain http for ${name}`,
      good({ [name]: 'http://app.example' }),
      insecure(name, 'http://app.example'),
    ],
  ),
  [
    'a client metadata document for the clients at providers that a function finds',
    several({ providers: () => undefined, routes: { clientMetadata: '/client.json' } }),
    'routes.clientMetadata cannot be combined with a function in providers, because the document is of one client.',
  ],
  [
    'a route with the path of a provider that a function finds',
    several({ providers: () => undefined, routes: { logout: '/Callback/out' } }),
    'routes.logout must not be below routes.callback, where the names of providers are: /Callback/out.',
  ],
  [
    'plain http for one of several hosts',
    good({ baseUrl: ['https://app.example', 'http://shop.example'], dangerouslyAllowInsecureRequests: true }),
    'baseUrl[1] must have the same scheme as the first: the URLs of a list differ in their host only.',
  ],
  [
    'plain http for the only host of a list',
    good({ baseUrl: ['http://app.example'] }),
    insecure('baseUrl[0]', 'http://app.example'),
  ],
  [
    'hosts with different paths',
    good({ baseUrl: ['https://app.example/portal', 'https://shop.example'] }),
    'baseUrl[1] must have the same path as the first: the URLs of a list differ in their host only.',
  ],
  [
    'a host twice',
    good({ baseUrl: ['https://app.example', 'https://shop.example', 'https://APP.example:443/'] }),
    'baseUrl[2] must have a host of its own. Received "app.example" twice.',
  ],
  [
    'a page after a logout that is the login route of the second host',
    good({
      baseUrl: ['https://app.example', 'https://shop.example'],
      postLogoutRedirectUri: 'https://shop.example/login',
    }),
    'postLogoutRedirectUri must not be one of routes. Received "https://shop.example/login". Set it to the page that users see after a logout.',
  ],
  [
    'plain http for a trusted origin',
    good({ trustedOrigins: ['https://admin.example', 'http://shop.example'] }),
    insecure('trustedOrigins[1]', 'http://shop.example'),
  ],
]

const PROVIDER: readonly Row[] = [
  [
    'metadata with another issuer',
    good({ providerMetadata: { ...METADATA, issuer: `${ISSUER}/` } }),
    'providerMetadata.issuer must equal issuer, character by character. Received "https://id.example/" and "https://id.example".',
  ],
  [
    'a code and no token endpoint',
    good({ providerMetadata: { ...METADATA, token_endpoint: undefined } }),
    "providerMetadata needs a token_endpoint for responseType 'code'.",
  ],
  [
    'tokens in a query',
    good({ responseType: 'code id_token', responseMode: 'query' }),
    "responseMode must not be query with responseType 'code id_token', because tokens in a URL stay in logs and browser histories.",
  ],
  [
    'UserInfo without its endpoint',
    good({ userinfo: true, providerMetadata: METADATA }),
    'userinfo is true, but providerMetadata has no userinfo_endpoint. Add it, or leave userinfo out.',
  ],
  [
    'discovery and given metadata',
    good({ discovery: 'oauth2', providerMetadata: METADATA }),
    'providerMetadata replaces discovery. Remove discovery and discoveryWithClientId, or providerMetadata.',
  ],
  [
    'discovery with the client id and given metadata',
    good({ discoveryWithClientId: true, providerMetadata: METADATA }),
    'providerMetadata replaces discovery. Remove discovery and discoveryWithClientId, or providerMetadata.',
  ],
  [
    'an issuer with many tenants and no list of them',
    good({ issuer: `${ISSUER}/{tenantid}` }),
    'tenants is required if issuer contains {tenantid}. List the tenants whose users may log in.',
  ],
  [
    'tenants for an issuer without them',
    good({ tenants: ['a'] }),
    'tenants needs an issuer that contains {tenantid}. Received issuer "https://id.example".',
  ],
  [
    'bound tokens that come through the browser',
    good({ dpopBoundAccessTokens: true, responseType: 'code token' }),
    "dpopBoundAccessTokens cannot be combined with responseType 'code token'. DPoP cannot bind a token that comes through the browser.",
  ],
  [
    'bound tokens and no access token',
    good({ dpopBoundAccessTokens: true, responseType: 'id_token' }),
    "dpopBoundAccessTokens needs a responseType with code. With 'id_token' there is no access token to bind.",
  ],
  [
    'a bound token in a body',
    good({ dpopBoundAccessTokens: true, userinfoBearerMethod: 'body' }),
    "userinfoBearerMethod must be 'header' with dpopBoundAccessTokens (RFC 9449 7.1).",
  ],
  [
    'an algorithm for DPoP without DPoP',
    good({ dpopSigningAlg: 'ES384' }),
    'dpopSigningAlg needs dpopBoundAccessTokens: true.',
  ],
  [
    'an algorithm for DPoP that is turned off',
    good({ dpopSigningAlg: 'ES384', dpopBoundAccessTokens: false }),
    'dpopSigningAlg needs dpopBoundAccessTokens: true.',
  ],
  ...['dangerouslyAllowMissingNonce', 'dangerouslyDisablePkce'].map(
    (name): Row => [
      `${name} with a token through the browser`,
      good({ [name]: true, responseType: 'code id_token' }),
      `${name} needs responseType 'code'. With any other, tokens come through the browser.`,
    ],
  ),
  [
    'session_expiry ignored and required',
    good({ dangerouslyIgnoreSessionExpiry: true, loginExpiry: 'session_expiry' }),
    "dangerouslyIgnoreSessionExpiry cannot be combined with loginExpiry 'session_expiry', which needs the claim.",
  ],
  [
    'shared signals without an issuer for many tenants',
    good({ issuer: `${ISSUER}/{tenantid}`, tenants: ['one'], sharedSignals: { audience: 'https://app.example' } }),
    'sharedSignals.issuer is required, because issuer stands for many tenants.',
  ],
  ...['issuer', 'configurationUrl'].map(
    (name): Row => [
      `shared signals with ${name} over http`,
      good({ sharedSignals: { audience: 'https://app.example', [name]: 'http://id.example/x' } }),
      `sharedSignals.${name} must be https. Received "http://id.example/x". In development, allow http with dangerouslyAllowInsecureRequests: true.`,
    ],
  ),
  [
    'all of the metadata and a part of it',
    good({ providerMetadata: METADATA, extraProviderMetadata: { scopes_supported: [] } }),
    'extraProviderMetadata cannot be combined with providerMetadata. Set the members there.',
  ],
  [
    'an endpoint of the metadata over http',
    good({ extraProviderMetadata: { end_session_endpoint: 'http://id.example/logout' } }),
    'extraProviderMetadata.end_session_endpoint must be https. Received "http://id.example/logout". In development, allow http with dangerouslyAllowInsecureRequests: true.',
  ],
  [
    'no PKCE and no client authentication',
    good({ dangerouslyDisablePkce: true, clientSecret: undefined }),
    'dangerouslyDisablePkce needs a client that authenticates: without both, anyone who has a code can redeem it.',
  ],
  ...['assumeBearerTokenType', 'allowMissingAccessToken'].map(
    (name): Row => [
      `${name} with DPoP`,
      good({ [name]: true, dpopBoundAccessTokens: true }),
      `${name} cannot be combined with dpopBoundAccessTokens, which requires DPoP tokens.`,
    ],
  ),
  [
    'static keys of another algorithm',
    good({ providerMetadata: { ...METADATA_WITHOUT_KEYS, jwks: { keys: [STATIC_KEY] } } }),
    "providerMetadata.jwks has no key for idTokenSignedResponseAlg 'RS256'.",
  ],
  [
    'pushed requests without an endpoint for them',
    good({ requirePushedAuthorizationRequests: true, providerMetadata: METADATA }),
    'requirePushedAuthorizationRequests is true, but providerMetadata has no pushed_authorization_request_endpoint.',
  ],
  [
    'requests by reference that are pushed',
    good({
      requestObjectBy: 'reference',
      requestObjectSigningAlg: 'HS256',
      requirePushedAuthorizationRequests: true,
    }),
    "requestObjectBy must be 'value' if requests are pushed (RFC 9126 3).",
  ],
  [
    'requests by reference at a provider that requires pushed ones',
    good({
      requestObjectBy: 'reference',
      requestObjectSigningAlg: 'HS256',
      providerMetadata: {
        ...METADATA,
        require_pushed_authorization_requests: true,
        pushed_authorization_request_endpoint: `${ISSUER}/par`,
      },
    }),
    "requestObjectBy must be 'value' if requests are pushed (RFC 9126 3).",
  ],
  ...[
    { requirePushedAuthorizationRequests: true },
    { requestObjectBy: 'reference', requestObjectSigningAlg: 'HS256' },
  ].map(
    (options) =>
      [
        'a posted request that is short already',
        good({ authorizationRequestMethod: 'POST', ...options }),
        "authorizationRequestMethod 'POST' cannot be combined with requirePushedAuthorizationRequests or requestObjectBy 'reference', whose URLs are short already.",
      ] as const,
  ),
  ['plain http for the issuer', good({ issuer: 'http://id.example' }), insecure('issuer', 'http://id.example')],
  [
    'plain http for an endpoint',
    good({ providerMetadata: { ...METADATA, introspection_endpoint: 'http://id.example/introspect' } }),
    insecure('providerMetadata.introspection_endpoint', 'http://id.example/introspect'),
  ],
  [
    'plain http for the metadata',
    good({ discovery: 'http://id.example/metadata' }),
    insecure('discovery', 'http://id.example/metadata'),
  ],
  [
    'plain http for a claims provider',
    good({ claimsProviders: ['https://bank.example', 'http://shop.example'] }),
    insecure('claimsProviders[1]', 'http://shop.example'),
  ],
]

const CLIENT: readonly Row[] = [
  ['no client', good({ clientId: undefined }), 'clientId is required, unless registration is given.'],
  ...(
    [
      ['id', { clientId: 'web' }],
      ['secret', { clientSecret: SECRET }],
      ['discovery with its id', { discoveryWithClientId: true }],
    ] as const
  ).map(
    ([name, changes]): Row => [
      `a client that registers itself with a given ${name}`,
      registering(changes),
      'registration replaces clientId, clientSecret and discoveryWithClientId. Remove these three, or registration.',
    ],
  ),
  ...['client_secret_basic', 'client_secret_post', 'client_secret_jwt'].map(
    (tokenEndpointAuthMethod): Row => [
      `${tokenEndpointAuthMethod} without a secret`,
      good({ tokenEndpointAuthMethod, clientSecret: undefined }),
      `tokenEndpointAuthMethod '${tokenEndpointAuthMethod}' needs clientSecret. Use 'none' for a public client.`,
    ],
  ),
  ...[SECRET, () => SECRET].map(
    (clientSecret): Row => [
      `a public client with a secret, a ${typeof clientSecret}`,
      good({ tokenEndpointAuthMethod: 'none', clientSecret }),
      "tokenEndpointAuthMethod 'none' cannot be combined with clientSecret. Remove one of them.",
    ],
  ),
  [
    'a signature with a secret that can be guessed',
    good({ tokenEndpointAuthMethod: 'client_secret_jwt', clientSecret: SHORT }),
    "tokenEndpointAuthMethod 'client_secret_jwt' needs a clientSecret of at least 32 characters (RFC 7518 3.2).",
  ],
  ...[undefined, [decrypting]].map(
    (clientKeys): Row => [
      `private_key_jwt with ${clientKeys === undefined ? 'no key' : 'an encryption key'}`,
      good({ tokenEndpointAuthMethod: 'private_key_jwt', clientKeys }),
      "tokenEndpointAuthMethod 'private_key_jwt' needs a signing key in clientKeys.",
    ],
  ),
  ...['tls_client_auth', 'self_signed_tls_client_auth'].map(
    (tokenEndpointAuthMethod): Row => [
      `${tokenEndpointAuthMethod} without a certificate`,
      good({ tokenEndpointAuthMethod }),
      `tokenEndpointAuthMethod '${tokenEndpointAuthMethod}' needs tlsClientCertificate, or a fetch that presents a certificate.`,
    ],
  ),
  [
    'a certificate and a fetch function',
    good({ tlsClientCertificate: certificate, fetch: async () => new Response() }),
    'tlsClientCertificate cannot be combined with fetch. Let your fetch function present the certificate.',
  ],
  [
    'an agent and a fetch function',
    good({ agent: new Agent(), fetch: async () => new Response() }),
    'agent cannot be combined with fetch. Let your fetch function use the agent.',
  ],
  ...[{ agent: new Agent() }, { fetch: async () => new Response() }].map(
    (other): Row => [
      `authorities and ${Object.keys(other)}`,
      good({ ca: certificate.cert, ...other }),
      'ca cannot be combined with agent or fetch. Give the authorities to your agent or fetch function.',
    ],
  ),
  [
    'authorities in two places',
    good({ ca: certificate.cert, tlsClientCertificate: { ...certificate, ca: certificate.cert } }),
    'ca cannot be combined with tlsClientCertificate.ca. Put all authorities into ca.',
  ],
  ...[undefined, 'client_secret_basic', 'client_secret_jwt'].map(
    (tokenEndpointAuthMethod): Row => [
      `an assertion function with ${tokenEndpointAuthMethod ?? 'the default method'}`,
      good({ tokenEndpointAuthMethod, clientAssertion: () => 'a.b.c' }),
      "clientAssertion needs tokenEndpointAuthMethod 'private_key_jwt'.",
    ],
  ),
  [
    'an assertion function and the algorithm of an assertion',
    good({
      tokenEndpointAuthMethod: 'private_key_jwt',
      tokenEndpointAuthSigningAlg: 'ES256',
      clientAssertion: () => 'a.b.c',
    }),
    'clientAssertion cannot be combined with tokenEndpointAuthSigningAlg. Your function chooses the algorithm.',
  ],
  ...[{ tokenEndpointAuthSigningAlg: 'HS256' }, { clientAssertionAudience: 'issuer' }].flatMap((changes) =>
    [undefined, 'client_secret_basic', 'client_secret_post'].map(
      (tokenEndpointAuthMethod): Row => [
        `${Object.keys(changes)} with ${tokenEndpointAuthMethod ?? 'the default method'}`,
        good({ ...changes, tokenEndpointAuthMethod }),
        "tokenEndpointAuthSigningAlg and clientAssertionAudience need tokenEndpointAuthMethod 'private_key_jwt' or 'client_secret_jwt'.",
      ],
    ),
  ),
  ...(
    [
      ['client_secret_jwt', 'ES256', 'HS256, HS384 or HS512'],
      ['private_key_jwt', 'HS256', 'the algorithm of a key in clientKeys'],
    ] as const
  ).map(
    ([tokenEndpointAuthMethod, tokenEndpointAuthSigningAlg, allowed]): Row => [
      `${tokenEndpointAuthMethod} with ${tokenEndpointAuthSigningAlg}`,
      good({ tokenEndpointAuthMethod, tokenEndpointAuthSigningAlg, clientKeys: [signing, signingEc] }),
      `tokenEndpointAuthSigningAlg must be ${allowed} with '${tokenEndpointAuthMethod}'. Received '${tokenEndpointAuthSigningAlg}'.`,
    ],
  ),
  [
    'an algorithm that no key can sign with',
    good({
      tokenEndpointAuthMethod: 'private_key_jwt',
      tokenEndpointAuthSigningAlg: 'ES384',
      clientKeys: [signing, signingEc],
    }),
    "tokenEndpointAuthSigningAlg 'ES384' needs a key in clientKeys that can sign with it.",
  ],
]

const SIGNED = [
  ['idTokenSignedResponseAlg', {}],
  ['userinfoSignedResponseAlg', {}],
  ['authorizationSignedResponseAlg', { responseMode: 'jwt' }],
  ['requestObjectSigningAlg', {}],
] as const

const DECRYPTED = [
  ['idTokenEncryptedResponseAlg', {}],
  ['userinfoEncryptedResponseAlg', {}],
  ['authorizationEncryptedResponseAlg', { responseMode: 'jwt' }],
] as const

const REQUESTS = ['requestObjectEncryptionAlg', { requestObjectSigningAlg: 'RS256', clientKeys: [signing] }] as const

const JOSE: readonly Row[] = [
  ...SIGNED.flatMap(([name, more]) => [
    ...['HS256', 'HS384', 'HS512'].flatMap((alg): readonly Row[] => [
      [
        `${name} ${alg} without a secret`,
        good({ ...more, [name]: alg, clientSecret: undefined }),
        `${name} '${alg}' needs clientSecret.`,
      ],
      [
        `${name} ${alg} with a secret that can be guessed`,
        good({ ...more, [name]: alg, clientSecret: SHORT }),
        `${name} '${alg}' needs a clientSecret of at least 32 characters.`,
      ],
    ]),
    [
      `${name} HS256 for a public client that registers itself`,
      registering({ ...more, [name]: 'HS256', tokenEndpointAuthMethod: 'none' }),
      `${name} 'HS256' needs clientSecret.`,
    ] satisfies Row,
  ]),
  ...DECRYPTED.flatMap(([name, more]) => {
    const needsKey = (alg: string): string => `${name} '${alg}' needs an encryption key in clientKeys.`
    return [
      [`${name} RSA-OAEP without a key`, good({ ...more, [name]: 'RSA-OAEP' }), needsKey('RSA-OAEP')],
      [
        `${name} RSA-OAEP with a signing key`,
        good({ ...more, [name]: 'RSA-OAEP', clientKeys: [signing] }),
        needsKey('RSA-OAEP'),
      ],
      [
        `${name} RSA-OAEP-256 with a key of another kind`,
        good({ ...more, [name]: 'RSA-OAEP-256', clientKeys: [decryptingEc] }),
        needsKey('RSA-OAEP-256'),
      ],
      [
        `${name} ECDH-ES with a key of another kind`,
        good({ ...more, [name]: 'ECDH-ES', clientKeys: [decrypting] }),
        needsKey('ECDH-ES'),
      ],
      [
        `${name} dir without a secret`,
        good({ ...more, [name]: 'dir', clientSecret: undefined }),
        `${name} 'dir' needs clientSecret.`,
      ],
    ] satisfies readonly Row[]
  }),
  ...[...DECRYPTED, REQUESTS].flatMap(([name, more]) =>
    ['dir', 'A128KW', 'A256GCMKW'].map(
      (alg): Row => [
        `${name} ${alg} with a secret that can be guessed`,
        good({ ...more, [name]: alg, clientSecret: SHORT }),
        `${name} '${alg}' needs a clientSecret of at least 32 characters.`,
      ],
    ),
  ),
  ...['dir', 'A192KW'].map(
    (requestObjectEncryptionAlg): Row => [
      `requestObjectEncryptionAlg ${requestObjectEncryptionAlg} without a secret`,
      good({ ...REQUESTS[1], requestObjectEncryptionAlg, clientSecret: undefined }),
      `requestObjectEncryptionAlg '${requestObjectEncryptionAlg}' needs clientSecret.`,
    ],
  ),
  ...[...DECRYPTED.map(([name]) => name), REQUESTS[0]].map((name): Row => {
    const enc = name.replace(/Alg$/, 'Enc')
    return [`${enc} alone`, good({ [enc]: 'A256GCM' }), `${enc} needs ${name}.`]
  }),
  ...(
    [
      ['RS256', undefined],
      ['ES256', [signing]],
      ['PS256', [decrypting, signingEc]],
    ] as const
  ).map(
    ([requestObjectSigningAlg, clientKeys]): Row => [
      `requests signed with ${requestObjectSigningAlg} without a key for it`,
      good({ requestObjectSigningAlg, clientKeys }),
      `requestObjectSigningAlg '${requestObjectSigningAlg}' needs a key in clientKeys that can sign with it.`,
    ],
  ),
  ...[{ requestObjectEncryptionAlg: 'RSA-OAEP' }, { requestObjectBy: 'reference' }, { requestObjectBy: 'value' }].map(
    (changes): Row => [
      `${JSON.stringify(changes)} for unsigned requests`,
      good(changes),
      'requestObjectEncryptionAlg and requestObjectBy need requestObjectSigningAlg.',
    ],
  ),
  ...[
    { authorizationSignedResponseAlg: 'PS256' },
    { authorizationSignedResponseAlg: 'RS256', responseMode: 'form_post' },
    { authorizationEncryptedResponseAlg: 'RSA-OAEP', clientKeys: [decrypting], responseMode: 'query' },
    { authorizationSignedResponseAlg: 'PS256', profile: 'fapi2', clientKeys: [signing] },
  ].map(
    (changes): Row => [
      `${Object.keys(changes).join(', ')} for responses that are not JWTs`,
      good(changes),
      "authorizationSignedResponseAlg and authorizationEncryptedResponseAlg need a responseMode with jwt, for example 'jwt'.",
    ],
  ),
]

const ALL = {
  APP_CONFLICTS: { conflicts: APP_CONFLICTS, rows: APP },
  PROVIDER_CONFLICTS: { conflicts: PROVIDER_CONFLICTS, rows: PROVIDER },
  CLIENT_CONFLICTS: { conflicts: CLIENT_CONFLICTS, rows: CLIENT },
  JOSE_CONFLICTS: { conflicts: JOSE_CONFLICTS, rows: JOSE },
}

for (const [table, { conflicts, rows }] of Object.entries(ALL)) {
  describe(`options that contradict each other, in ${table}`, () => {
    for (const [name, options, message] of rows) {
      it(`are rejected with one message: ${name}`, () => assert.deepEqual(faultsOf(options), [message]))
    }

    it('have a row here for every conflict there', () => {
      const isShown = conflicts.map(({ problems }) => rows.some(([, options]) => problems(options).length > 0))
      assert.notEqual(conflicts.length, 0)
      assert.deepEqual(
        conflicts.filter((_, index) => isShown[index] === false).map(({ between }) => between.join()),
        [],
      )
    })
  })
}

describe('options that go together', () => {
  const together: readonly (readonly [name: string, options: Record<string, unknown>])[] = [
    ['a short client secret, which encrypts no cookies', good({ clientSecret: SHORT })],
    [
      'a client secret from a function, which is checked when it is called',
      good({ clientSecret: () => SHORT, idTokenSignedResponseAlg: 'HS256' }),
    ],
    ['a client that registers itself, with HS256', registering({ idTokenSignedResponseAlg: 'HS256' })],
    ['a public client that registers itself', registering({ tokenEndpointAuthMethod: 'none' })],
    [
      'a certificate in a fetch function',
      good({ tokenEndpointAuthMethod: 'tls_client_auth', fetch: async () => new Response() }),
    ],
    [
      'authorities, also with a certificate',
      good({ ca: [certificate.cert, Buffer.from(certificate.cert)], tlsClientCertificate: certificate }),
    ],
    ['a certificate that only binds tokens, with a client secret', good({ tlsClientCertificate: certificate })],
    [
      'a client secret for HS256, with private_key_jwt',
      good({ tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: [signing], idTokenSignedResponseAlg: 'HS256' }),
    ],
    ['unsigned requests by reference', good({ requestObjectSigningAlg: 'none', requestObjectBy: 'reference' })],
    [
      'one key for everything',
      good({
        clientKeys: [jwkOf('rsa', {})],
        tokenEndpointAuthMethod: 'private_key_jwt',
        requestObjectSigningAlg: 'PS256',
        idTokenEncryptedResponseAlg: 'RSA-OAEP',
      }),
    ],
    ['keys that are only published', good({ clientKeys: [signing, decrypting] })],
    [
      'encryption with the client secret',
      good({ idTokenEncryptedResponseAlg: 'dir', idTokenEncryptedResponseEnc: 'A256GCM' }),
    ],
    [
      'a front-channel response as a JWT',
      good({ responseType: 'code id_token', responseMode: 'form_post.jwt', authorizationSignedResponseAlg: 'ES256' }),
    ],
    ['ECDH-ES with X25519', good({ userinfoEncryptedResponseAlg: 'ECDH-ES+A256KW', clientKeys: [decryptingEc] })],
  ]
  for (const [name, options] of together) {
    it(`are accepted: ${name}`, () => assert.deepEqual(faultsOf(options), []))
  }
})

describe('an option that is wrong on its own', () => {
  const rules = Object.entries({ ...APP_OPTIONS, ...PROVIDER_OPTIONS })
  for (const [name] of rules.filter(([option]) => option !== 'callback')) {
    for (const [shown, value] of [
      ['a symbol', Symbol('planted')],
      ['null', null],
      ['a list of null', [null]],
    ] as const) {
      it(`is rejected with one message of its own: ${name} as ${shown}`, () => {
        const faults = faultsOf(good({ [name]: value }))
        assert.equal(faults.length, 1, faults.join(' '))
        assert.ok(faults[0]?.startsWith(name), faults[0])
        assert.doesNotMatch(String(faults[0]), /planted/)
      })
    }
  }

  const truth = 'must be true or false.'
  const quoted = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(', ')
  const algorithms = `must be one of ${quoted(SIGNATURE_ALGORITHMS)}`
  const encryptions =
    "must be one of 'RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512', 'ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW', 'dir', 'A128KW', 'A192KW', 'A256KW', 'A128GCMKW', 'A192GCMKW', 'A256GCMKW'."
  const contents = "must be one of 'A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'."
  const tenants = 'must be a tenant id of letters, digits, dots and hyphens.'
  const reserved = 'must not be a parameter that the middleware sets itself.'
  const discovery = "must be 'oidc', 'oauth2', or the https URL of the metadata."
  const path = 'must be a path such as /login: plain segments, each after one slash, and no slash at the end.'
  const authority = 'must be certificates in PEM, as text or bytes, not the path of a file.'
  const pem = 'must be PEM as text or bytes, not the path of a file.'
  const pair = 'must have a cert and the key that belongs to it, and the passphrase if the key is encrypted.'
  const jwks = 'must be a list of one or more private JSON Web Keys.'
  const publicKey = Object.fromEntries(Object.entries(signing).filter(([name]) => ['kty', 'n', 'e'].includes(name)))

  const asymmetric = `must be one of '${SIGNATURE_ALGORITHMS.filter((alg) => !alg.startsWith('HS')).join("', '")}'.`

  // [option, wrong value, how the message continues after the name, the member if it is about one]
  const rows: readonly (readonly [option: string, value: unknown, message: string, member?: string])[] = [
    ['sharedSignals', 'okta', 'must be a plain object.'],
    ['sharedSignals', {}, 'must be a list of one or more audiences, or one audience.', '.audience'],
    ['sharedSignals', { audience: [] }, 'must be a list of one or more audiences, or one audience.', '.audience'],
    ['sharedSignals', { audience: 'a', signingAlg: 'HS256' }, asymmetric, '.signingAlg'],
    [
      'sharedSignals',
      { audience: 'a', authorizationHeader: 'too-short' },
      'must be a list of one or more values of the header, or one.',
      '.authorizationHeader',
    ],
    [
      'sharedSignals',
      { audience: 'a', configurationUrl: '/x' },
      'must be an absolute https URL without fragment or credentials.',
      '.configurationUrl',
    ],
    ['profile', 'fapi', "must be one of 'fapi2', 'fapi2-message-signing', 'ipsie-sl1'."],
    ...['userinfoSignedResponseAlg', 'tokenEndpointAuthSigningAlg', 'idTokenSignedResponseAlg'].flatMap((name) =>
      ['none', 'ES256K', 'rs256', ''].map((alg) => [name, alg, `${algorithms}.`] as const),
    ),
    ['requestObjectSigningAlg', 'None', `${algorithms}, 'none'.`],
    ...['idTokenEncryptedResponseAlg', 'userinfoEncryptedResponseAlg', 'requestObjectEncryptionAlg'].flatMap((name) =>
      ['RSA1_5', 'PBES2-HS256+A128KW', 'none', 'rsa-oaep'].map((alg) => [name, alg, encryptions] as const),
    ),
    ['authorizationEncryptedResponseAlg', 'RSA1_5', encryptions],
    ...['idTokenEncryptedResponseEnc', 'userinfoEncryptedResponseEnc', 'requestObjectEncryptionEnc'].map(
      (name) => [name, 'A128CBC', contents] as const,
    ),
    ['authorizationEncryptedResponseEnc', 'none', contents],
    [
      'tokenEndpointAuthMethod',
      'client_secret',
      "must be one of 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth', 'none'.",
    ],
    ['clientAssertionAudience', '', 'must be a non-empty string.'],
    ['clientKeys', {}, jwks],
    ['clientKeys', [], jwks],
    [
      'clientKeys',
      [publicKey],
      'must be a private key. A public key has no member d, and cannot sign or decrypt.',
      '[0]',
    ],
    ['tlsClientCertificate', certificate.cert, 'must be a plain object.'],
    ['tlsClientCertificate', { cert: '/etc/tls/client.pem', key }, pem, '.cert'],
    ['tlsClientCertificate', { cert, key: '' }, pem, '.key'],
    ['tlsClientCertificate', { cert, key, ca: [cert] }, pem, '.ca'],
    ...[0, 1.5, -1, '600', 1_000_001, Number.POSITIVE_INFINITY].map(
      (limit) =>
        ['requestUriRateLimit', limit, 'must be a whole number of logins a minute from 1 to 1000000.'] as const,
    ),
    ['ca', '/etc/tls/authority.pem', authority],
    ['ca', key, authority],
    ['ca', cert.replaceAll('M', 'N'), authority],
    ['ca', `${cert}${cert.replaceAll('M', 'N')}`, authority],
    ['ca', [], 'must be a list of certificates in PEM.'],
    ['ca', [cert, 'x'], authority, '[1]'],
    ['tlsClientCertificate', { cert, key, pfx: 'x' }, 'is not an option.', '.pfx'],
    ['tlsClientCertificate', { cert, key: createCertificate('other').key }, pair],
    ['tlsClientCertificate', { cert: '-----BEGIN CERTIFICATE-----', key }, pair],
    ['requirePushedAuthorizationRequests', 'true', truth],
    ['requestObjectBy', 'request_uri', "must be one of 'value', 'reference'."],
    ['authorizationRequestMethod', 'post', "must be one of 'GET', 'POST'."],
    ['dpopBoundAccessTokens', 1, truth],
    ...['RS256', 'PS256', 'HS256', 'none'].map(
      (alg) => ['dpopSigningAlg', alg, "must be one of 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'."] as const,
    ),
    ['userinfoBearerMethod', 'query', "must be one of 'header', 'body'."],
    ['claimsProviders', 'https://bank.example', 'must be a list of issuers.'],
    ['claimsProviders', ['https://bank.example', 'https://bank.example'], 'must not contain an issuer twice.'],
    ['discovery', 'rfc8414', discovery],
    ['discovery', 'https://id.example/#x', discovery],
    ['discoveryWithClientId', 'yes', truth],
    ['tenants', [], 'must be a list of one or more tenant ids, or a function.'],
    ['tenants', ['a/b'], tenants, '[0]'],
    ['tenants', ['a', '..'], tenants, '[1]'],
    ['registration', {}, 'must have the methods read, write and remove.', '.store'],
    [
      'registration',
      { store, initialAccessToken: 'a b' },
      'must be printable ASCII without spaces, or a function.',
      '.initialAccessToken',
    ],
    [
      'registration',
      { store, initialAccessTokenScheme: 'Basic' },
      "must be one of 'Bearer', 'SSWS'.",
      '.initialAccessTokenScheme',
    ],
    ['registration', { store, metadata: { x: () => 1 } }, 'must contain only values that JSON can hold.', '.metadata'],
    ['providerChooser', 'choose', path],
    ...['state', 'nonce', 'request', 'client_id', 'scope', 'returnTo', 'provider', '__proto__'].map(
      (name) => ['passthroughParams', ['login_hint', name], reserved, '[1]'] as const,
    ),
    ...['a b', '', 7].map(
      (name) => ['passthroughParams', [name], 'must be the name of a query parameter.', '[0]'] as const,
    ),
    ['passthroughParams', 'login_hint', 'must be a list of names of query parameters.'],
    ['clearSiteData', ['cache', 'cookie'], "must be one of 'cache', 'cookies', 'storage', 'executionContexts'.", '[1]'],
    ['clearSiteData', [], "must be a list of one or more of 'cache', 'cookies', 'storage', 'executionContexts'."],
    ['silentLogin', 'once', truth],
    ['routes', { jwks: 'jwks' }, path, '.jwks'],
    ['routes', { requestObjects: '/request?x' }, path, '.requestObjects'],
    ['authorizationParams', { claims: '{' }, 'must be a JSON object (OIDC Core 5.5).', '.claims'],
    ['authorizationParams', { claims: [] }, 'must be a JSON object (OIDC Core 5.5).', '.claims'],
    ...[{ type: 'x' }, '[{"kind":"x"}]'].map(
      (authorization_details) =>
        [
          'authorizationParams',
          { authorization_details },
          'must be a list of objects that each have a type (RFC 9396 2).',
          '.authorization_details',
        ] as const,
    ),
    ['authorizationParams', { acr_values: ['a', 'b'] }, 'must be a string or a finite number.', '.acr_values'],
    ['authorizationParams', { ui_locales: ['de'] }, 'must be a string or a finite number.', '.ui_locales'],
    ...['client_secret', 'client_assertion', 'client_assertion_type'].map(
      (name) =>
        [
          'authorizationParams',
          { [name]: 'x' },
          'must not be set: it would be visible in the browser.',
          `.${name}`,
        ] as const,
    ),
    [
      'authorizationParams',
      { dpop_jkt: 'x' },
      'must not be set: it protects the login and is made anew for each one.',
      '.dpop_jkt',
    ],
    ['endSessionParams', { state: 'x' }, 'must not be set: the middleware sets it itself.', '.state'],
    [
      'endSessionParams',
      { 'a b': 'x' },
      'must have names of letters, digits, dots, hyphens and underscores (RFC 6749 A).',
    ],
    ['endSessionParams', { logout_hint: '' }, 'must be a non-empty string.', '.logout_hint'],
  ]
  for (const [option, value, message, member = ''] of rows) {
    const shown = ['tlsClientCertificate', 'ca'].includes(option) ? message : JSON.stringify(value)
    it(`is rejected with its message: ${option} as ${shown}`, () => {
      const options = option === 'registration' ? registering({ registration: value }) : good({ [option]: value })
      const faults = faultsOf(options)
      assert.deepEqual(
        faults.map((fault) => fault.replace(/ Received .*$/, '')),
        [`${option}${member} ${message}`],
      )
    })
  }

  it('is reported once, even if it also contradicts another option', () => {
    const options = good({ requestObjectSigningAlg: 'planted', requestObjectBy: 'reference', profile: 'fapi2' })
    const faults = faultsOf({ ...options, clientKeys: [signing] })
    assert.equal(faults.filter((fault) => fault.startsWith('requestObjectSigningAlg')).length, 1)
  })
})

describe('an option of one provider of several', () => {
  it('is reported with the name of its provider', () => {
    const other = {
      issuer: 'https://other.example',
      clientId: 'web',
      requestObjectBy: 'reference',
      dpopSigningAlg: 'x',
    }
    assert.deepEqual(faultsOf(several({ providers: { one: { issuer: ISSUER, clientId: 'web' }, other } })), [
      "providers.other.dpopSigningAlg must be one of 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'. Received \"x\".",
      'providers.other.requestObjectEncryptionAlg and requestObjectBy need requestObjectSigningAlg.',
    ])
  })
})
