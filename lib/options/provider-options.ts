import type { IncomingMessage } from 'node:http'
import type { AuthorizationParams, IdTokenClaims, Json } from '../types.ts'
import type { RegistrationOptions } from './registration-options.ts'
import type { ResponseMode } from './response-type.ts'

/** How the client proves itself at the provider (OIDC Core 9, RFC 8705 2). */
export type ClientAuthMethod =
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'client_secret_jwt'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'self_signed_tls_client_auth'
  | 'none'

/** Provider metadata by the wire names of OIDC Discovery 3, for a provider that has no discovery document. */
export interface ProviderMetadata {
  readonly issuer: string
  readonly authorization_endpoint: string
  /** A provider of the implicit flow alone has none. */
  readonly token_endpoint?: string
  readonly jwks_uri: string
  readonly userinfo_endpoint?: string
  readonly end_session_endpoint?: string
  readonly [name: string]: Json | undefined
}

/** A private key of the client as a JWK (RFC 7517 4). */
export interface PrivateJwk {
  readonly kty: string
  readonly kid?: string
  readonly use?: 'sig' | 'enc'
  readonly alg?: string
  readonly [member: string]: Json | undefined
}

/** What the client shows in TLS (RFC 8705), as `node:tls` takes it: PEM. */
export interface TlsClientCertificate {
  readonly cert: string | Uint8Array
  readonly key: string | Uint8Array
  readonly passphrase?: string
  /** The authorities to trust the provider by, where they are not the usual ones. */
  readonly ca?: string | Uint8Array
}

/** What concerns one provider: given at the top for a single one, or for each under `providers`. */
export interface ProviderOptions {
  /**
   * The issuer identifier of the provider, exactly as its metadata and its ID Tokens have it, trailing slash included:
   * `https://example.okta.com`, `https://example.okta.com/oauth2/default`, `https://tenant.eu.auth0.com/`. With `{tenantid}`
   * in it, it stands for the issuers of all `tenants`.
   */
  issuer: string
  /** The client identifier that the provider gave this application. Needed, but with `registration`. */
  clientId?: string
  /**
   * The client secret, or a function that gets it whenever it is needed, so that it can change without a restart. Leave it
   * out for a public client, and for one that proves itself by key or certificate.
   */
  clientSecret?: string | (() => string | Promise<string>)
  /** Registers this application at the provider at first use (OIDC Dynamic Client Registration 3), instead of `clientId`. */
  registration?: RegistrationOptions
  /**
   * The scopes to ask for, separated by spaces; `openid` must be among them.
   * @default 'openid profile email'
   */
  scope?: string
  /**
   * What the provider sends back with the browser: `code`, `id_token`, `id_token token`, `code id_token`, `code token` or
   * `code id_token token`, the words in any order. `code` is the one to choose; those with `token` send an access token
   * through the browser, which RFC 9700 2.1.2 advises against, and print a warning once.
   * @default 'code'
   */
  responseType?: string
  /**
   * How it is sent back: `query` (with `code` alone), `form_post` or `fragment`; or as one signed JWT (JARM) by
   * `query.jwt`, `form_post.jwt`, `fragment.jwt`, or `jwt`, which is the usual way of the response type.
   * @default 'query' with `code`, else 'form_post'
   */
  responseMode?: ResponseMode
  /**
   * Further authorization request parameters, or a function that makes them for a request. Those that protect the login
   * cannot be set (`state`, `nonce` ...).
   */
  authorizationParams?:
    | AuthorizationParams
    | ((req: IncomingMessage) => AuthorizationParams | Promise<AuthorizationParams>)
  /**
   * A profile that sets what it demands and refuses what contradicts it. `fapi2`: pushed requests, `private_key_jwt` or
   * mTLS, DPoP or mTLS, PS256, `iss` in every answer (FAPI 2.0 Security Profile 5.3.3). `fapi2-message-signing`: signed
   * requests and answers too (FAPI 2.0 Message Signing 5.3, 5.4).
   */
  profile?: 'fapi2' | 'fapi2-message-signing'
  /**
   * The only algorithm that an ID Token may be signed with: RS, PS or ES with 256, 384 or 512, EdDSA, Ed25519, or HS256,
   * HS384, HS512 with the client secret. Never `none`.
   * @default 'RS256'
   */
  idTokenSignedResponseAlg?: string
  /**
   * The only algorithm that an ID Token may be encrypted with; then a plain one is refused. RSA-OAEP, RSA-OAEP-256, -384,
   * -512, ECDH-ES and its key wraps with one of `clientKeys`; dir, A128KW, A192KW, A256KW and their GCM kin with the secret.
   */
  idTokenEncryptedResponseAlg?: string
  /**
   * The content encryption of ID Tokens: A128GCM, A192GCM, A256GCM, A128CBC-HS256, A192CBC-HS384 or A256CBC-HS512.
   * @default 'A128CBC-HS256' with `idTokenEncryptedResponseAlg`
   */
  idTokenEncryptedResponseEnc?: string
  /** The only algorithm that UserInfo may be signed with; then plain JSON is refused. */
  userinfoSignedResponseAlg?: string
  /** The only algorithm that UserInfo may be encrypted with, as for `idTokenEncryptedResponseAlg`. */
  userinfoEncryptedResponseAlg?: string
  /**
   * The content encryption of UserInfo.
   * @default 'A128CBC-HS256' with `userinfoEncryptedResponseAlg`
   */
  userinfoEncryptedResponseEnc?: string
  /**
   * The only algorithm that a response of the modes with `jwt` may be signed with, as for `idTokenSignedResponseAlg`.
   * @default 'RS256'
   */
  authorizationSignedResponseAlg?: string
  /** The only algorithm that such a response may be encrypted with, as for `idTokenEncryptedResponseAlg`. */
  authorizationEncryptedResponseAlg?: string
  /**
   * The content encryption of such a response.
   * @default 'A128CBC-HS256' with `authorizationEncryptedResponseAlg`
   */
  authorizationEncryptedResponseEnc?: string
  /**
   * How the client proves itself at the token endpoint, and wherever it asks the provider directly.
   * @default 'client_secret_basic' with a `clientSecret`, else 'none'
   */
  tokenEndpointAuthMethod?: ClientAuthMethod
  /**
   * What assertions of `private_key_jwt` and `client_secret_jwt` are signed with.
   * @default what the first signing key of `clientKeys` is for, or HS256
   */
  tokenEndpointAuthSigningAlg?: string
  /**
   * The audience of those assertions: the issuer (FAPI 2.0), the address that is asked (Okta, glewlwyd), or what you write.
   * @default 'issuer', at Okta 'endpoint'
   */
  clientAssertionAudience?: string
  /**
   * The client's own private keys, as JWKs: with `use: 'sig'` for `private_key_jwt` and signed requests, with `use: 'enc'` for
   * what the provider encrypts. The first of a kind signs, each decrypts. The route `jwks` publishes their public parts.
   */
  clientKeys?: readonly PrivateJwk[]
  /** The certificate that the client shows in TLS, to prove itself or to bind its tokens to it (RFC 8705). */
  tlsClientCertificate?: TlsClientCertificate
  /**
   * Send the authorization request to the provider directly, and with the browser only a reference to it (RFC 9126). Done
   * in any case where the provider's metadata requires it.
   * @default false
   */
  requirePushedAuthorizationRequests?: boolean
  /**
   * Sign the authorization request (RFC 9101): the algorithm, with one of `clientKeys` or, for HS, the secret; or `none`.
   */
  requestObjectSigningAlg?: string
  /** Encrypt the signed request too, with a key that the provider publishes, or with the secret. */
  requestObjectEncryptionAlg?: string
  /**
   * The content encryption of the request.
   * @default 'A128CBC-HS256' with `requestObjectEncryptionAlg`
   */
  requestObjectEncryptionEnc?: string
  /**
   * How the signed request travels: in the address, or kept here for the provider to fetch from the route `requestObjects`.
   * @default 'value'
   */
  requestObjectBy?: 'value' | 'reference'
  /**
   * Bind tokens to a key of each login, which whoever steals them lacks (DPoP, RFC 9449). A bearer token is refused then.
   * @default false
   */
  dpopBoundAccessTokens?: boolean
  /**
   * The algorithm of that key.
   * @default 'ES256'
   */
  dpopSigningAlg?: string
  /**
   * Whether to ask the UserInfo endpoint at login: always, never, or when a granted scope has brought no claim into the
   * ID Token.
   * @default 'when-needed'
   */
  userinfo?: boolean | 'when-needed'
  /**
   * How UserInfo is shown the access token: in the header, or in the body of a POST (RFC 6750 2.1, 2.2).
   * @default 'header'
   */
  userinfoBearerMethod?: 'header' | 'body'
  /** Issuers from which aggregated and distributed claims are taken (OIDC Core 5.6.2). No others are. */
  claimsProviders?: readonly string[]
  /**
   * Where the metadata is: `oidc` (OIDC Discovery 4), `oauth2` (RFC 8414 3.1), or an address. The issuer in it is compared in
   * any case.
   * @default 'oidc'
   */
  discovery?: string
  /**
   * Ask for the metadata with `?client_id=`: Okta then names the issuer and the keys of this very client.
   * @default false
   */
  discoveryWithClientId?: boolean
  /** The provider's metadata, instead of discovery. Its `issuer` must equal the option. */
  providerMetadata?: ProviderMetadata
  /**
   * Which tenants may log in where the issuer has `{tenantid}` in it (Entra ID): their ids, or a function that is asked.
   */
  tenants?: readonly string[] | ((tenantId: string) => boolean | Promise<boolean>)
  /**
   * Further parameters of the logout at the provider, such as `logout_hint` and `ui_locales`, or a function that makes them
   * out of the claims of the login that ends.
   */
  endSessionParams?:
    | Readonly<Record<string, string>>
    | ((claims: IdTokenClaims | undefined) => Readonly<Record<string, string>>)
  /**
   * Take all scopes that were asked for as granted where the token response names none, as RFC 6749 5.1 has it. People can
   * take scopes out of the request on its way through their browser, and would then pass `requireScope()` without the
   * provider ever having been asked. Without this, such a login has the scope `openid` alone.
   * @default false
   */
  dangerouslyAssumeRequestedScope?: boolean
}

/** One of several providers. What it leaves out, it takes from the options at the top. */
export interface NamedProviderOptions extends ProviderOptions {
  /**
   * Where this provider's answers arrive, below `baseUrl`.
   * @default `routes.callback`, a slash, and the provider's name
   */
  callback?: string
}
