import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { calculateJwkThumbprint, decodeJwt, EmbeddedJWK, jwtVerify } from 'jose'
import { sendOAuthError } from './answers.ts'
import { endpointAt, type OktaContext, type OktaRequest } from './context.ts'

/** A new nonce: the one before is refused from now on. */
export function newDpopNonce(): string {
  return randomBytes(12).toString('base64url')
}

/**
 * Checks the proof of a token request (RFC 9449 4.3). Okta always wants a nonce, so the first request of all fails with
 * 400. Returns the thumbprint of the key, `undefined` where there is no proof, and `false` where the answer is given.
 */
export async function checkDpopProof(
  context: OktaContext,
  { method, headers }: OktaRequest,
  endpoint: string,
  res: ServerResponse,
): Promise<string | undefined | false> {
  const proof = headers['dpop']
  if (typeof proof !== 'string') return undefined
  const { htm, htu, nonce, jti = '' } = decodeJwt(proof)
  if (nonce !== context.dpopNonce) {
    res.setHeader('DPoP-Nonce', context.dpopNonce)
    sendOAuthError(res, 400, 'use_dpop_nonce', 'Authorization server requires nonce in DPoP proof.')
    return false
  }
  const verified = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt' }).catch(() => undefined)
  if (verified === undefined || htm !== method || htu !== endpoint || context.seenIds.has(jti)) {
    sendOAuthError(res, 400, 'invalid_dpop_proof', 'The DPoP proof JWT is invalid.')
    return false
  }
  context.seenIds.add(jti)
  return calculateJwkThumbprint(verified.protectedHeader.jwk ?? {})
}

/** Whether a request to an API of Okta's shows a bound token with a proof by its key, for this very token (RFC 9449 7). */
export async function isBoundTo(
  jkt: string,
  { headers, method, url, serverId, endpoint }: OktaRequest,
  accessToken: string,
): Promise<boolean> {
  const proof = headers['dpop']
  if (typeof proof !== 'string' || !headers.authorization?.startsWith('DPoP ')) return false
  const verified = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt' }).catch(() => undefined)
  const { htm, htu, ath } = verified?.payload ?? {}
  const hash = createHash('sha256').update(accessToken).digest('base64url')
  const isForThis = htm === method && htu === endpointAt(url.origin, serverId, endpoint) && ath === hash
  return isForThis && (await calculateJwkThumbprint(verified?.protectedHeader.jwk ?? {})) === jkt
}
