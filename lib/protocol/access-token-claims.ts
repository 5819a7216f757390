import { isAuthorizationDetails } from '../claims.ts'
import { shown } from '../errors.ts'
import { isObject, type JsonObject } from '../jose/json.ts'
import { isInstant, nowInSeconds } from '../time/seconds.ts'
import type { AuthorizationDetail, Json } from '../types.ts'
import { findMarkOfOtherToken, hasAccessTokenMark } from './access-token-marks.ts'
import {
  type ClaimRule,
  checkClaims,
  expiryRule,
  type IssuerContext,
  ifPresent,
  issuedAtRule,
  issuerRule,
  notBeforeRule,
} from './claim-rules.ts'
import { ACCESS_TOKEN_NOUN, type ParsedAccessToken } from './jwt-access-token.ts'

/** What the claims of an access token are compared with. */
export interface AccessTokenExpectations {
  /** May contain `{tenantid}`. */
  readonly issuer: string
  /** The token must name one of these. Never empty. */
  readonly audience: readonly string[]
  /** The claim that names them. */
  readonly audienceClaim: 'aud' | 'client_id'
  /** Set if the token must have all that RFC 9068 demands. */
  readonly profile?: 'rfc9068' | undefined
  /** How long ago the token may have been issued, in seconds. */
  readonly maxTokenAge?: number | undefined
  readonly allowMissingSub: boolean
  readonly dangerouslyAllowUnmarkedTokens: boolean
  readonly clockTolerance: number
}

/** An access token whose signature and claims are right. Whether its sender may use it is not known yet. */
export interface AccessTokenGrant {
  /** Deeply frozen. */
  readonly claims: JsonObject
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  /** The claim `authorization_details` (RFC 9396 9), deeply frozen. */
  readonly authorizationDetails: readonly AuthorizationDetail[]
  /** The client that the token was issued to. */
  readonly clientId: string | undefined
  /** Seconds since 1970. */
  readonly expiresAt: number
  /** The key or certificate that the token is bound to. A sender who does not prove it must be refused. */
  readonly confirmation: Confirmation | undefined
}

/** What a token is bound to (RFC 7800 3.1). At least one member is set, and each of them must be proved. */
export interface Confirmation {
  /** The thumbprint of the DPoP key (RFC 9449 6.1). */
  readonly jkt?: string
  /** The thumbprint of the client's certificate (RFC 8705 3.1). */
  readonly 'x5t#S256'?: string
}

/**
 * Checks the claims of an access token whose signature has been verified. Throws `ERR_OIDC_ACCESS_TOKEN_…`. Call it at each
 * request: a token that was right before may have expired.
 */
export function checkAccessToken(
  { claims, isTyped }: Pick<ParsedAccessToken, 'claims' | 'isTyped'>,
  expected: AccessTokenExpectations,
): void {
  checkClaims(ACCESS_TOKEN_NOUN, claims, RULES, contextOf(expected, isTyped))
}

/** Every member, also an optional one, or it does not compile: a rule must not miss what it compares with. */
type CompleteContext = { [Name in keyof Required<AccessTokenContext>]: AccessTokenContext[Name] }

/** Each member by its name: to copy a whole configuration takes longer than all the rules. */
function contextOf(expected: AccessTokenExpectations, isTyped: boolean): CompleteContext {
  const { issuer, audience, audienceClaim, profile, maxTokenAge, clockTolerance } = expected
  const { allowMissingSub, dangerouslyAllowUnmarkedTokens } = expected
  return {
    issuer,
    audience,
    audienceClaim,
    profile,
    maxTokenAge,
    allowMissingSub,
    dangerouslyAllowUnmarkedTokens,
    clockTolerance,
    isTyped,
    now: nowInSeconds(),
  }
}

/** Frozen, as claims are: a grant is remembered, and no handler may add a right to it. */
const NO_DETAILS: readonly AuthorizationDetail[] = Object.freeze([])

/** Reads what the claims of a checked token grant. */
export function readGrant(claims: JsonObject): AccessTokenGrant {
  return {
    claims,
    scope: scopesOf(claims['scope'] ?? claims['scp']).join(' '),
    authorizationDetails: isAuthorizationDetails(claims['authorization_details'])
      ? claims['authorization_details']
      : NO_DETAILS,
    clientId: clientIdOf(claims),
    expiresAt: Number(claims['exp']),
    confirmation: isObject(claims['cnf']) ? claims['cnf'] : undefined,
  }
}

/** RFC 6749 3.3. */
const SCOPE_TOKEN = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** Text at most providers (RFC 9068 2.2.3), and a list at Okta, PingFederate and others. An item is never split. */
function scopesOf(scope: Json | undefined): readonly string[] {
  const items: readonly unknown[] = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scope) ? scope : []
  return items.filter((item) => typeof item === 'string' && SCOPE_TOKEN.test(item)).map(String)
}

/** The registered claim (RFC 8693 4.3), and its names at Okta, at Keycloak and Entra ID (v2), and at Entra ID (v1). */
function clientIdOf(claims: JsonObject): string | undefined {
  const names = ['client_id', 'cid', 'azp', 'appid'].map((name) => claims[name])
  return names.find((name) => typeof name === 'string' && name !== '')?.toString()
}

interface AccessTokenContext extends IssuerContext, Omit<AccessTokenExpectations, keyof IssuerContext> {
  readonly isTyped: boolean
}

type AccessTokenRule = ClaimRule<AccessTokenContext>

/** RFC 9068 4: a token of any other kind must not pass, also if the same issuer has signed it for the same audience. */
const kind: AccessTokenRule = {
  code: 'ERR_OIDC_ACCESS_TOKEN_TYPE',
  findProblem: (claims, { isTyped, profile, dangerouslyAllowUnmarkedTokens }) => {
    if (isTyped) return undefined
    if (profile === 'rfc9068') return { message: "does not have the typ 'at+jwt', which profile 'rfc9068' requires." }
    const other = findMarkOfOtherToken(claims)
    if (other !== undefined) return { message: `is ${other.noun}, not an access token.` }
    if (dangerouslyAllowUnmarkedTokens || hasAccessTokenMark(claims)) return undefined
    return { message: `has neither the typ 'at+jwt' nor a claim that only access tokens have. ${UNMARKED_ADVICE}` }
  },
}

const UNMARKED_ADVICE =
  'It may be an ID Token. Have the issuer add scope or client_id, or set dangerouslyAllowUnmarkedTokens.'

/** RFC 9068 4, RFC 7519 4.1.3. */
const audience: AccessTokenRule = {
  code: 'ERR_OIDC_ACCESS_TOKEN_AUDIENCE',
  findProblem: (claims, { audience: expected, audienceClaim }) => {
    const given = claims[audienceClaim]
    const names: readonly unknown[] = typeof given === 'string' ? [given] : Array.isArray(given) ? given : []
    const isForUs = names.every((name) => typeof name === 'string') && expected.some((one) => names.includes(one))
    if (isForUs) return undefined
    return { message: `is not for ${shown(expected)} (${audienceClaim}). Check the option audience.` }
  },
}

/** RFC 9068 2.2. The subject is personal data, so no message shows it. */
const subject: AccessTokenRule = {
  code: 'ERR_OIDC_ACCESS_TOKEN_SUBJECT',
  findProblem: ({ sub }, { allowMissingSub }) => {
    if (sub === undefined && allowMissingSub) return undefined
    if (isName(sub)) return undefined
    return { message: 'has no valid sub claim: it must be 1 to 1024 characters. See the option allowMissingSub.' }
  },
}

/** RFC 7800 3.1, RFC 8705 3.1, RFC 9449 6.1. A binding that is not understood cannot be checked. */
const confirmation: AccessTokenRule = {
  code: 'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION',
  findProblem: ({ cnf }) => {
    if (cnf === undefined) return undefined
    const isKnown = isObject(cnf) && Object.keys(cnf).length > 0 && Object.entries(cnf).every(isKnownConfirmation)
    if (isKnown) return undefined
    return { message: 'is bound to its sender in a way that is not supported: cnf must have jkt or x5t#S256 alone.' }
  },
}

function isKnownConfirmation([member, value]: readonly [string, unknown]): boolean {
  return ['jkt', 'x5t#S256'].includes(member) && typeof value === 'string' && /^[\w-]{43}$/.test(value)
}

/** RFC 9068 2.2: `iat`, `jti` and `client_id`, for the profile. Its other claims are always compulsory. */
const profileClaims: AccessTokenRule = {
  code: 'ERR_OIDC_ACCESS_TOKEN_CLAIM',
  findProblem: ({ iat, jti, client_id: clientId }, { profile }) => {
    if (profile !== 'rfc9068') return undefined
    const isComplete = isInstant(iat) && isName(jti) && isName(clientId)
    return isComplete ? undefined : { message: "has no iat, jti or client_id, which profile 'rfc9068' requires." }
  },
}

/** RFC 9396 9. A right in a form that is not understood must not be taken for no right, nor for one. */
const details: AccessTokenRule = {
  code: 'ERR_OIDC_ACCESS_TOKEN_CLAIM',
  findProblem: ({ authorization_details: given }) => {
    if (given === undefined || isAuthorizationDetails(given)) return undefined
    return { message: 'has authorization_details that are no list of objects with a type (RFC 9396 9.1).' }
  },
}

const issuedAt: AccessTokenRule = {
  code: 'ERR_OIDC_ACCESS_TOKEN_ISSUED_AT',
  findProblem: (claims, context) => {
    const { maxTokenAge = Number.POSITIVE_INFINITY } = context
    if (claims['iat'] === undefined && context.maxTokenAge === undefined) return undefined
    return issuedAtRule('ERR_OIDC_ACCESS_TOKEN_ISSUED_AT', () => maxTokenAge).findProblem(claims, context)
  },
}

/** The rules for claims (RFC 9068 2.2, 4), checked in this order. */
const RULES: readonly AccessTokenRule[] = [
  issuerRule('ERR_OIDC_ACCESS_TOKEN_ISSUER'),
  kind,
  audience,
  expiryRule('ERR_OIDC_ACCESS_TOKEN_EXPIRED'),
  ifPresent('nbf', notBeforeRule('ERR_OIDC_ACCESS_TOKEN_NOT_BEFORE')),
  issuedAt,
  subject,
  profileClaims,
  details,
  confirmation,
]

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value.length <= 1024
}
