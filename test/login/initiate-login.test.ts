import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { ConfigError, type Handler } from '../../lib/index.ts'
import { ACCOUNTS } from '../support/app/accounts.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Browser, Page } from '../support/browser/browser.ts'
import { skipWithoutChromium } from '../support/browser/chromium.ts'
import { createChromiumPages } from '../support/browser/chromium-pages.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { assertNobodyLoggedIn, EVIL_HTML } from '../support/hostile/hostile.ts'
import { RETURN_TO_PAYLOADS } from '../support/hostile/return-to-payloads.ts'

const PATH = '/initiate-login'
const options = { routes: { initiateLogin: PATH } }
const routes: Routes = { '/page': answerJson(({ url }) => ({ url })), '/{*any}': answerJson(({ url }) => ({ url })) }

const stage = createStage({ app: { routes, errorHandler: 'json' } })

type Fields = Readonly<Record<string, string>>
type Method = 'GET' | 'POST'
const METHODS: readonly Method[] = ['GET', 'POST']

/** Starts a login as another site does: by a link, or by a posted form. */
function initiate(browser: Browser, method: Method, path: string, fields: Fields): Promise<Page> {
  const from = 'https://portal.example'
  if (method === 'POST') return browser.post(path, fields, { from })
  return browser.open(`${path}?${new URLSearchParams(fields)}`, { from })
}

/** No login has started, here or at the provider. */
async function assertRefused(app: TestApp, browser: Browser, page: Page): Promise<void> {
  assert.deepEqual([page.status, page.headers.location], [400, undefined])
  assert.deepEqual([codesOf(app), app.otherErrors], [['ERR_OIDC_INITIATE_LOGIN'], []])
  assert.deepEqual([browser.cookies(), stage.provider.requests.length, await app.records()], [[], 0, {}])
}

function origins({ history }: Page): readonly string[] {
  return [...new Set(history.map(({ url }) => new URL(url).origin))]
}

describe('a login that another site starts', () => {
  for (const host of HOSTS) {
    for (const method of METHODS) {
      it(`leads to its target_link_uri: ${method}, ${host}`, async () => {
        const app = await stage.start(options, {
          host,
          mountPath: '/portal',
          routes: { '/page': routes['/page'] ?? [] },
        })
        const fields = { iss: stage.provider.issuer, target_link_uri: `${app.baseUrl}/page?a=1&b=%20c` }
        const page = await initiate(app.browser(), method, `/portal${PATH}`, fields)
        assert.deepEqual([page.status, page.url], [200, `${app.baseUrl}/page?a=1&b=%20c`], String(app.errors))
        assert.deepEqual([await app.sessions(), stage.provider.complaints, app.errors], [1, [], []])
      })
    }
  }

  for (const method of METHODS) {
    describe(`by ${method}`, () => {
      let app: TestApp
      let browser: Browser
      beforeEach(async () => {
        app = await stage.start(options)
        browser = app.browser()
      })
      const ask = (fields: Fields): Promise<Page> => initiate(browser, method, PATH, fields)

      it('leads to the home page without a target_link_uri, or with the baseUrl as one', async () => {
        for (const target of [undefined, '', app.origin, `${app.origin}/`]) {
          const named = target === undefined ? {} : { target_link_uri: target }
          const page = await ask({ iss: stage.provider.issuer, ...named })
          assert.deepEqual([page.status, page.url], [200, `${app.origin}/`], target)
        }
      })

      it('passes on login_hint, and nothing else', async () => {
        const more = { scope: 'admin', prompt: 'none', max_age: '0', acr_values: 'x', provider: 'y', requirement: 'z' }
        const hint = `ada+1@example.test&scope=admin ${EVIL_HTML}`
        await ask({ iss: stage.provider.issuer, login_hint: hint, redirect_uri: 'https://evil.example', ...more })
        const [sent] = stage.provider.authorizationRequests
        assert.deepEqual([sent?.get('login_hint'), sent?.get('scope')], [hint, 'openid profile email'])
        for (const name of ['prompt', 'max_age', 'acr_values', 'provider', 'requirement']) {
          assert.equal(sent?.get(name), null, name)
        }
        assert.deepEqual([app.errors, stage.provider.complaints, await app.sessions()], [[], [], 1])
      })

      it('ignores a login_hint that is too long', async () => {
        for (const [length, isSent] of [
          [1024, true],
          [1025, false],
          [5000, false],
        ] as const) {
          await ask({ iss: stage.provider.issuer, login_hint: 'x'.repeat(length) })
          assert.equal(stage.provider.authorizationRequests.at(-1)?.has('login_hint'), isSent, String(length))
        }
      })

      it('requires one of the configured issuers as iss', async () => {
        const { issuer } = stage.provider
        const others: readonly (string | undefined)[] = [
          ...[undefined, '', 'null', `${issuer}/`, `${issuer} `, ` ${issuer}`, issuer.toUpperCase(), `${issuer}#`],
          ...[issuer.replace('http:', 'https:'), issuer.replace('localhost', '127.0.0.1'), `${issuer}.evil.example`],
          ...['https://evil.example', `https://evil.example/${issuer}`, EVIL_HTML, '{tenantid}', `${issuer}\n`],
        ]
        for (const iss of others) {
          await assertRefused(app, browser, await ask(iss === undefined ? {} : { iss }))
          app.errors.length = 0
        }
      })

      it('never leads to another origin', async () => {
        const { origin } = app
        const { host } = new URL(origin)
        const disguised = [
          ...['https://evil.example/', 'http://127.0.0.1/', `https://${host}/page`, `//${host}/page`, '/page'],
          ...[`${origin}.evil.example/`, `${origin}@evil.example/`, `${origin}:80@evil.example/`, `${origin}0/page`],
          ...[`http://evil.example@${host}/page`, `http://${host}\\@evil.example/`, `http://${host}\\.evil.example`],
          ...[
            `http:/${host}/page`,
            `http:${host}/page`,
            `http:\\\\${host}\\page`,
            `ht\ntp://${host}/`,
            ` ${origin}/page`,
          ],
          ...[`javascript:${origin}/page`, `data:text/html,${origin}`, `blob:${origin}/page`, `${origin}?next=/`],
          ...[`${origin}${PATH}`, `${origin}/login`, `${origin}/logout`, `${origin}/callback?code=x`, `${origin}#page`],
        ]
        const payloads = RETURN_TO_PAYLOADS.filter((payload) => payload !== '')
        for (const target of [...disguised, ...payloads, ...payloads.map((payload) => origin + payload)]) {
          const page = await ask({ iss: stage.provider.issuer, target_link_uri: target })
          await assertRefused(app, browser, page)
          app.errors.length = 0
        }
      })

      it('starts a new login for a user who is logged in, and keeps the data of the session', async () => {
        await browser.open('/login')
        await browser.open('/write')
        await ask({ iss: stage.provider.issuer })
        assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
        stage.provider.account = ACCOUNTS['bob'] ?? assert.fail()
        await ask({ iss: stage.provider.issuer })
        assert.equal((await browser.fetch('/session')).json()['cart'], undefined)
        assert.equal(await app.sessions(), 1)
      })

      it('does not fill the browser with transaction cookies', async () => {
        const fields = { iss: stage.provider.issuer }
        const from = 'https://evil.example'
        for (let count = 0; count < 20; count++) {
          const how = { from, stopBefore: isAtProvider }
          if (method === 'POST') await browser.post(PATH, fields, how)
          else await browser.open(`${PATH}?${new URLSearchParams(fields)}`, how)
        }
        const cookies = browser.cookies('127.0.0.1')
        assert.ok(cookies.length <= 6 && cookies.every(({ name }) => name.startsWith('oidc-tx.')))
      })
    })
  }

  it('accepts a host in capitals and an explicit default port', async () => {
    const baseUrl = 'https://app.example.test'
    const app = await stage.start({ ...options, baseUrl })
    const secure = { 'x-forwarded-proto': 'https' }
    for (const target of [`${baseUrl}/page`, 'HTTPS://APP.example.test/page', 'https://app.example.test:443/page']) {
      const query = new URLSearchParams({ iss: stage.provider.issuer, target_link_uri: target })
      const url = new URL(`${PATH}?${query}`, app.origin)
      const answer = await exchange({ method: 'GET', url, headers: secure })
      assert.equal(answer.status, 303, target)
    }
    const query = new URLSearchParams({ iss: stage.provider.issuer, target_link_uri: `${app.origin}/page` })
    const answer = await exchange({ method: 'GET', url: new URL(`${PATH}?${query}`, app.origin), headers: secure })
    assert.equal(answer.status, 400)
  })

  it('stays below the path of baseUrl', async () => {
    const app = await stage.start(options, { mountPath: '/portal' })
    for (const target of [app.origin, `${app.origin}/page`, `${app.origin}/portalx`, `${app.baseUrl}/../page`]) {
      const browser = app.browser()
      const query = new URLSearchParams({ iss: stage.provider.issuer, target_link_uri: target })
      await assertRefused(app, browser, await browser.open(`/portal${PATH}?${query}`))
      app.errors.length = 0
    }
    const query = new URLSearchParams({ iss: stage.provider.issuer, target_link_uri: app.baseUrl })
    const page = await app.browser().open(`/portal${PATH}?${query}`, { stopBefore: isAtProvider })
    assert.equal(page.status, 303)
  })

  it('uses the first value of a repeated parameter', async () => {
    const app = await stage.start(options)
    const iss = encodeURIComponent(stage.provider.issuer)
    const browser = app.browser()
    await assertRefused(app, browser, await browser.open(`${PATH}?iss=https://evil.example&iss=${iss}`))
    const [ours, other] = [encodeURIComponent(`${app.origin}/page`), 'https://evil.example']
    const page = await browser.open(`${PATH}?iss=${iss}&target_link_uri=${ours}&target_link_uri=${other}`)
    assert.deepEqual([page.url, origins(page)], [`${app.origin}/page`, [app.origin, stage.provider.issuer]])
  })

  it('sets no cookie in the response to a form, and sends no referrer', async () => {
    const app = await stage.start(options)
    const browser = app.browser()
    const how = { from: 'https://portal.example', follow: false }
    const page = await browser.post(PATH, { iss: stage.provider.issuer, login_hint: 'ada' }, how)
    assert.deepEqual([page.status, page.headers['set-cookie']], [303, undefined])
    assert.deepEqual([page.headers['cache-control'], page.headers['referrer-policy']], ['no-store', 'no-referrer'])
    const { pathname, searchParams } = new URL(page.headers.location ?? '', app.origin)
    assert.deepEqual([pathname, searchParams.get('iss')], [PATH, stage.provider.issuer])
    assert.deepEqual([...searchParams.keys()], ['iss', 'target_link_uri', 'login_hint'])
  })

  it('may be posted through a body parser', async () => {
    const app = await stage.start(options, { bodyParser: true })
    const fields = { iss: stage.provider.issuer, target_link_uri: `${app.origin}/page` }
    assert.equal((await initiate(app.browser(), 'POST', PATH, fields)).url, `${app.origin}/page`)
  })

  it('refuses a form that is too long or of another type', async () => {
    const app = await stage.start(options)
    const iss = stage.provider.issuer
    const url = new URL(PATH, app.origin)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const requests = [
      [{ 'content-type': 'application/json' }, JSON.stringify({ iss })],
      [{}, `iss=${iss}`],
      [form, `iss=${iss}&login_hint=${'x'.repeat(140_000)}`],
    ] as const
    for (const [headers, body] of requests) {
      assert.equal((await exchange({ method: 'POST', url, headers, body })).status, 400)
    }
    assert.deepEqual(new Set(codesOf(app)), new Set(['ERR_OIDC_CALLBACK_INVALID']))
  })

  it('accepts no other method', async () => {
    const app = await stage.start(options)
    const url = new URL(`${PATH}?iss=${encodeURIComponent(stage.provider.issuer)}`, app.origin)
    for (const method of ['HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const answer = await exchange({ method, url, headers: {} })
      assert.equal(answer.status, 405, method)
    }
    assert.equal(stage.provider.requests.length, 0)
  })

  it('calls the hook beforeLogin with its returnTo', async () => {
    const told: string[] = []
    const hooks = { beforeLogin: ({ returnTo }: { returnTo: string }): void => void told.push(returnTo) }
    const app = await stage.start({ ...options, hooks })
    const fields = { iss: stage.provider.issuer, target_link_uri: `${app.origin}/page?a=1` }
    await initiate(app.browser(), 'POST', PATH, fields)
    assert.deepEqual(told, ['/page?a=1'])
  })

  it('does not loop if the session is not kept', async () => {
    const lose: Handler = ({ headers }, _res, next) => {
      headers.cookie = headers.cookie?.replace(/connect\.sid=[^;]*/, 'lost=1')
      next()
    }
    const app = await stage.start(options, { before: [lose], routes: {} })
    const fields = { iss: stage.provider.issuer, target_link_uri: `${app.origin}/profile` }
    const page = await initiate(app.browser(), 'POST', PATH, fields)
    assert.deepEqual([page.status, codesOf(app)], [500, ['ERR_OIDC_SESSION_NOT_KEPT']])
    assert.equal(stage.provider.calls['/authorize'], 2)
  })

  it('does not exist without the option routes.initiateLogin', async () => {
    const app = await stage.start({}, { routes: {} })
    for (const path of [PATH, '/initiate', '/undefined', '/initiateLogin']) {
      const page = await app.browser().open(`${path}?iss=${encodeURIComponent(stage.provider.issuer)}`)
      assert.deepEqual([page.status, page.history.length], [404, 1], path)
    }
    assert.equal(stage.provider.requests.length, 0)
  })

  it('has a path that is no valid returnTo', async () => {
    for (const initiateLogin of ['/login', '/callback', '/LOGOUT', 'initiate', '//evil.example', '']) {
      await assert.rejects(stage.start({ routes: { initiateLogin } }), ConfigError, initiateLogin)
    }
    const app = await stage.start(options)
    const back = encodeURIComponent(`${PATH}?iss=${stage.provider.issuer}`)
    assert.equal((await app.browser().open(`/login?returnTo=${back}`)).url, `${app.origin}/`)
  })
})

describe('a login that another site starts in an app with several providers', () => {
  const several = createSeveralProviders({ one: { clientId: 'one' }, two: { clientId: 'two' } })

  it('goes to the provider with that iss, and to no other', async () => {
    const app = await several.start({
      ...options,
      ...{ secret: 'the secret of an application with two providers', providerChooser: '/choose' },
    })
    for (const name of ['two', 'one'] as const) {
      const iss = encodeURIComponent(several.provider(name).issuer)
      const page = await app.browser().open(`${PATH}?iss=${iss}`)
      assert.equal(page.status, 200, String(app.errors))
      assert.equal(several.provider(name).calls['/authorize'], 1)
    }
    const page = await app.browser().open(`${PATH}?iss=${encodeURIComponent(stage.provider.issuer)}`)
    assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_INITIATE_LOGIN']])
  })
})

describe('an unsolicited ID Token (Q-23)', () => {
  for (const responseType of ['code', 'id_token', 'code id_token'] as const) {
    for (const state of [undefined, 'a'.repeat(43)]) {
      it(`is refused with ${state === undefined ? 'no' : 'an invented'} state, with responseType ${responseType}`, async () => {
        const source = await stage.startLoggedIn()
        const idToken = String((await source.browser.fetch('/id-token')).json()['token'])
        const app = await stage.start({ ...options, responseType, idTokenSignedResponseAlg: 'RS256' })
        const browser = app.browser()
        const fields = { id_token: idToken, iss: stage.provider.issuer, ...(state === undefined ? {} : { state }) }
        const page = await browser.post('/callback', fields, { from: stage.provider.issuer })
        assert.equal(page.status, 400)
        assert.deepEqual(codesOf(app), [
          state === undefined ? 'ERR_OIDC_STATE_MISSING' : 'ERR_OIDC_TRANSACTION_MISSING',
        ])
        await assertNobodyLoggedIn(app, browser)
        assert.equal(stage.provider.calls['/token'], 1)
      })
    }
  }

  it('changes nothing for a user who is logged in', async () => {
    const { app, browser } = await stage.startLoggedIn({ responseType: 'id_token' }, { routes: {} })
    const before = JSON.stringify(await app.records())
    const fields = { id_token: 'e30.e30.e30', state: 'a'.repeat(43) }
    const page = await browser.post('/callback', fields, { from: stage.provider.issuer })
    assert.deepEqual([page.status, page.url], [200, `${app.origin}/`])
    assert.deepEqual([JSON.stringify(await app.records()), app.errors], [before, []])
  })
})

describe('a login that another site starts in a real browser', { skip: skipWithoutChromium }, () => {
  const openPage = createChromiumPages()

  it('starts with a posted form, and keeps the existing session', async () => {
    const app = await stage.start(options)
    const form: Handler = (_req, res) => {
      const fields = { iss: stage.provider.issuer, target_link_uri: `${app.origin}/page?a=1` }
      const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`)
      res.setHeader('Content-Type', 'text/html')
      res.end(
        `<!doctype html><form method="post" action="${app.origin}${PATH}">${inputs.join('')}<button>Go</button></form>`,
      )
    }
    const portal = await stage.start({}, { hostname: 'localhost', routes: { '/portal': form } })
    const page = await openPage()
    await page.goto(`${app.origin}/write`)
    await page.goto(`${portal.origin}/portal`)
    await page.click('button')
    await page.waitForURL(`${app.origin}/page?a=1#`)
    await page.goto(`${app.origin}/session`)
    assert.match(await page.content(), /"cart":"book"/)
    assert.deepEqual([app.errors, stage.provider.complaints, await app.sessions()], [[], [], 1])
  })
})
