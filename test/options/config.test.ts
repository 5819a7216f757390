import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError } from '../../lib/errors.ts'
import { parseAuthorizationParams } from '../../lib/options/authorization-params.ts'
import type { Config } from '../../lib/options/config.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'

const SECRET = 'a-client-secret-of-thirty-two-ch'

const METADATA = {
  issuer: 'https://id.example',
  authorization_endpoint: 'https://id.example/authorize',
  token_endpoint: 'https://id.example/token',
  jwks_uri: 'https://id.example/jwks',
}

const good = (changes: object = {}) => ({
  issuer: 'https://id.example',
  clientId: 'web',
  clientSecret: SECRET,
  baseUrl: 'https://app.example',
  ...changes,
})

const parseOne = (options: unknown): Config => {
  const [config, ...others] = parseOptions(options).clients
  assert.ok(config !== undefined && others.length === 0)
  return config
}
const parse = (changes: object = {}): Config => parseOne(good(changes))

function faultsOf(options: unknown): readonly string[] {
  try {
    parseOptions(options)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    assert.equal(error.code, 'ERR_OIDC_CONFIG')
    for (const fault of error.faults) assert.ok(error.message.includes(fault))
    return error.faults
  }
  return []
}

describe('the configuration', () => {
  it('fills in every default', () => {
    assert.deepEqual(parse(), {
      issuer: 'https://id.example',
      clientId: 'web',
      clientSecret: SECRET,
      origin: 'https://app.example',
      hosts: [{ origin: 'https://app.example', postLogoutRedirectUri: 'https://app.example' }],
      basePath: '',
      findsProviders: false,
      scope: 'openid profile email',
      responseType: 'code',
      responseMode: 'query',
      authorizationSignedResponseAlg: 'RS256',
      authorizationParams: {},
      routes: {
        login: '/login',
        callback: '/callback',
        logout: '/logout',
        jwks: '/jwks',
        requestObjects: '/request',
        sessionCheck: '/session-check',
        backchannelLogout: '/backchannel-logout',
        frontchannelLogout: '/frontchannel-logout',
        keptForm: '/kept-form',
        securityEvents: '/security-events',
      },
      name: 'default',
      callback: '/callback',
      callbacks: ['/callback'],
      issuers: new Map([['default', 'https://id.example']]),
      clientIds: new Map([['default', 'web']]),
      signalling: new Set(),
      providerChooser: undefined,
      passthroughParams: [],
      silentLogin: false,
      registration: undefined,
      profile: undefined,
      idTokenEncryptedResponseAlg: undefined,
      idTokenEncryptedResponseEnc: 'A128CBC-HS256',
      userinfoSignedResponseAlg: undefined,
      userinfoEncryptedResponseAlg: undefined,
      userinfoEncryptedResponseEnc: 'A128CBC-HS256',
      authorizationEncryptedResponseAlg: undefined,
      authorizationEncryptedResponseEnc: 'A128CBC-HS256',
      tokenEndpointAuthSigningAlg: undefined,
      clientAssertion: undefined,
      clientAssertionAudience: undefined,
      clientKeys: [],
      tlsClientCertificate: undefined,
      requirePushedAuthorizationRequests: false,
      authorizationRequestMethod: 'GET',
      requestUriRateLimit: 600,
      requestObjectSigningAlg: undefined,
      requestObjectEncryptionAlg: undefined,
      requestObjectEncryptionEnc: 'A128CBC-HS256',
      requestObjectBy: 'value',
      dpopBoundAccessTokens: false,
      dpopSigningAlg: 'ES256',
      userinfoBearerMethod: 'header',
      claimsProviders: [],
      discovery: 'oidc',
      discoveryWithClientId: false,
      tenants: undefined,
      endSessionParams: undefined,
      logoutByGet: false,
      csrfProtection: true,
      trustedOrigins: [],
      revokeTokens: true,
      clearSiteData: [],
      redirectUri: 'https://app.example/callback',
      postLogoutRedirectUri: 'https://app.example',
      idTokenSignedResponseAlg: 'RS256',
      tokenEndpointAuthMethod: 'client_secret_basic',
      clockTolerance: 60,
      timeout: 10,
      sessionKey: 'oidc',
      sharedState: undefined,
      secrets: [SECRET],
      loginLifetime: 86400,
      loginExpiry: 'lifetime',
      idleTimeout: undefined,
      transactionLifetime: 1800,
      sessionClaims: undefined,
      anonymousSession: 'keep',
      userClaims: ['sub', 'name', 'preferred_username', 'email', 'picture'],
      anonymousUserStatus: 401,
      userExtendsSession: false,
      userinfo: 'when-needed',
      providerMetadata: undefined,
      fetch: undefined,
      agent: undefined,
      ca: undefined,
      hooks: {},
      dangerouslyAssumeRequestedScope: false,
      dangerouslyAllowInsecureRequests: false,
      dangerouslyAllowMissingIss: false,
      dangerouslyAllowLogoutTokenWithoutExp: false,
      dangerouslyAllowMissingNonce: false,
      dangerouslyIgnoreSessionExpiry: false,
      dangerouslyDisablePkce: false,
      assumeBearerTokenType: false,
      allowMissingAccessToken: false,
      logoutWithoutIdTokenHint: false,
      trustedAudiences: [],
      extraProviderMetadata: undefined,
      sharedSignals: undefined,
      clientMetadata: undefined,
    })
  })

  it('keeps every option that is given', () => {
    const given = {
      scope: 'openid offline_access',
      logoutByGet: true,
      idTokenSignedResponseAlg: 'HS256',
      tokenEndpointAuthMethod: 'client_secret_post',
      clockTolerance: 0,
      timeout: 0.5,
      sessionKey: 'user',
      loginLifetime: 60,
      transactionLifetime: 86400,
      sessionClaims: ['email'],
      userinfo: false,
      providerMetadata: METADATA,
      fetch: async () => new Response(),
      hooks: { afterLogin: () => {} },
      dangerouslyAllowInsecureRequests: true,
    }
    const config: object = parse(given)
    assert.deepEqual({ ...config, ...given }, config)
  })

  it('is that of a public client without a client secret', () => {
    const config = parse({ clientSecret: undefined, secret: 's'.repeat(32) })
    assert.equal(config.tokenEndpointAuthMethod, 'none')
    assert.equal(config.clientSecret, undefined)
    assert.deepEqual(config.secrets, ['s'.repeat(32)])
  })

  it('uses the given secrets in their order instead of the client secret', () => {
    assert.deepEqual(parse({ secret: ['n'.repeat(32), 'o'.repeat(32)] }).secrets, ['n'.repeat(32), 'o'.repeat(32)])
  })

  it('treats undefined as not given, at every depth', () => {
    const config = parse({
      scope: undefined,
      routes: { login: undefined },
      hooks: { afterLogin: undefined },
      authorizationParams: { prompt: undefined },
      bogus: undefined,
    })
    assert.deepEqual(config, parse())
  })

  it('keeps the issuer exactly as it is given', () => {
    const exact = [
      'https://tenant.eu.auth0.com/',
      'https://id.example:443',
      'https://id.example/realms/a%20b',
      'https://ID.example',
    ]
    for (const issuer of exact) assert.equal(parse({ issuer }).issuer, issuer)
  })

  it('N-25: accepts a baseUrl whose host has letters beyond ASCII, as browsers send it', () => {
    for (const baseUrl of ['https://münchen.example/portal', 'https://MÜNCHEN.example:443/portal/']) {
      const { redirectUri, postLogoutRedirectUri } = parse({ baseUrl })
      assert.equal(redirectUri, 'https://xn--mnchen-3ya.example/portal/callback')
      assert.match(postLogoutRedirectUri, /^https:\/\/xn--mnchen-3ya\.example[:/]/)
    }
    assert.throws(() => parse({ baseUrl: 'http://münchen.example' }), /baseUrl must be https\./)
  })

  it('N-25: accepts a postLogoutRedirectUri whose host has letters beyond ASCII, in its punycode form', () => {
    const given = 'https://www.münchen.example/bye?a=%2F'
    const withPath = given.replace('bye', 'tschüss')
    assert.throws(() => parse({ postLogoutRedirectUri: withPath }), /postLogoutRedirectUri must be/)
    const { postLogoutRedirectUri } = parse({ postLogoutRedirectUri: given })
    assert.equal(postLogoutRedirectUri, 'https://www.xn--mnchen-3ya.example/bye?a=%2F')
    const route = { baseUrl: 'https://münchen.example', postLogoutRedirectUri: 'https://MÜNCHEN.example/login' }
    assert.throws(() => parse(route), /postLogoutRedirectUri must not be one of routes/)
    const insecure = { postLogoutRedirectUri: 'http://münchen.example/bye' }
    assert.throws(() => parse(insecure), /postLogoutRedirectUri must be https\./)
    for (const host of [
      'a\uff0fb.example',
      'a\u2024example',
      'a\u2100.example',
      '\u00ad',
      'a\u200b.example',
      'ü@b.example',
    ]) {
      assert.throws(() => parse({ baseUrl: `https://${host}` }), /baseUrl must be an absolute https URL/)
    }
  })

  it('N-23: accepts a client id and a secret that end in a space, as registered', () => {
    const { clientId, clientSecret } = parse({ clientId: 'web ', clientSecret: `${SECRET} ` })
    assert.deepEqual([clientId, clientSecret], ['web ', `${SECRET} `])
  })

  it('accepts the issuers of Okta', () => {
    for (const path of ['', '/oauth2/default', '/oauth2/aus1a2b3c4d5', '/oauth2/v1beta']) {
      assert.equal(parse({ issuer: `https://dev-1.okta.com${path}` }).issuer, `https://dev-1.okta.com${path}`)
    }
    assert.equal(
      parse({ issuer: 'https://badmin-administrators.okta.com' }).issuer,
      'https://badmin-administrators.okta.com',
    )
  })

  it('accepts at other hosts what is wrong only at Okta', () => {
    for (const issuer of [
      'https://id-admin.example/',
      'https://notokta.com/oauth2/v1',
      'https://x-admin.okta.com.example',
    ]) {
      assert.equal(parse({ issuer }).issuer, issuer)
    }
  })
})

describe('baseUrl', () => {
  const cases = [
    ['https://app.example', 'https://app.example', ''],
    ['https://app.example/', 'https://app.example', ''],
    ['https://APP.example:443/portal', 'https://app.example', '/portal'],
    ['https://app.example/portal/', 'https://app.example', '/portal'],
    ['https://app.example:8443/a/b-c_d.e~f', 'https://app.example:8443', '/a/b-c_d.e~f'],
    ['https://app.example/caf%C3%A9', 'https://app.example', '/caf%C3%A9'],
  ] as const
  for (const [baseUrl, origin, basePath] of cases) {
    it(`of ${baseUrl} gives the origin ${origin} and the base path '${basePath}'`, () => {
      const config = parse({ baseUrl })
      assert.deepEqual([config.origin, config.basePath], [origin, basePath])
      assert.equal(config.redirectUri, `${origin}${basePath}/callback`)
      assert.equal(config.postLogoutRedirectUri, baseUrl)
    })
  }
})

describe('postLogoutRedirectUri', () => {
  it('is kept as it is if it is absolute', () => {
    for (const uri of ['https://www.example', 'https://www.example/', 'https://www.example/bye?from=app#top']) {
      assert.equal(parse({ postLogoutRedirectUri: uri }).postLogoutRedirectUri, uri)
    }
  })

  it('is resolved below baseUrl if it is a path', () => {
    const config = parse({ baseUrl: 'https://app.example/portal/', postLogoutRedirectUri: '/bye?x=1#y' })
    assert.equal(config.postLogoutRedirectUri, 'https://app.example/portal/bye?x=1#y')
  })
})

describe('authorizationParams', () => {
  it('are stored as strings', () => {
    const authorizationParams = { prompt: 'login consent', max_age: 300, 'urn.x-y_z': 0.5, ui_locales: '' }
    assert.deepEqual(parse({ authorizationParams }).authorizationParams, {
      prompt: 'login consent',
      max_age: '300',
      'urn.x-y_z': '0.5',
      ui_locales: '',
    })
  })

  it('may be prompt=none alone, and max_age 0', () => {
    for (const params of [{ prompt: 'none' }, { max_age: '0' }]) {
      assert.deepEqual(parse({ authorizationParams: params }).authorizationParams, params)
    }
  })

  it('follow the same rules for one login', () => {
    assert.deepEqual(parseAuthorizationParams(undefined), {})
    assert.deepEqual(parseAuthorizationParams({ login_hint: 'ada', acr_values: undefined }), { login_hint: 'ada' })
    assert.throws(() => parseAuthorizationParams({ state: 'x', max_age: -1 }), { name: 'ConfigError' })
    assert.throws(() => parseAuthorizationParams('prompt=login'), /authorizationParams must be a plain object/)
  })

  it('are frozen, also for one login', () => {
    assert.ok(Object.isFrozen(parseAuthorizationParams({ prompt: 'login' })))
  })
})

const circle: { [name: string]: unknown } = { ...METADATA }
circle['self'] = circle

// [option, wrong value, what the fault says]
const wrong: readonly (readonly [string, unknown, RegExp])[] = [
  ['issuer', undefined, /^issuer must be a non-empty string\./],
  ['issuer', 42, /^issuer must be a non-empty string\./],
  ['issuer', new URL('https://id.example'), /^issuer must be a non-empty string\./],
  ['issuer', '', /^issuer must be a non-empty string\./],
  ['issuer', 'id.example', /^issuer must be an absolute https URL/],
  ['issuer', '/oauth2/default', /^issuer must be an absolute https URL/],
  ['issuer', 'https:id.example', /^issuer must be an absolute https URL/],
  ['issuer', 'https://', /^issuer must be an absolute https URL/],
  ['issuer', 'https:///id.example', /^issuer must be an absolute https URL/],
  ['issuer', 'ftp://id.example', /^issuer must be an absolute https URL/],
  ['issuer', 'javascript:alert(1)', /^issuer must be an absolute https URL/],
  ['issuer', ' https://id.example', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.example\n', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.exa\tmple', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.example/a b', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.example\\a', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.example?', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.example?tenant=1', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.example/#', /^issuer must be an absolute https URL/],
  ['issuer', 'https://user:password@id.example', /^issuer must be an absolute https URL/],
  ['issuer', 'https://@id.example', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.example:99999', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.example/a/../b', /^issuer must be an absolute https URL/],
  ['issuer', 'https://id.example/réalm', /^issuer must be an absolute https URL/],
  ['issuer', 'https://{yourOktaDomain}', /^issuer contains a placeholder/],
  ['issuer', 'https://<your-domain>/oauth2/default', /^issuer contains a placeholder/],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is the mistake.
  ['issuer', 'https://${OKTA_DOMAIN}', /^issuer contains a placeholder/],
  ['issuer', '{issuer}', /^issuer contains a placeholder/],
  ['issuer', 'https://https://id.example', /^issuer has its scheme twice/],
  ['issuer', 'https://http://id.example', /^issuer has its scheme twice/],
  ['issuer', 'https://https//id.example', /^issuer has its scheme twice/],
  ['issuer', 'https://dev-1.okta.com.com', /^issuer ends its host in \.com twice/],
  ['issuer', 'https://id.example/.well-known/openid-configuration', /^issuer is the URL of the discovery document/],
  [
    'issuer',
    'https://dev-1.okta.com/oauth2/default/.well-known/openid-configuration',
    /^issuer is the URL of the discovery document/,
  ],
  [
    'issuer',
    'https://id.example/.well-known/oauth-authorization-server',
    /^issuer is the URL of the discovery document/,
  ],
  ['issuer', 'https://dev-1-admin.okta.com', /^issuer is the URL of the admin console/],
  ['issuer', 'https://Dev-1-Admin.Okta.com', /^issuer is the URL of the admin console/],
  ['issuer', 'https://dev-1-admin.oktapreview.com', /^issuer is the URL of the admin console/],
  ['issuer', 'https://dev-1-admin.okta-emea.com/oauth2/default', /^issuer is the URL of the admin console/],
  ['issuer', 'https://dev-1.okta.com/', /^issuer ends in a slash/],
  ['issuer', 'https://dev-1.oktapreview.com/oauth2/default/', /^issuer ends in a slash/],
  ['issuer', 'https://dev-1.okta.com/oauth2/v1/authorize', /^issuer is the URL of an endpoint/],
  ['issuer', 'https://dev-1.okta.com/oauth2/default/v1', /^issuer is the URL of an endpoint/],
  ['issuer', 'https://dev-1.okta.com/oauth2/default/v1/token', /^issuer is the URL of an endpoint/],
  ['issuer', 'http://id.example', /^issuer must be https\. Received "http:.* dangerouslyAllowInsecureRequests/],
  ['issuer', 'http://localhost:8080', /^issuer must be https\. Received "http:.* dangerouslyAllowInsecureRequests/],
  ['clientId', undefined, /^clientId is required, unless registration is given\.$/],
  ['clientId', '', /^clientId must be a non-empty string\./],
  ['clientId', 7, /^clientId must be a non-empty string\./],
  ['clientId', 'web \n', /^clientId must contain only printable ASCII/],
  ['clientId', ' web', /^clientId must contain only printable ASCII/],
  ['clientId', 'web\n', /^clientId must contain only printable ASCII/],
  ['clientId', 'we\u0000b', /^clientId must contain only printable ASCII/],
  ['clientId', '{clientId}', /^clientId must be the value of your own client/],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is the mistake.
  ['clientId', '${CLIENT_ID}', /^clientId must be the value of your own client/],
  ['clientId', '<your-client-id>', /^clientId must be the value of your own client/],
  ['clientSecret', '', /^clientSecret must be a non-empty string\./],
  ['clientSecret', null, /^clientSecret must be a non-empty string\./],
  ['clientSecret', ['x'.repeat(40)], /^clientSecret must be a non-empty string\./],
  ['clientSecret', 'x'.repeat(40).concat('\n'), /^clientSecret must contain only printable ASCII/],
  ['clientSecret', '{clientSecret}', /^clientSecret must be the value of your own client/],
  ['clientSecret', 'secret-{yourClientSecret}', /^clientSecret must be the value of your own client/],
  ['baseUrl', undefined, /^baseUrl must be an absolute https URL/],
  ['baseUrl', '', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'app.example', /^baseUrl must be an absolute https URL/],
  ['baseUrl', '/portal', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://app.example?x=1', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://app.example/?', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://app.example/#top', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://me:secret@app.example', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://app.example//', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://app.example//evil.example', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://app.example/a/../b', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://app.example/a%2fb', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://app.example/a;b', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'https://app.example/a b', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'ws://app.example', /^baseUrl must be an absolute https URL/],
  ['baseUrl', 'http://app.example', /^baseUrl must be https\. Received "http:.* dangerouslyAllowInsecureRequests/],
  ['baseUrl', 'http://127.0.0.1:3000', /^baseUrl must be https\. Received "http:.* dangerouslyAllowInsecureRequests/],
  ['scope', '', /^scope must be scopes .* including openid/],
  ['scope', 'profile email', /^scope must be scopes/],
  ['scope', 'openidx profile', /^scope must be scopes/],
  ['scope', 'OpenID', /^scope must be scopes/],
  ['scope', 'openid  email', /^scope must be scopes/],
  ['scope', 'openid ', /^scope must be scopes/],
  ['scope', 'openid,email', /^scope must be scopes/],
  ['scope', 'openid\temail', /^scope must be scopes/],
  ['scope', 'openid "email"', /^scope must be scopes/],
  ['scope', 'openid a\\b', /^scope must be scopes/],
  ['scope', 'openid caf\u00e9', /^scope must be scopes/],
  ['scope', ['openid', 'email'], /^scope must be scopes/],
  ['authorizationParams', 'prompt=login', /^authorizationParams must be a plain object\./],
  ['authorizationParams', [['prompt', 'login']], /^authorizationParams must be a plain object\./],
  ['authorizationParams', new URLSearchParams('prompt=login'), /^authorizationParams must be a plain object\./],
  ...[
    ...['client_id', 'redirect_uri', 'response_type', 'scope', 'state', 'nonce', 'code_challenge'],
    ...['code_challenge_method', 'request', 'request_uri', 'iss', 'response'],
  ].map(
    (name) =>
      ['authorizationParams', { [name]: 'x' }, new RegExp(`^authorizationParams.${name} must not be set: `)] as const,
  ),
  ['authorizationParams', { 'a b': 'x' }, /^authorizationParams must have names of/],
  ['authorizationParams', { 'x&state': 'x' }, /^authorizationParams must have names of/],
  ['authorizationParams', { '': 'x' }, /^authorizationParams must have names of/],
  ['authorizationParams', JSON.parse('{ "__proto__": "x" }'), /^authorizationParams must have names of/],
  ['authorizationParams', { prompt: null }, /^authorizationParams\.prompt must be a string or a finite number\./],
  ['authorizationParams', { prompt: ['login'] }, /^authorizationParams\.prompt must be a string or a finite number\./],
  ['authorizationParams', { x: null }, /^authorizationParams\.x must be a string, a number, or an object or list/],
  ['authorizationParams', { x: true }, /^authorizationParams\.x must be a string, a number, or an object or list/],
  [
    'authorizationParams',
    { x: Number.NaN },
    /^authorizationParams\.x must be a string, a number, or an object or list/,
  ],
  ['authorizationParams', { x: Infinity }, /^authorizationParams\.x must be a string, a number, or an object or list/],
  [
    'authorizationParams',
    { claims: { id_token: new Date(0) } },
    /^authorizationParams\.claims must be a string, a number, or/,
  ],
  ['authorizationParams', { resource: '/relative' }, /^authorizationParams\.resource must be an absolute URI/],
  [
    'authorizationParams',
    { resource: 'https://api.example/#x' },
    /^authorizationParams\.resource must be an absolute URI/,
  ],
  ['authorizationParams', { resource: [] }, /^authorizationParams\.resource must be an absolute URI/],
  [
    'authorizationParams',
    { response_mode: 'query' },
    /^authorizationParams\.response_mode must not be set: use the op/,
  ],
  ['responseType', 'token', /^responseType must be one of 'code', 'id_token', /],
  ['responseType', 'code code', /^responseType must be one of/],
  ['responseType', ['code'], /^responseType must be one of/],
  ['responseMode', 'okta_post_message', /^responseMode must be one of 'query', 'form_post', 'fragment', 'jwt', /],
  ['authorizationSignedResponseAlg', 'none', /^authorizationSignedResponseAlg must be one of 'RS256', /],
  ['authorizationParams', { max_age: -1 }, /^authorizationParams\.max_age must be a whole number/],
  ['authorizationParams', { max_age: 1.5 }, /^authorizationParams\.max_age must be a whole number/],
  ['authorizationParams', { max_age: '' }, /^authorizationParams\.max_age must be a whole number/],
  ['authorizationParams', { max_age: 'soon' }, /^authorizationParams\.max_age must be a whole number/],
  ['authorizationParams', { max_age: 1e30 }, /^authorizationParams\.max_age must be a whole number/],
  ['authorizationParams', { prompt: 'none login' }, /^authorizationParams\.prompt must not combine none/],
  ['authorizationParams', { prompt: 'consent none' }, /^authorizationParams\.prompt must not combine none/],
  ['routes', ['/login'], /^routes must be a plain object\./],
  ['routes', { signin: '/signin' }, /^routes\.signin is not an option; did you mean routes\.login\?$/],
  ['routes', { Callback: '/cb' }, /^routes\.Callback is not an option; did you mean routes\.callback\?$/],
  ['routes', { zzz: '/cb' }, /^routes\.zzz is not an option\.$/],
  ...[
    ...['login', '', '/', '//login', '/login/', '/a//b', '/a/../login', '/./login', '/a/..', '/login?x=1', '/login#x'],
    ...[
      '/log\\in',
      '/log in',
      '/log\tin',
      '/login\n',
      '/log%69n',
      '/%2e%2e/login',
      '/a%2fb',
      '/a%',
      '/ünicode',
      '/a;b',
    ],
    ...[null, true, 7, '/{login}', 'https://app.example/login', '/a%e2%80', '/%ef%bc%8flogin'],
  ].map((path) => ['routes', { login: path }, /^routes\.login must be a path such as \/login/] as const),
  ['routes', { callback: 'callback' }, /^routes\.callback must be a path/],
  ['routes', { logout: 'logout' }, /^routes\.logout must be a path/],
  ['routes', { login: '/callback' }, /^routes\.callback must differ from routes\.login: both are \/callback\.$/],
  ['routes', { logout: '/Login' }, /^routes\.logout must differ from routes\.login: both are \/Login\.$/],
  ['logoutByGet', 'yes', /^logoutByGet must be true or false\./],
  ['logoutByGet', 1, /^logoutByGet must be true or false\./],
  ['idTokenSignedResponseAlg', 'none', /^idTokenSignedResponseAlg must be one of 'RS256', /],
  ['idTokenSignedResponseAlg', 'rs256', /^idTokenSignedResponseAlg must be one of 'RS256', /],
  ['idTokenSignedResponseAlg', ['RS256'], /^idTokenSignedResponseAlg must be one of 'RS256', /],
  ['tokenEndpointAuthMethod', 'basic', /^tokenEndpointAuthMethod must be one of 'client_secret_basic', /],
  ['tokenEndpointAuthMethod', 'private_key_jwt', /^tokenEndpointAuthMethod 'private_key_jwt' needs a signing key/],
  ['tokenEndpointAuthMethod', 'none', /^tokenEndpointAuthMethod 'none' cannot be combined with clientSecret/],
  ...[-1, 301, 1.5, '60', Number.NaN, Infinity, null].map(
    (value) => ['clockTolerance', value, /^clockTolerance must be a whole number of seconds from 0 to 300\./] as const,
  ),
  ...[0, -1, 120.5, '10', Number.NaN, Infinity].map(
    (value) => ['timeout', value, /^timeout must be a number of seconds from 0\.001 to 120\./] as const,
  ),
  ['sessionKey', '', /^sessionKey must be a non-empty string\./],
  ['sessionKey', Symbol('oidc'), /^sessionKey must be a non-empty string\./],
  ...[
    ...['cookie', '__proto__', 'constructor', 'prototype', 'id', 'req', 'save', 'reload', 'destroy', 'regenerate'],
    ...['touch', 'resetMaxAge', 'toString', 'hasOwnProperty'],
  ].map((name) => ['sessionKey', name, /^sessionKey must be a name that express-session does not use itself/] as const),
  ['secret', 'short', /^secret must be a string of at least 32 characters/],
  ['secret', 's'.repeat(31), /^secret must be a string of at least 32 characters/],
  ['secret', [], /^secret must be a string of at least 32 characters/],
  ['secret', ['s'.repeat(32), 'short'], /^secret must be a string of at least 32 characters/],
  ['secret', [['s'.repeat(32)]], /^secret must be a string of at least 32 characters/],
  ['secret', Buffer.alloc(32), /^secret must be a string of at least 32 characters/],
  ['postLogoutRedirectUri', 'bye', /^postLogoutRedirectUri must be an absolute https URL/],
  ['postLogoutRedirectUri', '//evil.example', /^postLogoutRedirectUri must be an absolute https URL/],
  ['postLogoutRedirectUri', '/%2fevil.example', /^postLogoutRedirectUri must be an absolute https URL/],
  ['postLogoutRedirectUri', 'https://me@www.example', /^postLogoutRedirectUri must be an absolute https URL/],
  ['postLogoutRedirectUri', 'javascript:alert(1)', /^postLogoutRedirectUri must be an absolute https URL/],
  ['postLogoutRedirectUri', 7, /^postLogoutRedirectUri must be an absolute https URL/],
  ['postLogoutRedirectUri', 'http://www.example', /^postLogoutRedirectUri must be https\. .* dangerouslyAllowInsecure/],
  ...[59, 315360001, 60.5, '3600', null].map(
    (value) => ['loginLifetime', value, /^loginLifetime must be a whole number of seconds from 60/] as const,
  ),
  ...[59, 86401, 60.5, '3600'].map(
    (value) =>
      [
        'transactionLifetime',
        value,
        /^transactionLifetime must be a whole number of seconds from 60 to 86400/,
      ] as const,
  ),
  ['sessionClaims', 'email', /^sessionClaims must be a list of claim names, or a function\./],
  ['sessionClaims', ['email', ''], /^sessionClaims\[1\] must be a non-empty string\. Received an empty string\.$/],
  ['csrfProtection', 'origin', /^csrfProtection must be true or false\. Received "origin"\.$/],
  ['trustedOrigins', 'https://a.example', /^trustedOrigins must be a list of origins\.$/],
  ...[
    'a.example',
    'https://a.example/',
    'https://A.example',
    'https://a.example:443',
    'https://a.example/x',
    'null',
    '*',
  ].map(
    (origin) => ['trustedOrigins', [origin], /^trustedOrigins\[0\] must be an origin as browsers send it/] as const,
  ),
  ['userClaims', 'email', /^userClaims must be a list of claim names, or a function\./],
  ['anonymousUserStatus', 200, /^anonymousUserStatus must be 401 or 204\. Received 200\.$/],
  ['anonymousUserStatus', '204', /^anonymousUserStatus must be 401 or 204\. Received "204"\.$/],
  ['userExtendsSession', 1, /^userExtendsSession must be true or false\. Received 1\.$/],
  ['routes', { user: 'user' }, /^routes\.user must be a path/],
  ['sessionClaims', [7], /^sessionClaims\[0\] must be a non-empty string\. Received a number\.$/],
  ['sessionClaims', { email: true }, /^sessionClaims must be a list of claim names, or a function\./],
  ['userinfo', 'always', /^userinfo must be one of true, false, 'when-needed'\. Received "always"\.$/],
  ['providerMetadata', 'https://id.example', /^providerMetadata must be a plain object\./],
  ['providerMetadata', { ...METADATA, issuer: undefined }, /^providerMetadata\.issuer must be a non-empty string\./],
  ['providerMetadata', { ...METADATA, issuer: 'https://id.example/' }, /^providerMetadata\.issuer must equal issuer/],
  ['providerMetadata', { ...METADATA, jwks_uri: undefined }, /^providerMetadata\.jwks_uri must be an absolute https/],
  ['providerMetadata', { ...METADATA, token_endpoint: '/token' }, /^providerMetadata\.token_endpoint must be an abs/],
  ['providerMetadata', { ...METADATA, authorization_endpoint: 7 }, /^providerMetadata\.authorization_endpoint must b/],
  ['providerMetadata', { ...METADATA, token_endpoint: 'https://a@id.example' }, /^providerMetadata\.token_endpoint m/],
  ['providerMetadata', { ...METADATA, userinfo_endpoint: 'https://id.example/#' }, /^providerMetadata\.userinfo_end/],
  ['providerMetadata', { ...METADATA, end_session_endpoint: '' }, /^providerMetadata\.end_session_endpoint must be/],
  ['providerMetadata', { ...METADATA, jwks_uri: 'http://id.example/jwks' }, /^providerMetadata\.jwks_uri must be htt/],
  [
    'providerMetadata',
    { ...METADATA, extra: () => 1 },
    /^providerMetadata must contain only values that JSON can hold\./,
  ],
  [
    'providerMetadata',
    { ...METADATA, extra: [Infinity] },
    /^providerMetadata must contain only values that JSON can hold\./,
  ],
  [
    'providerMetadata',
    { ...METADATA, extra: { at: new Date(0) } },
    /^providerMetadata must contain only values that JSON can/,
  ],
  ['providerMetadata', circle, /^providerMetadata must contain only values that JSON can hold\./],
  ['fetch', 'fetch', /^fetch must be a function\./],
  ['hooks', () => {}, /^hooks must be a plain object\./],
  ['hooks', { afterLogin: 'yes' }, /^hooks\.afterLogin must be a function\./],
  ['hooks', { beforeLogin: {} }, /^hooks\.beforeLogin must be a function\./],
  ['hooks', { beforeLogout: null }, /^hooks\.beforeLogout must be a function\./],
  ['hooks', { afterLogout: 1 }, /^hooks\.afterLogout must be a function\./],
  ['hooks', { afterlogin: () => {} }, /^hooks\.afterlogin is not an option; did you mean hooks\.afterLogin\?$/],
  ['hooks', { afterCallback: () => {} }, /^hooks\.afterCallback is not an option; did you mean hooks\.afterLogin\?$/],
  ['dangerouslyAllowInsecureRequests', 'true', /^dangerouslyAllowInsecureRequests must be true or false\./],
]

describe('a wrong value', () => {
  for (const [option, value, sentence] of wrong) {
    const shown = typeof value === 'object' && value === circle ? 'a circle' : (JSON.stringify(value) ?? String(value))
    it(`of ${option} is rejected: ${shown}`, () => {
      const faults = faultsOf(good({ [option]: value }))
      assert.equal(faults.length, 1, `the only fault: ${faults.join(' ')}`)
      assert.match(faults[0] ?? '', sentence)
    })
  }
})

describe('the message about a wrong value', () => {
  const received: readonly (readonly [option: string, value: unknown, message: RegExp])[] = [
    ['clockTolerance', 301, / Received 301\.$/],
    ['timeout', Number.NaN, / Received "NaN"\.$/],
    ['logoutByGet', 'yes', / Received "yes"\.$/],
    ['scope', `profile\u0007 ${'x'.repeat(100)}`, / Received "profile\\u0007 x+\.\.\.\.$/],
    ['issuer', 'id.example', / Received "id\.example"\.$/],
    ['baseUrl', new URL('https://app.example'), / Received an object\.$/],
    ['fetch', [], / Received an empty list\.$/],
    ['hooks', [() => {}], / Received a list\.$/],
    ['scope', Symbol('x'), / Received a symbol\.$/],
    ['scope', () => 'openid', / Received a function\.$/],
    ['clientSecret', null, / Received null\.$/],
    ['baseUrl', undefined, / Received undefined\.$/],
  ]
  for (const [option, value, message] of received) {
    it(`shows what was received for ${option}: ${String(message)}`, () => {
      assert.match(faultsOf(good({ [option]: value }))[0] ?? '', message)
    })
  }

  // [option, value with a secret in it]
  const secrets: readonly (readonly [option: string, value: unknown])[] = [
    ['issuer', 'https://user:hush@id.example'],
    ['issuer', 'https://https://user:hush@id.example'],
    ['baseUrl', 'https://user:hush@app.example'],
    ['postLogoutRedirectUri', 'https://user:hush@app.example'],
    ['discovery', 'https://user:hush@id.example'],
    ['providerMetadata', { ...METADATA, jwks_uri: 'https://user:hush@id.example' }],
    ['clientId', ' hush'],
    ['clientSecret', ' hush'],
    ['secret', 'hush'],
    ['clientKeys', ['hush']],
    ['clientAssertion', 'hush'],
    ['tlsClientCertificate', { cert: 'hush', key: 'hush', passphrase: 7 }],
    ['registration', { store: {}, initialAccessToken: 'hu sh hush' }],
    ['authorizationParams', { max_age: 'hush', prompt: 'none hush', claims: 'hush', resource: 'hush' }],
    ['endSessionParams', { logout_hint: ['hush'] }],
  ]
  for (const [option, value] of secrets) {
    it(`does not show what may be a secret: ${option} as ${JSON.stringify(value)}`, () => {
      const faults = faultsOf(good({ [option]: value }))
      assert.notEqual(faults.length, 0)
      assert.doesNotMatch(faults.join(), /hush/)
    })
  }
})

describe('options that contradict each other', () => {
  const cases: readonly (readonly [string, object, RegExp])[] = [
    [
      'a secret method without a secret',
      { clientSecret: undefined, secret: 's'.repeat(32), tokenEndpointAuthMethod: 'client_secret_basic' },
      /^tokenEndpointAuthMethod 'client_secret_basic' needs clientSecret\./,
    ],
    [
      'a symmetric algorithm without a secret',
      { clientSecret: undefined, secret: 's'.repeat(32), idTokenSignedResponseAlg: 'HS512' },
      /^idTokenSignedResponseAlg 'HS512' needs clientSecret\.$/,
    ],
    [
      'UserInfo at a provider without it',
      { userinfo: true, providerMetadata: { ...METADATA, userinfo_endpoint: undefined } },
      /^userinfo is true, but providerMetadata has no userinfo_endpoint\./,
    ],
    [
      'a page after a logout that is a route',
      { postLogoutRedirectUri: '/logout' },
      /^postLogoutRedirectUri must not be one of routes/,
    ],
    [
      'a page after a logout that has the URL of a route',
      {
        baseUrl: 'https://app.example.com/portal/',
        postLogoutRedirectUri: 'https://app.example.com/portal/bye',
        routes: { logout: '/bye' },
      },
      /^postLogoutRedirectUri must not be one of routes/,
    ],
    [
      'a page after a logout that routers match with a route',
      { postLogoutRedirectUri: '/LOGOUT/' },
      /^postLogoutRedirectUri must (not be one of routes|be)/,
    ],
    [
      'a client secret that could be guessed',
      { clientSecret: 'hunter2' },
      /^secret is required if clientSecret is shorter than 32 characters/,
    ],
    [
      'tokens in a query',
      { responseType: 'token id_token', responseMode: 'query' },
      /^responseMode must not be query with responseType 'token id_token'/,
    ],
    [
      'a symmetric algorithm of the response without a secret',
      {
        clientSecret: undefined,
        secret: 's'.repeat(32),
        responseMode: 'jwt',
        authorizationSignedResponseAlg: 'HS256',
      },
      /^authorizationSignedResponseAlg 'HS256' needs clientSecret\.$/,
    ],
    ['no secret to encrypt with', { clientSecret: undefined }, /^secret is required unless clientSecret is a string/],
  ]
  for (const [name, changes, sentence] of cases) {
    it(`are rejected: ${name}`, () => {
      const faults = faultsOf(good(changes))
      assert.equal(faults.length, 1)
      assert.match(faults[0] ?? '', sentence)
    })
  }

  it('are not checked if one of them is wrong on its own', () => {
    assert.deepEqual(faultsOf(good({ clientSecret: 7, idTokenSignedResponseAlg: 'HS256' })), [
      'clientSecret must be a non-empty string. Received a number.',
    ])
  })

  it('accept plain http everywhere with dangerouslyAllowInsecureRequests', () => {
    const config = parse({
      issuer: 'http://localhost:8080',
      baseUrl: 'http://127.0.0.1:3000/app',
      postLogoutRedirectUri: 'http://localhost:3000',
      providerMetadata: { ...METADATA, issuer: 'http://localhost:8080', jwks_uri: 'http://localhost:8080/jwks' },
      dangerouslyAllowInsecureRequests: true,
    })
    assert.equal(config.redirectUri, 'http://127.0.0.1:3000/app/callback')
  })
})

describe('an unknown name', () => {
  const cases = [
    ['clientid', 'clientId'],
    ['CLIENT-SECRET', 'clientSecret'],
    ['BASE_URL', 'baseUrl'],
    ['redirectUrl', 'baseUrl'],
    ['post_logout_redirect_uri', 'postLogoutRedirectUri'],
    ['isuer', 'issuer'],
    ['scopes', 'scope'],
    ['secert', 'secret'],
    ['tiemout', 'timeout'],
    ['token_endpoint_auth_method', 'tokenEndpointAuthMethod'],
    ['id_token_signed_response_alg', 'idTokenSignedResponseAlg'],
    ['authorization_params', 'authorizationParams'],
    ['allowInsecureRequests', 'dangerouslyAllowInsecureRequests'],
    ['hook', 'hooks'],
  ] as const
  for (const [name, nearest] of cases) {
    it(`gets the most similar option as a suggestion: ${name}`, () => {
      assert.deepEqual(faultsOf(good({ [name]: 'x' })), [`${name} is not an option; did you mean ${nearest}?`])
    })
  }

  it('that resembles no other gets no suggestion', () => {
    for (const name of ['zzz', 'x', '', 'quux', 'toString', 'constructor']) {
      assert.deepEqual(faultsOf(good({ [name]: 1 })), [`${name} is not an option.`])
    }
  })

  it('does not reach a prototype', () => {
    const options = JSON.parse(JSON.stringify(good()).replace('{', '{ "__proto__": { "issuer": "x" },'))
    assert.deepEqual(faultsOf(options), ['__proto__ is not an option.'])
  })
})

describe('all problems', () => {
  it('are reported at once, each with the name of its option first', () => {
    const faults = faultsOf({ client_id: 'web', issuer: 'x', scope: 7, hooks: { onLogin: 1 }, timeout: 0 })
    assert.deepEqual(
      faults.map((fault) => fault.split(' ')[0]),
      ['client_id', 'baseUrl', 'timeout', 'hooks.onLogin', 'secret', 'issuer', 'scope', 'clientId'],
    )
  })

  it('contain no secret', () => {
    const secrets = ['\u0007 hush hush hush hush hush hush', 'hush', ['hush', 7], '{hush}']
    for (const value of secrets) {
      for (const fault of faultsOf(good({ clientSecret: value, secret: value, clientId: value }))) {
        assert.doesNotMatch(fault, /hush/)
      }
    }
  })
})

describe('the options object', () => {
  for (const options of [
    undefined,
    null,
    'https://id.example',
    42,
    [],
    [good()],
    () => good(),
    new Map(),
    new Date(0),
  ]) {
    it(`must be a plain object: ${Object.prototype.toString.call(options)} is rejected`, () => {
      assert.deepEqual(faultsOf(options), ['options must be a plain object: oidc({ issuer, clientId, ... }).'])
    })
  }

  it('is missing if the middleware was mounted without a call', () => {
    const app = Object.assign(() => {}, { handle() {}, use() {} })
    const request = { method: 'GET', url: '/', headers: {} }
    for (const mistaken of [app, request]) {
      assert.deepEqual(faultsOf(mistaken), [
        'It seems you wrote app.use(oidc). Call it with its options: app.use(oidc({ ... })).',
      ])
    }
  })

  it('may have no prototype', () => {
    assert.deepEqual(parseOne(Object.assign(Object.create(null), good())), parse())
  })

  it('has only its own members read', () => {
    assert.equal(faultsOf(Object.create(good())).length, 1)
    Object.defineProperty(Object.prototype, 'clientSecret', { value: SECRET, configurable: true })
    try {
      const { clientSecret: _, ...options } = good()
      assert.match(faultsOf(options).join(), /^secret is required/)
    } finally {
      Reflect.deleteProperty(Object.prototype, 'clientSecret')
    }
  })

  it('is never changed, and later changes of it have no effect', () => {
    const options = good({ routes: { login: '/in' }, sessionClaims: ['email'], secret: ['s'.repeat(32)] })
    const before = structuredClone(options)
    const config = parseOne(options)
    assert.deepEqual(options, before)
    assert.ok(!Object.isFrozen(options))
    Object.assign(options, { issuer: 'https://evil.example' })
    assert.equal(config.issuer, 'https://id.example')
  })

  it('may be frozen', () => {
    assert.deepEqual(parseOne(Object.freeze(good())), parse())
  })

  it('becomes a deeply frozen configuration, in which functions are not frozen', () => {
    const afterLogin = () => {}
    const config = parse({
      hooks: { afterLogin },
      sessionClaims: ['email'],
      authorizationParams: { prompt: 'login' },
      providerMetadata: { ...METADATA, scopes_supported: ['openid'], mtls: { deep: [{}] } },
    })
    assertFrozen(config)
    assert.equal(config.hooks.afterLogin, afterLogin)
    assert.ok(!Object.isFrozen(afterLogin))
  })
})

function assertFrozen(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  assert.ok(Object.isFrozen(value))
  for (const member of Object.values(value)) assertFrozen(member)
}
