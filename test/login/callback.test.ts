import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AuthorizationError } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import { createRendezvous } from '../support/app/wait-for-all.ts'
import { type Browser, createBrowser, type Navigation, type Page } from '../support/browser/browser.ts'
import { cookieOf, isTransaction, SESSION_COOKIE } from '../support/browser/login-cookies.ts'
import { answered } from '../support/strict-provider/context.ts'

const BY_FORM: Partial<AnyOptions> = { responseMode: 'form_post' }

const stage = createStage()
const { start } = stage

/** Starts a login, and stops the browser before the callback. */
async function startLogin(browser: Browser, path = '/profile'): Promise<Navigation> {
  const { next } = await browser.open(path, { stopBefore: isCallback })
  assert.ok(next)
  return next
}

function methodsOf(page: Page): readonly string[] {
  return page.history.map(({ method, url }) => `${method} ${new URL(url).pathname}`)
}

describe('a response in the query', () => {
  it('N-38: is accepted at once, is not cached, sends no referrer, and ends a fragment', async () => {
    const app = await start()
    const browser = app.browser()
    const page = await browser.go(await startLogin(browser), { follow: false })
    // The fragment ends one that the provider has added to the callback (N-38).
    assert.deepEqual([page.status, page.headers.location], [303, `${app.baseUrl}/profile#`])
    assert.equal(page.headers['cache-control'], 'no-store')
    assert.equal(page.headers['referrer-policy'], 'no-referrer')
    assert.equal(stage.provider.calls['/token'], 1)
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('is accepted if the browser sends no fetch metadata', async () => {
    const app = await start()
    const browser = createBrowser({ origin: app.origin, fetchMetadata: 'absent' })
    const page = await browser.open('/profile')
    assert.deepEqual([page.status, methodsOf(page).includes('POST /callback')], [200, false])
  })

  it('is accepted with unknown parameters', async () => {
    const app = await start()
    stage.provider.change.authorizationResponse = (params) => {
      const more = new URLSearchParams(params)
      for (const name of ['session_state', 'scope', 'authuser', '__proto__', 'constructor']) more.set(name, 'x')
      return more
    }
    assert.equal((await app.browser().open('/profile')).status, 200)
  })

  it('deletes its transaction, so that a second one is refused', async () => {
    const app = await start()
    const browser = app.browser()
    const answer = await startLogin(browser)
    await browser.go(answer)
    browser.jar.remove(({ name }) => name === SESSION_COOKIE)
    assert.equal((await browser.go(answer)).status, 400)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TRANSACTION_MISSING'])
    assert.equal(stage.provider.calls['/token'], 1)
  })

  it('is accepted by GET and POST only', async () => {
    const app = await start({}, { errorHandler: 'json' })
    const page = await app.browser().fetch('/callback', { method: 'PUT' })
    assert.deepEqual([page.status, page.json()], [405, { error: 'ERR_OIDC_METHOD_NOT_ALLOWED' }])
    assert.equal(app.errors[0]?.headers['Allow'], 'GET, POST')
  })
})

describe('a response in a form', () => {
  for (const bodyParser of [false, true]) {
    it(`is reposted by our own page, with one token request, ${bodyParser ? 'after' : 'without'} a body parser`, async () => {
      const app = await start(BY_FORM, { bodyParser })
      const browser = app.browser()
      const answer = await startLogin(browser)
      assert.equal(answer.method, 'POST')
      const page = await browser.go(answer)
      assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/profile`])
      assert.deepEqual(methodsOf(page), ['POST /callback', 'POST /callback', 'GET /profile'])
      assert.equal(stage.provider.calls['/token'], 1)
      assert.deepEqual(stage.provider.complaints, [])
      assert.deepEqual(codesOf(app), [])
    })
  }

  it('is accepted at once if the provider is on the same site', async () => {
    const app = await start(BY_FORM, { hostname: 'localhost' })
    const page = await app.browser().open('/profile')
    assert.equal(page.status, 200)
    assert.equal(methodsOf(page).filter((step) => step === 'POST /callback').length, 1)
  })

  it('gets a page with one script and a button, which is neither framed nor cached', async () => {
    const app = await start(BY_FORM)
    const browser = app.browser()
    const page = await browser.go(await startLogin(browser), { follow: false })
    const nonce = /<script nonce="([\w+/=]{24})">/.exec(page.body)?.[1]
    assert.equal(
      page.headers['content-security-policy'],
      `default-src 'none'; script-src 'nonce-${nonce}'; base-uri 'none'; frame-ancestors 'none'`,
    )
    assert.equal(page.headers['cache-control'], 'no-store')
    assert.equal(page.headers['referrer-policy'], 'no-referrer')
    assert.equal(page.headers['x-content-type-options'], 'nosniff')
    assert.equal(page.headers['set-cookie'], undefined)
    assert.match(page.body, /<button>Continue<\/button>/)
    assert.equal((await browser.submit(page)).url, `${app.baseUrl}/profile`)
  })

  it('is reposted unchanged, and never becomes HTML', async () => {
    const hostile = '"><script>alert(1)</script>\' & ä %2B +'
    const app = await start(BY_FORM)
    const browser = app.browser()
    stage.provider.change.authorizationResponse = (params) => {
      const more = new URLSearchParams(params)
      more.set('session_state', hostile)
      return more
    }
    const page = await browser.go(await startLogin(browser), { follow: false })
    assert.ok(!page.body.includes('<script>'))
    assert.equal(page.next?.fields?.get('session_state'), hostile)
    assert.equal((await browser.go(page.next)).status, 200)
  })

  it('leads to the page without an empty fragment, because our page posts to a URL without one', async () => {
    const app = await start(BY_FORM)
    const browser = app.browser()
    const reposting = await browser.go(await startLogin(browser), { follow: false })
    const { status, headers } = await browser.go(reposting.next, { follow: false })
    assert.deepEqual([status, headers.location], [303, `${app.baseUrl}/profile`])
  })

  it('is reposted once, without a loop', async () => {
    const app = await start(BY_FORM)
    const browser = app.browser()
    const answer = await startLogin(browser)
    browser.jar.remove(isTransaction)
    const page = await browser.go(answer)
    assert.deepEqual([page.status, methodsOf(page)], [400, ['POST /callback', 'POST /callback']])
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TRANSACTION_MISSING'])
    assert.equal(stage.provider.calls['/token'], 0)
  })

  it('keeps the data of the anonymous session', async () => {
    const app = await start(BY_FORM)
    const browser = app.browser()
    await browser.open('/write')
    await browser.open('/profile')
    assert.equal((await browser.open('/session')).json()['cart'], 'book')
  })

  it('keeps the data of the anonymous session if every visitor gets a session', async () => {
    const app = await start(BY_FORM, { session: { saveUninitialized: true } })
    const browser = app.browser()
    await browser.open('/write')
    await browser.open('/profile')
    assert.equal((await browser.open('/session')).json()['cart'], 'book')
  })
})

describe('a response that comes a second time', () => {
  /** An app that gets two callback requests at the same time. */
  async function startForTwo(): Promise<TestApp> {
    const { count, hold } = createRendezvous(2)
    stage.provider.change.idToken = hold
    return await start({}, { before: [count] })
  }

  it('sends one token request if both come at the same time, and both log the user in', async () => {
    const app = await startForTwo()
    const browser = app.browser()
    const answer = await startLogin(browser)
    const tabs = [browser.clone(), browser.clone()]
    const pages = await Promise.all(tabs.map((tab) => tab.go(answer)))
    assert.deepEqual(
      pages.map((page) => [page.status, page.url]),
      [
        [200, `${app.baseUrl}/profile`],
        [200, `${app.baseUrl}/profile`],
      ],
    )
    for (const tab of tabs) assert.equal((await tab.open('/tokens')).json()['tokenType'], 'Bearer')
    assert.equal(stage.provider.calls['/token'], 1)
    assert.deepEqual(codesOf(app), [])
  })

  it('fails twice with one token request if both come at the same time with an invalid code', async () => {
    const app = await startForTwo()
    const browser = app.browser()
    const answer = await startLogin(browser)
    stage.provider.change.tokenResponse = answered(400, { error: 'invalid_grant' })
    const pages = await Promise.all([browser.clone().go(answer), browser.clone().go(answer)])
    assert.deepEqual(
      pages.map((page) => page.status),
      [400, 400],
    )
    assert.equal(stage.provider.calls['/token'], 1)
    assert.equal(await app.sessions(), 0)
  })

  const late: readonly (readonly [name: string, change: (answer: Navigation) => Navigation])[] = [
    ['by the back button', (answer) => answer],
    ['with another state', (answer) => changeQuery(answer, 'state', 'another')],
    ['without a state', (answer) => changeQuery(answer, 'state')],
    ['as an error', (answer) => changeQuery(answer, 'error', 'access_denied')],
    [
      'by a form',
      ({ url }) => ({ method: 'POST', url, fields: new URL(url).searchParams, from: stage.provider.issuer }),
    ],
  ]
  for (const [name, change] of late) {
    it(`redirects a user who is logged in to the home page, ${name}`, async () => {
      const app = await start()
      const browser = app.browser()
      const answer = await startLogin(browser)
      await browser.go(answer)
      const sid = cookieOf(browser)
      const page = await browser.go(change(answer))
      assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/`])
      assert.equal(page.json()['authenticated'], true)
      assert.equal(stage.provider.calls['/token'], 1)
      assert.equal(cookieOf(browser), sid)
      assert.deepEqual(codesOf(app), [])
    })
  }

  it('redirects a user who is logged in to the path of baseUrl, by 303', async () => {
    const app = await start({}, { mountPath: '/portal' })
    const browser = app.browser()
    const { next } = await browser.open('/portal/profile', { stopBefore: (url) => url.pathname.endsWith('/callback') })
    await browser.go(next)
    const page = await browser.go(next, { follow: false })
    assert.deepEqual([page.status, page.headers.location], [303, `${app.baseUrl}/#`])
  })
})

function changeQuery(answer: Navigation, name: string, value?: string): Navigation {
  const url = new URL(answer.url)
  if (value === undefined) url.searchParams.delete(name)
  else url.searchParams.set(name, value)
  return { ...answer, url: url.href }
}

describe('a response that refuses the login', () => {
  const refusals: readonly (readonly [error: string, status: number])[] = [
    ['access_denied', 403],
    ['login_required', 401],
    ['server_error', 502],
    ['temporarily_unavailable', 503],
    ['a_private_error', 400],
  ]
  for (const [error, status] of refusals) {
    it(`with ${error} is an AuthorizationError with status ${status}`, async () => {
      const app = await start()
      stage.provider.change.authorizationResponse = (params) => refuse(params, error)
      const page = await app.browser().open('/profile')
      const [failure] = app.errors
      assert.equal(page.status, status)
      assert.ok(failure instanceof AuthorizationError)
      assert.deepEqual(failure.refusal, {
        error,
        errorDescription: 'they say <no>',
        errorUri: 'https://op.test/e',
      })
      assert.equal(stage.provider.calls['/token'], 0)
    })
  }

  it('keeps the previous login', async () => {
    const app = await start()
    const browser = app.browser()
    await browser.open('/profile')
    stage.provider.change.authorizationResponse = (params) => refuse(params, 'access_denied')
    assert.equal((await browser.open('/login')).status, 403)
    assert.equal((await browser.open('/profile')).status, 200)
  })
})

function refuse(params: URLSearchParams, error: string): URLSearchParams {
  const refusal = new URLSearchParams(params)
  refusal.delete('code')
  refusal.set('error', error)
  refusal.set('error_description', 'they say <no>')
  refusal.set('error_uri', 'https://op.test/e')
  return refusal
}

describe('with a session cookie that is SameSite=Strict', () => {
  for (const sameSite of ['strict', true] as const) {
    for (const options of [{}, BY_FORM]) {
      it(`a login completes (sameSite: ${sameSite}, ${options === BY_FORM ? 'form_post' : 'query'})`, async () => {
        const app = await start(options, { session: { cookie: { sameSite } } })
        const browser = app.browser()
        const page = await browser.open('/profile', { from: app.origin })
        assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/profile`])
        assert.equal(stage.provider.calls['/token'], 1)
        assert.deepEqual([codesOf(app), stage.provider.complaints], [[], []])
      })
    }
  }

  it('a login completes for a user who typed the URL', async () => {
    const app = await start({}, { session: { cookie: { sameSite: 'strict' } } })
    const page = await app.browser().open('/profile')
    assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/profile`])
  })

  it('a login completes if the browser sends no fetch metadata', async () => {
    const app = await start({}, { session: { cookie: { sameSite: 'strict' } } })
    const browser = createBrowser({ origin: app.origin, fetchMetadata: 'absent' })
    const page = await browser.open('/profile', { from: app.origin })
    assert.deepEqual([page.status, methodsOf(page).includes('POST /callback')], [200, true])
  })

  it('the data of the anonymous session is kept', async () => {
    const app = await start({}, { session: { cookie: { sameSite: 'strict' } } })
    const browser = app.browser()
    await browser.open('/write')
    await browser.open('/profile', { from: app.origin })
    const session = (await browser.open('/session')).json()
    assert.equal(session['cart'], 'book')
    assert.deepEqual(session['app'], { theme: 'dark' })
    assert.equal(await app.sessions(), 1)
    assert.equal(Object.keys(await app.records()).length, 2)
  })
})

describe('a response with very many parameters', () => {
  it('is refused before it is reposted', async () => {
    const app = await start(BY_FORM)
    const fields = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`field${index}`, 'x']))
    const page = await app.browser().post('/callback', { state: 'x', ...fields }, { from: 'https://other.test' })
    assert.equal(page.status, 400)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_CALLBACK_INVALID'])
    assert.ok(page.body.length < 5000)
  })
})
