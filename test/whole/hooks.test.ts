import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { AccessDeniedError, type AfterLoginEvent, type Hooks, OidcError } from '../../lib/index.ts'
import type { TestApp } from '../support/app/app.ts'
import { type AppRequest, answerBy } from '../support/app/app-routes.ts'
import { HOSTS, type Host } from '../support/app/hosts.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import { isTransaction } from '../support/browser/login-cookies.ts'
import { answered } from '../support/strict-provider/context.ts'

const routes = { '/leave': answerBy(({ oidc }) => oidc.logout()) }
const stage = createStage({ app: { routes, errorHandler: 'json' } })

function start(hooks: Hooks, host?: Host): Promise<TestApp> {
  return stage.start({ hooks }, host && { host })
}

/** Asynchronous work of a hook. */
const aMoment = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function refuse(): never {
  throw new AccessDeniedError('ERR_OIDC_INSUFFICIENT_CLAIM', 'Not today.')
}

describe('hooks', () => {
  it('are awaited in order', async () => {
    const moments: string[] = []
    const tell = (name: string) => async (): Promise<void> => {
      moments.push(`${name} begins`)
      await aMoment()
      moments.push(`${name} ends`)
    }
    const app = await start({
      beforeLogin: tell('beforeLogin'),
      afterLogin: tell('afterLogin'),
      beforeLogout: tell('beforeLogout'),
      afterLogout: tell('afterLogout'),
    })
    const browser = app.browser()
    await browser.open('/profile')
    await browser.post('/logout')
    assert.deepEqual(
      moments,
      ['beforeLogin', 'afterLogin', 'beforeLogout', 'afterLogout'].flatMap((name) => [
        `${name} begins`,
        `${name} ends`,
      ]),
    )
  })

  it('may be synchronous', async () => {
    const moments: string[] = []
    const app = await start({ afterLogin: ({ scope }) => void moments.push(scope) })
    assert.equal((await app.browser().open('/profile')).status, 200)
    assert.deepEqual(moments, ['openid profile email'])
  })
})

describe('beforeLogin', () => {
  it('receives returnTo, and can set a header', async () => {
    const app = await start({
      beforeLogin: ({ req, res, returnTo }) => void res.setHeader('X-Seen', `${req.method} ${returnTo}`),
    })
    const page = await app.browser().open('/login?returnTo=/profile', { follow: false })
    assert.equal(page.headers['x-seen'], 'GET /profile')
  })

  it('that throws stops the login before the provider is called', async () => {
    const app = await start({ beforeLogin: refuse })
    const browser = app.browser()
    const page = await browser.open('/login')
    assert.deepEqual([page.status, page.json()], [403, { error: 'ERR_OIDC_INSUFFICIENT_CLAIM' }])
    assert.deepEqual([browser.cookies(), stage.provider.requests.length], [[], 0])
  })
})

describe('afterLogin', () => {
  it('receives the claims and the scope, and can write to the new session, which is saved', async () => {
    const seen: unknown[] = []
    const app = await start({
      afterLogin: async ({ req, claims, scope, tokens }) => {
        const { session, oidc } = req as AppRequest
        seen.push(
          claims.sub,
          claims['nonce'] !== undefined,
          scope,
          oidc.isAuthenticated,
          session['cart'],
          tokens.tokenType,
        )
        await aMoment()
        session['user'] = { id: 7 }
      },
    })
    const browser = app.browser()
    await browser.open('/write')
    await browser.open('/profile')
    assert.deepEqual(seen, ['user-subject', true, 'openid profile email', false, 'book', 'Bearer'])
    assert.deepEqual((await browser.open('/session')).json()['user'], { id: 7 })
  })

  it('CL-6: receives the claims of the ID Token and of UserInfo apart', async () => {
    const seen: AfterLoginEvent[] = []
    stage.provider.change.userinfo = (json) => ({
      ...json,
      name: 'Alice of UserInfo',
      department: 'Sales',
      acr: 'high',
    })
    const hooks: Hooks = { afterLogin: (event) => void seen.push(event) }
    const app = await stage.start({ hooks, userinfo: true })
    const browser = app.browser()
    await browser.open('/profile')
    const [{ claims, idTokenClaims, userinfo } = assert.fail()] = seen
    assert.deepEqual(
      [claims, idTokenClaims, userinfo].map((one) => [one?.['name'], one?.['department'], one?.['acr']]),
      [
        ['Alice Example', 'Sales', undefined],
        ['Alice Example', undefined, undefined],
        ['Alice of UserInfo', 'Sales', 'high'],
      ],
    )
    assert.deepEqual(
      [idTokenClaims.sub, userinfo?.['sub'], userinfo?.['iss']],
      ['user-subject', 'user-subject', undefined],
    )
    const stored = JSON.stringify((await browser.open('/session')).json())
    assert.doesNotMatch(stored, /Alice of UserInfo|high/)
  })

  it('CL-6: receives no UserInfo that was not requested, refused or gave no claims', async () => {
    const seen: unknown[] = []
    const hooks: Hooks = { afterLogin: ({ userinfo }) => void seen.push(userinfo) }
    await (await stage.start({ hooks, userinfo: false })).browser().open('/profile')
    for (const status of [401, 403, 500]) {
      stage.provider.change.userinfo = answered(status, { error: 'insufficient_scope' })
      await (await stage.start({ hooks, scope: 'openid profile groups' })).browser().open('/profile')
    }
    assert.deepEqual(seen, [undefined, undefined, undefined, undefined])
  })

  it('TK-8: receives the other members of the token response, and none of the tokens', async () => {
    const seen: unknown[] = []
    stage.provider.change.tokenResponse = (json) => ({
      ...json,
      patient: '7',
      device_secret: 's',
      fhir: { version: 4 },
    })
    const hooks: Hooks = { afterLogin: ({ tokenResponseParams }) => void seen.push(tokenResponseParams) }
    const browser = (await stage.start({ hooks, scope: 'openid offline_access' })).browser()
    await browser.open('/profile')
    assert.deepEqual(seen, [{ patient: '7', device_secret: 's', fhir: { version: 4 } }])
    const stored = JSON.stringify([(await browser.open('/session')).json(), (await browser.open('/tokens')).json()])
    assert.doesNotMatch(stored, /device_secret|patient/)
  })

  const failures: readonly (readonly [name: string, hook: () => void | Promise<void>, status: number])[] = [
    ['throws', refuse, 403],
    ['rejects', async () => refuse(), 403],
    [
      'throws an error of its own',
      () => {
        throw new RangeError('no such user')
      },
      500,
    ],
    ['rejects with nothing', () => Promise.reject(), 500],
    ["rejects with a word that means something to Express' next()", () => Promise.reject('route'), 500],
  ]
  for (const [name, afterLogin, status] of failures) {
    it(`that ${name} leaves no session, no tokens and no login`, async () => {
      const app = await start({ afterLogin })
      const browser = app.browser()
      const page = await browser.open('/profile')
      assert.equal(page.status, status)
      assert.deepEqual(await app.records(), {})
      assert.equal((await browser.fetch('/profile')).status, 401)
      assert.ok(!browser.cookies().some(isTransaction))
    })
  }

  it('that throws ends the previous login', async () => {
    let isOpen = true
    const app = await start({ afterLogin: () => (isOpen ? undefined : refuse()) })
    const browser = app.browser()
    await browser.open('/profile')
    isOpen = false
    assert.equal((await browser.open('/login')).status, 403)
    assert.deepEqual(await app.records(), {})
    assert.equal((await browser.fetch('/profile')).status, 401)
  })

  it('is not called for a late response', async () => {
    let calls = 0
    const app = await start({ afterLogin: () => void calls++ })
    const browser = app.browser()
    const { next } = await browser.open('/profile', { stopBefore: isCallback })
    await browser.go(next)
    await browser.go(next)
    assert.equal(calls, 1)
  })

  it('is not called for a refused response', async () => {
    let calls = 0
    const app = await start({ afterLogin: () => void calls++ })
    stage.provider.change.idTokenClaims = (claims) => ({ ...claims, aud: 'another' })
    assert.equal((await app.browser().open('/profile')).status, 502)
    assert.equal(calls, 0)
  })
})

describe('beforeLogout and afterLogout', () => {
  it('receive the claims of the login, before and after it ends', async () => {
    const seen: unknown[] = []
    const tell =
      (name: string): NonNullable<Hooks['beforeLogout']> =>
      ({ req, claims }) =>
        void seen.push([name, claims?.sub, (req as AppRequest).oidc.isAuthenticated])
    const app = await start({ beforeLogout: tell('before'), afterLogout: tell('after') })
    const browser = app.browser()
    await browser.open('/profile')
    await browser.post('/logout')
    await browser.post('/logout')
    assert.deepEqual(seen, [
      ['before', 'user-subject', true],
      ['after', 'user-subject', false],
      ['before', undefined, false],
      ['after', undefined, false],
    ])
  })

  it('run for req.oidc.logout() too', async () => {
    const seen: unknown[] = []
    const app = await start({ afterLogout: ({ claims }) => void seen.push(claims?.sub) })
    const browser = app.browser()
    await browser.open('/profile')
    await browser.open('/leave')
    assert.deepEqual(seen, ['user-subject'])
  })

  it('do not run for a logout that another site posts', async () => {
    const app = await start({ beforeLogout: () => assert.fail('it must not be reached') })
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.post('/logout', {}, { from: 'https://evil.test' })).status, 403)
  })

  it('keep the session if beforeLogout throws', async () => {
    const app = await start({ beforeLogout: refuse })
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.post('/logout')).status, 403)
    assert.equal((await browser.open('/profile')).status, 200)
    assert.equal((await browser.open('/tokens')).json()['tokenType'], 'Bearer')
  })

  it('do not restore the session if afterLogout throws', async () => {
    const app = await start({ afterLogout: refuse })
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.post('/logout')).status, 403)
    assert.equal((await browser.fetch('/profile')).status, 401)
    assert.deepEqual(await app.records(), {})
  })
})

for (const host of HOSTS) {
  it(`a hook that throws reaches the error handlers of ${host}`, async () => {
    const app = await start({ afterLogin: async () => refuse() }, host)
    assert.equal((await app.browser().open('/profile')).status, 403)
    assert.ok(app.errors[0] instanceof OidcError)
    assert.deepEqual(await app.records(), {})
  })
}

describe('a hook that sends a response itself', () => {
  const say = ({ res }: { res: ServerResponse }): void => {
    res.statusCode = 403
    res.end('not here')
  }

  it('before a login prevents the redirect', async () => {
    const app = await start({ beforeLogin: say })
    const page = await app.browser().open('/login')
    assert.deepEqual([page.status, page.body, stage.provider.calls['/authorize']], [403, 'not here', 0])
  })

  it('after a login leaves no login', async () => {
    const app = await start({ afterLogin: say })
    const browser = app.browser()
    const page = await browser.open('/profile')
    assert.deepEqual([page.status, page.body], [403, 'not here'])
    assert.equal((await browser.fetch('/profile')).status, 401)
    assert.deepEqual([await app.sessions(), await app.records(), app.otherErrors], [0, {}, []])
  })

  it('before a logout keeps the login', async () => {
    const app = await start({ beforeLogout: say })
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.post('/logout')).body, 'not here')
    assert.equal((await browser.fetch('/profile')).status, 200)
  })

  it('after a logout prevents the redirect, and the login has ended', async () => {
    const app = await start({ afterLogout: say })
    const browser = app.browser()
    await browser.open('/profile')
    assert.equal((await browser.post('/logout')).body, 'not here')
    assert.deepEqual([(await browser.fetch('/profile')).status, app.otherErrors], [401, []])
  })
})
