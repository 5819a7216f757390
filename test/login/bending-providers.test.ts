import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it } from 'node:test'
import {
  type AfterLoginEvent,
  ConfigError,
  type ErrorCode,
  type Events,
  type Guard,
  type Options,
  oidc,
  requireClaim,
  requireGroup,
} from '../../lib/index.ts'
import { type AnyOptions, codesOf } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage, type Stage } from '../support/app/stage.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'

// Providers that do not follow the standard in one point, by their facts, and the option for each point. docs/providers/
// has a page for each of them.

const app = { errorHandler: 'json' } as const

async function codesAfterLogin(stage: Stage, options: Partial<AnyOptions>): Promise<readonly ErrorCode[]> {
  const started = await stage.start(options)
  const page = await started.browser().open('/profile')
  assert.equal(page.status === 200, started.errors.length === 0, page.body)
  return codesOf(started)
}

function problemsOf(options: Readonly<Record<string, unknown>>): string {
  const usual = {
    issuer: 'https://op.example',
    clientId: 'a',
    clientSecret: 's'.repeat(32),
    baseUrl: 'https://app.example',
  }
  try {
    oidc({ ...usual, ...options } as unknown as Options)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message
  }
  return ''
}

describe('LinkedIn: no nonce in the ID Token, no token_type, no PKCE', () => {
  const linkedin = createStage({ provider: { pkce: 'refused' }, app })
  const ALL = { dangerouslyDisablePkce: true, dangerouslyAllowMissingNonce: true, assumeBearerTokenType: true } as const

  function bend(): void {
    const { change } = linkedin.provider
    change.idTokenClaims = ({ nonce: _, ...claims }) => claims
    change.tokenResponse = ({ token_type: _, ...response }) => response
  }

  it('logs in with one option for each of them', async () => {
    bend()
    const { app: started, browser } = await linkedin.startLoggedIn(ALL)
    const tokens = (await browser.fetch('/tokens')).json()
    assert.deepEqual([tokens['tokenType'], codesOf(started), linkedin.provider.complaints], ['Bearer', [], []])
    const [request] = linkedin.provider.authorizationRequests
    assert.deepEqual(
      [request?.has('code_challenge'), request?.has('nonce'), request?.has('state')],
      [false, true, true],
    )
  })

  for (const [name, code] of [
    ['dangerouslyDisablePkce', 'ERR_OIDC_AUTHORIZATION'],
    ['dangerouslyAllowMissingNonce', 'ERR_OIDC_ID_TOKEN_NONCE'],
    ['assumeBearerTokenType', 'ERR_OIDC_TOKEN_RESPONSE'],
  ] as const) {
    it(`is refused without ${name}`, async () => {
      bend()
      assert.deepEqual(await codesAfterLogin(linkedin, { ...ALL, [name]: false }), [code])
    })
  }

  for (const nonce of ['another', '', null, 5]) {
    it(`is refused with the nonce ${JSON.stringify(nonce)}, because only a missing one is allowed`, async () => {
      bend()
      linkedin.provider.change.idTokenClaims = (claims) => ({ ...claims, nonce })
      assert.deepEqual(await codesAfterLogin(linkedin, ALL), ['ERR_OIDC_ID_TOKEN_NONCE'])
    })
  }

  for (const type of ['mac', 'DPoP', 5]) {
    it(`is refused with the token_type ${type}, because only a missing one is assumed`, async () => {
      bend()
      linkedin.provider.change.tokenResponse = (response) => ({ ...response, token_type: type })
      assert.deepEqual(await codesAfterLogin(linkedin, ALL), ['ERR_OIDC_TOKEN_RESPONSE'])
    })
  }

  it('is refused with the state of another login', async () => {
    bend()
    linkedin.provider.change.authorizationResponse = (params) => {
      params.set('state', 'a'.repeat(43))
      return params
    }
    assert.deepEqual(await codesAfterLogin(linkedin, ALL), ['ERR_OIDC_TRANSACTION_MISSING'])
  })

  const conflicts: readonly (readonly [options: Readonly<Record<string, unknown>>, problem: RegExp])[] = [
    [
      { dangerouslyAllowMissingNonce: true, responseType: 'code id_token' },
      /dangerouslyAllowMissingNonce needs responseType 'code'/,
    ],
    [
      { dangerouslyDisablePkce: true, responseType: 'code id_token' },
      /dangerouslyDisablePkce needs responseType 'code'/,
    ],
    [
      { dangerouslyDisablePkce: true, clientSecret: undefined, secret: 's'.repeat(32) },
      /dangerouslyDisablePkce needs a client that authenticates/,
    ],
    [
      { assumeBearerTokenType: true, dpopBoundAccessTokens: true },
      /assumeBearerTokenType cannot be combined with dpop/,
    ],
    ...(['dangerouslyDisablePkce', 'dangerouslyAllowMissingNonce', 'assumeBearerTokenType'] as const).map(
      (name) => [{ profile: 'fapi2', [name]: true }, new RegExp(`${name} must be false with profile`)] as const,
    ),
  ]
  for (const [options, problem] of conflicts) {
    it(`rejects ${JSON.stringify(Object.keys(options))} together`, () => assert.match(problemsOf(options), problem))
  }
})

describe('Azure AD B2C: no access_token in the token response', () => {
  const b2c = createStage({ app })
  const scope = 'openid offline_access'

  function bend(): void {
    const { change } = b2c.provider
    const withoutToken = ({ access_token: _, expires_in: __, ...response }: JsonObject): JsonObject => response
    change.idTokenClaims = ({ at_hash: _, ...claims }) => claims
    change.tokenResponse = withoutToken
    change.refreshedIdTokenClaims = ({ at_hash: _, ...claims }) => ({ ...claims, name: 'New Name' })
    change.refreshResponse = withoutToken
  }

  it('logs in with allowMissingAccessToken, without UserInfo', async () => {
    bend()
    const { app: started, browser } = await b2c.startLoggedIn({ allowMissingAccessToken: true, scope, userinfo: true })
    const { accessToken, tokenType, idToken, refreshToken } = (await browser.fetch('/tokens')).json()
    assert.deepEqual(
      [accessToken, tokenType, typeof idToken, typeof refreshToken],
      [undefined, undefined, 'string', 'string'],
    )
    assert.deepEqual([b2c.provider.calls['/userinfo'], codesOf(started)], [0, []])
  })

  it('refreshes the claims, and says that there is no access token', async () => {
    bend()
    const { app: started, browser } = await b2c.startLoggedIn({ allowMissingAccessToken: true, scope })
    const before = (await browser.fetch('/tokens')).json()['refreshToken']
    assert.equal((await browser.fetch('/access-token')).json()['error'], 'ERR_OIDC_TOKEN_UNAVAILABLE')
    assert.match(started.errors[0]?.message ?? '', /no access token/)
    assert.notEqual((await browser.fetch('/tokens')).json()['refreshToken'], before)
    assert.equal((await browser.fetch('/profile')).json()['name'], 'New Name')
  })

  it('returns no access token that has expired if only a refresh has none', async () => {
    b2c.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { app: started, browser } = await b2c.startLoggedIn({ allowMissingAccessToken: true, scope })
    bend()
    assert.equal((await browser.fetch('/access-token')).json()['error'], 'ERR_OIDC_TOKEN_UNAVAILABLE')
    assert.deepEqual(codesOf(started), ['ERR_OIDC_TOKEN_UNAVAILABLE'])
    assert.equal((await browser.fetch('/profile')).json()['name'], 'New Name')
  })

  it('may leave out the token_type with the token', async () => {
    bend()
    b2c.provider.change.tokenResponse = ({ id_token: idToken }) => ({ id_token: idToken, access_token: null })
    assert.deepEqual(await codesAfterLogin(b2c, { allowMissingAccessToken: true }), [])
  })

  it('is refused without the option, at login and at a refresh', async () => {
    bend()
    assert.deepEqual(await codesAfterLogin(b2c, {}), ['ERR_OIDC_TOKEN_RESPONSE'])
    b2c.provider.reset()
    b2c.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { browser } = await b2c.startLoggedIn({ scope })
    bend()
    assert.equal((await browser.fetch('/access-token')).json()['error'], 'ERR_OIDC_TOKEN_RESPONSE')
  })

  for (const token of [5, ['x'], {}, 'a\tb']) {
    it(`is refused with the access_token ${JSON.stringify(token)}, because only a missing one is allowed`, async () => {
      bend()
      b2c.provider.change.tokenResponse = (response) => ({ ...response, access_token: token })
      assert.deepEqual(await codesAfterLogin(b2c, { allowMissingAccessToken: true }), ['ERR_OIDC_TOKEN_RESPONSE'])
    })
  }

  it('is refused with an at_hash, which then is of a token that was lost', async () => {
    bend()
    b2c.provider.change.idTokenClaims = (claims) => claims
    assert.deepEqual(await codesAfterLogin(b2c, { allowMissingAccessToken: true }), [
      'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH',
    ])
  })

  it('is refused with an error instead of the tokens', async () => {
    b2c.provider.change.tokenResponse = () => ({ error: 'invalid_grant', error_description: 'AADB2C90080' })
    assert.deepEqual(await codesAfterLogin(b2c, { allowMissingAccessToken: true }), ['ERR_OIDC_TOKEN_REQUEST'])
  })

  it('rejects the option together with dpopBoundAccessTokens, userinfo or a profile', () => {
    assert.match(
      problemsOf({ allowMissingAccessToken: true, dpopBoundAccessTokens: true }),
      /allowMissingAccessToken cannot be combined with dpop/,
    )
    assert.match(
      problemsOf({ allowMissingAccessToken: true, profile: 'fapi2' }),
      /allowMissingAccessToken must be false/,
    )
  })
})

describe('Login.gov: a logout without id_token_hint', () => {
  const loginGov = createStage({ app })
  const bend = (): void => {
    loginGov.provider.change.raw['/logout'] = (req, res) => {
      const { searchParams: params } = new URL(req.url ?? '/', loginGov.provider.issuer)
      if (params.has('id_token_hint') || (params.get('state') ?? '').length < 22)
        res.writeHead(400).end('<p>Bad request</p>')
      else
        res.writeHead(302, { Location: `${params.get('post_logout_redirect_uri')}?state=${params.get('state')}` }).end()
    }
  }

  it('comes back with logoutWithoutIdTokenHint, which names the client instead', async () => {
    bend()
    const { app: started, browser } = await loginGov.startLoggedIn({ logoutWithoutIdTokenHint: true })
    const page = await browser.post('/logout')
    assert.equal(new URL(page.url).origin, started.origin)
    const [request] = loginGov.provider.requests.filter(({ endpoint }) => endpoint === '/logout')
    assert.deepEqual([...(request?.query.keys() ?? [])].sort(), ['client_id', 'post_logout_redirect_uri', 'state'])
    assert.equal((await browser.fetch('/profile')).status, 401)
  })

  it('has no ID Token in its URL even if that would be short', async () => {
    const { browser } = await loginGov.startLoggedIn({ logoutWithoutIdTokenHint: true })
    const page = await browser.post('/logout', {}, { follow: false })
    assert.doesNotMatch(String(page.headers.location), /eyJ/)
  })

  it('stays at the provider without the option', async () => {
    bend()
    const { browser } = await loginGov.startLoggedIn()
    assert.equal((await browser.post('/logout')).status, 400)
  })
})

describe('NetSuite: further audiences in the ID Token', () => {
  const netsuite = createStage({ app })
  const OTHER = '5c6a2f; https://1234567.app.netsuite.com'
  const trustedAudiences = [OTHER, 'another-trusted-one']
  const withAudience = (aud: unknown, azp?: unknown): void => {
    netsuite.provider.change.idTokenClaims = (claims) => ({ ...claims, aud, ...(azp === undefined ? {} : { azp }) })
  }

  it('logs in if trustedAudiences lists them', async () => {
    withAudience(['test-client', OTHER])
    assert.deepEqual(await codesAfterLogin(netsuite, { trustedAudiences }), [])
  })

  it('refreshes with them', async () => {
    withAudience([OTHER, 'test-client'])
    netsuite.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, aud: [OTHER, 'test-client'] })
    netsuite.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { browser } = await netsuite.startLoggedIn({ trustedAudiences, scope: 'openid offline_access' })
    assert.equal((await browser.fetch('/access-token')).status, 200)
  })

  const refused: readonly (readonly [name: string, aud: unknown, azp: unknown, options: Partial<AnyOptions>])[] = [
    ['without the option', ['test-client', OTHER], undefined, {}],
    ['with one that is not listed', ['test-client', OTHER, 'evil-client'], undefined, { trustedAudiences }],
    ['with the trusted one alone', [OTHER], undefined, { trustedAudiences }],
    ['with the trusted one alone, as text', OTHER, undefined, { trustedAudiences }],
    ['with none', [], undefined, { trustedAudiences }],
    ['with a number', ['test-client', 5], undefined, { trustedAudiences }],
  ]
  for (const [name, aud, azp, options] of refused) {
    it(`is refused ${name}`, async () => {
      withAudience(aud, azp)
      assert.deepEqual(await codesAfterLogin(netsuite, options), ['ERR_OIDC_ID_TOKEN_AUDIENCE'])
    })
  }

  it('is refused if it was issued to the other audience (azp)', async () => {
    withAudience(['test-client', OTHER], OTHER)
    assert.deepEqual(await codesAfterLogin(netsuite, { trustedAudiences }), ['ERR_OIDC_ID_TOKEN_AUTHORIZED_PARTY'])
  })

  it('rejects an empty audience, and a list that is none', () => {
    assert.match(problemsOf({ trustedAudiences: [''] }), /trustedAudiences\[0\] must/)
    assert.match(problemsOf({ trustedAudiences: OTHER }), /trustedAudiences must be a list of audiences/)
  })
})

describe('Discord and old Auth0 tenants: a member of the metadata that is missing or wrong', () => {
  const discord = createStage({ app })

  it('logs out at the provider if extraProviderMetadata adds end_session_endpoint', async () => {
    discord.provider.change.discovery = ({ end_session_endpoint: _, ...metadata }) => metadata
    const extraProviderMetadata = { end_session_endpoint: discord.provider.endpointUrls['/logout'] }
    const { app: started, browser } = await discord.startLoggedIn({ extraProviderMetadata })
    const page = await browser.post('/logout')
    assert.deepEqual([new URL(page.url).origin, discord.provider.calls['/logout']], [started.origin, 1])
  })

  it('replaces a member that is wrong, and leaves the others to discovery', async () => {
    discord.provider.change.discovery = (metadata) => ({ ...metadata, userinfo_endpoint: 'https://wrong.example/' })
    const extraProviderMetadata = { userinfo_endpoint: discord.provider.endpointUrls['/userinfo'] }
    const { browser } = await discord.startLoggedIn({ extraProviderMetadata, userinfo: true })
    assert.equal((await browser.fetch('/profile')).json()['email'], 'alice@example.test')
    assert.equal(discord.provider.calls['/discovery'], 1)
  })

  it('removes a member that is null', async () => {
    discord.provider.change.authorizationResponse = (params) => {
      params.delete('iss')
      return params
    }
    const extraProviderMetadata = { authorization_response_iss_parameter_supported: null }
    assert.deepEqual(await codesAfterLogin(discord, { extraProviderMetadata }), [])
  })

  it('repairs metadata that would be refused as a whole', async () => {
    discord.provider.change.discovery = ({ jwks_uri: _, ...metadata }) => metadata
    const extraProviderMetadata = { jwks_uri: discord.provider.endpointUrls['/jwks'] }
    assert.deepEqual(await codesAfterLogin(discord, { extraProviderMetadata }), [])
  })

  it('does not change whose metadata it is', async () => {
    discord.provider.change.discovery = (metadata) => ({ ...metadata, issuer: 'https://evil.example' })
    const extraProviderMetadata = { scopes_supported: ['openid'] }
    assert.deepEqual(await codesAfterLogin(discord, { extraProviderMetadata }), ['ERR_OIDC_DISCOVERY_ISSUER'])
  })

  const problems: readonly (readonly [options: Readonly<Record<string, unknown>>, problem: RegExp])[] = [
    [{ extraProviderMetadata: { issuer: 'https://op.example' } }, /extraProviderMetadata must not contain issuer/],
    [{ extraProviderMetadata: { token_endpoint: 'http://op.example/token' } }, /extraProviderMetadata\.token_endpoint/],
    [{ extraProviderMetadata: { token_endpoint: 'token' } }, /extraProviderMetadata\.token_endpoint must be/],
    [{ extraProviderMetadata: 'x' }, /extraProviderMetadata must be a plain object/],
    [{ extraProviderMetadata: { x: () => 1 } }, /extraProviderMetadata must contain only values that JSON can hold/],
    [
      {
        extraProviderMetadata: { a: 1 },
        providerMetadata: {
          issuer: 'https://op.example',
          authorization_endpoint: 'https://op.example/a',
          token_endpoint: 'https://op.example/t',
          jwks_uri: 'https://op.example/j',
        },
      },
      /extraProviderMetadata cannot be combined with providerMetadata/,
    ],
  ]
  for (const [options, problem] of problems) {
    it(`rejects ${JSON.stringify(options)}`, () => assert.match(problemsOf(options), problem))
  }
})

describe('Apple: the name of the user in a form field, at the first login only', () => {
  const apple = createStage({ app })
  const USER = JSON.stringify({ name: { firstName: 'Ada', lastName: 'Lovelace' }, email: 'ada@example.test' })

  function sendUser(): void {
    apple.provider.change.authorizationResponse = (params) => {
      params.set('user', USER)
      return params
    }
  }

  for (const sameSite of ['lax', 'strict'] as const) {
    it(`hands the field to afterLogin, but nothing that proves the login, with a SameSite=${sameSite} session`, async () => {
      sendUser()
      const seen: Readonly<Record<string, string>>[] = []
      const hooks = { afterLogin: ({ responseParams }: AfterLoginEvent) => void seen.push(responseParams) }
      const started = await apple.start({ responseMode: 'form_post', hooks }, { session: { cookie: { sameSite } } })
      assert.equal((await started.browser().open('/profile')).status, 200)
      assert.deepEqual(
        seen.map((params) => ({ ...params })),
        [{ user: USER, iss: apple.provider.issuer }],
      )
    })
  }

  it('leaves the claims to the ID Token, because anyone can change the field', async () => {
    sendUser()
    const { browser } = await apple.startLoggedIn({ responseMode: 'form_post' })
    const claims = (await browser.fetch('/profile')).json()
    assert.deepEqual([claims['user'], claims['email']], [undefined, 'alice@example.test'])
  })

  it('hands over no token of an implicit response', async () => {
    const names: string[] = []
    const hooks = {
      afterLogin: ({ responseParams }: AfterLoginEvent) => void names.push(...Object.keys(responseParams)),
    }
    await apple.startLoggedIn({ responseType: 'code id_token token', hooks })
    assert.deepEqual(names.sort(), ['iss', 'scope'])
  })

  it('reads a field by any name, and pollutes nothing', async () => {
    apple.provider.change.authorizationResponse = (params) => {
      params.set('__proto__', 'x')
      params.set('constructor', 'y')
      return params
    }
    const seen: Readonly<Record<string, string>>[] = []
    const hooks = { afterLogin: ({ responseParams }: AfterLoginEvent) => void seen.push(responseParams) }
    await apple.startLoggedIn({ hooks })
    const [given = {}] = seen
    assert.deepEqual(Object.keys(given).sort(), ['__proto__', 'constructor', 'iss'])
    assert.equal(Object.getPrototypeOf(given), Object.prototype)
  })
})

describe('Cognito: an error without state', () => {
  const cognito = createStage({ app })
  const DESCRIPTION = 'redirect_mismatch: the callback is not registered'
  const query = new URLSearchParams({ error: 'invalid_request', error_description: DESCRIPTION })

  interface Seen {
    readonly code: string
    readonly refusal: unknown
  }
  async function openCallback(browser: Browser): Promise<{ page: Page; seen: readonly Seen[] }> {
    const seen: Seen[] = []
    const listener = (message: unknown): void => {
      const { code, error } = message as Events['express-oidc:error']
      seen.push({ code, refusal: Object(Object(error).cause).refusal })
    }
    subscribe('express-oidc:error', listener)
    try {
      return { page: await browser.open(`/callback?${query}`, { from: cognito.provider.issuer }), seen }
    } finally {
      unsubscribe('express-oidc:error', listener)
    }
  }
  const refusal = { error: 'invalid_request', errorDescription: DESCRIPTION, errorUri: undefined }

  it('is refused, and an event says what the provider said', async () => {
    const started = await cognito.start()
    const { page, seen } = await openCallback(started.browser())
    assert.deepEqual([page.status, codesOf(started)], [400, ['ERR_OIDC_STATE_MISSING']])
    assert.doesNotMatch(page.body + String(started.errors[0]), /redirect_mismatch/)
    assert.deepEqual(seen, [{ code: 'ERR_OIDC_STATE_MISSING', refusal }])
  })

  it('leaves a user logged in who is, and the event comes all the same', async () => {
    const { app: started, browser } = await cognito.startLoggedIn()
    const { page, seen } = await openCallback(browser)
    assert.deepEqual([page.status, codesOf(started)], [200, []])
    assert.deepEqual(seen, [{ code: 'ERR_OIDC_STATE_MISSING', refusal }])
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('is no error of a provider without the parameter error', async () => {
    query.delete('error')
    const { seen } = await openCallback((await cognito.start()).browser())
    query.set('error', 'invalid_request')
    assert.deepEqual(seen, [{ code: 'ERR_OIDC_STATE_MISSING', refusal: undefined }])
  })
})

describe('Zitadel: roles as the keys of an object', () => {
  const ROLES = 'urn:zitadel:iam:org:project:roles'
  const hasRole = (role: string): Guard =>
    requireClaim([ROLES, role], (orgs) => typeof orgs === 'object' && orgs !== null)
  const ok = answerJson(() => ({ ok: true }))
  const zitadel = createStage({
    app: { ...app, routes: { '/admin': [hasRole('admin'), ok], '/proto': [hasRole('constructor'), ok] } },
  })

  for (const [roles, status] of [
    [{ admin: { '1234': 'org.example' }, editor: { '1234': 'org.example' } }, 200],
    [{ editor: { '1234': 'org.example' } }, 403],
    [{ admin: null }, 403],
    [{}, 403],
    [['admin'], 403],
    ['admin', 403],
    [undefined, 403],
  ] as const) {
    it(`are required by requireClaim() with the role in its path: ${JSON.stringify(roles)} is ${status}`, async () => {
      zitadel.provider.change.idTokenClaims = (claims) => ({ ...claims, [ROLES]: roles })
      const { browser } = await zitadel.startLoggedIn()
      assert.equal((await browser.open('/admin')).status, status)
      assert.equal((await browser.open('/proto')).status, 403)
    })
  }
})

describe('GitLab, Authentik and Authelia: groups', () => {
  const ok = answerJson(() => ({ ok: true }))
  const routes = {
    '/gitlab': [requireGroup('example/admins', { claim: 'groups_direct' }), ok],
    '/groups': [requireGroup('admins'), ok],
  }
  const fat = createStage({ app: { ...app, routes } })
  const thin = createStage({ provider: { idToken: 'thin' }, app: { ...app, routes } })

  it('are in groups_direct of the ID Token at GitLab', async () => {
    fat.provider.change.idTokenClaims = (claims) => ({ ...claims, groups_direct: ['example', 'example/admins'] })
    const { browser } = await fat.startLoggedIn()
    assert.equal((await browser.open('/gitlab')).status, 200)
  })

  it('are in groups at Authentik, which signs with the client secret if no key was chosen', async () => {
    const authentik = await fat.startOther({ alg: 'HS256', issuerPath: '/application/o/portal/' })
    authentik.change.idTokenClaims = (claims) => ({ ...claims, groups: ['admins'] })
    const started = await fat.start({ idTokenSignedResponseAlg: 'HS256' }, { provider: authentik })
    const browser = started.browser()
    assert.equal((await browser.open('/groups')).status, 200, String(started.errors))
    assert.match(authentik.issuer, /\/$/)
  })

  it('are only at UserInfo at Authelia, which is requested for the scope groups', async () => {
    thin.provider.change.userinfo = (claims) => ({ ...claims, groups: ['admins'] })
    const { browser } = await thin.startLoggedIn({ scope: 'openid profile email groups' })
    assert.equal((await browser.open('/groups')).status, 200)
    assert.equal(thin.provider.calls['/userinfo'], 1)
  })
})
