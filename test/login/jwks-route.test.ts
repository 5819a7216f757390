import assert from 'node:assert/strict'
import crypto, { type JsonWebKey } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { describe, it, mock } from 'node:test'
import { calculateJwkThumbprint, type JWK } from 'jose'
import type { PrivateJwk } from '../../lib/index.ts'
import { createClientKeys as importClientKeys } from '../../lib/jose/client-keys.ts'
import type { AnyOptions } from '../support/app/app.ts'
import { createClientKeys } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import type { Page } from '../support/browser/browser.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { assertLoggedIn, createStand, logIn } from '../support/hostile/hostile.ts'

/** The private members of a JWK, and members of the option that must not be published. */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'key_ops', 'ext', 'x5c', 'note']

const keys = createClientKeys() as readonly PrivateJwk[]
const [rsa, p256] = keys
assert.ok(rsa && p256)

const stage = createStage()

interface KeySet {
  readonly keys: readonly JWK[]
}

async function keySetOf(page: Page): Promise<KeySet> {
  assert.equal(page.status, 200, page.body)
  return page.json() as unknown as KeySet
}

async function publishedBy(options: Partial<AnyOptions>): Promise<KeySet> {
  const app = await stage.start(options)
  return keySetOf(await app.browser().open('/jwks'))
}

describe('the route jwks', () => {
  it('publishes only the public parts of all keys, in their order', async () => {
    const odd = keys.map((key) => ({
      ...key,
      key_ops: key.use === 'sig' ? ['sign'] : ['decrypt', 'deriveKey'],
      ext: true,
      note: 'planted',
    }))
    const page = await (await stage.start({ clientKeys: odd })).browser().open('/jwks')
    const published = (await keySetOf(page)).keys
    assert.deepEqual(
      published.map(({ kid, use, kty, crv, n, x }) => [kid, use, kty, crv, n, x]),
      keys.map(({ kid, use, kty, ['crv']: crv, ['n']: n, ['x']: x }) => [kid, use, kty, crv, n, x]),
    )
    for (const jwk of published) {
      for (const member of PRIVATE) assert.ok(!Object.hasOwn(jwk, member), member)
    }
    for (const { d, ['p']: p } of keys as readonly Record<string, string | undefined>[]) {
      for (const secret of [d, p]) assert.ok(secret === undefined || !page.body.includes(secret))
    }
  })

  it('uses the thumbprint as the kid of a key without one', async () => {
    const { kid: _, ...nameless } = p256
    const [published] = (await publishedBy({ clientKeys: [nameless] })).keys
    assert.equal(published?.kid, await calculateJwkThumbprint(published ?? {}))
  })

  it('can be cached, and requested by HEAD', async () => {
    const app = await stage.start({ clientKeys: keys })
    const page = await app.browser().fetch('/jwks', { from: stage.provider.issuer })
    assert.match(page.headers['content-type'] ?? '', /^application\/jwk-set\+json/)
    assert.deepEqual(
      [page.headers['cache-control'], page.headers['x-content-type-options'], page.headers['set-cookie']],
      ['public, max-age=3600', 'nosniff', undefined],
    )
    const url = new URL(`${app.baseUrl}/jwks`)
    const head = await exchange({ method: 'HEAD', url, headers: {} })
    assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', String(page.body.length)])
  })

  it('starts no session, and lets no cache store the cookie of one', async () => {
    const session = { saveUninitialized: true, rolling: true, resave: true }
    const app = await stage.start({ clientKeys: keys }, { session })
    const stranger = await app.browser().fetch('/jwks')
    assert.deepEqual([stranger.status, stranger.headers['set-cookie']], [200, undefined])
    assert.deepEqual([stranger.headers['cache-control'], await app.records()], ['public, max-age=3600', {}])
    const browser = app.browser()
    await browser.open('/profile')
    const own = await browser.fetch('/jwks')
    assert.deepEqual([own.status, own.headers['cache-control']], [200, 'no-store'])
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    it(`refuses ${method}`, async () => {
      const app = await stage.start({ clientKeys: keys })
      const page = await app.browser().fetch('/jwks', { method })
      assert.deepEqual([page.status, page.headers.allow, page.body.includes('"kty"')], [405, 'GET, HEAD', false])
    })
  }

  it('does not exist without keys', async () => {
    const app = await stage.start()
    assert.equal((await app.browser().open('/jwks')).status, 404)
  })

  it('has the path of routes.jwks, below a mount path', async () => {
    const routes = { jwks: '/.well-known/jwks.json' }
    const app = await stage.start({ clientKeys: keys, routes }, { mountPath: '/portal' })
    assert.equal((await keySetOf(await app.browser().open('/portal/.well-known/jwks.json'))).keys.length, keys.length)
    assert.equal((await app.browser().open('/portal/jwks')).status, 404)
  })

  it('needs neither session nor store', async () => {
    const app = await stage.start({ clientKeys: keys }, { session: false })
    assert.equal((await keySetOf(await app.browser().open('/jwks'))).keys.length, keys.length)
    assert.deepEqual([app.errors, stage.provider.requests.length], [[], 0])
  })

  it('publishes the keys of all providers, each once', async () => {
    const { issuer, clientId, clientSecret } = stage.provider
    const client = { issuer, clientId, clientSecret }
    const providers = {
      one: { ...client, clientKeys: [rsa, p256] },
      other: { ...client, issuer: `${issuer}/other`, clientKeys: [p256, ...keys.slice(2, 3)] },
      plain: { ...client, issuer: `${issuer}/plain` },
    }
    const shared = { issuer: undefined, clientId: undefined, clientSecret: undefined, secret: 's'.repeat(32) }
    const { keys: published } = await publishedBy({ ...shared, providers } as unknown as Partial<AnyOptions>)
    assert.deepEqual(
      published.map(({ kid }) => kid),
      keys.slice(0, 3).map(({ kid }) => kid),
    )
  })
})

describe('the keys of an app', () => {
  it('are imported once for all requests', async () => {
    const app = await stage.start({ clientKeys: keys })
    const browser = app.browser()
    const imported = mock.method(crypto, 'createPrivateKey')
    syncBuiltinESMExports()
    try {
      const first = await keySetOf(await browser.open('/jwks'))
      assert.equal(imported.mock.callCount(), keys.length)
      const pages = await Promise.all(Array.from({ length: 20 }, () => browser.fetch('/jwks')))
      for (const page of pages) assert.deepEqual(await keySetOf(page), first)
      assert.equal(imported.mock.callCount(), keys.length)
    } finally {
      imported.mock.restore()
      syncBuiltinESMExports()
    }
  })

  it('cannot be changed through the published set', () => {
    const { publicJwks } = importClientKeys(keys)
    assert.ok(Object.isFrozen(publicJwks) && Object.isFrozen(publicJwks.keys))
    assert.ok(publicJwks.keys.every((jwk) => Object.isFrozen(jwk)))
  })
})

for (const [name, provider] of [
  ['that authenticate the client', { tokenEndpointAuthMethod: 'private_key_jwt' }],
  ['that sign requests', { requestObjectSigningAlg: 'PS256' }],
  ['that ID Tokens are encrypted to', { idTokenEncryptedResponseAlg: 'RSA-OAEP-256' }],
  ['that UserInfo is encrypted to', { userinfoEncryptedResponseAlg: 'ECDH-ES', userinfoSignedResponseAlg: 'ES256' }],
] as const) {
  describe(`the keys ${name}`, () => {
    const stand = createStand({ provider, app: { options: { userinfo: true } } })

    it('are fetched by the provider from the route, and a login succeeds', async () => {
      const { app, provider: op } = stand
      op.changeClient({ clientJwks: { keys: [] }, clientJwksUri: `${app.baseUrl}/jwks` })
      await assertLoggedIn(stand, await logIn(stand))
      assert.deepEqual(op.complaints, [])
    })
  })
}

describe('keys that rotate', () => {
  const provider = { tokenEndpointAuthMethod: 'private_key_jwt', idTokenEncryptedResponseAlg: 'RSA-OAEP-256' } as const
  const other = createStage({ provider })

  it('are both published while the provider uses the old one', async () => {
    const fresh = createClientKeys() as readonly PrivateJwk[]
    const old = other.provider.clientKeys as readonly PrivateJwk[]
    // The new keys sign. The old ones still decrypt.
    const clientKeys = [...fresh, ...old]
    const app = await other.start({ clientKeys })
    other.provider.changeClient({ clientJwksUri: `${app.baseUrl}/jwks` })
    assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))

    const published = (await keySetOf(await app.browser().open('/jwks'))).keys
    const encryption = published.filter(({ use }) => use === 'enc').reverse()
    const signatures = published.filter(({ use }) => use === 'sig')
    // A provider with a cached key set encrypts to the old key.
    other.provider.changeClient({ clientJwks: { keys: [...signatures, ...encryption] as never } })
    assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))
    assert.deepEqual(other.provider.complaints, [])
  })
})

describe('a published key', () => {
  it('can be imported by others', async () => {
    const { keys: published } = await publishedBy({ clientKeys: keys })
    for (const jwk of published) {
      const key = crypto.createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' })
      assert.deepEqual([key.type, key.export({ format: 'jwk' }).kty], ['public', jwk.kty])
    }
  })
})
