import { ProviderError } from '../errors.ts'
import { isObject, type JsonObject } from '../jose/json.ts'
import type { ClientInformation, ClientMetadata } from '../options/registration-options.ts'
import type { ResponseHeaders } from '../provider/http-transport.ts'
import { jsonValueOf } from '../provider/http-transport.ts'
import type { Json } from '../types.ts'
import { checkClient } from './clients.ts'
import { type RegistrationEndpoint, registrationRefusal, requestRegistration } from './endpoint.ts'

/** The options of {@link listClients}. */
export interface ClientListOptions {
  /** Lists only clients whose name begins with this text. */
  readonly query?: string
  /** The number of clients on a page: 1 to 200 at Okta. All pages are read anyway, one when it is needed. */
  readonly limit?: number
}

/**
 * Lists clients, page by page. Only Okta has this; it names the next page in the header `Link`.
 *
 * @throws ProviderError as `registerClient` does. `ERR_OIDC_REGISTRATION_RESPONSE` also if the next page is on
 *   another host, where the token must not be sent, or was already read.
 * @example
 * ```ts
 * import { findRegistrationEndpoint, listClients } from 'express-oidc/registration'
 *
 * const endpoint = await findRegistrationEndpoint({ issuer, initialAccessToken: secret, initialAccessTokenScheme: 'SSWS' })
 * const ids: string[] = []
 * for await (const client of listClients(endpoint, { query: 'Portal' })) ids.push(client.client_id)
 * ```
 */
export async function* listClients(
  endpoint: RegistrationEndpoint,
  { query, limit }: ClientListOptions = {},
): AsyncGenerator<ClientInformation, void> {
  const first = new URL(endpoint.url)
  if (query !== undefined) first.searchParams.set('q', query)
  if (limit !== undefined) first.searchParams.set('limit', String(limit))
  const readPages = new Set<string>()
  for (let page: string | undefined = first.href; page !== undefined; ) {
    readPages.add(page)
    const response = await requestRegistration(endpoint, { method: 'GET', url: page })
    if (response.status !== 200) throw registrationRefusal(response)
    const list = jsonValueOf(response)
    if (!Array.isArray(list)) throw invalidPage('is not a JSON list')
    yield* list.map((client) => checkClient(endpoint, client))
    page = nextPage(response.headers, page)
    if (page !== undefined && readPages.has(page)) throw invalidPage('links to a page that was already read')
  }
}

/** One link of the header, with its parameters (RFC 8288 3). */
const LINK = /<([^<>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:"[^"]*"|[^\s",;]+))*)/g

/** RFC 8288 3.3: the first link with the relation `next`. Its URL may be relative. */
function nextPage(headers: ResponseHeaders, page: string): string | undefined {
  const links = [...(headers.get('link') ?? '').matchAll(LINK)]
  const target = links.find(([, , parameters]) => relationsOf(String(parameters)).includes('next'))?.[1]
  if (target === undefined) return undefined
  const next = URL.canParse(target, page) ? new URL(target, page) : undefined
  if (next?.origin !== new URL(page).origin) throw invalidPage('links to another host. No token is sent there')
  return next.href
}

function relationsOf(parameters: string): readonly string[] {
  const [, quoted, plain = ''] = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s",;]+))/i.exec(parameters) ?? []
  return (quoted ?? plain).toLowerCase().split(/\s+/)
}

function invalidPage(problem: string): ProviderError {
  return new ProviderError('ERR_OIDC_REGISTRATION_RESPONSE', `A page of the list of clients ${problem}.`)
}

/** The members in `credentials.oauthClient`. All others are in `settings.oauthClient`. */
const CREDENTIALS: readonly string[] = ['client_id', 'client_secret', 'token_endpoint_auth_method']

/** Members that the Apps API does not have. */
const NOT_SENT: readonly string[] = ['client_id_issued_at', 'client_secret_expires_at', 'registeredAt']

/**
 * Converts client metadata to an app for Okta's Apps API (`POST https://{domain}/api/v1/apps`). Apps from this API
 * differ from registered clients in two ways. They ask no user for consent, so `consent_method` is set to `REQUIRED`,
 * as registration does. And users must be assigned to them.
 *
 * @example
 * ```ts
 * import { toOktaApp } from 'express-oidc/registration'
 *
 * const body = JSON.stringify(toOktaApp({ client_name: 'Portal', redirect_uris: [`${baseUrl}/callback`] }))
 * const headers = { Authorization: `SSWS ${secret}`, 'Content-Type': 'application/json' }
 * await fetch(`${issuer}/api/v1/apps`, { method: 'POST', headers, body })
 * ```
 */
export function toOktaApp(metadata: ClientMetadata): JsonObject {
  const { client_name: label, ...members } = metadata
  const sent = Object.entries(members).filter(([name, value]) => isPresent(value) && !NOT_SENT.includes(name))
  const isCredential = ([name]: readonly [string, unknown]): boolean => CREDENTIALS.includes(name)
  const credentials = sent.filter(isCredential)
  const settings = sent.filter((entry) => !isCredential(entry))
  return {
    name: 'oidc_client',
    signOnMode: 'OPENID_CONNECT',
    ...(label === undefined ? {} : { label }),
    credentials: { oauthClient: Object.fromEntries(credentials) as JsonObject },
    settings: { oauthClient: { consent_method: 'REQUIRED', ...(Object.fromEntries(settings) as JsonObject) } },
  }
}

/**
 * Converts an app of Okta's Apps API to client metadata. Leaves out `null`s, and what client metadata does not have:
 * status, links, assignments.
 *
 * @example
 * ```ts
 * import { fromOktaApp } from 'express-oidc/registration'
 *
 * const response = await fetch(`${issuer}/api/v1/apps/0oa1`, { headers: { Authorization: `SSWS ${secret}` } })
 * const { redirect_uris: redirectUris } = fromOktaApp(JSON.parse(await response.text()))
 * ```
 */
export function fromOktaApp(app: JsonObject): ClientMetadata {
  const members = [app['settings'], app['credentials']].flatMap((part) =>
    Object.entries(objectMember(part, 'oauthClient')).filter(([, value]) => isPresent(value)),
  )
  const label = app['label']
  return { ...(typeof label === 'string' ? { client_name: label } : {}), ...Object.fromEntries(members) }
}

function objectMember(value: Json | undefined, name: string): JsonObject {
  const found = isObject(value) ? value[name] : undefined
  return isObject(found) ? found : {}
}

function isPresent(value: unknown): boolean {
  return value !== null && value !== undefined
}
