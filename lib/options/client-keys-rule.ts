import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import {
  algorithmsOf,
  findClientKeyKind,
  importPrivateKey,
  type JwkMembers,
  keyIdOf,
  publicMembersOf,
} from '../jose/client-keys.ts'
import { firstFailing, isPlainObject, must, objectWith, optional, type Rule } from './rule.ts'

const text: Rule = must('be a non-empty string', (value) => typeof value === 'string' && value !== '')

const operations: Rule = must(
  'be a list of operations',
  (value) => Array.isArray(value) && value.every((item) => typeof item === 'string'),
)

const description: Rule = objectWith((jwk, name) => [
  ...optional(text)(jwk['kid'], `${name}.kid`),
  ...optional(text)(jwk['alg'], `${name}.alg`),
  ...optional(must('be sig or enc', (use) => use === 'sig' || use === 'enc'))(jwk['use'], `${name}.use`),
  ...optional(operations)(jwk['key_ops'], `${name}.key_ops`),
])

/** One private JWK that signs or decrypts. No sentence holds anything of the key. */
const clientKey: Rule = firstFailing(
  must('be a JSON Web Key, as a plain object', isPlainObject),
  withMembers('not be symmetric: the provider knows the client secret, and these are keys of a pair', isAsymmetric),
  withMembers(
    'be an RSA key, an EC key of the curve P-256, P-384 or P-521, or an OKP key of the curve Ed25519 or X25519',
    (jwk) => findClientKeyKind(jwk) !== undefined,
  ),
  withMembers(
    'be a private key: without its member d it can neither sign nor decrypt',
    (jwk) => jwk['d'] !== undefined,
  ),
  description,
  withMembers(
    'have an alg, use and key_ops that go with each other and with its kind of key',
    (jwk) => algorithmsOf(jwk, 'sig').length > 0 || algorithmsOf(jwk, 'enc').length > 0,
  ),
  withMembers('be whole: members are missing, broken, or do not belong together', isConsistentKeyPair),
  withMembers('have 2048 bits or more, and a public exponent that is odd and above 2', isStrong),
)

const distinct: Rule = must('have no two keys with one kid and one use', (value) => {
  const names = members(value).flatMap((jwk) => {
    const kid = keyIdOf(jwk, publicMembersOf(importPrivateKey(jwk)))
    return [jwk['use'] ?? ['sig', 'enc']].flat().map((use) => `${use} ${kid}`)
  })
  return new Set(names).size === names.length
})

/**
 * The client's own private keys, as JWKs: to sign requests with, and to decrypt what the provider encrypts (OIDC Core
 * 10.1, 10.2). A key pair serves one end where its `use` says so; without `use`, it serves both.
 */
export const clientKeysRule: Rule = firstFailing(
  must('be a list of one or more private JSON Web Keys', (value) => Array.isArray(value) && value.length > 0),
  (value, name) => [value].flat().flatMap((jwk, index) => clientKey(jwk, `${name}[${index}]`)),
  distinct,
)

function withMembers(be: string, holds: (jwk: JwkMembers) => boolean): Rule {
  return must(be, (value) => isPlainObject(value) && holds(value))
}

function members(list: unknown): readonly JwkMembers[] {
  return [list].flat().filter(isPlainObject)
}

function isAsymmetric({ kty, k }: JwkMembers): boolean {
  return kty !== 'oct' && k === undefined
}

/** Node lets a public part pass that does not belong to the private one: they are tried together, or compared. */
function isConsistentKeyPair(jwk: JwkMembers): boolean {
  // RFC 7518 6.3.2.7: OpenSSL would leave the further primes aside.
  if (jwk['oth'] !== undefined) return false
  try {
    const key = importPrivateKey(jwk)
    return jwk['kty'] === 'OKP' ? jwk['x'] === publicMembersOf(key).x : signsForItself(key)
  } catch {
    return false
  }
}

function signsForItself(key: KeyObject): boolean {
  const probe = Buffer.from('probe')
  return verify('sha256', probe, createPublicKey(key), sign('sha256', probe, key))
}

/** RFC 7518 3.3 and 4.3. */
function isStrong(jwk: JwkMembers): boolean {
  if (jwk['kty'] !== 'RSA') return true
  const { modulusLength = 0, publicExponent = 0n } = { ...importPrivateKey(jwk).asymmetricKeyDetails }
  return modulusLength >= 2048 && publicExponent > 2n && publicExponent % 2n === 1n
}
