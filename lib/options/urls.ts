import { adviseOnIssuer } from './issuer.ts'
import { firstFailing, isJson, listOf, must, nonEmptyString, objectWith, type Rule, showUrl } from './rule.ts'

/**
 * Parses an absolute http or https URL of the options as browsers do (WHATWG URL). `undefined` for anything else, for a
 * URL with credentials, and for text that the parser would correct silently: spaces, backslashes, a missing slash,
 * non-ASCII.
 */
export function parseHttpUrl(value: unknown): URL | undefined {
  if (typeof value !== 'string' || !/^https?:\/\/[^/?#@\\]+(?:[/?#]|$)/.test(value)) return undefined
  return /^[!-[\]-~]+$/.test(value) && URL.canParse(value) ? new URL(value) : undefined
}

/**
 * True for an issuer identifier (OIDC Discovery 3, RFC 8414 2): no query, no fragment, and a path that the parser
 * leaves unchanged, because issuers are compared character by character.
 */
export function isIssuer(value: unknown): boolean {
  const url = parseHttpUrl(value)
  if (url === undefined || /[?#]/.test(String(value))) return false
  const path = String(value).replace(/^https?:\/\/[^/]+/, '')
  return url.pathname === (path || '/')
}

/** An issuer identifier, with advice on typical mistakes. */
export const issuer: Rule = firstFailing(
  nonEmptyString,
  (value, name) => adviseOnIssuer(withTenant(value)).map((advice) => `${name} ${advice}`),
  must(
    "be an absolute https URL without query, fragment or credentials, exactly as in the provider's metadata",
    (value) => isIssuer(withTenant(value)),
    showUrl,
  ),
)

/** Puts a tenant in place of `{tenantid}`, which is allowed in the path only: the host is always a fixed one. */
function withTenant(value: unknown): string {
  return String(value).replace(/^(https?:\/\/[^/]+\/.*)\{tenantid\}/, '$1tenant')
}

/** Its path becomes part of every route, redirect and cookie. */
export const baseUrl: Rule = must(
  'be an absolute https URL without query, fragment or credentials, for example https://example.com/portal',
  (value) => {
    if (typeof value !== 'string' || parseHttpUrl(withAsciiHost(value)) === undefined) return false
    const path = String(value).replace(/^https?:\/\/[^/?#]*/, '')
    return /^\/?$/.test(path) || isPlainPath(path.replace(/\/$/, ''))
  },
  showUrl,
)

/** The URL of each host of the application, or the only one. */
export const baseUrls: Rule = (value, name) => (Array.isArray(value) ? listOfHosts : baseUrl)(value, name)

const listOfHosts: Rule = firstFailing(listOf('one or more URLs of this application', baseUrl, 1), differentHosts)

/** The host of a request says which URL is meant, so it must say all of it. */
function differentHosts(list: unknown, option: string): readonly string[] {
  const [first, ...others] = [list].flat().map((url) => new URL(withAsciiHost(String(url))))
  return others.flatMap((url, index) => {
    const name = `${option}[${index + 1}]`
    const isTwice = [first, ...others.slice(0, index)].some((earlier) => earlier?.host === url.host)
    return [
      ...(isTwice ? [`${name} must have a host of its own. Received ${showUrl(url.host)} twice.`] : []),
      ...(['protocol', 'pathname'] as const).flatMap((part) => differentPart(name, part, first, url)),
    ]
  })
}

function differentPart(
  name: string,
  part: 'protocol' | 'pathname',
  first: URL | undefined,
  url: URL,
): readonly string[] {
  const [expected, given] = [first, url].map((one) => one?.[part].replace(/\/$/, ''))
  if (expected === given) return []
  const what = part === 'protocol' ? 'scheme' : 'path'
  return [`${name} must have the same ${what} as the first: the URLs of a list differ in their host only.`]
}

/**
 * Writes the host as browsers send it: `https://xn--mnchen-3ya.example` for `https://münchen.example`
 * (UTS 46). Only letters, marks and digits are converted, because other characters could be read as the end of the host.
 */
export function withAsciiHost(url: string): string {
  const [, scheme = '', host = '', rest = ''] = /^(https?:\/\/)([\p{L}\p{M}\p{N}.-]+)(.*)$/su.exec(url) ?? []
  const isConverted = /[^\0-\x7f]/.test(host) && URL.canParse(scheme + host)
  return isConverted ? new URL(scheme + host).origin + rest : url
}

/** Origins as browsers send them in `Origin` (RFC 6454 6.2). They are compared character by character. */
export const origins: Rule = listOf(
  'origins',
  must(
    'be an origin as browsers send it: scheme, host and port, in lower case and without a slash at the end',
    (value) => parseHttpUrl(value)?.origin === value,
    showUrl,
  ),
)

/** A query is allowed: the provider compares the whole URL with what is registered. */
export const afterLogoutUrlRule: Rule = must(
  'be an absolute https URL without credentials, or a path below baseUrl that begins with one slash',
  (value) => {
    const url = typeof value === 'string' ? withAsciiHost(value) : value
    return parseHttpUrl(url) !== undefined || parseLocalPath(value, 'http://localhost') !== undefined
  },
  showUrl,
)

export const routePath: Rule = must(
  'be a path such as /login: plain segments, each after one slash, and no slash at the end',
  isPlainPath,
  showUrl,
)

/** The URL of an endpoint. */
export const endpointUrl: Rule = must(
  'be an absolute https URL without fragment or credentials',
  (value) => parseHttpUrl(value)?.href.includes('#') === false,
  showUrl,
)

/** Members beside discovery. The issuer is not among them, because it proves whose metadata it is. */
export const extraProviderMetadata: Rule = firstFailing(
  objectWith((given, name) => [
    ...(Object.hasOwn(given, 'jwks')
      ? [`${name} must not contain jwks: only providerMetadata can hold the keys.`]
      : []),
    ...(Object.hasOwn(given, 'issuer') ? [`${name} must not contain issuer: set the option issuer.`] : []),
    ...Object.entries(given)
      .filter(([member, url]) => /_(?:endpoint|uri)$/.test(member) && url !== null)
      .flatMap(([member, url]) => endpointUrl(url, `${name}.${member}`)),
  ]),
  must('contain only values that JSON can hold', (value) => isJson(value)),
)

/** The longest local path in characters. It travels in cookies, and proxies reject a Cookie header of about 8 kB. */
const MAX_LENGTH = 4096

/** How many times a path may change when it is decoded again and again. */
const MAX_DECODINGS = 8

// Parsers, proxies and browsers read these differently, so a path with one of them is rejected, also after decoding.
const HOSTILE: readonly RegExp[] = [
  // Control characters and backslashes: WHATWG URL 4.4 removes tabs and newlines, and reads a backslash as a slash.
  /[\p{Cc}\\]/u,
  // White space other than plain spaces inside a segment: `/my%20files/a%20b` is an ordinary path.
  /[^\S ]|\/ | (?:\/|$)/,
  // A second slash, or a character that looks like one, after the first: a scheme-relative reference (RFC 3986 4.2).
  /^\/[/\u2044\u2215\u2216\u2571\u2572\u27cb\u27cd\u29f5\u29f6\u29f8\u29f9\u2afb]/,
  // Dot segments. Browsers resolve them before a request, so no request of a browser has one.
  /(?:^|\/)\.{1,2}(?:\/|$)/,
]

/** Path segments (RFC 3986 3.3) of characters that are allowed in a cookie's Path and have no meaning for a router. */
const PLAIN_PATH = /^(?:\/(?:[\w.~!$&'()*+=:@-]|%[89a-f][\da-f])+)+$/i

/**
 * Parses a path, with query and fragment, of our own origin as browsers do (WHATWG URL). `undefined` for anything else.
 * It must begin with exactly one slash, also after its path is decoded any number of times. The query and the fragment
 * are data, so only their raw characters are checked.
 */
export function parseLocalPath(value: unknown, origin: string): URL | undefined {
  if (typeof value !== 'string' || value.length > MAX_LENGTH) return undefined
  if (!/^\/(?!\/)/.test(value) || /[\s\p{Cc}\\]/u.test(value)) return undefined
  const url = new URL(value, origin)
  // What the parser of browsers makes of it decides: it must still be on our origin, and short.
  const isOurs = url.origin === origin && !url.pathname.startsWith('//')
  const isShort = url.href.length - origin.length <= MAX_LENGTH
  return isOurs && isShort && isHarmless(value.replace(/[?#].*$/s, '')) ? url : undefined
}

/** The path with all percent-encoding decoded; `undefined` if that is malformed or has no end. */
export function decodePath(path: string): string | undefined {
  return decodings(path)?.at(-1)
}

/**
 * True for a path that a route can have: segments of plain characters, each after one slash, no dot segments, no slash
 * at the end. Only non-ASCII characters may be percent-encoded.
 */
export function isPlainPath(value: unknown): value is string {
  return typeof value === 'string' && PLAIN_PATH.test(value) && isHarmless(value)
}

function isHarmless(path: string): boolean {
  return decodings(path)?.every(isHarmlessReading) ?? false
}

/**
 * Checks the compatibility form too: NFKC turns U+FF0F into a slash and U+2025 into two dots, as UTS 46 does in hosts. A
 * space of another script, such as U+3000 in Japanese, is a letter here, but not at the beginning of the path: no parser
 * removes it.
 */
function isHarmlessReading(path: string): boolean {
  const letters = path.replace(/(?<!^\/)(?! )\p{Zs}/gu, '_')
  return [letters, letters.normalize('NFKC')].every((form) => !HOSTILE.some((pattern) => pattern.test(form)))
}

/** The path as it is, and after each decoding until nothing is left to decode. */
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

/** A lone percent sign stays: `/100%25` becomes `/100%`. Bytes that are not UTF-8 become a NUL, which is hostile. */
function decodeOnce(path: string): string {
  return path.replace(/(?:%[\da-f]{2})+/gi, (run) => {
    try {
      return decodeURIComponent(run)
    } catch {
      return '\0'
    }
  })
}
