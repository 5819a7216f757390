import type { ApplicationOptions } from '../options.ts'
import { RESERVED_PARAMS } from './authorization-params.ts'
import {
  callable,
  filledText,
  inOrder,
  members,
  must,
  oneOf,
  optional,
  type Rule,
  seconds,
  trueOrFalse,
} from './rule.ts'
import { baseUrl, landing, routePath } from './url-rules.ts'

/** Whatever goes beyond is a mistake in the unit. */
const TEN_YEARS = 10 * 365 * 86400

/** What express-session's session object has itself. */
const SESSION_MEMBERS: readonly unknown[] =
  'cookie id req save reload destroy regenerate touch resetMaxAge prototype'.split(' ')

const sessionKey: Rule = inOrder(
  filledText,
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
  silentLogin: optional(trueOrFalse),
  logoutByGet: optional(trueOrFalse),
  revokeTokens: optional(trueOrFalse),
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
  postLogoutRedirectUri: optional(landing),
  loginLifetime: optional(seconds(60, TEN_YEARS)),
  loginExpiry: optional(oneOf('lifetime', 'id_token', 'session_expiry')),
  idleTimeout: optional(seconds(60, TEN_YEARS)),
  transactionLifetime: optional(seconds(60, 86400)),
  sessionClaims: optional(sessionClaims),
  sharedState: optional(sharedState),
  fetch: optional(callable),
  hooks: optional(
    members({
      beforeLogin: optional(callable),
      afterLogin: optional(callable),
      afterRefresh: optional(callable),
      beforeLogout: optional(callable),
      afterLogout: optional(callable),
    }),
  ),
  dangerouslyAllowInsecureRequests: optional(trueOrFalse),
}
