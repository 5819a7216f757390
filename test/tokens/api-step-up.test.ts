import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { beforeEach, describe, it } from 'node:test'
import { OidcError, requireAuth, StepUpError } from '../../lib/index.ts'
import { startApi } from '../support/app/api-app.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { createStage, share, stopAfterEach } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { listen } from '../support/servers/http-server.ts'
import { startTokenIssuer } from '../support/servers/token-issuer.ts'

const SCOPE = 'openid profile email offline_access'
const ACR = 'urn:example:mfa'
const INSUFFICIENT = 'ERR_OIDC_INSUFFICIENT_AUTHENTICATION'
const CHALLENGE = `Bearer error="insufficient_user_authentication", error_description="More", acr_values="${ACR}"`

const stage = createStage({ app: { errorHandler: 'page' } })

/** An API that answers as the test says, and counts its requests. */
const api = share(async () => {
  const state = { calls: 0, status: 401, challenge: CHALLENGE as string | readonly string[] | undefined }
  const listening = await listen(
    createServer((req, res) => {
      req.resume()
      state.calls++
      if (state.challenge !== undefined) res.setHeader('WWW-Authenticate', state.challenge)
      res.writeHead(state.status, { 'Content-Type': 'text/plain' }).end('secret of the API')
    }),
  )
  return { ...listening, state }
})

/** What the last call of the API rejected with. */
let caught: unknown

const callApi = answerJson(async ({ oidc, method }) => {
  try {
    const body = method === 'POST' ? new URLSearchParams({ amount: '7' }) : null
    const response = await oidc.fetch(`http://127.0.0.1:${api().port}/orders`, { method: method ?? 'GET', body })
    return { status: response.status, body: await response.text() }
  } catch (error) {
    caught = error
    throw error
  }
})
const routes: Routes = {
  '/orders': [requireAuth(), callApi],
  '/acr': answerJson(({ oidc }) => ({ acr: oidc.claims?.acr ?? null })),
}

beforeEach(() => {
  Object.assign(api().state, { calls: 0, status: 401, challenge: CHALLENGE })
  caught = undefined
})

async function login(): Promise<{ app: TestApp; browser: Browser }> {
  return await stage.startLoggedIn({ scope: SCOPE }, { routes })
}

function lastRequest(): URLSearchParams {
  return stage.provider.authorizationRequests.at(-1) ?? new URLSearchParams()
}

/** How many tokens were requested after the login. */
function refreshes(): number {
  return stage.provider.calls['/token'] - 1
}

describe('an API that requires a stronger login', () => {
  it('CL-11: sends the user of a page to such a login, and back', async () => {
    const { app, browser } = await login()
    const page = await browser.open('/orders?a=1', { follow: false })
    const loginUrl = new URL(page.headers.location ?? '', app.origin)
    assert.deepEqual(
      [page.status, loginUrl.pathname, loginUrl.searchParams.get('returnTo')],
      [303, '/login', '/orders?a=1'],
    )
    assert.doesNotMatch(loginUrl.href, /example/)
    const { requirement } = caught as StepUpError
    assert.deepEqual([caught instanceof OidcError, requirement], [true, { acr: [ACR] }])

    api().state.challenge = undefined
    api().state.status = 200
    const back = await browser.open(loginUrl.href)
    assert.deepEqual([back.status, back.url], [200, `${app.origin}/orders?a=1`])
    assert.deepEqual([lastRequest().get('acr_values'), lastRequest().get('max_age')], [ACR, null])
    assert.deepEqual((await browser.open('/acr')).json(), { acr: ACR })
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('CL-11: needs no new token, and its response is not sent to the browser', async () => {
    const { browser } = await login()
    const page = await browser.fetch('/orders')
    assert.deepEqual([api().state.calls, refreshes()], [1, 0])
    assert.doesNotMatch(`${page.body}${caught}`, /secret of the API|More/)
  })

  it('CL-11: gives a script the challenge and a login URL', async () => {
    const { browser } = await login()
    api().state.challenge = `DPoP algs="ES256", error="insufficient_user_authentication", acr_values="a b", max_age="300"`
    const page = await browser.fetch('/orders')
    assert.deepEqual([page.status, page.json()['error']], [401, INSUFFICIENT])
    assert.match(
      String(page.headers['www-authenticate']),
      /^Bearer error="insufficient_user_authentication", .*acr_values="a b", max_age="300"$/,
    )
    assert.match(String(page.json()['loginUrl']), /^\/login\?.*requirement=/)
  })

  it('CL-11: is obeyed after a refresh, too, and for a posted form', async () => {
    const { browser } = await login()
    api().state.challenge = 'Bearer error="invalid_token"'
    stage.provider.change.refreshResponse = (json) => {
      api().state.challenge = CHALLENGE
      return json
    }
    const page = await browser.post('/orders', {}, { follow: false })
    assert.deepEqual([api().state.calls, refreshes(), (caught as StepUpError).requirement], [2, 1, { acr: [ACR] }])
    assert.deepEqual([page.status, new URL(page.headers.location ?? '', page.url).pathname], [303, '/login'])
  })

  it('CL-11: refuses a login that does not meet it, and the login from before stays', async () => {
    const { app, browser } = await login()
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, acr: 'urn:example:pwd' })
    const page = await browser.open('/orders')
    assert.deepEqual([page.status, codesOf(app)], [403, [INSUFFICIENT, INSUFFICIENT]])
    assert.deepEqual((await browser.open('/acr')).json(), { acr: null })
  })

  it('CL-11: cannot send a browser around without end', async () => {
    const { app, browser } = await login()
    const page = await browser.open('/orders')
    assert.deepEqual([page.status, codesOf(app).at(-1)], [403, INSUFFICIENT])
    assert.ok(api().state.calls < 10)
  })

  it('CL-11: is requested by max_age, where 0 means the shortest', async () => {
    const { browser } = await login()
    for (const [maxAge, expected] of [
      ['0', 1],
      ['1', 1],
      ['300', 300],
    ] as const) {
      api().state.challenge = `Bearer realm="x", Bearer error=insufficient_user_authentication, max_age=${maxAge}`
      await browser.fetch('/orders')
      assert.deepEqual((caught as StepUpError).requirement, { maxAge: expected })
    }
  })

  const refused = 'Bearer error="insufficient_user_authentication"'
  const others: readonly (readonly [name: string, challenge: string | readonly string[] | undefined])[] = [
    ['no challenge', undefined],
    ['another error', `Bearer error="invalid_token", acr_values="${ACR}"`],
    ['the error in capitals', `Bearer error="INSUFFICIENT_USER_AUTHENTICATION", acr_values="${ACR}"`],
    ['the error of another scheme', `Basic error="insufficient_user_authentication", acr_values="${ACR}"`],
    ['the error as a description', `Bearer error_description="insufficient_user_authentication", acr_values="${ACR}"`],
    ['values of another challenge', `${refused}, DPoP acr_values="${ACR}"`],
    ['no values', refused],
    ['an empty value', `${refused}, acr_values=""`],
    ['two spaces', `${refused}, acr_values="a  b"`],
    ['a quote in a value', `${refused}, acr_values="a\\"b"`],
    ['a backslash in a value', `${refused}, acr_values="a\\\\b"`],
    ['a tab in a value', `${refused}, acr_values="a\tb"`],
    ['21 values', `${refused}, acr_values="${'a '.repeat(20)}a"`],
    ['a value of 256 characters', `${refused}, acr_values="${'a'.repeat(256)}"`],
    ['a negative age', `${refused}, max_age="-1"`],
    ['a broken age', `${refused}, max_age="1.5"`],
    ['an age in words', `${refused}, max_age="soon"`],
    ['an age of ten digits', `${refused}, max_age="1000000000"`],
    ['a good class and a wrong age', `${refused}, acr_values="${ACR}", max_age="soon"`],
    ['a good age and a wrong class', `${refused}, acr_values="", max_age="300"`],
    ['a challenge behind 4096 characters', `Bearer realm="${'x'.repeat(4100)}", ${CHALLENGE}`],
  ]
  for (const [name, challenge] of others) {
    it(`CL-11: is not seen in ${name}: the response is returned, after one refresh`, async () => {
      const { browser } = await login()
      api().state.challenge = challenge
      assert.deepEqual((await browser.fetch('/orders')).json(), { status: 401, body: 'secret of the API' })
      assert.deepEqual([caught, api().state.calls, refreshes()], [undefined, 2, 1])
    })
  }

  for (const status of [200, 400, 403, 500]) {
    it(`CL-11: is not seen in a response with status ${status}`, async () => {
      const { browser } = await login()
      api().state.status = status
      assert.equal((await browser.fetch('/orders')).json()['status'], status)
    })
  }
})

describe('a StepUpError without a login to strengthen', () => {
  const fail = answerJson(() => {
    throw new StepUpError({ acr: ['a'] })
  })

  it('is an error page', async () => {
    const app = await stage.start({}, { routes: { '/fail': fail } })
    const page = await app.browser().open('/fail')
    assert.equal(page.status, 403)
    assert.match(page.body, /stronger sign-in/)
  })

  const theIssuer = share(() => startTokenIssuer())
  const stopLater = stopAfterEach()

  it('is an error behind bearer(), where nobody can log in', async () => {
    const app = stopLater(await startApi(theIssuer(), {}, { routes: { '/fail': [requireAuth(), fail] } }))
    const response = await app.call(theIssuer().token({}), { path: '/fail' })
    assert.equal(response.status, 403)
  })
})
