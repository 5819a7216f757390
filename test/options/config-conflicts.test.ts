import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { ConfigError } from '../../lib/errors.ts'
import { APP_RULES } from '../../lib/options/app-table.ts'
import { CLIENT_CONFLICTS, JOSE_CONFLICTS } from '../../lib/options/key-conflicts.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { PROVIDER_RULES } from '../../lib/options/provider-table.ts'
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

function jwkOf(kind: 'rsa' | 'P-256' | 'ed25519' | 'x25519', members: object): object {
  const { privateKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
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

/** Good options, with a secret for the cookies that is nobody else's. */
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

/** What is contradicted, the options, and the one sentence. */
type Row = readonly [name: string, options: Record<string, unknown>, sentence: string]

const several = (changes: object = {}): Record<string, unknown> => {
  const { issuer, clientId, clientSecret, ...app } = good()
  const other = { issuer: 'https://other.example', clientId, clientSecret }
  return { ...app, providers: { one: { issuer, clientId, clientSecret }, other }, ...changes }
}

const APP: readonly Row[] = [
  [
    'nothing to seal with, for a client without a secret',
    good({ secret: undefined, clientSecret: undefined }),
    'secret must be given where there is no clientSecret: at least 32 random characters.',
  ],
  [
    'nothing to seal with, for a secret that comes from a function',
    good({ secret: undefined, clientSecret: () => SECRET }),
    'secret must be given where there is no clientSecret: at least 32 random characters.',
  ],
  [
    'nothing to seal with, for a client that registers itself',
    registering({ secret: undefined }),
    'secret must be given where there is no clientSecret: at least 32 random characters.',
  ],
  [
    'nothing of its own to seal with, among several providers',
    several({ secret: undefined }),
    'secret must be given where there are providers: at least 32 random characters, which none of them knows.',
  ],
  [
    'an issuer for all of several providers',
    several({ issuer: ISSUER }),
    'issuer must be left out where there are providers: each has its own.',
  ],
  [
    'too little to seal with',
    good({ secret: undefined, clientSecret: SHORT }),
    'secret must be given where clientSecret has fewer than 32 characters: who sees a cookie could guess it.',
  ],
  [
    'a choice of one',
    good({ providerChooser: '/choose' }),
    'providerChooser needs providers: with one alone there is nothing to choose.',
  ],
  [
    'a farewell page that is the login route',
    good({ postLogoutRedirectUri: '/login' }),
    'postLogoutRedirectUri must not be one of routes: name the page that people see after a logout.',
  ],
  [
    'two routes at one path',
    good({ routes: { jwks: '/keys', requestObjects: '/Keys' } }),
    'routes.requestObjects must differ from routes.jwks: both are /Keys.',
  ],
  [
    'a page to choose at, at the path of a route',
    several({ providerChooser: '/login' }),
    'providerChooser must differ from routes.login: both are /login.',
  ],
  ...(['baseUrl', 'postLogoutRedirectUri'] as const).map(
    (name): Row => [
      `plain http for ${name}`,
      good({ [name]: 'http://app.example' }),
      `${name} must be https; for development, plain http needs dangerouslyAllowInsecureRequests: true.`,
    ],
  ),
]

const insecure = (name: string): string =>
  `${name} must be https; for development, plain http needs dangerouslyAllowInsecureRequests: true.`

const PROVIDER: readonly Row[] = [
  [
    'metadata of another issuer',
    good({ providerMetadata: { ...METADATA, issuer: `${ISSUER}/` } }),
    'providerMetadata.issuer must equal issuer, character by character.',
  ],
  [
    'a code that nobody redeems',
    good({ providerMetadata: { ...METADATA, token_endpoint: undefined } }),
    'providerMetadata must have a token_endpoint where responseType has code.',
  ],
  [
    'tokens in a query',
    good({ responseType: 'code id_token', responseMode: 'query' }),
    'responseMode must not be query where responseType has id_token or token: they would stay in logs and histories.',
  ],
  [
    'UserInfo that is not there',
    good({ userinfo: true, providerMetadata: METADATA }),
    'userinfo is true, yet providerMetadata has no userinfo_endpoint.',
  ],
  [
    'discovery of what is given',
    good({ discovery: 'oauth2', providerMetadata: METADATA }),
    'providerMetadata takes the place of discovery: leave discovery and discoveryWithClientId out.',
  ],
  [
    'discovery by id of what is given',
    good({ discoveryWithClientId: true, providerMetadata: METADATA }),
    'providerMetadata takes the place of discovery: leave discovery and discoveryWithClientId out.',
  ],
  [
    'an issuer of many tenants that are not named',
    good({ issuer: `${ISSUER}/{tenantid}` }),
    'tenants must be given where the issuer has {tenantid} in it, and there alone.',
  ],
  [
    'tenants of an issuer that has none',
    good({ tenants: ['a'] }),
    'tenants must be given where the issuer has {tenantid} in it, and there alone.',
  ],
  [
    'bound tokens that come by the browser',
    good({ dpopBoundAccessTokens: true, responseType: 'code token' }),
    'dpopBoundAccessTokens cannot be with a responseType that has token: what the browser brings is bound to nothing.',
  ],
  [
    'bound tokens where there are none',
    good({ dpopBoundAccessTokens: true, responseType: 'id_token' }),
    'dpopBoundAccessTokens needs a responseType with code: there is no access token to bind.',
  ],
  [
    'a bound token in a body',
    good({ dpopBoundAccessTokens: true, userinfoBearerMethod: 'body' }),
    "userinfoBearerMethod must be 'header' where dpopBoundAccessTokens is true (RFC 9449 7.1).",
  ],
  [
    'an algorithm of proofs that nobody makes',
    good({ dpopSigningAlg: 'ES384' }),
    'dpopSigningAlg needs dpopBoundAccessTokens: true.',
  ],
  [
    'an algorithm of proofs that are turned off',
    good({ dpopSigningAlg: 'ES384', dpopBoundAccessTokens: false }),
    'dpopSigningAlg needs dpopBoundAccessTokens: true.',
  ],
  [
    'pushed requests that the provider has no place for',
    good({ requirePushedAuthorizationRequests: true, providerMetadata: METADATA }),
    'requirePushedAuthorizationRequests is true, yet providerMetadata has no pushed_authorization_request_endpoint.',
  ],
  [
    'requests to be fetched that are pushed',
    good({
      requestObjectBy: 'reference',
      requestObjectSigningAlg: 'HS256',
      requirePushedAuthorizationRequests: true,
    }),
    "requestObjectBy must be 'value' where requests are pushed (RFC 9126 3).",
  ],
  [
    'requests to be fetched that the provider demands to be pushed',
    good({
      requestObjectBy: 'reference',
      requestObjectSigningAlg: 'HS256',
      providerMetadata: {
        ...METADATA,
        require_pushed_authorization_requests: true,
        pushed_authorization_request_endpoint: `${ISSUER}/par`,
      },
    }),
    "requestObjectBy must be 'value' where requests are pushed (RFC 9126 3).",
  ],
  ['plain http for the issuer', good({ issuer: 'http://id.example' }), insecure('issuer')],
  [
    'plain http for an endpoint',
    good({ providerMetadata: { ...METADATA, introspection_endpoint: 'http://id.example/introspect' } }),
    insecure('providerMetadata.introspection_endpoint'),
  ],
  ['plain http for the metadata', good({ discovery: 'http://id.example/metadata' }), insecure('discovery')],
  [
    'plain http for a claims provider',
    good({ claimsProviders: ['https://bank.example', 'http://shop.example'] }),
    insecure('claimsProviders[1]'),
  ],
]

const CLIENT: readonly Row[] = [
  ['no client', good({ clientId: undefined }), 'clientId must be given, or registration in its place.'],
  ...(
    [
      ['id', { clientId: 'web' }],
      ['secret', { clientSecret: SECRET }],
      ['place to ask by id', { discoveryWithClientId: true }],
    ] as const
  ).map(
    ([name, changes]): Row => [
      `a registered client that is given its ${name}`,
      registering(changes),
      'registration gets clientId and clientSecret from the provider: leave them, and discoveryWithClientId, out.',
    ],
  ),
  ...['client_secret_basic', 'client_secret_post', 'client_secret_jwt'].map(
    (tokenEndpointAuthMethod): Row => [
      `${tokenEndpointAuthMethod} without a secret`,
      good({ tokenEndpointAuthMethod, clientSecret: undefined }),
      'tokenEndpointAuthMethod must be none, or be left out, where there is no clientSecret.',
    ],
  ),
  ...[SECRET, () => SECRET].map(
    (clientSecret): Row => [
      `a secret, by ${typeof clientSecret}, that nobody is shown`,
      good({ tokenEndpointAuthMethod: 'none', clientSecret }),
      'tokenEndpointAuthMethod is none, yet there is a clientSecret: leave one of the two out.',
    ],
  ),
  [
    'a signature by a secret that can be guessed',
    good({ tokenEndpointAuthMethod: 'client_secret_jwt', clientSecret: SHORT }),
    'tokenEndpointAuthMethod client_secret_jwt needs a clientSecret of at least 32 characters (RFC 7518 3.2).',
  ],
  ...[undefined, [decrypting]].map(
    (clientKeys): Row => [
      `private_key_jwt with ${clientKeys === undefined ? 'no key' : 'a key to decrypt'}`,
      good({ tokenEndpointAuthMethod: 'private_key_jwt', clientKeys }),
      'tokenEndpointAuthMethod private_key_jwt needs a key for signatures in clientKeys.',
    ],
  ),
  ...['tls_client_auth', 'self_signed_tls_client_auth'].map(
    (tokenEndpointAuthMethod): Row => [
      `${tokenEndpointAuthMethod} without a certificate`,
      good({ tokenEndpointAuthMethod }),
      'tokenEndpointAuthMethod needs a tlsClientCertificate, or a fetch that shows one.',
    ],
  ),
  [
    'a certificate that a function would have to show',
    good({ tlsClientCertificate: certificate, fetch: async () => new Response() }),
    'tlsClientCertificate cannot be shown by a fetch of your own: let that fetch show it, and leave the option out.',
  ],
  ...[{ tokenEndpointAuthSigningAlg: 'HS256' }, { clientAssertionAudience: 'issuer' }].flatMap((changes) =>
    [undefined, 'client_secret_basic', 'client_secret_post'].map(
      (tokenEndpointAuthMethod): Row => [
        `${Object.keys(changes)} by ${tokenEndpointAuthMethod ?? 'the usual method'}`,
        good({ ...changes, tokenEndpointAuthMethod }),
        'tokenEndpointAuthSigningAlg and clientAssertionAudience are for private_key_jwt and client_secret_jwt alone.',
      ],
    ),
  ),
  ...(
    [
      ['client_secret_jwt', 'ES256'],
      ['private_key_jwt', 'HS256'],
    ] as const
  ).map(
    ([tokenEndpointAuthMethod, tokenEndpointAuthSigningAlg]): Row => [
      `${tokenEndpointAuthMethod} with ${tokenEndpointAuthSigningAlg}`,
      good({ tokenEndpointAuthMethod, tokenEndpointAuthSigningAlg, clientKeys: [signing, signingEc] }),
      'tokenEndpointAuthSigningAlg must be HS256, HS384 or HS512 with client_secret_jwt, and none of them with private_key_jwt.',
    ],
  ),
  [
    'an algorithm that no key goes by',
    good({
      tokenEndpointAuthMethod: 'private_key_jwt',
      tokenEndpointAuthSigningAlg: 'ES384',
      clientKeys: [signing, signingEc],
    }),
    'tokenEndpointAuthSigningAlg needs a key in clientKeys that signs with it.',
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
        `${name} needs a clientSecret where it is HS256, HS384 or HS512.`,
      ],
      [
        `${name} ${alg} with a secret that can be guessed`,
        good({ ...more, [name]: alg, clientSecret: SHORT }),
        `${name} needs a clientSecret of at least 32 characters where it works by a secret.`,
      ],
    ]),
    [
      `${name} HS256 for a client that registers to prove nothing`,
      registering({ ...more, [name]: 'HS256', tokenEndpointAuthMethod: 'none' }),
      `${name} needs a clientSecret where it is HS256, HS384 or HS512.`,
    ] satisfies Row,
  ]),
  ...DECRYPTED.flatMap(([name, more]) => {
    const sentence = `${name} needs a key for encryption in clientKeys, or a clientSecret where it works by a secret.`
    return [
      [`${name} RSA-OAEP without a key`, good({ ...more, [name]: 'RSA-OAEP' }), sentence],
      [`${name} RSA-OAEP with a key to sign`, good({ ...more, [name]: 'RSA-OAEP', clientKeys: [signing] }), sentence],
      [
        `${name} RSA-OAEP-256 with a key of another kind`,
        good({ ...more, [name]: 'RSA-OAEP-256', clientKeys: [decryptingEc] }),
        sentence,
      ],
      [
        `${name} ECDH-ES with a key of another kind`,
        good({ ...more, [name]: 'ECDH-ES', clientKeys: [decrypting] }),
        sentence,
      ],
      [`${name} dir without a secret`, good({ ...more, [name]: 'dir', clientSecret: undefined }), sentence],
    ] satisfies readonly Row[]
  }),
  ...[...DECRYPTED, REQUESTS].flatMap(([name, more]) =>
    ['dir', 'A128KW', 'A256GCMKW'].map(
      (alg): Row => [
        `${name} ${alg} with a secret that can be guessed`,
        good({ ...more, [name]: alg, clientSecret: SHORT }),
        `${name} needs a clientSecret of at least 32 characters where it works by a secret.`,
      ],
    ),
  ),
  ...['dir', 'A192KW'].map(
    (requestObjectEncryptionAlg): Row => [
      `requestObjectEncryptionAlg ${requestObjectEncryptionAlg} without a secret`,
      good({ ...REQUESTS[1], requestObjectEncryptionAlg, clientSecret: undefined }),
      'requestObjectEncryptionAlg needs a clientSecret where it works by a secret.',
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
      `requests signed with ${requestObjectSigningAlg}, and no key for it`,
      good({ requestObjectSigningAlg, clientKeys }),
      'requestObjectSigningAlg needs a key in clientKeys that signs with it.',
    ],
  ),
  ...[{ requestObjectEncryptionAlg: 'RSA-OAEP' }, { requestObjectBy: 'reference' }, { requestObjectBy: 'value' }].map(
    (changes): Row => [
      `${JSON.stringify(changes)} of requests that nobody signs`,
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
      `${Object.keys(changes).join(', ')} for answers that are no JWT`,
      good(changes),
      'authorizationSignedResponseAlg and authorizationEncryptedResponseAlg need a responseMode with jwt.',
    ],
  ),
]

const ALL: readonly (readonly [file: string, rows: readonly Row[]])[] = [
  ['conflicts', [...APP, ...PROVIDER]],
  ['key-conflicts', [...CLIENT, ...JOSE]],
]

for (const [file, rows] of ALL) {
  describe(`options that contradict each other, by ${file}`, () => {
    for (const [name, options, sentence] of rows) {
      it(`are refused with one sentence: ${name}`, () => assert.deepEqual(faultsOf(options), [sentence]))
    }

    it('have a row for every sentence that is written there', () => {
      const source = readFileSync(new URL(`../../lib/options/${file}.ts`, import.meta.url), 'utf8')
      const literals = [...source.matchAll(/^ +(['"])([a-zA-Z].+ .+\.)\1,$/gm)].map(([, , sentence]) => sentence)
      const told = new Set(rows.map(([, , sentence]) => sentence))
      assert.notEqual(literals.length, 0)
      assert.deepEqual(
        literals.filter((sentence) => !told.has(sentence ?? '')),
        [],
      )
    })
  })
}

describe('every conflict of a table', () => {
  const all = ALL.flatMap(([, rows]) => rows.map(([, options]) => options))
  for (const [name, conflicts] of Object.entries({ CLIENT_CONFLICTS, JOSE_CONFLICTS })) {
    it(`is shown by a row: ${name}`, () => {
      const shown = conflicts.map(({ problems }) => all.some((options) => problems(options).length > 0))
      assert.deepEqual(
        conflicts.filter((_, index) => shown[index] === false).map(({ between }) => between.join()),
        [],
      )
    })
  }
})

describe('options that go together', () => {
  const together: readonly (readonly [name: string, options: Record<string, unknown>])[] = [
    ['a client with a short secret, which seals nothing', good({ clientSecret: SHORT })],
    [
      'a secret by function, which is seen when it comes',
      good({ clientSecret: () => SHORT, idTokenSignedResponseAlg: 'HS256' }),
    ],
    ['a client that registers, with HS256', registering({ idTokenSignedResponseAlg: 'HS256' })],
    ['a client that registers, to prove nothing', registering({ tokenEndpointAuthMethod: 'none' })],
    ['a certificate by fetch', good({ tokenEndpointAuthMethod: 'tls_client_auth', fetch: async () => new Response() })],
    ['a certificate beside a secret, to bind tokens to', good({ tlsClientCertificate: certificate })],
    [
      'a secret beside a key, for HS256',
      good({ tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: [signing], idTokenSignedResponseAlg: 'HS256' }),
    ],
    ['unsigned requests by reference', good({ requestObjectSigningAlg: 'none', requestObjectBy: 'reference' })],
    [
      'a key for everything',
      good({
        clientKeys: [jwkOf('rsa', {})],
        tokenEndpointAuthMethod: 'private_key_jwt',
        requestObjectSigningAlg: 'PS256',
        idTokenEncryptedResponseAlg: 'RSA-OAEP',
      }),
    ],
    ['keys that nothing uses yet, to be published', good({ clientKeys: [signing, decrypting] })],
    ['encryption by a secret', good({ idTokenEncryptedResponseAlg: 'dir', idTokenEncryptedResponseEnc: 'A256GCM' })],
    [
      'a front channel with answers as JWTs',
      good({ responseType: 'code id_token', responseMode: 'form_post.jwt', authorizationSignedResponseAlg: 'ES256' }),
    ],
    ['ECDH-ES by X25519', good({ userinfoEncryptedResponseAlg: 'ECDH-ES+A256KW', clientKeys: [decryptingEc] })],
  ]
  for (const [name, options] of together) {
    it(`are taken: ${name}`, () => assert.deepEqual(faultsOf(options), []))
  }
})

describe('an option that is wrong on its own', () => {
  const rules = Object.entries({ ...APP_RULES, ...PROVIDER_RULES })
  for (const [name] of rules.filter(([option]) => option !== 'callback')) {
    for (const [shown, value] of [
      ['a symbol', Symbol('planted')],
      ['null', null],
      ['a list of null', [null]],
    ] as const) {
      it(`is refused with one sentence of its own: ${name} as ${shown}`, () => {
        const faults = faultsOf(good({ [name]: value }))
        assert.equal(faults.length, 1, faults.join(' '))
        assert.ok(faults[0]?.startsWith(name), faults[0])
        assert.doesNotMatch(String(faults[0]), /planted/)
      })
    }
  }

  const truth = 'must be true or false.'
  const algorithms =
    'must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519, HS256, HS384, HS512'
  const encryptions =
    'must be one of RSA-OAEP, RSA-OAEP-256, RSA-OAEP-384, RSA-OAEP-512, ECDH-ES, ECDH-ES+A128KW, ECDH-ES+A192KW, ECDH-ES+A256KW, dir, A128KW, A192KW, A256KW, A128GCMKW, A192GCMKW, A256GCMKW.'
  const contents = 'must be one of A128GCM, A192GCM, A256GCM, A128CBC-HS256, A192CBC-HS384, A256CBC-HS512.'
  const tenants = 'must be a list of tenant ids, each of letters, digits, dots and hyphens, or a function.'
  const passed = 'must be a list of names of parameters that the middleware does not set itself.'
  const discovery = 'must be oidc, oauth2, or the https address of the metadata.'
  const pem = 'must be PEM, as text or bytes, and not the path of a file.'
  const pair = 'must have a cert and the key to it, with its passphrase if any.'
  const jwks = 'must be a list of one or more private JSON Web Keys.'
  const publicKey = Object.fromEntries(Object.entries(signing).filter(([name]) => ['kty', 'n', 'e'].includes(name)))

  // [option, wrong value, how the sentence goes on after its name, a member if it is one's]
  const rows: readonly (readonly [option: string, value: unknown, sentence: string, member?: string])[] = [
    ['profile', 'fapi', 'must be one of fapi2, fapi2-message-signing.'],
    ...['userinfoSignedResponseAlg', 'tokenEndpointAuthSigningAlg', 'idTokenSignedResponseAlg'].flatMap((name) =>
      ['none', 'ES256K', 'rs256', ''].map((alg) => [name, alg, `${algorithms}.`] as const),
    ),
    ['requestObjectSigningAlg', 'None', `${algorithms}, none.`],
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
      'must be one of client_secret_basic, client_secret_post, client_secret_jwt, private_key_jwt, tls_client_auth, self_signed_tls_client_auth, none.',
    ],
    ['clientAssertionAudience', '', 'must be a non-empty string.'],
    ['clientKeys', {}, jwks],
    ['clientKeys', [], jwks],
    ['clientKeys', [publicKey], 'must be a private key: without its member d it can neither sign nor decrypt.', '[0]'],
    ['tlsClientCertificate', certificate.cert, 'must be a plain object.'],
    ['tlsClientCertificate', { cert: '/etc/tls/client.pem', key }, pem, '.cert'],
    ['tlsClientCertificate', { cert, key: '' }, pem, '.key'],
    ['tlsClientCertificate', { cert, key, ca: [cert] }, pem, '.ca'],
    ['tlsClientCertificate', { cert, key, pfx: 'x' }, 'is not an option.', '.pfx'],
    ['tlsClientCertificate', { cert, key: createCertificate('other').key }, pair],
    ['tlsClientCertificate', { cert: '-----BEGIN CERTIFICATE-----', key }, pair],
    ['requirePushedAuthorizationRequests', 'true', truth],
    ['requestObjectBy', 'request_uri', 'must be one of value, reference.'],
    ['dpopBoundAccessTokens', 1, truth],
    ...['RS256', 'PS256', 'HS256', 'none'].map(
      (alg) => ['dpopSigningAlg', alg, 'must be one of ES256, ES384, ES512, EdDSA, Ed25519.'] as const,
    ),
    ['userinfoBearerMethod', 'query', 'must be one of header, body.'],
    ['claimsProviders', 'https://bank.example', 'must be a list of issuers.'],
    ['claimsProviders', ['https://bank.example', 'https://bank.example'], 'must name no issuer twice.'],
    ['discovery', 'rfc8414', discovery],
    ['discovery', 'https://id.example/#x', discovery],
    ['discoveryWithClientId', 'yes', truth],
    ['tenants', [], tenants],
    ['tenants', ['a/b'], tenants],
    ['tenants', ['..'], tenants],
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
      'must be one of Bearer, SSWS.',
      '.initialAccessTokenScheme',
    ],
    ['registration', { store, metadata: { x: () => 1 } }, 'must hold only what JSON can hold.', '.metadata'],
    ['providerChooser', 'choose', 'must be a path such as /login: plain segments, each after one slash.'],
    ...['state', 'nonce', 'request', 'client_id', 'scope', 'returnTo', 'provider', 'a b', '', '__proto__', 7].map(
      (name) => ['passthroughParams', [name], passed] as const,
    ),
    ['passthroughParams', 'login_hint', passed],
    ['silentLogin', 'once', truth],
    ['routes', { jwks: 'jwks' }, 'must be a path such as /login: plain segments, each after one slash.', '.jwks'],
    [
      'routes',
      { requestObjects: '/request?x' },
      'must be a path such as /login: plain segments, each after one slash.',
      '.requestObjects',
    ],
    ['authorizationParams', { claims: '{' }, 'must be a JSON object (OIDC Core 5.5).', '.claims'],
    ['authorizationParams', { claims: [] }, 'must be a JSON object (OIDC Core 5.5).', '.claims'],
    [
      'authorizationParams',
      { authorization_details: { type: 'x' } },
      'must be a list of objects that each have a type (RFC 9396 2).',
      '.authorization_details',
    ],
    [
      'authorizationParams',
      { authorization_details: '[{"kind":"x"}]' },
      'must be a list of objects that each have a type (RFC 9396 2).',
      '.authorization_details',
    ],
    ['authorizationParams', { acr_values: ['a', 'b'] }, 'must be a string or a finite number.', '.acr_values'],
    ['authorizationParams', { ui_locales: ['de'] }, 'must be a string or a finite number.', '.ui_locales'],
    ...['client_secret', 'client_assertion', 'client_assertion_type'].map(
      (name) =>
        [
          'authorizationParams',
          { [name]: 'x' },
          'must not be set: it would be seen by everybody.',
          `.${name}`,
        ] as const,
    ),
    [
      'authorizationParams',
      { dpop_jkt: 'x' },
      'must not be set: it is made for each login and protects it.',
      '.dpop_jkt',
    ],
  ]
  for (const [option, value, sentence, member = ''] of rows) {
    const shown = option === 'tlsClientCertificate' ? sentence : JSON.stringify(value)
    it(`is refused with its sentence: ${option} as ${shown}`, () => {
      const options = option === 'registration' ? registering({ registration: value }) : good({ [option]: value })
      assert.deepEqual(faultsOf(options), [`${option}${member} ${sentence}`])
    })
  }

  it('is told once where it stands beside what it contradicts', () => {
    const options = good({ requestObjectSigningAlg: 'planted', requestObjectBy: 'reference', profile: 'fapi2' })
    const faults = faultsOf({ ...options, clientKeys: [signing] })
    assert.equal(faults.filter((fault) => fault.startsWith('requestObjectSigningAlg')).length, 1)
  })
})

describe('an option of one provider of several', () => {
  it('is told with the name of its provider', () => {
    const other = {
      issuer: 'https://other.example',
      clientId: 'web',
      requestObjectBy: 'reference',
      dpopSigningAlg: 'x',
    }
    assert.deepEqual(faultsOf(several({ providers: { one: { issuer: ISSUER, clientId: 'web' }, other } })), [
      'providers.other.dpopSigningAlg must be one of ES256, ES384, ES512, EdDSA, Ed25519.',
      'providers.other.requestObjectEncryptionAlg and requestObjectBy need requestObjectSigningAlg.',
    ])
  })
})
