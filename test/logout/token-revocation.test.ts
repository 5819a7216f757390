import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import type { TestApp } from '../support/app/app.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'

const ROUTE = '/global-token-revocation'
const stage = createStage({ app: { errorHandler: 'json' } })
const options = { routes: { tokenRevocation: ROUTE } }

type Members = Readonly<Record<string, unknown>>

interface Demand {
  readonly header?: Members
  readonly claims?: Members
  /** In the place of the signed token. */
  readonly token?: string
  readonly body?: unknown
  readonly contentType?: string
  /** In the place of JSON. */
  readonly text?: string
}

function tokenFor(app: TestApp, { header, claims }: Demand): string {
  const { issuer, clientId, keys } = stage.provider
  const now = Math.floor(Date.now() / 1000)
  const good = {
    iss: issuer,
    sub: clientId,
    aud: app.baseUrl + ROUTE,
    jti: randomUUID(),
    iat: now,
    nbf: now - 300,
    exp: now + 300,
  }
  const { kid, privateKey } = keys.rsa
  return signJws(
    'RS256',
    privateKey,
    { alg: 'RS256', kid, typ: 'global-token-revocation+jwt', ...header },
    { ...good, ...claims },
  )
}

function personOf({ issuer }: { issuer: string }, sub = 'user-subject'): unknown {
  return { sub_id: { format: 'iss_sub', iss: issuer, sub } }
}

async function demand(
  app: TestApp,
  asked: Demand = {},
): Promise<{ readonly status: number; readonly cookie: string | null }> {
  const answer = await fetch(app.baseUrl + ROUTE, {
    method: 'POST',
    headers: {
      'Content-Type': asked.contentType ?? 'application/json',
      Authorization: `Bearer ${asked.token ?? tokenFor(app, asked)}`,
    },
    body: asked.text ?? JSON.stringify(asked.body ?? personOf(stage.provider)),
  })
  return { status: answer.status, cookie: answer.headers.get('set-cookie') }
}

describe('a demand that all sessions of a person end', () => {
  it('ends them all, with their tokens, and those of nobody else', async () => {
    const { app, browser } = await stage.startLoggedIn(options)
    const second = app.browser()
    await second.open('/profile')
    stage.provider.account = { ...stage.provider.account, sub: 'somebody-else' }
    const other = app.browser()
    await other.open('/profile')
    assert.deepEqual(await demand(app), { status: 204, cookie: null })
    const left = await Promise.all([browser, second, other].map(async (one) => (await one.fetch('/profile')).status))
    assert.deepEqual(left, [401, 401, 200])
    assert.equal(await app.sessions(), 1)
  })

  it('is met where nobody is logged in', async () => {
    const app = await stage.start(options)
    assert.equal((await demand(app)).status, 204)
  })

  it('does nothing a second time, so that a copied token throws nobody out for ever', async () => {
    const { app, browser } = await stage.startLoggedIn(options)
    const token = tokenFor(app, {})
    assert.equal((await demand(app, { token })).status, 204)
    await browser.open('/profile')
    assert.equal((await demand(app, { token })).status, 204)
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('is not taken unless the route is named', async () => {
    const { app, browser } = await stage.startLoggedIn()
    assert.equal((await demand(app)).status, 404)
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('is taken with a body parser in front', async () => {
    const { app, browser } = await stage.startLoggedIn(options, { bodyParser: true })
    assert.equal((await demand(app)).status, 204)
    assert.equal((await browser.fetch('/profile')).status, 401)
  })
})

describe('a demand that proves nothing', () => {
  const now = Math.floor(Date.now() / 1000)
  const rows: readonly (readonly [name: string, asked: Demand])[] = [
    ['without a token', { token: '' }],
    ['with rubbish for a token', { token: 'rubbish' }],
    ['of another type', { header: { typ: 'JWT' } }],
    ['of no type', { header: { typ: undefined } }],
    ['that is a logout token', { header: { typ: 'logout+jwt' } }],
    ['that is not signed', { header: { alg: 'none' } }],
    ['of another issuer', { claims: { iss: 'https://evil.example' } }],
    ['about another client', { claims: { sub: 'another' } }],
    ['without a client', { claims: { sub: undefined } }],
    ['for another receiver', { claims: { aud: 'https://other.example/global-token-revocation' } }],
    ['for several receivers', { claims: { aud: ['https://other.example'] } }],
    ['without a name of its own', { claims: { jti: undefined } }],
    ['that has ended', { claims: { iat: now - 900, exp: now - 600 } }],
    ['without an end', { claims: { exp: undefined } }],
    ['that lives for a day', { claims: { exp: now + 86_400 } }],
    ['without a beginning', { claims: { iat: undefined } }],
    ['of the future', { claims: { iat: now + 600, exp: now + 900 } }],
    ['that is not valid yet', { claims: { nbf: now + 600 } }],
  ]
  for (const [name, asked] of rows) {
    it(`is refused with 401: one ${name}`, async () => {
      const { app, browser } = await stage.startLoggedIn(options)
      assert.equal((await demand(app, asked)).status, 401)
      assert.equal((await browser.fetch('/profile')).status, 200)
    })
  }
})

describe('a demand that names a person', () => {
  const rows: readonly (readonly [name: string, body: unknown, status: number])[] = [
    ['by e-mail, which we know nobody by', { sub_id: { format: 'email', email: 'ada@example.com' } }, 422],
    ['by an opaque name', { sub_id: { format: 'opaque', id: 'x' } }, 422],
    ['of another issuer', { sub_id: { format: 'iss_sub', iss: 'https://evil.example', sub: 'user-subject' } }, 422],
    ['without a subject', { sub_id: { format: 'iss_sub', iss: 'x' } }, 400],
    ['in no way', {}, 400],
    ['in a list', [], 400],
    ['with a subject that is no text', { sub_id: { format: 'iss_sub', iss: 'x', sub: { $ne: 1 } } }, 400],
  ]
  for (const [name, body, status] of rows) {
    it(`is answered with ${status}: ${name}`, async () => {
      const { app, browser } = await stage.startLoggedIn(options)
      assert.equal((await demand(app, { body })).status, status)
      assert.equal((await browser.fetch('/profile')).status, 200)
    })
  }

  it('is JSON, where it says so', async () => {
    const { app } = await stage.startLoggedIn(options)
    assert.equal((await demand(app, { text: '{"sub_id":' })).status, 400)
  })

  it('is a JSON body, and no form that any page could send', async () => {
    const { app } = await stage.startLoggedIn(options)
    assert.equal((await demand(app, { contentType: 'text/plain' })).status, 400)
  })
})
