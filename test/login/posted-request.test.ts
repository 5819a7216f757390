import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { requireAuth } from '../../lib/index.ts'
import type { AnyOptions } from '../support/app/app.ts'
import { answerBy, answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import { skipWithoutChromium } from '../support/browser/chromium.ts'
import { createChromiumPages } from '../support/browser/chromium-pages.ts'
import { readForms } from '../support/browser/html-form.ts'
import { isTransaction } from '../support/browser/login-cookies.ts'
import { firstRequest } from '../support/strict-provider/provider.ts'

const POSTED: Partial<AnyOptions> = { authorizationRequestMethod: 'POST' }
const EVIL = `"><script>alert(1)</script><input name='`

const stage = createStage({ app: { errorHandler: 'json' } })

describe("authorizationRequestMethod: 'POST'", () => {
  it('AU-16: sends every parameter in the body, and none in the URL', async () => {
    const { app, browser } = await stage.startLoggedIn(POSTED)
    const request = firstRequest(stage.provider, '/authorize')
    assert.deepEqual([request?.method, [...(request?.query ?? [])]], ['POST', []])
    const { state, nonce, code_challenge: challenge, ...params } = Object.fromEntries(request?.form ?? [])
    assert.ok(state && nonce && challenge)
    assert.deepEqual(params, {
      client_id: stage.provider.clientId,
      response_type: 'code',
      redirect_uri: `${app.origin}/callback`,
      scope: 'openid profile email',
      code_challenge_method: 'S256',
    })
    assert.equal((await browser.open('/profile')).json()['sub'], 'user-subject')
    assert.deepEqual([app.errors, stage.provider.complaints], [[], []])
  })

  it('AU-16: sends a page that no cache keeps, no frame shows and no script of others changes', async () => {
    const app = await stage.start(POSTED)
    const browser = app.browser()
    const page = await browser.open('/login', { stopBefore: isAtProvider })
    const { headers, body } = page
    assert.deepEqual([page.status, headers.location, headers['cache-control']], [200, undefined, 'no-store'])
    assert.match(
      String(headers['content-security-policy']),
      /^default-src 'none'; script-src 'nonce-[\w+/]{22}=='; base-uri 'none'; frame-ancestors 'none'$/,
    )
    assert.deepEqual([headers['referrer-policy'], headers['x-content-type-options']], ['no-referrer', 'nosniff'])
    assert.deepEqual([page.next?.method, page.next?.url], ['POST', stage.provider.endpointUrls['/authorize']])
    // For a browser without JavaScript.
    assert.match(body, /<noscript>.*<\/noscript><button>Continue<\/button>/)
    assert.equal(browser.cookies().filter(isTransaction).length, 1)
  })

  it('AU-16: keeps the query of the endpoint in its URL', async () => {
    stage.provider.change.discovery = (json) => ({
      ...json,
      authorization_endpoint: `${json['authorization_endpoint']}?tenant=a&b="c`,
    })
    const page = await (await stage.start(POSTED)).browser().open('/login', { stopBefore: isAtProvider })
    assert.match(String(page.next?.url), /\/authorize\?tenant=a&b=%22c$/)
  })

  it('AU-16: shows the text of a link as the value of a field, and never as HTML', async () => {
    const app = await stage.start({ ...POSTED, passthroughParams: ['login_hint'] })
    const page = await app.browser().open(`/login?login_hint=${encodeURIComponent(EVIL)}`, { stopBefore: isAtProvider })
    assert.doesNotMatch(page.body, /<script>alert|alert\(1\)</)
    assert.equal(page.body.match(/<script/g)?.length, 1)
    const [form] = readForms(page.body, page.url)
    assert.equal(new Map(form?.fields).get('login_hint'), EVIL)
  })

  it('AU-16: sends a request that is longer than any URL, signed or not', async () => {
    const details = [{ type: 'payment_initiation', note: 'x'.repeat(20_000) }]
    const routes = {
      '/pay': answerBy(({ oidc }) =>
        oidc.login({ returnTo: '/profile', authorizationParams: { authorization_details: details } }),
      ),
      '/details': [requireAuth(), answerJson(({ oidc }) => oidc.authorizationDetails)],
    }
    for (const requestObjectSigningAlg of [undefined, 'ES256']) {
      const provider = await stage.startOther(requestObjectSigningAlg ? { requestObjectSigningAlg } : {})
      const app = await stage.start({ ...provider.clientOptions, ...POSTED }, { provider, routes })
      const browser = app.browser()
      const page = await browser.open('/pay')
      assert.deepEqual([page.status, page.url], [200, `${app.origin}/profile`], String(app.errors))
      assert.deepEqual((await browser.open('/details')).json(), details)
      assert.deepEqual(provider.complaints, [])
    }
  })

  it('AU-16: redirects with a pushed request, if the provider requires one', async () => {
    const provider = await stage.startOther({ pushed: 'required' })
    const page = await (await stage.start(POSTED, { provider })).browser().open('/login', { stopBefore: isAtProvider })
    const { searchParams } = new URL(page.headers.location ?? '')
    assert.deepEqual([page.status, [...searchParams.keys()].sort()], [303, ['client_id', 'request_uri']])
  })

  it('AU-16: works with a silent login, a stronger login and req.oidc.login() in a POST', async () => {
    const routes = {
      '/strong': [requireAuth({ acr: 'urn:a' }), answerJson(({ oidc }) => ({ acr: oidc.claims?.acr }))],
      '/again': answerBy(({ oidc }) => oidc.login({ returnTo: '/profile' })),
    }
    const { app, browser } = await stage.startLoggedIn(POSTED, { routes })
    assert.deepEqual((await browser.open('/strong')).json(), { acr: 'urn:a' })
    assert.equal((await browser.post('/again')).status, 200)
    assert.equal((await browser.open('/login?prompt=none&returnTo=/profile')).status, 200)
    const methods = stage.provider.requests
      .filter(({ endpoint }) => endpoint === '/authorize')
      .map(({ method }) => method)
    assert.deepEqual([new Set(methods), app.errors, stage.provider.complaints], [new Set(['POST']), [], []])
  })

  it('AU-16: sends the page for no prefetch', async () => {
    const app = await stage.start(POSTED)
    const browser = app.browser()
    const page = await browser.open('/login', { headers: { 'Sec-Purpose': 'prefetch' }, follow: false })
    assert.deepEqual([page.status, page.body, browser.cookies()], [503, '', []])
  })
})

describe('a posted request in a real browser', { skip: skipWithoutChromium }, () => {
  const openPage = createChromiumPages()

  it('AU-16: logs the user in, and leaves nothing of the request in the history', async () => {
    const app = await stage.start(POSTED)
    const page = await openPage()
    const urls: string[] = []
    page.on('request', (request) => urls.push(request.url()))
    await page.goto(`${app.origin}/profile`)
    await page.waitForURL(`${app.origin}/profile#`)
    assert.ok(urls.some((url) => url === stage.provider.endpointUrls['/authorize']))
    assert.doesNotMatch(urls.join(' '), /nonce=|code_challenge/)
    assert.deepEqual([app.errors, stage.provider.complaints], [[], []])
  })
})
