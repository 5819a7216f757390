import type { JsonWebKey } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Account, USER_SUBJECT } from '../app/accounts.ts'
import type { AnyOptions } from '../app/app.ts'
import type { SigningKeys } from '../app/signing-keys.ts'
import type { Answer } from '../browser/http-exchange.ts'
import { readBody } from '../servers/http-server.ts'
import type { Certificate } from '../servers/tls-certificate.ts'
import { createContext } from './assembly.ts'
import type { StrictClient } from './client.ts'
import {
  type AccessTokenRecord,
  type Changes,
  type ClaimsFrom,
  ENDPOINTS,
  type Endpoint,
  type RefreshTokenRecord,
  type StrictContext,
  type StrictRequest,
} from './context.ts'
import { type EndpointUrls, findEndpoint } from './endpoints.ts'
import { createProviderKeys, renewKeys } from './keys.ts'
import { certificateOf, type Listeners, portOf, startListeners } from './listeners.ts'
import { issueLogoutToken, type LogoutSubject, postLogoutToken } from './logout-token.ts'
import { type StrictProviderOptions, withProfile } from './options.ts'
import { answerEndpoint, isOffered } from './routes.ts'

export type { StrictProviderOptions } from './options.ts'

/**
 * A small provider of our own: right by default, strict about what it is asked, and a test can change exactly one
 * thing of each answer (`provider.change.idTokenClaims = (claims) => ({ ...claims, aud: 'another' })`).
 */
export interface StrictProvider {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly endpointUrls: EndpointUrls
  /** Those for clients with certificates, where the provider asks for any. */
  readonly mtlsEndpointUrls: Partial<EndpointUrls> | undefined
  /** What an app needs to be the client that the provider knows: `startApp` takes it from here. */
  readonly clientOptions: Partial<AnyOptions>
  /** The client's private keys, as JWKs; empty where none are needed. */
  readonly clientKeys: readonly JsonWebKey[]
  readonly clientCertificate: Certificate | undefined
  readonly initialAccessToken: string
  readonly change: Changes
  /** What the client has done wrong. A test of a good flow asserts that it is empty. */
  readonly complaints: readonly string[]
  /** How many requests each endpoint has got. */
  readonly calls: Readonly<Record<Endpoint, number>>
  /** Every request, in order. */
  readonly requests: readonly StrictRequest[]
  /** The parameters of every authorization request, those pushed or in request objects included. */
  readonly authorizationRequests: readonly URLSearchParams[]
  /** Who logs in. */
  account: Account
  /** Whether somebody is: else `prompt=none` is refused. Without that prompt the person logs in at once. */
  loggedIn: boolean
  /** Who is logged in in which browser (OIDC Session Management). */
  readonly browserStates: ReadonlyMap<string, string>
  /** How the person logged in; absent: `pwd`, said where an `acr` is asked for. */
  amr: readonly string[] | undefined
  /** When the person logged in, in seconds since 1970; absent: at the moment. */
  authTime: number | undefined
  /** The registered redirect URIs; absent: every one on the loopback interface. */
  redirectUris: readonly string[] | undefined
  /** Some claims of UserInfo come from there. */
  claimsFrom: ClaimsFrom | undefined
  /** The nonces that DPoP proofs must have. Set others, and the client is told them. */
  dpopNonces: { authorizationServer: string; resource: string }
  /** Every access token that was ever given out, by its text. */
  readonly accessTokens: ReadonlyMap<string, AccessTokenRecord>
  /** All clients by their ids: a test may add one that is like the first. */
  readonly clients: Map<string, StrictClient>
  /** Every refresh token. */
  readonly refreshTokens: ReadonlyMap<string, RefreshTokenRecord>
  /** The signing keys of the moment, to forge tokens with `signJws`. */
  readonly keys: SigningKeys
  /** Those beside them, where there are any: published, and never signed with unless a test does. */
  readonly secondKeys: Pick<SigningKeys, 'rsa' | 'p256'> | undefined
  /** What the client has answered to each logout token. */
  readonly logoutAnswers: readonly Answer[]
  /** Posts a logout token to an address of the client: of this person, or of this session. */
  postLogoutToken(uri: string, subject: LogoutSubject): Promise<Answer>
  /** The same token, for a test to bring it by itself. */
  issueLogoutToken(subject: LogoutSubject): Promise<string>
  /** Registers the client anew, until the next reset: with the `clientJwksUri` of an app that has started, for example. */
  changeClient(settings: Partial<StrictClient>): void
  /** New keys, with new `kid`s; the old ones are gone. A test may bring them: two sets. */
  rotateKeys(made?: readonly SigningKeys[]): Promise<void>
  /** Undoes every change, and forgets complaints, calls and requests. Keys, codes and tokens stay. */
  reset(): void
  stop(): Promise<void>
}

/** The first request that an endpoint has got. */
export function firstRequest({ requests }: StrictProvider, endpoint: Endpoint): StrictRequest | undefined {
  return requests.find((request) => request.endpoint === endpoint)
}

/** Starts a strict provider on a free port; the issuer is `http://localhost:port` and the layout's path. */
export async function startStrictProvider(given: StrictProviderOptions = {}): Promise<StrictProvider> {
  const options = withProfile(given)
  const keys = createProviderKeys(options)
  let answer = (_req: IncomingMessage, res: ServerResponse): void => void res.writeHead(503).end()
  const listeners = await startListeners((req, res) => answer(req, res), keys.clientAuthority)
  const { context, ...forTests } = createContext(given, options, keys, listeners)
  const requests: StrictRequest[] = []
  const calls = noCalls()
  answer = (req, res) => {
    dispatch(context, requests, calls, req, res).catch((error) => {
      // A change of the test that throws, for example.
      context.complaints.push(`the strict provider failed: ${error}`)
      res.destroy()
    })
  }
  return Object.assign(createHandle(context, options, requests, calls, listeners), forTests)
}

function noCalls(): Record<Endpoint, number> {
  const none = ENDPOINTS.map((name) => [name, 0] as const)
  // One for each.
  return Object.fromEntries(none) as Record<Endpoint, number>
}

async function dispatch(
  context: StrictContext,
  requests: StrictRequest[],
  calls: Record<Endpoint, number>,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const { pathname: path, searchParams: query } = new URL(req.url ?? '/', context.issuer)
  const endpoint = findEndpoint(context.endpointUrls, path)
  if (!endpoint || !isOffered(context, endpoint)) {
    // A real browser asks every origin for its icon.
    if (path !== '/favicon.ico') context.complaints.push(`there is nothing at ${path}`)
    res.writeHead(404).end()
    return
  }
  calls[endpoint]++
  const raw = context.change.raw[endpoint]
  const body = await readBody(req)
  const isForm = req.headers['content-type']?.startsWith('application/x-www-form-urlencoded')
  const form = new URLSearchParams(isForm ? body : '')
  const { method = 'GET', headers } = req
  const url = addressOf(context, endpoint, req)
  const request = { endpoint, method, path, url, headers, query, form, body, certificate: certificateOf(req) }
  requests.push(request)
  if (raw) raw(req, res)
  else await answerEndpoint(context, request, res)
}

/** The address of the endpoint as the client has to know it, on the port that it asked. */
function addressOf(
  { endpointUrls, mtlsEndpointUrls }: StrictContext,
  endpoint: Endpoint,
  req: IncomingMessage,
): string {
  const underTls = mtlsEndpointUrls?.[endpoint]
  const isThere = underTls !== undefined && new URL(underTls).port === String(portOf(req))
  return isThere ? underTls : endpointUrls[endpoint]
}

function createHandle(
  context: StrictContext,
  { claimsFrom }: StrictProviderOptions,
  requests: StrictRequest[],
  calls: Record<Endpoint, number>,
  { stop }: Listeners,
): Omit<StrictProvider, 'clientOptions' | 'clientKeys' | 'clientCertificate'> {
  function reset(): void {
    for (const name of Object.keys(context.change)) Reflect.deleteProperty(context.change, name)
    Object.assign(context.change, { raw: {} })
    const person = { account: USER_SUBJECT, loggedIn: true, authTime: undefined, amr: undefined }
    Object.assign(context, { ...person, redirectUris: undefined, claimsFrom })
    Object.assign(calls, noCalls())
    for (const list of [context.complaints, context.authorizationRequests, context.logoutAnswers, requests])
      list.length = 0
    changeClient({})
  }
  const client = context.clients.get(context.clientId)
  function changeClient(settings: Partial<StrictClient>): void {
    if (client) context.clients.set(client.clientId, { ...client, ...settings })
  }
  async function rotateKeys(made?: readonly SigningKeys[]): Promise<void> {
    renewKeys(context, made)
  }
  const registered = (): StrictClient => context.clients.get(context.clientId) ?? failWithoutClient()
  const logouts = {
    postLogoutToken: (uri: string, subject: LogoutSubject) => postLogoutToken(context, uri, registered(), subject),
    issueLogoutToken: (subject: LogoutSubject) => issueLogoutToken(context, registered(), subject),
  }
  // One object is both: the endpoints read what the test writes.
  return Object.assign(context, logouts, { calls, requests, changeClient, reset, rotateKeys, stop })
}

function failWithoutClient(): never {
  throw new Error('the client of this provider is gone')
}
