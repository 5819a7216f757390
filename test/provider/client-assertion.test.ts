import assert from 'node:assert/strict'
import { createSecretKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import { describe, it, mock } from 'node:test'
import { inspect } from 'node:util'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import { OidcError } from '../../lib/errors.ts'
import {
  assertionAudience,
  authenticateClient,
  createClientAssertion,
  endpointOf,
} from '../../lib/provider/client-authentication.ts'
import { defaultSigningAlg, findSigner } from '../../lib/provider/client-signing.ts'
import type { Provider } from '../../lib/provider/provider.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { CLIENT_ID, CLIENT_SECRET, createDirectProvider } from '../support/hostile/back-channel.ts'
import { LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

const TOKEN = 'https://op.example/token'
const TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

const rsa = createRsaKeyPair()
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const ed25519 = generateKeyPairSync('ed25519')

type Pair = Readonly<Record<'publicKey' | 'privateKey', KeyObject>>

const jwkOf = ({ privateKey }: Pair, members: JsonWebKey = {}): JsonWebKey => {
  return { ...privateKey.export({ format: 'jwk' }), ...members }
}

const PAIRS: readonly (readonly [alg: string, pair: Pair])[] = [
  ['RS256', rsa],
  ['RS384', rsa],
  ['RS512', rsa],
  ['PS256', rsa],
  ['PS384', rsa],
  ['PS512', rsa],
  ['ES256', p256],
  ['ES384', p384],
  ['ES512', p521],
  ['EdDSA', ed25519],
  ['Ed25519', ed25519],
]

const ASSERTION = { clientId: CLIENT_ID, audience: 'https://op.example', now: 1_700_000_000, kid: undefined }

/** Verified at the moment that it was made for. */
async function claimsOf(jwt: string, key: KeyObject, alg: string) {
  const currentDate = new Date(ASSERTION.now * 1000)
  return (await jwtVerify(jwt, key, { algorithms: [alg], currentDate })).payload
}

async function refuses(work: Promise<unknown> | (() => unknown), code: string): Promise<OidcError> {
  const error = await Promise.resolve()
    .then(() => (typeof work === 'function' ? work() : work))
    .then(
      () => assert.fail('nothing was refused'),
      (reason: unknown) => reason,
    )
  assert.ok(error instanceof OidcError, inspect(error))
  assert.equal(error.code, code)
  // All of it, not what a developer reads of it.
  assert.doesNotMatch(inspect(error, { depth: 9, customInspect: false }), /a-Secret|short-/)
  return error
}

describe('a client assertion', () => {
  for (const [alg, { publicKey, privateKey }] of PAIRS) {
    it(`is signed with ${alg}`, async () => {
      const jwt = await createClientAssertion({ ...ASSERTION, alg, key: privateKey, kid: 'one' })
      assert.deepEqual(decodeProtectedHeader(jwt), { alg, kid: 'one' })
      const { jti, ...claims } = await claimsOf(jwt, publicKey, alg)
      assert.deepEqual(claims, {
        iss: CLIENT_ID,
        sub: CLIENT_ID,
        aud: 'https://op.example',
        iat: ASSERTION.now,
        exp: ASSERTION.now + 60,
      })
      assert.match(String(jti), /^[\w-]{22,}$/)
    })
  }

  for (const alg of ['HS256', 'HS384', 'HS512']) {
    it(`is signed with the client secret and ${alg}`, async () => {
      const key = createSecretKey(CLIENT_SECRET, 'utf8')
      const jwt = await createClientAssertion({ ...ASSERTION, alg, key })
      assert.deepEqual(decodeProtectedHeader(jwt), { alg })
      assert.equal((await claimsOf(jwt, key, alg)).sub, CLIENT_ID)
    })
  }

  it('is never the same twice', async () => {
    const made = await Promise.all(
      Array.from({ length: 50 }, () => createClientAssertion({ ...ASSERTION, alg: 'ES256', key: p256.privateKey })),
    )
    const ids = await Promise.all(made.map(async (jwt) => (await claimsOf(jwt, p256.publicKey, 'ES256')).jti))
    assert.equal(new Set(ids).size, 50)
  })
})

describe('the audience of an assertion', () => {
  const ROWS: readonly (readonly [name: string, tokenEndpoint: string, told: string | undefined, expected: string])[] =
    [
      ['is the issuer', TOKEN, undefined, 'https://op.example'],
      ['is the issuer where that is told', 'https://op.example/oauth2/v1/token', 'issuer', 'https://op.example'],
      ['is the address that is asked where that is told', TOKEN, 'endpoint', 'https://op.example/par'],
      ['is what else is told', TOKEN, 'https://elsewhere.example', 'https://elsewhere.example'],
      [
        'is the address that is asked at Okta',
        'https://op.example/oauth2/v1/token',
        undefined,
        'https://op.example/par',
      ],
      [
        'is the address that is asked at an authorization server of Okta',
        'https://op.example/oauth2/default/v1/token',
        undefined,
        'https://op.example/par',
      ],
      ...[
        'https://op.example/oauth2/a/b/v1/token',
        'https://op.example/oauth2/v1/token/',
        'https://op.example/oauth2/v1/tokens',
        'https://op.example/x/oauth2/v1/token',
        'https://op.example/oauth2/v2/token',
        'https://op.example/?/oauth2/v1/token',
      ].map((endpoint) => [`is the issuer at ${endpoint}`, endpoint, undefined, 'https://op.example'] as const),
    ]
  for (const [name, tokenEndpoint, told, expected] of ROWS) {
    it(name, async () => {
      const provider = await createDirectProvider(
        {
          clientSecret: CLIENT_SECRET,
          tokenEndpointAuthMethod: 'client_secret_jwt',
          ...(told === undefined ? {} : { clientAssertionAudience: told }),
        },
        { token_endpoint: tokenEndpoint },
      )
      assert.equal(assertionAudience(provider, 'https://op.example/par'), expected)
    })
  }
})

it("N-51: the audience of an assertion is the issuer with profile 'fapi2', whatever the token endpoint", async () => {
  const provider = await createDirectProvider(
    { tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: [jwkOf(p256)], profile: 'fapi2' },
    { token_endpoint: 'https://op.example/oauth2/default/v1/token' },
  )
  assert.equal(assertionAudience(provider, 'https://op.example/par'), 'https://op.example')
})

describe('the key that the client signs with', () => {
  const withKeys = (clientKeys: readonly JsonWebKey[], options = {}, metadata = {}) => {
    return createDirectProvider({ tokenEndpointAuthMethod: 'private_key_jwt', clientKeys, ...options }, metadata)
  }

  const fapi = { profile: 'fapi2' }
  const ROWS: readonly (readonly [
    name: string,
    keys: readonly JsonWebKey[],
    expected: string,
    options?: object,
    supported?: unknown,
  ])[] = [
    ['RS256 for an RSA key', [jwkOf(rsa)], 'RS256'],
    ['PS256 for an RSA key by FAPI', [jwkOf(rsa)], 'PS256', fapi],
    ['what an RSA key is bound to', [jwkOf(rsa, { alg: 'PS512' })], 'PS512'],
    ['ES256 for a key of P-256', [jwkOf(p256)], 'ES256'],
    ['ES384 for a key of P-384', [jwkOf(p384)], 'ES384'],
    ['ES512 for a key of P-521', [jwkOf(p521)], 'ES512'],
    ['EdDSA for a key of Ed25519', [jwkOf(ed25519)], 'EdDSA'],
    ['the algorithm of the first key', [jwkOf(p384), jwkOf(rsa)], 'ES384'],
    ['the first key that FAPI allows', [jwkOf(p384), jwkOf(rsa)], 'PS256', fapi],
    ['a key that is for signatures', [jwkOf(rsa, { use: 'enc' }), jwkOf(p256, { use: 'sig' })], 'ES256'],
    ['what the provider takes', [jwkOf(rsa)], 'PS256', {}, ['ES256', 'PS256']],
    ['what the provider takes, of another key', [jwkOf(p384), jwkOf(p256)], 'ES256', {}, ['ES256', 'PS256']],
    ['Ed25519 where the provider knows the new name only', [jwkOf(ed25519)], 'Ed25519', {}, ['Ed25519']],
    ['its own choice where the provider takes nothing that fits', [jwkOf(p256)], 'ES256', {}, ['HS256', 'none']],
    ['its own choice where the provider says nonsense', [jwkOf(p256)], 'ES256', {}, 'PS256'],
  ]
  for (const [name, keys, expected, options, supported] of ROWS) {
    it(`is ${name}`, async () => {
      const metadata = supported === undefined ? {} : { token_endpoint_auth_signing_alg_values_supported: supported }
      const provider = await withKeys(keys, options, metadata)
      const { params } = await authenticateClient(provider, TOKEN)
      assert.equal(decodeProtectedHeader(params['client_assertion'] ?? '').alg, expected)
    })
  }

  it('is the key for the configured algorithm, with its kid', async () => {
    const keys = [jwkOf(rsa, { kid: 'rsa' }), jwkOf(p256, { kid: 'ec' })]
    const provider = await withKeys(keys, { tokenEndpointAuthSigningAlg: 'ES256' })
    const { params } = await authenticateClient(provider, TOKEN)
    assert.deepEqual(decodeProtectedHeader(params['client_assertion'] ?? ''), { alg: 'ES256', kid: 'ec' })
  })

  it('is an error if no key has the algorithm', async () => {
    const provider = await withKeys([jwkOf(rsa)])
    const { message } = await refuses(findSigner(provider, 'ES256'), 'ERR_OIDC_CONFIG')
    assert.match(message, /ES256/)
    await refuses(findSigner(provider, 'none'), 'ERR_OIDC_CONFIG')
    await refuses(findSigner(provider, '__proto__'), 'ERR_OIDC_CONFIG')
  })

  it('is an error if no key can sign', async () => {
    const provider = await createDirectProvider({ clientKeys: [jwkOf(rsa, { use: 'enc' })] })
    await refuses(() => defaultSigningAlg(provider, undefined), 'ERR_OIDC_CONFIG')
  })

  const SECRETS: readonly (readonly [name: string, secret: unknown, code: string, status: number])[] = [
    ['missing', undefined, 'ERR_OIDC_CLIENT_SECRET', 500],
    ['too short', 'short-a-Secret', 'ERR_OIDC_CLIENT_SECRET', 500],
    ['too short by one', 'short-'.repeat(6).slice(0, 31), 'ERR_OIDC_CLIENT_SECRET', 500],
    ['too short, of a function', () => 'short-a-Secret', 'ERR_OIDC_CLIENT_SECRET', 500],
    ['empty, of a function', async () => '', 'ERR_OIDC_CLIENT_SECRET', 500],
    ['no text, of a function', async () => 5, 'ERR_OIDC_CLIENT_SECRET', 500],
  ]
  for (const [name, clientSecret, code, status] of SECRETS) {
    for (const alg of ['HS256', 'HS512']) {
      it(`is not a secret for ${alg} that is ${name}`, async () => {
        const { config, ...provider } = await createDirectProvider()
        // As a test of what the rules of the options let through: nothing of these.
        const changed = { ...config, clientSecret } as Provider['config']
        const error = await refuses(findSigner({ ...provider, config: changed }, alg), code)
        assert.equal(error.status, status)
      })
    }
  }

  it('can be a secret of 32 characters', async () => {
    const provider = await createDirectProvider({ clientSecret: CLIENT_SECRET.slice(0, 32) })
    assert.equal((await findSigner(provider, 'HS512')).key.symmetricKeySize, 32)
  })
})

describe('the authentication of the client', () => {
  const clientKeys = [jwkOf(p256, { kid: 'one' })]
  const tlsClientCertificate = LOOPBACK_CERTIFICATE

  const basic = `Basic ${Buffer.from(`client%3Aone:${CLIENT_SECRET}`).toString('base64')}`
  const ROWS: readonly (readonly [method: string, options: object, headers: object, params: object])[] = [
    ['client_secret_basic', { clientSecret: CLIENT_SECRET }, { authorization: basic }, {}],
    ['client_secret_post', { clientSecret: CLIENT_SECRET }, {}, { client_id: CLIENT_ID, client_secret: CLIENT_SECRET }],
    ['tls_client_auth', { tlsClientCertificate }, {}, { client_id: CLIENT_ID }],
    ['self_signed_tls_client_auth', { tlsClientCertificate }, {}, { client_id: CLIENT_ID }],
    ['none', {}, {}, { client_id: CLIENT_ID }],
  ]
  for (const [tokenEndpointAuthMethod, options, headers, params] of ROWS) {
    it(`by ${tokenEndpointAuthMethod} uses no other method`, async () => {
      const provider = await createDirectProvider({ tokenEndpointAuthMethod, ...options })
      assert.deepEqual(await authenticateClient(provider, TOKEN), { headers, params })
    })
  }

  const ASSERTIONS: readonly (readonly [method: string, options: object, key: KeyObject, alg: string])[] = [
    ['client_secret_jwt', { clientSecret: CLIENT_SECRET }, createSecretKey(CLIENT_SECRET, 'utf8'), 'HS256'],
    ['private_key_jwt', { clientKeys }, p256.publicKey, 'ES256'],
    ['private_key_jwt', { clientKeys, clientSecret: CLIENT_SECRET }, p256.publicKey, 'ES256'],
  ]
  for (const [tokenEndpointAuthMethod, options, key, alg] of ASSERTIONS) {
    it(`by ${tokenEndpointAuthMethod} with ${Object.keys(options)} uses no other method`, async () => {
      const provider = await createDirectProvider({ tokenEndpointAuthMethod, ...options })
      const [first, second] = [await authenticateClient(provider, TOKEN), await authenticateClient(provider, TOKEN)]
      const { client_assertion: assertion = '', ...params } = first.params
      assert.deepEqual([first.headers, params], [{}, { client_id: CLIENT_ID, client_assertion_type: TYPE }])
      const { payload } = await jwtVerify(assertion, key, { algorithms: [alg], maxTokenAge: 5 })
      assert.deepEqual([payload.iss, payload.sub, payload.aud], [CLIENT_ID, CLIENT_ID, 'https://op.example'])
      assert.notEqual(assertion, second.params['client_assertion'])
    })
  }

  it('by client_secret_jwt uses the configured algorithm', async () => {
    const options = { tokenEndpointAuthMethod: 'client_secret_jwt', tokenEndpointAuthSigningAlg: 'HS512' }
    const provider = await createDirectProvider({ ...options, clientSecret: CLIENT_SECRET })
    const { params } = await authenticateClient(provider, TOKEN)
    assert.equal(decodeProtectedHeader(params['client_assertion'] ?? '').alg, 'HS512')
  })

  for (const [method, alg] of [
    ['private_key_jwt', 'HS256'],
    ['client_secret_jwt', 'ES256'],
    ['client_secret_jwt', 'none'],
    ['private_key_jwt', 'none'],
  ]) {
    it(`by ${method} never uses ${alg}`, async () => {
      const provider = await createDirectProvider({
        tokenEndpointAuthMethod: method,
        clientKeys,
        clientSecret: CLIENT_SECRET,
      })
      const config = { ...provider.config, tokenEndpointAuthSigningAlg: alg }
      await refuses(authenticateClient({ ...provider, config }, TOKEN), 'ERR_OIDC_CONFIG')
    })
  }

  it('calls the function clientSecret each time', async () => {
    const clientSecret = mock.fn(async () => CLIENT_SECRET)
    const provider = await createDirectProvider({ clientSecret, tokenEndpointAuthMethod: 'client_secret_post' })
    assert.equal(clientSecret.mock.callCount(), 0)
    assert.equal((await authenticateClient(provider, TOKEN)).params['client_secret'], CLIENT_SECRET)
    clientSecret.mock.mockImplementation(async () => 'the next one')
    assert.equal((await authenticateClient(provider, TOKEN)).params['client_secret'], 'the next one')
  })

  for (const method of ['client_secret_basic', 'client_secret_post', 'client_secret_jwt']) {
    it(`by ${method} fails if the function clientSecret fails`, async () => {
      const failure = new Error('the store is down')
      const clientSecret = () => Promise.reject(failure)
      const provider = await createDirectProvider({ clientSecret, tokenEndpointAuthMethod: method })
      const error = await refuses(authenticateClient(provider, TOKEN), 'ERR_OIDC_CLIENT_SECRET')
      assert.deepEqual([error.status, error.cause], [503, failure])
    })

    it(`by ${method} fails without a secret`, async () => {
      const provider = await createDirectProvider({ clientSecret: CLIENT_SECRET, tokenEndpointAuthMethod: method })
      const config = { ...provider.config, clientSecret: undefined }
      await refuses(authenticateClient({ ...provider, config }, TOKEN), 'ERR_OIDC_CLIENT_SECRET')
    })
  }
})

describe('the URL of an endpoint', () => {
  const mtls = { tokenEndpointAuthMethod: 'tls_client_auth', tlsClientCertificate: LOOPBACK_CERTIFICATE }
  const bound = { clientSecret: CLIENT_SECRET, tlsClientCertificate: LOOPBACK_CERTIFICATE }
  const aliases = (token_endpoint: unknown) => ({ mtls_endpoint_aliases: { token_endpoint } })
  const ALIAS = 'https://mtls.op.example/token'

  const ROWS: readonly (readonly [
    name: string,
    options: object,
    metadata: Record<string, unknown>,
    expected: string,
  ])[] = [
    ['is that of the metadata', {}, {}, TOKEN],
    ['is that of the metadata without a certificate, whatever the aliases', {}, aliases(ALIAS), TOKEN],
    ['is the alias for mTLS', mtls, aliases(ALIAS), ALIAS],
    ['is the alias where a certificate binds the tokens', bound, aliases(ALIAS), ALIAS],
    ['is that of the metadata where it has no alias', mtls, { mtls_endpoint_aliases: {} }, TOKEN],
    ['is that of the metadata where the aliases are none', mtls, { mtls_endpoint_aliases: [ALIAS] }, TOKEN],
  ]
  for (const [name, options, metadata, expected] of ROWS) {
    it(name, async () => {
      assert.equal(endpointOf(await createDirectProvider(options, metadata), 'token_endpoint'), expected)
    })
  }

  for (const alias of ['http://mtls.op.example/token', 'ftp://op.example/', '/token', '', 5, true, ['x'], {}]) {
    it(`is never the alias ${inspect(alias)}`, async () => {
      const provider = await createDirectProvider(mtls, aliases(alias))
      await refuses(() => endpointOf(provider, 'token_endpoint'), 'ERR_OIDC_METADATA_INVALID')
    })
  }

  it('is an error if the metadata has none', async () => {
    const provider = await createDirectProvider()
    await refuses(() => endpointOf(provider, 'registration_endpoint'), 'ERR_OIDC_METADATA_INVALID')
  })

  it('may be http only if insecure requests are allowed', async () => {
    const provider = await createDirectProvider({}, {}, 'http://op.example')
    assert.equal(endpointOf(provider, 'token_endpoint'), 'http://op.example/token')
    const config = { ...provider.config, dangerouslyAllowInsecureRequests: false }
    await refuses(() => endpointOf({ ...provider, config }, 'token_endpoint'), 'ERR_OIDC_METADATA_INVALID')
  })
})
