import { ProviderError } from '../errors.ts'
import { isObject, type JsonObject } from '../jose/json.ts'
import type { ClientInformation, ClientMetadata } from '../options/registration-options.ts'
import { jsonValueOf } from '../provider/http-transport.ts'
import type { Json } from '../types.ts'
import { checkClient } from './clients.ts'
import { type RegistrationEndpoint, registrationRefusal, requestRegistration } from './endpoint.ts'

/** Which clients to list. */
export interface ClientListOptions {
  /** The beginning of their names. */
  readonly query?: string
  /** How many there are on one page: 1 to 200 at Okta. All pages are read in any case, as long as you go on. */
  readonly limit?: number
}

/** A parameter of a link, its value quoted or not (RFC 8288 3). */
const LINK = /<([^<>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:"[^"]*"|[^\s",;]+))*)/g

/**
 * Lists clients, one page after the other. No standard knows this: it is Okta's, with the pages in the `Link` header.
 *
 * @throws ProviderError as `registerClient` does; `ERR_OIDC_REGISTRATION_RESPONSE` also where the next page is on
 *   another host, which the token must not be sent to, or is one that was read already.
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
  const seen = new Set<string>()
  for (let page: string | undefined = first.href; page !== undefined; ) {
    seen.add(page)
    const answer = await requestRegistration(endpoint, { method: 'GET', url: page })
    if (answer.status !== 200) throw registrationRefusal(answer)
    const list = jsonValueOf(answer)
    if (!Array.isArray(list)) throw invalid('is not a JSON list')
    yield* list.map((client) => checkClient(endpoint, client))
    page = nextPage(answer.headers, page)
    if (page !== undefined && seen.has(page)) throw invalid('leads back to a page that was read')
  }
}

/** RFC 8288 3.3: the first link whose relations hold `next`; its target may be relative. */
function nextPage(headers: Headers, page: string): string | undefined {
  const links = [...(headers.get('link') ?? '').matchAll(LINK)]
  const target = links.find(([, , parameters]) => relationsOf(String(parameters)).includes('next'))?.[1]
  if (target === undefined) return undefined
  const next = URL.canParse(target, page) ? new URL(target, page) : undefined
  if (next?.origin !== new URL(page).origin) throw invalid('leads to another host')
  return next.href
}

function relationsOf(parameters: string): readonly string[] {
  const [, quoted, plain = ''] = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s",;]+))/i.exec(parameters) ?? []
  return (quoted ?? plain).toLowerCase().split(/\s+/)
}

function invalid(fault: string): ProviderError {
  return new ProviderError('ERR_OIDC_REGISTRATION_RESPONSE', `A page of the list of clients ${fault}.`)
}

/** Which members are in `credentials.oauthClient`; all others are in `settings.oauthClient`. */
const CREDENTIALS: readonly string[] = ['client_id', 'client_secret', 'token_endpoint_auth_method']

/** What registration knows and the Apps API does not: the provider makes it, or this library. */
const NOT_SENT: readonly string[] = ['client_id_issued_at', 'client_secret_expires_at', 'registeredAt']

/**
 * The app of Okta's Apps API (`POST https://{domain}/api/v1/apps`) for what would be registered. Apps made there differ
 * in two things: nobody is asked for consent unless `consent_method` is `REQUIRED`, while registration has that by itself,
 * and people must be assigned. So `consent_method` is filled in as registration has it.
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
 * The metadata of a client as registration would have it, out of an app of the Apps API; `null`s are left out, and what
 * registration does not know (status, links, assignments) too.
 */
export function fromOktaApp(app: JsonObject): ClientMetadata {
  const members = [app['settings'], app['credentials']].flatMap((part) =>
    Object.entries(member(part, 'oauthClient')).filter(([, value]) => isPresent(value)),
  )
  const label = app['label']
  return { ...(typeof label === 'string' ? { client_name: label } : {}), ...Object.fromEntries(members) }
}

function member(value: Json | undefined, name: string): JsonObject {
  const found = isObject(value) ? value[name] : undefined
  return isObject(found) ? found : {}
}

function isPresent(value: unknown): boolean {
  return value !== null && value !== undefined
}
