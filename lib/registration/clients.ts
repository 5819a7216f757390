import { ConfigError, ProviderError } from '../errors.ts'
import { publishError } from '../events.ts'
import { isObject, type JsonObject, presentMembers } from '../jose/json.ts'
import { isCredential } from '../options/credential.ts'
import {
  type ClientChanges,
  type ClientInformation,
  type ClientMetadata,
  isHeaderToken,
  type RegisteredClient,
} from '../options/registration-options.ts'
import { readErrorResponse } from '../provider/error-response.ts'
import { jsonBody, type ProviderResponse } from '../provider/http-transport.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Json } from '../types.ts'
import { findMetadataProblems } from './client-metadata.ts'
import {
  clientUrlOf,
  isClientUrl,
  type RegistrationEndpoint,
  registrationRefusal,
  requestRegistration,
} from './endpoint.ts'

/** The result of {@link rotateClientSecret}. */
export interface SecretRotation {
  /** Save it even if its secret is not new: its registration token may be. */
  readonly client: RegisteredClient
  /** True if the secret has changed. */
  readonly isNew: boolean
}

/**
 * Registers a client (RFC 7591 3.1). Returns what the provider made of it, which may differ from the request. Save it
 * at once: most providers never send the secret again.
 *
 * @throws ConfigError if the metadata contradicts itself or contains a private key. Then nothing is sent.
 * @throws ProviderError `ERR_OIDC_REGISTRATION_REFUSED`, `ERR_OIDC_REGISTRATION_UNAUTHORIZED`,
 *   `ERR_OIDC_REGISTRATION_RESPONSE`, `ERR_OIDC_PROVIDER_...`. If there was no response, the client may exist.
 * @example
 * ```ts
 * import { clientKey, fileClientStore, findRegistrationEndpoint, registerClient } from 'express-oidc/registration'
 *
 * const endpoint = await findRegistrationEndpoint({ issuer })
 * const client = await registerClient(endpoint, { client_name: 'Portal', redirect_uris: [`${baseUrl}/callback`] })
 * await fileClientStore('/var/lib/portal/clients').write(clientKey(issuer), client)
 * ```
 */
export async function registerClient(
  endpoint: RegistrationEndpoint,
  metadata: ClientMetadata,
): Promise<RegisteredClient> {
  rejectProblems(findMetadataProblems(metadata))
  const response = await requestRegistration(endpoint, { method: 'POST', url: endpoint.url, body: metadata })
  return { ...readClientResponse(endpoint, response, metadata), registeredAt: nowInWholeSeconds() }
}

/**
 * Reads a client (RFC 7592 2.1). The secret and the registration token of `client` are kept if the response has none.
 * If it has new ones, the old ones are no longer valid: save the result.
 *
 * @example
 * ```ts
 * import { findRegistrationEndpoint, readClient } from 'express-oidc/registration'
 *
 * const endpoint = await findRegistrationEndpoint({ issuer, initialAccessToken: secret })
 * const client = await readClient(endpoint, { client_id: clientId })
 * console.log(client.redirect_uris)
 * ```
 */
export async function readClient(endpoint: RegistrationEndpoint, client: ClientInformation): Promise<RegisteredClient> {
  const response = await requestRegistration(endpoint, { method: 'GET', url: clientUrlOf(endpoint, client), client })
  return mergeResponse(client, readClientResponse(endpoint, response, client))
}

/**
 * Changes a client (RFC 7592 2.2). An update replaces the whole client, so all members of `client` are sent again, with
 * `changes` over them. A change to `null` removes a member. If others may have changed the client, read it first.
 *
 * @example
 * ```ts
 * import { findRegistrationEndpoint, readClient, updateClient } from 'express-oidc/registration'
 *
 * const endpoint = await findRegistrationEndpoint({ issuer })
 * const client = await readClient(endpoint, { client_id: clientId })
 * const changed = await updateClient(endpoint, client, { client_name: 'The portal' })
 * ```
 */
export async function updateClient(
  endpoint: RegistrationEndpoint,
  client: ClientInformation,
  changes: ClientChanges,
): Promise<RegisteredClient> {
  const body = updateOf(client, changes)
  // Contradictions that the provider itself has made do not block a change.
  const known = findMetadataProblems(client)
  rejectProblems(findMetadataProblems(body).filter((problem) => !known.includes(problem)))
  const url = clientUrlOf(endpoint, client)
  const response = await requestRegistration(endpoint, { method: 'PUT', url, body, client })
  return mergeResponse(client, readClientResponse(endpoint, response, body))
}

/**
 * Deletes a client (RFC 7592 2.3). Logins in progress with this client will fail.
 *
 * @example
 * ```ts
 * import { deleteClient, findRegistrationEndpoint } from 'express-oidc/registration'
 *
 * const endpoint = await findRegistrationEndpoint({ issuer, initialAccessToken: secret })
 * await deleteClient(endpoint, { client_id: clientId })
 * ```
 */
export async function deleteClient(endpoint: RegistrationEndpoint, client: ClientInformation): Promise<void> {
  const url = clientUrlOf(endpoint, client)
  const response = await requestRegistration(endpoint, { method: 'DELETE', url, client })
  if (response.status !== 204 && response.status !== 200) throw registrationRefusal(response)
}

/**
 * Requests a new secret. Okta has a request for this; afterwards the old secret is no longer valid. RFC 7592 has none:
 * an update without changes lets the provider renew the secret, and `isNew` says whether it did. If it did not,
 * register a new client.
 *
 * @throws ProviderError `ERR_OIDC_REGISTRATION_SECRET` if the provider has no such request or the client has no secret.
 * @example
 * ```ts
 * import { clientKey, fileClientStore, findRegistrationEndpoint, rotateClientSecret } from 'express-oidc/registration'
 *
 * const endpoint = await findRegistrationEndpoint({ issuer, initialAccessToken: secret })
 * const { client } = await rotateClientSecret(endpoint, { client_id: clientId })
 * await fileClientStore('/var/lib/portal/clients').write(clientKey(issuer), client)
 * ```
 */
export async function rotateClientSecret(
  endpoint: RegistrationEndpoint,
  client: ClientInformation,
): Promise<SecretRotation> {
  const changed =
    client.registration_client_uri === undefined
      ? await requestNewSecret(endpoint, client)
      : await updateClient(endpoint, client, {})
  return { client: changed, isNew: changed.client_secret !== client.client_secret }
}

async function requestNewSecret(endpoint: RegistrationEndpoint, client: ClientInformation): Promise<RegisteredClient> {
  const url = clientUrlOf(endpoint, client, 'lifecycle/newSecret')
  const response = await requestRegistration(endpoint, { method: 'POST', url, client })
  if (response.status === 404 || response.status === 405) {
    throw new ProviderError(
      'ERR_OIDC_REGISTRATION_SECRET',
      `The provider answered ${response.status} to the request for a new secret. The client has no secret, or the provider ` +
        'cannot renew secrets. Register a new client.',
      readErrorResponse(response),
    )
  }
  const information = readClientResponse(endpoint, response, client)
  if (information.client_secret !== undefined) return mergeResponse(client, information)
  throw new ProviderError(
    'ERR_OIDC_REGISTRATION_SECRET',
    'The response to the request for a new secret has no client_secret. Register a new client.',
  )
}

function rejectProblems(problems: readonly string[]): void {
  if (problems.length > 0) throw new ConfigError(problems)
}

/** Some providers answer 200 to a registration and others 201 to an update (RFC 7591 3.2.1, RFC 7592 3). */
function readClientResponse(
  endpoint: RegistrationEndpoint,
  response: ProviderResponse,
  known: ClientMetadata,
): ClientInformation {
  if (response.status !== 200 && response.status !== 201) throw registrationRefusal(response)
  return checkClient(endpoint, jsonBody(response), known)
}

/** What a member must be if the response has it. Other members are not checked. */
const MEMBERS: ReadonlyMap<string, (value: Json) => boolean> = new Map([
  ['client_secret', isCredential],
  ['client_secret_expires_at', isEpochSeconds],
  ['registration_access_token', isHeaderToken],
  ['redirect_uris', isTextList],
  ['token_endpoint_auth_method', isVisibleText],
])

/**
 * What a member should be that no login depends on. The client exists at the provider, and an error would leave it there and
 * register one more at the next login, so a member that is something else is left aside.
 */
const OPTIONAL_MEMBERS: ReadonlyMap<string, (value: Json) => boolean> = new Map([
  ['client_id_issued_at', isEpochSeconds],
  ['post_logout_redirect_uris', isTextList],
  ['response_types', isTextList],
  ['grant_types', isTextList],
])

/** A secret or an algorithm that is empty is not one that the provider has left to us. */
const DECIDES = /^client_secret$|_(?:alg|enc)$/

/**
 * Checks a client in a response (RFC 7591 3.2.1), without members that are null, as Okta adds them, or empty.
 *
 * @param known What we have sent, or know of the client. It takes the place of a member that is left aside: an update sends
 *   the whole client, and would reset a member that it leaves out (RFC 7592 2.2).
 * @throws ProviderError `ERR_OIDC_REGISTRATION_RESPONSE` if it is not a client. The message contains no value of the
 *   response.
 */
export function checkClient(
  endpoint: RegistrationEndpoint,
  value: Json | undefined,
  known: ClientMetadata = {},
): ClientInformation {
  if (!isObject(value)) throw invalidResponse('is not a JSON object. Check the URL of the endpoint')
  const empty = Object.entries(value).filter(([name, member]) => member === '' && DECIDES.test(name))
  const client: JsonObject = { ...presentMembers(value), ...Object.fromEntries(empty) }
  if (!isCredential(client['client_id'])) throw invalidResponse('has no valid client_id. Check the URL of the endpoint')
  const wrong = Object.entries(client).find(([name, member]) => MEMBERS.get(name)?.(member) === false)
  if (wrong !== undefined) throw invalidResponse(`has no valid ${wrong[0]}`)
  const url = client['registration_client_uri']
  if (url !== undefined && !isClientUrl(endpoint, url)) {
    throw invalidResponse('has a registration_client_uri that is not on the host of the provider')
  }
  return replaceOddMembers(client, known) as ClientInformation
}

function replaceOddMembers(client: JsonObject, known: ClientMetadata): JsonObject {
  const isOdd = ([name, member]: readonly [string, Json]) => OPTIONAL_MEMBERS.get(name)?.(member) === false
  const odd = Object.entries(client).filter(isOdd)
  for (const [name] of odd) {
    const error = invalidResponse(`has no valid ${name}, which was left aside`)
    publishError(error)
  }
  const names = odd.map(([name]) => name)
  const kept = Object.entries(client).filter(([name]) => !names.includes(name))
  const replaced = Object.entries(known).filter(([name, value]) => names.includes(name) && value !== undefined)
  return Object.fromEntries([...kept, ...replaced]) as JsonObject
}

/** RFC 6749 A.1 and A.2: VSCHAR. */
function isVisibleText(value: Json | undefined): boolean {
  return typeof value === 'string' && /^[ -~]+$/.test(value)
}

function isEpochSeconds(value: Json): boolean {
  return typeof value === 'number' && value >= 0
}

function isTextList(value: Json): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function invalidResponse(problem: string): ProviderError {
  return new ProviderError('ERR_OIDC_REGISTRATION_RESPONSE', `The response of the registration endpoint ${problem}.`)
}

/** What an update does not contain: what the provider alone sets (RFC 7592 2.2), and what we add. */
const NOT_SENT: readonly string[] = [
  ...['client_id_issued_at', 'client_secret', 'client_secret_expires_at'],
  ...['registration_access_token', 'registration_client_uri', 'registeredAt'],
]

/** Members that stay valid if a response leaves them out. */
const KEPT: readonly string[] = NOT_SENT.filter((name) => name !== 'registeredAt')

/** The body of an update: the whole client with the changes over it (RFC 7592 2.2). */
function updateOf(client: ClientInformation, changes: ClientChanges): ClientMetadata {
  const members = Object.entries({ ...client, ...changes, client_id: client.client_id })
  return Object.fromEntries(
    members.filter(([name, value]) => !NOT_SENT.includes(name) && value !== undefined && value !== null),
  )
}

/**
 * The client after a response about it: the response, and the members of the client that stay valid without it.
 *
 * @throws ProviderError `ERR_OIDC_REGISTRATION_RESPONSE` if the response is about another client.
 */
function mergeResponse(client: ClientInformation, response: ClientInformation): RegisteredClient {
  if (response.client_id !== client.client_id) throw invalidResponse('is about another client')
  const isNew = response.client_secret !== undefined && response.client_secret !== client.client_secret
  // The expiry of the old secret is not that of the new one.
  const names = KEPT.filter((name) => client[name] !== undefined && !(isNew && name.startsWith('client_secret')))
  const merged = { ...Object.fromEntries(names.map((name) => [name, client[name]])), ...response }
  const isExtended = merged.client_secret_expires_at !== client.client_secret_expires_at
  return { ...merged, registeredAt: isNew || isExtended ? nowInWholeSeconds() : registeredAtOf(client) }
}

function registeredAtOf(client: ClientInformation): number {
  const { registeredAt } = client
  return typeof registeredAt === 'number' ? registeredAt : (client.client_id_issued_at ?? nowInWholeSeconds())
}

function nowInWholeSeconds(): number {
  return Math.floor(nowInSeconds())
}
