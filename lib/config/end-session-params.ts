import type { IdTokenClaims } from '../claims.ts'
import { ConfigError } from '../errors.ts'
import type { Config } from './config.ts'
import { filledText, objectWith, type Rule } from './rule.ts'

/** What the middleware says itself (OIDC RP-Initiated Logout 2). */
const RESERVED: readonly string[] = ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state']

/** What `endSessionParams` must be, in the options and out of a function. */
export const endSessionParamsRule: Rule = objectWith((params, name) =>
  Object.entries(params).flatMap(([param, value]) => {
    if (RESERVED.includes(param)) return [`${name}.${param} must not be set: the middleware does.`]
    if (!/^[\w.-]+$/.test(param) || param === '__proto__') {
      return [`${name} must have names of letters, digits, dots, hyphens and underscores.`]
    }
    return filledText(value, `${name}.${param}`)
  }),
)

/** The parameters for one logout. Throws `ERR_OIDC_CONFIG` where a function of the application gives what may not be sent. */
export function readEndSessionParams(
  { endSessionParams: given }: Pick<Config, 'endSessionParams'>,
  claims: IdTokenClaims | undefined,
): Readonly<Record<string, string>> {
  if (typeof given !== 'function') return given ?? {}
  const params = given(claims)
  const faults = endSessionParamsRule(params, 'endSessionParams')
  if (faults.length > 0) throw new ConfigError(faults)
  return params
}
