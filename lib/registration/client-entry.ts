import type { ClientChanges, ClientInformation, ClientMetadata, RegisteredClient } from '../client-metadata.ts'
import { ProviderError } from '../errors.ts'

/** The provider's own entries, of which an update holds none (RFC 7592 2.2), and ours. */
const NOT_SENT: readonly string[] = [
  ...['client_id_issued_at', 'client_secret', 'client_secret_expires_at'],
  ...['registration_access_token', 'registration_client_uri', 'registeredAt'],
]

/** What an answer about a client may leave out although it still holds. */
const REMEMBERED: readonly string[] = NOT_SENT.filter((name) => name !== 'registeredAt')

/** What an update sends: the whole entry with the changes over it (RFC 7592 2.2). A `null` takes a member away. */
export function toUpdate(client: ClientInformation, changes: ClientChanges): ClientMetadata {
  const members = Object.entries({ ...client, ...changes, client_id: client.client_id })
  return Object.fromEntries(
    members.filter(([name, value]) => !NOT_SENT.includes(name) && value !== undefined && value !== null),
  )
}

/** A client that was told just now. */
export function toRegistered(client: ClientInformation): RegisteredClient {
  return { ...client, registeredAt: now() }
}

/**
 * What is known of a client after an answer about it: the answer, and what it may leave out although it still holds.
 *
 * @throws ProviderError `ERR_OIDC_REGISTRATION_RESPONSE` where the answer is about another client.
 */
export function mergeAnswer(client: ClientInformation, told: ClientInformation): RegisteredClient {
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
