import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, it, mock } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type OidcMiddleware, type Options, oidc, ProviderError, type ProviderMetadata } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp, usualOptions } from '../support/app/app.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider, isCallback } from '../support/app/url-predicates.ts'
import type { JsonChange, RawHandler } from '../support/strict-provider/context.ts'
import type { StrictProvider, StrictProviderOptions } from '../support/strict-provider/provider.ts'

const stage = createStage({ app: { errorHandler: 'json' } })
const { start, startOther } = stage

async function waitUntil(isDone: () => boolean): Promise<void> {
  for (let round = 0; round < 3000 && !isDone(); round++) await setTimeout(10)
  assert.ok(isDone())
}

async function logIn(app: TestApp): Promise<number> {
  return (await app.browser().open('/profile')).status
}

const hangUp: RawHandler = (_req, res) => void res.destroy()

function stopTime(): void {
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
}

function passSeconds(seconds: number): void {
  mock.timers.tick(seconds * 1000)
}

describe('discovery', () => {
  it('waits for the first login', async () => {
    const app = await start()
    await app.browser().open('/')
    await app.browser().fetch('/profile')
    await app.browser().open('/profile', { follow: false })
    await app.browser().post('/logout')
    assert.equal(stage.provider.requests.length, 0)
    assert.equal(await logIn(app), 200)
    assert.deepEqual([stage.provider.calls['/discovery'], stage.provider.calls['/jwks']], [1, 1])
  })

  it('is fetched once for 20 simultaneous first logins, and so are the keys', async () => {
    const app = await start()
    const logins = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const browser = app.browser()
        return { browser, page: await browser.open('/profile', { stopBefore: isCallback }) }
      }),
    )
    assert.deepEqual([stage.provider.calls['/discovery'], stage.provider.calls['/jwks']], [1, 0])
    const pages = await Promise.all(logins.map(({ browser, page }) => browser.go(page.next)))
    assert.ok(pages.every(({ status }) => status === 200))
    assert.deepEqual(
      [stage.provider.calls['/discovery'], stage.provider.calls['/jwks'], stage.provider.calls['/token']],
      [1, 1, 20],
    )
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('is retried by the next login after a failure', async () => {
    const app = await start()
    stage.provider.change.raw['/discovery'] = hangUp
    assert.equal(await logIn(app), 503)
    stage.provider.change.raw = {}
    assert.equal(await logIn(app), 200)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_PROVIDER_UNREACHABLE'])
  })

  it('fails for all logins that wait for it, and leaves no login in progress', async () => {
    const app = await start()
    stage.provider.change.raw['/discovery'] = hangUp
    const browsers = Array.from({ length: 5 }, () => app.browser())
    const pages = await Promise.all(browsers.map((browser) => browser.open('/login')))
    assert.deepEqual(
      pages.map(({ status }) => status),
      [503, 503, 503, 503, 503],
    )
    assert.ok(browsers.every((browser) => browser.cookies().length === 0))
  })

  it('is cached for as long as Cache-Control says', async () => {
    stopTime()
    stage.provider.change.discovery = (json, answer) => {
      answer.headers['Cache-Control'] = 'max-age=600'
      return json
    }
    const app = await start()
    await logIn(app)
    passSeconds(400)
    await logIn(app)
    assert.equal(stage.provider.calls['/discovery'], 1)
    passSeconds(201)
    await logIn(app)
    assert.equal(stage.provider.calls['/discovery'], 2)
  })

  it('KR-4: keeps no login waiting while a slow provider renews metadata and keys', async () => {
    stopTime()
    const app = await start()
    await logIn(app)
    const before = { ...stage.provider.calls }
    // The copies last for a minute. Neither request is answered until all logins are done.
    const waiting: ServerResponse[] = []
    for (const endpoint of ['/discovery', '/jwks'] as const) {
      stage.provider.change.raw[endpoint] = (_req, res) => void waiting.push(res)
    }
    passSeconds(50)
    for (let login = 0; login < 3; login += 1) await logIn(app)
    assert.equal(stage.provider.calls['/discovery'], before['/discovery'] + 1)
    assert.equal(stage.provider.calls['/jwks'], before['/jwks'] + 1)
    const { metadata, keys } = app.auth.status().providers['default'] ?? assert.fail()
    assert.deepEqual([metadata.state, metadata.ageSeconds, keys.state], ['fresh', 50, 'fresh'])
    for (const endpoint of ['/discovery', '/jwks'] as const) Reflect.deleteProperty(stage.provider.change.raw, endpoint)
    // A connection that breaks at the end would renew the metadata once more, during the next test.
    for (const res of waiting) res.writeHead(503).end()
    await waitUntil(() => {
      const status = app.auth.status().providers['default'] ?? assert.fail()
      return status.metadata.lastError !== null && status.keys.lastError !== null
    })
  })

  it('applies new metadata: an endpoint may move, and the keys are kept if jwks_uri stays', async () => {
    stopTime()
    const app = await start()
    await logIn(app)
    stage.provider.change.discovery = (json) => ({ ...json, authorization_endpoint: `${stage.provider.issuer}/moved` })
    passSeconds(86_401)
    const page = await app.browser().open('/login', { stopBefore: isAtProvider })
    assert.equal(new URL(page.next?.url ?? '').pathname, '/moved')
    stage.provider.change.discovery = undefined
    passSeconds(86_401)
    await logIn(app)
    assert.deepEqual([stage.provider.calls['/discovery'], codesOf(app)], [3, []])
  })

  it('fetches new keys if jwks_uri has changed', async () => {
    stopTime()
    const keys = await startOther()
    await keys.rotateKeys()
    const app = await start()
    await logIn(app)
    stage.provider.change.discovery = (json) => ({ ...json, jwks_uri: keys.endpointUrls['/jwks'] })
    passSeconds(86_401)
    assert.equal(await logIn(app), 502)
    assert.deepEqual([codesOf(app), stage.provider.calls['/jwks']], [['ERR_OIDC_ID_TOKEN_KEY'], 1])
    assert.ok(keys.calls['/jwks'] > 0)
  })

  it('uses the last metadata while the provider is down, and does not flood it', async () => {
    stopTime()
    const app = await start()
    await logIn(app)
    stage.provider.change.raw['/discovery'] = (_req, res) => void res.writeHead(503).end()
    passSeconds(86_401)
    for (let attempt = 0; attempt < 3; attempt++) assert.equal(await logIn(app), 200)
    assert.equal(stage.provider.calls['/discovery'], 2)
    passSeconds(31)
    assert.equal(await logIn(app), 200)
    assert.equal(stage.provider.calls['/discovery'], 3)
    stage.provider.change.raw = {}
    passSeconds(31)
    await logIn(app)
    await logIn(app)
    assert.deepEqual([stage.provider.calls['/discovery'], codesOf(app)], [4, []])
  })

  it('uses the last metadata while the new one has another issuer', async () => {
    stopTime()
    const app = await start()
    await logIn(app)
    stage.provider.change.discovery = (json) => ({ ...json, issuer: 'https://evil.test' })
    passSeconds(86_401)
    assert.equal(await logIn(app), 200)
  })

  const gone: readonly (readonly [string, RawHandler])[] = [
    ['404', (_req, res) => void res.writeHead(404).end()],
    ['410', (_req, res) => void res.writeHead(410).end()],
    ['no response', hangUp],
  ]
  for (const [name, handler] of gone) {
    it(`N-15: is renewed if an endpoint answers with ${name}, at most three times at once`, async () => {
      const app = await start()
      await logIn(app)
      stage.provider.change.raw['/token'] = handler
      const moved = `${stage.provider.endpointUrls['/authorize']}?moved=1`
      stage.provider.change.discovery = (json) => ({ ...json, authorization_endpoint: moved })
      await logIn(app)
      let url = ''
      for (let count = 0; count < 50 && !url.includes('moved=1'); count += 1) {
        url = (await app.browser().open('/login', { stopBefore: isAtProvider })).next?.url ?? ''
      }
      assert.match(url, /moved=1/)
      for (let count = 0; count < 6; count += 1) await logIn(app)
      assert.equal(stage.provider.calls['/discovery'], 4)
    })
  }

  it('N-15: is renewed if the keys are gone', async () => {
    stopTime()
    const app = await start()
    await logIn(app)
    const other = await startOther()
    await stage.provider.rotateKeys()
    stage.provider.change.raw['/jwks'] = (_req, res) => void res.writeHead(404).end()
    stage.provider.change.discovery = (json) => ({ ...json, jwks_uri: other.endpointUrls['/jwks'] })
    other.change.jwks = () => ({ keys: [stage.provider.keys.rsa.jwk] })
    assert.equal(await logIn(app), 502)
    assert.equal(await logIn(app), 200)
    assert.equal(stage.provider.calls['/discovery'], 2)
  })

  it('finds rotated keys at once', async () => {
    const other = await startOther()
    const app = await start({}, { provider: other })
    await logIn(app)
    await other.rotateKeys()
    assert.equal(await logIn(app), 200)
    assert.deepEqual([other.calls['/jwks'], other.calls['/discovery']], [2, 1])
  })
})

describe('an issuer', () => {
  const layouts: readonly (readonly [name: string, options: StrictProviderOptions, path: string])[] = [
    ['at the root', { layout: 'plain' }, '/.well-known/openid-configuration'],
    ['that ends with a slash', { layout: 'trailing-slash' }, '/tenant/.well-known/openid-configuration'],
    ['at the root that ends with a slash', { issuerPath: '/' }, '/.well-known/openid-configuration'],
    ["of Okta's org authorization server", { layout: 'okta-org' }, '/.well-known/openid-configuration'],
    [
      "of one of Okta's custom authorization servers",
      { layout: 'okta-custom' },
      '/oauth2/default/.well-known/openid-configuration',
    ],
  ]
  for (const [name, options, path] of layouts) {
    it(`${name} has its metadata below its own path`, async () => {
      const other = await startOther(options)
      const app = await start({}, { provider: other })
      assert.equal(await logIn(app), 200)
      assert.equal(other.requests[0]?.path, path)
      assert.deepEqual(other.complaints, [])
    })
  }

  it('is refused if its metadata names another one: a slash at the end counts', async () => {
    const app = await start({ issuer: `${stage.provider.issuer}/` })
    assert.equal(await logIn(app), 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_DISCOVERY_ISSUER'])
    assert.match(app.errors[0]?.message ?? '', /character by character/)
  })

  it('gets advice if it has no metadata', async () => {
    const app = await start({ issuer: `${stage.provider.issuer}/wrong` })
    assert.equal(await logIn(app), 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_PROVIDER_STATUS'])
    assert.match(app.errors[0]?.message ?? '', /The issuer option is probably wrong.*For Okta it is/)
    assert.ok(app.errors[0]?.cause instanceof ProviderError)
  })
})

describe('metadata', () => {
  for (const value of [null, '']) {
    it(`N-19: has no endpoint if a member is ${JSON.stringify(value)}`, async () => {
      stage.provider.change.discovery = (json) => ({ ...json, userinfo_endpoint: value, end_session_endpoint: value })
      const app = await start()
      assert.equal(await logIn(app), 200)
      assert.deepEqual(codesOf(app), [])
    })
  }

  const faults: readonly (readonly [name: string, change: JsonChange, message: RegExp])[] = [
    ['without token_endpoint', ({ token_endpoint: _, ...json }) => json, /lacks token_endpoint\./],
    ['without anything', ({ issuer }) => ({ issuer }), /lacks authorization_endpoint, token_endpoint, jwks_uri\./],
    [
      'with an endpoint that is no URL',
      (json) => ({ ...json, token_endpoint: '/token', jwks_uri: 7 }),
      /has no https URL for token_endpoint, jwks_uri\./,
    ],
    [
      'with a faulty endpoint and one too few',
      ({ jwks_uri: _, ...json }) => ({ ...json, userinfo_endpoint: 5 }),
      /lacks jwks_uri and has no https URL for userinfo_endpoint\./,
    ],
    [
      'with an endpoint of another scheme',
      (json) => ({ ...json, end_session_endpoint: 'javascript:alert(1)' }),
      /has no https URL for end_session_endpoint\./,
    ],
  ]
  for (const [name, change, message] of faults) {
    it(`${name} is refused`, async () => {
      stage.provider.change.discovery = change
      const app = await start()
      assert.equal(await logIn(app), 502)
      assert.deepEqual(codesOf(app), ['ERR_OIDC_METADATA_INVALID'])
      assert.match(app.errors[0]?.message ?? '', message)
    })
  }

  it('with http URLs is refused unless insecure requests are allowed', async () => {
    const issuer = 'https://op.example.test'
    const metadata = { issuer, authorization_endpoint: `${issuer}/a`, token_endpoint: 'http://op.example.test/t' }
    const fetch = async (): Promise<Response> => Response.json({ ...metadata, jwks_uri: `${issuer}/k` })
    const auth = oidc({
      issuer,
      clientId: 'x',
      clientSecret: 'y'.repeat(32),
      baseUrl: 'https://app.example.test',
      fetch,
    })
    await assert.rejects(auth.ready(), { code: 'ERR_OIDC_METADATA_INVALID', message: /for token_endpoint/ })
  })
})

describe('providerMetadata', () => {
  function metadataOf({ issuer, endpointUrls }: StrictProvider): ProviderMetadata {
    return {
      issuer,
      authorization_endpoint: endpointUrls['/authorize'],
      token_endpoint: endpointUrls['/token'],
      jwks_uri: endpointUrls['/jwks'],
      end_session_endpoint: endpointUrls['/logout'],
    }
  }

  it('replaces discovery', async () => {
    const app = await start({ providerMetadata: metadataOf(stage.provider) })
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 200)
    await browser.post('/logout')
    assert.deepEqual(
      [stage.provider.calls['/discovery'], stage.provider.calls['/jwks'], stage.provider.calls['/logout']],
      [0, 1, 1],
    )
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('is refused together with the other problems of the options if it is invalid', async () => {
    const providerMetadata = { ...metadataOf(stage.provider), token_endpoint: '/token' }
    await assert.rejects(start({ providerMetadata }), /providerMetadata\.token_endpoint must be/)
  })
})

describe('ready()', () => {
  function middleware(options: Partial<AnyOptions> = {}): OidcMiddleware {
    return oidc({ ...usualOptions(stage.provider, 'http://127.0.0.1:1'), ...options } as Options)
  }

  it('fetches metadata and keys, and nothing twice', async () => {
    const auth = middleware()
    assert.equal(await auth.ready(), undefined)
    await auth.ready()
    assert.deepEqual([stage.provider.calls['/discovery'], stage.provider.calls['/jwks']], [1, 1])
  })

  it('rejects while the provider is down, and may be called again', async () => {
    const auth = middleware()
    stage.provider.change.raw['/discovery'] = hangUp
    await assert.rejects(auth.ready(), { name: 'ProviderError', code: 'ERR_OIDC_PROVIDER_UNREACHABLE' })
    stage.provider.change.raw = {}
    await auth.ready()
  })

  it('rejects while the keys cannot be fetched', async () => {
    const auth = middleware()
    stage.provider.change.raw['/jwks'] = (_req, res) => void res.writeHead(500).end()
    await assert.rejects(auth.ready(), { code: 'ERR_OIDC_PROVIDER_STATUS' })
    stage.provider.change.jwks = () => ({ keys: 'none' })
    stage.provider.change.raw = {}
    await assert.rejects(auth.ready(), { code: 'ERR_OIDC_KEYS_INVALID' })
  })

  it('needs no keys if ID Tokens are signed with the client secret', async () => {
    stage.provider.change.raw['/jwks'] = (_req, res) => void res.writeHead(404).end()
    await middleware({ idTokenSignedResponseAlg: 'HS256' }).ready()
    assert.equal(stage.provider.calls['/jwks'], 0)
  })
})

describe('fetch', () => {
  it('is used for all requests to the provider', async () => {
    const asked: string[] = []
    const own: Options['fetch'] = (url, init) => {
      asked.push(`${init.method} ${new URL(url).pathname}`)
      return fetch(url, init)
    }
    const app = await start({ fetch: own, userinfo: true })
    assert.equal(await logIn(app), 200)
    assert.deepEqual(asked, ['GET /.well-known/openid-configuration', 'POST /token', 'GET /keys', 'GET /userinfo'])
    assert.deepEqual(stage.provider.complaints, [])
  })
})
