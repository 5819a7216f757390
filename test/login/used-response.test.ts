import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { memoryState } from '../../lib/state/memory-state.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider, isCallback } from '../support/app/url-predicates.ts'
import type { Browser, Navigation } from '../support/browser/browser.ts'

const stage = createStage()

/** Two nodes of one application, which share the session store and the state. */
async function startNodes(): Promise<readonly [TestApp, TestApp]> {
  const sharedState = memoryState()
  const [one, two] = createSharedStores(2)
  const first = await stage.start({ sharedState }, { session: { store: one } })
  const second = await stage.start({ sharedState, baseUrl: first.baseUrl }, { session: { store: two } })
  return [first, second]
}

/** A browser whose response of the provider is ready, but not sent yet. */
async function arriveAtCallback(app: TestApp): Promise<{ browser: Browser; next: Navigation }> {
  const browser = app.browser()
  const page = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
  assert.ok(page.next)
  return { browser, next: page.next }
}

/** The same navigation at another node, as a balancer sends it. */
function atNode({ baseUrl }: TestApp, next: Navigation): Navigation {
  const { pathname, search } = new URL(next.url)
  return { ...next, url: baseUrl + pathname + search }
}

describe('a response of the provider that arrives again', () => {
  it('N-3: is redeemed once on two nodes, and both requests end at the page', async () => {
    const [first, second] = await startNodes()
    const { browser, next } = await arriveAtCallback(first)
    const other = browser.clone()
    const outcomes = await Promise.allSettled([browser.go(next), other.go(atNode(second, next), { follow: false })])
    const codes = stage.provider.requests.filter(({ form }) => form.get('grant_type') === 'authorization_code')
    assert.equal(codes.length, 1)
    assert.deepEqual(
      [outcomes.map(({ status }) => status), stage.provider.complaints],
      [['fulfilled', 'fulfilled'], []],
    )
    assert.equal(
      (await Promise.all([browser, other].map((one) => one.fetch('/profile')))).some(({ status }) => status === 200),
      true,
    )
  })

  it('N-3: starts the login again for a page without the session of the first response', async () => {
    const [first, second] = await startNodes()
    const { browser, next } = await arriveAtCallback(first)
    const other = browser.clone()
    assert.equal((await browser.go(next)).status, 200)
    const page = await other.go(atNode(second, next), { follow: false })
    assert.equal(page.status, 303)
    assert.match(String(page.headers['location']), new RegExp(`^${stage.provider.issuer}/authorize\\?`))
    assert.deepEqual([second.errors, await second.sessions()], [[], 1])
  })

  it('N-5: logs nobody in from a copied id_token response, also after a logout', async () => {
    const app = await stage.start({ responseType: 'id_token' })
    const { browser, next } = await arriveAtCallback(app)
    const thief = browser.clone()
    assert.equal((await browser.go(next)).status, 200)
    for (const isLoggedOut of [false, true]) {
      if (isLoggedOut) await browser.post('/logout', {}, { follow: false })
      const copy = thief.clone()
      const page = await copy.go(next, { stopBefore: isAtProvider })
      assert.match(String(page.next?.url), /\/authorize\?/)
      assert.equal((await copy.fetch('/profile')).status, 401)
      assert.equal(await app.sessions(), isLoggedOut ? 0 : 1)
    }
  })

  it('N-3: does not restart for ever if the shared state takes every state for a used one', async () => {
    const sharedState = { ...memoryState(), once: async () => false }
    const app = await stage.start({ sharedState })
    assert.equal((await app.browser().open('/profile')).status, 500)
    assert.deepEqual(codesOf(app), ['ERR_OIDC_SESSION_NOT_KEPT'])
    assert.deepEqual([stage.provider.calls['/authorize'], await app.sessions()], [3, 0])
  })

  it('N-5: is refused for a script', async () => {
    const app = await stage.start()
    const { browser, next } = await arriveAtCallback(app)
    const thief = browser.clone()
    await browser.go(next)
    const page = await thief.fetch(next.url)
    assert.deepEqual([page.status, codesOf(app), await app.sessions()], [400, ['ERR_OIDC_STATE_USED'], 1])
  })

  it('N-4: shares the result of a response in progress only with an equal request', async () => {
    const app = await stage.start()
    const { browser, next } = await arriveAtCallback(app)
    const changes: readonly [name: string, value: string][] = [
      ['code', 'another-code'],
      ['error', 'access_denied'],
      ['iss', 'https://evil.test'],
    ]
    const foreign = changes.map(([name, value]) => {
      const url = new URL(next.url)
      if (name === 'error') url.searchParams.delete('code')
      url.searchParams.set(name, value)
      return browser.clone().go({ ...next, url: url.href }, { follow: false })
    })
    const [page, ...others] = await Promise.all([browser.go(next), ...foreign])
    assert.equal(page?.status, 200)
    for (const other of others) assert.notEqual(other.headers['location'], `${app.baseUrl}/profile#`)
    assert.equal(await app.sessions(), 1)
  })
})
