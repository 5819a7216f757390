import assert from 'node:assert/strict'
import { createHash, createSecretKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { compactDecrypt, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { OidcError } from '../../lib/errors.ts'
import { createRequestObject, type RequestParams } from '../../lib/protocol/request-object.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import {
  CLIENT_ID,
  CLIENT_SECRET,
  createBackChannel,
  createDirectProvider,
  sendAnswer,
} from '../support/hostile/back-channel.ts'

const rsa = createRsaKeyPair()
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed25519 = generateKeyPairSync('ed25519')
const opRsa = createRsaKeyPair()
const opP256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const clientKeys: readonly JsonWebKey[] = [
  { ...rsa.privateKey.export({ format: 'jwk' }), kid: 'rsa' },
  { ...p256.privateKey.export({ format: 'jwk' }), kid: 'ec' },
  { ...ed25519.privateKey.export({ format: 'jwk' }), kid: 'ed' },
]

const PARAMS: RequestParams = {
  response_type: 'code',
  redirect_uri: 'https://app.example/callback',
  scope: 'openid',
  state: 'the state',
}

const publish = (publicKey: KeyObject, members: object): object => ({
  ...publicKey.export({ format: 'jwk' }),
  ...members,
})

const channel = createBackChannel()

const sign = async (options: object, params: RequestParams = PARAMS, metadata: object = {}): Promise<string> => {
  const provider = await createDirectProvider({ clientKeys, ...options }, { ...metadata }, channel.origin)
  return await createRequestObject(provider, params)
}

async function refuses(work: Promise<unknown>, code: string): Promise<void> {
  const error = await work.then(
    () => assert.fail('nothing was refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OidcError, inspect(error))
  assert.equal(error.code, code)
  assert.doesNotMatch(error.message, /a-Secret|the state|planted/)
}

describe('a request object', () => {
  const KEYS: readonly (readonly [alg: string, key: KeyObject, kid: string | undefined])[] = [
    ['RS256', rsa.publicKey, 'rsa'],
    ['PS256', rsa.publicKey, 'rsa'],
    ['ES256', p256.publicKey, 'ec'],
    ['EdDSA', ed25519.publicKey, 'ed'],
    ['Ed25519', ed25519.publicKey, 'ed'],
    ['HS256', createSecretKey(CLIENT_SECRET, 'utf8'), undefined],
  ]
  for (const [alg, key, kid] of KEYS) {
    it(`is signed with ${alg}, for this provider, by this client, for five minutes`, async () => {
      const jwt = await sign({ requestObjectSigningAlg: alg, clientSecret: CLIENT_SECRET })
      const { payload, protectedHeader } = await jwtVerify(jwt, key, { algorithms: [alg], audience: channel.origin })
      assert.deepEqual(protectedHeader, { alg, typ: 'oauth-authz-req+jwt', ...(kid === undefined ? {} : { kid }) })
      const { iat = 0, nbf, exp = 0, jti, ...claims } = payload
      assert.deepEqual(claims, { ...PARAMS, client_id: CLIENT_ID, iss: CLIENT_ID, aud: channel.origin })
      assert.ok(Math.abs(iat - Date.now() / 1000) < 5)
      assert.deepEqual([nbf, exp - iat], [iat, 300])
      assert.match(String(jti), /^[\w-]{22,}$/)
    })
  }

  it('is never the same twice', async () => {
    const made = [await sign({ requestObjectSigningAlg: 'ES256' }), await sign({ requestObjectSigningAlg: 'ES256' })]
    assert.equal(new Set(made.map((jwt) => decodeJwt(jwt).jti)).size, 2)
  })

  it('is unsigned only if the option is none', async () => {
    const jwt = await sign({ requestObjectSigningAlg: 'none' })
    assert.match(jwt, /^[\w-]+\.[\w-]+\.$/)
    assert.equal(JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()).alg, 'none')
    assert.equal(decodeJwt(jwt)['state'], 'the state')
    const metadata = { request_object_signing_alg_values_supported: ['none'] }
    assert.equal(decodeProtectedHeader(await sign({}, PARAMS, metadata)).alg, 'RS256')
  })

  it('is signed with an algorithm that the provider supports if the option is not set', async () => {
    const metadata = { request_object_signing_alg_values_supported: ['none', 'ES256'] }
    assert.equal(decodeProtectedHeader(await sign({}, PARAMS, metadata)).alg, 'ES256')
  })

  const claims = { id_token: { acr: { essential: true } } }
  const VALUES: readonly (readonly [name: string, given: RequestParams, expected: object])[] = [
    ['max_age as a number', { max_age: '300' }, { max_age: 300 }],
    ['max_age that is a number', { max_age: 0 }, { max_age: 0 }],
    ['claims as JSON', { claims: JSON.stringify(claims) }, { claims }],
    ['claims that are JSON already', { claims }, { claims }],
    [
      'authorization_details as JSON',
      { authorization_details: '[{"type":"payment"}]' },
      { authorization_details: [{ type: 'payment' }] },
    ],
    [
      'several resources',
      { resource: ['https://a.example', 'https://b.example'] },
      { resource: ['https://a.example', 'https://b.example'] },
    ],
    [
      'text that looks like JSON or a number as text',
      { login_hint: '5', state: '{}' },
      { login_hint: '5', state: '{}' },
    ],
  ]
  for (const [name, given, expected] of VALUES) {
    it(`has ${name}`, async () => {
      const held = decodeJwt(await sign({ requestObjectSigningAlg: 'ES256' }, given))
      assert.deepEqual({ ...held, ...expected }, held)
    })
  }

  it('contains no request, no credentials and nothing of a client assertion', async () => {
    const planted = {
      ...{ request: 'planted', request_uri: 'planted', sub: 'planted', client_secret: 'planted' },
      ...{ client_assertion: 'planted', client_assertion_type: 'planted' },
    }
    const jwt = await sign({ requestObjectSigningAlg: 'ES256' }, { ...PARAMS, ...planted })
    assert.doesNotMatch(JSON.stringify(decodeJwt(jwt)), /planted/)
  })

  it('keeps its own claims, whatever the parameters are', async () => {
    const planted = {
      ...{ iss: 'planted', aud: 'planted', client_id: 'planted', jti: 'planted' },
      ...{ exp: 9e9, nbf: 5, iat: 5 },
    }
    const { iss, aud, client_id, jti, exp, nbf, iat } = decodeJwt(
      await sign({ requestObjectSigningAlg: 'ES256' }, { ...PARAMS, ...planted }),
    )
    assert.deepEqual([iss, aud, client_id], [CLIENT_ID, channel.origin, CLIENT_ID])
    assert.ok(jti !== 'planted' && exp !== 9e9 && nbf !== 5 && iat !== 5)
  })

  it('is not created if the parameter claims is not JSON', async () => {
    await refuses(sign({ requestObjectSigningAlg: 'ES256' }, { claims: '{planted' }), 'ERR_OIDC_CONFIG')
  })

  it('is not created without a suitable key or secret', async () => {
    await refuses(sign({ requestObjectSigningAlg: 'ES512' }), 'ERR_OIDC_CONFIG')
    // What is written down is refused with the options.
    const short = { requestObjectSigningAlg: 'HS256', clientSecret: () => 'a-Secret' }
    await refuses(sign(short), 'ERR_OIDC_CLIENT_SECRET')
  })
})

describe('an encrypted request object', () => {
  const keys = [
    publish(opRsa.publicKey, { kid: 'op-sig', use: 'sig' }),
    publish(opRsa.publicKey, { kid: 'op-rsa', use: 'enc' }),
    publish(opP256.publicKey, { kid: 'op-ec', use: 'enc' }),
  ]
  const answerKeys = (published: readonly object[]): void => {
    channel.answer = (_, res) => sendAnswer(res, 200, { keys: published })
  }

  async function assertNested(jwe: string, key: KeyObject | Uint8Array, header: object): Promise<void> {
    const { plaintext, protectedHeader } = await compactDecrypt(jwe, key)
    const { epk: _, iv: __, tag: ___, ...rest } = protectedHeader
    assert.deepEqual(rest, { ...header, cty: 'JWT' })
    const { payload } = await jwtVerify(Buffer.from(plaintext).toString(), p256.publicKey, { algorithms: ['ES256'] })
    assert.equal(payload['state'], 'the state')
    assert.ok(!jwe.includes(Buffer.from(plaintext).toString()))
  }

  const ASYMMETRIC: readonly (readonly [alg: string, key: KeyObject, kid: string, enc?: string])[] = [
    ['RSA-OAEP', opRsa.privateKey, 'op-rsa'],
    ['RSA-OAEP-256', opRsa.privateKey, 'op-rsa', 'A256GCM'],
    ['ECDH-ES', opP256.privateKey, 'op-ec'],
    ['ECDH-ES+A256KW', opP256.privateKey, 'op-ec', 'A256CBC-HS512'],
  ]
  for (const [alg, key, kid, enc] of ASYMMETRIC) {
    it(`is signed, then encrypted with ${alg} and a published key of the provider`, async () => {
      answerKeys(keys)
      const jwe = await sign({
        requestObjectSigningAlg: 'ES256',
        requestObjectEncryptionAlg: alg,
        ...(enc === undefined ? {} : { requestObjectEncryptionEnc: enc }),
      })
      await assertNested(jwe, key, { alg, enc: enc ?? 'A128CBC-HS256', kid })
    })
  }

  const hash = (name: string, bytes: number): Buffer =>
    createHash(name).update(CLIENT_SECRET).digest().subarray(0, bytes)
  const SYMMETRIC: readonly (readonly [alg: string, enc: string, key: Buffer])[] = [
    ['dir', 'A128CBC-HS256', hash('sha256', 32)],
    ['dir', 'A128GCM', hash('sha256', 16)],
    ['dir', 'A256CBC-HS512', hash('sha512', 64)],
    ['A128KW', 'A256GCM', hash('sha256', 16)],
    ['A256GCMKW', 'A128GCM', hash('sha256', 32)],
  ]
  for (const [alg, enc, key] of SYMMETRIC) {
    it(`is signed, then encrypted with ${alg}, ${enc} and the client secret`, async () => {
      const jwe = await sign({
        ...{ requestObjectSigningAlg: 'ES256', requestObjectEncryptionAlg: alg, requestObjectEncryptionEnc: enc },
        clientSecret: CLIENT_SECRET,
      })
      await assertNested(jwe, key, { alg, enc })
    })
  }

  it('is not sent unencrypted if the provider publishes no encryption key', async () => {
    answerKeys(keys.slice(0, 1))
    const options = { requestObjectSigningAlg: 'ES256', requestObjectEncryptionAlg: 'RSA-OAEP-256' }
    await refuses(sign(options), 'ERR_OIDC_KEYS_INVALID')
  })

  it('is not sent unencrypted if the keys of the provider cannot be fetched', async () => {
    channel.answer = (_, res) => sendAnswer(res, 500, {})
    const options = { requestObjectSigningAlg: 'ES256', requestObjectEncryptionAlg: 'RSA-OAEP-256' }
    await refuses(sign(options), 'ERR_OIDC_PROVIDER_STATUS')
  })

  it('is not created without a client secret', async () => {
    const provider = await createDirectProvider({ clientKeys, requestObjectSigningAlg: 'ES256' })
    const config = { ...provider.config, requestObjectEncryptionAlg: 'dir' as const }
    await refuses(createRequestObject({ ...provider, config }, PARAMS), 'ERR_OIDC_CONFIG')
  })
})
