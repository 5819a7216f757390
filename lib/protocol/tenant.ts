import type { IdTokenClaims } from '../claims.ts'
import type { Config } from '../config/config.ts'
import { OidcError } from '../errors.ts'
import { TENANT } from '../issuer.ts'

/**
 * A provider with many tenants signs for all of them: whoever has an account in any could log in here. So the tenant of a
 * verified ID Token must be one that the application knows. Throws `ERR_OIDC_TENANT`.
 */
export async function checkTenant(
  { issuer, tenants }: Pick<Config, 'issuer' | 'tenants'>,
  { tid }: IdTokenClaims,
): Promise<void> {
  if (!issuer.includes(TENANT)) return
  const isKnown = typeof tid === 'string' && (await isAllowed(tenants, tid))
  if (!isKnown) throw new OidcError('ERR_OIDC_TENANT', 'The person is from a tenant that may not log in here.')
}

/** Only `true` lets in: a function that forgets to return refuses. */
async function isAllowed(tenants: Config['tenants'], tenantId: string): Promise<boolean> {
  return typeof tenants === 'function' ? (await tenants(tenantId)) === true : tenants?.includes(tenantId) === true
}
