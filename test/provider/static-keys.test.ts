import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { describe, it } from 'node:test'
import { bearer } from '../../lib/bearer.ts'
import { ConfigError, oidc, type ProviderMetadata } from '../../lib/index.ts'
import type { JwkSet } from '../../lib/options/provider-keys-rule.ts'
import { createStaticKeyStore } from '../../lib/provider/keys.ts'
import { observeDenials, startApi } from '../support/app/api-app.ts'
import { codesOf } from '../support/app/app.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { createStage, share, stopAfterEach } from '../support/app/stage.ts'
import { startProvider } from '../support/servers/provider.ts'
import { startTokenIssuer } from '../support/servers/token-issuer.ts'

const stage = createStage({ app: { errorHandler: 'json' } })

/** The RSA keys of a set. The others of the strict provider are there to be passed over. */
async function jwksAt(url: string): Promise<NonNullable<ProviderMetadata['jwks']>> {
  const { keys } = (await (await fetch(url)).json()) as NonNullable<ProviderMetadata['jwks']>
  return { keys: keys.filter(({ kty }) => kty === 'RSA') }
}

describe('providerMetadata.jwks', () => {
  async function metadata(): Promise<ProviderMetadata> {
    const { issuer, endpointUrls } = stage.provider
    return {
      issuer,
      authorization_endpoint: endpointUrls['/authorize'],
      token_endpoint: endpointUrls['/token'],
      jwks: await jwksAt(endpointUrls['/jwks']),
    }
  }
  const isLogin = (app: Awaited<ReturnType<typeof stage.start>>) =>
    app
      .browser()
      .open('/profile')
      .then(({ status }) => status)

  it('verifies ID Tokens, and no key is fetched', async () => {
    const providerMetadata = await metadata()
    stage.provider.reset()
    const app = await stage.start({ providerMetadata })
    assert.deepEqual([await isLogin(app), app.errors], [200, []])
    assert.deepEqual([stage.provider.calls['/jwks'], stage.provider.calls['/discovery']], [0, 0])
  })

  it('is not fetched again when the provider changes its keys, and no login works then', async () => {
    const providerMetadata = await metadata()
    const app = await stage.start({ providerMetadata })
    await stage.provider.rotateKeys()
    const before = stage.provider.calls['/jwks']
    assert.equal(await isLogin(app), 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_KEY'])
    assert.match(app.errors[0]?.message ?? '', /providerMetadata\.jwks/)
    assert.equal(stage.provider.calls['/jwks'], before)
  })

  it('refuses a token that another key has signed under the same kid', async () => {
    const providerMetadata = await metadata()
    const other = createRsaKeyPair().publicKey.export({ format: 'jwk' })
    const keys = providerMetadata.jwks?.keys.map((key) => (key['kty'] === 'RSA' ? { ...key, n: other.n ?? '' } : key))
    const app = await stage.start({ providerMetadata: { ...providerMetadata, jwks: { keys: keys ?? [] } } })
    assert.deepEqual([await isLogin(app), codesOf(app)], [502, ['ERR_OIDC_ID_TOKEN_SIGNATURE']])
  })

  it('lets a recheck go on without a document to fetch', async () => {
    const { browser, app } = await stage.startLoggedIn({ providerMetadata: await metadata() })
    const page = await browser.open('/login?prompt=none&returnTo=/profile')
    assert.deepEqual([page.status, app.errors], [200, []])
  })

  it('does not count in a document that the provider serves', async () => {
    const forged = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })
    stage.provider.change.discovery = (json) => ({ ...json, jwks: { keys: [forged] } })
    const app = await stage.start()
    assert.deepEqual([await isLogin(app), app.errors], [200, []])
    assert.equal(stage.provider.calls['/jwks'], 1)
  })

  it('is required of a served document as jwks_uri', async () => {
    stage.provider.change.discovery = ({ jwks_uri: _, ...json }) => ({ ...json, jwks: { keys: [] } })
    const app = await stage.start()
    assert.deepEqual([await isLogin(app), codesOf(app)], [502, ['ERR_OIDC_METADATA_INVALID']])
  })

  it('makes ready() fetch nothing', async () => {
    const auth = oidc({
      issuer: stage.provider.issuer,
      ...{ clientId: 'x', clientSecret: 'y'.repeat(32), baseUrl: 'https://app.example.test' },
      providerMetadata: await metadata(),
      dangerouslyAllowInsecureRequests: true,
      fetch: async () => assert.fail('a request was sent'),
    })
    await auth.ready()
  })
})

describe('providerMetadata.jwks at oidc-provider', () => {
  const provider = share(() => startProvider())

  it('verifies ID Tokens, and no key is fetched', async () => {
    const { issuer } = provider()
    const jwks = await jwksAt(`${issuer}/jwks`)
    const fetched = provider().count('/jwks')
    const endpoints = { authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token` }
    const app = await stage.start({ providerMetadata: { issuer, ...endpoints, jwks } }, { provider: provider() })
    assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))
    assert.equal(provider().count('/jwks'), fetched)
  })
})

describe('providerMetadata.jwks of bearer()', () => {
  const theIssuer = share(() => startTokenIssuer())
  const stopLater = stopAfterEach()
  const seen = observeDenials()

  it('verifies access tokens, refuses those of other keys, and no key is fetched', async () => {
    const { issuer, keys, requests } = theIssuer()
    const jwks = { keys: [keys.p256.jwk as Record<string, string>] }
    const app = stopLater(await startApi(theIssuer(), { providerMetadata: { issuer, jwks } }))
    assert.equal((await app.call(theIssuer().token())).status, 200)
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    assert.equal((await app.call(theIssuer().token({}, { key: stranger }))).status, 401)
    assert.equal((await app.call(theIssuer().token({}, { kid: 'unknown' }))).status, 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_ACCESS_TOKEN_SIGNATURE', 'ERR_OIDC_ACCESS_TOKEN_KEY'])
    assert.deepEqual(requests, [])
  })
})

describe('the keys in providerMetadata.jwks', () => {
  const issuer = 'https://op.example'
  const rsa = createRsaKeyPair()
  const good = { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'a' }
  const ec = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }), kid: 'b' }
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
  const endpoints = { authorization_endpoint: `${issuer}/a`, token_endpoint: `${issuer}/t` }
  const options = { issuer, clientId: 'x', clientSecret: 'y'.repeat(32), baseUrl: 'https://app.example' }
  const secret = createHmac('sha256', 'k').digest('base64url')

  const make = (metadata: object, more: object = {}) =>
    oidc({ ...options, providerMetadata: { issuer, ...endpoints, ...metadata } as ProviderMetadata, ...more })

  const rows: readonly (readonly [name: string, keys: unknown, message: RegExp])[] = [
    ['are none', [], /keys must be a list of one or more public JSON Web Keys/],
    ['are no list', good, /keys must be a list/],
    ['are missing', undefined, /keys must be a list/],
    ['hold text', ['key'], /keys\[0\] must be a JSON Web Key as a plain object/],
    ['hold null', [null], /keys\[0\] must be a JSON Web Key as a plain object/],
    ['hold a private RSA key', [rsa.privateKey.export({ format: 'jwk' })], /keys\[0\] must be a public key/],
    ['hold the member d alone', [{ ...good, d: secret }], /keys\[0\] must be a public key/],
    ['hold a prime', [{ ...good, p: secret }], /keys\[0\] must be a public key/],
    ['hold a secret', [{ kty: 'oct', k: secret }], /keys\[0\] must be a public key/],
    ['hold a private EC key', [ec, { ...ec, kid: 'c', d: secret }], /keys\[1\] must be a public key/],
    ['hold a private key of another type', [{ kty: 'AKP', alg: 'X', priv: secret }], /keys\[0\] must be a public key/],
    ['hold a key of an unknown type', [{ kty: 'XYZ' }], /keys\[0\] must be an RSA key/],
    ['hold an unknown curve', [{ ...ec, crv: 'secp256k1' }], /keys\[0\] must be an RSA key/],
    ['hold an RSA key with a curve', [{ ...good, crv: 'P-256' }], /keys\[0\] must be an RSA key/],
    ['hold a kid that is a number', [{ ...good, kid: 7 }], /keys\[0\]\.kid must be a non-empty string/],
    ['hold an unknown use', [{ ...good, use: 'tls' }], /keys\[0\]\.use must be one of/],
    ['hold key_ops for nothing', [{ ...good, key_ops: ['sign'] }], /keys\[0\] must have a use and key_ops/],
    ['hold half a key', [{ ...ec, y: undefined }], /keys\[0\] must be complete/],
    ['hold a point off the curve', [{ ...ec, y: ec.x }], /keys\[0\] must be complete/],
    ['hold a weak RSA key', [weak], /keys\[0\] must have at least 2048 bits/],
    ['hold an exponent of 1', [{ ...good, e: 'AQ' }], /keys\[0\] must (?:have at least 2048 bits|be complete)/],
    ['hold a kid twice', [good, { ...ec, kid: 'a' }], /keys must not contain two keys with the same kid and use/],
    ['hold a kid twice, once with use', [good, { ...ec, kid: 'a', use: 'sig' }], /same kid and use/],
    [
      'are too many',
      Array.from({ length: 101 }, (_, kid) => ({ ...ec, kid: `${kid}` })),
      /keys must have at most 100 keys/,
    ],
    ['hold no key for the algorithm', [ec], /providerMetadata\.jwks has no key for idTokenSignedResponseAlg 'RS256'/],
    ['hold one for encryption alone', [{ ...good, use: 'enc' }], /has no key for/],
    ['hold one for another algorithm', [{ ...good, alg: 'PS256' }], /has no key for/],
  ]
  for (const [name, keys, message] of rows) {
    it(`are refused at start if they ${name}, and no message shows them`, () => {
      assert.throws(
        () => make({ jwks: { keys } }),
        (error) => error instanceof ConfigError && message.test(error.message) && !error.message.includes(secret),
        name,
      )
    })
  }

  it('are accepted if they are right', () => {
    const sets: readonly (readonly [keys: readonly object[], alg: string])[] = [
      [[good], 'RS256'],
      [[{ ...good, alg: 'RS256', use: 'sig' }, ec], 'RS256'],
      [
        [
          { ...good, use: 'sig' },
          { ...good, use: 'enc' },
        ],
        'PS256',
      ],
      [[{ ...ec, kid: undefined }, good], 'ES256'],
      [[generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) as JsonWebKey], 'EdDSA'],
      [[ec], 'HS256'],
    ]
    for (const [keys, idTokenSignedResponseAlg] of sets) make({ jwks: { keys } }, { idTokenSignedResponseAlg })
  })

  it('are never away or stale, and no budget limits them', async () => {
    const store = createStaticKeyStore({
      keys: [
        { ...good, kty: 'RSA', use: 'enc' },
        { ...good, kty: 'RSA', use: 'sig' },
      ],
    } as JwkSet)
    assert.equal((await store.encryptionKeyFor('RSA-OAEP'))?.kid, 'a')
    assert.equal(await store.encryptionKeyFor('ECDH-ES'), undefined)
    assert.equal((await store.keysFor({ alg: 'RS256' })).length, 1)
    assert.deepEqual([await store.renew(), store.isAway()], [false, false])
    // A budget of 0 would look used up.
    assert.deepEqual([store.status().state, store.status().lastError, store.budgetLeft()], ['configured', null, null])
    store.stop()
    assert.equal((await store.keysFor({ alg: 'RS256' })).length, 1)
  })

  it('replace jwks_uri: both are a conflict, and one of them is required', () => {
    const jwks = { keys: [good] }
    assert.throws(() => make({ jwks, jwks_uri: `${issuer}/keys` }), /must not have both jwks and jwks_uri/)
    assert.throws(() => make({}), /providerMetadata\.jwks_uri must be an absolute/)
    assert.throws(() => make({ jwks: null }), /providerMetadata\.jwks must be a plain object/)
    const extraProviderMetadata = { jwks }
    assert.throws(
      () => oidc({ ...options, extraProviderMetadata } as never),
      /extraProviderMetadata must not contain jwks/,
    )
    const ofBearer = { issuer, audience: 'x', providerMetadata: { issuer, jwks, jwks_uri: `${issuer}/keys` } }
    assert.throws(() => bearer(ofBearer as never), /must not have both jwks and jwks_uri/)
    const withSecret = { issuer, audience: 'x', providerMetadata: { issuer, jwks: { keys: [{ ...good, d: secret }] } } }
    assert.throws(() => bearer(withSecret as never), /keys\[0\] must be a public key/)
  })
})
