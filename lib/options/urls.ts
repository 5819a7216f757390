import { issuerAdvice } from './issuer.ts'
import { firstFailing, isJson, must, nonEmptyString, objectWith, optional, type Rule } from './rule.ts'

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

/** The issuer identifier, with advice for values that are typically wrong. */
export const issuer: Rule = firstFailing(
  nonEmptyString,
  (value, name) => issuerAdvice(withTenant(value)).map((sentence) => `${name} ${sentence}.`),
  must("be an absolute https URL without query, fragment or credentials, as the provider's metadata has it", (value) =>
    isIssuer(withTenant(value)),
  ),
)

/** An issuer that stands for many tenants is an issuer with any one of them in its path: whose host it is, is fixed. */
function withTenant(value: unknown): string {
  return String(value).replace(/^(https?:\/\/[^/]+\/.*)\{tenantid\}/, '$1tenant')
}

/** Where browsers see the application. Its path ends up in front of every route, in redirects and in cookies. */
export const baseUrl: Rule = must(
  'be an absolute https URL without query, fragment or credentials, such as https://example.com/portal',
  (value) => {
    const path = String(value).replace(/^https?:\/\/[^/?#]*/, '')
    return parseHttpUrl(value) !== undefined && (/^\/?$/.test(path) || isPlainPath(path.replace(/\/$/, '')))
  },
)

/** Where a browser lands after a logout. A query is allowed: it is compared with what is registered, whole. */
export const afterLogoutUrlRule: Rule = must(
  'be an absolute https URL without credentials, or a path below baseUrl that begins with one slash',
  (value) => parseHttpUrl(value) !== undefined || parseLocalPath(value, 'http://localhost') !== undefined,
)

/** The path of a route. */
export const routePath: Rule = must('be a path such as /login: plain segments, each after one slash', isPlainPath)

const endpoint: Rule = must(
  'be an absolute https URL without fragment or credentials',
  (value) => parseHttpUrl(value)?.href.includes('#') === false,
)

const ENDPOINTS: Readonly<Record<string, Rule>> = {
  issuer: nonEmptyString,
  authorization_endpoint: endpoint,
  token_endpoint: optional(endpoint),
  jwks_uri: endpoint,
  userinfo_endpoint: optional(endpoint),
  end_session_endpoint: optional(endpoint),
}

/** Provider metadata (OIDC Discovery 3): the endpoints that we call; other members are left as they are. */
export const providerMetadata: Rule = firstFailing(
  objectWith((given, name) =>
    Object.entries(ENDPOINTS).flatMap(([member, rule]) => rule(given[member], `${name}.${member}`)),
  ),
  must('hold only what JSON can hold', (value) => isJson(value)),
)

/** The longest path in characters: it travels in a cookie (RFC 6265 6.1 promises 4096 bytes for all of it). */
const MAX_LENGTH = 1024

/** How often a path may still change when it is decoded again. */
const MAX_DECODINGS = 8

// Two readings of one text differ between parsers, proxies and browsers, so each of these is refused in every reading.
const HOSTILE: readonly RegExp[] = [
  // Control characters and backslashes: WHATWG drops tabs and newlines, and takes a backslash for a slash (URL 4.4).
  /[\p{Cc}\\]/u,
  // White space, save plain spaces inside a segment: `/my%20files/a%20b` is an ordinary path.
  /[^\S ]|\/ | (?:\/|$)/,
  // A second slash, or what looks like one, right after the first: a scheme-relative reference (RFC 3986 4.2).
  /^\/[/\u2044\u2215\u2216\u2571\u2572\u27cb\u27cd\u29f5\u29f6\u29f8\u29f9\u2afb]/,
  // Dot segments: browsers resolve them before they ask, so no request of theirs holds one.
  /(?:^|\/)\.{1,2}(?:\/|$)/,
]

/** The characters of one path segment (RFC 3986 3.3) that survive in a cookie's Path and mean nothing to a router. */
const PLAIN_PATH = /^(?:\/(?:[\w.~!$&'()*+=:@-]|%[89a-f][\da-f])+)+$/i

/**
 * The path, query and fragment of one's own origin that `value` stands for, parsed as browsers do (WHATWG URL); undefined
 * for anything else. It must begin with exactly one slash, and must do so however often its path is percent-decoded.
 * The query and the fragment are data: only their raw characters are looked at.
 */
export function parseLocalPath(value: unknown, origin: string): URL | undefined {
  if (typeof value !== 'string' || value.length > MAX_LENGTH) return undefined
  if (!/^\/(?!\/)/.test(value) || /[\s\p{Cc}\\]/u.test(value)) return undefined
  const url = new URL(value, origin)
  // The parser that browsers use has the last word: what it made must be ours, and short enough still.
  const isOurs = url.origin === origin && !url.pathname.startsWith('//')
  const isShort = url.href.length - origin.length <= MAX_LENGTH
  return isOurs && isShort && isHarmless(value.replace(/[?#].*$/s, '')) ? url : undefined
}

/** The path with all percent-encoding taken off; undefined where that is malformed or does not end. */
export function decodePath(path: string): string | undefined {
  return decodings(path)?.at(-1)
}

/**
 * Whether this is a path that routes can answer at: segments of plain characters, each after one slash, no dot segments,
 * no slash at the end. Percent-encoding is for characters beyond ASCII only.
 */
export function isPlainPath(value: unknown): value is string {
  return typeof value === 'string' && PLAIN_PATH.test(value) && isHarmless(value)
}

function isHarmless(path: string): boolean {
  return decodings(path)?.every(isHarmlessReading) ?? false
}

/** Compatibility forms count too: NFKC makes a slash of U+FF0F and two dots of U+2025 (UTS 46 does so with hosts). */
function isHarmlessReading(path: string): boolean {
  return [path, path.normalize('NFKC')].every((form) => !HOSTILE.some((pattern) => pattern.test(form)))
}

/** The path as it is and as it reads after each decoding, the last one decoded in full. */
function decodings(path: string): readonly string[] | undefined {
  if (/%(?![\da-f]{2})/i.test(path)) return undefined
  const found = [path]
  for (let last = path; found.length <= MAX_DECODINGS; ) {
    const next = decodeOnce(last)
    if (next === last) return found
    found.push(next)
    last = next
  }
  return undefined
}

/** A lone percent sign stands for itself: `/100%25` reads `/100%`. Bytes that are no UTF-8 become a NUL, and so hostile. */
function decodeOnce(path: string): string {
  return path.replace(/(?:%[\da-f]{2})+/gi, (run) => {
    try {
      return decodeURIComponent(run)
    } catch {
      return '\0'
    }
  })
}
