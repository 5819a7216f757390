import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { type Options, ProviderError } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider, isCallback } from '../support/app/url-predicates.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { readForms } from '../support/browser/html-form.ts'
import { sendText } from '../support/servers/http-server.ts'
import { answered, type JsonChange } from '../support/strict-provider/context.ts'
import { firstRequest } from '../support/strict-provider/provider.ts'

// Peculiarities of real providers, one test for each. The numbers are those of a survey of ten running providers. Missing
// numbers concern features that this library does not have.

const stage = createStage({ app: { errorHandler: 'json' } })
const { start, startOther } = stage

async function assertLogsIn(app: TestApp, browser: Browser = app.browser()): Promise<void> {
  const page = await browser.open('/profile')
  assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/profile`], String(app.errors))
}

async function assertFails(app: TestApp, code: string, status: number): Promise<void> {
  const page = await app.browser().open('/profile')
  assert.deepEqual([page.status, page.json()], [status, { error: code }])
}

const BY_FORM: Partial<AnyOptions> = { responseMode: 'form_post' }

function changeResponse(change: (params: URLSearchParams) => void): (params: URLSearchParams) => URLSearchParams {
  return (params) => {
    const changed = new URLSearchParams(params)
    change(changed)
    return changed
  }
}

describe('1, Basic credentials: six of ten providers do not decode them', () => {
  async function credentialsOf(clientId: string, clientSecret: string): Promise<string> {
    const other = await startOther({ clientId, clientSecret })
    await assertLogsIn(await start({}, { provider: other }))
    const { authorization = '' } = firstRequest(other, '/token')?.headers ?? {}
    return Buffer.from(authorization.replace('Basic ', ''), 'base64').toString()
  }

  it('letters, digits and -._* are sent unchanged', async () => {
    assert.equal(await credentialsOf('rp-test', 'a-B_c.D*0123'), 'rp-test:a-B_c.D*0123')
  })

  it('all other characters are form-encoded (RFC 6749 2.3.1)', async () => {
    assert.equal(await credentialsOf('rp test', 'p:q+r%s/t'), 'rp+test:p%3Aq%2Br%25s%2Ft')
  })
})

describe('4, logout: glewlwyd redirects back only with state and id_token_hint', () => {
  it('both are sent, and the ID Token is stored for that', async () => {
    const app = await start({ sessionClaims: [] })
    const browser = app.browser()
    await assertLogsIn(app, browser)
    const { searchParams } = new URL((await browser.post('/logout', {}, { stopBefore: isAtProvider })).next?.url ?? '')
    assert.ok((searchParams.get('state') ?? '').length >= 16)
    assert.equal(searchParams.get('id_token_hint')?.split('.').length, 3)
  })

  it('a state that comes back to the home page is ignored', async () => {
    const app = await start()
    const browser = app.browser()
    await assertLogsIn(app, browser)
    const page = await browser.post('/logout')
    assert.match(page.url, /\/\?state=/)
    assert.equal(page.status, 200)
  })
})

describe('5, form_post', () => {
  it('glewlwyd encodes iss twice: the response is refused with a clear message', async () => {
    stage.provider.change.authorizationResponse = changeResponse((params) =>
      params.set('iss', encodeURIComponent(stage.provider.issuer)),
    )
    const app = await start(BY_FORM)
    await assertFails(app, 'ERR_OIDC_RESPONSE_ISSUER', 400)
    assert.match(app.errors[0]?.message ?? '', /is not from "http/)
  })

  it("glewlwyd's second issuer sends no iss: the response is accepted", async () => {
    const other = await startOther({ issParameter: 'absent' })
    await assertLogsIn(await start(BY_FORM, { provider: other }))
  })

  it('session_state, which is also encoded twice, is not decoded', async () => {
    stage.provider.change.authorizationResponse = changeResponse((params) => params.set('session_state', 'a%252Eb'))
    await assertLogsIn(await start(BY_FORM))
  })

  it("doorkeeper's page never submits itself: the user clicks its button", async () => {
    const app = await start(BY_FORM)
    const browser = app.browser()
    const { next, ...stopped } = await browser.open('/profile', { stopBefore: isCallback })
    assert.equal(next?.method, 'POST')
    const [form] = readForms(stopped.body, stopped.url)
    const page = await browser.post(form?.action ?? '', Object.fromEntries(form?.fields ?? []), {
      from: stage.provider.issuer,
    })
    assert.equal(page.url, `${app.baseUrl}/profile`)
  })

  it('authlib puts the code into the query whatever response_mode says: the message names responseMode', async () => {
    const app = await start(BY_FORM)
    const browser = app.browser()
    const { next } = await browser.open('/profile', { stopBefore: isCallback })
    const page = await browser.go({ method: 'GET', url: `${next?.url}?${next?.fields}`, from: stage.provider.issuer })
    assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_CALLBACK_INVALID']])
    assert.match(app.errors[0]?.message ?? '', /Set responseMode to what the provider uses/)
  })
})

describe('6, logout: lemonldap-ng does not redirect back', () => {
  it('the session here ends before the browser leaves', async () => {
    const app = await start()
    const browser = app.browser()
    await assertLogsIn(app, browser)
    stage.provider.change.raw['/logout'] = (_req, res) => sendText(res, 200, 'text/html', '<p>the portal</p>')
    const page = await browser.post('/logout')
    assert.equal(page.body, '<p>the portal</p>')
    assert.deepEqual(await app.records(), {})
    assert.equal((await browser.fetch('/profile')).status, 401)
  })
})

describe('7, PKCE', () => {
  it('S256 is sent if the metadata has no code_challenge_methods_supported', async () => {
    stage.provider.change.discovery = ({ code_challenge_methods_supported: _, ...metadata }) => metadata
    await assertLogsIn(await start())
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('S256 is sent if the metadata names only plain', async () => {
    stage.provider.change.discovery = (metadata) => ({ ...metadata, code_challenge_methods_supported: ['plain'] })
    await assertLogsIn(await start())
    assert.deepEqual(stage.provider.complaints, [])
  })
})

describe('8, discovery', () => {
  it('django-oauth-toolkit redirects it: the redirect is not followed, and the error says so', async () => {
    stage.provider.change.raw['/discovery'] = (req, res) => void res.writeHead(301, { Location: `${req.url}/` }).end()
    const app = await start()
    await assertFails(app, 'ERR_OIDC_PROVIDER_REDIRECT', 502)
    assert.match(app.errors[0]?.message ?? '', /openid-configuration responded with a redirect/)
  })

  it('such a provider works with the option providerMetadata', async () => {
    const { issuer, endpointUrls } = stage.provider
    const providerMetadata = {
      issuer,
      authorization_endpoint: endpointUrls['/authorize'],
      token_endpoint: endpointUrls['/token'],
      jwks_uri: endpointUrls['/jwks'],
    }
    await assertLogsIn(await start({ providerMetadata }))
    assert.equal(stage.provider.calls['/discovery'], 0)
  })

  it('the metadata may lack grant types and everything else that is not needed', async () => {
    const needed = ['issuer', 'authorization_endpoint', 'token_endpoint', 'jwks_uri']
    stage.provider.change.discovery = (metadata) =>
      Object.fromEntries(Object.entries(metadata).filter(([name]) => needed.includes(name)))
    await assertLogsIn(await start())
  })

  it("glewlwyd's endpoints have two slashes after the host, which are kept", async () => {
    const seen: string[] = []
    const own: Options['fetch'] = (url, init) => {
      seen.push(new URL(url).pathname)
      return fetch(url.replace(/(?<!:)\/\//, '/'), init)
    }
    stage.provider.change.discovery = (metadata) => ({
      ...metadata,
      token_endpoint: `${stage.provider.issuer}//token`,
      jwks_uri: `${stage.provider.issuer}//keys`,
    })
    await assertLogsIn(await start({ fetch: own }))
    assert.deepEqual(seen, ['/.well-known/openid-configuration', '//token', '//keys'])
  })

  it('an issuer with a trailing slash is compared with it, and discovered without it', async () => {
    const other = await startOther({ layout: 'trailing-slash' })
    const app = await start({}, { provider: other })
    await assertLogsIn(app)
    assert.equal(other.requests[0]?.path, '/tenant/.well-known/openid-configuration')
  })

  it('glewlwyd and solid send iss without announcing it: it is checked anyway', async () => {
    const other = await startOther({ issParameter: 'sent' })
    const app = await start({}, { provider: other })
    await assertLogsIn(app)
    other.change.authorizationResponse = changeResponse((params) => params.set('iss', 'https://another.test'))
    await assertFails(app, 'ERR_OIDC_RESPONSE_ISSUER', 400)
  })

  it('the mock announces only the method none and accepts all: the configured one is used', async () => {
    stage.provider.change.discovery = (metadata) => ({ ...metadata, token_endpoint_auth_methods_supported: ['none'] })
    await assertLogsIn(await start())
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('endpoints may have a query', async () => {
    stage.provider.change.discovery = (metadata) => ({
      ...metadata,
      authorization_endpoint: `${stage.provider.endpointUrls['/authorize']}?tenant=a%20b`,
      end_session_endpoint: `${stage.provider.endpointUrls['/logout']}?tenant=a`,
    })
    const app = await start()
    const browser = app.browser()
    const page = await browser.open('/login', { stopBefore: isAtProvider })
    assert.equal(new URL(page.next?.url ?? '').searchParams.get('tenant'), 'a b')
    await assertLogsIn(app, browser)
    const logout = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    assert.equal(new URL(logout.next?.url ?? '').searchParams.get('tenant'), 'a')
  })
})

describe('9, ID Tokens', () => {
  const peculiar: readonly (readonly [name: string, change: (claims: Record<string, unknown>) => object])[] = [
    [
      "solid's have two audiences and azp",
      (claims) => ({ ...claims, aud: [claims['aud'], 'solid'], azp: claims['aud'] }),
    ],
    ['some have one audience in a list', (claims) => ({ ...claims, aud: [claims['aud']] })],
    ["the mock's have nbf and no auth_time", (claims) => ({ ...claims, nbf: Math.floor(Date.now() / 1000) - 10 })],
    ['most have no at_hash', ({ at_hash: _, ...claims }) => claims],
    ['most have no sid', ({ sid: _, ...claims }) => claims],
    ['some have an auth_time without a request for it', (claims) => ({ ...claims, auth_time: 1_700_000_000 })],
    ['some have claims that are null', (claims) => ({ ...claims, picture: null, middle_name: null })],
    [
      'some have fractions of a second',
      (claims) => ({ ...claims, iat: Date.now() / 1000, exp: Date.now() / 1000 + 300 }),
    ],
  ]
  for (const [name, change] of peculiar) {
    it(`${name}: they are accepted`, async () => {
      stage.provider.change.idTokenClaims = (claims) => ({ ...change(claims) })
      await assertLogsIn(await start())
      assert.deepEqual(stage.provider.complaints, [])
    })
  }

  it("authlib's have no kid, with two keys in the set: they are accepted", async () => {
    const other = await startOther()
    await other.rotateKeys()
    const strangers = await startOther()
    other.change.idTokenHeader = ({ kid: _, ...header }) => header
    other.change.jwks = ({ keys }) => ({ keys: [strangers.keys.rsa.jwk, ...[keys].flat()] })
    await assertLogsIn(await start({}, { provider: other }))
  })

  it('keys without kid and use are tried', async () => {
    stage.provider.change.jwks = () => {
      const { kid: _kid, use: _use, ...jwk } = stage.provider.keys.rsa.jwk
      return { keys: [jwk] }
    }
    stage.provider.change.idTokenHeader = ({ kid: _, ...header }) => header
    await assertLogsIn(await start())
  })
})

describe('11, old requests: lemonldap-ng responds with the state of an earlier, unfinished one', () => {
  it('the earlier login is still known, and completes', async () => {
    const app = await start()
    const browser = app.browser()
    const earlier = await browser.open('/profile?earlier', { stopBefore: isCallback })
    await browser.open('/profile?later', { stopBefore: isCallback })
    const page = await browser.go(earlier.next)
    assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/profile?earlier`])
  })

  it('an unknown one fails with a message that says what to do', async () => {
    const app = await start()
    const page: Page = await app.browser().open('/callback?code=x&state=of-yesterday')
    assert.equal(page.status, 400)
    assert.match(app.errors[0]?.message ?? '', /started in another browser or at another host name/)
  })
})

describe('14, errors of token endpoints', () => {
  const invalidClient = '{"error":"invalid_client","error_description":"no"}'
  const rows: readonly (readonly [name: string, change: JsonChange, error: string | undefined, status: number])[] = [
    ['400 with invalid_grant', answered(400, '{"error":"invalid_grant"}'), 'invalid_grant', 400],
    ["400 with glewlwyd's invalid_code", answered(400, '{"error":"invalid_code"}'), 'invalid_code', 400],
    ['400 with another error', answered(400, '{"error":"invalid_request"}'), 'invalid_request', 502],
    ['401 without a challenge', answered(401, invalidClient), 'invalid_client', 502],
    ['401 with Basic', answered(401, invalidClient, { 'WWW-Authenticate': 'Basic realm="a"' }), 'invalid_client', 502],
    [
      '401 with Bearer',
      answered(401, invalidClient, { 'WWW-Authenticate': 'Bearer error="x"' }),
      'invalid_client',
      502,
    ],
    ['401 with Bearer and no body', answered(401, '', { 'WWW-Authenticate': 'Bearer error="a b"' }), 'a b', 502],
    [
      '401 with a challenge that is none',
      answered(401, invalidClient, { 'WWW-Authenticate': '"' }),
      'invalid_client',
      502,
    ],
    ['403', answered(403, '{"error":"unauthorized_client"}'), 'unauthorized_client', 502],
    ['403 with no body', answered(403, ''), undefined, 502],
    ['400 with no body', answered(400, ''), undefined, 502],
    ['400 with HTML', answered(400, '<p>no</p>', { 'Content-Type': 'text/html' }), undefined, 502],
    ['400 with an error that is no string', answered(400, '{"error":{"code":7}}'), undefined, 502],
  ]
  for (const [name, change, error, status] of rows) {
    it(`${name}: ERR_OIDC_TOKEN_REQUEST with the error of the provider`, async () => {
      stage.provider.change.tokenResponse = change
      const app = await start()
      await assertFails(app, 'ERR_OIDC_TOKEN_REQUEST', status)
      const [failure] = app.errors
      assert.ok(failure instanceof ProviderError)
      assert.equal(failure.refusal?.error, error)
      assert.equal(stage.provider.calls['/token'], 1)
    })
  }

  const failing: readonly (readonly [name: string, change: JsonChange, code: string, status: number])[] = [
    ['500', answered(500, '{"error":"server_error"}'), 'ERR_OIDC_PROVIDER_STATUS', 502],
    ['503 with a time', answered(503, '', { 'Retry-After': '5' }), 'ERR_OIDC_PROVIDER_BUSY', 503],
    ['429', answered(429, '{"errorCode":"E0000047"}'), 'ERR_OIDC_PROVIDER_BUSY', 503],
    [
      '429 of a proxy, with HTML',
      answered(429, '<p>slow down</p>', { 'Content-Type': 'text/html', 'Retry-After': '5' }),
      'ERR_OIDC_PROVIDER_BUSY',
      503,
    ],
  ]
  for (const [name, change, code, status] of failing) {
    it(`${name}: ${code}, and the code is not redeemed twice`, async () => {
      stage.provider.change.tokenResponse = change
      await assertFails(await start(), code, status)
      assert.equal(stage.provider.calls['/token'], 1)
    })
  }

  it('token types are accepted in any case', async () => {
    stage.provider.change.tokenResponse = (json) => ({ ...json, token_type: 'bearer' })
    await assertLogsIn(await start())
    stage.provider.change.tokenResponse = (json) => ({ ...json, token_type: 'BEARER' })
    await assertLogsIn(await start())
  })

  it('unknown members of a token response are ignored', async () => {
    stage.provider.change.tokenResponse = (json) => ({
      ...json,
      'not-before-policy': 0,
      session_state: randomBytes(4).toString('hex'),
      refresh_expires_in: 0,
      id_token_type: null,
    })
    await assertLogsIn(await start())
  })

  it('a response without a body is no token response', async () => {
    for (const status of [204, 205, 304]) {
      stage.provider.change.tokenResponse = answered(status, '')
      await assertFails(await start(), 'ERR_OIDC_TOKEN_REQUEST', 502)
    }
  })

  it('some providers send expires_in as a string', async () => {
    stage.provider.change.tokenResponse = (json) => ({ ...json, expires_in: '3600' })
    await assertLogsIn(await start())
  })
})
