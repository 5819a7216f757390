import { parseChallenges } from '../provider/error-response.ts'
import type { AuthenticationRequirement } from '../types.ts'
import { isRequirementList } from './step-up.ts'

/**
 * What an API asks for in its challenge (RFC 9470 3), as the requirement of a login. `undefined` if it does not ask for one, or
 * not in a form that a login can meet.
 */
export function requirementOfChallenge(
  header: string | null,
): Pick<AuthenticationRequirement, 'acr' | 'maxAge'> | undefined {
  const asked = parseChallenges(header).find(({ scheme, params }) => {
    return /^(?:bearer|dpop)$/.test(scheme) && params.get('error') === 'insufficient_user_authentication'
  })
  const [acrValues, maxAge] = [asked?.params.get('acr_values'), asked?.params.get('max_age')]
  const acr = acrValues?.split(' ')
  const isMalformed = (acr !== undefined && !isRequirementList(acr)) || !/^\d{1,9}$/.test(maxAge ?? '0')
  if (isMalformed || (acr === undefined && maxAge === undefined)) return undefined
  return {
    ...(acr === undefined ? {} : { acr }),
    // No login is younger than a second when it arrives.
    ...(maxAge === undefined ? {} : { maxAge: Math.max(1, Number(maxAge)) }),
  }
}
