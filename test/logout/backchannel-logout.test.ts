import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ERROR_STATUS } from '../../lib/error-codes.ts'
import type { StoreLike } from '../../lib/state/shared-state.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { isIn, logoutUri, observeLogouts, postAsServer, subjectOf } from '../support/app/logout-observer.ts'
import { createMemoryClientStore } from '../support/app/memory-client-store.ts'
import { createGate } from '../support/app/nodes.ts'
import { isTokens } from '../support/app/records.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { startProvider } from '../support/servers/provider.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'

const stage = createStage({ app: { errorHandler: 'json' } })
const { startLoggedIn } = stage
const seen = observeLogouts()

async function logInAt(app: TestApp): Promise<Browser> {
  const browser = app.browser()
  const page = await browser.open(`${app.baseUrl}/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

async function tokensOf(app: TestApp): Promise<readonly string[]> {
  return Object.keys(await app.records()).filter(isTokens)
}

describe('a back-channel logout', () => {
  for (const host of HOSTS) {
    for (const bodyParser of [false, true]) {
      it(`ends the session and its tokens in ${host}, ${bodyParser ? 'behind' : 'without'} a body parser`, async () => {
        const { app, browser } = await startLoggedIn({}, { host, bodyParser })
        const answer = await stage.provider.postLogoutToken(logoutUri(app), await subjectOf(browser))
        assert.deepEqual([answer.status, answer.body, answer.setCookies], [200, '', []])
        assert.deepEqual([answer.headers['cache-control'], answer.headers['content-length']], ['no-store', '0'])
        assert.deepEqual([await isIn(browser), await app.sessions(), await tokensOf(app)], [false, 0, []])
      })
    }
  }

  it('publishes one event for each session that it ends', async () => {
    const { app, browser } = await startLoggedIn()
    await logInAt(app)
    const { issuer } = stage.provider
    await stage.provider.postLogoutToken(logoutUri(app), { sub: (await subjectOf(browser)).sub })
    const told = { provider: 'default', how: 'backchannel', issuer, sub: 'user-subject' }
    assert.deepEqual([seen.logouts, seen.errors], [[told, told], []])
  })

  it('works below a mount path, at the route in the options', async () => {
    const routes = { backchannelLogout: '/bye' }
    const { app, browser } = await startLoggedIn({ routes }, { mountPath: '/portal' })
    const answer = await stage.provider.postLogoutToken(`${app.baseUrl}/bye`, await subjectOf(browser, app))
    assert.deepEqual([answer.status, await isIn(browser, app)], [200, false])
  })

  it('does not check the origin, because no browser sends the request', async () => {
    const { app, browser } = await startLoggedIn()
    const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
    const { status } = await postAsServer(logoutUri(app), `logout_token=${token}`, {
      'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
      origin: 'https://evil.example',
      'sec-fetch-site': 'cross-site',
    })
    assert.deepEqual([status, await isIn(browser)], [200, false])
  })

  for (const [name, session] of [
    ['are created for each visitor', { saveUninitialized: true }],
    ['are saved at each request', { saveUninitialized: true, resave: true, rolling: true }],
    ['are destroyed when they are unset', { saveUninitialized: true, unset: 'destroy' }],
  ] as const) {
    it(`leaves no session for its own request if sessions ${name}`, async () => {
      const { app, browser } = await startLoggedIn({}, { session })
      const before = Object.keys(await app.records()).length
      const good = await stage.provider.postLogoutToken(logoutUri(app), await subjectOf(browser))
      const bad = await postAsServer(logoutUri(app), 'logout_token=x')
      assert.deepEqual([good.status, good.setCookies, bad.status, bad.setCookies], [200, [], 400, []])
      // The session and its tokens are gone. The time of the logout is recorded.
      assert.equal(Object.keys(await app.records()).length, before - 2)
    })
  }

  it('gets 200 if the session has ended before', async () => {
    const { app, browser } = await startLoggedIn()
    const subject = await subjectOf(browser)
    await browser.post('/logout')
    assert.equal((await stage.provider.postLogoutToken(logoutUri(app), subject)).status, 200)
    assert.equal((await stage.provider.postLogoutToken(logoutUri(app), { sub: 'nobody' })).status, 200)
    assert.equal((await stage.provider.postLogoutToken(logoutUri(app), { sid: 'none' })).status, 200)
    assert.deepEqual([seen.errors, codesOf(app)], [[], []])
  })

  for (const method of ['GET', 'PUT']) {
    it(`refuses ${method}`, async () => {
      const { app, browser } = await startLoggedIn()
      const page = await browser.fetch('/backchannel-logout', { method })
      assert.deepEqual([page.status, app.errors[0]?.headers['Allow'], await isIn(browser)], [405, 'POST', true])
    })
  }

  it('gets 500 without express-session, so that the provider retries', async () => {
    const app = await stage.start({}, { session: false })
    const { status } = await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.deepEqual([status, codesOf(app)], [500, ['ERR_OIDC_SESSION_MISSING']])
  })
})

describe('a logout token with a sid', () => {
  it('ends only that session, even if it names the user too', async () => {
    const { app, browser } = await startLoggedIn()
    const phone = await logInAt(app)
    const subject = await subjectOf(browser)
    assert.notEqual(subject.sid, (await subjectOf(phone)).sid)
    await stage.provider.postLogoutToken(logoutUri(app), subject)
    assert.deepEqual([await isIn(browser), await isIn(phone), await app.sessions()], [false, true, 1])
  })

  it('ends every session here that came from that session at the provider', async () => {
    stage.provider.change.idTokenClaims = (good) => ({ ...good, sid: 'one for all' })
    const { app, browser } = await startLoggedIn()
    const other = await logInAt(app)
    await stage.provider.postLogoutToken(logoutUri(app), { sid: 'one for all' })
    assert.deepEqual([await isIn(browser), await isIn(other)], [false, false])
  })

  it('ends logins of the user without a sid, if the provider sends a sid only in logout tokens', async () => {
    stage.provider.change.idTokenClaims = ({ sid: _, ...good }) => good
    const { app, browser } = await startLoggedIn()
    stage.provider.change.idTokenClaims = undefined
    const named = await logInAt(app)
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject', sid: 'unheard of' })
    assert.deepEqual([await isIn(browser), await isIn(named)], [false, true])
  })

  it('lets the user log in again, and does not end the new login', async () => {
    const { app, browser } = await startLoggedIn()
    const subject = await subjectOf(browser)
    await stage.provider.postLogoutToken(logoutUri(app), subject)
    await browser.open('/profile')
    await stage.provider.postLogoutToken(logoutUri(app), subject)
    assert.equal(await isIn(browser), true)
  })
})

describe('a logout token with only a sub', () => {
  it('ends all sessions of that user, and no others', async () => {
    const { app, browser } = await startLoggedIn()
    const phone = await logInAt(app)
    stage.provider.account = { sub: 'another', claims: {} }
    const other = await logInAt(app)
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.deepEqual([await isIn(browser), await isIn(phone), await isIn(other)], [false, false, true])
    assert.equal((await tokensOf(app)).length, 1)
  })

  it('ends an older session for good, even after the user logs in again', async () => {
    const { app, browser } = await startLoggedIn()
    const thief = browser.clone()
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    await browser.open('/profile')
    assert.deepEqual([await isIn(browser), await isIn(thief)], [true, false])
  })
})

describe('a request in progress during a back-channel logout', () => {
  it('does not bring the session back', async () => {
    const gate = createGate()
    const slow = answerBy(async (req, res) => {
      await gate.pass()
      req.session['seen'] = 'late'
      res.end('done')
    })
    const { app, browser } = await startLoggedIn({}, { routes: { '/slow': slow } })
    const subject = await subjectOf(browser)
    const answer = browser.fetch('/slow')
    await gate.hasArrived
    await stage.provider.postLogoutToken(logoutUri(app), subject)
    gate.open()
    assert.equal((await answer).body, 'done')
    assert.deepEqual([await app.sessions(), await isIn(browser)], [0, false])
  })
})

describe('a store that fails', () => {
  const failing = async (app: TestApp, verb: 'get' | 'set' | 'destroy', work: () => Promise<void>): Promise<void> => {
    const store = app.store as unknown as StoreLike
    const run = store[verb]
    Object.assign(store, {
      [verb]: (...args: readonly unknown[]) => (args.at(-1) as (error: Error) => void)(new Error('down')),
    })
    await work()
    Object.assign(store, { [verb]: run })
  }

  for (const verb of ['get', 'set', 'destroy'] as const) {
    it(`at ${verb} makes the provider retry, with the same token`, async () => {
      const { app, browser } = await startLoggedIn()
      const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
      const post = async (): Promise<number> => (await postAsServer(logoutUri(app), `logout_token=${token}`)).status
      await failing(app, verb, async () => assert.equal(await post(), 503))
      const [code] = codesOf(app)
      assert.ok(code === 'ERR_OIDC_SESSION_STORE' || code === 'ERR_OIDC_SHARED_STATE')
      assert.equal(await post(), 200)
      assert.deepEqual([await isIn(browser), await app.sessions()], [false, 0])
      assert.equal(await post(), 400)
    })
  }
})

describe('a provider whose keys cannot be fetched', () => {
  it('gets a 5xx, so that it retries', async () => {
    const app = await stage.start()
    stage.provider.change.raw['/jwks'] = (_req, res) => void res.writeHead(503).end()
    const { status } = await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.ok(status >= 500, String(status))
    Reflect.deleteProperty(stage.provider.change.raw, '/jwks')
    assert.equal((await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })).status, 200)
  })

  it('is trusted as soon as it publishes its new keys', async () => {
    const { app, browser } = await startLoggedIn()
    const subject = await subjectOf(browser)
    await stage.provider.rotateKeys()
    assert.equal((await stage.provider.postLogoutToken(logoutUri(app), subject)).status, 200)
    assert.equal(await isIn(browser), false)
  })
})

describe('the same logout token twice at the same moment', () => {
  it('ends the session', async () => {
    const { app, browser } = await startLoggedIn()
    const token = await stage.provider.issueLogoutToken(await subjectOf(browser))
    const answers = await Promise.all([1, 2].map(() => postAsServer(logoutUri(app), `logout_token=${token}`)))
    assert.ok(answers.some(({ status }) => status === 200))
    assert.equal(await isIn(browser), false)
  })
})

describe('one back-channel route for several providers', () => {
  const several = createSeveralProviders({ one: {}, two: {}, sealed: { idTokenEncryptedResponseAlg: 'RSA-OAEP-256' } })

  async function startAll(): Promise<{ app: TestApp; browsers: Readonly<Record<'one' | 'two' | 'sealed', Browser>> }> {
    const app = await several.start({ secret: 'a secret of at least 32 characters' })
    const open = async (name: string): Promise<Browser> => {
      const browser = app.browser()
      await browser.open(`/login?returnTo=/profile&provider=${name}`)
      assert.equal(await isIn(browser), true, String(app.errors))
      return browser
    }
    return { app, browsers: { one: await open('one'), two: await open('two'), sealed: await open('sealed') } }
  }

  for (const name of ['one', 'two', 'sealed'] as const) {
    it(`ends only the sessions of provider ${name}, even if the user has the same sub at all`, async () => {
      const { app, browsers } = await startAll()
      const { status } = await several.provider(name).postLogoutToken(logoutUri(app), { sub: 'user-subject' })
      assert.equal(status, 200)
      for (const [other, browser] of Object.entries(browsers)) assert.equal(await isIn(browser), other !== name, other)
      assert.deepEqual(
        seen.logouts.map(({ provider }) => provider),
        [name],
      )
    })
  }

  it('verifies with the keys of the provider that the token names, and with no others', async () => {
    const { app, browsers } = await startAll()
    const { issuer } = several.provider('one')
    await several.provider('two').rotateKeys()
    several.provider('two').change.logoutTokenClaims = (good: JsonObject) => ({ ...good, iss: issuer })
    const { status } = await several.provider('two').postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.deepEqual([status, seen.errors], [400, ['ERR_OIDC_LOGOUT_TOKEN_KEY']])
    for (const browser of Object.values(browsers)) assert.equal(await isIn(browser), true)
  })

  it('refuses a token of an issuer that is not configured', async () => {
    const { app } = await startAll()
    several.provider('one').change.logoutTokenClaims = (good: JsonObject) => ({ ...good, iss: 'https://evil.example' })
    const { status } = await several.provider('one').postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.deepEqual([status, seen.errors], [400, ['ERR_OIDC_LOGOUT_TOKEN_ISSUER']])
  })

  it('responds with a 5xx if a provider that may have sent the token cannot be reached', async () => {
    const app = await several.start({ secret: 'a secret of at least 32 characters' })
    several.provider('sealed').change.raw['/discovery'] = (_req, res) => void res.writeHead(503).end()
    const { status } = await several.provider('sealed').postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.ok(status >= 500, String(status))
  })
})

describe('a logout token for a client with two names in the options', () => {
  it('ends the sessions of both', async () => {
    const { issuer, clientId, clientSecret } = stage.provider
    const both = { issuer, clientId, clientSecret }
    const app = await stage.start({
      ...({ issuer: undefined, clientId: undefined, clientSecret: undefined } as object),
      providers: { a: both, b: both },
      secret: 'a secret of at least 32 characters',
    })
    const browsers = await Promise.all(
      ['a', 'b'].map(async (name) => {
        const browser = app.browser()
        await browser.open(`/login?returnTo=/profile&provider=${name}`)
        return browser
      }),
    )
    await stage.provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
    assert.deepEqual(await Promise.all(browsers.map((browser) => isIn(browser))), [false, false])
  })
})

describe('a client that registers itself', () => {
  it('accepts logout tokens for the client id that it was given', async () => {
    const provider = await stage.startOther({ registration: 'open' })
    const unnamed = { clientId: undefined, clientSecret: undefined } as object
    const registration = { store: createMemoryClientStore() }
    const secret = 'a secret of at least 32 characters'
    const app = await stage.start({ ...unnamed, registration, secret }, { provider })
    const browser = await logInAt(app)
    const subject = await subjectOf(browser)
    const aud = provider.authorizationRequests[0]?.get('client_id')
    assert.equal((await provider.postLogoutToken(logoutUri(app), subject)).status, 400)
    assert.deepEqual([seen.errors, await isIn(browser)], [['ERR_OIDC_LOGOUT_TOKEN_AUDIENCE'], true])
    provider.change.logoutTokenClaims = (good) => ({ ...good, aud })
    assert.equal((await provider.postLogoutToken(logoutUri(app), subject)).status, 200)
    assert.equal(await isIn(browser), false)
  })
})

for (const [name, isSessionRequired] of [
  ['with a sid', true],
  ['with a sub alone', false],
] as const) {
  describe(`oidc-provider, which sends logout tokens ${name}`, () => {
    it('logs the user out of the application after a logout there', async () => {
      let target = ''
      const provider = stage.stopLater(
        await startProvider({
          features: { backchannelLogout: { enabled: true } },
          client: {
            backchannel_logout_uri: 'http://127.0.0.1/backchannel-logout',
            backchannel_logout_session_required: isSessionRequired,
          },
          // Its own fetch refuses loopback addresses.
          configuration: {
            fetch: (_url: URL, { method = '', headers = {}, body = null }: RequestInit) =>
              fetch(target, { method, headers, body }),
          },
        }),
      )
      const failures: unknown[] = []
      provider.provider.on('backchannel.error', (_context, error) => void failures.push(error))
      const app = await stage.start({ scope: 'openid' }, { provider })
      target = logoutUri(app)
      const browser = await logInAt(app)
      const phone = await logInAt(app)
      await browser.open(`${provider.issuer}/session/end`)
      assert.deepEqual([failures, seen.errors, seen.logouts.length], [[], [], isSessionRequired ? 1 : 2])
      assert.deepEqual([await isIn(browser), await isIn(phone)], [false, isSessionRequired])
    })
  })
}

describe('the errors of logout tokens', () => {
  it('have status 400', () => {
    const statuses = Object.entries(ERROR_STATUS).filter(([code]) => code.startsWith('ERR_OIDC_LOGOUT_TOKEN_'))
    assert.ok(statuses.length > 20)
    for (const [code, status] of statuses) assert.equal(status, 400, code)
  })
})
