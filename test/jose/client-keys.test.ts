import assert from 'node:assert/strict'
import {
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  sign,
  verify,
} from 'node:crypto'
import { describe, it } from 'node:test'
import { calculateJwkThumbprint } from 'jose'
import { createClientKeys } from '../../lib/jose/client-keys.ts'
import { clientKeysRule } from '../../lib/options/client-keys-rule.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'

type Jwk = JsonWebKey & { kty: string; d: string; x: string; n: string }

const rsa = privateJwk(createRsaKeyPair().privateKey)
const otherRsa = privateJwk(createRsaKeyPair().privateKey)
const p256 = privateJwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
const otherP256 = privateJwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
const p384 = privateJwk(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey)
const p521 = privateJwk(generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey)
const ed25519 = privateJwk(generateKeyPairSync('ed25519').privateKey)
const otherEd25519 = privateJwk(generateKeyPairSync('ed25519').privateKey)
const x25519 = privateJwk(generateKeyPairSync('x25519').privateKey)
const weakRsa = privateJwk(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey)
const secp256k1 = privateJwk(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey)
const ed448 = privateJwk(generateKeyPairSync('ed448').privateKey)

const ALL: Readonly<Record<string, Jwk>> = { rsa, p256, p384, p521, ed25519, x25519 }

function privateJwk(key: KeyObject): Jwk {
  return { ...key.export({ format: 'jwk' }) } as Jwk
}

function publicJwk(jwk: JsonWebKey): JsonWebKey {
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'jwk' })
}

/** The kids of the keys, which are told by their material. */
function materialOf(keys: readonly KeyObject[]): unknown[] {
  return keys.map((key) => {
    const { n, x } = key.export({ format: 'jwk' })
    return n ?? x
  })
}

describe('the option clientKeys', () => {
  for (const [name, jwk] of Object.entries(ALL)) {
    it(`accepts a private key: ${name}`, () => {
      assert.deepEqual(clientKeysRule([jwk], 'clientKeys'), [])
      assert.deepEqual(clientKeysRule([{ ...jwk, kid: 'one' }], 'clientKeys'), [])
    })
  }

  it('accepts keys for signatures and encryption, also two keys with one kid', () => {
    const keys = [
      { ...rsa, use: 'sig', alg: 'PS256', kid: 'a' },
      { ...otherRsa, use: 'enc', alg: 'RSA-OAEP-256', kid: 'a' },
      { ...p256, use: 'sig', key_ops: ['sign'] },
      { ...x25519, use: 'enc', key_ops: ['deriveBits'], alg: 'ECDH-ES' },
      { ...ed25519, alg: 'EdDSA' },
      { ...otherEd25519, alg: 'Ed25519', 'x-ours': { of: 'no', one: ['s', 'business'] } },
    ]
    assert.deepEqual(clientKeysRule(keys, 'clientKeys'), [])
  })

  /** Some messages also show which kind of value was given. */
  const withoutReceived = (message: string): string => message.replace(/ Received .*$/, '')

  const NOT_A_LIST = 'clientKeys must be a list of one or more private JSON Web Keys.'
  const PRIVATE = 'clientKeys[0] must be a private key. A public key has no member d, and cannot sign or decrypt.'
  const KIND =
    'clientKeys[0] must be an RSA key, an EC key with curve P-256, P-384 or P-521, an OKP key with curve Ed25519 or ' +
    'X25519, or an AKP key with alg ML-DSA-44, ML-DSA-65 or ML-DSA-87.'
  const WHOLE = 'clientKeys[0] must be complete. Some members are missing, malformed, or do not belong together.'
  const STRONG = 'clientKeys[0] must have at least 2048 bits, and an odd public exponent above 2.'
  const PURPOSE = 'clientKeys[0] must have an alg, use and key_ops that fit each other and the type of the key.'
  const SYMMETRIC =
    'clientKeys[0] must be a private key, not a symmetric one. The client secret belongs in clientSecret.'
  const OBJECT = 'clientKeys[0] must be a JSON Web Key as a plain object.'
  const TWICE = 'clientKeys must not contain two keys with the same kid and use.'

  const faults: readonly [string, unknown, string][] = [
    ['null', null, NOT_A_LIST],
    ['a key that is in no list', rsa, NOT_A_LIST],
    ['a key set', { keys: [rsa] }, NOT_A_LIST],
    ['an empty list', [], NOT_A_LIST],
    ['text', JSON.stringify([rsa]), NOT_A_LIST],
    ['a PEM', ['-----BEGIN PRIVATE KEY-----'], OBJECT],
    ['a key object', [generateKeyPairSync('ed25519').privateKey], OBJECT],
    ['a list in a list', [[rsa]], OBJECT],
    ['null in a list', [null], OBJECT],
    ['a symmetric key', [{ kty: 'oct', k: 'c2VjcmV0LW9mLXRoZS1jbGllbnQ' }], SYMMETRIC],
    ['a symmetric key that says it is RSA', [{ ...rsa, k: 'c2VjcmV0LW9mLXRoZS1jbGllbnQ' }], SYMMETRIC],
    ['an empty object', [{}], KIND],
    ['no kty', [{ ...rsa, kty: undefined }], KIND],
    ['an unknown kty', [{ ...rsa, kty: 'AKP' }], KIND],
    ['a kty in small letters', [{ ...rsa, kty: 'rsa' }], KIND],
    ['a kty of __proto__', [{ ...rsa, kty: '__proto__' }], KIND],
    ['secp256k1', [secp256k1], KIND],
    ['Ed448', [ed448], KIND],
    ['an EC key without curve', [{ ...p256, crv: undefined }], KIND],
    ['an OKP key that is on a curve of EC', [{ ...p256, kty: 'OKP' }], KIND],
    ['the public part of an RSA key', [publicJwk(rsa)], PRIVATE],
    ['the public part of an EC key', [publicJwk(p256)], PRIVATE],
    ['the public part of an OKP key', [publicJwk(ed25519)], PRIVATE],
    ['a kid that is a number', [{ ...rsa, kid: 7 }], 'clientKeys[0].kid must be a non-empty string.'],
    ['an empty kid', [{ ...rsa, kid: '' }], 'clientKeys[0].kid must be a non-empty string.'],
    ['a null kid', [{ ...rsa, kid: null }], 'clientKeys[0].kid must be a non-empty string.'],
    ['an alg that is a list', [{ ...rsa, alg: ['RS256'] }], 'clientKeys[0].alg must be a non-empty string.'],
    ['an unknown use', [{ ...rsa, use: 'both' }], "clientKeys[0].use must be one of 'sig', 'enc'."],
    ['operations in no list', [{ ...rsa, key_ops: 'sign' }], 'clientKeys[0].key_ops must be a list of key operations.'],
    ['operations that are numbers', [{ ...rsa, key_ops: [1] }], 'clientKeys[0].key_ops[0] must be a non-empty string.'],
    ['no operations', [{ ...rsa, key_ops: [] }], PURPOSE],
    ['operations of public keys', [{ ...rsa, key_ops: ['verify', 'wrapKey'] }], PURPOSE],
    ['operations against the use', [{ ...rsa, use: 'enc', key_ops: ['sign'] }], PURPOSE],
    ['an alg against the use', [{ ...rsa, use: 'enc', alg: 'RS256' }], PURPOSE],
    ['an alg of another kind of key', [{ ...rsa, alg: 'ES256' }], PURPOSE],
    ['an alg of another curve', [{ ...p256, alg: 'ES384' }], PURPOSE],
    ['RSA1_5', [{ ...rsa, alg: 'RSA1_5' }], PURPOSE],
    ['HS256', [{ ...rsa, alg: 'HS256' }], PURPOSE],
    ['none', [{ ...rsa, alg: 'none' }], PURPOSE],
    ['Ed25519 for encryption', [{ ...ed25519, use: 'enc' }], PURPOSE],
    ['X25519 for signatures', [{ ...x25519, use: 'sig' }], PURPOSE],
    ['an RSA key of 1024 bits', [weakRsa], STRONG],
    ['an RSA key without its primes', [{ kty: 'RSA', n: rsa.n, e: rsa.e, d: rsa.d }], WHOLE],
    ['an RSA key with more than two primes', [{ ...rsa, oth: [{ r: 'AQ', d: 'AQ', t: 'AQ' }] }], WHOLE],
    ['an RSA key with the modulus of another', [{ ...rsa, n: otherRsa.n }], WHOLE],
    ['an RSA key with a d that is no string', [{ ...rsa, d: 5 }], WHOLE],
    ['an EC key with the d of another', [{ ...p256, d: otherP256.d }], WHOLE],
    ['an EC key with half a point', [{ ...p256, y: undefined }], WHOLE],
    ['an EC key with a point of another curve', [{ ...p256, x: p384.x }], WHOLE],
    ['an Ed25519 key with the x of another', [{ ...ed25519, x: otherEd25519.x }], WHOLE],
    ['an Ed25519 key that was cut', [{ ...ed25519, d: ed25519.d.slice(0, 20) }], WHOLE],
    ['an X25519 key without x', [{ ...x25519, x: undefined }], WHOLE],
    ['one key twice', [rsa, rsa], TWICE],
    [
      'two keys with one kid',
      [
        { ...rsa, kid: 'a' },
        { ...p256, kid: 'a' },
      ],
      TWICE,
    ],
    [
      'a kid for encryption and for both',
      [
        { ...rsa, kid: 'a', use: 'enc' },
        { ...p256, kid: 'a' },
      ],
      TWICE,
    ],
  ]
  for (const [name, value, fault] of faults) {
    it(`refuses ${name}`, () => {
      const found = clientKeysRule(value, 'clientKeys').map(withoutReceived)
      assert.deepEqual(found, [fault])
      const text = JSON.stringify(value)
      for (const [, member = ''] of text.matchAll(/"([\w-]{20,})"/g)) assert.ok(!found.join().includes(member))
    })
  }

  it('reports every invalid key', () => {
    const found = clientKeysRule([rsa, weakRsa, { ...p256, use: 5, kid: 5 }], 'clientKeys').map(withoutReceived)
    assert.deepEqual(found, [
      'clientKeys[1] must have at least 2048 bits, and an odd public exponent above 2.',
      'clientKeys[2].kid must be a non-empty string.',
      "clientKeys[2].use must be one of 'sig', 'enc'.",
    ])
  })
})

describe('the choice of a signing key', () => {
  const keys = createClientKeys([
    { ...x25519, kid: 'x25519' },
    { ...otherRsa, kid: 'enc', use: 'enc' },
    { ...otherRsa, kid: 'unwraps', key_ops: ['unwrapKey'] },
    { ...otherRsa, kid: 'ps256', use: 'sig', alg: 'PS256' },
    { ...rsa, kid: 'rsa', use: 'sig' },
    { ...otherRsa, kid: 'later', use: 'sig' },
    { ...p256, kid: 'p256' },
    { ...p384, kid: 'p384' },
    { ...p521, kid: 'p521' },
    { ...ed25519, kid: 'ed25519', alg: 'EdDSA' },
  ])
  const choices: readonly [string, string | undefined][] = [
    ['PS256', 'ps256'],
    ['RS256', 'rsa'],
    ['RS512', 'rsa'],
    ['PS384', 'rsa'],
    ['ES256', 'p256'],
    ['ES384', 'p384'],
    ['ES512', 'p521'],
    ['EdDSA', 'ed25519'],
    ['Ed25519', 'ed25519'],
    ['RSA-OAEP', undefined],
    ['ECDH-ES', undefined],
    ['HS256', undefined],
    ['none', undefined],
    ['ES256K', undefined],
    ['__proto__', undefined],
    ['', undefined],
  ]
  for (const [alg, kid] of choices) {
    it(`is ${kid ?? 'no key'} for ${alg || 'an empty name'}`, () => assert.equal(keys.signingKey(alg)?.kid, kid))
  }

  it('returns keys that can sign', () => {
    const data = Buffer.from('data')
    for (const [alg, hash, jwk] of [
      ['RS256', 'sha256', rsa],
      ['ES384', 'sha384', p384],
      ['EdDSA', undefined, ed25519],
    ] as const) {
      const chosen = keys.signingKey(alg)
      assert.ok(chosen !== undefined)
      const key = createPublicKey({ key: jwk, format: 'jwk' })
      assert.ok(verify(hash, data, key, sign(hash, data, chosen.key)))
    }
  })

  it('has two names for one algorithm: EdDSA and Ed25519', () => {
    for (const alg of ['EdDSA', 'Ed25519']) {
      const own = createClientKeys([{ ...ed25519, alg }])
      const found = ['EdDSA', 'Ed25519', 'ES256'].map((name) => own.signingKey(name)?.alg)
      assert.deepEqual(found, [alg, alg, undefined])
    }
  })

  it('includes the alg of the key, if it has one', () => {
    assert.equal(keys.signingKey('PS256')?.alg, 'PS256')
    assert.equal(keys.signingKey('RS256')?.alg, undefined)
  })
})

describe('the choice of decryption keys', () => {
  const keys = createClientKeys([
    { ...rsa, kid: 'sig', use: 'sig' },
    { ...rsa, kid: 'signs', key_ops: ['sign'] },
    { ...rsa, kid: 'new', use: 'enc' },
    { ...otherRsa, kid: 'old', use: 'enc', alg: 'RSA-OAEP-256' },
    { ...p256, kid: 'p256', use: 'enc' },
    { ...p384, kid: 'p384' },
    { ...x25519, kid: 'x25519', use: 'enc' },
    { ...ed25519, kid: 'ed25519' },
  ])
  const choices: readonly [string, { alg: string; kid?: string; crv?: string }, readonly unknown[]][] = [
    ['all that fit, in their order', { alg: 'RSA-OAEP-256' }, [rsa.n, otherRsa.n]],
    ['first the one with the kid', { alg: 'RSA-OAEP-256', kid: 'old' }, [otherRsa.n, rsa.n]],
    ['all for a kid of the provider', { alg: 'RSA-OAEP-256', kid: 'of-theirs' }, [rsa.n, otherRsa.n]],
    ['none with another alg', { alg: 'RSA-OAEP', kid: 'old' }, [rsa.n]],
    ['those that agree on keys', { alg: 'ECDH-ES' }, [p256.x, p384.x, x25519.x]],
    ['the one on the curve', { alg: 'ECDH-ES+A256KW', crv: 'P-384', kid: 'p256' }, [p384.x]],
    ['X25519 by its curve', { alg: 'ECDH-ES', crv: 'X25519' }, [x25519.x]],
    ['none on another curve', { alg: 'ECDH-ES', crv: 'P-521' }, []],
    ['none on the curve of signatures', { alg: 'ECDH-ES', crv: 'Ed25519' }, []],
    ['none for RSA1_5', { alg: 'RSA1_5', kid: 'new' }, []],
    ['none for dir', { alg: 'dir', kid: 'new' }, []],
    ['none for A256KW', { alg: 'A256KW' }, []],
    ['none for an algorithm of signatures', { alg: 'RS256', kid: 'sig' }, []],
    ['none for __proto__', { alg: '__proto__', kid: '__proto__' }, []],
  ]
  for (const [name, hint, expected] of choices) {
    it(`are ${name}`, () => assert.deepEqual(materialOf(keys.decryptionKeys(hint)), expected))
  }

  it('are at most 16', () => {
    const many = createClientKeys(Array.from({ length: 30 }, (_, index) => ({ ...rsa, kid: `${index}` })))
    assert.equal(many.decryptionKeys({ alg: 'RSA-OAEP', kid: '29' }).length, 16)
  })

  it('are keys that can decrypt', () => {
    const key = createPublicKey({ key: otherRsa, format: 'jwk' })
    const encrypted = publicEncrypt(key, Buffer.from('data'))
    const [first] = keys.decryptionKeys({ alg: 'RSA-OAEP-256', kid: 'old' })
    assert.ok(first !== undefined)
    assert.equal(privateDecrypt(first, encrypted).toString(), 'data')
  })
})

describe('the published keys', () => {
  const given = [
    { ...rsa, kid: 'rsa', use: 'sig', alg: 'RS256', key_ops: ['sign'], x5t: 'AAAA', 'x-secret': 'mine' },
    { ...p256, use: 'enc' },
    { ...ed25519, kid: 'ed' },
    x25519,
  ]

  it('are the public members with kid, use and alg, and nothing else', async () => {
    const { publicJwks } = createClientKeys(given)
    assert.deepEqual(publicJwks, {
      keys: [
        { kty: 'RSA', n: rsa.n, e: rsa.e, kid: 'rsa', use: 'sig', alg: 'RS256' },
        { kty: 'EC', crv: 'P-256', x: p256.x, y: p256.y, kid: await calculateJwkThumbprint(p256), use: 'enc' },
        { kty: 'OKP', crv: 'Ed25519', x: ed25519.x, kid: 'ed' },
        { kty: 'OKP', crv: 'X25519', x: x25519.x, kid: await calculateJwkThumbprint(x25519) },
      ],
    })
  })

  it('have no private member', () => {
    const published = JSON.stringify(createClientKeys(Object.values(ALL)).publicJwks)
    for (const jwk of Object.values(ALL)) {
      for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi']) {
        const value = jwk[name]
        if (value !== undefined) assert.ok(!published.includes(String(value)), `${jwk.kty} ${name}`)
      }
    }
    assert.doesNotMatch(published, /"(d|p|q|dp|dq|qi|k|oth)"/)
  })

  it('have their RFC 7638 thumbprint as kid if the option has none', async () => {
    for (const jwk of Object.values(ALL)) {
      const [published] = createClientKeys([jwk]).publicJwks.keys
      assert.equal(published?.['kid'], await calculateJwkThumbprint(jwk))
    }
  })

  it('cannot be changed', () => {
    const { publicJwks } = createClientKeys(given)
    assert.ok(Object.isFrozen(publicJwks) && Object.isFrozen(publicJwks.keys) && publicJwks.keys.every(Object.isFrozen))
  })

  it('are an empty list without client keys', () => {
    const none = createClientKeys([])
    assert.deepEqual(none.publicJwks, { keys: [] })
    assert.equal(none.signingKey('RS256'), undefined)
    assert.deepEqual(none.decryptionKeys({ alg: 'RSA-OAEP' }), [])
  })
})
