/**
 * The absolute http or https URL that a configuration gives, as the WHATWG parser reads it; undefined for anything else.
 * Raw text that a parser would mend in silence is refused: white space, backslashes, a missing slash, characters beyond
 * ASCII (hosts are written in punycode, paths percent-encoded). Credentials are refused too.
 */
export function parseHttpUrl(value: unknown): URL | undefined {
  if (typeof value !== 'string' || !/^https?:\/\/[^/?#@\\]+(?:[/?#]|$)/.test(value)) return undefined
  return /^[!-[\]-~]+$/.test(value) && URL.canParse(value) ? new URL(value) : undefined
}

/**
 * Whether this can be the issuer identifier (OIDC Discovery 3, RFC 8414 2): no query, no fragment, and a path that the
 * parser leaves as it is, since issuers are compared character by character.
 */
export function isIssuer(value: unknown): boolean {
  const url = parseHttpUrl(value)
  if (url === undefined || /[?#]/.test(String(value))) return false
  const path = String(value).replace(/^https?:\/\/[^/]+/, '')
  return url.pathname === (path || '/')
}
