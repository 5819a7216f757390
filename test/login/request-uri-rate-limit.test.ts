import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { createBudget } from '../../lib/time/budget.ts'
import type { AnyOptions, TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Page } from '../support/browser/browser.ts'
import type { StrictProviderOptions } from '../support/strict-provider/provider.ts'

const routes = {
  '/visit': answerJson(({ oidc }) => ({ authenticated: oidc.isAuthenticated })),
}

/** Starts so many logins, each in a browser of its own, and returns their statuses: 303 is one that went to the provider. */
async function startLogins(app: TestApp, count: number, path = '/login'): Promise<readonly number[]> {
  const pages: Page[] = []
  for (let index = 0; index < count; index += 1)
    pages.push(await app.browser().open(path, { stopBefore: isAtProvider }))
  return pages.map(({ status }) => status)
}

const FORMS: readonly (readonly [name: string, provider: StrictProviderOptions, options: Partial<AnyOptions>])[] = [
  ['pushed requests', { pushed: 'required' }, {}],
  ['pushed requests by choice', { pushed: 'optional' }, { requirePushedAuthorizationRequests: true }],
  ['request objects by reference', { requestObjectSigningAlg: 'ES256' }, { requestObjectBy: 'reference' }],
]

for (const [name, provider, options] of FORMS) {
  describe(`the logins of strangers with ${name}`, () => {
    const stage = createStage({ provider, app: { routes, errorHandler: 'json' } })
    const start = (more: Partial<AnyOptions> = {}) => stage.start({ ...options, requestUriRateLimit: 3, ...more })

    /** What the logins have cost: pushed requests, and records in the store. */
    const costs = async (app: TestApp) => [stage.provider.calls['/par'], Object.keys(await app.records()).length]

    it('N-44: are bounded: further ones get 503 with Retry-After, and cost nothing', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const app = await start()
      assert.deepEqual(await startLogins(app, 3), [303, 303, 303])
      const spent = await costs(app)
      const asked = stage.provider.requests.length
      const page = await app.browser().open('/login')
      assert.deepEqual([page.status, app.errors[0]?.headers['Retry-After']], [503, '20'])
      assert.equal(app.errors[0]?.code, 'ERR_OIDC_LOGIN_RATE_LIMIT')
      assert.deepEqual(await startLogins(app, 50), Array(50).fill(503))
      assert.deepEqual(await costs(app), spent)
      assert.equal(stage.provider.requests.length, asked, 'Nothing is requested from the provider.')
      assert.equal(page.headers['set-cookie'], undefined, 'No login is in progress.')
      mock.timers.tick(20_000)
      assert.deepEqual(await startLogins(app, 2), [303, 503])
    })

    it('N-44: do not keep users who are logged in from logging in again', async () => {
      const app = await start()
      const browser = app.browser()
      assert.equal((await browser.open('/profile')).status, 200)
      await startLogins(app, 5)
      for (let index = 0; index < 5; index += 1) {
        const page = await browser.open('/login?prompt=login', { stopBefore: isAtProvider })
        assert.ok(page.next, `${page.status}`)
      }
    })

    it('N-44: leave half of the limit to users who want to log in, if they are silent', async () => {
      const app = await start({ requestUriRateLimit: 4, silentLogin: true })
      assert.deepEqual(await startLogins(app, 2, '/visit'), [303, 303])
      const page = await app.browser().open('/visit')
      assert.deepEqual(
        [page.status, page.json()],
        [200, { authenticated: false }],
        'The page is shown without a login.',
      )
      assert.deepEqual(await startLogins(app, 3), [303, 303, 503])
    })
  })
}

describe('logins that cost neither the provider nor the store anything', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })

  for (const options of [{}, { requestObjectSigningAlg: 'HS256' }]) {
    it(`N-44: have no limit: ${JSON.stringify(options)}`, async () => {
      const app = await stage.start({ ...options, requestUriRateLimit: 1 })
      assert.deepEqual(await startLogins(app, 3), [303, 303, 303])
    })
  }
})

describe('a budget', () => {
  it('is never exceeded, and tells when there is something left again', () => {
    mock.timers.enable({ apis: ['Date'], now: 1000 })
    const budget = createBudget({ capacity: 2, refillSeconds: 10 })
    assert.deepEqual([budget.waitSeconds(), budget.take(), budget.take(1), budget.waitSeconds(1)], [0, true, false, 10])
    assert.deepEqual([budget.take(), budget.take(), budget.waitSeconds()], [true, false, 10])
    mock.timers.tick(4000)
    assert.deepEqual([budget.take(), budget.waitSeconds()], [false, 6])
    mock.timers.tick(6000)
    assert.deepEqual([budget.take(), budget.take()], [true, false])
    mock.timers.setTime(500)
    assert.equal(budget.take(), false, 'A clock that is set back gives nothing.')
    mock.timers.tick(3_600_000)
    assert.deepEqual([budget.take(), budget.take(), budget.take()], [true, true, false])
    mock.timers.reset()
  })
})
