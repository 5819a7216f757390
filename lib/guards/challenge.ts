import type { AuthenticationRequirement } from '../types.ts'

/**
 * The challenge for a script whose login is too old or too weak (RFC 9470 3). What it asks for holds no quote: whoever made
 * the guard was held to that.
 */
export function challengeOf({ acr, maxAge }: AuthenticationRequirement): string {
  const params = [
    'error="insufficient_user_authentication"',
    'error_description="A stronger or more recent login is needed"',
    ...(acr === undefined ? [] : [`acr_values="${acr.join(' ')}"`]),
    ...(maxAge === undefined ? [] : [`max_age="${maxAge}"`]),
  ]
  return `Bearer ${params.join(', ')}`
}
