import assert from 'node:assert/strict'
import { before, describe, it, mock } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Page as ChromiumPage } from 'playwright-core'
import type { ErrorCode } from '../../lib/index.ts'
import { type AnyOptions, codesOf, startApp, type TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { launchChromium, skipWithoutChromium } from '../support/browser/chromium.ts'
import { type Glewlwyd, skipWithoutGlewlwyd, startGlewlwyd } from '../support/servers/glewlwyd.ts'
import type { GlewlwydClient } from '../support/servers/glewlwyd-admin.ts'
import { createGlewlwydClientKeys, type GlewlwydClientKeys } from '../support/servers/glewlwyd-keys.ts'
import { GLEWLWYD_USERS } from '../support/servers/glewlwyd-setup.ts'
import { type GlewlwydLogin, logInAtGlewlwyd, logOutAtGlewlwyd } from '../support/servers/glewlwyd-user.ts'

// glewlwyd 2.7 is a provider in C, made by people who have never seen this library, nor oidc-provider. What it does
// otherwise than the standards have it is left as it is: what these tests say of it is what its users meet.

/** Of characters that need no encoding in Basic credentials. */
const CLIENT_SECRET = 'a-Secret_of.40-characters_0123456789abcd'

/** For those clients whose own secret is not there, or short. */
const COOKIE_SECRET = 'a secret for cookies and tokens alone'

describe('glewlwyd', { skip: skipWithoutGlewlwyd }, () => {
  const glewlwyd = share(startGlewlwyd)
  const stopLater = stopAfterEach()
  let keys: GlewlwydClientKeys
  let clients = 0
  before(async () => {
    keys = createGlewlwydClientKeys()
  })

  interface Settings {
    readonly client?: Partial<GlewlwydClient>
    /** What it has that depends on where the app is. */
    readonly clientOf?: (app: TestApp) => object
    /** Which of its two issuers; the one that sends `iss` unless told. */
    readonly issuer?: (provider: Glewlwyd) => string
  }

  /** An app, and the client of its own that glewlwyd knows it as. */
  async function start(
    options: Partial<AnyOptions> = {},
    { client, clientOf, issuer }: Settings = {},
  ): Promise<TestApp> {
    clients += 1
    const registration = {
      issuer: issuer?.(glewlwyd()) ?? glewlwyd().issuer,
      clientId: `rp-test.${clients}`,
      clientSecret: client?.client_secret ?? CLIENT_SECRET,
    }
    const routes = {
      '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
      '/scope': answerJson(({ oidc }) => ({ scope: oidc.scope })),
    }
    const app = stopLater(await startApp({ provider: registration, options, routes, errorHandler: 'json' }))
    await glewlwyd().addClient({
      client_id: registration.clientId,
      client_secret: registration.clientSecret,
      confidential: true,
      enabled: true,
      scope: [],
      redirect_uri: [`${app.baseUrl}/callback`],
      post_logout_redirect_uris: [app.baseUrl],
      authorization_type: ['code', 'token', 'id_token', 'refresh_token'],
      token_endpoint_auth_method: ['client_secret_basic'],
      ...client,
      ...clientOf?.(app),
    })
    return app
  }

  /** Opens a page of the app that wants a login, and logs in. */
  async function arrive(app: TestApp, browser: Browser = app.browser(), how: GlewlwydLogin = {}): Promise<Page> {
    const page = await logInAtGlewlwyd(browser, await browser.open(`${app.baseUrl}/profile`), how)
    return page.body.includes('<form') ? browser.submit(page) : page
  }

  /** The same with keys of the client, of which glewlwyd knows the public parts. */
  function startWithKeys(options: Partial<AnyOptions>, client: Partial<GlewlwydClient> = {}): Promise<TestApp> {
    const { clientKeys, jwks } = keys
    return start({ secret: COOKIE_SECRET, clientKeys, ...options }, { client: { jwks, ...client } })
  }

  /** What the browser brings to the provider. */
  async function requestOf(app: TestApp, browser: Browser): Promise<URLSearchParams> {
    const page = await browser.open(`${app.baseUrl}/profile`)
    const request = page.history.find(({ url }) => new URL(url).pathname.endsWith('/auth'))
    return new URL(request?.url ?? '').searchParams
  }

  async function assertLogsIn(app: TestApp, browser: Browser = app.browser()): Promise<Page> {
    const page = await arrive(app, browser)
    assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/profile`], String(app.errors))
    return page
  }

  async function assertRefuses(app: TestApp, status: number, code: ErrorCode, how: GlewlwydLogin = {}): Promise<void> {
    const page = await arrive(app, app.browser(), how)
    assert.deepEqual([page.status, page.json(), codesOf(app)], [status, { error: code }, [code]])
    assert.equal(await app.sessions(), 0)
  }

  describe('a login by code and PKCE', () => {
    it('goes through endpoints with a doubled slash, as the metadata has them', async () => {
      const app = await start()
      const page = await app.browser().open('/profile')
      const url = new URL(page.history.at(-2)?.url ?? '')
      assert.equal(url.pathname, '//api/oidc/auth')
      assert.equal(url.searchParams.get('code_challenge_method'), 'S256')
    })

    it('comes back with iss, which the metadata does not announce', async () => {
      const app = await start()
      const browser = app.browser()
      const login = await logInAtGlewlwyd(browser, await browser.open('/profile'), { stopBefore: isCallback })
      const { searchParams } = new URL(login.next?.url ?? '')
      assert.equal(searchParams.get('iss'), glewlwyd().issuer)
      assert.deepEqual([...searchParams.keys()].sort(), ['code', 'iss', 'session_state', 'state'])
      assert.equal((await browser.go(login.next)).status, 200)
    })

    it('brings the claims of the scopes, sid and amr', async () => {
      const claims = (await assertLogsIn(await start())).json()
      assert.deepEqual([claims['name'], claims['email']], ['Ada Lovelace', 'ada@example.test'])
      assert.equal(claims['iss'], glewlwyd().issuer)
      assert.deepEqual(claims['amr'], ['password'])
      assert.match(String(claims['sid']), /^\w{32}$/)
    })

    it('brings tokens: the type in capitals, and a refresh token unasked', async () => {
      const app = await start()
      const browser = app.browser()
      await assertLogsIn(app, browser)
      const tokens = (await browser.open('/tokens')).json()
      assert.equal(tokens['tokenType'], 'Bearer')
      assert.match(String(tokens['refreshToken']), /^\w{100,}$/)
      assert.ok(Number(tokens['expiresAt']) > Date.now() / 1000)
    })

    it('needs no second password where somebody is logged in there', async () => {
      const [first, second] = [await start(), await start()]
      const browser = first.browser()
      await assertLogsIn(first, browser)
      const page = await browser.open(`${second.baseUrl}/profile`)
      assert.equal(new URL(page.url).pathname, '//login.html')
      await assertLogsIn(second, browser)
    })

    it('works without a secret', async () => {
      const client = { confidential: false, client_secret: '', token_endpoint_auth_method: ['none'] }
      await assertLogsIn(await start({ secret: COOKIE_SECRET }, { client }))
    })
  })

  describe('who may not come in', () => {
    it('a wrong password leaves nothing here', async () => {
      const app = await start()
      const browser = app.browser()
      const answer = await logInAtGlewlwyd(browser, await browser.open('/profile'), { password: 'wrong' })
      assert.equal(answer.status, 401)
      assert.deepEqual([await app.sessions(), codesOf(app)], [0, []])
    })

    it('somebody whom it gives other scopes than openid: there is a code, but no ID Token for it', async () => {
      await assertRefuses(await start(), 502, 'ERR_OIDC_ID_TOKEN_MISSING', { username: 'eve' })
    })

    it('somebody at prompt=none who has not logged in there', async () => {
      const app = await start({ authorizationParams: { prompt: 'none' } })
      const page = await app.browser().open('/profile')
      assert.deepEqual([page.status, codesOf(app)], [401, ['ERR_OIDC_AUTHORIZATION']])
      assert.deepEqual(refusalsOf(app), ['interaction_required'])
    })

    it('who brings the code of another login: it has another code verifier', async () => {
      const app = await start()
      const [attacker, victim] = [app.browser(), app.browser()]
      const stolen = await arrive(app, attacker, { stopBefore: isCallback })
      const own = await arrive(app, victim, { stopBefore: isCallback })
      const url = new URL(own.next?.url ?? '')
      url.searchParams.set('code', new URL(stolen.next?.url ?? '').searchParams.get('code') ?? '')
      const page = await victim.open(url.href)
      assert.deepEqual([page.status, codesOf(app), await app.sessions()], [400, ['ERR_OIDC_TOKEN_REQUEST'], 0])
      assert.deepEqual(refusalsOf(app), ['invalid_code'])
    })

    it('anybody, where the secret is wrong: the answer is a bare 403', async () => {
      const app = await start({ clientSecret: 'a-Secret_of.40-characters_that_is_wrong' })
      await assertRefuses(app, 502, 'ERR_OIDC_TOKEN_REQUEST')
    })
  })

  describe('what a client is given', () => {
    it('whoever gives it nothing has logged in, with the scope openid alone', async () => {
      const app = await start()
      const browser = app.browser()
      const claims = (await arrive(app, browser, { grant: '' })).json()
      assert.deepEqual([claims['name'], claims['email']], [undefined, undefined])
      assert.equal(await scopeOf(browser), 'openid')
    })

    it('a part of the scopes brings a part of the claims', async () => {
      const app = await start({ userinfo: true })
      const browser = app.browser()
      const claims = (await arrive(app, browser, { grant: 'openid email' })).json()
      assert.deepEqual([claims['name'], claims['email']], [undefined, 'ada@example.test'])
      assert.equal(await scopeOf(browser), 'openid email')
    })

    it('UserInfo is about the same person', async () => {
      const app = await start({ userinfo: true })
      const browser = app.browser()
      const { sub } = (await assertLogsIn(app, browser)).json()
      const userinfo = (await browser.open('/userinfo')).json()
      assert.deepEqual(userinfo, { sub, name: 'Ada Lovelace', email: 'ada@example.test' })
    })
  })

  describe('a logout', () => {
    it('comes back, for it sends id_token_hint and state, and the next login asks for a password', async () => {
      const app = await start()
      const browser = app.browser()
      await assertLogsIn(app, browser)
      const page = await browser.post('/logout')
      assert.equal(await app.sessions(), 0)
      const asked = new URL(page.history.at(1)?.url ?? '')
      const back = await logOutAtGlewlwyd(browser, page)
      assert.equal(back.url, `${app.baseUrl}/?state=${asked.searchParams.get('state')}`)
      assert.equal(back.status, 200)
      assert.ok(asked.searchParams.has('id_token_hint'))
      assert.equal(new URL((await browser.open('/profile')).url).pathname, '//login.html')
    })

    it('that is not confirmed there has ended the session here all the same', async () => {
      const app = await start()
      const browser = app.browser()
      await assertLogsIn(app, browser)
      await browser.post('/logout')
      assert.equal((await browser.fetch('/profile')).status, 401)
    })
  })

  describe('a logout there', () => {
    /** Somebody who is logged in at the app logs out at glewlwyd, without a word to the app. */
    async function logOutThere(
      client: (app: TestApp) => object,
    ): Promise<{ app: TestApp; browser: Browser; page: Page }> {
      const app = await start({ dangerouslyAllowLogoutTokenWithoutExp: true }, { clientOf: client })
      const browser = app.browser()
      await assertLogsIn(app, browser)
      const { token } = (await browser.fetch('/id-token')).json()
      const hint = new URLSearchParams({
        id_token_hint: String(token),
        state: 'x',
        post_logout_redirect_uri: app.baseUrl,
      })
      const asked = await browser.open(`${glewlwyd().issuer}/end_session?${hint}`)
      return { app, browser, page: await logOutAtGlewlwyd(browser, asked) }
    }

    it('ends the session of the app by its back-channel, whose tokens have no exp', async () => {
      const { app, browser } = await logOutThere(({ baseUrl }) => ({
        backchannel_logout_uri: `${baseUrl}/backchannel-logout`,
      }))
      // It posts in a thread of its own.
      for (let turn = 0; turn < 100 && (await app.sessions()) > 0; turn++) await wait(50)
      assert.deepEqual([await app.sessions(), (await browser.fetch('/profile')).status], [0, 401])
    })
  })

  describe('whether somebody is still logged in there', () => {
    async function check(browser: Browser): Promise<Page> {
      return browser.open('/login?prompt=none&returnTo=/')
    }

    it('is answered without a question, and the login goes on', async () => {
      const app = await start()
      const browser = app.browser()
      await assertLogsIn(app, browser)
      const before = (await browser.fetch('/tokens')).json()
      const page = await check(browser)
      assert.deepEqual([page.url, page.json()['authenticated'], app.errors], [`${app.origin}/`, true, []])
      assert.notEqual((await browser.fetch('/tokens')).json()['accessToken'], before['accessToken'])
      assert.equal(await app.sessions(), 1)
    })

    it('is not told, but that it would have to ask something: the login here stays', async () => {
      const app = await start()
      const browser = app.browser()
      await assertLogsIn(app, browser)
      browser.jar.remove(({ name }) => name.startsWith('GLEWLWYD2'))
      const page = await check(browser)
      const answer = page.history.map(({ url }) => new URL(url).searchParams.get('error')).find(Boolean)
      assert.deepEqual([answer, page.json()['authenticated'], app.errors], ['interaction_required', true, []])
    })

    it('could be asked by a frame, which it lets nobody show', async () => {
      const app = await start()
      const browser = app.browser()
      await assertLogsIn(app, browser)
      const { body } = await browser.open('/session-check')
      const frame = /^const frame = "([^"]*)"/m.exec(body)?.[1] ?? ''
      assert.equal(frame, `${glewlwyd().origin}//api/oidc/check_session_iframe`)
      assert.equal((await browser.open(frame)).headers['x-frame-options'], 'deny')
    })
  })

  describe('Basic credentials, which it does not decode', () => {
    const client = { client_secret: 'p:q+r%s/t&"u=v 0123456789abcdefg' }
    const secret = COOKIE_SECRET

    it('a secret with other characters than letters, digits and -._* is refused', async () => {
      await assertRefuses(await start({ secret }, { client }), 502, 'ERR_OIDC_TOKEN_REQUEST')
    })

    it('the same secret is taken from the body', async () => {
      const options = { secret, tokenEndpointAuthMethod: 'client_secret_post' } as const
      await assertLogsIn(
        await start(options, { client: { ...client, token_endpoint_auth_method: ['client_secret_post'] } }),
      )
    })
  })

  const withoutIss: Settings = { issuer: ({ plainIssuer }) => plainIssuer }

  describe('ways of answering', () => {
    it('form_post from a page without a type or a referrer', async () => {
      await assertLogsIn(await start({ responseMode: 'form_post' }, withoutIss))
    })

    it('form_post with iss, which it encodes twice, is refused as from another issuer', async () => {
      await assertRefuses(await start({ responseMode: 'form_post' }), 400, 'ERR_OIDC_RESPONSE_ISSUER')
    })

    for (const responseMode of ['fragment', 'query.jwt', 'form_post.jwt', 'fragment.jwt', 'jwt'] as const) {
      it(responseMode, async () => {
        await assertLogsIn(await start({ responseMode }))
      })
    }

    for (const responseType of ['id_token', 'id_token token', 'code token']) {
      it(`${responseType} in a fragment`, async () => {
        await assertLogsIn(await start({ responseType, responseMode: 'fragment' }))
      })
    }
  })

  describe('two ID Tokens', () => {
    // OIDC Core 3.3.3.6. The second has no session to read auth_time from.
    for (const responseType of ['code id_token', 'code id_token token']) {
      it(`N-21: ${responseType} logs in: the first says auth_time, the second 0`, async () => {
        await assertLogsIn(await start({ responseType, responseMode: 'fragment' }))
      })
    }
  })

  describe('form_post in Chromium', { skip: skipWithoutChromium }, () => {
    it('goes on from a page that has no type and sends no referrer', async () => {
      const app = await start({ responseMode: 'form_post' }, withoutIss)
      const chromium = stopLater(await startChromium())
      const page = await chromium.newPage()
      const [posted] = await Promise.all([
        page.waitForRequest((request) => request.method() === 'POST' && request.url() === `${app.baseUrl}/callback`),
        logInInChromium(page, `${app.baseUrl}/login?returnTo=/profile`),
      ])
      await page.waitForURL(`${app.baseUrl}/profile`)
      assert.equal(posted.headers()['origin'], 'null')
      assert.match(await page.content(), /Ada Lovelace/)
      assert.deepEqual(codesOf(app), [])
    })
  })

  describe('ID Tokens', () => {
    it('of ES256, by the client property that names the key', async () => {
      await assertLogsIn(await start({ idTokenSignedResponseAlg: 'ES256' }, { client: { sign_kid: 'es256' } }))
    })

    it('of ES256, where RS256 is expected, are refused', async () => {
      await assertRefuses(await start({}, { client: { sign_kid: 'es256' } }), 502, 'ERR_OIDC_ID_TOKEN_ALG')
    })

    it('say auth_time 0 at the token endpoint, so that max_age is never met', async () => {
      assert.equal((await assertLogsIn(await start())).json()['auth_time'], 0)
      await assertRefuses(await start({ authorizationParams: { max_age: 300 } }), 502, 'ERR_OIDC_ID_TOKEN_AUTH_TIME')
    })
  })

  describe('how a client proves itself', () => {
    const asKnownByKey = { client_secret: '', token_endpoint_auth_method: ['private_key_jwt'] }
    const byKey = { tokenEndpointAuthMethod: 'private_key_jwt', clientAssertionAudience: 'endpoint' } as const

    it('private_key_jwt with the address that is asked', async () => {
      await assertLogsIn(await startWithKeys(byKey, asKnownByKey))
    })

    it('private_key_jwt with the issuer, as it is usual, is refused', async () => {
      const app = await startWithKeys({ tokenEndpointAuthMethod: 'private_key_jwt' }, asKnownByKey)
      await assertRefuses(app, 502, 'ERR_OIDC_TOKEN_REQUEST')
    })

    it('private_key_jwt at the PAR endpoint, whose assertion comes back with the browser', async () => {
      const app = await startWithKeys({ ...byKey, requirePushedAuthorizationRequests: true }, asKnownByKey)
      const browser = app.browser()
      const page = await arrive(app, browser, { stopBefore: isCallback })
      assert.ok(new URL(page.next?.url ?? '').searchParams.has('client_assertion'))
      assert.equal((await browser.go(page.next)).status, 200, String(app.errors))
    })

    it('client_secret_jwt with the address that is asked', async () => {
      const options = { tokenEndpointAuthMethod: 'client_secret_jwt', clientAssertionAudience: 'endpoint' } as const
      await assertLogsIn(await start(options, { client: { token_endpoint_auth_method: ['client_secret_jwt'] } }))
    })
  })

  describe('how a login is asked for', () => {
    it('by a pushed request, to which the browser brings a reference alone', async () => {
      const app = await start({ requirePushedAuthorizationRequests: true })
      const browser = app.browser()
      const request = await requestOf(app, browser)
      assert.deepEqual([...request.keys()].sort(), ['client_id', 'request_uri'])
      await assertLogsIn(app, browser)
    })

    for (const requestObjectSigningAlg of ['RS256', 'HS256']) {
      it(`by a request signed with ${requestObjectSigningAlg}`, async () => {
        const app = await startWithKeys({ requestObjectSigningAlg })
        const browser = app.browser()
        const request = await requestOf(app, browser)
        assert.deepEqual([request.has('request'), request.has('state')], [true, false])
        await assertLogsIn(app, browser)
      })
    }

    it('by a signed request that it fetches here', async () => {
      const app = await startWithKeys({ requestObjectSigningAlg: 'RS256', requestObjectBy: 'reference' })
      const browser = app.browser()
      const request = await requestOf(app, browser)
      assert.ok(request.get('request_uri')?.startsWith(`${app.baseUrl}/request`))
      await assertLogsIn(app, browser)
    })
  })

  describe('what it encrypts and binds', () => {
    const alg = 'RSA-OAEP-256'
    const enc = 'A256CBC-HS512'
    const encrypting = (): object => ({ alg, enc, alg_kid: keys.encryptionKid })

    it('encrypted ID Tokens', async () => {
      const options = { idTokenEncryptedResponseAlg: alg, idTokenEncryptedResponseEnc: enc }
      await assertLogsIn(await startWithKeys(options, { ...encrypting(), encrypt_id_token: 'yes' }))
    })

    it('plain ID Tokens are refused where encrypted ones are expected', async () => {
      const options = { idTokenEncryptedResponseAlg: alg, idTokenEncryptedResponseEnc: enc }
      await assertRefuses(await startWithKeys(options), 502, 'ERR_OIDC_ID_TOKEN_UNENCRYPTED')
    })

    it('signed UserInfo, without aud', async () => {
      const app = await start({ userinfo: true, userinfoSignedResponseAlg: 'RS256' })
      assert.equal((await assertLogsIn(app)).json()['name'], 'Ada Lovelace')
    })

    it('signed and encrypted UserInfo', async () => {
      const encrypted = { userinfoEncryptedResponseAlg: alg, userinfoEncryptedResponseEnc: enc }
      const options = { userinfo: true, userinfoSignedResponseAlg: 'RS256', ...encrypted }
      await assertLogsIn(await startWithKeys(options, { ...encrypting(), encrypt_userinfo: 'yes' }))
    })

    it('UserInfo asked for by a form is refused', async () => {
      await assertRefuses(await start({ userinfo: true, userinfoBearerMethod: 'body' }), 502, 'ERR_OIDC_USERINFO')
    })

    it('an encrypted answer of query.jwt', async () => {
      const options = { authorizationEncryptedResponseAlg: alg, authorizationEncryptedResponseEnc: enc }
      const client = { authorization_encrypted_response_alg: alg, authorization_encrypted_response_enc: enc }
      await assertLogsIn(await startWithKeys({ responseMode: 'query.jwt', ...options }, { ...encrypting(), ...client }))
    })

    it('tokens bound to a key (DPoP), which UserInfo wants proved', async () => {
      const app = await start({ dpopBoundAccessTokens: true, userinfo: true })
      const browser = app.browser()
      const { sub } = (await assertLogsIn(app, browser)).json()
      const { tokenType, accessToken } = (await browser.open('/tokens')).json()
      assert.equal(tokenType, 'DPoP')
      assert.equal((await browser.open('/userinfo')).json()['sub'], sub)
      const headers = { authorization: `Bearer ${accessToken}` }
      assert.equal((await fetch(`${glewlwyd().issuer}/userinfo`, { headers })).status, 401)
    })
  })

  describe('tokens', () => {
    it('a refresh brings an access token alone: the refresh token goes on, and there is no new ID Token', async () => {
      const app = await start()
      const browser = app.browser()
      await assertLogsIn(app, browser)
      const before = (await browser.open('/tokens')).json()
      mock.timers.enable({ apis: ['Date'], now: Number(before['expiresAt']) * 1000 - 30_000 })
      try {
        const { token } = (await browser.open('/access-token')).json()
        const after = (await browser.open('/tokens')).json()
        assert.notEqual(token, before['accessToken'])
        const kept = ['refreshToken', 'idToken'].map((name) => after[name] === before[name])
        assert.deepEqual([after['accessToken'], kept, codesOf(app)], [token, [true, true], []])
      } finally {
        mock.timers.reset()
      }
      const page = await browser.post('/logout')
      assert.equal((await logOutAtGlewlwyd(browser, page)).status, 200)
    })
  })
})

async function startChromium(): Promise<{ newPage(): Promise<ChromiumPage>; stop(): Promise<void> }> {
  const browser = await launchChromium()
  assert.ok(browser)
  return { newPage: () => browser.newPage(), stop: () => browser.close() }
}

/** Debian's package has no working login page: Chromium only sees what comes after it. */
async function logInInChromium(page: ChromiumPage, loginUrl: string): Promise<void> {
  const { origin, searchParams } = new URL((await page.request.get(loginUrl)).url())
  const { password } = GLEWLWYD_USERS.ada
  await page.request.post(`${origin}/api/auth/`, { data: { username: 'ada', password } })
  const scope = searchParams.get('scope')
  await page.request.put(`${origin}/api/auth/grant/${searchParams.get('client_id')}`, { data: { scope } })
  await page.goto(`${searchParams.get('callback_url')}&g_continue`)
}

function refusalsOf({ errors }: TestApp): unknown[] {
  return errors.map((error) => Reflect.get(error, 'refusal')?.error)
}

async function scopeOf(browser: Browser): Promise<unknown> {
  return (await browser.open('/scope')).json()['scope']
}
