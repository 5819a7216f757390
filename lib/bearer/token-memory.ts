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

export function createTokenMemory(maxBytes: number): TokenMemory {
  // A Map keeps the order in which entries were added, so the first is the one that was not used for the longest time.
  const entries = new Map<string, SignedToken>()
  let bytes = 0

  function remove(token: string): void {
    if (entries.delete(token)) bytes -= sizeOf(token)
  }

  return {
    remove,
    find(token) {
      // To look up a text is to hash all of it.
      const found = entries.size === 0 ? undefined : entries.get(token)
      if (found === undefined) return undefined
      entries.delete(token)
      entries.set(token, found)
      return found
    },
    add(token, verified) {
      if (sizeOf(token) > maxBytes) return
      remove(token)
      entries.set(token, verified)
      bytes += sizeOf(token)
      for (const oldest of entries.keys()) {
        if (bytes <= maxBytes) return
        remove(oldest)
      }
    },
  }
}

/** The most that an entry may take, in bytes. */
function sizeOf(token: string): number {
  return token.length * (1 + CLAIMS_FACTOR) + ENTRY_BYTES
}
