import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import request from 'supertest'
import { startTestProvider } from '../../lib/testing.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { createKitApp, kitOptions, stoppable } from '../support/test-kit/kit-app.ts'
import { answerOf, authorizationParams, authorize, getTokens, REDIRECT_URI } from '../support/test-kit/kit-requests.ts'

const HTTPS_CALLBACK = 'https://app.example.com/callback'

const shared = share(async () =>
  stoppable(
    await startTestProvider({
      users: [
        { sub: 'ada', email: 'ada@example.com', preferred_username: 'countess' },
        { sub: 'joan', auth_time: 1_000_000 },
      ],
      clients: [
        { clientId: 'app', clientSecret: 'the secret of the app, which is long enough' },
        { clientId: 'public' },
        { clientId: 'strict', clientSecret: 'a secret', redirectUris: [HTTPS_CALLBACK] },
      ],
    }),
  ),
)
const stopLater = stopAfterEach()

/** Requests that are answered with a page, because nobody knows where to send the browser. */
const SHOWN: readonly [name: string, change: Readonly<Record<string, string | undefined>>, text: RegExp][] = [
  ['no client', { client_id: undefined }, /client_id is missing/],
  ['an unknown client', { client_id: 'nobody' }, /no client/],
  ['no redirect URI', { redirect_uri: undefined }, /redirect_uri is missing/],
  ['a redirect URI on another host', { redirect_uri: HTTPS_CALLBACK }, /must be http on this machine/],
  [
    'a redirect URI with a host that begins like ours',
    { redirect_uri: 'http://localhost.example.com/' },
    /this machine/,
  ],
  ['a redirect URI with a fragment', { redirect_uri: `${REDIRECT_URI}#a` }, /this machine/],
  ['a redirect URI that is no URL', { redirect_uri: 'callback' }, /this machine/],
  ['one that is not registered', { client_id: 'strict', redirect_uri: `${HTTPS_CALLBACK}/` }, /not among/],
]

/** Requests that are answered with an error at the client. */
const REFUSED: readonly [name: string, change: Readonly<Record<string, string | undefined>>, error: string][] = [
  ['no response type', { response_type: undefined }, 'invalid_request'],
  ['the response type token', { response_type: 'token' }, 'unsupported_response_type'],
  ['the response mode fragment', { response_mode: 'fragment' }, 'invalid_request'],
  ['no scope', { scope: undefined }, 'invalid_request'],
  ['a scope without openid', { scope: 'profile' }, 'invalid_scope'],
  ['the challenge method plain', { code_challenge_method: 'plain' }, 'invalid_request'],
  ['no challenge method', { code_challenge_method: undefined }, 'invalid_request'],
  ['a challenge method without a challenge', { code_challenge: undefined }, 'invalid_request'],
  ['a challenge that is no hash', { code_challenge: 'short' }, 'invalid_request'],
  [
    'a public client without PKCE',
    { client_id: 'public', code_challenge: undefined, code_challenge_method: undefined },
    'invalid_request',
  ],
  ['a request object', { request: 'e30.e30.' }, 'request_not_supported'],
  ['a request by reference', { request_uri: 'https://app.example.com/request' }, 'request_uri_not_supported'],
  ['a registration', { registration: '{}' }, 'registration_not_supported'],
  ['the prompt none with another', { prompt: 'none login' }, 'invalid_request'],
  ['a max_age that is no number', { max_age: 'soon' }, 'invalid_request'],
  ['a silent login of nobody', { prompt: 'none' }, 'login_required'],
  ['a hint that is not signed here', { id_token_hint: 'e30.e30.e30' }, 'invalid_request'],
]

describe('the authorization endpoint of the test provider', () => {
  it('sends the first user back with a code, the state and its issuer', async () => {
    const answer = await authorize(shared())
    const { code, ...rest } = answerOf(answer)
    assert.match(code ?? '', /^[\w-]{32}$/)
    assert.deepEqual(rest, { state: 'a-state', iss: shared().issuer })
    assert.equal(answer.status, 303)
  })

  for (const [name, change, text] of SHOWN) {
    it(`shows a page and redirects nowhere: ${name}`, async () => {
      const { status, headers, body } = await authorize(shared(), change)
      assert.deepEqual(
        [status, headers.location, headers['content-type']],
        [400, undefined, 'text/html; charset=utf-8'],
      )
      assert.match(body, text)
    })
  }

  it('shows a page if a parameter is there twice that says where to go', async () => {
    const url = new URL(`${shared().issuer}/authorize`)
    url.search = `${authorizationParams(shared())}&redirect_uri=http://127.0.0.1/`
    assert.equal((await exchange({ method: 'GET', url, headers: {} })).status, 400)
  })

  for (const [name, change, error] of REFUSED) {
    it(`refuses at the client: ${name}`, async () => {
      const { error: found, state, iss, code } = answerOf(await authorize(shared(), change))
      assert.deepEqual(
        { found, state, iss, code },
        { found: error, state: 'a-state', iss: shared().issuer, code: undefined },
      )
    })
  }

  it('refuses any parameter that is there twice', async () => {
    const url = new URL(`${shared().issuer}/authorize`)
    url.search = `${authorizationParams(shared())}&nonce=another`
    assert.equal(answerOf(await exchange({ method: 'GET', url, headers: {} }))['error'], 'invalid_request')
  })

  it('takes an empty parameter for none, and returns no state that it did not get', async () => {
    const answer = answerOf(await authorize(shared(), { state: undefined, prompt: '', max_age: '' }))
    assert.deepEqual(Object.keys(answer), ['code', 'iss'])
  })

  it('takes a form, too', async () => {
    const url = new URL(`${shared().issuer}/authorize`)
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const body = String(authorizationParams(shared()))
    assert.ok(answerOf(await exchange({ method: 'POST', url, headers, body }))['code'])
  })

  it('answers with a form for response_mode=form_post, its values escaped', async () => {
    const { status, body } = await authorize(shared(), { response_mode: 'form_post', state: '"><script>' })
    assert.equal(status, 200)
    assert.match(body, /<form method="post" action="http:\/\/localhost:3000\/callback">/)
    assert.match(body, /name="state" value="&quot;&gt;&lt;script&gt;"/)
  })

  it('takes a registered https redirect URI', async () => {
    const { headers } = await authorize(shared(), { client_id: 'strict', redirect_uri: HTTPS_CALLBACK })
    assert.ok(headers.location?.startsWith(`${HTTPS_CALLBACK}?code=`))
  })

  it('logs in the user whom login_hint names: by sub, username or email', async () => {
    for (const login_hint of ['joan', 'countess', 'ada@example.com', 'nobody']) {
      const { id_token = '' } = await getTokens(shared(), { login_hint })
      const { sub } = JSON.parse(Buffer.from(id_token.split('.')[1] ?? '', 'base64url').toString())
      assert.equal(sub, login_hint === 'joan' ? 'joan' : 'ada')
    }
  })

  it('knows the browser again, also in silence, until it must not', async () => {
    const provider = stopLater(stoppable(await startTestProvider()))
    const [cookie = ''] = (await authorize(provider)).setCookies.map((one) => one.split(';')[0] ?? '')
    const silent = async (change: object): Promise<string | undefined> =>
      answerOf(await authorize(provider, { prompt: 'none', ...change }, cookie))['error']
    assert.equal(await silent({}), undefined)
    assert.equal(await silent({ max_age: '60' }), undefined)
    assert.equal(await silent({ max_age: '0' }), 'login_required')
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 })
    assert.equal(await silent({ max_age: '60' }), 'login_required')
    mock.timers.reset()
    const { id_token } = await getTokens(provider)
    assert.equal(await silent({ id_token_hint: id_token }), undefined)
  })

  it('goes by id_token_hint: logs in that user, or nobody else', async () => {
    const provider = shared()
    const { id_token } = await getTokens(provider, { login_hint: 'joan' })
    const { code } = answerOf(await authorize(provider, { id_token_hint: id_token }))
    assert.ok(code)
  })

  it('refuses the hint of a user who is no member of users and not signed in', async () => {
    const app = createKitApp(kitOptions(shared()))
    const { cookie } = await shared().login(app, { sub: 'stranger' })
    const { idToken } = (await request(app).get('/tokens').set('Cookie', cookie)).body
    assert.equal(answerOf(await authorize(shared(), { id_token_hint: idToken }))['error'], 'login_required')
  })

  it('answers acr with the first of acr_values', async () => {
    const { id_token = '' } = await getTokens(shared(), { acr_values: 'urn:mfa urn:pwd' })
    assert.equal(JSON.parse(Buffer.from(id_token.split('.')[1] ?? '', 'base64url').toString()).acr, 'urn:mfa')
  })
})
