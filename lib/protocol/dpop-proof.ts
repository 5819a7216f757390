import { createHash } from 'node:crypto'
import { type ErrorCode, OidcError } from '../errors.ts'
import { decodeBase64url } from '../jose/compact-token.ts'
import { type JsonObject, parseJsonObject } from '../jose/json.ts'
import { isSignedBy } from '../jose/signature.ts'
import { isInstant } from '../time/seconds.ts'
import { malformedProof, proofError, readSender, type SenderExpectations } from './dpop-sender.ts'
import { isSameUrl } from './external-url.ts'
import type { ServerNonces } from './server-nonces.ts'

export { createDpopKeys, DPOP_ALGORITHMS } from './dpop-sender.ts'

/** What a DPoP proof must be for, and what it may be signed with. */
export interface DpopExpectations extends SenderExpectations {
  /** `req.method`. Methods are case-sensitive (RFC 9110 9.1). */
  readonly method: string
  /** The URL of the request as its sender writes it, from the configuration: see `externalUrl`. */
  readonly url: string | undefined
  /** The access token that came with the proof. Verify it first. */
  readonly accessToken: string
  /** How long ago the proof may have been made, in seconds. */
  readonly maxAge: number
  /** In seconds. */
  readonly clockTolerance: number
  /** Seconds since 1970. */
  readonly now: number
  /** If set, a proof must have one of these nonces. */
  readonly nonces?: ServerNonces | undefined
}

/** A proof that is right, but may have been used before: pass it to {@link spendDpopProof} before the request is handled. */
export interface JudgedDpopProof {
  readonly jkt: string
  readonly jti: string
  /** The nonce to send in `DPoP-Nonce` with the response (RFC 9449 8.2), if it is another one than that of the proof. */
  readonly nextNonce: string | undefined
  /** How long to remember it, in seconds: after that it is too old. */
  readonly rememberSeconds: number
}

/** A proof with an RSA key of 4096 bits has about 2.5 KiB, and Node accepts 16 KiB for all headers. */
const MAX_LENGTH = 8192
const MAX_JTI_LENGTH = 256

/**
 * Judges the DPoP proof of a request to an API (RFC 9449 4.3, 7.1): its form, key and signature, and that it is for this
 * request, this access token and this moment. The key is compared with that of the token before it is used, so only the owner of
 * a valid token can cause the work of a verification. Throws `ERR_OIDC_DPOP_PROOF_…`; `ERR_OIDC_DPOP_PROOF_NONCE` has the header
 * `DPoP-Nonce`.
 *
 * @param header The value of the header `DPoP`. Node joins two headers with a comma, which no proof has.
 */
export function judgeDpopProof(header: unknown, expected: DpopExpectations): JudgedDpopProof {
  const proof = parseProof(header)
  const { alg, key } = readSender(proof.header, expected)
  if (!isSignedBy(proof, alg, key)) {
    throw proofError('ERR_OIDC_DPOP_PROOF_SIGNATURE', 'has a signature that the key in its header jwk does not verify.')
  }
  const claims = parseJsonObject(proof.payload)
  if (claims === undefined) throw proofError('ERR_OIDC_DPOP_PROOF_MALFORMED', 'has claims that are not a JSON object.')
  for (const { code, problem, isValid } of CLAIM_RULES) {
    if (!isValid(claims, expected)) throw new OidcError(code, `The DPoP proof ${problem}`)
  }
  return {
    jkt: expected.jkt,
    jti: String(claims['jti']),
    nextNonce: checkNonce(claims, expected),
    // From the earliest to the latest moment at which any node accepts it, and a minute for clocks that differ.
    rememberSeconds: expected.maxAge + 2 * expected.clockTolerance + 60,
  }
}

/**
 * Marks a proof as used (RFC 9449 11.1). Throws `ERR_OIDC_DPOP_PROOF_REPLAYED` if a request of any node used it before. A `jti` is
 * one of its key: nobody can use up the proofs of others. Call it last, when nothing else can refuse the request.
 *
 * @param marks The shared state, or a memory of this process.
 */
export async function spendDpopProof(
  marks: { once(key: string, seconds: number): Promise<boolean> },
  { jkt, jti, rememberSeconds }: Pick<JudgedDpopProof, 'jkt' | 'jti' | 'rememberSeconds'>,
): Promise<void> {
  const digest = createHash('sha256')
    .update(JSON.stringify([jkt, jti]))
    .digest('base64url')
  if (await marks.once(`dpop-proof:${digest}`, rememberSeconds)) return
  throw proofError('ERR_OIDC_DPOP_PROOF_REPLAYED', 'was used before. Make a new one, with a new jti, for each request.')
}

/** A proof whose header is still encoded. */
interface EncodedProof {
  readonly token: string
  readonly header: string
  readonly payload: Uint8Array
  readonly signature: Uint8Array
}

function parseProof(header: unknown): EncodedProof {
  const values = [header].flat()
  const [proof] = values
  if (proof === undefined || proof === '') {
    throw proofError('ERR_OIDC_DPOP_PROOF_MISSING', 'is missing: send it in the header DPoP.')
  }
  if (typeof proof !== 'string' || values.length > 1 || proof.includes(',')) {
    throw proofError('ERR_OIDC_DPOP_PROOF_MALFORMED', 'must be in exactly one header DPoP (RFC 9449 4.3).')
  }
  if (proof.length > MAX_LENGTH) {
    throw proofError('ERR_OIDC_DPOP_PROOF_TOO_LARGE', `is larger than ${MAX_LENGTH / 1024} KiB.`)
  }
  const parts = proof.split('.', 4)
  const [encoded = '', payload, signature] = parts
  const bytes = [payload, signature].map((part = '') => decodeBase64url(part))
  const [claims, signed] = bytes
  if (parts.length === 3 && claims !== undefined && signed !== undefined) {
    return { token: proof, header: encoded, payload: claims, signature: signed }
  }
  throw malformedProof()
}

/** One rule for the claims of a proof. `problem` continues the sentence "The DPoP proof …". */
interface ProofRule {
  readonly code: ErrorCode
  readonly problem: string
  readonly isValid: (claims: JsonObject, expected: DpopExpectations) => boolean
}

/** RFC 9449 4.3 (3), (8) to (12). Checked in this order. */
const CLAIM_RULES: readonly ProofRule[] = [
  {
    code: 'ERR_OIDC_DPOP_PROOF_METHOD',
    problem: 'is for another method (htm).',
    isValid: ({ htm }, { method }) => htm === method,
  },
  {
    code: 'ERR_OIDC_DPOP_PROOF_URL',
    problem: 'is for another URL (htu). Behind a proxy, check baseUrl.',
    isValid: ({ htu }, { url }) => typeof htu === 'string' && url !== undefined && isSameUrl(htu, url),
  },
  {
    code: 'ERR_OIDC_DPOP_PROOF_ISSUED_AT',
    problem: 'was not made just now (iat). Make a new one for each request, and check the clocks of both sides.',
    isValid: ({ iat }, { now, maxAge, clockTolerance }) =>
      isInstant(iat) && iat <= now + clockTolerance && iat >= now - maxAge - clockTolerance,
  },
  {
    // RFC 7519 4.1.4, 4.1.5: no proof needs them, but a JWT that has them must be within them.
    code: 'ERR_OIDC_DPOP_PROOF_ISSUED_AT',
    problem: 'has expired or is not valid yet (exp, nbf).',
    isValid: ({ exp, nbf }, { now, clockTolerance }) =>
      (exp === undefined || (isInstant(exp) && now < exp + clockTolerance)) &&
      (nbf === undefined || (isInstant(nbf) && nbf <= now + clockTolerance)),
  },
  {
    code: 'ERR_OIDC_DPOP_PROOF_ID',
    problem: `has no jti, or one of more than ${MAX_JTI_LENGTH} characters.`,
    isValid: ({ jti }) => typeof jti === 'string' && jti !== '' && jti.length <= MAX_JTI_LENGTH,
  },
  {
    code: 'ERR_OIDC_DPOP_PROOF_ACCESS_TOKEN_HASH',
    problem: 'is not for this access token (ath).',
    isValid: ({ ath }, { accessToken }) =>
      ath === createHash('sha256').update(accessToken, 'latin1').digest('base64url'),
  },
]

/** RFC 9449 9. A client that gets the error makes another proof, with the nonce of its header. */
function checkNonce({ nonce }: JsonObject, { nonces, now }: DpopExpectations): string | undefined {
  if (nonces === undefined) return undefined
  const current = nonces.current(now)
  if (nonces.accepts(nonce, now)) return nonce === current ? undefined : current
  const problem = 'needs the nonce in the header DPoP-Nonce of this response (RFC 9449 9).'
  throw proofError('ERR_OIDC_DPOP_PROOF_NONCE', problem, { 'DPoP-Nonce': current })
}
