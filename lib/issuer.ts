/** What stands for the tenant in the issuer of a provider with many (Entra ID). */
export const TENANT = '{tenantid}'

const TENANT_ID = /^[A-Za-z0-9][A-Za-z0-9.-]{0,127}$/

/**
 * The issuer that a token with these claims must name: the configured one, character by character (OIDC Core 3.1.3.7),
 * or with the tenant of its `tid` put in. Undefined where that tenant is no name.
 */
export function expectedIssuer(issuer: string, claims: Readonly<Record<string, unknown>>): string | undefined {
  if (!issuer.includes(TENANT)) return issuer
  const { tid } = claims
  return typeof tid === 'string' && TENANT_ID.test(tid) ? issuer.replace(TENANT, tid) : undefined
}

/** Whether these claims are of that issuer, or of one of its tenants. */
export function isOfIssuer(issuer: unknown, claims: Readonly<Record<string, unknown>>): boolean {
  const { iss } = claims
  return typeof issuer === 'string' && typeof iss === 'string' && iss === expectedIssuer(issuer, claims)
}

/** Whether a provider may call itself so where it names no tenant beside: by the issuer itself, or by that of any tenant. */
export function isNameOf(issuer: string, iss: string): boolean {
  const [head = '', tail] = issuer.split(TENANT)
  if (iss === issuer || tail === undefined) return iss === issuer
  return iss.startsWith(head) && iss.endsWith(tail) && TENANT_ID.test(iss.slice(head.length, iss.length - tail.length))
}
