import assert from 'node:assert/strict'
import { request } from 'node:http'
import { describe, it } from 'node:test'
import { type Handler, requireAuth } from '../../lib/index.ts'
import { codesOf } from '../support/app/app.ts'
import { answerBy, answerJson } from '../support/app/app-routes.ts'
import type { Page } from '../support/browser/browser.ts'
import { createStand, type Stand } from '../support/hostile/hostile.ts'
import { RETURN_TO_PAYLOADS as PAYLOADS } from '../support/hostile/return-to-payloads.ts'
import { firstRequest } from '../support/strict-provider/provider.ts'

const QUERIES: readonly string[] = [
  'returnTo=//evil.example',
  'returnTo=/%5Cevil.example',
  'returnTo=//evil.example&returnTo=/profile',
  'returnTo[]=/profile',
  'returnTo[0]=//evil.example',
  'returnTo',
  'returnTo=&returnTo=//evil.example',
  'return_to=//evil.example&redirect=//evil.example&next=//evil.example&target_link_uri=//evil.example',
  'redirect_uri=https://evil.example&client_id=evil&scope=evil&prompt=none&state=evil&nonce=evil',
  '&&&=&',
]

/** All origins that a browser went through. */
function origins({ history }: Page): readonly string[] {
  return [...new Set(history.map(({ url }) => new URL(url).origin))]
}

/** The redirect for a raw request target, which no browser would send. */
function locationOf({ app }: Stand, target: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'text/html', 'sec-fetch-mode': 'navigate' }
    const sent = request({ host: '127.0.0.1', port: app.port, path: target, headers, agent: false })
    sent.on('error', reject)
    sent.on('response', (answer) => {
      answer.resume()
      resolve(answer.headers.location)
    })
    sent.end()
  })
}

const go = answerBy(async ({ oidc, url = '' }) => {
  await oidc.login({ returnTo: new URLSearchParams(url.split('?')[1]).get('to') ?? '' })
})

const goHere: Handler = (req, res, next) => {
  if (req.url?.endsWith('?by=login')) logInHere(req, res, next)
  else next()
}
const logInHere = answerBy(async ({ oidc }, res) => {
  if (oidc.isAuthenticated) res.end('{}')
  else await oidc.login()
})

describe('the redirect after a login', () => {
  const page = answerJson(({ url }) => ({ url }))
  const routes = { '/go': go, '/page': page, '/{*any}': [goHere, requireAuth(), page] }
  const stand = createStand({ app: { routes, errorHandler: 'json' } })

  async function assertEndsAtHome(page: Page): Promise<void> {
    const { app, provider } = stand
    assert.deepEqual([page.status, page.url], [200, `${app.origin}/`])
    assert.deepEqual(origins(page), [app.origin, new URL(provider.issuer).origin])
    assert.deepEqual([await app.sessions(), app.errors, app.otherErrors, provider.complaints], [1, [], [], []])
  }

  for (const path of [
    '/profile',
    '/page?a=//evil.example&b=%2F%2F#//evil',
    '/page?x=https://evil.example',
    '/a%20b/c',
  ]) {
    it(`leads to ${path}`, async () => {
      const page = await stand.app.browser().open(`/login?returnTo=${encodeURIComponent(path)}`)
      assert.deepEqual([page.status, page.url], [200, `${stand.app.origin}${path}`])
    })
  }

  for (const payload of PAYLOADS) {
    it(`leads to the home page for ${JSON.stringify(payload).slice(0, 60)}`, async () => {
      await assertEndsAtHome(await stand.app.browser().open(`/login?returnTo=${encodeURIComponent(payload)}`))
    })
  }

  for (const query of QUERIES) {
    it(`leads to the home page for the query ${query.slice(0, 60)}`, async () => {
      await assertEndsAtHome(await stand.app.browser().open(`/login?${query}`))
    })
  }

  for (const payload of PAYLOADS.filter((_, index) => index % 2 === 0)) {
    it(`is refused if the app passes ${JSON.stringify(payload).slice(0, 60)}`, async () => {
      const browser = stand.app.browser()
      const page = await browser.open(`/go?to=${encodeURIComponent(payload)}`)
      assert.deepEqual([page.status, page.headers.location], [500, undefined])
      assert.deepEqual(codesOf(stand.app), ['ERR_OIDC_RETURN_TO'])
      assert.deepEqual([browser.cookies(), stand.provider.calls['/authorize']], [[], 0])
    })
  }

  for (const path of [
    '//evil.example',
    '///evil.example/x',
    '/%2f/evil.example',
    '/%5cevil.example',
    '/%09/evil.example',
  ]) {
    it(`leads to the home page from the guarded page ${path}`, async () => {
      await assertEndsAtHome(await stand.app.browser().open(stand.app.origin + path))
    })
    it(`leads to the home page from the page ${path} that starts a login`, async () => {
      await assertEndsAtHome(await stand.app.browser().open(`${stand.app.origin}${path}?by=login`))
    })
  }

  for (const target of [
    'http://evil.example/x',
    '//evil.example/x',
    '//evil.example:80@x/',
    '///',
    '/\\evil.example',
    '/x#//evil.example',
    '/..//evil.example',
    '/%2e%2e//evil.example',
  ]) {
    it(`stays in the app for the request target ${target}`, async () => {
      const location = await locationOf(stand, target)
      assert.match(location ?? '', /^\/login\?returnTo=[\w.%*~!'()-]*$/)
      const page = await stand.app.browser().open(location ?? '')
      assert.deepEqual([page.status, new URL(page.url).origin], [200, stand.app.origin])
      assert.match(page.url.slice(stand.app.origin.length), /^\/(x#\/\/evil\.example)?$/)
    })
  }

  it('ignores Host and the forwarded headers', async () => {
    const headers = {
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '666',
      'x-forwarded-prefix': '/evil',
      'x-original-url': '//evil.example',
      'x-rewrite-url': '//evil.example',
      forwarded: 'host=evil.example',
      host: 'evil.example',
    }
    const page = await stand.app.browser().open('/profile', { headers })
    assert.deepEqual([page.status, page.url], [200, `${stand.app.origin}/profile`])
    const authorize = firstRequest(stand.provider, '/authorize')
    assert.equal(authorize?.query.get('redirect_uri'), `${stand.app.origin}/callback`)
  })
})

describe('the redirect after a login in an app below a path', () => {
  const stand = createStand({ app: { mountPath: '/portal' } })

  const open = (returnTo: string): Promise<Page> =>
    stand.app.browser().open(`/portal/login?returnTo=${encodeURIComponent(returnTo)}`)

  it('leads to the pages of the app', async () => {
    assert.equal((await open('/portal/profile?a=b')).url, `${stand.app.baseUrl}/profile?a=b`)
  })

  for (const payload of [
    ...['/', '/profile', '/portalevil', '/portal.evil.example', '/portal@evil.example', '/PORTAL/profile'],
    ...[
      '/portal/..',
      '/portal/../profile',
      '/portal/%2e%2e/profile',
      '/portal//evil.example',
      '/portal/\\evil.example',
    ],
    ...['/portal/%2fevil.example', '//portal/profile', '/portal/login', '/portal/logout', '/portal/callback', '/login'],
    ...['/portal/portal/logout', '/portal/portal/login'],
  ]) {
    it(`leads to the home page for ${payload}`, async () => {
      const page = await open(payload)
      assert.deepEqual([page.status, page.url], [200, `${stand.app.baseUrl}/`])
      assert.deepEqual([await stand.app.sessions(), stand.app.errors], [1, []])
    })
  }
})
