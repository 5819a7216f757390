import type { KeyObject } from 'node:crypto'
import { ProviderError } from '../errors.ts'
import { findJweAlgorithm, findJwsAlgorithm, isSameAlgorithm } from '../jose/algorithms.ts'
import { isObject, type JsonObject, presentMembers } from '../jose/json.ts'
import { allowsUse, findKeyKind, importPublicJwk, isStrongRsaKey, type KeyKind, type KeyUse } from '../jose/jwk.ts'
import type { KeyHint, KeyRestriction, VerificationKeys } from '../jose/jws.ts'
import { isIssuedBy } from '../options/issuer.ts'
import type { JwkSet } from '../options/provider-keys-rule.ts'
import { CONFIGURED, type DocumentStatus } from '../status.ts'
import type { Json } from '../types.ts'
import { createCachedDocument, type DocumentLabel } from './cached-document.ts'
import { createFetchBudget, reportUsedUp } from './fetch-budget.ts'
import type { HttpClient } from './http-client.ts'
import { withoutQuery } from './http-transport.ts'

/** The public keys of one provider (OIDC Core 10.1), fetched when first needed. */
export interface KeyStore extends VerificationKeys {
  /**
   * The key to encrypt a message to the provider with (OIDC Core 10.2). Prefers a key with `use` `enc` to one without `use`.
   * If there is none, the keys are fetched again as in {@link VerificationKeys.keysFor}.
   */
  encryptionKeyFor(alg: string): Promise<EncryptionKey | undefined>
  /** True if the latest attempt to fetch the keys again has failed: a key that is unknown may exist all the same. */
  isAway(): boolean
  /** The state of the cached keys. Sends no request. */
  status(): DocumentStatus
  /** How many more fetches tokens with an unknown `kid` can cause at present. */
  budgetLeft(): number | null
  /** Ends the renewal in the background. */
  stop(): void
}

/** Whose keys they are, for events. */
export type KeysLabel = Omit<DocumentLabel, 'document'>

/** A public key of the provider to encrypt with. */
export interface EncryptionKey {
  readonly key: KeyObject
  /** For the header of the message (RFC 7516 4.1.6). */
  readonly kid: string | undefined
}

/** A key set usually has one to three keys, or some dozens if tenants share it. */
const MAX_KEYS = 100
/** The most members of a key set that are looked at. */
const MAX_MEMBERS = 10_000
/** The most signatures that are verified for one token. */
const MAX_CANDIDATES = 16

/** Creates the store of the keys at one `jwks_uri`. Tokens with invented `kid`s cause five fetches, then one every two seconds. */
export function createKeyStore(http: Pick<HttpClient, 'getJson'>, jwksUri: string, issuedBy?: KeysLabel): KeyStore {
  const url = withoutQuery(jwksUri)
  let published: readonly PublicKey[] = []
  const label = issuedBy && ({ ...issuedBy, document: 'keys' } as const)
  const keySet = createCachedDocument({
    load: async () => {
      const { json, headers } = await http.getJson(jwksUri)
      published = readKeySet(json, url)
      return { value: published, headers }
    },
    isUseless,
    label,
  })
  // Logins work again at most two seconds after the provider has published the right keys (N-14).
  const budget = createFetchBudget({ capacity: 5, refillSeconds: 2, onUsedUp: () => reportUsedUp(label) })
  let renewing: Promise<boolean> | undefined
  let isAway = false

  async function keysFor(hint: KeyHint): Promise<readonly KeyObject[]> {
    const candidates = candidatesAmong(await keySet.get(), hint)
    if (candidates.length > 0) return candidates
    return (await renew()) ? candidatesAmong(await keySet.get(), hint) : candidates
  }

  function restrictionOf(hint: KeyHint): KeyRestriction | undefined {
    // A message is no reason to fetch the keys again, which a useless set would be.
    return restrictionAmong(published, hint)
  }

  async function encryptionKeyFor(alg: string): Promise<EncryptionKey | undefined> {
    const found = encryptionKeyAmong(await keySet.get(), alg)
    return found ?? ((await renew()) ? encryptionKeyAmong(await keySet.get(), alg) : undefined)
  }

  async function renew(): Promise<boolean> {
    if (renewing === undefined && !budget.tryRequest()) return false
    renewing ??= keySet
      .renew()
      .then(
        (keys) => keys.some(isUsable),
        () => false,
      )
      .then((isRenewed) => {
        isAway = !isRenewed
        return isRenewed
      })
      .finally(() => {
        renewing = undefined
      })
    return await renewing
  }

  const { status, stop } = keySet
  return {
    jwksUri: url,
    keysFor,
    renew,
    restrictionOf,
    encryptionKeyFor,
    isAway: () => isAway,
    status,
    stop,
    budgetLeft: budget.left,
  }
}

/** Creates the store of the keys of the option `providerMetadata.jwks`. They never change, and nothing is fetched. */
export function createStaticKeyStore(jwks: JwkSet): KeyStore {
  const jwksUri = 'providerMetadata.jwks'
  const keys = readKeySet({ keys: jwks.keys }, jwksUri)
  return {
    jwksUri,
    keysFor: async (hint) => candidatesAmong(keys, hint),
    renew: async () => false,
    restrictionOf: (hint) => restrictionAmong(keys, hint),
    encryptionKeyFor: async (alg) => encryptionKeyAmong(keys, alg),
    isAway: () => false,
    status: () => CONFIGURED,
    budgetLeft: () => null,
    stop: () => undefined,
  }
}

function candidatesAmong(keys: readonly PublicKey[], hint: KeyHint): readonly KeyObject[] {
  const fitting = keys.filter((key) => canVerify(key, hint))
  return fitting.slice(0, MAX_CANDIDATES).map(({ key }) => key)
}

function restrictionAmong(keys: readonly PublicKey[], hint: KeyHint): KeyRestriction | undefined {
  return keys.find((key) => canVerify({ ...key, uses: ['sig'] }, hint))?.restriction
}

function encryptionKeyAmong(keys: readonly PublicKey[], alg: string): EncryptionKey | undefined {
  const fitting = keys.filter((key) => canEncryptFor(key, alg))
  return fitting.find(({ uses }) => uses.length === 1) ?? fitting[0]
}

/** RFC 7517 5: keys that are not understood are ignored. If none is left, the error comes when a key is needed. */
function readKeySet({ keys }: JsonObject, jwksUri: string): readonly PublicKey[] {
  if (!Array.isArray(keys)) {
    throw new ProviderError(
      'ERR_OIDC_KEYS_INVALID',
      `The member keys of ${jwksUri} is not a list. Check jwks_uri in the provider's metadata.`,
    )
  }
  // Symmetric keys and keys of unknown kinds cost nothing, so they do not push out those that can be used.
  return keys
    .slice(0, MAX_MEMBERS)
    .filter((key) => isObject(key) && findKeyKind(key) !== undefined)
    .slice(0, MAX_KEYS)
    .map(importPublicKey)
    .filter((key) => key !== undefined)
}

/**
 * True if a key set must not replace the last good one: it verifies nothing. A provider in trouble publishes such a set. The
 * price: keys that a provider withdraws by an empty set, and not by new keys, are used for as long as while it is down.
 */
function isUseless(keys: readonly PublicKey[], last: readonly PublicKey[] | undefined): boolean {
  if (!keys.some(isUsable)) return true
  const verifies = ({ uses }: PublicKey) => uses.includes('sig')
  return last?.some(verifies) === true && !keys.some(verifies)
}

function isUsable({ uses }: PublicKey): boolean {
  return uses.length > 0
}

/** A public key of the provider, with what its JWK says about it (RFC 7517 4). */
interface PublicKey {
  readonly key: KeyObject
  readonly kind: KeyKind
  /** Both, if the JWK says nothing; none, if it allows neither. */
  readonly uses: readonly KeyUse[]
  /** The member that forbids it to verify signatures. */
  readonly restriction: KeyRestriction | undefined
  readonly kid: string | undefined
  readonly alg: string | undefined
  /** Whose tokens it signs, if a provider with many tenants says so (Entra ID). May hold the placeholder of the tenant. */
  readonly issuer: Json | undefined
}

/**
 * Imports one key of a key set. Returns `undefined` for a key that we cannot use: private, symmetric, of an unknown kind,
 * weak or broken. Such keys do not make the set invalid.
 */
function importPublicKey(given: Json): PublicKey | undefined {
  if (!isObject(given)) return undefined
  // But for `issuer`, on which it depends whose tokens the key verifies: null there is no issuer, not an absent one.
  const jwk = presentMembers(given)
  const kind = findKeyKind(jwk)
  const uses = (['sig', 'enc'] as const).filter((use) => allowsUse(jwk, use, 'public'))
  const { crv, kid } = jwk
  // `RSA` and `EC` are no algorithms (RFC 7518 3.1): the key type, written twice, restricts nothing.
  const alg = jwk['alg'] === kind?.kty ? undefined : jwk['alg']
  if (kind === undefined || kind.crv !== crv || isPrivate(given, kind)) return undefined
  if (!isOptionalString(kid) || !isOptionalString(alg)) return undefined
  const key = importPublicJwk(jwk, kind)
  return key === undefined || (kind.kty === 'RSA' && !isStrongRsaKey(key))
    ? undefined
    : { key, kind, uses, restriction: restrictionIn(jwk), kid, alg, issuer: given['issuer'] }
}

/** RFC 7517 4.2 and 4.3. `key_ops` is looked at first: it is rarer, and so rarely thought of. */
function restrictionIn(jwk: JsonObject): KeyRestriction | undefined {
  const names = ['key_ops', 'use'] as const
  const name = names.find((one) => jwk[one] !== undefined && !allowsUse({ [one]: jwk[one] }, 'sig', 'public'))
  return name === undefined ? undefined : { name, value: jwk[name] }
}

function isPrivate(jwk: JsonObject, { privateMembers }: KeyKind): boolean {
  return privateMembers.some((name) => Object.hasOwn(jwk, name))
}

/** True if the token can mean this key: `kid`, kind and `alg` must all match (RFC 7517 4.5). */
function canVerify({ uses, kind, kid, alg, issuer }: PublicKey, hint: KeyHint): boolean {
  const keyKinds = findJwsAlgorithm(hint.alg)?.keyKinds ?? []
  // Entra ID publishes keys of single tenants, too. Such a key must not verify a token of another tenant.
  if (hint.claims !== undefined && issuer !== undefined && !isIssuedBy(issuer, hint.claims)) return false
  if (!uses.includes('sig') || !keyKinds.includes(kind)) return false
  return (hint.kid === undefined || hint.kid === kid) && (alg === undefined || isSameAlgorithm(alg, hint.alg))
}

/** True if a message can be encrypted to this key with this algorithm: use, kind and `alg` must all match. */
function canEncryptFor({ uses, kind, alg }: PublicKey, algorithm: string): boolean {
  if (!uses.includes('enc') || (alg !== undefined && alg !== algorithm)) return false
  return findJweAlgorithm(algorithm)?.keyKinds.includes(kind) === true
}

function isOptionalString(value: Json | undefined): value is string | undefined {
  return value === undefined || typeof value === 'string'
}
