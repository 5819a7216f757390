import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import type { Page as Tab } from 'playwright-core'
import type { Handler, Json } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { createTokenRecords } from '../../lib/session/token-record.ts'
import { ACCOUNTS } from '../support/app/accounts.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { observeLogouts } from '../support/app/logout-observer.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { type AppSettings, createStage } from '../support/app/stage.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { skipWithoutChromium } from '../support/browser/chromium.ts'
import { createChromiumPages } from '../support/browser/chromium-pages.ts'
import { cookieOf } from '../support/browser/login-cookies.ts'
import { openSessionFrames, type SessionFramesOptions } from '../support/browser/session-frames.ts'
import { browserStateCookie } from '../support/strict-provider/check-session.ts'
import { answered, type JsonChange, type RawHandler } from '../support/strict-provider/context.ts'

const who = answerJson(({ oidc }) => ({ authenticated: oidc.isAuthenticated, sub: oidc.claims?.sub ?? null }))

/** A page with the hidden frame, which shows who is logged in. */
const framed: Handler = (req, res) => {
  const { sub = 'nobody' } = Object(Reflect.get(req, 'oidc')).claims ?? {}
  res.setHeader('Content-Type', 'text/html')
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Security-Policy', "default-src 'none'; frame-src 'self'")
  res.end(`<!doctype html><title>${sub}</title><h1>${sub}</h1><iframe hidden src="/session-check"></iframe>`)
}

const routes: Routes = { '/who': who, '/framed': framed }

const stage = createStage({
  provider: { sessionManagement: 'announced', issuerPath: '/op' },
  app: { routes, errorHandler: 'json' },
})
const observed = observeLogouts()

function answerWith(change: (params: URLSearchParams) => void): void {
  stage.provider.change.authorizationResponse = (params) => {
    change(params)
    return params
  }
}

async function sessionStateOf(browser: Browser): Promise<unknown> {
  return Object((await browser.fetch('/tokens')).json())['sessionState']
}

/** Loads the page as the hidden frame does. */
function openCheck(browser: Browser, path = '/session-check'): Promise<Page> {
  return browser.open(path, { headers: { 'sec-fetch-dest': 'iframe', 'sec-fetch-site': 'same-origin' } })
}

async function openFrames(browser: Browser, options?: SessionFramesOptions): ReturnType<typeof openSessionFrames> {
  return openSessionFrames(browser, await openCheck(browser), options)
}

/** The user logs out at the provider, which does not report it to us. */
async function logOutAtProvider(browser: Browser): Promise<void> {
  assert.equal((await browser.open(stage.provider.endpointUrls['/logout'])).status, 200)
}

/** Another application at another host, because all ports of a host share their cookies. */
function startElsewhere(): Promise<TestApp> {
  return stage.start({}, { hostname: 'localhost' })
}

/** Another user logs in at the provider, for another application. */
async function logInElsewhere(browser: Browser, name: string): Promise<void> {
  stage.provider.account = ACCOUNTS[name] ?? assert.fail()
  const page = await browser.open(`${(await startElsewhere()).baseUrl}/profile`)
  assert.equal(page.json()['sub'], name, page.body)
}

function policyOf({ headers }: Page): string {
  return String(headers['content-security-policy'])
}

const CLOSED = "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

function assertEmpty(page: Page): void {
  assert.deepEqual([page.status, policyOf(page)], [200, `default-src 'none'; ${CLOSED}`])
  assert.match(page.body, /<body><\/body>/)
  assert.equal(page.headers['cache-control'], 'no-store')
}

describe('session_state', () => {
  for (const [responseType, responseMode] of [
    ['code', 'query'],
    ['code', 'form_post'],
    ['code', 'fragment'],
    ['code', 'jwt'],
    ['id_token', 'form_post'],
    ['id_token token', 'fragment'],
    ['code id_token', 'form_post'],
    ['code token', 'form_post.jwt'],
    ['code id_token token', 'fragment'],
  ] satisfies [AnyOptions['responseType'], AnyOptions['responseMode']][]) {
    it(`is stored with the tokens, not in the session: ${responseType} by ${responseMode}`, async () => {
      let sent: string | null = null
      answerWith((params) => {
        sent = params.get('session_state')
      })
      const { app, browser } = await stage.startLoggedIn({ responseType, responseMode })
      assert.match(String(sent), /^[0-9a-f]{64}\.[\w-]+$/)
      assert.equal(await sessionStateOf(browser), sent)
      assert.ok(!JSON.stringify(await app.records()).includes(String(sent)))
      assert.deepEqual(stage.provider.complaints, [])
    })
  }

  const LONGEST = `${'a'.repeat(505)}.<'">&`
  const accepted: readonly (readonly [string, string])[] = [
    ['quotes', `a"'\`b.c`],
    ['the end of a script', '</script><script>alert(1)</script>'.replaceAll(' ', '')],
    ['a comment', '<!--x'],
    ['backslashes', '\\u2028\\x3c'],
    ['512 characters', LONGEST.padStart(512, 'b')],
    ['one character', '.'],
  ]
  for (const [name, value] of accepted) {
    it(`may be ${name}, which the page escapes`, async () => {
      answerWith((params) => params.set('session_state', value))
      const { browser } = await stage.startLoggedIn()
      assert.equal(await sessionStateOf(browser), value)
      const page = await openCheck(browser)
      assert.equal(page.body.match(/<script/g)?.length, 1)
      assert.equal(page.body.match(/<\/script>/g)?.length, 1)
      assert.ok(!page.body.includes('<!--'))
      const frames = await openSessionFrames(browser, page, { answer: () => 'unchanged' })
      assert.deepEqual(frames.asked[0], [`test-client ${value}`, new URL(stage.provider.issuer).origin])
    })
  }

  for (const [name, value] of [
    ['empty', ''],
    ['a space', 'a b'],
    ['only spaces', '   '],
    ['a space at the end', 'ab '],
    ['a line break', 'a\nb'],
    ['a line break at the end', 'ab\n'],
    ['a tab', 'a\tb'],
    ['NUL', 'a\0b'],
    ['U+2028', 'a\u2028b'],
    ['U+2029', 'a\u2029b'],
    ['a letter that is not ASCII', 'ä'],
    ['DEL', 'a\u007f'],
    ['half a surrogate pair', 'a\ud800'],
    ['513 characters', 'a'.repeat(513)],
    ['10 kB', 'a'.repeat(10_240)],
  ] as const) {
    it(`is ignored if it is not the text that the standard defines: ${name}`, async () => {
      answerWith((params) => params.set('session_state', value))
      // Some are too long for a URL.
      const { app, browser } = await stage.startLoggedIn({ responseMode: 'form_post' })
      assert.deepEqual([await sessionStateOf(browser), app.errors], [undefined, []])
      assertEmpty(await openCheck(browser))
    })
  }

  it('is ignored if it is not a string in a JWT', async () => {
    for (const value of [{ a: 1 }, ['a'], true, null]) {
      stage.provider.reset()
      stage.provider.change.responseJwtClaims = (claims) => ({ ...claims, session_state: value })
      const { browser } = await stage.startLoggedIn({ responseMode: 'jwt' })
      assert.equal(await sessionStateOf(browser), undefined)
    }
  })

  it('is refused if it is sent twice, like every parameter', async () => {
    answerWith((params) => params.append('session_state', 'another'))
    const app = await stage.start()
    await app.browser().open('/profile')
    assert.deepEqual([codesOf(app), await app.sessions()], [['ERR_OIDC_CALLBACK_INVALID'], 0])
  })

  it('of a failed login is not stored', async () => {
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, nonce: 'another' })
    const app = await stage.start()
    await app.browser().open('/profile')
    assert.deepEqual([codesOf(app), await app.records()], [['ERR_OIDC_ID_TOKEN_NONCE'], {}])
  })

  it('stays when the tokens are refreshed', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    stage.provider.change.tokenResponse = (good) => ({ ...good, expires_in: 0 })
    const { browser } = await stage.startLoggedIn({ scope: 'openid offline_access' })
    const before = await sessionStateOf(browser)
    assert.ok(before)
    const { token } = (await browser.fetch('/access-token')).json()
    const { accessToken, sessionState } = (await browser.fetch('/tokens')).json()
    assert.deepEqual([accessToken === token, sessionState, stage.provider.calls['/token']], [true, before, 2])
  })

  it('is replaced at each recheck, and the frame uses the latest', async () => {
    const { browser } = await stage.startLoggedIn()
    const before = await sessionStateOf(browser)
    await browser.open('/login?prompt=none&returnTo=/who')
    const after = await sessionStateOf(browser)
    assert.notEqual(after, before)
    const frames = await openFrames(browser)
    assert.deepEqual(
      frames.asked.map(([message]) => message),
      [`test-client ${after}`],
    )
  })
})

describe('the page for a hidden frame', () => {
  it("frames only the provider's page", async () => {
    const { browser } = await stage.startLoggedIn()
    const [page, again] = [await openCheck(browser), await openCheck(browser)]
    const { origin } = new URL(stage.provider.issuer)
    const nonce = /<script nonce="([\w+/]{22}==)">/.exec(page.body)?.[1]
    assert.ok(nonce && !again.body.includes(nonce))
    assert.equal(policyOf(page), `default-src 'none'; script-src 'nonce-${nonce}'; frame-src ${origin}; ${CLOSED}`)
    const { 'cache-control': cache, 'content-type': type, 'referrer-policy': referrer } = page.headers
    assert.deepEqual([cache, type, referrer], ['no-store', 'text/html; charset=utf-8', 'no-referrer'])
    assert.deepEqual([page.headers['x-content-type-options'], page.headers['set-cookie']], ['nosniff', undefined])
    const frames = await openSessionFrames(browser, page)
    assert.equal(frames.frame, stage.provider.endpointUrls['/check-session'])
    assert.match(page.body, /<iframe id="provider" hidden sandbox="allow-scripts allow-same-origin"/)
  })

  it('allows frames of the application even if another middleware forbids frames', async () => {
    const strict: Handler = (_req, res, next) => {
      res.setHeader('X-Frame-Options', 'DENY')
      res.setHeader('Content-Security-Policy', "default-src 'self'; frame-ancestors 'none'")
      next()
    }
    const { browser } = await stage.startLoggedIn({}, { before: [strict] })
    const page = await openCheck(browser)
    assert.deepEqual([page.headers['x-frame-options'], policyOf(page).includes(CLOSED)], [undefined, true])
  })

  it('holds no token', async () => {
    const { browser } = await stage.startLoggedIn()
    const { token } = (await browser.fetch('/id-token')).json()
    const { token: accessToken } = (await browser.fetch('/access-token')).json()
    const { body } = await openCheck(browser)
    assert.ok(!body.includes(String(token)) && !body.includes(String(accessToken)) && !body.includes('user-subject'))
  })

  it('is empty without a login, and sends no request', async () => {
    const app = await stage.start()
    const browser = app.browser()
    assertEmpty(await openCheck(browser))
    assert.deepEqual([stage.provider.requests.length, browser.cookies(), await app.records()], [0, [], {}])
  })

  it('is empty after a logout, and after the login has expired', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { browser } = await stage.startLoggedIn({ loginLifetime: 60 })
    const other = browser.clone()
    mock.timers.tick(60_000)
    assertEmpty(await openCheck(other))
    await browser.open('/login?returnTo=/who')
    await browser.post('/logout')
    assertEmpty(await openCheck(browser))
  })

  it('is empty if the provider sends no session_state', async () => {
    answerWith((params) => params.delete('session_state'))
    const { browser } = await stage.startLoggedIn()
    assertEmpty(await openCheck(browser))
  })

  it('is empty if the provider has no check_session_iframe', async () => {
    stage.provider.change.discovery = ({ check_session_iframe: _none, ...metadata }) => metadata
    const { browser } = await stage.startLoggedIn()
    assertEmpty(await openCheck(browser))
  })

  it('is empty while discovery fails, and publishes the error', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const hangUp: RawHandler = (_req, res) => void res.destroy()
    const { app, browser } = await stage.startLoggedIn()
    // Another node, which has no metadata yet.
    const { issuer, clientId, clientSecret } = stage.provider
    stage.provider.change.raw['/discovery'] = hangUp
    const node = await stage.start({ issuer, clientId, clientSecret }, { session: { store: app.store } })
    const cookie = `connect.sid=${cookieOf(browser)}`
    const page = await node.browser().open('/session-check', { headers: { cookie } })
    assertEmpty(page)
    assert.deepEqual([observed.errors, node.errors], [['ERR_OIDC_PROVIDER_UNREACHABLE'], []])
  })

  it('accepts only GET, and cannot be a returnTo', async () => {
    const { app, browser } = await stage.startLoggedIn()
    assert.deepEqual(
      [(await browser.post('/session-check')).status, codesOf(app)],
      [405, ['ERR_OIDC_METHOD_NOT_ALLOWED']],
    )
    const page = await browser.open('/login?returnTo=/session-check')
    assert.equal(page.url, `${app.origin}/`)
  })

  it('is at the route in the options, below the path of the application', async () => {
    const options = { routes: { sessionCheck: '/still-there' } }
    const { app, browser } = await (async () => {
      const app = await stage.start(options, { mountPath: '/portal' })
      const browser = app.browser()
      await browser.open('/portal/profile')
      return { app, browser }
    })()
    const page = await openCheck(browser, `${app.baseUrl}/still-there`)
    const frames = await openSessionFrames(browser, page, { around: '/portal/who', storage: new Map() })
    await frames.tick()
    await logOutAtProvider(browser)
    await frames.tick()
    assert.deepEqual(frames.left, ['/portal/login?prompt=none&returnTo=%2Fportal%2Fwho'])
  })
})

describe('the URL of check_session_iframe', () => {
  const clientSecret = 'a secret that is long enough for the cookies'
  const issuer = 'https://op.example'

  /** The page for a user of a provider with this metadata, which needs no discovery. */
  async function openWith(frame: Json | undefined, more: Partial<AnyOptions> = {}): Promise<Page> {
    const providerMetadata = {
      ...{ issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` },
      ...{ jwks_uri: `${issuer}/jwks`, ...(frame === undefined ? {} : { check_session_iframe: frame }) },
    }
    const options = {
      ...{ issuer, clientId: 'client', clientSecret, providerMetadata, baseUrl: 'https://app.example' },
      ...{ dangerouslyAllowInsecureRequests: false, ...more },
    }
    const now = Math.floor(Date.now() / 1000)
    const login = { claims: { iss: issuer, sub: 'sub' }, scope: 'openid', loggedInAt: now, expiresAt: now + 600 }
    const tokens = createTokenRecords(parseOptions(options).app)
    const logIn = answerBy(async (req, res) => {
      const store = Reflect.get(req, 'sessionStore')
      const tokensId = await tokens.save(store, { idToken: 'a.b.c', sessionState: 'state.salt' }, login)
      req.session['oidc'] = { login, tokensId }
      res.end()
    })
    const app = await stage.start(options, { routes: { '/plant': logIn } })
    const browser = app.browser()
    await browser.open('/plant')
    const page = await openCheck(browser)
    assert.deepEqual(app.errors, [])
    return page
  }

  it('is framed if it has https', async () => {
    for (const [frame, origin] of [
      ['https://op.example/check', 'https://op.example'],
      ['https://op.example:8443/check?tenant=a&b=c', 'https://op.example:8443'],
      ['HTTPS://LOGIN.EXAMPLE/', 'https://login.example'],
    ] as const) {
      const page = await openWith(frame)
      assert.ok(policyOf(page).includes(`; frame-src ${origin}; `), policyOf(page))
    }
  })

  for (const frame of [
    undefined,
    'http://op.example/check',
    'javascript:alert(1)',
    'javascript://op.example/%0aalert(1)',
    'data:text/html,<script>alert(1)</script>',
    'blob:https://op.example/1',
    'about:blank',
    'file:///etc/passwd',
    '/check',
    '//op.example/check',
    '',
    ' ',
    'https://',
    'https://op.example;script-src/check',
    'https://op.example,evil.example/check',
    "https://'unsafe-inline'/check",
    'https://*.example/check',
    'https://*/check',
    7,
    true,
    null,
    ['https://op.example/check'],
    { href: 'https://op.example/check' },
  ] satisfies (Json | undefined)[]) {
    it(`is not framed if it is ${JSON.stringify(frame)}`, async () => {
      assertEmpty(await openWith(frame))
    })
  }

  it('may have http with dangerouslyAllowInsecureRequests', async () => {
    const page = await openWith('http://op.example/check', { dangerouslyAllowInsecureRequests: true })
    assert.ok(policyOf(page).includes('frame-src http://op.example; '))
    assertEmpty(await openWith('ftp://op.example/check', { dangerouslyAllowInsecureRequests: true }))
  })

  it('is never HTML, whatever it contains', async () => {
    const page = await openWith('https://op.example/"></iframe></script><script>alert(1)</script>?\u2028')
    assert.equal(page.body.match(/<script/g)?.length, 1)
    assert.equal(page.body.match(/<\/script>/g)?.length, 1)
    const frames = await openSessionFrames(stageBrowser(page), page, { answer: () => 'unchanged' })
    assert.ok(frames.frame?.startsWith('https://op.example/"'))
  })

  it('gets the client id in a message that is no script either', async () => {
    const clientId = `</script><!--'"&`
    const page = await openWith('https://op.example/check', { clientId })
    assert.equal(page.body.match(/<\/script>/g)?.length, 1)
    const frames = await openSessionFrames(stageBrowser(page), page, { answer: () => 'unchanged' })
    assert.deepEqual(frames.asked[0], [`${clientId} state.salt`, 'https://op.example'])
  })

  /** The frames need no browser if the test responds itself. */
  function stageBrowser(_page: Page): Browser {
    return {} as Browser
  }
})

describe('the hidden frame', () => {
  it("asks the provider's frame every few seconds, and does nothing while nothing has changed", async () => {
    const { browser } = await stage.startLoggedIn()
    const frames = await openFrames(browser)
    for (let round = 0; round < 3; round++) await frames.tick()
    assert.deepEqual([frames.left, frames.isAsking, frames.asked.length], [[], true, 4])
    const { origin } = new URL(stage.provider.issuer)
    assert.deepEqual([...new Set(frames.asked.map(([, target]) => target))], [origin])
    assert.deepEqual(stage.provider.calls['/authorize'], 1)
  })

  it('makes the page recheck the login after a logout at the provider, which ends the login here', async () => {
    const { app, browser } = await stage.startLoggedIn()
    await browser.fetch('/write')
    const frames = await openFrames(browser, { around: '/who?a=1&b=%20c#part' })
    await logOutAtProvider(browser)
    await frames.tick()
    const target = encodeURIComponent('/who?a=1&b=%20c#part')
    assert.deepEqual([frames.left, frames.isAsking], [[`/login?prompt=none&returnTo=${target}`], false])
    const page = await browser.open(frames.left[0] ?? '')
    assert.deepEqual([page.url, page.json()['authenticated']], [`${app.origin}/who?a=1&b=%20c#part`, false])
    assert.deepEqual([await app.records(), app.errors, observed.logouts.length], [{}, [], 1])
    assertEmpty(await openCheck(browser))
  })

  it('makes the page log in as another user who has logged in there, without the data of the first', async () => {
    const { app, browser } = await stage.startLoggedIn({ silentLogin: true })
    await browser.fetch('/write')
    const frames = await openFrames(browser, { around: '/who' })
    await logInElsewhere(browser, 'bob')
    await frames.tick()
    browser.jar.remove(({ name }) => name.startsWith('oidc-silent.'))
    const page = await browser.open(frames.left[0] ?? '')
    assert.deepEqual([page.url, page.json()], [`${app.origin}/who`, { authenticated: true, sub: 'bob' }])
    const text = JSON.stringify(await app.records())
    assert.ok(!text.includes('user-subject') && !text.includes('book'))
  })

  it('finds the session unchanged after the same user has logged in again', async () => {
    const { app, browser } = await stage.startLoggedIn()
    await browser.fetch('/write')
    const frames = await openFrames(browser, { around: '/who' })
    await logOutAtProvider(browser)
    await browser.open(`${(await startElsewhere()).baseUrl}/profile`)
    await frames.tick()
    const page = await browser.open(frames.left[0] ?? '')
    assert.deepEqual(page.json(), { authenticated: true, sub: 'user-subject' })
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    const next = await openFrames(browser)
    await next.tick()
    assert.deepEqual([next.left, next.isAsking, await app.sessions()], [[], true, 1])
  })

  it("starts no recheck if the provider's frame responds with error", async () => {
    const { browser } = await stage.startLoggedIn()
    const storage = new Map<string, string>()
    await openFrames(browser, { storage })
    const frames = await openFrames(browser, { answer: () => 'error', storage })
    await frames.tick()
    assert.deepEqual([frames.left, frames.isAsking], [[], false])
  })

  it('does nothing outside of a frame', async () => {
    const { browser } = await stage.startLoggedIn()
    const storage = new Map<string, string>()
    const frames = await openFrames(browser, { isTop: true, storage })
    frames.post('changed')
    assert.deepEqual([frames.left, frames.isAsking], [[], false])
  })

  it('names the provider of the login if there are several', async () => {
    const page = await openAtTide()
    assert.match(page.body, /"loginUrl":"\/login\?provider=tide\\u0026prompt=none\\u0026returnTo="/)
  })

  const several = createSeveralProviders({
    harbour: { clientId: 'at-harbour' },
    tide: { clientId: 'at-tide', sessionManagement: 'announced' },
  })
  async function openAtTide(): Promise<Page> {
    const app = await several.start({}, { routes })
    const browser = app.browser()
    await browser.open('/login?provider=tide&returnTo=/who')
    return openCheck(browser)
  }
})

describe('a message to the hidden frame', () => {
  const rows: readonly (readonly [string, unknown, { readonly origin?: string; readonly source?: unknown }])[] = [
    ['from another origin', 'changed', { origin: 'https://evil.example' }],
    ['from another port of the provider', 'changed', { origin: 'http://localhost:1' }],
    ['from the provider with another scheme', 'changed', { origin: 'https://localhost' }],
    ['from an origin that begins like the provider', 'changed', { origin: 'http://localhost.evil.example' }],
    ['from an opaque origin', 'changed', { origin: 'null' }],
    ['from an empty origin', 'changed', { origin: '' }],
    ['from another window of the provider', 'changed', { source: {} }],
    ['from our own page', 'changed', { origin: 'http://127.0.0.1', source: {} }],
    ['from no window', 'changed', { source: null }],
    ['another word', 'Changed', {}],
    ['changed with an exclamation mark', 'changed!', {}],
    ['empty', '', {}],
    ['an array', ['changed'], {}],
    ['an object', { toString: () => 'changed' }, {}],
    ['a number', 1, {}],
    ['null', null, {}],
    ['error from another origin', 'error', { origin: 'https://evil.example' }],
    ['unchanged from another origin', 'unchanged', { origin: 'https://evil.example' }],
  ]
  for (const [name, data, from] of rows) {
    it(`is ignored if it is ${name}`, async () => {
      const { browser } = await stage.startLoggedIn()
      const storage = new Map<string, string>()
      const frames = await openFrames(browser, { storage })
      const before = new Map(storage)
      frames.post(data, from)
      assert.deepEqual([frames.left, frames.isAsking, storage], [[], true, before])
      frames.post('changed')
      assert.deepEqual([frames.left.length, frames.isAsking], [1, false])
    })
  }

  it('from another origin does not prove that the frame works', async () => {
    const { browser } = await stage.startLoggedIn()
    const storage = new Map<string, string>()
    const frames = await openFrames(browser, { answer: () => 'waiting', storage })
    frames.post('unchanged', { origin: 'https://evil.example' })
    frames.post('changed')
    assert.deepEqual([frames.left, storage.size], [[], 0])
  })
})

describe("a provider's frame that gets no cookies", () => {
  it('always responds with changed, which is never followed', async () => {
    const { browser } = await stage.startLoggedIn()
    const storage = new Map<string, string>()
    for (let page = 0; page < 3; page++) {
      const frames = await openFrames(browser, { cookies: 'kept back', storage })
      for (let round = 0; round < 3; round++) await frames.tick()
      assert.deepEqual([frames.left, frames.isAsking], [[], false])
    }
    assert.deepEqual(stage.provider.calls['/authorize'], 1)
  })

  it('is followed once if it got them before', async () => {
    const { browser } = await stage.startLoggedIn()
    const storage = new Map<string, string>()
    await openFrames(browser, { storage })
    let pages = 0
    for (; pages < 5; pages++) {
      const frames = await openFrames(browser, { cookies: 'kept back', storage })
      await frames.tick()
      if (frames.left[0] === undefined) break
      await browser.open(frames.left[0])
    }
    assert.deepEqual([pages, stage.provider.calls['/authorize']], [1, 2])
    // It is followed again after it got them again.
    await openFrames(browser, { storage })
    await logOutAtProvider(browser)
    const frames = await openFrames(browser, { storage })
    await frames.tick()
    assert.equal(frames.left.length, 1)
  })

  it('is not followed because that of another application of the same origin is', async () => {
    const storage = new Map<string, string>()
    const { browser: first } = await stage.startLoggedIn()
    await openFrames(first, { storage })
    assert.equal(storage.size, 1)
    const app = await stage.start({}, { mountPath: '/portal' })
    const second = app.browser()
    await second.open('/portal/profile')
    const page = await openCheck(second, '/portal/session-check')
    const frames = await openSessionFrames(second, page, { cookies: 'kept back', storage })
    await frames.tick()
    assert.deepEqual([frames.left, frames.isAsking], [[], false])
  })
})

describe('a recheck that fails', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: Date.now() }))

  for (const [name, change] of [
    ['the provider is down', () => setDiscovery(answered(503, ''))],
    ['the provider would have to show a page', () => answerWith((params) => setError(params, 'interaction_required'))],
    ['the provider has an error', () => answerWith((params) => setError(params, 'server_error'))],
  ] as const) {
    it(`is not repeated at once, but later: ${name}`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const storage = new Map<string, string>()
      const frames = await openFrames(browser, { around: '/who', storage })
      await logOutAtProvider(browser)
      await frames.tick()
      change()
      const page = await browser.open(frames.left[0] ?? '')
      assert.deepEqual([page.url, page.json()['authenticated']], [`${app.origin}/who`, true])
      assertEmpty(await openCheck(browser))
      mock.timers.tick(60_000)
      setDiscovery(undefined)
      stage.provider.change.authorizationResponse = undefined
      const later = await openFrames(browser, { around: '/who', storage })
      await later.tick()
      assert.deepEqual(later.left, frames.left)
      assert.equal((await browser.open(later.left[0] ?? '')).json()['authenticated'], false)
      assert.deepEqual([await app.records(), app.errors], [{}, []])
    })
  }

  function setDiscovery(change: JsonChange | undefined): void {
    stage.provider.change.discovery = change
  }

  function setError(params: URLSearchParams, error: string): void {
    for (const name of ['code', 'session_state']) params.delete(name)
    params.set('error', error)
  }
})

describe('session management in a real browser', { skip: skipWithoutChromium }, () => {
  const openTab = createChromiumPages()
  /** Other ports of one host are the same site, so the provider's frame gets its cookies. */
  const sameSite: AppSettings = { hostname: 'localhost' }

  async function openFramed(app: TestApp): Promise<Tab> {
    const tab = await openTab()
    await tab.goto(`${app.origin}/login?returnTo=${encodeURIComponent('/framed?a=1#part')}`)
    assert.equal(await tab.title(), 'user-subject')
    return tab
  }

  /** Waits for the first response of the provider's frame. */
  async function waitUntilKnown(tab: Tab): Promise<void> {
    await tab.waitForFunction(() => Object.values(Reflect.get(globalThis, 'localStorage')).includes(''))
  }

  it('shows the page without the login within seconds after a logout at the provider in another tab', async () => {
    const app = await stage.start({}, sameSite)
    const tab = await openFramed(app)
    await waitUntilKnown(tab)
    const other = await openTab()
    await other.goto(stage.provider.endpointUrls['/logout'])
    await tab.waitForFunction(() => Reflect.get(globalThis, 'document').title === 'nobody', undefined, {
      timeout: 9000,
    })
    assert.equal(tab.url(), `${app.origin}/framed?a=1#part`)
    const prompts = stage.provider.authorizationRequests.map((params) => params.get('prompt'))
    assert.deepEqual([prompts, await app.records(), app.errors], [[null, 'none'], {}, []])
    // The back button does not show the user's name.
    await tab.goBack()
    assert.doesNotMatch(await tab.content(), /user-subject/)
  })

  it('shows another user who has logged in at the provider in another tab', async () => {
    const app = await stage.start({}, { ...sameSite, routes: { ...routes, '/framed': [requireLogin, framed] } })
    const tab = await openFramed(app)
    await waitUntilKnown(tab)
    const elsewhere = await stage.start()
    stage.provider.account = ACCOUNTS['bob'] ?? assert.fail()
    const other = await openTab()
    await other.goto(`${elsewhere.origin}/profile`)
    await tab.waitForFunction(() => Reflect.get(globalThis, 'document').title === 'bob', undefined, { timeout: 9000 })
    assert.ok(!JSON.stringify(await app.records()).includes('user-subject'))
    assert.deepEqual([await app.sessions(), app.errors], [1, []])
    await waitUntilKnown(tab)
  })

  it('does nothing on a page whose user is still logged in, and breaks no policy', async () => {
    const app = await stage.start({}, sameSite)
    const faults: string[] = []
    const tab = await openFramed(app)
    tab.on('console', (message) => faults.push(message.text()))
    tab.on('pageerror', (error) => faults.push(String(error)))
    await tab.clock.install()
    await tab.reload()
    await waitUntilKnown(tab)
    const asked = tab.frames().length
    await tab.clock.runFor(60_000)
    assert.deepEqual([await tab.title(), asked, faults], ['user-subject', 3, []])
    assert.deepEqual([stage.provider.calls['/authorize'], stage.provider.calls['/check-session']], [1, 2])
  })

  it('does nothing if the browser withholds the cookies of the provider', async () => {
    // An IP address and a host name are two sites.
    const app = await stage.start()
    const tab = await openFramed(app)
    await tab.clock.install()
    await tab.reload()
    await tab.waitForFunction(() => Reflect.get(globalThis, 'frames')[0].frames.length === 1)
    await tab.clock.runFor(60_000)
    assert.deepEqual([await tab.title(), stage.provider.calls['/authorize']], ['user-subject', 1])
    const kept = await tab.evaluate(() => ({ ...Reflect.get(globalThis, 'localStorage') }))
    assert.deepEqual(kept, {})
  })

  it('cannot be framed by another site', async () => {
    const app = await stage.start({}, sameSite)
    const tab = await openFramed(app)
    const frameElsewhere: Handler = (_req, res) => {
      res.setHeader('Content-Type', 'text/html')
      res.end(`<!doctype html><iframe src="${app.origin}/session-check"></iframe>`)
    }
    const evil = await stage.start({}, { ...sameSite, routes: { '/evil': frameElsewhere } })
    const refused = tab.waitForEvent('console', (message) => message.text().includes('frame-ancestors'))
    await tab.goto(`${evil.origin}/evil`)
    assert.match((await refused).text(), /frame-ancestors/)
  })

  it('notices a deleted cookie of the provider too', async () => {
    const app = await stage.start({}, sameSite)
    const tab = await openFramed(app)
    await waitUntilKnown(tab)
    await tab.context().clearCookies({ name: browserStateCookie(stage.provider) })
    await tab.waitForEvent('framenavigated', { predicate: (frame) => frame === tab.mainFrame(), timeout: 9000 })
    await waitUntilKnown(tab)
    assert.deepEqual([await tab.title(), stage.provider.calls['/authorize']], ['user-subject', 2])
  })
})

/** The simplest guard. */
const requireLogin: Handler = (req, res, next) => {
  const oidc = Object(Reflect.get(req, 'oidc'))
  if (oidc.isAuthenticated) next()
  else res.writeHead(303, { location: oidc.loginUrl() }).end()
}
