import assert from 'node:assert/strict'
import { openSessionFrames } from '../browser/session-frames.ts'
import { assertLoggedIn, logIn } from '../hostile/hostile.ts'
import { firstRequest } from '../strict-provider/provider.ts'
import type { Module, Modules } from './suite.ts'
import type { Variant } from './variant.ts'

/** A tab that stays open asks the provider's frame before and after the logout in another one. */
const sessionManagement: Module<Variant> = async (suite) => {
  const run = await suite.start({ provider: { sessionManagement: 'announced' } })
  const { app, provider } = run
  provider.changeClient({ postLogoutRedirectUris: [app.baseUrl] })
  const outcome = await logIn(run)
  await assertLoggedIn(run, outcome)
  const { browser } = outcome
  const { idToken, sessionState } = (await browser.fetch('/tokens')).json()
  const page = await browser.open('/session-check', { headers: { 'sec-fetch-dest': 'iframe' } })
  const tab = await openSessionFrames(browser, page)
  await tab.tick()
  assert.equal(tab.frame, provider.endpointUrls['/check-session'])
  assert.deepEqual([tab.asked[0]?.[0], tab.left], [`${provider.clientId} ${sessionState}`, []])

  const landed = await browser.post('/logout')
  const { form, query } = firstRequest(provider, '/logout') ?? assert.fail('nobody was sent to log out')
  const params = new URLSearchParams([...form, ...query])
  assert.deepEqual(
    ['id_token_hint', 'post_logout_redirect_uri'].map((name) => params.get(name)),
    [idToken, app.baseUrl],
  )
  assert.deepEqual([landed.url.split('?')[0], await app.sessions()], [`${app.baseUrl}/`, 0])

  await tab.tick()
  assert.deepEqual([tab.left, tab.isAsking], [['/login?prompt=none&returnTo=%2F'], false])
  const back = await browser.open(tab.left[0] ?? '')
  run.end()
  assert.equal(provider.authorizationRequests.at(-1)?.get('prompt'), 'none')
  assert.deepEqual([back.url, back.json()['authenticated']], [`${app.origin}/`, false])
  assert.deepEqual([await app.records(), app.errors, provider.calls['/authorize']], [{}, [], 2])
}

/** What there is of session management. */
export const SESSION_ACTS: Modules<Variant> = {
  'oidcc-client-test-session-management': sessionManagement,
}
