import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LoginOptions } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy, type Routes } from '../support/app/app-routes.ts'
import { type AppSettings, createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import { cookieOf } from '../support/browser/login-cookies.ts'

/** As Okta's documentation has it. */
const ENROLL: LoginOptions['authorizationParams'] = {
  prompt: 'enroll_authenticator',
  acr_values: 'urn:okta:loa:2fa:any:ifpossible',
  max_age: 0,
  enroll_amr_values: 'okta_verify',
}

/** What a test adds to the options of the enrollment. */
let more: LoginOptions = {}

const routes: Routes = {
  '/enroll': answerBy(({ oidc }) => oidc.login({ returnTo: '/security', authorizationParams: ENROLL, ...more })),
}

const stage = createStage({ app: { routes, errorHandler: 'json' } })

async function startLoggedIn(
  options: Partial<AnyOptions> = {},
  settings: AppSettings = {},
): Promise<{ app: TestApp; browser: Browser; before: string }> {
  more = {}
  const { app, browser } = await stage.startLoggedIn({ scope: 'openid profile offline_access', ...options }, settings)
  return { app, browser, before: await login(browser) }
}

/** The login of a browser, and its session id. */
async function login(browser: Browser): Promise<string> {
  const pages = [await browser.open('/session'), await browser.open('/tokens')]
  return JSON.stringify([...pages.map((page) => page.json()), cookieOf(browser)])
}

function lastRequest(): URLSearchParams {
  return stage.provider.authorizationRequests.at(-1) ?? new URLSearchParams()
}

describe("login() with prompt 'enroll_authenticator'", () => {
  it('AU-13: sends a request without scope, nonce and challenge, and the user comes back to the same login', async () => {
    const { app, browser, before } = await startLoggedIn()
    const page = await browser.open('/enroll')
    assert.deepEqual([page.status, page.url], [404, `${app.origin}/security`])
    const { state, ...params } = Object.fromEntries(lastRequest())
    assert.ok(state)
    assert.deepEqual(params, {
      prompt: 'enroll_authenticator',
      acr_values: 'urn:okta:loa:2fa:any:ifpossible',
      max_age: '0',
      enroll_amr_values: 'okta_verify',
      client_id: stage.provider.clientId,
      response_type: 'none',
      redirect_uri: `${app.origin}/callback`,
    })
    assert.equal(await login(browser), before)
    assert.deepEqual([stage.provider.calls['/token'], app.errors, stage.provider.complaints], [1, [], []])
  })

  const forms: readonly (readonly [name: string, options: Partial<AnyOptions>])[] = [
    ['a form', { responseMode: 'form_post' }],
    ['the fragment', { responseMode: 'fragment' }],
    ['a signed response', { responseMode: 'query.jwt' }],
  ]
  for (const [name, options] of forms) {
    it(`AU-13: accepts the response in ${name}`, async () => {
      const { app, browser, before } = await startLoggedIn(options)
      assert.equal((await browser.open('/enroll')).status, 404)
      assert.equal(await login(browser), before)
      assert.deepEqual([app.errors, stage.provider.complaints], [[], []])
    })
  }

  it('AU-13: works with another response type, and with a pushed request', async () => {
    for (const options of [{ responseType: 'id_token' }, { requirePushedAuthorizationRequests: true }]) {
      const provider = await stage.startOther({ pushed: 'optional' })
      const scope = 'openid profile'
      const { app, browser } = await stage.startLoggedIn({ scope, ...options }, { provider })
      const before = await login(browser)
      assert.equal((await browser.open('/enroll')).status, 404)
      assert.equal(provider.authorizationRequests.at(-1)?.get('response_type'), 'none')
      assert.equal(await login(browser), before)
      assert.deepEqual([app.errors, provider.complaints], [[], []])
    }
  })

  it('AU-13: shows the refusal of the provider, and the login stays', async () => {
    const { app, browser, before } = await startLoggedIn()
    stage.provider.change.authorizationResponse = (params) => {
      params.set('error', 'access_denied')
      return params
    }
    assert.deepEqual([(await browser.open('/enroll')).status, codesOf(app)], [403, ['ERR_OIDC_AUTHORIZATION']])
    assert.equal(await login(browser), before)
  })

  it('AU-13: needs a login', async () => {
    more = {}
    const app = await stage.start()
    const browser = app.browser()
    const page = await browser.open('/enroll')
    assert.deepEqual([page.status, page.json()], [401, { error: 'ERR_OIDC_LOGIN_REQUIRED' }])
    assert.deepEqual([browser.cookies(), stage.provider.authorizationRequests], [[], []])
  })

  const refused: readonly (readonly [name: string, options: LoginOptions, config: Partial<AnyOptions>])[] = [
    ['a scope', { scope: 'calendar' }, {}],
    ['a requirement', { requirement: { acr: 'urn:a' } }, {}],
  ]
  for (const [name, options, config] of refused) {
    it(`AU-13: cannot have ${name}, which nothing could check`, async () => {
      const { app, browser } = await startLoggedIn(config)
      more = options
      assert.deepEqual([(await browser.open('/enroll')).status, codesOf(app)], [500, ['ERR_OIDC_CONFIG']])
      assert.match(app.errors[0]?.message ?? '', /enroll_authenticator/)
    })
  }

  it('AU-13: cannot be with a FAPI profile', async () => {
    const provider = await stage.startOther({ profile: 'fapi2' })
    more = {}
    const { app, browser } = await stage.startLoggedIn({ ...provider.clientOptions }, { provider })
    assert.deepEqual([(await browser.open('/enroll')).status, codesOf(app)], [500, ['ERR_OIDC_CONFIG']])
    assert.deepEqual(provider.complaints, [])
  })

  it('AU-13: is no enrollment if a link has the prompt: the response must then be a login', async () => {
    const { browser } = await startLoggedIn({ passthroughParams: ['prompt'] })
    await browser.open('/login?prompt=enroll_authenticator')
    assert.deepEqual([lastRequest().get('response_type'), lastRequest().has('nonce')], ['code', true])
  })
})

type Change = (params: URLSearchParams) => void

const set =
  (values: Readonly<Record<string, string>>): Change =>
  (params) => {
    for (const [name, value] of Object.entries(values)) params.set(name, value)
  }

/** The response to an enrollment, which the browser has not followed. */
async function stopAtCallback(browser: Browser, path = '/enroll'): Promise<URL> {
  const { next } = await browser.open(path, { stopBefore: isCallback })
  return new URL(next?.url ?? assert.fail('there was no callback'))
}

/** One change of a good response to an enrollment, and the code. */
const HOSTILE: readonly (readonly [name: string, change: Change, code: string])[] = [
  ['a code', set({ code: 'c' }), 'ERR_OIDC_CALLBACK_INVALID'],
  ['an empty code', set({ code: '' }), 'ERR_OIDC_CALLBACK_INVALID'],
  ['an ID Token', set({ id_token: 'e30.e30.' }), 'ERR_OIDC_RESPONSE_TOKEN'],
  ['an access token', set({ access_token: 't', token_type: 'Bearer' }), 'ERR_OIDC_RESPONSE_TOKEN'],
  ['the issuer of another provider', set({ iss: 'https://evil.example' }), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['no issuer', (params) => params.delete('iss'), 'ERR_OIDC_RESPONSE_ISSUER_MISSING'],
  ['a state twice', (params) => params.append('state', params.get('state') ?? ''), 'ERR_OIDC_CALLBACK_INVALID'],
  ['an error that is empty', set({ error: '' }), 'ERR_OIDC_AUTHORIZATION'],
]

describe('a response to an enrollment', () => {
  for (const [name, change, code] of HOSTILE) {
    it(`AU-13: is refused with ${name}, and the login stays`, async () => {
      const { app, browser, before } = await startLoggedIn()
      stage.provider.change.authorizationResponse = (params) => {
        change(params)
        return params
      }
      await browser.open('/enroll')
      assert.deepEqual(codesOf(app), [code])
      assert.equal(await login(browser), before)
      assert.equal(stage.provider.calls['/token'], 1)
    })
  }

  const states: readonly (readonly [name: string, change: Change, code: string])[] = [
    ['a wrong state', set({ state: 'A'.repeat(43) }), 'ERR_OIDC_TRANSACTION_MISSING'],
    ['no state', (params) => params.delete('state'), 'ERR_OIDC_STATE_MISSING'],
    ['the state of another browser', () => undefined, 'ERR_OIDC_TRANSACTION_MISSING'],
  ]
  for (const [name, change, code] of states) {
    it(`AU-13: with ${name} changes nothing for a user, and is refused for anyone else`, async () => {
      const { app, browser, before } = await startLoggedIn()
      const url = await stopAtCallback(browser)
      change(url.searchParams)
      const stranger = app.browser()
      assert.deepEqual([(await stranger.open(url.href)).status, codesOf(app)], [400, [code]])
      assert.equal((await stranger.open('/')).json()['authenticated'], false)
      await browser.open(url.href)
      assert.equal(await login(browser), before)
      assert.deepEqual([await app.sessions(), stage.provider.calls['/token']], [1, 1])
    })
  }

  it('AU-13: logs nobody in who has logged out meanwhile', async () => {
    const { app, browser } = await startLoggedIn()
    const url = await stopAtCallback(browser)
    await browser.post('/logout')
    assert.equal((await browser.open(url.href)).url, `${app.origin}/security`)
    assert.equal((await browser.open('/')).json()['authenticated'], false)
    assert.deepEqual([await app.sessions(), stage.provider.calls['/token']], [0, 1])
  })

  it('AU-13: is taken once', async () => {
    const { app, browser } = await startLoggedIn()
    const { href } = await stopAtCallback(browser)
    assert.equal((await browser.open(href)).url, `${app.origin}/security`)
    assert.equal((await browser.open(href)).url, `${app.origin}/`)
  })

  it('AU-13: has no use for the code of a login, whose checks it would escape', async () => {
    const { app, browser, before } = await startLoggedIn()
    const url = await stopAtCallback(browser)
    const { searchParams } = await stopAtCallback(app.browser(), '/login')
    url.searchParams.set('code', searchParams.get('code') ?? '')
    await browser.open(url.href)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_CALLBACK_INVALID'])
    assert.deepEqual([await login(browser), stage.provider.calls['/token']], [before, 1])
  })
})
