import type { ResponseType } from '../types.ts'
import type { ClientAuthMethod } from './client-credentials.ts'
import type { WithDefaults } from './option-row.ts'
import type { AppOptions, AppWithoutDefault, ProviderWithoutDefault, RouteName } from './option-table.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import type { ResponseMode } from './response-type.ts'

/** Checked, with defaults, deeply frozen. The options that are left out here are replaced by the members below. */
type AppDefaults = Omit<
  WithDefaults<AppOptions, AppWithoutDefault>,
  'baseUrl' | 'secret' | 'providers' | 'postLogoutRedirectUri'
>

/** One of the hosts at which the application runs. */
export interface HostConfig {
  /** Scheme, host and port: `https://app.example.com`. */
  readonly origin: string
  /** An absolute URL. */
  readonly postLogoutRedirectUri: string
}

/** What holds for the whole application, whichever provider is used. */
export interface AppConfig extends AppDefaults, HostConfig {
  /** All hosts of the application, in the order of `baseUrl`. `origin` is the one of this configuration. */
  readonly hosts: readonly HostConfig[]
  /** The path of `baseUrl` without a slash at the end: empty, or `/portal`. */
  readonly basePath: string
  /** True if a function finds the providers. Then `issuers` and `signalling` hold those that it has returned lately. */
  readonly findsProviders: boolean
  /** The paths of the routes, without `basePath`. */
  readonly routes: Readonly<Record<RouteName, string>> & {
    readonly initiateLogin?: string
    readonly tokenRevocation?: string
    readonly user?: string
    readonly clientMetadata?: string
  }
  /** The callback paths of all providers, without `basePath`. */
  readonly callbacks: readonly string[]
  /** The option `secret`, or the client secret. Newest first, never empty. */
  readonly secrets: readonly string[]
  /** The issuer of each provider, by name. */
  readonly issuers: ReadonlyMap<string, string>
  /** The client identifier at each provider, by name. Empty for a client that registers itself. */
  readonly clientIds: ReadonlyMap<string, string>
  /** The names of the providers with `sharedSignals`: their logins are found by `email`, too. */
  readonly signalling: ReadonlySet<string>
}

type ProviderDefaults = Omit<WithDefaults<NamedProviderOptions, ProviderWithoutDefault>, 'tokenEndpointAuthSigningAlg'>

/** The configuration of one client at one provider. It includes that of the application. */
export interface Config extends AppConfig, ProviderDefaults {
  /** The name of the provider; {@link ONLY_PROVIDER} if there is only one. */
  readonly name: string
  /** The path of this provider's callback, without `basePath`. */
  readonly callback: string
  /** The URL of this provider's callback. */
  readonly redirectUri: string
  readonly responseType: ResponseType
  readonly responseMode: ResponseMode
  readonly tokenEndpointAuthMethod: ClientAuthMethod
  /** The option, or what the provider has registered, which may be any name. */
  readonly tokenEndpointAuthSigningAlg: string | undefined
}

/** The configuration of one `oidc()` call. */
export interface Configuration {
  readonly app: AppConfig
  /** One for each provider, in the order of the options. Empty if a function finds them. */
  readonly clients: readonly Config[]
  readonly found?: FoundConfig
}

/** What is known of providers that a function finds. */
export interface FoundConfig {
  readonly findConfig: FindProviderConfig
  /** Those of the application's configuration. */
  readonly issuers: Map<string, string>
  readonly signalling: Set<string>
}

/** Finds the configuration of a provider by its name. Throws `ConfigError` for options that are invalid. */
export type FindProviderConfig = (name: string, req: unknown) => Promise<Config | undefined>

/** The same configuration of the application at another of its hosts. */
export function appConfigAt(config: AppConfig, host: HostConfig): AppConfig {
  return Object.freeze({ ...config, ...host })
}

/** The same configuration of a client at another host of the application. */
export function configAt(config: Config, host: HostConfig): Config {
  return Object.freeze({ ...config, ...host, redirectUri: host.origin + config.basePath + config.callback })
}

/** The URLs of a client's callback at all hosts of the application. */
export function redirectUrisOf({
  hosts,
  basePath,
  callback,
}: Pick<Config, 'hosts' | 'basePath' | 'callback'>): string[] {
  return hosts.map(({ origin }) => origin + basePath + callback)
}

/** The name of the provider if the options have only one. */
export const ONLY_PROVIDER = 'default'

/** The callback path of a provider. By default, only one of several providers has a path of its own. */
export function callbackPath(
  sharedPath: string,
  name: string,
  { callback }: Readonly<Pick<NamedProviderOptions, 'callback'>>,
): string {
  return callback ?? (name === ONLY_PROVIDER ? sharedPath : `${sharedPath}/${name}`)
}
