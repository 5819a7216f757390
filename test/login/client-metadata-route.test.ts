import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError, type PrivateJwk } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { codesOf, startApp, type TestApp } from '../support/app/app.ts'
import { createClientKeys } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import { exchange } from '../support/browser/http-exchange.ts'

const stage = createStage({ app: { errorHandler: 'json' } })
const keys = createClientKeys() as readonly PrivateJwk[]
const SECRET = 's'.repeat(32)
const PATH = '/client.json'

const GOOD = {
  issuer: 'https://id.example',
  clientId: `https://app.example/portal${PATH}`,
  baseUrl: 'https://app.example/portal',
  secret: SECRET,
  routes: { clientMetadata: PATH },
}

function faultsOf(options: object): readonly string[] {
  try {
    parseOptions({ ...GOOD, ...options })
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.faults
  }
}

/** An app whose `clientId` is the URL of its document. Its port is known only when it listens. */
async function start(options: object = {}): Promise<TestApp> {
  const { issuer } = stage.provider
  const baseUrl = 'http://127.0.0.1:8080'
  const given = { issuer, baseUrl, clientId: baseUrl + PATH, clientSecret: '', secret: SECRET }
  return stage.stopLater(
    await startApp({ errorHandler: 'json', options: { ...given, routes: { clientMetadata: PATH }, ...options } }),
  )
}

async function documentOf(app: TestApp) {
  const answer = await exchange({ method: 'GET', url: new URL(app.origin + PATH), headers: {} })
  assert.equal(answer.status, 200, answer.body)
  return { answer, document: JSON.parse(answer.body) }
}

describe('the route clientMetadata', () => {
  it('serves the metadata of a public client, at its clientId', async () => {
    const { document } = await documentOf(await start())
    assert.deepEqual(document, {
      client_id: 'http://127.0.0.1:8080/client.json',
      client_name: '127.0.0.1:8080',
      redirect_uris: ['http://127.0.0.1:8080/callback'],
      post_logout_redirect_uris: ['http://127.0.0.1:8080'],
      response_types: ['code'],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'none',
      scope: 'openid profile email',
    })
  })

  it('serves what a login sends', async () => {
    const app = await start()
    const { document } = await documentOf(app)
    const { next } = await app.browser().open('/login', { stopBefore: isAtProvider })
    const params = new URL(next?.url ?? '').searchParams
    assert.equal(params.get('client_id'), document.client_id)
    assert.ok(document.redirect_uris.includes(params.get('redirect_uri')))
  })

  it('serves the public parts of the keys, and no private one', async () => {
    const options = { clientKeys: keys, tokenEndpointAuthMethod: 'private_key_jwt' }
    const { answer, document } = await documentOf(await start(options))
    assert.equal(document.token_endpoint_auth_method, 'private_key_jwt')
    assert.equal(document.jwks.keys.length, keys.length)
    for (const { d } of keys) assert.ok(typeof d === 'string' && !answer.body.includes(d))
  })

  it('serves jwks_uri and the logout URLs over https', async () => {
    const options = { clientKeys: keys, tokenEndpointAuthMethod: 'private_key_jwt' }
    const https = { baseUrl: GOOD.baseUrl, clientId: GOOD.clientId, issuer: 'https://id.example' }
    const { document } = await documentOf(await start({ ...options, ...https }))
    const { jwks_uri: jwksUri, backchannel_logout_uri: logoutUri, jwks } = document
    assert.deepEqual(
      [jwksUri, logoutUri, jwks],
      [`${GOOD.baseUrl}/jwks`, `${GOOD.baseUrl}/backchannel-logout`, undefined],
    )
  })

  it('serves further members of clientMetadata', async () => {
    const clientMetadata = {
      client_name: 'Portal',
      logo_uri: 'https://app.example/logo.png',
      redirect_uris: ['http://127.0.0.1:8080/callback', 'http://127.0.0.1:8080/mobile'],
    }
    const { document } = await documentOf(await start({ clientMetadata }))
    assert.deepEqual({ ...document, ...clientMetadata }, document)
  })

  it('lets caches keep it for an hour, and sets no cookie', async () => {
    const { answer } = await documentOf(await start())
    const { 'cache-control': cache, 'content-type': type } = answer.headers
    assert.deepEqual([cache, type], ['public, max-age=3600', 'application/json; charset=utf-8'])
    assert.deepEqual(answer.setCookies, [])
  })

  it('lets no cache keep it for a browser with cookies', async () => {
    const app = await start()
    const answer = await exchange({ method: 'GET', url: new URL(app.origin + PATH), headers: { cookie: 'a=b' } })
    assert.equal(answer.headers['cache-control'], 'no-store')
  })

  it('accepts only GET and HEAD', async () => {
    const app = await start()
    const url = new URL(app.origin + PATH)
    assert.equal((await exchange({ method: 'HEAD', url, headers: {} })).status, 200)
    assert.equal((await exchange({ method: 'POST', url, headers: {}, body: '' })).status, 405)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_METHOD_NOT_ALLOWED'])
  })

  it('does not exist unless it is named', async () => {
    const app = await stage.start()
    assert.equal((await exchange({ method: 'GET', url: new URL(app.origin + PATH), headers: {} })).status, 404)
  })
})

// [the options, the message]
const CONTRADICTIONS: readonly (readonly [options: object, message: string])[] = [
  [
    { clientId: 'web' },
    'clientId must be "https://app.example/portal/client.json" with routes.clientMetadata, which serves the document there.',
  ],
  [
    { clientId: `${GOOD.clientId}/` },
    'clientId must be "https://app.example/portal/client.json" with routes.clientMetadata, which serves the document there.',
  ],
  [
    { clientId: 'https://app.example/client.json' },
    'clientId must be "https://app.example/portal/client.json" with routes.clientMetadata, which serves the document there.',
  ],
  [{ clientSecret: SECRET }, 'clientSecret must be left out with routes.clientMetadata: nobody shares a secret then.'],
  [
    { tokenEndpointAuthMethod: 'self_signed_tls_client_auth', fetch: async () => new Response() },
    "tokenEndpointAuthMethod must be 'none' or 'private_key_jwt' with routes.clientMetadata.",
  ],
  [
    { routes: {}, clientMetadata: { client_name: 'Portal' } },
    'clientMetadata needs routes.clientMetadata, the path of the document.',
  ],
  ...['client_id', 'client_secret', 'client_secret_expires_at', 'jwks', 'jwks_uri'].map(
    (name) =>
      [
        { clientMetadata: { [name]: 'x' } },
        `clientMetadata must not contain ${name}: it follows from the other options, or no document may have it.`,
      ] as const,
  ),
  ...Object.entries({
    redirect_uris: ['https://app.example/portal/other'],
    post_logout_redirect_uris: [],
    response_types: ['id_token'],
    grant_types: ['implicit'],
    token_endpoint_auth_method: 'client_secret_basic',
    scope: 'openid',
    backchannel_logout_uri: 'https://other.example/logout',
  }).map(
    ([name, value]) =>
      [
        { clientMetadata: { [name]: value } },
        `clientMetadata.${name} contradicts the other options. Leave it out, or add their values to it.`,
      ] as const,
  ),
]

describe('a client metadata document', () => {
  it('is possible for a public client, and for one that signs', () => {
    assert.deepEqual(faultsOf({}), [])
    assert.deepEqual(faultsOf({ tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: keys }), [])
    assert.deepEqual(faultsOf({ clientMetadata: { client_name: 'Portal', token_endpoint_auth_method: 'none' } }), [])
  })

  for (const [options, message] of CONTRADICTIONS) {
    it(`is refused with ${JSON.stringify(options).slice(0, 80)}`, () => {
      assert.deepEqual(faultsOf(options), [message])
    })
  }

  it('is that of one provider of several', () => {
    const { issuer, clientId, ...app } = GOOD
    const [one, other] = [
      { issuer, clientId },
      { issuer: 'https://b.example', clientId: 'web' },
    ]
    assert.equal(parseOptions({ ...app, providers: { one, other } }).clients.length, 2)
    assert.throws(() => parseOptions({ ...app, providers: { one, other: { ...other, clientId } } }), {
      faults: ['routes.clientMetadata serves the document of one client. Give one provider that clientId.'],
    })
  })
})
