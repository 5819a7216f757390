import type { IncomingMessage, ServerResponse } from 'node:http'
import type { IdTokenClaims, TokenRecord } from './types.ts'

/** What every hook is given. */
export interface HookEvent {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** The name of the provider: `default` where the options name only one. */
  readonly provider: string
}

/** A login is about to leave for the provider. */
export interface BeforeLoginEvent extends HookEvent {
  /** The path of this application that the person will come back to. */
  readonly returnTo: string
}

/** A login has been validated, and a new session begun but not yet saved. */
export interface AfterLoginEvent extends HookEvent {
  /** All claims, also those that `sessionClaims` leaves out of the session. */
  readonly claims: IdTokenClaims
  /** The granted scopes, separated by spaces. */
  readonly scope: string
  readonly tokens: TokenRecord
}

/** Tokens have been refreshed. */
export interface AfterRefreshEvent extends Omit<HookEvent, 'res'> {
  readonly claims: IdTokenClaims
  /** All tokens of the login, the new ones among them. */
  readonly tokens: TokenRecord
}

/** A login is about to end, or has ended, by the logout route or `req.oidc.logout()`. */
export interface LogoutEvent extends HookEvent {
  /** The claims of the login that ends; absent where nobody was logged in. */
  readonly claims: IdTokenClaims | undefined
}

/** Functions of yours that are awaited at named moments. One that throws stops what it was called in. */
export interface Hooks {
  /** Before the redirect to the provider. Throw, or answer the request, to refuse. */
  beforeLogin?: (event: BeforeLoginEvent) => void | Promise<void>
  /**
   * After everything about the answer was checked and the session made ready, before the login is put into it: the place to
   * find the user in your own database and to write into `req.session`. Throw, or answer the request, to refuse: then no
   * session is left. `req.oidc` does not show the login yet.
   */
  afterLogin?: (event: AfterLoginEvent) => void | Promise<void>
  /** After tokens were refreshed and kept. One that throws fails the caller, not the login. */
  afterRefresh?: (event: AfterRefreshEvent) => void | Promise<void>
  /** Before the session is destroyed. Throw, or answer the request, to keep it. */
  beforeLogout?: (event: LogoutEvent) => void | Promise<void>
  /** After the session was destroyed, before the redirect, which is left out where the hook answers itself. */
  afterLogout?: (event: LogoutEvent) => void | Promise<void>
}
