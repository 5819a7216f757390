import assert from 'node:assert/strict'
import { createHash, createPublicKey, type JsonWebKey } from 'node:crypto'
import { describe, it } from 'node:test'
import { calculateJwkThumbprint, decodeProtectedHeader, jwtVerify } from 'jose'
import { ConfigError } from '../../lib/errors.ts'
import { createDpopKey, createDpopProof, dpopThumbprint } from '../../lib/provider/dpop.ts'
import { createDpopNonces } from '../../lib/provider/dpop-nonces.ts'

const NOW = 1_700_000_000
const ALGS = ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

function publicOf(key: JsonWebKey): JsonWebKey {
  const { d: _, alg: __, ...members } = key
  return members
}

async function verify(proof: string) {
  const { jwk, alg } = decodeProtectedHeader(proof)
  assert.ok(jwk && alg)
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
  return await jwtVerify(proof, key, { algorithms: [alg], currentDate: new Date(NOW * 1000) })
}

describe('the DPoP key of a login', () => {
  for (const alg of ALGS) {
    it(`for ${alg} can be stored as JSON, and is new for each login`, async () => {
      const key = createDpopKey(alg)
      assert.deepEqual(JSON.parse(JSON.stringify(key)), key)
      assert.equal(key.alg, alg)
      assert.notEqual(key.d, createDpopKey(alg).d)
      const proof = await createDpopProof({
        key: JSON.parse(JSON.stringify(key)),
        method: 'POST',
        url: 'https://op.example/',
        now: NOW,
      })
      await verify(proof)
    })
  }

  for (const alg of ['RS256', 'PS256', 'HS256', 'none', '', '__proto__', 'ES256K']) {
    it(`is not created for ${JSON.stringify(alg)}`, () => {
      assert.throws(() => createDpopKey(alg), ConfigError)
    })
  }

  it('has the thumbprint of its public key', async () => {
    for (const key of ALGS.map(createDpopKey)) {
      const { kty, crv, x } = key
      const expected = await calculateJwkThumbprint(key.y === undefined ? { kty, crv, x } : { kty, crv, x, y: key.y })
      assert.equal(await dpopThumbprint(key), expected)
    }
  })
})

describe('a DPoP proof', () => {
  const key = createDpopKey('ES256')
  const asked = { key, method: 'POST', url: 'https://op.example/token', now: NOW }

  it('names the method, the URL, the time and the key, and nothing else', async () => {
    const { payload, protectedHeader } = await verify(await createDpopProof(asked))
    assert.deepEqual(protectedHeader, { typ: 'dpop+jwt', alg: 'ES256', jwk: publicOf({ ...key }) })
    const { jti, ...claims } = payload
    assert.deepEqual(claims, { htm: 'POST', htu: 'https://op.example/token', iat: NOW })
    assert.match(String(jti), /^[\w-]{22,}$/)
  })

  for (const alg of ALGS) {
    it(`never contains the private key of ${alg}`, async () => {
      const own = createDpopKey(alg)
      const header = decodeProtectedHeader(await createDpopProof({ ...asked, key: own }))
      assert.deepEqual(
        Object.keys(header.jwk ?? {}).sort(),
        own.y === undefined ? ['crv', 'kty', 'x'] : ['crv', 'kty', 'x', 'y'],
      )
      assert.ok(!JSON.stringify(header).includes(own.d))
    })
  }

  const URLS: readonly (readonly [given: string, expected: string])[] = [
    ['https://op.example/userinfo?a=b', 'https://op.example/userinfo'],
    ['https://op.example/userinfo#a', 'https://op.example/userinfo'],
    ['https://op.example', 'https://op.example/'],
    ['https://OP.example:443/a/../b', 'https://op.example/b'],
    ['https://op.example:8443/%7Euser', 'https://op.example:8443/%7Euser'],
    ['http://127.0.0.1:3000/token?#', 'http://127.0.0.1:3000/token'],
  ]
  for (const [url, expected] of URLS) {
    it(`for ${url} is for ${expected}`, async () => {
      assert.equal((await verify(await createDpopProof({ ...asked, url }))).payload['htu'], expected)
    })
  }

  it('is bound to one access token', async () => {
    const { payload } = await verify(
      await createDpopProof({ ...asked, method: 'GET', accessToken: 'at-1', nonce: 'n-1' }),
    )
    const ath = createHash('sha256').update('at-1').digest('base64url')
    assert.deepEqual([payload['ath'], payload['htm'], payload['nonce']], [ath, 'GET', 'n-1'])
  })

  it('is never the same twice', async () => {
    const proofs = await Promise.all(Array.from({ length: 50 }, () => createDpopProof(asked)))
    const ids = await Promise.all(proofs.map(async (proof) => (await verify(proof)).payload.jti))
    assert.equal(new Set(ids).size, 50)
  })
})

describe('the store of nonces', () => {
  const URL_1 = 'https://op.example/token'
  const headers = (nonce: string) => new Headers({ 'DPoP-Nonce': nonce })

  it('keeps the latest nonce of each origin', () => {
    const nonces = createDpopNonces()
    assert.equal(nonces.get(URL_1), undefined)
    assert.equal(nonces.keep(URL_1, headers('one')), 'one')
    assert.equal(nonces.keep('https://api.example/a', headers('other')), 'other')
    assert.equal(nonces.keep('https://op.example/par', headers('two')), 'two')
    assert.deepEqual([nonces.get(URL_1), nonces.get('https://api.example/b')], ['two', 'other'])
    assert.equal(nonces.get('https://op.example:8443/token'), undefined)
    assert.equal(nonces.get('http://op.example/token'), undefined)
  })

  it('keeps its nonce if a response has none', () => {
    const nonces = createDpopNonces()
    nonces.keep(URL_1, headers('one'))
    assert.equal(nonces.keep(URL_1, new Headers()), undefined)
    assert.equal(nonces.get(URL_1), 'one')
  })

  const twice = new Headers([
    ['DPoP-Nonce', 'a'],
    ['DPoP-Nonce', 'b'],
  ])
  const BAD: readonly (readonly [name: string, headers: Headers])[] = [
    ['is empty', headers('')],
    ['holds a space', headers('a b')],
    ['holds a quote', headers('a"b')],
    ['holds a backslash', headers('a\\b')],
    ['is not ASCII', headers('\u00e9')],
    ['is too long', headers('x'.repeat(1025))],
    ['comes twice', twice],
  ]
  for (const [name, bad] of BAD) {
    it(`ignores a nonce that ${name}`, () => {
      const nonces = createDpopNonces()
      assert.equal(nonces.keep(URL_1, bad), undefined)
      assert.equal(nonces.get(URL_1), undefined)
    })
  }

  it('does not grow without bound', () => {
    const nonces = createDpopNonces()
    const urls = Array.from({ length: 100 }, (_, index) => `https://op${index}.example/`)
    for (const url of urls) nonces.keep(url, headers('n'))
    const kept = urls.filter((url) => nonces.get(url) !== undefined)
    assert.deepEqual(kept, urls.slice(-32))
  })
})
