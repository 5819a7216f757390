import { createSecureContext } from 'node:tls'
import type { NamedProviderOptions, TlsClientCertificate } from '../provider-options.ts'
import { findResponseType, RESPONSE_MODES, RESPONSE_TYPES } from '../response-type.ts'
import { parseHttpUrl } from './absolute-url.ts'
import { authorizationParamsRule } from './authorization-params.ts'
import { claimsProvidersRule } from './claims-providers-rule.ts'
import { clientKeysRule } from './client-keys-rule.ts'
import { endSessionParamsRule } from './end-session-params.ts'
import { hasPlaceholder } from './issuer-advice.ts'
import { registrationRule } from './registration-rule.ts'
import {
  callable,
  either,
  filledText,
  inOrder,
  members,
  must,
  oneOf,
  optional,
  type Rule,
  trueOrFalse,
} from './rule.ts'
import { issuer, providerMetadata, routePath } from './url-rules.ts'

// RFC 6749 A.1 and A.2 allow VSCHAR only; white space around comes from copying.
const credential: Rule = inOrder(
  filledText,
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
const certificate: Rule = inOrder(
  members({ cert: pem, key: pem, passphrase: optional(filledText), ca: optional(pem) }),
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

/** What each option of a provider must be on its own. An option without a rule does not compile. */
export const PROVIDER_RULES: Readonly<Record<keyof NamedProviderOptions, Rule>> = {
  issuer,
  clientId: optional(credential),
  clientSecret: optional(either(callable, credential)),
  registration: optional(registrationRule),
  callback: optional(routePath),
  scope: optional(scope),
  responseType: optional(
    must(`be one of ${RESPONSE_TYPES.join(', ')}`, (value) => findResponseType(value) !== undefined),
  ),
  responseMode: optional(oneOf(...RESPONSE_MODES)),
  authorizationParams: optional(either(callable, authorizationParamsRule)),
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
  clientAssertionAudience: optional(filledText),
  clientKeys: optional(clientKeysRule),
  tlsClientCertificate: optional(certificate),
  requirePushedAuthorizationRequests: optional(trueOrFalse),
  requestObjectSigningAlg: optional(oneOf(...ASYMMETRIC, ...BY_SECRET, 'none')),
  requestObjectEncryptionAlg: optional(encryptionAlgorithm),
  requestObjectEncryptionEnc: optional(contentEncryption),
  requestObjectBy: optional(oneOf('value', 'reference')),
  dpopBoundAccessTokens: optional(trueOrFalse),
  dpopSigningAlg: optional(oneOf('ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519')),
  userinfo: optional(oneOf(true, false, 'when-needed')),
  userinfoBearerMethod: optional(oneOf('header', 'body')),
  claimsProviders: optional(claimsProvidersRule),
  discovery: optional(discovery),
  discoveryWithClientId: optional(trueOrFalse),
  providerMetadata: optional(providerMetadata),
  tenants: optional(either(callable, tenantIds)),
  endSessionParams: optional(either(callable, endSessionParamsRule)),
  dangerouslyAssumeRequestedScope: optional(trueOrFalse),
}
