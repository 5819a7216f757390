import assert from 'node:assert/strict'
import { isIn } from '../app/logout-observer.ts'
import { signJws } from '../app/signing-keys.ts'
import { assertLoggedIn, logIn } from '../hostile/hostile.ts'
import type { JsonObject } from '../strict-provider/context.ts'
import type { StrictProvider } from '../strict-provider/provider.ts'
import { unsigned, without } from './changes.ts'
import type { Module, Modules, Run } from './suite.ts'
import type { Variant } from './variant.ts'

/** What a module makes wrong, where it does. */
type Change = (provider: StrictProvider) => void

type Channel = 'backchannelLogoutUri' | 'frontchannelLogoutUri'

/** A client that is registered for one of the channels, and a browser that is logged in with it. */
async function logInWith(run: Run<Variant>, channel: Channel): Promise<Awaited<ReturnType<typeof logIn>>['browser']> {
  const { app, provider } = run
  const path = channel === 'backchannelLogoutUri' ? '/backchannel-logout' : '/frontchannel-logout'
  provider.changeClient({ [channel]: app.baseUrl + path, postLogoutRedirectUris: [app.baseUrl] })
  const outcome = await logIn(run)
  await assertLoggedIn(run, outcome)
  return outcome.browser
}

/** The logout request is one that the suite takes, the browser comes back, and nobody is logged in. */
async function assertCameBack({ app, provider }: Run<Variant>, landed: string): Promise<void> {
  const request = provider.requests.filter(({ endpoint }) => endpoint === '/logout').at(-1)
  const params = request?.method === 'POST' ? request.form : request?.query
  assert.equal(params?.get('post_logout_redirect_uri'), app.baseUrl)
  assert.ok(params?.has('id_token_hint'))
  assert.equal(landed.split('?')[0], `${app.baseUrl}/`)
  assert.deepEqual([await app.sessions(), provider.calls['/logout'], app.errors], [0, 1, []])
}

/** The token comes while the browser waits at the provider. */
function backchannel(status: 200 | 400, change: Change = () => undefined): Module<Variant> {
  return async (suite) => {
    const run = await suite.start()
    const browser = await logInWith(run, 'backchannelLogoutUri')
    change(run.provider)
    const page = await browser.post('/logout')
    run.end()
    const [answer, ...more] = run.provider.logoutAnswers
    assert.deepEqual([answer?.status, answer?.headers['cache-control'], more], [status, 'no-store', []])
    assert.equal((await browser.fetch('/profile')).status, 401)
    await assertCameBack(run, page.url)
  }
}

const claims =
  (edit: (good: JsonObject) => JsonObject): Change =>
  ({ change }) => {
    change.logoutTokenClaims = edit
  }

/** With a key that is published, and that nobody has registered. */
const wrongAlg: Change = ({ change, keys }) => {
  change.logoutToken = (jwt) => {
    const payload = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
    return signJws('ES256', keys.p256.privateKey, { alg: 'ES256', kid: keys.p256.kid }, payload)
  }
}

/** Whether the logout begins at the client or at the provider. */
function frontchannel(start: 'rp' | 'op'): Module<Variant> {
  return async (suite) => {
    const run = await suite.start()
    const { app, provider } = run
    const browser = await logInWith(run, 'frontchannelLogoutUri')
    const page = start === 'rp' ? await browser.post('/logout') : await browser.open(provider.endpointUrls['/logout'])
    run.end()
    const [, src = ''] = /<iframe hidden src="([^"]*)"/.exec(page.body) ?? []
    const from = new URL(provider.issuer).origin
    // A frame of another site: the browser keeps its cookies back.
    const frame = await browser.fetch(src.replaceAll('&amp;', '&'), { from, headers: { 'sec-fetch-dest': 'iframe' } })
    assert.deepEqual([frame.status, frame.headers['cache-control']], [200, 'no-store'])
    assert.ok(frame.headers['content-security-policy']?.includes(`frame-ancestors ${from}`))
    assert.deepEqual([await app.sessions(), await isIn(browser), app.errors], [0, false, []])
    const [, href] = /<a href="([^"]*)"/.exec(page.body) ?? []
    if (start === 'rp') await assertCameBack(run, (await browser.open(href ?? '', { from })).url)
  }
}

/** What is registered may be either; what comes back beside the browser has no part in it. */
function rpInitiated(change: Change = () => undefined): Module<Variant> {
  return async (suite) => {
    const run = await suite.start()
    const browser = await logInWith(run, 'backchannelLogoutUri')
    change(run.provider)
    const page = await browser.post('/logout')
    run.end()
    assert.deepEqual([page.status, page.json()['authenticated']], [200, false])
    await assertCameBack(run, page.url)
  }
}

const postLogout =
  (edit: (good: URLSearchParams) => URLSearchParams): Change =>
  ({ change }) => {
    change.postLogoutParams = edit
  }

const EVENT = 'http://schemas.openid.net/event/foobar'
const BACKCHANNEL = 'oidcc-client-test-rp-backchannel-rpinitlogout'

/** The modules of the logout plans, by the suite's names, and what is expected of the client. */
export const LOGOUT_MODULES: Modules<Variant> = {
  [BACKCHANNEL]: backchannel(200),
  [`${BACKCHANNEL}-alg-none`]: backchannel(400, ({ change }) => {
    change.logoutToken = unsigned
  }),
  [`${BACKCHANNEL}-no-event`]: backchannel(400, claims(without('events'))),
  [`${BACKCHANNEL}-with-nonce`]: backchannel(
    400,
    claims((good) => ({ ...good, nonce: 'nonce' })),
  ),
  [`${BACKCHANNEL}-wrong-alg`]: backchannel(400, wrongAlg),
  [`${BACKCHANNEL}-wrong-aud`]: backchannel(
    400,
    claims((good) => ({ ...good, aud: `${good['aud']}INVALID` })),
  ),
  [`${BACKCHANNEL}-wrong-event`]: backchannel(
    400,
    claims((good) => ({ ...good, events: { [EVENT]: {} } })),
  ),
  [`${BACKCHANNEL}-wrong-iss`]: backchannel(
    400,
    claims((good) => ({ ...good, iss: `${good['iss']}INVALID` })),
  ),
  'oidcc-client-test-rp-frontchannel-rpinitlogout': frontchannel('rp'),
  'oidcc-client-test-rp-frontchannel-opinitlogout': frontchannel('op'),
  'oidcc-client-test-rp-init-logout': rpInitiated(),
  'oidcc-client-test-rp-init-logout-no-state': rpInitiated(postLogout(() => new URLSearchParams())),
  'oidcc-client-test-rp-init-logout-other-state': rpInitiated(
    postLogout((good) => new URLSearchParams({ state: `${good.get('state')}_INVALID` })),
  ),
}
