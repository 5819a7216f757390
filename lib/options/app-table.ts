import { RESERVED_PARAMS } from './authorization-params.ts'
import { type AppConfig, ONLY_PROVIDER, type RouteName } from './config.ts'
import type { ApplicationOptions } from './options.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import {
  booleanRule,
  firstFailing,
  functionRule,
  members,
  must,
  nonEmptyString,
  oneOf,
  optional,
  type Rule,
  seconds,
} from './rule.ts'
import { afterLogoutUrlRule, baseUrl, parseLocalPath, routePath } from './urls.ts'

/** Whatever goes beyond is a mistake in the unit. */
const TEN_YEARS = 10 * 365 * 86400

/** What express-session's session object has itself. */
const SESSION_MEMBERS: readonly unknown[] =
  'cookie id req save reload destroy regenerate touch resetMaxAge prototype'.split(' ')

const sessionKey: Rule = firstFailing(
  nonEmptyString,
  must(
    'be a name that the session itself does not use',
    (value) => !SESSION_MEMBERS.includes(value) && !(String(value) in Object.prototype),
  ),
)

const secret: Rule = must('be a string of at least 32 characters, or a list of one or more such strings', (value) => {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  return list.length > 0 && list.every((item) => typeof item === 'string' && item.length >= 32)
})

const sessionClaims: Rule = must(
  'be a list of claim names or a function',
  (value) =>
    typeof value === 'function' ||
    (Array.isArray(value) && value.every((claim) => typeof claim === 'string' && claim !== '')),
)

/** An instance of a class will do, and so will an object that inherits its methods. */
const sharedState: Rule = must('be what redisState() or postgresState() gives, or have their methods', (value) =>
  ['add', 'remove', 'members', 'take', 'once', 'seen', 'lock'].every(
    (method) => typeof Object(value)[method] === 'function',
  ),
)

/** Whoever links to the login route chooses these: none may be one that the middleware sets. */
const passthroughParams: Rule = must(
  'be a list of names of parameters that the middleware does not set itself',
  (value) =>
    Array.isArray(value) &&
    value.every((name) => typeof name === 'string' && /^[\w.-]+$/.test(name) && !RESERVED_PARAMS.has(name)) &&
    !['returnTo', 'provider', 'requirement', '__proto__'].some((name) => value.includes(name)),
)

const clearSiteData: Rule = must(
  'be a list of cache, cookies, storage and executionContexts',
  (value) =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((what) => ['cache', 'cookies', 'storage', 'executionContexts'].includes(what)),
)

/** What each option of the application must be on its own. An option without a rule does not compile. */
export const APP_RULES: Readonly<Record<keyof ApplicationOptions, Rule>> = {
  baseUrl,
  routes: optional(
    members({
      login: optional(routePath),
      callback: optional(routePath),
      logout: optional(routePath),
      backchannelLogout: optional(routePath),
      frontchannelLogout: optional(routePath),
      jwks: optional(routePath),
      requestObjects: optional(routePath),
      sessionCheck: optional(routePath),
      initiateLogin: optional(routePath),
      tokenRevocation: optional(routePath),
    }),
  ),
  providerChooser: optional(routePath),
  passthroughParams: optional(passthroughParams),
  silentLogin: optional(booleanRule),
  logoutByGet: optional(booleanRule),
  revokeTokens: optional(booleanRule),
  clearSiteData: optional(clearSiteData),
  clockTolerance: optional(seconds(0, 300)),
  timeout: optional(
    must(
      'be a number of seconds from 0.001 to 120',
      (value) => typeof value === 'number' && value >= 0.001 && value <= 120,
    ),
  ),
  sessionKey: optional(sessionKey),
  secret: optional(secret),
  postLogoutRedirectUri: optional(afterLogoutUrlRule),
  loginLifetime: optional(seconds(60, TEN_YEARS)),
  loginExpiry: optional(oneOf('lifetime', 'id_token', 'session_expiry')),
  idleTimeout: optional(seconds(60, TEN_YEARS)),
  transactionLifetime: optional(seconds(60, 86400)),
  sessionClaims: optional(sessionClaims),
  sharedState: optional(sharedState),
  fetch: optional(functionRule),
  hooks: optional(
    members({
      beforeLogin: optional(functionRule),
      afterLogin: optional(functionRule),
      afterRefresh: optional(functionRule),
      beforeLogout: optional(functionRule),
      afterLogout: optional(functionRule),
    }),
  ),
  dangerouslyAllowInsecureRequests: optional(booleanRule),
}

/** The routes where the application names none. */
export const DEFAULT_ROUTES: Readonly<Record<RouteName, string>> = Object.freeze({
  login: '/login',
  callback: '/callback',
  logout: '/logout',
  backchannelLogout: '/backchannel-logout',
  frontchannelLogout: '/frontchannel-logout',
  jwks: '/jwks',
  requestObjects: '/request',
  sessionCheck: '/session-check',
})

const DEFAULTS = {
  providerChooser: undefined,
  passthroughParams: Object.freeze([]),
  silentLogin: false,
  logoutByGet: false,
  revokeTokens: true,
  clearSiteData: Object.freeze([]),
  clockTolerance: 60,
  timeout: 10,
  sessionKey: 'oidc',
  loginLifetime: 86400,
  loginExpiry: 'lifetime',
  idleTimeout: undefined,
  transactionLifetime: 1800,
  sessionClaims: undefined,
  sharedState: undefined,
  fetch: undefined,
  hooks: Object.freeze({}),
  dangerouslyAllowInsecureRequests: false,
} as const

/** The application's part of a configuration, out of options that are sound. */
export function createAppConfig(
  options: Readonly<ApplicationOptions>,
  providers: readonly { readonly name: string; readonly options: Readonly<NamedProviderOptions> }[],
): AppConfig {
  const { origin, basePath } = parseBaseUrl(options.baseUrl)
  const given = Object.fromEntries(Object.entries(options).filter(([name]) => name in DEFAULTS))
  const secrets = [options.secret ?? providers[0]?.options.clientSecret].flat()
  return Object.freeze({
    ...DEFAULTS,
    ...given,
    origin,
    basePath,
    routes: Object.freeze({ ...DEFAULT_ROUTES, ...options.routes }),
    postLogoutRedirectUri: afterLogoutUrl(options),
    secrets: Object.freeze(secrets.filter((secret) => typeof secret === 'string')),
    callbacks: Object.freeze(providers.map(({ name, options: one }) => callbackPath(options.routes, name, one))),
    issuers: Object.freeze(new Map(providers.map(({ name, options: { issuer } }) => [name, issuer]))),
    clientIds: Object.freeze(new Map(providers.map(({ name, options: one }) => [name, one.clientId ?? '']))),
  })
}

/** Each provider has a callback of its own; one that is alone has the route of that name. */
export function callbackPath(
  routes: ApplicationOptions['routes'],
  name: string,
  { callback }: Readonly<Pick<NamedProviderOptions, 'callback'>>,
): string {
  const { callback: shared } = { ...DEFAULT_ROUTES, ...routes }
  return callback ?? (name === ONLY_PROVIDER ? shared : `${shared}/${name}`)
}

function parseBaseUrl(baseUrl: string): Pick<AppConfig, 'origin' | 'basePath'> {
  const { origin, pathname } = new URL(baseUrl)
  return { origin, basePath: pathname.replace(/\/$/, '') }
}

/** OIDC RP-Initiated Logout 2: compared with what is registered, so an absolute URL stays as it was given. */
function afterLogoutUrl({ baseUrl, postLogoutRedirectUri = baseUrl }: Readonly<ApplicationOptions>): string {
  const { origin, basePath } = parseBaseUrl(baseUrl)
  const path = parseLocalPath(postLogoutRedirectUri, origin)
  return path === undefined ? postLogoutRedirectUri : origin + basePath + path.pathname + path.search + path.hash
}
