import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'

const who = answerJson(({ oidc }) => ({ authenticated: oidc.isAuthenticated }))
const routes: Routes = { '/plain': who }
const stage = createStage({ app: { routes, errorHandler: 'json' } })

const SIGNS = [
  ['sec-purpose', 'prefetch'],
  ['x-sec-purpose', 'prefetch'],
  ['purpose', 'prefetch'],
  ['x-purpose', 'preview'],
  ['x-moz', 'prefetch'],
] as const

describe('a page that a browser loads in advance', () => {
  for (const [name, value] of SIGNS) {
    it(`N-36: starts no login, completes none, and logs nobody out: ${name}`, async () => {
      const { app, browser } = await stage.startLoggedIn({ logoutByGet: true })
      const headers = { [name]: value, 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'same-origin' }
      const before = stage.provider.authorizationRequests.length
      const login = await browser.open('/login', { headers })
      assert.deepEqual([login.status, login.history.length, login.headers['set-cookie']], [503, 1, undefined])
      await browser.open('/logout', { headers })
      assert.equal(stage.provider.authorizationRequests.length, before)
      assert.equal((await browser.open('/plain')).json()['authenticated'], true)

      const other = app.browser()
      const { next } = await other.open('/login', { stopBefore: isCallback })
      assert.equal((await other.open(String(next?.url), { headers })).status, 503)
      await other.open(String(next?.url))
      assert.equal((await other.open('/plain')).json()['authenticated'], true)
    })
  }
})

describe('the path of a route', () => {
  for (const host of HOSTS) {
    for (const path of ['/login/', '/LOGIN', '/Login/']) {
      it(`N-48: matches as Express' own routes do: ${path} on ${host}`, async () => {
        const app = await stage.start({}, { host })
        const page = await app.browser().open(`${path}?returnTo=/plain`)
        assert.deepEqual([page.url, page.json()['authenticated']], [`${app.origin}/plain`, true])
      })
    }

    it(`N-48: does not match with two slashes or something behind it, on ${host}`, async () => {
      const app = await stage.start({}, { host })
      for (const path of ['/login//', '/login/x', '/loginx']) {
        const page = await app.browser().open(path)
        assert.equal(stage.provider.authorizationRequests.length, 0, path)
        assert.notEqual(page.status, 200)
      }
    })
  }
})
