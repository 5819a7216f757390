import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it, mock } from 'node:test'
import { promisify } from 'node:util'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { anatomyPage } from '../../example-app/pages/anatomy.ts'
import { API_AUDIENCE, SCRIPT } from '../../example-app/provider/accounts.ts'
import { readSettings } from '../../example-app/settings.ts'
import { type Example, startExample } from '../../example-app/start.ts'
import { ROOT } from '../support/app/project.ts'
import { createStage, share } from '../support/app/stage.ts'
import { createBrowser, type Browser as PlainBrowser } from '../support/browser/browser.ts'
import { launchChromium, skipWithoutChromium } from '../support/browser/chromium.ts'
import { codeBlocks, filesBelow } from '../support/docs/code-blocks.ts'
import { sendJson } from '../support/servers/http-server.ts'
import { skipWithoutRedis, startRedis, type TestRedis } from '../support/servers/redis.ts'

const PASSWORDS = { alice: 'tide-table', bob: 'life-jacket', carol: 'spring-flood' } as const

const skipWithoutCurl = spawnSync('curl', ['--version']).status === 0 ? false : 'skipped: curl is not installed'

type Person = keyof typeof PASSWORDS

/** Says where the account is. */
async function choose(page: Page, provider: 'Harbourline Accounts' | 'Port of Fairhaven'): Promise<void> {
  await page.getByRole('link', { name: provider }).click()
}

/** Chooses the provider of this person where the app asks for it, and fills in the sign-in page there. */
async function signIn(page: Page, person: Person): Promise<void> {
  if (new URL(page.url()).pathname === '/choose') {
    await choose(page, person === 'carol' ? 'Port of Fairhaven' : 'Harbourline Accounts')
  }
  await page.getByLabel('User name').fill(person)
  await page.getByLabel('Password').fill(PASSWORDS[person])
  await page.getByRole('button', { name: 'Sign in' }).click()
}

/** Says yes on the provider's consent page. */
async function allow(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Allow' }).click()
}

const heading = (page: Page): Promise<string | null> => page.getByRole('heading', { level: 1 }).textContent()

describe('the example app', { skip: skipWithoutChromium }, () => {
  let example: Example
  let browser: Browser
  const contexts: BrowserContext[] = []
  const violations: string[] = []

  /** A person's browser: cookies of its own. What the pages' own policy blocks is a fault of ours, and noted. */
  async function openBrowser(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await browser.newContext(options)
    context.setDefaultTimeout(60_000)
    context.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) violations.push(message.text())
    })
    contexts.push(context)
    return context
  }

  /** Where the provider of this name is. */
  function issuerOf(provider: 'harbourline' | 'fairhaven'): string {
    return example.providers.find(({ name }) => name === provider)?.issuer ?? assert.fail()
  }

  /** A page of the app in a browser where nobody has signed in yet. */
  async function open(path: string): Promise<Page> {
    const context = await openBrowser()
    const page = await context.newPage()
    await page.goto(example.baseUrl + path)
    return page
  }

  /** Three tabs on the profile, opened at the same moment. */
  function openTabs(context: BrowserContext): Promise<Page[]> {
    const openTab = async (): Promise<Page> => {
      const page = await context.newPage()
      await page.goto(`${example.baseUrl}/profile`)
      return page
    }
    return Promise.all(Array.from({ length: 3 }, openTab))
  }

  async function assertOnProfile(pages: readonly Page[]): Promise<void> {
    for (const page of pages) {
      // A silent login adds no fragment.
      await page.waitForURL((url) => url.href.replace(/#$/, '') === `${example.baseUrl}/profile`)
      assert.equal(await heading(page), 'Bob Brown')
    }
  }

  before(async () => {
    example = await startExample(readSettings({ PORT: '0', PROVIDER_PORT: '0', PARTNER_PORT: '0' }))
    const launched = await launchChromium()
    assert.ok(launched)
    browser = launched
  })

  afterEach(async () => {
    mock.timers.reset()
    await Promise.all(contexts.splice(0).map((context) => context.close()))
    assert.deepEqual(violations.splice(0), [])
  })

  after(async () => {
    await browser?.close()
    await example?.close()
  })

  it('lets a script of a page call the API, and sends Bob to log in and back to that page first', async () => {
    const page = await open('/api')
    await page.getByText('You are not signed in.').waitFor()
    await page.getByRole('button', { name: 'Call it without the session' }).click()
    await page.getByRole('status').getByText('401').waitFor()
    await page.getByRole('button', { name: 'Call the API' }).click()
    await page.waitForURL((url) => url.pathname === '/choose')
    await signIn(page, 'bob')
    await allow(page)
    await page.getByText('You are Bob Brown.').waitFor()
    assert.equal(new URL(page.url()).pathname, '/api')
    await page.getByRole('button', { name: 'Call the API' }).click()
    await page.getByRole('status').getByText('authenticated by session').waitFor()
    await page.getByRole('button', { name: 'Call it without the session' }).click()
    await page.getByRole('status').getByText('401').waitFor()
    assert.equal(await page.locator('#command').textContent(), example.apiCommand)
  })

  it('brings Bob back to the profile that he asked for, shows him what he may see, and signs him out', async () => {
    const page = await open('/profile')
    const secrets: string[] = []
    page.context().on('request', (request) => {
      const { searchParams } = new URL(request.url())
      secrets.push(...['state', 'nonce', 'code', 'code_challenge'].flatMap((name) => searchParams.getAll(name)))
    })
    assert.equal(await heading(page), 'Where is your account?')
    assert.equal(await page.getByRole('banner').getByRole('link', { name: 'Sign in' }).count(), 0)
    await choose(page, 'Harbourline Accounts')
    assert.equal(new URL(page.url()).origin, issuerOf('harbourline'))
    await signIn(page, 'bob')
    await allow(page)
    await assertOnProfile([page])
    const about = page.getByRole('region', { name: 'About you' })
    assert.deepEqual(await about.locator('td').allInnerTexts(), [
      'Bob Brown',
      'Bob',
      'Brown',
      'bob',
      'bob@harbourline.example',
      'Yes',
      'staff',
    ])
    const allowed = page.getByRole('region', { name: 'What you allowed' }).locator('.chip')
    assert.deepEqual(await allowed.allInnerTexts(), ['openid', 'profile', 'email', 'groups', 'reports:read'])
    const times = await page.getByRole('region', { name: 'Time left' }).locator('time').allInnerTexts()
    assert.equal(times.length, 2)
    assert.match(times.join(), /^in (1 day|23 hours),in (1 hour|59 minutes)$/)
    assert.doesNotMatch(await page.content(), /eyJ/)

    await page.getByRole('link', { name: 'See how this sign-in went' }).click()
    assert.equal(await heading(page), 'Anatomy of your sign-in')
    const steps = await page
      .getByRole('region', { name: 'The way there and back' })
      .getByRole('heading')
      .allInnerTexts()
    assert.match(
      steps.join(),
      /You asked for \/profile.*goes to Harbourline Accounts.*redeems the code.*A new session/s,
    )
    const anatomy = await page.content()
    assert.doesNotMatch(anatomy, /eyJ/)
    assert.ok(secrets.length >= 5)
    for (const secret of secrets) assert.ok(!anatomy.includes(secret))

    const answer = await page.goto(`${example.baseUrl}/admin`)
    assert.equal(answer?.status(), 403)
    assert.equal(await heading(page), 'This page is for admins')
    await page.getByRole('link', { name: 'See your groups' }).click()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByText('You are signed out.').waitFor()
    assert.deepEqual([new URL(page.url()).pathname, await page.title()], ['/signed-out', 'Signed out · Harbourline'])
    await page.goto(`${example.baseUrl}/admin`)
    await signIn(page, 'alice')
    await allow(page)
    assert.equal(page.url(), `${example.baseUrl}/admin#`)
    assert.equal(await heading(page), 'People and groups')
  })

  it('asks Carol for her password once more, at the provider of the port, before money moves, and signs her out there', async () => {
    const page = await open('/refunds')
    await choose(page, 'Port of Fairhaven')
    assert.equal(new URL(page.url()).origin, issuerOf('fairhaven'))
    await signIn(page, 'carol')
    await allow(page)
    assert.equal(await heading(page), 'Refunds to approve')
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 300_000 })
    await page.getByRole('button', { name: 'Approve the refund for Ida Holm' }).click()
    assert.equal(new URL(page.url()).origin, issuerOf('fairhaven'))
    assert.equal(await heading(page), 'Is it still you?')
    await page.getByLabel('Password').fill(PASSWORDS.carol)
    await page.getByRole('button', { name: 'Sign in' }).click()
    assert.equal(page.url(), `${example.baseUrl}/refunds#`)
    assert.equal(await page.getByText('Approved').count(), 0)
    await page.getByRole('button', { name: 'Approve the refund for Ida Holm' }).click()
    await page.getByText('Approved').waitFor()
    assert.equal(await page.getByRole('button', { name: 'Approve' }).count(), 2)
    await page.goto(`${example.baseUrl}/profile`)
    await page.getByText('Profile at Port of Fairhaven').waitFor()
    const signOut = page.waitForRequest((request) => request.url().startsWith(`${issuerOf('fairhaven')}/session/end`))
    await page.getByRole('button', { name: 'Sign out' }).click()
    await signOut
    await page.getByText('You are signed out.').waitFor()
    await page.goto(`${example.baseUrl}/login?provider=fairhaven`)
    assert.equal(await heading(page), 'Sign in')
  })

  it('notices at the profile, a minute later, that Bob is signed out at the provider', async () => {
    const page = await open('/profile')
    await signIn(page, 'bob')
    await allow(page)
    const authorized = (): Promise<unknown> =>
      page.waitForRequest((request) => new URL(request.url()).searchParams.get('prompt') === 'none')
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 })
    await Promise.all([authorized(), page.reload()])
    await assertOnProfile([page])
    await page.goto(`${example.baseUrl}/anatomy`)
    // The check of the session is not the sign-in.
    await page.getByRole('heading', { name: 'You asked for /profile' }).waitFor()
    assert.equal(await page.getByText('prompt', { exact: true }).count(), 0)
    await page.goto(`${example.baseUrl}/profile`)
    await page.context().clearCookies({ name: /^_harbourline_session/ })
    mock.timers.tick(61_000)
    await Promise.all([authorized(), page.reload()])
    assert.equal(await heading(page), 'Where is your account?')
    await page.goto(`${example.baseUrl}/`)
    assert.equal(await page.getByRole('button', { name: 'Sign out' }).count(), 0)
  })

  it('asks again after a wrong password, and lets those try again who refuse', async () => {
    const page = await open('/profile')
    await choose(page, 'Harbourline Accounts')
    await page.getByLabel('User name').fill('bob')
    await page.getByLabel('Password').fill('guess')
    await page.getByRole('button', { name: 'Sign in' }).click()
    assert.equal(await page.getByRole('alert').textContent(), 'That name and password do not match.')
    await signIn(page, 'bob')
    await page.getByRole('button', { name: 'Refuse' }).click()
    assert.equal(await heading(page), 'Sign-in was cancelled')
    await page.getByRole('link', { name: 'Try again' }).click()
    await choose(page, 'Harbourline Accounts')
    await allow(page)
    await assertOnProfile([page])
  })

  it('keeps the reports closed until the user allows them', async () => {
    const page = await open('/reports')
    await signIn(page, 'bob')
    await page.getByLabel('Read reports for you').uncheck()
    await allow(page)
    assert.equal(await heading(page), 'Reports need your permission')
    await page.getByRole('link', { name: 'Choose what to allow' }).click()
    await allow(page)
    assert.equal(page.url(), `${example.baseUrl}/reports#`)
    assert.equal(await heading(page), 'Traffic report')
  })

  it('explains a callback that no login began, and an address that is none', async () => {
    const visitor = createBrowser({ origin: example.baseUrl })
    const callback = await visitor.open('/callback/harbourline?code=made-up&state=made-up')
    assert.match(callback.body, /<h1>Sign-in did not work<\/h1>/)
    const missing = await visitor.open('/nowhere')
    assert.equal(missing.status, 404)
    assert.match(missing.body, /<h1>No such page<\/h1>/)
  })

  it('signs in each of three tabs that are restored at once', async () => {
    const tabs = await openTabs(await openBrowser())
    for (const tab of tabs) {
      await choose(tab, 'Harbourline Accounts')
      assert.equal(await heading(tab), 'Sign in')
    }
    const [first, ...others] = tabs
    assert.ok(first)
    await signIn(first, 'bob')
    await allow(first)
    await assertOnProfile([first])
    // The provider remembers what was allowed; the pages that already asked for a password still want it.
    for (const tab of others) await signIn(tab, 'bob')
    await assertOnProfile(tabs)
  })

  it('shows restored tabs signed in once one has signed in, and without a password where only the session of the app was lost', async () => {
    const context = await openBrowser()
    const tabs = await openTabs(context)
    const [last] = tabs.slice(-1)
    assert.ok(last)
    await signIn(last, 'bob')
    await allow(last)
    const restored = tabs.slice(0, -1)
    await Promise.all(restored.map((tab) => tab.goto(`${example.baseUrl}/profile`)))
    await assertOnProfile(tabs)
    await context.clearCookies({ name: 'harbourline' })
    await context.clearCookies({ name: /^oidc-landed/ })
    await Promise.all(tabs.map((tab) => tab.goto(`${example.baseUrl}/profile`)))
    for (const tab of tabs) await choose(tab, 'Harbourline Accounts')
    await assertOnProfile(tabs)
  })

  it('is accessible and fits the window on every page: light, dark, and 390 pixels wide', async () => {
    const page = await (await openBrowser({ viewport: { width: 1200, height: 800 } })).newPage()
    const faults: string[] = []
    const inspect = async (name: string): Promise<void> => {
      faults.push(...(await inspectPage(page)).map((fault) => `${name}, ${fault}`))
    }
    const visit = async (path: string): Promise<void> => {
      await page.goto(new URL(path, example.baseUrl).href)
      await inspect(path)
    }
    await visit('/')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate('document.activeElement.id'), 'main')
    await visit('/signed-out')
    await visit('/api')
    await visit(`${issuerOf('harbourline')}/session/end`)
    await visit('/choose?returnTo=/anatomy')
    await choose(page, 'Port of Fairhaven')
    await inspect('sign-in at the port')
    await page.goBack()
    await choose(page, 'Harbourline Accounts')
    await inspect('sign-in')
    await signIn(page, 'alice')
    await inspect('consent')
    await allow(page)
    await inspect('anatomy')
    for (const path of ['/', '/profile', '/reports', '/admin', '/refunds', '/no-such-page']) await visit(path)
    await page.goto(`${example.baseUrl}/api`)
    await page.getByRole('button', { name: 'Call the API' }).click()
    await page.getByRole('status').getByText('200').waitFor()
    await inspect('API with a response')
    assert.deepEqual(faults, [])
    await page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    await page.evaluate("document.querySelector('pre').style.whiteSpace = 'pre'")
    await page.evaluate("document.querySelector('pre').append('x'.repeat(500))")
    assert.match((await inspectPage(page)).join(), /phone: PRE\S* cuts off.*light: image-alt/)
  })
})

/** Rules of axe-core that look at colours: these find the same on a phone, and the others find the same in the dark. */
const COLOURS = ['color-contrast', 'link-in-text-block']
const WITHOUT_COLOURS = Object.fromEntries(COLOURS.map((rule) => [rule, { enabled: false }]))
const ALL = { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }
const AXE = readFileSync(`${ROOT}node_modules/axe-core/axe.min.js`, 'utf8')

/** Runs in the page: the elements that hide a part of what is in them, or show it only to those who scroll sideways. */
const CUT_OFF = `[...document.querySelectorAll('body *')]
  .filter((one) => getComputedStyle(one).overflowX !== 'visible' && one.clientWidth > 1)
  .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth + 1)
  .map(({ tagName, className }) => tagName + '.' + className + ' cuts off what is in it')`

/** What axe-core finds on this page in three looks, and by how much it is too wide. */
async function inspectPage(page: Page): Promise<readonly string[]> {
  // Not as a script of the page, which its Content-Security-Policy forbids.
  await page.evaluate(AXE)
  const looks = [
    { look: 'dark', width: 1200, colorScheme: 'dark', options: { runOnly: { type: 'rule', values: COLOURS } } },
    { look: 'phone', width: 390, colorScheme: 'light', options: { runOnly: ALL, rules: WITHOUT_COLOURS } },
    { look: 'light', width: 1200, colorScheme: 'light', options: { runOnly: ALL } },
  ] as const
  const faults: string[] = []
  for (const { look, width, colorScheme, options } of looks) {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize({ width, height: 800 })
    const found = await page.evaluate<
      string[]
    >(`axe.run(document, ${JSON.stringify({ ...options, resultTypes: ['violations'], preload: false })})
      .then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ' at ' + target)))`)
    const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth')
    const cut = await page.evaluate<string[]>(CUT_OFF)
    faults.push(
      ...[...found, ...cut, ...(overflow > 0 ? [`${overflow} pixels too wide`] : [])].map(
        (fault) => `${look}: ${fault}`,
      ),
    )
  }
  return faults
}

describe('the API of the example app', () => {
  const running = share(async () => {
    const example = await startExample(readSettings({ PORT: '0', PROVIDER_PORT: '0', PARTNER_PORT: '0' }))
    return { ...example, stop: example.close }
  })
  const call = (headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
    fetch(`${running().baseUrl}/api/v1/traffic`, { headers })

  async function requestToken(params: Readonly<Record<string, string>>): Promise<string> {
    const response = await fetch(`${running().providers[0]?.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${SCRIPT.clientId}:${SCRIPT.clientSecret}`)}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...params }),
    })
    return String(Object(await response.json()).access_token)
  }

  it('answers the command that the terminal prints, which contains no secret', { skip: skipWithoutCurl }, async () => {
    const { apiCommand = '' } = running()
    assert.doesNotMatch(apiCommand, new RegExp(`eyJ|${SCRIPT.clientSecret}`))
    const { stdout } = await promisify(execFile)('sh', ['-c', apiCommand.replace('curl', 'curl -s')], { cwd: ROOT })
    const { authenticatedBy, sub, passengers } = JSON.parse(stdout)
    assert.deepEqual([authenticatedBy, sub, passengers.Jul], ['access_token', SCRIPT.clientId, 131_700])
  })

  it('takes a token with the scope, and refuses what is none', async () => {
    const good = await requestToken({ resource: API_AUDIENCE, scope: SCRIPT.scope })
    const accepted = await call({ authorization: `Bearer ${good}` })
    assert.deepEqual([accepted.status, Object(await accepted.json()).authenticatedBy], [200, 'access_token'])
    const withoutScope = await requestToken({ resource: API_AUDIENCE })
    const opaque = await requestToken({ scope: SCRIPT.scope })
    for (const [token, status, error] of [
      [withoutScope, 403, 'insufficient_scope'],
      [opaque, 401, 'invalid_token'],
      [`${good}x`, 401, 'invalid_token'],
    ] as const) {
      const { status: received, headers } = await call({ authorization: `Bearer ${token}` })
      assert.deepEqual([received, headers.get('www-authenticate')?.includes(`error="${error}"`)], [status, true])
    }
    const anonymous = await call()
    assert.deepEqual(
      [anonymous.status, anonymous.headers.get('content-type')?.split(';')[0]],
      [401, 'application/json'],
    )
  })

  it('issues no token for another API', async () => {
    assert.equal(await requestToken({ resource: 'https://other.example', scope: SCRIPT.scope }), 'undefined')
  })
})

describe('the example app at a provider of somebody else', () => {
  const stage = createStage()

  it('asks nobody to choose, and comes back to the callback of a provider that is alone', async () => {
    const { issuer, clientId, clientSecret } = stage.provider
    const env = { PORT: '0', ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret }
    const example = await startExample(readSettings(env))
    try {
      const browser = createBrowser({ origin: example.baseUrl })
      const page = await browser.open('/profile')
      assert.deepEqual([page.status, page.url], [200, `${example.baseUrl}/profile`])
      const [asked] = stage.provider.authorizationRequests
      assert.equal(asked?.get('redirect_uri'), `${example.baseUrl}/callback`)
      assert.deepEqual([example.isEmbedded, stage.provider.complaints], [false, []])
      const hostile = await browser.open(`/choose?returnTo=${encodeURIComponent('"><script>alert(1)</script>')}`)
      assert.doesNotMatch(hostile.body, /<script/)
    } finally {
      await example.close()
    }
  })
})

describe('the example app, whose code people copy', () => {
  const stage = createStage()
  const SESSION_SECRET = 'the-session-secret-of-32-characters'
  const OIDC_SECRET = 'another-secret-of-thirty-two-chars'

  async function start(env: Readonly<Record<string, string>> = {}): Promise<Example> {
    const { issuer, clientId, clientSecret } = stage.provider
    const client = { ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret }
    return closeLater(await startExample(readSettings({ PORT: '0', ...client, ...env })))
  }

  function closeLater(example: Example): Example {
    stage.stopLater({ stop: example.close })
    return example
  }

  describe('N-55: approves a refund only from its own page', () => {
    /** Another port is the same site, so the cookies of the app are sent with its requests. */
    const SIBLING = 'http://localhost:1'
    const approvals = async (browser: PlainBrowser): Promise<number> =>
      (await browser.open('/refunds')).body.split('Approved').length - 1

    async function post(
      headers: Readonly<Record<string, string>>,
    ): Promise<readonly [status: number, approved: number]> {
      const { baseUrl } = await start()
      // It sends no Sec-Fetch-* headers of its own.
      const browser = createBrowser({ origin: baseUrl, fetchMetadata: 'absent' })
      await browser.open('/refunds')
      const sent = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value || baseUrl]))
      const { status } = await browser.post('/refunds', { number: '2041' }, { headers: sent, follow: false })
      return [status, await approvals(browser)]
    }

    const allowed: Record<string, Readonly<Record<string, string>>> = {
      'with Sec-Fetch-Site: same-origin': { 'sec-fetch-site': 'same-origin' },
      'of an older browser, with Origin alone': { origin: '' },
    }
    for (const [name, headers] of Object.entries(allowed)) {
      it(`N-55: accepts a form of its own page ${name}`, async () => {
        assert.deepEqual(await post(headers), [303, 1])
      })
    }

    const refused: Record<string, Readonly<Record<string, string>>> = {
      'of a sibling sub-domain': { 'sec-fetch-site': 'same-site', origin: 'https://blog.example.com' },
      'of another port of this host': { 'sec-fetch-site': 'same-site', origin: 'http://localhost:1' },
      'of another site': { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
      'whose Sec-Fetch-Site contradicts its Origin': { 'sec-fetch-site': 'cross-site', origin: '' },
      'of an older browser on a sibling sub-domain': { origin: 'http://blog.localhost' },
      'of an older browser in a sandboxed frame': { origin: 'null' },
      'whose origin only begins like its own': { origin: 'http://localhost' },
    }
    for (const [name, headers] of Object.entries(refused)) {
      it(`N-55: refuses a form ${name}`, async () => {
        assert.deepEqual(await post(headers), [403, 0])
      })
    }

    it('N-55: refuses every other method and path that could change something, and shows a page', async () => {
      const { baseUrl } = await start()
      const browser = createBrowser({ origin: baseUrl })
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
        const { status } = await browser.fetch('/profile', { method, from: SIBLING })
        assert.equal(status, 403, method)
      }
      const page = await browser.post('/refunds', { number: '2041' }, { from: SIBLING })
      assert.match(page.body, /<h1>That form was not ours<\/h1>/)
    })

    it('N-55: signs in at the embedded provider only from its own page', async () => {
      const ports = { PORT: '0', PROVIDER_PORT: '0', PARTNER_PORT: '0' }
      const example = closeLater(await startExample(readSettings(ports)))
      const browser = createBrowser({ origin: example.baseUrl })
      const signIn = await browser.open('/login?provider=harbourline')
      const account = { name: 'bob', password: PASSWORDS.bob }
      const [action = ''] = /\/interaction\/[^"]+\/sign-in/.exec(signIn.body) ?? []
      const planted = await browser.post(new URL(action, signIn.url).href, account, { from: SIBLING })
      assert.equal(planted.status, 403)
      assert.match((await browser.submit(signIn, account)).body, /Allow Harbourline Reports\?/)
    })
  })

  describe('N-55: encrypts logins with another secret than the one that signs its session cookie', () => {
    async function finishAfterRestart(first: string, second: string): Promise<number> {
      const before = await startExample(readSettings({ ...env(), PORT: '0', SESSION_SECRET, OIDC_SECRET: first }))
      const browser = createBrowser({ origin: before.baseUrl })
      const login = await browser.open('/profile', { stopBefore: (url) => url.pathname === '/callback' })
      await before.close()
      const changed = { SESSION_SECRET: `changed-${SESSION_SECRET}`, OIDC_SECRET: second }
      await start({ PORT: new URL(before.baseUrl).port, ...changed })
      return (await browser.go(login.next)).status
    }
    const env = (): Record<string, string> => {
      const { issuer, clientId, clientSecret } = stage.provider
      return { ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret }
    }

    it('N-55: a login in progress survives a new session secret, but not a new secret of its own', async () => {
      assert.equal(await finishAfterRestart(OIDC_SECRET, OIDC_SECRET), 200)
      assert.equal(await finishAfterRestart(OIDC_SECRET, `changed-${OIDC_SECRET}`), 400)
    })

    it('N-55: the settings make two secrets, and refuse one for both', () => {
      const { sessionSecret, oidcSecret } = readSettings({})
      assert.notEqual(sessionSecret, oidcSecret)
      const same = { SESSION_SECRET, OIDC_SECRET: SESSION_SECRET }
      assert.throws(() => readSettings(same), /^SettingsError: OIDC_SECRET must/)
    })
  })

  describe('N-55: shows claims of any type', () => {
    const unusual: readonly unknown[] = [
      null,
      '',
      ' ',
      0,
      -1.5,
      true,
      {},
      { toString: 'x' },
      [],
      [['a']],
      ['a', 1],
      1e300,
      '<b>',
    ]
    const names = [
      'name',
      'preferred_username',
      'email',
      'email_verified',
      'groups',
      'updated_at',
      'constructor',
      '__proto__',
    ]

    it('N-55: on each page and on the error page', async () => {
      const { baseUrl } = await start()
      for (const value of unusual) {
        // JSON.parse makes a member of `__proto__`, as it does for an ID Token.
        const changed = JSON.parse(`{${names.map((name) => `"${name}":${JSON.stringify(value)}`).join()}}`)
        stage.provider.change.idTokenClaims = (claims) => ({ ...claims, ...changed })
        const browser = createBrowser({ origin: baseUrl })
        for (const [path, status] of [
          ['/profile', 200],
          ['/anatomy', 200],
          ['/', 200],
          ['/refunds', 200],
          ['/admin', 403],
          ['/no-page', 404],
        ] as const) {
          const page = await browser.open(path)
          assert.equal(page.status, status, `${path} with ${JSON.stringify(value)}`)
          assert.match(page.body, /<\/html>/)
          assert.doesNotMatch(page.body, /undefined|\[object Object\]|<b><\/td>/)
        }
      }
    })

    it('shows how a login went, without a token, code, state or nonce', async () => {
      const { baseUrl } = await start()
      const secrets: string[] = []
      stage.provider.change.tokenResponse = (json) => {
        secrets.push(...['access_token', 'id_token', 'refresh_token'].flatMap((name) => String(json[name] ?? '') || []))
        return json
      }
      stage.provider.change.authorizationResponse = (params) => {
        secrets.push(...params.getAll('code'), ...params.getAll('state'))
        return params
      }
      const page = await createBrowser({ origin: baseUrl }).open('/anatomy')
      const [asked] = stage.provider.authorizationRequests
      secrets.push(...['state', 'nonce', 'code_challenge'].map((name) => asked?.get(name) ?? assert.fail(name)))
      assert.match(page.body, /You asked for \/anatomy.*PKCE with S256.*When what expires/s)
      assert.ok(secrets.length >= 7)
      for (const secret of secrets) assert.ok(!page.body.includes(secret))
    })

    it('shows less of a login whose start another process has seen, and says if it has seen none', () => {
      const claims = { iss: 'https://id.example', sub: 'alice', aud: 'app', iat: 1000, exp: 4600 }
      const known = { visitor: { name: 'Alice', email: undefined }, claims, providerTitle: 'Accounts' }
      const times = { expiresAt: 9000, accessTokenExpiresAt: undefined, now: 1200 }
      const record = { returnedAt: 1_000_000, finishedAt: 1_000_300, requests: [], returned: [], algorithm: 'ES256' }
      const half = anatomyPage({ ...known, ...times, record })
      assert.match(half, /Redirect back to the app.*ES256/s)
      assert.doesNotMatch(half, /You asked for|PKCE|undefined|NaN/)
      const none = anatomyPage({ ...known, ...times, record: undefined })
      assert.match(none, /did not see how you signed in.*When what expires/s)
      assert.doesNotMatch(none, /What was checked/)
    })

    it('N-55: greets by the first claim that is a name', async () => {
      const { baseUrl } = await start()
      const claims = { name: { first: 'Alice' }, preferred_username: '', email: 'alice@example.com' }
      stage.provider.change.idTokenClaims = (good) => ({ ...good, ...claims })
      const page = await createBrowser({ origin: baseUrl }).open('/profile')
      assert.match(page.body, /<h1>alice@example.com<\/h1>/)
    })
  })
})

describe('the documentation of ready()', () => {
  it('N-57: shows listen() before it', () => {
    const files = ['README.md', ...filesBelow('docs', '.md'), ...filesBelow('lib', '.ts')]
    const blocks = files.flatMap(codeBlocks).filter(({ code }) => code.includes('.ready()'))
    assert.ok(blocks.length >= 2)
    for (const { file, line, code } of blocks) {
      const listening = code.indexOf('.listen(')
      assert.ok(listening >= 0 && listening < code.indexOf('.ready()'), `${file}:${line}`)
    }
  })
})

describe('the example app at a provider that does not know it', () => {
  const stage = createStage({ provider: { registration: 'open' } })
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'harbourline-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('N-57: responds to requests before it registers itself, because the provider may fetch its keys at once', async () => {
    let status: number | undefined
    stage.provider.change.raw['/register'] = async (_req, res) => {
      const [redirectUri] = JSON.parse(stage.provider.requests.at(-1)?.body ?? '').redirect_uris
      const home = await fetch(new URL('/', redirectUri), { signal: AbortSignal.timeout(5_000) }).catch(() => undefined)
      status = home?.status
      sendJson(res, 400, { error: 'invalid_client_metadata' })
    }
    const env = { PORT: '0', ISSUER: stage.provider.issuer, CLIENT_STORE: join(folder, 'refused') }
    await assert.rejects(startExample(readSettings(env)), { code: 'ERR_OIDC_REGISTRATION_REFUSED' })
    assert.equal(status, 200)
  })

  it('registers itself, and is the same client after a restart', async () => {
    const env = { PORT: '0', ISSUER: stage.provider.issuer, CLIENT_STORE: folder }
    const ids: unknown[] = []
    const first = await startExample(readSettings(env))
    const settings = readSettings({ ...env, PORT: new URL(first.baseUrl).port })
    await logInAt(first)
    await first.close()
    const second = await startExample(settings)
    await logInAt(second)
    await second.close()
    assert.equal(stage.provider.calls['/register'], 1)
    assert.equal(new Set(ids).size, 1)

    async function logInAt({ baseUrl }: Example): Promise<void> {
      const page = await createBrowser({ origin: baseUrl }).open('/profile')
      assert.deepEqual([page.status, page.url], [200, `${baseUrl}/profile`])
      ids.push(stage.provider.authorizationRequests.at(-1)?.get('client_id'))
    }
  })
})

describe('two nodes of the example app with one Redis', { skip: skipWithoutRedis }, () => {
  const stage = createStage()
  let redis: TestRedis | undefined
  before(async () => {
    redis = await startRedis()
  })
  after(() => redis?.stop())

  it('share logins and logouts', async () => {
    const { issuer, clientId, clientSecret } = stage.provider
    const env = {
      ISSUER: issuer,
      CLIENT_ID: clientId,
      CLIENT_SECRET: clientSecret,
      SESSION_SECRET: 's'.repeat(32),
      OIDC_SECRET: 'o'.repeat(32),
    }
    const settings = { ...readSettings({ ...env, PORT: '0' }), redisUrl: `unix://${redis?.socketPath}` }
    const nodes = [await startExample(settings), await startExample(settings)] as const
    try {
      const browser = createBrowser({ origin: nodes[0].baseUrl })
      const statusAt = async (node: Example): Promise<number> => (await browser.fetch(`${node.baseUrl}/profile`)).status
      await browser.open('/profile')
      assert.deepEqual([await statusAt(nodes[0]), await statusAt(nodes[1])], [200, 200])
      await browser.post(`${nodes[1].baseUrl}/logout`, {}, { from: nodes[1].baseUrl })
      assert.deepEqual([await statusAt(nodes[0]), await statusAt(nodes[1])], [401, 401])
    } finally {
      await Promise.all(nodes.map((node) => node.close()))
    }
  })
})

describe('the settings of the example app', () => {
  const SECRET = 'a-secret-of-thirty-two-characters'
  const wrong: ReadonlyArray<readonly [env: Record<string, string>, name: string]> = [
    [{ PORT: 'http' }, 'PORT'],
    [{ PORT: '65536' }, 'PORT'],
    [{ PROVIDER_PORT: '-1' }, 'PROVIDER_PORT'],
    [{ PARTNER_PORT: '3001x' }, 'PARTNER_PORT'],
    [{ BASE_URL: 'reports.example.com' }, 'BASE_URL'],
    [{ BASE_URL: 'https://example.com/reports' }, 'BASE_URL'],
    [{ ISSUER: 'https://login.example.com', CLIENT_SECRET: 'x' }, 'CLIENT_SECRET'],
    [{ ISSUER: 'login.example.com', CLIENT_ID: 'reports' }, 'ISSUER'],
    [{ CLIENT_ID: 'reports' }, 'CLIENT_ID'],
    [{ CLIENT_SECRET: 'secret' }, 'CLIENT_SECRET'],
    [{ SCOPE: 'openid' }, 'SCOPE'],
    [{ API_AUDIENCE: 'https://api.example.com' }, 'API_AUDIENCE'],
    [{ SESSION_SECRET: 'short' }, 'SESSION_SECRET'],
    [{ OIDC_SECRET: 'short' }, 'OIDC_SECRET'],
    [{ REDIS_URL: 'redis://localhost' }, 'REDIS_URL'],
    [{ REDIS_URL: 'redis://localhost', SESSION_SECRET: SECRET }, 'REDIS_URL'],
    [{ REDIS_URL: 'redis://localhost', OIDC_SECRET: SECRET }, 'REDIS_URL'],
    [{ REDIS_URL: 'http://localhost', SESSION_SECRET: SECRET }, 'REDIS_URL'],
  ]

  for (const [env, name] of wrong) {
    it(`refuses ${JSON.stringify(env)} in one sentence that begins with ${name}`, () => {
      assert.throws(() => readSettings(env), { name: 'SettingsError', message: new RegExp(`^${name} [^.]+\\.$`) })
    })
  }

  it('starts the embedded providers where no issuer is set', () => {
    const { client, port, providerPort, partnerPort, baseUrl } = readSettings({})
    assert.deepEqual(
      { client, port, providerPort, partnerPort, baseUrl },
      { client: undefined, port: 3000, providerPort: 3001, partnerPort: 3002, baseUrl: undefined },
    )
  })

  it('takes an empty variable for one that is not set', () => {
    assert.equal(readSettings({ ISSUER: '', CLIENT_ID: '', BASE_URL: '', PORT: '' }).client, undefined)
  })

  it('takes the registration at another provider', () => {
    const env = {
      ISSUER: 'https://login.example.com',
      CLIENT_ID: 'reports',
      CLIENT_SECRET: 'secret',
      BASE_URL: 'https://reports.example.com/',
    }
    const { client, baseUrl } = readSettings(env)
    assert.equal(baseUrl, 'https://reports.example.com')
    assert.deepEqual(client, {
      issuer: 'https://login.example.com',
      clientId: 'reports',
      clientSecret: 'secret',
      scope: undefined,
      clientStore: '.harbourline',
      apiAudience: undefined,
      initialAccessToken: undefined,
    })
  })
})
