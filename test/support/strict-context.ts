import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Account } from './accounts.ts'
import type { SigningKeys } from './signing-keys.ts'

/** The endpoints of the strict provider, by names that do not depend on its layout. */
export const ENDPOINTS = ['/discovery', '/jwks', '/authorize', '/token', '/userinfo', '/logout'] as const

export type Endpoint = (typeof ENDPOINTS)[number]

export type JsonObject = Record<string, unknown>

/** Status and headers of a JSON answer; a change may write to both. */
export interface JsonAnswer {
  status: number
  headers: Record<string, string>
}

/** Returns the JSON to send instead. A string is sent as it is. */
export type JsonChange = (json: JsonObject, answer: JsonAnswer) => unknown

/** Another answer than the good one. */
export function answered(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): JsonChange {
  return (_good, answer) => {
    answer.status = status
    Object.assign(answer.headers, headers)
    return body
  }
}

export type RawHandler = (req: IncomingMessage, res: ServerResponse) => void

/** What a test changes of the good answers: set one, and only that one thing differs. */
export interface Changes {
  discovery?: JsonChange | undefined
  jwks?: JsonChange | undefined
  /** The parameters of the authorization response, errors included; to repeat, drop or replace. */
  authorizationResponse?: ((params: URLSearchParams) => URLSearchParams) | undefined
  /** What comes by the front channel, in the place of the token endpoint's ID Token or beside it. */
  frontIdTokenHeader?: ((header: JsonObject) => JsonObject) | undefined
  frontIdTokenClaims?: ((claims: JsonObject) => JsonObject) | undefined
  frontIdToken?: ((jwt: string) => string | Promise<string>) | undefined
  /** JARM: the parameters of the authorization response, and what makes a JWT of them. */
  responseJwtHeader?: ((header: JsonObject) => JsonObject) | undefined
  responseJwtClaims?: ((claims: JsonObject) => JsonObject) | undefined
  responseJwt?: ((jwt: string) => string | Promise<string>) | undefined
  tokenResponse?: JsonChange | undefined
  idTokenHeader?: ((header: JsonObject) => JsonObject) | undefined
  idTokenClaims?: ((claims: JsonObject) => JsonObject) | undefined
  /** The signed ID Token. */
  idToken?: ((jwt: string) => string | Promise<string>) | undefined
  userinfo?: JsonChange | undefined
  /** Takes an endpoint over wholly: to hang, drip, send too much, redirect, reset. */
  raw: Partial<Record<Endpoint, RawHandler>>
}

/** A request as it came in. */
export interface StrictRequest {
  readonly endpoint: Endpoint | undefined
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly query: URLSearchParams
  /** Empty where the body is no form. */
  readonly form: URLSearchParams
}

/** What an authorization request asked for, kept with the code and the tokens that came of it. */
export interface AuthorizationGrant {
  readonly redirectUri: string
  readonly scope: string
  readonly nonce: string
  readonly codeChallenge: string
  readonly asksAuthTime: boolean
  readonly authTime: number
  readonly account: Account
  readonly sid: string
  isRedeemed: boolean
}

export type TokenEndpointAuthMethod = 'client_secret_basic' | 'client_secret_post' | 'none'

/** Everything that the endpoints of one strict provider share. */
export interface StrictContext {
  readonly issuer: string
  /** Absolute. */
  readonly endpointUrls: Readonly<Record<Endpoint, string>>
  readonly clientId: string
  readonly clientSecret: string
  readonly tokenEndpointAuthMethod: TokenEndpointAuthMethod
  readonly alg: string
  /** What authorization responses as JWTs are signed with. */
  readonly authorizationSignedResponseAlg: string
  readonly issParameter: 'announced' | 'sent' | 'absent'
  readonly idToken: 'fat' | 'thin'
  keys: SigningKeys
  account: Account
  /** When the person logged in, in seconds since 1970; absent: now. */
  authTime: number | undefined
  /** Those that are registered; absent: every one on the loopback interface. */
  redirectUris: readonly string[] | undefined
  readonly change: Changes
  /** Everything that the client has done wrong, beginning with the endpoint. */
  readonly complaints: string[]
  readonly codes: Map<string, AuthorizationGrant>
  readonly accessTokens: Map<string, AuthorizationGrant>
  readonly refreshTokens: Map<string, AuthorizationGrant>
  readonly idTokens: Set<string>
}

/** One demand of an endpoint: whether it is broken, the error code of the standard, and what is wrong. */
export type Demand = readonly [isBroken: boolean, error: string, fault: string]

/** Records what is wrong with a request; returns the first broken demand. */
export function findFault(
  context: StrictContext,
  endpoint: Endpoint,
  demands: readonly Demand[],
): { readonly error: string; readonly fault: string } | undefined {
  const broken = demands.filter(([isBroken]) => isBroken)
  for (const [, , fault] of broken) context.complaints.push(`${endpoint}: ${fault}`)
  const [first] = broken
  return first && { error: first[1], fault: first[2] }
}

/** OAuth 2.0 3.1 and 3.2: no parameter may be sent twice. */
export function hasDuplicates(params: URLSearchParams): boolean {
  return new Set(params.keys()).size !== [...params.keys()].length
}

/** Whether a URI is registered. */
export function isRegistered(context: StrictContext, uri: string): boolean {
  if (context.redirectUris) return context.redirectUris.includes(uri)
  return /^https?:\/\/(127\.0\.0\.1|localhost)(:\d+)?(\/[^?#]*)?$/.test(uri)
}

/** Sends JSON as a change of the test leaves it. */
export function sendChanged(
  res: ServerResponse,
  json: JsonObject,
  change: JsonChange | undefined,
  { status = 200, headers = {} }: Partial<JsonAnswer> = {},
): void {
  const answer = { status, headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers } }
  const changed = change ? change(json, answer) : json
  res.writeHead(answer.status, answer.headers)
  res.end(typeof changed === 'string' ? changed : JSON.stringify(changed))
}
