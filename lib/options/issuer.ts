/** What stands for the tenant in the issuer of a provider with many (Entra ID). */
export const TENANT_PLACEHOLDER = '{tenantid}'

const TENANT_ID = /^[A-Za-z0-9][A-Za-z0-9.-]{0,127}$/

/**
 * The issuer that a token with these claims must name: the configured one, character by character (OIDC Core 3.1.3.7),
 * or with the tenant of its `tid` put in. Undefined where that tenant is no name.
 */
function expectedIssuer(issuer: string, claims: Readonly<Record<string, unknown>>): string | undefined {
  if (!issuer.includes(TENANT_PLACEHOLDER)) return issuer
  const { tid } = claims
  return typeof tid === 'string' && TENANT_ID.test(tid) ? issuer.replace(TENANT_PLACEHOLDER, tid) : undefined
}

/** Whether these claims are of that issuer, or of one of its tenants. */
export function isIssuedBy(issuer: unknown, claims: Readonly<Record<string, unknown>>): boolean {
  const { iss } = claims
  return typeof issuer === 'string' && typeof iss === 'string' && iss === expectedIssuer(issuer, claims)
}

/** Whether a provider may call itself so where it names no tenant beside: by the issuer itself, or by that of any tenant. */
export function isIssuerOrTenant(issuer: string, iss: string): boolean {
  const [head = '', tail] = issuer.split(TENANT_PLACEHOLDER)
  if (iss === issuer || tail === undefined) return iss === issuer
  return iss.startsWith(head) && iss.endsWith(tail) && TENANT_ID.test(iss.slice(head.length, iss.length - tail.length))
}
interface Advice {
  /** What follows the option's name. */
  readonly sentence: string
  readonly fits: (issuer: IssuerParts) => boolean
}

interface IssuerParts {
  readonly text: string
  readonly host: string
  readonly path: string
  readonly isOkta: boolean
}

const ADVICE: readonly Advice[] = [
  {
    sentence: 'holds a placeholder: put in the domain of your own provider',
    fits: ({ text }) => /[{}<>]/.test(text),
  },
  {
    sentence: 'has its scheme twice: leave one https:// out',
    fits: ({ text }) => /^https?:\/\/https?(?::|\/\/)/i.test(text),
  },
  {
    sentence: 'ends its host in .com twice: leave one out',
    fits: ({ isOkta, host }) => isOkta && /\.com\.com$/.test(host),
  },
  {
    sentence: 'is the address of the discovery document: leave out /.well-known/ and what follows',
    fits: ({ path }) => /\/\.well-known\/(?:openid-configuration|oauth-authorization-server)\/?$/.test(path),
  },
  {
    sentence: 'is the address of the admin console: leave -admin out of the host',
    fits: ({ isOkta, host }) => isOkta && /^[^.]*-admin\./.test(host),
  },
  {
    sentence: 'is an endpoint: it must end before /v1, for example https://example.okta.com/oauth2/default',
    fits: ({ isOkta, path }) => isOkta && /^\/oauth2(?:\/[^/]+)?\/v1(?:\/|$)/.test(path),
  },
  {
    sentence: 'ends in a slash, which no issuer of Okta does: leave it out',
    fits: ({ isOkta, path }) => isOkta && path.endsWith('/'),
  },
]

/**
 * What is typically wrong with an issuer, each as the rest of a sentence; none for a value that looks right. Only what
 * is wrong at any provider is held against hosts that are not Okta's.
 */
export function issuerAdvice(issuer: string): readonly string[] {
  const [, host = '', path = ''] = /^https?:\/\/([^/?#:]*)[^/?#]*([^?#]*)/i.exec(issuer) ?? []
  const isOkta = /\.(?:okta|oktapreview|okta-emea)\.com(?:\.com)?$/i.test(host)
  const parts = { text: issuer, host: host.toLowerCase(), path, isOkta }
  return ADVICE.filter(({ fits }) => fits(parts)).map(({ sentence }) => sentence)
}

/**
 * Whether a value was copied from documentation with its placeholder: `{clientId}`, `${CLIENT_ID}`, `<your-client-id>`.
 * A random secret may hold any of these characters, so the whole value must look so, or name what is yours to put in.
 */
export function hasPlaceholder(value: string): boolean {
  return /^\$?\{[^{}]*\}$|^<[^<>]*>$|[{<]\s*your[^{}<>]*[}>]/i.test(value)
}
