import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { parseJsonObject } from '../../lib/jose/json.ts'
import { createKeyStore } from '../../lib/provider/keys.ts'
import type { Json } from '../../lib/types.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { foreignJson, nearly } from '../support/properties/foreign-text.ts'
import { holds, outcomeOf } from '../support/properties/outcome.ts'

const ALGORITHMS = ['RS256', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'HS256', 'none', 'A128KW', '']
const ENCRYPTION = ['RSA-OAEP', 'RSA-OAEP-256', 'ECDH-ES', 'ECDH-ES+A256KW', 'dir', 'RSA1_5', '']

const rsa = createRsaKeyPair()
const weakRsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
const ed25519 = generateKeyPairSync('ed25519')
const x25519 = generateKeyPairSync('x25519')
const PUBLIC = [rsa, weakRsa, ec, secp256k1, ed25519, x25519].map(({ publicKey }) =>
  publicKey.export({ format: 'jwk' }),
)
const PRIVATE = [rsa, ec, ed25519].map(({ privateKey }) => privateKey.export({ format: 'jwk' }))

/** Keys that are nearly good ones, private ones among them, with members that say what they are for. */
const anyKey: Arbitrary<Json> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PUBLIC, ...PRIVATE).chain((jwk) => nearly(jwk as Record<string, Json>)) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(...PUBLIC)
      .chain((jwk) =>
        nearly({ ...(jwk as Record<string, Json>), kid: 'one', use: 'sig', alg: 'RS256', key_ops: ['verify'] }),
      ),
  },
  { weight: 1, arbitrary: fc.constant<Json>({ kty: 'oct', k: 'AAAA', alg: 'HS256' }) },
  { weight: 1, arbitrary: foreignJson },
)

function storeOf(document: unknown) {
  let fetches = 0
  const getJson = async () => {
    fetches += 1
    const json = parseJsonObject(Buffer.from(JSON.stringify(document))) ?? {}
    return { json, headers: new Headers() }
  }
  return { store: createKeyStore({ getJson }, 'https://op.example.com/keys'), fetches: () => fetches }
}

describe('a set of keys', () => {
  it('gives public keys of the algorithm that is asked for, or none, or is refused', async () => {
    const set = fc.oneof(
      { weight: 6, arbitrary: fc.record({ keys: fc.array(anyKey, { maxLength: 4 }) }) },
      { weight: 1, arbitrary: nearly({ keys: [] }) },
    )
    const hint = fc.record({
      alg: fc.constantFrom(...ALGORITHMS),
      kid: fc.constantFrom('one', '', undefined),
      claims: fc.constantFrom(undefined, {}, { iss: 'https://op.example.com' }),
    })
    await fc.assert(
      fc.asyncProperty(set, hint, fc.constantFrom(...ENCRYPTION), async (document, wanted, alg) => {
        const { store, fetches } = storeOf(document)
        const { value: keys = [] } = await outcomeOf(() => store.keysFor(wanted), /^ERR_OIDC_KEYS_INVALID$/)
        for (const key of keys) {
          assert.equal(key.type, 'public')
          assert.match(wanted.alg, { rsa: /^[RP]S/, ec: /^ES/, ed25519: /^Ed/ }[String(key.asymmetricKeyType)] ?? /^$/)
          holds((key.asymmetricKeyDetails?.modulusLength ?? 2048) >= 2048)
          assert.notEqual(key.asymmetricKeyDetails?.namedCurve, 'secp256k1')
        }
        const { value: encryption } = await outcomeOf(() => store.encryptionKeyFor(alg), /^ERR_OIDC_KEYS_INVALID$/)
        if (encryption !== undefined) {
          assert.equal(encryption.key.type, 'public')
          assert.match(alg, encryption.key.asymmetricKeyType === 'rsa' ? /^RSA-OAEP/ : /^ECDH-ES/)
        }
        holds(fetches() <= 4)
      }),
      { numRuns: 400 },
    )
  })

  it('costs at most a hundred imports and sixteen signatures, however long it is', async () => {
    const [, , jwk] = PUBLIC
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 3000 }), fc.boolean(), async (count, isLast) => {
        const others = Array.from({ length: count }, () => ({ kty: 'oct', k: 'AAAA' }))
        const good = Array.from({ length: 20 }, (_, index) => ({ ...jwk, alg: 'ES256', kid: `key ${index}` }))
        const { store } = storeOf({ keys: isLast ? [...others, ...good] : [...good, ...others] })
        const keys = await store.keysFor({ alg: 'ES256' })
        assert.equal(keys.length, 16)
      }),
      { numRuns: 20 },
    )
  })

  it('is fetched a few times at most for tokens whose keys it does not have', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string(), { minLength: 20, maxLength: 60 }), async (kids) => {
        const { store, fetches } = storeOf({ keys: [] })
        for (const kid of kids) assert.deepEqual(await store.keysFor({ alg: 'RS256', kid }), [])
        holds(fetches() <= 7, `it was fetched ${fetches()} times`)
      }),
      { numRuns: 20 },
    )
  })
})
