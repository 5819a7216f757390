import type { KeyObject } from 'node:crypto'
import { ProviderError } from '../errors.ts'
import { createCachedDocument } from '../http-client/cached-document.ts'
import { createFetchBudget } from '../http-client/fetch-budget.ts'
import type { HttpClient } from '../http-client/http-client.ts'
import type { JsonObject } from '../json-object.ts'
import { fits, fitsEncryption, importPublicKey, type KeyHint, type PublicKey } from './json-web-key.ts'

/** The public keys of one provider (OIDC Core 10.1), fetched when first needed. */
export interface KeyStore {
  /**
   * The keys that a token with this header may have been signed with, at most 16. Where none fits, the keys are fetched
   * again at once: providers rotate unannounced (OIDC Core 10.1.1). Rejects only while no key set was ever had.
   */
  keysFor(hint: KeyHint): Promise<readonly KeyObject[]>
  /**
   * Fetches the keys again, for a signature that no key has verified: the key may have changed under its `kid`. False
   * where they cannot be had, or were asked for too often.
   */
  renew(): Promise<boolean>
  /**
   * The key to encrypt a message to the provider with (OIDC Core 10.2): one that is for encryption rather than one that does
   * not tell. Where none fits, the keys are fetched again as for {@link KeyStore.keysFor}.
   */
  encryptionKeyFor(alg: string): Promise<EncryptionKey | undefined>
}

/** A public key of the provider to encrypt to. */
export interface EncryptionKey {
  readonly key: KeyObject
  /** What the header of the message names it by (RFC 7516 4.1.6). */
  readonly kid: string | undefined
}

/** A key set has one to three keys as a rule, some dozens where tenants share one. */
const MAX_KEYS = 100
/** How many signatures one token may cost us. */
const MAX_CANDIDATES = 16

/** The store of the keys at one `jwks_uri`. Tokens with made-up `kid`s cost the provider five fetches, then two a minute. */
export function createKeyStore(http: Pick<HttpClient, 'getJson'>, jwksUri: string): KeyStore {
  const keySet = createCachedDocument({
    load: async () => {
      const { json, headers } = await http.getJson(jwksUri)
      return { value: readKeySet(json), headers }
    },
  })
  const takeAttempt = createFetchBudget({ capacity: 5, refillSeconds: 30 })
  let renewing: Promise<boolean> | undefined

  async function select(hint: KeyHint): Promise<readonly KeyObject[]> {
    const fitting = (await keySet.get()).filter((key) => fits(key, hint))
    return fitting.slice(0, MAX_CANDIDATES).map(({ key }) => key)
  }

  async function keysFor(hint: KeyHint): Promise<readonly KeyObject[]> {
    const candidates = await select(hint)
    if (candidates.length > 0) return candidates
    return (await renew()) ? await select(hint) : candidates
  }

  async function selectForEncryption(alg: string): Promise<EncryptionKey | undefined> {
    const fitting = (await keySet.get()).filter((key) => fitsEncryption(key, alg))
    return fitting.find(({ uses }) => uses.length === 1) ?? fitting[0]
  }

  async function encryptionKeyFor(alg: string): Promise<EncryptionKey | undefined> {
    const found = await selectForEncryption(alg)
    return found ?? ((await renew()) ? await selectForEncryption(alg) : undefined)
  }

  async function renew(): Promise<boolean> {
    if (renewing === undefined && !takeAttempt()) return false
    renewing ??= keySet
      .renew()
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        renewing = undefined
      })
    return await renewing
  }

  return { keysFor, renew, encryptionKeyFor }
}

/** RFC 7517 5: what is not understood in a set is ignored; that nothing is left shows when a key is looked for. */
function readKeySet(json: JsonObject): readonly PublicKey[] {
  const { keys } = json
  if (!Array.isArray(keys)) {
    throw new ProviderError('ERR_OIDC_KEYS_INVALID', "The provider's key set has no list of keys.")
  }
  return keys
    .slice(0, MAX_KEYS)
    .map(importPublicKey)
    .filter((key) => key !== undefined)
}
