import type { Options } from '../options.ts'

type Given = Readonly<Partial<Options>>

/** A rule about several options at once. */
interface Conflict {
  /** Asked only where each of these is sound on its own. */
  readonly between: readonly (keyof Options)[]
  readonly faults: (options: Given) => readonly string[]
}

function conflict(between: readonly (keyof Options)[], sentence: string, holds: (options: Given) => boolean): Conflict {
  return { between, faults: (options) => (holds(options) ? [sentence] : []) }
}

/** The routes where the application names none. */
export const DEFAULT_ROUTES: Readonly<Record<'login' | 'callback' | 'logout', string>> = Object.freeze({
  login: '/login',
  callback: '/callback',
  logout: '/logout',
})

const CONFLICTS: readonly Conflict[] = [
  conflict(
    ['tokenEndpointAuthMethod', 'clientSecret'],
    'tokenEndpointAuthMethod must be none, or be left out, where there is no clientSecret.',
    ({ tokenEndpointAuthMethod: method = 'none', clientSecret }) => method !== 'none' && clientSecret === undefined,
  ),
  conflict(
    ['tokenEndpointAuthMethod', 'clientSecret'],
    'tokenEndpointAuthMethod is none, yet there is a clientSecret: leave one of the two out.',
    (options) => options.tokenEndpointAuthMethod === 'none' && options.clientSecret !== undefined,
  ),
  conflict(
    ['idTokenSignedResponseAlg', 'clientSecret'],
    'idTokenSignedResponseAlg needs a clientSecret where it is HS256, HS384 or HS512.',
    ({ idTokenSignedResponseAlg: alg = '', clientSecret }) => alg.startsWith('HS') && clientSecret === undefined,
  ),
  conflict(
    ['authorizationSignedResponseAlg', 'clientSecret'],
    'authorizationSignedResponseAlg needs a clientSecret where it is HS256, HS384 or HS512.',
    ({ authorizationSignedResponseAlg: alg = '', clientSecret }) => alg.startsWith('HS') && clientSecret === undefined,
  ),
  conflict(
    ['secret', 'clientSecret'],
    'secret must be given where there is no clientSecret: at least 32 random characters.',
    (options) => options.secret === undefined && options.clientSecret === undefined,
  ),
  conflict(
    ['secret', 'clientSecret'],
    'secret must be given where clientSecret has fewer than 32 characters: who sees a cookie could guess it.',
    ({ secret, clientSecret }) => secret === undefined && clientSecret !== undefined && clientSecret.length < 32,
  ),
  conflict(
    ['providerMetadata', 'issuer'],
    'providerMetadata.issuer must equal issuer, character by character.',
    (options) => options.providerMetadata !== undefined && options.providerMetadata.issuer !== options.issuer,
  ),
  conflict(
    ['responseType', 'responseMode'],
    'responseMode must not be query where responseType has id_token or token: they would stay in logs and histories.',
    ({ responseType = 'code', responseMode = '' }) => responseMode.startsWith('query') && responseType !== 'code',
  ),
  conflict(
    ['userinfo', 'providerMetadata'],
    'userinfo is true, yet providerMetadata has no userinfo_endpoint.',
    ({ userinfo, providerMetadata: metadata }) =>
      userinfo === true && metadata !== undefined && metadata.userinfo_endpoint === undefined,
  ),
  conflict(
    ['postLogoutRedirectUri', 'baseUrl', 'routes'],
    'postLogoutRedirectUri must not be one of routes: name the page that people see after a logout.',
    ({ postLogoutRedirectUri: landing, baseUrl = '', routes }) =>
      Object.values({ ...DEFAULT_ROUTES, ...routes }).some((path) => {
        return [path, baseUrl.replace(/\/$/, '') + path].some((own) => isSamePath(own, landing))
      }),
  ),
  { between: ['routes'], faults: equalRoutes },
  { between: ['dangerouslyAllowInsecureRequests', 'issuer'], faults: insecure('issuer') },
  { between: ['dangerouslyAllowInsecureRequests', 'baseUrl'], faults: insecure('baseUrl') },
  { between: ['dangerouslyAllowInsecureRequests', 'postLogoutRedirectUri'], faults: insecure('postLogoutRedirectUri') },
  { between: ['dangerouslyAllowInsecureRequests', 'providerMetadata'], faults: insecureEndpoints },
]

/** One sentence for each contradiction between options; `isSound` tells which options have no fault of their own. */
export function findConflicts(options: Given, isSound: (name: keyof Options) => boolean): readonly string[] {
  return CONFLICTS.filter(({ between }) => between.every(isSound)).flatMap(({ faults }) => faults(options))
}

function isSamePath(path: string, landing: string | undefined): boolean {
  return landing?.toLowerCase().replace(/\/$/, '') === path.toLowerCase()
}

/** Routers may leave case aside, so two routes that differ in nothing else are one. */
function equalRoutes({ routes }: Given): readonly string[] {
  const names = Object.entries({ ...DEFAULT_ROUTES, ...routes }).map(([name, path]) => ({ name, path }))
  return names.flatMap(({ name, path }, index) => {
    const twin = names.slice(0, index).find((other) => other.path.toLowerCase() === path.toLowerCase())
    return twin === undefined ? [] : [`routes.${name} must differ from routes.${twin.name}: both are ${path}.`]
  })
}

function insecure(name: 'issuer' | 'baseUrl' | 'postLogoutRedirectUri'): Conflict['faults'] {
  return (options) => insecureUrl(options, options[name], name)
}

function insecureEndpoints(options: Given): readonly string[] {
  const { issuer: _, ...metadata } = options.providerMetadata ?? {}
  return Object.entries(metadata)
    .filter(([name]) => /_(?:endpoint|uri)$/.test(name))
    .flatMap(([name, url]) => insecureUrl(options, url, `providerMetadata.${name}`))
}

/** RFC 9700 2.6, OIDC Core 16.17: loopback is no exception, for the same value then goes to production. */
function insecureUrl(options: Given, url: unknown, name: string): readonly string[] {
  if (options.dangerouslyAllowInsecureRequests === true || !String(url).startsWith('http:')) return []
  return [`${name} must be https; for development, plain http needs dangerouslyAllowInsecureRequests: true.`]
}
