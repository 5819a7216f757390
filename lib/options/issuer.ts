import { showUrl } from './rule.ts'

/** Stands for the tenant in the issuer of a provider with many tenants (Entra ID). */
export const TENANT_PLACEHOLDER = '{tenantid}'

const TENANT_ID = /^[A-Za-z0-9][A-Za-z0-9.-]{0,127}$/

/** True if these claims come from this issuer, or from one of its tenants. */
export function isIssuedBy(issuer: unknown, claims: Readonly<Record<string, unknown>>): boolean {
  const { iss } = claims
  return typeof issuer === 'string' && typeof iss === 'string' && iss === expectedIssuer(issuer, claims)
}

/**
 * The `iss` that a token with these claims must have: the configured issuer, character by character (OIDC Core
 * 3.1.3.7), with the tenant from the claim `tid` put in. `undefined` if `tid` is not a tenant id.
 */
function expectedIssuer(issuer: string, claims: Readonly<Record<string, unknown>>): string | undefined {
  if (!issuer.includes(TENANT_PLACEHOLDER)) return issuer
  const { tid } = claims
  return typeof tid === 'string' && TENANT_ID.test(tid) ? issuer.replace(TENANT_PLACEHOLDER, tid) : undefined
}

/**
 * True if `iss` is this issuer, or that of any of its tenants. For messages that do not name the tenant beside `iss`.
 */
export function isIssuerOrTenant(issuer: string, iss: string): boolean {
  const [head = '', tail] = issuer.split(TENANT_PLACEHOLDER)
  if (iss === issuer || tail === undefined) return iss === issuer
  return iss.startsWith(head) && iss.endsWith(tail) && TENANT_ID.test(iss.slice(head.length, iss.length - tail.length))
}

/** Which tenants of a provider are allowed: a list of ids, or a function that returns true for an allowed `tid`. */
export type AllowedTenants = readonly string[] | ((tenantId: string) => boolean | Promise<boolean>)

/** Only `true` allows a tenant: a function that forgets to return refuses it. */
export async function isAllowedTenant(tenants: AllowedTenants | undefined, tenantId: unknown): Promise<boolean> {
  if (typeof tenantId !== 'string') return false
  return typeof tenants === 'function' ? (await tenants(tenantId)) === true : tenants?.includes(tenantId) === true
}

/** A typical mistake in an issuer. */
interface Mistake {
  /** Completes the message "issuer ...". */
  readonly advice: string
  readonly isMade: (issuer: IssuerParts) => boolean
}

interface IssuerParts {
  readonly text: string
  readonly host: string
  readonly path: string
  readonly isOkta: boolean
}

const MISTAKES: readonly Mistake[] = [
  {
    advice: 'contains a placeholder. Replace it with the domain of your own provider',
    isMade: ({ text }) => /[{}<>]/.test(text),
  },
  {
    advice: 'has its scheme twice. Remove one https://',
    isMade: ({ text }) => /^https?:\/\/https?(?::|\/\/)/i.test(text),
  },
  {
    advice: 'ends its host in .com twice. Remove one',
    isMade: ({ isOkta, host }) => isOkta && /\.com\.com$/.test(host),
  },
  {
    advice: 'is the URL of the discovery document. Remove /.well-known/ and what follows',
    isMade: ({ path }) => /\/\.well-known\/(?:openid-configuration|oauth-authorization-server)\/?$/.test(path),
  },
  {
    advice: 'is the URL of the admin console: remove -admin from the host',
    isMade: ({ isOkta, host }) => isOkta && /^[^.]*-admin\./.test(host),
  },
  {
    advice: 'is the URL of an endpoint. Remove /v1 and what follows, as in https://example.okta.com/oauth2/default',
    isMade: ({ isOkta, path }) => isOkta && /^\/oauth2(?:\/[^/]+)?\/v1(?:\/|$)/.test(path),
  },
  {
    advice: 'ends in a slash. No issuer of Okta does. Remove it',
    isMade: ({ isOkta, path }) => isOkta && path.endsWith('/'),
  },
]

/**
 * Typical mistakes in an issuer, each as the rest of a message after the option's name. Some are mistakes at Okta only.
 * Empty for an issuer that looks right.
 */
export function adviseOnIssuer(issuer: string): readonly string[] {
  const [, host = '', path = ''] = /^https?:\/\/([^/?#:]*)[^/?#]*([^?#]*)/i.exec(issuer) ?? []
  const isOkta = /\.(?:okta|oktapreview|okta-emea)\.com(?:\.com)?$/i.test(host)
  const parts = { text: issuer, host: host.toLowerCase(), path, isOkta }
  const received = showUrl(issuer)
  return MISTAKES.filter(({ isMade }) => isMade(parts)).map(
    ({ advice }) => `${advice}.${received === undefined ? '' : ` Received ${received}.`}`,
  )
}

/**
 * True for a placeholder that was copied from documentation: `{clientId}`, `${CLIENT_ID}`, `<your-client-id>`. A random
 * secret may contain any of these characters, so only a whole value in brackets counts, or brackets around "your".
 */
export function hasPlaceholder(value: string): boolean {
  return /^\$?\{[^{}]*\}$|^<[^<>]*>$|[{<]\s*your[^{}<>]*[}>]/i.test(value)
}
