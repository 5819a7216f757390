import { type ErrorCode, OidcError, ProviderError, shown } from '../errors.ts'
import { usesClientSecret } from '../jose/algorithms.ts'
import { nounOf } from '../jose/compact-token.ts'
import { isObject, type JsonObject, presentMembers } from '../jose/json.ts'
import type { EncryptionExpectations } from '../jose/jwe.ts'
import { type VerificationKeys, verifyJws } from '../jose/jws.ts'
import { TENANT_PLACEHOLDER } from '../options/issuer.ts'
import { endpointOf } from '../provider/client-authentication.ts'
import { readSecretKey } from '../provider/client-signing.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { jsonBody, type ProviderResponse, withoutQuery } from '../provider/http-transport.ts'
import { type PostingClient, postForm } from '../provider/requests.ts'
import { isInstant, nowInSeconds } from '../time/seconds.ts'
import {
  type AccessTokenExpectations,
  type AccessTokenGrant,
  checkAccessToken,
  readGrant,
} from './access-token-claims.ts'
import {
  audienceRule,
  type ClaimRule,
  checkClaims,
  expiryRule,
  ifPresent,
  issuedAtRule,
  issuerRule,
} from './claim-rules.ts'
import { MAX_ACCESS_TOKEN_LENGTH } from './jwt-access-token.ts'

/** The authorization server that introspects tokens, and this API as its client. A `Provider` is one. */
export type IntrospectionClient = PostingClient & {
  /** The keys that verify signed responses. */
  readonly keys: VerificationKeys | undefined
}

/** What an introspected token must be for, and the form of the responses. */
export interface IntrospectionExpectations extends Omit<AccessTokenExpectations, 'profile'> {
  /** The algorithm of signed responses (RFC 9701 6). Unset: responses are plain JSON. A response has no other form than this. */
  readonly signedResponseAlg?: string | undefined
  /** If set, signed responses are encrypted. */
  readonly encryption?: EncryptionExpectations | undefined
}

/** RFC 6750 2.1: `b64token`. */
const B64TOKEN = /^[\w.~+/-]+=*$/

/**
 * Asks the authorization server about an access token (RFC 7662), and judges its response as the claims of a JWT are judged.
 * Only text that can be an access token is sent.
 *
 * Throws `ERR_OIDC_ACCESS_TOKEN_INACTIVE` and the other `ERR_OIDC_ACCESS_TOKEN_…` for a token that must be refused.
 * `ERR_OIDC_INTROSPECTION_UNAVAILABLE` (503, with `Retry-After`), `ERR_OIDC_INTROSPECTION_REQUEST` and
 * `ERR_OIDC_INTROSPECTION_RESPONSE` say nothing about the token.
 */
export async function introspectToken(
  client: IntrospectionClient,
  token: string,
  expected: IntrospectionExpectations,
): Promise<AccessTokenGrant> {
  checkForm(token)
  const url = endpointOf(client, 'introspection_endpoint')
  const response = await requestIntrospection(client, token, expected)
  const members = await readMembers(client, response, expected, url)
  return judgeIntrospection(members, expected, withoutQuery(url))
}

/** Throws `ERR_OIDC_ACCESS_TOKEN_TOO_LARGE` and `ERR_OIDC_ACCESS_TOKEN_MALFORMED`. */
function checkForm(token: string): void {
  if (token.length > MAX_ACCESS_TOKEN_LENGTH) {
    throw refusedToken('ERR_OIDC_ACCESS_TOKEN_TOO_LARGE', `is larger than ${MAX_ACCESS_TOKEN_LENGTH / 1024} KiB.`)
  }
  if (B64TOKEN.test(token)) return
  throw refusedToken('ERR_OIDC_ACCESS_TOKEN_MALFORMED', 'has characters that no access token has (RFC 6750 2.1).')
}

function refusedToken(code: ErrorCode, problem: string): OidcError {
  return new OidcError(code, `The access token ${problem}`)
}

async function requestIntrospection(
  client: IntrospectionClient,
  token: string,
  { signedResponseAlg }: IntrospectionExpectations,
): Promise<ProviderResponse> {
  const params = { token, token_type_hint: 'access_token' }
  const accept = signedResponseAlg === undefined ? 'application/json' : 'application/token-introspection+jwt'
  const response = await postForm(client, 'introspection_endpoint', params, { accept }).catch(rethrow)
  if (response.status === 200) return response
  const { config } = client
  return rethrow(errorFromResponse(response, REQUEST, { url: endpointOf(client, 'introspection_endpoint'), config }))
}

const REQUEST = 'ERR_OIDC_INTROSPECTION_REQUEST'
const RESPONSE = 'ERR_OIDC_INTROSPECTION_RESPONSE'

/** What a failed request means: the server is away, refuses us as a client, or does not follow the rules. */
const CODE_OF_FAILURE: ReadonlyMap<ErrorCode, ErrorCode> = new Map([
  ['ERR_OIDC_PROVIDER_UNREACHABLE', 'ERR_OIDC_INTROSPECTION_UNAVAILABLE'],
  ['ERR_OIDC_PROVIDER_TIMEOUT', 'ERR_OIDC_INTROSPECTION_UNAVAILABLE'],
  ['ERR_OIDC_PROVIDER_BUSY', 'ERR_OIDC_INTROSPECTION_UNAVAILABLE'],
  ['ERR_OIDC_PROVIDER_STATUS', 'ERR_OIDC_INTROSPECTION_UNAVAILABLE'],
  ['ERR_OIDC_PROVIDER_REDIRECT', RESPONSE],
  ['ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE', RESPONSE],
  ['ERR_OIDC_PROVIDER_RESPONSE_INVALID', RESPONSE],
  // Again: the usual error has status 400 for some codes of the server, but none of them is the fault of the request here.
  [REQUEST, REQUEST],
])

/** How long to wait if the server does not say, in seconds. */
const RETRY_SECONDS = 5

function rethrow(error: unknown): never {
  const code = error instanceof ProviderError ? CODE_OF_FAILURE.get(error.code) : undefined
  if (!(error instanceof ProviderError) || code === undefined) throw error
  const { providerStatus, refusal, errorId, requestId, retryAfter = RETRY_SECONDS } = error
  const details = { providerStatus, refusal, errorId, requestId, cause: error }
  const mayRetry = code === 'ERR_OIDC_INTROSPECTION_UNAVAILABLE'
  throw new ProviderError(
    code,
    `Introspection failed: ${error.message}`,
    mayRetry ? { ...details, retryAfter } : details,
  )
}

async function readMembers(
  client: IntrospectionClient,
  response: ProviderResponse,
  expected: IntrospectionExpectations,
  url: string,
): Promise<JsonObject> {
  const { signedResponseAlg: alg } = expected
  if (alg !== undefined) return await readSigned(client, response, { ...expected, signedResponseAlg: alg }, url)
  const members = jsonBody(response)
  if (members !== undefined) return members
  const type = shown(response.headers.get('content-type'))
  throw invalidResponse(url, `did not answer with a JSON object (content-type: ${type})`)
}

function isSignedResponse({ headers }: ProviderResponse): boolean {
  return /^application\/token-introspection\+jwt *(;|$)/i.test(headers.get('content-type') ?? '')
}

/** RFC 9701 5. Never plain JSON in its place: to forge one, it would be enough to leave the signature out. */
async function readSigned(
  { config, keys }: IntrospectionClient,
  response: ProviderResponse,
  {
    signedResponseAlg: alg,
    encryption,
    issuer,
    clockTolerance,
  }: IntrospectionExpectations & { signedResponseAlg: string },
  url: string,
): Promise<JsonObject> {
  if (!isSignedResponse(response) || keys === undefined) {
    throw invalidResponse(url, 'did not answer with a signed response, as introspectionSignedResponseAlg says')
  }
  const token = Buffer.from(response.body).toString('latin1').trim()
  const { claims } = await verifyJws('INTROSPECTION_JWT', token, keys, {
    // Only an HMAC needs it, and a secret that is never a key may be short.
    ...{ alg, encryption, clientSecret: usesClientSecret(alg) ? await readSecretKey(config) : undefined },
    matchKeyIssuer: issuer.includes(TENANT_PLACEHOLDER),
  })
  const context = { issuer, clientId: config.clientId, clockTolerance, now: nowInSeconds() }
  checkClaims(nounOf('INTROSPECTION_JWT'), claims, SIGNED_RULES, context)
  const { token_introspection: members } = claims
  if (isObject(members)) return members
  throw invalidResponse(url, 'answered with a JWT whose token_introspection is not an object')
}

/** How long ago a signed response may have been made, in seconds: it answers a request of just now. */
const MAX_AGE = 60

/** RFC 9701 5, 8.1: from this server, for this API, and just made. */
const SIGNED_RULES: readonly ClaimRule[] = [
  issuerRule(RESPONSE),
  audienceRule(RESPONSE),
  issuedAtRule(RESPONSE, () => MAX_AGE),
  ifPresent('exp', expiryRule(RESPONSE)),
]

function invalidResponse(url: string, problem: string): ProviderError {
  return new ProviderError(RESPONSE, `${withoutQuery(url)} ${problem}.`)
}

/**
 * Judges the members of an introspection response (RFC 7662 2.2). A response without `iss` is about a token of the issuer that was
 * asked; one without `exp` is about a token that was good at this moment.
 *
 * @param urlWithoutQuery Who has answered, for messages.
 */
export function judgeIntrospection(
  given: JsonObject,
  expected: IntrospectionExpectations,
  urlWithoutQuery: string,
): AccessTokenGrant {
  // Not `presentMembers`: an absent or empty `active` is no answer.
  if (typeof given['active'] !== 'boolean') {
    throw invalidResponse(urlWithoutQuery, 'did not say whether the token is active: active must be true or false')
  }
  if (!given['active']) {
    throw refusedToken(
      'ERR_OIDC_ACCESS_TOKEN_INACTIVE',
      'is not active: the authorization server says that it has expired, was revoked or is unknown.',
    )
  }
  const { active: _, ...members } = presentMembers(given)
  const wrong = MEMBERS.find(([name, isValid]) => members[name] !== undefined && !isValid(members[name]))
  if (wrong !== undefined) {
    throw invalidResponse(urlWithoutQuery, `answered with a member of another form than RFC 7662 2.2 says: ${wrong[0]}`)
  }
  const claims: JsonObject = Object.freeze({ iss: expected.issuer, ...members })
  const now = nowInSeconds()
  checkAccessToken({ claims: { exp: now + 1, ...claims }, isTyped: false }, { ...expected, profile: undefined })
  checkTokenType(claims)
  return { ...readGrant(claims), expiresAt: isInstant(claims['exp']) ? claims['exp'] : Number.POSITIVE_INFINITY }
}

/** A response in another form is a fault of the server, not of the token. */
const MEMBERS: readonly (readonly [name: string, isValid: (value: unknown) => boolean])[] = [
  ['exp', isInstant],
  ['nbf', isInstant],
  ['iat', isInstant],
  ['iss', isText],
  ['sub', isText],
  ['client_id', isText],
  ['token_type', isText],
  ['username', isText],
  ['jti', isText],
  ['scope', isTextOrList],
  ['scp', isTextOrList],
  ['aud', isTextOrList],
  ['cnf', isObject],
]

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

function isTextOrList(value: unknown): boolean {
  return [value].flat().every(isText)
}

/** RFC 9449 6.2: a DPoP token whose key nobody names could be used by anyone. */
function checkTokenType({ token_type: type, cnf }: JsonObject): void {
  if (String(type).toLowerCase() !== 'dpop' || (isObject(cnf) && cnf['jkt'] !== undefined)) return
  throw refusedToken(
    'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION',
    'has the token_type DPoP, but no key that it is bound to (cnf.jkt).',
  )
}
