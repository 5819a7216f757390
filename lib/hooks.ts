import type { IncomingMessage, ServerResponse } from 'node:http'
import type { IdTokenClaims, Json, TokenRecord } from './types.ts'

/** What every hook receives. */
export interface HookEvent {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** The name of the provider. It is `default` if there is only one. */
  readonly provider: string
}

/** The event of `beforeLogin`. */
export interface BeforeLoginEvent extends HookEvent {
  /** The path of the app that the user will return to. */
  readonly returnTo: string
}

/** The event of `afterLogin`. */
export interface AfterLoginEvent extends HookEvent {
  /** All claims, even those that the option `sessionClaims` does not keep in the session. */
  readonly claims: IdTokenClaims
  /** The claims of the verified ID Token alone. */
  readonly idTokenClaims: IdTokenClaims
  /** The claims of UserInfo alone. `undefined` if it was not requested (option `userinfo`) or gave none. */
  readonly userinfo: Readonly<Record<string, Json>> | undefined
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  readonly tokens: TokenRecord
  /**
   * The other members of the token response, by their wire names: those that the library does not use. SMART on FHIR sends
   * `patient` there, Okta `device_secret`. Some are secrets, so do not log them.
   */
  readonly tokenResponseParams: Readonly<Record<string, Json>>
  /**
   * The other fields of the authorization response, by their wire names: those that are no part of OpenID Connect, `iss` and
   * `scope`. Apple sends `user` there, with the name of the user, at the first login only. Anyone can change these fields in
   * the browser, unless the response is a signed JWT, so they prove nothing. Parse them as request input.
   */
  readonly responseParams: Readonly<Record<string, string>>
}

/** The event of `afterRefresh`. */
export interface AfterRefreshEvent extends Omit<HookEvent, 'res'> {
  readonly claims: IdTokenClaims
  /** All tokens of the login, with the new ones. */
  readonly tokens: TokenRecord
}

/** The event of `beforeLogout` and `afterLogout`. */
export interface LogoutEvent extends HookEvent {
  /** The claims of the login that ends, or `undefined` if no user was logged in. */
  readonly claims: IdTokenClaims | undefined
}

/** The event of `onSecurityEvent`: one event of a verified security event token (RFC 8417, SSF 4). */
export interface SecurityEventEvent extends Omit<HookEvent, 'res'> {
  /** The issuer of the transmitter. */
  readonly issuer: string
  /** The URI that says what happened, such as `https://schemas.openid.net/secevent/caep/event-type/credential-change`. */
  readonly type: string
  /** The members of the event, such as `change_type`. */
  readonly event: Readonly<Record<string, Json>>
  /** Whom it is about: a subject identifier (RFC 9493), or a complex subject (SSF 3.3). */
  readonly subject: Readonly<Record<string, Json>> | undefined
  /** When it happened, in seconds since 1970. */
  readonly occurredAt: number
  /** The number of logins that it has ended. 0 for events that end none. */
  readonly ended: number
}

/**
 * Functions of the app that run at fixed moments. Each is awaited. A hook that throws fails the request, and its error goes
 * to `next`. A hook that sends a response itself stops the login or logout.
 *
 * @example
 * ```ts
 * app.use(oidc({
 *   ...options,
 *   hooks: {
 *     async afterLogin({ req, claims }) {
 *       const user = await findUser(claims.iss, claims.sub)
 *       if (user === undefined) throw new Error('This user has no account.')
 *       const { session } = req as express.Request
 *       session.userId = user.id
 *     },
 *   },
 * }))
 * ```
 */
export interface Hooks {
  /** Runs before the redirect to the provider. Throw or send a response to refuse the login. */
  beforeLogin?: (event: BeforeLoginEvent) => void | Promise<void>
  /**
   * Runs after the provider's response was validated and the session got a new id, and before the login is in the session.
   * Find the user in your database here, and write what you need into `req.session`. `req.oidc` does not show the login yet.
   *
   * Throw or send a response to refuse the login: the session is destroyed then.
   */
  afterLogin?: (event: AfterLoginEvent) => void | Promise<void>
  /** Runs after an access token was refreshed and stored. If it throws, the caller gets the error, and the login stays. */
  afterRefresh?: (event: AfterRefreshEvent) => void | Promise<void>
  /**
   * Runs for each security event of a transmitter (Shared Signals), after it has ended its sessions. Use it for events that end
   * none: a credential was added, the assurance level fell, the user must change a credential. If it throws, the transmitter
   * gets a 5xx and sends the event again, so the hook must expect to see an event twice.
   */
  onSecurityEvent?: (event: SecurityEventEvent) => void | Promise<void>
  /** Runs before a logout destroys the session. Throw or send a response to keep the session. */
  beforeLogout?: (event: LogoutEvent) => void | Promise<void>
  /** Runs after a logout destroyed the session, before the redirect. If it sends a response, there is no redirect. */
  afterLogout?: (event: LogoutEvent) => void | Promise<void>
}
