import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Page as ChromiumPage } from 'playwright-core'
import { type Browser, createBrowser, type Page } from '../support/browser/browser.ts'
import { skipWithoutChromium } from '../support/browser/chromium.ts'
import { createChromiumPages } from '../support/browser/chromium-pages.ts'
import { readText } from '../support/docs/code-blocks.ts'
import {
  compile,
  createFrameworkProjects,
  type Files,
  type FrameworkProjects,
  filesOfGuide,
  installedFile,
  runNode,
  skipWithoutFrameworks,
  withApp,
} from '../support/docs/framework-projects.ts'
import { freePort } from '../support/docs/started-app.ts'
import { startConnectProxy } from '../support/servers/connect-proxy.ts'
import { listen, sendJson } from '../support/servers/http-server.ts'
import { LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

/** What `nest new` writes, of what changes the compiled code or its types. */
const NEST_SETTINGS = {
  ...{ module: 'nodenext', moduleResolution: 'nodenext', target: 'ES2023', types: ['node'] },
  ...{ emitDecoratorMetadata: true, experimentalDecorators: true, isolatedModules: true, esModuleInterop: true },
  ...{ strict: true, strictPropertyInitialization: false, skipLibCheck: true, outDir: './dist', rootDir: './src' },
}

/** For JavaScript, whose parameters have no types. */
const JAVASCRIPT_SETTINGS = {
  ...{ module: 'esnext', moduleResolution: 'bundler', target: 'es2022', types: ['node'], jsx: 'react-jsx' },
  ...{ allowJs: true, checkJs: true, strict: true, noImplicitAny: false, skipLibCheck: true, noEmit: true },
}

/** The development server, which says where it listens in colors of its own. */
const VITE_PROGRAM = `
import { createServer } from 'vite'
const server = await createServer()
await server.listen()
console.log('Open http://localhost:' + server.config.server.port)
`

/** What the block of the guide leaves to its reader: an app, its options, and to listen. */
const CODE_BEFORE_AGENT = `
import express from 'express'
import session from 'express-session'
import { oidc } from 'express-oidc'
const app = express()
const [baseUrl, secret] = ['http://localhost:3000', 'a secret that is long enough for anyone']
const client = { clientId: 'app', clientSecret: 'a secret', baseUrl, dangerouslyAllowInsecureRequests: true }
const options = { issuer: String(process.env.ISSUER), ...client, secret }
app.use(session({ secret, resave: false, saveUninitialized: false }))
`
const CODE_BEHIND_AGENT = `
const server = app.listen(0, () => console.log('Open http://localhost:' + Object(server.address()).port))
`

/** Replaces a text that must be there. */
function replaceIn(files: Files, name: string, from: string | RegExp, to: string): Files {
  const text = files.get(name) ?? assert.fail(`no ${name}`)
  const changed = text.replaceAll(from, to)
  assert.notEqual(changed, text, `${from} in ${name}`)
  return new Map([...files, [name, changed]])
}

/** Opens a page that needs a login, and signs in as the guide says. */
async function signIn(browser: Browser, path: string): Promise<Page> {
  const form = await browser.open(path)
  assert.match(form.body, /name="username"/)
  return browser.submit(form, { username: 'alice', password: 'any' })
}

/** Pages that wait while a development server compiles what they open. */
function createPatientPages(): () => Promise<ChromiumPage> {
  const openPage = createChromiumPages()
  return async () => {
    const page = await openPage()
    page.setDefaultTimeout(60_000)
    return page
  }
}

/** Fills the sign-in page of the test provider. */
async function signInWith(page: ChromiumPage): Promise<void> {
  await page.getByRole('textbox').first().fill('alice')
  await page.getByRole('button', { name: 'Sign in' }).click()
}

/** The metadata of a provider whose issuer is the host of the request. */
function sendMetadata({ headers }: IncomingMessage, res: ServerResponse): void {
  const issuer = `https://${headers.host}`
  const [authorization, token, jwks] = ['authorize', 'token', 'jwks'].map((path) => `${issuer}/${path}`)
  sendJson(res, 200, { issuer, authorization_endpoint: authorization, token_endpoint: token, jwks_uri: jwks })
}

async function assertRedirected(browser: Browser, path: string, headers: Record<string, string> = {}): Promise<void> {
  const { status, next } = await browser.open(path, { follow: false, headers })
  assert.equal(status, 303, path)
  assert.equal(new URL(next?.url ?? '').pathname, '/login')
}

describe('the guides of frameworks', { skip: skipWithoutFrameworks }, () => {
  let made: FrameworkProjects | undefined
  before(() => {
    made = createFrameworkProjects()
  })
  after(() => made?.remove())

  function projects(): FrameworkProjects {
    return made ?? assert.fail('the package is installed while tests run')
  }

  for (const [guide, name, version] of [
    ['nestjs', '@nestjs/core', /NestJS (\d+)/],
    ['nextjs', 'next', /Next\.js (\d+)/],
  ] as const) {
    it(`names the version that its code was run with: ${guide}`, () => {
      const installed: { readonly version: string } = JSON.parse(
        readText(`frameworks/node_modules/${name}/package.json`),
      )
      const [, major] = version.exec(readText(`docs/guides/${guide}.md`)) ?? []
      assert.equal(major, installed.version.split('.')[0])
    })
  }

  describe('NestJS', () => {
    const files = filesOfGuide('docs/guides/nestjs.md')

    /** Compiles the app, which checks its types, starts it, and calls `use`. */
    async function withNest(name: string, code: Files, use: (browser: Browser) => Promise<void>): Promise<void> {
      const port = await freePort()
      const listening = `listen(${port})\nconsole.log('Open http://localhost:${port}')`
      const main = replaceIn(replaceIn(code, 'main.ts', 'listen(3000)', listening), 'main.ts', '3000', String(port))
      const folder = projects().create(
        name,
        new Map([
          ['package.json', '{ "type": "module" }'],
          ['tsconfig.json', JSON.stringify({ compilerOptions: NEST_SETTINGS, include: ['src'] })],
          ...[...main].map(([file, text]) => [`src/${file}`, text] as const),
        ]),
      )
      compile(folder, '-p', '.')
      await withApp({ folder, args: ['dist/main.js'], env: {} }, (origin) => use(createBrowser({ origin })))
    }

    it('logs in, guards routes and what is below them, and shows our errors and its own', async () => {
      await withNest('nest', files, async (browser) => {
        for (const path of ['/profile', '/profile/', '/PROFILE', '/admin', '/admin/users']) {
          await assertRedirected(browser, path)
        }
        assert.match((await browser.open('/')).body, /Log in/)
        assert.equal((await browser.fetch('/profile')).status, 401)
        const callback = await browser.open('/callback?code=a&state=b')
        assert.equal(callback.status, 400)
        assert.match(callback.body, /<title>ERR_OIDC_TRANSACTION_MISSING/)
        const profile = await signIn(browser, '/profile')
        assert.equal(profile.json()['name'], 'Alice Example')
        assert.equal((await browser.open('/')).body, 'Welcome back')
        const admin = await browser.open('/admin')
        assert.equal(admin.status, 403)
        assert.match(admin.body, /<title>[^<]*No access/)
        const { status, body } = await browser.open('/none')
        assert.deepEqual([status, JSON.parse(body)['message']], [404, 'Cannot GET /none'])
      })
    })

    it('shows an error that a controller throws, too', async () => {
      const [guarded, thrown] = ["requireGroup('admins')", "'For administrators'"]
      const names = replaceIn(files, 'app.module.ts', 'requireGroup }', 'StepUpError }')
      const throwing = replaceIn(names, 'app.module.ts', `return ${thrown}`, 'throw new StepUpError({ maxAge: 60 })')
      await withNest('nest-throws', replaceIn(throwing, 'app.module.ts', guarded, 'requireAuth()'), async (browser) => {
        await signIn(browser, '/profile')
        await assertRedirected(browser, '/admin')
      })
    })

    it('answers with the status of our error without the filter', async () => {
      const without = replaceIn(files, 'main.ts', /^app\.useGlobalFilters.*\n/gm, '')
      await withNest('nest-without-filter', without, async (browser) => {
        assert.equal((await browser.open('/callback?code=a&state=b')).status, 400)
        await signIn(browser, '/profile')
        const admin = await browser.open('/admin')
        assert.deepEqual([admin.status, admin.json()['statusCode']], [403, 403])
      })
    })
  })

  describe('Next.js', { skip: skipWithoutChromium }, () => {
    const guide = filesOfGuide('docs/guides/nextjs.md')
    const openPage = createPatientPages()

    it('has types that fit', () => {
      const settings = JSON.stringify({ compilerOptions: JAVASCRIPT_SETTINGS, include: ['.'] })
      compile(projects().create('next-types', new Map([...guide, ['tsconfig.json', settings]])), '-p', '.')
    })

    it('renders the user behind the login, and no user that a client makes up', async () => {
      const port = await freePort()
      const code = replaceIn(guide, 'server.js', '3000', String(port))
      const folder = projects().create('next', new Map([...code, ['package.json', '{ "type": "module" }']]))
      const env = { NEXT_TELEMETRY_DISABLED: '1' }
      await withApp({ folder, args: ['server.js'], env }, async (origin) => {
        const browser = createBrowser({ origin })
        const forged = { 'x-user': encodeURIComponent('{"name":"evil"}') }
        await assertRedirected(browser, '/account', forged)
        const account = await signIn(browser, '/account')
        assert.equal(account.status, 200, account.body)
        assert.match(account.body.replaceAll('<!-- -->', ''), /<h1>Hello Alice Example<\/h1>/)
        const again = await browser.open('/account', { headers: forged })
        assert.match(again.body.replaceAll('<!-- -->', ''), /<h1>Hello Alice Example<\/h1>/)
        const left = await browser.submit(account)
        assert.deepEqual([left.status, new URL(left.url).pathname], [200, '/'])
        await assertRedirected(browser, '/account')
        const page = await openPage()
        await page.goto(origin)
        // Next.js fetches the data of the page, gets 401, and loads the page.
        await page.getByRole('link', { name: 'Your account' }).click()
        await signInWith(page)
        await page.getByRole('heading', { name: 'Hello Alice Example' }).waitFor()
        assert.equal(new URL(page.url()).pathname, '/account')
      })
    })
  })

  describe('an outbound proxy', () => {
    it('is used by the agent of the guide', async () => {
      const [, code = ''] = /^```js\n([\s\S]*?)^```$/m.exec(readText('docs/guides/outbound-proxy.md')) ?? []
      const provider = await listen(createServer(LOOPBACK_CERTIFICATE, sendMetadata))
      const proxy = await startConnectProxy()
      const origin = `https://localhost:${provider.port}`
      const whole = new Map([
        ['app.js', `${CODE_BEFORE_AGENT}${code}${CODE_BEHIND_AGENT}`],
        ['package.json', '{ "type": "module" }'],
        ['tsconfig.json', JSON.stringify({ compilerOptions: JAVASCRIPT_SETTINGS, include: ['app.js'] })],
        ['ca.pem', LOOPBACK_CERTIFICATE.cert],
      ])
      const folder = projects().create('proxy', replaceIn(whole, 'app.js', 'http://proxy.example.com:3128', proxy.url))
      compile(folder, '-p', '.')
      const env = { ISSUER: origin, NODE_EXTRA_CA_CERTS: 'ca.pem' }
      try {
        await withApp({ folder, args: ['app.js'], env }, async (app) => {
          const { next } = await createBrowser({ origin: app }).open('/login', { follow: false })
          assert.equal(new URL(next?.url ?? '').origin, origin)
        })
        assert.deepEqual([...new Set(proxy.tunnels)], [`localhost:${provider.port}`])
      } finally {
        await proxy.stop()
        await provider.stop()
      }
    })
  })

  describe('React with Vite', { skip: skipWithoutChromium }, () => {
    const guide = filesOfGuide('docs/guides/react-vite.md')
    const openPage = createPatientPages()

    /** The project of the guide: what `npm create vite` writes, and the files of the guide. */
    function createApp(name: string, files: Files): string {
      runNode(
        projects().folder,
        ...[installedFile('create-vite/index.js'), name, '--template', 'react-ts', '--no-interactive'],
      )
      return projects().create(name, files)
    }

    async function logIn(page: ChromiumPage, origin: string): Promise<void> {
      await page.goto(origin)
      await page.getByRole('link', { name: 'Log in' }).click()
      await signInWith(page)
      await page.getByRole('heading', { name: 'Hello Alice Example' }).waitFor()
      assert.deepEqual(await page.getByRole('listitem').allTextContents(), ['Tea'])
    }

    async function logOut(page: ChromiumPage, origin: string): Promise<void> {
      await page.getByRole('button', { name: 'Log out' }).click()
      await page.getByRole('link', { name: 'Log in' }).waitFor()
      assert.equal(new URL(page.url()).origin, origin)
    }

    it('logs in and out behind the development server', async () => {
      const [port, shown] = [await freePort(), await freePort()]
      const ofServer = replaceIn(
        replaceIn(guide, 'server.ts', '3000', String(port)),
        'server.ts',
        '5173',
        String(shown),
      )
      const server = replaceIn(ofServer, 'server.ts', /'Open .*'/g, `'Open http://localhost:${port}'`)
      const code = replaceIn(
        replaceIn(server, 'vite.config.ts', '3000', String(port)),
        'vite.config.ts',
        '5173',
        `${shown}`,
      )
      const folder = createApp('vite', new Map([...code, ['vite.mjs', VITE_PROGRAM]]))
      const page = await openPage()
      await withApp({ folder, args: ['--import', 'tsx', 'server.ts'], env: {} }, () =>
        withApp({ folder, args: ['vite.mjs'], env: {} }, async (origin) => {
          await logIn(page, origin)
          await logOut(page, origin)
        }),
      )
    })

    it('is built with its types checked, and logs in and out from Express', async () => {
      const port = String(await freePort())
      const own = replaceIn(replaceIn(guide, 'server.ts', '3000', port), 'server.ts', '5173', port)
      const folder = createApp('vite-built', own)
      const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      assert.equal(scripts.build, 'tsc -b && vite build')
      compile(folder, '-b')
      runNode(folder, installedFile('vite/bin/vite.js'), 'build')
      const page = await openPage()
      await withApp({ folder, args: ['--import', 'tsx', 'server.ts'], env: {} }, async (origin) => {
        await logIn(page, origin)
        await logOut(page, origin)
      })
    })
  })
})
