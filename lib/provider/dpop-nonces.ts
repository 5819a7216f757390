import type { ResponseHeaders } from './http-transport.ts'

/** The role of the server that a proof is for. One origin may have both, each with its own nonces (RFC 9449 8, 9). */
type DpopServer = 'authorization' | 'resource'

/** The latest nonce of each server that demands one in proofs of possession (RFC 9449 8, 9). */
export interface DpopNonces {
  /** The nonce for the next proof for this URL. Default: as a resource. */
  get(url: string, server?: DpopServer): string | undefined
  /** Stores the nonce in a response of this URL, and returns it. */
  keep(url: string, headers: ResponseHeaders, server?: DpopServer): string | undefined
}

/** A provider has one or two origins; the others are the APIs that its tokens are for. */
const MAX_SERVERS = 32

/** RFC 9449 8.1: `1*NQCHAR`, here of limited length. It goes into a header of our requests. */
const NONCE = /^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/

/**
 * Creates an empty store of nonces by origin (RFC 9449 8.2). A nonce belongs to the server, not to a user. An outdated one
 * costs one more request and nothing else.
 */
export function createDpopNonces(): DpopNonces {
  const nonces = new Map<string, string>()

  function keep(url: string, headers: ResponseHeaders, server?: DpopServer): string | undefined {
    const nonce = headers.get('dpop-nonce')
    if (nonce === null || !NONCE.test(nonce)) return undefined
    const key = keyOf(url, server)
    nonces.delete(key)
    nonces.set(key, nonce)
    for (const oldest of [...nonces.keys()].slice(0, -MAX_SERVERS)) nonces.delete(oldest)
    return nonce
  }

  return { get: (url, server) => nonces.get(keyOf(url, server)), keep }
}

function keyOf(url: string, server: DpopServer = 'resource'): string {
  return `${server} ${new URL(url).origin}`
}
