import { type ErrorCode, shown } from '../errors.ts'
import { type TokenProblem, tokenProblemError } from '../jose/compact-token.ts'
import type { JsonObject } from '../jose/json.ts'
import { isIssuedBy } from '../options/issuer.ts'
import { isInstant } from '../time/seconds.ts'
import type { Json } from '../types.ts'

/** What the claims of every token are compared with. */
export interface IssuerContext {
  readonly issuer: string
  /** In seconds. */
  readonly clockTolerance: number
  /** Seconds since 1970. */
  readonly now: number
}

/** The same for a token that was issued to a client. A kind of token may have rules that need more. */
export interface ClaimContext extends IssuerContext {
  readonly clientId: string
}

/** One rule for the claims of a token. */
export interface ClaimRule<Context extends IssuerContext = ClaimContext> {
  readonly code: ErrorCode
  /** Returns what is wrong with the claims; `undefined` if they follow the rule. */
  readonly findProblem: (claims: JsonObject, context: Context) => TokenProblem | undefined
}

/**
 * Throws an error for the first rule that the claims break.
 *
 * @param noun The kind of token, as in "The ID Token has expired".
 * @param status The HTTP status of the error, if not the usual one of its code.
 */
export function checkClaims<Context extends IssuerContext>(
  noun: string,
  claims: JsonObject,
  rules: readonly ClaimRule<Context>[],
  context: Context,
  status?: number,
): void {
  for (const { code, findProblem } of rules) {
    const problem = findProblem(claims, context)
    if (problem !== undefined) throw tokenProblemError(noun, code, problem, status)
  }
}

/** A rule that holds for a claim only if the token has it. */
export function ifPresent<Context extends IssuerContext>(
  claim: string,
  { code, findProblem }: ClaimRule<Context>,
): ClaimRule<Context> {
  return {
    code,
    findProblem: (claims, context) => (claims[claim] === undefined ? undefined : findProblem(claims, context)),
  }
}

/** `iss` must be the configured issuer, or that of one of its tenants (RFC 7519 4.1.1, OIDC Core 3.1.3.7 (2)). */
export function issuerRule(code: ErrorCode, matches: typeof isIssuedBy = isIssuedBy): ClaimRule<IssuerContext> {
  return {
    code,
    findProblem: (claims, { issuer }) => {
      if (matches(issuer, claims)) return undefined
      const advice = 'Check the option issuer (a trailing slash counts).'
      return {
        message: `does not have the issuer ${shown(issuer)}. ${advice}`,
        details: `has the issuer ${shown(claims['iss'])}, expected ${shown(issuer)}. ${advice}`,
      }
    },
  }
}

/** `aud` must be or contain the client id (RFC 7519 4.1.3). */
export function audienceRule(code: ErrorCode): ClaimRule {
  return {
    code,
    findProblem: ({ aud }, { clientId }) =>
      clientId !== '' && [aud].flat().includes(clientId) ? undefined : otherAudience(aud, clientId),
  }
}

/** The problem of a token for another audience. */
export function otherAudience(aud: Json | undefined, clientId: string): TokenProblem {
  return {
    message: `is not for the clientId ${shown(clientId)}. Check clientId.`,
    details: `has the audience ${shown(aud)}, expected the clientId ${shown(clientId)}. Check clientId.`,
  }
}

/** `exp` must be in the future (RFC 7519 4.1.4). */
export function expiryRule(code: ErrorCode): ClaimRule<IssuerContext> {
  return {
    code,
    findProblem: ({ exp }, context) => {
      if (!isInstant(exp)) return { message: 'does not say when it expires: exp must be seconds since 1970.' }
      const { now, clockTolerance } = context
      return now < exp + clockTolerance ? undefined : clockProblem('has expired', `expired ${ago(exp, now)}`, context)
    },
  }
}

/** `nbf`, if present, must be in the past (RFC 7519 4.1.5). */
export function notBeforeRule(code: ErrorCode): ClaimRule<IssuerContext> {
  return ifPresent('nbf', {
    code,
    findProblem: ({ nbf }, context) => {
      if (!isInstant(nbf)) return { message: 'has an nbf claim that is not seconds since 1970.' }
      const { now, clockTolerance } = context
      if (nbf <= now + clockTolerance) return undefined
      return clockProblem('is not valid yet (nbf)', `becomes valid in ${ahead(nbf, now)} (nbf)`, context)
    },
  })
}

/** `iat` must be in the past, but no longer ago than `maxAge` seconds (RFC 7519 4.1.6). */
export function issuedAtRule(
  code: ErrorCode,
  maxAge: (claims: JsonObject, context: IssuerContext) => number,
): ClaimRule<IssuerContext> {
  return {
    code,
    findProblem: (claims, context) => {
      const { iat } = claims
      if (!isInstant(iat)) return { message: 'does not say when it was issued: iat must be seconds since 1970.' }
      const { now, clockTolerance } = context
      const limit = maxAge(claims, context)
      if (iat > now + clockTolerance) {
        return clockProblem('was issued in the future', `was issued ${ahead(iat, now)} in the future`, context)
      }
      if (now - iat <= limit + clockTolerance) return undefined
      return clockProblem(
        `was issued more than ${limit} seconds ago`,
        `was issued ${ago(iat, now)}, but at most ${limit} seconds are allowed`,
        context,
      )
    },
  }
}

function clockProblem(message: string, details: string, { clockTolerance }: IssuerContext): TokenProblem {
  const advice = ` (clockTolerance is ${clockTolerance}). Check the clocks of both servers.`
  return { message: message + advice, details: details + advice }
}

function ago(instant: number, now: number): string {
  return `${Math.floor(now - instant)} seconds ago`
}

function ahead(instant: number, now: number): string {
  return `${Math.ceil(instant - now)} seconds`
}

/**
 * The claims that secure a login (OIDC Core 2, 3.3.2.11). They are taken from the ID Token only, never from UserInfo or a
 * claims provider.
 */
export const SECURITY_CLAIMS: ReadonlySet<string> = new Set([
  ...['iss', 'sub', 'aud', 'azp', 'exp', 'iat', 'nbf', 'jti', 'nonce', 'auth_time', 'acr', 'amr', 'sid'],
  ...['at_hash', 'c_hash', 's_hash', 'session_expiry'],
])
