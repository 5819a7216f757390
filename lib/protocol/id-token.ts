import { createHash, timingSafeEqual } from 'node:crypto'
import { type ErrorCode, shown } from '../errors.ts'
import { findJwsAlgorithm } from '../jose/algorithms.ts'
import { nounOf, type TokenProblem, tokenProblemError } from '../jose/compact-token.ts'
import { type JsonObject, presentMembers } from '../jose/json.ts'
import type { VerifyToken } from '../provider/provider-token.ts'
import { isInstant, nowInSeconds } from '../time/seconds.ts'
import type { IdTokenClaims, Json } from '../types.ts'
import {
  type ClaimContext,
  type ClaimRule,
  checkClaims,
  expiryRule,
  issuedAtRule,
  issuerRule,
  notBeforeRule,
  otherAudience,
} from './claim-rules.ts'

/** What an ID Token is compared with. */
export type IdTokenExpectations = Omit<IdTokenContext, 'alg' | 'now'>

/** An ID Token that passed every check. */
export interface VerifiedIdToken {
  readonly claims: IdTokenClaims
  /** The signed token, never an encrypted one: the form that `id_token_hint` takes (OIDC Core 3.1.2.1). */
  readonly token: string
  /** The algorithm of the signature. */
  readonly alg: string
}

/**
 * Verifies an ID Token completely (OIDC Core 3.1.3.7), whatever channel it came through: form, encryption, header,
 * signature, then claims. The claims are deeply frozen, without those that are null or empty. Throws `ERR_OIDC_ID_TOKEN_…` and the errors of fetching the keys.
 *
 * @param errorStatus 400 for a token that the browser brought.
 */
export async function verifyIdToken(
  verify: VerifyToken,
  idToken: unknown,
  expected: IdTokenExpectations,
  errorStatus?: number,
): Promise<VerifiedIdToken> {
  const { claims, token, alg } = await verify(idToken, errorStatus)
  checkClaims(nounOf('ID_TOKEN'), claims, RULES, { ...expected, alg, now: nowInSeconds() }, errorStatus)
  // The rules have checked the types of `iss` and `sub`. The application decides about the other claims.
  return { claims: usableClaims(claims) as unknown as IdTokenClaims, token, alg }
}

/** Without an `auth_time` that is not a time: then nothing says when the user authenticated, and no step-up is met. */
function usableClaims(claims: JsonObject): JsonObject {
  const { auth_time: authTime, ...rest } = claims
  return presentMembers(isInstant(authTime) ? claims : rest)
}

/**
 * Compares the `at_hash` of an ID Token, if it has one, with an access token that came after it (OIDC Core 3.3.2.11). Throws
 * `ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH`.
 */
export function checkAccessTokenHash(
  { claims: { at_hash: given }, alg }: VerifiedIdToken,
  accessToken: string | undefined,
  errorStatus?: number,
): void {
  if (given === undefined) return
  if (accessToken !== undefined && given === leftHalfOfHash(accessToken, alg)) return
  throw tokenProblemError(nounOf('ID_TOKEN'), ACCESS_TOKEN_HASH, otherValue('at_hash', 'accessToken'), errorStatus)
}

interface IdTokenContext extends ClaimContext {
  /** Other audiences that the ID Token may have beside the client. */
  readonly trustedAudiences?: readonly string[]
  /** True if `aud` must be one string, as a profile demands. */
  readonly hasSingleAudience?: boolean
  /** The nonce of the transaction. */
  readonly nonce: string | undefined
  /** True if the ID Token may lack the nonce, although one was sent. A nonce that is there must match. */
  readonly mayLackNonce?: boolean
  /** True for the ID Token of a refresh, which may lack the nonce (OIDC Core 12.2). */
  readonly isRefreshed?: boolean
  /** The access token that came with the ID Token. */
  readonly accessToken?: string | undefined
  /** True if the access token comes later. Call {@link checkAccessTokenHash} then. */
  readonly isAccessTokenLater?: boolean
  /** The code that was redeemed. */
  readonly code?: string | undefined
  /** The state of the transaction. */
  readonly state?: string | undefined
  /** Hashes that must be present: the browser brought both the token and the value that they bind it to. */
  readonly requiredHashes?: readonly ('at_hash' | 'c_hash')[] | undefined
  /** The requested `max_age`, in seconds. */
  readonly maxAge?: number | undefined
  /** The algorithm of the signature. */
  readonly alg: string
}

type IdTokenRule = ClaimRule<IdTokenContext>

/** How long ago an ID Token may have been issued, in seconds. It comes directly from the provider. */
const MAX_AGE = 86_400

/** OIDC Core 3.1.3.7 (3): other audiences are accepted if the option trusts them, or in a token that was issued to us. */
const audience: IdTokenRule = {
  code: 'ERR_OIDC_ID_TOKEN_AUDIENCE',
  findProblem: ({ aud, azp }, { clientId, trustedAudiences = [], hasSingleAudience }) => {
    // IPSIE SL1, Relying Parties.
    if (hasSingleAudience === true && typeof aud !== 'string') {
      return { message: "must have one string as aud, which profile 'ipsie-sl1' requires." }
    }
    const audiences = typeof aud === 'string' ? [aud] : aud
    const isForUs = isStrings(audiences) && audiences.includes(clientId)
    const isForUsAlone = isForUs && audiences.every((one) => one === clientId || trustedAudiences.includes(one))
    return isForUsAlone || (isForUs && azp === clientId) ? undefined : otherAudience(aud, clientId)
  },
}

/** OIDC Core 2. The subject is personal data, so no message shows it. */
const subject: IdTokenRule = {
  code: 'ERR_OIDC_ID_TOKEN_SUBJECT',
  findProblem: ({ sub }) => {
    if (typeof sub !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(sub))
      return { message: 'has no valid sub claim: it must be 1 to 255 ASCII characters.' }
    return COMMON_SUBJECT.test(sub) ? { message: `has the same sub for all users. ${SUBJECT_ADVICE}` } : undefined
  },
}

/** Old policies of Azure AD B2C have this text for every user. One user would get the session of another. */
const COMMON_SUBJECT = /^not supported currently/i
const SUBJECT_ADVICE = 'Set the Subject claim of the Azure AD B2C policy to the object id of the user.'

/** OIDC Core 3.1.3.7 (4, 5). */
const authorizedParty: IdTokenRule = {
  code: 'ERR_OIDC_ID_TOKEN_AUTHORIZED_PARTY',
  findProblem: ({ azp }, { clientId }) =>
    azp === undefined || azp === clientId
      ? undefined
      : {
          message: `was not issued to the clientId ${shown(clientId)} (azp). Check clientId.`,
          details: `was issued to the client ${shown(azp)} (azp), expected ${shown(clientId)}. Check clientId.`,
        },
}

/** OIDC Core 3.1.3.7 (11), 15.5.2. If no nonce was sent, no nonce matches. A refreshed one may be null as well as absent. */
const nonce: IdTokenRule = {
  code: 'ERR_OIDC_ID_TOKEN_NONCE',
  findProblem: ({ nonce: given }, expected) => {
    if ((given ?? undefined) === undefined && expected.isRefreshed === true) return undefined
    if (given === undefined && expected.mayLackNonce === true) return undefined
    const isExpected = typeof given === 'string' && given !== '' && isSame(given, expected.nonce ?? '')
    return isExpected ? undefined : { message: 'does not belong to this login: its nonce is missing or another one.' }
  },
}

/** OIDC Core 3.1.3.7 (13): if `max_age` was requested, it is checked. Otherwise nothing depends on it. */
const authTime: IdTokenRule = {
  code: 'ERR_OIDC_ID_TOKEN_AUTH_TIME',
  findProblem: ({ auth_time: given }, { now, clockTolerance, maxAge }) => {
    if (maxAge === undefined) return undefined
    if (!isInstant(given))
      return { message: 'does not say when the user authenticated: auth_time must be seconds since 1970.' }
    if (given <= now + clockTolerance && now - given <= maxAge + clockTolerance) return undefined
    const limit = `The login requested max_age ${maxAge} (clockTolerance is ${clockTolerance}).`
    return {
      message: `has an auth_time that is not recent enough. ${limit}`,
      details: `says that the user authenticated ${Math.floor(now - given)} seconds ago (auth_time). ${limit}`,
    }
  },
}

/** OIDC Core 3.1.3.6, 3.3.2.10, FAPI 1.0 Part 2 5.1: a hash must match the value that came along, which must be there. */
function hashRule(claim: string, of: keyof typeof NOUNS, code: ErrorCode): IdTokenRule {
  return {
    code,
    findProblem: ({ [claim]: given }, { alg, requiredHashes, isAccessTokenLater, [of]: value }) => {
      if (given === undefined && requiredHashes?.some((name) => name === claim) !== true) return undefined
      if (given !== undefined && value !== undefined && given === leftHalfOfHash(value, alg)) return undefined
      const isLater = of === 'accessToken' && isAccessTokenLater === true && typeof given === 'string' && given !== ''
      return isLater ? undefined : otherValue(claim, of)
    },
  }
}

function otherValue(claim: string, of: keyof typeof NOUNS): TokenProblem {
  return { message: `was issued with another ${NOUNS[of]}: ${claim} is missing or does not match.` }
}

const ACCESS_TOKEN_HASH = 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH'

const NOUNS = { accessToken: 'access token', code: 'code', state: 'state' } as const

/** The rules for claims (OIDC Core 2 and 3.1.3.7), checked in this order. */
const RULES: readonly IdTokenRule[] = [
  issuerRule('ERR_OIDC_ID_TOKEN_ISSUER'),
  subject,
  audience,
  authorizedParty,
  expiryRule('ERR_OIDC_ID_TOKEN_EXPIRED'),
  issuedAtRule('ERR_OIDC_ID_TOKEN_ISSUED_AT', () => MAX_AGE),
  notBeforeRule('ERR_OIDC_ID_TOKEN_NOT_BEFORE'),
  nonce,
  authTime,
  hashRule('at_hash', 'accessToken', ACCESS_TOKEN_HASH),
  hashRule('c_hash', 'code', 'ERR_OIDC_ID_TOKEN_CODE_HASH'),
  hashRule('s_hash', 'state', 'ERR_OIDC_ID_TOKEN_STATE_HASH'),
]

function isStrings(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function isSame(given: string, expected: string): boolean {
  const [left, right] = [Buffer.from(given), Buffer.from(expected)]
  return left.byteLength === right.byteLength && timingSafeEqual(left, right)
}

/** Undefined for an algorithm without a hash, which then matches nothing. */
function leftHalfOfHash(value: string, alg: string): string | undefined {
  const { hash } = { ...findJwsAlgorithm(alg) }
  if (hash === undefined) return undefined
  const digest = createHash(...hash)
    .update(value)
    .digest()
  return digest.subarray(0, digest.byteLength / 2).toString('base64url')
}
