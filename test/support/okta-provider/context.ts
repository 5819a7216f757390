import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { JsonObject, OktaClient, OktaPerson, OktaServer } from './directory.ts'

/** What an Okta-like provider answers at, by names that are the same for both kinds of authorization server. */
export type OktaEndpoint =
  | 'discovery'
  | 'oauth-discovery'
  | 'webfinger'
  | 'authorize'
  | 'token'
  | 'keys'
  | 'userinfo'
  | 'logout'
  | 'revoke'
  | 'introspect'
  | 'par'
  | 'clients'
  | 'home'

/** A request as it came in. */
export interface OktaRequest {
  readonly endpoint: OktaEndpoint
  /** `org`, or the id of a custom authorization server. */
  readonly serverId: string
  readonly method: string
  /** With the query. */
  readonly url: URL
  readonly headers: IncomingHttpHeaders
  readonly query: URLSearchParams
  /** Empty where the body is no form. */
  readonly form: URLSearchParams
  readonly body: string
}

/** What somebody has allowed an application, kept with the codes and the tokens that come of it. */
export interface OktaGrant {
  readonly serverId: string
  readonly clientId: string
  readonly person: OktaPerson
  readonly redirectUri: string
  readonly scopes: readonly string[]
  readonly nonce: string | undefined
  readonly codeChallenge: string | undefined
  /** The domain that `/authorize` was sent to. */
  readonly origin: string
  readonly authTime: number
  readonly acr: string | undefined
  readonly amr: readonly string[]
  readonly sid: string
  readonly issuedAt: number
  isRedeemed: boolean
}

/** Somebody's session at Okta itself. */
export interface OktaSession {
  person: OktaPerson
  authTime: number
  readonly sid: string
}

/** One refresh token, and those that came of it by rotation: they live and die together. */
export interface OktaFamily {
  readonly grant: OktaGrant
  /** When each of its refresh tokens was first used, in seconds since 1970; `undefined`: not yet. */
  readonly usedAt: Map<string, number | undefined>
  readonly accessTokens: Set<string>
  isDead: boolean
}

/** How somebody behaves at the sign-in page. */
export type SignIn = 'signs in' | 'cancels' | 'waits'

/** What a test changes of the good answers. */
export interface OktaChanges {
  metadata?: ((metadata: JsonObject) => JsonObject) | undefined
  authorizationAnswer?: ((params: URLSearchParams) => URLSearchParams) | undefined
  idTokenClaims?: ((claims: JsonObject) => JsonObject) | undefined
  idTokenHeader?: ((header: JsonObject) => JsonObject) | undefined
  accessToken?: ((jwt: string) => string) | undefined
  tokenAnswer?: ((json: JsonObject, res: ServerResponse) => JsonObject) | undefined
  userinfo?: ((claims: JsonObject) => JsonObject) | undefined
  /** Answers in the place of an endpoint, while it returns anything but `false`. */
  raw: Partial<Record<OktaEndpoint, (req: IncomingMessage, res: ServerResponse) => unknown>>
}

/** Everything that the endpoints of one Okta-like organisation share. */
export interface OktaContext {
  /** The organisation's own domain: `http://localhost:port`. */
  readonly orgOrigin: string
  /** Its custom domain, which is the same server: `http://127.0.0.1:port`. */
  readonly customOrigin: string
  readonly servers: Map<string, OktaServer>
  readonly clients: Map<string, OktaClient>
  /** Who is at the browser. */
  person: OktaPerson
  signIn: SignIn
  /** How people log in, where no class is asked for. */
  amr: readonly string[]
  /** Classic Engine takes `max_age=0` for nothing at all. */
  engine: 'identity' | 'classic'
  /** 2017: `nonce` in all flows. Today: where a token comes by the front channel. */
  nonceRule: 'today' | '2017'
  /** How `state` comes back after a logout. */
  logoutState: 'as sent' | 'without question mark' | 'missing'
  /** `unlicensed`: there is no API Access Management, and so no custom authorization server. */
  license: 'licensed' | 'unlicensed'
  readonly change: OktaChanges
  readonly requests: OktaRequest[]
  readonly sessions: Map<string, OktaSession>
  readonly codes: Map<string, OktaGrant>
  readonly accessTokens: Map<string, OktaGrant>
  /** The thumbprints of the keys that access tokens are bound to. */
  readonly boundTo: Map<string, string>
  readonly families: OktaFamily[]
  /** The ID Tokens of each session at Okta, as they were before encryption. */
  readonly idTokens: Map<string, OktaGrant>
  /** The applications that somebody has consented to. */
  readonly consents: Set<string>
  /** One-time tokens of the primary authentication API. */
  readonly sessionTokens: Map<string, OktaPerson>
  readonly pushedRequests: Map<string, URLSearchParams>
  /** `jti`s of client assertions and DPoP proofs. */
  readonly seenIds: Set<string>
  /** The nonce that DPoP proofs must hold at present. */
  dpopNonce: string
}

export function nowInSeconds(): number {
  return Math.floor(Date.now() / 1000)
}

/** The authorization server of a request. */
export function serverOf(context: OktaContext, { serverId }: { readonly serverId: string }): OktaServer {
  const server = context.servers.get(serverId)
  if (server === undefined) throw new Error(`there is no server ${serverId}`)
  return server
}

/** `https://{domain}` of the organisation, or `https://{domain}/oauth2/{id}`. */
export function issuerAt(origin: string, serverId: string): string {
  return serverId === 'org' ? origin : `${origin}/oauth2/${serverId}`
}

/** Where the endpoints of a server lie: never below the issuer of the organisation. */
export function endpointAt(origin: string, serverId: string, name: string): string {
  return serverId === 'org' ? `${origin}/oauth2/v1/${name}` : `${origin}/oauth2/${serverId}/v1/${name}`
}
