import { OidcError } from '../errors.ts'
import type { Config } from '../options/config.ts'
import type { ClientStore, RegisteredClient, RegistrationOptions } from '../options/registration-options.ts'
import type { HttpClient } from '../provider/http-client.ts'
import { createSingleFlight } from '../time/single-flight.ts'
import { clientMetadataOf } from './client-metadata.ts'
import { deleteClient, registerClient, rotateClientSecret, type SecretRotation } from './clients.ts'
import { type RegistrationEndpoint, registrationEndpointOf } from './endpoint.ts'

/**
 * The key of a client in its store: one for each provider of an application. Applications that share a store need issuers
 * or provider names that differ.
 *
 * @param name The name of the provider under `providers`; `default` where there is only one.
 */
export function clientKey(issuer: string, name: string = 'default'): string {
  return name === 'default' ? issuer : `${issuer} ${name}`
}

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
interface RegistrationContext {
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
export function createClientRegistration(registrar: RegistrationContext): ClientRegistration {
  const { config, registration } = registrar
  const kept = createKeptClient(registration.store, clientKey(config.issuer, config.name))
  const share = createSingleFlight<string, RegisteredClient>()
  let last: Attempt | undefined

  async function find(metadata: Readonly<Record<string, unknown>>): Promise<RegisteredClient> {
    const client = await kept.read()
    if (client !== undefined && !isRenewalDue(client)) return client
    if (last !== undefined && isBackingOff(last, client)) return clientOrThrow(client, last.error)
    last = { at: Date.now() / 1000, error: undefined }
    try {
      return await registerOrRenew(registrar, kept, endpointAt(registrar, metadata), client)
    } catch (error) {
      last = { at: Date.now() / 1000, error }
      // The old secret may have ended with the new one that could not be kept.
      if (kept.isUnsaved) throw error
      return clientOrThrow(kept.cached, error)
    }
  }

  return {
    async current(metadata) {
      const atHand = kept.cached
      const client =
        atHand !== undefined && !isRenewalDue(atHand) ? atHand : await share('client', () => find(metadata))
      checkRedirectUri(client, config)
      return client
    },
    reload: kept.dropCache,
  }
}

function endpointAt(
  { http, config, registration }: RegistrationContext,
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

function isBackingOff({ at, error }: Attempt, client: RegisteredClient | undefined): boolean {
  const age = Date.now() / 1000 - at
  // A store that was emptied after a success is no failure, and no reason to wait.
  return age >= 0 && age < PAUSE && (client !== undefined || error !== undefined)
}

function clientOrThrow(client: RegisteredClient | undefined, error: unknown): RegisteredClient {
  if (client === undefined || (isSecretExpired(client) && error !== undefined)) throw error
  return client
}

/** Registers a client, or has the secret of the one that there is renewed. */
async function registerOrRenew(
  registrar: RegistrationContext,
  kept: StoredClient,
  endpoint: RegistrationEndpoint,
  old: RegisteredClient | undefined,
): Promise<RegisteredClient> {
  if (old !== undefined) {
    const renewed = await renewSecret(endpoint, old)
    // Even without a new secret: the token to manage the client by may be new.
    if (renewed !== undefined) await kept.save(renewed.client)
    if (renewed !== undefined && (renewed.isNew || !isRenewalDue(renewed.client))) return renewed.client
  }
  const { config, registration } = registrar
  const own = await registerClient(endpoint, clientMetadataOf(config, registration.metadata))
  // What was just told is kept, whatever the store can say.
  const stored = await kept.read().catch(() => undefined)
  if (stored === undefined || stored.client_id === old?.client_id) return await kept.save(own)
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

/** One client in a store, and in memory once it was read or made. */
interface StoredClient {
  /** The client in memory, where it is in the store too. */
  readonly cached: RegisteredClient | undefined
  /** Whether a client is in memory that the store has not taken: what was told only once must not get lost. */
  readonly isUnsaved: boolean
  /** The client in the store; one that is unsaved is written first. Without the store, the one in memory will do. */
  read(): Promise<RegisteredClient | undefined>
  /** Writes a client, and holds it in memory even where that fails. */
  save(client: RegisteredClient): Promise<RegisteredClient>
  /** Forgets what is in memory, where it is in the store. */
  dropCache(): void
}

/** Failures of the store are `ERR_OIDC_REGISTRATION_STORE`. */
function createKeptClient(store: ClientStore, key: string): StoredClient {
  let held: RegisteredClient | undefined
  let isUnsaved = false

  async function save(client: RegisteredClient): Promise<RegisteredClient> {
    held = client
    isUnsaved = true
    await guarded(() => store.write(key, client))
    isUnsaved = false
    return client
  }

  async function read(): Promise<RegisteredClient | undefined> {
    if (held !== undefined && isUnsaved) return await save(held)
    try {
      held = checkStored(await guarded(() => store.read(key))) ?? held
    } catch (error) {
      if (held === undefined) throw error
    }
    return held
  }

  return {
    get cached() {
      return isUnsaved ? undefined : held
    },
    get isUnsaved() {
      return isUnsaved
    },
    read,
    save,
    dropCache() {
      if (!isUnsaved) held = undefined
    },
  }
}

/** A store of the application's own may give anything. */
function checkStored(value: RegisteredClient | undefined): RegisteredClient | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value.client_id === 'string' && value.client_id !== '' && typeof value.registeredAt === 'number')
    return value
  throw new OidcError('ERR_OIDC_REGISTRATION_STORE', 'The store of clients holds something that is not a client.')
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof OidcError) throw error
    throw new OidcError('ERR_OIDC_REGISTRATION_STORE', 'The store of clients has failed.', { cause: error })
  }
}

/** A secret is renewed when a tenth of its life is left, at most a day. */
const LAST_PART = 0.1
const LONGEST_MARGIN = 86_400

type Secret = Pick<RegisteredClient, 'client_secret' | 'client_secret_expires_at' | 'registeredAt'>

/** Whether the client's secret has ended, or is so near its end that a new one is to be had (RFC 7591 3.2.1). */
function isRenewalDue(client: Secret): boolean {
  const expiresAt = endOf(client)
  const margin = Math.min(LAST_PART * (expiresAt - client.registeredAt), LONGEST_MARGIN)
  return Date.now() / 1000 >= expiresAt - Math.max(margin, 0)
}

/** Whether the client's secret has ended. */
function isSecretExpired(client: Secret): boolean {
  return Date.now() / 1000 >= endOf(client)
}

/** Zero, and no word of it, means that there is no end. */
function endOf({ client_secret: secret, client_secret_expires_at: expiresAt = 0 }: Secret): number {
  return secret === undefined || expiresAt === 0 ? Number.POSITIVE_INFINITY : expiresAt
}

/**
 * Asks for a new secret, or for more time with the same. `undefined` where only another client can have one: RFC 7592 has
 * no request for that, and a client that the provider refuses to change is of no use once its secret has ended.
 */
async function renewSecret(endpoint: RegistrationEndpoint, old: RegisteredClient): Promise<SecretRotation | undefined> {
  try {
    return await rotateClientSecret(endpoint, old)
  } catch (error) {
    if (isReplaceable(old, error)) return undefined
    throw error
  }
}

/** At Okta a refusal is left as it is: another client there would have nobody assigned to it. */
function isReplaceable(old: RegisteredClient, error: unknown): boolean {
  if (!(error instanceof OidcError)) return false
  if (error.code === 'ERR_OIDC_REGISTRATION_SECRET') return true
  const isRefusal = ['ERR_OIDC_REGISTRATION_REFUSED', 'ERR_OIDC_REGISTRATION_UNAUTHORIZED'].includes(error.code)
  return isRefusal && isSecretExpired(old) && old.registration_client_uri !== undefined
}
