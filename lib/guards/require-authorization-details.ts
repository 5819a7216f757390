import { ConfigError, shown } from '../errors.ts'
import type { Denial } from '../http/denial.ts'
import { resultOf } from '../options/rule.ts'
import type { AuthorizationDetail } from '../types.ts'
import { createGuard, type Guard, type GuardOptions, readGuardOptions } from './guard.ts'

/** A value that a member of a granted detail can be compared with. A list needs all of its values. */
export type DetailValue = string | number | boolean | readonly (string | number | boolean)[]

/** What one granted detail must be: of this type, with these members, or what a function says. */
export type DetailRequirement =
  | string
  | { readonly type: string; readonly [member: string]: DetailValue }
  | ((detail: AuthorizationDetail) => boolean)

/**
 * Requires a right that is granted in detail (RFC 9396): one of `req.oidc.authorizationDetails` must have this `type`, and these
 * members. A list in the requirement (`actions`, `locations`, `datatypes`, `privileges`) must be in the list of the detail; a
 * member that the detail lacks never meets a requirement. A user who is not logged in is redirected to log in, as by
 * `requireAuth()`. A login or token without the right gets `ERR_OIDC_INSUFFICIENT_AUTHORIZATION_DETAILS` (403), never a new
 * login: request it with `req.oidc.login({ authorizationParams: { authorization_details } })`.
 *
 * The guard does not see the request. Compare an amount or an account in the handler, with `req.oidc.authorizationDetails`.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` for an invalid requirement.
 * @example
 * ```ts
 * app.get('/accounts', requireAuthorizationDetails({ type: 'account_information', actions: ['list_accounts'] }), showAccount)
 * app.post('/payments', requireAuthorizationDetails('payment_initiation'), showPayments)
 * app.get('/large', requireAuthorizationDetails((detail) => detail.type === 'files' && detail['size'] === 'any'), showReports)
 * ```
 */
export function requireAuthorizationDetails(required: DetailRequirement, options: GuardOptions = {}): Guard {
  const guardOptions = readGuardOptions(options, 'requireAuthorizationDetails')
  const test = parseRequirement(required)
  return createGuard(({ authorizationDetails }) => {
    // Only `true` passes: a function that forgets to return, or returns a promise, must deny.
    return authorizationDetails.some((detail) => resultOf(test(detail)) === true) ? undefined : DENIAL
  }, guardOptions)
}

const DENIAL: Denial = {
  code: 'ERR_OIDC_INSUFFICIENT_AUTHORIZATION_DETAILS',
  message:
    'No granted authorization_details meets requireAuthorizationDetails() of this route. Compare it with ' +
    'req.oidc.authorizationDetails, and request it with req.oidc.login({ authorizationParams }).',
}

function parseRequirement(required: unknown): (detail: AuthorizationDetail) => unknown {
  if (typeof required === 'function') return (detail) => required(detail)
  const members = Object.entries(typeof required === 'string' ? { type: required } : Object(required))
  const isUsable =
    isNonEmptyString(Object.fromEntries(members)['type']) && members.every(([, value]) => isDetailValue(value))
  if (isUsable && !Array.isArray(required)) {
    const copies = members.map(([name, value]) => [name, Array.isArray(value) ? [...value] : value] as const)
    return (detail) => copies.every(([name, value]) => hasMember(detail, name, value))
  }
  throw new ConfigError([
    'requireAuthorizationDetails takes a type, an object with a type and members that are strings, numbers, booleans or lists ' +
      `of these, or a function. It got ${shown(required)}.`,
  ])
}

/** Reads own members only, because every object inherits `constructor` and `__proto__`. */
function hasMember(detail: AuthorizationDetail, name: string, expected: unknown): boolean {
  const value: unknown = Object.hasOwn(detail, name) ? detail[name] : undefined
  if (!Array.isArray(expected)) return value === expected
  return Array.isArray(value) && expected.every((one) => value.includes(one))
}

function isDetailValue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0 && value.every(isPlain)
  return isPlain(value)
}

function isPlain(value: unknown): boolean {
  return isNonEmptyString(value) || typeof value === 'boolean' || Number.isFinite(value)
}

function isNonEmptyString(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
