import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeal } from '../../lib/session/seal.ts'
import { isTransaction, SESSION_COOKIE } from '../support/browser/login-cookies.ts'
import {
  arrive,
  assertLoggedIn,
  assertNobodyLoggedIn,
  createStand,
  isLoggedIn,
  logIn,
} from '../support/hostile/hostile.ts'

// Encrypted values, and the cookies that hold them.

describe('encrypted values and cookies', () => {
  const stand = createStand()

  const SECRET = 'a secret of a test, with 40 characters x'
  const NAME = 'oidc-tx.name'

  it('CVE-2021-32791: the same value is never encrypted with the same IV', () => {
    const seal = createSeal([SECRET], 'transaction')
    const sealed = Array.from({ length: 100 }, () => seal.seal('text', NAME))
    assert.equal(new Set(sealed.map((text) => text.slice(0, 16))).size, 100)
  })

  it('CVE-2026-40372: an encrypted value that was changed, cut or extended cannot be decrypted', () => {
    const seal = createSeal([SECRET], 'transaction')
    const sealed = seal.seal(JSON.stringify({ state: 'x'.repeat(43) }), NAME)
    const bytes = Buffer.from(sealed, 'base64url')
    assert.notEqual(seal.open(sealed, NAME), undefined)
    for (let index = 0; index < bytes.length; index++) {
      for (let bit = 0; bit < 8; bit++) {
        const changed = Buffer.from(bytes)
        changed[index] = (changed[index] ?? 0) ^ (1 << bit)
        assert.equal(seal.open(changed.toString('base64url'), NAME), undefined, `byte ${index}, bit ${bit}`)
      }
      assert.equal(seal.open(bytes.subarray(0, index).toString('base64url'), NAME), undefined, `cut at ${index}`)
    }
    assert.equal(seal.open(Buffer.concat([bytes, Buffer.alloc(1)]).toString('base64url'), NAME), undefined)
  })

  it('CVE-2023-35941: the value of a cookie cannot be decrypted under another name or for another purpose', () => {
    const seal = createSeal([SECRET], 'transaction')
    const sealed = seal.seal('value', 'oidc-tx.ab')
    for (const place of ['oidc-tx.a', 'oidc-tx.abv', 'oidc-tx.', '', 'oidc-tx.ab\0']) {
      assert.equal(seal.open(sealed, place), undefined)
    }
    assert.equal(createSeal([SECRET], 'tokens').open(sealed, 'oidc-tx.ab'), undefined)
    assert.equal(createSeal([`${SECRET}x`], 'transaction').open(sealed, 'oidc-tx.ab'), undefined)
  })

  it('CVE-2023-48309, CVE-2026-114607: a transaction is not accepted as a session, nor tokens as either', async () => {
    const { browser } = await arrive(stand)
    const transaction = browser.cookies().find(isTransaction)
    const { browser: loggedIn } = await logIn(stand)
    const records = Object.entries(await stand.app.records())
    const tokens = records.map(([, record]) => Reflect.get(record, 'tokens')).find((value) => value !== undefined)
    assert.ok(transaction && typeof tokens === 'string')
    const thief = stand.app.browser()
    for (const value of [transaction.value, `s%3A${transaction.value}`, tokens]) {
      thief.jar.store(new URL(stand.app.origin), [`${SESSION_COOKIE}=${value}; Path=/`])
      assert.equal(await isLoggedIn(thief), false)
    }
    browser.jar.store(new URL(stand.app.origin), [`${transaction.name}=${tokens}; Path=/`])
    assert.equal((await browser.open('/callback?code=x&state=x')).status, 400)
    assert.deepEqual([await isLoggedIn(browser), await isLoggedIn(loggedIn)], [false, true])
  })

  it('CVE-2023-27490: a transaction without a value to compare fails the login', async () => {
    for (const member of ['state', 'nonce', 'codeVerifier', 'issuer', 'redirectUri']) {
      await stand.reset()
      const { browser, answer } = await arrive(stand)
      const cookie = browser.cookies().find(isTransaction)
      assert.ok(cookie)
      const seal = createSeal([stand.provider.clientSecret], 'transaction')
      const { [member]: _dropped, ...rest } = JSON.parse(seal.open(cookie.value, cookie.name) ?? '')
      const value = seal.seal(JSON.stringify(rest), cookie.name)
      browser.jar.store(new URL(stand.app.origin), [`${cookie.name}=${value}; Path=/`])
      assert.ok((await browser.go(answer)).status >= 400, member)
      await assertNobodyLoggedIn(stand.app, browser)
    }
  })

  it('CVE-2023-28625: no Cookie header causes an error', async () => {
    const headers = [
      ...[
        '',
        ';',
        ';;;',
        '=',
        '==',
        ' = ; = ',
        'a',
        'a;b;c',
        '=a=b=c',
        ';=;=;',
        '\t',
        '"',
        '"="',
        ',',
        '\u00ff=\u00ff',
      ],
      ...['__proto__=1', 'constructor=1; toString=2', 'oidc-tx.', 'oidc-tx.=', 'oidc-tx.x=%', 'connect.sid=%zz%'],
      ...['connect.sid=s%3A', 'connect.sid=j%3A%7B', 'oidc-landed', 'oidc-landed=%', `a=${'x'.repeat(8000)}`],
      Array.from({ length: 900 }, (_, index) => `c${index}=`).join(';'),
    ]
    for (const cookie of headers) {
      for (const path of ['/', '/profile', '/callback?state=x&code=y', '/login', '/logout']) {
        const { status } = await stand.app.browser().open(path, { headers: { cookie }, follow: false })
        assert.ok(status < 500, `${path} ${JSON.stringify(cookie).slice(0, 50)}`)
      }
    }
    assert.deepEqual(stand.app.otherErrors, [])
    assert.equal(await stand.app.sessions(), 0)
  })

  it('CVE-2021-22119: fifty abandoned logins leave six cookies in the browser, and nothing in the store', async () => {
    const browser = stand.app.browser()
    for (let count = 0; count < 50; count++) await browser.open('/login?returnTo=/profile', { follow: false })
    assert.equal(browser.cookies().filter(isTransaction).length, 6)
    assert.deepEqual(await stand.app.records(), {})
    await assertLoggedIn(stand, { browser, page: await browser.open('/login?returnTo=/profile') })
  })
})
