import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto'
import { describe, it, mock } from 'node:test'
import { CompactSign } from 'jose'
import { type SignatureExpectations, verifyJws } from '../../lib/jose/jws.ts'
import { type IdTokenExpectations, verifyIdToken } from '../../lib/protocol/id-token.ts'
import { createKeyStore, type KeyStore } from '../../lib/provider/keys.ts'
import type { Json } from '../../lib/types.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'

const rsa = createRsaKeyPair()
const otherRsa = createRsaKeyPair()
const now = Math.floor(Date.now() / 1000)
const secret = 'a client secret of more than 64 octets, as HS512 would like to have it'

const goodHeader = { alg: 'RS256', kid: 'one' }
const goodClaims = {
  iss: 'https://op.example.com',
  sub: 'jane',
  aud: 'client',
  exp: now + 300,
  iat: now,
  nonce: 'n-0S6_WzA2Mj',
}

type Expectations = IdTokenExpectations & Pick<SignatureExpectations, 'alg' | 'clientSecret'>

const expected: Expectations = {
  issuer: 'https://op.example.com',
  clientId: 'client',
  clientSecret: secret,
  alg: 'RS256',
  clockTolerance: 60,
  nonce: 'n-0S6_WzA2Mj',
  accessToken: 'an access token',
  code: 'a code',
  state: 'a state',
}

/** A key store over key sets, of which each fetch takes the next; the last one stays. */
function storeOf(...sets: readonly (readonly unknown[])[]): KeyStore & { fetches: () => number } {
  let fetches = 0
  const store = createKeyStore(
    {
      getJson: async () => {
        const keys = sets[Math.min(fetches, sets.length - 1)]
        fetches += 1
        return { json: JSON.parse(JSON.stringify({ keys })), headers: new Headers() }
      },
    },
    'https://op.example.com/keys',
  )
  return { ...store, fetches: () => fetches }
}

function jwk(key: KeyObject, members: Record<string, unknown> = {}): JsonWebKey {
  return { ...key.export({ format: 'jwk' }), ...members }
}

const keys = storeOf([jwk(rsa.publicKey, { kid: 'one', use: 'sig', alg: 'RS256' })])

function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

function signed(header: unknown, payload: unknown, key: KeyObject = rsa.privateKey): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
}

function tokenWith(claims: Record<string, unknown>, header: Record<string, unknown> = {}): string {
  return signed({ ...goodHeader, ...header }, { ...goodClaims, ...claims })
}

function verify(token: unknown, store: KeyStore, { alg, clientSecret, ...claims }: Expectations) {
  return verifyIdToken((jws) => verifyJws('ID_TOKEN', jws, store, { alg, clientSecret }), token, claims)
}

async function refuses(token: unknown, code: string, changes: Partial<Expectations> = {}, store = keys) {
  await assert.rejects(verify(token, store, { ...expected, ...changes }), (error: Error & { code?: string }) => {
    assert.equal(error.code, code, error.message)
    const [, payload = ''] = typeof token === 'string' ? token.split('.') : []
    assert.ok(!error.message.includes('jane') && (payload.length < 10 || !error.message.includes(payload)))
    return true
  })
}

const good = tokenWith({})

describe('a valid ID Token', () => {
  it('returns its claims', async () => {
    assert.deepEqual(await verify(good, keys, expected), { claims: goodClaims, token: good, alg: 'RS256' })
  })

  it('returns frozen claims', async () => {
    const { claims } = await verify(tokenWith({ address: { country: 'DK' }, groups: ['a'] }), keys, expected)
    assert.ok(Object.isFrozen(claims) && Object.isFrozen(claims.address) && Object.isFrozen(claims.groups))
  })

  it('keeps a claim with the name __proto__', async () => {
    const payload = JSON.stringify(goodClaims).replace('{', '{"__proto__":{"admin":true},"constructor":1,')
    const { claims } = await verify(signed(goodHeader, payload), keys, expected)
    assert.ok(Object.hasOwn(claims, '__proto__'))
    assert.equal(claims['admin'], undefined)
    assert.equal(Object.getPrototypeOf(claims), Object.prototype)
    assert.equal(Reflect.get({}, 'admin'), undefined)
  })

  const variants: readonly [string, Record<string, unknown>, Partial<IdTokenExpectations>?][] = [
    ['has a list of one audience', { aud: ['client'] }],
    ['names the client twice', { aud: ['client', 'client'] }],
    ['has a further audience, with azp', { aud: ['client', 'solid'], azp: 'client' }],
    ['has azp', { azp: 'client' }],
    ['expired within the tolerance', { exp: now - 50 }],
    ['is issued in the future within the tolerance', { iat: now + 50 }],
    ['was issued 23 hours ago', { iat: now - 82_800 }],
    ['has nbf within the tolerance', { nbf: now + 50 }],
    ['has instants with a fraction', { exp: now + 0.5, iat: now - 0.5 }],
    ['has a sub of 255 characters', { sub: 'x'.repeat(255) }],
    ['has a fresh auth_time', { auth_time: now - 100 }, { maxAge: 100 }],
    ['has an auth_time that nobody asked for', { auth_time: 1 }],
    ['has auth_time within the tolerance', { auth_time: now - 50 }, { maxAge: 0 }],
    ['has the access token in at_hash', { at_hash: leftHalf('an access token', 'sha256') }],
    ['has the code in c_hash', { c_hash: leftHalf('a code', 'sha256') }],
    ['has the state in s_hash', { s_hash: leftHalf('a state', 'sha256') }],
    ['has no at_hash, and no access token came', {}, { accessToken: undefined }],
  ]
  for (const [name, claims, changes] of variants) {
    it(`is accepted if it ${name}`, async () => {
      await verify(tokenWith(claims), keys, { ...expected, ...changes })
    })
  }

  for (const odd of [String(now), '2036-01-01T00:00:00Z', null, {}, [now], true, 1e300]) {
    it(`N-25: is accepted without max_age if auth_time is ${JSON.stringify(odd)}, and the claim is left aside`, async () => {
      const { claims } = await verify(tokenWith({ auth_time: odd }), keys, expected)
      assert.equal(Object.hasOwn(claims, 'auth_time'), false)
    })
  }

  for (const typ of ['JWT', 'jwt', 'application/jwt', 'application/JWT']) {
    it(`is accepted with typ ${typ}`, async () => {
      await verify(tokenWith({}, { typ }), keys, expected)
    })
  }
})

function leftHalf(token: string, digest: string): string {
  const hash = createHash(digest).update(token).digest()
  return hash.subarray(0, hash.length / 2).toString('base64url')
}

describe('the form of an ID Token', () => {
  const [header = '', payload = '', signature = ''] = good.split('.')
  const forms: readonly [string, unknown, string][] = [
    ['is absent', undefined, 'MISSING'],
    ['is empty', '', 'MISSING'],
    ['is null', null, 'MALFORMED'],
    ['is a number', 1, 'MALFORMED'],
    ['is an object', { toString: () => good }, 'MALFORMED'],
    ['is a list of a token', [good], 'MALFORMED'],
    ['is a word', 'token', 'MALFORMED'],
    ['is larger than 64 KiB', tokenWith({ groups: 'x'.repeat(65_536) }), 'TOO_LARGE'],
    ['is 64 KiB of dots', '.'.repeat(65_536), 'MALFORMED'],
    ['has two parts', `${header}.${payload}`, 'MALFORMED'],
    ['has four parts', `${good}.${signature}`, 'MALFORMED'],
    ['is encrypted', `${header}.a.b.c.d`, 'ENCRYPTED'],
    ['has six parts', `${header}.a.b.c.d.e`, 'MALFORMED'],
    ['has no header', `.${payload}.${signature}`, 'MALFORMED'],
    ['has no payload', `${header}..${signature}`, 'MALFORMED'],
    ['has no signature', `${header}.${payload}.`, 'MALFORMED'],
    ['has padding', `${header}.${payload}.${signature}==`, 'MALFORMED'],
    ['has a space', `${header}.${payload}.${signature.slice(0, 9)} ${signature.slice(9)}`, 'MALFORMED'],
    ['has a line break at its end', `${good}\n`, 'MALFORMED'],
    ['has a space before it', ` ${good}`, 'MALFORMED'],
    ['has another spelling of the same bytes', otherSpelling(good), 'MALFORMED'],
    ['has plain Base64', signedInBase64(), 'MALFORMED'],
    ['has a header that is no JSON', signed('{', goodClaims), 'MALFORMED'],
    ['has a header that is a list', signed([goodHeader], goodClaims), 'MALFORMED'],
    ['has a header that is null', signed('null', goodClaims), 'MALFORMED'],
    ['has a header that is not UTF-8', `${Buffer.from([123, 255, 125]).toString('base64url')}.a.a`, 'MALFORMED'],
    ['has a payload that is no JSON', signed(goodHeader, 'claims'), 'MALFORMED'],
    ['has a payload that is a list', signed(goodHeader, [goodClaims]), 'MALFORMED'],
    ['has a payload that is a string', signed(goodHeader, '"claims"'), 'MALFORMED'],
    ['has claims nested very deep', signed(goodHeader, `{"a":${'['.repeat(9000)}${']'.repeat(9000)}}`), 'MALFORMED'],
  ]
  for (const [name, token, code] of forms) {
    it(`is refused if it ${name}`, () => refuses(token, `ERR_OIDC_ID_TOKEN_${code}`))
  }

  it('is told by the option that says how tokens of its kind are signed', async () => {
    const optionOf = async (kind: 'ID_TOKEN' | 'SECURITY_EVENT'): Promise<string> =>
      verifyJws(kind, good, keys, { alg: 'ES256', errorStatus: 400 }).then(
        () => assert.fail(),
        (error) => error.message,
      )
    const problem = "is not signed with 'ES256', the value of"
    assert.equal(await optionOf('ID_TOKEN'), `The ID Token ${problem} idTokenSignedResponseAlg.`)
    assert.equal(await optionOf('SECURITY_EVENT'), `The security event token ${problem} sharedSignals.signingAlg.`)
  })

  it('may not be longer than 64 KiB, says the error', () =>
    assert.rejects(verify('x'.repeat(65_537), keys, expected), /is larger than 64 KiB/))
})

/** The last character of 256 bytes in base64url has four bits that mean nothing. */
function otherSpelling(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return token.slice(0, -1) + alphabet[alphabet.indexOf(token.slice(-1)) + 1]
}

function signedInBase64(): string {
  const [header, payload, signature = ''] = tokenWith({ x: 1 }).split('.')
  return `${header}.${payload}.${Buffer.from(signature, 'base64url').toString('base64')}`
}

describe('the header of an ID Token', () => {
  const { jwk: own, ...headers } = { jwk: jwk(otherRsa.publicKey) }
  const changes: readonly [string, Record<string, unknown>, string][] = [
    ['alg none', { alg: 'none' }, 'ALG'],
    ['alg NonE', { alg: 'NonE' }, 'ALG'],
    ['no alg', { alg: undefined }, 'ALG'],
    ['a list as alg', { alg: ['RS256'] }, 'ALG'],
    ['alg in lower case', { alg: 'rs256' }, 'ALG'],
    ['another alg of the same key', { alg: 'PS256' }, 'ALG'],
    ['alg HS256', { alg: 'HS256' }, 'ALG'],
    ['alg __proto__', { alg: '__proto__' }, 'ALG'],
    ['crit with something unknown', { crit: ['x'], x: 1 }, 'CRIT'],
    ['an empty crit', { crit: [] }, 'CRIT'],
    ['crit null', { crit: null }, 'CRIT'],
    ['crit b64', { crit: ['b64'], b64: true }, 'CRIT'],
    ['b64 without crit', { b64: false }, 'CRIT'],
    ['typ of an access token', { typ: 'at+jwt' }, 'TYPE'],
    ['typ of a logout token', { typ: 'logout+jwt' }, 'TYPE'],
    ['typ of a DPoP proof', { typ: 'dpop+jwt' }, 'TYPE'],
    ['typ of an access token, in full', { typ: 'application/at+jwt' }, 'TYPE'],
    ['an empty typ', { typ: '' }, 'TYPE'],
    ['typ null', { typ: null }, 'TYPE'],
    ['a list as typ', { typ: ['JWT'] }, 'TYPE'],
    ['a number as kid', { kid: 1 }, 'MALFORMED'],
    ['kid null', { kid: null }, 'MALFORMED'],
  ]
  for (const [name, header, code] of changes) {
    it(`is refused with ${name}`, () => refuses(tokenWith({}, { ...headers, ...header }), `ERR_OIDC_ID_TOKEN_${code}`))
  }

  const chosen: readonly [string, Record<string, unknown>][] = [
    ['jwk', { jwk: own }],
    ['jku', { jku: 'https://evil.example.com/keys' }],
    ['x5u', { x5u: 'https://evil.example.com/chain' }],
    ['x5c', { x5c: ['MIIB'] }],
  ]
  for (const [name, header] of chosen) {
    it(`does not choose the key by ${name}`, async () => {
      const forged = signed({ ...goodHeader, ...header }, goodClaims, otherRsa.privateKey)
      await refuses(forged, 'ERR_OIDC_ID_TOKEN_SIGNATURE')
      await verify(tokenWith({}, header), keys, expected)
    })
  }

  it('is refused if the configuration names no algorithm', async () => {
    await refuses(tokenWith({}, { alg: 'none' }), 'ERR_OIDC_ID_TOKEN_ALG', { alg: 'none' })
  })
})

describe('the claims of an ID Token', () => {
  const changes: readonly [string, Record<string, unknown>, string, Partial<IdTokenExpectations>?][] = [
    ['no iss', { iss: undefined }, 'ISSUER'],
    ['another iss', { iss: 'https://evil.example.com' }, 'ISSUER'],
    ['iss with a slash more', { iss: 'https://op.example.com/' }, 'ISSUER'],
    ['iss in upper case', { iss: 'https://OP.example.com' }, 'ISSUER'],
    ['a list as iss', { iss: ['https://op.example.com'] }, 'ISSUER'],
    ['no sub', { sub: undefined }, 'SUBJECT'],
    ['an empty sub', { sub: '' }, 'SUBJECT'],
    ['sub null', { sub: null }, 'SUBJECT'],
    ['a number as sub', { sub: 1 }, 'SUBJECT'],
    ['a list as sub', { sub: ['jane'] }, 'SUBJECT'],
    ['a sub of 256 characters', { sub: 'x'.repeat(256) }, 'SUBJECT'],
    ['a sub beyond ASCII', { sub: 'j\u0430ne' }, 'SUBJECT'],
    ['a sub with a line break', { sub: 'jane\nadmin' }, 'SUBJECT'],
    ['no aud', { aud: undefined }, 'AUDIENCE'],
    ['another aud', { aud: 'other' }, 'AUDIENCE'],
    ['aud that begins with ours', { aud: 'client2' }, 'AUDIENCE'],
    ['an empty list as aud', { aud: [] }, 'AUDIENCE'],
    ['a list as aud without us', { aud: ['other'] }, 'AUDIENCE'],
    ['a list in the list of aud', { aud: [['client']] }, 'AUDIENCE'],
    ['a number among aud', { aud: ['client', 1], azp: 'client' }, 'AUDIENCE'],
    ['an object as aud', { aud: { client: true } }, 'AUDIENCE'],
    ['a further audience without azp', { aud: ['client', 'other'] }, 'AUDIENCE'],
    ['a further audience with its azp', { aud: ['client', 'other'], azp: 'other' }, 'AUDIENCE'],
    ['azp alone', { aud: 'other', azp: 'client' }, 'AUDIENCE'],
    ['another azp', { azp: 'other' }, 'AUTHORIZED_PARTY'],
    ['an empty azp', { azp: '' }, 'AUTHORIZED_PARTY'],
    ['azp null', { azp: null }, 'AUTHORIZED_PARTY'],
    ['a list as azp', { azp: ['client'] }, 'AUTHORIZED_PARTY'],
    ['no exp', { exp: undefined }, 'EXPIRED'],
    ['exp in the past', { exp: now - 61 }, 'EXPIRED'],
    ['exp as a string', { exp: String(now + 300) }, 'EXPIRED'],
    ['exp null', { exp: null }, 'EXPIRED'],
    ['exp beyond all time', { exp: 1e300 }, 'EXPIRED'],
    ['exp before all time', { exp: -1e300 }, 'EXPIRED'],
    ['no iat', { iat: undefined }, 'ISSUED_AT'],
    ['iat in the future', { iat: now + 70 }, 'ISSUED_AT'],
    ['iat two days ago', { iat: now - 172_800 }, 'ISSUED_AT'],
    ['iat as a string', { iat: String(now) }, 'ISSUED_AT'],
    ['iat in milliseconds', { iat: now * 1000 }, 'ISSUED_AT'],
    ['nbf in the future', { nbf: now + 70 }, 'NOT_BEFORE'],
    ['nbf as a string', { nbf: String(now) }, 'NOT_BEFORE'],
    ['nbf null', { nbf: null }, 'NOT_BEFORE'],
    ['no nonce', { nonce: undefined }, 'NONCE'],
    ['an empty nonce', { nonce: '' }, 'NONCE'],
    ['an empty nonce where none was kept', { nonce: '' }, 'NONCE', { nonce: '' }],
    ['another nonce of the same length', { nonce: 'n-0S6_WzA2Mk' }, 'NONCE'],
    ['a shorter nonce', { nonce: 'n-0S6_WzA2M' }, 'NONCE'],
    ['a list as nonce', { nonce: ['n-0S6_WzA2Mj'] }, 'NONCE'],
    ['auth_time as a string after max_age', { auth_time: String(now) }, 'AUTH_TIME', { maxAge: 300 }],
    ['auth_time null after max_age', { auth_time: null }, 'AUTH_TIME', { maxAge: 300 }],
    ['no auth_time after max_age', {}, 'AUTH_TIME', { maxAge: 300 }],
    ['auth_time before max_age', { auth_time: now - 361 }, 'AUTH_TIME', { maxAge: 300 }],
    ['auth_time in milliseconds after max_age', { auth_time: now * 1000 }, 'AUTH_TIME', { maxAge: 300 }],
    ['at_hash of another access token', { at_hash: leftHalf('another', 'sha256') }, 'ACCESS_TOKEN_HASH'],
    ['at_hash of another hash', { at_hash: leftHalf('an access token', 'sha512') }, 'ACCESS_TOKEN_HASH'],
    ['at_hash of the whole hash', { at_hash: wholeHash('an access token') }, 'ACCESS_TOKEN_HASH'],
    ['an empty at_hash', { at_hash: '' }, 'ACCESS_TOKEN_HASH'],
    ['at_hash null', { at_hash: null }, 'ACCESS_TOKEN_HASH'],
    ['c_hash of another code', { c_hash: leftHalf('another', 'sha256') }, 'CODE_HASH'],
    ['c_hash null', { c_hash: null }, 'CODE_HASH'],
    ['c_hash where no code came', { c_hash: leftHalf('', 'sha256') }, 'CODE_HASH', { code: undefined }],
    ['s_hash of another state', { s_hash: leftHalf('another', 'sha256') }, 'STATE_HASH'],
    ['an empty s_hash', { s_hash: '' }, 'STATE_HASH'],
    [
      'at_hash where no access token came',
      { at_hash: leftHalf('', 'sha256') },
      'ACCESS_TOKEN_HASH',
      { accessToken: undefined },
    ],
  ]
  for (const [name, claims, code, expectations] of changes) {
    it(`are refused with ${name}`, () => refuses(tokenWith(claims), `ERR_OIDC_ID_TOKEN_${code}`, expectations))
  }

  it('are refused with an infinite exp', async () => {
    const payload = JSON.stringify(goodClaims).replace(`"exp":${now + 300}`, '"exp":1e999')
    await refuses(signed(goodHeader, payload), 'ERR_OIDC_ID_TOKEN_EXPIRED')
  })

  it('do not inherit from a __proto__ claim', async () => {
    const payload = JSON.stringify({ ...goodClaims, nonce: undefined }).replace('{', `{"__proto__":{"nonce":"n"},`)
    await refuses(signed(goodHeader, payload), 'ERR_OIDC_ID_TOKEN_NONCE', { nonce: 'n' })
  })

  it('expire with time', async () => {
    mock.timers.enable({ apis: ['Date'], now: (now + 359) * 1000 })
    try {
      await verify(good, keys, expected)
      mock.timers.tick(1000)
      await refuses(good, 'ERR_OIDC_ID_TOKEN_EXPIRED')
    } finally {
      mock.timers.reset()
    }
  })
})

function wholeHash(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

describe('the signature algorithms', () => {
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
  const ed25519 = generateKeyPairSync('ed25519')
  const pairs: Readonly<Record<string, { publicKey: KeyObject; privateKey: KeyObject }>> = {
    RS256: rsa,
    RS384: rsa,
    RS512: rsa,
    PS256: rsa,
    PS384: rsa,
    PS512: rsa,
    ES256: p256,
    ES384: p384,
    ES512: p521,
    EdDSA: ed25519,
    Ed25519: ed25519,
  }
  const all = storeOf([rsa, p256, p384, p521, ed25519].map(({ publicKey }) => jwk(publicKey, { kid: 'one' })))

  // jose signs: another implementation than the one that verifies.
  async function signedBy(alg: string, key: KeyObject | Uint8Array, claims: Record<string, unknown> = {}) {
    const payload = new TextEncoder().encode(JSON.stringify({ ...goodClaims, ...claims }))
    return await new CompactSign(payload).setProtectedHeader({ alg, kid: 'one' }).sign(key)
  }

  function digestOf(alg: string): string {
    return alg.startsWith('Ed') ? 'sha512' : `sha${alg.slice(2)}`
  }

  for (const [alg, { privateKey }] of Object.entries(pairs)) {
    it(`verifies ${alg}, and at_hash with its hash`, async () => {
      const token = await signedBy(alg, privateKey, { at_hash: leftHalf('an access token', digestOf(alg)) })
      assert.equal((await verify(token, all, { ...expected, alg })).claims.sub, 'jane')
      const wrong = await signedBy(alg, privateKey, { at_hash: leftHalf('another', digestOf(alg)) })
      await refuses(wrong, 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH', { alg }, all)
    })

    it(`refuses an ${alg} signature with any byte changed`, async (t) => {
      // Renewals of the keys are spaced by time.
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      t.after(() => mock.timers.reset())
      const store = storeOf(Object.values(pairs).map(({ publicKey }) => jwk(publicKey, { kid: 'one' })))
      const token = await signedBy(alg, privateKey)
      const [header, payload, signature = ''] = token.split('.')
      const bytes = Buffer.from(signature, 'base64url')
      for (let position = 0; position < bytes.length; position += alg === 'RS256' ? 1 : 5) {
        const changed = Buffer.from(bytes)
        changed[position] = (changed[position] ?? 0) ^ 0x5a
        const forged = `${header}.${payload}.${changed.toString('base64url')}`
        await refuses(forged, 'ERR_OIDC_ID_TOKEN_SIGNATURE', { alg }, store)
      }
      assert.ok(store.fetches() <= 6)
    })

    it(`refuses an ${alg} signature that is zero, shortened or lengthened`, async () => {
      const [header, payload, signature = ''] = (await signedBy(alg, privateKey)).split('.')
      const bytes = Buffer.from(signature, 'base64url')
      for (const made of [Buffer.alloc(bytes.length), bytes.subarray(1), Buffer.concat([bytes, Buffer.alloc(1)])]) {
        const forged = `${header}.${payload}.${made.toString('base64url')}`
        await refuses(forged, 'ERR_OIDC_ID_TOKEN_SIGNATURE', { alg }, all)
      }
    })
  }

  for (const alg of ['HS256', 'HS384', 'HS512']) {
    it(`verifies ${alg} with the client secret, without fetching keys`, async () => {
      const token = await signedBy(alg, new TextEncoder().encode(secret), {
        at_hash: leftHalf('an access token', digestOf(alg)),
      })
      const store = storeOf([])
      await verify(token, store, { ...expected, alg })
      assert.equal(store.fetches(), 0)
      const other = { alg, clientSecret: `${secret}!` }
      await refuses(token, 'ERR_OIDC_ID_TOKEN_SIGNATURE', other, store)
      const [header, payload, signature = ''] = token.split('.')
      const cut = Buffer.from(signature, 'base64url').subarray(1).toString('base64url')
      await refuses(`${header}.${payload}.${cut}`, 'ERR_OIDC_ID_TOKEN_SIGNATURE', { alg }, store)
      await refuses(token, 'ERR_OIDC_ID_TOKEN_KEY', { alg, clientSecret: undefined }, store)
      await refuses(token, 'ERR_OIDC_ID_TOKEN_KEY', { alg, clientSecret: '' }, store)
      await refuses(token, 'ERR_OIDC_ID_TOKEN_ALG', { alg: 'RS256' }, store)
    })
  }

  const disguises: readonly [string, string | Buffer][] = [
    ['PEM', rsa.publicKey.export({ type: 'spki', format: 'pem' })],
    ['PEM without its last line break', String(rsa.publicKey.export({ type: 'spki', format: 'pem' })).trim()],
    ['PEM of PKCS #1', rsa.publicKey.export({ type: 'pkcs1', format: 'pem' })],
    ['DER', rsa.publicKey.export({ type: 'spki', format: 'der' })],
    ['JWK', JSON.stringify(jwk(rsa.publicKey, { kid: 'one' }))],
    ['modulus', Buffer.from(jwk(rsa.publicKey).n ?? '', 'base64url')],
  ]
  for (const [name, hmacKey] of disguises) {
    it(`never uses the public key as an HMAC secret (${name})`, async () => {
      const forged = await signedBy('HS256', Buffer.from(hmacKey))
      await refuses(forged, 'ERR_OIDC_ID_TOKEN_ALG')
      await refuses(forged, 'ERR_OIDC_ID_TOKEN_SIGNATURE', { alg: 'HS256' })
    })
  }

  it('treats EdDSA and Ed25519 as the same', async () => {
    const token = await signedBy('EdDSA', ed25519.privateKey)
    await verify(token, all, { ...expected, alg: 'Ed25519' })
    const named = storeOf([jwk(ed25519.publicKey, { kid: 'one', alg: 'Ed25519' })])
    await verify(token, named, { ...expected, alg: 'EdDSA' })
  })
})

describe('the keys of the provider', () => {
  const kidOne = { kid: 'one' }

  it('are fetched again at once for a new kid', async () => {
    const store = storeOf([jwk(otherRsa.publicKey, { kid: 'old' })], [jwk(rsa.publicKey, kidOne)])
    await verify(good, store, expected)
    assert.equal(store.fetches(), 2)
  })

  it('are fetched again once if a key was replaced under its kid', async () => {
    const store = storeOf([jwk(otherRsa.publicKey, kidOne)], [jwk(rsa.publicKey, kidOne)])
    await verify(good, store, expected)
    assert.equal(store.fetches(), 2)
  })

  it('are all tried if several have the same kid', async () => {
    const both = [jwk(otherRsa.publicKey, kidOne), jwk(rsa.publicKey, kidOne)]
    const store = storeOf(both)
    await verify(good, store, expected)
    assert.equal(store.fetches(), 1)
    const renewed = storeOf([jwk(otherRsa.publicKey, kidOne)], both)
    await verify(good, renewed, expected)
    assert.equal(renewed.fetches(), 2)
  })

  it('are all tried if the token has no kid', async () => {
    const token = tokenWith({}, { kid: undefined })
    await verify(token, storeOf([jwk(otherRsa.publicKey), jwk(rsa.publicKey, { kid: 'x' })]), expected)
  })

  it('give an error with its own code if none matches', async () => {
    await refuses(good, 'ERR_OIDC_ID_TOKEN_KEY', {}, storeOf([jwk(rsa.publicKey, { kid: 'two' })]))
    await refuses(good, 'ERR_OIDC_ID_TOKEN_KEY', {}, storeOf([]))
  })

  it('are named in that error, and for an issuer of many tenants, that they are for its tokens', async () => {
    const store = storeOf([jwk(rsa.publicKey, { kid: 'two', issuer: 'https://op.example.com/other' })])
    const at = 'which https://op.example.com/keys does not publish'
    const advice = 'Check the option issuer.'
    const messageOf = async (token: string, matchKeyIssuer: boolean): Promise<string> => {
      const failure = verifyJws('ID_TOKEN', token, store, { alg: 'RS256', matchKeyIssuer })
      return failure.then(
        () => assert.fail(),
        (error: Error) => error.message,
      )
    }
    const named = `The ID Token is signed with the RS256 key with the kid "one", ${at}`
    assert.equal(await messageOf(good, false), `${named}. ${advice}`)
    assert.equal(await messageOf(good, true), `${named} for tokens of this issuer. ${advice}`)
    assert.equal(
      await messageOf(tokenWith({}, { kid: undefined }), true),
      `The ID Token is signed with a RS256 key, ${at} for tokens of this issuer. ${advice}`,
    )
  })

  it('do not verify the signature of another key', async () => {
    const store = storeOf([jwk(otherRsa.publicKey, kidOne)])
    await refuses(good, 'ERR_OIDC_ID_TOKEN_SIGNATURE', {}, store)
    assert.equal(store.fetches(), 2)
  })

  it('give the error of the request if they cannot be fetched', async () => {
    const down = new Error('down')
    const store = createKeyStore({ getJson: () => Promise.reject(down) }, 'https://op.example.com/keys')
    await assert.rejects(verify(good, store, expected), down)
  })

  it('are not fetched before the header is checked', async () => {
    const store = storeOf([jwk(rsa.publicKey, kidOne)])
    await refuses(tokenWith({}, { alg: 'none' }), 'ERR_OIDC_ID_TOKEN_ALG', {}, store)
    assert.equal(store.fetches(), 0)
  })

  it('verify the signature before the claims are checked', async () => {
    const claims: Record<string, Json> = { ...goodClaims, iss: 'https://evil.example.com' }
    await refuses(
      signed(goodHeader, claims, otherRsa.privateKey),
      'ERR_OIDC_ID_TOKEN_SIGNATURE',
      {},
      storeOf([jwk(rsa.publicKey, kidOne)]),
    )
  })
})
