import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createClient } from 'redis'
import { type Browser, createBrowser, type Page } from '../support/browser/browser.ts'
import { launchChromium, skipWithoutChromium } from '../support/browser/chromium.ts'
import { createCookieJar } from '../support/browser/cookie-jar.ts'
import { autoSubmittedForm } from '../support/browser/html-form.ts'
import { listen, sendJson, sendText } from '../support/servers/http-server.ts'
import { skipWithoutRedis, startRedis } from '../support/servers/redis.ts'
import { startTlsProxy } from '../support/servers/tls.ts'
import { type StrictProvider, startStrictProvider } from '../support/strict-provider/provider.ts'

const REDIRECT_URI = 'http://127.0.0.1:1/callback'

/** A client written by hand, so that the provider is not tested with the library that it is to test. */
function createClientByHand(provider: StrictProvider) {
  const codeVerifier = randomBytes(32).toString('base64url')
  const params = {
    response_type: 'code',
    client_id: provider.clientId,
    redirect_uri: REDIRECT_URI,
    scope: 'openid email',
    state: randomBytes(16).toString('hex'),
    nonce: randomBytes(16).toString('hex'),
    code_challenge: createHash('sha256').update(codeVerifier).digest('base64url'),
    code_challenge_method: 'S256',
  }
  const authorize = (changes: Record<string, string> = {}): Promise<Page> => {
    const url = `${provider.endpointUrls['/authorize']}?${new URLSearchParams({ ...params, ...changes })}`
    return createBrowser().open(url, { stopBefore: ({ pathname }) => pathname === '/callback' })
  }
  const redeem = async (page: Page, changes: Record<string, string> = {}): Promise<Page> => {
    const code = page.next?.fields?.get('code') ?? new URL(page.next?.url ?? '').searchParams.get('code') ?? ''
    const form = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI, code_verifier: codeVerifier }
    const basic = Buffer.from(`${provider.clientId}:${provider.clientSecret}`).toString('base64')
    return createBrowser().fetch(provider.endpointUrls['/token'], {
      method: 'POST',
      headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: String(new URLSearchParams({ ...form, ...changes })),
    })
  }
  return { params, authorize, redeem }
}

function claimsOf(page: Page): Record<string, unknown> {
  const [, payload = ''] = String(page.json()['id_token']).split('.')
  return JSON.parse(Buffer.from(payload, 'base64url').toString())
}

describe('the strict provider', () => {
  let provider: StrictProvider
  before(async () => {
    provider = await startStrictProvider({ layout: 'okta-custom' })
  })
  beforeEach(() => provider.reset())
  after(() => provider.stop())

  it('logs a correct client in and has nothing to complain of', async () => {
    const client = createClientByHand(provider)
    const tokens = await client.redeem(await client.authorize())
    const authorization = `Bearer ${tokens.json()['access_token']}`
    const userinfo = await createBrowser().fetch(provider.endpointUrls['/userinfo'], { headers: { authorization } })
    assert.equal(tokens.status, 200)
    assert.equal(claimsOf(tokens)['nonce'], client.params.nonce)
    assert.deepEqual(userinfo.json(), { sub: 'user-subject', email: 'alice@example.test', email_verified: true })
    assert.deepEqual(provider.complaints, [])
    assert.equal(provider.calls['/token'], 1)
  })

  it('answers by form_post with a form that submits itself', async () => {
    const client = createClientByHand(provider)
    const page = await client.authorize({ response_mode: 'form_post' })
    assert.equal(page.next?.method, 'POST')
    assert.equal(page.next?.fields?.get('iss'), provider.issuer)
    assert.equal((await client.redeem(page)).status, 200)
  })

  const wrongRequests: [name: string, changes: Record<string, string>, complaint: string][] = [
    ['no PKCE', { code_challenge: '' }, 'code_challenge is missing or malformed'],
    ['plain PKCE', { code_challenge_method: 'plain' }, 'code_challenge_method is not S256'],
    ['a short state', { state: 'x' }, 'state is missing or easy to guess'],
    ['no openid', { scope: 'email' }, 'scope has no openid'],
    ['another redirect_uri', { redirect_uri: 'https://evil.test/' }, 'redirect_uri is not registered'],
  ]
  for (const [name, changes, complaint] of wrongRequests) {
    it(`complains of an authorization request with ${name}`, async () => {
      const page = await createClientByHand(provider).authorize(changes)
      assert.deepEqual(provider.complaints, [`/authorize: ${complaint}`])
      assert.doesNotMatch(page.next?.url ?? '', /code=/)
    })
  }

  const wrongRedemptions: [name: string, changes: Record<string, string>, complaint: string][] = [
    ['another redirect_uri', { redirect_uri: 'http://127.0.0.1:2/callback' }, 'redirect_uri is another one'],
    ['another verifier', { code_verifier: 'v'.repeat(43) }, 'code_verifier does not match'],
    ['an unknown code', { code: 'unknown' }, 'code is not known'],
    ['the secret in the body', { client_secret: 'x' }, 'more than one method of client authentication'],
  ]
  for (const [name, changes, complaint] of wrongRedemptions) {
    it(`complains of a token request with ${name}`, async () => {
      const client = createClientByHand(provider)
      const answer = await client.redeem(await client.authorize(), changes)
      assert.deepEqual(provider.complaints, [`/token: ${complaint}`])
      assert.ok(answer.status >= 400)
    })
  }

  it('takes a code once', async () => {
    const client = createClientByHand(provider)
    const page = await client.authorize()
    await client.redeem(page)
    assert.equal((await client.redeem(page)).json()['error'], 'invalid_grant')
  })

  it('changes one thing when told to, until it is reset', async () => {
    provider.change.idTokenClaims = (claims) => ({ ...claims, aud: 'another' })
    provider.change.raw['/jwks'] = (_req, res) => sendText(res, 200, 'text/html', '<p>no keys</p>')
    const client = createClientByHand(provider)
    assert.equal(claimsOf(await client.redeem(await client.authorize()))['aud'], 'another')
    assert.match((await createBrowser().fetch(provider.endpointUrls['/jwks'])).body, /no keys/)
    provider.reset()
    assert.equal(claimsOf(await client.redeem(await client.authorize()))['aud'], provider.clientId)
  })

  it('publishes new keys after a rotation', async () => {
    const kids = async (): Promise<string> => (await createBrowser().fetch(provider.endpointUrls['/jwks'])).body
    const old = await kids()
    await provider.rotateKeys()
    assert.notEqual(await kids(), old)
  })
})

describe('the cookie jar', () => {
  const app = new URL('http://127.0.0.1:3000/portal/login')
  const secureApp = new URL('https://app.example.test/')
  const own = { sameSite: true, safeNavigation: true }
  const crossSitePost = { sameSite: false, safeNavigation: false }
  const crossSiteGet = { sameSite: false, safeNavigation: true }

  it('sends Lax cookies with a cross-site GET, Strict ones not, and neither with a cross-site POST', () => {
    const jar = createCookieJar()
    jar.store(secureApp, ['s=1; SameSite=Strict', 'l=2; SameSite=Lax', 'd=3', 'n=4; SameSite=None; Secure'])
    assert.equal(jar.header(secureApp, own), 's=1; l=2; d=3; n=4')
    assert.equal(jar.header(secureApp, crossSiteGet), 'l=2; d=3; n=4')
    assert.equal(jar.header(secureApp, crossSitePost), 'n=4')
  })

  it('keeps to path, host and scheme', () => {
    const jar = createCookieJar()
    jar.store(app, ['default=1', 'root=2; Path=/', 'below=3; Path=/portal/login'])
    assert.equal(jar.header(app, own), 'below=3; default=1; root=2')
    assert.equal(jar.header(new URL('/portalize', app), own), 'root=2')
    assert.equal(jar.header(new URL('http://localhost:3000/portal'), own), '')
    jar.store(secureApp, ['secure=1; Secure'])
    assert.equal(jar.header(new URL('http://app.example.test/'), own), '')
  })

  it('forgets what has expired or is deleted', () => {
    const jar = createCookieJar()
    jar.store(app, ['a=1; Path=/', 'b=2; Path=/; Max-Age=60', 'c=3; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT'])
    assert.equal(jar.header(app, own), 'a=1; b=2')
    jar.store(app, ['b=; Path=/; Max-Age=0'])
    assert.equal(jar.header(app, own), 'a=1')
  })

  it('refuses what browsers refuse', () => {
    const jar = createCookieJar()
    jar.store(app, ['a=1; Secure', 'b=1; SameSite=None', '__Host-c=1; Path=/', `d=${'x'.repeat(4096)}`])
    jar.store(secureApp, [
      '__Host-e=1; Secure; Path=/; Domain=example.test',
      'f=1; Domain=test',
      'g=1; Domain=evil.test',
    ])
    assert.deepEqual(jar.all(), [])
    assert.equal(jar.refused.length, 7)
    jar.store(secureApp, ['__Host-ok=1; Secure; Path=/'])
    assert.equal(jar.header(secureApp, own), '__Host-ok=1')
  })
})

describe('the browser', () => {
  let port: number
  let stop: () => Promise<void>
  let browser: Browser
  before(async () => {
    const server = createServer((req, res) => {
      if (req.url === '/jump') res.writeHead(302, { Location: '/headers' }).end()
      else if (req.url === '/loop') res.writeHead(302, { Location: '/loop' }).end()
      else if (req.url === '/form') sendText(res, 200, 'text/html', form(`http://127.0.0.1:${port}/headers`))
      else sendJson(res, 200, { ...req.headers, method: req.method })
    })
    ;({ port, stop } = await listen(server))
  })
  beforeEach(() => {
    browser = createBrowser({ origin: `http://127.0.0.1:${port}` })
  })
  after(() => stop())

  const form = (action: string): string => `<body onload="document.forms[0].submit()">
    <form method="post" action="${action}"><input name="a" value="1 &amp; 2"></form>`

  it('sends what tells a navigation from a script', async () => {
    const page = (await browser.open('/jump')).json()
    const data = (await browser.fetch('/headers')).json()
    assert.deepEqual([page['sec-fetch-mode'], page['sec-fetch-site']], ['navigate', 'none'])
    assert.deepEqual([data['sec-fetch-mode'], data['sec-fetch-site'], data['accept']], ['cors', 'same-origin', '*/*'])
  })

  it('submits a self-submitting form across sites without Lax cookies, and with the origin', async () => {
    browser.jar.store(new URL('http://127.0.0.1/'), ['lax=1; Path=/'])
    const page = await browser.open(`http://localhost:${port}/form`)
    const headers = page.json()
    assert.deepEqual(
      [headers['method'], headers['cookie'], headers['origin'], headers['sec-fetch-site']],
      ['POST', undefined, `http://localhost:${port}`, 'cross-site'],
    )
    assert.equal((await browser.open('/headers')).json()['cookie'], 'lax=1')
  })

  it('stops where it is told to, and goes on from there', async () => {
    const page = await browser.open('/form', { stopBefore: (url) => url.pathname === '/headers' })
    assert.equal(page.next?.fields?.get('a'), '1 & 2')
    assert.equal((await browser.go(page.next)).json()['method'], 'POST')
  })

  it('hides the origin of a page with Referrer-Policy: no-referrer', async () => {
    const page = await browser.post('/headers', {}, { referrerPolicy: 'no-referrer' })
    assert.equal(page.json()['origin'], 'null')
  })

  it('gives up on a loop', async () => {
    await assert.rejects(browser.open('/loop'), /more than 20 navigations/)
  })

  it('reaches https through the proxy, under any name', async () => {
    const proxy = await startTlsProxy(port)
    const page = await browser.open(`https://app.example.test:${proxy.port}/headers`)
    await proxy.stop()
    assert.equal(page.json()['x-forwarded-proto'], 'https')
    assert.equal(page.json()['x-forwarded-host'], `app.example.test:${proxy.port}`)
  })

  it('runs no script that the policy of the page forbids', () => {
    const page = '<form action="/x"></form><script nonce="abc">document.forms[0].submit()</script>'
    const submitted = (policy?: string) => autoSubmittedForm(page, 'http://127.0.0.1/', policy)?.action
    assert.equal(submitted(), 'http://127.0.0.1/x')
    assert.equal(submitted("default-src 'none'; script-src 'nonce-abc'"), 'http://127.0.0.1/x')
    assert.equal(submitted("default-src 'none'"), undefined)
    assert.equal(submitted("script-src 'nonce-xyz'"), undefined)
  })
})

describe('the programs of the system', () => {
  it('start Redis on a socket of its own', { skip: skipWithoutRedis }, async () => {
    const redis = await startRedis()
    const client = createClient({ socket: { path: redis?.socketPath ?? '', tls: false } })
    await client.connect()
    const answer = await client.ping()
    client.destroy()
    await redis?.stop()
    assert.equal(answer, 'PONG')
  })

  it('start Chromium', { skip: skipWithoutChromium }, async () => {
    const chromium = await launchChromium()
    const page = await chromium?.newPage()
    await page?.setContent('<title>here</title>')
    const title = await page?.title()
    await chromium?.close()
    assert.equal(title, 'here')
  })
})
