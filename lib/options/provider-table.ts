import { createSecureContext } from 'node:tls'
import { callbackPath } from './app-table.ts'
import { authorizationParamsRule, endSessionParamsRule, parseAuthorizationParams } from './authorization-params.ts'
import { clientKeysRule } from './client-keys-rule.ts'
import type { AppConfig, Config } from './config.ts'
import { hasPlaceholder } from './issuer.ts'
import type { NamedProviderOptions, TlsClientCertificate } from './provider-options.ts'
import { registrationRule } from './registration-options.ts'
import { findResponseType, RESPONSE_MODES, RESPONSE_TYPES } from './response-type.ts'
import {
  anyOf,
  booleanRule,
  firstFailing,
  functionRule,
  members,
  must,
  nonEmptyString,
  oneOf,
  optional,
  type Rule,
} from './rule.ts'
import { issuer, parseHttpUrl, providerMetadata, routePath } from './urls.ts'

// RFC 6749 A.1 and A.2 allow VSCHAR only; white space around comes from copying.
const credential: Rule = firstFailing(
  nonEmptyString,
  must('hold printable ASCII characters only, with no space around', (value) =>
    /^[!-~](?:[ -~]*[!-~])?$/.test(String(value)),
  ),
  must('be the value of your own client: it holds a placeholder', (value) => !hasPlaceholder(String(value))),
)

// RFC 6749 3.3: scope-token = 1*NQCHAR. OIDC Core 3.1.2.1: openid makes it an authentication.
const scope: Rule = must('be scopes with single spaces between them, openid among them', (value) => {
  const tokens = typeof value === 'string' ? value.split(' ') : []
  return tokens.includes('openid') && tokens.every((token) => /^[!#-[\]-~]+$/.test(token))
})

const ASYMMETRIC = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ')
const BY_SECRET = ['HS256', 'HS384', 'HS512']

const signatureAlgorithm: Rule = oneOf(...ASYMMETRIC, ...BY_SECRET)

// RFC 7518 4.1 and 4.2: RSA1_5 gives its plaintext away to who may ask often enough.
const encryptionAlgorithm: Rule = oneOf(
  ...['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512'],
  ...['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW'],
  ...['dir', 'A128KW', 'A192KW', 'A256KW', 'A128GCMKW', 'A192GCMKW', 'A256GCMKW'],
)

const contentEncryption: Rule = oneOf(
  ...['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'],
)

const pem: Rule = must('be PEM, as text or bytes, and not the path of a file', (value) => {
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value
  return typeof text === 'string' && text.includes('-----BEGIN ')
})

/** RFC 8705 2. What OpenSSL says of it may hold parts of what was given. */
const certificate: Rule = firstFailing(
  members({ cert: pem, key: pem, passphrase: optional(nonEmptyString), ca: optional(pem) }),
  must('have a cert and the key to it, with its passphrase if any', (value) =>
    isKeyPair(value as TlsClientCertificate),
  ),
)

function isKeyPair({ cert, key, passphrase = '' }: TlsClientCertificate): boolean {
  try {
    return createSecureContext({ cert: Buffer.from(cert), key: Buffer.from(key), passphrase }) !== undefined
  } catch {
    return false
  }
}

const discovery: Rule = must(
  'be oidc, oauth2, or the https address of the metadata',
  (value) => value === 'oidc' || value === 'oauth2' || parseHttpUrl(value)?.hash === '',
)

const tenantIds: Rule = must(
  'be a list of tenant ids, each of letters, digits, dots and hyphens, or a function',
  (value) =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((id) => typeof id === 'string' && /^[A-Za-z0-9][A-Za-z0-9.-]{0,127}$/.test(id)),
)

/**
 * The issuers from which aggregated and distributed claims are taken (OIDC Core 5.6.2): each as `issuer` is, compared
 * character by character, and none twice.
 */
const claimsProvidersRule: Rule = firstFailing(
  must('be a list of issuers', Array.isArray),
  (value, name) => [value].flat().flatMap((one, index) => issuer(one, `${name}[${index}]`)),
  must('name no issuer twice', (value) => new Set([value].flat()).size === [value].flat().length),
)

/** What each option of a provider must be on its own. An option without a rule does not compile. */
export const PROVIDER_RULES: Readonly<Record<keyof NamedProviderOptions, Rule>> = {
  issuer,
  clientId: optional(credential),
  clientSecret: optional(anyOf(functionRule, credential)),
  registration: optional(registrationRule),
  callback: optional(routePath),
  scope: optional(scope),
  responseType: optional(
    must(`be one of ${RESPONSE_TYPES.join(', ')}`, (value) => findResponseType(value) !== undefined),
  ),
  responseMode: optional(oneOf(...RESPONSE_MODES)),
  authorizationParams: optional(anyOf(functionRule, authorizationParamsRule)),
  profile: optional(oneOf('fapi2', 'fapi2-message-signing')),
  idTokenSignedResponseAlg: optional(signatureAlgorithm),
  idTokenEncryptedResponseAlg: optional(encryptionAlgorithm),
  idTokenEncryptedResponseEnc: optional(contentEncryption),
  userinfoSignedResponseAlg: optional(signatureAlgorithm),
  userinfoEncryptedResponseAlg: optional(encryptionAlgorithm),
  userinfoEncryptedResponseEnc: optional(contentEncryption),
  authorizationSignedResponseAlg: optional(signatureAlgorithm),
  authorizationEncryptedResponseAlg: optional(encryptionAlgorithm),
  authorizationEncryptedResponseEnc: optional(contentEncryption),
  tokenEndpointAuthMethod: optional(
    oneOf(
      ...['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'],
      ...['tls_client_auth', 'self_signed_tls_client_auth', 'none'],
    ),
  ),
  tokenEndpointAuthSigningAlg: optional(signatureAlgorithm),
  clientAssertionAudience: optional(nonEmptyString),
  clientKeys: optional(clientKeysRule),
  tlsClientCertificate: optional(certificate),
  requirePushedAuthorizationRequests: optional(booleanRule),
  requestObjectSigningAlg: optional(oneOf(...ASYMMETRIC, ...BY_SECRET, 'none')),
  requestObjectEncryptionAlg: optional(encryptionAlgorithm),
  requestObjectEncryptionEnc: optional(contentEncryption),
  requestObjectBy: optional(oneOf('value', 'reference')),
  dpopBoundAccessTokens: optional(booleanRule),
  dpopSigningAlg: optional(oneOf('ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519')),
  userinfo: optional(oneOf(true, false, 'when-needed')),
  userinfoBearerMethod: optional(oneOf('header', 'body')),
  claimsProviders: optional(claimsProvidersRule),
  discovery: optional(discovery),
  discoveryWithClientId: optional(booleanRule),
  providerMetadata: optional(providerMetadata),
  tenants: optional(anyOf(functionRule, tenantIds)),
  endSessionParams: optional(anyOf(functionRule, endSessionParamsRule)),
  dangerouslyAssumeRequestedScope: optional(booleanRule),
}

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
