import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ProviderError } from '../../lib/index.ts'
import { codesOf } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import { REFRESH_SCOPE, startAged } from '../support/hostile/fault-injection.ts'
import { answered } from '../support/strict-provider/context.ts'

// A provider that wants the user before it refreshes: Entra ID answers so if a policy demands a second factor.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc }) => ({
    token: await oidc.accessToken({ resource: 'https://api.example' }),
  })),
}
const stage = createStage({ app: { errorHandler: 'json', routes } })
const ERRORS = ['interaction_required', 'login_required', 'consent_required', 'account_selection_required'] as const

describe('a refresh that the provider refuses until the user has been there', () => {
  for (const error of ERRORS) {
    it(`N-26: has a code of its own, and the next page logs in again: ${error}`, async () => {
      const { app, browser } = await startAged(stage)
      await browser.fetch('/write')
      stage.provider.change.refreshResponse = answered(400, { error, suberror: 'basic_action' })
      const refused = await browser.fetch('/access-token')
      assert.deepEqual([refused.status, refused.json()['error']], [401, 'ERR_OIDC_INTERACTION_REQUIRED'])
      const [thrown] = app.errors
      assert.ok(thrown instanceof ProviderError)
      assert.deepEqual([thrown.refusal?.error, thrown.expose], [error, true])
      assert.match(thrown.message, new RegExp(`\\(${error}\\).*[Ll]og in again`))

      // The login has ended, so a guard sends a script to log in, and a page on its way there and back.
      assert.equal((await browser.fetch('/profile')).status, 401)
      stage.provider.change.refreshResponse = undefined
      const page = await browser.open('/profile')
      assert.deepEqual([page.status, page.url], [200, `${app.origin}/profile`])
      assert.equal(stage.provider.calls['/authorize'], 2)
      assert.equal((await browser.fetch('/access-token')).status, 200)
      assert.equal((await browser.fetch('/session')).json()['cart'], 'book', 'what the app has stored stays')
    })
  }

  it('N-26: ends no login if only the token for another API needs it', async () => {
    const { app, browser } = await stage.startLoggedIn({ scope: REFRESH_SCOPE })
    stage.provider.change.refreshResponse = answered(400, { error: 'interaction_required' })
    assert.equal((await browser.fetch('/token-for')).json()['error'], 'ERR_OIDC_INTERACTION_REQUIRED')
    assert.equal((await browser.fetch('/profile')).status, 200)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_INTERACTION_REQUIRED'])
  })

  it('N-26: is not one with another error, which leaves the login', async () => {
    const { browser } = await startAged(stage)
    stage.provider.change.refreshResponse = answered(400, { error: 'unmet_authentication_requirements' })
    assert.equal((await browser.fetch('/access-token')).json()['error'], 'ERR_OIDC_TOKEN_REQUEST')
    assert.equal((await browser.fetch('/profile')).status, 200)
  })
})
