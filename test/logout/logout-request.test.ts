import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ErrorCode, Handler } from '../../lib/index.ts'
import { codesOf } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { isIn, observeLogouts } from '../support/app/logout-observer.ts'
import { createStage } from '../support/app/stage.ts'
import { postToken, startAged } from '../support/hostile/fault-injection.ts'

// Which requests log a user out.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

const seen = observeLogouts()

describe('a request to log out', () => {
  for (const host of HOSTS) {
    it(`LOGTO, kinde, A0X: neither logout nor login accepts another method in ${host}`, async () => {
      const { app, browser } = await stage.startLoggedIn({}, { host })
      for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        assert.equal((await browser.fetch('/logout', { method })).status, 405, method)
      }
      for (const method of ['POST', 'HEAD', 'PUT', 'DELETE']) {
        assert.equal((await browser.fetch('/login', { method })).status, 405, method)
      }
      assert.deepEqual([await isIn(browser), await app.sessions()], [true, 1])
    })

    it(`LOGTO: a hook that rejects fails the request, and not the process, in ${host}`, async () => {
      const late = async (): Promise<never> => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        throw new Error('the hook has failed')
      }
      for (const name of ['afterRefresh', 'beforeLogout', 'afterLogout'] as const) {
        const { app, browser } = await startAged(stage, { hooks: { [name]: late } }, { host })
        const page = name === 'afterRefresh' ? await browser.fetch('/access-token') : await browser.post('/logout')
        assert.deepEqual([page.status, app.otherErrors.length], [500, 1], name)
        // beforeLogout keeps the login. After the other hooks it has ended.
        assert.equal(await isIn(browser), name !== 'afterLogout')
      }
    })
  }

  it('EOC, KCC, LOGTO, kinde: with logoutByGet, no other site, image, frame or prefetch logs a user out', async () => {
    const { browser } = await stage.startLoggedIn({ logoutByGet: true })
    const attempts: readonly Readonly<Record<string, string>>[] = [
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      { 'sec-fetch-site': 'same-origin', 'sec-purpose': 'prefetch' },
      { 'sec-fetch-site': 'none', 'sec-purpose': 'prefetch;prerender' },
    ]
    for (const headers of attempts) {
      assert.equal((await browser.fetch('/logout', { headers })).status, 403)
      assert.equal(await isIn(browser), true)
    }
  })

  const foreign: readonly (readonly [name: string, session: unknown, code: ErrorCode])[] = [
    ['cookie-session', { isNew: false, oidc: { login: {} } }, 'ERR_OIDC_SESSION_UNSUPPORTED'],
    ['undefined', undefined, 'ERR_OIDC_SESSION_MISSING'],
    ['null', null, 'ERR_OIDC_SESSION_MISSING'],
  ]
  for (const [name, own, code] of foreign) {
    it(`okta #58, passport #904, #907, cookie-session #166, #176: with ${name} as the session, every call reports it`, async () => {
      const put: Handler = (req, _res, next) => {
        req.session = own
        next()
      }
      const app = await stage.start({}, { session: false, beforeOidc: [put] })
      const browser = app.browser()
      await browser.post('/logout')
      await browser.fetch('/frontchannel-logout')
      await postToken(app, 'x')
      await browser.fetch('/login')
      assert.deepEqual([codesOf(app), app.otherErrors], [Array(4).fill(code), []])
      assert.deepEqual((await browser.fetch('/')).json(), { authenticated: false, claims: null })
      assert.equal((await browser.fetch('/profile')).status, 401)
    })
  }

  const queries = [
    '',
    '&',
    '&&',
    '=',
    'iss',
    'iss=',
    'iss=&sid=',
    'sid=',
    'iss&sid',
    'sid=x',
    'iss=x&iss=y',
    '%',
    'iss=%00&sid=%00',
  ]
  for (const query of queries) {
    it(`of mod_auth_openidc, 2026-05-22 and 2026-08-20: a front-channel logout with ?${query} ends no login`, async () => {
      const { app, browser } = await stage.startLoggedIn()
      const { status } = await app.browser().open(`/frontchannel-logout?${query}`)
      assert.ok([200, 400].includes(status))
      assert.deepEqual([app.otherErrors, await isIn(browser), seen.logouts], [[], true, []])
    })
  }
})
