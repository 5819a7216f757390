import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Json } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'

const stage = createStage()
const MFA = 'urn:example:mfa'
const PASSWORD = 'urn:example:pwd'
const claims = { id_token: { acr: { essential: true, value: MFA } } }

/** The parameter of the request that the provider has got. */
function asked(name: string): string | null | undefined {
  return stage.provider.authorizationRequests.at(-1)?.get(name)
}

async function refused(app: TestApp, link: string): Promise<void> {
  const browser = app.browser()
  await browser.open(link)
  assert.equal((await browser.fetch('/profile')).status, 401)
}

describe('a link to the login route', () => {
  const start = (authorizationParams: NonNullable<AnyOptions['authorizationParams']>): Promise<TestApp> =>
    stage.start({ passthroughParams: ['max_age', 'claims'], authorizationParams })

  it('cannot request an older login than the options', async () => {
    for (const params of [{ max_age: 60 }, () => ({ max_age: 60 })]) {
      const app = await start(params)
      stage.provider.authTime = Math.floor(Date.now() / 1000) - 5000
      await refused(app, '/login?max_age=999999')
      assert.deepEqual([codesOf(app), asked('max_age')], [['ERR_OIDC_ID_TOKEN_AUTH_TIME'], '60'])
    }
  })

  it('may request a more recent one', async () => {
    await (await start({ max_age: 600 })).browser().open('/login?max_age=5')
    assert.equal(asked('max_age'), '5')
    await (await start({})).browser().open('/login?max_age=7')
    assert.equal(asked('max_age'), '7')
  })

  it('cannot remove a claim that the options request', async () => {
    const app = await start({ claims })
    stage.provider.change.idTokenClaims = (good) => ({ ...good, acr: PASSWORD })
    await refused(app, '/login?claims=%7B%7D')
    assert.deepEqual(
      [codesOf(app), asked('claims')],
      [['ERR_OIDC_INSUFFICIENT_AUTHENTICATION'], JSON.stringify(claims)],
    )
  })
})

describe('an acr that is essential for every login', () => {
  async function logInFor(acr: string | readonly string[], brought: string, requested: Record<string, Json> = claims) {
    const app = await stage.start(
      { authorizationParams: { claims: requested } },
      { routes: { '/link': answerJson(({ oidc }) => ({ link: oidc.loginUrl('/profile', { acr }) })) } },
    )
    stage.provider.change.idTokenClaims = (good) => ({ ...good, acr: brought })
    const browser = app.browser()
    await browser.open(String((await browser.fetch('/link')).json()['link']))
    return { codes: codesOf(app), status: (await browser.fetch('/profile')).status }
  }

  it('applies also to a login that requires less', async () => {
    const refusal = { codes: ['ERR_OIDC_INSUFFICIENT_AUTHENTICATION'], status: 401 }
    assert.deepEqual(await logInFor(PASSWORD, PASSWORD), refusal)
    assert.deepEqual(await logInFor([PASSWORD, MFA], PASSWORD), refusal)
    assert.deepEqual(await logInFor([PASSWORD, MFA], MFA), { codes: [], status: 200 })
  })

  it('N-60: does not let in a login that requires more', async () => {
    const requested = { id_token: { acr: { essential: true, values: [PASSWORD, MFA] } } }
    const refusal = { codes: ['ERR_OIDC_INSUFFICIENT_AUTHENTICATION'], status: 401 }
    assert.deepEqual(await logInFor(MFA, PASSWORD, requested), refusal)
    assert.deepEqual(await logInFor(MFA, MFA, requested), { codes: [], status: 200 })
    assert.deepEqual(await logInFor('urn:other', MFA, requested), refusal)
  })
})
