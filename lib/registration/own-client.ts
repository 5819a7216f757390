import { OidcError, shown } from '../errors.ts'
import { clientMetadataOf } from '../options/client-document.ts'
import { type Config, redirectUrisOf } from '../options/config.ts'
import type { ClientStore, RegisteredClient, RegistrationOptions } from '../options/registration-options.ts'
import type { HttpClient } from '../provider/http-client.ts'
import { nowInSeconds } from '../time/seconds.ts'
import { createSingleFlight } from '../time/single-flight.ts'
import { deleteClient, registerClient, rotateClientSecret, type SecretRotation } from './clients.ts'
import { type RegistrationEndpoint, registrationEndpointOf } from './endpoint.ts'

/**
 * The key of a client in its store. Each provider of an application has one. Applications that share a store need
 * different issuers or provider names.
 *
 * @param name The name of the provider under `providers`; `default` if there is only one.
 * @example
 * ```ts
 * import { clientKey, fileClientStore } from 'express-oidc/registration'
 *
 * const client = await fileClientStore('/var/lib/portal/clients').read(clientKey(issuer))
 * ```
 */
export function clientKey(issuer: string, name: string = 'default'): string {
  return name === 'default' ? issuer : `${issuer} ${name}`
}

/** The client that an application registers for itself at one provider. */
export interface ClientRegistration {
  /**
   * The client to use now. It comes from the store, or is registered at first use, and gets a new secret before the old
   * one expires. Concurrent calls share one request. If a secret cannot be renewed, the old one is used until it
   * expires.
   *
   * @param metadata The checked metadata of the provider.
   * @throws OidcError with a code `ERR_OIDC_REGISTRATION_...` or `ERR_OIDC_PROVIDER_...`. After a failure, the same
   *   error is thrown for 30 seconds, so that users who retry do not register one client after the other.
   */
  current(metadata: Readonly<Record<string, unknown>>): Promise<RegisteredClient>
  /** Makes the next `current` read the store, where another process or the operator may have changed the client. */
  reload(): void
}

/** What a client is registered with. */
interface RegistrationContext {
  readonly http: HttpClient
  readonly config: Config
  readonly registration: RegistrationOptions
}

/** The last attempt to register a client or to renew its secret. */
interface Attempt {
  readonly at: number
  readonly error: unknown
}

/** The shortest time between two attempts, successful or not. */
const RETRY_SECONDS = 30

/**
 * Keeps an application registered. A client that is in the store is used without a request to the provider. A client
 * that the provider has deleted is not replaced, because the operator may have deleted it on purpose.
 */
export function createClientRegistration(context: RegistrationContext): ClientRegistration {
  const { config, registration } = context
  const stored = createStoredClient(registration.store, clientKey(config.issuer, config.name))
  const share = createSingleFlight<string, RegisteredClient>()
  let lastAttempt: Attempt | undefined

  async function findOrRegister(metadata: Readonly<Record<string, unknown>>): Promise<RegisteredClient> {
    const client = await stored.read()
    if (client !== undefined && !isRenewalDue(client)) return client
    if (lastAttempt !== undefined && isBackingOff(lastAttempt, client)) return clientOrThrow(client, lastAttempt.error)
    lastAttempt = { at: nowInSeconds(), error: undefined }
    try {
      return await registerOrRenew(context, stored, endpointIn(context, metadata), client)
    } catch (error) {
      lastAttempt = { at: nowInSeconds(), error }
      // The new secret could not be saved, and the old one may no longer be valid.
      if (stored.isUnsaved) throw error
      return clientOrThrow(stored.cached, error)
    }
  }

  return {
    async current(metadata) {
      const { cached } = stored
      const isUsable = cached !== undefined && !isRenewalDue(cached)
      const client = isUsable ? cached : await share('client', () => findOrRegister(metadata))
      checkRedirectUri(client, config)
      return client
    },
    reload: stored.dropCache,
  }
}

function endpointIn(
  { http, config, registration }: RegistrationContext,
  metadata: Readonly<Record<string, unknown>>,
): RegistrationEndpoint {
  const { initialAccessToken, initialAccessTokenScheme } = registration
  const url = registrationEndpointOf(metadata)
  return { http, url, issuer: config.issuer, initialAccessToken, initialAccessTokenScheme }
}

function isBackingOff({ at, error }: Attempt, client: RegisteredClient | undefined): boolean {
  const age = nowInSeconds() - at
  // If the last attempt succeeded and the store is empty now, there is no reason to wait.
  return age >= 0 && age < RETRY_SECONDS && (client !== undefined || error !== undefined)
}

function clientOrThrow(client: RegisteredClient | undefined, error: unknown): RegisteredClient {
  if (client === undefined || (isSecretExpired(client) && error !== undefined)) throw error
  return client
}

/** Renews the secret of a client, or registers a new client if there is none or its secret cannot be renewed. */
async function registerOrRenew(
  { config, registration }: RegistrationContext,
  stored: StoredClient,
  endpoint: RegistrationEndpoint,
  old: RegisteredClient | undefined,
): Promise<RegisteredClient> {
  const renewed = old === undefined ? undefined : await renewSecret(endpoint, old)
  if (renewed !== undefined) {
    // Even without a new secret: the registration token may be new.
    await stored.save(renewed.client)
    if (renewed.isNew || !isRenewalDue(renewed.client)) return renewed.client
  }
  const own = await registerClient(endpoint, clientMetadataOf(config, registration.metadata))
  // The new client is saved even if the store cannot be read.
  const current = await stored.read().catch(() => undefined)
  if (current === undefined || current.client_id === old?.client_id) return await stored.save(own)
  // Another process was faster. All processes use the client in the store.
  await deleteClient(endpoint, own).catch(() => undefined)
  return current
}

/** A URI with a wildcard (Okta) is matched by the provider. */
function checkRedirectUri({ redirect_uris: registered }: RegisteredClient, config: Config): void {
  const isRegistered = (own: string): boolean =>
    registered === undefined || registered.some((uri) => uri === own || uri.includes('*'))
  const redirectUri = redirectUrisOf(config).find((own) => !isRegistered(own))
  if (redirectUri === undefined) return
  throw new OidcError(
    'ERR_OIDC_REGISTRATION_MISMATCH',
    `The redirect_uris of the registered client do not contain ${shown(redirectUri)}. Update the client, or give this ` +
      'application its own store or provider name.',
  )
}

/** One client in a store, with a copy in memory. */
interface StoredClient {
  /** The copy in memory, if it is also in the store. */
  readonly cached: RegisteredClient | undefined
  /** True if the store has failed to save the copy in memory. It must not get lost: its secret is sent only once. */
  readonly isUnsaved: boolean
  /** Reads the store, after saving an unsaved copy. If the store fails, returns the copy in memory. */
  read(): Promise<RegisteredClient | undefined>
  /** Writes the store. Keeps the copy in memory even if that fails. */
  save(client: RegisteredClient): Promise<RegisteredClient>
  /** Drops the copy in memory, unless it is unsaved. */
  dropCache(): void
}

/** Failures of the store are thrown as `ERR_OIDC_REGISTRATION_STORE`. */
function createStoredClient(store: ClientStore, key: string): StoredClient {
  let copy: RegisteredClient | undefined
  let isUnsaved = false

  async function save(client: RegisteredClient): Promise<RegisteredClient> {
    copy = client
    isUnsaved = true
    await withStoreErrors(() => store.write(key, client))
    isUnsaved = false
    return client
  }

  async function read(): Promise<RegisteredClient | undefined> {
    if (copy !== undefined && isUnsaved) return await save(copy)
    try {
      copy = checkStored(await withStoreErrors(() => store.read(key))) ?? copy
    } catch (error) {
      if (copy === undefined) throw error
    }
    return copy
  }

  return {
    get cached() {
      return isUnsaved ? undefined : copy
    },
    get isUnsaved() {
      return isUnsaved
    },
    read,
    save,
    dropCache() {
      if (!isUnsaved) copy = undefined
    },
  }
}

/** A store of the application may return anything. */
function checkStored(value: RegisteredClient | undefined): RegisteredClient | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value.client_id === 'string' && value.client_id !== '' && typeof value.registeredAt === 'number')
    return value
  throw new OidcError(
    'ERR_OIDC_REGISTRATION_STORE',
    'registration.store returned something that is not a client: client_id or registeredAt is missing.',
  )
}

async function withStoreErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof OidcError) throw error
    throw new OidcError('ERR_OIDC_REGISTRATION_STORE', 'registration.store failed. See the cause.', { cause: error })
  }
}

/** A secret is renewed when this share of its lifetime is left, but at most a day before it expires. */
const RENEWAL_SHARE = 0.1
const MAX_RENEWAL_SECONDS = 86_400

type Secret = Pick<RegisteredClient, 'client_secret' | 'client_secret_expires_at' | 'registeredAt'>

/** True if the client's secret has expired or expires soon (RFC 7591 3.2.1). */
function isRenewalDue(client: Secret): boolean {
  const expiresAt = expiryOf(client)
  const margin = Math.min(RENEWAL_SHARE * (expiresAt - client.registeredAt), MAX_RENEWAL_SECONDS)
  return nowInSeconds() >= expiresAt - Math.max(margin, 0)
}

function isSecretExpired(client: Secret): boolean {
  return nowInSeconds() >= expiryOf(client)
}

/** 0, or no value, means that the secret does not expire. */
function expiryOf({ client_secret: secret, client_secret_expires_at: expiresAt = 0 }: Secret): number {
  return secret === undefined || expiresAt === 0 ? Number.POSITIVE_INFINITY : expiresAt
}

/**
 * Requests a new secret, or a longer lifetime of the old one. `undefined` if a new client must be registered instead:
 * RFC 7592 has no request for a new secret, and a client that the provider refuses to change is useless once its secret
 * expires.
 */
async function renewSecret(endpoint: RegistrationEndpoint, old: RegisteredClient): Promise<SecretRotation | undefined> {
  try {
    return await rotateClientSecret(endpoint, old)
  } catch (error) {
    if (isReplaceable(old, error)) return undefined
    throw error
  }
}

/** Never at Okta, whose clients have no `registration_client_uri`: no user would be assigned to a new client. */
function isReplaceable(old: RegisteredClient, error: unknown): boolean {
  if (!(error instanceof OidcError)) return false
  if (error.code === 'ERR_OIDC_REGISTRATION_SECRET') return true
  const isRefusal = ['ERR_OIDC_REGISTRATION_REFUSED', 'ERR_OIDC_REGISTRATION_UNAUTHORIZED'].includes(error.code)
  return isRefusal && isSecretExpired(old) && old.registration_client_uri !== undefined
}
