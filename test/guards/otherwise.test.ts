import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as tick } from 'node:timers/promises'
import type { RequestHandler } from 'express'
import {
  ConfigError,
  type Guard,
  type OtherwiseHandler,
  requireAmr,
  requireAuth,
  requireAuthorizationDetails,
  requireClaim,
  requireGroup,
  requireScope,
} from '../../lib/index.ts'
import { codesOf } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createStage } from '../support/app/stage.ts'
import { sendText } from '../support/servers/http-server.ts'

const LOGIN_REQUIRED = 'ERR_OIDC_LOGIN_REQUIRED'
const teapot: OtherwiseHandler = (_req, res) => sendText(res, 418, 'text/plain', 'short and stout')

let reached = 0
const handler = answerJson(() => ({ reached: ++reached }))

const stage = createStage({ app: { errorHandler: 'json' } })

describe('otherwise', () => {
  const routes: Routes = {
    '/login-always': [requireAuth({ otherwise: 'login' }), handler],
    '/401': [requireAuth({ otherwise: 401 }), handler],
    '/404': [requireAuth({ otherwise: 404 }), handler],
    '/teapot': [requireAuth({ otherwise: teapot }), handler],
    '/strong': [requireAuth({ acr: 'urn:example:mfa', otherwise: 'login' }), handler],
    '/own-login': [requireAuth({ otherwise: answerBy(({ oidc }) => oidc.login({ returnTo: '/teapot' })) }), handler],
  }

  for (const host of HOSTS) {
    it(`is the answer to a request without a login, on ${host}`, async () => {
      const app = await stage.start({}, { routes, host })
      const browser = app.browser()
      const page = async (path: string) => {
        const { status, headers } = await browser.open(path, { follow: false })
        return [status, headers.location?.replace(/\?.*/, '')]
      }
      const before = reached
      assert.deepEqual(await page('/login-always'), [303, '/login'])
      assert.deepEqual(
        [await page('/401'), await page('/404')],
        [
          [401, undefined],
          [404, undefined],
        ],
      )
      assert.deepEqual(await page('/teapot'), [418, undefined])
      assert.deepEqual(codesOf(app), [LOGIN_REQUIRED, 'ERR_OIDC_NOT_FOUND'])
      const headers = { 'sec-fetch-mode': 'cors', accept: '*/*' }
      const redirected = await browser.open('/login-always', { follow: false, headers })
      assert.equal(redirected.status, 303)
      assert.equal((await browser.fetch('/401')).json()['error'], LOGIN_REQUIRED)
      assert.deepEqual([(await browser.fetch('/404')).status, (await browser.fetch('/teapot')).status], [404, 418])
      assert.equal(reached, before)
    })
  }

  it('does not concern a user who is logged in', async () => {
    const { browser } = await stage.startLoggedIn({}, { routes })
    for (const path of ['/login-always', '/401', '/404', '/teapot']) {
      assert.equal((await browser.open(path)).status, 200, path)
    }
    assert.equal((await browser.fetch('/strong')).status, 401)
    assert.equal((await browser.open('/strong')).status, 200)
  })

  it("'login' sends the requirement of its guard with the first login", async () => {
    const app = await stage.start({}, { routes })
    assert.equal((await app.browser().open('/strong')).status, 200)
    assert.equal(stage.provider.authorizationRequests.at(-1)?.get('acr_values'), 'urn:example:mfa')
  })

  it('may start a login of its own', async () => {
    const app = await stage.start({}, { routes })
    const page = await app.browser().open('/own-login')
    assert.deepEqual([page.status, page.url, app.errors], [200, `${app.origin}/teapot`, []])
  })

  it('does not answer a CORS preflight, which carries no login', async () => {
    const app = await stage.start({}, { routes })
    const headers = { 'access-control-request-method': 'POST' }
    for (const path of ['/404', '/teapot', '/login-always']) {
      assert.equal((await app.browser().fetch(path, { method: 'OPTIONS', headers })).status, 204)
    }
  })

  it('works with each guard, and with before()', async () => {
    const options = { otherwise: teapot }
    const guards: readonly Guard[] = [
      requireScope('a', options),
      requireScope({ anyOf: ['a'] }, options),
      requireClaim('a', 'b', options),
      requireClaim('a', (value) => value === 'b', options),
      requireClaim(() => true, options),
      requireGroup('a', options),
      requireGroup('a', { claim: 'roles', ...options }),
      requireAmr('mfa', options),
      requireAuthorizationDetails('payment', options),
      requireAuth({ maxAge: 60, ...options }),
    ]
    const all: Routes = {
      ...Object.fromEntries(guards.map((guard, index) => [`/${index}`, [guard, handler]])),
      '/before': requireAuth(options).before(() => assert.fail('the handler ran')),
    }
    const app = await stage.start({}, { routes: all })
    for (const path of Object.keys(all)) assert.equal((await app.browser().open(path)).status, 418, path)
  })

  it('accepts a handler with the types of Express', () => {
    const express: RequestHandler = (_req, res) => void res.status(404).send('nothing')
    assert.equal(typeof requireAuth({ otherwise: express }), 'function')
  })
})

describe('a function otherwise never lets a request through', () => {
  const fail = new Error('out of tea')
  const rows: readonly (readonly [name: string, act: OtherwiseHandler, status: number, code: string | undefined])[] = [
    ['calls next()', (_req, _res, next) => next(), 401, LOGIN_REQUIRED],
    ['calls next(undefined)', (_req, _res, next) => next(undefined), 401, LOGIN_REQUIRED],
    ['calls next(null)', (_req, _res, next) => next(null), 401, LOGIN_REQUIRED],
    ["calls next('route')", (_req, _res, next) => next('route'), 401, LOGIN_REQUIRED],
    ["calls next('router')", (_req, _res, next) => next('router'), 401, LOGIN_REQUIRED],
    ['calls next() twice', (_req, _res, next) => [next(), next()], 401, LOGIN_REQUIRED],
    ['calls next() and rejects', async (_req, _res, next) => Promise.reject(next()), 401, LOGIN_REQUIRED],
    ['calls next() later', (_req, _res, next) => setImmediate(next), 401, LOGIN_REQUIRED],
    ['resolves and calls next()', async (_req, _res, next) => next(), 401, LOGIN_REQUIRED],
    ['calls next(error)', (_req, _res, next) => next(fail), 500, undefined],
    ['throws an error', () => assert.fail(fail), 500, undefined],
    ['rejects with an error', () => Promise.reject(fail), 500, undefined],
    ['rejects without a reason', () => Promise.reject(undefined), 401, LOGIN_REQUIRED],
    ["rejects with 'route'", () => Promise.reject('route'), 401, LOGIN_REQUIRED],
    [
      'throws undefined',
      () => {
        throw undefined
      },
      401,
      LOGIN_REQUIRED,
    ],
    [
      "throws 'route'",
      () => {
        throw 'route'
      },
      401,
      LOGIN_REQUIRED,
    ],
    [
      'claims a login on req.oidc',
      (req, _res, next) => [Object.assign(req, { oidc: { isAuthenticated: true } }), next()],
      401,
      LOGIN_REQUIRED,
    ],
  ]

  it('and goes on once, however often it calls next()', async () => {
    const calls: unknown[] = []
    const otherwise: OtherwiseHandler = async (_req, _res, next) => {
      next()
      next('route')
      throw fail
    }
    const req = { method: 'GET', headers: {}, oidc: { isAuthenticated: false } }
    requireAuth({ otherwise })(req as never, {} as never, (error?: unknown) => void calls.push(error))
    await tick()
    assert.deepEqual(
      calls.map((error) => Object(error).code),
      [LOGIN_REQUIRED],
    )
  })

  for (const host of HOSTS) {
    it(`on ${host}, whatever it does`, async () => {
      const routes: Routes = Object.fromEntries(
        rows.map(([, otherwise], index) => [`/${index}`, [requireAuth({ otherwise }), handler]]),
      )
      const app = await stage.start({}, { routes, host })
      const before = reached
      for (const [index, [name, , status, code]] of rows.entries()) {
        const page = await app.browser().open(`/${index}`)
        assert.deepEqual([page.status, reached], [status, before], name)
        if (code !== undefined) assert.equal(codesOf(app).at(-1), code, name)
        // Each error handler ran once.
        assert.equal(app.errors.length + app.otherErrors.length, index + 1, name)
      }
    })
  }
})

describe('the options of a guard', () => {
  const wrong: readonly unknown[] = [
    undefined,
    null,
    true,
    false,
    'Login',
    '401',
    403,
    200,
    302,
    404.5,
    {},
    [],
    ['login'],
  ]

  it('refuse a wrong otherwise', () => {
    for (const value of wrong) {
      const options = { otherwise: value } as object
      const makers: readonly (() => Guard)[] = [
        () => requireAuth(options),
        () => requireAuth({ maxAge: 60, ...options }),
        () => requireScope('a', options),
        () => requireClaim('a', 'b', options),
        () => requireClaim(() => true, options),
        () => requireGroup('a', options),
        () => requireAmr('mfa', options),
        () => requireAuthorizationDetails('payment', options),
      ]
      for (const make of makers) assert.throws(make, { name: 'ConfigError', message: /otherwise/ }, String(make))
    }
  })

  it('refuse what they do not know', () => {
    const unknown = { otherWise: 404 } as object
    for (const make of [
      () => requireAuth(unknown),
      () => requireAuth({ otherwise: 404, ...unknown }),
      () => requireScope('a', unknown),
      () => requireScope('a', null as unknown as object),
      () => requireClaim('a', 'b', unknown),
      () => requireClaim(() => true, unknown),
      () => requireGroup('a', unknown),
      () => requireAmr('mfa', unknown),
      () => requireAuthorizationDetails('payment', unknown),
      () => requireAuth({} as object),
      () => requireAuth(null as unknown as object),
    ]) {
      assert.throws(make, ConfigError, String(make))
    }
  })
})
