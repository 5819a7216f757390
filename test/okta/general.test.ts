import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { AuthorizationError, ProviderError } from '../../lib/index.ts'
import { errorFromResponse, errorFromStatus } from '../../lib/provider/error-response.ts'
import type { TestApp } from '../support/app/app.ts'
import { answerBy } from '../support/app/app-routes.ts'
import { isAtProvider, isCallback } from '../support/app/url-predicates.ts'
import { createOktaStage } from '../support/okta-provider/stage.ts'
import { sendJson } from '../support/servers/http-server.ts'

const stage = createOktaStage()

/** What somebody has typed, and Okta repeats. */
const TYPED = `'"><script>alert(1)</script>\r\nX-Injected: yes {{7*7}} \${7*7} %s`

function onlyError(app: TestApp): Error {
  const [error, ...more] = app.errors
  assert.ok(error !== undefined && more.length === 0, String(app.errors))
  return error
}

/** An answer as the library has it. */
function answer(status: number, json: object, headers: Record<string, string> = {}) {
  const body = new TextEncoder().encode(JSON.stringify(json))
  return { status, headers: new Headers({ 'Content-Type': 'application/json', ...headers }), body }
}

describe('the words of an error', () => {
  it('Q-61: are kept for logs where they came with the browser, and shown to nobody', async () => {
    stage.okta.change.authorizationAnswer = (good) =>
      new URLSearchParams({ error: 'access_denied', error_description: TYPED, state: String(good.get('state')) })
    const app = await stage.start('org')
    const page = await app.browser().open('/profile')
    const error = onlyError(app)
    assert.ok(error instanceof AuthorizationError)
    assert.equal(error.refusal.errorDescription, TYPED)
    assert.doesNotMatch(`${page.body}${inspect(page.headers)}${error.message}`, /alert|Injected|7\*7/)
  })

  it('Q-61: are kept for logs where they came from the token endpoint, and shown to nobody', async () => {
    const refuse = (res: ServerResponse): void => {
      res.setHeader('X-Okta-Request-Id', 'reqVy8wsvmBQN27h4soUE3ZEnA')
      sendJson(res, 403, { errorCode: 'E0000006', errorSummary: TYPED, errorId: 'oaeHfmOAx1iRLa0H10DeMz5fQ' })
    }
    stage.okta.change.raw.token = (_req, res) => refuse(res)
    const app = await stage.start('org')
    const page = await app.browser().open('/profile')
    const error = onlyError(app)
    assert.ok(error instanceof ProviderError)
    assert.deepEqual(error.refusal, { error: 'E0000006', errorDescription: TYPED })
    assert.equal(error.providerStatus, 403)
    assert.deepEqual([error.errorId, error.requestId], ['oaeHfmOAx1iRLa0H10DeMz5fQ', 'reqVy8wsvmBQN27h4soUE3ZEnA'])
    assert.doesNotMatch(`${page.body}${inspect(page.headers)}${error.message}`, /alert|Injected|7\*7|oaeHfm|reqVy8/)
  })

  it('Q-61: have the names of failure and request beside them, also with OAuth’s form, 429 and 5xx', () => {
    const headers = { 'X-Okta-Request-Id': 'WnKkvUMZG0s7nO3EbTsY_QAAAAc' }
    const named = [
      errorFromResponse(answer(401, { error: 'invalid_client', errorId: 'oae1' }, headers), 'ERR_OIDC_TOKEN_REQUEST'),
      errorFromResponse(answer(429, { errorCode: 'E0000047', errorId: 'oae1' }, headers), 'ERR_OIDC_TOKEN_REQUEST'),
      errorFromStatus(answer(500, { errorCode: 'E0000009', errorId: 'oae1' }, headers)),
      errorFromStatus(answer(404, { errorCode: 'E0000007', errorId: 'oae1' }, headers), 'https://example.okta.com/x'),
    ]
    assert.deepEqual(
      named.map(({ code, providerStatus, refusal }) => [code, providerStatus, refusal?.error]),
      [
        ['ERR_OIDC_TOKEN_REQUEST', 401, 'invalid_client'],
        ['ERR_OIDC_PROVIDER_BUSY', 429, 'E0000047'],
        ['ERR_OIDC_PROVIDER_STATUS', 500, 'E0000009'],
        ['ERR_OIDC_PROVIDER_STATUS', 404, 'E0000007'],
      ],
    )
    for (const { errorId, requestId } of named) {
      assert.deepEqual([errorId, requestId], ['oae1', 'WnKkvUMZG0s7nO3EbTsY_QAAAAc'])
    }
  })

  const forged = ['', ' ', 'a b', '<b>', 'a;b', 'a"b', 'a/b', 'a\u00f6', 'x'.repeat(65)]
  for (const id of [...forged, 'a\nb', 7, true, null, ['oae1'], { id: 'oae1' }]) {
    it(`Q-61: have no errorId beside them that could be anything else: ${inspect(id).slice(0, 20)}`, () => {
      assert.equal(errorFromStatus(answer(500, { errorCode: 'E0000009', errorId: id })).errorId, undefined)
    })
  }
  for (const id of forged) {
    it(`Q-61: have no requestId beside them that could be anything else: ${inspect(id).slice(0, 20)}`, () => {
      assert.equal(errorFromStatus(answer(500, {}, { 'X-Okta-Request-Id': id })).requestId, undefined)
    })
  }

  for (const errorCode of ['E000004', 'E00000477', 'X0000047', 'invalid_grant', 47, null, ['E0000047']]) {
    it(`Q-61: have no code that is not of Okta’s form: ${inspect(errorCode)}`, () => {
      const error = errorFromResponse(answer(400, { errorCode, errorSummary: 'x' }), 'ERR_OIDC_TOKEN_REQUEST')
      assert.deepEqual([error.code, error.status, error.refusal], ['ERR_OIDC_TOKEN_REQUEST', 502, undefined])
    })
  }

  it('Q-61: are none of a body that is no JSON, such as a page', () => {
    const body = new TextEncoder().encode('{"errorCode":"E0000009","errorId":"oae1"}')
    const { refusal, errorId } = errorFromStatus({
      status: 500,
      headers: new Headers({ 'Content-Type': 'text/html' }),
      body,
    })
    assert.deepEqual([refusal, errorId], [undefined, undefined])
  })
})

describe('what comes beside a good answer', () => {
  it('Q-62: is left aside: headers, cookies and members that nobody knows', async () => {
    stage.okta.change.tokenAnswer = (json, res) => {
      res.setHeader('Set-Cookie', ['connect.sid=forged; Path=/', 'oidc-tx.x=forged; Path=/'])
      res.setHeader('X-Something-New', 'x'.repeat(1000))
      return {
        ...json,
        device_secret: 'x',
        refresh_token_expires_in: 'soon',
        nested: { a: [null, {}] },
        constructor: 1,
      }
    }
    const app = await stage.start('org', { userinfo: true })
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 200, String(app.errors))
    const cookies = browser.cookies('127.0.0.1').map(({ value }) => value)
    assert.ok(!cookies.includes('forged'), String(cookies))
    const names = Object.keys((await browser.open('/tokens')).json())
    stage.okta.change.tokenAnswer = undefined
    const plain = app.browser()
    await plain.open('/profile')
    assert.deepEqual(names, Object.keys((await plain.open('/tokens')).json()))
  })

  it('Q-62: is not sent back: the application keeps no cookies of Okta’s', async () => {
    const app = await stage.start('org', { userinfo: true })
    for (let login = 0; login < 2; login++) await app.browser().open('/profile')
    const asked = stage.okta.requests.filter(({ endpoint }) => endpoint === 'token' || endpoint === 'userinfo')
    assert.deepEqual(
      asked.map(({ headers }) => headers.cookie),
      [undefined, undefined, undefined, undefined],
    )
  })
})

describe('parameters for Okta', () => {
  it('Q-63: are passed on, to what is behind Okta too: login_hint, idp, idp_scope, display', async () => {
    const params = {
      login_hint: 'alice@example.test',
      idp: '0oak4jk7ujVkFUn9h0g3',
      idp_scope: 'profile email',
      display: 'popup',
    }
    const enter = answerBy(({ oidc }) => oidc.login({ returnTo: '/profile', authorizationParams: params }))
    const app = await stage.start('org', { authorizationParams: { display: 'page' } }, { routes: { '/enter': enter } })
    assert.equal((await app.browser().open('/enter')).status, 200)
    const query = stage.okta.requestsTo('authorize')[0]?.query
    assert.deepEqual(Object.fromEntries(Object.keys(params).map((name) => [name, query?.get(name)])), params)
  })
})

describe('the authorization endpoint', () => {
  it('Q-64: is for pages alone: Okta allows neither other origins nor frames', async () => {
    const app = await stage.start('org')
    const browser = app.browser()
    const sent = await browser.open('/profile', { stopBefore: isAtProvider })
    const { headers } = await browser.go(sent.next, { follow: false })
    assert.deepEqual([headers['access-control-allow-origin'], headers['x-frame-options']], [undefined, 'SAMEORIGIN'])
  })

  it('Q-64: is where no script is sent: it gets a 401 with the address to send the person to', async () => {
    const app = await stage.start('org')
    const { status, headers, json } = await app.browser().fetch('/profile')
    assert.deepEqual([status, headers.location, json()['loginUrl']], [401, undefined, '/login?returnTo=%2F'])
    assert.equal(stage.okta.requestsTo('authorize').length, 0)
  })

  it('Q-64: is where no frame is sent', async () => {
    const app = await stage.start('org')
    const browser = app.browser()
    const page = await browser.open('/profile', { headers: { 'sec-fetch-dest': 'iframe' }, stopBefore: isCallback })
    assert.equal(page.status, 401)
    assert.equal(stage.okta.requestsTo('authorize').length, 0)
  })
})
