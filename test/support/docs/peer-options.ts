import ts from 'typescript-5.9'

/** Where the types of a middleware declare its options. */
interface DeclaredOptions {
  /** Below the folder of the installed packages. */
  readonly file: string
  /** The interfaces, each with the name of the option whose value it is. Without one, its members stand at the top. */
  readonly interfaces: Readonly<Record<string, string>>
}

/** A middleware that people come from. */
export interface Peer {
  /** The name of its page in docs/migration/. */
  readonly page: string
  readonly package: string
  readonly version: string
  /** All its options, those inside others with a dot. Read from its sources and its types. */
  readonly options: readonly string[]
  readonly declared: readonly DeclaredOptions[]
}

/** `session.cookie` and the names of its members: `session.cookie.path`. */
function inside(parent: string, names: string): readonly string[] {
  return words(names).map((name) => `${parent}.${name}`)
}

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/)
}

export const PEERS: readonly Peer[] = [
  {
    page: 'express-openid-connect',
    package: 'express-openid-connect',
    version: '3.4.0',
    options: [
      ...words(`secret auth0Logout authorizationParams logoutParams baseURL clientID clientSecret clockTolerance
        enableTelemetry errorOnRequiredAuth attemptSilentLogin getLoginState afterCallback identityClaimFilter idpLogout
        idTokenSigningAlg issuerBaseURL legacySameSiteCookie authRequired pushedAuthorizationRequests backchannelLogout
        clientAuthMethod clientAssertionSigningKey clientAssertionSigningAlg requestObjectSigningKey
        requestObjectSigningAlg requestObjectSigningKeyId tokenEndpointParams discoveryCacheMaxAge httpTimeout customFetch
        httpUserAgent useMtls`),
      ...inside(
        'session',
        `name store genid signSessionStoreCookie requireSignedSessionStoreCookie rolling
        rollingDuration absoluteDuration`,
      ),
      ...inside('session.cookie', 'domain path transient httpOnly secure sameSite'),
      ...inside('routes', 'login logout postLogoutRedirect callback backchannelLogout'),
      ...inside('backchannelLogout', 'store onLogoutToken isLoggedOut onLogin'),
      ...inside('transactionCookie', 'name sameSite'),
    ],
    declared: [
      {
        file: 'express-openid-connect/index.d.ts',
        interfaces: {
          ConfigParams: '',
          SessionConfigParams: 'session',
          CookieConfigParams: 'session.cookie',
          BackchannelLogoutOptions: 'backchannelLogout',
        },
      },
    ],
  },
  {
    page: 'okta-oidc-middleware',
    package: '@okta/oidc-middleware',
    version: '5.5.1',
    options: [
      ...words(`issuer client_id client_secret appBaseUrl loginRedirectUri logoutRedirectUri scope response_type
        maxClockSkew timeout sessionKey testing.disableHttpsCheck`),
      ...inside('routes.login', 'path viewHandler'),
      ...inside('routes.loginCallback', 'path afterCallback handler failureRedirect'),
      ...inside('routes', 'logout.path logoutCallback.path'),
    ],
    declared: [{ file: '@okta/oidc-middleware/types/index.d.ts', interfaces: { ConfigurationOptions: '' } }],
  },
  {
    page: 'passport-openidconnect',
    package: 'passport-openidconnect',
    version: '0.1.2',
    options: words(`issuer authorizationURL tokenURL userInfoURL clientID clientSecret callbackURL customHeaders agent
      scope responseMode prompt display uiLocales loginHint maxAge acrValues idTokenHint nonce claims sessionKey store
      skipUserProfile proxy passReqToCallback`),
    declared: [{ file: '@types/passport-openidconnect/index.d.ts', interfaces: { StrategyOptions: '' } }],
  },
  {
    page: 'keycloak-connect',
    package: 'keycloak-connect',
    version: '26.1.1',
    options: words(`store cookies scope idpHint realm auth-server-url server-url resource client-id credentials.secret
      secret public-client public bearer-only realm-public-key min-time-between-jwks-requests verify-token-audience
      ssl-required confidential-port logout admin`),
    declared: [{ file: 'keycloak-connect/keycloak.d.ts', interfaces: { KeycloakConfig: '', KeycloakOptions: '' } }],
  },
  {
    page: 'auth-express',
    package: '@auth/express',
    version: '0.12.3',
    options: [
      ...words(`providers secret adapter debug logger theme useSecureCookies cookies trustHost skipCSRFCheck raw
        redirectProxyUrl experimental basePath`),
      ...inside('session', 'strategy maxAge updateAge generateSessionToken'),
      ...inside('jwt', 'maxAge encode decode'),
      ...inside('pages', 'signIn signOut error verifyRequest newUser'),
      ...inside('callbacks', 'signIn redirect session jwt'),
      ...inside('events', 'signIn signOut createUser updateUser linkAccount session'),
      ...words(`id name type wellKnown issuer authorization token userinfo profile account checks clientId clientSecret
        client style allowDangerousEmailAccountLinking idToken jwks_endpoint options`),
    ],
    declared: [
      { file: '@auth/core/index.d.ts', interfaces: { AuthConfig: '' } },
      { file: '@auth/core/types.d.ts', interfaces: { PagesOptions: 'pages' } },
      { file: '@auth/core/jwt.d.ts', interfaces: { JWTOptions: 'jwt' } },
      { file: '@auth/core/providers/oauth.d.ts', interfaces: { OAuth2Config: '', OIDCConfig: '' } },
    ],
  },
]

/**
 * The options that the types of a package declare. An option that is an object counts by its members, unless they are
 * declared elsewhere.
 */
export function optionsOfTypes(text: string, interfaces: Readonly<Record<string, string>>): readonly string[] {
  const source = ts.createSourceFile('index.d.ts', text, ts.ScriptTarget.Latest)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const parent = ts.isInterfaceDeclaration(node) ? interfaces[node.name.text] : undefined
    if (ts.isInterfaceDeclaration(node) && parent !== undefined) found.push(...membersOf(node.members, source, parent))
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Values that `experimental` holds come and go. */
const NOT_LOOKED_INTO = ['experimental']

function membersOf(members: ts.NodeArray<ts.TypeElement>, source: ts.SourceFile, parent: string): readonly string[] {
  return members.flatMap((member) => {
    if (member.name === undefined || ts.isComputedPropertyName(member.name)) return []
    const own = ts.isStringLiteral(member.name) ? member.name.text : member.name.getText(source)
    const name = parent === '' ? own : `${parent}.${own}`
    const type = ts.isPropertySignature(member) ? member.type : undefined
    if (type === undefined || !ts.isTypeLiteralNode(type) || NOT_LOOKED_INTO.includes(own)) return [name]
    return membersOf(type.members, source, name)
  })
}
