import type { NamedProviderOptions } from '../provider-options.ts'
import { findResponseType } from '../response-type.ts'
import { callbackPath } from './app-config.ts'
import { parseAuthorizationParams } from './authorization-params.ts'
import type { AppConfig, Config } from './config.ts'

/** Where nothing is registered, the standard has this content encryption (OIDC Dynamic Client Registration 2). */
const USUAL_ENC = 'A128CBC-HS256'

const DEFAULTS = {
  clientId: '',
  clientSecret: undefined,
  registration: undefined,
  scope: 'openid profile email',
  profile: undefined,
  idTokenSignedResponseAlg: 'RS256',
  idTokenEncryptedResponseAlg: undefined,
  idTokenEncryptedResponseEnc: USUAL_ENC,
  userinfoSignedResponseAlg: undefined,
  userinfoEncryptedResponseAlg: undefined,
  userinfoEncryptedResponseEnc: USUAL_ENC,
  authorizationSignedResponseAlg: 'RS256',
  authorizationEncryptedResponseAlg: undefined,
  authorizationEncryptedResponseEnc: USUAL_ENC,
  tokenEndpointAuthSigningAlg: undefined,
  clientAssertionAudience: undefined,
  clientKeys: Object.freeze([]),
  tlsClientCertificate: undefined,
  requirePushedAuthorizationRequests: false,
  requestObjectSigningAlg: undefined,
  requestObjectEncryptionAlg: undefined,
  requestObjectEncryptionEnc: USUAL_ENC,
  requestObjectBy: 'value',
  dpopBoundAccessTokens: false,
  dpopSigningAlg: 'ES256',
  userinfo: 'when-needed',
  userinfoBearerMethod: 'header',
  claimsProviders: Object.freeze([]),
  discovery: 'oidc',
  discoveryWithClientId: false,
  providerMetadata: undefined,
  tenants: undefined,
  endSessionParams: undefined,
  dangerouslyAssumeRequestedScope: false,
} as const

/** The configuration of one client at one provider, out of options that are sound. */
export function createProviderConfig(app: AppConfig, name: string, options: Readonly<NamedProviderOptions>): Config {
  const { authorizationParams, ...plain } = options
  const responseType = findResponseType(options.responseType) ?? 'code'
  const callback = callbackPath(app.routes, name, options)
  return Object.freeze({
    ...app,
    tokenEndpointAuthMethod: usualAuthMethod(options),
    ...DEFAULTS,
    ...plain,
    name,
    callback,
    redirectUri: app.origin + app.basePath + callback,
    responseType,
    responseMode: options.responseMode ?? (responseType === 'code' ? 'query' : 'form_post'),
    authorizationParams:
      typeof authorizationParams === 'function' ? authorizationParams : parseAuthorizationParams(authorizationParams),
  })
}

/** OIDC Dynamic Client Registration 2: `client_secret_basic` where nothing is registered. */
function usualAuthMethod({
  clientSecret,
  registration,
}: Readonly<NamedProviderOptions>): Config['tokenEndpointAuthMethod'] {
  return clientSecret === undefined && registration === undefined ? 'none' : 'client_secret_basic'
}
