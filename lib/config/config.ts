import { ConfigError } from '../errors.ts'
import { parseLocalPath } from '../local-path.ts'
import type { Hooks, Options, ProviderMetadata } from '../options.ts'
import { findResponseType, type ResponseMode, type ResponseType } from '../response-type.ts'
import { parseAuthorizationParams } from './authorization-params.ts'
import { DEFAULT_ROUTES, findConflicts } from './config-conflicts.ts'
import { frozenCopy, isPlainObject } from './frozen-copy.ts'
import { unknownNames } from './option-names.ts'
import { OPTION_RULES } from './option-rules.ts'

/** The complete configuration of one `oidc()` call: checked, with every default filled in, deeply frozen. */
export interface Config {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string | undefined
  /** Scheme, host and port of `baseUrl`: `https://app.example.com`. */
  readonly origin: string
  /** The path of `baseUrl` without its last slash: empty, or `/portal`. */
  readonly basePath: string
  readonly scope: string
  readonly responseType: ResponseType
  readonly responseMode: ResponseMode
  readonly authorizationSignedResponseAlg: string
  readonly authorizationParams: Readonly<Record<string, string>>
  /** The paths of the routes, without `basePath`. */
  readonly routes: Readonly<Record<'login' | 'callback' | 'logout', string>>
  readonly logoutByGet: boolean
  /** `origin`, `basePath` and the callback route. */
  readonly redirectUri: string
  readonly postLogoutRedirectUri: string
  readonly idTokenSignedResponseAlg: string
  readonly tokenEndpointAuthMethod: 'client_secret_basic' | 'client_secret_post' | 'none'
  readonly clockTolerance: number
  readonly timeout: number
  readonly sessionKey: string
  /** Newest first, never empty. */
  readonly secrets: readonly string[]
  readonly loginLifetime: number
  readonly transactionLifetime: number
  readonly sessionClaims: Options['sessionClaims']
  readonly userinfo: boolean | 'when-needed'
  readonly providerMetadata: ProviderMetadata | undefined
  readonly fetch: Options['fetch']
  readonly hooks: Hooks
  readonly dangerouslyAssumeRequestedScope: boolean
  readonly dangerouslyAllowInsecureRequests: boolean
}

/**
 * Makes the configuration out of the options of `oidc()`. They are copied first: the caller's object is never written
 * to, and what it becomes later changes nothing.
 *
 * @throws ConfigError with one sentence for each fault of the options, all at once. None holds a secret.
 */
export function parseOptions(options: unknown): Config {
  const given = copyOptions(options)
  const faults = findFaults(given)
  if (faults.length > 0) throw new ConfigError(faults)
  // Each rule has passed: the foreign value gets its type here.
  return createConfig(given as Readonly<Options>)
}

/** Without a prototype, so that nothing is ever read from one. */
function copyOptions(options: unknown): Readonly<Partial<Options>> {
  if (isRequestOrApp(options)) throw new ConfigError([APP_USE])
  const copy = frozenCopy(options)
  if (!isPlainObject(copy)) throw new ConfigError(['options must be a plain object: oidc({ issuer, clientId, ... }).'])
  return Object.assign(Object.create(null), copy)
}

const APP_USE = 'It seems you wrote app.use(oidc); it must be app.use(oidc({ ... })).'

function isRequestOrApp(value: unknown): boolean {
  if (typeof value === 'function') return 'handle' in value && 'use' in value
  return typeof value === 'object' && value !== null && 'headers' in value && 'method' in value && 'url' in value
}

function findFaults(given: Readonly<Partial<Options>>): readonly string[] {
  const names = Object.keys(OPTION_RULES) as (keyof Options)[]
  const faults = new Map(names.map((name) => [name, OPTION_RULES[name](given[name], name)]))
  return [
    ...unknownNames(given, names),
    ...[...faults.values()].flat(),
    ...findConflicts(given, (name) => faults.get(name)?.length === 0),
  ]
}

const DEFAULTS = {
  clientSecret: undefined,
  scope: 'openid profile email',
  logoutByGet: false,
  authorizationSignedResponseAlg: 'RS256',
  idTokenSignedResponseAlg: 'RS256',
  clockTolerance: 60,
  timeout: 10,
  sessionKey: 'oidc',
  loginLifetime: 86400,
  transactionLifetime: 1800,
  sessionClaims: undefined,
  userinfo: 'when-needed',
  providerMetadata: undefined,
  fetch: undefined,
  hooks: Object.freeze({}),
  dangerouslyAssumeRequestedScope: false,
  dangerouslyAllowInsecureRequests: false,
} as const

function createConfig(options: Readonly<Options>): Config {
  const { baseUrl, secret, routes: givenRoutes, authorizationParams, ...plain } = options
  const { origin, basePath } = parseBaseUrl(baseUrl)
  const responseType = findResponseType(options.responseType) ?? 'code'
  const routes = Object.freeze({ ...DEFAULT_ROUTES, ...givenRoutes })
  return Object.freeze({
    tokenEndpointAuthMethod: options.clientSecret === undefined ? 'none' : 'client_secret_basic',
    ...DEFAULTS,
    ...plain,
    origin,
    basePath,
    routes,
    redirectUri: origin + basePath + routes.callback,
    postLogoutRedirectUri: landingUrl(options),
    responseType,
    responseMode: options.responseMode ?? (responseType === 'code' ? 'query' : 'form_post'),
    authorizationParams: parseAuthorizationParams(authorizationParams),
    secrets: Object.freeze([secret ?? options.clientSecret].flat().filter((given) => given !== undefined)),
  })
}

function parseBaseUrl(baseUrl: string): Pick<Config, 'origin' | 'basePath'> {
  const { origin, pathname } = new URL(baseUrl)
  return { origin, basePath: pathname.replace(/\/$/, '') }
}

/** OIDC RP-Initiated Logout 2: compared with what is registered, so an absolute URL stays as it was given. */
function landingUrl({ baseUrl, postLogoutRedirectUri = baseUrl }: Readonly<Options>): string {
  const { origin, basePath } = parseBaseUrl(baseUrl)
  const path = parseLocalPath(postLogoutRedirectUri, origin)
  return path === undefined ? postLogoutRedirectUri : origin + basePath + path.pathname + path.search + path.hash
}
