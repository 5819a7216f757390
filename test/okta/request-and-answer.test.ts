import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, mock } from 'node:test'
import { inspect } from 'node:util'
import { AuthorizationError, ConfigError, requireAuth, requireClaim } from '../../lib/index.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerBy, answerJson } from '../support/app/app-routes.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { isTransaction } from '../support/browser/login-cookies.ts'
import { BOB } from '../support/okta-provider/directory.ts'
import type { Okta } from '../support/okta-provider/provider.ts'
import { createOktaStage } from '../support/okta-provider/stage.ts'

const stage = createOktaStage()

/** Each of several providers has a callback of its own. */
function isCallback({ pathname }: URL): boolean {
  return pathname.startsWith('/callback')
}

const RESPONSE_TYPES = [...['code', 'id_token', 'code id_token', 'code token', 'id_token token', 'code id_token token']]

/** The parameters of the authorization request that an app sends. */
async function requestOf(options: Partial<AnyOptions>): Promise<URLSearchParams> {
  const app = await stage.start('org', options)
  const page = await app.browser().open('/login', { stopBefore: isAtProvider })
  return new URL(page.next?.url ?? '').searchParams
}

/** What a request of our own, not the library's, is answered with. */
async function askAuthorize(params: Readonly<Record<string, string>>, browser: Browser): Promise<Page> {
  const usual = { client_id: stage.okta.client.client_id, redirect_uri: 'http://127.0.0.1:1/callback', scope: 'openid' }
  const query = new URLSearchParams({ ...usual, response_type: 'code', state: 'a', ...params })
  return browser.open(`${stage.okta.orgOrigin}/oauth2/v1/authorize?${query}`, { follow: false })
}

function refusalOf(app: TestApp): AuthorizationError {
  const [error, ...more] = app.errors
  assert.ok(error instanceof AuthorizationError && more.length === 0, String(app.errors))
  return error
}

async function assertLoggedOut(app: TestApp, browser: Browser): Promise<void> {
  assert.equal(await app.sessions(), 0)
  assert.equal((await browser.fetch('/profile')).status, 401)
}

describe('the authorization request', () => {
  for (const state of ['', '{"returnTo":"/"}', 'a b', 'https://app.example.test/']) {
    it(`Q-9: would be refused with the state ${inspect(state)}`, async () => {
      const { headers } = await askAuthorize({ state }, (await stage.start('org')).browser())
      assert.match(String(headers.location), /error=invalid_request.*state/)
    })
  }

  it('Q-9: has a state of the alphabet that Okta takes, whatever path is to be come back to', async () => {
    const app = await stage.start('org')
    const page = await app.browser().open('/login?returnTo=/profile%3Fa=%7B%22b%22%3A1%7D')
    assert.deepEqual([page.status, page.url], [200, `${app.origin}/profile?a={%22b%22:1}`])
    const [request] = stage.okta.requestsTo('authorize')
    assert.match(String(request?.query.get('state')), /^[\w,.-]{22,}$/)
  })

  for (const responseType of RESPONSE_TYPES) {
    it(`Q-10: has a nonce, also where Okta demands it of all flows as in 2017: ${responseType}`, async () => {
      stage.okta.nonceRule = '2017'
      const app = await stage.start('org', { responseType })
      assert.equal((await app.browser().open('/profile')).status, 200, String(app.errors))
      assert.match(String(stage.okta.requestsTo('authorize')[0]?.query.get('nonce')), /^[\w-]{22,64}$/)
    })
  }

  it('Q-10: would be refused without one today, as soon as a token comes by the front channel', async () => {
    const browser = (await stage.start('org')).browser()
    const answers = await Promise.all(
      RESPONSE_TYPES.map(async (type) => (await askAuthorize({ response_type: type }, browser)).headers.location),
    )
    assert.deepEqual(
      answers.map((location) => /nonce/.test(String(location))),
      [false, true, true, true, true, true],
    )
  })

  it('Q-11: names the response mode wherever the one of Okta’s is not what can be read', async () => {
    const modes = await Promise.all(
      RESPONSE_TYPES.map(async (responseType) => (await requestOf({ responseType })).get('response_mode')),
    )
    assert.deepEqual(modes, [null, 'form_post', 'form_post', 'form_post', 'form_post', 'form_post'])
    for (const responseMode of ['form_post', 'fragment'] as const) {
      assert.equal((await requestOf({ responseMode })).get('response_mode'), responseMode)
    }
  })

  it('Q-11: is answered in the fragment as soon as a token is in the type, where no mode is named', async () => {
    const browser = (await stage.start('org')).browser()
    for (const [index, type] of RESPONSE_TYPES.entries()) {
      const { headers } = await askAuthorize({ response_type: type, nonce: 'n'.repeat(22) }, browser)
      assert.equal(new URL(String(headers.location)).hash === '', index === 0, type)
    }
  })

  it('Q-11: finds its answer in the fragment, as examples have it, where that was asked for', async () => {
    const app = await stage.start('org', { responseMode: 'fragment' })
    const browser = app.browser()
    const arrived = await browser.open('/profile', { stopBefore: isCallback })
    assert.match(String(arrived.next?.url), /#code=/)
    assert.equal((await browser.go(arrived.next)).status, 200)
  })

  it('Q-12: never asks for okta_post_message, though the metadata has it', async () => {
    const responseMode = 'okta_post_message' as NonNullable<AnyOptions['responseMode']>
    await assert.rejects(stage.start('org', { responseMode }), ConfigError)
    const authorizationParams = { response_mode: 'okta_post_message' }
    await assert.rejects(stage.start('org', { authorizationParams }), ConfigError)
    // A page for the window that has opened it: nothing ever comes to a callback.
    const page = await askAuthorize(authorizationParams, (await stage.start('org')).browser())
    assert.match(page.body, /window\.opener\.postMessage/)
  })

  it('Q-18: refuses a login with max_age=0 that Classic Engine has taken for nothing, and takes one with 1', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    stage.okta.engine = 'classic'
    const routes = { '/again': answerBy(({ oidc }) => oidc.login({ authorizationParams: { max_age: 0 } })) }
    const app = await stage.start('org', { clockTolerance: 0 }, { routes })
    const browser = app.browser()
    await browser.open('/profile')
    mock.timers.tick(300_000)
    assert.equal((await browser.open('/again')).status, 502)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_AUTH_TIME'])
    const strict = await stage.start('org', { clockTolerance: 0, authorizationParams: { max_age: 1 } })
    const again = strict.browser()
    await again.open('/profile')
    const before = stage.okta.sessions.size
    mock.timers.tick(300_000)
    assert.equal((await again.open('/login?returnTo=/profile')).status, 200)
    assert.equal(stage.okta.sessions.size, before + 1)
  })

  it('Q-19: learns from acr alone that a class was left aside: a guard that asks for it refuses', async () => {
    const routes = { '/vault': [requireClaim('acr', 'phr'), answerJson(() => ({ open: true }))] }
    const app = await stage.start('org', { authorizationParams: { acr_values: 'urn:okta:loa:3fa:any' } }, { routes })
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).json()['acr'], undefined)
    assert.equal((await browser.open('/vault')).status, 403)
    const strong = await stage.start('org', { authorizationParams: { acr_values: 'urn:nobody phr' } }, { routes })
    const other = strong.browser()
    assert.equal((await other.open('/profile')).json()['acr'], 'phr')
    assert.equal((await other.open('/vault')).status, 200)
  })

  it('Q-18: asks a guard that wants a fresh login for a second at least, which Classic Engine takes', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    stage.okta.engine = 'classic'
    const routes = { '/vault': [requireAuth({ maxAge: 1 }), answerJson(() => ({ open: true }))] }
    const app = await stage.start('org', { clockTolerance: 0 }, { routes })
    const browser = app.browser()
    await browser.open('/profile')
    mock.timers.tick(300_000)
    assert.equal((await browser.open('/vault')).status, 200, String(app.errors))
    assert.equal(stage.okta.requestsTo('authorize').at(-1)?.query.get('max_age'), '1')
    assert.throws(() => requireAuth({ maxAge: 0 }), ConfigError)
  })

  it('Q-19: refuses a step-up that Okta has left aside without a word, and asks once', async () => {
    const guard = (acr: string) => [requireAuth({ acr }), answerJson(({ oidc }) => ({ acr: oidc.claims?.acr }))]
    const routes = { '/known': guard('urn:okta:loa:2fa:any'), '/unknown': guard('urn:okta:loa:3fa:any') }
    const app = await stage.start('org', {}, { routes })
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.open('/known')).json()['acr'], 'urn:okta:loa:2fa:any')
    assert.equal((await browser.open('/unknown')).status, 403)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_INSUFFICIENT_AUTHENTICATION'])
    const asked = stage.okta.requestsTo('authorize').map(({ query }) => query.get('acr_values'))
    assert.deepEqual(asked, [null, 'urn:okta:loa:2fa:any', 'urn:okta:loa:3fa:any'])
  })

  it('Q-21: passes prompts on that Okta does not document', async () => {
    for (const prompt of ['create', 'select_account']) {
      assert.equal((await requestOf({ authorizationParams: { prompt } })).get('prompt'), prompt)
    }
  })
})

describe('a sessionToken', () => {
  const CHANNELS = ['login-start', 'login', 'logout', 'denied', 'error', 'provider'].map(
    (name) => `express-oidc:${name}`,
  )

  /** Everything that is published while something is done. */
  async function publishedWhile(act: () => Promise<void>): Promise<string> {
    const messages: unknown[] = []
    const listen = (message: unknown): void => void messages.push(message)
    for (const channel of CHANNELS) subscribe(channel, listen)
    try {
      await act()
    } finally {
      for (const channel of CHANNELS) unsubscribe(channel, listen)
    }
    return inspect(messages, { depth: 10, customInspect: false })
  }

  it('Q-20: logs in without a page, once, and is told to nobody else', async () => {
    const sessionToken = '20111sTEnWA4hVPeGCk2lbPSOTrPoTQvxUsk8hUvDTmRNfdaMt8Vcpx'
    stage.okta.signIn = 'waits'
    stage.okta.sessionTokens.set(sessionToken, BOB)
    const enter = answerBy(({ oidc }) => oidc.login({ returnTo: '/profile', authorizationParams: { sessionToken } }))
    const app = await stage.start('org', {}, { routes: { '/enter': enter } })
    const browser = app.browser()
    const told = await publishedWhile(async () => {
      const page = await browser.open('/enter')
      assert.deepEqual([page.status, page.json()['sub']], [200, BOB.id])
      // It was used: Okta asks who it is.
      const again = await app.browser().open('/enter')
      assert.ok(isAtProvider(new URL(again.url)))
      stage.okta.sessionTokens.set(sessionToken, BOB)
      stage.okta.change.authorizationAnswer = () => new URLSearchParams({ error: 'x', state: 'unknown' })
      assert.equal((await app.browser().open('/enter')).status, 400)
    })
    assert.ok(told.includes("path: '/profile'"), told)
    const kept = inspect([app.errors, await app.records(), browser.cookies()], { depth: 10, customInspect: false })
    for (const text of [told, kept]) assert.ok(!text.includes(sessionToken), text)
  })
})

describe('an answer that is a page of Okta’s', () => {
  it('Q-13: for an unknown client id, the application hears of nothing', async () => {
    const app = await stage.start('org', { clientId: 'unknown' })
    const page = await app.browser().open('/profile')
    assert.deepEqual([page.status, isAtProvider(new URL(page.url)), app.errors], [400, true, []])
    assert.match(String(page.headers['content-type']), /text\/html/)
  })

  it('Q-13: for an unknown redirect URI, a login that is mended goes through beside the one that waits', async () => {
    const app = await stage.start('org')
    stage.okta.client.redirect_uris = [`${app.origin}/authorization-code/callback`]
    const browser = app.browser()
    const page = await browser.open('/profile')
    assert.deepEqual([page.status, isAtProvider(new URL(page.url)), app.errors], [400, true, []])
    assert.equal(browser.cookies().filter(isTransaction).length, 1)
    stage.okta.client.redirect_uris = [`${app.origin}/callback`]
    assert.equal((await browser.open('/profile')).status, 200)
  })

  it('Q-13: for an unknown post-logout redirect URI, nobody is logged in here any more', async () => {
    const app = await stage.start('org')
    stage.okta.client.post_logout_redirect_uris = ['https://app.example.test/']
    const browser = app.browser()
    await browser.open('/profile')
    const page = await browser.post('/logout')
    assert.deepEqual([page.status, isAtProvider(new URL(page.url)), app.errors], [400, true, []])
    await assertLoggedOut(app, browser)
  })
})

describe('an answer that is an error', () => {
  const codes: readonly (readonly [error: string, status: number])[] = [
    ['user_canceled_request', 403],
    ['unmet_authentication_requirements', 403],
    ['login_required', 401],
    ['unsupported_response_mode', 400],
    ['no_matching_policy', 400],
    ['insufficient_scope', 400],
    ['invalid_client', 400],
    ['invalid_grant', 400],
    ['invalid_token', 400],
    ['of_another_year', 400],
  ]
  for (const [error, status] of codes) {
    it(`Q-14: is handed on with its code, standard or not: ${error}`, async () => {
      stage.okta.change.authorizationAnswer = (good) =>
        new URLSearchParams({ error, error_description: 'A text.', state: String(good.get('state')) })
      const app = await stage.start('org')
      const browser = app.browser()
      assert.equal((await browser.open('/profile')).status, status)
      assert.deepEqual(refusalOf(app).refusal, { error, errorDescription: 'A text.', errorUri: undefined })
      await assertLoggedOut(app, browser)
    })
  }

  const meanings: readonly (readonly [what: string, arrange: (okta: Okta) => void, text: RegExp])[] = [
    ['the person cancelled', (okta) => Object.assign(okta, { signIn: 'cancels' }), /^User canceled request\.$/],
    [
      'nobody has assigned them',
      ({ client }) => Object.assign(client, { assignment: 'none' }),
      /^User is not assigned/,
    ],
    [
      'no policy matched',
      (okta) => Object.assign(okta.server('default'), { policy: 'none' }),
      /^Policy evaluation fail/,
    ],
  ]
  for (const [what, arrange, text] of meanings) {
    it(`Q-15: says access_denied with a text of its own where ${what}`, async () => {
      arrange(stage.okta)
      const app = await stage.start('default')
      const browser = app.browser()
      const page = await browser.open('/profile')
      const { refusal } = refusalOf(app)
      assert.deepEqual([page.status, refusal.error], [403, 'access_denied'])
      assert.match(String(refusal.errorDescription), text)
      // Whoever is at the browser gets one text for the three, of ours.
      assert.match(page.body, /was cancelled, or your account is not allowed to use this application/)
      assert.ok(!page.body.includes(String(refusal.errorDescription)))
      await assertLoggedOut(app, browser)
    })
  }
})

describe('an answer that lacks something', () => {
  it('Q-16: logs in by form_post without expires_in and scope, and takes no scope for granted', async () => {
    stage.okta.change.authorizationAnswer = (good) => {
      good.delete('expires_in')
      good.delete('scope')
      return good
    }
    const app = await stage.start('org', { responseType: 'id_token token' })
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 200)
    const tokens = (await browser.open('/tokens')).json()
    assert.deepEqual([typeof tokens['accessToken'], tokens['expiresAt']], ['string', undefined])
    assert.equal((await browser.open('/access-token')).status, 200)
    assert.equal((await browser.open('/reports')).status, 403)
  })

  for (const responseType of RESPONSE_TYPES) {
    it(`Q-17: logs in without iss in the answer: ${responseType}`, async () => {
      const app = await stage.start('default', { responseType })
      const browser = app.browser()
      const arrived = await browser.open('/profile', { stopBefore: isCallback })
      const { url, fields } = arrived.next ?? { url: '' }
      assert.equal((fields ?? new URL(url).searchParams).has('iss'), false)
      assert.equal((await browser.go(arrived.next)).status, 200, String(app.errors))
    })
  }

  it('Q-17: refuses an iss of another server, should one come', async () => {
    stage.okta.change.authorizationAnswer = (good) => {
      good.set('iss', stage.okta.issuer('org'))
      return good
    }
    const app = await stage.start('default')
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 400)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_RESPONSE_ISSUER'])
    await assertLoggedOut(app, browser)
  })

  it('Q-17: tells two servers apart without iss, by a redirect URI for each', async () => {
    const { client_id: clientId, client_secret: clientSecret = '' } = stage.okta.client
    const at = (serverId: string) => ({ issuer: stage.okta.issuer(serverId), clientId, clientSecret })
    const shared = { issuer: undefined, clientId: undefined, clientSecret: undefined, secret: 's'.repeat(32) }
    const providers = { org: at('org'), custom: at('default') }
    const options = { ...shared, providers } as unknown as Partial<AnyOptions>
    const app = await stage.start('org', options)
    const browser = app.browser()
    for (const [name, serverId] of [
      ['org', 'org'],
      ['custom', 'default'],
    ] as const) {
      const page = await browser.open(`/login?provider=${name}&returnTo=/profile`)
      assert.deepEqual([page.status, page.json()['iss']], [200, stage.okta.issuer(serverId)], String(app.errors))
    }
    const victim = app.browser()
    const arrived = await victim.open('/login?provider=org', { stopBefore: isCallback })
    const asked = stage.okta.requestsTo('token').length
    const url = String(arrived.next?.url).replace('/callback/org', '/callback/custom')
    assert.equal((await victim.go({ method: 'GET', ...arrived.next, url })).status, 400)
    assert.deepEqual([codesOf(app), stage.okta.requestsTo('token').length], [['ERR_OIDC_RESPONSE_ISSUER'], asked])
    assert.equal((await victim.fetch('/profile')).status, 401)
  })

  for (const responseMode of ['query', 'fragment'] as const) {
    it(`Q-22: needs no Referer and no Origin, which Okta withholds: ${responseMode}`, async () => {
      const app = await stage.start('org', { responseMode })
      const browser = app.browser()
      const arrived = await browser.open('/profile', { stopBefore: isCallback })
      assert.equal(arrived.headers['referrer-policy'], 'no-referrer')
      assert.equal((await browser.go(arrived.next)).status, 200, String(app.errors))
    })
  }
})

describe('an ID Token that nobody has asked for', () => {
  for (const responseType of ['code', 'id_token', 'code id_token']) {
    it(`Q-23: is refused, as the tile of an application posts it: ${responseType}`, async () => {
      stage.okta.client.idp_initiated_login = 'OKTA'
      const app = await stage.start('org', { responseType })
      const browser = app.browser()
      const query = new URLSearchParams({
        client_id: stage.okta.client.client_id,
        redirect_uri: `${app.origin}/callback`,
      })
      const page = await browser.open(`${stage.okta.orgOrigin}/home?${query}`)
      assert.deepEqual([page.status, page.url], [400, `${app.origin}/callback`])
      assert.deepEqual(codesOf(app), ['ERR_OIDC_STATE_MISSING'])
      await assertLoggedOut(app, browser)
    })
  }

  it('Q-23: is not needed by a tile that asks the application to start a login', async () => {
    const app = await stage.start('org', { routes: { initiateLogin: '/initiate-login' } })
    const initiateLogin = `${app.origin}/initiate-login`
    Object.assign(stage.okta.client, { idp_initiated_login: 'SPEC', initiate_login_uri: initiateLogin })
    const browser = app.browser()
    await browser.open(`${stage.okta.orgOrigin}/home?client_id=${stage.okta.client.client_id}`)
    assert.equal((await browser.open('/profile', { follow: false })).status, 200, String(app.errors))
    const [request] = stage.okta.requestsTo('authorize')
    assert.equal(request?.query.get('login_hint'), stage.okta.person.login)
  })

  it('Q-23: is refused with the state of a login that is on its way, for want of its nonce', async () => {
    stage.okta.change.idTokenClaims = ({ nonce: _, ...claims }) => claims
    const app = await stage.start('org', { responseType: 'id_token' })
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 400)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_ID_TOKEN_NONCE'])
    await assertLoggedOut(app, browser)
  })
})
