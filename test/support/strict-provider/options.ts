import type { PrivateJwk } from '../../../lib/options/client-credentials.ts'
import type { Certificate } from '../servers/tls-certificate.ts'
import type { ClientSettings } from './client.ts'
import type { ClaimsFrom } from './context.ts'
import type { LAYOUTS } from './endpoints.ts'

/** What a strict provider is like, and what it holds to be registered of its client. */
export interface StrictProviderOptions extends ClientSettings {
  readonly layout?: keyof typeof LAYOUTS
  /** The path of the issuer, where the layout's will not do. */
  readonly issuerPath?: string
  readonly clientId?: string
  readonly clientSecret?: string
  /** The client's private keys, for `clientOptions`. Made where they are needed. */
  readonly clientKeys?: readonly PrivateJwk[]
  /** The client's certificate, for `clientOptions`. Made where it is needed, by an authority that the provider trusts. */
  readonly clientCertificate?: Certificate
  /** What `profile` demands; everything may be told otherwise. */
  readonly profile?: 'fapi2' | 'fapi2-message-signing' | undefined
  /** The audience of assertions: the issuer, or as Okta has it the endpoint. */
  readonly assertionAudience?: 'issuer' | 'endpoint'
  /** RFC 9207: `announced` in the metadata and sent, the default; `sent` without a word; or `absent`. */
  readonly issParameter?: 'announced' | 'sent' | 'absent'
  /** `fat`, the default: the claims of the scopes are in the ID Token, as well as at UserInfo. */
  readonly idToken?: 'fat' | 'thin'
  /** RFC 7636: `required` unless told. `refused`: an error for whoever sends it. */
  readonly pkce?: 'required' | 'refused'
  /** RFC 9126: `absent` unless told. */
  readonly pushed?: 'optional' | 'required' | 'absent'
  /** RFC 9449: `absent` unless told. `nonce`: demanded of every proof. The client is held to prove, unless told. */
  readonly dpop?: 'nonce' | 'no-nonce' | 'absent'
  /** The one way in which UserInfo takes the access token; absent: either. */
  readonly userinfoBearerMethod?: 'header' | 'body' | undefined
  /** `rotate` unless told. `reuse-leeway`: the old token is good for another 30 seconds, as at Okta. */
  readonly refreshTokenRotation?: 'rotate' | 'same' | 'absent' | 'reuse-leeway'
  /** `with-nonce` unless told. */
  readonly refreshedIdToken?: 'with-nonce' | 'without-nonce' | 'absent'
  /** RFC 7009: `announced` unless told. */
  readonly revocation?: 'announced' | 'absent'
  /** OIDC Session Management: `absent` unless told. */
  readonly sessionManagement?: 'announced' | 'absent'
  /** OIDC Registration: `absent` unless told. `protected`: by `initialAccessToken`. */
  readonly registration?: 'open' | 'protected' | 'absent'
  /** RFC 7592: `announced` unless told. Okta has no word of it, and takes the initial access token. */
  readonly registrationManagement?: 'announced' | 'absent'
  readonly initialAccessToken?: string
  /** OIDC Discovery 2: `absent` unless told. The issuer then ends in something that webfinger alone tells. */
  readonly webfinger?: 'announced' | 'absent'
  /** Some claims of UserInfo come from there (OIDC Core 5.6.2). */
  readonly claimsFrom?: ClaimsFrom | undefined
  /** As the conformance suite has them: two RSA and two P-256 keys to sign, and keys to encrypt beside them. */
  readonly suiteKeys?: boolean
  /** As the conformance suite has them for FAPI: keys of three algorithms under one `kid`. */
  readonly fapiKeys?: boolean
}

/** What the profiles change of the defaults (FAPI 2.0 Security Profile 5.3.2, Message Signing 5.3). */
export function withProfile(options: StrictProviderOptions): StrictProviderOptions {
  const { profile } = options
  if (profile === undefined) return options
  const isOfTls = options.tlsClientCertificateBoundAccessTokens === true
  const signed = { requestObjectSigningAlg: 'PS256' }
  return {
    tokenEndpointAuthMethod: 'private_key_jwt',
    tokenEndpointAuthSigningAlg: 'PS256',
    alg: 'PS256',
    authorizationSignedResponseAlg: 'PS256',
    pushed: 'required',
    dpop: isOfTls ? 'absent' : 'nonce',
    fapiKeys: true,
    ...(profile === 'fapi2-message-signing' ? signed : {}),
    ...options,
  }
}
