import { randomBytes } from 'node:crypto'
import { USER_SUBJECT } from '../app/accounts.ts'
import { publicKeySet } from '../app/signing-keys.ts'
import type { StrictClient } from './client.ts'
import { clientOptionsFor } from './client-options.ts'
import type { StrictContext } from './context.ts'
import { createEndpointUrls, createMtlsEndpointUrls, LAYOUTS } from './endpoints.ts'
import type { ProviderKeys } from './keys.ts'
import type { Listeners } from './listeners.ts'
import type { StrictProviderOptions } from './options.ts'
import type { StrictProvider } from './provider.ts'

/** What the endpoints share, and what the tests need to be their client. */
export interface Assembly extends Pick<StrictProvider, 'clientOptions' | 'clientKeys' | 'clientCertificate'> {
  readonly context: StrictContext
}

/** Puts a provider together: `given` is what the test has said itself, `options` with what the profile adds. */
export function createContext(
  given: StrictProviderOptions,
  options: StrictProviderOptions,
  keys: ProviderKeys,
  listeners: Listeners,
): Assembly {
  const client = createClient(options, keys)
  const { clientKeys, clientCertificate } = keys
  const belongings = { keys: clientKeys, certificate: clientCertificate }
  return {
    context: {
      ...createAddresses(options, listeners),
      ...createSettings(options),
      ...createMemory(),
      clientId: client.clientId,
      clientSecret: client.clientSecret,
      clients: new Map([[client.clientId, client]]),
      keys: keys.signing,
      secondKeys: keys.second,
      encryptionKeys: keys.encryption,
      account: USER_SUBJECT,
      loggedIn: true,
      amr: undefined,
      authTime: undefined,
      redirectUris: undefined,
      claimsFrom: options.claimsFrom,
      dpopNonces: { authorizationServer: randomText(), resource: randomText() },
      change: { raw: {} },
    },
    clientOptions: clientOptionsFor(given, client, belongings),
    clientKeys,
    clientCertificate,
  }
}

const randomText = (): string => randomBytes(12).toString('base64url')

function createClient(options: StrictProviderOptions, keys: ProviderKeys): StrictClient {
  const { dpop = 'absent', clientJwksUri, clientKeys: _private, ...settings } = options
  return {
    ...settings,
    clientId: options.clientId ?? 'test-client',
    clientSecret: options.clientSecret ?? 'a-Secret_of.40-characters_0123456789abcd',
    tokenEndpointAuthMethod: options.tokenEndpointAuthMethod ?? 'client_secret_basic',
    alg: options.alg ?? 'RS256',
    authorizationSignedResponseAlg: options.authorizationSignedResponseAlg ?? 'RS256',
    dpopBoundAccessTokens: options.dpopBoundAccessTokens ?? dpop !== 'absent',
    clientJwksUri,
    clientJwks: options.clientJwks ?? publicKeySet(keys.clientKeys),
    certificates: keys.clientCertificate ? [keys.clientCertificate] : [],
  }
}

function createAddresses(
  options: StrictProviderOptions,
  { origin, mtlsOrigin }: Listeners,
): Pick<StrictContext, 'issuer' | 'endpointUrls' | 'mtlsEndpointUrls'> {
  const layout = LAYOUTS[options.layout ?? 'plain']
  const told = options.issuerPath ?? layout.issuerPath
  const issuerPath = options.webfinger === 'announced' ? `${told.replace(/\/$/, '')}/${randomText()}` : told
  const endpointPath = options.issuerPath?.replace(/\/$/, '') ?? layout.endpointPath
  const endpointUrls = createEndpointUrls({ origin, issuerPath, endpointPath })
  return {
    issuer: `${origin}${issuerPath}`,
    endpointUrls,
    mtlsEndpointUrls: mtlsOrigin === undefined ? undefined : createMtlsEndpointUrls(endpointUrls, mtlsOrigin),
  }
}

type Setting =
  | ('profile' | 'assertionAudience' | 'issParameter' | 'pkce' | 'idToken' | 'pushed' | 'dpop' | 'userinfoBearerMethod')
  | ('refreshTokenRotation' | 'refreshedIdToken' | 'revocation' | 'registration' | 'registrationManagement')
  | ('initialAccessToken' | 'webfinger' | 'fapiKeys' | 'sessionManagement')

function createSettings(options: StrictProviderOptions): Pick<StrictContext, Setting> {
  return {
    profile: options.profile,
    assertionAudience: options.assertionAudience ?? 'issuer',
    issParameter: options.issParameter ?? 'announced',
    pkce: options.pkce ?? 'required',
    idToken: options.idToken ?? 'fat',
    pushed: options.pushed ?? 'absent',
    dpop: options.dpop ?? 'absent',
    userinfoBearerMethod: options.userinfoBearerMethod,
    refreshTokenRotation: options.refreshTokenRotation ?? 'rotate',
    refreshedIdToken: options.refreshedIdToken ?? 'with-nonce',
    revocation: options.revocation ?? 'announced',
    sessionManagement: options.sessionManagement ?? 'absent',
    registration: options.registration ?? 'absent',
    registrationManagement: options.registrationManagement ?? 'announced',
    initialAccessToken: options.initialAccessToken ?? 'the-initial-access-token',
    webfinger: options.webfinger ?? 'absent',
    fapiKeys: options.fapiKeys ?? false,
  }
}

type Memory =
  | ('complaints' | 'browserStates' | 'codes' | 'accessTokens' | 'refreshTokens' | 'idTokens')
  | ('authorizationRequests' | 'pushedRequests' | 'usedIds' | 'registrations' | 'logoutAnswers')

function createMemory(): Pick<StrictContext, Memory> {
  return {
    complaints: [],
    browserStates: new Map(),
    codes: new Map(),
    accessTokens: new Map(),
    refreshTokens: new Map(),
    idTokens: new Map(),
    authorizationRequests: [],
    pushedRequests: new Map(),
    usedIds: new Set(),
    registrations: new Map(),
    logoutAnswers: [],
  }
}
