import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { adviseOnNode } from '../jose/algorithms.ts'
import { algorithmsOf, importPrivateKey, keyIdOf, publicMembersOf } from '../jose/client-keys.ts'
import { findKeyKind, isStrongRsaKey, type JwkMembers } from '../jose/jwk.ts'
import {
  firstFailing,
  isPlainObject,
  listOf,
  must,
  nonEmptyString,
  objectWith,
  oneOf,
  optional,
  type Rule,
} from './rule.ts'

/** Rejects an algorithm that only later versions of Node have. */
export const availableInThisNode: Rule = (alg, name) => {
  const advice = adviseOnNode(alg)
  return advice === undefined ? [] : [`${name} is not available: ${advice}`]
}

/** What a key says about itself. */
export const jwkDescription: Rule = objectWith((jwk, name) => [
  ...optional(nonEmptyString)(jwk['kid'], `${name}.kid`),
  ...optional(nonEmptyString)(jwk['alg'], `${name}.alg`),
  ...optional(oneOf('sig', 'enc'))(jwk['use'], `${name}.use`),
  ...optional(operations)(jwk['key_ops'], `${name}.key_ops`),
])

const operations: Rule = listOf('key operations', nonEmptyString)

/** One private key that signs or decrypts. No message contains anything of the key. */
const clientKey: Rule = firstFailing(
  must('be a JSON Web Key as a plain object', isPlainObject),
  jwkRule('be a private key, not a symmetric one. The client secret belongs in clientSecret', isAsymmetric),
  (jwk, name) => availableInThisNode(Object(jwk).alg, `${name}.alg`),
  jwkRule(
    'be an RSA key, an EC key with curve P-256, P-384 or P-521, an OKP key with curve Ed25519 or X25519, ' +
      'or an AKP key with alg ML-DSA-44, ML-DSA-65 or ML-DSA-87',
    (jwk) => findKeyKind(jwk) !== undefined,
  ),
  jwkRule(
    'be a private key. A public key has no member d, and cannot sign or decrypt',
    (jwk) => jwk['kty'] === 'AKP' || jwk['d'] !== undefined,
  ),
  jwkRule(
    'be a private key. A public key has no member priv, and cannot sign',
    (jwk) => jwk['kty'] !== 'AKP' || jwk['priv'] !== undefined,
  ),
  jwkDescription,
  jwkRule(
    'have an alg, use and key_ops that fit each other and the type of the key',
    (jwk) => algorithmsOf(jwk, 'sig').length > 0 || algorithmsOf(jwk, 'enc').length > 0,
  ),
  jwkRule('be complete. Some members are missing, malformed, or do not belong together', isConsistentKeyPair),
  jwkRule('have at least 2048 bits, and an odd public exponent above 2', isStrong),
)

const uniqueIds: Rule = must('not contain two keys with the same kid and use', (value) => {
  const ids = [value]
    .flat()
    .filter(isPlainObject)
    .flatMap((jwk) => {
      const kid = keyIdOf(jwk, publicMembersOf(importPrivateKey(jwk)))
      return [jwk['use'] ?? ['sig', 'enc']].flat().map((use) => `${use} ${kid}`)
    })
  return new Set(ids).size === ids.length
})

/** The option `clientKeys` (OIDC Core 10.1, 10.2). A key without `use` signs and decrypts. */
export const clientKeysRule: Rule = firstFailing(listOf('one or more private JSON Web Keys', clientKey, 1), uniqueIds)

/** A condition of a key. */
export function jwkRule(be: string, isValid: (jwk: JwkMembers) => boolean): Rule {
  // The object is never described: it may be a private key.
  return must(
    be,
    (value) => isPlainObject(value) && isValid(value),
    () => undefined,
  )
}

function isAsymmetric({ kty, k }: JwkMembers): boolean {
  return kty !== 'oct' && k === undefined
}

/** Node accepts a public part that does not belong to the private part, so both are used together, or compared. */
function isConsistentKeyPair(jwk: JwkMembers): boolean {
  // RFC 7518 6.3.2.7: OpenSSL would ignore further primes.
  if (jwk['oth'] !== undefined) return false
  try {
    const key = importPrivateKey(jwk)
    if (jwk['kty'] === 'AKP') return jwk['pub'] === publicMembersOf(key)['pub']
    return jwk['kty'] === 'OKP' ? jwk['x'] === publicMembersOf(key).x : verifiesOwnSignature(key)
  } catch {
    return false
  }
}

function verifiesOwnSignature(key: KeyObject): boolean {
  const probe = Buffer.from('probe')
  return verify('sha256', probe, createPublicKey(key), sign('sha256', probe, key))
}

/** RFC 7518 3.3 and 4.3. */
function isStrong(jwk: JwkMembers): boolean {
  return jwk['kty'] !== 'RSA' || isStrongRsaKey(importPrivateKey(jwk))
}
