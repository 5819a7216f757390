import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { describe, it, mock } from 'node:test'
import cookieSession from 'cookie-session'
import express from 'express'
import session, { type Store } from 'express-session'
import { errorPage, type Handler, type Options, oidc, requireAuth } from '../../lib/index.ts'
import { createSeal } from '../../lib/session/seal.ts'
import { ACCOUNTS, type Account } from '../support/app/accounts.ts'
import { codesOf, type TestApp, usualOptions } from '../support/app/app.ts'
import { type AppRequest, answerBy, answerJson } from '../support/app/app-routes.ts'
import { observeErrors } from '../support/app/error-observer.ts'
import { destroyRecords, isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import { type Browser, createBrowser } from '../support/browser/browser.ts'
import { cookieOf, SESSION_COOKIE } from '../support/browser/login-cookies.ts'
import { listen } from '../support/servers/http-server.ts'
import { LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

const BOB: Account = ACCOUNTS['bob'] ?? { sub: 'bob', claims: {} }

const stage = createStage()
const { start, startLoggedIn } = stage

function sessionIdOf(browser: Browser): string {
  return decodeURIComponent(cookieOf(browser)).slice(2).split('.')[0] ?? ''
}

describe('the session of a login', () => {
  it('has a new id, and the old one is gone', async () => {
    const app = await start()
    const browser = app.browser()
    await browser.open('/write')
    const anonymous = sessionIdOf(browser)
    assert.ok(anonymous in (await app.records()))
    await browser.open('/profile')
    const records = await app.records()
    assert.notEqual(sessionIdOf(browser), anonymous)
    assert.ok(sessionIdOf(browser) in records)
    assert.ok(!(anonymous in records))
  })

  it('has a new id even if an attacker planted the old one', async () => {
    const app = await start()
    const attacker = app.browser()
    await attacker.open('/write')
    const victim = attacker.clone()
    await victim.open('/profile')
    assert.equal((await attacker.open('/')).json()['authenticated'], false)
  })

  it('keeps what the application wrote in an anonymous session', async () => {
    const app = await start()
    const browser = app.browser()
    await browser.open('/write')
    await browser.open('/profile')
    const data = (await browser.open('/session')).json()
    assert.deepEqual([data['cart'], data['app']], ['book', { theme: 'dark' }])
  })

  for (const [anonymousSession, kept] of [
    [undefined, { cart: 'book' }],
    ['keep', { cart: 'book' }],
    ['keep-all', { cart: 'book', csrfSecret: 'planted', _csrf: 'planted' }],
    ['discard', {}],
  ] as const) {
    it(`N-56: keeps of an anonymous session what anonymousSession says: ${anonymousSession}`, async () => {
      const plant = answerBy(async (req, res) => {
        Object.assign(req.session, { cart: 'book', csrfSecret: 'planted', _csrf: 'planted' })
        res.end()
      })
      const app = await start(anonymousSession && { anonymousSession }, { routes: { '/plant': plant } })
      const browser = app.browser()
      await browser.open('/plant')
      await browser.open('/profile')
      const { cookie: _cookie, oidc: _login, ...data } = (await browser.open('/session')).json()
      assert.deepEqual(data, kept)
    })
  }

  it('keeps what the application wrote for the same user', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { browser } = await startLoggedIn()
    const first = sessionIdOf(browser)
    await browser.open('/write')
    mock.timers.tick(1000)
    await browser.open('/login')
    assert.notEqual(sessionIdOf(browser), first)
    assert.equal((await browser.open('/session')).json()['cart'], 'book')
  })

  it('keeps nothing that the application wrote for another user', async () => {
    const { browser } = await startLoggedIn()
    await browser.open('/write')
    stage.provider.account = BOB
    await browser.open('/login')
    const data = (await browser.open('/session')).json()
    assert.deepEqual(Object.keys(data).sort(), ['cookie', 'oidc'])
    assert.equal((await browser.open('/profile')).json()['sub'], 'bob')
  })

  it('keeps nothing of another user whose login has expired', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { browser } = await startLoggedIn({ loginLifetime: 60 })
    await browser.open('/write')
    mock.timers.tick(120_000)
    stage.provider.account = BOB
    await browser.open('/profile')
    assert.equal((await browser.open('/session')).json()['cart'], undefined)
  })

  it('replaces the previous one, with its tokens', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { app, browser } = await startLoggedIn()
    const first = Object.keys(await app.records())
    mock.timers.tick(1000)
    await browser.open('/login')
    const second = Object.keys(await app.records())
    assert.deepEqual([first.length, second.length], [2, 2])
    assert.ok(!second.some((id) => first.includes(id)))
  })

  it('is in the store before the redirect', async () => {
    const app = await start({}, { session: { store: slowStore() } })
    const browser = app.browser()
    const { next } = await browser.open('/profile', { stopBefore: isCallback })
    const page = await browser.go(next, { follow: false })
    assert.equal(page.status, 303)
    assert.equal(await app.sessions(), 1)
    assert.equal((await browser.go(page.next)).status, 200)
  })

  it('holds no token, and no token can be read in the store', async () => {
    const { app, browser } = await startLoggedIn({ scope: 'openid offline_access' })
    const tokens = (await browser.open('/tokens')).json()
    const store = JSON.stringify(await app.records())
    for (const name of ['idToken', 'accessToken', 'refreshToken']) {
      const token = String(tokens[name])
      assert.ok(token.length > 20)
      for (const part of token.split('.')) assert.ok(!store.includes(part), name)
    }
    assert.ok(!store.includes(stage.provider.clientSecret))
  })

  it('takes at most 900 bytes for 15 claims', async () => {
    const { app, browser } = await startLoggedIn({ scope: 'openid email groups' })
    stage.provider.change.idTokenClaims = (claims) => ({
      ...claims,
      name: 'Alice Example',
      given_name: 'Alice',
      family_name: 'Example',
      preferred_username: 'alice@example.test',
    })
    await browser.open('/login')
    const record = (await app.records())[sessionIdOf(browser)]
    const claims = (await browser.open('/profile')).json()
    assert.equal(Object.keys(claims).length + ['nonce', 'at_hash'].length, 15)
    assert.ok(JSON.stringify(record).length <= 900, `${JSON.stringify(record).length}`)
  })

  it('costs a guarded page one read of the store, and no write', async () => {
    const store = new session.MemoryStore()
    const calls: string[] = []
    const { browser } = await startLoggedIn({}, { session: { store: watched(store, (name) => calls.push(name)) } })
    calls.length = 0
    assert.equal((await browser.open('/profile')).status, 200)
    assert.deepEqual(calls, ['get'])
  })

  describe('is written', () => {
    /** A store that counts the writes of each session. */
    function countingStore() {
      const written: string[] = []
      const store = new session.MemoryStore()
      const { set } = store
      store.set = (id, data, done) => {
        if (!id.startsWith('oidc-')) written.push(id)
        set.call(store, id, data, done)
      }
      return { store, written }
    }

    for (const [name, options] of [
      ['', {}],
      [', with a lifetime', { cookie: { maxAge: 60_000 } }],
      [', with resave', { resave: true }],
    ] as const) {
      it(`once at the login${name}`, async () => {
        const { store, written } = countingStore()
        const app = await start({}, { session: { store, ...options } })
        const browser = app.browser()
        const isProfile = ({ pathname }: URL): boolean => pathname === '/profile'
        assert.equal((await browser.open('/login?returnTo=/profile', { stopBefore: isProfile })).status, 303)
        assert.deepEqual(written, [sessionIdOf(browser)])
        assert.equal((await browser.open('/profile')).status, 200)
      })
    }

    it('once more if the application changes it after the login was saved', async () => {
      const { store, written } = countingStore()
      const addCart: Handler = (req, res, next) => {
        const { end } = res
        res.end = (...args: unknown[]) => {
          if (req.url?.startsWith('/callback')) Object.assign((req as AppRequest).session, { cart: 'book' })
          return Reflect.apply(end, res, args)
        }
        next()
      }
      const app = await start({}, { session: { store }, beforeOidc: [addCart] })
      const browser = app.browser()
      await browser.open('/login?returnTo=/profile')
      assert.equal(written.length, 2)
      assert.equal((await browser.open('/session')).json()['cart'], 'book')
    })
  })

  describe('N-45: is nothing that the store is asked about', () => {
    for (const [how, settings] of [
      ['', {}],
      [', if each visitor is given one', { saveUninitialized: true, resave: true, rolling: true }],
      [', if they are destroyed when they are unset', { saveUninitialized: true, unset: 'destroy' }],
    ] as const) {
      for (const [name, method, path, status] of [
        ['at a logout', 'POST', '/logout', 200],
        ['at a logout token that is invalid', 'POST', '/backchannel-logout', 400],
        ['at a frame of the provider', 'GET', '/frontchannel-logout', 200],
        ['at a revocation that is not authorized', 'POST', '/revocation', 401],
        ['at a response whose cookies were withheld', 'POST', '/callback', 200],
      ] as const) {
        it(`${name}, for a visitor without a session${how}`, async () => {
          const store = new session.MemoryStore()
          const app = await start(
            { routes: { tokenRevocation: '/revocation' } },
            { session: { store, ...settings }, errorHandler: 'json' },
          )
          const calls: unknown[] = []
          for (const name of ['get', 'set', 'destroy', 'touch'] as const) {
            const original = store[name]
            Object.assign(store, {
              [name]: (...args: unknown[]) => {
                calls.push([name, args[0]])
                return Reflect.apply(original, store, args)
              },
            })
          }
          const fields = { logout_token: 'x', state: 'x', code: 'x' }
          const body = method === 'POST' ? { body: new URLSearchParams(fields) } : {}
          const headers = { accept: 'text/html', origin: app.origin }
          const response = await fetch(`${app.baseUrl}${path}`, { method, headers, redirect: 'manual', ...body })
          assert.deepEqual([response.status, calls], [status, []])
          assert.deepEqual(
            response.headers.getSetCookie().filter((cookie) => cookie.includes('s%3A')),
            [],
          )
        })
      }
    }
  })

  it('is not written for a visitor who is not logged in', async () => {
    const app = await start()
    const browser = app.browser()
    await browser.open('/')
    await browser.fetch('/profile')
    assert.deepEqual([await app.records(), browser.cookies()], [{}, []])
  })
})

describe('the session of several tabs that log in at the same time', () => {
  /** Two logins of one browser that are in progress at the same time. */
  async function startTabs(app: TestApp) {
    const browser = app.browser()
    const first = await browser.open('/profile?tab=1', { stopBefore: isCallback })
    const second = await browser.open('/profile?tab=2', { stopBefore: isCallback })
    return { browser, first: first.next, second: second.next }
  }

  it('is the same, with the tokens of the last login', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start()
    const { browser, first, second } = await startTabs(app)
    mock.timers.tick(5000)
    await browser.go(first)
    const id = sessionIdOf(browser)
    const tokens = (await browser.open('/tokens')).json()
    await browser.open('/write')
    mock.timers.tick(5000)
    await browser.go(second)
    assert.equal(sessionIdOf(browser), id)
    assert.equal(Object.keys(await app.records()).length, 2)
    assert.notEqual((await browser.open('/tokens')).json()['accessToken'], tokens['accessToken'])
    assert.equal((await browser.open('/session')).json()['cart'], 'book')
  })

  it('is a new one for another user', async () => {
    const app = await start()
    const { browser, first } = await startTabs(app)
    stage.provider.account = BOB
    const { next } = await browser.open('/profile?tab=3', { stopBefore: isCallback })
    await browser.go(first)
    const id = sessionIdOf(browser)
    await browser.open('/write')
    await browser.go(next)
    assert.notEqual(sessionIdOf(browser), id)
    assert.equal((await browser.open('/session')).json()['cart'], undefined)
    assert.equal(Object.keys(await app.records()).length, 2)
  })

  it('is a new one for a stronger login', async () => {
    const app = await start()
    const { browser, first, second } = await startTabs(app)
    await browser.go(first)
    const id = sessionIdOf(browser)
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, acr: 'urn:example:mfa' })
    await browser.go(second)
    assert.notEqual(sessionIdOf(browser), id)
    assert.equal(Object.keys(await app.records()).length, 2)
  })
})

/** A store with slow writes. */
function slowStore(): Store {
  const store = new session.MemoryStore()
  const set = store.set.bind(store)
  store.set = (id, data, done) => {
    setTimeout(() => set(id, data, done), 30)
  }
  return store
}

/** A store that records which of its operations are called. `touch` only extends the lifetime. */
function watched(store: Store, tell: (name: string) => void): Store {
  for (const name of ['get', 'set', 'destroy'] as const) {
    const run = store[name].bind(store)
    Object.assign(store, {
      [name]: (...values: Parameters<typeof run>) => {
        tell(name)
        Reflect.apply(run, store, values)
      },
    })
  }
  return store
}

describe('sessionKey', () => {
  it('is the name of the login in the session', async () => {
    const { browser } = await startLoggedIn({ sessionKey: 'signIn' })
    const data = (await browser.open('/session')).json()
    assert.deepEqual(Object.keys(data).sort(), ['cookie', 'signIn'])
    assert.equal((await browser.open('/tokens')).json()['tokenType'], 'Bearer')
  })
})

describe('sessionClaims', () => {
  const always = ['iss', 'sid', 'sub']

  it('keeps all claims by default, except those for a single check', async () => {
    const { browser } = await startLoggedIn({ scope: 'openid email' })
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual(Object.keys(claims).sort(), [...always, 'aud', 'email', 'email_verified', 'exp', 'iat'].sort())
  })

  it('can be a list of the claims to keep', async () => {
    const { browser } = await startLoggedIn({ sessionClaims: ['email', 'nonce', 'constructor', '__proto__'] })
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual(Object.keys(claims).sort(), [...always, 'email'].sort())
  })

  it('can be an empty list', async () => {
    const { browser } = await startLoggedIn({ sessionClaims: [], authorizationParams: { max_age: 600 } })
    const claims = (await browser.open('/profile')).json()
    assert.deepEqual(Object.keys(claims).sort(), ['auth_time', ...always])
  })

  it('can be a function of all claims', async () => {
    const sessionClaims: Options['sessionClaims'] = ({ name, groups }) => ({ name, roles: groups, sub: 'mallory' })
    const { browser } = await startLoggedIn({ sessionClaims, scope: 'openid profile groups' })
    const { iss, sid, ...claims } = (await browser.open('/profile')).json()
    assert.deepEqual(claims, { name: 'Alice Example', roles: ['admin', 'staff'], sub: 'user-subject' })
    assert.deepEqual([iss, typeof sid], [stage.provider.issuer, 'string'])
  })

  it('fails the login if it throws', async () => {
    const sessionClaims = (): never => {
      throw new RangeError('not today')
    }
    const app = await start({ sessionClaims }, { errorHandler: 'default' })
    assert.equal((await app.browser().open('/profile')).status, 500)
    assert.equal(await app.sessions(), 0)
  })
})

describe('loginLifetime', () => {
  it('expires a login, whatever the lifetime of the session', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { browser } = await startLoggedIn({ loginLifetime: 600 })
    mock.timers.tick(599_000)
    assert.equal((await browser.fetch('/profile')).status, 200)
    mock.timers.tick(2000)
    assert.equal((await browser.fetch('/profile')).status, 401)
    assert.deepEqual((await browser.open('/')).json(), { authenticated: false, claims: null })
    assert.equal((await browser.open('/tokens')).body, 'null')
  })

  it('is a day by default', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { browser } = await startLoggedIn()
    mock.timers.tick(86_399_000)
    assert.equal((await browser.fetch('/profile')).status, 200)
    mock.timers.tick(2000)
    assert.equal((await browser.fetch('/profile')).status, 401)
  })

  it('determines req.oidc.expiresAt', async () => {
    mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_500 })
    const until = answerJson(({ oidc: { expiresAt, scope } }) => ({ expiresAt, scope }))
    const { browser } = await startLoggedIn({ loginLifetime: 600 }, { routes: { '/until': until } })
    assert.deepEqual((await browser.open('/until')).json(), {
      expiresAt: 1_800_000_600,
      scope: 'openid profile email',
    })
  })
})

describe('the tokens of a login', () => {
  it('are those of the token response', async () => {
    const { browser } = await startLoggedIn({ scope: 'openid offline_access' })
    const tokens = (await browser.open('/tokens')).json()
    const members = ['idToken', 'accessToken', 'tokenType', 'refreshToken', 'expiresAt', 'issuedAt', 'nonce']
    assert.deepEqual(Object.keys(tokens), members)
    assert.equal(tokens['tokenType'], 'Bearer')
    assert.ok(Math.abs(Number(tokens['expiresAt']) - Date.now() / 1000 - 3600) < 5)
    assert.equal((await browser.open('/id-token')).json()['token'], tokens['idToken'])
    assert.equal((await browser.open('/access-token')).json()['token'], tokens['accessToken'])
  })

  it('are not available without a login', async () => {
    const app = await start()
    const browser = app.browser()
    assert.equal((await browser.open('/tokens')).body, 'null')
    assert.equal((await browser.open('/id-token')).status, 401)
    assert.equal((await browser.open('/access-token')).status, 401)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_UNAVAILABLE', 'ERR_OIDC_TOKEN_UNAVAILABLE'])
  })

  it('are not returned after the access token has expired', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    stage.provider.change.tokenResponse = (json) => ({ ...json, expires_in: 60 })
    const { app, browser } = await startLoggedIn()
    assert.equal((await browser.open('/access-token')).status, 200)
    mock.timers.tick(61_000)
    assert.equal((await browser.open('/access-token')).status, 401)
    assert.equal((await browser.open('/id-token')).status, 200)
    assert.match(app.errors[0]?.message ?? '', /has expired/)
  })

  it('are returned as long as the login lasts if the response has no expires_in', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    stage.provider.change.tokenResponse = ({ expires_in: _, ...json }) => json
    const { browser } = await startLoggedIn()
    mock.timers.tick(80_000_000)
    assert.equal((await browser.open('/access-token')).status, 200)
  })

  it('cannot be decrypted for another session or with another secret', async () => {
    const { app, browser } = await startLoggedIn()
    const other = app.browser()
    await other.open('/profile')
    const records = await app.records()
    const [first, second] = Object.keys(records).filter(isTokens)
    const stolen = records[first ?? '']
    assert.ok(stolen && second)
    await new Promise((resolve) => app.store.set(second, stolen, resolve))
    const statuses = [(await browser.open('/id-token')).status, (await other.open('/id-token')).status]
    assert.deepEqual(statuses.sort(), [200, 401])
  })

  it('can be decrypted after the secret was replaced, while the old one is still in the list', async () => {
    const [older, newer] = ['the secret until the end of last month', 'the secret since the beginning of it']
    const { app, browser } = await startLoggedIn({ secret: older })
    const settings = { session: { store: app.store } }
    const both = await start({ secret: [newer, older] }, settings)
    const one = await start({ secret: newer }, settings)
    assert.equal((await browser.open(`${both.baseUrl}/id-token`)).status, 200)
    assert.equal((await browser.open(`${one.baseUrl}/id-token`)).status, 401)
    assert.equal((await browser.open(`${one.baseUrl}/profile`)).status, 200)
  })

  it('are never mixed up between users with requests at the same moment', async () => {
    const app = await start()
    const people = [app.browser(), app.browser(), app.browser()]
    const own: unknown[] = []
    for (const browser of people) {
      await browser.open('/profile')
      own.push((await browser.open('/access-token')).json()['token'])
    }
    assert.equal(new Set(own).size, people.length)
    for (let round = 0; round < 5; round++) {
      const pages = await Promise.all(people.map((browser) => browser.open('/access-token')))
      assert.deepEqual(
        pages.map((page) => page.json()['token']),
        own,
      )
    }
  })

  it('can be missing in the store', async () => {
    const { app, browser } = await startLoggedIn()
    await destroyRecords(app, isTokens)
    assert.equal((await browser.open('/profile')).status, 200)
    assert.equal((await browser.open('/id-token')).status, 401)
  })
})

describe('a login that the session holds', () => {
  it('is ignored by an app with another issuer', async () => {
    const store = new session.MemoryStore()
    const { browser } = await startLoggedIn({}, { session: { store } })
    const app = await start({}, { session: { store }, provider: await stage.startOther() })
    assert.equal((await browser.fetch(`${app.baseUrl}/profile`)).status, 401)
    assert.equal((await browser.open('/profile')).status, 200)
  })

  const broken: readonly (readonly [name: string, held: unknown])[] = [
    ['a string', 'login'],
    ['null', null],
    ['an empty object', {}],
    ['a login without claims', { login: { expiresAt: Number.MAX_SAFE_INTEGER } }],
    ['a login without expiresAt', { login: { claims: { iss: 'ISSUER', sub: 'mallory' } } }],
    ['a login with an invalid expiresAt', { login: { claims: { iss: 'ISSUER', sub: 'mallory' }, expiresAt: 'never' } }],
  ]
  for (const [name, held] of broken) {
    it(`is ignored if it is ${name}`, async () => {
      const value = JSON.parse(JSON.stringify(held).replace('ISSUER', stage.provider.issuer))
      const plant: Handler = (req, _res, next) => {
        const { session } = req as AppRequest
        session['oidc'] ??= value
        next()
      }
      const app = await start({}, { beforeOidc: [plant] })
      assert.equal((await app.browser().fetch('/profile')).status, 401)
    })
  }
})

describe('a session store that fails', () => {
  type Operation = 'get' | 'set' | 'destroy'

  /** Lets one operation fail from now on, for token records too. */
  function failingStore() {
    const store: Store = new session.MemoryStore()
    const failing = new Set<Operation>()
    for (const name of ['get', 'set', 'destroy'] as const) {
      const run = store[name].bind(store)
      Object.assign(store, {
        [name]: (...values: unknown[]) => {
          const done = values.at(-1)
          if (failing.has(name) && typeof done === 'function') done(new Error('store of s3cret is down'))
          else Reflect.apply(run, store, values)
        },
      })
    }
    return { store, failing }
  }

  const moments: readonly (readonly [name: string, operation: Operation])[] = [
    ['cannot write', 'set'],
    ['cannot delete', 'destroy'],
  ]
  for (const [name, operation] of moments) {
    it(`fails the login with 503 if it ${name}`, async () => {
      const { store, failing } = failingStore()
      const app = await start({}, { session: { store }, errorHandler: 'json' })
      const browser = app.browser()
      const { next } = await browser.open('/profile', { stopBefore: isCallback })
      failing.add(operation)
      const page = await browser.go(next)
      assert.deepEqual([page.status, page.json()], [503, { error: 'ERR_OIDC_SESSION_STORE' }])
      assert.ok(!app.errors[0]?.message.includes('s3cret'))
      assert.match(String(app.errors[0]?.cause), /store of s3cret is down/)
      failing.clear()
      assert.equal(await app.sessions(), 0)
      assert.equal((await browser.fetch('/profile')).status, 401)
    })
  }

  it('leaves no tokens if it cannot write the session', async () => {
    const store = new session.MemoryStore()
    const set = store.set.bind(store)
    store.set = (id, data, done) => (isTokens(id) ? set(id, data, done) : done?.(new Error('full')))
    const app = await start({}, { session: { store }, errorHandler: 'json' })
    assert.equal((await app.browser().open('/profile')).status, 503)
    assert.deepEqual(await app.records(), {})
  })

  it('fails a logout with 503, and the user is still logged in', async () => {
    const { store, failing } = failingStore()
    const { app, browser } = await startLoggedIn({}, { session: { store }, errorHandler: 'json' })
    failing.add('destroy')
    assert.equal((await browser.post('/logout')).status, 503)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_STORE'])
    failing.clear()
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('fails a request for a token with 503', async () => {
    const store = new session.MemoryStore()
    const get = store.get.bind(store)
    const { app, browser } = await startLoggedIn({}, { session: { store }, errorHandler: 'json' })
    store.get = (id, done) => (isTokens(id) ? done(new Error('down')) : get(id, done))
    assert.equal((await browser.open('/tokens')).status, 503)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_STORE'])
    assert.equal((await browser.open('/profile')).status, 200)
  })

  it('is named in the error if it is disconnected', async () => {
    const store = new session.MemoryStore()
    const app = await start({}, { session: { store } })
    store.emit('disconnect')
    assert.equal((await app.browser().open('/login')).status, 500)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_MISSING'])
    assert.match(app.errors[0]?.message ?? '', /its store is disconnected/)
  })
})

describe('an error about the session middleware', () => {
  const paths = ['/login', '/callback?code=x&state=y', '/profile']

  for (const path of paths) {
    it(`says that req.session is missing at ${path}`, async () => {
      const app = await start({}, { session: false })
      assert.equal((await app.browser().open(path)).status, 500)
      assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_MISSING'])
      assert.match(app.errors[0]?.message ?? '', /Mount express-session before oidc\(\)/)
    })
  }

  it('says that req.session is missing at the logout', async () => {
    const app = await start({}, { session: false })
    assert.equal((await app.browser().post('/logout')).status, 500)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_MISSING'])
  })

  it('says that express-session must be mounted first', async () => {
    const { browser, seen } = await startByHand((app, auth) => {
      app.use(auth)
      app.use(session({ secret: 'x', resave: false, saveUninitialized: false }))
    })
    const page = await browser.open('/profile')
    assert.equal(page.status, 500)
    assert.match(String(seen[0]), /Mount express-session before oidc\(\)/)
  })

  it('says that cookie-session is not supported', async () => {
    const cookies = cookieSession({ secret: 'the secret of a cookie' }) as unknown as Handler
    const app = await start({}, { session: false, beforeOidc: [cookies] })
    const browser = app.browser()
    assert.equal((await browser.open('/login')).status, 500)
    assert.equal((await browser.post('/logout')).status, 500)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_UNSUPPORTED', 'ERR_OIDC_SESSION_UNSUPPORTED'])
    assert.match(app.errors[0]?.message ?? '', /perhaps from cookie-session.*use express-session/)
    assert.equal(stage.provider.calls['/authorize'], 0)
  })

  it('says that a session with only some of the functions is not supported', async () => {
    const plant: Handler = (req, _res, next) => next(void Object.assign(req, { session: { regenerate: 'later' } }))
    const app = await start({}, { session: false, beforeOidc: [plant] })
    assert.equal((await app.browser().open('/login')).status, 500)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_UNSUPPORTED'])
  })
})

/** An Express app that the test sets up itself, with http or https. */
async function startByHand(
  mount: (app: express.Express, auth: ReturnType<typeof oidc>) => void,
  scheme: 'http' | 'https' = 'http',
) {
  const app = express().set('env', 'test')
  const server = scheme === 'https' ? createHttpsServer(LOOPBACK_CERTIFICATE, app) : createServer(app)
  const { port } = stage.stopLater(await listen(server))
  const origin = `${scheme}://127.0.0.1:${port}`
  const auth = oidc(usualOptions(stage.provider, origin))
  const seen: unknown[] = []
  mount(app, auth)
  app.get('/profile', requireAuth(), (req, res) => void res.json(req.oidc.claims))
  app.use(((error, _req, _res, next) => {
    seen.push(error)
    next(error)
  }) satisfies express.ErrorRequestHandler)
  app.use(errorPage())
  return { browser: createBrowser({ origin }), seen }
}

describe('a session cookie that is secure', () => {
  const observed = observeErrors()
  const secure = { secret: 'x', resave: false, saveUninitialized: false, cookie: { secure: true } }

  it('is reported if the request came over plain http', async () => {
    const app = await start({}, { session: { cookie: { secure: true } } })
    assert.equal((await app.browser().open('/login')).status, 500)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_COOKIE_INSECURE'])
    assert.match(app.errors[0]?.message ?? '', /app\.set\('trust proxy', 1\)/)
    assert.equal(stage.provider.calls['/authorize'], 0)
  })

  it('N-33: is reported at the first login if a proxy ends TLS, but is not trusted, and stops the next one', async () => {
    const { browser, seen } = await startByHand((app, auth) => {
      app.use(session(secure))
      app.use(auth)
    })
    const headers = { 'x-forwarded-proto': 'https' }
    const { next } = await browser.open('/login', { headers, stopBefore: isCallback })
    assert.equal((await browser.go(next, { headers, follow: false })).status, 303)
    assert.deepEqual([observed.codes, seen], [['ERR_OIDC_SESSION_COOKIE_INSECURE'], []])
    assert.equal((await browser.open('/login', { headers, follow: false })).status, 500)
    assert.equal(Object(seen[0]).code, 'ERR_OIDC_SESSION_COOKIE_INSECURE')
  })

  it('N-33: is no problem if express-session itself trusts the proxy', async () => {
    const { browser, seen } = await startByHand((app, auth) => {
      app.use(session({ ...secure, proxy: true }))
      app.use(auth)
    })
    const headers = { 'x-forwarded-proto': 'https' }
    for (let login = 0; login < 2; login++) {
      const { next } = await browser.open('/login', { headers, stopBefore: isCallback })
      assert.equal((await browser.go(next, { headers, follow: false })).status, 303)
    }
    assert.deepEqual([observed.codes, seen], [[], []])
  })

  it('works if the framework trusts the proxy', async () => {
    const { browser } = await startByHand((app, auth) => {
      app.set('trust proxy', 1)
      app.use(session(secure))
      app.use(auth)
    })
    const page = await browser.open('/login', { follow: false, headers: { 'x-forwarded-proto': 'https' } })
    assert.equal(page.status, 303)
  })

  it('works if the app itself ends TLS', async () => {
    const { browser, seen } = await startByHand((app, auth) => {
      app.use(session(secure))
      app.use(auth)
    }, 'https')
    const page = await browser.open('/profile')
    assert.deepEqual([page.status, page.json()['sub'], seen], [200, 'user-subject', []])
  })

  it("works over plain http with secure: 'auto'", async () => {
    const { app } = await startLoggedIn({}, { session: { cookie: { secure: 'auto' } } })
    assert.deepEqual(codesOf(app), [])
  })
})

describe('a session that does not come back', () => {
  it('stops the second login in a row with an error that gives advice', async () => {
    const app = await start({}, { session: { cookie: { domain: 'another.test' } } })
    const browser = app.browser()
    const page = await browser.open('/profile')
    assert.equal(page.status, 500)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_NOT_KEPT'])
    assert.match(app.errors[0]?.message ?? '', /'trust proxy' is not set, or its domain or path does not cover/)
    assert.equal(stage.provider.calls['/authorize'], 2)
  })

  it('does not prevent another attempt', async () => {
    const app = await start({}, { session: { cookie: { domain: 'another.test' } } })
    const browser = app.browser()
    await browser.open('/profile')
    const again = await browser.open('/profile', { stopBefore: isCallback })
    assert.equal(again.status, 302)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_NOT_KEPT'])
  })

  it('is accepted once, because the application may have ended it', async () => {
    const { app, browser } = await startLoggedIn()
    browser.jar.remove(({ name }) => name === SESSION_COOKIE)
    assert.equal((await browser.open('/profile')).status, 200)
    assert.deepEqual(codesOf(app), [])
  })

  it('N-33: names the cookie at the second login if the proxy sends https and is not trusted', async () => {
    const app = await start({}, { tls: true, session: { proxy: false } })
    assert.equal((await app.browser().open('/profile')).status, 500)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_COOKIE_INSECURE'])
  })

  it('N-17: is no loop if it came back before the application ended it, as often as it likes', async () => {
    const routes = { '/own-logout': answerBy(async (req, res) => void Object(req.session).destroy(() => res.end())) }
    const { app, browser } = await startLoggedIn({}, { routes })
    for (let login = 0; login < 4; login++) {
      await browser.fetch('/own-logout')
      assert.equal((await browser.open('/profile')).status, 200)
    }
    assert.deepEqual([codesOf(app), await app.sessions()], [[], 1])
  })

  it('N-17: is not counted for another app at another port of the host', async () => {
    const first = await start({}, { session: { cookie: { domain: 'another.test' } } })
    const second = await start({}, { session: { name: 'second.sid' } })
    const browser = first.browser()
    for (let login = 0; login < 2; login++) {
      const { next } = await browser.open('/login', { stopBefore: isCallback })
      await browser.go(next, { follow: false })
    }
    const other = await browser.open(`${second.baseUrl}/profile`)
    assert.deepEqual([other.status, codesOf(second)], [200, []])
  })

  it('no longer counts after some seconds', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { app, browser } = await startLoggedIn()
    browser.jar.remove(({ name }) => name === SESSION_COOKIE)
    mock.timers.tick(11_000)
    assert.equal((await browser.open('/profile')).status, 200)
    assert.deepEqual(codesOf(app), [])
  })

  it('does not count for a login after a logout, or for a login over another one', async () => {
    const { app, browser } = await startLoggedIn()
    assert.equal((await browser.open('/login')).status, 200)
    await browser.post('/logout')
    assert.equal((await browser.open('/profile')).status, 200)
    assert.deepEqual(codesOf(app), [])
  })
})

describe('what the application writes into the session of a login', () => {
  it('is kept, together with the login', async () => {
    const { browser } = await startLoggedIn()
    await browser.open('/write')
    assert.equal((await browser.open('/session')).json()['cart'], 'book')
    assert.equal((await browser.open('/profile')).status, 200)
  })

  it('can be the end of the session', async () => {
    const end = answerBy(
      (req, res) =>
        new Promise((resolve) => {
          const { session } = req as unknown as express.Request
          session.destroy(() => {
            res.end(String(req.oidc.isAuthenticated))
            resolve()
          })
        }),
    )
    const { browser } = await startLoggedIn({}, { routes: { '/end': end } })
    assert.equal((await browser.open('/end')).body, 'false')
    assert.equal((await browser.fetch('/profile')).status, 401)
  })
})

describe('two oidc() in one application', () => {
  it('work side by side, each with its own sessionKey', async () => {
    const server = express().set('env', 'test')
    const { port } = stage.stopLater(await listen(createServer(server)))
    const origin = `http://127.0.0.1:${port}`
    server.use(session({ secret: 'x', resave: false, saveUninitialized: false }))
    for (const name of ['staff', 'guests']) {
      server.use(`/${name}`, oidc({ ...usualOptions(stage.provider, `${origin}/${name}`), sessionKey: name }))
      server.get(`/${name}/profile`, requireAuth(), (req, res) => void res.json(req.oidc.claims))
    }
    const browser = createBrowser({ origin })
    const page = await browser.open('/staff/profile')
    assert.deepEqual([page.status, page.url], [200, `${origin}/staff/profile`])
    assert.equal((await browser.fetch('/guests/profile')).status, 401)
    assert.equal((await browser.open('/guests/profile')).status, 200)
    assert.equal((await browser.fetch('/staff/profile')).status, 200)
  })
})

describe('a seal', () => {
  it('needs a secret', () => {
    assert.throws(() => createSeal([], 'tokens').seal('x', 'y'), /at least one secret/)
    assert.equal(createSeal([], 'tokens').open('x', 'y'), undefined)
  })
})

describe('two oidc() in one application', () => {
  const STAFF = { sessionKey: 'staff', routes: { login: '/staff/in', callback: '/staff/back', logout: '/staff/out' } }

  it('keep their logins and their tokens apart in one session', async () => {
    const { issuer, clientId, clientSecret } = stage.provider
    let staff: Handler | undefined
    const app = await start(
      {},
      {
        beforeOidc: [(req, res, next) => staff?.(req, res, next)],
        routes: { '/both': answerJson(async ({ session, oidc }) => [Object.keys(session), await oidc.idToken()]) },
      },
    )
    const options = { ...usualOptions({ issuer, clientId, clientSecret }, app.baseUrl), ...STAFF }
    let staffTokens: unknown
    const auth = oidc(options)
    staff = (req, res, next) => {
      auth(req, res, (error) => {
        if (req.url !== '/both') return next(error)
        const context = Reflect.get(req, 'oidc') as AppRequest['oidc']
        context.idToken().then((token) => {
          staffTokens = token
          next()
        }, next)
      })
    }
    const browser = app.browser()
    await browser.open('/staff/in')
    await browser.open('/login')
    const [keys, idToken] = (await browser.open('/both')).json() as unknown as [string[], string]
    assert.ok(keys.includes('staff') && keys.includes('oidc'))
    assert.match(idToken, /^ey/)
    assert.match(String(staffTokens), /^ey/)
    assert.notEqual(staffTokens, idToken)
  })
})

describe('a function for sessionClaims', () => {
  for (const [name, choose] of [
    ['returns nothing', () => undefined],
    ['returns a promise', async () => ({ name: 'x' })],
  ] as const) {
    it(`that ${name} fails the login with an error`, async () => {
      const app = await start({ sessionClaims: choose as unknown as () => Record<string, unknown> })
      await app.browser().open('/profile')
      assert.deepEqual([codesOf(app), await app.sessions()], [['ERR_OIDC_CONFIG'], 0])
    })
  }
})

describe('logins in quick succession', () => {
  it('are no loop if the browser only withholds a Strict cookie from links of another site', async () => {
    const app = await start({}, { session: { cookie: { sameSite: 'strict' } } })
    const browser = app.browser()
    for (let click = 0; click < 4; click++) {
      assert.equal((await browser.open('/profile', { from: 'https://other.test' })).status, 200)
    }
    assert.deepEqual(codesOf(app), [])
  })

  it('are no loop if they are of several applications on one host', async () => {
    const browser = createBrowser({})
    for (const sessionKey of ['one', 'two', 'three', 'four']) {
      const app = await start({ sessionKey })
      assert.equal((await browser.open(`${app.baseUrl}/profile`)).status, 200)
      assert.deepEqual(codesOf(app), [])
    }
  })
})
