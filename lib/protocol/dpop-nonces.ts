/** What a proof goes to: one origin may be both, with nonces that are good for one of them only (RFC 9449 8, 9). */
export type DpopServer = 'authorization' | 'resource'

/** The newest nonce of each server that demands one in proofs of possession (RFC 9449 8, 9). */
export interface DpopNonces {
  /** The nonce for the next proof to this URL; that of a resource, unless told. */
  get(url: string, server?: DpopServer): string | undefined
  /** Keeps the nonce that an answer of this URL brings, and returns it. */
  keep(url: string, headers: Headers, server?: DpopServer): string | undefined
}

/** A provider has one or two origins, and there are the APIs that its tokens are for. */
const MAX_SERVERS = 32

/** RFC 9449 8.1: `1*NQCHAR`, here with an end. It goes into a header of ours, so no other will do. */
const NONCE = /^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/

/**
 * An empty memory of nonces, by origin (RFC 9449 8.2). They belong to the server, not to a person: a nonce that has aged
 * costs one more request, and proves nothing.
 */
export function createDpopNonces(): DpopNonces {
  const nonces = new Map<string, string>()

  function keep(url: string, headers: Headers, server?: DpopServer): string | undefined {
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
