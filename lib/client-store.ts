import type { ClientChanges, RegisteredClient } from './client-metadata.ts'

/**
 * Where registered clients are kept, so that a restart does not register another one. A secret is mostly told only once:
 * `write` must have kept the client for good when it resolves, and must never leave half of one behind.
 *
 * @example
 * ```ts
 * import type { ClientStore } from 'express-oidc/registration'
 * import { createClient } from 'redis'
 *
 * const redis = createClient()
 * const clients: ClientStore = {
 *   read: async (key) => JSON.parse((await redis.get(key)) ?? 'null') ?? undefined,
 *   write: async (key, client) => void (await redis.set(key, JSON.stringify(client))),
 *   remove: async (key) => void (await redis.del(key)),
 * }
 * ```
 */
export interface ClientStore {
  /** The client that is kept under this key; `undefined` where there is none. */
  read(key: string): Promise<RegisteredClient | undefined>
  write(key: string, client: RegisteredClient): Promise<void>
  /** Does nothing where there is none. */
  remove(key: string): Promise<void>
}

/** A token that allows to register, or a function that gets it whenever it is needed. */
export type InitialAccessToken = string | (() => string | Promise<string>)

/** The scheme of the header that carries such a token: `SSWS` is that of Okta's API tokens. */
export type InitialAccessTokenScheme = 'Bearer' | 'SSWS'

/** How an application registers itself at its provider. */
export interface RegistrationOptions {
  /**
   * What the provider is told of the client, by wire names, beside and before what follows from the other options; `null`
   * leaves a member out.
   */
  metadata?: ClientChanges
  /** Where the client is kept, for example `fileClientStore('/var/lib/app/clients')`. */
  store: ClientStore
  /** What allows to register; none is needed where registration is open. It is not used for anything but clients. */
  initialAccessToken?: InitialAccessToken
  /**
   * How it is sent: as a bearer token (RFC 7591 3), or as an API token of Okta.
   * @default 'Bearer'
   */
  initialAccessTokenScheme?: InitialAccessTokenScheme
}

/**
 * The key of a client in its store: one for each provider of an application. Applications that share a store need issuers
 * or provider names that differ.
 *
 * @param name The name of the provider under `providers`; `default` where there is only one.
 */
export function clientKey(issuer: string, name: string = 'default'): string {
  return name === 'default' ? issuer : `${issuer} ${name}`
}
