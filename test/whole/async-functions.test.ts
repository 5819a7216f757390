import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { attachAccessToken, type Handler, requireAuthorizationDetails, requireClaim } from '../../lib/index.ts'
import { type AnyOptions, codesOf } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'

/** A function that must not be async, but is: the mistake of an application in JavaScript. Its promise belongs to nobody. */
const late = (async () => {
  throw new Error('The database of the application is down.')
}) as never

const open = answerJson(() => 'open')
const GUARDS: readonly (readonly [name: string, guard: Handler, code: string])[] = [
  ['the function of requireClaim()', requireClaim(late), 'ERR_OIDC_INSUFFICIENT_CLAIM'],
  ['the test of a claim in requireClaim()', requireClaim('sub', late), 'ERR_OIDC_INSUFFICIENT_CLAIM'],
  ['the target of attachAccessToken()', attachAccessToken({ target: late }), 'ERR_OIDC_CONFIG'],
]
const OPTIONS: readonly (readonly [name: string, options: Partial<AnyOptions>, path: string])[] = [
  ['userClaims', { userClaims: late, routes: { user: '/user' } }, '/user'],
  ['sessionClaims', { sessionClaims: late }, '/profile'],
]

const stage = createStage()

// node:test fails a test during which a rejection has no handler. Without node:test, it ends the process.
describe('a function of the application that returns a promise, but must not, denies the request and ends nothing', () => {
  for (const [name, guard, code] of GUARDS) {
    it(name, async () => {
      const { app, browser } = await stage.startLoggedIn({}, { routes: { '/guarded': [guard, open] } })
      assert.notEqual((await browser.fetch('/guarded')).status, 200)
      assert.deepEqual([...codesOf(app), ...app.otherErrors], [code])
    })
  }

  for (const [name, options, path] of OPTIONS) {
    it(`the option ${name}`, async () => {
      const app = await stage.start(options)
      const browser = app.browser()
      await browser.open('/profile')
      assert.notEqual((await browser.fetch(path)).status, 200)
      assert.equal(codesOf(app)[0], 'ERR_OIDC_CONFIG')
    })
  }

  it('the function of requireAuthorizationDetails()', async () => {
    const oidc = { isAuthenticated: true, authorizationDetails: [{ type: 'a' }] }
    const error = await new Promise((resolve) =>
      requireAuthorizationDetails(late)({ oidc, headers: {} } as never, {} as never, resolve),
    )
    assert.equal(Object(error).code, 'ERR_OIDC_INSUFFICIENT_AUTHORIZATION_DETAILS')
  })
})
