import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HOSTS } from '../support/app/hosts.ts'
import { createStage } from '../support/app/stage.ts'

const stage = createStage()

describe('the page at the logout route', () => {
  for (const host of HOSTS) {
    it(`has a button that logs the user out, here and at the provider, in ${host}`, async () => {
      const { app, browser } = await stage.startLoggedIn({}, { host, mountPath: '/portal' })
      const page = await browser.open('/portal/logout')
      assert.equal(page.status, 200)
      assert.match(page.body, /<form method="post" action="\/portal\/logout"><button>Sign out<\/button><\/form>/)
      assert.match(page.body, /<a href="\/portal\/">Stay signed in<\/a>/)
      assert.equal(await app.sessions(), 1)
      const end = await browser.submit(page)
      assert.equal(await app.sessions(), 0)
      assert.ok(end.history.some(({ url }) => url.startsWith(stage.provider.issuer)))
      assert.deepEqual([end.status, end.url.split('?')[0]], [200, app.baseUrl])
    })
  }

  it('forbids caches, frames and scripts, and sends the origin of its form to our site only', async () => {
    const { browser } = await stage.startLoggedIn()
    const { headers } = await browser.open('/logout')
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['referrer-policy'], 'same-origin')
    // No form-action: browsers apply it to the redirect to the provider, too.
    assert.match(
      String(headers['content-security-policy']),
      /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; frame-ancestors 'none'$/,
    )
  })

  it('logs nobody out for a link of another site', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const page = await browser.open('/logout', { from: 'https://evil.test' })
    assert.deepEqual([page.status, await app.sessions()], [200, 1])
  })

  it('is not sent to a form of another site, to scripts, frames and prefetches', async () => {
    const { app, browser } = await stage.startLoggedIn()
    assert.equal((await browser.post('/logout', {}, { from: 'https://evil.test' })).status, 403)
    assert.equal((await browser.fetch('/logout')).status, 405)
    const navigate = { 'sec-fetch-mode': 'navigate' }
    assert.equal((await browser.open('/logout', { headers: { ...navigate, 'sec-fetch-dest': 'iframe' } })).status, 405)
    assert.equal((await browser.open('/logout', { headers: { 'sec-purpose': 'prefetch' } })).status, 405)
    assert.equal(await app.sessions(), 1)
  })

  it('is what the error page leads to after a refused logout', async () => {
    const { app, browser } = await stage.startLoggedIn()
    const refused = await browser.post('/logout', {}, { from: 'https://evil.test' })
    assert.match(refused.body, /<h1>You are still signed in<\/h1>/)
    const [, href = ''] = /<a href="([^"]+)">Sign out<\/a>/.exec(refused.body) ?? []
    await browser.submit(await browser.open(href))
    assert.equal(await app.sessions(), 0)
  })

  it('is not there with logoutByGet', async () => {
    const { app, browser } = await stage.startLoggedIn({ logoutByGet: true })
    await browser.open('/logout', { from: app.origin })
    assert.equal(await app.sessions(), 0)
  })
})
