import type { ClientInformation } from '../client-metadata.ts'
import { ProviderError } from '../errors.ts'
import { jsonValueOf } from '../http-client/http-answer.ts'
import { checkClient } from './registration-answer.ts'
import type { RegistrationEndpoint } from './registration-endpoint.ts'
import { registrationRefusal, requestRegistration } from './registration-request.ts'

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
