import type { JsonObject } from '../jose/json.ts'

// Most providers do not write `typ: at+jwt`, so the claims have to tell an access token from the other JWTs of the same
// issuer. A claim that any of them may have, such as `nonce` or `azp`, tells nothing: older versions of Keycloak put the
// nonce into access tokens.

/** A kind of JWT that is not an access token, and how its claims give it away. */
interface OtherToken {
  /** As in "The access token is an ID Token". */
  readonly noun: string
  readonly isMarked: (claims: JsonObject) => boolean
}

function hasAny(...names: readonly string[]): OtherToken['isMarked'] {
  return (claims) => names.some((name) => Object.hasOwn(claims, name))
}

/** What the claims `typ` (Keycloak), `token_use` (Cognito) and `token_type` call an access token. */
const ACCESS_WORDS: ReadonlySet<string> = new Set([
  ...['bearer', 'dpop', 'access', 'access_token', 'access-token', 'at+jwt'],
])

/** True if the claim is there and calls the token something else than an access token. */
function isCalledOther(claims: JsonObject, name: string): boolean {
  const word = claims[name]
  return word !== undefined && !(typeof word === 'string' && ACCESS_WORDS.has(word.toLowerCase()))
}

const OTHER_TOKENS: readonly OtherToken[] = [
  // RFC 8417 2.2, OIDC Back-Channel Logout 2.4.
  { noun: 'a logout token or another security event token', isMarked: hasAny('events') },
  // RFC 9701 5.
  { noun: 'a signed introspection response', isMarked: hasAny('token_introspection') },
  // RFC 9449 4.2.
  { noun: 'a DPoP proof', isMarked: hasAny('htm', 'htu') },
  // RFC 9101 4.
  {
    noun: 'a request object',
    isMarked: hasAny('response_type', 'redirect_uri', 'code_challenge', 'request', 'request_uri'),
  },
  // JARM 2.1.
  { noun: 'a signed authorization response', isMarked: (claims) => hasAny('state')(claims) && hasAny('code')(claims) },
  // RFC 7523 3. The issuer of an access token is never the one it is about.
  { noun: 'a client assertion', isMarked: ({ iss, sub }) => iss !== undefined && iss === sub },
  // OIDC Core 3.1.3.6, 3.3.2.11.
  { noun: 'an ID Token', isMarked: hasAny('at_hash', 'c_hash', 's_hash') },
  // Keycloak: ID, Refresh, Offline, Logout and others. Cognito: id.
  {
    noun: 'a token of another kind (typ, token_use or token_type)',
    isMarked: (claims) => ['typ', 'token_use', 'token_type'].some((name) => isCalledOther(claims, name)),
  },
]

/** The kind of token that these claims belong to, if it is not an access token. */
export function findMarkOfOtherToken(claims: JsonObject): OtherToken | undefined {
  return OTHER_TOKENS.find(({ isMarked }) => isMarked(claims))
}

/** Claims that providers write into access tokens and not into ID Tokens. */
const MARKS: readonly string[] = [
  // RFC 9068 2.2, RFC 8693 4.2 and 4.3; Okta and Entra ID.
  ...['scope', 'scp', 'client_id', 'cid'],
  // Entra ID: v1 tokens of applications, and how the client has authenticated (v1, v2).
  ...['appid', 'appidacr', 'azpacr'],
  // Auth0.
  ...['permissions', 'gty'],
  // RFC 9396 9.1, RFC 7800.
  ...['authorization_details', 'cnf'],
  // Keycloak, Cognito and others: an access token, because the other values have been refused.
  ...['typ', 'token_use', 'token_type'],
]

/** True if the claims show that this is an access token. */
export function hasAccessTokenMark(claims: JsonObject): boolean {
  return MARKS.some((name) => Object.hasOwn(claims, name))
}
