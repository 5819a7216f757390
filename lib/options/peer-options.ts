/**
 * What to use here in place of an option of another library. Each text completes the sentence "issuerBaseURL is an option of
 * express-openid-connect. …". Names are compared without case and punctuation.
 */
export interface PeerOptions {
  readonly peer: string
  readonly advice: Readonly<Record<string, string>>
}

const SESSIONS = 'Sessions are those of express-session: mount app.use(session({ ... })) before oidc().'
const REDIRECT_URI = 'Set baseUrl, and routes.callback if the callback has another path than /callback.'
const DISCOVERY = 'Remove it: issuer is enough, because the endpoints come from its metadata.'

/** The options of `oidc()`. */
export const OIDC_PEERS: readonly PeerOptions[] = [
  {
    peer: 'express-openid-connect',
    advice: {
      issuerBaseURL: 'Use issuer.',
      baseURL: 'Use baseUrl.',
      clientID: 'Use clientId.',
      session: SESSIONS,
      authRequired: 'Mount app.use(requireAuth()) after oidc() to require a login everywhere, or guard single routes.',
      errorOnRequiredAuth: 'Remove it: a guard redirects pages and responds to scripts with 401.',
      attemptSilentLogin: 'Use silentLogin.',
      idpLogout: 'Remove it: a logout also ends the session at the provider, if the provider supports it.',
      auth0Logout: 'Remove it: a logout also ends the session at the provider, if the provider supports it.',
      logoutParams: 'Use endSessionParams.',
      afterCallback: 'Use hooks.afterLogin.',
      getLoginState: 'Use the hook beforeLogin, and pass returnTo to req.oidc.login().',
      identityClaimFilter: 'Use sessionClaims with the claims to keep.',
      idTokenSigningAlg: 'Use idTokenSignedResponseAlg.',
      clientAuthMethod: 'Use tokenEndpointAuthMethod.',
      clientAssertionSigningKey: "Use clientKeys, and tokenEndpointAuthMethod: 'private_key_jwt'.",
      clientAssertionSigningAlg: 'Use tokenEndpointAuthSigningAlg.',
      pushedAuthorizationRequests: 'Use requirePushedAuthorizationRequests.',
      tokenEndpointParams: 'Remove it: the token request has the parameters of the standard only.',
      backchannelLogout: 'Remove it: the route /backchannel-logout always exists.',
      httpTimeout: 'Use timeout, in seconds.',
      httpAgent: 'Use agent.',
      httpUserAgent: 'Remove it, or set the option fetch to a function that adds the header.',
      discoveryCacheMaxAge: 'Remove it: the metadata is refreshed by itself.',
      legacySameSiteCookie: 'Remove it: the cookies are SameSite=Lax.',
      transactionCookie: 'Remove it: the cookies of a login in progress have no options.',
      enableTelemetry: 'Remove it: there is no telemetry.',
    },
  },
  {
    peer: '@okta/oidc-middleware',
    advice: {
      appBaseUrl: 'Use baseUrl.',
      client_id: 'Use clientId.',
      client_secret: 'Use clientSecret.',
      redirect_uri: REDIRECT_URI,
      loginRedirectUri: REDIRECT_URI,
      logoutRedirectUri: 'Use postLogoutRedirectUri.',
      response_type: 'Use responseType.',
      maxClockSkew: 'Use clockTolerance, in seconds.',
      testing: 'Use dangerouslyAllowInsecureRequests during development.',
    },
  },
  {
    peer: 'passport-openidconnect',
    advice: {
      callbackURL: REDIRECT_URI,
      store: SESSIONS,
      authorizationURL: DISCOVERY,
      tokenURL: DISCOVERY,
      userInfoURL: DISCOVERY,
      endSessionURL: DISCOVERY,
      skipUserProfile: "Use userinfo: 'when-needed' is the default, and false never requests it.",
      passReqToCallback: 'Use hooks.afterLogin, which receives the request.',
      verify: 'Use hooks.afterLogin.',
      acrValues: 'Use authorizationParams: { acr_values }, or requireAuth({ acr }), which also checks the response.',
      maxAge: 'Use requireAuth({ maxAge }), or authorizationParams: { max_age }.',
      loginHint: 'Use authorizationParams: { login_hint }.',
      uiLocales: 'Use authorizationParams: { ui_locales }.',
      prompt: 'Use authorizationParams: { prompt }.',
      display: 'Use authorizationParams: { display }.',
      claims: 'Use authorizationParams: { claims }.',
      nonce: 'Remove it: each login has a nonce.',
      state: 'Remove it: each login has a state.',
      pkce: 'Remove it: each login uses PKCE.',
      usePKCE: 'Remove it: each login uses PKCE.',
      customHeaders: 'Set the option fetch to a function that adds the headers.',
      proxy: "Use app.set('trust proxy', 1) in Express.",
    },
  },
  {
    peer: 'keycloak-connect',
    advice: {
      realm: "Use issuer: the URL of the server, '/realms/' and the realm.",
      'auth-server-url': "Use issuer: this URL, '/realms/' and the realm.",
      resource: 'Use clientId.',
      credentials: 'Use clientSecret.',
      'public-client': 'Leave out clientSecret.',
      'bearer-only': 'Use bearer() for an API that gets access tokens.',
      'ssl-required': 'Remove it: https is required, unless dangerouslyAllowInsecureRequests is set.',
      'confidential-port': 'Set baseUrl to the URL that browsers see.',
      'realm-public-key': 'Remove it: the keys come from the metadata of the issuer.',
      'verify-token-audience': 'Remove it: the audience is always checked.',
      'use-resource-role-mappings': "Use requireClaim(['resource_access', clientId, 'roles'], role).",
      'policy-enforcer': 'Use requireScope(), requireClaim() and requireGroup().',
    },
  },
  {
    peer: '@auth/express',
    advice: {
      trustHost: 'Set baseUrl: the headers of a request are never trusted for redirect URIs.',
      basePath: 'Use routes, or add the path to baseUrl.',
      callbacks: 'Use hooks.',
      events: 'Use hooks, or subscribe to the diagnostics channels express-oidc:login and express-oidc:logout.',
      pages: 'Use routes, providerChooser and errorPage({ render }).',
      adapter: SESSIONS,
      jwt: SESSIONS,
      cookies: SESSIONS,
      useSecureCookies: SESSIONS,
      debug: 'Set the environment variable NODE_DEBUG=oidc.',
      logger: 'Use errorPage({ log }).',
      theme: 'Use errorPage({ render }).',
      redirectProxyUrl: REDIRECT_URI,
      skipCSRFCheck: 'Use csrfProtection.',
    },
  },
]

/** The options inside `routes`. */
export const ROUTES_PEERS: readonly PeerOptions[] = [
  {
    peer: 'express-openid-connect',
    advice: { postLogoutRedirect: 'Use postLogoutRedirectUri, beside routes.' },
  },
  {
    peer: '@okta/oidc-middleware',
    advice: { loginCallback: 'Use routes.callback, with a path.' },
  },
]

/** The options of `bearer()`. */
export const BEARER_PEERS: readonly PeerOptions[] = [
  {
    peer: 'express-oauth2-jwt-bearer',
    advice: {
      issuerBaseURL: 'Use issuer.',
      jwksUri: 'Use providerMetadata: { issuer, jwks_uri }.',
      tokenSigningAlg: 'Use algorithms, with a list.',
      authRequired: 'Use allowAnonymous, which is the opposite.',
      strict: "Use profile: 'rfc9068'.",
      validators: 'Use requireClaim() on the routes.',
      dpop: 'Use senderConstrained.',
    },
  },
  { peer: 'express-jwt', advice: { credentialsRequired: 'Use allowAnonymous, which is the opposite.' } },
  {
    peer: 'aws-jwt-verify',
    advice: { userPoolId: 'Use issuer: https://cognito-idp.{region}.amazonaws.com/{userPoolId}.' },
  },
]

/** Where an option stands. */
export type OptionPlace = 'oidc' | 'routes' | 'bearer'

const PLACES: Readonly<Record<OptionPlace, readonly PeerOptions[]>> = {
  oidc: OIDC_PEERS,
  routes: ROUTES_PEERS,
  bearer: BEARER_PEERS,
}

/**
 * Completes the sentence "issuerBaseURL ..." about an option of another library: whose it is, and what to use in its place.
 * `undefined` for a name that is none.
 */
export function adviseOnPeerOption(name: string, place: OptionPlace, how?: 'exactly'): string | undefined {
  const all = PLACES[place].flatMap(({ peer, advice }) =>
    Object.entries(advice).map(([option, text]) => ({ peer, option, text })),
  )
  const isSame = (option: string): boolean => how === undefined && fold(option) === fold(name)
  const found = all.find(({ option }) => option === name) ?? all.find(({ option }) => isSame(option))
  return found && `is an option of ${found.peer}. ${found.text}`
}

/** `client_id`, `clientID` and `CLIENT-ID` are the same name. */
export function fold(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}
