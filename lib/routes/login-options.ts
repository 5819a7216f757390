import { parseRequirement } from '../authentication-requirement.ts'
import { parseAuthorizationParams } from '../config/authorization-params.ts'
import { OidcError } from '../errors.ts'
import type { Request } from '../http.ts'
import type { LoginOptions } from '../oidc-context.ts'
import type { LoginRequest } from '../protocol/authorization-request.ts'
import type { RelyingParty } from '../relying-party.ts'
import { safeReturnTo } from '../return-to.ts'
import { pageOf } from './login-url.ts'

/**
 * What an application wants of one login of its own making. Throws `ERR_OIDC_RETURN_TO` for a path that is not its own, and
 * `ERR_OIDC_CONFIG` for parameters that it may not set.
 */
export function readLoginOptions(rp: RelyingParty, req: Request, options: LoginOptions): LoginRequest {
  const returnTo = safeReturnTo(options.returnTo ?? pageOf(rp, req), rp.config)
  if (returnTo === undefined && options.returnTo !== undefined) {
    throw new OidcError('ERR_OIDC_RETURN_TO', 'returnTo is not a path of this application that one can come back to.')
  }
  const authorizationParams = parseAuthorizationParams(options.authorizationParams)
  return {
    returnTo: returnTo ?? `${rp.config.basePath}/`,
    authorizationParams,
    requirement: options.requirement && parseRequirement(options.requirement),
    isSilent: authorizationParams['prompt'] === 'none',
  }
}
