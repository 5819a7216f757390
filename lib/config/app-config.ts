import { parseLocalPath } from '../local-path.ts'
import type { ApplicationOptions } from '../options.ts'
import type { NamedProviderOptions } from '../provider-options.ts'
import { type AppConfig, ONLY_PROVIDER, type RouteName } from './config.ts'

/** The routes where the application names none. */
export const DEFAULT_ROUTES: Readonly<Record<RouteName, string>> = Object.freeze({
  login: '/login',
  callback: '/callback',
  logout: '/logout',
  backchannelLogout: '/backchannel-logout',
  frontchannelLogout: '/frontchannel-logout',
  jwks: '/jwks',
  requestObjects: '/request',
  sessionCheck: '/session-check',
})

const DEFAULTS = {
  providerChooser: undefined,
  passthroughParams: Object.freeze([]),
  silentLogin: false,
  logoutByGet: false,
  revokeTokens: true,
  clearSiteData: Object.freeze([]),
  clockTolerance: 60,
  timeout: 10,
  sessionKey: 'oidc',
  loginLifetime: 86400,
  loginExpiry: 'lifetime',
  idleTimeout: undefined,
  transactionLifetime: 1800,
  sessionClaims: undefined,
  sharedState: undefined,
  fetch: undefined,
  hooks: Object.freeze({}),
  dangerouslyAllowInsecureRequests: false,
} as const

/** The application's part of a configuration, out of options that are sound. */
export function createAppConfig(
  options: Readonly<ApplicationOptions>,
  providers: readonly { readonly name: string; readonly options: Readonly<NamedProviderOptions> }[],
): AppConfig {
  const { origin, basePath } = parseBaseUrl(options.baseUrl)
  const given = Object.fromEntries(Object.entries(options).filter(([name]) => name in DEFAULTS))
  const secrets = [options.secret ?? providers[0]?.options.clientSecret].flat()
  return Object.freeze({
    ...DEFAULTS,
    ...given,
    origin,
    basePath,
    routes: Object.freeze({ ...DEFAULT_ROUTES, ...options.routes }),
    postLogoutRedirectUri: landingUrl(options),
    secrets: Object.freeze(secrets.filter((secret) => typeof secret === 'string')),
    callbacks: Object.freeze(providers.map(({ name, options: one }) => callbackPath(options.routes, name, one))),
    issuers: Object.freeze(new Map(providers.map(({ name, options: { issuer } }) => [name, issuer]))),
    clientIds: Object.freeze(new Map(providers.map(({ name, options: one }) => [name, one.clientId ?? '']))),
  })
}

/** Each provider has a callback of its own; one that is alone has the route of that name. */
export function callbackPath(
  routes: ApplicationOptions['routes'],
  name: string,
  { callback }: Readonly<Pick<NamedProviderOptions, 'callback'>>,
): string {
  const { callback: shared } = { ...DEFAULT_ROUTES, ...routes }
  return callback ?? (name === ONLY_PROVIDER ? shared : `${shared}/${name}`)
}

function parseBaseUrl(baseUrl: string): Pick<AppConfig, 'origin' | 'basePath'> {
  const { origin, pathname } = new URL(baseUrl)
  return { origin, basePath: pathname.replace(/\/$/, '') }
}

/** OIDC RP-Initiated Logout 2: compared with what is registered, so an absolute URL stays as it was given. */
function landingUrl({ baseUrl, postLogoutRedirectUri = baseUrl }: Readonly<ApplicationOptions>): string {
  const { origin, basePath } = parseBaseUrl(baseUrl)
  const path = parseLocalPath(postLogoutRedirectUri, origin)
  return path === undefined ? postLogoutRedirectUri : origin + basePath + path.pathname + path.search + path.hash
}
