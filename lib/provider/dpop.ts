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

/** The request that a proof of possession is for. */
interface DpopProof {
  readonly key: DpopKey
  readonly method: string
  /** The requested URL. Its query and fragment are left out of the proof. */
  readonly url: string
  /** The nonce that the server demands. */
  readonly nonce?: string | undefined
  /** The access token in the request, if any. */
  readonly accessToken?: string | undefined
  /** Seconds since 1970. */
  readonly now: number
}

/**
 * Creates a key for the tokens of one login (RFC 9449 4). It is JSON, is stored with the tokens and is as secret as they are.
 *
 * @param alg ES256, ES384, ES512, EdDSA or Ed25519. Keys of other algorithms take too long to create for each login, or are
 * too long for a cookie and a header: they throw `ERR_OIDC_CONFIG`.
 */
export function createDpopKey(alg: string): DpopKey {
  const crv = findJwsAlgorithm(alg)?.keyKinds[0]?.crv
  if (crv === undefined) throw new ConfigError(['dpopSigningAlg must be ES256, ES384, ES512, EdDSA or Ed25519.'])
  const { kty = '', crv: curve = '', x = '', y, d = '' } = generateKey(crv).export({ format: 'jwk' })
  return { alg, kty, crv: curve, x, ...(y === undefined ? {} : { y }), d }
}

/** Creates a proof that the sender of one request has the key (RFC 9449 4.2). Each request needs a new one. */
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

/** The thumbprint of the key (RFC 7638), for the parameter `dpop_jkt`, which binds a code to it (RFC 9449 10). */
export function dpopThumbprint(key: DpopKey): Promise<string> {
  return calculateJwkThumbprint(publicJwk(key), 'sha256')
}

function generateKey(crv: string): KeyObject {
  if (crv === 'Ed25519') return generateKeyPairSync('ed25519').privateKey
  return generateKeyPairSync('ec', { namedCurve: crv }).privateKey
}

/** RFC 9449 4.2: never the private key. So the public members are listed one by one. */
function publicJwk({ kty, crv, x, y }: DpopKey): { kty: string; crv: string; x: string; y?: string } {
  return { kty, crv, x, ...(y === undefined ? {} : { y }) }
}

function privateJwk(key: DpopKey): JsonWebKey {
  return { ...publicJwk(key), d: key.d }
}
