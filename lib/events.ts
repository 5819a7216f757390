import { channel } from 'node:diagnostics_channel'
import { debuglog } from 'node:util'

/**
 * What can be watched with `node:diagnostics_channel`, by channel name. Messages hold no token, code or secret.
 * `NODE_DEBUG=oidc` prints the same to standard error.
 */
export interface Events {
  /** A login has left for the provider. */
  'express-oidc:login-start': {
    /** The name of the provider, here and below; `default` where there is one alone. */
    readonly provider: string
    readonly issuer: string
    /** Where the person will come back to, without query. */
    readonly path: string
  }
  /** A login was completed. */
  'express-oidc:login': {
    readonly provider: string
    readonly issuer: string
    readonly sub: string
    readonly scope: string
  }
  /** A login was ended. */
  'express-oidc:logout': {
    readonly provider: string
    /** By the logout route or `req.oidc.logout()`, by one of the provider's channels, or because a silent login found nobody. */
    readonly how: 'application' | 'backchannel' | 'frontchannel' | 'session-check' | 'token-revocation'
    readonly issuer: string | undefined
    readonly sub: string | undefined
  }
  /** Access tokens of a login were refreshed. */
  'express-oidc:refresh': { readonly provider: string; readonly issuer: string; readonly sub: string }
  /** A guard refused a request. */
  'express-oidc:denied': { readonly code: string; readonly path: string }
  /** A route failed; `error` is what was passed to `next`, or what a provider was told of its logout token. */
  'express-oidc:error': { readonly code: string; readonly error: unknown }
  /** The provider was asked for something: one of its documents, tokens, UserInfo. */
  'express-oidc:provider': {
    readonly method: string
    /** Without query. */
    readonly url: string
    /** The HTTP status, or the error code where no answer came. */
    readonly outcome: number | string
    readonly milliseconds: number
  }
}

const debug = debuglog('oidc')

function createChannel<Name extends keyof Events>(name: Name): (message: () => Events[Name]) => void {
  const target = channel(name)
  return (message) => {
    if (!target.hasSubscribers && !debug.enabled) return
    const made = message()
    debug('%s %o', name, made)
    target.publish(made)
  }
}

/** One function for each event. The message is only made when somebody listens. */
export const publish: { readonly [Name in keyof Events]: (message: () => Events[Name]) => void } = {
  'express-oidc:login-start': createChannel('express-oidc:login-start'),
  'express-oidc:login': createChannel('express-oidc:login'),
  'express-oidc:logout': createChannel('express-oidc:logout'),
  'express-oidc:refresh': createChannel('express-oidc:refresh'),
  'express-oidc:denied': createChannel('express-oidc:denied'),
  'express-oidc:error': createChannel('express-oidc:error'),
  'express-oidc:provider': createChannel('express-oidc:provider'),
}
