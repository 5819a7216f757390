import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import {
  bearer,
  type Guard,
  requireAmr,
  requireAuth,
  requireAuthorizationDetails,
  requireClaim,
  requireGroup,
  requireScope,
} from '../../lib/bearer.ts'
import { attemptSilentLogin, checkSession } from '../../lib/index.ts'
import { type ApiApp, observeDenials, startApi } from '../support/app/api-app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createStage, share, stopAfterEach } from '../support/app/stage.ts'
import { startTokenIssuer } from '../support/servers/token-issuer.ts'

const theIssuer = share(() => startTokenIssuer())
const stopLater = stopAfterEach()
const seen = observeDenials()
afterEach(() => theIssuer().reset())

const now = (): number => Math.floor(Date.now() / 1000)
const LACKS = 'error="insufficient_scope", error_description="The access token lacks a right that this route requires."'
const STEP_UP =
  'error="insufficient_user_authentication", error_description="A stronger or more recent login is needed"'

/** A guard, claims that it lets through, claims that it denies, and the answer then: code, status, rest of the challenge. */
type Row = readonly [name: string, Guard, object, object, string, number, string]

const SCOPE = 'ERR_OIDC_INSUFFICIENT_SCOPE'
const CLAIM = 'ERR_OIDC_INSUFFICIENT_CLAIM'
const LOGIN = 'ERR_OIDC_INSUFFICIENT_AUTHENTICATION'

const GUARDS: readonly Row[] = [
  ['requireScope', requireScope('a'), { scope: 'a b' }, { scope: 'ab' }, SCOPE, 403, `${LACKS}, scope="a"`],
  [
    'requireAuth by scope',
    requireAuth({ scope: ['a', 'b'] }),
    { scope: 'b a' },
    { scope: 'a b:c' },
    SCOPE,
    403,
    `${LACKS}, scope="a b"`,
  ],
  [
    'requireScope of scp',
    requireScope(['a', 'b']),
    { scope: undefined, scp: ['a', 'b'] },
    { scope: 'a' },
    SCOPE,
    403,
    `${LACKS}, scope="a b"`,
  ],
  // An item is one scope: split, it would grant more than the issuer has granted.
  ...[['a b'], [['b']], [{ toString: 'b' }], ['b\n'], ['']].map(
    (scp): Row => [
      `requireScope of scp ${JSON.stringify(scp)}`,
      requireScope('b'),
      { scope: undefined, scp: ['b'] },
      { scope: undefined, scp },
      SCOPE,
      403,
      `${LACKS}, scope="b"`,
    ],
  ),
  [
    'requireScope of any',
    requireScope({ anyOf: ['a', 'b'] }),
    { scope: 'b' },
    { scope: undefined },
    SCOPE,
    403,
    `${LACKS}, scope="a b"`,
  ],
  [
    'requireClaim',
    requireClaim('permissions', 'read'),
    { permissions: ['read'] },
    { permissions: ['reader'] },
    CLAIM,
    403,
    LACKS,
  ],
  ['requireClaim by a function', requireClaim((claims) => claims['tid'] === 't'), { tid: 't' }, {}, CLAIM, 403, LACKS],
  [
    'requireGroup',
    requireGroup('staff', { claim: ['realm_access', 'roles'] }),
    { realm_access: { roles: ['staff'] } },
    { realm_access: { roles: 'staffs' } },
    CLAIM,
    403,
    LACKS,
  ],
  ['requireAmr', requireAmr('mfa'), { amr: ['mfa'] }, { amr: 'mf' }, CLAIM, 403, LACKS],
  [
    'requireAuthorizationDetails',
    requireAuthorizationDetails({ type: 'payment', actions: ['read'] }),
    { authorization_details: [{ type: 'other' }, { type: 'payment', actions: ['write', 'read'] }] },
    {
      authorization_details: [
        { type: 'other', actions: ['read'] },
        { type: 'payment', actions: ['write'] },
      ],
    },
    'ERR_OIDC_INSUFFICIENT_AUTHORIZATION_DETAILS',
    403,
    LACKS,
  ],
  [
    'requireAuth by acr',
    requireAuth({ acr: ['phr', 'phrh'] }),
    { acr: 'phrh' },
    { acr: ['phrh'] },
    LOGIN,
    401,
    `${STEP_UP}, acr_values="phr phrh"`,
  ],
  ['requireAuth by amr', requireAuth({ amr: 'mfa' }), { amr: ['mfa'] }, { amr: 'mfa' }, LOGIN, 401, STEP_UP],
  [
    'requireAuth by maxAge',
    requireAuth({ maxAge: 300 }),
    { auth_time: now() },
    { auth_time: now() - 400 },
    LOGIN,
    401,
    `${STEP_UP}, max_age="300"`,
  ],
]

/** RFC 9470: nothing but a number in the past says when the user authenticated. */
const TOO_OLD: readonly [string, object][] = [
  ['no auth_time, although iat is recent', { auth_time: undefined }],
  ['an auth_time that is text', { auth_time: String(now()) }],
  ['an auth_time in the future', { auth_time: now() + 400 }],
  ['an auth_time in milliseconds', { auth_time: Date.now() }],
  ['an auth_time that is null', { auth_time: null }],
  ['an auth_time that is a list', { auth_time: [now()] }],
]

for (const host of HOSTS) {
  describe(`guards behind bearer() in ${host}`, () => {
    let app: ApiApp
    const answer = answerJson(({ oidc }) => ({ sub: oidc.claims?.sub }))
    beforeEach(async () => {
      const routes = Object.fromEntries(GUARDS.map(([, guard], index) => [`/guard-${index}`, [guard, answer]]))
      const before = GUARDS.map(([, guard], index) => [`/before-${index}`, guard.before(answer as never)])
      app = stopLater(await startApi(theIssuer(), {}, { host, routes: { ...routes, ...Object.fromEntries(before) } }))
    })

    for (const [index, [name, , allowed, denied, code, status, challenge]] of GUARDS.entries()) {
      it(`let through or deny by the claims of the token: ${name}`, async () => {
        for (const path of [`/guard-${index}`, `/before-${index}`]) {
          const good = await app.call(theIssuer().token(allowed as Record<string, unknown>), { path })
          assert.deepEqual([good.status, good.json()], [200, { sub: 'alice' }])
          app.reached.length = 0
          const html = { accept: 'text/html', 'sec-fetch-mode': 'navigate' }
          const bad = await app.call(theIssuer().token(denied as Record<string, unknown>), { path, headers: html })
          assert.deepEqual([bad.status, bad.challenge], [status, `Bearer realm="api", ${challenge}`])
          assert.equal(bad.json()['error'], /error="(\w+)"/.exec(challenge)?.[1])
          assert.deepEqual([seen.denied.at(-1), app.errors], [code, []])
          assert.deepEqual(
            app.reached.filter((one) => one.startsWith('/guard')),
            [],
          )
        }
      })
    }
  })
}

describe('requireAuth({ maxAge }) behind bearer()', () => {
  for (const [name, claims] of TOO_OLD) {
    it(`counts as too old: ${name}`, async () => {
      const routes = { '/pay': [requireAuth({ maxAge: 300 }), answerJson(() => 1)] }
      const app = stopLater(await startApi(theIssuer(), {}, { routes }))
      const answer = await app.call(theIssuer().token(claims as Record<string, unknown>), { path: '/pay' })
      assert.deepEqual([answer.status, seen.denied, app.reached], [401, [LOGIN], []])
    })
  }
})

describe('otherwise behind bearer()', () => {
  const routes = {
    '/404': [requireAuth({ otherwise: 404 }), answerJson(() => 1)],
    '/teapot': [requireScope('a', { otherwise: (_req, res) => res.writeHead(418).end() }), answerJson(() => 1)],
    '/through': [requireAuth({ otherwise: (_req, _res, next) => next() }), answerJson(() => 1)],
    '/401': [requireAuth({ otherwise: 401 }), answerJson(() => 1)],
    '/login': [requireAuth({ otherwise: 'login' }), answerJson(() => 1)],
  }

  it('answers a request without a token, and challenges where it would lead to a login', async () => {
    const app = stopLater(await startApi(theIssuer(), { allowAnonymous: true }, { routes }))
    const headers = { accept: 'text/html', 'sec-fetch-mode': 'navigate' }
    for (const [path, status, challenge] of [
      ['/404', 404, undefined],
      ['/teapot', 418, undefined],
      ['/through', 401, undefined],
      ['/401', 401, 'Bearer realm="api"'],
      ['/login', 401, 'Bearer realm="api"'],
    ] as const) {
      const answer = await app.call(undefined, { path, headers })
      assert.deepEqual([answer.status, answer.challenge, app.reached], [status, challenge, []], path)
    }
  })

  it('does not answer a token that lacks a right or is wrong', async () => {
    const app = stopLater(await startApi(theIssuer(), { allowAnonymous: true }, { routes }))
    const lacking = await app.call(theIssuer().token({ scope: 'b' }), { path: '/teapot' })
    assert.deepEqual([lacking.status, lacking.challenge], [403, `Bearer realm="api", ${LACKS}, scope="a"`])
    const wrong = await app.call(`${theIssuer().token()}x`, { path: '/404' })
    assert.deepEqual([wrong.status, app.reached], [401, []])
  })
})

describe('checkSession() and attemptSilentLogin() behind bearer()', () => {
  it('let every request pass: there is no session to check', async () => {
    const routes = { '/page': [attemptSilentLogin(), checkSession({ every: 60 }), answerJson(() => 1)] }
    const app = stopLater(await startApi(theIssuer(), { allowAnonymous: true }, { routes }))
    const headers = { accept: 'text/html' }
    assert.equal((await app.call(theIssuer().token(), { path: '/page', headers })).status, 200)
    assert.equal((await app.call(undefined, { path: '/page', headers })).status, 200)
  })
})

describe('a route that takes either a session or a token', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })
  const read = answerJson(({ oidc }) => ({ by: oidc.authenticatedBy, sub: oidc.claims?.sub }))

  function settingsOf(options: { allowSession?: boolean; allowAnonymous?: boolean }) {
    const { issuer, audience } = theIssuer()
    const api = bearer({ issuer, audience, algorithms: ['ES256'], dangerouslyAllowInsecureRequests: true, ...options })
    const guard = requireAuth()
    return {
      routes: {
        '/either': [api, guard, read],
        '/open': [api, read],
        '/scope': [api, requireScope('orders:read'), read],
      },
    }
  }

  for (const host of HOSTS) {
    it(`is open to both, through the same guard, in ${host}`, async () => {
      const { app, browser } = await stage.startLoggedIn({}, { host, ...settingsOf({ allowSession: true }) })
      const bySession = await browser.fetch('/either')
      assert.deepEqual([bySession.status, bySession.json()['by']], [200, 'session'])
      const authorization = `Bearer ${theIssuer().token()}`
      const byToken = await app.browser().fetch('/either', { headers: { authorization } })
      assert.deepEqual([byToken.status, byToken.json()], [200, { by: 'access_token', sub: 'alice' }])
      // The token counts, and the session beside it does not.
      const both = await browser.fetch('/scope', { headers: { authorization } })
      assert.deepEqual(both.json(), { by: 'access_token', sub: 'alice' })
      assert.deepEqual([(await browser.fetch('/scope')).status, seen.denied.at(-1)], [403, SCOPE])
    })
  }

  it('refuses a wrong token beside a good session', async () => {
    const { browser } = await stage.startLoggedIn({}, settingsOf({ allowSession: true, allowAnonymous: true }))
    for (const authorization of ['Bearer x', `Bearer ${theIssuer().token({ exp: 1 })}`]) {
      assert.equal((await browser.fetch('/either', { headers: { authorization } })).status, 401)
    }
    assert.equal((await browser.fetch('/either', { headers: { authorization: 'Bearer' } })).status, 400)
    assert.equal((await browser.fetch('/either?access_token=x')).status, 400)
  })

  it('never takes the content of a cookie for an access token', async () => {
    const { app, browser } = await stage.startLoggedIn({}, settingsOf({ allowSession: true }))
    // Of a login that is in progress, too.
    await browser.open('/login', { follow: false })
    const names = browser.cookies().map(({ name }) => name)
    assert.ok(names.includes('connect.sid') && names.some((name) => name.includes('oidc-')), String(names))
    for (const { name, value } of browser.cookies()) {
      for (const content of [value, decodeURIComponent(value), value.replace(/^s%3A|\..*$/g, '')]) {
        const headers = { authorization: `Bearer ${content}` }
        const { status } = await app.browser().fetch('/either', { headers })
        assert.ok([400, 401].includes(status), `${name}: ${status}`)
        assert.match(String(seen.denied.at(-1)), /^ERR_OIDC_ACCESS_TOKEN_(?:REQUEST|MALFORMED)$/)
      }
    }
  })

  it('refuses what a page of another site sends with the session, also without a guard', async () => {
    const { browser } = await stage.startLoggedIn({}, settingsOf({ allowSession: true, allowAnonymous: true }))
    for (const path of ['/open', '/either']) {
      const forged = await browser.fetch(path, { method: 'POST', headers: { 'sec-fetch-site': 'cross-site' } })
      assert.deepEqual([forged.status, seen.denied.at(-1)], [403, 'ERR_OIDC_CROSS_ORIGIN_REQUEST'])
      const own = await browser.fetch(path, { method: 'POST', headers: { 'sec-fetch-site': 'same-origin' } })
      assert.equal(own.status, 200)
      // No other site can send the header Authorization.
      const headers = { 'sec-fetch-site': 'cross-site', authorization: `Bearer ${theIssuer().token()}` }
      assert.equal((await browser.fetch(path, { method: 'POST', headers })).status, 200)
    }
  })

  it('takes unsafe requests of other sites from visitors, if it takes visitors: they have no rights to abuse', async () => {
    const app = await stage.start({}, settingsOf({ allowSession: true, allowAnonymous: true }))
    const headers = { 'sec-fetch-site': 'cross-site' }
    assert.equal((await app.browser().fetch('/open', { method: 'POST', headers })).status, 200)
  })

  it('lets no preflight reach a handler, also with a session', async () => {
    const { browser } = await stage.startLoggedIn({}, settingsOf({ allowSession: true }))
    const headers = { 'access-control-request-method': 'POST' }
    const answer = await browser.fetch('/open', { method: 'OPTIONS', headers })
    assert.deepEqual([answer.status, answer.json()], [401, { error: 'ERR_OIDC_LOGIN_REQUIRED' }])
  })

  it('sends a page to log in, and offers a script both ways', async () => {
    const app = await stage.start({}, settingsOf({ allowSession: true }))
    for (const path of ['/either', '/open']) {
      const page = await app.browser().open(path, { follow: false })
      assert.deepEqual([page.status, page.headers.location], [303, `/login?returnTo=${encodeURIComponent(path)}`])
      const script = await app.browser().fetch(path)
      assert.deepEqual([script.status, script.headers['www-authenticate']], [401, 'Bearer realm="api"'])
      assert.deepEqual(script.json(), {
        error: 'ERR_OIDC_LOGIN_REQUIRED',
        message: 'Please sign in.',
        loginUrl: '/login?returnTo=%2F',
      })
    }
  })

  it('is closed to a session without allowSession: 401 and no login', async () => {
    const { browser } = await stage.startLoggedIn({}, settingsOf({}))
    const page = await browser.open('/open', { follow: false })
    assert.deepEqual([page.status, page.headers['www-authenticate']], [401, 'Bearer realm="api"'])
    const anonymous = await stage.startLoggedIn({}, settingsOf({ allowAnonymous: true }))
    assert.deepEqual((await anonymous.browser.fetch('/open')).json(), {})
    assert.equal((await anonymous.browser.fetch('/either')).status, 401)
  })

  it('needs oidc() in front', async () => {
    const app = stopLater(await startApi(theIssuer(), { allowSession: true }))
    assert.deepEqual([(await app.call()).json(), app.reached], [{ code: 'ERR_OIDC_NOT_MOUNTED' }, []])
    const passed: unknown[] = []
    const req = { method: 'GET', url: '/', headers: {}, rawHeaders: [] }
    app.api(req as never, {} as never, (error) => passed.push(Object(error).code))
    assert.deepEqual(passed, ['ERR_OIDC_NOT_MOUNTED'])
    assert.equal((await app.call(theIssuer().token())).status, 200)
  })
})
