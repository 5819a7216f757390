import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { describe, it } from 'node:test'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { ConfigError, type PrivateJwk, ProviderError } from '../../lib/index.ts'
import { createHttpClient } from '../../lib/provider/http-client.ts'
import { jsonBody } from '../../lib/provider/http-transport.ts'
import { postForm } from '../../lib/provider/requests.ts'
import type { AnyOptions, TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { API_TOKEN } from '../support/okta-provider/clients.ts'
import type { OktaEndpoint } from '../support/okta-provider/context.ts'
import type { JsonObject, OktaClient } from '../support/okta-provider/directory.ts'
import { newKey } from '../support/okta-provider/provider.ts'
import { createOktaStage } from '../support/okta-provider/stage.ts'

const stage = createOktaStage()

const SECRET = 'a secret for the cookies of a test'

/** A private key of the client's, whose public part is registered at Okta. */
async function registerKeys(count: number): Promise<readonly PrivateJwk[]> {
  const keys = await Promise.all(Array.from({ length: count }, newKey))
  const jwks = { keys: keys.map(({ jwk }) => jwk as unknown as JsonObject) }
  Object.assign(stage.okta.client, { token_endpoint_auth_method: 'private_key_jwt', jwks, client_secret: undefined })
  return keys.map(({ privateKey, kid }) => privateJwk(privateKey, kid))
}

function privateJwk(key: KeyObject, kid: string): PrivateJwk {
  return { ...(key.export({ format: 'jwk' }) as PrivateJwk), kid, use: 'sig', alg: 'RS256' }
}

/** `private_key_jwt` in the options of an app. */
function byPrivateKey(clientKeys: readonly PrivateJwk[]): Partial<AnyOptions> {
  return { tokenEndpointAuthMethod: 'private_key_jwt', clientKeys, secret: SECRET, clientSecret: '' }
}

function assertionsAt(endpoint: OktaEndpoint): readonly string[] {
  return stage.okta.requestsTo(endpoint).map(({ form }) => String(form.get('client_assertion')))
}

async function logIn(app: TestApp): Promise<number> {
  return (await app.browser().open('/profile')).status
}

/** The error of a login, and nobody is logged in. */
async function failedLogin(options: Partial<AnyOptions>): Promise<ProviderError> {
  const app = await stage.start('default', options)
  const browser = app.browser()
  await browser.open('/profile')
  const [error, ...more] = app.errors
  assert.ok(error instanceof ProviderError && more.length === 0, String(app.errors))
  assert.deepEqual([(await browser.fetch('/profile')).status, await app.sessions()], [401, 0])
  return error
}

describe('an assertion of the client', () => {
  it('Q-47: is for the very endpoint that is asked, short-lived and used once', async () => {
    const app = await stage.start('default', byPrivateKey(await registerKeys(1)))
    assert.deepEqual([await logIn(app), await logIn(app)], [200, 200])
    const claims = assertionsAt('token').map((assertion) => decodeJwt(assertion))
    for (const { aud, iat = 0, exp = 0 } of claims) {
      assert.equal(aud, `${stage.okta.orgOrigin}/oauth2/default/v1/token`)
      assert.ok(exp > iat && exp - iat <= 3600)
    }
    assert.equal(new Set(claims.map(({ jti }) => jti)).size, 2)
  })

  it('Q-47: is another for the endpoint of pushed requests than for the one of tokens', async () => {
    const options = { ...byPrivateKey(await registerKeys(1)), requirePushedAuthorizationRequests: true }
    const app = await stage.start('default', options)
    assert.equal(await logIn(app), 200, String(app.errors))
    const audiences = [...assertionsAt('par'), ...assertionsAt('token')].map((assertion) => decodeJwt(assertion).aud)
    const base = `${stage.okta.orgOrigin}/oauth2/default/v1`
    assert.deepEqual(audiences, [`${base}/par`, `${base}/token`])
  })

  it('Q-47: is refused for the issuer, which FAPI would have', async () => {
    const error = await failedLogin({ ...byPrivateKey(await registerKeys(1)), clientAssertionAudience: 'issuer' })
    assert.deepEqual([error.code, error.refusal?.error], ['ERR_OIDC_TOKEN_REQUEST', 'invalid_client'])
    assert.match(String(error.refusal?.errorDescription), /must be the endpoint invoked for the request/)
  })

  it('Q-48: names its key, which is demanded where there are several', async () => {
    const keys = await registerKeys(3)
    const app = await stage.start('default', byPrivateKey(keys.slice(1)))
    assert.equal(await logIn(app), 200)
    assert.deepEqual(
      assertionsAt('token').map((assertion) => decodeProtectedHeader(assertion).kid),
      [keys[1]?.kid],
    )
  })

  it('Q-48: is refused where the key is none of those that are registered', async () => {
    await registerKeys(1)
    const { privateKey } = newKey()
    const error = await failedLogin(byPrivateKey([privateJwk(privateKey, 'another')]))
    assert.match(String(error.refusal?.errorDescription), /kid is invalid/)
  })

  it('Q-48: is signed with a client secret of 32 characters or more', async () => {
    Object.assign(stage.okta.client, { token_endpoint_auth_method: 'client_secret_jwt' })
    const app = await stage.start('default', { tokenEndpointAuthMethod: 'client_secret_jwt' })
    assert.equal(await logIn(app), 200)
    assert.equal(decodeJwt(assertionsAt('token')[0] ?? '').aud, `${stage.okta.orgOrigin}/oauth2/default/v1/token`)
  })

  it('Q-48: is not made with a shorter one, which Okta would refuse', async () => {
    const short = 'short-secret-of-30-characters.'
    Object.assign(stage.okta.client, { token_endpoint_auth_method: 'client_secret_jwt', client_secret: short })
    const options = { tokenEndpointAuthMethod: 'client_secret_jwt', clientSecret: short, secret: SECRET } as const
    await assert.rejects(stage.start('default', options), (error) => {
      return error instanceof ConfigError && error.faults.some((fault) => /32/.test(fault))
    })
  })
})

describe('the credentials of a request', () => {
  const methods: readonly (readonly [method: NonNullable<AnyOptions['tokenEndpointAuthMethod']>, sent: string[]])[] = [
    ['client_secret_basic', ['authorization']],
    ['client_secret_post', ['client_id', 'client_secret']],
    ['none', ['client_id']],
  ]
  for (const [method, sent] of methods) {
    it(`Q-49: are of one method, without client_id beside the header: ${method}`, async () => {
      const own = method === 'none' ? { clientSecret: '', secret: SECRET } : {}
      Object.assign(stage.okta.client, { token_endpoint_auth_method: method })
      const app = await stage.start('default', { tokenEndpointAuthMethod: method, ...own })
      assert.equal(await logIn(app), 200, String(app.errors))
      const [request] = stage.okta.requestsTo('token')
      const names = ['client_id', 'client_secret', 'client_assertion'].filter((name) => request?.form.has(name))
      const header = request?.headers.authorization === undefined ? [] : ['authorization']
      assert.deepEqual([...header, ...names], sent)
    })
  }

  it('Q-49: would be refused if they were of two', async () => {
    const { client_id: id, client_secret: secret = '' } = stage.okta.client
    const answer = await exchange({
      method: 'POST',
      url: new URL(`${stage.okta.issuer('default')}/v1/token`),
      headers: {
        'user-agent': 'test',
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
      },
      body: String(new URLSearchParams({ grant_type: 'authorization_code', client_id: id, client_secret: secret })),
    })
    assert.deepEqual([answer.status, JSON.parse(answer.body)['error']], [400, 'invalid_request'])
  })

  it('Q-49: are refused in the header where they are registered for the body', async () => {
    Object.assign(stage.okta.client, { token_endpoint_auth_method: 'client_secret_post' })
    const error = await failedLogin({})
    assert.deepEqual([error.code, error.refusal?.error], ['ERR_OIDC_TOKEN_REQUEST', 'invalid_client'])
  })

  it('Q-49: are handed on as refused where the secret is wrong', async () => {
    const error = await failedLogin({ clientSecret: 'another secret of more than 32 characters' })
    assert.deepEqual([error.code, error.refusal?.error], ['ERR_OIDC_TOKEN_REQUEST', 'invalid_client'])
  })
})

describe('what is asked of other endpoints than the one of tokens', () => {
  async function accessTokenBy(options: Partial<AnyOptions>): Promise<string> {
    const browser = (await stage.start('default', options)).browser()
    await browser.open('/profile')
    return String((await browser.fetch('/access-token')).json()['token'])
  }

  it('Q-47: has an audience of its own: introspection and revocation', async () => {
    const options = byPrivateKey(await registerKeys(1))
    const token = await accessTokenBy(options)
    const provider = await stage.findProvider('default', { ...options, clientSecret: undefined })
    const introspected = await postForm(provider, 'introspection_endpoint', { token })
    assert.equal(jsonBody(introspected)?.['active'], true)
    assert.equal((await postForm(provider, 'revocation_endpoint', { token })).status, 200)
    const audiences = [...assertionsAt('introspect'), ...assertionsAt('revoke')].map((jwt) => decodeJwt(jwt).aud)
    const base = `${stage.okta.orgOrigin}/oauth2/default/v1`
    assert.deepEqual(audiences, [`${base}/introspect`, `${base}/revoke`])
  })

  it('Q-51: names a public client in the form, with no header', async () => {
    Object.assign(stage.okta.client, { token_endpoint_auth_method: 'none' })
    const token = await accessTokenBy({ clientSecret: '', secret: SECRET })
    const provider = await stage.findProvider('default')
    const introspected = jsonBody(await postForm(provider, 'introspection_endpoint', { token }))
    // One text here, where the token has a list.
    assert.deepEqual([introspected?.['active'], introspected?.['scope']], [true, 'openid profile email'])
    assert.equal((await postForm(provider, 'revocation_endpoint', { token })).status, 200)
    assert.deepEqual(jsonBody(await postForm(provider, 'introspection_endpoint', { token })), { active: false })
    for (const { headers, form } of [...stage.okta.requestsTo('introspect'), ...stage.okta.requestsTo('revoke')]) {
      assert.deepEqual([headers.authorization, form.get('client_id')], [undefined, stage.okta.client.client_id])
    }
  })

  it('Q-51: is refused for a confidential client that only names itself', async () => {
    const token = await accessTokenBy({})
    const provider = await stage.findProvider('default')
    const { status } = await postForm(provider, 'revocation_endpoint', { token })
    assert.deepEqual([status, stage.okta.accessTokens.has(token)], [401, true])
  })
})

describe('a proof of possession', () => {
  const routes = {
    '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
  }

  it('Q-50: is made once more with the nonce that the first answer of 400 has brought', async () => {
    stage.okta.client.dpop_bound_access_tokens = true
    const app = await stage.start('default', { dpopBoundAccessTokens: true }, { routes })
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 200, String(app.errors))
    const proofs = stage.okta.requestsTo('token').map(({ headers }) => decodeJwt(String(headers['dpop'])))
    assert.deepEqual(
      proofs.map(({ nonce }) => nonce),
      [undefined, stage.okta.dpopNonce],
    )
    assert.equal((await browser.fetch('/tokens')).json()['tokenType'], 'DPoP')
    assert.equal((await browser.fetch('/userinfo')).json()['email'], 'alice@example.test')
    // The same code both times: it was not spent by the first.
    const codes = stage.okta.requestsTo('token').map(({ form }) => form.get('code'))
    assert.equal(codes[0], codes[1])
  })

  it('Q-50: is made with the nonce at once the next time, and anew when that is a day old', async () => {
    stage.okta.client.dpop_bound_access_tokens = true
    const app = await stage.start('default', { dpopBoundAccessTokens: true })
    await logIn(app)
    assert.equal(await logIn(app), 200)
    assert.equal(stage.okta.requestsTo('token').length, 3)
    Object.assign(stage.okta, { dpopNonce: 'the-nonce-of-the-next-day' })
    assert.equal(await logIn(app), 200, String(app.errors))
    assert.equal(stage.okta.requestsTo('token').length, 5)
  })

  it('Q-50: is not made for ever, should every answer want another nonce', async () => {
    stage.okta.client.dpop_bound_access_tokens = true
    stage.okta.change.raw.token = () => {
      Object.assign(stage.okta, { dpopNonce: `${stage.okta.dpopNonce}x` })
      return false
    }
    const error = await failedLogin({ dpopBoundAccessTokens: true })
    assert.equal(error.refusal?.error, 'use_dpop_nonce')
    assert.equal(stage.okta.requestsTo('token').length, 2)
  })

  it('Q-50: is missed by Okta where the option is not set', async () => {
    stage.okta.client.dpop_bound_access_tokens = true
    const error = await failedLogin({})
    assert.deepEqual([error.code, error.refusal?.error], ['ERR_OIDC_TOKEN_REQUEST', 'invalid_dpop_proof'])
  })
})

describe('a request to Okta', () => {
  it('Q-52: says who asks, always', async () => {
    const app = await stage.start('default', { userinfo: true })
    assert.equal(await logIn(app), 200)
    const asked = stage.okta.requests.filter(({ endpoint }) => endpoint !== 'authorize')
    assert.deepEqual(new Set(asked.map(({ headers }) => headers['user-agent'])), new Set(['express-oidc']))
    assert.deepEqual([...new Set(asked.map(({ endpoint }) => endpoint))].sort(), [
      ...['discovery', 'keys', 'token', 'userinfo'],
    ])
  })

  for (const [what, fetch] of [
    ['by itself', undefined],
    ['by a fetch of the application’s', globalThis.fetch],
  ] as const) {
    it(`Q-52: says that it has no body where it has none, or Okta answers 411: ${what}`, async () => {
      const { client } = stage.okta
      const before: OktaClient['client_secret'] = client.client_secret
      const http = createHttpClient({ timeout: 5, fetch, dangerouslyAllowInsecureRequests: true })
      const url = `${stage.okta.orgOrigin}/oauth2/v1/clients/${client.client_id}/lifecycle/newSecret`
      const { status } = await http.request(url, { method: 'POST', headers: { authorization: `SSWS ${API_TOKEN}` } })
      assert.equal(status, 200)
      assert.notEqual(client.client_secret, before)
    })
  }
})
