import type { Hooks } from '../hooks.ts'
import type { ResponseType } from '../types.ts'
import type { ApplicationOptions } from './options.ts'
import type { ClientAuthMethod, ProviderMetadata, ProviderOptions } from './provider-options.ts'
import type { ResponseMode } from './response-type.ts'

/** The routes that every application has. */
export type RouteName =
  | ('login' | 'callback' | 'logout' | 'backchannelLogout' | 'frontchannelLogout')
  | ('jwks' | 'requestObjects' | 'sessionCheck')

/** What holds for the whole application: checked, with every default filled in, deeply frozen. */
export interface AppConfig {
  /** Scheme, host and port of `baseUrl`: `https://app.example.com`. */
  readonly origin: string
  /** The path of `baseUrl` without its last slash: empty, or `/portal`. */
  readonly basePath: string
  /** The paths of the routes, without `basePath`. */
  readonly routes: Readonly<Record<RouteName, string>> & {
    readonly [name: string]: string
    readonly initiateLogin?: string
    readonly tokenRevocation?: string
  }
  /** The paths of the callbacks of all providers. */
  readonly callbacks: readonly string[]
  readonly providerChooser: string | undefined
  readonly passthroughParams: readonly string[]
  readonly silentLogin: boolean
  readonly logoutByGet: boolean
  readonly revokeTokens: boolean
  readonly clearSiteData: NonNullable<ApplicationOptions['clearSiteData']>
  readonly postLogoutRedirectUri: string
  readonly clockTolerance: number
  readonly timeout: number
  readonly sessionKey: string
  /** Newest first, never empty. */
  readonly secrets: readonly string[]
  readonly loginLifetime: number
  readonly loginExpiry: 'lifetime' | 'id_token' | 'session_expiry'
  readonly idleTimeout: number | undefined
  readonly transactionLifetime: number
  readonly sessionClaims: ApplicationOptions['sessionClaims']
  readonly sharedState: ApplicationOptions['sharedState']
  readonly fetch: ApplicationOptions['fetch']
  readonly hooks: Hooks
  readonly dangerouslyAllowInsecureRequests: boolean
  /** The issuers by the names of their providers. */
  readonly issuers: ReadonlyMap<string, string>
  /** The client identifiers by the names of their providers; empty for a client that registers itself. */
  readonly clientIds: ReadonlyMap<string, string>
}

/** All that concerns one client at one provider, the application's part included. */
export interface Config extends AppConfig {
  /** The name of the provider; {@link ONLY_PROVIDER} where there is one alone. */
  readonly name: string
  readonly issuer: string
  /** Empty until the client is registered, where `registration` is given. */
  readonly clientId: string
  readonly clientSecret: ProviderOptions['clientSecret']
  readonly registration: ProviderOptions['registration']
  /** The path of this provider's callback, without `basePath`. */
  readonly callback: string
  /** `origin`, `basePath` and `callback`. */
  readonly redirectUri: string
  readonly scope: string
  readonly responseType: ResponseType
  readonly responseMode: ResponseMode
  readonly authorizationParams: ProviderOptions['authorizationParams']
  readonly profile: ProviderOptions['profile']
  readonly idTokenSignedResponseAlg: string
  readonly idTokenEncryptedResponseAlg: string | undefined
  readonly idTokenEncryptedResponseEnc: string
  readonly userinfoSignedResponseAlg: string | undefined
  readonly userinfoEncryptedResponseAlg: string | undefined
  readonly userinfoEncryptedResponseEnc: string
  readonly authorizationSignedResponseAlg: string
  readonly authorizationEncryptedResponseAlg: string | undefined
  readonly authorizationEncryptedResponseEnc: string
  readonly tokenEndpointAuthMethod: ClientAuthMethod
  readonly tokenEndpointAuthSigningAlg: string | undefined
  readonly clientAssertionAudience: string | undefined
  readonly clientKeys: NonNullable<ProviderOptions['clientKeys']>
  readonly tlsClientCertificate: ProviderOptions['tlsClientCertificate']
  readonly requirePushedAuthorizationRequests: boolean
  readonly requestObjectSigningAlg: string | undefined
  readonly requestObjectEncryptionAlg: string | undefined
  readonly requestObjectEncryptionEnc: string
  readonly requestObjectBy: 'value' | 'reference'
  readonly dpopBoundAccessTokens: boolean
  readonly dpopSigningAlg: string
  readonly userinfo: boolean | 'when-needed'
  readonly userinfoBearerMethod: 'header' | 'body'
  readonly claimsProviders: readonly string[]
  readonly discovery: string
  readonly discoveryWithClientId: boolean
  readonly providerMetadata: ProviderMetadata | undefined
  readonly tenants: ProviderOptions['tenants']
  readonly endSessionParams: ProviderOptions['endSessionParams']
  readonly dangerouslyAssumeRequestedScope: boolean
}

/** What the options of one `oidc()` call come to. */
export interface Configuration {
  readonly app: AppConfig
  /** One for each provider, in the order of the options. */
  readonly clients: readonly Config[]
}

/** The name of the provider where the options give only one. */
export const ONLY_PROVIDER = 'default'
