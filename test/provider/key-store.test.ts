import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { createKeyStore } from '../../lib/provider/keys.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'

const rsa = publicJwk(createRsaKeyPair().publicKey)
const otherRsa = publicJwk(createRsaKeyPair().publicKey)
const weakRsa = publicJwk(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)
const p256 = publicJwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)
const p384 = publicJwk(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)
const secp256k1 = publicJwk(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey)
const ed25519 = publicJwk(generateKeyPairSync('ed25519').publicKey)
const ed448 = publicJwk(generateKeyPairSync('ed448').publicKey)
const x25519 = publicJwk(generateKeyPairSync('x25519').publicKey)
const privateRsa = createRsaKeyPair().privateKey.export({ format: 'jwk' })

function publicJwk(key: KeyObject): Record<string, unknown> {
  return { ...key.export({ format: 'jwk' }) }
}

/** A store over a key set that can be changed, on an endpoint that can be taken down. */
function startStore(...keys: readonly unknown[]) {
  const endpoint = { fetches: 0, keys: keys as unknown, fault: undefined as Error | undefined, headers: {} }
  const getJson = async () => {
    endpoint.fetches += 1
    await Promise.resolve()
    if (endpoint.fault !== undefined) throw endpoint.fault
    const json = JSON.parse(JSON.stringify({ keys: endpoint.keys }))
    return { json, headers: new Headers(endpoint.headers) }
  }
  const store = createKeyStore({ getJson }, 'https://op.example.com/keys')
  return { store, endpoint }
}

function materialOf(keys: readonly KeyObject[]): unknown[] {
  return keys.map((key) => {
    const { n, x } = key.export({ format: 'jwk' })
    return n ?? x
  })
}

describe('the choice of keys', () => {
  const set = [
    { ...rsa, kid: 'rsa' },
    { ...otherRsa, kid: 'other' },
    { ...p256, kid: 'p256' },
    { ...p384, kid: 'p384' },
    { ...ed25519, kid: 'ed25519' },
    { ...secp256k1, kid: 'secp256k1' },
  ]
  const choices: readonly [string, { alg: string; kid?: string }, readonly unknown[]][] = [
    ['returns the key with the kid', { alg: 'RS256', kid: 'rsa' }, [rsa['n']]],
    ['returns every key of the type if there is no kid', { alg: 'RS256' }, [rsa['n'], otherRsa['n']]],
    ['returns the key with the curve of the algorithm', { alg: 'ES256' }, [p256['x']]],
    ['returns the key with the curve of another algorithm', { alg: 'ES384' }, [p384['x']]],
    ['returns an Ed25519 key for EdDSA', { alg: 'EdDSA' }, [ed25519['x']]],
    ['returns no key of another type, whatever its kid', { alg: 'RS256', kid: 'p256' }, []],
    ['returns no key of another curve, whatever its kid', { alg: 'ES256', kid: 'p384' }, []],
    ['compares a kid with its case', { alg: 'RS256', kid: 'RSA' }, []],
    ['treats an empty kid as a kid', { alg: 'RS256', kid: '' }, []],
    ['treats __proto__ as a kid', { alg: 'RS256', kid: '__proto__' }, []],
    ['treats constructor as a kid', { alg: 'RS256', kid: 'constructor' }, []],
    ['returns nothing for none', { alg: 'none' }, []],
    ['returns nothing for HS256', { alg: 'HS256', kid: 'rsa' }, []],
    ['returns nothing for ES256K', { alg: 'ES256K', kid: 'secp256k1' }, []],
    ['returns nothing for __proto__', { alg: '__proto__' }, []],
  ]
  for (const [name, hint, expected] of choices) {
    it(name, async () => {
      assert.deepEqual(materialOf(await startStore(...set).store.keysFor(hint)), expected)
    })
  }

  it('distinguishes keys with one kid by type, curve, alg and use', async () => {
    const kid = 'same'
    const { store } = startStore(
      { ...p384, kid },
      { ...p256, kid },
      { ...ed25519, kid },
      { ...otherRsa, kid, use: 'enc' },
      { ...otherRsa, kid, alg: 'PS256' },
      { ...otherRsa, kid, alg: 'RSA-OAEP' },
      { ...rsa, kid, alg: 'RS256', use: 'sig', key_ops: ['verify'] },
    )
    assert.deepEqual(materialOf(await store.keysFor({ alg: 'RS256', kid })), [rsa['n']])
    assert.deepEqual(materialOf(await store.keysFor({ alg: 'ES256', kid })), [p256['x']])
    assert.deepEqual(materialOf(await store.keysFor({ alg: 'EdDSA', kid })), [ed25519['x']])
  })

  it('returns two keys of one type with the same kid', async () => {
    const { store } = startStore({ ...rsa, kid: 'same' }, { ...otherRsa, kid: 'same' })
    assert.equal((await store.keysFor({ alg: 'RS256', kid: 'same' })).length, 2)
  })

  it('returns at most 16 keys', async () => {
    const { store } = startStore(...Array.from({ length: 40 }, () => rsa))
    assert.equal((await store.keysFor({ alg: 'RS256' })).length, 16)
  })

  it('imports at most 100 keys', async () => {
    const { store } = startStore(...Array.from({ length: 100 }, () => p256), rsa)
    assert.deepEqual(await store.keysFor({ alg: 'RS256' }), [])
  })

  it('N-25: takes a key whose alg is its type', async () => {
    assert.equal((await startStore({ ...rsa, alg: 'RSA' }).store.keysFor({ alg: 'RS256' })).length, 1)
    assert.equal((await startStore({ ...p256, alg: 'EC' }).store.keysFor({ alg: 'ES256' })).length, 1)
    assert.deepEqual(await startStore({ ...rsa, alg: 'EC' }).store.keysFor({ alg: 'RS256' }), [])
  })

  it('N-25: takes a key after more than 100 keys of kinds that cannot be used', async () => {
    const others = Array.from({ length: 500 }, () => secp256k1)
    assert.deepEqual(materialOf(await startStore(...others, rsa).store.keysFor({ alg: 'RS256' })), [rsa['n']])
  })

  const ignored: readonly [string, unknown][] = [
    ['a number', 1],
    ['null', null],
    ['a list', [rsa]],
    ['an empty object', {}],
    ['of an unknown type', { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AAAA' }],
    ['of the type __proto__', { ...rsa, kty: '__proto__' }],
    ['without a type', { ...rsa, kty: undefined }],
    ['of a type that is no string', { ...rsa, kty: ['RSA'] }],
    ['of the curve secp256k1', secp256k1],
    ['of the curve Ed448', ed448],
    ['of the curve X25519', x25519],
    ['of a curve that is no string', { ...p256, crv: 256 }],
    ['symmetric', { kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' }],
    ['private', privateRsa],
    ['RSA of 1024 bits', weakRsa],
    ['RSA without modulus', { kty: 'RSA', e: 'AQAB' }],
    ['RSA with an empty modulus', { ...rsa, n: '' }],
    ['RSA with a modulus that is no string', { ...rsa, n: 1 }],
    ['RSA with a modulus that is no Base64', { ...rsa, n: '!'.repeat(342) }],
    ['RSA with a giant modulus', { ...rsa, n: '_'.repeat(100_000) }],
    ['RSA with an exponent of 1', { ...rsa, e: 'AQ' }],
    ['RSA with an even exponent', { ...rsa, e: 'BA' }],
    ['RSA with a giant exponent', { ...rsa, e: '_'.repeat(300) }],
    ['EC with a point off the curve', { ...p256, x: p256['y'], y: p256['x'] }],
    ['EC with half a point', { ...p256, y: undefined }],
    ['EC with the curve of another', { ...p256, crv: 'P-384' }],
    ['Ed25519 cut short', { ...ed25519, x: 'AAAA' }],
    ['for encryption', { ...rsa, use: 'enc' }],
    ['for an unknown use', { ...rsa, use: ['sig'] }],
    ['with other operations', { ...rsa, key_ops: ['encrypt'] }],
    ['with operations that are no list', { ...rsa, key_ops: 'verify' }],
    ['with a kid that is no string', { ...rsa, kid: 1 }],
    ['with an alg that is no string', { ...rsa, alg: 256 }],
    ['with another alg', { ...rsa, alg: 'RS512' }],
    ['with an alg of another type', { ...rsa, alg: 'ES256' }],
  ]
  for (const [name, key] of ignored) {
    it(`ignores a key ${name}`, async () => {
      for (const alg of ['RS256', 'ES256', 'EdDSA']) {
        assert.deepEqual(await startStore(key).store.keysFor({ alg }), [])
      }
      const { store } = startStore(key, { ...rsa, e: 'AQAB' })
      assert.deepEqual(materialOf(await store.keysFor({ alg: 'RS256' })), [rsa['n']])
    })
  }

  const named: readonly (readonly [members: object, restriction: unknown])[] = [
    [{ key_ops: ['sign'] }, { name: 'key_ops', value: ['sign'] }],
    [
      { key_ops: 'verify', use: 'sig' },
      { name: 'key_ops', value: 'verify' },
    ],
    [
      { key_ops: ['encrypt'], use: 'enc' },
      { name: 'key_ops', value: ['encrypt'] },
    ],
    [{ use: 'enc' }, { name: 'use', value: 'enc' }],
    [{ use: 'enc', kid: 'other' }, undefined],
    [{ key_ops: ['verify'], use: 'sig' }, undefined],
  ]
  for (const [members, restriction] of named) {
    it(`N-25: names what forbids a key to verify: ${JSON.stringify(members)}`, async () => {
      const { store, endpoint } = startStore({ ...rsa, kid: 'one', ...members })
      await store.keysFor({ alg: 'RS256', kid: 'one' })
      const { fetches } = endpoint
      assert.deepEqual(store.restrictionOf({ alg: 'RS256', kid: 'one' }), restriction)
      assert.equal(store.restrictionOf({ alg: 'ES256', kid: 'one' }), undefined)
      assert.equal(endpoint.fetches, fetches, 'A message causes no request.')
    })
  }

  it('N-25: keeps good keys if those of a new set must not verify', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'one' })
    assert.equal((await store.keysFor({ alg: 'RS256' })).length, 1)
    endpoint.keys = [{ ...rsa, kid: 'one', key_ops: ['sign'] }]
    await store.renew()
    assert.equal((await store.keysFor({ alg: 'RS256' })).length, 1)
  })

  for (const keys of [undefined, null, {}, 'keys', { length: 1 }]) {
    it(`refuses a set whose keys are ${JSON.stringify(keys)}`, async () => {
      const { store, endpoint } = startStore()
      endpoint.keys = keys
      await assert.rejects(store.keysFor({ alg: 'RS256' }), { code: 'ERR_OIDC_KEYS_INVALID', status: 502 })
    })
  }
})

describe('the cache of keys', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 }))
  afterEach(() => mock.timers.reset())

  const passSeconds = (seconds: number) => mock.timers.tick(seconds * 1000)
  const unknown = { alg: 'RS256', kid: 'unknown' }
  const known = { alg: 'RS256', kid: 'rsa' }

  it('is empty before the first call', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
    assert.equal(endpoint.fetches, 0)
    await Promise.all([store.keysFor(known), store.keysFor(known), store.keysFor(known)])
    assert.equal(endpoint.fetches, 1)
  })

  it('imports each key once', async () => {
    const { store } = startStore({ ...rsa, kid: 'rsa' })
    assert.equal((await store.keysFor(known))[0], (await store.keysFor(known))[0])
  })

  it('lasts for as long as Cache-Control says', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
    endpoint.headers = { 'Cache-Control': 'max-age=31593, must-revalidate' }
    await store.keysFor(known)
    assert.equal(store.status().expiresAt, 1_800_031_593)
    passSeconds(22_000)
    await store.keysFor(known)
    assert.equal(endpoint.fetches, 1)
    passSeconds(9593)
    await store.keysFor(known)
    assert.equal(endpoint.fetches, 2)
  })

  it('is renewed at once for a new kid', async () => {
    const { store, endpoint } = startStore({ ...otherRsa, kid: 'other' })
    await store.keysFor({ alg: 'RS256', kid: 'other' })
    endpoint.keys = [{ ...rsa, kid: 'rsa' }]
    assert.deepEqual(materialOf(await store.keysFor(known)), [rsa['n']])
    assert.equal(endpoint.fetches, 2)
  })

  it('is renewed at most six times in a flood of a thousand unknown kids, one after the other', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
    for (let count = 0; count < 1000; count += 1) {
      assert.deepEqual(await store.keysFor({ alg: 'RS256', kid: `made-up-${count}` }), [])
    }
    assert.equal(endpoint.fetches, 6)
    assert.equal((await store.keysFor(known)).length, 1)
  })

  it('publishes once that the budget of a flood is used up, and again after it was full', async () => {
    const label = { issuer: 'https://op.example.com', provider: 'default' }
    const getJson = async () => ({ json: { keys: [{ ...rsa, kid: 'rsa' }] }, headers: new Headers() })
    const store = createKeyStore({ getJson }, 'https://op.example.com/keys', label)
    const events: unknown[] = []
    const listener = (event: unknown): void => void events.push(event)
    subscribe('express-oidc:fetch-budget', listener)
    const flood = async (): Promise<void> => {
      for (let count = 0; count < 20; count += 1) {
        await store.keysFor({ alg: 'RS256', kid: `made-up-${count}` })
        if (count > 10) passSeconds(2)
      }
    }
    assert.equal(store.budgetLeft(), 5)
    await flood()
    assert.deepEqual(events, [{ ...label, document: 'keys' }])
    passSeconds(10)
    assert.equal(store.budgetLeft(), 5)
    await flood()
    unsubscribe('express-oidc:fetch-budget', listener)
    assert.equal(events.length, 2)
  })

  it('is fetched twice in a flood of a thousand unknown kids at the same time', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
    await Promise.all(
      Array.from({ length: 1000 }, (_, count) => store.keysFor({ alg: 'RS256', kid: `made-up-${count}` })),
    )
    assert.equal(endpoint.fetches, 2)
  })

  it('allows one more fetch after each two seconds, and five at most after an hour', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
    endpoint.headers = { 'Cache-Control': 'max-age=86400' }
    const flood = async () => {
      for (let count = 0; count < 20; count += 1) await store.keysFor(unknown)
      return endpoint.fetches
    }
    assert.equal(await flood(), 6)
    passSeconds(1.9)
    assert.equal(await flood(), 6)
    passSeconds(0.1)
    assert.equal(await flood(), 7)
    passSeconds(3600)
    assert.equal(await flood(), 12)
    mock.timers.setTime(1_700_000_000_000)
    // The clock was set back: the age of the keys is not known any more, and the budget is what it was.
    assert.equal(await flood(), 13)
  })

  it('counts failures in the same budget', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
    await store.keysFor(known)
    endpoint.fault = new Error('down')
    for (let count = 0; count < 20; count += 1) assert.deepEqual(await store.keysFor(unknown), [])
    assert.equal(endpoint.fetches, 6)
  })

  it('counts renewals in the same budget', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
    await store.keysFor(unknown)
    assert.equal(await store.renew(), true)
    assert.equal(await store.renew(), true)
    endpoint.fault = new Error('down')
    assert.equal(await store.renew(), false)
    assert.equal(await store.renew(), false)
    endpoint.fault = undefined
    assert.equal(await store.renew(), false)
    assert.equal(endpoint.fetches, 6)
  })

  it('is used while the endpoint is down', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
    await store.keysFor(known)
    endpoint.fault = new Error('down')
    passSeconds(90_000)
    assert.equal((await store.keysFor(known)).length, 1)
    endpoint.fault = undefined
    endpoint.keys = 'not a list'
    passSeconds(30)
    assert.equal((await store.keysFor(known)).length, 1)
  })

  const useless: readonly (readonly [string, readonly unknown[]])[] = [
    ['no key', []],
    ['only keys for encryption', [{ ...rsa, kid: 'rsa', use: 'enc' }]],
    ['only weak keys', [{ ...weakRsa, kid: 'rsa' }]],
    ['only symmetric keys', [{ kty: 'oct', k: 'c2VjcmV0', kid: 'rsa' }]],
  ]
  for (const [name, keys] of useless) {
    it(`N-13: keeps its good keys if a new set has ${name}`, async () => {
      const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
      await store.keysFor(known)
      endpoint.keys = keys
      await store.keysFor(unknown)
      assert.equal(endpoint.fetches, 2)
      assert.deepEqual(materialOf(await store.keysFor(known)), [rsa['n']])
      passSeconds(3600)
      assert.deepEqual(materialOf(await store.keysFor(known)), [rsa['n']])
      endpoint.keys = [{ ...otherRsa, kid: 'new' }]
      passSeconds(30)
      assert.deepEqual(materialOf(await store.keysFor({ alg: 'RS256', kid: 'new' })), [otherRsa['n']])
      assert.deepEqual(await store.keysFor(known), [], 'The provider has withdrawn the old key.')
    })
  }

  const outages: readonly (readonly [string, (endpoint: { keys: unknown; fault: Error | undefined }) => void])[] = [
    ['an empty set', (endpoint) => Object.assign(endpoint, { keys: [] })],
    ['a set of other keys', (endpoint) => Object.assign(endpoint, { keys: [{ ...otherRsa, kid: 'other' }] })],
    ['no set', (endpoint) => Object.assign(endpoint, { fault: new Error('down') })],
  ]
  for (const [name, breakEndpoint] of outages) {
    for (const hasCopy of [true, false]) {
      it(`N-14: finds new keys two seconds after ${name} under traffic${hasCopy ? ', with old keys' : ''}`, async () => {
        const { store, endpoint } = startStore({ ...otherRsa, kid: 'old' })
        if (hasCopy) await store.keysFor({ alg: 'RS256', kid: 'old' })
        breakEndpoint(endpoint)
        for (let count = 0; count < 72_013; count += 1) {
          await store.keysFor(known).catch(() => undefined)
          passSeconds(0.05)
        }
        assert.ok(endpoint.fetches <= 1900, `An hour cost ${endpoint.fetches} requests.`)
        Object.assign(endpoint, { fault: undefined, keys: [{ ...rsa, kid: 'rsa' }] })
        let seconds = 0
        const isFound = async () => (await store.keysFor(known).catch(() => [])).length > 0
        while (seconds < 5 && !(await isFound())) {
          passSeconds(0.05)
          seconds += 0.05
        }
        assert.ok(seconds <= 2.01, `The keys were found after ${seconds} seconds.`)
      })
    }
  }

  it('cannot be filled while the endpoint is down', async () => {
    const { store, endpoint } = startStore({ ...rsa, kid: 'rsa' })
    endpoint.fault = new Error('down')
    await assert.rejects(store.keysFor(known), endpoint.fault)
    endpoint.fault = undefined
    assert.equal((await store.keysFor(known)).length, 1)
  })
})
