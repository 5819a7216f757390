import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import { after, before, describe, it } from 'node:test'
import connect from 'connect'
import express from 'express'
import session from 'express-session'
import express4 from 'express4'
import {
  createResourceMetadata,
  createResourceMetadataHandler,
  type ResourceMetadataSettings,
  resourceMetadataUrl,
} from '../../lib/bearer/resource-metadata.ts'
import { bearer } from '../../lib/bearer.ts'
import type { OidcError } from '../../lib/errors.ts'
import type { Handler } from '../../lib/http/request.ts'
import { startApi } from '../support/app/api-app.ts'
import { stopAfterEach } from '../support/app/stage.ts'
import { type Listening, listen } from '../support/servers/http-server.ts'

const SETTINGS: ResourceMetadataSettings = {
  resource: 'https://api.example.com/mcp',
  authorizationServers: ['https://as.example.com'],
  scopesSupported: ['orders:read', 'orders:write'],
}

const PATH = '/.well-known/oauth-protected-resource/mcp'

/** An app with the handler, and an API behind it that answers everything else. */
const HOSTS: Readonly<Record<string, (handler: Handler) => RequestListener>> = {
  'Express 5': (handler) => {
    const app = express()
    app.use(handler, (_req, res) => void res.send('the app'))
    app.use(handleError)
    return app
  },
  'Express 4': (handler) => {
    const app = express4()
    app.use(handler as express4.RequestHandler, (_req, res) => void res.send('the app'))
    app.use(handleError as express4.ErrorRequestHandler)
    return app
  },
  Connect: (handler) => {
    const app = connect()
    app.use(handler)
    app.use((_req, res) => void res.end('the app'))
    app.use(handleError as connect.ErrorHandleFunction)
    return app
  },
}

/** Four parameters make an error handler. */
const handleError: express.ErrorRequestHandler = ({ code, status, headers }: OidcError, _req, res, _next) => {
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  res.statusCode = status
  res.end(code)
}

async function resourceOf(response: Response): Promise<unknown> {
  const { resource }: Readonly<Record<string, unknown>> = Object(await response.json())
  return resource
}

async function serve(listener: RequestListener, work: (origin: string) => Promise<void>): Promise<void> {
  const { port, stop } = await listen(createServer(listener))
  try {
    await work(`http://127.0.0.1:${port}`)
  } finally {
    await stop()
  }
}

describe('resourceMetadataUrl()', () => {
  const rows = [
    ['https://api.example.com', 'https://api.example.com/.well-known/oauth-protected-resource'],
    ['https://api.example.com/', 'https://api.example.com/.well-known/oauth-protected-resource'],
    ['https://api.example.com/mcp', 'https://api.example.com/.well-known/oauth-protected-resource/mcp'],
    ['https://api.example.com/a/b/', 'https://api.example.com/.well-known/oauth-protected-resource/a/b/'],
    ['https://api.example.com:8443/mcp', 'https://api.example.com:8443/.well-known/oauth-protected-resource/mcp'],
    ['https://api.example.com/mcp?k=v', 'https://api.example.com/.well-known/oauth-protected-resource/mcp?k=v'],
    ['https://api.example.com?k=v', 'https://api.example.com/.well-known/oauth-protected-resource?k=v'],
  ] as const
  for (const [resource, url] of rows) {
    it(`puts the well-known path between host and path of ${resource}`, () => {
      assert.equal(resourceMetadataUrl(resource), url)
    })
  }

  it('has no character that would end the quotes of a challenge', () => {
    assert.doesNotMatch(resourceMetadataUrl('https://api.example.com/a"b\\c?d="e"'), /["\\]/)
  })
})

describe('createResourceMetadata()', () => {
  it('says what the configuration says, and no more', () => {
    assert.deepEqual(createResourceMetadata(SETTINGS), {
      resource: 'https://api.example.com/mcp',
      authorization_servers: ['https://as.example.com'],
      scopes_supported: ['orders:read', 'orders:write'],
      bearer_methods_supported: ['header'],
    })
  })

  it('leaves out empty lists and what is not enforced', () => {
    const metadata = createResourceMetadata({
      ...SETTINGS,
      authorizationServers: [],
      scopesSupported: [],
      dpopAlgorithms: [],
      requiresDpop: false,
      bindsCertificates: false,
    })
    assert.deepEqual(Object.keys(metadata), ['resource', 'bearer_methods_supported'])
  })

  it('says how senders are constrained', () => {
    const metadata = createResourceMetadata({
      ...SETTINGS,
      dpopAlgorithms: ['ES256'],
      requiresDpop: true,
      bindsCertificates: true,
    })
    assert.deepEqual(
      [
        metadata['dpop_signing_alg_values_supported'],
        metadata['dpop_bound_access_tokens_required'],
        metadata['tls_client_certificate_bound_access_tokens'],
      ],
      [['ES256'], true, true],
    )
  })

  it('adds further members, which replace none that says what is enforced', () => {
    const metadata = createResourceMetadata({
      ...SETTINGS,
      extraMetadata: {
        resource_name: 'Orders',
        resource: 'https://evil.example',
        authorization_servers: ['https://evil.example'],
        bearer_methods_supported: ['query'],
        dpop_bound_access_tokens_required: true,
        tls_client_certificate_bound_access_tokens: true,
        dpop_signing_alg_values_supported: ['none'],
      },
    })
    assert.deepEqual(metadata, { ...createResourceMetadata(SETTINGS), resource_name: 'Orders' })
  })

  it('keeps further members that are null or empty text', () => {
    const extraMetadata = { resource_name: '', resource_documentation: null }
    const metadata = createResourceMetadata({ ...SETTINGS, extraMetadata })
    assert.deepEqual(metadata, { ...createResourceMetadata(SETTINGS), ...extraMetadata })
  })
})

for (const [name, createHost] of Object.entries(HOSTS)) {
  describe(`the metadata handler on ${name}`, () => {
    let listening: Listening
    let url = ''
    before(async () => {
      listening = await listen(createServer(createHost(createResourceMetadataHandler(SETTINGS))))
      url = `http://127.0.0.1:${listening.port}`
    })
    after(() => listening.stop())

    it('serves it at the well-known path, to everyone, with headers for caches', async () => {
      const response = await fetch(url + PATH)
      assert.equal(response.status, 200)
      assert.deepEqual(await response.json(), createResourceMetadata(SETTINGS))
      const { headers } = response
      assert.match(headers.get('content-type') ?? '', /^application\/json/)
      assert.equal(headers.get('access-control-allow-origin'), '*')
      assert.equal(headers.get('cache-control'), 'public, max-age=3600')
      assert.equal(headers.get('x-content-type-options'), 'nosniff')
      assert.equal(headers.get('access-control-allow-credentials'), null)
    })

    it('serves HEAD with the same headers, and no body', async () => {
      const [get, head] = [await fetch(url + PATH), await fetch(url + PATH, { method: 'HEAD' })]
      assert.deepEqual([head.status, await head.text()], [200, ''])
      for (const header of ['content-length', 'content-type', 'etag', 'cache-control', 'access-control-allow-origin']) {
        assert.equal(head.headers.get(header), get.headers.get(header), header)
      }
      await get.text()
    })

    it('answers a preflight', async () => {
      const headers = {
        origin: 'https://evil.example',
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'mcp-protocol-version',
      }
      const response = await fetch(url + PATH, { method: 'OPTIONS', headers })
      assert.deepEqual([response.status, await response.text()], [204, ''])
      assert.equal(response.headers.get('access-control-allow-origin'), '*')
      assert.equal(response.headers.get('access-control-allow-methods'), 'GET, HEAD')
      assert.match(response.headers.get('access-control-allow-headers') ?? '', /^\*/)
      assert.deepEqual(
        [response.headers.get('access-control-max-age'), response.headers.get('content-length')],
        ['3600', '0'],
      )
    })

    it('answers 304 to whoever has it', async () => {
      const first = await fetch(url + PATH)
      await first.text()
      const etag = first.headers.get('etag') ?? ''
      const again = await fetch(url + PATH, { headers: { 'if-none-match': etag } })
      assert.deepEqual([again.status, await again.text(), again.headers.get('etag')], [304, '', etag])
      assert.equal(again.headers.get('cache-control'), 'public, max-age=3600')
      const other = await fetch(url + PATH, { headers: { 'if-none-match': '"other"' } })
      assert.equal(other.status, 200)
      await other.text()
    })

    it('refuses other methods', async () => {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const response = await fetch(url + PATH, { method })
        assert.deepEqual([response.status, await response.text()], [405, 'ERR_OIDC_METHOD_NOT_ALLOWED'])
        assert.equal(response.headers.get('allow'), 'GET, HEAD, OPTIONS')
      }
    })

    it('serves the path with and without a slash at its end, and with a query', async () => {
      for (const suffix of ['/', '?a=b', '/?a=b']) {
        const response = await fetch(url + PATH + suffix)
        assert.equal(await resourceOf(response), SETTINGS.resource, suffix)
      }
    })

    it('passes everything else on', async () => {
      const others = [
        '/',
        '/mcp',
        '/.well-known/oauth-protected-resource',
        `${PATH}/more`,
        `/a${PATH}`,
        PATH.toUpperCase(),
      ]
      for (const path of others) {
        const response = await fetch(url + path)
        assert.deepEqual([path, await response.text()], [path, 'the app'])
      }
    })

    it('takes nothing from the request: neither Host nor a forwarded host nor Origin', async () => {
      const headers = {
        'x-forwarded-host': 'evil.example',
        forwarded: 'host=evil.example',
        origin: 'https://evil.example',
      }
      const response = await fetch(url + PATH, { headers })
      const text = await response.text()
      assert.ok(!/evil|127\.0\.0\.1/.test(text + JSON.stringify([...response.headers])), text)
    })
  })
}

describe('the metadata handler', () => {
  it('serves below the mount path of Express, too', async () => {
    const app = express()
    app.use('/.well-known', createResourceMetadataHandler(SETTINGS))
    await serve(app, async (origin) => {
      assert.equal((await fetch(origin + PATH)).status, 200)
    })
  })

  it('serves without a framework, and passes everything else on', async () => {
    const handler = createResourceMetadataHandler(SETTINGS)
    const listener: RequestListener = (req, res) => void handler(req, res, () => res.end('the app'))
    await serve(listener, async (origin) => {
      assert.equal(await resourceOf(await fetch(`${origin}${PATH}?a=b`)), SETTINGS.resource)
      assert.equal(await (await fetch(`${origin}/mcp`)).text(), 'the app')
    })
  })

  it('serves an API at the root of its host', async () => {
    const app = express().use(createResourceMetadataHandler({ ...SETTINGS, resource: 'https://api.example.com/' }))
    await serve(app, async (origin) => {
      const response = await fetch(`${origin}/.well-known/oauth-protected-resource`)
      assert.equal(await resourceOf(response), 'https://api.example.com/')
    })
  })

  it('serves several APIs, each at its own path', async () => {
    const app = express()
    for (const resource of ['https://api.example.com/a', 'https://api.example.com/b']) {
      app.use(createResourceMetadataHandler({ ...SETTINGS, resource }))
    }
    await serve(app, async (origin) => {
      for (const name of ['a', 'b']) {
        const response = await fetch(`${origin}/.well-known/oauth-protected-resource/${name}`)
        assert.equal(await resourceOf(response), `https://api.example.com/${name}`)
      }
    })
  })

  it('starts no session, and is not cached for a request with a cookie', async () => {
    const app = express()
    app.use(session({ secret: 'a secret of a test', resave: false, saveUninitialized: true }))
    app.use(createResourceMetadataHandler(SETTINGS))
    await serve(app, async (origin) => {
      const response = await fetch(origin + PATH)
      assert.equal(response.headers.get('set-cookie'), null)
      const withCookie = await fetch(origin + PATH, { headers: { cookie: 'a=b' } })
      assert.equal(withCookie.headers.get('cache-control'), 'no-store')
      await Promise.all([response.text(), withCookie.text()])
    })
  })
})

describe('the metadata of bearer()', () => {
  const stopLater = stopAfterEach()
  const AS = { issuer: 'https://as.example.com', audience: 'https://api.example.com' }
  const resource = 'https://api.example.com/mcp'
  const rows: readonly [string, Parameters<typeof startApi>[1], object][] = [
    ['one issuer', {}, { authorization_servers: [AS.issuer] }],
    [
      'two issuers',
      { issuers: [{ issuer: AS.issuer }, { issuer: 'https://other.example.com' }] },
      { authorization_servers: [AS.issuer, 'https://other.example.com'] },
    ],
    ['a function in issuers', { issuers: () => undefined }, {}],
    [
      'client certificates',
      { clientCertificate: 'tls' },
      { authorization_servers: [AS.issuer], tls_client_certificate_bound_access_tokens: true },
    ],
    [
      'tokens that must be bound, to a key or a certificate',
      { senderConstrained: 'required', clientCertificate: 'tls' },
      { authorization_servers: [AS.issuer], tls_client_certificate_bound_access_tokens: true },
    ],
  ]
  for (const [name, options, expected] of rows) {
    it(`names what the options say, and every challenge leads to it: ${name}`, async () => {
      const app = stopLater(await startApi(AS, { resource, ...options }))
      const document = (await app.call(undefined, { path: PATH })).json()
      const { authorization_servers, dpop_bound_access_tokens_required } = document
      const { tls_client_certificate_bound_access_tokens } = document
      const found = {
        authorization_servers,
        dpop_bound_access_tokens_required,
        tls_client_certificate_bound_access_tokens,
      }
      assert.deepEqual([document['resource'], JSON.parse(JSON.stringify(found))], [resource, expected])
      assert.equal((await app.call(undefined, { path: PATH, method: 'POST' })).status, 405)
      const { status, challenge = '' } = await app.call('an.invalid.token')
      const address = `resource_metadata="${resourceMetadataUrl(resource)}"`
      // One for Bearer and one for DPoP.
      assert.deepEqual([status, challenge.split(address).length - 1], [401, 2])
    })
  }

  it('has the scopes of resourceMetadata', async () => {
    const resourceMetadata = { scopes_supported: ['orders:read'] }
    const app = stopLater(await startApi(AS, { resource, resourceMetadata }))
    assert.deepEqual((await app.call(undefined, { path: PATH })).json()['scopes_supported'], ['orders:read'])
  })

  it('can be mounted beside the path of the API', async () => {
    const api = bearer({ ...AS, resource })
    const app = express()
    app.use(api.resourceMetadata)
    app.use('/mcp', api)
    await serve(app, async (origin) => {
      assert.equal(await resourceOf(await fetch(origin + PATH)), resource)
      assert.deepEqual([(await fetch(`${origin}/mcp`)).status, (await fetch(`${origin}/else`)).status], [401, 404])
    })
  })

  it('says that tokens must be bound to a DPoP key, if no certificate will do', async () => {
    const app = stopLater(await startApi(AS, { resource, senderConstrained: 'required' }))
    const document = (await app.call(undefined, { path: PATH })).json()
    const { dpop_bound_access_tokens_required, dpop_signing_alg_values_supported } = document
    assert.deepEqual(
      [dpop_bound_access_tokens_required, dpop_signing_alg_values_supported],
      [true, ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']],
    )
  })

  it('is served with an empty query or a fragment, and a preflight passes no error on', async () => {
    const app = stopLater(await startApi(AS, { resource }))
    for (const path of [`${PATH}?`, `${PATH}#`, `${PATH}?a#b`]) {
      assert.equal((await app.callRaw([], { path })).json()['resource'], resource, path)
    }
    assert.equal((await app.call(undefined, { path: PATH, method: 'OPTIONS' })).status, 204)
    assert.deepEqual([app.reached, app.errors], [[], []])
  })

  it('leads nowhere without resource', async () => {
    const app = stopLater(await startApi(AS))
    const { status, challenge = '' } = await app.call('an.invalid.token')
    assert.deepEqual([status, challenge.includes('resource_metadata')], [401, false])
  })
})
