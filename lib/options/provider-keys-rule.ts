import { findJwsAlgorithm, isSameAlgorithm, usesClientSecret } from '../jose/algorithms.ts'
import {
  allowsUse,
  findKeyKind,
  importPublicJwk,
  isStrongRsaKey,
  type JwkMembers,
  PRIVATE_MEMBERS,
} from '../jose/jwk.ts'
import type { Json } from '../types.ts'
import { availableInThisNode, jwkDescription, jwkRule } from './client-keys-rule.ts'
import {
  firstFailing,
  isJson,
  isPlainObject,
  listOf,
  must,
  nonEmptyString,
  objectWith,
  optional,
  type Rule,
} from './rule.ts'
import { endpointUrl } from './urls.ts'

/** A set of public keys (RFC 7517 5). */
export type JwkSet = { readonly keys: readonly { readonly [member: string]: Json }[] }

/** Provider metadata by the wire names of OIDC Discovery 3. What it leaves out, the provider does not have. */
export interface ProviderMetadata {
  readonly issuer: string
  readonly authorization_endpoint: string
  /** Optional for a provider that has only the implicit flow. */
  readonly token_endpoint?: string
  readonly jwks_uri?: string
  /** The public keys (RFC 7517 5), in place of `jwks_uri`. If the provider changes them, change them here too. */
  readonly jwks?: JwkSet
  readonly userinfo_endpoint?: string
  readonly end_session_endpoint?: string
  readonly [name: string]: Json | undefined
}

/** One public key of the provider. A key that a published set could hold, and would be ignored, is an error here. */
const providerKey: Rule = firstFailing(
  must('be a JSON Web Key as a plain object', isPlainObject),
  jwkRule(
    'be a public key. It has a member of a private or symmetric key: remove the key from your configuration and replace it',
    (jwk) => jwk['kty'] !== 'oct' && !PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name)),
  ),
  (jwk, name) => availableInThisNode(Object(jwk).alg, `${name}.alg`),
  jwkRule(
    'be an RSA key, an EC key with curve P-256, P-384 or P-521, an OKP key with curve Ed25519 or X25519, ' +
      'or an AKP key with alg ML-DSA-44, ML-DSA-65 or ML-DSA-87',
    (jwk) => findKeyKind(jwk)?.crv === jwk['crv'] && findKeyKind(jwk) !== undefined,
  ),
  jwkDescription,
  jwkRule(
    'have a use and key_ops that allow to verify signatures or to encrypt',
    (jwk) => allowsUse(jwk, 'sig', 'public') || allowsUse(jwk, 'enc', 'public'),
  ),
  jwkRule('be complete. Some members are missing or malformed', (jwk) => importKey(jwk) !== undefined),
  jwkRule('have at least 2048 bits, and an odd public exponent above 2', isStrong),
)

const MAX_KEYS = 100

const uniqueIds: Rule = must('not contain two keys with the same kid and use', (value) => {
  const ids = [value]
    .flat()
    .filter(isPlainObject)
    .flatMap(({ kid, use }) => (kid === undefined ? [] : [use ?? ['sig', 'enc']].flat().map((one) => `${one} ${kid}`)))
  return new Set(ids).size === ids.length
})

/** The member `jwks` of the option `providerMetadata`. */
export const providerKeysRule: Rule = objectWith(({ keys }, name) =>
  firstFailing(
    listOf('one or more public JSON Web Keys', providerKey, 1),
    must(`have at most ${MAX_KEYS} keys`, (value) => Array.isArray(value) && value.length <= MAX_KEYS),
    uniqueIds,
  )(keys, `${name}.keys`),
)

/** The keys, or where to fetch them: one of both. `isRequired`: metadata without keys is an error. */
export function keySourceProblems(
  { jwks, jwks_uri: uri }: Readonly<Record<string, unknown>>,
  name: string,
  isRequired: boolean,
): readonly string[] {
  if (jwks === undefined) return uri === undefined && !isRequired ? [] : endpointUrl(uri, `${name}.jwks_uri`)
  if (uri !== undefined) return [`${name} must not have both jwks and jwks_uri. Remove one of them.`]
  return providerKeysRule(jwks, `${name}.jwks`)
}

const METADATA: Readonly<Record<string, Rule>> = {
  issuer: nonEmptyString,
  authorization_endpoint: endpointUrl,
  token_endpoint: optional(endpointUrl),
  userinfo_endpoint: optional(endpointUrl),
  end_session_endpoint: optional(endpointUrl),
}

/** Provider metadata (OIDC Discovery 3). Only the members that this library uses are checked. */
export const providerMetadata: Rule = firstFailing(
  objectWith((given, name) => [
    ...Object.entries(METADATA).flatMap(([member, rule]) => rule(given[member], `${name}.${member}`)),
    ...keySourceProblems(given, name, true),
  ]),
  must('contain only values that JSON can hold', (value) => isJson(value)),
)

/** True if one of the keys can verify a signature of this algorithm, or the algorithm needs none of them (HS256). */
export function hasVerificationKey({ keys }: JwkSet, alg: string): boolean {
  if (usesClientSecret(alg)) return true
  const kinds = findJwsAlgorithm(alg)?.keyKinds ?? []
  return keys.some((jwk) => {
    const [kind, own] = [findKeyKind(jwk), jwk['alg']]
    const isFor = own === undefined || own === kind?.kty || isSameAlgorithm(String(own), alg)
    return kind !== undefined && kinds.includes(kind) && allowsUse(jwk, 'sig', 'public') && isFor
  })
}

function importKey(jwk: JwkMembers): ReturnType<typeof importPublicJwk> {
  const kind = findKeyKind(jwk)
  return kind === undefined ? undefined : importPublicJwk(jwk, kind)
}

/** RFC 7518 3.3 and 4.3. */
function isStrong(jwk: JwkMembers): boolean {
  const key = importKey(jwk)
  return key !== undefined && (jwk['kty'] !== 'RSA' || isStrongRsaKey(key))
}
