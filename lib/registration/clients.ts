import { ConfigError, ProviderError } from '../errors.ts'
import { isObject, type JsonObject } from '../jose/json.ts'
import {
  type ClientChanges,
  type ClientInformation,
  type ClientMetadata,
  isHeaderToken,
  type RegisteredClient,
} from '../options/registration-options.ts'
import { readErrorResponse } from '../provider/error-response.ts'
import { jsonBody, type ProviderResponse } from '../provider/http-transport.ts'
import type { Json } from '../types.ts'
import { findMetadataFaults } from './client-metadata.ts'
import {
  entryAddressOf,
  isEntryAddress,
  type RegistrationEndpoint,
  registrationRefusal,
  requestRegistration,
} from './endpoint.ts'

/** What came of asking for a new secret. */
export interface SecretRotation {
  /** Keep it, whether its secret is new or not: its registration token may be. */
  readonly client: RegisteredClient
  /** Whether the secret is another than before. */
  readonly isNew: boolean
}

/**
 * Registers a client (RFC 7591 3.1). The answer is what holds, not what was asked for: keep it at once, for the secret in
 * it is mostly never told again.
 *
 * @throws ConfigError where the metadata contradicts itself, or holds a private key; nothing is sent then.
 * @throws ProviderError `ERR_OIDC_REGISTRATION_REFUSED`, `ERR_OIDC_REGISTRATION_UNAUTHORIZED`,
 *   `ERR_OIDC_REGISTRATION_RESPONSE`, `ERR_OIDC_PROVIDER_...`. After one without an answer, the client may exist.
 */
export async function registerClient(
  endpoint: RegistrationEndpoint,
  metadata: ClientMetadata,
): Promise<RegisteredClient> {
  refuseFaults(findMetadataFaults(metadata))
  const answer = await requestRegistration(endpoint, { method: 'POST', url: endpoint.url, body: metadata })
  return toRegistered(readAccepted(endpoint, answer))
}

/**
 * Reads a client's entry (RFC 7592 2.1). The secret and the registration token are kept from `client` where the answer
 * does not tell them; where it does, those of before are worth nothing any more: keep the result.
 */
export async function readClient(endpoint: RegistrationEndpoint, client: ClientInformation): Promise<RegisteredClient> {
  const answer = await requestRegistration(endpoint, { method: 'GET', url: entryAddressOf(endpoint, client), client })
  return mergeAnswer(client, readAccepted(endpoint, answer))
}

/**
 * Changes a client (RFC 7592 2.2). An update replaces the whole entry, so everything in `client` is sent again, also what
 * this library does not know, with `changes` over it; a change to `null` takes a member away. Where others may have
 * changed the entry, read it first.
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
  const body = toUpdate(client, changes)
  // What the provider itself has made of the client is not held against the change.
  const known = findMetadataFaults(client)
  refuseFaults(findMetadataFaults(body).filter((fault) => !known.includes(fault)))
  const url = entryAddressOf(endpoint, client)
  const answer = await requestRegistration(endpoint, { method: 'PUT', url, body, client })
  return mergeAnswer(client, readAccepted(endpoint, answer))
}

/** Deletes a client (RFC 7592 2.3). Logins under way with it will fail. */
export async function deleteClient(endpoint: RegistrationEndpoint, client: ClientInformation): Promise<void> {
  const url = entryAddressOf(endpoint, client)
  const answer = await requestRegistration(endpoint, { method: 'DELETE', url, client })
  if (answer.status !== 204 && answer.status !== 200) throw registrationRefusal(answer)
}

/**
 * Asks for a new secret. Okta has a request for that, after which the old secret no longer holds. RFC 7592 has none: an
 * update that changes nothing gives the provider the occasion, and `isNew` tells whether it was taken. Where it was not,
 * only a new registration helps.
 *
 * @throws ProviderError `ERR_OIDC_REGISTRATION_SECRET` where the provider has no such request or the client no secret.
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
  const url = entryAddressOf(endpoint, client, 'lifecycle/newSecret')
  const answer = await requestRegistration(endpoint, { method: 'POST', url, client })
  if (answer.status === 404 || answer.status === 405) {
    throw new ProviderError(
      'ERR_OIDC_REGISTRATION_SECRET',
      'The provider gives no new secret: the client has none, or the provider has no request for that.',
      readErrorResponse(answer),
    )
  }
  const told = readAccepted(endpoint, answer)
  if (told.client_secret !== undefined) return mergeAnswer(client, told)
  throw new ProviderError('ERR_OIDC_REGISTRATION_SECRET', 'The provider answered without a new secret.')
}

/** Some answer 200 to a registration, others 201 to an update (RFC 7591 3.2.1, RFC 7592 3). */
function readAccepted(endpoint: RegistrationEndpoint, answer: ProviderResponse): ClientInformation {
  if (answer.status !== 200 && answer.status !== 201) throw registrationRefusal(answer)
  return readClientAnswer(endpoint, answer)
}

function refuseFaults(faults: readonly string[]): void {
  if (faults.length > 0) throw new ConfigError(faults)
}

/** What each member must be where it is there at all. What is not here is kept as it came. */
const MEMBERS: ReadonlyMap<string, (value: Json) => boolean> = new Map([
  ['client_secret', isVisibleText],
  ['client_id_issued_at', isInstant],
  ['client_secret_expires_at', isInstant],
  ['registration_access_token', isHeaderToken],
  ['redirect_uris', isTextList],
  ['post_logout_redirect_uris', isTextList],
  ['response_types', isTextList],
  ['grant_types', isTextList],
  ['token_endpoint_auth_method', isVisibleText],
])

/**
 * The client in an answer (RFC 7591 3.2.1), without the `null`s that Okta fills it up with.
 *
 * @throws ProviderError `ERR_OIDC_REGISTRATION_RESPONSE` where it is none; nothing of the answer is in the message.
 */
function readClientAnswer(endpoint: RegistrationEndpoint, answer: ProviderResponse): ClientInformation {
  return checkClient(endpoint, jsonBody(answer))
}

/** The same for a client that is part of an answer. */
export function checkClient(endpoint: RegistrationEndpoint, value: Json | undefined): ClientInformation {
  if (!isObject(value)) throw invalid('is not a JSON object')
  const client = withoutNulls(value)
  if (!isVisibleText(client['client_id'])) throw invalid('has no usable client_id')
  const fault = Object.entries(client).find(([name, member]) => MEMBERS.get(name)?.(member) === false)
  // The name is one of ours, so it may be told.
  if (fault !== undefined) throw invalid(`has no usable ${fault[0]}`)
  const address = client['registration_client_uri']
  if (address !== undefined && !isEntryAddress(endpoint, address)) {
    throw invalid("has a registration_client_uri that is not on the provider's own host")
  }
  return client as ClientInformation
}

function withoutNulls(json: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([, member]) => member !== null))
}

/** RFC 6749 A.1 and A.2: VSCHAR. */
function isVisibleText(value: Json | undefined): boolean {
  return typeof value === 'string' && /^[ -~]+$/.test(value)
}

function isInstant(value: Json): boolean {
  return typeof value === 'number' && value >= 0
}

function isTextList(value: Json): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function invalid(fault: string): ProviderError {
  return new ProviderError('ERR_OIDC_REGISTRATION_RESPONSE', `The answer of the registration endpoint ${fault}.`)
}

/** The provider's own entries, of which an update holds none (RFC 7592 2.2), and ours. */
const NOT_SENT: readonly string[] = [
  ...['client_id_issued_at', 'client_secret', 'client_secret_expires_at'],
  ...['registration_access_token', 'registration_client_uri', 'registeredAt'],
]

/** What an answer about a client may leave out although it still holds. */
const REMEMBERED: readonly string[] = NOT_SENT.filter((name) => name !== 'registeredAt')

/** What an update sends: the whole entry with the changes over it (RFC 7592 2.2). A `null` takes a member away. */
function toUpdate(client: ClientInformation, changes: ClientChanges): ClientMetadata {
  const members = Object.entries({ ...client, ...changes, client_id: client.client_id })
  return Object.fromEntries(
    members.filter(([name, value]) => !NOT_SENT.includes(name) && value !== undefined && value !== null),
  )
}

/** A client that was told just now. */
function toRegistered(client: ClientInformation): RegisteredClient {
  return { ...client, registeredAt: now() }
}

/**
 * What is known of a client after an answer about it: the answer, and what it may leave out although it still holds.
 *
 * @throws ProviderError `ERR_OIDC_REGISTRATION_RESPONSE` where the answer is about another client.
 */
function mergeAnswer(client: ClientInformation, told: ClientInformation): RegisteredClient {
  if (told.client_id !== client.client_id) {
    throw new ProviderError('ERR_OIDC_REGISTRATION_RESPONSE', 'The provider answered about another client.')
  }
  const isNew = told.client_secret !== undefined && told.client_secret !== client.client_secret
  // The end of the old secret is not that of the new one.
  const names = REMEMBERED.filter((name) => client[name] !== undefined && !(isNew && name.startsWith('client_secret')))
  const merged = { ...Object.fromEntries(names.map((name) => [name, client[name]])), ...told }
  const isExtended = merged.client_secret_expires_at !== client.client_secret_expires_at
  return { ...merged, registeredAt: isNew || isExtended ? now() : sinceOf(client) }
}

function sinceOf(client: ClientInformation): number {
  const { registeredAt } = client
  return typeof registeredAt === 'number' ? registeredAt : (client.client_id_issued_at ?? now())
}

function now(): number {
  return Math.floor(Date.now() / 1000)
}
