import { channel } from 'node:diagnostics_channel'
import { debuglog } from 'node:util'
import { showFailure } from './console/failures.ts'
import { OidcError } from './errors.ts'

/**
 * The events of this library, by the name of their channel in `node:diagnostics_channel`. Subscribe to them for logs and
 * metrics. They contain no token, code or secret. Without a subscriber they cost almost nothing.
 *
 * Set `NODE_DEBUG=oidc` to print all events to standard error.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel'
 *
 * subscribe('express-oidc:login', (message) => {
 *   const { issuer, sub } = message as Events['express-oidc:login']
 *   process.stdout.write(`${sub} of ${issuer} logged in\n`)
 * })
 * ```
 */
export interface Events {
  /** A login starts: the browser is redirected to the provider. */
  'express-oidc:login-start': {
    /** The name of the provider, here and in the other events. It is `default` if there is only one. */
    readonly provider: string
    readonly issuer: string
    /** The path that the user will return to, without its query. */
    readonly path: string
  }
  /** A login is complete: the response was validated, and the session saved. */
  'express-oidc:login': {
    readonly provider: string
    readonly issuer: string
    readonly sub: string
    /** The granted scopes, separated by spaces. */
    readonly scope: string
  }
  /** A login has ended. */
  'express-oidc:logout': {
    readonly provider: string
    /**
     * What ended it:
     *
     * - `application`: the logout route, `req.oidc.logout()`, or `auth.sessions.end()`.
     * - `backchannel`, `frontchannel`, `token-revocation`: a request of the provider to that route.
     * - `security-event`: an event of a transmitter (Shared Signals).
     * - `session-check`: a session check found that the user has logged out at the provider.
     */
    readonly how:
      | 'application'
      | 'backchannel'
      | 'frontchannel'
      | 'security-event'
      | 'session-check'
      | 'token-revocation'
    /** Absent if no user was logged in, here and in `sub`. */
    readonly issuer: string | undefined
    readonly sub: string | undefined
  }
  /** A transmitter has sent a security event (Shared Signals), which was verified. */
  'express-oidc:security-event': {
    readonly provider: string
    /** The issuer of the transmitter. */
    readonly issuer: string
    /** The URI of the event, as the transmitter sent it. */
    readonly type: string
    /** False if the subject is of another issuer, or in a format that sessions cannot be found by. */
    readonly isKnownSubject: boolean
    /** The number of logins that it has ended. */
    readonly ended: number
  }
  /** An access token was refreshed. */
  'express-oidc:refresh': { readonly provider: string; readonly issuer: string; readonly sub: string }
  /**
   * A guard or `bearer()` denied a request: `code` is the error code, `path` the path without its query. `error` says why an
   * access token was refused, which the client does not learn.
   */
  'express-oidc:denied': { readonly code: string; readonly path: string; readonly error?: unknown }
  /**
   * A route failed. `error` was passed to `next`, or it is why a logout token was refused. An error that the library handles
   * itself is published too, for example if the provider is down during a session check. `code` is the error code, or
   * `unknown` for an error of the application.
   */
  'express-oidc:error': { readonly code: string; readonly error: unknown }
  /** A request to the provider has ended. */
  'express-oidc:provider': {
    readonly method: string
    /** The URL without its query. */
    readonly url: string
    /** The HTTP status, or the error code if there was no response. */
    readonly outcome: number | string
    readonly milliseconds: number
  }
  /**
   * An expired copy of the provider's metadata or keys serves, because no new one can be fetched. Published once for each outage.
   * A copy serves for a week at most.
   */
  'express-oidc:stale': {
    readonly document: 'metadata' | 'keys'
    readonly issuer: string
    /** Absent for an issuer of `bearer()` and for a claims provider. */
    readonly provider?: string | undefined
    /** How long ago the copy was fetched. */
    readonly ageSeconds: number
    /** The error code of the last failed fetch. */
    readonly code: string
  }
  /**
   * The budget of the fetches that strangers can cause is used up: of keys, by tokens with an unknown `kid`, or of metadata, by
   * requests that fail. Published once, and again only after the budget was full in between.
   */
  'express-oidc:fetch-budget': {
    readonly document: 'metadata' | 'keys'
    readonly issuer: string
    /** Absent for an issuer of `bearer()` and for a claims provider. */
    readonly provider?: string | undefined
  }
}

const debug = debuglog('oidc')

/** Publishes an event. The function that creates the message is called only if there is a subscriber. */
export const publish: { readonly [Name in keyof Events]: (message: () => Events[Name]) => void } = {
  'express-oidc:login-start': createPublisher('express-oidc:login-start'),
  'express-oidc:login': createPublisher('express-oidc:login'),
  'express-oidc:logout': createPublisher('express-oidc:logout'),
  'express-oidc:security-event': createPublisher('express-oidc:security-event'),
  'express-oidc:refresh': createPublisher('express-oidc:refresh'),
  'express-oidc:denied': createPublisher('express-oidc:denied'),
  'express-oidc:error': createPublisher('express-oidc:error'),
  'express-oidc:provider': createPublisher('express-oidc:provider'),
  'express-oidc:stale': createPublisher('express-oidc:stale'),
  'express-oidc:fetch-budget': createPublisher('express-oidc:fetch-budget'),
}

/**
 * Publishes an error that the caller handles itself: it reaches neither `next()` nor the user. In development the console shows
 * it, because nothing else does.
 */
export function publishError(error: unknown): void {
  publishPassedError(error)
  showFailure(error)
}

/** Publishes an error that goes to `next()`. An error handler prints it. */
export function publishPassedError(error: unknown): void {
  publish['express-oidc:error'](() => ({ code: error instanceof OidcError ? error.code : 'unknown', error }))
}

function createPublisher<Name extends keyof Events>(name: Name): (message: () => Events[Name]) => void {
  const target = channel(name)
  return (message) => {
    if (!target.hasSubscribers && !debug.enabled) return
    const event = message()
    debug('%s %o', name, event)
    target.publish(event)
  }
}
