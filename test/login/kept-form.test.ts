import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import express from 'express'
import { type Handler, keepForm, requireAuth } from '../../lib/index.ts'
import { ACCOUNTS } from '../support/app/accounts.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import type { Routes } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { type AppSettings, createStage } from '../support/app/stage.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { skipWithoutChromium } from '../support/browser/chromium.ts'
import { createChromiumPages } from '../support/browser/chromium-pages.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { readBody, sendJson, sendText } from '../support/servers/http-server.ts'

/** What the handler of the form has got. */
interface Sent {
  readonly url: string | undefined
  readonly origin: string | undefined
  readonly fields: readonly (readonly [string, string])[]
}

const sent: Sent[] = []

const receive: Handler = (req, res, next) => {
  readBody(req).then((body) => {
    sent.push({ url: req.originalUrl ?? req.url, origin: req.headers.origin, fields: [...new URLSearchParams(body)] })
    sendJson(res, 200, { received: sent.length })
  }, next)
}

const html: Handler = (_req, res) =>
  sendText(
    res,
    200,
    'text/html',
    '<!doctype html><form method="post" action="/orders?list=1"><textarea name="text">a\nb</textarea><input name="submit" value="x"><button>Send</button></form>',
  )

const routes: Routes = {
  '/orders': [keepForm(), requireAuth(), receive],
  '/strict': [keepForm(), requireAuth({ maxAge: 60 }), receive],
  '/lost': [requireAuth(), receive],
  '/form': html,
}

const stage = createStage({ app: { routes, errorHandler: 'json' } })

async function start(options: Partial<AnyOptions> = {}, settings: AppSettings = {}): Promise<TestApp> {
  sent.length = 0
  return stage.start(options, settings)
}

const parseNested = express.urlencoded({ extended: true }) as unknown as Handler

const isKeptForm = ({ pathname }: URL): boolean => pathname.endsWith('/kept-form')

/** Posts a form, and stops in front of the page that would post it again. */
function postUntilKept(browser: Browser, fields: Readonly<Record<string, string>> = { item: 'book' }): Promise<Page> {
  return browser.post('/orders', fields, { stopBefore: isKeptForm })
}

const isFormCookie = ({ name }: { readonly name: string }): boolean => name.includes('oidc-form.')

describe('keepForm()', () => {
  it('passes ERR_OIDC_NOT_MOUNTED to next without oidc()', async () => {
    const error = await new Promise((resolve) => keepForm()({} as never, {} as never, resolve))
    assert.equal(Object(error).code, 'ERR_OIDC_NOT_MOUNTED')
  })

  for (const host of HOSTS) {
    it(`posts the form again after the login, with the same fields and query, on ${host}`, async () => {
      const app = await start({}, { host })
      const browser = app.browser()
      const fields = { item: 'book & "pen"', text: 'one\r\ntwo', submit: 'x', action: 'y', empty: '', ü: '<script>' }
      const page = await browser.post('/orders?list=1&list=2', fields)
      assert.deepEqual([page.status, page.url], [200, `${app.origin}/orders?list=1&list=2`])
      assert.deepEqual(sent, [{ url: '/orders?list=1&list=2', origin: app.origin, fields: Object.entries(fields) }])
      assert.deepEqual([browser.cookies().filter(isFormCookie), codesOf(app)], [[], []])
    })
  }

  it('works below a mount path and with a body parser in front', async () => {
    const app = await start({}, { mountPath: '/portal', bodyParser: true })
    const page = await app.browser().post(`${app.baseUrl}/orders`, { item: 'book' })
    assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/orders`])
  })

  for (const body of [
    'items[]=1&q=x',
    'items[]=1&items[]=2',
    'items=1&items=2',
    'user[name]=ada&user[tags][]=x&user[tags][]=y',
    'user[tags][]=x',
    'rows[0][a]=1&rows[0][b]=2&rows[1][a]=3',
    'empty=&a[]=',
    Array.from({ length: 30 }, (_, i) => `n[${i}]=${i}`).join('&'),
  ]) {
    it(`posts what express.urlencoded({ extended: true }) reads as the same: ${body.slice(0, 60)}`, async () => {
      const bodies: unknown[] = []
      const echo: Handler = (req, res) => {
        bodies.push(req.body)
        sendJson(res, 200, {})
      }
      const app = await start(
        {},
        { before: [parseNested], routes: { '/echo': echo, '/orders': [keepForm(), requireAuth(), echo] } },
      )
      await post(app, '/echo', {}, body)
      const fields = new URLSearchParams(body)
      const browser = app.browser()
      await browser.go({ method: 'POST', url: `${app.origin}/orders`, fields, from: `${app.origin}/form` })
      assert.equal(bodies.length, 2)
      assert.deepEqual(bodies[1], bodies[0])
    })
  }

  it('keeps the form of a stronger login too', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start()
    const browser = app.browser()
    await browser.open('/profile')
    mock.timers.tick(120_000)
    const page = await browser.post('/strict', { amount: '7' })
    assert.deepEqual([page.status, sent[0]?.fields], [200, [['amount', '7']]])
  })

  it('does nothing for a user who is logged in, for a GET and for a script', async () => {
    const app = await start()
    const browser = app.browser()
    assert.equal((await browser.fetch('/orders', { method: 'POST', body: 'a=b' })).status, 401)
    assert.equal((await browser.open('/orders?a=b')).url, `${app.origin}/orders?a=b`)
    assert.equal((await browser.post('/orders', { item: 'pen' })).status, 200)
    assert.deepEqual(browser.cookies().filter(isFormCookie), [])
  })

  it('is needed on each route', async () => {
    const app = await start()
    const page = await app.browser().post('/lost', { item: 'book' })
    assert.deepEqual([page.url, sent], [`${app.origin}/`, []])
  })

  it('sends a page that only posts to our own origin, is not stored or framed, and has a button', async () => {
    const app = await start()
    const browser = app.browser()
    const page = await browser.go((await postUntilKept(browser)).next, { follow: false })
    const policy = String(page.headers['content-security-policy'])
    for (const directive of ["default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"]) {
      assert.ok(policy.includes(directive), policy)
    }
    assert.equal(page.headers['cache-control'], 'no-store')
    assert.equal(page.headers['referrer-policy'], 'same-origin')
    assert.match(page.body, /<button>Continue<\/button>/)
    assert.match(page.body, /HTMLFormElement\.prototype\.submit\.call/)
  })

  it('keeps one form for each of two tabs', async () => {
    const app = await start()
    const browser = app.browser()
    const stop = (url: URL): boolean => url.pathname === '/callback'
    const [one, two] = [
      await browser.post('/orders', { tab: '1' }, { stopBefore: stop }),
      await browser.post('/orders', { tab: '2' }, { stopBefore: stop }),
    ]
    await browser.go(two.next)
    await browser.go(one.next)
    assert.deepEqual(
      sent.map(({ fields }) => fields),
      [[['tab', '2']], [['tab', '1']]],
    )
  })

  it('keeps a long text that compresses, and no more than three cookies of forms', async () => {
    const app = await start()
    const browser = app.browser()
    const text = 'The quick brown fox jumps over the lazy dog. '.repeat(200)
    assert.equal((await browser.post('/orders', { text })).status, 200)
    assert.equal(sent[0]?.fields[0]?.[1], text)
    const other = app.browser()
    for (let index = 0; index < 8; index++) await other.post('/orders', { noise: randomText(900) }, { follow: false })
    const characters = other
      .cookies()
      .filter(isFormCookie)
      .reduce((sum, { value }) => sum + value.length, 0)
    assert.ok(characters > 0 && characters <= 5200, String(characters))
  })

  it('goes on with a form whose login was completed before', async () => {
    const app = await start()
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.post('/orders', { item: 'book' })).status, 200)
    assert.equal(sent.length, 1)
  })
})

/** What is not kept, each by one thing. The user logs in, and nothing is posted. */
describe('a form is not kept', () => {
  for (const [name, headers] of [
    ['of a page of another site', { 'sec-fetch-site': 'cross-site' }],
    ['of a page of a subdomain', { 'sec-fetch-site': 'same-site' }],
    ['of a user who loads it again', { 'sec-fetch-site': 'none' }],
    ['of another origin in an old browser', { 'sec-fetch-site': undefined, origin: 'https://evil.example' }],
    ['of an opaque origin in an old browser', { 'sec-fetch-site': undefined, origin: 'null' }],
    ['of an unknown sender', { 'sec-fetch-site': undefined, origin: undefined }],
    ['of a trusted origin', { 'sec-fetch-site': 'cross-site', origin: 'https://admin.example' }],
  ] as const) {
    it(name, async () => {
      const app = await start({ trustedOrigins: ['https://admin.example'] })
      const changed: Headers = headers
      const answer = await post(app, '/orders', { origin: app.origin, ...changed })
      assert.equal(answer.status, 303)
      assert.doesNotMatch(String(answer.headers.location), /kept-form/)
      assert.deepEqual(answer.setCookies, [])
    })
  }

  it('but is in an old browser whose Origin is ours', async () => {
    const app = await start()
    const answer = await post(app, '/orders', { origin: app.origin })
    assert.match(String(answer.headers.location), /kept-form/)
  })

  it('if its path would be another host for a browser', async () => {
    const app = await start(
      {},
      {
        before: [
          (req, _res, next) => {
            if (req.url?.startsWith('//')) Object.assign(req, { originalUrl: req.url, url: '/orders' })
            next()
          },
        ],
        host: 'connect',
      },
    )
    const answer = await post(app, '//evil.example/orders', { 'sec-fetch-site': 'same-origin' })
    assert.doesNotMatch(String(answer.headers.location), /kept-form/)
    assert.deepEqual(answer.setCookies, [])
  })

  const MULTIPART = 'multipart/form-data; boundary=x'
  for (const [name, type, body, status] of [
    ['with files', MULTIPART, '--x--', 415],
    ['of plain text', 'text/plain', 'a=b', 415],
    ['that is larger than 32 kB', 'application/x-www-form-urlencoded', `a=${'b'.repeat(33_000)}`, 413],
    ['that is too large for a cookie', 'application/x-www-form-urlencoded', `a=${randomText(6000)}`, 413],
  ] as const) {
    it(`${name}, and the error says so`, async () => {
      const app = await start()
      const answer = await post(app, '/orders', { 'sec-fetch-site': 'same-origin', 'content-type': type }, body)
      assert.deepEqual([answer.status, codesOf(app), answer.setCookies], [status, ['ERR_OIDC_FORM_NOT_KEPT'], []])
    })
  }

  it('with a number that a middleware has made of a text', async () => {
    const convert: Handler = (req, _res, next) => {
      Object.assign(req, { body: { amount: 7 } })
      next()
    }
    const app = await start({}, { before: [parseNested, convert] })
    const answer = await post(app, '/orders', { 'sec-fetch-site': 'same-origin' }, 'amount=7')
    assert.deepEqual([answer.status, codesOf(app)], [400, ['ERR_OIDC_FORM_NOT_KEPT']])
  })
})

function randomText(length: number): string {
  return Buffer.from(Array.from({ length }, () => Math.floor(Math.random() * 256))).toString('hex')
}

type Headers = Readonly<Record<string, string | undefined>>

function post(app: TestApp, path: string, headers: Headers, body = 'item=book') {
  const all = { accept: 'text/html', 'content-type': 'application/x-www-form-urlencoded', ...headers }
  const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const { hostname, port, protocol } = new URL(app.origin)
  const url = new URL(`${protocol}//${hostname}:${port}`)
  // Not resolved: the path may begin with two slashes.
  Object.defineProperty(url, 'pathname', { value: path })
  return exchange({ method: 'POST', url, headers: Object.fromEntries(given), body })
}

describe('a kept form is gone', () => {
  async function assertGone(app: TestApp, page: Page): Promise<void> {
    assert.equal(page.status, 400, page.body)
    assert.deepEqual([codesOf(app), sent], [['ERR_OIDC_FORM_GONE'], []])
  }

  it('after it was posted once, also if the cookies are restored', async () => {
    const app = await start()
    const browser = app.browser()
    const stopped = await postUntilKept(browser)
    const copy = browser.clone()
    assert.equal((await browser.go(stopped.next)).status, 200)
    assert.equal(sent.length, 1)
    sent.length = 0
    await assertGone(app, await copy.go(stopped.next))
  })

  it('in another browser', async () => {
    const app = await start()
    const { next } = await postUntilKept(app.browser())
    const other = app.browser()
    await other.open('/profile')
    await assertGone(app, await other.go(next))
  })

  it('without a login', async () => {
    const app = await start()
    const browser = app.browser()
    const { next } = await postUntilKept(browser)
    browser.jar.remove(({ name }) => name === 'connect.sid')
    await assertGone(app, await browser.go(next))
  })

  for (const [name, change] of [
    ['without the ticket of its login', (url: URL) => url.searchParams.delete('login')],
    ['with another ticket', (url: URL) => url.searchParams.set('login', 'A'.repeat(60))],
    ['with another id', (url: URL) => url.searchParams.set('id', 'A'.repeat(22))],
    ['without an id', (url: URL) => url.searchParams.delete('id')],
  ] as const) {
    it(name, async () => {
      const app = await start()
      const browser = app.browser()
      const { next } = await postUntilKept(browser)
      const url = new URL(next?.url ?? '')
      change(url)
      await assertGone(app, await browser.go({ method: 'GET', url: url.href }))
      assert.equal(browser.cookies().filter(isFormCookie).length, 1)
    })
  }

  it('after another login than the one that it waited for', async () => {
    const app = await start()
    const browser = app.browser()
    const { next } = await postUntilKept(browser)
    await browser.open('/login')
    await assertGone(app, await browser.go(next))
  })

  it('if another user logs in than the one whose login had expired', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start({ loginLifetime: 60 })
    const browser = app.browser()
    await browser.open('/profile')
    mock.timers.tick(120_000)
    const stopped = await browser.post(
      '/orders',
      { item: 'book' },
      { stopBefore: ({ pathname }) => pathname === '/authorize' },
    )
    const other = Object.values(ACCOUNTS).find(({ sub }) => sub !== stage.provider.account.sub)
    stage.provider.account = other ?? assert.fail('there is one account only')
    await assertGone(app, await browser.go(stopped.next))
  })

  it('but not if the same user logs in again', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start({ loginLifetime: 60 })
    const browser = app.browser()
    await browser.open('/profile')
    mock.timers.tick(120_000)
    assert.equal((await browser.post('/orders', { item: 'book' })).status, 200)
    assert.equal(sent.length, 1)
  })

  it('when transactionLifetime is over, even if the cookie was copied', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start({ transactionLifetime: 600 })
    const browser = app.browser()
    const url = new URL((await postUntilKept(browser)).next?.url ?? '')
    const cookie = browser.jar.header(url, { sameSite: true, safeNavigation: true }) ?? ''
    mock.timers.tick(601_000)
    const { status } = await exchange({ method: 'GET', url, headers: { cookie, accept: 'text/html' } })
    assert.deepEqual([status, codesOf(app), sent], [400, ['ERR_OIDC_FORM_GONE'], []])
  })

  it('if its cookie was changed', async () => {
    const app = await start()
    const browser = app.browser()
    const { next } = await postUntilKept(browser)
    for (const cookie of browser.jar.all())
      if (isFormCookie(cookie))
        Object.assign(cookie, { value: (cookie.value.startsWith('A') ? 'B' : 'A') + cookie.value.slice(1) })
    await assertGone(app, await browser.go(next))
  })

  it('for a script and for a frame, which do not use it up', async () => {
    const app = await start()
    const browser = app.browser()
    const { next } = await postUntilKept(browser)
    const url = next?.url ?? ''
    assert.equal((await browser.fetch(url)).status, 400)
    assert.equal((await browser.open(url, { headers: { 'sec-fetch-dest': 'iframe' } })).status, 400)
    assert.equal((await browser.open(url, { headers: { 'sec-purpose': 'prefetch' } })).status, 503)
    assert.equal((await browser.post(url)).status, 405)
    assert.equal((await browser.go(next)).status, 200)
    assert.equal(sent.length, 1)
  })
})

describe('a kept form in a real browser', { skip: skipWithoutChromium }, () => {
  const openPage = createChromiumPages()

  it('is posted again, although a field is named submit', async () => {
    const app = await start()
    const page = await openPage()
    await page.goto(`${app.origin}/form`)
    await page.click('button')
    await page.waitForURL(`${app.origin}/orders?list=1`)
    assert.deepEqual(sent, [
      {
        url: '/orders?list=1',
        origin: app.origin,
        fields: [
          ['text', 'a\r\nb'],
          ['submit', 'x'],
        ],
      },
    ])
    await page.goBack()
    assert.equal(sent.length, 1)
  })
})
