import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import session from 'express-session'
import { fifteenClaims } from '../../bench/claims.ts'
import { type OidcSession, readOidcSession, writeOidcSession } from '../../lib/session/stored-session.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'

const CONFIG = { sessionKey: 'oidc' }
const claims = fifteenClaims('https://op.example.com', 'client')
const login = { claims, scope: 'openid profile email', loggedInAt: 1_800_000_000, expiresAt: 1_800_086_400 }
const usual: OidcSession = { login, tokensId: 'tokens-of-16-abc', indexId: 'index-of' }

function store(oidcSession: OidcSession): { readonly oidc: Readonly<Record<string, unknown>> } {
  const data = {}
  writeOidcSession(data, CONFIG, oidcSession)
  return JSON.parse(JSON.stringify(data))
}

describe('the login in a session', () => {
  it('is read as it was written', () => {
    const sessions: readonly OidcSession[] = [
      usual,
      { ...usual, login: { ...login, provider: 'okta' } },
      { ...usual, login: { ...login, scope: 'openid' } },
      { ...usual, login: { ...login, scope: '' } },
      { ...usual, login: { ...login, expiresAt: login.loggedInAt + 60 } },
      { ...usual, seenAt: 1_800_000_100, checkedAt: 1_800_000_200 },
      { login, tokensId: 'without-index' },
    ]
    for (const one of sessions) assert.deepEqual(readOidcSession(store(one), CONFIG), one)
  })

  it('is read in one order of its members, because logins are compared as JSON', () => {
    const withProvider = { provider: 'okta', ...login }
    for (const one of [login, withProvider]) {
      const read = readOidcSession(store({ ...usual, login: one }), CONFIG)
      assert.equal(JSON.stringify(read?.login), JSON.stringify(one))
    }
  })

  it('takes at most 15 % more than its 15 claims alone', () => {
    const sizeOf = (data: object): number => JSON.stringify({ cookie: new session.Cookie(), ...data }).length
    const [own, bare] = [sizeOf(store(usual)), sizeOf({ user: claims })]
    assert.ok(own <= 1.15 * bare, `${own} bytes, and the claims alone ${bare}`)
  })

  it('leaves out the scope and the end only if they are the fixed ones', () => {
    assert.deepEqual(Object.keys(store(usual).oidc), ['claims', 'at', 'id', 'index'])
    const other = { ...login, scope: 'openid email profile', expiresAt: login.expiresAt + 1 }
    assert.deepEqual(Object.keys(store({ ...usual, login: other }).oidc), [
      'claims',
      'at',
      'id',
      'index',
      'scope',
      'end',
    ])
  })
})

describe('a session of version 0.2.0', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })

  it('stays logged in, with its tokens, and is stored in the new form when it is written', async () => {
    const { app, browser } = await stage.startLoggedIn({ idleTimeout: 600 })
    const before = (await browser.fetch('/profile')).json()
    const [id = '', record = {}] = Object.entries(await app.records()).find(([name]) => !name.startsWith('oidc-')) ?? []
    const { indexId: _, ...old } = Object(readOidcSession(record, CONFIG))
    const seenAt = Math.floor(Date.now() / 1000) - 300
    const data = { ...record, oidc: { ...old, seenAt } }
    await new Promise((resolve) => app.store.set(id, data as never, resolve))
    assert.deepEqual(Object.keys(old.login), ['claims', 'scope', 'loggedInAt', 'expiresAt'])
    // The idle timeout has it written again.
    assert.deepEqual((await browser.fetch('/profile')).json(), before)
    assert.equal((await browser.fetch('/access-token')).status, 200)
    const records = Object.entries(await app.records())
    const written = Object(records.find(([name]) => name === id)?.[1])
    assert.deepEqual(Object.keys(written.oidc).slice(0, 4), ['claims', 'at', 'id', 'index'])
    assert.deepEqual(readOidcSession(written, CONFIG)?.login, JSON.parse(JSON.stringify(old.login)))
    assert.ok(records.some(([name]) => isTokens(name) && name.endsWith(old.tokensId)))
  })
})
