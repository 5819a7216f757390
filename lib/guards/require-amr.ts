import { ConfigError } from '../errors.ts'
import { type ClaimRequirement, claimValueGuard, parseClaimRequirement } from './claim-requirement.ts'
import type { Guard } from './guard.ts'

/**
 * Lets only people through who have proved who they are by such a method (`amr`, OIDC Core 2). The list of methods is
 * open: providers send names of their own beside those of RFC 8176, and many send none. Who is not logged in is asked
 * to; who has used another method gets `ERR_OIDC_INSUFFICIENT_CLAIM` (403), never a new login.
 *
 * @throws {ConfigError} for a method that is none
 * @example
 * ```ts
 * app.get('/admin', requireAmr('mfa'), showAdmin)
 * app.get('/orders', requireAmr({ anyOf: ['hwk', 'swk', 'okta_verify'] }), showOrders)
 * app.get('/both', requireAmr({ allOf: ['pwd', 'otp'] }), showBoth)
 * ```
 */
export function requireAmr(method: ClaimRequirement<string>): Guard {
  const test = parseClaimRequirement(method, isMethod)
  if (test !== undefined) return claimValueGuard(['amr'], test)
  throw new ConfigError(["requireAmr takes a method such as 'mfa', { anyOf: [ ... ] } or { allOf: [ ... ] }."])
}

function isMethod(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}
