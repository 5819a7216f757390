import type { IdTokenClaims } from '../claims.ts'
import { ConfigError } from '../errors.ts'
import {
  type ClaimPath,
  type ClaimRequirement,
  claimGuard,
  claimValueGuard,
  parseClaimPath,
  parseClaimRequirement,
} from './claim-requirement.ts'
import type { Guard } from './guard.ts'

type Test = (value: unknown) => boolean

/**
 * Lets only people through whose claim is as required. Who is not logged in is asked to; who lacks the claim gets
 * `ERR_OIDC_INSUFFICIENT_CLAIM` (403), never a new login.
 *
 * @throws {ConfigError} for a requirement that is none
 * @example
 * ```ts
 * app.get('/admin', requireClaim('groups', 'admin'), showAdmin)
 * app.get('/dutch', requireClaim(['address', 'country'], { anyOf: ['NL', 'BE'] }), showDutch)
 * app.get('/verified', requireClaim('email', (email) => String(email).endsWith('@example.com')), showVerified)
 * app.get('/both', requireClaim((claims) => claims.email_verified === true), showBoth)
 * ```
 */
export function requireClaim(predicate: (claims: IdTokenClaims) => boolean): Guard
export function requireClaim(claim: ClaimPath, requirement: ClaimRequirement | Test): Guard
export function requireClaim(
  claim: ClaimPath | ((claims: IdTokenClaims) => boolean),
  requirement?: ClaimRequirement | Test,
): Guard {
  if (typeof claim === 'function') return claimGuard('The claims are not as required.', (claims) => claim(claims))
  return claimValueGuard(parseClaimPath(claim, 'requireClaim'), parseTest(requirement))
}

function parseTest(requirement: ClaimRequirement | Test | undefined): Test {
  if (typeof requirement === 'function') return (value) => requirement(value)
  const test = parseClaimRequirement(requirement, isValue)
  if (test !== undefined) return test
  throw new ConfigError([
    'requireClaim takes a value, { anyOf: [ ... ] }, { allOf: [ ... ] } or a function, with values that are text, numbers or booleans.',
  ])
}

function isValue(value: unknown): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value)
}
