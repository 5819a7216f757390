/** Selects an access token. Without either member it is the access token of the login. */
export interface AccessTokenRequest {
  /** Some of the scopes of the login, separated by spaces, for a token that may do less. */
  scope?: string | undefined
  /** The API that the token is for, as an absolute URI (RFC 8707 2.2). The provider must support resource indicators. */
  resource?: string | undefined
  /**
   * Refresh the token now, even if it has not expired: for a new group or scope to take effect, or before a long job. Concurrent
   * calls share one refresh, on all nodes. Without a refresh token the call rejects with `ERR_OIDC_TOKEN_UNAVAILABLE`.
   * @default false
   */
  refresh?: boolean | undefined
  /**
   * Exchange a token of the login for another access token (RFC 8693). The result is kept like other tokens, so an API call
   * does not exchange again until it expires. Cannot be combined with `scope` and `resource`: name them inside.
   * @example
   * ```ts
   * app.get('/orders', async (req, res) => {
   *   const token = await req.oidc.accessToken({ exchange: { audience: 'https://orders.example.com', scope: 'orders:read' } })
   *   res.json({ length: token.length })
   * })
   * ```
   */
  exchange?: TokenExchange | undefined
}

/**
 * What to exchange for what (RFC 8693 2.1). Without `actorToken` the new token impersonates the user; with it, it says that the
 * actor acts for the user (delegation).
 */
export interface TokenExchange {
  /** The API that the new token is for, by its name at the provider. Cannot be combined with `authorizationServer`. */
  audience?: string | readonly string[] | undefined
  /** The API that the new token is for, as an absolute URI. */
  resource?: string | readonly string[] | undefined
  /** The scopes to request, separated by spaces. */
  scope?: string | undefined
  /**
   * Which token of the login is exchanged. An access token and an ID Token that have expired are refreshed first.
   * @default 'access_token', with `authorizationServer` 'id_token'
   */
  subjectToken?: 'access_token' | 'id_token' | 'refresh_token' | undefined
  /** The token of the party that acts for the user: delegation. */
  actorToken?: string | undefined
  /**
   * The type of `actorToken` (RFC 8693 3).
   * @default 'urn:ietf:params:oauth:token-type:access_token'
   */
  actorTokenType?: string | undefined
  /**
   * Another authorization server that trusts the provider: Okta's Cross App Access. The provider issues an identity assertion
   * (ID-JAG) for that server, and the server an access token for the assertion (RFC 7523 2.1).
   */
  authorizationServer?: OtherAuthorizationServer | undefined
}

/** The app as a client of another authorization server. */
export interface OtherAuthorizationServer {
  /** Its issuer identifier: the audience of the assertion. */
  issuer: string
  /** Its token endpoint, an https URL. */
  tokenEndpoint: string
  /** The client identifier of the app there. */
  clientId: string
  clientSecret?: string | undefined
  /**
   * How the app authenticates there. `private_key_jwt` signs with `clientKeys`.
   * @default 'client_secret_basic' with a `clientSecret`, else 'none'
   */
  tokenEndpointAuthMethod?: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'none' | undefined
}

/** What the function `clientAssertion` needs to know. */
export interface ClientAssertionRequest {
  /** The `aud` that the assertion must have: see `clientAssertionAudience`. */
  readonly audience: string
  /** Its `iss` and `sub`. */
  readonly clientId: string
  /** Aborts when `timeout` has passed. */
  readonly signal: AbortSignal
}
