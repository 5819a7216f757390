import type { KeyObject } from 'node:crypto'
import type { KeyHint } from '../jose/jws.ts'
import type { AccessTokenGrant } from '../protocol/access-token-claims.ts'
import type { FindAuthorizationServer } from '../provider/authorization-server.ts'

/** A token whose signature was verified. Its claims are checked again each time, because time passes. */
export interface SignedToken {
  readonly grant: AccessTokenGrant
  /** True if its header says that it is an access token. */
  readonly isTyped: boolean
  /** The server whose key has verified it, and how to find that key in the key set. */
  readonly findServer: FindAuthorizationServer
  readonly key: KeyObject
  readonly hint: KeyHint
}

/**
 * Remembers verified tokens by their whole text, so that a token that comes again costs no signature. It holds at most so many
 * bytes: the token that was not used for the longest time goes first.
 */
export interface TokenMemory {
  find(token: string): SignedToken | undefined
  add(token: string, verified: SignedToken): void
  remove(token: string): void
}

/** What the claims of a token take in memory, as a multiple of its text, and what an entry takes beside that, in bytes. */
const CLAIMS_FACTOR = 4
const ENTRY_BYTES = 600

interface Entry {
  readonly token: string
  readonly verified: SignedToken
}

export function createTokenMemory(maxBytes: number): TokenMemory {
  // A Map keeps the order in which entries were added, so the first is the one that was not used for the longest time.
  const entries = new Map<string, Entry>()
  let bytes = 0

  function entryOf(token: string): Entry | undefined {
    const entry = entries.get(keyOf(token))
    return entry?.token === token ? entry : undefined
  }

  function remove({ token }: Entry): void {
    if (entries.delete(keyOf(token))) bytes -= sizeOf(token)
  }

  return {
    find(token) {
      const entry = entryOf(token)
      if (entry === undefined) return undefined
      entries.delete(keyOf(token))
      entries.set(keyOf(token), entry)
      return entry.verified
    },
    add(token, verified) {
      if (sizeOf(token) > maxBytes) return
      const replaced = entries.get(keyOf(token))
      if (replaced !== undefined) remove(replaced)
      entries.set(keyOf(token), { token, verified })
      bytes += sizeOf(token)
      for (const oldest of entries.values()) {
        if (bytes <= maxBytes) return
        remove(oldest)
      }
    },
    remove(token) {
      const entry = entryOf(token)
      if (entry !== undefined) remove(entry)
    },
  }
}

/**
 * The end of the signature: a Map hashes its keys, and a whole token takes longer to hash than to compare. Two tokens may end
 * alike, so this only finds the entry, and the whole text decides.
 */
function keyOf(token: string): string {
  return token.slice(-KEY_LENGTH)
}

const KEY_LENGTH = 64

/** The most that an entry may take, in bytes. */
function sizeOf(token: string): number {
  return token.length * (1 + CLAIMS_FACTOR) + ENTRY_BYTES
}
