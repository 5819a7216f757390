import assert from 'node:assert/strict'
import type { JsonWebKey } from 'node:crypto'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import express from 'express'
import request from 'supertest'
import { bearer } from '../../lib/bearer.ts'
import { ConfigError } from '../../lib/index.ts'
import { startTestProvider, type TestProviderOptions } from '../../lib/testing.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { type Answer, exchange } from '../support/browser/http-exchange.ts'
import { stoppable } from '../support/test-kit/kit-app.ts'
import { assertRefused, authorize, documentAt, getTokens, jsonOf, post } from '../support/test-kit/kit-requests.ts'

const shared = share(async () => stoppable(await startTestProvider()))
const stopLater = stopAfterEach()

function get(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): Promise<Answer> {
  return exchange({ method, url: new URL(shared().issuer + path), headers })
}

/** Options that are refused, with a word of the message. */
const WRONG: readonly [name: string, options: unknown, message: RegExp][] = [
  ['no object', [], /must be an object/],
  ['an unknown name', { user: [] }, /no option "user"\. There are users, clients/],
  ['users that are no list', { users: {} }, /^users must be a list/m],
  ['no user', { users: [] }, /^users must be a list with at least one/m],
  ['a user without sub', { users: [{ name: 'Ada' }] }, /users\[0\] must have a sub/],
  ['a user that is no object', { users: ['ada'] }, /users\[0\] must be an object/],
  ['one user twice', { users: [{ sub: 'ada' }, { sub: 'ada' }] }, /users must each have another sub/],
  ['a client without an id', { clients: [{}] }, /clients\[0\] must have a clientId/],
  ['a client with an empty secret', { clients: [{ clientId: 'a', clientSecret: '' }] }, /clientSecret that is text/],
  [
    'an unknown method',
    { clients: [{ clientId: 'a', tokenEndpointAuthMethod: 'tls' }] },
    /must have one of client_secret_b/,
  ],
  [
    'a key method without keys',
    { clients: [{ clientId: 'a', tokenEndpointAuthMethod: 'private_key_jwt' }] },
    /have jwks/,
  ],
  [
    'a secret method without a secret',
    { clients: [{ clientId: 'a', tokenEndpointAuthMethod: 'client_secret_post' }] },
    /must have a clientSecret for/,
  ],
  [
    'a redirect URI that is a path',
    { clients: [{ clientId: 'a', redirectUris: ['/callback'] }] },
    /URLs in redirectUris/,
  ],
  ['one client twice', { clients: [{ clientId: 'a' }, { clientId: 'a' }] }, /clients must each have another clientId/],
  ['a page that is no choice', { signInPage: 'yes' }, /signInPage must be true or false/],
  ['an algorithm with a secret', { idTokenSignedResponseAlg: 'HS256' }, /must be one of RS256/],
  ['an empty audience', { audience: '' }, /audience must be text/],
  ['a lifetime of nothing', { tokenLifetime: 0 }, /tokenLifetime must be a number of seconds/],
]

describe('startTestProvider()', () => {
  it('listens on this machine alone, on a port that the system chooses', () => {
    assert.match(shared().issuer, /^http:\/\/127\.0\.0\.1:\d+$/)
  })

  it('gives what oidc() needs to know', () => {
    const { issuer, clientId, clientSecret, options } = shared()
    assert.match(clientSecret ?? '', /^[\w-]{64}$/)
    assert.deepEqual(options, {
      ...{ issuer, clientId, clientSecret, idTokenSignedResponseAlg: 'ES256' },
      dangerouslyAllowInsecureRequests: true,
    })
  })

  it('gives what bearer() needs to know', async () => {
    const clients = [{ clientId: 'app', clientSecret: 'a secret' }]
    const settings = { idTokenSignedResponseAlg: 'EdDSA' as const, audience: 'urn:my-api', clients }
    const provider = stopLater(stoppable(await startTestProvider(settings)))
    const api = express().use(bearer(provider.bearerOptions), (req, res) => res.json(Reflect.get(req, 'oidc').claims))
    const call = (token: string): request.Test => request(api).get('/').auth(token, { type: 'bearer' })
    const token = await provider.accessToken({ sub: 'alice', claims: { tenant: 7 } })
    const { sub, tenant } = (await call(token).expect(200)).body
    assert.deepEqual([sub, tenant], ['alice', 7])
    await call(await provider.accessToken({ audience: 'urn:other-api' })).expect(401)
    await call(await provider.accessToken({ expiresIn: -120 })).expect(401)
    await call((await getTokens(provider))['id_token'] ?? '').expect(401)
  })

  it('explains opaque tokens to bearer(), until they are revoked', async () => {
    const { clientId, clientSecret = '', bearerOptions } = shared()
    const options = { ...bearerOptions, introspection: { clientId, clientSecret } }
    const call = (token: string): request.Test => {
      const api = express().use(bearer(options), (req, res) => res.json(Reflect.get(req, 'oidc').claims))
      return request(api).get('/').auth(token, { type: 'bearer' })
    }
    const token = await shared().accessToken({ format: 'opaque', scope: 'orders:read', sub: 'alice' })
    const { sub, scope } = (await call(token).expect(200)).body
    assert.deepEqual([sub, scope], ['alice', 'orders:read'])
    await post(shared(), '/revoke', { token })
    await call(token).expect(401)
  })

  it('gives the method and no secret of a client with a key', async () => {
    const client = { clientId: 'app', tokenEndpointAuthMethod: 'private_key_jwt' as const, jwks: { keys: [] } }
    const provider = stopLater(stoppable(await startTestProvider({ clients: [client] })))
    assert.equal(provider.options.tokenEndpointAuthMethod, 'private_key_jwt')
    assert.ok(!('clientSecret' in provider.options))
  })

  for (const [name, options, message] of WRONG) {
    it(`refuses ${name}`, async () => {
      await assert.rejects(startTestProvider(options as TestProviderOptions), (error: unknown) => {
        assert.ok(error instanceof ConfigError)
        assert.match(error.faults.join('\n'), message)
        return true
      })
    })
  }

  for (const alg of ['RS256', 'PS256', 'ES512', 'EdDSA'] as const) {
    it(`signs with ${alg}`, async () => {
      const provider = stopLater(stoppable(await startTestProvider({ idTokenSignedResponseAlg: alg })))
      const { keys } = (await documentAt(provider, '/jwks')) as { readonly keys: readonly JsonWebKey[] }
      const token = await provider.accessToken()
      const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
      assert.deepEqual([header.alg, header.kid, keys[0]?.d], [alg, keys[0]?.['kid'], undefined])
    })
  }

  it('ends with close() and with await using', async () => {
    for (const close of ['close', Symbol.asyncDispose] as const) {
      const provider = await startTestProvider()
      await provider[close]()
      await assert.rejects(fetch(provider.issuer), TypeError)
    }
  })
})

describe('the test provider', () => {
  it('has the same metadata at both well-known paths', async () => {
    const oidc = jsonOf(await get('/.well-known/openid-configuration'))
    assert.deepEqual(jsonOf(await get('/.well-known/oauth-authorization-server')), oidc)
    assert.equal(oidc['issuer'], shared().issuer)
    for (const [name, url] of Object.entries(oidc).filter(([member]) => /_endpoint$|_uri$/.test(member))) {
      assert.ok(String(url).startsWith(`${shared().issuer}/`), name)
      assert.notEqual((await get(new URL(String(url)).pathname)).status, 404, name)
    }
    assert.ok(!('token_endpoint_auth_signing_alg_values_supported' in oidc))
  })

  it('announces the algorithms of assertions if a client has keys', async () => {
    const clients = [{ clientId: 'app', jwks: { keys: [] } }]
    const provider = stopLater(stoppable(await startTestProvider({ clients })))
    const metadata = await documentAt(provider, '/.well-known/openid-configuration')
    assert.deepEqual(metadata['token_endpoint_auth_methods_supported'], ['private_key_jwt'])
    assert.ok([metadata['token_endpoint_auth_signing_alg_values_supported']].flat().includes('ES256'))
  })

  it('answers 404 to other paths, and 405 to other methods', async () => {
    for (const path of ['/nothing', '//', '/jwks/']) assert.equal((await get(path)).status, 404, path)
    const { status, headers } = await get('/token')
    assert.deepEqual([status, headers.allow], [405, 'POST'])
  })

  it('answers 500 and warns if it fails itself, and says nothing if the client has gone away', async () => {
    const warnings: string[] = []
    const note = ({ message }: Error): unknown => warnings.push(message)
    process.on('warning', note)
    const clients = [{ clientId: 'app', jwks: { keys: ['no key' as unknown as object] } }]
    const provider = stopLater(stoppable(await startTestProvider({ clients })))
    const assertion = `e30.${Buffer.from('{"sub":"app"}').toString('base64url')}.e30`
    const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
    const fields = { client_assertion: assertion, client_assertion_type: type }
    const { status } = await post(provider, '/token', fields, {})
    const { port } = new URL(provider.issuer)
    const socket = connect(Number(port), '127.0.0.1')
    await new Promise((resolve) => {
      socket.write('POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\na=', resolve)
    })
    socket.destroy()
    // The provider sees the end of that connection before it answers a later request, and a warning before it has closed.
    await documentAt(provider, '/jwks')
    await provider.close()
    process.off('warning', note)
    assert.deepEqual([status, warnings.length], [500, 1])
    assert.match(warnings[0] ?? '', /^The test provider failed: JWKSInvalid/)
  })

  it('answers UserInfo to an access token in a header or a form', async () => {
    const { access_token = '' } = await getTokens(shared())
    const expected = { sub: 'alice', name: 'Alice Example', email: 'alice@example.com' }
    const byHeader = jsonOf(await get('/userinfo', { authorization: `Bearer ${access_token}` }))
    const byForm = jsonOf(await post(shared(), '/userinfo', { access_token }, {}))
    assert.deepEqual(byForm, byHeader)
    const { sub, name, email } = byHeader
    assert.deepEqual({ sub, name, email }, expected)
  })

  it('refuses UserInfo without a token, with an unknown one, with one of a program and without openid', async () => {
    const ask = (token: string): Promise<Answer> => get('/userinfo', { authorization: `Bearer ${token}` })
    const without = await get('/userinfo')
    assertRefused(without, 'invalid_token', 401)
    assert.equal(without.headers['www-authenticate'], 'Bearer realm="test provider"')
    const unknown = await ask('unknown')
    assertRefused(unknown, 'invalid_token', 401)
    assert.match(unknown.headers['www-authenticate'] ?? '', /error="invalid_token"/)
    assertRefused(await ask(await shared().accessToken({ scope: 'openid' })), 'invalid_token', 401)
    const { refresh_token } = await getTokens(shared())
    const narrow = jsonOf(
      await post(shared(), '/token', { grant_type: 'refresh_token', refresh_token, scope: 'profile' }),
    )
    assertRefused(await ask(String(narrow['access_token'])), 'insufficient_scope', 403)
  })

  it('ends the session and sends the browser back with the state', async () => {
    const [cookie = ''] = (await authorize(shared())).setCookies.map((one) => one.split(';')[0] ?? '')
    const tokens = await getTokens(shared(), { scope: 'openid' })
    const returnTo = 'http://localhost:3000/'
    const query = { id_token_hint: tokens['id_token'] ?? '', post_logout_redirect_uri: returnTo, state: 'a state' }
    const { status, headers } = await get(`/end-session?${new URLSearchParams(query)}`, { cookie })
    assert.deepEqual([status, headers.location], [303, `${returnTo}?state=a+state`])
    assert.match(String(headers['set-cookie']), /Max-Age=0/)
    const silent = await authorize(shared(), { prompt: 'none' }, cookie)
    assert.match(silent.headers.location ?? '', /error=login_required/)
    // Without offline_access, access lasts as long as the session (OIDC Core 11).
    assert.deepEqual(jsonOf(await post(shared(), '/introspect', { token: tokens['access_token'] })), { active: false })
  })

  it('keeps what was granted with offline_access beyond a logout', async () => {
    const tokens = await getTokens(shared())
    await get(`/end-session?${new URLSearchParams({ id_token_hint: tokens['id_token'] ?? '' })}`)
    assert.equal(jsonOf(await post(shared(), '/introspect', { token: tokens['refresh_token'] }))['active'], true)
  })

  it('shows a page where a logout cannot go back', async () => {
    const plain = await get('/end-session')
    assert.deepEqual([plain.status, /Signed out/.test(plain.body)], [200, true])
    const { id_token: hint = '' } = await getTokens(shared())
    const refused = [
      { post_logout_redirect_uri: 'http://localhost:3000/' },
      { client_id: 'nobody', post_logout_redirect_uri: 'http://localhost:3000/' },
      { id_token_hint: hint, post_logout_redirect_uri: 'https://evil.example.com/' },
      { id_token_hint: hint, client_id: 'nobody' },
      { id_token_hint: 'e30.e30.e30' },
    ]
    for (const query of refused) {
      const { status, headers } = await get(`/end-session?${new URLSearchParams(query)}`)
      assert.deepEqual([status, headers.location], [400, undefined], JSON.stringify(Object.keys(query)))
    }
  })
})

describe('the sign-in page of the test provider', () => {
  async function open(): Promise<{ readonly issuer: string; readonly fields: URLSearchParams; readonly body: string }> {
    const provider = stopLater(stoppable(await startTestProvider({ signInPage: true })))
    const { status, body } = await authorize(provider, { login_hint: '"><b>' })
    assert.equal(status, 200)
    const [, id = ''] = /name="request" value="([^"]+)"/.exec(body) ?? []
    return { issuer: provider.issuer, body, fields: new URLSearchParams({ request: id }) }
  }

  async function submit(issuer: string, fields: URLSearchParams, more: Record<string, string>): Promise<Answer> {
    const body = String(new URLSearchParams([...fields, ...Object.entries(more)]))
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    return exchange({ method: 'POST', url: new URL(`${issuer}/sign-in`), headers, body })
  }

  it('escapes what it is given', async () => {
    assert.match((await open()).body, /value="&quot;&gt;&lt;b&gt;"/)
  })

  it('names its users, at most ten of them', async () => {
    assert.match((await open()).body, /for development and tests\. Users: alice\. Any password works\./)
    const users = Array.from({ length: 11 }, (_, index) => ({ sub: `<u${index}>` }))
    const provider = stopLater(stoppable(await startTestProvider({ signInPage: true, users })))
    assert.match((await authorize(provider)).body, /Users: &lt;u0&gt;, (?:&lt;u\d&gt;, ){9}and more\./)
  })

  it('logs a user in, once', async () => {
    const { issuer, fields } = await open()
    const { headers } = await submit(issuer, fields, { username: 'alice@example.com', password: 'any' })
    assert.match(headers.location ?? '', /^http:\/\/localhost:3000\/callback\?code=/)
    assert.equal((await submit(issuer, fields, { username: 'alice' })).status, 400)
  })

  it('asks again for a user whom it does not know, and does not echo them as HTML', async () => {
    const { issuer, fields } = await open()
    const { status, body } = await submit(issuer, fields, { username: '<i>mallory' })
    assert.equal(status, 200)
    assert.match(body, /There is no such user\./)
    assert.doesNotMatch(body, /<i>/)
    assert.match((await submit(issuer, fields, {})).body, /no such user/)
    assert.match((await submit(issuer, fields, { username: 'alice' })).headers.location ?? '', /code=/)
  })

  it('is empty without a login_hint', async () => {
    const provider = stopLater(stoppable(await startTestProvider({ signInPage: true })))
    assert.match((await authorize(provider)).body, /autocomplete="username" value=""/)
  })

  it('sends the user back without a login who cancels', async () => {
    const { issuer, fields } = await open()
    const { headers } = await submit(issuer, fields, { cancel: '1' })
    assert.match(headers.location ?? '', /error=access_denied/)
  })
})
