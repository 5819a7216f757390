import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { memoryState } from '../../lib/state/memory-state.ts'
import { type AnyOptions, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn } from '../support/app/logout-observer.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { REFRESH_SCOPE, startAged } from '../support/hostile/fault-injection.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

// How refreshes of several users, scopes and requests stay apart.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

function refreshForms({ requests }: StrictProvider): readonly URLSearchParams[] {
  return requests.map(({ form }) => form).filter((form) => form.get('grant_type') === 'refresh_token')
}

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

interface User {
  readonly name: string
  readonly browser: Browser
}

/** Logs users in at one app, with access tokens that have expired. */
async function logInUsers(...names: readonly string[]): Promise<{ app: TestApp; users: readonly User[] }> {
  stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
  const app = await stage.start({ scope: REFRESH_SCOPE })
  const users: User[] = []
  for (const name of names) {
    stage.provider.account = { sub: name, claims: { name } }
    users.push({ name, browser: await logIn(app) })
  }
  return { app, users }
}

/** Logs a user in at one of two nodes that share their stores. */
async function startNodes(
  options: Partial<AnyOptions> = {},
): Promise<{ readonly one: TestApp; readonly two: TestApp; readonly browser: Browser }> {
  const [first, second] = createSharedStores(2)
  if (!first || !second) throw new Error('there are no stores')
  const all = { scope: REFRESH_SCOPE, sharedState: memoryState(), ...options }
  const { app: one, browser } = await startAged(stage, all, { session: { store: first } })
  return { one, two: await stage.start(all, { session: { store: second } }), browser }
}

describe('refreshes of several users and scopes', () => {
  it('CVE-2024-51987: users who refresh at the same time never get the token of another user', async () => {
    const { app, users } = await logInUsers('ann', 'bea', 'cay', 'dot', 'eve', 'flo')
    const requests = Array.from({ length: 5 }, () => users).flat()
    const owners = await Promise.all(
      requests.map(async ({ name, browser }) => {
        const { token } = (await browser.fetch('/access-token')).json()
        return [name, stage.provider.accessTokens.get(String(token))?.grant.account.sub]
      }),
    )
    for (const [name, owner] of owners) assert.equal(owner, name)
    assert.equal(refreshForms(stage.provider).length, users.length)
    for (const { name, browser } of users) {
      const [profile, userinfo] = [(await browser.fetch('/profile')).json(), (await browser.fetch('/userinfo')).json()]
      assert.deepEqual([profile['sub'], profile['name'], userinfo['sub']], [name, name, name])
    }
    assert.deepEqual([codesOf(app), stage.provider.complaints], [[], []])
  })

  it('CVE-2025-26620, CVE-2021-32701: concurrent requests for different scopes and APIs get different tokens', async () => {
    const { users } = await logInUsers('ann', 'bea')
    const wishes = [
      ...['', 'scope=openid', 'scope=openid+email', 'resource=https://a.example', 'resource=https://b.example'],
      // Queries that could be confused in a joined key.
      ...['scope=openid&resource=https://a.example', 'resource=https://a.example/%0aopenid'],
    ]
    const got = await Promise.all(
      users.flatMap(({ name, browser }) =>
        wishes.map(async (wish) => {
          const page = await browser.fetch(`/token-for?${wish}`)
          return { name, wish, record: stage.provider.accessTokens.get(String(page.json()['token'])) }
        }),
      ),
    )
    assert.equal(new Set(got.map(({ record }) => record)).size, 2 * wishes.length)
    for (const { name, wish, record } of got) {
      assert.equal(record?.grant.account.sub, name)
      assert.equal(record?.scope, new URLSearchParams(wish).get('scope') ?? REFRESH_SCOPE, wish)
    }
    const spent = refreshForms(stage.provider).map((form) => form.get('refresh_token'))
    assert.deepEqual([new Set(spent).size, stage.provider.complaints], [2 * wishes.length, []])
  })

  it('CVE-2022-31690: the scope of a refresh response, or a missing one, grants nothing more', async () => {
    for (const scope of ['', undefined, 'openid reports:read admin', '*']) {
      const { browser } = await startAged(stage)
      stage.provider.change.refreshResponse = (response) => ({ ...response, scope })
      const before = (await browser.fetch('/reports')).status
      assert.equal((await browser.fetch('/access-token')).status, 200)
      assert.deepEqual([before, (await browser.fetch('/reports')).status], [403, 403])
    }
  })

  it('CVE-2026-53516, GHSA-7rqj-j65f-68wh: a refreshed e-mail does not change the user', async () => {
    const { browser } = await startAged(stage)
    const { sub } = (await browser.fetch('/profile')).json()
    for (const email of ['admin@example.test', 'admin@еxample.test', 'a@b@example.test']) {
      stage.provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, email, email_verified: true })
      stage.provider.change.refreshResponse = (response) => ({ ...response, expires_in: 0 })
      await browser.fetch('/access-token')
      const profile = (await browser.fetch('/profile')).json()
      assert.deepEqual([profile['sub'], profile['email']], [sub, email])
    }
  })
})

describe('refreshes at the same time', () => {
  for (const [name, isLongGone] of [
    ['EOC #408', true],
    ['lfx-self-serve#1938', false],
  ] as const) {
    it(`${name}: concurrent requests at two nodes use the refresh token once, and the user stays logged in`, async () => {
      const { one, two, browser } = await startNodes()
      // One request has read the session before the others start.
      if (isLongGone) await browser.fetch(`${two.baseUrl}/profile`)
      const places = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? one : two))
      const pages = await Promise.all(places.map(({ baseUrl }) => browser.fetch(`${baseUrl}/access-token`)))
      assert.equal(new Set(pages.map((page) => page.json()['token'])).size, 1)
      assert.equal(refreshForms(stage.provider).length, 1)
      assert.deepEqual([stage.provider.complaints, codesOf(one), codesOf(two)], [[], [], []])
      assert.deepEqual([await isIn(browser, one), await isIn(browser, two)], [true, true])
    })
  }

  it('expressjs/session #309, #964: a concurrent request that writes the session loses neither the new token nor its data', async () => {
    const { browser } = await startAged(stage)
    stage.provider.change.refreshResponse = (response) => ({ ...response, expires_in: 0 })
    for (let count = 0; count < 5; count++) {
      const pages = await Promise.all(
        ['/access-token', '/write', '/profile', '/access-token', '/write'].map((path) => browser.fetch(path)),
      )
      assert.deepEqual(new Set(pages.map(({ status }) => status)), new Set([200]))
    }
    assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('expressjs/session #340, #361: a page that changes nothing sets no cookie, before and after a refresh', async () => {
    const { browser } = await startAged(stage)
    for (const path of ['/profile', '/tokens', '/access-token', '/access-token', '/profile', '/userinfo']) {
      assert.equal((await browser.fetch(path)).headers['set-cookie'], undefined, path)
    }
  })

  it('a node that was suspended while it held the lock does not use the refresh token a second time', async () => {
    const state = memoryState()
    const lock: typeof state.lock = (key, seconds, work) =>
      state.lock(key, seconds, () =>
        work({
          assertHeld() {
            throw new Error('another node may hold the lock')
          },
        }),
      )
    const { browser } = await startAged(stage, { sharedState: { ...state, lock } })
    await browser.fetch('/access-token')
    assert.deepEqual([refreshForms(stage.provider).length, await isIn(browser)], [0, true])
  })
})
