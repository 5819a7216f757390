import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import type { PrivateJwk } from '../../lib/index.ts'
import { postForm } from '../../lib/provider/requests.ts'
import type { AnyOptions, TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import { type Answer, exchange } from '../support/browser/http-exchange.ts'
import { BOB } from '../support/okta-provider/directory.ts'
import { type FrontChannelRequest, frontChannelRequests } from '../support/okta-provider/front-channel.ts'
import { newKey } from '../support/okta-provider/provider.ts'
import { createOktaStage } from '../support/okta-provider/stage.ts'

const stage = createOktaStage()

interface LoggedIn {
  readonly app: TestApp
  readonly browser: Browser
}

async function logIn(options: Partial<AnyOptions> = {}, routes: Routes = {}): Promise<LoggedIn> {
  const app = await stage.start('default', options, { routes })
  const browser = app.browser()
  assert.equal((await browser.open('/profile')).status, 200, String(app.errors))
  return { app, browser }
}

async function assertLoggedOut({ app, browser }: LoggedIn): Promise<void> {
  assert.deepEqual([await app.sessions(), (await browser.fetch('/profile')).status, app.errors], [0, 401, []])
}

describe('a logout at Okta', () => {
  it('Q-53: sends the ID Token as a hint and comes back, with the session at Okta ended', async () => {
    const login = await logIn()
    const idToken = (await login.browser.fetch('/id-token')).json()['token']
    const page = await login.browser.post('/logout')
    assert.deepEqual([page.status, new URL(page.url).origin], [200, login.app.origin])
    assert.equal(stage.okta.requestsTo('logout')[0]?.query.get('id_token_hint'), idToken)
    assert.equal(stage.okta.sessions.size, 0)
    await assertLoggedOut(login)
  })

  it('Q-53: sends a hint that has expired, which is fine', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const login = await logIn()
    mock.timers.tick(7_200_000)
    const page = await login.browser.post('/logout')
    assert.deepEqual([page.status, new URL(page.url).origin], [200, login.app.origin])
    await assertLoggedOut(login)
  })

  it('Q-53: sends the signed token within an encrypted one', async () => {
    const { privateKey, jwk, kid } = newKey()
    const enc = { ...jwk, use: 'enc', alg: 'RSA-OAEP-256' }
    Object.assign(stage.okta.client, { id_token_encrypted_response_alg: 'RSA-OAEP-256', jwks: { keys: [enc] } })
    const clientKeys = [
      { ...(privateKey.export({ format: 'jwk' }) as PrivateJwk), kid, use: 'enc', alg: 'RSA-OAEP-256' } as const,
    ]
    const encryption = { idTokenEncryptedResponseAlg: 'RSA-OAEP-256', idTokenEncryptedResponseEnc: 'A256GCM' }
    const login = await logIn({ ...encryption, clientKeys })
    const page = await login.browser.post('/logout')
    assert.deepEqual([page.status, new URL(page.url).origin], [200, login.app.origin])
    assert.equal(stage.okta.requestsTo('logout')[0]?.query.get('id_token_hint')?.split('.').length, 3)
    await assertLoggedOut(login)
  })

  it('Q-53: sends a hint that is too long for an address as a form', async () => {
    const groups = Array.from({ length: 200 }, (_, index) => `A group with a long name, number ${index}`)
    stage.okta.server('default').claims = [{ name: 'app_groups', value: groups, alwaysInIdToken: true }]
    const login = await logIn()
    const page = await login.browser.post('/logout')
    assert.deepEqual([page.status, new URL(page.url).origin], [200, login.app.origin])
    const [request] = stage.okta.requestsTo('logout')
    assert.deepEqual([request?.method, request?.url.search], ['POST', ''])
    await assertLoggedOut(login)
  })

  it('Q-53: ends here in any case, also where Okta shows an error: its session is another person’s by now', async () => {
    const login = await logIn()
    for (const session of stage.okta.sessions.values()) session.person = BOB
    const page = await login.browser.post('/logout')
    assert.deepEqual([page.status, isAtProvider(new URL(page.url))], [400, true])
    await assertLoggedOut(login)
  })

  it('Q-53: ends here in any case, also where Okta does not know the hint', async () => {
    const login = await logIn()
    stage.okta.idTokens.clear()
    const page = await login.browser.post('/logout')
    assert.deepEqual([page.status, isAtProvider(new URL(page.url))], [400, true])
    await assertLoggedOut(login)
  })

  it('Q-56: ends no tokens: they are good until they are revoked, the refresh token with its access token', async () => {
    const { browser } = await logIn({ scope: 'openid profile offline_access' })
    const { accessToken, refreshToken } = (await browser.fetch('/tokens')).json()
    const idToken = String((await browser.fetch('/id-token')).json()['token'])
    const query = new URLSearchParams({ id_token_hint: idToken })
    await browser.open(`${stage.okta.issuer('default')}/v1/logout?${query}`)
    assert.deepEqual([stage.okta.sessions.size, stage.okta.accessTokens.has(String(accessToken))], [0, true])
    const provider = await stage.findProvider('default', { clientSecret: stage.okta.client.client_secret })
    const params = { token: String(refreshToken), token_type_hint: 'refresh_token' }
    assert.equal((await postForm(provider, 'revocation_endpoint', params)).status, 200)
    assert.equal(stage.okta.accessTokens.has(String(accessToken)), false)
  })

  for (const [what, scope, kind] of [
    ['the refresh token, which takes the access token with it', 'openid profile offline_access', 'refresh_token'],
    ['the access token where there is no other', 'openid profile', 'access_token'],
  ] as const) {
    it(`Q-56: has Okta forget ${what}`, async () => {
      const login = await logIn({ scope })
      const { accessToken, refreshToken } = (await login.browser.fetch('/tokens')).json()
      assert.ok(stage.okta.accessTokens.has(String(accessToken)))
      await login.browser.post('/logout')
      assert.equal(stage.okta.accessTokens.has(String(accessToken)), false)
      assert.deepEqual(
        stage.okta.requestsTo('revoke').map(({ form }) => [form.get('token'), form.get('token_type_hint')]),
        [[refreshToken ?? accessToken, kind]],
      )
      await assertLoggedOut(login)
    })
  }

  it('Q-56: is complete where Okta refuses to forget them', async () => {
    stage.okta.change.raw.revoke = (_req, res) => res.writeHead(503).end()
    const login = await logIn()
    const page = await login.browser.post('/logout')
    assert.deepEqual([page.status, new URL(page.url).origin], [200, login.app.origin])
    await assertLoggedOut(login)
  })

  it('Q-54: names the page to come back to, without which people end at the sign-in page', async () => {
    const { app, browser } = await logIn()
    const idToken = String((await browser.fetch('/id-token')).json()['token'])
    const endpoint = `${stage.okta.issuer('default')}/v1/logout`
    const bare = await browser.clone().open(`${endpoint}?${new URLSearchParams({ id_token_hint: idToken })}`)
    assert.deepEqual([bare.status, isAtProvider(new URL(bare.url))], [200, true])
    await browser.post('/logout')
    const asked = stage.okta.requestsTo('logout').map(({ query }) => query.get('post_logout_redirect_uri'))
    assert.deepEqual(asked, [null, app.baseUrl])
  })

  for (const logoutState of ['as sent', 'missing'] as const) {
    it(`Q-55: lands with the state ${logoutState}, on which nothing hangs`, async () => {
      Object.assign(stage.okta, { logoutState })
      const login = await logIn({ postLogoutRedirectUri: '/bye' }, { '/bye': answerJson(() => ({ bye: true })) })
      const page = await login.browser.post('/logout')
      assert.deepEqual([page.status, page.json()['bye']], [200, true])
      assert.equal(new URL(page.url).searchParams.has('state'), logoutState === 'as sent')
      await assertLoggedOut(login)
    })
  }

  it('Q-55: is complete before anybody lands, should the state come without a question mark in front', async () => {
    Object.assign(stage.okta, { logoutState: 'without question mark' })
    const login = await logIn({ postLogoutRedirectUri: '/bye' })
    const page = await login.browser.post('/logout')
    assert.match(page.url, /\/bye&state=/)
    await assertLoggedOut(login)
  })
})

describe('a logout of another application at Okta', () => {
  /** What Okta's page opens in a hidden frame, where the browser has no cookies for anybody but Okta. */
  async function openFrame({ url, fields }: FrontChannelRequest): Promise<Answer> {
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    return exchange({
      method: fields === undefined ? 'GET' : 'POST',
      url: new URL(url),
      headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'iframe', ...(fields === undefined ? {} : form) },
      body: fields === undefined ? undefined : String(fields),
    })
  }

  async function logInToParticipant(): Promise<LoggedIn & { readonly sid: string }> {
    stage.okta.client.participate_slo = true
    const login = await logIn()
    stage.okta.client.frontchannel_logout_uri = `${login.app.origin}/frontchannel-logout`
    const { sid } = (await login.browser.fetch('/profile')).json()
    return { ...login, sid: String(sid) }
  }

  for (const method of ['GET', 'POST'] as const) {
    it(`Q-57: ends the session here by a frame that has no cookies, with ${method}`, async () => {
      const login = await logInToParticipant()
      const [frame, ...more] = frontChannelRequests(stage.okta, login.sid, method)
      assert.ok(frame !== undefined && more.length === 0)
      const { status, headers } = await openFrame(frame)
      assert.deepEqual([status, headers['cache-control'], headers['x-frame-options']], [200, 'no-store', undefined])
      assert.match(String(headers['content-security-policy']), new RegExp(`frame-ancestors ${stage.okta.orgOrigin}`))
      await assertLoggedOut(login)
    })
  }

  it('Q-57: needs no word of it in the metadata, where Okta has none', async () => {
    const url = new URL(`${stage.okta.issuer('default')}/.well-known/openid-configuration`)
    const { body } = await exchange({ method: 'GET', url, headers: { 'user-agent': 'test' } })
    assert.doesNotMatch(body, /frontchannel|backchannel_logout/)
  })

  it('Q-57: ends no session but the one that it names', async () => {
    const login = await logInToParticipant()
    const other = login.app.browser()
    await other.open('/profile')
    const [frame] = frontChannelRequests(stage.okta, login.sid)
    assert.ok(frame)
    const answers = [await openFrame({ url: frame.url.replace(login.sid, `${login.sid}0`) }), await openFrame(frame)]
    // Nobody learns from the answer whether somebody was logged in.
    assert.deepEqual(answers[0]?.body, answers[1]?.body)
    assert.deepEqual([(await other.fetch('/profile')).status, await login.app.sessions()], [200, 1])
    assert.equal((await login.browser.fetch('/profile')).status, 401)
  })

  it('Q-57: is not told to an application that does not take part', async () => {
    const login = await logIn()
    assert.equal((await login.browser.fetch('/profile')).json()['sid'], undefined)
    const [session] = stage.okta.sessions.values()
    assert.deepEqual(frontChannelRequests(stage.okta, String(session?.sid)), [])
  })
})
