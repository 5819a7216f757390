import type { RegisteredClient } from '../client-metadata.ts'
import { clientKey, type RegistrationOptions } from '../client-store.ts'
import type { Config } from '../config/config.ts'
import { OidcError } from '../errors.ts'
import type { HttpClient } from '../http-client/http-client.ts'
import { createSingleFlight } from '../single-flight.ts'
import { createKeptClient, type KeptClient } from './kept-client.ts'
import { deleteClient, registerClient } from './registration.ts'
import { type RegistrationEndpoint, registrationEndpointOf } from './registration-endpoint.ts'
import { clientMetadataOf } from './registration-metadata.ts'
import { isRenewalDue, isSecretExpired } from './secret-life.ts'
import { renewSecret } from './secret-renewal.ts'

/** The client that an application registers for itself at one provider. */
export interface ClientRegistration {
  /**
   * The client as it is to be used now: from the store, or registered at first use, with a new secret before the old one
   * ends. One request is under way at a time, whoever asks. While a secret cannot be renewed, the old one serves to its end.
   *
   * @param metadata What the provider says of itself, checked.
   * @throws OidcError with a code `ERR_OIDC_REGISTRATION_...` or `ERR_OIDC_PROVIDER_...`. A failure is kept for 30 seconds,
   *   so that people who try to log in cannot make a provider register one client after the other.
   */
  current(metadata: Readonly<Record<string, unknown>>): Promise<RegisteredClient>
  /** Has the next `current` read the store: another process may have renewed the secret, or the operator the client. */
  reload(): void
}

/** What a client is registered with. */
interface Registrar {
  readonly http: HttpClient
  readonly config: Config
  readonly registration: RegistrationOptions
}

/** The last time that something was asked, and what went wrong. */
interface Attempt {
  readonly at: number
  readonly error: unknown
}

/** For so many seconds nothing is tried again, however it went. */
const PAUSE = 30

/**
 * Keeps an application registered. The store is read at first use; a client that is in there is used without asking the
 * provider. One that the provider no longer knows is never replaced by itself: who deleted it had a reason.
 */
export function createClientRegistration(registrar: Registrar): ClientRegistration {
  const { config, registration } = registrar
  const kept = createKeptClient(registration.store, clientKey(config.issuer, config.name))
  const share = createSingleFlight<string, RegisteredClient>()
  let last: Attempt | undefined

  async function find(metadata: Readonly<Record<string, unknown>>): Promise<RegisteredClient> {
    const client = await kept.read()
    if (client !== undefined && !isRenewalDue(client)) return client
    if (last !== undefined && isPause(last, client)) return usable(client, last.error)
    last = { at: Date.now() / 1000, error: undefined }
    try {
      return await obtain(registrar, kept, endpointAt(registrar, metadata), client)
    } catch (error) {
      last = { at: Date.now() / 1000, error }
      // The old secret may have ended with the new one that could not be kept.
      if (kept.isUnsaved) throw error
      return usable(kept.atHand, error)
    }
  }

  return {
    async current(metadata) {
      const atHand = kept.atHand
      const client =
        atHand !== undefined && !isRenewalDue(atHand) ? atHand : await share('client', () => find(metadata))
      checkRedirectUri(client, config)
      return client
    },
    reload: kept.forget,
  }
}

function endpointAt(
  { http, config, registration }: Registrar,
  metadata: Readonly<Record<string, unknown>>,
): RegistrationEndpoint {
  const { initialAccessToken, initialAccessTokenScheme } = registration
  return {
    http,
    url: registrationEndpointOf(metadata),
    issuer: config.issuer,
    initialAccessToken,
    initialAccessTokenScheme,
  }
}

function isPause({ at, error }: Attempt, client: RegisteredClient | undefined): boolean {
  const age = Date.now() / 1000 - at
  // A store that was emptied after a success is no failure, and no reason to wait.
  return age >= 0 && age < PAUSE && (client !== undefined || error !== undefined)
}

function usable(client: RegisteredClient | undefined, error: unknown): RegisteredClient {
  if (client === undefined || (isSecretExpired(client) && error !== undefined)) throw error
  return client
}

/** Registers a client, or has the secret of the one that there is renewed. */
async function obtain(
  registrar: Registrar,
  kept: KeptClient,
  endpoint: RegistrationEndpoint,
  old: RegisteredClient | undefined,
): Promise<RegisteredClient> {
  if (old !== undefined) {
    const renewed = await renewSecret(endpoint, old)
    // Even without a new secret: the token to manage the client by may be new.
    if (renewed !== undefined) await kept.keep(renewed.client)
    if (renewed !== undefined && (renewed.isNew || !isRenewalDue(renewed.client))) return renewed.client
  }
  const { config, registration } = registrar
  const own = await registerClient(endpoint, clientMetadataOf(config, registration.metadata))
  // What was just told is kept, whatever the store can say.
  const stored = await kept.read().catch(() => undefined)
  if (stored === undefined || stored.client_id === old?.client_id) return await kept.keep(own)
  // Another process was faster. All of them use the client that is kept.
  await deleteClient(endpoint, own).catch(() => undefined)
  return stored
}

/** A wildcard is for the provider to match (Okta). */
function checkRedirectUri({ redirect_uris: registered }: RegisteredClient, { redirectUri }: Config): void {
  if (registered === undefined || registered.some((uri) => uri === redirectUri || uri.includes('*'))) return
  throw new OidcError(
    'ERR_OIDC_REGISTRATION_MISMATCH',
    'The registered client has other redirect URIs than this application: update it, or give the application a store or ' +
      'a provider name of its own.',
  )
}
