import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Account, USER_SUBJECT } from './accounts.ts'
import { type Listening, listen, readBody } from './http-server.ts'
import { createSigningKeys, type SigningKeys } from './signing-keys.ts'
import { answerAuthorize } from './strict-authorize.ts'
import {
  type Changes,
  ENDPOINTS,
  type Endpoint,
  type StrictContext,
  type StrictRequest,
  type TokenEndpointAuthMethod,
} from './strict-context.ts'
import { answerDiscovery, answerJwks } from './strict-discovery.ts'
import { answerLogout } from './strict-logout.ts'
import { answerToken } from './strict-token.ts'
import { answerUserinfo } from './strict-userinfo.ts'

/** Where issuer and endpoints lie: two of them as Okta has them, one as Auth0. */
const LAYOUTS = {
  plain: { issuerPath: '', endpointPath: '' },
  'trailing-slash': { issuerPath: '/tenant/', endpointPath: '/tenant' },
  'okta-org': { issuerPath: '', endpointPath: '/oauth2/v1' },
  'okta-custom': { issuerPath: '/oauth2/default', endpointPath: '/oauth2/default/v1' },
} as const

export interface StrictProviderOptions {
  readonly layout?: keyof typeof LAYOUTS
  /** The path of the issuer, where the layout's will not do. */
  readonly issuerPath?: string
  readonly clientId?: string
  readonly clientSecret?: string
  readonly tokenEndpointAuthMethod?: TokenEndpointAuthMethod
  /** What ID Tokens are signed with: RS256 unless told. */
  readonly alg?: string
  /** What authorization responses as JWTs (JARM) are signed with: RS256 unless told. */
  readonly authorizationSignedResponseAlg?: string
  /** RFC 9207: `announced` in the metadata and sent, the default; `sent` without a word; or `absent`. */
  readonly issParameter?: 'announced' | 'sent' | 'absent'
  /** `fat`, the default: the claims of the scopes are in the ID Token, as well as at UserInfo. */
  readonly idToken?: 'fat' | 'thin'
}

/**
 * A small provider of our own: right by default, strict about what it is asked, and a test can change exactly one
 * thing of each answer (`provider.change.idTokenClaims = (claims) => ({ ...claims, aud: 'another' })`).
 */
export interface StrictProvider {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly endpointUrls: Readonly<Record<Endpoint, string>>
  readonly change: Changes
  /** What the client has done wrong. A test of a good flow asserts that it is empty. */
  readonly complaints: readonly string[]
  /** How many requests each endpoint has got. */
  readonly calls: Readonly<Record<Endpoint, number>>
  /** Every request, in order. */
  readonly requests: readonly StrictRequest[]
  /** Who logs in. */
  account: Account
  /** When the person logged in, in seconds since 1970; absent: at the moment. */
  authTime: number | undefined
  /** The registered redirect URIs; absent: every one on the loopback interface. */
  redirectUris: readonly string[] | undefined
  /** Every access token that was ever given out, by its text. */
  readonly accessTokens: ReadonlyMap<string, unknown>
  /** The signing keys of the moment, to forge tokens with `signJws`. */
  readonly keys: SigningKeys
  /** New keys, with new `kid`s; the old ones are gone. */
  rotateKeys(): Promise<void>
  /** Undoes every change, and forgets complaints, calls and requests. Keys, codes and tokens stay. */
  reset(): void
  stop(): Promise<void>
}

/** The first request that an endpoint has got. */
export function firstRequest({ requests }: StrictProvider, endpoint: Endpoint): StrictRequest | undefined {
  return requests.find((request) => request.endpoint === endpoint)
}

let sharedKeys: Promise<SigningKeys> | undefined

/** Starts a strict provider on a free port; the issuer is `http://localhost:port` and the layout's path. */
export async function startStrictProvider(options: StrictProviderOptions = {}): Promise<StrictProvider> {
  // Making RSA keys takes longer than all the rest: one set serves every provider until it rotates them.
  sharedKeys ??= createSigningKeys()
  const keys = await sharedKeys
  let answer = (_req: IncomingMessage, res: ServerResponse): void => void res.writeHead(503).end()
  const listening = await listen(createServer((req, res) => answer(req, res)))
  const context = createContext(options, keys, `http://localhost:${listening.port}`)
  const requests: StrictRequest[] = []
  const calls = noCalls()
  answer = (req, res) => {
    dispatch(context, requests, calls, req, res).catch((error) => {
      // A change of the test that throws, for example.
      context.complaints.push(`the strict provider failed: ${error}`)
      res.destroy()
    })
  }
  return createHandle(context, requests, calls, listening)
}

function createContext(options: StrictProviderOptions, keys: SigningKeys, origin: string): StrictContext {
  const layout = LAYOUTS[options.layout ?? 'plain']
  const issuerPath = options.issuerPath ?? layout.issuerPath
  const base = origin + (options.issuerPath?.replace(/\/$/, '') ?? layout.endpointPath)
  return {
    issuer: `${origin}${issuerPath}`,
    endpointUrls: {
      // OIDC Discovery 4.1: a slash at the end of the issuer goes before the well-known path is added.
      '/discovery': `${origin}${issuerPath.replace(/\/$/, '')}/.well-known/openid-configuration`,
      '/jwks': `${base}/keys`,
      '/authorize': `${base}/authorize`,
      '/token': `${base}/token`,
      '/userinfo': `${base}/userinfo`,
      '/logout': `${base}/logout`,
    },
    clientId: options.clientId ?? 'test-client',
    clientSecret: options.clientSecret ?? 'a-Secret_of.40-characters_0123456789abcd',
    tokenEndpointAuthMethod: options.tokenEndpointAuthMethod ?? 'client_secret_basic',
    alg: options.alg ?? 'RS256',
    authorizationSignedResponseAlg: options.authorizationSignedResponseAlg ?? 'RS256',
    issParameter: options.issParameter ?? 'announced',
    idToken: options.idToken ?? 'fat',
    keys,
    account: USER_SUBJECT,
    authTime: undefined,
    redirectUris: undefined,
    change: { raw: {} },
    complaints: [],
    codes: new Map(),
    accessTokens: new Map(),
    refreshTokens: new Map(),
    idTokens: new Set(),
  }
}

function noCalls(): Record<Endpoint, number> {
  return { '/discovery': 0, '/jwks': 0, '/authorize': 0, '/token': 0, '/userinfo': 0, '/logout': 0 }
}

async function dispatch(
  context: StrictContext,
  requests: StrictRequest[],
  calls: Record<Endpoint, number>,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const url = new URL(req.url ?? '/', context.issuer)
  const endpoint = ENDPOINTS.find((name) => new URL(context.endpointUrls[name]).pathname === url.pathname)
  if (!endpoint) {
    // A real browser asks every origin for its icon.
    if (url.pathname !== '/favicon.ico') context.complaints.push(`there is nothing at ${url.pathname}`)
    res.writeHead(404).end()
    return
  }
  calls[endpoint]++
  const raw = context.change.raw[endpoint]
  const body = await readBody(req)
  const isForm = req.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
  const form = new URLSearchParams(isForm ? body : '')
  const { method = 'GET', headers } = req
  const request = { endpoint, method, path: url.pathname, headers, query: url.searchParams, form }
  requests.push(request)
  if (raw) raw(req, res)
  else await answerEndpoint(context, request, res)
}

function answerEndpoint(
  context: StrictContext,
  request: StrictRequest & { readonly endpoint: Endpoint },
  res: ServerResponse,
): Promise<void> | void {
  switch (request.endpoint) {
    case '/discovery':
      return answerDiscovery(context, res)
    case '/jwks':
      return answerJwks(context, res)
    case '/authorize':
      return answerAuthorize(context, request, res)
    case '/token':
      return answerToken(context, request, res)
    case '/userinfo':
      return answerUserinfo(context, request, res)
    case '/logout':
      return answerLogout(context, request, res)
  }
}

function createHandle(
  context: StrictContext,
  requests: StrictRequest[],
  calls: Record<Endpoint, number>,
  listening: Listening,
): StrictProvider {
  function reset(): void {
    for (const name of Object.keys(context.change)) Reflect.deleteProperty(context.change, name)
    Object.assign(context.change, { raw: {} })
    Object.assign(context, { account: USER_SUBJECT, authTime: undefined, redirectUris: undefined })
    Object.assign(calls, noCalls())
    context.complaints.length = 0
    requests.length = 0
  }
  async function rotateKeys(): Promise<void> {
    context.keys = await createSigningKeys()
  }
  // One object is both: the endpoints read what the test writes.
  return Object.assign(context, { calls, requests, reset, rotateKeys, stop: listening.stop })
}
