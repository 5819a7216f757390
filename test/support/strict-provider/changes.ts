import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Endpoint } from './endpoints.ts'

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

type ObjectChange = ((good: JsonObject) => JsonObject) | undefined
type JwtChange = ((jwt: string) => string | Promise<string>) | undefined
/** Is given what was signed too, so that a test can send that in the place of the JWE. */
type JweChange = ((jwe: string, signed: string) => string | Promise<string>) | undefined

/** What a test changes of the good answers: set one, and only that one thing differs. */
export interface Changes {
  discovery?: JsonChange | undefined
  webfinger?: JsonChange | undefined
  jwks?: JsonChange | undefined
  /** Of a registration, and of reading and changing one. */
  registrationResponse?: JsonChange | undefined
  parResponse?: JsonChange | undefined
  /** The parameters of the authorization response, errors included; to repeat, drop or replace. */
  authorizationResponse?: ((params: URLSearchParams) => URLSearchParams) | undefined
  /** What comes by the front channel, in the place of the token endpoint's ID Token or beside it. */
  frontIdTokenHeader?: ObjectChange
  frontIdTokenClaims?: ObjectChange
  frontIdToken?: JwtChange
  encryptedFrontIdToken?: JweChange
  /** JARM: the parameters of the authorization response, and what makes a JWT of them. */
  responseJwtHeader?: ObjectChange
  responseJwtClaims?: ObjectChange
  responseJwt?: JwtChange
  encryptedResponseJwt?: JweChange
  tokenResponse?: JsonChange | undefined
  idTokenHeader?: ObjectChange
  idTokenClaims?: ObjectChange
  /** The signed ID Token. */
  idToken?: JwtChange
  encryptedIdToken?: JweChange
  /** What the refresh grant answers: nothing of the above changes that. */
  refreshResponse?: JsonChange | undefined
  refreshedIdTokenHeader?: ObjectChange
  refreshedIdTokenClaims?: ObjectChange
  refreshedIdToken?: JwtChange
  encryptedRefreshedIdToken?: JweChange
  /** The claims, before a JWT is made of them where one is. */
  userinfo?: JsonChange | undefined
  userinfoJwtHeader?: ObjectChange
  userinfoJwt?: JwtChange
  encryptedUserinfo?: JweChange
  logoutTokenHeader?: ObjectChange
  logoutTokenClaims?: ObjectChange
  logoutToken?: JwtChange
  encryptedLogoutToken?: JweChange
  /** The form that brings it. */
  logoutFields?: ((fields: URLSearchParams) => URLSearchParams) | undefined
  /** The address that is framed at a logout. */
  frontchannelLogoutUrl?: ((url: URL) => URL) | undefined
  /** What goes with the browser that is sent back after a logout. */
  postLogoutParams?: ((params: URLSearchParams) => URLSearchParams) | undefined
  /** The protected header of every JWE, before it is encrypted. */
  jweHeader?: ObjectChange
  /** The demand for a DPoP nonce (RFC 9449 8, 9). */
  dpopChallenge?: JsonChange | undefined
  revocationResponse?: JsonChange | undefined
  /** Takes an endpoint over wholly: to hang, drip, send too much, redirect, reset. */
  raw: Partial<Record<Endpoint, RawHandler>>
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
