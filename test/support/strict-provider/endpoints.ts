/** The endpoints of the strict provider, by names that do not depend on its layout. */
export const ENDPOINTS = [
  '/discovery',
  '/oauth-discovery',
  '/webfinger',
  '/jwks',
  '/register',
  '/par',
  '/authorize',
  '/token',
  '/userinfo',
  '/revoke',
  '/logout',
  '/check-session',
] as const

export type Endpoint = (typeof ENDPOINTS)[number]

export type EndpointUrls = Readonly<Record<Endpoint, string>>

/** Where issuer and endpoints lie: two of them as Okta has them, one as Auth0. */
export const LAYOUTS = {
  plain: { issuerPath: '', endpointPath: '' },
  'trailing-slash': { issuerPath: '/tenant/', endpointPath: '/tenant' },
  'okta-org': { issuerPath: '', endpointPath: '/oauth2/v1' },
  'okta-custom': { issuerPath: '/oauth2/default', endpointPath: '/oauth2/default/v1' },
} as const

/** What the addresses of a provider are made of. */
export interface Layout {
  readonly origin: string
  readonly issuerPath: string
  readonly endpointPath: string
}

/** The absolute addresses of all endpoints, those that this provider does not offer included. */
export function createEndpointUrls({ origin, issuerPath, endpointPath }: Layout): EndpointUrls {
  // OIDC Discovery 4.1: a slash at the end of the issuer goes before the well-known path is added.
  const path = issuerPath.replace(/\/$/, '')
  const base = origin + endpointPath
  return {
    '/discovery': `${origin}${path}/.well-known/openid-configuration`,
    // RFC 8414 3.1: the well-known path goes between the host and the path of the issuer.
    '/oauth-discovery': `${origin}/.well-known/oauth-authorization-server${path}`,
    // OIDC Discovery 2: below the host, whatever the issuer.
    '/webfinger': `${origin}/.well-known/webfinger`,
    '/jwks': `${base}/keys`,
    '/register': `${base}/clients`,
    '/par': `${base}/par`,
    '/authorize': `${base}/authorize`,
    '/token': `${base}/token`,
    '/userinfo': `${base}/userinfo`,
    '/revoke': `${base}/revoke`,
    '/logout': `${base}/logout`,
    '/check-session': `${base}/check-session`,
  }
}

/** Those that a client asks directly, and that show themselves under mutual TLS too (RFC 8705 5). */
export const ASKED_BY_CLIENT = ['/par', '/token', '/userinfo', '/revoke', '/register'] as const satisfies Endpoint[]

/** The same paths on the listener that asks for client certificates. */
export function createMtlsEndpointUrls(urls: EndpointUrls, mtlsOrigin: string): Partial<EndpointUrls> {
  return Object.fromEntries(ASKED_BY_CLIENT.map((name) => [name, mtlsOrigin + new URL(urls[name]).pathname]))
}

/** The endpoint at a path. Clients that are registered have addresses of their own below that of the registration. */
export function findEndpoint(urls: EndpointUrls, pathname: string): Endpoint | undefined {
  const pathOf = (name: Endpoint): string => new URL(urls[name]).pathname
  const exact = ENDPOINTS.find((name) => pathOf(name) === pathname)
  return exact ?? (pathname.startsWith(`${pathOf('/register')}/`) ? '/register' : undefined)
}
