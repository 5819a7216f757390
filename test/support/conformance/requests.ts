import assert from 'node:assert/strict'
import { contentsOf } from '../../../lib/options/response-type.ts'
import { assertRefused, logIn } from '../hostile/hostile.ts'
import type { StrictRequest } from '../strict-provider/context.ts'
import type { Endpoint } from '../strict-provider/endpoints.ts'
import { firstRequest } from '../strict-provider/provider.ts'
import { assertCalls, finishes, type Look, type Settings } from './ends.ts'
import type { Module, Modules, Run } from './suite.ts'
import { SCOPE, type Variant } from './variant.ts'

function requestTo({ provider }: Run<Variant>, endpoint: Endpoint): StrictRequest {
  const request = firstRequest(provider, endpoint)
  assert.ok(request)
  return request
}

/** The parameters of the login, wherever they were: plain, or in a request object. */
function asked({ provider }: Run<Variant>, name: string): string {
  return provider.authorizationRequests[0]?.get(name) ?? ''
}

/** Characters that no provider stumbles over, and not too many of them. */
const lookAtNonce: Look = (run) => assert.match(asked(run, 'nonce'), /^[\w-]{43}$/)

const lookAtScope: Look = async (run, { browser }) => {
  const { name, email, address, phone_number: phone } = (await browser.fetch('/profile')).json()
  assert.deepEqual([name, email, phone], ['Alice Example', 'alice@example.test', '+43 1 2345678'])
  assert.equal(Object(address).country, 'AT')
  assert.equal(asked(run, 'scope'), SCOPE)
}

/** As the suite decodes it: base64, then one colon, then both halves by themselves. */
const lookAtBasic: Look = (run) => {
  const { headers, form } = requestTo(run, '/token')
  const decoded = Buffer.from(headers.authorization?.split(' ')[1] ?? '', 'base64').toString()
  const [id, secret, ...more] = decoded.split(':').map((half) => new URLSearchParams(`x=${half}`).get('x'))
  assert.deepEqual([id, more, form.has('client_secret')], [asked(run, 'client_id'), [], false])
  if (run.variant.client_registration === 'static_client') assert.equal(secret, run.provider.clientSecret)
}

/** Only the reference, and what must be beside it; what is behind the reference, the provider has looked at. */
const lookAtRequestUri: Look = (run) => {
  const { query } = requestTo(run, '/authorize')
  assert.deepEqual([...query.keys()].sort(), ['client_id', 'request_uri', 'response_type', 'scope'])
  assert.ok(query.get('request_uri')?.startsWith(`${run.app.baseUrl}/request?id=`))
}

/** The token endpoint that takes certificates is known from nowhere else. */
const lookAtAliases: Look = (run) => {
  const aliases = run.provider.mtlsEndpointUrls
  const urls = [requestTo(run, '/token').url, requestTo(run, '/userinfo').url]
  assert.deepEqual(urls, [aliases?.['/token'], aliases?.['/userinfo']])
}

const unsignedRequest: Settings = {
  variant: { request_type: 'request_uri' },
  provider: { requestObjectSigningAlg: 'none' },
  // OIDC Core 6.2: what nobody has signed comes over TLS alone.
  app: { tls: true },
}

/** Nobody is logged in there, and nobody is to be asked. */
const formPostError: Module<Variant> = async (suite) => {
  const authorizationParams = { prompt: 'none', max_age: 0 }
  const run = await suite.start({ variant: { response_mode: 'form_post' }, options: { authorizationParams } })
  run.provider.loggedIn = false
  const outcome = await logIn(run)
  run.end()
  assert.deepEqual([asked(run, 'prompt'), asked(run, 'max_age')], ['none', '0'])
  assert.match(outcome.page.body, /<h1>/)
  await assertRefused(run, outcome, { code: 'ERR_OIDC_AUTHORIZATION', status: 401 })
}

/** The provider's own page begins the login: nothing is asked for before, and no page of ours is named. */
const initiateLogin: Module<Variant> = async (suite) => {
  const run = await suite.start({ options: { routes: { initiateLogin: '/initiate-login' } } })
  const { app, provider } = run
  assertCalls(run, { '/authorize': 0 })
  const browser = app.browser()
  const url = `/initiate-login?iss=${encodeURIComponent(provider.issuer)}`
  const page = await browser.open(url, { from: new URL(provider.issuer).origin })
  run.end()
  assert.deepEqual([page.status, page.url], [200, `${app.origin}/`])
  assert.equal(page.json()['authenticated'], true)
  const { code } = contentsOf(run.variant.response_type)
  assertCalls(run, { '/authorize': 1, '/token': code ? 1 : 0 })
}

/** What the client asks for, and how. */
export const REQUEST_MODULES: Modules<Variant> = {
  'oidcc-client-test-nonce-unless-code-flow': finishes(undefined, {}, lookAtNonce),
  'oidcc-client-test-scope-userinfo-claims': finishes(undefined, {}, lookAtScope),
  'oidcc-client-test-client-secret-basic': finishes(
    undefined,
    { variant: { client_auth_type: 'client_secret_basic' } },
    lookAtBasic,
  ),
  'oidcc-client-test-mtls-endpoint-aliases': finishes(undefined, {}, lookAtAliases),
  'oidcc-client-test-request-uri-signed-rs256': finishes(
    undefined,
    { variant: { request_type: 'request_uri' } },
    lookAtRequestUri,
  ),
  'oidcc-client-test-request-uri-signed-none': finishes(undefined, unsignedRequest, lookAtRequestUri),
  'oidcc-client-test-form-post-error': formPostError,
  'oidcc-client-test-3rd-party-init-login': initiateLogin,
}
