import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AuthorizationError, ConfigError, discoverIssuer, oidc, ProviderError } from '../../lib/index.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import { type Answer, exchange } from '../support/browser/http-exchange.ts'
import { createOktaStage, registrationOf } from '../support/okta-provider/stage.ts'

const stage = createOktaStage()

/** The paths that the provider was asked at, in order. */
function pathsAsked(): readonly string[] {
  return stage.okta.requests.map(({ url }) => url.pathname)
}

function ask(url: string): Promise<Answer> {
  return exchange({ method: 'GET', url: new URL(url), headers: { 'user-agent': 'test' } })
}

async function firstProviderError(app: TestApp): Promise<ProviderError> {
  await app.browser().open('/login')
  const [error] = app.errors
  assert.ok(error instanceof ProviderError, String(error))
  return error
}

describe('both kinds of authorization server', () => {
  it('Q-1: logs in at the org server, whose endpoints are not below its issuer', async () => {
    const app = await stage.start('org', { userinfo: true })
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 200)
    await browser.post('/logout')
    assert.equal(new URL(stage.okta.issuer('org')).pathname, '/')
    assert.deepEqual(
      new Set(pathsAsked()),
      new Set([
        '/.well-known/openid-configuration',
        ...[
          '/oauth2/v1/authorize',
          '/oauth2/v1/token',
          '/oauth2/v1/keys',
          '/oauth2/v1/userinfo',
          '/oauth2/v1/revoke',
          '/oauth2/v1/logout',
        ],
      ]),
    )
  })

  it('Q-1: logs in at a custom server, whose endpoints have /v1 behind the issuer', async () => {
    const app = await stage.start('default')
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 200)
    await browser.post('/logout')
    assert.ok(
      pathsAsked().every((path) => path.startsWith('/oauth2/default/')),
      String(pathsAsked()),
    )
  })

  it('Q-1: takes the metadata of a custom server whose registration_endpoint is at the org server', async () => {
    const app = await stage.start('default')
    const { body } = await ask(`${stage.okta.issuer('default')}/.well-known/openid-configuration`)
    assert.equal(JSON.parse(body)['registration_endpoint'], `${stage.okta.orgOrigin}/oauth2/v1/clients`)
    await app.auth.ready()
  })
})

describe('a server that is not there', () => {
  it('Q-2: is reported with advice where the organisation has no licence for custom servers (401)', async () => {
    stage.okta.license = 'unlicensed'
    const error = await firstProviderError(await stage.start('default'))
    assert.equal(error.code, 'ERR_OIDC_PROVIDER_STATUS')
    assert.match(error.message, /answered 401.*issuer option is probably wrong.*needs API Access Management/)
    assert.deepEqual([error.refusal?.error, typeof error.errorId], ['E0000015', 'string'])
  })

  it('Q-2: is reported with advice where no custom server has that id (404)', async () => {
    const error = await firstProviderError(await stage.start('ausmissing'))
    assert.equal(error.code, 'ERR_OIDC_PROVIDER_STATUS')
    assert.match(error.message, /answered 404.*issuer option is probably wrong.*\/oauth2\/\{id\}/)
    assert.deepEqual([error.providerStatus, error.refusal?.error, typeof error.requestId], [404, 'E0000007', 'string'])
  })

  it('Q-2: hands on the refusal of a custom scope by the org server', async () => {
    const app = await stage.start('org', { scope: 'openid reports:read' })
    assert.equal((await app.browser().open('/login')).status, 400)
    const [error] = app.errors
    assert.ok(error instanceof AuthorizationError)
    assert.equal(error.refusal.error, 'invalid_scope')
    assert.match(String(error.refusal.errorDescription), /not configured for the authorization server/)
  })

  it('Q-2: hands on the refusal of the scope groups by a custom server', async () => {
    const app = await stage.start('default', { scope: 'openid groups' })
    await app.browser().open('/login')
    assert.ok(app.errors[0] instanceof AuthorizationError && app.errors[0].refusal.error === 'invalid_scope')
  })
})

describe('the addresses of the metadata', () => {
  it('Q-3: are four, of which two are asked by default, and there is no fifth', async () => {
    const { orgOrigin } = stage.okta
    const paths = {
      '/.well-known/openid-configuration': 200,
      '/oauth2/default/.well-known/openid-configuration': 200,
      '/oauth2/default/.well-known/oauth-authorization-server': 200,
      '/.well-known/oauth-authorization-server/oauth2/default': 200,
      '/.well-known/openid-configuration/oauth2/default': 404,
    }
    for (const [path, status] of Object.entries(paths)) {
      assert.equal((await ask(orgOrigin + path)).status, status, path)
    }
    stage.okta.requests.length = 0
    for (const server of ['org', 'default']) await (await stage.start(server)).auth.ready()
    assert.deepEqual(
      pathsAsked().filter((path) => path.includes('.well-known')),
      ['/.well-known/openid-configuration', '/oauth2/default/.well-known/openid-configuration'],
    )
  })
})

describe('the addresses of the metadata for OAuth', () => {
  for (const [name, serverId, path] of [
    ['as in RFC 8414', 'default', '/.well-known/oauth-authorization-server/oauth2/default'],
    ['of the org server', 'org', '/.well-known/oauth-authorization-server'],
  ] as const) {
    it(`Q-3: are asked by discovery: 'oauth2', ${name}`, async () => {
      const app = await stage.start(serverId, { discovery: 'oauth2', userinfo: false })
      assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))
      assert.equal(pathsAsked()[0], path)
    })
  }

  it('Q-3: are asked by their URL where they are of the older kind', async () => {
    const path = '/oauth2/default/.well-known/oauth-authorization-server'
    const app = await stage.start('default', { discovery: stage.okta.orgOrigin + path, userinfo: false })
    assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))
    assert.equal(pathsAsked()[0], path)
  })

  it('Q-3: name an issuer that is checked, also where the URL was told', async () => {
    const discovery = `${stage.okta.orgOrigin}/oauth2/default/.well-known/oauth-authorization-server`
    const error = await firstProviderError(await stage.start('org', { discovery }))
    assert.equal(error.code, 'ERR_OIDC_DISCOVERY_ISSUER')
  })
})

describe('a domain in the issuer that is another', () => {
  it('Q-4: is learnt at the first login already, by discoveryWithClientId', async () => {
    stage.okta.client.issuer_mode = 'CUSTOM_URL'
    const wrong = await stage.start('org', { discoveryWithClientId: true })
    assert.equal((await firstProviderError(wrong)).code, 'ERR_OIDC_DISCOVERY_ISSUER')
    assert.equal(stage.okta.requestsTo('authorize').length, 0)
    const issuer = stage.okta.customOrigin
    const right = await stage.start('org', { discoveryWithClientId: true, issuer })
    const page = await right.browser().open('/profile')
    assert.deepEqual([page.status, page.json()['iss']], [200, issuer])
  })

  it('Q-4: cannot be learnt for a client that Okta does not know', async () => {
    const error = await firstProviderError(
      await stage.start('org', { discoveryWithClientId: true, clientId: 'unknown' }),
    )
    assert.deepEqual([error.code, error.refusal?.error], ['ERR_OIDC_PROVIDER_STATUS', 'invalid_client'])
  })

  it('Q-4: is refused in the metadata, with both readings of the mistake named', async () => {
    // The organisation's domain is asked, and the server has the custom one fixed as its issuer.
    stage.okta.server('default').issuerMode = 'CUSTOM_URL'
    const error = await firstProviderError(await stage.start('default'))
    assert.equal(error.code, 'ERR_OIDC_DISCOVERY_ISSUER')
    assert.match(error.message, /configure the domain that browsers use \(custom domain or not\)/)
  })

  it('Q-4: is refused in the ID Token, where the metadata did not tell', async () => {
    stage.okta.client.issuer_mode = 'CUSTOM_URL'
    const app = await stage.start('org')
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_ISSUER'])
    assert.equal((await browser.fetch('/profile')).status, 401)
  })

  it('Q-4: logs in at the custom domain as at the other, where the issuer follows the request', async () => {
    const { customOrigin, orgOrigin } = stage.okta
    for (const origin of [orgOrigin, customOrigin]) {
      const app = await stage.start('default', { issuer: `${origin}/oauth2/default` })
      const page = await app.browser().open('/profile')
      assert.deepEqual([page.status, page.json()['iss']], [200, `${origin}/oauth2/default`])
    }
  })
})

describe('typical mistakes in the options', () => {
  const good = { clientId: 'web', clientSecret: 's'.repeat(32), baseUrl: 'https://app.example.test' }
  const mistakes: readonly (readonly [what: string, options: Record<string, string>, fault: RegExp])[] = [
    ['plain http', { issuer: 'http://dev-1.okta.com' }, /^issuer must be https/],
    ['the admin console', { issuer: 'https://dev-1-admin.okta.com' }, /^issuer is the URL of the admin console/],
    ['its preview', { issuer: 'https://dev-1-admin.oktapreview.com' }, /^issuer is the URL of the admin console/],
    ['its EMEA cell', { issuer: 'https://dev-1-admin.okta-emea.com' }, /^issuer is the URL of the admin console/],
    ['a placeholder', { issuer: 'https://{yourOktaDomain}/oauth2/default' }, /^issuer contains a placeholder/],
    ['a client id', { clientId: '{clientId}' }, /^clientId must be .*placeholder/],
    ['a client secret', { clientSecret: '{clientSecret}' }, /^clientSecret must be .*placeholder/],
    ['.com twice', { issuer: 'https://dev-1.okta.com.com' }, /^issuer ends its host in \.com twice/],
    ['.com twice with a path', { issuer: 'https://dev-1.oktapreview.com.com/oauth2/default' }, /^issuer ends its host/],
    ['a scheme twice', { issuer: 'https://https://dev-1.okta.com' }, /^issuer has its scheme twice/],
    ['a slash at the end', { issuer: 'https://dev-1.okta.com/' }, /^issuer ends in a slash/],
  ]
  for (const [what, options, fault] of mistakes) {
    it(`Q-5: are refused at start with advice: ${what}`, () => {
      assert.throws(
        () => oidc({ ...good, issuer: 'https://dev-1.okta.com', ...options }),
        (error) => error instanceof ConfigError && error.faults.some((sentence) => fault.test(sentence)),
      )
    })
  }

  for (const issuer of ['https://id-admin.example.test', 'https://id.com.com', 'https://tenant.example.test/']) {
    it(`Q-5: are none at other providers: ${issuer}`, () => {
      assert.equal(typeof oidc({ ...good, issuer }), 'function')
    })
  }
})

describe('WebFinger', () => {
  const resourceScheme = 'okta:acct'

  it('Q-8: finds the issuer for an account in the form that Okta asks for', async () => {
    const { orgOrigin: server } = stage.okta
    const options = { server, resourceScheme, dangerouslyAllowInsecureRequests: true }
    assert.equal(await discoverIssuer('alice@example.test', options), server)
    assert.equal(stage.okta.requestsTo('webfinger')[0]?.query.get('resource'), 'okta:acct:alice@example.test')
  })

  it('Q-8: finds none in the form of the standard, which Okta refuses', async () => {
    const options = { server: stage.okta.orgOrigin, dangerouslyAllowInsecureRequests: true }
    await assert.rejects(discoverIssuer('alice@example.test', options), { code: 'ERR_OIDC_WEBFINGER_UNKNOWN' })
  })

  it('Q-8: does not take the identity provider behind Okta for an issuer, unless that is what was asked for', async () => {
    const { orgOrigin: server } = stage.okta
    const options = { server, resourceScheme, dangerouslyAllowInsecureRequests: true }
    const identifier = 'carol@federated.example.test'
    await assert.rejects(discoverIssuer(identifier, options), { code: 'ERR_OIDC_WEBFINGER_UNKNOWN' })
    const idp = await discoverIssuer(identifier, { ...options, rel: 'okta:idp' })
    assert.equal(idp, `${server}/sso/idps/0oak4jk7ujVkFUn9h0g3`)
  })
})

describe('what the metadata does not say', () => {
  it('Q-6: is asked for all the same: scopes and claims of the server’s own', async () => {
    stage.okta.server('default').claims = [{ name: 'department', value: 'sales', alwaysInIdToken: true }]
    const app = await stage.start('default', { scope: 'openid reports:read' })
    const browser = app.browser()
    const { body } = await ask(`${stage.okta.issuer('default')}/.well-known/openid-configuration`)
    const metadata = JSON.parse(body)
    assert.ok(!String(metadata['scopes_supported']).includes('reports:read'))
    assert.ok(!String(metadata['claims_supported']).includes('department'))
    assert.equal(metadata['backchannel_authentication_endpoint'], undefined)
    assert.equal((await browser.open('/profile')).json()['department'], 'sales')
    assert.equal((await browser.open('/reports')).status, 200)
  })

  it('Q-6: may come later: a document that lags behind costs no login', async () => {
    stage.okta.change.metadata = ({ end_session_endpoint: _, scopes_supported: __, ...metadata }) => metadata
    const app = await stage.start('default')
    assert.equal((await app.browser().open('/profile')).status, 200)
  })

  it('Q-7: is not taken for a promise: nothing is ever asked for by a request_uri of ours', async () => {
    const app = await stage.start('org')
    const page = await app.browser().open('/login', { stopBefore: isAtProvider })
    const { searchParams } = new URL(page.next?.url ?? '')
    assert.deepEqual([searchParams.has('request_uri'), searchParams.has('request')], [false, false])
    const foreign = 'https://app.example.test/request.jwt'
    await assert.rejects(stage.start('org', { authorizationParams: { request_uri: foreign } }), ConfigError)
    // The provider of the tests would refuse it, as Okta does.
    const url = `${stage.okta.orgOrigin}/oauth2/v1/authorize?${new URLSearchParams({
      client_id: registrationOf(stage.okta, 'org').clientId,
      ...{
        response_type: 'code',
        scope: 'openid',
        state: 'x',
        redirect_uri: `${app.origin}/callback`,
        request_uri: foreign,
      },
    })}`
    const refused = await app.browser().open(url, { follow: false })
    assert.match(String(refused.headers.location), /error=invalid_request_uri/)
  })
})
