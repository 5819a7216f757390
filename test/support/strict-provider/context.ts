import type { IncomingHttpHeaders } from 'node:http'
import type { Account } from '../app/accounts.ts'
import type { EncryptionKeys, SigningKeys } from '../app/signing-keys.ts'
import type { Answer } from '../browser/http-exchange.ts'
import type { Changes } from './changes.ts'
import type { ClaimsProvider } from './claims-provider.ts'
import type { StrictClient } from './client.ts'
import type { Endpoint, EndpointUrls } from './endpoints.ts'

export {
  answered,
  type Changes,
  type JsonAnswer,
  type JsonChange,
  type JsonObject,
  type RawHandler,
  sendChanged,
} from './changes.ts'
export type { TokenEndpointAuthMethod } from './client.ts'
export { ENDPOINTS, type Endpoint } from './endpoints.ts'

/** The certificate that a client has shown in TLS. */
export interface ShownCertificate {
  /** `x5t#S256` (RFC 8705 3.1). */
  readonly thumbprint: string
  /** As `tls_client_auth_subject_dn` has it: `CN=test-client`. */
  readonly subject: string
  /** Whether the provider's authority for clients has signed it. */
  readonly isTrusted: boolean
  readonly der: Buffer
}

/** A request as it came in. */
export interface StrictRequest {
  readonly endpoint: Endpoint | undefined
  readonly method: string
  readonly path: string
  /** Without query: what `htu` of a DPoP proof, and the audience `endpoint` of an assertion, must be. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly query: URLSearchParams
  /** Empty where the body is no form. */
  readonly form: URLSearchParams
  readonly body: string
  readonly certificate: ShownCertificate | undefined
}

/** What an authorization request asked for, kept with the code and the tokens that came of it. */
export interface AuthorizationGrant {
  readonly client: StrictClient
  readonly redirectUri: string
  readonly scope: string
  readonly nonce: string
  readonly codeChallenge: string
  /** The key that the code is bound to (RFC 9449 10). */
  readonly dpopJkt: string | undefined
  readonly acr: string | undefined
  readonly asksAuthTime: boolean
  readonly authTime: number
  /** The names of claims asked for one by one (OIDC Core 5.5). */
  readonly claims: { readonly idToken: readonly string[]; readonly userinfo: readonly string[] }
  /** RFC 9396 2. */
  readonly authorizationDetails: readonly unknown[] | undefined
  readonly account: Account
  readonly sid: string
  isRedeemed: boolean
  /** Ends every token of the grant. */
  isRevoked: boolean
}

/** An access token that was given out, and what it is bound to (RFC 9449 6, RFC 8705 3). */
export interface AccessTokenRecord {
  readonly grant: AuthorizationGrant
  readonly scope: string
  readonly jkt: string | undefined
  readonly thumbprint: string | undefined
  /** Seconds since 1970. */
  readonly expiresAt: number
  isRevoked: boolean
}

export interface RefreshTokenRecord {
  readonly grant: AuthorizationGrant
  readonly jkt: string | undefined
  /** Since when there is a newer one, in seconds since 1970. */
  replacedAt: number | undefined
  isRevoked: boolean
}

/** A request that was pushed, under its `request_uri` (RFC 9126 2.2). */
export interface PushedRequest {
  readonly client: StrictClient
  readonly params: URLSearchParams
  readonly dpopJkt: string | undefined
  /** Seconds since 1970. */
  readonly expiresAt: number
  isUsed: boolean
}

/** Everything that the endpoints of one strict provider share. */
export interface StrictContext {
  readonly issuer: string
  /** Absolute. */
  readonly endpointUrls: EndpointUrls
  /** Those for clients with certificates: on another port. */
  readonly mtlsEndpointUrls: Partial<EndpointUrls> | undefined
  readonly clientId: string
  readonly clientSecret: string
  /** All clients, those registered since then included, by their ids. */
  readonly clients: Map<string, StrictClient>
  readonly profile: 'fapi2' | 'fapi2-message-signing' | undefined
  readonly assertionAudience: 'issuer' | 'endpoint'
  readonly issParameter: 'announced' | 'sent' | 'absent'
  readonly pkce: 'required' | 'refused'
  readonly idToken: 'fat' | 'thin'
  readonly pushed: 'optional' | 'required' | 'absent'
  readonly dpop: 'nonce' | 'no-nonce' | 'absent'
  readonly userinfoBearerMethod: 'header' | 'body' | undefined
  readonly refreshTokenRotation: 'rotate' | 'same' | 'absent' | 'reuse-leeway'
  readonly refreshedIdToken: 'with-nonce' | 'without-nonce' | 'absent'
  readonly revocation: 'announced' | 'absent'
  readonly sessionManagement: 'announced' | 'absent'
  /** Who is logged in in which browser, by what its cookie says: kept where there is session management. */
  readonly browserStates: Map<string, string>
  readonly registration: 'open' | 'protected' | 'absent'
  readonly registrationManagement: 'announced' | 'absent'
  readonly initialAccessToken: string
  readonly webfinger: 'announced' | 'absent'
  /** Every key is published under the `kid` of the RSA key. */
  readonly fapiKeys: boolean
  keys: SigningKeys
  secondKeys: Pick<SigningKeys, 'rsa' | 'p256'> | undefined
  encryptionKeys: EncryptionKeys | undefined
  account: Account
  /** Whether somebody is: else `prompt=none` is refused. Without that prompt the person logs in at once. */
  loggedIn: boolean
  /** How the person logged in; absent: by password, said where `acr` is asked for. */
  amr: readonly string[] | undefined
  /** When the person logged in, in seconds since 1970; absent: now. */
  authTime: number | undefined
  claimsFrom: ClaimsFrom | undefined
  /** Those that are registered; absent: every one on the loopback interface. */
  redirectUris: readonly string[] | undefined
  /** The nonces of the moment. Whoever asks with another one is told these. */
  dpopNonces: { authorizationServer: string; resource: string }
  readonly change: Changes
  /** Everything that the client has done wrong, beginning with the endpoint. */
  readonly complaints: string[]
  readonly codes: Map<string, AuthorizationGrant>
  readonly accessTokens: Map<string, AccessTokenRecord>
  readonly refreshTokens: Map<string, RefreshTokenRecord>
  /** Every ID Token as it was signed, for it comes back as a hint. */
  readonly idTokens: Map<string, AuthorizationGrant>
  /** The parameters of every authorization request, those pushed or in request objects included. */
  readonly authorizationRequests: URLSearchParams[]
  readonly pushedRequests: Map<string, PushedRequest>
  /** Every `jti` of assertions, proofs and request objects, after the name of its kind. */
  readonly usedIds: Set<string>
  readonly registrations: Map<string, Registration>
  /** What the client has answered to each logout token. */
  readonly logoutAnswers: Answer[]
}

/** Claims that UserInfo has from elsewhere (OIDC Core 5.6.2). */
export interface ClaimsFrom {
  readonly provider: ClaimsProvider
  readonly by: 'aggregated' | 'distributed'
}

/** A client that registered itself, under the path of its own (RFC 7592 3). */
export interface Registration {
  readonly clientId: string
  readonly accessToken: string
  readonly metadata: Record<string, unknown>
}

/** One demand of an endpoint: whether it is broken, the error code of the standard, and what is wrong. */
export type Demand = readonly [isBroken: boolean, error: string, fault: string]

export interface Fault {
  readonly error: string
  readonly fault: string
}

/** Records what is wrong with a request; returns the first broken demand. */
export function findFault(
  context: Pick<StrictContext, 'complaints'>,
  endpoint: string,
  demands: readonly Demand[],
): Fault | undefined {
  const broken = demands.filter(([isBroken]) => isBroken)
  for (const [, , fault] of broken) context.complaints.push(`${endpoint}: ${fault}`)
  const [first] = broken
  return first && { error: first[1], fault: first[2] }
}

/** OAuth 2.0 3.1 and 3.2: no parameter may be sent twice, but `resource` may (RFC 8707 2). */
export function hasDuplicates(params: URLSearchParams): boolean {
  const names = [...params.keys()].filter((name) => name !== 'resource')
  return new Set(names).size !== names.length
}

/** Whether a URI is registered. */
export function isRegistered(registered: readonly string[] | undefined, uri: string): boolean {
  if (registered) return registered.includes(uri)
  return /^https?:\/\/(127\.0\.0\.1|(?:[a-z.]+\.)?localhost)(:\d+)?(\/[^?#]*)?$/.test(uri)
}

/** Whether an id of this kind comes for the first time. It is used up thereby. */
export function isNewId({ usedIds }: StrictContext, kind: string, id: unknown): boolean {
  const used = `${kind} ${id}`
  const isNew = typeof id === 'string' && id !== '' && !usedIds.has(used)
  usedIds.add(used)
  return isNew
}

/** In seconds since 1970. */
export function now(): number {
  return Math.floor(Date.now() / 1000)
}
