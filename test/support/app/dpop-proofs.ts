import { createHash } from 'node:crypto'
import { type SigningKey, signJws } from './signing-keys.ts'

type Members = Readonly<Record<string, unknown>>

/** What is in a proof, where it is not right for the request. `undefined` leaves a member out. */
export interface ProofChange {
  readonly claims?: Members
  readonly header?: Members
  readonly alg?: string
  /** Who signs, if it is not the key in `jwk`. */
  readonly signer?: SigningKey
}

/** A DPoP proof of this key for a request with this access token (RFC 9449 4.2), different each time. */
export function makeProof(
  key: SigningKey,
  { method = 'GET', url, token }: { method?: string; url: string; token: string },
  { claims, header, alg = 'ES256', signer = key }: ProofChange = {},
): string {
  const { kid: _, use: __, ...jwk } = key.jwk
  const usual = {
    htm: method,
    htu: url,
    iat: Math.floor(Date.now() / 1000),
    jti: crypto.randomUUID(),
    ath: createHash('sha256').update(token).digest('base64url'),
  }
  return signJws(alg, signer.privateKey, { typ: 'dpop+jwt', alg, jwk, ...header }, { ...usual, ...claims })
}

/** The thumbprint of a key on the curve P-256 (RFC 7638), for `cnf.jkt`. */
export function thumbprintOf({ jwk: { crv, kty, x, y } }: SigningKey): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
}
