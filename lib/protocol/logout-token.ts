import { type ErrorCode, OidcError } from '../errors.ts'
import { isJwe, parseCompactJws } from '../jose/compact-token.ts'
import { isObject, type JsonObject, parseJsonObject } from '../jose/json.ts'
import { verifyJws } from '../jose/jws.ts'
import type { Config } from '../options/config.ts'
import { isIssuedBy } from '../options/issuer.ts'
import type { Provider } from '../provider/provider.ts'
import { registeredAlgorithmsFor } from '../provider/token-algorithms.ts'
import { isInstant } from '../time/seconds.ts'

/** What a logout token that has been verified in full asks for. */
export interface LogoutToken {
  readonly issuer: string
  /** Whose sessions end, where no `sid` is given. */
  readonly sub: string | undefined
  /** The session at the provider that has ended, and no other. */
  readonly sid: string | undefined
  /** Unique at the issuer: to be remembered for {@link replayWindowSeconds}. */
  readonly jti: string
}

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/** How long ago a token may have been issued, in seconds: providers send it again after an outage. */
const MAX_AGE = 600
/** The same where it does not say itself when it ends: the life that the standard recommends. */
const MAX_AGE_WITHOUT_EXP = 120

interface Expectations {
  readonly issuer: string
  readonly clientId: string
  /** In seconds. */
  readonly clockTolerance: number
  /** Seconds since 1970. */
  readonly now: number
}

interface Rule {
  readonly code: ErrorCode
  readonly message: string
  readonly isValid: (claims: JsonObject, expected: Expectations) => boolean
}

/** What the claims must fulfil (OIDC Back-Channel Logout 2.4 and 2.6), in this order. Others are left aside. */
const RULES: readonly Rule[] = [
  {
    code: 'ERR_OIDC_LOGOUT_TOKEN_ISSUER',
    message: 'The logout token is of another issuer.',
    isValid: (claims, { issuer }) => isIssuedBy(issuer, claims),
  },
  {
    code: 'ERR_OIDC_LOGOUT_TOKEN_AUDIENCE',
    message: 'The logout token is for another client.',
    isValid: ({ aud }, { clientId }) => clientId !== '' && [aud].flat().includes(clientId),
  },
  {
    code: 'ERR_OIDC_LOGOUT_TOKEN_ISSUED_AT',
    message: 'The logout token was issued in the future, too long ago, or does not say when. Are the clocks right?',
    isValid: ({ iat, exp }, { now, clockTolerance }) => {
      const maxAge = exp === undefined ? MAX_AGE_WITHOUT_EXP : MAX_AGE
      return isInstant(iat) && iat <= now + clockTolerance && now - iat <= maxAge + clockTolerance
    },
  },
  {
    // Required since the first errata; providers of before (glewlwyd) send none, and the rule above bounds those.
    code: 'ERR_OIDC_LOGOUT_TOKEN_EXPIRED',
    message: 'The logout token has expired. Are the clocks right?',
    isValid: ({ exp }, { now, clockTolerance }) => exp === undefined || (isInstant(exp) && now < exp + clockTolerance),
  },
  {
    // RFC 7519 4.1.5.
    code: 'ERR_OIDC_LOGOUT_TOKEN_NOT_BEFORE',
    message: 'The logout token is not valid yet. Are the clocks right?',
    isValid: ({ nbf }, { now, clockTolerance }) => nbf === undefined || (isInstant(nbf) && nbf <= now + clockTolerance),
  },
  {
    code: 'ERR_OIDC_LOGOUT_TOKEN_EVENT',
    message: 'The token is about no logout.',
    isValid: ({ events }) => isObject(events) && Object.hasOwn(events, EVENT) && isObject(events[EVENT]),
  },
  {
    // What tells it from an ID Token for good.
    code: 'ERR_OIDC_LOGOUT_TOKEN_NONCE',
    message: 'The token has a nonce, which no logout token may have.',
    isValid: (claims) => !Object.hasOwn(claims, 'nonce'),
  },
  {
    code: 'ERR_OIDC_LOGOUT_TOKEN_SUBJECT',
    message: 'The logout token names neither a person nor a session.',
    isValid: ({ sub, sid }) =>
      (sub !== undefined || sid !== undefined) && [sub, sid].every((name) => name === undefined || isName(name)),
  },
  {
    // Without it, the token could be used again and again (RFC 8417 2.2).
    code: 'ERR_OIDC_LOGOUT_TOKEN_ID',
    message: 'The logout token has no identifier of its own.',
    isValid: ({ jti }) => isName(jti),
  },
]

/**
 * Verifies a logout token in full (OIDC Back-Channel Logout 2.6), but for whether it has come before. Every failure is an
 * {@link OidcError} with a code `ERR_OIDC_LOGOUT_TOKEN_...`, but those of fetching the keys.
 */
export async function verifyLogoutToken(provider: Provider, token: unknown): Promise<LogoutToken> {
  const { issuer, clientId, clockTolerance } = provider.config
  const expected = await registeredAlgorithmsFor(provider, 'LOGOUT_TOKEN')
  const { claims } = await verifyJws('LOGOUT_TOKEN', token, provider.keys, expected)
  const context = { issuer, clientId, clockTolerance, now: Date.now() / 1000 }
  const failedRule = RULES.find(({ isValid }) => !isValid(claims, context))
  if (failedRule !== undefined) throw new OidcError(failedRule.code, failedRule.message)
  const { iss, sub, sid, jti } = claims
  return { issuer: String(iss), sub: textOf(sub), sid: textOf(sid), jti: String(jti) }
}

/** How long a `jti` must be remembered, in seconds: after that, the token is refused for its age. */
export function replayWindowSeconds({ clockTolerance }: Pick<Config, 'clockTolerance'>): number {
  return MAX_AGE + 2 * clockTolerance + 60
}

/** Whether a token says of itself that it is from this provider. Nothing is verified thereby. */
export function namesIssuerOf(token: string, { issuer, idTokenEncryptedResponseAlg }: Config): boolean {
  if (isJwe(token)) return idTokenEncryptedResponseAlg !== undefined
  const claims = parseJsonObject(parseCompactJws(token)?.payload ?? new Uint8Array())
  return claims !== undefined && isIssuedBy(issuer, claims)
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value.length <= 1024
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** What a revocation that has been verified is from, and by which name it is told from others. */
export interface GlobalRevocationToken {
  readonly issuer: string
  readonly jti: string
}

/** The longest life of such a token, in seconds: Okta's end five minutes after they are made. */
const LONGEST_LIFE = 600

/**
 * Verifies what a provider proves itself with when it demands that all sessions of a person end (Global Token Revocation,
 * Okta's Universal Logout). Throws `ERR_OIDC_REVOCATION_JWT`, and the codes of fetching the keys.
 *
 * @param audience The address of the receiver, without query.
 */
export async function verifyGlobalRevocationToken(
  provider: Provider,
  token: unknown,
  audience: string,
): Promise<GlobalRevocationToken> {
  const { issuer, clientId, clockTolerance } = provider.config
  const { alg, clientSecret } = await registeredAlgorithmsFor(provider, 'REVOCATION_JWT')
  const { claims } = await verifyJws('REVOCATION_JWT', token, provider.keys, { alg, clientSecret })
  const isSound =
    isIssuedBy(issuer, claims) &&
    claims['sub'] === clientId &&
    claims['aud'] === audience &&
    typeof claims['jti'] === 'string' &&
    claims['jti'] !== '' &&
    isTimely(claims, clockTolerance)
  if (!isSound)
    throw new OidcError('ERR_OIDC_REVOCATION_JWT', 'The token is no demand of the provider for this receiver.')
  return { issuer: String(claims['iss']), jti: String(claims['jti']) }
}

/** How long a `jti` must be remembered, in seconds: after that, the token has ended. */
export function revocationReplaySeconds(clockTolerance: number): number {
  return LONGEST_LIFE + 2 * clockTolerance
}

function isTimely({ iat, exp, nbf }: JsonObject, clockTolerance: number): boolean {
  const now = Date.now() / 1000
  return (
    isInstant(iat) &&
    isInstant(exp) &&
    iat <= now + clockTolerance &&
    now < exp + clockTolerance &&
    exp - iat <= LONGEST_LIFE &&
    (nbf === undefined || (isInstant(nbf) && nbf <= now + clockTolerance))
  )
}
