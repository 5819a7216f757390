import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import session, { type SessionData } from 'express-session'
import { readOidcSession } from '../../lib/session/stored-session.ts'
import { destroyRecords, isTokens } from '../support/app/records.ts'
import { stopAfterEach } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser } from '../support/browser/browser.ts'
import { cookieOf, isTransaction, SESSION_COOKIE } from '../support/browser/login-cookies.ts'
import {
  arrive,
  assertHarmless,
  assertNobodyLoggedIn,
  assertRefused,
  createStand,
  EVIL_HTML,
  isLoggedIn,
  logIn,
  paramsOf,
  type Stand,
  startStand,
  startStandAt,
} from '../support/hostile/hostile.ts'

async function sessionIds({ app }: Stand): Promise<readonly string[]> {
  return Object.keys(await app.records()).filter((id) => !isTokens(id))
}

async function tokenIds({ app }: Stand): Promise<readonly string[]> {
  return Object.keys(await app.records()).filter(isTokens)
}

/** Writes a record as an attacker with access to the store. */
function write({ app }: Stand, id: string, record: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    app.store.set(id, record as SessionData, (error) => (error ? reject(error) : resolve()))
  })
}

async function assertNoTokens({ app }: Stand, browser: Browser): Promise<void> {
  assert.equal((await browser.fetch('/tokens')).body, 'null')
  const page = await browser.fetch('/access-token')
  assert.deepEqual([page.status, page.json()['error']], [401, 'ERR_OIDC_TOKEN_UNAVAILABLE'])
  assert.deepEqual(app.otherErrors, [])
}

describe('a planted session id', () => {
  const stand = createStand()

  const plant = (browser: Browser, value: string): void =>
    browser.jar.store(new URL(stand.app.origin), [`${SESSION_COOKIE}=${value}; Path=/`])

  it('is replaced at the login', async () => {
    const attacker = stand.app.browser()
    await attacker.open('/write')
    const victim = stand.app.browser()
    plant(victim, cookieOf(attacker))
    const page = await victim.open('/login?returnTo=/profile')
    assert.equal(page.status, 200)
    assert.notEqual(cookieOf(victim), cookieOf(attacker))
    assert.deepEqual([await isLoggedIn(victim), await isLoggedIn(attacker)], [true, false])
    assert.deepEqual([(await sessionIds(stand)).length, await stand.app.sessions()], [1, 1])
  })

  it("is replaced at the login, even if it has the attacker's own login", async () => {
    stand.provider.account = { sub: 'attacker', claims: {} }
    const { browser: attacker } = await logIn(stand)
    await attacker.open('/write')
    stand.provider.account = { sub: 'victim', claims: {} }
    const victim = stand.app.browser()
    plant(victim, cookieOf(attacker))
    await victim.open('/login')
    assert.notEqual(cookieOf(victim), cookieOf(attacker))
    assert.deepEqual([await isLoggedIn(victim), await isLoggedIn(attacker)], [true, false])
    const kept = (await victim.fetch('/session')).json()
    assert.equal(Reflect.get(kept, 'cart'), undefined)
    assert.equal((await victim.fetch('/profile')).json()['sub'], 'victim')
    assert.deepEqual([(await sessionIds(stand)).length, (await tokenIds(stand)).length], [1, 1])
  })

  for (const [name, value] of [
    ['has a wrong signature', 's%3Aattackers-id.c2lnbmF0dXJl'],
    ['is not signed', 'attackers-id'],
    ['is the name of a token record', `s%3Aoidc-tokens-${'A'.repeat(16)}.c2ln`],
    ['is empty', ''],
    ['is HTML', encodeURIComponent(EVIL_HTML)],
    ['is malformed', '%'],
    ['is __proto__', 's%3A__proto__.c2ln'],
    ['is very long', 'x'.repeat(4000)],
  ] as const) {
    it(`is replaced at the login if it ${name}`, async () => {
      const browser = stand.app.browser()
      plant(browser, value)
      assert.equal(await isLoggedIn(browser), false)
      const page = await browser.open('/login?returnTo=/profile')
      assert.equal(page.status, 200)
      assert.notEqual(cookieOf(browser), value)
      assert.equal((await sessionIds(stand)).length, 1)
      assert.deepEqual(stand.app.otherErrors, [])
    })
  }

  it('cannot be the cookie of a login in progress', async () => {
    const { browser } = await arrive(stand)
    const transaction = browser.cookies().find(isTransaction)
    plant(browser, transaction?.value ?? '')
    await assertNobodyLoggedIn(stand.app, browser)
  })
})

/** Names that browsers accept with a `Domain`, and that some server could confuse with the prefixed name. */
const RENAMED: readonly (readonly [name: string, rename: (name: string) => string])[] = [
  ['without prefix', (name) => name.replace('__Host-', '')],
  ['with the prefix __Secure-', (name) => name.replace('__Host-', '__Secure-')],
  ['with the prefix in lower case', (name) => name.replace('__Host-', '__host-')],
  ['with the prefix twice', (name) => `__Host-${name}`],
  ['in quotes', (name) => `"${name}"`],
  ['as a value', (name) => `x=${name}`],
  ['after $Version', (name) => `$Version=1, ${name}`],
  ['encoded', (name) => name.replace('_', '%5F')],
  ['after a no-break space', (name) => `\u00a0${name}`],
  ['after the control character U+0085', (name) => `\u0085${name}`],
]

describe('transaction cookies that another subdomain has planted', () => {
  const stand = createStand({ app: { tls: true, hostname: 'app.example.test' } })
  beforeEach(() => {
    stand.provider.redirectUris = [`${stand.app.origin}/callback`]
  })

  /** The attacker's own login, up to its response, and its cookie. */
  async function attack() {
    const { browser, answer } = await arrive(stand)
    const cookie = browser.cookies().find(({ name }) => name.startsWith('__Host-oidc-tx.'))
    assert.ok(cookie)
    return { answer, cookie }
  }
  const neighbour = new URL('https://evil.example.test/')

  it('are refused by the browser under their own name', async () => {
    const { answer, cookie } = await attack()
    const victim = stand.app.browser()
    victim.jar.store(neighbour, [`${cookie.name}=${cookie.value}; Domain=example.test; Path=/; Secure`])
    victim.jar.store(neighbour, [`${cookie.name}=${cookie.value}; Path=/; Secure`])
    assert.match(victim.jar.refused[0]?.reason ?? '', /^__Host-/)
    const page = await victim.go(answer)
    await assertRefused(stand, { browser: victim, page }, { code: 'ERR_OIDC_TRANSACTION_MISSING' })
  })

  for (const [name, rename] of RENAMED) {
    it(`are not read under their name ${name}`, async () => {
      const { answer, cookie } = await attack()
      const victim = stand.app.browser()
      const headers = { cookie: `${rename(cookie.name)}=${cookie.value}` }
      const page = await victim.go(answer, { headers })
      await assertRefused(stand, { browser: victim, page }, { code: 'ERR_OIDC_TRANSACTION_MISSING' })
    })
  }

  it('do not prevent a login, however many there are', async () => {
    const victim = stand.app.browser()
    for (let index = 0; index < 40; index++) {
      victim.jar.store(neighbour, [`oidc-tx.${index}=${'x'.repeat(60)}; Domain=example.test; Path=/; Secure`])
    }
    const page = await victim.open('/login?returnTo=/profile')
    assert.deepEqual([page.status, await stand.app.sessions()], [200, 1])
  })
})

describe('transaction cookies that were planted on the same host', () => {
  const stand = createStand()

  it('fail the login whose cookie they replace', async () => {
    const { browser, answer } = await arrive(stand)
    const name = browser.cookies().find(isTransaction)?.name
    browser.jar.store(new URL(`${stand.app.origin}/callback`), [`${name}=planted; Path=/callback`])
    const page = await browser.go(answer)
    await assertRefused(stand, { browser, page }, { code: 'ERR_OIDC_TRANSACTION_INVALID' })
  })

  it('are deleted if there are too many, and the login works', async () => {
    const browser = stand.app.browser()
    const planted = Array.from({ length: 40 }, (_, index) => `oidc-tx.${index}=${'x'.repeat(60)}; Path=/`)
    browser.jar.store(new URL(stand.app.origin), planted)
    const page = await browser.open('/login?returnTo=/profile')
    assert.deepEqual([page.status, await stand.app.sessions()], [200, 1])
    assert.ok(browser.cookies().filter(isTransaction).length <= 6)
  })
})

/** Values in the place of a login, as version 0.2.0 stored it. With each, the user is not logged in. */
const now = (): number => Math.floor(Date.now() / 1000)
type LoginChange = (login: Record<string, unknown>) => unknown
const HELD: readonly (readonly [name: string, change: LoginChange])[] = [
  ['nothing', () => undefined],
  ...[null, 0, 1, true, '', EVIL_HTML, [], [[]], {}].map((value): readonly [string, LoginChange] => [
    `the login ${JSON.stringify(value)}`,
    () => value,
  ]),
  ['the login in an array', (login) => [login]],
  ['the login as text', (login) => JSON.stringify(login)],
  ['no claims', ({ claims: _claims, ...login }) => login],
  ...[null, 1, true, '', EVIL_HTML, [], [{}], {}].map((claims): readonly [string, LoginChange] => [
    `the claims ${JSON.stringify(claims)}`,
    (login) => ({ ...login, claims }),
  ]),
  ['claims in an array', (login) => ({ ...login, claims: [login['claims']] })],
  ...['https://evil.example', '', null, 5, ['x'], {}].map((iss): readonly [string, LoginChange] => [
    `the issuer ${JSON.stringify(iss)}`,
    (login) => ({ ...login, claims: { ...Object(login['claims']), iss } }),
  ]),
  ['the issuer in an array', (login) => ({ ...login, claims: inList(login['claims'], 'iss') })],
  ['no expiresAt', ({ expiresAt: _expiresAt, ...login }) => login],
  ...[null, 'x', '', true, [], {}, 0, -1, 1, String(now() + 3600), [now() + 3600], now() - 1].map(
    (expiresAt): readonly [string, LoginChange] => [
      `the expiresAt ${JSON.stringify(expiresAt)}`,
      (login) => ({ ...login, expiresAt }),
    ],
  ),
  ...[undefined, null, 5, true, ['openid'], { a: 1 }].map((scope): readonly [string, LoginChange] => [
    `the scope ${JSON.stringify(scope)}`,
    (login) => ({ ...login, scope }),
  ]),
  ...[undefined, null, 5, '', ['user-subject'], {}].map((sub): readonly [string, LoginChange] => [
    `the sub ${JSON.stringify(sub)}`,
    (login) => ({ ...login, claims: { ...Object(login['claims']), sub } }),
  ]),
]

/** Values in the place of one member of a login as it is stored now. With each, the user is not logged in. */
const STORED: readonly (readonly [member: string, values: readonly unknown[]])[] = [
  [
    'claims',
    [undefined, null, 1, true, '', EVIL_HTML, [], [{}], {}, { iss: 'https://evil.example', sub: 'user-subject' }],
  ],
  ['at', [undefined, null, 'x', '', true, [], {}, 0, -1, 1, String(now()), now() - 86_401]],
  ['id', [undefined, null, 5, true, [], {}]],
  ['scope', [null, 5, true, ['openid'], { a: 1 }]],
  ['end', [null, 'x', '', true, [], {}, 0, -1, 1, String(now() + 3600), [now() + 3600], now() - 1]],
  ['provider', [5, true, '', 'other', ['default'], {}, '__proto__', 'constructor']],
  ['seenAt', [null, 'x', [], {}]],
  ['checkedAt', [null, 'x', [], {}]],
]

function inList(claims: unknown, name: string): object {
  return { ...Object(claims), [name]: [Reflect.get(Object(claims), name)] }
}

describe('a session with something else than a login', () => {
  const stand = createStand()

  async function logInAndWrite(oidcOf: (record: object) => unknown): Promise<Browser> {
    const { browser } = await logIn(stand)
    for (const [id, record] of Object.entries(await stand.app.records())) {
      if (!isTokens(id)) await write(stand, id, { ...record, oidc: oidcOf(record) })
    }
    return browser
  }

  function logInAndChange(change: LoginChange): Promise<Browser> {
    return logInAndWrite((record) => {
      const { login, ...others } = Object(readOidcSession(record, { sessionKey: 'oidc' }))
      return { ...others, login: change(login) }
    })
  }

  async function assertNotLoggedIn(browser: Browser): Promise<void> {
    assert.deepEqual((await browser.fetch('/')).json(), { authenticated: false, claims: null })
    for (const path of ['/profile', '/reports', '/admin']) {
      const page = await browser.fetch(path)
      assert.deepEqual([page.status, page.json()['error']], [401, 'ERR_OIDC_LOGIN_REQUIRED'])
      assertHarmless(stand, page)
    }
    await assertNoTokens(stand, browser)
  }

  it('has a login if the login is unchanged', async () => {
    assert.equal(await isLoggedIn(await logInAndChange((login) => login)), true)
  })

  for (const [name, change] of HELD) {
    it(`has no login with ${name.slice(0, 60)}, and a new login works`, async () => {
      const browser = await logInAndChange(change)
      await assertNotLoggedIn(browser)
      stand.app.errors.length = 0
      const page = await browser.open('/login?returnTo=/profile')
      assert.deepEqual([page.status, stand.app.errors, stand.app.otherErrors], [200, [], []])
    })
  }

  for (const [member, values] of STORED) {
    for (const value of values) {
      it(`has no login if ${member} is ${String(JSON.stringify(value)).slice(0, 60)}`, async () => {
        await assertNotLoggedIn(await logInAndWrite((record) => ({ ...Reflect.get(record, 'oidc'), [member]: value })))
      })
    }
  }

  it('has a login if everything that has a default is left out, and no more scopes than these', async () => {
    const browser = await logInAndWrite((record) => {
      const { claims, at, id } = Reflect.get(record, 'oidc')
      return { claims, at, id }
    })
    assert.equal(await isLoggedIn(browser), true)
    assert.equal((await browser.fetch('/reports')).status, 403)
  })

  for (const held of [null, 5, true, '', EVIL_HTML, [], {}, { Login: {} }, { login: undefined }]) {
    it(`has no login if the whole value is ${JSON.stringify(held)}`, async () => {
      await assertNotLoggedIn(await logInAndWrite(() => held))
    })
  }
})

describe('the tokens of a session', () => {
  const stand = createStand()

  it('cannot be decrypted in the record of another session', async () => {
    const { browser: alice } = await logIn(stand)
    const [ofAlice = ''] = await tokenIds(stand)
    const { browser: bob } = await logIn(stand)
    const ofBob = (await tokenIds(stand)).find((id) => id !== ofAlice) ?? ''
    const records = await stand.app.records()
    await write(stand, ofBob, records[ofAlice])
    await assertNoTokens(stand, bob)
    assert.equal((await alice.fetch('/access-token')).status, 200)
  })

  for (const [name, change] of [
    ['null', () => null],
    ['a number', () => 5],
    ['an object', () => ({ idToken: 'x', accessToken: 'x' })],
    ['empty', () => ''],
    ['not encrypted', () => JSON.stringify({ idToken: 'x', accessToken: 'x' })],
    ['not encrypted, in base64url', () => Buffer.from('{"accessToken":"x"}').toString('base64url')],
    ['HTML', () => EVIL_HTML],
    ['truncated', (sealed: string) => sealed.slice(0, -8)],
    ['changed at the beginning', (sealed: string) => `${sealed.startsWith('A') ? 'B' : 'A'}${sealed.slice(1)}`],
    ['doubled', (sealed: string) => sealed + sealed],
  ] as const satisfies readonly (readonly [string, (sealed: string) => unknown])[]) {
    it(`are ignored if they are ${name}`, async () => {
      const { browser } = await logIn(stand)
      const [id = ''] = await tokenIds(stand)
      const record = Object((await stand.app.records())[id])
      await write(stand, id, { ...record, tokens: change(String(record.tokens)) })
      await assertNoTokens(stand, browser)
      assert.equal((await browser.fetch('/profile')).status, 200)
    })
  }

  it('are unavailable without their record', async () => {
    const { browser } = await logIn(stand)
    await destroyRecords(stand.app, isTokens)
    await assertNoTokens(stand, browser)
  })

  it('are in no cookie and no session, and encrypted in the store', async () => {
    const seen: string[] = []
    stand.provider.change.tokenResponse = (good) => {
      seen.push(String(good['access_token']), String(good['id_token']))
      return good
    }
    const { browser } = await logIn(stand)
    assert.equal(seen.length, 2)
    const kept = [
      JSON.stringify(browser.jar.all()),
      JSON.stringify(await stand.app.records()),
      (await browser.fetch('/session')).body,
      (await browser.fetch('/profile')).body,
    ]
    for (const text of kept) for (const token of seen) assert.ok(!text.includes(token))
  })
})

describe('a session that two applications share', () => {
  const stopLater = stopAfterEach()

  it('has no login in an application with another issuer', async () => {
    const store = new session.MemoryStore()
    const one = stopLater(await startStand({ app: { session: { store } } }))
    const other = stopLater(await startStand({ app: { session: { store } } }))
    const { browser } = await logIn(one)
    const elsewhere = { origin: other.app.origin }
    assert.equal((await browser.fetch(`${other.app.origin}/profile`, { from: elsewhere.origin })).status, 401)
    assert.equal((await browser.fetch('/profile')).status, 200)
    const page = await browser.open(`${other.app.origin}/login?returnTo=/profile`)
    assert.deepEqual([page.status, page.json()['iss']], [200, other.provider.issuer])
    assert.equal((await browser.fetch('/profile')).status, 401)
    assert.equal(await one.app.sessions(), 1)
  })

  it('does not complete a login whose response is sent to the other application', async () => {
    const one = stopLater(await startStand())
    const options = { secret: 'another secret of 40 characters, at least' }
    const other = stopLater(await startStandAt(one.provider, { options }))
    const { browser, answer } = await arrive(one)
    const page = await browser.go({ ...answer, url: `${other.app.origin}/callback?${paramsOf(answer)}` })
    assert.equal(isCallback(new URL(page.url)), true)
    await assertRefused(other, { browser: other.app.browser(), page }, { code: 'ERR_OIDC_TRANSACTION_INVALID' })
  })
})
