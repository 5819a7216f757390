import assert from 'node:assert/strict'
import { discoverIssuer, type WebFingerOptions } from '../../../lib/index.ts'
import { contentsOf } from '../../../lib/options/response-type.ts'
import { isAtProvider, isCallback } from '../app/url-predicates.ts'
import { exchange } from '../browser/http-exchange.ts'
import { logIn } from '../hostile/hostile.ts'
import type { JsonObject } from '../strict-provider/context.ts'
import type { Endpoint } from '../strict-provider/endpoints.ts'
import { firstRequest } from '../strict-provider/provider.ts'
import { otherKeys } from './changes.ts'
import { assertCalls, assertFinished, assertStopped, type Settings } from './ends.ts'
import type { Module, Modules, Run } from './suite.ts'
import type { Variant } from './variant.ts'

function asked({ provider }: Run<Variant>): readonly (Endpoint | undefined)[] {
  return provider.requests.map(({ endpoint }) => endpoint)
}

/** The suite has no tester who clicks: the module ends before anybody logs in. */
const openidConfig: Module<Variant> = async (suite) => {
  const run = await suite.start()
  await run.app.auth.ready()
  run.end()
  assert.equal(asked(run)[0], '/discovery')
  assert.equal(firstRequest(run.provider, '/discovery')?.path, '/test/a/express-oidc/.well-known/openid-configuration')
}

const jwksUriKeys: Module<Variant> = async (suite) => {
  const run = await suite.start()
  const { endpointUrls } = run.provider
  Object.assign(endpointUrls, { '/jwks': `${endpointUrls['/jwks']}kqzvjwxyab` })
  await assertFinished(run, await logIn(run))
  const order = asked(run)
  assert.equal(order[0], '/discovery')
  assert.ok(order.indexOf('/jwks') < order.indexOf('/userinfo') || !order.includes('/userinfo'))
}

const issuerMismatch: Module<Variant> = async (suite) => {
  const run = await suite.start()
  run.provider.change.discovery = (good) => ({ ...good, issuer: `${good['issuer']}INVALID` })
  const outcome = await logIn(run)
  await assertStopped(run, outcome, 'ERR_OIDC_DISCOVERY_ISSUER', { '/authorize': 0, '/register': 0, '/token': 0 })
}

/** The keys that the client has are gone when the token is signed. */
const rotationBeforeSigning: Module<Variant> = async (suite) => {
  const run = await suite.start()
  await run.app.auth.ready()
  const browser = run.app.browser()
  // What comes with the browser is signed a step earlier.
  const stopBefore = contentsOf(run.variant.response_type).idToken ? isAtProvider : isCallback
  const { next } = await browser.open('/login?returnTo=/profile', { stopBefore })
  await run.provider.rotateKeys(otherKeys())
  await assertFinished(run, { browser, page: await browser.go(next) }, { '/jwks': 2 })
}

/** Two logins in a row, in one process. */
const rotation: Module<Variant> = async (suite) => {
  const run = await suite.start()
  await assertFinished(run, await logIn(run))
  await run.provider.rotateKeys(otherKeys())
  const { page } = await logIn(run)
  run.end()
  assert.deepEqual([page.status, run.app.errors], [200, []])
  const { code } = contentsOf(run.variant.response_type)
  const twice = { '/authorize': 2, '/jwks': 2, '/userinfo': run.variant.response_type === 'id_token' ? 0 : 2 }
  assertCalls(run, { '/discovery': 1, ...twice, '/token': code ? 2 : 0 })
}

/** The host is on this machine, and its certificate of nobody who is known. */
const TRUSTING: WebFingerOptions = {
  dangerouslyAllowInsecureRequests: true,
  fetch: async (url) => {
    const { status, headers, body } = await exchange({ method: 'GET', url: new URL(url), headers: {} })
    return new Response(body, { status, headers: { 'Content-Type': headers['content-type'] ?? '' } })
  },
}

/** Where the provider is, only webfinger tells, to those who ask for what the module is called. */
function webfinger(look: (at: URL) => { readonly identifier: string; readonly server?: string }): Module<Variant> {
  const settings: Settings = { provider: { webfinger: 'announced' } }
  return async (suite) => {
    const provider = await suite.startProvider(settings)
    const { identifier, ...where } = look(new URL(provider.issuer))
    const issuer = await discoverIssuer(identifier, { ...where, ...TRUSTING })
    const run = await suite.startClient(provider, { ...settings, options: { issuer } })
    await assertFinished(run, await logIn(run), { '/webfinger': 1 })
    assert.deepEqual(asked(run).slice(0, 2), ['/webfinger', '/discovery'])
    assert.equal(firstRequest(provider, '/webfinger')?.query.get('resource'), identifier)
  }
}

/** All that is told is what is wanted, and what is answered is used. */
const dynamicRegistration: Module<Variant> = async (suite) => {
  const run = await suite.start()
  await run.app.auth.ready()
  assertCalls(run, { '/discovery': 1, '/register': 1, '/authorize': 0 })
  const metadata: JsonObject = JSON.parse(firstRequest(run.provider, '/register')?.body ?? '{}')
  const { redirect_uris: uris, response_types: types, contacts } = metadata
  assert.deepEqual([uris, types], [[`${run.app.baseUrl}/callback`], [run.variant.response_type]])
  assert.deepEqual(contacts, ['certification@example.test'])
  await assertFinished(run, await logIn(run))
  assert.match(run.provider.authorizationRequests[0]?.get('client_id') ?? '', /^client_\w{20}[ -~]{5}$/)
}

const ACCOUNT = 'express-oidc.oidcc-client-test-discovery-webfinger-acct'
const ADDRESS = 'express-oidc/oidcc-client-test-discovery-webfinger-url'

/** What the client finds out by itself. */
export const DISCOVERY_MODULES: Modules<Variant> = {
  'oidcc-client-test-discovery-openid-config': openidConfig,
  'oidcc-client-test-discovery-jwks-uri-keys': jwksUriKeys,
  'oidcc-client-test-discovery-issuer-mismatch': issuerMismatch,
  'oidcc-client-test-signing-key-rotation-just-before-signing': rotationBeforeSigning,
  'oidcc-client-test-signing-key-rotation': rotation,
  'oidcc-client-test-discovery-webfinger-acct': webfinger(({ hostname, origin }) => ({
    identifier: `acct:${ACCOUNT}@${hostname}`,
    server: origin,
  })),
  'oidcc-client-test-discovery-webfinger-url': webfinger(({ origin }) => ({ identifier: `${origin}/${ADDRESS}` })),
  'oidcc-client-test-dynamic-registration': dynamicRegistration,
}
