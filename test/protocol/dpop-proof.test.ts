import assert from 'node:assert/strict'
import {
  createHash,
  createHmac,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  type KeyPairKeyObjectResult,
  sign,
} from 'node:crypto'
import { describe, it } from 'node:test'
import { calculateJwkThumbprint, type JWK, SignJWT } from 'jose'
import type { ErrorCode } from '../../lib/errors.ts'
import { OidcError } from '../../lib/errors.ts'
import { memoryState } from '../../lib/memory.ts'
import {
  createDpopKeys,
  DPOP_ALGORITHMS,
  type DpopExpectations,
  type JudgedDpopProof,
  judgeDpopProof,
  spendDpopProof,
} from '../../lib/protocol/dpop-proof.ts'
import { externalUrl, isSameUrl } from '../../lib/protocol/external-url.ts'
import { createServerNonces } from '../../lib/protocol/server-nonces.ts'
import { createDpopKey, createDpopProof } from '../../lib/provider/dpop.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { signJws } from '../support/app/signing-keys.ts'

type Members = Record<string, unknown>

const NOW = 1_800_000_000
const ACCESS_TOKEN = 'an-access-token'
const URL_OF_REQUEST = 'https://api.example.com/orders/7'
const athOf = (token: string): string => createHash('sha256').update(token).digest('base64url')

const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
const ed25519 = generateKeyPairSync('ed25519')
const x25519 = generateKeyPairSync('x25519')
const rsa = createRsaKeyPair()
const shortRsa = generateKeyPairSync('rsa', { modulusLength: 1024 })

const jwkOf = ({ publicKey }: KeyPairKeyObjectResult): JsonWebKey => publicKey.export({ format: 'jwk' })
const privateJwkOf = ({ privateKey }: KeyPairKeyObjectResult): JsonWebKey => privateKey.export({ format: 'jwk' })
const jktOf = (pair: KeyPairKeyObjectResult): Promise<string> => calculateJwkThumbprint(jwkOf(pair) as JWK)
const JKT = await jktOf(p256)

/** A good proof, of which a row of the table changes one thing. */
interface Draft {
  readonly header: Members
  readonly claims: Members
  readonly alg: string
  readonly key: KeyObject | string
}

const GOOD: Draft = {
  header: { typ: 'dpop+jwt', alg: 'ES256', jwk: jwkOf(p256) },
  claims: { jti: 'a-jti', htm: 'GET', htu: URL_OF_REQUEST, iat: NOW, ath: athOf(ACCESS_TOKEN) },
  alg: 'ES256',
  key: p256.privateKey,
}

const EXPECTED: DpopExpectations = {
  method: 'GET',
  url: URL_OF_REQUEST,
  accessToken: ACCESS_TOKEN,
  jkt: JKT,
  algs: ['ES256', 'EdDSA', 'RS256', 'PS256', 'ES384', 'ES512'],
  maxAge: 60,
  clockTolerance: 5,
  now: NOW,
}

const proofOf = ({ header, claims, alg, key }: Draft): string => signJws(alg, key, header, claims)

/** What is changed: the proof, the whole header, or what is expected of it. */
interface Change {
  readonly draft?: (good: Draft) => Draft
  readonly header?: (proof: string) => unknown
  readonly expected?: Partial<DpopExpectations>
}

type Row = readonly [name: string, change: Change, code: ErrorCode]

const header = (members: Members): Change => ({
  draft: (good) => ({ ...good, header: { ...good.header, ...members } }),
})
const jwk = (members: Members): Change => header({ jwk: { ...jwkOf(p256), ...members } })
const claim = (name: string, value: unknown): Change => ({
  draft: (good) => ({ ...good, claims: { ...good.claims, [name]: value } }),
})
const withoutHeader = (name: string): Change => ({
  draft: ({ header: { [name]: _, ...rest }, ...good }) => ({ ...good, header: rest }),
})
const withoutClaim = (name: string): Change => ({
  draft: ({ claims: { [name]: _, ...rest }, ...good }) => ({ ...good, claims: rest }),
})
const withoutMember = (name: string): Change => {
  const { [name]: _, ...rest } = jwkOf(p256)
  return header({ jwk: rest })
}
const sent = (edit: (proof: string) => unknown): Change => ({ header: edit })
const encode = (text: string | Uint8Array): string => Buffer.from(text).toString('base64url')
/** Replaces one part, and signs again what it has then. */
const part = (index: 0 | 1, text: string | Uint8Array): Change =>
  sent((proof) => {
    const parts = proof.split('.')
    parts[index] = encode(text)
    const content = parts.slice(0, 2).join('.')
    return `${content}.${signPart(content)}`
  })
function signPart(content: string): string {
  return sign('sha256', Buffer.from(content), { key: p256.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
}

const MALFORMED = 'ERR_OIDC_DPOP_PROOF_MALFORMED'
const KEY = 'ERR_OIDC_DPOP_PROOF_KEY'
const BINDING = 'ERR_OIDC_DPOP_PROOF_BINDING'
const SIGNATURE = 'ERR_OIDC_DPOP_PROOF_SIGNATURE'
const ALG = 'ERR_OIDC_DPOP_PROOF_ALG'
const WRONG_URL = 'ERR_OIDC_DPOP_PROOF_URL'
const ISSUED_AT = 'ERR_OIDC_DPOP_PROOF_ISSUED_AT'

const FORM: readonly Row[] = [
  ['no header', sent(() => undefined), 'ERR_OIDC_DPOP_PROOF_MISSING'],
  ['an empty header', sent(() => ''), 'ERR_OIDC_DPOP_PROOF_MISSING'],
  ['two headers, as Node joins them', sent((proof) => `${proof}, ${proof}`), MALFORMED],
  ['two headers, as a list', sent((proof) => [proof, proof]), MALFORMED],
  ['no signature, behind a point', sent((proof) => proof.replace(/[^.]+$/, '+')), MALFORMED],
  ['a list of none', sent(() => []), 'ERR_OIDC_DPOP_PROOF_MISSING'],
  ['a comma at its end', sent((proof) => `${proof},`), MALFORMED],
  ['an object', sent((proof) => ({ proof })), MALFORMED],
  ['more than 8 KiB', sent((proof) => proof + 'A'.repeat(8192)), 'ERR_OIDC_DPOP_PROOF_TOO_LARGE'],
  ['two parts', sent((proof) => proof.split('.').slice(0, 2).join('.')), MALFORMED],
  ['four parts', sent((proof) => `${proof}.e30`), MALFORMED],
  ['five parts, as a JWE has', sent((proof) => `${proof}.e30.e30`), MALFORMED],
  ['an empty signature', sent((proof) => proof.replace(/[^.]+$/, '')), MALFORMED],
  ['padding', sent((proof) => `${proof}=`), MALFORMED],
  ['a space in front', sent((proof) => ` ${proof}`), MALFORMED],
  ['a character that is not base64url', sent((proof) => proof.replace('.', '+.')), MALFORMED],
  ['a header that is no JSON', part(0, 'header'), MALFORMED],
  ['a header that is a list', part(0, '[]'), MALFORMED],
  ['claims that are no JSON', part(1, 'claims'), MALFORMED],
  ['claims that are a list', part(1, '[]'), MALFORMED],
  ['claims that are no UTF-8', part(1, new Uint8Array([0x7b, 0xff, 0x7d])), MALFORMED],
  ['claims that are nested too deeply', part(1, `{"a":${'['.repeat(64)}${']'.repeat(64)}}`), MALFORMED],
]

const HEADER: readonly Row[] = [
  ['no typ', withoutHeader('typ'), 'ERR_OIDC_DPOP_PROOF_TYPE'],
  ['typ JWT', header({ typ: 'JWT' }), 'ERR_OIDC_DPOP_PROOF_TYPE'],
  ['typ at+jwt', header({ typ: 'at+jwt' }), 'ERR_OIDC_DPOP_PROOF_TYPE'],
  ['typ in capital letters', header({ typ: 'DPOP+JWT' }), 'ERR_OIDC_DPOP_PROOF_TYPE'],
  ['typ in a list', header({ typ: ['dpop+jwt'] }), 'ERR_OIDC_DPOP_PROOF_TYPE'],
  ['no alg', withoutHeader('alg'), ALG],
  ['alg none', { draft: (good) => ({ ...good, header: { ...good.header, alg: 'none' } }) }, ALG],
  ['alg in a list', header({ alg: ['ES256'] }), ALG],
  [
    'alg HS256',
    { draft: (good) => ({ ...good, header: { ...good.header, alg: 'HS256' }, alg: 'HS256', key: 'a key' }) },
    ALG,
  ],
  ['HS256 even where a list has it', { ...header({ alg: 'HS256' }), expected: { algs: ['HS256'] } }, ALG],
  ['an alg that is not in the list', { expected: { algs: ['PS256', 'EdDSA'] } }, ALG],
  ['an empty list of algs', { expected: { algs: [] } }, ALG],
  ['alg of an encryption', header({ alg: 'ECDH-ES' }), ALG],
  ['crit', header({ crit: ['exp'] }), 'ERR_OIDC_DPOP_PROOF_CRIT'],
  ['b64', header({ b64: true }), 'ERR_OIDC_DPOP_PROOF_CRIT'],
]

const KEYS: readonly Row[] = [
  ['no jwk', withoutHeader('jwk'), KEY],
  ['a jwk as text', header({ jwk: JSON.stringify(jwkOf(p256)) }), KEY],
  ['a jwk that is null', header({ jwk: null }), KEY],
  [
    'jku in place of jwk',
    {
      draft: ({ header: { jwk: _, ...rest }, ...good }) => ({
        ...good,
        header: { ...rest, jku: 'https://evil.example/jwks' },
      }),
    },
    KEY,
  ],
  [
    'kid in place of jwk',
    { draft: ({ header: { jwk: _, ...rest }, ...good }) => ({ ...good, header: { ...rest, kid: JKT } }) },
    KEY,
  ],
  ['a private key', header({ jwk: privateJwkOf(p256) }), KEY],
  ['a private member that is null', jwk({ d: null }), KEY],
  ['a member of a private RSA key', jwk({ p: 'AQAB' }), KEY],
  ['a member of other primes', jwk({ oth: [] }), KEY],
  ['a secret key', header({ jwk: { kty: 'oct', k: 'AQAB' } }), KEY],
  ['a secret member beside the public ones', jwk({ k: 'AQAB' }), KEY],
  ['use enc', jwk({ use: 'enc' }), KEY],
  ['use that is null', jwk({ use: null }), KEY],
  ['key_ops without verify', jwk({ key_ops: ['sign'] }), KEY],
  ['key_ops that is no list', jwk({ key_ops: 'verify' }), KEY],
  ['an empty key_ops', jwk({ key_ops: [] }), KEY],
  ['alg of another algorithm in the jwk', jwk({ alg: 'ES384' }), KEY],
  ['alg in the jwk that is no text', jwk({ alg: ['ES256'] }), KEY],
  ['a key of another curve than alg takes', header({ jwk: jwkOf(p384) }), KEY],
  ['an RSA key for ES256', header({ jwk: jwkOf(rsa) }), KEY],
  ['an EC key for RS256', header({ alg: 'RS256' }), KEY],
  ['a key of secp256k1', header({ jwk: jwkOf(secp256k1) }), KEY],
  ['a key for encryption: X25519 for EdDSA', header({ alg: 'EdDSA', jwk: jwkOf(x25519) }), KEY],
  ['an unknown kty', jwk({ kty: 'XX' }), KEY],
  ['no y', withoutMember('y'), KEY],
  ['no crv', withoutMember('crv'), KEY],
  ['a y that is a number', jwk({ y: 5 }), KEY],
  ['an x with padding', jwk({ x: `${jwkOf(p256).x}=` }), KEY],
  [
    'another good key',
    { draft: (good) => ({ ...good, header: { ...good.header, jwk: jwkOf(other) }, key: other.privateKey }) },
    BINDING,
  ],
  ['an x that is not on the curve', jwk({ x: jwkOf(p256).y }), BINDING],
  ['a token that is bound to another key', { expected: { jkt: athOf('another key') } }, BINDING],
  ['a token whose jkt is empty', { expected: { jkt: '' } }, BINDING],
  ['a jkt in SHA-512', { expected: { jkt: createHash('sha512').update('key').digest('base64url') } }, BINDING],
  ['a signature of another key', { draft: (good) => ({ ...good, key: other.privateKey }) }, SIGNATURE],
  ['another signature', sent((proof) => proof.replace(/[^.]+$/, encode(Buffer.alloc(64, 1)))), SIGNATURE],
  ['a signature of zeros', sent((proof) => proof.replace(/[^.]+$/, encode(Buffer.alloc(64)))), SIGNATURE],
  ['a signature in DER', sent((proof) => proof.replace(/[^.]+$/, derSignature(proof))), SIGNATURE],
  ['a HMAC with the public key', sent((proof) => proof.replace(/[^.]+$/, hmacOf(proof))), SIGNATURE],
  [
    'claims that were changed afterwards',
    sent((proof) => proof.replace(/\.[^.]+\./, `.${encode('{"htm":"GET"}')}.`)),
    SIGNATURE,
  ],
]

function derSignature(proof: string): string {
  return sign('sha256', Buffer.from(proof.slice(0, proof.lastIndexOf('.'))), p256.privateKey).toString('base64url')
}

function hmacOf(proof: string): string {
  const key = p256.publicKey.export({ type: 'spki', format: 'pem' })
  return createHmac('sha256', key)
    .update(proof.slice(0, proof.lastIndexOf('.')))
    .digest('base64url')
}

const NOT_A_TIME: Members = {
  text: String(NOW),
  null: null,
  'a list': [NOW],
  'an object': {},
  true: true,
  '1e300': 1e300,
}

const CLAIMS: readonly Row[] = [
  ['no htm', withoutClaim('htm'), 'ERR_OIDC_DPOP_PROOF_METHOD'],
  ['htm of another method', claim('htm', 'POST'), 'ERR_OIDC_DPOP_PROOF_METHOD'],
  ['htm in small letters', claim('htm', 'get'), 'ERR_OIDC_DPOP_PROOF_METHOD'],
  ['htm in a list', claim('htm', ['GET']), 'ERR_OIDC_DPOP_PROOF_METHOD'],
  ['htm GET of a request with HEAD', { expected: { method: 'HEAD' } }, 'ERR_OIDC_DPOP_PROOF_METHOD'],
  ['no htu', withoutClaim('htu'), WRONG_URL],
  ['htu of another path', claim('htu', 'https://api.example.com/orders/8'), WRONG_URL],
  ['htu of a parent path', claim('htu', 'https://api.example.com/orders'), WRONG_URL],
  ['htu with a slash at its end', claim('htu', `${URL_OF_REQUEST}/`), WRONG_URL],
  ['htu of another host', claim('htu', 'https://evil.example/orders/7'), WRONG_URL],
  ['htu of another port', claim('htu', 'https://api.example.com:8443/orders/7'), WRONG_URL],
  ['htu with http', claim('htu', 'http://api.example.com/orders/7'), WRONG_URL],
  ['htu of another scheme', claim('htu', 'ftp://api.example.com/orders/7'), WRONG_URL],
  ['htu with credentials', claim('htu', 'https://user:word@api.example.com/orders/7'), WRONG_URL],
  ['htu with an empty user', claim('htu', 'https://@api.example.com/orders/7'), WRONG_URL],
  ['htu with the host as user', claim('htu', 'https://api.example.com@evil.example/orders/7'), WRONG_URL],
  ['htu with the host in its query', claim('htu', 'https://evil.example/?https://api.example.com/orders/7'), WRONG_URL],
  ['htu with backslashes', claim('htu', 'https:\\\\api.example.com\\orders\\7'), WRONG_URL],
  ['htu with a slash too few', claim('htu', 'https:/api.example.com/orders/7'), WRONG_URL],
  ['htu with a slash too many', claim('htu', 'https:///api.example.com/orders/7'), WRONG_URL],
  ['htu with a space in front', claim('htu', ` ${URL_OF_REQUEST}`), WRONG_URL],
  ['htu with a tab inside', claim('htu', 'https://api.example.com/or\tders/7'), WRONG_URL],
  ['htu with a letter beyond ASCII', claim('htu', 'https://api.example.com/orders/\uff17'), WRONG_URL],
  ['htu with an encoded slash', claim('htu', 'https://api.example.com/orders%2F7'), WRONG_URL],
  ['htu with other letters in its path', claim('htu', 'https://api.example.com/Orders/7'), WRONG_URL],
  ['htu without a host', claim('htu', '/orders/7'), WRONG_URL],
  ['htu in a list', claim('htu', [URL_OF_REQUEST]), WRONG_URL],
  ['htu of more than 4096 characters', claim('htu', `${URL_OF_REQUEST}?${'a'.repeat(4096)}`), WRONG_URL],
  ['a request whose URL has no path', { expected: { url: undefined } }, WRONG_URL],
  ['no iat', withoutClaim('iat'), ISSUED_AT],
  ...Object.entries(NOT_A_TIME).map(([what, value]): Row => [`iat ${what}`, claim('iat', value), ISSUED_AT]),
  ['iat a second too old', claim('iat', NOW - 66), ISSUED_AT],
  ['iat a second too far in the future', claim('iat', NOW + 6), ISSUED_AT],
  ['exp in the past', claim('exp', NOW - 6), ISSUED_AT],
  ['exp at the end of the tolerance', claim('exp', NOW - 5), ISSUED_AT],
  ['exp as text', claim('exp', String(NOW + 60)), ISSUED_AT],
  ['nbf in the future', claim('nbf', NOW + 6), ISSUED_AT],
  ['nbf that is null', claim('nbf', null), ISSUED_AT],
  ['no jti', withoutClaim('jti'), 'ERR_OIDC_DPOP_PROOF_ID'],
  ['an empty jti', claim('jti', ''), 'ERR_OIDC_DPOP_PROOF_ID'],
  ['a jti that is a number', claim('jti', 5), 'ERR_OIDC_DPOP_PROOF_ID'],
  ['a jti in a list', claim('jti', ['a-jti']), 'ERR_OIDC_DPOP_PROOF_ID'],
  ['a jti of 257 characters', claim('jti', 'a'.repeat(257)), 'ERR_OIDC_DPOP_PROOF_ID'],
  ['no ath', withoutClaim('ath'), 'ERR_OIDC_DPOP_PROOF_ACCESS_TOKEN_HASH'],
  ['ath of another token', claim('ath', athOf('another')), 'ERR_OIDC_DPOP_PROOF_ACCESS_TOKEN_HASH'],
  [
    'ath in hexadecimal',
    claim('ath', createHash('sha256').update(ACCESS_TOKEN).digest('hex')),
    'ERR_OIDC_DPOP_PROOF_ACCESS_TOKEN_HASH',
  ],
  ['ath with padding', claim('ath', `${athOf(ACCESS_TOKEN)}=`), 'ERR_OIDC_DPOP_PROOF_ACCESS_TOKEN_HASH'],
  [
    'half of ath, as at_hash is',
    claim('ath', athOf(ACCESS_TOKEN).slice(0, 22)),
    'ERR_OIDC_DPOP_PROOF_ACCESS_TOKEN_HASH',
  ],
  [
    'another token with the same proof',
    { expected: { accessToken: 'another' } },
    'ERR_OIDC_DPOP_PROOF_ACCESS_TOKEN_HASH',
  ],
]

function attack({ draft = (good) => good, header: edit = (proof) => proof, expected = {} }: Change): JudgedDpopProof {
  return judgeDpopProof(edit(proofOf(draft(GOOD))), { ...EXPECTED, ...expected })
}

function errorOf(work: () => unknown): OidcError {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof OidcError, String(error))
    return error
  }
  assert.fail('nothing was thrown')
}

describe('a hostile DPoP proof', () => {
  it('differs from a good one in one thing', () => {
    assert.equal(attack({}).jti, 'a-jti')
  })

  for (const [name, change, code] of [...FORM, ...HEADER, ...KEYS, ...CLAIMS]) {
    it(`is refused with ${name}`, () => {
      const error = errorOf(() => attack(change))
      assert.equal(error.code, code)
      assert.equal(error.status, 401)
      for (const secret of [ACCESS_TOKEN, 'a-jti', 'evil', JKT]) assert.ok(!error.message.includes(secret))
    })
  }

  it('says of two headers that there must be one, and how long a proof may be', () => {
    const error = errorOf(() => attack(sent((proof) => `${proof}, ${proof}`)))
    assert.match(error.message, /must be in exactly one header DPoP/)
    assert.match(errorOf(() => attack(sent((proof) => proof.padEnd(8193, 'A')))).message, /is larger than 8 KiB/)
  })

  it('is refused with an RSA key of 1024 bits', async () => {
    const change: Change = {
      draft: (good) => ({
        ...good,
        header: { ...good.header, alg: 'RS256', jwk: jwkOf(shortRsa) },
        alg: 'RS256',
        key: shortRsa.privateKey,
      }),
      expected: { jkt: await jktOf(shortRsa) },
    }
    assert.equal(errorOf(() => attack(change)).code, KEY)
  })

  it('is refused with an RSA key whose exponent is 1', async () => {
    const weak = { ...jwkOf(rsa), e: 'AQ' }
    const change: Change = {
      draft: (good) => ({
        ...good,
        header: { ...good.header, alg: 'RS256', jwk: weak },
        alg: 'RS256',
        key: rsa.privateKey,
      }),
      expected: { jkt: await calculateJwkThumbprint(weak as JWK) },
    }
    assert.equal(errorOf(() => attack(change)).code, KEY)
  })

  it('is refused with a key that is no point of the curve, even if the token is bound to it', async () => {
    const broken = { ...jwkOf(p256), x: jwkOf(p256).y }
    const expected = { jkt: await calculateJwkThumbprint(broken as JWK) }
    assert.equal(errorOf(() => attack({ ...jwk(broken as Members), expected })).code, KEY)
  })

  it('is refused with a known header for each of the other reasons, too', () => {
    const rows = [...FORM, ...HEADER, ...KEYS, ...CLAIMS]
    for (const [name, change, code] of rows) {
      const keys = createDpopKeys()
      attack({ expected: { keys } })
      const expected = { ...change.expected, keys }
      assert.equal(errorOf(() => attack({ ...change, expected })).code, code, name)
    }
  })
})

describe('judgeDpopProof()', () => {
  const pairs: readonly (readonly [string, KeyPairKeyObjectResult])[] = [
    ['ES256', p256],
    ['ES384', p384],
    ['ES512', p521],
    ['EdDSA', ed25519],
    ['Ed25519', ed25519],
    ['RS256', rsa],
    ['PS256', rsa],
  ]
  for (const [alg, pair] of pairs) {
    it(`accepts a proof of jose with ${alg}`, async () => {
      const proof = await new SignJWT(GOOD.claims)
        .setProtectedHeader({ typ: 'dpop+jwt', alg, jwk: jwkOf(pair) as JWK })
        .sign(pair.privateKey)
      const jkt = await jktOf(pair)
      assert.equal(judgeDpopProof(proof, { ...EXPECTED, jkt }).jkt, jkt)
    })
  }

  it('accepts the proofs that this library makes', async () => {
    const key = createDpopKey('ES256')
    const url = 'https://api.example.com/orders?page=2#top'
    const { alg: _, d: __, ...publicMembers } = key
    const jkt = await calculateJwkThumbprint(publicMembers as JWK)
    const proof = await createDpopProof({ key, method: 'GET', url, accessToken: ACCESS_TOKEN, now: NOW })
    judgeDpopProof(proof, { ...EXPECTED, url: 'https://api.example.com/orders', jkt })
  })

  const accepted: readonly (readonly [string, Change])[] = [
    ['htu with query and fragment', claim('htu', `${URL_OF_REQUEST}?page=2#top`)],
    ['htu with host and scheme in capital letters', claim('htu', 'HTTPS://API.Example.COM/orders/7')],
    ['htu with the default port', claim('htu', 'https://api.example.com:443/orders/7')],
    ['htu with an encoded letter', claim('htu', 'https://api.example.com/%6frders/7')],
    ['htu with dot segments', claim('htu', 'https://api.example.com/a/../orders/./7')],
    [
      'an htu that is encoded in small letters',
      { ...claim('htu', 'https://api.example.com/a%c3%a9'), expected: { url: 'https://api.example.com/a%C3%A9' } },
    ],
    [
      'a path with characters that browsers do not encode',
      { ...claim('htu', 'https://api.example.com/a|b'), expected: { url: 'https://api.example.com/a%7cb' } },
    ],
    ['the oldest iat', claim('iat', NOW - 65)],
    ['the latest iat', claim('iat', NOW + 5)],
    ['an iat with a fraction', claim('iat', NOW - 0.5)],
    ['exp in the last second of the tolerance', claim('exp', NOW - 4)],
    ['nbf at the end of the tolerance', claim('nbf', NOW + 5)],
    ['a jti of 256 characters', claim('jti', 'a'.repeat(256))],
    [
      'exp in the future and nbf in the past',
      { draft: (good) => ({ ...good, claims: { ...good.claims, exp: NOW + 60, nbf: NOW } }) },
    ],
    ['claims that it does not know', claim('cnf', { jkt: 'x' })],
    ['use, key_ops, alg and kid that fit', jwk({ use: 'sig', key_ops: ['verify'], alg: 'ES256', kid: 'a' })],
    ['a list with one proof', { header: (proof) => [proof] }],
  ]
  for (const [name, change] of accepted) {
    it(`accepts ${name}`, () => {
      assert.equal(attack(change).jkt, JKT)
    })
  }

  it('computes the thumbprint of RFC 7638 3.1', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw'
    const change: Change = {
      ...header({ alg: 'RS256', jwk: { kty: 'RSA', n, e: 'AQAB', alg: 'RS256', kid: '2011-04-29' } }),
      expected: { jkt: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs' },
    }
    // The key is the right one, and of course it did not make this signature.
    assert.equal(errorOf(() => attack(change)).code, SIGNATURE)
  })

  it('remembers senders by the headers of their proofs, the latest of them', () => {
    const keys = createDpopKeys(2)
    attack({ expected: { keys } })
    const [encoded = ''] = proofOf(GOOD).split('.')
    const sender = keys.get(encoded)
    assert.deepEqual([sender?.alg, sender?.jkt, sender?.key.asymmetricKeyType], ['ES256', JKT, 'ec'])
    assert.equal(attack({ expected: { keys } }).jkt, JKT)
    const another = { alg: 'ES256', jkt: JKT, key: other.publicKey }
    keys.set('a', another)
    keys.set('b', another)
    assert.deepEqual([keys.get(encoded), keys.get('a'), keys.get('b')], [undefined, another, another])
  })

  it('does not remember a long header', () => {
    const keys = createDpopKeys()
    const change = header({ x5c: ['a'.repeat(2000)] })
    assert.equal(attack({ ...change, expected: { keys } }).jkt, JKT)
    const [encoded = ''] = proofOf(change.draft?.(GOOD) ?? GOOD).split('.')
    assert.equal(keys.get(encoded), undefined)
  })

  it('has a list of algorithms without secrets and without keys that are too long', () => {
    assert.deepEqual([...DPOP_ALGORITHMS].sort(), [
      'ES256',
      'ES384',
      'ES512',
      'Ed25519',
      'EdDSA',
      'PS256',
      'PS384',
      'PS512',
      'RS256',
      'RS384',
      'RS512',
    ])
  })
})

describe('spendDpopProof()', () => {
  it('lets a proof pass once, on all nodes that share a state', async () => {
    const state = memoryState()
    const proof = attack({})
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => spendDpopProof(state, proof)))
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'rejected'],
    )
    await assert.rejects(spendDpopProof(state, proof), { code: 'ERR_OIDC_DPOP_PROOF_REPLAYED', status: 401 })
    await spendDpopProof(state, { ...proof, jti: 'another' })
    await spendDpopProof(state, { ...proof, jkt: 'another' })
  })

  it('does not mix up key and jti', async () => {
    const state = memoryState()
    const { rememberSeconds } = attack({})
    await spendDpopProof(state, { jkt: 'a', jti: 'bc', rememberSeconds })
    await spendDpopProof(state, { jkt: 'ab', jti: 'c', rememberSeconds })
  })

  it('remembers it for longer than any node accepts it, under a key of fixed length', async () => {
    const calls: (readonly [string, number])[] = []
    const once = async (key: string, seconds: number): Promise<boolean> => calls.push([key, seconds]) > 0
    const proof = attack(claim('jti', 'a'.repeat(256)))
    await spendDpopProof({ once }, proof)
    const [[key = '', seconds = 0] = []] = calls
    assert.match(key, /^dpop-proof:[\w-]{43}$/)
    const { maxAge, clockTolerance } = EXPECTED
    // A minute for clocks that differ.
    assert.equal(seconds, maxAge + 2 * clockTolerance + 60)
  })

  it('passes on that the state is down', async () => {
    const down = new OidcError('ERR_OIDC_SHARED_STATE', 'The shared state is down.')
    await assert.rejects(spendDpopProof({ once: () => Promise.reject(down) }, attack({})), down)
  })
})

describe('the nonces of an API', () => {
  const settings = { secrets: ['a secret of all nodes'], period: 60, clockTolerance: 5 }
  const nonces = createServerNonces(settings)
  const judgeWith = (nonce: unknown, now = NOW): JudgedDpopProof =>
    attack({
      draft: (good) => ({ ...good, claims: { ...good.claims, iat: now, ...(nonce === undefined ? {} : { nonce }) } }),
      expected: { nonces, now },
    })

  const current = nonces.current(NOW)
  const wrong: readonly (readonly [string, unknown])[] = [
    ['no nonce', undefined],
    ['an empty nonce', ''],
    ['a nonce in a list', [current]],
    ['a nonce of two periods ago', nonces.current(NOW - 130)],
    ['a nonce of the next period', nonces.current(NOW + 60)],
    ['a nonce with another letter', current.replace(/.$/, (letter) => (letter === 'A' ? 'B' : 'A'))],
    ['a nonce with padding', `${current}=`],
    ['a nonce and more', `${current}AAAA`],
    ['a nonce of another secret', createServerNonces({ ...settings, secrets: ['another secret'] }).current(NOW)],
    [
      'a nonce for another time',
      Buffer.from(Buffer.from(current, 'base64url').map((byte, index) => (index === 5 ? byte ^ 1 : byte))).toString(
        'base64url',
      ),
    ],
    ['a very long nonce', 'A'.repeat(4000)],
  ]
  for (const [name, nonce] of wrong) {
    it(`refuses a proof with ${name}, and sends the current one`, () => {
      const error = errorOf(() => judgeWith(nonce))
      assert.equal(error.code, 'ERR_OIDC_DPOP_PROOF_NONCE')
      assert.equal(error.headers['DPoP-Nonce'], current)
      assert.ok(!error.message.includes(current))
    })
  }

  it('accepts the current one, and that of the period before with the next one to use', () => {
    assert.equal(judgeWith(current).nextNonce, undefined)
    assert.equal(judgeWith(nonces.current(NOW - 60)).nextNonce, current)
  })

  it('are demanded only after everything else is right', () => {
    const error = errorOf(() => attack({ ...claim('htm', 'POST'), expected: { nonces } }))
    assert.equal(error.code, 'ERR_OIDC_DPOP_PROOF_METHOD')
  })

  it('are accepted for two periods, and clockTolerance at both ends', () => {
    const start = Math.floor(NOW / 60) * 60
    const nonce = nonces.current(start)
    const times = [start - 6, start - 5, start, start + 59, start + 119, start + 124, start + 125]
    assert.deepEqual(
      times.map((now) => nonces.accepts(nonce, now)),
      [false, true, true, true, true, true, false],
    )
  })

  it('change with each period, and are text that a header can carry', () => {
    assert.notEqual(current, nonces.current(NOW + 60))
    assert.equal(current, nonces.current(Math.floor(NOW / 60) * 60 + 59))
    assert.match(current, /^[\w-]{30}$/)
  })

  it('are those of every node with the same secret, also while the secret is rotated', () => {
    const old = createServerNonces({ ...settings, secrets: ['the old secret'] })
    const rotating = createServerNonces({ ...settings, secrets: ['the new secret', 'the old secret'] })
    const next = createServerNonces({ ...settings, secrets: ['the new secret'] })
    assert.equal(createServerNonces(settings).current(NOW), current)
    assert.ok(rotating.accepts(old.current(NOW), NOW))
    assert.ok(next.accepts(rotating.current(NOW), NOW))
    assert.ok(!next.accepts(old.current(NOW), NOW))
  })

  it('cannot be made without a secret', () => {
    assert.throws(() => createServerNonces({ ...settings, secrets: [] }), /needs at least one secret/)
  })
})

describe('externalUrl()', () => {
  const rows: readonly (readonly [string, string, string | undefined])[] = [
    ['https://api.example.com', '/orders', 'https://api.example.com/orders'],
    ['https://api.example.com/', '/orders?page=2#top', 'https://api.example.com/orders'],
    ['https://api.example.com', '/', 'https://api.example.com/'],
    ['https://example.com/portal', '/portal/orders', 'https://example.com/portal/orders'],
    ['https://example.com/portal', '/orders', 'https://example.com/portal/orders'],
    ['https://example.com/portal', '/portals', 'https://example.com/portal/portals'],
    ['https://example.com/portal', '/portal', 'https://example.com/portal'],
    ['https://api.example.com', '//evil.example/orders', 'https://api.example.com//evil.example/orders'],
    ['https://api.example.com', 'http://evil.example/orders?a', 'https://api.example.com/orders'],
    ['https://api.example.com', '/orders?https://evil.example/', 'https://api.example.com/orders'],
    ['https://api.example.com', '*', undefined],
    ['https://api.example.com', '', undefined],
    ['https://api.example.com', '?a', undefined],
    ['https://api.example.com', 'evil.example:443', undefined],
    ['https://api.example.com', '@evil.example/', undefined],
  ]
  for (const [baseUrl, target, url] of rows) {
    it(`makes ${url ?? 'nothing'} of '${target}' at ${baseUrl}`, () => {
      assert.equal(externalUrl(baseUrl, target), url)
    })
  }

  it('makes a URL that no proof for another host equals', () => {
    const url = externalUrl('https://api.example.com', '//evil.example/orders') ?? ''
    assert.ok(!isSameUrl('https://evil.example/orders', url))
    assert.ok(isSameUrl('https://api.example.com//evil.example/orders', url))
  })
})
