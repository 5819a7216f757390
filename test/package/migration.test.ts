import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { after, before, describe, it } from 'node:test'
import type express from 'express'
import * as bearerEntry from '../../lib/bearer.ts'
import * as library from '../../lib/index.ts'
import { startTestProvider, type TestProvider } from '../../lib/testing.ts'
import { type Browser, createBrowser } from '../support/browser/browser.ts'
import { loadApps } from '../support/docs/code-block-runner.ts'
import { type CodeBlock, codeBlocks, filesBelow, readText } from '../support/docs/code-blocks.ts'
import { DOCUMENTED_OPTIONS, membersOf } from '../support/docs/documented-options.ts'
import { optionsOfTypes, PEERS, type Peer } from '../support/docs/peer-options.ts'
import { installedFile, loadAppBefore, skipWithoutPeers } from '../support/docs/peer-programs.ts'
import { type Listening, listen } from '../support/servers/http-server.ts'

const OPTIONS = new Set(DOCUMENTED_OPTIONS.map(({ name }) => name))
const EXPORTS = new Set([...Object.keys(library), ...Object.keys(bearerEntry)])
const MEMBERS = new Set(
  ['OidcMethods', 'AuthenticatedContext', 'TokenContext'].flatMap(membersOf).map(({ name }) => name),
)
const SESSION_TYPES = readText('node_modules/@types/express-session/index.d.ts')
const SESSION_OPTIONS = new Set(optionsOfTypes(SESSION_TYPES, { SessionOptions: '' }))

function fileOf({ page }: Peer): string {
  return `docs/migration/${page}.md`
}

/** The cells of the tables below a heading of the second level. */
function tablesBelow(file: string, heading: string): readonly (readonly string[])[] {
  const [, section = ''] = readText(file).split(`\n## ${heading}\n`)
  const [text = ''] = section.split(/^## /m)
  const rows = text.split('\n').filter((line) => line.startsWith('| ') && /^\| `|`/.test(line))
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

function codeIn(text: string): readonly string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)
}

/** What is wrong with a cell of the column "Now": one sentence for each entry that names nothing of ours. */
function findUnknown(cell: string): readonly string[] {
  if (cell === 'none') return []
  return cell.split(', ').filter((entry) => {
    const [, session, name = '', call] = /^(express-session )?`([\w.]+)(\(\))?`$/.exec(entry) ?? []
    if (session !== undefined) return !SESSION_OPTIONS.has(name.split('.')[0] ?? '')
    return call === undefined ? !OPTIONS.has(name) : !EXPORTS.has(name)
  })
}

/** The whole program behind the heading "After". */
function programOf(peer: Peer): CodeBlock {
  const programs = codeBlocks(fileOf(peer)).filter(({ code }) => code.includes('app.listen('))
  assert.equal(programs.length, 1, fileOf(peer))
  return programs[0] as CodeBlock
}

describe('docs/migration', () => {
  it('has a page for each middleware', () => {
    assert.deepEqual(filesBelow('docs/migration', '.md'), PEERS.map(fileOf).sort())
  })

  for (const peer of PEERS) {
    describe(peer.page, () => {
      const rows = tablesBelow(fileOf(peer), 'Options')

      it('has a row for every option of the other middleware, and for no other', () => {
        const named = rows.flatMap(([option = '']) => codeIn(option))
        assert.deepEqual([...new Set(named)].sort(), [...new Set(peer.options)].sort())
      })

      it('names only options and guards that exist', () => {
        assert.ok(rows.length > 10)
        assert.deepEqual(
          rows.flatMap(([, now = '']) => findUnknown(now)),
          [],
        )
      })

      it('names only members of req.oidc that exist', () => {
        const members = tablesBelow(fileOf(peer), 'Members and guards').flatMap(([, now = '']) => [
          ...now.matchAll(/req\.oidc\.(\w+)/g),
        ])
        assert.ok(members.length > 3)
        assert.deepEqual(
          members.map(([, name = '']) => name).filter((name) => !MEMBERS.has(name) && name !== 'isAuthenticated'),
          [],
        )
      })

      it('names the version whose options it has', () => {
        const [major, minor] = peer.version.split('.')
        assert.ok(readText(fileOf(peer)).includes(`For ${peer.package} ${major}.${minor}`))
      })

      const skip = skipWithoutPeers(...peer.declared.map(({ file }) => file))
      it('knows every option that the types of the other middleware declare', { skip }, () => {
        const declared = peer.declared.flatMap(({ file, interfaces }) =>
          optionsOfTypes(readFileSync(installedFile(file), 'utf8'), interfaces),
        )
        assert.ok(declared.length >= 9)
        assert.deepEqual(
          declared.filter((name) => !peer.options.some((one) => one === name || one.startsWith(`${name}.`))),
          [],
        )
      })
    })
  }

  it('finds an option that does not exist', () => {
    assert.deepEqual(
      ['`issuer`, `routes.callback`', '`issuerBaseURL`', '`protect()`', 'express-session `stores`', 'maybe'].map(
        findUnknown,
      ),
      [[], ['`issuerBaseURL`'], ['`protect()`'], ['express-session `stores`'], ['maybe']],
    )
  })
})

/** What other middlewares leave in a session of express-session. */
const LEFT_OVER: ReadonlyMap<string, string> = new Map([
  ['okta-oidc-middleware', 'passport'],
  ['passport-openidconnect', 'passport'],
  ['keycloak-connect', 'keycloak-token'],
])

interface Served extends Listening {
  readonly origin: string
}

const ROLES = { roles: ['admin'], groups: ['Admins'], realm_access: { roles: ['admin'] } }
const USERS = [{ sub: 'ada', name: 'Ada Lovelace', email: 'ada@example.com', ...ROLES }]

/** What the programs of the pages read from their environment. */
function envOf({ issuer, clientId, clientSecret = '' }: TestProvider, origin: string): Record<string, string> {
  return {
    ISSUER: issuer,
    ISSUER_BASE_URL: issuer,
    AUTHORIZATION_URL: `${issuer}/authorize`,
    TOKEN_URL: `${issuer}/token`,
    USERINFO_URL: `${issuer}/userinfo`,
    BASE_URL: origin,
    AUTH_URL: origin,
    CLIENT_ID: clientId,
    CLIENT_SECRET: clientSecret,
    SESSION_SECRET: 'a secret for sessions, long enough',
    SECRET: 'a secret for sessions, long enough',
    AUTH_SECRET: 'a secret for sessions, long enough',
  }
}

describe('the app before the migration', () => {
  let provider: TestProvider
  before(async () => {
    provider = await startTestProvider({ users: USERS, idTokenSignedResponseAlg: 'RS256' })
  })
  after(() => provider.close())

  it('starts with keycloak-connect, and sends the browser to Keycloak', {
    skip: skipWithoutPeers('keycloak-connect'),
  }, async () => {
    const keycloak = PEERS.find(({ page }) => page === 'keycloak-connect') ?? assert.fail()
    const server = createServer()
    const { port, stop } = await listen(server)
    const origin = `http://127.0.0.1:${port}`
    try {
      server.on('request', await loadAppBefore(keycloak, envOf(provider, origin)))
      const { next } = await createBrowser({ origin }).open(`${origin}/profile`, { follow: false })
      const { origin: sso, pathname } = new URL(next?.url ?? '')
      const authorize = '/realms/shop/protocol/openid-connect/auth'
      assert.deepEqual([sso, pathname], ['https://sso.example.com', authorize])
    } finally {
      await stop()
    }
  })

  // keycloak-connect knows the URLs of Keycloak alone, so its login cannot be tried here.
  for (const peer of PEERS.filter(({ page }) => page !== 'keycloak-connect')) {
    const skip = skipWithoutPeers(peer.package)
    it(`logs a user in with ${peer.package}`, { skip }, async () => {
      const server = createServer()
      const { port, stop } = await listen(server)
      const origin = `http://127.0.0.1:${port}`
      try {
        server.on('request', await loadAppBefore(peer, envOf(provider, origin)))
        const browser = createBrowser({ origin })
        const page = await browser.open(`${origin}/profile`)
        // @auth/express lists the providers first.
        const { url, body } = page.url === `${origin}/profile` ? page : await browser.submit(page)
        assert.equal(url, `${origin}/profile`)
        assert.match(body, /Ada Lovelace/)
      } finally {
        await stop()
      }
    })
  }
})

describe('the app after the migration', () => {
  let provider: TestProvider
  let served: readonly Served[] = []

  before(async () => {
    provider = await startTestProvider({ users: USERS, idTokenSignedResponseAlg: 'RS256' })
    served = await serveAll()
  })

  after(async () => {
    for (const { stop } of served) await stop()
    await provider.close()
  })

  async function serveAll(): Promise<readonly Served[]> {
    const servers = PEERS.map(() => createServer())
    const listening = await Promise.all(servers.map(listen))
    const all = listening.map((one) => ({ ...one, origin: `http://localhost:${one.port}` }))
    const apps = await loadApps(
      PEERS.map((peer, index) => ({ ...programOf(peer), env: envOf(provider, all[index]?.origin ?? '') })),
    )
    for (const [index, app] of apps.entries()) {
      addSessionPages(app)
      servers[index]?.on('request', app)
    }
    return all
  }

  for (const [index, { page }] of PEERS.entries()) {
    describe(page, () => {
      function open(): { readonly browser: Browser; readonly origin: string } {
        const origin = served[index]?.origin ?? ''
        return { browser: createBrowser({ origin }), origin }
      }

      it('logs a user in and returns to the page that was opened', async () => {
        const { browser, origin } = open()
        const profile = await browser.open(`${origin}/profile`)
        assert.equal(profile.url, `${origin}/profile`)
        assert.match(profile.body, /Ada Lovelace/)
      })

      it('answers a script that has no login with 401', async () => {
        assert.equal((await open().browser.fetch('/profile')).status, 401)
      })

      it('reports a login that was in progress during the deployment, with a way to start again', async () => {
        const { browser, origin } = open()
        const { href } = new URL((await browser.open(`${origin}/login`, { follow: false })).next?.url ?? '')
        const callback = new URL(new URL(href).searchParams.get('redirect_uri') ?? '')
        callback.search = 'code=of-the-other-middleware&state=of-the-other-middleware'
        const { status, body } = await createBrowser({ origin }).open(callback.href)
        assert.equal(status, 400)
        assert.match(body, /ERR_OIDC_TRANSACTION_MISSING/)
        assert.match(body, /<a href="\/login/)
      })

      it('logs the user out here and at the provider', async () => {
        const { browser, origin } = open()
        await browser.open(`${origin}/profile`)
        const { history, url } = await browser.post(`${origin}/logout`)
        assert.ok(history.some((step) => step.url.startsWith(`${provider.issuer}/`)))
        assert.equal(new URL(url).origin + new URL(url).pathname, `${origin}/`)
        assert.equal((await browser.fetch('/profile')).status, 401)
      })

      if (page !== 'passport-openidconnect') {
        it('shows its admin page to users with the role or group alone', async () => {
          const { browser, origin } = open()
          assert.equal((await browser.open(`${origin}/admin`)).body, 'All settings')
          const { cookie } = await provider.login(origin, { sub: 'joan', name: 'Joan Clarke' })
          const headers = { cookie, accept: 'text/html' }
          assert.equal((await fetch(`${origin}/profile`, { headers })).status, 200)
          assert.equal((await fetch(`${origin}/admin`, { headers })).status, 403)
        })
      }

      const left = LEFT_OVER.get(page)
      if (left !== undefined) {
        it('takes no login or token over from the session of the other middleware', async () => {
          const { browser, origin } = open()
          await browser.open(`${origin}/old`)
          assert.ok((await browser.open(`${origin}/session`)).body.includes(`"${left}"`))
          assert.equal((await browser.fetch('/profile')).status, 401)
          await browser.open(`${origin}/profile`)
          const { body } = await browser.open(`${origin}/session`)
          assert.ok(body.includes('"oidc"') && !body.includes(`"${left}"`), body)
          assert.equal(body.includes('"cart"'), page === 'passport-openidconnect')
        })
      }
    })
  }
})

/** Pages that fill a session as the other middleware and the app have filled it, and that show what is in it. */
function addSessionPages(app: express.Express): void {
  app.get('/old', ({ session }, res) => {
    Object.assign(session, { passport: { user: 'ada' }, 'keycloak-token': '{}', cart: ['book'] })
    res.send('an old session')
  })
  app.get('/session', ({ session }, res) => res.json(Object.keys(session)))
}
