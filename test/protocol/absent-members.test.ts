import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { discoverIssuer } from '../../lib/protocol/discover-issuer.ts'
import { findRegistrationEndpoint, registerClient } from '../../lib/registration.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'

// A member that is null, or empty where a text is expected, is absent (OIDC Core 5.3.2, RFC 6749 3.2).

const NOTHING = [null, ''] as const
const CLAIMS = ['name', 'email', 'groups', 'sid', 'acr', 'amr', 'nickname', 'https://app.example.com/roles'] as const

const routes = {
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
  '/token-for': answerJson(async ({ oidc }) => ({
    token: await oidc.accessToken({ resource: 'https://api.example' }),
  })),
}
const fat = createStage({ app: { errorHandler: 'json', routes } })
const thin = createStage({ provider: { idToken: 'thin' }, app: { errorHandler: 'json', routes } })

function membersOf(names: readonly string[], value: unknown): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, value]))
}

async function profileOf(app: TestApp, browser: Browser = app.browser()): Promise<Record<string, unknown>> {
  const page = await browser.open('/profile')
  assert.equal(page.status, 200, String(app.errors))
  return page.json()
}

for (const nothing of NOTHING) {
  describe(`N-19: a member that is ${JSON.stringify(nothing)}`, () => {
    it('N-19: of an ID Token is no claim', async () => {
      fat.provider.change.idTokenClaims = (claims) => ({ ...claims, ...membersOf(CLAIMS, nothing) })
      const claims = await profileOf(await fat.start({ userinfo: false }))
      assert.deepEqual(
        CLAIMS.filter((name) => Object.hasOwn(claims, name)),
        [],
      )
    })

    it('N-19: of an ID Token does not replace a claim of UserInfo, which is requested for it', async () => {
      fat.provider.change.idTokenClaims = (claims) => ({ ...claims, name: nothing, email: nothing })
      const scope = 'openid email'
      const claims = await profileOf(await fat.start({ scope }))
      assert.deepEqual([claims['email'], fat.provider.calls['/userinfo']], ['alice@example.test', 1])
    })

    it('N-19: of UserInfo is no claim', async () => {
      thin.provider.change.userinfo = (claims) => ({ ...claims, nickname: nothing, phone_number: nothing })
      const app = await thin.start()
      const browser = app.browser()
      for (const claims of [await profileOf(app, browser), (await browser.fetch('/userinfo')).json()]) {
        assert.equal(claims['email'], 'alice@example.test')
        assert.deepEqual([Object.hasOwn(claims, 'nickname'), Object.hasOwn(claims, 'phone_number')], [false, false])
      }
    })

    it('N-19: of the second ID Token of a hybrid response does not replace a claim of the first', async () => {
      fat.provider.change.frontIdTokenClaims = (claims) => ({ ...claims, nickname: 'Ali' })
      fat.provider.change.idTokenClaims = (claims) => ({ ...claims, nickname: nothing })
      const app = await fat.start({ responseType: 'code id_token' })
      assert.equal((await profileOf(app))['nickname'], 'Ali')
    })

    it('N-19: of a refreshed ID Token removes the claim', async () => {
      const { app, browser } = await fat.startLoggedIn({ scope: 'openid profile offline_access', userinfo: false })
      assert.equal(typeof (await profileOf(app, browser))['name'], 'string')
      fat.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, name: nothing })
      assert.equal((await browser.fetch('/token-for')).status, 200)
      assert.equal(Object.hasOwn(await profileOf(app, browser), 'name'), false)
    })

    it('N-19: of the metadata is not there', async () => {
      const names = ['userinfo_endpoint', 'end_session_endpoint', 'revocation_endpoint', 'check_session_iframe']
      fat.provider.change.discovery = (metadata) => ({ ...metadata, ...membersOf(names, nothing) })
      const { app, browser } = await fat.startLoggedIn()
      const page = await browser.post('/logout')
      assert.deepEqual([new URL(page.url).origin, codesOf(app)], [app.origin, []])
    })

    it('N-19: of an authorization response that is a JWT is not there', async () => {
      const names = ['error', 'error_description', 'id_token', 'access_token', 'expires_in', 'session_state', 'scope']
      fat.provider.change.responseJwtClaims = (claims) => ({ ...claims, ...membersOf(names, nothing) })
      await profileOf(await fat.start({ responseMode: 'query.jwt' }))
    })

    it('N-19: of a WebFinger link is not there', async () => {
      const rel = 'http://openid.net/specs/connect/1.0/issuer'
      const links = [
        { rel, href: nothing },
        { rel, href: 'https://op.example.com' },
      ]
      const fetch = async (): Promise<Response> => Response.json({ subject: nothing, aliases: nothing, links })
      assert.equal(await discoverIssuer('joe@example.com', { fetch }), 'https://op.example.com')
    })

    it('N-19: of a client in a registration response is not there', async () => {
      const names = ['client_id_issued_at', 'client_secret_expires_at', 'registration_access_token', 'redirect_uris']
      const more = ['registration_client_uri', 'token_endpoint_auth_method', 'grant_types', 'logo_uri']
      const body = { client_id: 'a', client_secret: 'b', ...membersOf([...names, ...more], nothing) }
      const fetch = async (): Promise<Response> => Response.json(body, { status: 201 })
      const registrationEndpoint = 'https://op.example.com/register'
      const endpoint = await findRegistrationEndpoint({ registrationEndpoint, fetch })
      const { registeredAt: _, ...client } = await registerClient(endpoint, { redirect_uris: [] })
      assert.deepEqual(client, { client_id: 'a', client_secret: 'b' })
    })

    it('N-19: as the registration endpoint means that there is none', async () => {
      const issuer = 'https://op.example.com'
      const fetch = async (): Promise<Response> => Response.json({ issuer, registration_endpoint: nothing })
      await assert.rejects(findRegistrationEndpoint({ issuer, fetch }), { code: 'ERR_OIDC_REGISTRATION_UNSUPPORTED' })
    })

    it('N-19: of an error response is not there', async () => {
      fat.provider.change.tokenResponse = (_good, answer) => {
        answer.status = 400
        answer.headers['WWW-Authenticate'] = 'Basic error="invalid_client"'
        return { error: nothing, error_description: nothing, error_uri: nothing }
      }
      const app = await fat.start()
      await app.browser().open('/login')
      assert.match(String(app.errors[0]), /answered 400 invalid_client/)
    })
  })
}

describe('N-19: the nonce of a refreshed ID Token', () => {
  it('N-19: is absent if it is null (OIDC Core 12.2)', async () => {
    const { app, browser } = await fat.startLoggedIn({ scope: 'openid offline_access' })
    fat.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, nonce: null })
    assert.equal((await browser.fetch('/token-for')).status, 200, String(app.errors))
  })

  it('N-19: must be that of the login if it is a text, even an empty one', async () => {
    const { app, browser } = await fat.startLoggedIn({ scope: 'openid offline_access' })
    fat.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, nonce: '' })
    await browser.fetch('/token-for')
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_NONCE'])
  })
})

describe('N-19: null for links', () => {
  it('N-19: in a WebFinger response means that there are none', async () => {
    const fetch = async (): Promise<Response> => Response.json({ subject: 'acct:joe@example.com', links: null })
    await assert.rejects(discoverIssuer('joe@example.com', { fetch }), { code: 'ERR_OIDC_WEBFINGER_UNKNOWN' })
  })
})
