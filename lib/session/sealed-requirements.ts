import type { AppConfig } from '../config/config.ts'
import type { AuthenticationRequirement } from '../types.ts'
import { createSeal } from './sealed-value.ts'

/**
 * What a login must come to, on its way to the login route in the address. It is sealed, so that nobody but the
 * application says it: a link with a class of somebody's own choice would take the place of the one in
 * `authorizationParams`, and a weaker login would do.
 */
export interface SealedRequirements {
  seal(requirement: AuthenticationRequirement): string
  /** What was sealed; what does not open demands nothing. */
  open(sealed: string): AuthenticationRequirement
}

const PLACE = 'login'

export function createSealedRequirements(config: Pick<AppConfig, 'secrets'>): SealedRequirements {
  const seal = createSeal(config.secrets, 'requirement')
  return {
    seal: (requirement) => seal.seal(JSON.stringify(requirement), PLACE),
    open: (sealed) => JSON.parse(seal.open(sealed, PLACE) ?? '{}'),
  }
}
