import { ConfigError, shown } from '../errors.ts'
import { parseAuthorizationParams } from './authorization-params.ts'
import { findDocumentProblems } from './client-document.ts'
import {
  type AppConfig,
  type Config,
  type Configuration,
  callbackPath,
  type FindProviderConfig,
  type HostConfig,
  ONLY_PROVIDER,
} from './config.ts'
import { findAppConflicts, findProviderConflicts } from './conflicts.ts'
import { misplacedNames, type OptionRow, unknownNames, withDefaults } from './option-row.ts'
import {
  APP_OPTIONS,
  type AppOptions,
  type AppWithoutDefault,
  DEFAULT_ROUTES,
  PROVIDER_OPTIONS,
  type ProviderWithoutDefault,
} from './option-table.ts'
import { applyProfile } from './profile.ts'
import { routesFor } from './provider-names.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import { findResponseType } from './response-type.ts'
import { frozenCopy, isPlainObject } from './rule.ts'
import { parseLocalPath, withAsciiHost } from './urls.ts'

type Given = Readonly<Record<string, unknown>>

/** The options of one provider, including those at the top that it does not override. */
interface GivenProvider {
  readonly name: string
  /** Stands before the names of its options in messages: nothing, or `providers.okta.`. */
  readonly prefix: string
  readonly options: Given
  /** The names of the options that come from the top. */
  readonly inherited: readonly string[]
}

/** Provider options that may be given at the top. A single provider has `routes.callback` instead of `callback`. */
const SHARED_NAMES: readonly string[] = Object.keys(PROVIDER_OPTIONS).filter((name) => name !== 'callback')

/**
 * Turns the options of `oidc()` into a configuration: copies them, so that later changes have no effect, checks each
 * option and each combination, and fills in the defaults.
 *
 * @throws ConfigError with one message for each problem, all at once. No message contains a secret.
 */
export function parseOptions(options: unknown): Configuration {
  const given = copyOptions(options)
  const providers = givenProviders(given)
  const problems = [
    ...unknownNames(given, [...Object.keys(APP_OPTIONS), ...SHARED_NAMES], '', 'oidc'),
    ...appProblems(given),
    ...providers.flatMap((provider) => providerProblems(given, provider)),
    ...(typeof given['providers'] === 'function' ? sharedProblems(given) : []),
  ]
  // A problem at the top is found again for each provider that inherits the option.
  if (problems.length > 0) throw new ConfigError([...new Set(problems)])
  // Every rule has passed, so the values have the types of the public interfaces.
  const checked = providers.map(({ name, options }) => ({ name, options: options as unknown as NamedProviderOptions }))
  const app = createAppConfig(given as unknown as AppOptions, checked)
  const clients = checked.map(({ name, options }) => createProviderConfig(app, name, options))
  const documentProblems = findDocumentProblems(clients)
  if (documentProblems.length > 0) throw new ConfigError(documentProblems)
  return Object.freeze({ app, clients: Object.freeze(clients), ...foundConfig(given, app) })
}

/** The function is the application's, so what it returns is checked as other options are. */
function foundConfig(given: Given, app: AppConfig): Pick<Configuration, 'found'> {
  const { providers: find, ...top } = given
  if (typeof find !== 'function') return {}
  const findConfig: FindProviderConfig = async (name, req) => {
    const own = frozenCopy(await find(name, req))
    if (own === undefined || own === null) return undefined
    if (!isPlainObject(own))
      throw new ConfigError([
        `The option providers must return a plain object, or nothing, for the name ${shown(name)}.`,
      ])
    const provider = { ...givenProvider(name, own, sharedOptions(top)), prefix: `providers(${shown(name)}).` }
    const problems = [...providerProblems(given, provider), ...callbackProblem(own, provider.prefix)]
    if (problems.length > 0) throw new ConfigError([...new Set(problems)])
    const routes = Object.freeze(routesFor(app.routes, name))
    return createProviderConfig({ ...app, routes }, name, provider.options as unknown as NamedProviderOptions)
  }
  // They are the same objects as in `app`.
  return {
    found: { findConfig, issuers: app.issuers as Map<string, string>, signalling: app.signalling as Set<string> },
  }
}

/** A path that the function alone knows cannot be found again. */
function callbackProblem(own: Given, prefix: string): readonly string[] {
  return Object.hasOwn(own, 'callback')
    ? [`${prefix}callback is not an option, because its path must name the provider.`]
    : []
}

/** The function may return what is missing. */
function sharedProblems(given: Given): readonly string[] {
  return Object.entries(PROVIDER_OPTIONS).flatMap(([name, { rule }]) =>
    given[name] === undefined ? [] : rule(given[name], name),
  )
}

/** The copy has no prototype, so that no option is read from one. */
function copyOptions(options: unknown): Given {
  if (isRequestOrApp(options)) throw new ConfigError([FORGOTTEN_CALL])
  const copy = frozenCopy(options)
  if (!isPlainObject(copy)) throw new ConfigError(['options must be a plain object: oidc({ issuer, clientId, ... }).'])
  return withoutPrototype(copy)
}

const FORGOTTEN_CALL = 'It seems you wrote app.use(oidc). Call it with its options: app.use(oidc({ ... })).'

function isRequestOrApp(value: unknown): boolean {
  if (typeof value === 'function') return 'handle' in value && 'use' in value
  return typeof value === 'object' && value !== null && 'headers' in value && 'method' in value && 'url' in value
}

function withoutPrototype(...members: readonly Given[]): Given {
  return Object.assign(Object.create(null), ...members)
}

function sharedOptions(top: Given): Given {
  return Object.fromEntries(Object.entries(top).filter(([name]) => SHARED_NAMES.includes(name)))
}

function givenProviders({ providers, ...top }: Given): readonly GivenProvider[] {
  const shared = sharedOptions(top)
  if (typeof providers === 'function') return []
  if (!isPlainObject(providers)) {
    return [{ name: ONLY_PROVIDER, prefix: '', options: withoutPrototype(applyProfile(shared)), inherited: [] }]
  }
  return Object.entries(providers).flatMap(([name, own]) =>
    isPlainObject(own) ? [givenProvider(name, own, shared)] : [],
  )
}

function givenProvider(name: string, own: Given, shared: Given): GivenProvider {
  const options = withoutPrototype(applyProfile({ ...shared, ...own }))
  const inherited = Object.keys(shared).filter((option) => !Object.hasOwn(own, option))
  return { name, prefix: `providers.${name}.`, options, inherited }
}

function appProblems(given: Given): readonly string[] {
  const problems = problemsByName(given, APP_OPTIONS)
  const ofProvider = problemsByName(given, PROVIDER_OPTIONS)
  const isValid = (name: string): boolean => (problems.get(name) ?? ofProvider.get(name))?.length === 0
  return [...[...problems.values()].flat(), ...findAppConflicts(given, isValid)]
}

const ALL_NAMES = [...Object.keys(PROVIDER_OPTIONS), ...Object.keys(APP_OPTIONS)]

function providerProblems(given: Given, { options, prefix, inherited }: GivenProvider): readonly string[] {
  const pathOf = (name: string): string => (inherited.includes(name) ? name : prefix + name)
  const problems = problemsByName(options, PROVIDER_OPTIONS, pathOf)
  const ofApp = problemsByName(given, APP_OPTIONS)
  const isValid = (name: string): boolean => (problems.get(name) ?? ofApp.get(name))?.length === 0
  const conflicts = findProviderConflicts(withoutPrototype(given, options), isValid)
  return [
    ...(prefix === '' ? [] : misplacedNames(options, APP_OPTIONS, prefix, 'providers')),
    ...(prefix === '' ? [] : unknownNames(options, ALL_NAMES, prefix, 'oidc')),
    ...[...problems.values()].flat(),
    ...conflicts.map((message) => prefix + message),
  ]
}

function problemsByName(
  given: Given,
  table: Readonly<Record<string, OptionRow>>,
  pathOf: (name: string) => string = (name) => name,
): ReadonlyMap<string, readonly string[]> {
  return new Map(Object.entries(table).map(([name, { rule }]) => [name, rule(given[name], pathOf(name))]))
}

function createAppConfig(
  options: Readonly<AppOptions>,
  clients: readonly { readonly name: string; readonly options: Readonly<NamedProviderOptions> }[],
): AppConfig {
  const { baseUrl, secret, providers: _, ...plain } = withDefaults<AppOptions, AppWithoutDefault>(APP_OPTIONS, options)
  const { basePath } = parseBaseUrl([baseUrl].flat()[0] ?? '')
  const hosts = Object.freeze(hostsOf(options))
  const routes = { ...DEFAULT_ROUTES, ...options.routes }
  const secrets = [secret ?? clients[0]?.options.clientSecret].flat()
  return Object.freeze({
    ...plain,
    ...(hosts[0] ?? { origin: '', postLogoutRedirectUri: '' }),
    hosts,
    basePath,
    routes: Object.freeze(routes),
    findsProviders: typeof options.providers === 'function',
    secrets: Object.freeze(secrets.filter((one) => typeof one === 'string')),
    callbacks: Object.freeze(clients.map((client) => callbackPath(routes.callback, client.name, client.options))),
    issuers: Object.freeze(new Map(clients.map((client) => [client.name, client.options.issuer]))),
    clientIds: Object.freeze(new Map(clients.map((client) => [client.name, client.options.clientId ?? '']))),
    signalling: Object.freeze(namesOfSignalling(clients)),
  })
}

function namesOfSignalling(
  clients: readonly { readonly name: string; readonly options: Readonly<NamedProviderOptions> }[],
): ReadonlySet<string> {
  return new Set(clients.filter(({ options }) => options.sharedSignals !== undefined).map(({ name }) => name))
}

/** One for each URL of `baseUrl`. */
function hostsOf({ baseUrl, postLogoutRedirectUri }: Readonly<AppOptions>): readonly HostConfig[] {
  return [baseUrl].flat().map((url) => {
    const { origin } = parseBaseUrl(url)
    return Object.freeze({ origin, postLogoutRedirectUri: afterLogoutUrl(url, postLogoutRedirectUri) })
  })
}

function parseBaseUrl(baseUrl: string): Pick<AppConfig, 'origin' | 'basePath'> {
  const { origin, pathname } = new URL(baseUrl)
  return { origin, basePath: pathname.replace(/\/$/, '') }
}

/**
 * OIDC RP-Initiated Logout 2: the provider compares it with what is registered, so an absolute URL stays as it was
 * given. Only a host with letters beyond ASCII, which no URI has (RFC 3986 3.2.2), becomes what browsers send.
 */
function afterLogoutUrl(baseUrl: string, postLogoutRedirectUri: string = baseUrl): string {
  const { origin, basePath } = parseBaseUrl(baseUrl)
  const path = parseLocalPath(postLogoutRedirectUri, origin)
  return path === undefined
    ? withAsciiHost(postLogoutRedirectUri)
    : origin + basePath + path.pathname + path.search + path.hash
}

function createProviderConfig(app: AppConfig, name: string, options: Readonly<NamedProviderOptions>): Config {
  const { clientSecret, registration, authorizationParams: params } = options
  const responseType = findResponseType(options.responseType) ?? 'code'
  const callback = callbackPath(app.routes.callback, name, options)
  // OIDC Dynamic Client Registration 2: what holds if nothing is registered.
  const usualAuthMethod = clientSecret === undefined && registration === undefined ? 'none' : 'client_secret_basic'
  return Object.freeze({
    ...app,
    ...withDefaults<NamedProviderOptions, ProviderWithoutDefault>(PROVIDER_OPTIONS, options),
    name,
    callback,
    redirectUri: app.origin + app.basePath + callback,
    responseType,
    responseMode: options.responseMode ?? (responseType === 'code' ? 'query' : 'form_post'),
    authorizationParams: typeof params === 'function' ? params : parseAuthorizationParams(params),
    tokenEndpointAuthMethod: options.tokenEndpointAuthMethod ?? usualAuthMethod,
  })
}
