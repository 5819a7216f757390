import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn } from '../support/app/logout-observer.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import { startAged } from '../support/hostile/fault-injection.ts'
import { RETURN_TO_PAYLOADS } from '../support/hostile/return-to-payloads.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'
import { firstRequest } from '../support/strict-provider/provider.ts'

// Where a logout sends the browser.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

describe('the redirect of a logout', () => {
  const NAMES = [
    'returnTo',
    'return_to',
    'redirect_url',
    'redirect_uri',
    'redirectTo',
    'post_logout_redirect_uri',
    'url',
  ]
  NAMES.push('logout', 'target_link_uri', 'next', 'state', 'rd')

  it('CVE-2019-14857, CVE-2019-20479, CVE-2021-32786, CVE-2022-23527: ignores every URL in the request', async () => {
    const app = await stage.start({ logoutByGet: true })
    // A URL may have 16 kB.
    for (const payload of RETURN_TO_PAYLOADS.filter(({ length }) => length < 1000)) {
      const fields = Object.fromEntries(NAMES.map((name) => [name, payload]))
      for (const method of ['GET', 'POST'] as const) {
        const browser = await logIn(app)
        const address = `/logout?${new URLSearchParams(fields)}`
        const page =
          method === 'GET'
            ? await browser.open(address, { stopBefore: isAtProvider })
            : await browser.post(address, fields, { stopBefore: isAtProvider })
        const target = new URL(page.next?.url ?? '')
        assert.equal(target.origin + target.pathname, stage.provider.endpointUrls['/logout'])
        assert.equal(target.searchParams.get('post_logout_redirect_uri'), app.baseUrl)
        assert.ok(!target.href.includes('evil'), payload)
      }
    }
  })

  it('CVE-2020-5233, CVE-2020-11053, CVE-2020-4037, CVE-2022-2237, KCC: ignores it too if the provider has no logout', async () => {
    stage.provider.change.discovery = ({ end_session_endpoint: _none, ...metadata }) => metadata
    const app = await stage.start()
    // A URL may have 16 kB.
    for (const payload of RETURN_TO_PAYLOADS.filter(({ length }) => length < 1000)) {
      const fields = Object.fromEntries(NAMES.map((name) => [name, payload]))
      const page = await app.browser().post(`/logout?${new URLSearchParams(fields)}`, fields, { follow: false })
      assert.equal(page.next?.url, `${app.baseUrl}/`)
    }
  })

  it('of mod_auth_openidc, 2026-05-23: a claim cannot inject a header, neither by LF nor by CR alone', async () => {
    const hints = ['a\rX: y', 'a\nX: y', 'a\r\nX: y', 'a\0b', 'a&client_id=x', 'ü#?', '\u2028']
    for (const email of hints) {
      stage.provider.change.idTokenClaims = (claims) => ({ ...claims, email })
      const endSessionParams = (claims?: JsonObject) => ({ logout_hint: String(claims?.['email']) })
      const { app, browser } = await stage.startLoggedIn({ endSessionParams })
      const page = await browser.post('/logout', {}, { follow: false })
      assert.doesNotMatch(String(page.headers.location), /[\r\n\0]/)
      assert.equal(page.headers['x'], undefined)
      const params = new URL(page.next?.url ?? app.baseUrl).searchParams
      assert.deepEqual(params.getAll('client_id').length <= 1, true)
      assert.equal(await isIn(browser), false)
    }
  })

  it('EOC PR #461, #530: hooks see a logout, and can stop it, and the provider gets its logout_hint', async () => {
    const told: unknown[] = []
    const hooks = {
      beforeLogout: ({ claims }: { claims: { sub: string } | undefined }) => void told.push(['before', claims?.sub]),
      afterLogout: ({ claims }: { claims: { sub: string } | undefined }) => void told.push(['after', claims?.sub]),
    }
    const endSessionParams = (claims?: { email?: string }) => ({ logout_hint: String(claims?.email) })
    const { browser } = await stage.startLoggedIn({ hooks, endSessionParams })
    const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
    assert.equal(new URL(page.next?.url ?? '').searchParams.get('logout_hint'), 'alice@example.test')
    assert.deepEqual(told, [
      ['before', 'user-subject'],
      ['after', 'user-subject'],
    ])
  })
})

describe('the endpoints of the provider at a logout', () => {
  const okta = createStage({ provider: { layout: 'okta-custom' } })

  it('OKTA #12, #19, OKTA-MONO #162, #545: are those of the metadata, with a custom authorization server too', async () => {
    const { app, browser } = await startAged(okta)
    await browser.fetch('/access-token')
    await browser.post('/logout')
    const { calls, complaints, endpointUrls } = okta.provider
    assert.match(endpointUrls['/revoke'], /\/oauth2\/default\/v1\/revoke$/)
    assert.deepEqual([calls['/revoke'], calls['/logout'], calls['/token'], complaints, codesOf(app)], [1, 1, 2, [], []])
    assert.equal(firstRequest(okta.provider, '/logout')?.query.get('post_logout_redirect_uri'), app.baseUrl)
  })

  it('OKTA: are not called if they do not exist', async () => {
    okta.provider.change.discovery = ({ revocation_endpoint: _revoke, end_session_endpoint: _end, ...metadata }) =>
      metadata
    const { app, browser } = await startAged(okta)
    const page = await browser.post('/logout')
    assert.deepEqual([page.url, codesOf(app), okta.provider.complaints], [`${app.baseUrl}/`, [], []])
    assert.deepEqual([okta.provider.calls['/revoke'], okta.provider.calls['/logout']], [0, 0])
  })
})
