/** A library, or none, with an app that logs in and guards a page. */
export interface Contender {
  readonly name: string
  /** The module of the app. It exports `createApp`. */
  readonly url: string
  /** The cookie that names the session in the store. */
  readonly sessionCookie: string
}

export const BARE = contender('express-session', 'apps/express-session.js')
export const OURS = contender('express-oidc', 'apps/express-oidc.js')
/** Ours with `express-oidc/opentelemetry` and the SDK. */
export const OURS_TRACED = contender('express-oidc with OpenTelemetry', 'apps/express-oidc-opentelemetry.js')
export const PASSPORT = contender('passport-openidconnect', 'peers/passport-openidconnect.js')

/** All that log in at a provider, ours first. Those in `peers/` have packages of their own. */
export const LIBRARIES: readonly Contender[] = [
  OURS,
  contender('openid-client', 'apps/openid-client.js'),
  PASSPORT,
  contender('express-openid-connect', 'peers/express-openid-connect.js', 'appSession'),
  contender('@okta/oidc-middleware', 'peers/okta-oidc-middleware.js'),
]

function contender(name: string, file: string, sessionCookie = 'connect.sid'): Contender {
  return { name, url: new URL(file, import.meta.url).href, sessionCookie }
}
