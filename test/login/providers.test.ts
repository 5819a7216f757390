import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, mock } from 'node:test'
import session from 'express-session'
import { ConfigError } from '../../lib/errors.ts'
import { type Hooks, requireAuth } from '../../lib/index.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { ACCOUNTS } from '../support/app/accounts.ts'
import { codesOf, startApp, type TestApp } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { changeLogins, isSharedRecord, isTokens } from '../support/app/records.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { cookieOf, isTransaction } from '../support/browser/login-cookies.ts'
import { startStrictProvider } from '../support/strict-provider/provider.ts'

const NAMES = ['harbour', 'tide', 'lagoon'] as const
type Name = (typeof NAMES)[number]

const stage = createSeveralProviders<Name>({
  harbour: { clientId: 'app-at-harbour', clientSecret: 'harbour-secret_of.40-characters_01234567' },
  tide: { clientId: 'app-at-tide', issParameter: 'absent', layout: 'okta-custom' },
  lagoon: { clientId: 'app-at-lagoon', clientSecret: 'lagoon-secret_of.40-characters_012345678' },
})

const routes: Routes = {
  '/who': answerJson(({ oidc }) => ({ provider: oidc.provider ?? null, sub: oidc.claims?.sub ?? null })),
  '/choose': answerJson(({ url }) => ({ chooser: url })),
  '/pay': [requireAuth({ acr: 'urn:example:mfa' }), answerJson(({ oidc }) => ({ acr: oidc.claims?.acr }))],
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
  '/again': answerBy(({ oidc }) => oidc.login()),
  '/at-tide': answerBy(({ oidc }) => oidc.login({ provider: 'tide', returnTo: '/who' })),
  '/at-nowhere': answerBy(({ oidc }) => oidc.login({ provider: 'nowhere' })),
}

type Start = typeof stage.start

/** An app with two of the providers. */
const start: Start = (options = {}, settings = {}, names = ['harbour', 'tide']) =>
  stage.start(options, { routes, errorHandler: 'json', ...settings }, names)

async function logInAt(app: TestApp, name: string, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`/login?provider=${name}&returnTo=/who`)
  assert.deepEqual([page.status, page.json()['provider']], [200, name], String(app.errors))
  return browser
}

/** The keys of the sessions and token records in the store. */
async function recordsIn(app: TestApp): Promise<readonly string[]> {
  return Object.keys(await app.records()).filter((id) => !isSharedRecord(id))
}

async function whoIn(browser: Browser): Promise<unknown> {
  return (await browser.fetch('/who')).json()['provider']
}

/** The next URL of the browser. */
function nextOf(page: Page): URL {
  assert.ok(page.next, `${page.status} ${page.body}`)
  return new URL(page.next.url)
}

function assertAtProvider(page: Page, name: Name): URLSearchParams {
  const url = nextOf(page)
  assert.equal(url.origin + url.pathname, stage.provider(name).endpointUrls['/authorize'])
  return url.searchParams
}

function assertNoComplaints(): void {
  for (const name of NAMES) assert.deepEqual(stage.provider(name).complaints, [])
}

function faultsOf(providers: unknown, more: object = {}): readonly string[] {
  const app = { baseUrl: 'https://app.example', secret: 's'.repeat(32) }
  try {
    parseOptions({ ...app, providers, ...more })
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.faults
  }
  return []
}

const ONE = { issuer: 'https://one.example', clientId: 'app' }
const TWO = { issuer: 'https://two.example', clientId: 'app' }

describe('several providers', () => {
  for (const host of HOSTS) {
    it(`log users in, each with its own callback and client: ${host}`, async () => {
      const app = await start({}, { host, mountPath: '/portal' }, NAMES)
      for (const name of NAMES) {
        const browser = app.browser()
        const page = await browser.open(`/portal/login?provider=${name}&returnTo=/portal/who`, {
          stopBefore: isAtProvider,
        })
        const params = assertAtProvider(page, name)
        assert.deepEqual(
          [params.get('client_id'), params.get('redirect_uri')],
          [`app-at-${name}`, `${app.baseUrl}/callback/${name}`],
        )
        const back = await browser.go(page.next)
        assert.deepEqual(back.json(), { provider: name, sub: 'user-subject' })
        const profile = (await browser.fetch('/portal/profile')).json()
        assert.equal(profile['iss'], stage.provider(name).issuer)
      }
      assertNoComplaints()
      assert.deepEqual([codesOf(app), app.otherErrors], [[], []])
    })
  }

  it('have the callback that the options name', async () => {
    const providers = {
      harbour: stage.optionsFor('harbour'),
      tide: { ...stage.optionsFor('tide'), callback: '/from-tide' },
    }
    const app = await start({ providers, routes: { callback: '/answers' } })
    const redirectUris = new Map<string, string | null>()
    for (const name of ['harbour', 'tide'] as const) {
      const page = await app.browser().open(`/login?provider=${name}`, { stopBefore: isAtProvider })
      redirectUris.set(name, assertAtProvider(page, name).get('redirect_uri'))
      await logInAt(app, name)
    }
    assert.deepEqual([...redirectUris.values()], [`${app.baseUrl}/answers/harbour`, `${app.baseUrl}/from-tide`])
  })

  it('inherit the options at the top level', async () => {
    const providers = {
      harbour: stage.optionsFor('harbour'),
      tide: { ...stage.optionsFor('tide'), scope: 'openid email', responseMode: 'query' as const },
    }
    const app = await start({ providers, scope: 'openid', responseMode: 'form_post' })
    const asked = async (name: Name): Promise<unknown> => {
      const page = await app.browser().open(`/login?provider=${name}`, { stopBefore: isAtProvider })
      const params = assertAtProvider(page, name)
      return [params.get('scope'), params.get('response_mode')]
    }
    assert.deepEqual(
      [await asked('harbour'), await asked('tide')],
      [
        ['openid', 'form_post'],
        ['openid email', null],
      ],
    )
    await logInAt(app, 'harbour')
    await logInAt(app, 'tide')
  })

  it('mix response types', async () => {
    const providers = {
      harbour: { ...stage.optionsFor('harbour'), responseType: 'code id_token' as const },
      tide: { ...stage.optionsFor('tide'), responseType: 'id_token', responseMode: 'fragment' } as const,
      lagoon: stage.optionsFor('lagoon'),
    }
    const app = await start({ providers })
    for (const name of NAMES) await logInAt(app, name)
    assertNoComplaints()
  })

  it('get no request before a user logs in there', async () => {
    const app = await start()
    await logInAt(app, 'harbour')
    assert.deepEqual([stage.provider('harbour').calls['/discovery'], stage.provider('tide').requests.length], [1, 0])
  })

  it('are all loaded by ready()', async () => {
    const app = await start({}, {}, NAMES)
    await app.auth.ready()
    for (const name of NAMES) {
      const { calls } = stage.provider(name)
      assert.deepEqual([calls['/discovery'], calls['/jwks']], [1, 1], name)
    }
  })

  it('are named in hooks and events', async () => {
    const told: string[] = []
    const tell =
      (moment: string) =>
      ({ provider }: { readonly provider: string }): void =>
        void told.push(`${moment} ${provider}`)
    const hooks: Hooks = {
      beforeLogin: tell('beforeLogin'),
      afterLogin: tell('afterLogin'),
      beforeLogout: tell('beforeLogout'),
      afterLogout: tell('afterLogout'),
    }
    const names = ['login-start', 'login', 'logout']
    const listeners = names.map((name) => {
      const listener = (message: unknown): void => {
        const { provider, issuer } = message as { provider: Name; issuer: string }
        assert.equal(issuer, stage.provider(provider).issuer)
        tell(name)({ provider })
      }
      return [`express-oidc:${name}`, listener] as const
    })
    for (const [name, listener] of listeners) subscribe(name, listener)
    const app = await start({ hooks })
    const browser = await logInAt(app, 'tide')
    await browser.post('/logout')
    for (const [name, listener] of listeners) unsubscribe(name, listener)
    const moments = ['beforeLogin', 'login-start', 'afterLogin', 'login', 'beforeLogout', 'afterLogout', 'logout']
    assert.deepEqual(
      told,
      moments.map((moment) => `${moment} tide`),
    )
  })

  it('publish the keys of all clients at one URL', async () => {
    const provider = stage.stopLater(
      await startStrictProvider({ tokenEndpointAuthMethod: 'private_key_jwt', clientId: 'with-keys' }),
    )
    const { issuer, clientId, clientKeys } = provider
    const [first, second] = clientKeys.filter(({ kty, use }) => kty === 'RSA' && use === 'sig').concat(clientKeys)
    const own = { issuer, clientId, tokenEndpointAuthMethod: 'private_key_jwt' as const }
    const providers = {
      one: { ...own, clientKeys: [first] },
      two: { ...own, clientKeys: [second] },
      three: { ...own, clientKeys: [first] },
    }
    const app = await start({ providers: providers as never })
    const { keys } = (await app.browser().fetch('/jwks')).json() as { keys: readonly { kid: string }[] }
    assert.deepEqual(
      keys.map(({ kid }) => kid),
      [...new Set([first?.['kid'], second?.['kid']])],
    )
  })
})

describe('the login route with several providers', () => {
  it('goes to the first provider without a name', async () => {
    const app = await start()
    assertAtProvider(await app.browser().open('/profile', { stopBefore: isAtProvider }), 'harbour')
  })

  for (const name of ['nowhere', '', 'Tide', '__proto__', 'constructor', 'tide/../harbour']) {
    it(`refuses the name ${JSON.stringify(name)}`, async () => {
      const app = await start()
      const browser = app.browser()
      const page = await browser.open(`/login?provider=${encodeURIComponent(name)}`)
      assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_PROVIDER_UNKNOWN']])
      assert.deepEqual([browser.cookies(), app.otherErrors], [[], []])
      assert.ok(!app.errors.some(({ message }) => name !== '' && message.includes(name)))
    })
  }

  it('accepts only the name default if there is one provider', async () => {
    const { issuer, clientId, clientSecret } = stage.provider('harbour')
    const app = await start({ providers: { default: { issuer, clientId, clientSecret } } })
    const browser = app.browser()
    assert.equal((await browser.open('/login?provider=default&returnTo=/who')).json()['provider'], 'default')
    assert.equal((await browser.open('/login?provider=harbour')).status, 400)
  })

  for (const path of ['/callback/harbour', '/callback/tide', '/CALLBACK/tide/', '/choose', '/choose?returnTo=/who']) {
    it(`leads to the home page instead of ${path}`, async () => {
      const app = await start({ providerChooser: '/choose' })
      const page = await app.browser().open(`/login?provider=tide&returnTo=${encodeURIComponent(path)}`)
      assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/`])
    })
  }
})

describe('req.oidc.login() with several providers', () => {
  it('goes to the named provider', async () => {
    const app = await start({ providerChooser: '/choose' })
    const page = await app.browser().open('/at-tide')
    assert.equal(page.json()['provider'], 'tide')
  })

  it('goes to the first provider without a name, with or without a chooser', async () => {
    for (const options of [{}, { providerChooser: '/choose' }]) {
      const app = await start(options)
      assertAtProvider(await app.browser().open('/again', { stopBefore: isAtProvider }), 'harbour')
    }
  })

  it('goes to the provider of the current login', async () => {
    const app = await start({ providerChooser: '/choose' })
    const browser = await logInAt(app, 'tide')
    assertAtProvider(await browser.open('/again', { stopBefore: isAtProvider }), 'tide')
  })

  it('refuses an unknown name', async () => {
    const app = await start()
    const page = await app.browser().open('/at-nowhere')
    assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_PROVIDER_UNKNOWN']])
  })
})

describe('the provider chooser', () => {
  it('gets users who have not chosen a provider', async () => {
    const app = await start({ providerChooser: '/choose' })
    const browser = app.browser()
    const page = await browser.open('/profile?a=1&b=%20c')
    assert.equal(page.json()['chooser'], `/choose?returnTo=${encodeURIComponent('/profile?a=1&b=%20c')}`)
    assert.deepEqual(browser.cookies(), [])
    for (const name of NAMES) assert.equal(stage.provider(name).requests.length, 0)
  })

  it('is below the path of baseUrl', async () => {
    const app = await start({ providerChooser: '/choose' }, { mountPath: '/portal' })
    const page = await app.browser().open('/portal/profile', { stopBefore: ({ pathname }) => /choose/.test(pathname) })
    assert.equal(nextOf(page).href, `${app.baseUrl}/choose?returnTo=%2Fportal%2Fprofile`)
  })

  for (const returnTo of ['https://evil.example/', '//evil.example', '/\\evil.example', '/login', '/callback/tide']) {
    it(`never gets the returnTo ${returnTo}`, async () => {
      const app = await start({ providerChooser: '/choose' })
      const page = await app.browser().open(`/login?returnTo=${encodeURIComponent(returnTo)}`, { follow: false })
      assert.equal(page.headers.location, '/choose?returnTo=%2F')
    })
  }

  it('leads to the requested page', async () => {
    const app = await start({ providerChooser: '/choose' })
    const browser = app.browser()
    await browser.open('/profile')
    const page = await browser.open('/login?provider=tide&returnTo=%2Fprofile', { from: app.origin })
    assert.deepEqual([page.url, page.json()['iss']], [`${app.baseUrl}/profile`, stage.provider('tide').issuer])
  })
})

describe('a stronger login with several providers', () => {
  for (const providerChooser of [undefined, '/choose']) {
    it(`is at the provider of the login, ${providerChooser ? 'with' : 'without'} a chooser`, async () => {
      const app = await start(providerChooser === undefined ? {} : { providerChooser })
      const browser = await logInAt(app, 'tide')
      const page = await browser.open('/pay?amount=7', { stopBefore: isAtProvider })
      assert.equal(assertAtProvider(page, 'tide').get('acr_values'), 'urn:example:mfa')
      const back = await browser.go(page.next)
      assert.deepEqual([back.url, back.json()], [`${app.baseUrl}/pay?amount=7`, { acr: 'urn:example:mfa' }])
      assert.equal(await whoIn(browser), 'tide')
      assert.equal(stage.provider('harbour').requests.length, 0)
    })

    it(`is there for scripts too, ${providerChooser ? 'with' : 'without'} a chooser`, async () => {
      const app = await start(providerChooser === undefined ? {} : { providerChooser })
      const browser = await logInAt(app, 'tide')
      const page = await browser.fetch('/pay')
      assert.equal(page.status, 401)
      const url = String(page.json()['loginUrl'])
      const stronger = await browser.open(url, { stopBefore: isAtProvider })
      assert.equal(assertAtProvider(stronger, 'tide').get('acr_values'), 'urn:example:mfa')
    })
  }

  it('is at the chosen provider for users without a login', async () => {
    const app = await start({ providerChooser: '/choose' })
    const browser = app.browser()
    const page = await browser.open('/pay')
    assert.equal(page.json()['chooser'], '/choose?returnTo=%2Fpay')
    const back = await browser.open('/login?provider=tide&returnTo=%2Fpay')
    assert.deepEqual([back.status, back.json()], [200, { acr: 'urn:example:mfa' }])
  })
})

describe('a silent login with several providers', () => {
  const silent = { silentLogin: true, providerChooser: '/choose' }

  it('is tried at the first provider, without the chooser', async () => {
    const app = await start(silent)
    const page = await app.browser().open('/who', { stopBefore: isAtProvider })
    assert.equal(assertAtProvider(page, 'harbour').get('prompt'), 'none')
  })

  it('returns visitors without a session at the provider to the page', async () => {
    stage.provider('harbour').loggedIn = false
    const app = await start(silent)
    const page = await app.browser().open('/who')
    assert.deepEqual([page.url, page.json()['provider'], codesOf(app)], [`${app.baseUrl}/who`, null, []])
    assert.equal(stage.provider('tide').requests.length, 0)
  })

  it('is tried at the provider of an expired login', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start({ ...silent, loginLifetime: 60 })
    const browser = await logInAt(app, 'tide')
    mock.timers.tick(3_700_000)
    assert.equal(await whoIn(browser), null)
    const page = await browser.open('/who', { stopBefore: isAtProvider })
    assert.equal(assertAtProvider(page, 'tide').get('prompt'), 'none')
  })
})

describe('a login at another provider', () => {
  it('is another user, with a new session and no data of the first', async () => {
    const app = await start()
    const browser = await logInAt(app, 'harbour')
    await browser.open('/write')
    const [before, thief] = [cookieOf(browser), browser.clone()]
    await logInAt(app, 'tide', browser)
    assert.notEqual(cookieOf(browser), before)
    const kept = (await browser.fetch('/session')).json()
    assert.deepEqual([kept['cart'], kept['app']], [undefined, undefined])
    assert.deepEqual([await whoIn(thief), await app.sessions()], [null, 1])
    assert.equal(Object.keys(await app.records()).filter(isTokens).length, 1)
  })

  it('is another user even with the same sub, because a sub belongs to its issuer', async () => {
    for (const name of ['harbour', 'tide'] as const) stage.provider(name).account = ACCOUNTS['alice'] ?? assert.fail()
    const app = await start()
    const browser = await logInAt(app, 'harbour')
    await browser.open('/write')
    await logInAt(app, 'tide', browser)
    assert.equal((await browser.fetch('/session')).json()['cart'], undefined)
  })

  it('keeps the data of an anonymous session', async () => {
    const app = await start()
    const browser = app.browser()
    await browser.open('/write')
    const before = cookieOf(browser)
    await logInAt(app, 'tide', browser)
    assert.notEqual(cookieOf(browser), before)
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
  })

  it('keeps the first login if it is refused', async () => {
    stage.provider('tide').change.idTokenClaims = (claims) => ({ ...claims, aud: 'another' })
    const app = await start()
    const browser = await logInAt(app, 'harbour')
    const page = await browser.open('/login?provider=tide')
    assert.deepEqual([page.status, codesOf(app)], [502, ['ERR_OIDC_ID_TOKEN_AUDIENCE']])
    assert.equal(await whoIn(browser), 'harbour')
  })

  it('can be in progress in two tabs at once', async () => {
    const app = await start()
    const browser = app.browser()
    const first = await browser.open('/login?provider=harbour&returnTo=/who', { stopBefore: isAtProvider })
    const second = await browser.open('/login?provider=tide&returnTo=/who', { stopBefore: isAtProvider })
    assert.equal(browser.cookies().filter(isTransaction).length, 2)
    assert.equal((await browser.go(second.next)).json()['provider'], 'tide')
    assert.equal((await browser.go(first.next)).json()['provider'], 'harbour')
    assert.deepEqual([codesOf(app), await app.sessions()], [[], 1])
  })
})

describe('the tokens of one of several providers', () => {
  for (const name of ['harbour', 'tide'] as const) {
    it(`are those of the login, and UserInfo is called there: ${name}`, async () => {
      const app = await start({ userinfo: false })
      const browser = await logInAt(app, name)
      const { token } = (await browser.fetch('/access-token')).json()
      assert.ok(stage.provider(name).accessTokens.has(String(token)))
      assert.equal((await browser.fetch('/userinfo')).json()['sub'], 'user-subject')
      const calls = (['harbour', 'tide'] as const).map((one) => stage.provider(one).calls['/userinfo'])
      assert.deepEqual(calls, name === 'harbour' ? [1, 0] : [0, 1])
      assertNoComplaints()
    })
  }

  it('are never sent to another provider, nor are its client id and secret', async () => {
    const app = await start()
    const browser = await logInAt(app, 'harbour')
    await logInAt(app, 'tide', browser)
    await browser.post('/logout')
    const pairs: readonly (readonly [Name, Name])[] = [
      ['harbour', 'tide'],
      ['tide', 'harbour'],
    ]
    for (const [one, other] of pairs) {
      const { accessTokens, clientId, clientSecret } = stage.provider(one)
      const basic = Buffer.from(`${clientId}:${clientSecret}`).toString('base64')
      const seen = JSON.stringify(stage.provider(other).requests.map(({ headers, body, url }) => [headers, body, url]))
      for (const secret of [...accessTokens.keys(), clientSecret, basic]) assert.ok(!seen.includes(secret))
    }
  })
})

describe('a logout with several providers', () => {
  for (const name of ['harbour', 'tide'] as const) {
    it(`goes to the provider of the login, with its own ID Token: ${name}`, async () => {
      const app = await start()
      const browser = await logInAt(app, name)
      const { token } = (await browser.fetch('/id-token')).json()
      const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
      const url = nextOf(page)
      assert.equal(url.origin + url.pathname, stage.provider(name).endpointUrls['/logout'])
      assert.deepEqual(
        [url.searchParams.get('id_token_hint'), url.searchParams.get('client_id')],
        [token, `app-at-${name}`],
      )
      await browser.go(page.next)
      assert.equal(await whoIn(browser), null)
      assertNoComplaints()
    })
  }

  it('goes to the provider of the last login', async () => {
    const app = await start()
    const browser = await logInAt(app, 'harbour')
    await logInAt(app, 'tide', browser)
    await browser.post('/logout')
    assert.deepEqual([stage.provider('harbour').calls['/logout'], stage.provider('tide').calls['/logout']], [0, 1])
    assertNoComplaints()
  })

  it('goes there even if the login has expired', async () => {
    const app = await start()
    const browser = await logInAt(app, 'tide')
    await changeLogins(app, (login) => ({ ...login, expiresAt: 1 }))
    assert.equal(await whoIn(browser), null)
    await browser.post('/logout')
    assert.deepEqual([stage.provider('harbour').requests.length, stage.provider('tide').calls['/logout']], [0, 1])
    assertNoComplaints()
  })

  it('goes to no provider if no user is logged in', async () => {
    const app = await start()
    const page = await app.browser().post('/logout')
    assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/`])
  })
})

describe('a provider that is no longer in the options', () => {
  /** An app with all providers, and the app without one, with the same store. */
  async function startTwice(
    now: Parameters<Start>[0],
    names: readonly Name[] = ['harbour'],
  ): Promise<readonly TestApp[]> {
    const secret = 'one secret for the app as it was and as it is'
    const store = new session.MemoryStore()
    const was = await start({ secret }, { session: { store } })
    return [was, await start({ secret, ...now }, { session: { store } }, names)]
  }

  /** A user who logged in before it was removed. */
  async function logInBeforeRemoval(now: Parameters<Start>[0] = {}): Promise<{ app: TestApp; browser: Browser }> {
    const [was, app] = await startTwice(now)
    assert.ok(was && app)
    return { app, browser: await logInAt(was, 'tide') }
  }

  const openAt = (app: TestApp, browser: Browser, path: string): Promise<Page> => browser.fetch(app.baseUrl + path)

  it('leaves no login', async () => {
    const { app, browser } = await logInBeforeRemoval()
    const who = await openAt(app, browser, '/who')
    assert.deepEqual(who.json(), { provider: null, sub: null })
    assert.equal((await openAt(app, browser, '/profile')).status, 401)
    assert.equal((await openAt(app, browser, '/tokens')).body, 'null')
    const token = await openAt(app, browser, '/access-token')
    assert.deepEqual([token.status, codesOf(app)], [401, ['ERR_OIDC_TOKEN_UNAVAILABLE']])
    assert.deepEqual(app.otherErrors, [])
  })

  it('leaves logins at other providers unchanged', async () => {
    const [was, app] = await startTwice({})
    assert.ok(was && app)
    const browser = await logInAt(was, 'harbour')
    assert.equal((await openAt(app, browser, '/who')).json()['provider'], 'harbour')
  })

  it('gets no logout request, nor does another provider', async () => {
    const { app, browser } = await logInBeforeRemoval()
    const page = await browser.post(`${app.baseUrl}/logout`, {}, { from: app.origin })
    assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/`])
    assert.deepEqual([await recordsIn(app), codesOf(app), app.otherErrors], [[], [], []])
    assert.deepEqual([stage.provider('harbour').requests.length, stage.provider('tide').calls['/logout']], [0, 0])
  })

  it('does not pass its ID Token to the only remaining provider, which has no name', async () => {
    const { issuer, clientId, clientSecret } = stage.provider('harbour')
    const { app, browser } = await logInBeforeRemoval({ providers: { default: { issuer, clientId, clientSecret } } })
    assert.equal((await openAt(app, browser, '/who')).json()['provider'], null)
    await browser.post(`${app.baseUrl}/logout`, {}, { from: app.origin })
    assert.deepEqual([stage.provider('harbour').requests.length, await recordsIn(app)], [0, []])
  })

  it('does not pass its ID Token to another issuer that now has its name', async () => {
    const { app, browser } = await logInBeforeRemoval({ providers: { tide: stage.optionsFor('lagoon') } })
    assert.equal((await openAt(app, browser, '/who')).json()['provider'], null)
    await browser.post(`${app.baseUrl}/logout`, {}, { from: app.origin })
    assert.deepEqual([stage.provider('lagoon').requests.length, await recordsIn(app)], [0, []])
  })

  it('is removed from the session by the next login', async () => {
    const { app, browser } = await logInBeforeRemoval()
    await browser.open(`${app.baseUrl}/write`)
    const page = await browser.open(`${app.baseUrl}/login?returnTo=/who`)
    assert.equal(page.json()['provider'], 'harbour')
    assert.equal((await openAt(app, browser, '/session')).json()['cart'], undefined)
  })
})

describe('a provider that had no name before there were several', () => {
  it('keeps its callback and its logins under the name default', async () => {
    const secret = 'one secret for the app as it was and as it is'
    const store = new session.MemoryStore()
    const { issuer, clientId, clientSecret } = stage.provider('harbour')
    const provider = { issuer, clientId, clientSecret }
    const was = stage.stopLater(await startApp({ provider, options: { secret }, session: { store }, routes }))
    const providers = { default: { issuer, clientId, clientSecret }, tide: stage.optionsFor('tide') }
    const app = await start({ secret, providers }, { session: { store } })
    const browser = was.browser()
    await browser.open('/profile')
    assert.equal((await browser.fetch(`${app.baseUrl}/who`)).json()['provider'], 'default')
    const page = await app.browser().open('/login?provider=default', { stopBefore: isAtProvider })
    assert.equal(nextOf(page).searchParams.get('redirect_uri'), `${app.baseUrl}/callback`)
    await logInAt(app, 'tide')
  })
})

describe('a provider that is down', () => {
  it('does not affect logins at another', async () => {
    const down = await startStrictProvider()
    const { issuer, clientId, clientSecret } = down
    await down.stop()
    const providers = { down: { issuer, clientId, clientSecret }, tide: stage.optionsFor('tide') }
    const app = await start({ providers })
    const browser = await logInAt(app, 'tide')
    const page = await browser.open('/login?provider=down')
    assert.deepEqual([page.status, codesOf(app)], [503, ['ERR_OIDC_PROVIDER_UNREACHABLE']])
    assert.equal(await whoIn(browser), 'tide')
    await logInAt(app, 'tide')
    await assert.rejects(app.auth.ready(), { code: 'ERR_OIDC_PROVIDER_UNREACHABLE' })
  })

  it('does not prevent a logout', async () => {
    const other = await startStrictProvider()
    const { issuer, clientId, clientSecret } = other
    const app = await start({
      providers: { other: { issuer, clientId, clientSecret }, tide: stage.optionsFor('tide') },
    })
    const browser = await logInAt(app, 'other')
    await other.stop()
    await browser.post('/logout', {}, { stopBefore: isAtProvider })
    assert.equal(await whoIn(browser), null)
  })
})

describe('two clients at one issuer', () => {
  /** Two providers with the same issuer and different clients. */
  async function startTwins(): Promise<TestApp> {
    const provider = stage.provider('harbour')
    const first = provider.clients.get(provider.clientId) ?? assert.fail()
    const clientSecret = 'the-Secret_of.the-second-client_01234567'
    provider.clients.set('second', { ...first, clientId: 'second', clientSecret })
    const { issuer } = provider
    return await start({
      providers: { harbour: stage.optionsFor('harbour'), second: { issuer, clientId: 'second', clientSecret } },
    })
  }

  it('have separate logins, tokens and logouts', async () => {
    const app = await startTwins()
    for (const [name, clientId] of [
      ['harbour', 'app-at-harbour'],
      ['second', 'second'],
    ] as const) {
      const browser = await logInAt(app, name)
      const { aud } = (await browser.fetch('/profile')).json()
      assert.equal(aud, clientId)
      const page = await browser.post('/logout', {}, { stopBefore: isAtProvider })
      assert.equal(nextOf(page).searchParams.get('client_id'), clientId)
      await browser.go(page.next)
    }
    assertNoComplaints()
  })

  it('identify the same user, whose data stays', async () => {
    const app = await startTwins()
    const browser = await logInAt(app, 'harbour')
    await browser.open('/write')
    const before = cookieOf(browser)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 2000 })
    await logInAt(app, 'second', browser)
    assert.notEqual(cookieOf(browser), before)
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
  })
})

describe('the options of several providers', () => {
  it('are accepted', () => {
    assert.deepEqual(faultsOf({ one: ONE, two: TWO }), [])
    assert.deepEqual(faultsOf({ one: ONE, 'a-b_C3': TWO }, { providerChooser: '/choose' }), [])
    assert.deepEqual(faultsOf({ one: ONE, two: { ...ONE, clientId: 'second' } }), [])
  })

  const wrong: readonly (readonly [name: string, providers: unknown, faults: readonly RegExp[], more?: object])[] = [
    [
      'a problem of one provider has its name',
      { one: { ...ONE, scope: 'profile' }, two: TWO },
      [/^providers\.one\.scope must be scopes/],
    ],
    [
      'the problems of all providers are reported at once',
      { one: { ...ONE, clientId: '' }, two: { ...TWO, issuer: 'two' } },
      [/^providers\.one\.clientId must be/, /^providers\.two\.issuer must be an absolute https URL/],
    ],
    ['a problem at the top level is reported once', { one: ONE, two: TWO }, [/^scope must be scopes/], { scope: 'x' }],
    [
      'a missing option is reported for the provider',
      { one: { issuer: ONE.issuer }, two: { clientId: 'app' } },
      [/^providers\.one\.clientId is required/, /^providers\.two\.issuer must be a non-empty string/],
    ],
    [
      'a conflict is reported for the provider',
      { one: { ...ONE, dpopSigningAlg: 'ES256' }, two: TWO },
      [/^providers\.one\.dpopSigningAlg needs/],
    ],
    [
      'an unknown name has a suggestion',
      { one: { ...ONE, client_secret: 'x' }, two: TWO },
      [/^providers\.one\.client_secret is an option of @okta\/oidc-middleware\. Use clientSecret\.$/],
    ],
    [
      'an option of the app is refused in a provider',
      { one: { ...ONE, baseUrl: 'https://app.example' }, two: TWO },
      [/^providers\.one\.baseUrl is not an option/],
    ],
    ['there must be at least one provider', {}, [/^providers must be a plain object/]],
    ['each is an object', { one: ONE, two: 'https://two.example' }, [/^providers\.two must be a plain object/]],
    [
      'secret is required',
      { one: { ...ONE, clientSecret: 'c'.repeat(40) } },
      [/^secret is required with providers/],
      { secret: undefined },
    ],
    [
      'plain http is refused for one provider',
      { one: ONE, two: { ...TWO, issuer: 'http://two.example' } },
      [/^providers\.two\.issuer must be https/],
    ],
    [
      'issuer must be in each provider',
      { one: ONE },
      [/^issuer cannot be combined with providers/],
      { issuer: 'https://id.example' },
    ],
    [
      'two providers with one callback',
      { one: { ...ONE, callback: '/back' }, two: { ...TWO, callback: '/back' } },
      [/^providers\.two\.callback must differ from providers\.one\.callback: both are \/back\.$/],
    ],
    [
      'two callbacks that differ only in case',
      { one: ONE, ONE: TWO },
      [/^providers\.ONE\.callback must differ from providers\.one\.callback/],
    ],
    [
      'a callback at another route',
      { one: { ...ONE, callback: '/login' } },
      [/^providers\.one\.callback must differ from routes\.login/],
    ],
    [
      'a route at the default callback of a provider',
      { one: ONE },
      [/^providers\.one\.callback must differ from routes\.logout/],
      { routes: { logout: '/callback/one' } },
    ],
    [
      'a chooser at a callback',
      { one: ONE },
      [/^providerChooser must differ from providers\.one\.callback/],
      { providerChooser: '/callback/one' },
    ],
    [
      'a chooser at the login',
      { one: ONE },
      [/^providerChooser must differ from routes\.login/],
      { providerChooser: '/login' },
    ],
    [
      'a chooser elsewhere',
      { one: ONE },
      [/^providerChooser must be a path/],
      { providerChooser: 'https://x.example' },
    ],
    [
      'a postLogoutRedirectUri at a callback',
      { one: ONE },
      [/^postLogoutRedirectUri must not be one of routes/],
      { postLogoutRedirectUri: '/callback/one' },
    ],
    ['a callback at the top', { one: ONE }, [/^callback is not an option/], { callback: '/back' }],
    ['a callback that is no path', { one: { ...ONE, callback: 'back' } }, [/^providers\.one\.callback must be a path/]],
  ]

  for (const [name, providers, expected, more] of wrong) {
    it(`are refused: ${name}`, () => {
      const faults = faultsOf(providers, more)
      assert.equal(faults.length, expected.length, faults.join('\n'))
      for (const [index, pattern] of expected.entries()) assert.match(faults[index] ?? '', pattern)
    })
  }

  for (const name of ['__proto__', 'constructor', 'toString', '', 'a b', 'a/b', 'a.b', 'ä', 'x'.repeat(33)]) {
    it(`are refused under the name ${JSON.stringify(name)}`, () => {
      const providers = Object.fromEntries([['one', ONE] as const, [name, TWO] as const])
      assert.equal(Object.keys(providers).length, 2)
      assert.deepEqual(faultsOf(providers), [
        'providers must have names of 1 to 32 letters, digits, hyphens and underscores.',
      ])
      assert.equal(Reflect.get({}, 'issuer'), undefined)
    })
  }

  it('are refused if the names are inherited', () => {
    assert.match(faultsOf(Object.create({ one: ONE }))[0] ?? '', /^providers must be a plain object/)
  })

  it('accept a chooser only with several providers', () => {
    const options = { ...ONE, baseUrl: 'https://app.example', secret: 's'.repeat(32), providerChooser: '/choose' }
    assert.throws(() => parseOptions(options), /providerChooser needs providers/)
  })
})
