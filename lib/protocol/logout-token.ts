import type { ErrorCode } from '../errors.ts'
import { isJwe, nounOf, parseCompactJws, type TokenProblem } from '../jose/compact-token.ts'
import { isObject, type JsonObject, parseJsonObject } from '../jose/json.ts'
import type { Config } from '../options/config.ts'
import { isIssuedBy } from '../options/issuer.ts'
import type { Provider } from '../provider/provider.ts'
import { verifyProviderToken } from '../provider/provider-token.ts'
import { isInstant, nowInSeconds } from '../time/seconds.ts'
import {
  audienceRule,
  type ClaimContext,
  type ClaimRule,
  checkClaims,
  expiryRule,
  ifPresent,
  issuedAtRule,
  issuerRule,
  notBeforeRule,
} from './claim-rules.ts'

/** Which sessions a logout token logs out. */
export interface LogoutToken {
  readonly issuer: string
  /** The user. Without a `sid`, all sessions of this user are logged out. */
  readonly sub: string | undefined
  /** The session at the provider. If set, only this session is logged out. */
  readonly sid: string | undefined
  /** Unique at the issuer. Remember it for {@link replayWindowSeconds}. */
  readonly jti: string
}

/**
 * Verifies a logout token completely (OIDC Back-Channel Logout 2.6), except whether it was received before. Throws
 * `ERR_OIDC_LOGOUT_TOKEN_…` and the errors of fetching the keys.
 */
export async function verifyLogoutToken(provider: Provider, token: unknown): Promise<LogoutToken> {
  const { claims } = await verifyProviderToken(provider, 'LOGOUT_TOKEN', token)
  checkClaims(nounOf('LOGOUT_TOKEN'), claims, LOGOUT_RULES, {
    ...contextOf(provider.config),
    mayOmitExpiry: provider.config.dangerouslyAllowLogoutTokenWithoutExp,
  })
  const { iss, sub, sid, jti } = claims
  return { issuer: String(iss), sub: textOf(sub), sid: textOf(sid), jti: String(jti) }
}

/** How long to remember a `jti`, in seconds. After that, the token is too old to be accepted. */
export function replayWindowSeconds({ clockTolerance }: Pick<Config, 'clockTolerance'>): number {
  return MAX_AGE + 2 * clockTolerance + 60
}

/** True if a token says that it is from this provider. Nothing is verified. */
export function namesIssuerOf(token: string, { issuer, idTokenEncryptedResponseAlg }: Config): boolean {
  if (isJwe(token)) return idTokenEncryptedResponseAlg !== undefined
  const claims = parseJsonObject(parseCompactJws(token)?.payload ?? new Uint8Array())
  return claims !== undefined && isIssuedBy(issuer, claims)
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/** How long ago a logout token may have been issued, in seconds. Providers send it again after an outage. */
const MAX_AGE = 600
/** The same for a token without `exp`: the lifetime that OIDC Back-Channel Logout 2.4 recommends. */
const MAX_AGE_WITHOUT_EXP = 120

function rule<Context extends ClaimContext>(
  code: ErrorCode,
  message: string,
  isValid: (claims: JsonObject, context: Context) => boolean,
): ClaimRule<Context> {
  const problem: TokenProblem = { message }
  return { code, findProblem: (claims, context) => (isValid(claims, context) ? undefined : problem) }
}

const EXPIRY = expiryRule('ERR_OIDC_LOGOUT_TOKEN_EXPIRED')

interface LogoutContext extends ClaimContext {
  readonly mayOmitExpiry: boolean
}

/** The rules for claims (OIDC Back-Channel Logout 2.4, 2.6), checked in this order. Other claims are ignored. */
const LOGOUT_RULES: readonly ClaimRule<LogoutContext>[] = [
  issuerRule('ERR_OIDC_LOGOUT_TOKEN_ISSUER'),
  audienceRule('ERR_OIDC_LOGOUT_TOKEN_AUDIENCE'),
  issuedAtRule('ERR_OIDC_LOGOUT_TOKEN_ISSUED_AT', ({ exp }) => (exp === undefined ? MAX_AGE_WITHOUT_EXP : MAX_AGE)),
  {
    ...EXPIRY,
    // Required since the first errata. An option lets in older providers (glewlwyd); the rule for iat limits their tokens.
    findProblem: (claims, context) =>
      (context.mayOmitExpiry ? ifPresent('exp', EXPIRY) : EXPIRY).findProblem(claims, context),
  },
  notBeforeRule('ERR_OIDC_LOGOUT_TOKEN_NOT_BEFORE'),
  rule(
    'ERR_OIDC_LOGOUT_TOKEN_EVENT',
    `has no logout event: events must have the member ${EVENT}.`,
    ({ events }) => isObject(events) && Object.hasOwn(events, EVENT) && isObject(events[EVENT]),
  ),
  // This distinguishes it from an ID Token.
  rule(
    'ERR_OIDC_LOGOUT_TOKEN_NONCE',
    'has a nonce claim, which no logout token may have.',
    (claims) => !Object.hasOwn(claims, 'nonce'),
  ),
  rule(
    'ERR_OIDC_LOGOUT_TOKEN_SUBJECT',
    'names neither a user (sub) nor a session (sid).',
    ({ sub, sid }) =>
      (sub !== undefined || sid !== undefined) && [sub, sid].every((name) => name === undefined || isName(name)),
  ),
  // Without a jti, the token could be used again and again (RFC 8417 2.2).
  rule('ERR_OIDC_LOGOUT_TOKEN_ID', 'has no jti claim.', ({ jti }) => isName(jti)),
]

/** A verified token of a global revocation request. */
export interface GlobalRevocationToken {
  readonly issuer: string
  readonly jti: string
}

/**
 * Verifies the token with which a provider authenticates a request to log a user out of all sessions (Global Token
 * Revocation, Okta's Universal Logout). Throws `ERR_OIDC_REVOCATION_JWT` and the errors of fetching the keys.
 *
 * @param audience The URL of the receiver, without query.
 */
export async function verifyGlobalRevocationToken(
  provider: Provider,
  token: unknown,
  audience: string,
): Promise<GlobalRevocationToken> {
  const { claims } = await verifyProviderToken(provider, 'REVOCATION_JWT', token)
  checkClaims(nounOf('REVOCATION_JWT'), claims, REVOCATION_RULES, { ...contextOf(provider.config), audience })
  return { issuer: String(claims['iss']), jti: String(claims['jti']) }
}

/** How long to remember the `jti` of a global revocation token, in seconds. After that, the token has expired. */
export function revocationReplaySeconds(clockTolerance: number): number {
  return MAX_REVOCATION_LIFETIME + 2 * clockTolerance
}

/** The longest accepted lifetime of a global revocation token, in seconds. Okta's expire after five minutes. */
const MAX_REVOCATION_LIFETIME = 600

interface RevocationContext extends ClaimContext {
  readonly audience: string
}

/** The caller gets one code for every problem, so that it learns nothing about a token that is not its own. */
const CODE = 'ERR_OIDC_REVOCATION_JWT'

const REVOCATION_RULES: readonly ClaimRule<RevocationContext>[] = [
  issuerRule(CODE),
  rule(CODE, 'is not for our clientId: sub must be the clientId.', ({ sub }, { clientId }) => sub === clientId),
  {
    code: CODE,
    findProblem: ({ aud }, { audience }) =>
      aud === audience ? undefined : { message: `is not for the URL ${audience} (aud). Check baseUrl.` },
  },
  rule(CODE, 'has no jti claim.', ({ jti }) => typeof jti === 'string' && jti !== ''),
  issuedAtRule(CODE, () => MAX_REVOCATION_LIFETIME),
  expiryRule(CODE),
  rule(
    CODE,
    `is valid for more than ${MAX_REVOCATION_LIFETIME} seconds (from iat to exp).`,
    ({ iat, exp }) => isInstant(iat) && isInstant(exp) && exp - iat <= MAX_REVOCATION_LIFETIME,
  ),
  notBeforeRule(CODE),
]

function contextOf({ issuer, clientId, clockTolerance }: Config): ClaimContext {
  return { issuer, clientId, clockTolerance, now: nowInSeconds() }
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value.length <= 1024
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
