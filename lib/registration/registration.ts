import type { ClientChanges, ClientInformation, ClientMetadata, RegisteredClient } from '../client-metadata.ts'
import { ConfigError, ProviderError } from '../errors.ts'
import { readErrorResponse } from '../http-client/error-response.ts'
import type { HttpAnswer } from '../http-client/http-answer.ts'
import { mergeAnswer, toRegistered, toUpdate } from './client-entry.ts'
import { entryAddressOf } from './registration-address.ts'
import { readClientAnswer } from './registration-answer.ts'
import { findMetadataFaults } from './registration-check.ts'
import type { RegistrationEndpoint } from './registration-endpoint.ts'
import { registrationRefusal, requestRegistration } from './registration-request.ts'

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
function readAccepted(endpoint: RegistrationEndpoint, answer: HttpAnswer): ClientInformation {
  if (answer.status !== 200 && answer.status !== 201) throw registrationRefusal(answer)
  return readClientAnswer(endpoint, answer)
}

function refuseFaults(faults: readonly string[]): void {
  if (faults.length > 0) throw new ConfigError(faults)
}
