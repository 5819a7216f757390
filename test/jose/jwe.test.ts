import assert from 'node:assert/strict'
import {
  createCipheriv,
  createHash,
  createHmac,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto'
import { describe, it } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { CompactEncrypt } from 'jose'
import { createClientKeys } from '../../lib/jose/client-keys.ts'
import type { TokenKind } from '../../lib/jose/compact-token.ts'
import { encryptionKeyOfSecret } from '../../lib/jose/jwe.ts'
import { type SignatureExpectations, verifyJws } from '../../lib/jose/jws.ts'
import { createKeyStore } from '../../lib/provider/keys.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'

const provider = createRsaKeyPair()
const rsa = createRsaKeyPair()
const otherRsa = createRsaKeyPair()
const signingRsa = createRsaKeyPair()
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const x25519 = generateKeyPairSync('x25519')
const secret = 'a client secret of some length, with umlauts: äöü'

const clientKeys = createClientKeys([
  jwk(rsa.privateKey, { kid: 'rsa', use: 'enc' }),
  jwk(signingRsa.privateKey, { kid: 'signs', use: 'sig' }),
  jwk(p256.privateKey, { kid: 'p256', use: 'enc' }),
  jwk(p384.privateKey, { kid: 'p384', use: 'enc' }),
  jwk(p521.privateKey, { kid: 'p521', use: 'enc' }),
  jwk(x25519.privateKey, { kid: 'x25519', use: 'enc' }),
])
const keys = createKeyStore(
  {
    getJson: async () => ({
      json: JSON.parse(JSON.stringify({ keys: [jwk(provider.publicKey, { kid: 'one', use: 'sig' })] })),
      headers: new Headers(),
    }),
  },
  'https://op.example.com/keys',
)

function jwk(key: KeyObject, members: Record<string, unknown> = {}): JsonWebKey {
  return { ...key.export({ format: 'jwk' }), ...members }
}

function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

function signed(header: object, payload: unknown, key: KeyObject = provider.privateKey): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
}

const CLAIMS = { sub: 'jane', iss: 'https://op.example.com' }
const jws = signed({ alg: 'RS256', kid: 'one' }, CLAIMS)

/** What a provider sends: made by jose, with another implementation of our derivation of keys from secrets. */
async function encrypted(
  plaintext: string | Uint8Array,
  header: { alg: string; enc: string; [name: string]: unknown },
  key: KeyObject = keyFor(header.alg, header.enc),
): Promise<string> {
  return await new CompactEncrypt(typeof plaintext === 'string' ? Buffer.from(plaintext) : plaintext)
    .setProtectedHeader(header)
    .encrypt(key)
}

const HASHES = { 16: 'sha256', 24: 'sha256', 32: 'sha256', 48: 'sha384', 64: 'sha512' } as const
const DIRECT = {
  A128GCM: 16,
  A192GCM: 24,
  A256GCM: 32,
  'A128CBC-HS256': 32,
  'A192CBC-HS384': 48,
  'A256CBC-HS512': 64,
} as const

function keyFor(alg: string, enc: string): KeyObject {
  if (alg.startsWith('RSA')) return rsa.publicKey
  if (alg.startsWith('ECDH')) return p256.publicKey
  const length = alg === 'dir' ? DIRECT[enc as keyof typeof DIRECT] : ((Number(alg.slice(1, 4)) / 8) as 16 | 24 | 32)
  return createSecretKey(createHash(HASHES[length]).update(secret).digest().subarray(0, length))
}

function expecting(alg: string, enc: string, changes: Partial<SignatureExpectations> = {}): SignatureExpectations {
  return { alg: 'RS256', clientSecret: secret, encryption: { alg, enc, keys: clientKeys }, ...changes }
}

const GOOD = { alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: 'rsa', cty: 'JWT' }
const goodExpected = expecting('RSA-OAEP-256', 'A256GCM')

/** Asserts the code and status, and that the message holds nothing of the token. */
async function refuses(
  token: unknown,
  name: string,
  expected: SignatureExpectations = goodExpected,
  kind: TokenKind = 'ID_TOKEN',
): Promise<Error> {
  let refusal: Error | undefined
  await assert.rejects(verifyJws(kind, token, keys, expected), (error: Error & { code?: string; cause?: unknown }) => {
    assert.equal(error.code, `ERR_OIDC_${kind}_${name}`, error.message)
    assert.equal(error.cause, undefined)
    for (const part of String(token).split('.')) assert.ok(part.length < 10 || !error.message.includes(part))
    refusal = error
    return true
  })
  return refusal ?? assert.fail()
}

/** Changes a character in the middle of one part. */
function tamper(token: string, part: number): string {
  const parts = token.split('.')
  const value = parts[part] ?? ''
  const at = Math.floor(value.length / 2)
  parts[part] = `${value.slice(0, at)}${value[at] === 'A' ? 'B' : 'A'}${value.slice(at + 1)}`
  return parts.join('.')
}

/** Writes the same bytes in another way: 256 bytes leave four bits of the last character that mean nothing. */
function respell(token: string, part: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const value = token.split('.')[part] ?? ''
  return replacePart(token, part, value.slice(0, -1) + alphabet[alphabet.indexOf(value.slice(-1)) + 1])
}

/** A JWE made by hand with a key of the secret, for what jose does not make. */
function direct(header: object, plaintext: Uint8Array | string): string {
  const protectedHeader = encode(header)
  const iv = Buffer.alloc(12, 7)
  const cipher = createCipheriv('aes-256-gcm', keyFor('dir', 'A256GCM'), iv)
  cipher.setAAD(Buffer.from(protectedHeader))
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const [first, second, third] = [iv, ciphertext, cipher.getAuthTag()].map((bytes) => bytes.toString('base64url'))
  return `${protectedHeader}..${first}.${second}.${third}`
}

describe('an encrypted token', () => {
  const algorithms = [
    ...['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512'],
    ...['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW'],
    ...['A128KW', 'A192KW', 'A256KW', 'A128GCMKW', 'A192GCMKW', 'A256GCMKW', 'dir'],
  ]
  for (const alg of algorithms) {
    for (const enc of alg === 'dir' || alg === 'ECDH-ES' ? Object.keys(DIRECT) : ['A256GCM', 'A128CBC-HS256']) {
      it(`is decrypted with ${alg} and ${enc}`, async () => {
        const token = await encrypted(jws, { alg, enc, cty: 'JWT' })
        const verified = await verifyJws('ID_TOKEN', token, keys, expecting(alg, enc))
        assert.deepEqual(verified, { claims: CLAIMS, token: jws, alg: 'RS256' })
      })
    }
  }

  for (const enc of Object.keys(DIRECT)) {
    it(`is decrypted with RSA-OAEP-256 and ${enc}`, async () => {
      const token = await encrypted(jws, { ...GOOD, enc })
      assert.equal((await verifyJws('ID_TOKEN', token, keys, expecting('RSA-OAEP-256', enc))).token, jws)
    })
  }

  for (const [curve, { publicKey }] of Object.entries({ p256, p384, p521, x25519 })) {
    it(`is decrypted with ECDH-ES on ${curve}, with and without a kid`, async () => {
      for (const kid of [curve, undefined]) {
        for (const alg of ['ECDH-ES', 'ECDH-ES+A256KW']) {
          const header = { alg, enc: 'A128GCM', ...(kid === undefined ? {} : { kid }) }
          const token = await encrypted(jws, header, publicKey)
          assert.equal((await verifyJws('ID_TOKEN', token, keys, expecting(alg, 'A128GCM'))).token, jws)
        }
      }
    })
  }

  it('is decrypted with ECDH-ES if it names both parties', async () => {
    const token = await new CompactEncrypt(Buffer.from(jws))
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A128GCM' })
      .setKeyManagementParameters({ apu: Buffer.from('Alice'), apv: Buffer.from('Bob') })
      .encrypt(p256.publicKey)
    assert.equal((await verifyJws('ID_TOKEN', token, keys, expecting('ECDH-ES', 'A128GCM'))).token, jws)
  })

  it('is decrypted as any kind of token', async () => {
    for (const kind of ['ID_TOKEN', 'RESPONSE_JWT', 'USERINFO_JWT'] as const) {
      assert.equal((await verifyJws(kind, await encrypted(jws, GOOD), keys, goodExpected)).token, jws)
    }
  })

  it('may contain a token that is signed with the client secret', async () => {
    const input = `${encode({ alg: 'HS256' })}.${encode(CLAIMS)}`
    const inner = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
    const token = await encrypted(inner, { alg: 'dir', enc: 'A128CBC-HS256' })
    const expected = expecting('dir', 'A128CBC-HS256', { alg: 'HS256' })
    assert.equal((await verifyJws('ID_TOKEN', token, keys, expected)).token, inner)
    await refuses(await encrypted(tamper(inner, 2), { alg: 'dir', enc: 'A128CBC-HS256' }), 'SIGNATURE', expected)
  })

  for (const cty of [undefined, 'JWT', 'jwt', 'application/jwt']) {
    it(`may have ${cty ?? 'no value'} as cty`, async () => {
      const { cty: _cty, ...header } = GOOD
      const token = await encrypted(jws, cty === undefined ? header : { ...header, cty })
      assert.equal((await verifyJws('ID_TOKEN', token, keys, goodExpected)).token, jws)
    })
  }

  it('may have URLs of keys, which are ignored', async () => {
    const foreign = jwk(otherRsa.publicKey)
    const token = await encrypted(jws, { ...GOOD, jku: 'https://evil.example/keys', jwk: foreign, typ: 'anything' })
    assert.equal((await verifyJws('ID_TOKEN', token, keys, goodExpected)).token, jws)
  })
})

describe('the rotation of encryption keys', () => {
  const both = createClientKeys([
    jwk(rsa.privateKey, { kid: 'new', use: 'enc' }),
    jwk(otherRsa.privateKey, { kid: 'old', use: 'enc' }),
  ])
  const onlyNew = createClientKeys([jwk(rsa.privateKey, { kid: 'new', use: 'enc' })])
  const by = (own: typeof both) => expecting('RSA-OAEP-256', 'A256GCM', { encryption: { ...GOOD, keys: own } })

  const headers: readonly [string, Record<string, unknown>][] = [
    ['its kid', { kid: 'old' }],
    ['no kid', { kid: undefined }],
    ['a kid that the provider has made up', { kid: 'of-theirs' }],
    ['the kid of the new one', { kid: 'new' }],
  ]
  for (const [name, header] of headers) {
    it(`decrypts with the old key a token with ${name}`, async () => {
      const token = await encrypted(jws, JSON.parse(JSON.stringify({ ...GOOD, ...header })), otherRsa.publicKey)
      assert.equal((await verifyJws('ID_TOKEN', token, keys, by(both))).token, jws)
    })
  }

  it('decrypts with the new key', async () => {
    const token = await encrypted(jws, { ...GOOD, kid: 'new' }, rsa.publicKey)
    assert.equal((await verifyJws('ID_TOKEN', token, keys, by(both))).token, jws)
  })

  it('decrypts nothing with a removed key', async () => {
    await refuses(await encrypted(jws, { ...GOOD, kid: 'old' }, otherRsa.publicKey), 'DECRYPTION', by(onlyNew))
  })
})

describe('an encrypted token is refused', () => {
  const rsa15 = (header: object) => {
    const [, ...rest] = direct({ alg: 'RSA1_5', enc: 'A256GCM' }, jws).split('.')
    return [encode({ alg: 'RSA1_5', enc: 'A256GCM', ...header }), 'AAAA', ...rest.slice(1)].join('.')
  }
  const other = (header: object) => encrypted(jws, { ...GOOD, ...header })
  /** The header is protected: the token does not open any more, but it is refused before anybody tries. */
  const withHeader = async (header: object) =>
    [encode({ ...GOOD, ...header }), ...(await encrypted(jws, GOOD)).split('.').slice(1)].join('.')
  const inside = (plaintext: string | Uint8Array) => encrypted(plaintext, GOOD)

  const rows: readonly [string, () => string | Promise<string>, string][] = [
    ['by RSA1_5', () => rsa15({}), 'ENCRYPTION_ALG'],
    ['by another alg of RSA', () => other({ alg: 'RSA-OAEP' }), 'ENCRYPTION_ALG'],
    ['by an alg of EC', () => encrypted(jws, { alg: 'ECDH-ES', enc: 'A256GCM' }), 'ENCRYPTION_ALG'],
    ['by the client secret', () => direct({ alg: 'dir', enc: 'A256GCM' }, jws), 'ENCRYPTION_ALG'],
    ['by a password', () => withHeader({ alg: 'PBES2-HS256+A128KW', p2c: 1e9, p2s: 'AAAA' }), 'ENCRYPTION_ALG'],
    ['by an alg in another case', () => withHeader({ alg: 'rsa-oaep-256' }), 'ENCRYPTION_ALG'],
    ['by an alg in a list', () => withHeader({ alg: ['RSA-OAEP-256'] }), 'ENCRYPTION_ALG'],
    ['by none', () => withHeader({ alg: 'none' }), 'ENCRYPTION_ALG'],
    ['by no alg', () => withHeader({ alg: undefined }), 'ENCRYPTION_ALG'],
    ['by an alg of signatures', () => withHeader({ alg: 'RS256' }), 'ENCRYPTION_ALG'],
    ['with another enc', () => other({ enc: 'A128CBC-HS256' }), 'ENCRYPTION_ALG'],
    ['with a weaker enc', () => other({ enc: 'A128GCM' }), 'ENCRYPTION_ALG'],
    ['with no enc', () => withHeader({ enc: undefined }), 'ENCRYPTION_ALG'],
    ['with an enc of __proto__', () => withHeader({ enc: '__proto__' }), 'ENCRYPTION_ALG'],
    ['when compressed', () => withHeader({ zip: 'DEF' }), 'CRIT'],
    ['with zip null', () => withHeader({ zip: null }), 'CRIT'],
    ['with crit', () => withHeader({ crit: ['exp'], exp: 1 }), 'CRIT'],
    ['with an empty crit', () => withHeader({ crit: [] }), 'CRIT'],
    ['with something else inside, as it says', () => other({ cty: 'text/plain' }), 'TYPE'],
    ['with an empty cty', () => other({ cty: '' }), 'TYPE'],
    ['with a cty that begins like JWT', () => other({ cty: 'JWTs' }), 'TYPE'],
    ['with a cty that ends like JWT', () => other({ cty: 'at+JWT' }), 'TYPE'],
    ['with cty in a list', () => withHeader({ cty: ['JWT'] }), 'TYPE'],
    ['with a kid that is a number', () => withHeader({ kid: 5 }), 'MALFORMED'],

    ['with a tampered header', () => withHeader({ extra: 1 }), 'DECRYPTION'],
    ['with a tampered encrypted key', async () => tamper(await encrypted(jws, GOOD), 1), 'DECRYPTION'],
    ['with a tampered iv', async () => tamper(await encrypted(jws, GOOD), 2), 'DECRYPTION'],
    ['with a tampered ciphertext', async () => tamper(await encrypted(jws, GOOD), 3), 'DECRYPTION'],
    ['with a tampered tag', async () => tamper(await encrypted(jws, GOOD), 4), 'DECRYPTION'],
    [
      'with a tag cut to 32 bits',
      async () => (await encrypted(jws, GOOD)).replace(/\.[^.]*$/, '.AAAAAA'),
      'DECRYPTION',
    ],
    ['with an iv of 8 bytes', async () => replacePart(await encrypted(jws, GOOD), 2, 'AAAAAAAAAAA'), 'DECRYPTION'],
    ['with an encrypted key of 1 byte', async () => replacePart(await encrypted(jws, GOOD), 1, 'AA'), 'DECRYPTION'],
    ['without an encrypted key', async () => replacePart(await encrypted(jws, GOOD), 1, ''), 'DECRYPTION'],
    ['for the key of another client', () => encrypted(jws, GOOD, otherRsa.publicKey), 'DECRYPTION'],
    ['for the key that signs', () => encrypted(jws, { ...GOOD, kid: 'signs' }, signingRsa.publicKey), 'DECRYPTION'],

    ['without an iv', async () => replacePart(await encrypted(jws, GOOD), 2, ''), 'MALFORMED'],
    ['without a ciphertext', async () => replacePart(await encrypted(jws, GOOD), 3, ''), 'MALFORMED'],
    ['without a tag', async () => replacePart(await encrypted(jws, GOOD), 4, ''), 'MALFORMED'],
    ['of five parts of rubbish', () => 'a.b.c.d.e', 'MALFORMED'],
    ['of five empty parts', () => '....', 'MALFORMED'],
    ['with a header that is no JSON', async () => replacePart(await encrypted(jws, GOOD), 0, 'AAAA'), 'MALFORMED'],
    ['with a header that is a list', async () => replacePart(await encrypted(jws, GOOD), 0, encode([])), 'MALFORMED'],
    ['with padding', async () => `${await encrypted(jws, GOOD)}==`, 'MALFORMED'],
    ['with a line feed', async () => `${await encrypted(jws, GOOD)}\n`, 'MALFORMED'],
    [
      'with an encrypted key in another spelling of the same bytes',
      async () => respell(await encrypted(jws, GOOD), 1),
      'MALFORMED',
    ],
    [
      'with standard Base64',
      async () => replacePart(await encrypted(jws, GOOD), 4, '++++/////+++++++++++++'),
      'MALFORMED',
    ],

    ['with nothing inside', () => inside(''), 'MALFORMED'],
    ['with plain claims inside', () => inside(JSON.stringify(CLAIMS)), 'MALFORMED'],
    ['with an unsigned token inside', () => inside(`${encode({ alg: 'none' })}.${encode(CLAIMS)}.`), 'MALFORMED'],
    ['with a token of alg none inside', () => inside(`${encode({ alg: 'none' })}.${encode(CLAIMS)}.AAAA`), 'ALG'],
    ['with a token by another inside', () => inside(signed({ alg: 'RS256' }, CLAIMS, rsa.privateKey)), 'SIGNATURE'],
    ['with a token by an unknown key inside', () => inside(signed({ alg: 'RS256', kid: 'x' }, CLAIMS)), 'KEY'],
    [
      'with a token that our own key signed',
      () => inside(signed({ alg: 'RS256' }, CLAIMS, signingRsa.privateKey)),
      'SIGNATURE',
    ],
    ['with a token by another alg inside', () => inside(jws.replace(/^[^.]+/, encode({ alg: 'HS256' }))), 'ALG'],
    ['with an access token inside', () => inside(signed({ alg: 'RS256', typ: 'at+jwt' }, CLAIMS)), 'TYPE'],
    ['with an encrypted token inside', async () => inside(await inside(jws)), 'ENCRYPTED'],
    ['with five parts of rubbish inside', () => inside('a.b.c.d.e'), 'ENCRYPTED'],
    ['with a token and a line feed inside', () => inside(`${jws}\n`), 'MALFORMED'],
    ['with a byte order mark inside', () => inside(`\ufeff${jws}`), 'MALFORMED'],
    ['with bytes inside', () => inside(Buffer.from([0xff, 0xfe, 0x2e, 0x00, 0x2e, 0x80])), 'MALFORMED'],

    ['when it is only signed', () => jws, 'UNENCRYPTED'],
    ['when it is nothing of the kind', () => 'rubbish', 'UNENCRYPTED'],
    ['of six parts', async () => `${await encrypted(jws, GOOD)}.AAAA`, 'UNENCRYPTED'],
    ['when it is empty', () => '', 'MISSING'],
    ['above 64 KiB', () => inside(signed({ alg: 'RS256' }, 'x'.repeat(40_000))), 'TOO_LARGE'],
    ['of 70 KiB of dots', () => '.'.repeat(70_000), 'TOO_LARGE'],
  ]
  for (const [name, make, code] of rows) {
    it(name, async () => {
      await refuses(await make(), code)
    })
  }

  for (const kind of ['ID_TOKEN', 'RESPONSE_JWT', 'USERINFO_JWT'] as const) {
    it(`with the codes of ${kind}`, async () => {
      await refuses(jws, 'UNENCRYPTED', goodExpected, kind)
      await refuses(await other({ enc: 'A128GCM' }), 'ENCRYPTION_ALG', goodExpected, kind)
      await refuses(await encrypted(jws, GOOD, otherRsa.publicKey), 'DECRYPTION', goodExpected, kind)
      await refuses(await encrypted(jws, GOOD), 'ENCRYPTED', { alg: 'RS256' }, kind)
      await refuses(undefined, 'MISSING', goodExpected, kind)
      await refuses([jws], 'MALFORMED', goodExpected, kind)
    })
  }

  it('with one error, whatever the reason of a failed decryption', async () => {
    const good = await encrypted(jws, GOOD)
    const errors = [
      await refuses(tamper(good, 1), 'DECRYPTION'),
      await refuses(tamper(good, 3), 'DECRYPTION'),
      await refuses(replacePart(good, 1, 'AA'), 'DECRYPTION'),
      await refuses(await encrypted(jws, GOOD, otherRsa.publicKey), 'DECRYPTION'),
    ]
    const [message, ...others] = new Set(errors.map((error) => error.message))
    assert.match(message ?? '', /cannot be decrypted with any of the clientKeys/)
    assert.deepEqual(others, [])
  })

  it('if no encryption is configured', async () => {
    await refuses(await encrypted(jws, GOOD), 'ENCRYPTED', { alg: 'RS256', clientSecret: secret })
  })

  it('if its algorithm is not in the table, even if the configuration names it', async () => {
    const algorithms = ['RSA1_5', 'PBES2-HS256+A128KW', 'none', '__proto__', '']
    for (const alg of algorithms) {
      await refuses(
        await withHeader({ alg, p2c: 1000, p2s: 'AAAAAAAAAAAA' }),
        'ENCRYPTION_ALG',
        expecting(alg, 'A256GCM'),
      )
    }
    await refuses(await withHeader({ enc: 'A512GCM' }), 'ENCRYPTION_ALG', expecting('RSA-OAEP-256', 'A512GCM'))
  })

  it('with an encrypted key if the client secret is the key', async () => {
    const token = direct({ alg: 'dir', enc: 'A256GCM' }, jws)
    assert.equal((await verifyJws('ID_TOKEN', token, keys, expecting('dir', 'A256GCM'))).token, jws)
    const { message } = await refuses(replacePart(token, 1, 'AAAA'), 'DECRYPTION', expecting('dir', 'A256GCM'))
    assert.match(message, /cannot be decrypted with the clientSecret/)
  })

  it('if it is compressed, whatever the name of the method', async () => {
    const compressed = deflateRawSync(jws)
    const expected = expecting('dir', 'A256GCM')
    await refuses(direct({ alg: 'dir', enc: 'A256GCM', zip: 'DEF' }, compressed), 'CRIT', expected)
    // Not that of the JWS, in whose bytes there may be four full stops by chance, as in a token that is encrypted.
    const always = deflateRawSync('eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl')
    await refuses(direct({ alg: 'dir', enc: 'A256GCM' }, always), 'MALFORMED', expected)
  })

  it('if it is a decompression bomb, without decompressing it', async () => {
    const bomb = deflateRawSync(Buffer.alloc(20_000_000))
    await refuses(direct({ alg: 'dir', enc: 'A256GCM', zip: 'DEF' }, bomb), 'CRIT', expecting('dir', 'A256GCM'))
  })

  it('if the client secret is another one or missing', async () => {
    const token = await encrypted(jws, { alg: 'A256KW', enc: 'A256GCM' })
    const expected = expecting('A256KW', 'A256GCM')
    assert.equal((await verifyJws('ID_TOKEN', token, keys, expected)).token, jws)
    for (const clientSecret of [`${secret}1`, '', undefined]) {
      await refuses(token, 'DECRYPTION', { ...expected, clientSecret })
    }
  })

  it('if the client has no key', async () => {
    const none = createClientKeys([])
    const encryption = { ...GOOD, keys: none }
    await refuses(await encrypted(jws, GOOD), 'DECRYPTION', { alg: 'RS256', encryption })
  })

  const epks: readonly [string, unknown][] = [
    ['missing', undefined],
    ['null', null],
    ['text', 'P-256'],
    ['empty', {}],
    ['off the curve', { ...jwk(p256.publicKey), x: jwk(p256.publicKey).y }],
    ['the point at infinity', { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43) }],
    ['on another curve', jwk(p384.publicKey)],
    ['on an unknown curve', { ...jwk(p256.publicKey), crv: 'P-1' }],
    ['on a curve that is an object', { ...jwk(p256.publicKey), crv: { toString: 'P-256' } }],
    ['private', jwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)],
    ['an RSA key', jwk(rsa.publicKey)],
    ['X25519 of order one', { kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43) }],
    ['giant', { kty: 'EC', crv: 'P-256', x: 'A'.repeat(20_000), y: 'A' }],
  ]
  for (const [name, epk] of epks) {
    it(`with an ephemeral key that is ${name}`, async () => {
      const good = await encrypted(jws, { alg: 'ECDH-ES', enc: 'A256GCM' })
      const token = replacePart(good, 0, encode({ alg: 'ECDH-ES', enc: 'A256GCM', epk }))
      await refuses(token, 'DECRYPTION', expecting('ECDH-ES', 'A256GCM'))
    })
  }

  it('after at most 16 decryptions', async () => {
    const many = createClientKeys(
      Array.from({ length: 40 }, (_, index) => jwk(rsa.privateKey, { kid: `${index}`, use: 'enc' })),
    )
    let asked = 0
    const counted = {
      ...many,
      decryptionKeys: (hint: Parameters<typeof many.decryptionKeys>[0]) => {
        const found = many.decryptionKeys(hint)
        asked += found.length
        return found
      },
    }
    const encryption = { ...GOOD, keys: counted }
    await refuses(await encrypted(jws, GOOD, otherRsa.publicKey), 'DECRYPTION', { alg: 'RS256', encryption })
    assert.equal(asked, 16)
  })
})

describe('the key that is derived from the client secret', () => {
  it('has as many left-most bits of the hash as the algorithm needs', () => {
    const left = (hash: string, length: number) => createHash(hash).update(secret).digest().subarray(0, length)
    const rows: readonly [string, string, Buffer][] = [
      ['A128KW', 'A256CBC-HS512', left('sha256', 16)],
      ['A192GCMKW', 'A128GCM', left('sha256', 24)],
      ['A256KW', 'A128GCM', left('sha256', 32)],
      ['dir', 'A128GCM', left('sha256', 16)],
      ['dir', 'A128CBC-HS256', left('sha256', 32)],
      ['dir', 'A192CBC-HS384', left('sha384', 48)],
      ['dir', 'A256CBC-HS512', left('sha512', 64)],
    ]
    for (const [alg, enc, expected] of rows) {
      assert.deepEqual(encryptionKeyOfSecret(secret, alg, enc)?.export(), expected, `${alg} ${enc}`)
    }
  })

  it('does not exist for algorithms with key pairs, or for an empty secret', () => {
    assert.equal(encryptionKeyOfSecret(secret, 'RSA-OAEP', 'A128GCM'), undefined)
    assert.equal(encryptionKeyOfSecret(secret, 'ECDH-ES', 'A128GCM'), undefined)
    assert.equal(encryptionKeyOfSecret(secret, 'PBES2-HS256+A128KW', 'A128GCM'), undefined)
    assert.equal(encryptionKeyOfSecret(secret, 'dir', 'none'), undefined)
    assert.equal(encryptionKeyOfSecret('', 'dir', 'A128GCM'), undefined)
  })
})

describe('the type of a token', () => {
  const typed = (typ: unknown) => signed({ alg: 'RS256', kid: 'one', typ }, CLAIMS)
  const plain: SignatureExpectations = { alg: 'RS256' }

  it('may be anything at UserInfo but the type of another token', async () => {
    for (const typ of [undefined, 'JWT', 'application/jwt', 'userinfo+jwt', 'JOSE']) {
      assert.equal((await verifyJws('USERINFO_JWT', typed(typ), keys, plain)).claims['sub'], 'jane')
    }
  })

  const others: readonly unknown[] = [
    'at+jwt',
    'application/at+jwt',
    'AT+JWT',
    'logout+jwt',
    'dpop+jwt',
    5,
    null,
    ['JWT'],
  ]
  for (const typ of others) {
    it(`must not be ${JSON.stringify(typ)} at UserInfo`, async () => {
      await refuses(typed(typ), 'TYPE', plain, 'USERINFO_JWT')
    })
  }

  it('must be JWT for other kinds of tokens', async () => {
    await refuses(typed('userinfo+jwt'), 'TYPE', plain, 'ID_TOKEN')
    await refuses(typed('userinfo+jwt'), 'TYPE', plain, 'RESPONSE_JWT')
  })
})

describe('the public key for encryption', () => {
  const p256Jwk = jwk(p256.publicKey)
  const rsaJwk = jwk(rsa.publicKey)
  const otherRsaJwk = jwk(otherRsa.publicKey)
  const storeOf = (...sets: readonly (readonly object[])[]) => {
    let fetches = 0
    const getJson = async () => {
      const found = sets[Math.min(fetches++, sets.length - 1)]
      return { json: JSON.parse(JSON.stringify({ keys: found })), headers: new Headers() }
    }
    return { store: createKeyStore({ getJson }, 'https://op.example.com/keys'), fetches: () => fetches }
  }

  const choices: readonly [string, string, readonly object[], string | undefined][] = [
    ['takes the one for encryption', 'RSA-OAEP', [rsaJwk, { ...otherRsaJwk, use: 'enc', kid: 'enc' }], 'enc'],
    ['takes one without use', 'RSA-OAEP-256', [{ ...rsaJwk, kid: 'any' }], 'any'],
    ['takes none that signs', 'RSA-OAEP', [{ ...rsaJwk, kid: 'sig', use: 'sig' }], undefined],
    ['takes none that verifies', 'RSA-OAEP', [{ ...rsaJwk, kid: 'sig', key_ops: ['verify'] }], undefined],
    ['takes one that wraps keys', 'RSA-OAEP', [{ ...rsaJwk, kid: 'wraps', key_ops: ['wrapKey'] }], 'wraps'],
    ['takes none of an algorithm of signatures', 'RSA-OAEP', [{ ...rsaJwk, kid: 'a', alg: 'RS256' }], undefined],
    [
      'takes the one of the algorithm',
      'RSA-OAEP-512',
      [
        { ...rsaJwk, kid: 'a', alg: 'RSA-OAEP', use: 'enc' },
        { ...otherRsaJwk, kid: 'b', alg: 'RSA-OAEP-512', use: 'enc' },
      ],
      'b',
    ],
    ['takes an EC key for ECDH-ES', 'ECDH-ES+A256KW', [rsaJwk, { ...p256Jwk, kid: 'ec' }], 'ec'],
    ['takes X25519 for ECDH-ES', 'ECDH-ES', [{ ...jwk(x25519.publicKey), kid: 'x', use: 'enc' }], 'x'],
    ['takes no Ed25519', 'ECDH-ES', [jwk(generateKeyPairSync('ed25519').publicKey, { kid: 'ed' })], undefined],
    ['takes no EC key for RSA', 'RSA-OAEP', [{ ...p256Jwk, kid: 'ec', use: 'enc' }], undefined],
    ['takes none for RSA1_5', 'RSA1_5', [{ ...rsaJwk, kid: 'a', use: 'enc' }], undefined],
    ['takes none for dir', 'dir', [{ kty: 'oct', k: 'AAAA', use: 'enc', kid: 'a' }, rsaJwk], undefined],
    ['takes none that is private', 'RSA-OAEP', [{ ...jwk(rsa.privateKey), kid: 'a', use: 'enc' }], undefined],
    [
      'takes none that is weak',
      'RSA-OAEP',
      [jwk(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey, { kid: 'a', use: 'enc' })],
      undefined,
    ],
  ]
  for (const [name, alg, set, kid] of choices) {
    it(name, async () => assert.equal((await storeOf(set).store.encryptionKeyFor(alg))?.kid, kid))
  }

  it('encrypts', async () => {
    const { store } = storeOf([{ ...rsaJwk, use: 'enc', kid: 'rsa' }])
    const found = await store.encryptionKeyFor('RSA-OAEP-256')
    assert.ok(found !== undefined)
    assert.ok(found.key.equals(createPublicKey(rsa.privateKey)))
    const token = await encrypted(jws, GOOD, found.key)
    assert.equal((await verifyJws('ID_TOKEN', token, keys, goodExpected)).token, jws)
  })

  it('is fetched again if there is none, within the budget', async () => {
    const { store, fetches } = storeOf([], [{ ...rsaJwk, use: 'enc', kid: 'late' }])
    assert.equal((await store.encryptionKeyFor('RSA-OAEP'))?.kid, 'late')
    assert.equal(fetches(), 2)
    const none = storeOf([])
    for (let count = 0; count < 20; count += 1) await none.store.encryptionKeyFor('RSA-OAEP')
    assert.equal(none.fetches(), 3)
  })

  it('is never used for signatures, nor a signature key for encryption', async () => {
    const { store } = storeOf([{ ...rsaJwk, use: 'enc' }, { ...jwk(x25519.publicKey) }])
    assert.deepEqual(await store.keysFor({ alg: 'RS256' }), [])
    assert.deepEqual(await store.keysFor({ alg: 'EdDSA' }), [])
  })
})

function replacePart(token: string, part: number, value: string): string {
  return token
    .split('.')
    .map((old, index) => (index === part ? value : old))
    .join('.')
}
