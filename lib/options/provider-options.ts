import type { IncomingMessage } from 'node:http'
import type { ContentEncryption, EncryptionAlgorithm, SignatureAlgorithm } from '../jose/algorithms.ts'
import type { AuthorizationParams, ClientAssertionRequest, IdTokenClaims, Json, ResponseType } from '../types.ts'
import type { ClientAuthMethod, PrivateJwk, TlsClientCertificate } from './client-credentials.ts'
import type { ProviderMetadata } from './provider-keys-rule.ts'
import type { ClientChanges, RegistrationOptions } from './registration-options.ts'
import type { ResponseMode } from './response-type.ts'
import type { SharedSignalsOptions } from './shared-signals-options.ts'

/** The options of a provider: at the top for all providers, or for each one under `providers`. */
export interface ProviderOptions {
  /**
   * The issuer identifier of the provider, exactly as in its metadata and in the `iss` of its ID Tokens, including a
   * slash at the end (OIDC Discovery 4.3, OIDC Core 3.1.3.7). With `{tenantid}` in it, it stands for the issuers of all
   * `tenants`.
   * @example
   * ```ts
   * app.use(oidc({ issuer: 'https://example.okta.com', clientId, clientSecret, baseUrl }))
   * ```
   */
  issuer: string
  /** The client identifier at the provider (RFC 6749 2.2). Required, unless `registration` is given. */
  clientId?: string
  /**
   * The client secret (RFC 6749 2.3.1), or a function that returns it. The function is called each time, so the secret
   * can change without a restart. Leave it out for a public client, or if the client authenticates with a key or a
   * certificate. A string of at least 32 characters also serves as `secret`. Cannot be combined with `registration` or
   * with `tokenEndpointAuthMethod: 'none'`.
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   *
   * const clientSecret = async () => (await readFile('/run/secrets/client-secret', 'utf8')).trim()
   * app.use(oidc({ issuer, clientId, clientSecret, baseUrl, secret }))
   * ```
   */
  clientSecret?: string | (() => string | Promise<string>)
  /**
   * Registers this application at the provider at first use (OIDC Dynamic Client Registration 3), for applications that
   * are installed many times. Needs `secret`. Cannot be combined with `clientId`, `clientSecret` or
   * `discoveryWithClientId`.
   */
  registration?: RegistrationOptions
  /**
   * The scopes to request, separated by spaces (OIDC Core 5.4). Must include `openid`. `offline_access` requests a
   * refresh token (OIDC Core 11). Your own scopes are for access tokens and for `requireScope()`.
   * @default 'openid profile email'
   */
  scope?: string
  /**
   * What the provider returns through the browser: `code`, `id_token`, `id_token token`, `code id_token`, `code token`
   * or `code id_token token` (OAuth 2.0 Multiple Response Types 3, 5). Use `code`, unless your provider has only
   * others. Types with `token` are advised against (RFC 9700 2.1.2) and print a warning.
   * @default 'code'
   */
  responseType?: ResponseType
  /**
   * How the provider returns it: `query` (only with `code`), `form_post` or `fragment`; or as a signed JWT (JARM 2.3)
   * with `query.jwt`, `form_post.jwt`, `fragment.jwt`, or `jwt` for the default mode of the response type.
   * @default 'query' with `code`, else 'form_post'
   */
  responseMode?: ResponseMode
  /**
   * More parameters of the authorization request by their wire names (OIDC Core 3.1.2.1), or a function that returns
   * them for a request. Objects are sent as JSON. Parameters that protect the login, such as `state` and `nonce`,
   * cannot be set. For one login, use `req.oidc.login({ authorizationParams })`.
   * @example
   * ```ts
   * app.use(oidc({ ...options, authorizationParams: { prompt: 'select_account', ui_locales: 'nl en' } }))
   * ```
   */
  authorizationParams?:
    | AuthorizationParams
    | ((req: IncomingMessage) => AuthorizationParams | Promise<AuthorizationParams>)
  /**
   * Sets everything that a profile requires, and rejects options that contradict it. For open banking, health care,
   * government, and the enterprise. `fapi2`: pushed requests, `private_key_jwt` or mTLS, DPoP or mTLS, PS256, `iss` in every response
   * (FAPI 2.0 Security Profile 5.3.3). `fapi2-message-signing`: also signed requests and responses (FAPI 2.0 Message
   * Signing 5.3, 5.4). `ipsie-sl1`: PS256, `session_expiry` and a single audience in every ID Token, `iss` in every
   * response, metadata by discovery only, https only (IPSIE SL1 OpenID Connect Profile). Needs `routes.initiateLogin`.
   */
  profile?: 'fapi2' | 'fapi2-message-signing' | 'ipsie-sl1'
  /**
   * The only signature algorithm to accept in ID Tokens (OIDC Core 3.1.3.7), as registered for the client: RS, PS or ES
   * with 256, 384 or 512, EdDSA, Ed25519, ML-DSA on Node 24.7, or HS256, HS384, HS512, which need `clientSecret`. Never
   * `none`.
   * @default 'RS256'
   */
  idTokenSignedResponseAlg?: SignatureAlgorithm
  /**
   * The only encryption algorithm to accept in ID Tokens (OIDC Core 10.2). Unencrypted ID Tokens are then rejected.
   * RSA-OAEP, RSA-OAEP-256, -384, -512, ECDH-ES, ECDH-ES+A128KW, +A192KW, +A256KW need an encryption key in
   * `clientKeys`. `dir`, A128KW, A192KW, A256KW, A128GCMKW, A192GCMKW, A256GCMKW need `clientSecret`. RSA1_5 is not
   * secure (RFC 8725 3.2).
   */
  idTokenEncryptedResponseAlg?: EncryptionAlgorithm
  /**
   * The content encryption of ID Tokens (RFC 7518 5.1): A128GCM, A192GCM, A256GCM, A128CBC-HS256, A192CBC-HS384 or
   * A256CBC-HS512. Needs `idTokenEncryptedResponseAlg`.
   * @default 'A128CBC-HS256' with `idTokenEncryptedResponseAlg`
   */
  idTokenEncryptedResponseEnc?: ContentEncryption
  /**
   * The only signature algorithm to accept in UserInfo responses (OIDC Core 5.3.2). Plain JSON is then rejected. The
   * algorithms are those of `idTokenSignedResponseAlg`.
   */
  userinfoSignedResponseAlg?: SignatureAlgorithm
  /**
   * The only encryption algorithm to accept in UserInfo responses, as for `idTokenEncryptedResponseAlg`. Anyone can
   * encrypt a response, so set `userinfoSignedResponseAlg` too.
   */
  userinfoEncryptedResponseAlg?: EncryptionAlgorithm
  /**
   * The content encryption of UserInfo responses. Needs `userinfoEncryptedResponseAlg`.
   * @default 'A128CBC-HS256' with `userinfoEncryptedResponseAlg`
   */
  userinfoEncryptedResponseEnc?: ContentEncryption
  /**
   * The only signature algorithm to accept in authorization responses that are JWTs (JARM 2.4), as for
   * `idTokenSignedResponseAlg`. Needs a `responseMode` with `jwt`.
   * @default 'RS256'
   */
  authorizationSignedResponseAlg?: SignatureAlgorithm
  /**
   * The only encryption algorithm to accept in authorization responses (JARM 2.2), as for
   * `idTokenEncryptedResponseAlg`. Needs a `responseMode` with `jwt`.
   */
  authorizationEncryptedResponseAlg?: EncryptionAlgorithm
  /**
   * The content encryption of authorization responses. Needs `authorizationEncryptedResponseAlg`.
   * @default 'A128CBC-HS256' with `authorizationEncryptedResponseAlg`
   */
  authorizationEncryptedResponseEnc?: ContentEncryption
  /**
   * How the client authenticates at the provider (OIDC Core 9, RFC 8705 2), as registered for the client. With
   * `registration`, the provider decides. Methods with `secret` need `clientSecret`, `private_key_jwt` needs a signing
   * key in `clientKeys`, and those with `tls` need `tlsClientCertificate`.
   * @default 'client_secret_basic' with a `clientSecret`, else 'none'
   * @example
   * ```ts
   * const clientKeys = [signingKey]
   * app.use(oidc({ issuer, clientId, baseUrl, secret, tokenEndpointAuthMethod: 'private_key_jwt', clientKeys }))
   * ```
   */
  tokenEndpointAuthMethod?: ClientAuthMethod
  /**
   * The algorithm that signs the client's assertions (OIDC Core 9). Only for `private_key_jwt` and `client_secret_jwt`;
   * the latter needs HS256, HS384 or HS512.
   * @default what the first signing key of `clientKeys` is for, or HS256
   */
  tokenEndpointAuthSigningAlg?: SignatureAlgorithm
  /**
   * The audience of the client's assertions: `'issuer'` (FAPI 2.0 Security Profile 5.3.3.1), `'endpoint'` for the URL
   * that is called, or a value of your own. Only for `private_key_jwt` and `client_secret_jwt`.
   * @default 'issuer', at Okta without `profile` 'endpoint'
   */
  clientAssertionAudience?: string
  /**
   * Returns the assertion that authenticates the client (RFC 7523 2.2), in place of a key in this process: signed by a key
   * management service, or issued by the platform (a Kubernetes service account, SPIFFE, a workload identity of Entra ID).
   * Called for each request that authenticates the client, within `timeout`. Needs `tokenEndpointAuthMethod:
   * 'private_key_jwt'`. Cannot be combined with `tokenEndpointAuthSigningAlg`. If it fails, the error is
   * `ERR_OIDC_CLIENT_ASSERTION`.
   * @example
   * ```ts
   * import { readFile } from 'node:fs/promises'
   *
   * const clientAssertion = async () => (await readFile('/var/run/secrets/tokens/oidc', 'utf8')).trim()
   * app.use(oidc({ issuer, clientId, baseUrl, secret, tokenEndpointAuthMethod: 'private_key_jwt', clientAssertion }))
   * ```
   */
  clientAssertion?: (request: ClientAssertionRequest) => string | Promise<string>
  /**
   * The private keys of the client as JWKs (RFC 7517): with `use: 'sig'` for `private_key_jwt` and signed requests,
   * with `use: 'enc'` for what the provider encrypts. The first suitable key signs, and any can decrypt: to rotate, add
   * the new key in front. `npx express-oidc generate-key` makes one. The route `jwks` publishes the public parts.
   */
  clientKeys?: readonly PrivateJwk[]
  /**
   * The TLS certificate of the client (RFC 8705). It authenticates the client with `tls_client_auth` or
   * `self_signed_tls_client_auth`, and binds tokens to it with any method. Cannot be combined with `fetch`.
   */
  tlsClientCertificate?: TlsClientCertificate
  /**
   * Send the authorization request directly to the provider, and only a reference to it through the browser (PAR, RFC
   * 9126). Then nobody can change it, and it can be long. Done anyway if the provider's metadata requires it. Cannot be
   * combined with `requestObjectBy: 'reference'`.
   * @default false
   */
  requirePushedAuthorizationRequests?: boolean
  /**
   * Sign the authorization request with this algorithm (JAR, RFC 9101), or send it as an unsigned JWT with `'none'`.
   * HS256, HS384 and HS512 need `clientSecret`, all others a key in `clientKeys` that can sign with it.
   */
  requestObjectSigningAlg?: SignatureAlgorithm | 'none'
  /**
   * Also encrypt the signed request (RFC 9101 6.1), with a key of the provider or with the client secret. The
   * algorithms are those of `idTokenEncryptedResponseAlg`. Needs `requestObjectSigningAlg`.
   */
  requestObjectEncryptionAlg?: EncryptionAlgorithm
  /**
   * The content encryption of the request. Needs `requestObjectEncryptionAlg`.
   * @default 'A128CBC-HS256' with `requestObjectEncryptionAlg`
   */
  requestObjectEncryptionEnc?: ContentEncryption
  /**
   * How the signed request is sent: in the URL, or by a reference that the provider fetches from the route
   * `requestObjects`. Use `'reference'` if the URL gets too long and the provider has no pushed requests. Needs
   * `requestObjectSigningAlg`.
   * @default 'value'
   */
  requestObjectBy?: 'value' | 'reference'
  /**
   * How the browser sends the authorization request (OIDC Core 3.1.2.1): by a redirect (`'GET'`), or by a small page of ours
   * whose form submits itself (`'POST'`), so that nothing of it is in a URL. Use it if requests get too long and the provider
   * has no pushed requests. Its session cookie must be `SameSite=None`, or the browser withholds it from the form. Cannot be
   * combined with `requirePushedAuthorizationRequests` or `requestObjectBy: 'reference'`, whose URLs are short.
   * @default 'GET'
   */
  authorizationRequestMethod?: 'GET' | 'POST'
  /**
   * How many logins a minute visitors who are not logged in may start, in one process and at one provider, if each costs a
   * `request_uri`: a pushed authorization request (RFC 9126), or a request object that is stored here (RFC 9101 5.2). Further
   * ones get `ERR_OIDC_LOGIN_RATE_LIMIT` (503) with `Retry-After`. It prevents that a script uses up the rate limit of the
   * provider, or the space in the session store. Other logins cost nothing, and have no limit.
   * @default 600
   */
  requestUriRateLimit?: number
  /**
   * Bind tokens to a key of each login, so that a stolen token is useless (DPoP, RFC 9449). Bearer tokens are then
   * rejected, and your APIs must support DPoP. Cannot be combined with a `responseType` with `token`.
   * @default false
   */
  dpopBoundAccessTokens?: boolean
  /**
   * The algorithm of that key: ES256, ES384, ES512, EdDSA or Ed25519. Needs `dpopBoundAccessTokens`.
   * @default 'ES256'
   */
  dpopSigningAlg?: 'ES256' | 'ES384' | 'ES512' | 'EdDSA' | 'Ed25519'
  /**
   * When to call the UserInfo endpoint at login (OIDC Core 5.3): always, never, or if a granted scope has brought no
   * claim into the ID Token. Its claims are added, and never replace those of the ID Token that secure the login. With
   * `'when-needed'`, a login continues without UserInfo if the endpoint fails, and an event says why. After a 401 the access
   * token is refreshed once, if there is a refresh token.
   * @default 'when-needed'
   */
  userinfo?: boolean | 'when-needed'
  /**
   * How the access token is sent to the UserInfo endpoint: in a header, or in the body of a POST (RFC 6750 2.1, 2.2).
   * Must be `'header'` with `dpopBoundAccessTokens`.
   * @default 'header'
   */
  userinfoBearerMethod?: 'header' | 'body'
  /**
   * The issuers from which to accept aggregated and distributed claims (OIDC Core 5.6.2). Claims of other issuers, even
   * of the provider itself, are ignored.
   */
  claimsProviders?: readonly string[]
  /**
   * Where to find the provider's metadata: `'oidc'` (OIDC Discovery 4), `'oauth2'` (RFC 8414 3.1), or a URL. Its issuer
   * is checked in any case. Cannot be combined with `providerMetadata`.
   * @default 'oidc'
   */
  discovery?: string
  /**
   * Add `?client_id=` to the URL of the metadata. Use it at Okta with a custom domain or pinned keys. Cannot be
   * combined with `providerMetadata` or `registration`.
   * @default false
   */
  discoveryWithClientId?: boolean
  /**
   * The provider's metadata, for a provider without discovery (OIDC Discovery 3). Its `issuer` must equal the option.
   * Replaces `discovery` and `discoveryWithClientId`. With `jwks` in place of `jwks_uri`, no keys are fetched.
   */
  providerMetadata?: ProviderMetadata
  /**
   * The tenants whose users may log in (Entra ID): a list of ids, or a function that returns true for an allowed `tid`.
   * Required if `issuer` contains `{tenantid}`, and not allowed otherwise. Other users get `ERR_OIDC_TENANT`.
   * @example
   * ```ts
   * const issuer = 'https://login.microsoftonline.com/{tenantid}/v2.0'
   * app.use(oidc({ ...options, issuer, tenants: ['11111111-1111-1111-1111-111111111111'] }))
   * ```
   */
  tenants?: readonly string[] | ((tenantId: string) => boolean | Promise<boolean>)
  /**
   * More parameters of the logout at the provider (OIDC RP-Initiated Logout 2), such as `logout_hint` and `ui_locales`,
   * or a function that returns them for the claims of the login.
   */
  endSessionParams?:
    | Readonly<Record<string, string>>
    | ((claims: IdTokenClaims | undefined) => Readonly<Record<string, string>>)
  /**
   * If the token response names no scope, assume that all requested scopes are granted, as RFC 6749 5.1 says. Users can
   * remove scopes from the request in the browser, and then pass `requireScope()` without a grant. Safe only with
   * pushed or signed requests. By default such a login has only the scope `openid`.
   * @default false
   */
  dangerouslyAssumeRequestedScope?: boolean
  /**
   * Accept authorization responses without `iss` from a provider whose metadata announces it (RFC 9207 2.4). Then nothing
   * in the response says which provider it is from. Use it only for a provider that forgets it, with one provider or with
   * a callback for each. An `iss` that is there must still be right. Cannot be combined with `profile`.
   * @default false
   */
  dangerouslyAllowMissingIss?: boolean
  /**
   * Accept logout tokens without `exp` (OIDC Back-Channel Logout 2.4), for a provider that leaves it out (glewlwyd). Such a token
   * is accepted for two minutes after its `iat`. An `exp` that is there must be right. Cannot be combined with `profile`.
   * @default false
   */
  dangerouslyAllowLogoutTokenWithoutExp?: boolean
  /**
   * Accept ID Tokens without `nonce` (OIDC Core 3.1.3.7 (11)), for a provider that never sends it (LinkedIn). Without the
   * nonce, PKCE alone binds a login to the browser that started it. A nonce that is there must match. Needs `responseType`
   * `'code'`. Cannot be combined with `profile`.
   * @default false
   */
  dangerouslyAllowMissingNonce?: boolean
  /**
   * Ignore the claim `session_expiry` of ID Tokens, for a provider that uses this name for something else. Otherwise it ends
   * the login, and a login whose claim is not a time is refused. Cannot be combined with `loginExpiry: 'session_expiry'` or
   * `profile`.
   * @default false
   */
  dangerouslyIgnoreSessionExpiry?: boolean
  /**
   * Send no PKCE challenge (RFC 7636), for a provider that refuses requests with one (LinkedIn). Without it, the nonce alone
   * binds the code to the browser that started the login. Needs `responseType` `'code'` and a client that authenticates.
   * Cannot be combined with `profile`.
   * @default false
   */
  dangerouslyDisablePkce?: boolean
  /**
   * Take an access token without `token_type` as a bearer token, for a provider that leaves the type out (LinkedIn; RFC 6749
   * 5.1 requires it). Another type is still refused. Cannot be combined with `dpopBoundAccessTokens` or `profile`.
   * @default false
   */
  assumeBearerTokenType?: boolean
  /**
   * Accept token responses without `access_token`, at login and at a refresh, for a provider that issues none unless the scope
   * of an API is requested (Azure AD B2C). UserInfo is not requested then. Cannot be combined with `dpopBoundAccessTokens` or
   * `profile`.
   * @default false
   */
  allowMissingAccessToken?: boolean
  /**
   * Send no `id_token_hint` with a logout (OIDC RP-Initiated Logout 2), for a provider that refuses it (Login.gov). It then
   * knows the client by `client_id`, and may ask the user whether to log out.
   * @default false
   */
  logoutWithoutIdTokenHint?: boolean
  /**
   * Audiences that an ID Token may have beside `clientId` (OIDC Core 3.1.3.7 (3)), for a provider that always adds one
   * (NetSuite). Each of them can use the ID Token, too. The token must still be for `clientId`.
   */
  trustedAudiences?: readonly string[]
  /**
   * Members that are added to the discovered metadata or replace its members, by the wire names of OIDC Discovery 3; `null`
   * removes one. For a provider whose metadata lacks a member or has a wrong one. A member that you set no longer follows the
   * provider. Cannot contain `issuer`. Cannot be combined with `providerMetadata`.
   */
  extraProviderMetadata?: Readonly<Record<string, Json>>
  /**
   * More members of the client metadata document that `routes.clientMetadata` serves, by their wire names, such as
   * `client_name`, `client_uri` and `logo_uri` for the consent page. Members that follow from other options must agree with
   * them. Needs `routes.clientMetadata`.
   * @example
   * ```ts
   * const clientId = 'https://app.example.com/client.json'
   * const clientMetadata = { client_name: 'Portal', logo_uri: 'https://app.example.com/logo.png' }
   * app.use(oidc({ issuer, clientId, clientMetadata, baseUrl, secret, routes: { clientMetadata: '/client.json' } }))
   * ```
   */
  clientMetadata?: ClientChanges
  /**
   * Ends sessions when a transmitter says so (Shared Signals Framework 1.0, CAEP, RISC): Okta's, or any other that speaks for the
   * users of this provider. It ends no session of another provider. With `providers`, set it in the options of one.
   * @example
   * ```ts
   * const sharedSignals = { issuer: 'https://example.okta.com', audience: 'https://app.example.com/security-events' }
   * app.use(oidc({ ...options, sharedSignals }))
   * ```
   */
  sharedSignals?: SharedSignalsOptions
}

/** One of several providers. Options that it leaves out are those at the top. */
export interface NamedProviderOptions extends ProviderOptions {
  /**
   * The callback path of this provider, below `baseUrl`. Set it to keep a redirect URI that is already registered.
   * @default `routes.callback`, a slash, and the provider's name
   */
  callback?: string
}
