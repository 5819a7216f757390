import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { calculateJwkThumbprint, decodeProtectedHeader, type JWK } from 'jose'
import {
  type Demand,
  isNewId,
  type JsonObject,
  now,
  type StrictContext,
  type StrictRequest,
  sendChanged,
} from './context.ts'
import { ASYMMETRIC_ALGS, verifyClientJws } from './jws.ts'

/** How old a proof may be, and how far ahead the client's clock, in seconds. */
const OLDEST = 60
const TOLERANCE = 5

const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** What came of a request's proof. */
export interface DpopOutcome {
  /** The thumbprint of the key; absent: there is no proof. */
  readonly jkt?: string
  readonly demands: readonly Demand[]
  /** The proof is right but for the nonce: the client is to be told one. */
  readonly lacksNonce: boolean
}

const NO_PROOF: DpopOutcome = { demands: [], lacksNonce: false }

/** RFC 9449 4.3. The access token is the one that the proof goes with at a resource. */
export async function checkDpop(
  context: StrictContext,
  request: StrictRequest,
  accessToken?: string,
): Promise<DpopOutcome> {
  const proof = request.headers['dpop']
  if (proof === undefined || context.dpop === 'absent') return NO_PROOF
  const verified = await verifyProof(String(proof))
  if (typeof verified === 'string') return { ...NO_PROOF, demands: [refusal(`DPoP proof: ${verified}`)] }
  const { jkt, claims } = verified
  const nonces = context.dpopNonces
  const nonce = accessToken === undefined ? nonces.authorizationServer : nonces.resource
  return {
    jkt,
    demands: claimDemands(context, request, claims, accessToken),
    lacksNonce: context.dpop === 'nonce' && claims['nonce'] !== nonce,
  }
}

async function verifyProof(proof: string): Promise<{ readonly jkt: string; readonly claims: JsonObject } | string> {
  const header = headerOf(proof)
  if (typeof header === 'string') return header
  // Its type is asked for above: jose takes the key from here, and from nowhere else.
  const jwk = header['jwk'] as JWK
  const verified = await verifyClientJws(proof, ASYMMETRIC_ALGS, { keys: [jwk] })
  if (typeof verified === 'string') return verified
  return { jkt: await calculateJwkThumbprint(jwk), claims: verified.claims }
}

/** The header where it is one, else what is wrong with it. */
function headerOf(proof: string): JsonObject | string {
  if (proof.includes(',')) return 'there is more than one'
  try {
    const header: JsonObject = { ...decodeProtectedHeader(proof) }
    const { typ, jwk } = header
    if (typ !== 'dpop+jwt') return 'typ is not dpop+jwt'
    if (typeof jwk !== 'object' || jwk === null) return 'there is no jwk'
    return PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name)) ? 'jwk is a private key' : header
  } catch {
    return 'it is no JWT'
  }
}

function claimDemands(
  context: StrictContext,
  request: StrictRequest,
  { htm, htu, iat, jti, ath }: JsonObject,
  accessToken: string | undefined,
): readonly Demand[] {
  const isRecent = typeof iat === 'number' && iat >= now() - OLDEST && iat <= now() + TOLERANCE
  const expectedAth = accessToken && createHash('sha256').update(accessToken, 'ascii').digest('base64url')
  const demands: readonly (readonly [isBroken: boolean, fault: string])[] = [
    [htm !== request.method, 'htm is not the method'],
    [htu !== request.url, 'htu is not the address'],
    [!isRecent, 'iat is missing, too old, or in the future'],
    [!isNewId(context, 'dpop', jti), 'jti is missing or was used before'],
    [ath !== expectedAth, 'ath is not the hash of the access token'],
  ]
  return demands.filter(([isBroken]) => isBroken).map(([, fault]) => refusal(`DPoP proof: ${fault}`))
}

function refusal(fault: string): Demand {
  return [true, 'invalid_dpop_proof', fault]
}

/** RFC 9449 8 and 9: answered where a proof is right but for its nonce. Anything that is wrong with it comes first. */
export function sendDpopChallenge(
  context: StrictContext,
  { demands, lacksNonce }: DpopOutcome,
  at: 'authorizationServer' | 'resource',
  res: ServerResponse,
): boolean {
  if (!lacksNonce || demands.length > 0) return false
  const isResource = at === 'resource'
  const challenge = { 'WWW-Authenticate': 'DPoP error="use_dpop_nonce", algs="ES256 PS256 EdDSA"' }
  sendChanged(
    res,
    isResource ? {} : { error: 'use_dpop_nonce', error_description: 'a nonce is needed' },
    context.change.dpopChallenge,
    {
      status: isResource ? 401 : 400,
      headers: { 'DPoP-Nonce': context.dpopNonces[at], ...(isResource ? challenge : {}) },
    },
  )
  return true
}

/** RFC 9449 8.2: each answer to a proof tells the nonce that is to be used next. */
export function dpopNonceHeader(
  context: StrictContext,
  { jkt }: DpopOutcome,
  at: 'authorizationServer' | 'resource',
): Record<string, string> {
  return context.dpop === 'nonce' && jkt !== undefined ? { 'DPoP-Nonce': context.dpopNonces[at] } : {}
}
