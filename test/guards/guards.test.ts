import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import {
  AccessDeniedError,
  type ClaimPath,
  type ClaimRequirement,
  ConfigError,
  type Guard,
  type Handler,
  type IdTokenClaims,
  type Next,
  OidcError,
  type Request,
  type Response,
  requireAuth,
  requireClaim,
  requireScope,
  type ScopeRequirement,
} from '../../lib/index.ts'
import type { TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { sendJson } from '../support/servers/http-server.ts'

const { start } = createStage({ app: { errorHandler: 'json' } })

/** A request of a user who is logged in, with the members that a guard reads. */
function requestOf(claims: Record<string, unknown>, scope = ''): Request {
  const oidc = { isAuthenticated: true, claims: { iss: 'https://op.test', sub: 'alice', ...claims }, scope }
  return { method: 'GET', url: '/', headers: {}, oidc } as unknown as Request
}

/** Runs a guard: `let through`, or the code of the error that it passes to next. */
function judge(guard: Handler, req: Request): string {
  const outcomes: unknown[] = []
  guard(req, {} as Response, (error) => outcomes.push(error))
  // A guard decides synchronously.
  assert.equal(outcomes.length, 1)
  const [error] = outcomes
  return error instanceof OidcError ? error.code : error === undefined ? 'let through' : String(error)
}

for (const host of HOSTS) {
  describe(`a guard in ${host}`, () => {
    let app: TestApp
    beforeEach(async () => {
      app = await start({}, { host, mountPath: '/portal' })
    })

    const everyGuard = ['/profile', '/reports', '/admin']

    for (const path of everyGuard) {
      it(`redirects a page to the login route, with the page as returnTo: ${path}`, async () => {
        const page = await app.browser().open(`/portal${path}?a=1&b=%20c`, { follow: false })
        assert.equal(page.status, 303)
        const returnTo = encodeURIComponent(`/portal${path}?a=1&b=%20c`)
        assert.equal(page.headers.location, `/portal/login?returnTo=${returnTo}`)
        assert.equal(page.headers['cache-control'], 'no-store')
        assert.equal(page.headers['referrer-policy'], 'no-referrer')
        assert.equal(page.headers['set-cookie'], undefined)
      })

      it(`responds to a script with 401 and the login URL: ${path}`, async () => {
        const page = await app.browser().fetch(`/portal${path}`)
        assert.equal(page.status, 401)
        assert.deepEqual(page.json(), {
          error: 'ERR_OIDC_LOGIN_REQUIRED',
          message: 'Please sign in.',
          loginUrl: '/portal/login?returnTo=%2Fportal%2F',
        })
        assert.equal(page.headers['content-type'], 'application/json; charset=utf-8')
        assert.equal(page.headers['cache-control'], 'no-store')
        assert.equal(page.headers['x-content-type-options'], 'nosniff')
      })

      it(`responds to a CORS preflight with 204 and no CORS headers: ${path}`, async () => {
        const page = await app.browser().fetch(`/portal${path}`, {
          method: 'OPTIONS',
          from: 'https://other.test',
          headers: { 'access-control-request-method': 'POST' },
        })
        assert.deepEqual([page.status, page.body, page.headers.location], [204, '', undefined])
        assert.deepEqual(
          Object.keys(page.headers).filter((name) => name.startsWith('access-control-')),
          [],
        )
      })

      it(`denies an OPTIONS request that is no preflight: ${path}`, async () => {
        assert.equal((await app.browser().fetch(`/portal${path}`, { method: 'OPTIONS' })).status, 401)
      })
    }

    it('redirects a posted form to the login route, and then to the home page', async () => {
      const page = await app.browser().post('/portal/profile', { amount: '1' }, { follow: false })
      assert.deepEqual([page.status, page.headers.location], [303, '/portal/login?returnTo=%2Fportal%2F'])
      assert.equal((await app.browser().post('/portal/profile', { amount: '1' })).url, `${app.baseUrl}/`)
    })

    const refusals = [
      [
        'scope',
        '/portal/reports',
        'ERR_OIDC_INSUFFICIENT_SCOPE',
        /^This route requires the scope 'reports:read', but the login has "openid profile email"\./,
      ],
      ['claim', '/portal/admin', 'ERR_OIDC_INSUFFICIENT_CLAIM', /^The claim 'groups' does not meet the requirement/],
    ] as const
    for (const [what, path, code, message] of refusals) {
      it(`denies a page and a script with 403 if the login lacks a ${what}, and starts no new login`, async () => {
        const browser = app.browser()
        await browser.open('/portal/profile')
        const page = await browser.open(path)
        const data = await browser.fetch(path)
        assert.deepEqual([page.status, data.status, page.history.length], [403, 403, 1])
        for (const error of app.errors) {
          assert.ok(error instanceof AccessDeniedError)
          assert.equal(error.code, code)
          assert.match(error.message, message)
        }
      })
    }
  })
}

describe('a request without a login', () => {
  let app: TestApp
  beforeEach(async () => {
    app = await start()
  })

  const html = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
  const navigate = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', accept: html }
  const requests: readonly (readonly [name: string, headers: Record<string, string>, status: number])[] = [
    ['a navigation', navigate, 303],
    ['a navigation from another site', { ...navigate, 'sec-fetch-site': 'cross-site' }, 303],
    ['a navigation that accepts anything', { ...navigate, accept: '*/*' }, 303],
    ['a navigation of a browser that names no destination', { 'sec-fetch-mode': 'navigate' }, 303],
    ['a frame', { ...navigate, 'sec-fetch-dest': 'iframe' }, 401],
    ['an embedded object', { ...navigate, 'sec-fetch-dest': 'object' }, 401],
    ['a prefetch', { ...navigate, 'sec-purpose': 'prefetch' }, 401],
    ['a prerendering', { ...navigate, 'sec-purpose': 'prefetch;prerender' }, 401],
    ['fetch() with CORS', { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', accept: html }, 401],
    ['fetch() without CORS', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'empty', accept: html }, 401],
    ['fetch() of our own origin', { 'sec-fetch-mode': 'same-origin', accept: html }, 401],
    ['an image', { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, 401],
    ['a websocket', { 'sec-fetch-mode': 'websocket', 'sec-fetch-dest': 'websocket' }, 401],
    ['an old browser', { accept: html }, 303],
    ["an old browser's script", { accept: html, 'x-requested-with': 'XMLHttpRequest' }, 401],
    ['an old browser that wants JSON', { accept: 'application/json' }, 401],
    ['a program that accepts anything', { accept: '*/*' }, 401],
    ['a program that says nothing', {}, 401],
  ]
  for (const [name, headers, status] of requests) {
    it(`gets ${status} for ${name}`, async () => {
      const answer = await exchange({ method: 'GET', url: new URL('/profile', app.origin), headers })
      assert.equal(answer.status, status)
    })
  }

  it('gets a redirect for a navigation by HEAD', async () => {
    const answer = await exchange({ method: 'HEAD', url: new URL('/profile?a=1', app.origin), headers: navigate })
    assert.deepEqual([answer.status, answer.headers.location], [303, '/login?returnTo=%2Fprofile%3Fa%3D1'])
  })

  it('N-47: leads back to the page of the script or form, if it is of this origin', async () => {
    const rows: readonly (readonly [referer: string, returnTo: string])[] = [
      [`${app.origin}/board?tab=2`, '/board?tab=2'],
      ['https://evil.example/board', '/'],
      [`${app.origin}/logout`, '/'],
      [`${app.origin}//evil.example`, '/'],
      ['no URL', '/'],
    ]
    for (const [referer, returnTo] of rows) {
      const expected = `/login?returnTo=${encodeURIComponent(returnTo)}`
      const script = await app.browser().fetch('/profile', { headers: { referer } })
      assert.deepEqual([script.status, script.json()['loginUrl']], [401, expected], referer)
      const url = new URL('/profile', app.origin)
      const form = await exchange({ method: 'POST', url, headers: { ...navigate, referer } })
      assert.deepEqual([form.status, form.headers.location], [303, expected], referer)
    }
  })

  it('gets a login URL with which a script can log the user in', async () => {
    const browser = app.browser()
    const { loginUrl } = (await browser.fetch('/profile')).json()
    const url = new URL(String(loginUrl), app.origin)
    url.searchParams.set('returnTo', '/profile?from=script')
    assert.equal((await browser.open(url.href)).url, `${app.baseUrl}/profile?from=script`)
    assert.equal((await browser.fetch('/profile')).status, 200)
  })
})

describe('requireAuth', () => {
  it('lets a user through who is logged in', () => {
    assert.equal(judge(requireAuth(), requestOf({})), 'let through')
  })

  it('refuses invalid and unknown options', () => {
    for (const wrong of [
      {},
      { max_age: 300 },
      { maxAge: 300, roles: ['a'] },
      { maxAge: 0 },
      { maxAge: '300' },
      { acr: [] },
      { acr: 'a b' },
      { amr: '"' },
      [],
      'mfa',
      null,
    ]) {
      assert.throws(() => Reflect.apply(requireAuth, undefined, [wrong]), ConfigError)
    }
  })

  it('throws if it is mounted without being called', () => {
    const wrong = [requestOf({}), {}, () => undefined]
    assert.throws(() => Reflect.apply(requireAuth, undefined, wrong), ConfigError)
  })
})

describe('requireScope', () => {
  const granted = 'openid reports:read reports:write'
  const rows: readonly (readonly [required: ScopeRequirement, isEnough: boolean])[] = [
    ['reports:read', true],
    ['reports', false],
    ['reports:read:all', false],
    ['OPENID', false],
    [['openid', 'reports:read'], true],
    [['reports:write', 'openid'], true],
    [['openid', 'admin'], false],
    [{ anyOf: ['admin', 'reports:write'] }, true],
    [{ anyOf: ['admin', 'root'] }, false],
    [{ anyOf: ['openid'] }, true],
  ]
  for (const [required, isEnough] of rows) {
    it(`${isEnough ? 'accepts' : 'denies'} ${JSON.stringify(required)} with the granted scope ${granted}`, () => {
      const expected = isEnough ? 'let through' : 'ERR_OIDC_INSUFFICIENT_SCOPE'
      assert.equal(judge(requireScope(required), requestOf({}, granted)), expected)
    })
  }

  it('denies a login without any scope', () => {
    assert.equal(judge(requireScope('openid'), requestOf({}, '')), 'ERR_OIDC_INSUFFICIENT_SCOPE')
  })

  it('ignores later changes of the list', () => {
    const required = ['admin']
    const guard = requireScope(required)
    required.length = 0
    assert.equal(judge(guard, requestOf({}, 'openid')), 'ERR_OIDC_INSUFFICIENT_SCOPE')
  })

  const wrong: readonly unknown[] = [
    undefined,
    null,
    '',
    'a b',
    ' a',
    'a"b',
    'a\\b',
    'ä',
    7,
    true,
    [],
    [''],
    ['a', 'b c'],
    ['a', undefined],
    [['a'], 'b'],
    {},
    { anyOf: [] },
    { anyOf: 'a' },
    { anyOf: [7] },
    { allOf: ['a'] },
    () => true,
  ]
  for (const required of wrong) {
    it(`refuses ${String(JSON.stringify(required))} (${typeof required}) as a scope`, () => {
      assert.throws(() => requireScope(required as ScopeRequirement), ConfigError)
    })
  }
})

describe('requireClaim', () => {
  const url = 'https://example.test/roles'
  const claims = JSON.parse(`{
    "groups": ["admin", "staff", 7],
    "department": "sales",
    "level": 3,
    "email_verified": true,
    "nothing": null,
    "empty": [],
    "address": { "country": "AT", "lines": ["Ring 1"] },
    "${url}": ["editor"],
    "a.b": "dotted",
    "nested": [["admin"]]
  }`)
  const rows: readonly (readonly [path: ClaimPath, required: ClaimRequirement, isEnough: boolean])[] = [
    ['department', 'sales', true],
    ['department', 'Sales', false],
    ['department', 'sale', false],
    ['level', 3, true],
    ['level', '3', false],
    ['email_verified', true, true],
    ['email_verified', 'true', false],
    ['email_verified', false, false],
    ['nothing', 'null', false],
    ['missing', 'undefined', false],
    ['groups', 'admin', true],
    ['groups', 'adm', false],
    ['groups', 7, true],
    ['groups', '7', false],
    ['groups', 'admin,staff,7', false],
    ['empty', '', false],
    ['nested', 'admin', false],
    ['groups', { anyOf: ['root', 'staff'] }, true],
    ['groups', { anyOf: ['root', 'wheel'] }, false],
    ['groups', { allOf: ['admin', 'staff'] }, true],
    ['groups', { allOf: ['admin', 'root'] }, false],
    ['department', { anyOf: ['sales', 'it'] }, true],
    ['department', { allOf: ['sales'] }, true],
    ['department', { allOf: ['sales', 'it'] }, false],
    ['missing', { anyOf: ['a'] }, false],
    ['missing', { allOf: ['a'] }, false],
    [['address', 'country'], 'AT', true],
    [['address', 'country'], { anyOf: ['DE', 'AT'] }, true],
    [['address', 'country'], 'DE', false],
    [['address', 'lines'], 'Ring 1', true],
    [['address', 'missing', 'deep'], 'x', false],
    [['department', 'length'], 5, false],
    [['department', '0'], 's', false],
    [['groups', '0'], 'admin', true],
    [['groups', 'length'], 3, true],
    [url, 'editor', true],
    [[url], 'editor', true],
    ['a.b', 'dotted', true],
    [['a', 'b'], 'dotted', false],
  ]
  for (const [path, required, isEnough] of rows) {
    it(`${isEnough ? 'accepts' : 'denies'} the claim ${JSON.stringify(path)} with ${JSON.stringify(required)}`, () => {
      const expected = isEnough ? 'let through' : 'ERR_OIDC_INSUFFICIENT_CLAIM'
      assert.equal(judge(requireClaim(path, required), requestOf(claims)), expected)
    })
  }

  for (const path of ['__proto__', 'constructor', 'toString', ['constructor', 'name'], ['__proto__', '__proto__']]) {
    it(`does not read the inherited member ${JSON.stringify(path)}`, () => {
      const seen: unknown[] = []
      const guard = requireClaim(path, (value) => seen.push(value) > 0)
      assert.equal(judge(guard, requestOf(claims)), 'let through')
      assert.deepEqual(seen, [undefined])
    })
  }

  it('reads a claim named __proto__ that the provider sent', () => {
    const sent = JSON.parse('{ "oidc": { "__proto__": { "admin": "yes" } } }').oidc
    const req = requestOf({})
    Object.defineProperty(Reflect.get(req, 'oidc').claims, '__proto__', { value: sent, enumerable: true })
    assert.equal(judge(requireClaim(['__proto__', '__proto__', 'admin'], 'yes'), req), 'let through')
    assert.equal(judge(requireClaim('admin', 'yes'), req), 'ERR_OIDC_INSUFFICIENT_CLAIM')
  })

  it('accepts a function of one claim', () => {
    const guard = requireClaim('level', (level) => Number(level) >= 3)
    assert.equal(judge(guard, requestOf({ level: 4 })), 'let through')
    assert.equal(judge(guard, requestOf({ level: 2 })), 'ERR_OIDC_INSUFFICIENT_CLAIM')
    assert.equal(judge(guard, requestOf({})), 'ERR_OIDC_INSUFFICIENT_CLAIM')
  })

  it('accepts a function of all claims', () => {
    const guard = requireClaim(({ sub, email_verified: isVerified }) => sub === 'alice' && isVerified === true)
    assert.equal(judge(guard, requestOf({ email_verified: true })), 'let through')
    assert.equal(judge(guard, requestOf({ email_verified: true, sub: 'bob' })), 'ERR_OIDC_INSUFFICIENT_CLAIM')
  })

  const sloppy: readonly (readonly [name: string, predicate: (claims: IdTokenClaims) => unknown])[] = [
    ['returns a promise', async () => true],
    ['returns something that is only truthy', () => 'yes'],
    ['returns nothing', () => undefined],
  ]
  for (const [name, predicate] of sloppy) {
    it(`denies if the function ${name}`, () => {
      const whole = requireClaim(predicate as (claims: IdTokenClaims) => boolean)
      const one = requireClaim('level', predicate as () => boolean)
      assert.equal(judge(whole, requestOf(claims)), 'ERR_OIDC_INSUFFICIENT_CLAIM')
      assert.equal(judge(one, requestOf(claims)), 'ERR_OIDC_INSUFFICIENT_CLAIM')
    })
  }

  it('passes on an error of the function', () => {
    const guard = requireClaim(({ address }) => address?.country?.at(0) === 'A')
    assert.throws(() => judge(guard, requestOf({ address: { country: 7 } })), TypeError)
  })

  it('ignores later changes of the lists', () => {
    const path = ['department']
    const anyOf = ['it']
    const guard = requireClaim(path, { anyOf })
    anyOf[0] = 'sales'
    path[0] = 'level'
    assert.equal(judge(guard, requestOf(claims)), 'ERR_OIDC_INSUFFICIENT_CLAIM')
  })

  const wrong: readonly (readonly [path: unknown, required: unknown])[] = [
    [undefined, 'x'],
    [null, 'x'],
    ['', 'x'],
    [7, 'x'],
    [[], 'x'],
    [['a', ''], 'x'],
    [['a', 7], 'x'],
    [['a', ['b']], 'x'],
    [{}, 'x'],
    ['a', undefined],
    ['a', null],
    ['a', []],
    ['a', ['x']],
    ['a', {}],
    ['a', { anyOf: [] }],
    ['a', { anyOf: 'x' }],
    ['a', { anyOf: [undefined] }],
    ['a', { allOf: [] }],
    ['a', { allOf: [{}] }],
    ['a', { oneOf: ['x'] }],
    ['a', { anyOf: ['x'], allOf: ['y'] }],
    ['a', Symbol('x')],
  ]
  for (const [path, required] of wrong) {
    it(`refuses the options ${JSON.stringify(path)} and ${String(JSON.stringify(required))}`, () => {
      assert.throws(() => requireClaim(path as ClaimPath, required as ClaimRequirement), ConfigError)
    })
  }
})

describe('a guard without oidc()', () => {
  const guards: readonly (readonly [name: string, guard: Guard])[] = [
    ['requireAuth', requireAuth()],
    ['requireScope', requireScope('a')],
    ['requireClaim', requireClaim('a', 'b')],
  ]
  for (const [name, guard] of guards) {
    for (const oidc of [undefined, null, 'x']) {
      it(`throws ERR_OIDC_NOT_MOUNTED: ${name} with req.oidc being ${oidc}`, () => {
        const req = { method: 'GET', url: '/', headers: {}, oidc } as unknown as Request
        assert.equal(judge(guard, req), 'ERR_OIDC_NOT_MOUNTED')
        assert.equal(judge(guard.before(assert.fail), req), 'ERR_OIDC_NOT_MOUNTED')
      })
    }

    it(`throws ERR_OIDC_NOT_MOUNTED: ${name} without req.oidc`, () => {
      const req = { method: 'GET', url: '/', headers: {} } as unknown as Request
      assert.equal(judge(guard, req), 'ERR_OIDC_NOT_MOUNTED')
    })
  }
})

describe('.before()', () => {
  let app: TestApp
  let browser: Browser
  beforeEach(async () => {
    const hello = requireAuth().before<Handler>((req, res) => sendJson(res, 200, { hello: req.oidc.claims.sub }))
    const admin = requireClaim('groups', 'admin').before<Handler>((_req, _res, next) =>
      next(new Error('must not be reached')),
    )
    const fails = requireScope('openid').before<Handler>(async () => {
      throw new RangeError('out of reach')
    })
    const after = answerJson(() => ({ preflight: true }))
    const routes = { '/hello': [hello, after], '/secret': [admin], '/fails': [fails] }
    app = await start({}, { routes })
    browser = app.browser()
  })

  it('guards one handler, and returns its promise to the framework', async () => {
    assert.equal((await browser.fetch('/hello')).status, 401)
    assert.deepEqual((await browser.open('/hello')).json(), { hello: 'user-subject' })
    assert.equal((await browser.open('/secret')).status, 403)
    // Express 5 awaits the returned promise.
    assert.equal((await browser.open('/fails')).status, 500)
    assert.deepEqual(app.otherErrors.map(String), ['RangeError: out of reach'])
  })

  it('stops a CORS preflight before the handler and those after it', async () => {
    const headers = { 'access-control-request-method': 'GET' }
    const page = await app.browser().fetch('/hello', { method: 'OPTIONS', headers })
    assert.deepEqual([page.status, page.body], [204, ''])
  })

  it('returns what the handler returns', () => {
    const guarded = requireAuth().before<(req: Request, res: Response, next: Next) => string>(() => 'the result')
    assert.equal(
      guarded(requestOf({}), {} as Response, () => undefined),
      'the result',
    )
  })
})

/** A promise of another library is no instance of Promise. */
class ForeignPromise {
  // biome-ignore lint/suspicious/noThenProperty: it is what makes it a promise
  then(_done: unknown, failed: (error: unknown) => void): void {
    setImmediate(failed, new RangeError('failed'))
  }
}

const REJECTIONS: Readonly<Record<string, () => unknown>> = {
  'a promise of another library': () => new ForeignPromise(),
  'a promise without a reason': () => Promise.reject(),
}

describe('a guard before handlers that accept every method', () => {
  for (const host of HOSTS) {
    it(`stops a request with the headers of a CORS preflight: ${host}`, async () => {
      const app = await start({}, { host, routes: { '/api': [requireAuth(), answerJson(() => ({ top: 'secret' }))] } })
      const headers = { 'access-control-request-method': 'GET', origin: app.origin }
      const page = await app.browser().fetch('/api', { method: 'OPTIONS', headers })
      assert.deepEqual([page.status, page.body], [204, ''])
    })

    for (const [name, fail] of Object.entries(REJECTIONS)) {
      it(`N-1: answers 500 for ${name} that rejects, and runs no further handler: ${host}`, async () => {
        const fails = requireAuth().before(fail)
        const reached: Handler = (_req, res) => sendJson(res, 200, {})
        const app = await start({}, { host, routes: { '/fails': [fails, reached] } })
        const browser = app.browser()
        await browser.open('/profile')
        assert.equal((await browser.open('/fails')).status, 500)
        assert.equal(app.otherErrors.length, 1)
      })
    }

    it(`passes the rejection of a handler to next: ${host}`, async () => {
      const fails = requireAuth().before<(req: Request, res: Response, next: Next) => unknown>(async ({ oidc }) => {
        await oidc.accessToken()
        throw new RangeError('out of reach')
      })
      const app = await start({}, { host, routes: { '/fails': fails } })
      const browser = app.browser()
      await browser.open('/profile')
      assert.equal((await browser.open('/fails')).status, 500)
      assert.deepEqual(app.otherErrors.map(String), ['RangeError: out of reach'])
    })
  }
})
