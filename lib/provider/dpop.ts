import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { calculateJwkThumbprint, SignJWT } from 'jose'
import { ConfigError } from '../errors.ts'
import { findJwsAlgorithm } from '../jose/algorithms.ts'
import type { DpopKey } from '../types.ts'

/** What a proof of possession is made for. */
interface DpopProof {
  readonly key: DpopKey
  readonly method: string
  /** The URL that is asked; query and fragment do not count. */
  readonly url: string
  /** What the server has given for its next proof. */
  readonly nonce?: string | undefined
  /** The token that is shown along with it, at a resource. */
  readonly accessToken?: string | undefined
  /** Seconds since 1970. */
  readonly now: number
}

/**
 * A new key for the tokens of one login (RFC 9449 4). It is JSON, to be kept with them, and secret as they are.
 *
 * @param alg ES256, ES384, ES512, EdDSA or Ed25519. Not RSA: a key of its own for each login would take too long to make,
 * and be too long for a cookie. Anything else throws `ERR_OIDC_CONFIG`.
 */
export function createDpopKey(alg: string): DpopKey {
  const { crv } = findJwsAlgorithm(alg) ?? {}
  if (crv === undefined) throw new ConfigError(['dpopSigningAlg must be ES256, ES384, ES512, EdDSA or Ed25519.'])
  const { kty = '', crv: curve = '', x = '', y, d = '' } = generateKey(crv).export({ format: 'jwk' })
  return { alg, kty, crv: curve, x, ...(y === undefined ? {} : { y }), d }
}

/** A new proof that whoever sends this request has the key (RFC 9449 4.2). It is good for one request only. */
export async function createDpopProof({ key, method, url, nonce, accessToken, now }: DpopProof): Promise<string> {
  const { origin, pathname } = new URL(url)
  const claims = {
    jti: randomBytes(24).toString('base64url'),
    htm: method,
    htu: origin + pathname,
    iat: now,
    ...(nonce === undefined ? {} : { nonce }),
    ...(accessToken === undefined ? {} : { ath: createHash('sha256').update(accessToken).digest('base64url') }),
  }
  return await new SignJWT(claims)
    .setProtectedHeader({ typ: 'dpop+jwt', alg: key.alg, jwk: publicJwk(key) })
    .sign(createPrivateKey({ key: privateJwk(key), format: 'jwk' }))
}

/** The thumbprint of the key (RFC 7638), which the parameter `dpop_jkt` binds a code to (RFC 9449 10). */
export function dpopThumbprint(key: DpopKey): Promise<string> {
  return calculateJwkThumbprint(publicJwk(key), 'sha256')
}

function generateKey(crv: string): KeyObject {
  if (crv === 'Ed25519') return generateKeyPairSync('ed25519').privateKey
  return generateKeyPairSync('ec', { namedCurve: crv }).privateKey
}

/** RFC 9449 4.2: never the private key. So its members are named, one by one. */
function publicJwk({ kty, crv, x, y }: DpopKey): { kty: string; crv: string; x: string; y?: string } {
  return { kty, crv, x, ...(y === undefined ? {} : { y }) }
}

function privateJwk(key: DpopKey): JsonWebKey {
  return { ...publicJwk(key), d: key.d }
}

/** What a proof goes to: one origin may be both, with nonces that are good for one of them only (RFC 9449 8, 9). */
type DpopServer = 'authorization' | 'resource'

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
