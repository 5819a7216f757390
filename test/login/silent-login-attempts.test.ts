import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { codesOf } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'

// How often a page tries a silent login.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

describe('a silent login', () => {
  it('of mod_auth_openidc, 2026-08-10: the first response to prompt=none does not count as a change of the user', async () => {
    const app = await stage.start({ silentLogin: true })
    const browser = app.browser()
    const page = await browser.open('/')
    assert.deepEqual([page.status, page.json()['authenticated'], codesOf(app)], [200, true, []])
  })

  it('EOC #212, #219, #315: a silent login without a session at the provider is tried once, and the page loads', async () => {
    stage.provider.loggedIn = false
    const app = await stage.start({ silentLogin: true })
    const browser = app.browser()
    for (let count = 0; count < 4; count++) {
      const page = await browser.open('/')
      assert.deepEqual([page.status, page.json()['authenticated']], [200, false])
    }
    assert.equal(stage.provider.calls['/authorize'], 1)
  })
})
