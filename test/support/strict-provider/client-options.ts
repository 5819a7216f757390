import type { JsonWebKey } from 'node:crypto'
import type { AnyOptions } from '../app/app.ts'
import { type Certificate, LOOPBACK_CERTIFICATE } from '../servers/tls-certificate.ts'
import type { StrictClient } from './client.ts'
import type { StrictProviderOptions } from './options.ts'

/** What a client of the provider has of its own. */
export interface ClientBelongings {
  readonly keys: readonly JsonWebKey[]
  readonly certificate: Certificate | undefined
}

/** What is said of a client in the same words on both sides. A profile says all of it by itself. */
const SAME = [
  ...(['tokenEndpointAuthSigningAlg', 'requirePushedAuthorizationRequests'] as const),
  ...(['requestObjectSigningAlg', 'requestObjectEncryptionAlg', 'requestObjectEncryptionEnc'] as const),
  ...(['idTokenEncryptedResponseAlg', 'idTokenEncryptedResponseEnc', 'userinfoSignedResponseAlg'] as const),
  ...(['userinfoEncryptedResponseAlg', 'userinfoEncryptedResponseEnc'] as const),
  ...(['authorizationEncryptedResponseAlg', 'authorizationEncryptedResponseEnc'] as const),
  ...(['dpopBoundAccessTokens', 'userinfoBearerMethod', 'profile'] as const),
] as const

/**
 * The options of an app that is registered as this provider has it. What there was before those features, a test says
 * itself: `alg`, and the methods with a plain secret or none.
 */
export function clientOptionsFor(
  options: StrictProviderOptions,
  client: StrictClient,
  { keys, certificate }: ClientBelongings,
): Partial<AnyOptions> {
  const told = options.profile === undefined ? { ...client, ...options } : options
  const same = SAME.map((name) => [name, told[name]] as const)
  const given = same.filter(([, value]) => value !== undefined && value !== false)
  const isBySecret = client.tokenEndpointAuthMethod.startsWith('client_secret')
  const { cert = '', key = '' } = certificate ?? {}
  return {
    ...Object.fromEntries(given),
    ...methodOptions(options, client),
    ...(isBySecret || client.tokenEndpointAuthMethod === 'none' || isSecretNeeded(client) ? {} : WITHOUT_SECRET),
    ...(keys.length > 0 ? { clientKeys: keys } : {}),
    ...(certificate ? { tlsClientCertificate: { cert, key, ca: LOOPBACK_CERTIFICATE.cert } } : {}),
    ...(options.claimsFrom ? { claimsProviders: [options.claimsFrom.provider.issuer] } : {}),
    // The keys are JWKs, whose types differ in what may be absent.
  } as Partial<AnyOptions>
}

/** An empty secret is left out by `startApp`. */
const WITHOUT_SECRET = { clientSecret: '', secret: 'what seals the cookies of those without a secret' }

function methodOptions(
  { assertionAudience, profile, tokenEndpointAuthMethod: given, ...more }: StrictProviderOptions,
  { tokenEndpointAuthMethod }: StrictClient,
): Partial<AnyOptions> {
  const { tlsClientCertificateBoundAccessTokens: isBound } = more
  // With a certificate, a profile leaves two methods to choose from.
  if (profile !== undefined && given === undefined && !isBound) return {}
  if (/^(client_secret_(basic|post)|none)$/.test(tokenEndpointAuthMethod)) return {}
  if (!tokenEndpointAuthMethod.endsWith('_jwt')) return { tokenEndpointAuthMethod }
  return { tokenEndpointAuthMethod, clientAssertionAudience: assertionAudience ?? 'issuer' }
}

/** Whether anything is signed or encrypted with the secret. */
function isSecretNeeded(client: StrictClient): boolean {
  const algorithms = [
    ...[client.alg, client.authorizationSignedResponseAlg, client.userinfoSignedResponseAlg],
    ...[client.requestObjectSigningAlg, client.requestObjectEncryptionAlg, client.idTokenEncryptedResponseAlg],
    ...[client.userinfoEncryptedResponseAlg, client.authorizationEncryptedResponseAlg],
  ]
  return algorithms.some((alg) => /^(HS|dir|A\d)/.test(alg ?? ''))
}
