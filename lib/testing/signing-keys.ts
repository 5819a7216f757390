import { generateKeyPair, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { compactVerify, type JWTPayload, SignJWT } from 'jose'
import { type AsymmetricSignatureAlgorithm, findJwsAlgorithm } from '../jose/algorithms.ts'
import { keyIdOf, publicMembersOf } from '../jose/client-keys.ts'
import { type JsonObject, parseJsonObject } from '../jose/json.ts'
import { P256, type PublicJwk } from '../jose/jwk.ts'

/** The signing keys of the test provider. */
export interface SigningKeys {
  readonly alg: AsymmetricSignatureAlgorithm
  /** Signs a JWT. `badly`: with a key that is not published, under the `kid` of the published one. */
  sign(claims: Readonly<Record<string, unknown>>, typ: string, how?: 'badly'): Promise<string>
  /** The claims of a JWT that one of these keys has signed, also a key that is no longer published. Dates are not checked. */
  verify(jwt: string): Promise<JsonObject | undefined>
  /** The published keys (RFC 7517 5). */
  publicJwks(): Promise<{ readonly keys: readonly PublicJwk[] }>
  /** Makes a new key. The one before stays published, so that its tokens can still be verified (OIDC Core 10.1.1). */
  rotate(options: { readonly removeOld?: boolean }): void
}

interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly publicJwk: PublicJwk
}

export function createSigningKeys(alg: AsymmetricSignatureAlgorithm): SigningKeys {
  let current = lazily(() => createKey(alg))
  let published = [current]
  const all = [current]

  return {
    alg,
    async sign(claims, typ, how) {
      const { kid, privateKey } = await current()
      const key = how === 'badly' ? (await createKey(alg)).privateKey : privateKey
      return new SignJWT(claims as JWTPayload).setProtectedHeader({ alg, typ, kid }).sign(key)
    },
    async verify(jwt) {
      for (const key of all) {
        const verified = await compactVerify(jwt, (await key()).publicKey, { algorithms: [alg] }).catch(() => undefined)
        if (verified !== undefined) return parseJsonObject(verified.payload)
      }
      return undefined
    },
    publicJwks: async () => ({ keys: await Promise.all(published.map(async (key) => (await key()).publicJwk)) }),
    rotate({ removeOld = false }) {
      const previous = current
      current = lazily(() => createKey(alg))
      published = removeOld ? [current] : [current, previous]
      all.unshift(current)
    },
  }
}

/** Called once, at the first use: an RSA key takes a tenth of a second. */
function lazily<Value>(create: () => Promise<Value>): () => Promise<Value> {
  let created: Promise<Value> | undefined
  return () => {
    created ??= create()
    return created
  }
}

async function createKey(alg: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeys(alg)
  const members = publicMembersOf(privateKey)
  const kid = keyIdOf({ ...members }, { ...members })
  return { kid, privateKey, publicKey, publicJwk: { ...members, kid, alg, use: 'sig' } }
}

async function generateKeys(alg: string): Promise<{ readonly privateKey: KeyObject; readonly publicKey: KeyObject }> {
  const kind = findJwsAlgorithm(alg)?.keyKinds[0] ?? P256
  if (kind.kty === 'RSA') return promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  if (kind.namedCurve !== undefined) return generateKeyPairSync('ec', { namedCurve: kind.namedCurve })
  // The types of Node name only some of the kinds that take no options.
  return generateKeyPairSync(kind.keyType as 'ed25519')
}
