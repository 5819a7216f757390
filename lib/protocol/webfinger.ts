import { ConfigError, OidcError, ProviderError } from '../errors.ts'
import { isObject, presentMembers } from '../jose/json.ts'
import { isIssuer, parseHttpUrl } from '../options/urls.ts'
import { errorFromStatus, isRateLimit, readErrorResponse } from '../provider/error-response.ts'
import { createHttpClient } from '../provider/http-client.ts'
import { jsonBody, type ProviderResponse } from '../provider/http-transport.ts'
import { createPublicLookup, hasInternalAddress } from '../provider/public-address.ts'
import type { Json } from '../types.ts'

/** Options of `discoverIssuer()`. */
export interface WebFingerOptions {
  /**
   * The only hosts that may be requested, as `example.com` or `example.com:8080`. Set it if the users' hosts are known. They
   * may be in your own network.
   * @default any host on the public internet
   */
  hosts?: readonly string[]
  /**
   * The server to request, for example `https://example.okta.com`. Set it if one server knows all users.
   * @default the host of the identifier
   */
  server?: string
  /**
   * The URI scheme of an account. Okta knows only `okta:acct`.
   * @default 'acct'
   */
  resourceScheme?: string
  /**
   * The relation of the link to find. With `okta:idp`, Okta returns an identity provider behind Okta, not an issuer.
   * @default 'http://openid.net/specs/connect/1.0/issuer'
   */
  rel?: string
  /**
   * The time limit of the request, in seconds.
   * @default 10
   */
  timeout?: number
  /** Sends the request, for example through a proxy. The proxy must then block requests to your own network. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /**
   * Allow http and hosts of your own network. For development only.
   * @default false
   */
  dangerouslyAllowInsecureRequests?: boolean
}

const ISSUER = 'http://openid.net/specs/connect/1.0/issuer'

/** See `discoverIssuer()`, which loads this file. */
export async function findIssuer(identifier: string, options: WebFingerOptions): Promise<string> {
  const { rel = ISSUER, dangerouslyAllowInsecureRequests: isInsecure = false } = options
  const { resource, origin } = findServer(parseIdentifier(identifier, schemesOf(isInsecure)), options)
  const query = `resource=${encodeURIComponent(resource)}&rel=${encodeURIComponent(rel)}`
  const response = await createClient(options).request(`${origin}/.well-known/webfinger?${query}`, {
    method: 'GET',
    headers: { accept: 'application/jrd+json, application/json' },
  })
  checkStatus(response)
  const href = findLink(response, rel)
  if (typeof href === 'string' && isIssuer(href) && schemesOf(isInsecure).includes(new URL(href).protocol)) return href
  throw invalidResponse('has an issuer that is not an https URL without query and fragment')
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
  const isListed = hosts?.includes(url.host) ?? server !== undefined
  const isPublic =
    hosts === undefined && (options.dangerouslyAllowInsecureRequests === true || !hasInternalAddress(url))
  if (!isListed && !isPublic) {
    throw new OidcError(
      'ERR_OIDC_WEBFINGER_IDENTIFIER',
      'The host of the identifier is not allowed: it is not in the option hosts, or is an internal address.',
    )
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

/** RFC 7033 4.2: 404 for an unknown resource, 400 for one that the server does not understand. */
function checkStatus(response: ProviderResponse): void {
  if (response.status === 200) return
  if (response.status >= 500 || isRateLimit(response, readErrorResponse(response))) throw errorFromStatus(response)
  throw unknownIdentifier()
}

/** RFC 7033 4.3: a server may ignore `rel` and send all links. */
function findLink(response: ProviderResponse, rel: string): Json | undefined {
  const descriptor = jsonBody(response)
  const { links = [] } = presentMembers(descriptor ?? {})
  if (descriptor === undefined || !Array.isArray(links)) throw invalidResponse('is not a JSON resource descriptor')
  const found = links
    .filter(isObject)
    .map(presentMembers)
    .filter((link) => link['rel'] === rel)
  if (found.length === 0) throw unknownIdentifier()
  return found.find((link) => link['href'] !== undefined)?.['href']
}

function unknownIdentifier(): OidcError {
  return new OidcError('ERR_OIDC_WEBFINGER_UNKNOWN', 'The host of the identifier knows no OpenID provider for it.')
}

function invalidResponse(problem: string): ProviderError {
  return new ProviderError('ERR_OIDC_WEBFINGER_RESPONSE', `The WebFinger response ${problem}.`)
}

/** A normalized identifier. */
interface WebFingerIdentifier {
  /** `acct:joe@example.com`, or an https URL without fragment. */
  readonly resource: string
  /** Scheme, host and port of the server to request. */
  readonly origin: string
  /** `joe@example.com`, if it is an account. */
  readonly account: string | undefined
}

/** Far longer than any e-mail address. */
const MAX_LENGTH = 1024
/** OIDC Discovery 2.1: the global context symbols of XRI. */
const XRI = /^[=@!+$(]|^xri:/i
/** `example.com:8080` has a port, `mailto:joe@example.com` a scheme. */
const SCHEME = /^([a-z][a-z0-9+.-]*):(?!\d+(?:[/?#]|$))/i
/** RFC 3986 3.2.1: a second `@` makes it unclear which host is meant. */
const TWO_HOSTS = /^(?:[^/?#]*\/\/)?[^/?#]*@[^/?#]*@/
const ACCOUNT = /^([^@/?#]+)@([^@/?#:]+)$/

/**
 * Normalizes what a user typed (OIDC Discovery 2.1.2): `user@host` is an account, everything else without a scheme is an
 * https URL, and a fragment is removed.
 *
 * @throws OidcError `ERR_OIDC_WEBFINGER_IDENTIFIER` for anything else: an XRI, another scheme, a password.
 */
function parseIdentifier(text: string, schemes: readonly string[]): WebFingerIdentifier {
  const identifier = text.trim()
  const isInvalid = (): boolean => [XRI, TWO_HOSTS, /[\s\\\p{Cc}\p{Cs}]/u].some((form) => form.test(identifier))
  if (identifier.length > MAX_LENGTH || isInvalid()) throw invalidIdentifier()
  const scheme = SCHEME.exec(identifier)?.[1]?.toLowerCase()
  if (scheme === 'acct') return accountOf(identifier.slice('acct:'.length).replace(/#.*/, ''))
  if (scheme !== undefined) return urlOf(identifier, schemes)
  return ACCOUNT.test(identifier) ? accountOf(identifier) : urlOf(`https://${identifier}`, schemes)
}

/** RFC 7565 7: characters that the user part must not contain are percent-encoded. */
function accountOf(text: string): WebFingerIdentifier {
  const [, user = '', host = ''] = ACCOUNT.exec(text) ?? []
  const url = URL.canParse(`https://${host}`) ? new URL(`https://${host}`) : undefined
  if (url === undefined || user === '') throw invalidIdentifier()
  const account = `${user.replace(/[^\w.~!$&'()*+,;=%-]/gu, encodeURIComponent)}@${url.host}`
  return { resource: `acct:${account}`, origin: url.origin, account }
}

function urlOf(text: string, schemes: readonly string[]): WebFingerIdentifier {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !schemes.includes(url.protocol) || url.password !== '') throw invalidIdentifier()
  url.hash = ''
  return { resource: url.href, origin: url.origin, account: undefined }
}

function invalidIdentifier(): OidcError {
  return new OidcError(
    'ERR_OIDC_WEBFINGER_IDENTIFIER',
    'The identifier must be like joe@example.com or https://example.com/joe.',
  )
}
