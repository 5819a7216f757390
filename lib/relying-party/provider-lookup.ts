import { OidcError } from '../errors.ts'
import type { AppConfig, Config, FoundConfig } from '../options/config.ts'
import type { FoundProviders } from '../provider/found-providers.ts'
import { loadOnce } from '../time/single-flight.ts'

/** The providers that a function finds. */
export interface ProviderLookup<Client> extends Pick<FoundProviders, 'isFresh'> {
  find(name: string, req: unknown): Promise<boolean>
  /** Calls the function for each client that is there now or later, and with `undefined` for one that is gone. */
  watch(onChange: (name: string, client: Client | undefined) => void): void
}

/**
 * Returns the client at the provider with this name; `undefined` if there is none. If a function finds the providers, it is
 * asked, unless its answer is recent.
 *
 * @param req The request that needs it.
 */
export async function findClient<Client>(
  {
    clients,
    providers,
  }: { readonly clients: ReadonlyMap<string, Client>; readonly providers?: ProviderLookup<Client> },
  name: string,
  req: unknown,
): Promise<Client | undefined> {
  const isFound = providers === undefined || (await providers.find(name, req))
  return isFound ? clients.get(name) : undefined
}

/** The error for a name that no provider has. The name is not shown: anyone can invent one. */
export function providerUnknown(): OidcError {
  return new OidcError(
    'ERR_OIDC_PROVIDER_UNKNOWN',
    'The request names a provider that the option providers does not have, or no provider at all. Use a name from that ' +
      'option in /login?provider=, req.oidc.login({ provider }) and the URLs that you register.',
  )
}

/** Keeps a client for each provider that the function in the option `providers` has returned lately. */
export function createLookup<Client extends { stop(): void }>(
  { timeout }: AppConfig,
  { findConfig, issuers, signalling }: FoundConfig,
  createClient: (config: Config) => Client,
): { readonly clients: ReadonlyMap<string, Client>; readonly providers: ProviderLookup<Client> } {
  const clients = new Map<string, Client>()
  const watchers: Parameters<ProviderLookup<Client>['watch']>[0][] = []

  function onGone(name: string): void {
    clients.get(name)?.stop()
    clients.delete(name)
    issuers.delete(name)
    signalling.delete(name)
    for (const onChange of watchers) onChange(name, undefined)
  }

  function onFound(config: Config): void {
    const { name, issuer, sharedSignals } = config
    // The metadata of the client before is not renewed any more.
    clients.get(name)?.stop()
    const client = createClient(config)
    clients.set(name, client)
    issuers.set(name, issuer)
    if (sharedSignals === undefined) signalling.delete(name)
    else signalling.add(name)
    for (const onChange of watchers) onChange(name, client)
  }

  const load = loadOnce(async () => {
    const { createFoundProviders } = await import('../provider/found-providers.ts')
    return createFoundProviders(findConfig, { timeout, onFound, onGone })
  })
  let loaded: FoundProviders | undefined
  return {
    clients,
    providers: {
      isFresh: (name) => loaded?.isFresh(name) === true,
      async find(name, req) {
        loaded = await load()
        return await loaded.find(name, req)
      },
      watch(onChange) {
        watchers.push(onChange)
        for (const [name, client] of clients) onChange(name, client)
      },
    },
  }
}
