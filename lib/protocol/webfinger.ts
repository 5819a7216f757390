import { ConfigError, OidcError, ProviderError } from '../errors.ts'
import { isObject } from '../jose/json.ts'
import { isIssuer, parseHttpUrl } from '../options/urls.ts'
import { errorFromStatus, isRateLimit, readErrorResponse } from '../provider/error-response.ts'
import { createHttpClient } from '../provider/http-client.ts'
import { jsonBody, type ProviderResponse } from '../provider/http-transport.ts'
import { createPublicLookup, hasInternalAddress } from '../provider/public-address.ts'
import type { Json } from '../types.ts'

/** How {@link discoverIssuer} looks for a provider. */
export interface WebFingerOptions {
  /**
   * The only hosts that may be asked, as `example.com` or `example.com:8080`. They may be in your own network.
   * @default any host on the public internet
   */
  hosts?: readonly string[]
  /** The server to ask, whatever the identifier's host: `https://example.okta.com`. */
  server?: string
  /**
   * What stands before an account: Okta knows `okta:acct` alone.
   * @default 'acct'
   */
  resourceScheme?: string
  /**
   * The relation of the link that is looked for. Okta also has `okta:idp`: the link is then that of an identity provider
   * behind Okta, not of an issuer.
   * @default 'http://openid.net/specs/connect/1.0/issuer'
   */
  rel?: string
  /**
   * The longest that the request may take in all, in seconds.
   * @default 10
   */
  timeout?: number
  /** Used for the request, for example to go through a proxy, which must itself keep away from your own network. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /**
   * Allow plain http and hosts of your own network. For development only.
   * @default false
   */
  dangerouslyAllowInsecureRequests?: boolean
}

const ISSUER = 'http://openid.net/specs/connect/1.0/issuer'

/**
 * Finds the issuer for what a person typed, `joe@example.com` or the address of a page, by asking the host in it (OIDC
 * Discovery 2). Strangers choose that host, so only public addresses are asked, https alone, and no redirect is followed.
 * What comes back is a claim of that host: log people in at an issuer only where you are ready to trust it.
 *
 * @throws OidcError `ERR_OIDC_WEBFINGER_IDENTIFIER` where the text is no identifier or its host must not be asked,
 *   `ERR_OIDC_WEBFINGER_UNKNOWN` where the host names no issuer, `ERR_OIDC_WEBFINGER_RESPONSE` where its answer is none,
 *   `ERR_OIDC_PROVIDER_...` where it cannot be asked.
 * @example
 * ```ts
 * const found = await discoverIssuer('joe@example.com')
 * const atOkta = { server: 'https://example.okta.com', resourceScheme: 'okta:acct' }
 * const org = await discoverIssuer('joe@example.com', atOkta)
 * ```
 */
export async function discoverIssuer(identifier: string, options: WebFingerOptions = {}): Promise<string> {
  const { rel = ISSUER, dangerouslyAllowInsecureRequests: isInsecure = false } = options
  const { resource, origin } = findServer(parseIdentifier(identifier, schemesOf(isInsecure)), options)
  const address = `${origin}/.well-known/webfinger?resource=${encodeURIComponent(resource)}&rel=${encodeURIComponent(rel)}`
  const answer = await createClient(options).request(address, {
    method: 'GET',
    headers: { accept: 'application/jrd+json, application/json' },
  })
  checkStatus(answer)
  const href = findLink(answer, rel)
  if (typeof href === 'string' && isIssuer(href) && schemesOf(isInsecure).includes(new URL(href).protocol)) return href
  throw invalid('names an issuer that is no https URL without query and fragment')
}

function schemesOf(isInsecure: boolean): readonly string[] {
  return isInsecure ? ['https:', 'http:'] : ['https:']
}

function findServer(identifier: WebFingerIdentifier, options: WebFingerOptions): { resource: string; origin: string } {
  const { account, resource } = identifier
  const { resourceScheme = 'acct', server, hosts } = options
  const origin = server === undefined ? identifier.origin : parseHttpUrl(server)?.origin
  if (origin === undefined) throw new ConfigError(['server must be an absolute https URL.'])
  const url = new URL(origin)
  const isKnown = hosts?.includes(url.host) ?? server !== undefined
  const isOpen = hosts === undefined && (options.dangerouslyAllowInsecureRequests === true || !hasInternalAddress(url))
  if (!isKnown && !isOpen) {
    throw new OidcError('ERR_OIDC_WEBFINGER_IDENTIFIER', 'The host of the identifier must not be asked for a provider.')
  }
  return { resource: account === undefined ? resource : `${resourceScheme}:${account}`, origin }
}

function createClient({
  hosts,
  server,
  timeout = 10,
  fetch,
  dangerouslyAllowInsecureRequests = false,
}: WebFingerOptions) {
  const isChosen = hosts !== undefined || server !== undefined || dangerouslyAllowInsecureRequests
  const lookup = isChosen ? undefined : createPublicLookup()
  return createHttpClient({ timeout, fetch, dangerouslyAllowInsecureRequests, lookup })
}

/** RFC 7033 4.2: 404 where nothing is known, 400 where the resource is not understood. */
function checkStatus(answer: ProviderResponse): void {
  if (answer.status === 200) return
  if (answer.status >= 500 || isRateLimit(answer, readErrorResponse(answer))) throw errorFromStatus(answer)
  throw unknown()
}

/** RFC 7033 4.3: a server may leave `rel` aside and send all links. */
function findLink(answer: ProviderResponse, rel: string): Json | undefined {
  const { links = [] } = jsonBody(answer) ?? {}
  if (jsonBody(answer) === undefined || !Array.isArray(links)) throw invalid('is not a JSON resource descriptor')
  const link = links.filter(isObject).find((one) => one['rel'] === rel)
  if (link === undefined) throw unknown()
  return link['href']
}

function unknown(): OidcError {
  return new OidcError('ERR_OIDC_WEBFINGER_UNKNOWN', 'The host of the identifier names no provider for it.')
}

function invalid(fault: string): ProviderError {
  return new ProviderError('ERR_OIDC_WEBFINGER_RESPONSE', `The answer to the WebFinger request ${fault}.`)
}

/** What a person typed, made into what a WebFinger server is asked. */
interface WebFingerIdentifier {
  /** `acct:joe@example.com`, or an https URL without fragment. */
  readonly resource: string
  /** Scheme, host and port of the server that knows it. */
  readonly origin: string
  /** The part before the `@` and the host, where it is an account. */
  readonly account: string | undefined
}

/** Far longer than any address of mail. */
const LONGEST = 1024
/** OIDC Discovery 2.1: the global context symbols of XRI. */
const XRI = /^[=@!+$(]|^xri:/i
/** `example.com:8080` has a port, `mailto:joe@example.com` a scheme. */
const SCHEME = /^([a-z][a-z0-9+.-]*):(?!\d+(?:[/?#]|$))/i
/** RFC 3986 3.2.1: a second `@` makes it doubtful which host is meant. */
const TWO_HOSTS = /^(?:[^/?#]*\/\/)?[^/?#]*@[^/?#]*@/
const ACCOUNT = /^([^@/?#]+)@([^@/?#:]+)$/

/**
 * Normalises what a person typed (OIDC Discovery 2.1.2): user and host alone are an account, everything else without a
 * scheme is an https URL, a fragment is dropped.
 *
 * @throws OidcError `ERR_OIDC_WEBFINGER_IDENTIFIER` for anything else: an XRI, another scheme, a password.
 */
function parseIdentifier(text: string, schemes: readonly string[]): WebFingerIdentifier {
  const identifier = text.trim()
  const isOdd = (): boolean => [XRI, TWO_HOSTS, /[\s\\\p{Cc}\p{Cs}]/u].some((fault) => fault.test(identifier))
  if (identifier.length > LONGEST || isOdd()) throw unusable()
  const scheme = SCHEME.exec(identifier)?.[1]?.toLowerCase()
  if (scheme === 'acct') return accountOf(identifier.slice('acct:'.length).replace(/#.*/, ''))
  if (scheme !== undefined) return addressOf(identifier, schemes)
  return ACCOUNT.test(identifier) ? accountOf(identifier) : addressOf(`https://${identifier}`, schemes)
}

/** RFC 7565 7: what the user's part may not hold is percent-encoded. */
function accountOf(text: string): WebFingerIdentifier {
  const [, user = '', host = ''] = ACCOUNT.exec(text) ?? []
  const url = URL.canParse(`https://${host}`) ? new URL(`https://${host}`) : undefined
  if (url === undefined || user === '') throw unusable()
  const account = `${user.replace(/[^\w.~!$&'()*+,;=%-]/gu, encodeURIComponent)}@${url.host}`
  return { resource: `acct:${account}`, origin: url.origin, account }
}

function addressOf(text: string, schemes: readonly string[]): WebFingerIdentifier {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !schemes.includes(url.protocol) || url.password !== '') throw unusable()
  url.hash = ''
  return { resource: url.href, origin: url.origin, account: undefined }
}

function unusable(): OidcError {
  return new OidcError(
    'ERR_OIDC_WEBFINGER_IDENTIFIER',
    'No provider can be looked for by this: it must be like joe@example.com or https://example.com/joe.',
  )
}
