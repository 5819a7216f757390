import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { OidcError } from '../../lib/errors.ts'
import type { Request, Response } from '../../lib/http/request.ts'
import { createCookieWriter, readCookies, sessionCookieName } from '../../lib/session/cookies.ts'
import { createSeal } from '../../lib/session/seal.ts'
import { createSealedRequirements, createTransactions } from '../../lib/session/transaction.ts'
import type { Transaction } from '../../lib/types.ts'
import { anyText, damaged, repeated, textOf } from '../support/properties/foreign-text.ts'
import { holds, stopped, syncOutcomeOf } from '../support/properties/outcome.ts'

const SECRETS = ['the newest secret of thirty-two octets', 'an older secret of thirty-two octets...']

/** The Set-Cookie headers of a response, as a browser would keep them: the cookie, or its absence. */
function responseWithCookies() {
  const kept = new Map<string, string>()
  const headers: string[] = []
  const res = {
    appendHeader(name: string, value: string) {
      assert.equal(name, 'Set-Cookie')
      // What node:http itself would refuse.
      assert.match(value, /^[\t -~]+$/)
      headers.push(value)
      const [pair = '', ...attributes] = value.split('; ')
      const end = pair.indexOf('=')
      if (attributes.includes('Max-Age=0')) kept.delete(pair.slice(0, end))
      else kept.set(pair.slice(0, end), pair.slice(end + 1))
    },
  } as unknown as Response
  return { res, kept, headers }
}

function requestWith(cookie: string): Request {
  return { headers: { cookie } } as Request
}

function headerOf(cookies: ReadonlyMap<string, string>): string {
  return [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
}

const TOKEN_CHARACTERS = [...'abcXYZ019!#$%&*+-.^_`|~']
const cookieName = fc.string({ unit: fc.constantFrom(...TOKEN_CHARACTERS), minLength: 1, maxLength: 10 })
const cookieValue = fc.string({ unit: fc.constantFrom(...'abcXYZ019%=.-_:/+'), maxLength: 20 })
const anyCookies: Arbitrary<string> = textOf(
  'a=',
  'b',
  '=',
  ';',
  '; ',
  '__Host-',
  'oidc-tx.',
  ' ',
  '\t',
  '"',
  ',',
  's%3A',
)

describe('the cookies of a request', () => {
  it('are read from any header, each as it was sent', () => {
    fc.assert(
      fc.property(anyCookies, (header) => {
        for (const [name, value] of readCookies(requestWith(header))) {
          assert.doesNotMatch(name, /^$|^[ \t]|[=;]/)
          holds(!value.includes(';'))
          holds(header.includes(`${name}=${value}`))
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('are those that were set', () => {
    const cookies = fc.uniqueArray(fc.tuple(cookieName, cookieValue), { selector: ([name]) => name, maxLength: 8 })
    fc.assert(
      fc.property(cookies, fc.constantFrom('https://app.example', 'http://localhost:3000'), (given, origin) => {
        const writer = createCookieWriter(origin)
        const { res, kept } = responseWithCookies()
        for (const [name, value] of given) writer.set(res, writer.name(name), value, 60)
        assert.deepEqual(
          [...readCookies(requestWith(headerOf(kept)))],
          given.map(([name, value]) => [writer.name(name), value]),
        )
        for (const [name] of given) writer.clear(res, writer.name(name))
        assert.equal(kept.size, 0)
      }),
    )
  })

  it('name the session only by its signed id', () => {
    fc.assert(
      fc.property(anyCookies, anyText, (header, sessionId) => {
        const name = sessionCookieName(requestWith(header), sessionId)
        if (name !== undefined) holds(readCookies(requestWith(header)).get(name)?.startsWith('s%3A'))
      }),
      { numRuns: 500 },
    )
    const signed = `connect.sid=${encodeURIComponent('s:one.signature')}`
    assert.equal(sessionCookieName(requestWith(`a=%zz; ${signed}`), 'one'), 'connect.sid')
    assert.equal(sessionCookieName(requestWith(signed), 'on'), undefined)
  })

  it('are read once, however many there are', () => {
    fc.assert(
      fc.property(repeated(64_000, 'a=b; ', ';', '=', ' ', '\t', 'oidc-tx.a=AAAA;'), (header) => {
        holds(stopped(() => readCookies(requestWith(header))).size <= header.length)
      }),
      { numRuns: 20 },
    )
  })
})

describe('a sealed value', () => {
  const seal = createSeal(SECRETS, 'a purpose')

  it('opens to what was sealed, in its place alone', () => {
    // Node writes half a surrogate pair as U+FFFD, and so does every encoding.
    const text = fc.string({ unit: 'grapheme', maxLength: 200 })
    fc.assert(
      fc.property(text, anyText, anyText, (value, place, other) => {
        const sealed = seal.seal(value, place)
        assert.match(sealed, /^[\w-]+$/)
        assert.equal(seal.open(sealed, place), value)
        assert.equal(createSeal([...SECRETS].reverse(), 'a purpose').open(sealed, place), value)
        assert.equal(createSeal(SECRETS, 'another purpose').open(sealed, place), undefined)
        if (!Buffer.from(other).equals(Buffer.from(place))) assert.equal(seal.open(sealed, other), undefined)
      }),
      { numRuns: 200 },
    )
  })

  it('that was changed in any way does not open', () => {
    const sealed = seal.seal('{"sub":"jane"}', 'here')
    const changed = fc.oneof(
      damaged(sealed),
      anyText,
      fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64url')),
    )
    fc.assert(
      fc.property(changed, (text) => {
        const isSame = Buffer.from(text, 'base64url').equals(Buffer.from(sealed, 'base64url'))
        assert.equal(seal.open(text, 'here'), isSame ? '{"sub":"jane"}' : undefined)
      }),
      { numRuns: 1000 },
    )
  })

  it('of requirements opens to them, and anything else demands nothing', () => {
    const requirements = createSealedRequirements({ secrets: SECRETS })
    const requirement = fc.record(
      { acr: fc.array(fc.string()), maxAge: fc.nat(), amr: fc.array(fc.string()) },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(requirement, anyText, (given, text) => {
        // JSON has no objects without a prototype.
        assert.deepEqual(requirements.open(requirements.seal(given)), { ...given })
        assert.deepEqual(requirements.open(text), {})
      }),
    )
  })
})

describe('the login in progress', () => {
  const transactions = createTransactions({
    origin: 'https://app.example',
    hosts: [],
    secrets: SECRETS,
    transactionLifetime: 600,
  })
  const transaction: Arbitrary<Transaction> = fc.record({
    state: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
    nonce: fc.string(),
    codeVerifier: fc.string(),
    issuer: fc.constant('https://op.example.com'),
    redirectUri: fc.constant('https://app.example/callback'),
    returnTo: fc.string({ unit: 'grapheme', maxLength: 1024 }),
    startedAt: fc.constant(Date.now() / 1000),
  })

  it('comes back once as it was stored, for its own state alone', () => {
    fc.assert(
      fc.property(transaction, anyText, (given, other) => {
        const { res, kept } = responseWithCookies()
        transactions.begin(requestWith(''), res, given)
        const req = requestWith(headerOf(kept))
        holds(transactions.hasAny(req))
        if (other !== given.state) {
          const { error } = syncOutcomeOf(() => transactions.take(req, res, other), /_TRANSACTION_MISSING$/)
          holds(error)
        }
        assert.deepEqual(transactions.take(req, res, given.state), { ...given })
        assert.equal(kept.size, 0)
      }),
    )
  })

  it('is refused for any other cookie under its name', () => {
    const { res, kept } = responseWithCookies()
    const given: Transaction = {
      ...{ state: 'state', nonce: 'nonce', codeVerifier: 'verifier', issuer: 'https://op.example.com' },
      ...{ redirectUri: 'https://app.example/callback', returnTo: '/', startedAt: Date.now() / 1000 },
    }
    transactions.begin(requestWith(''), res, given)
    const [[name, sealed] = ['', '']] = kept
    const value = fc.oneof(damaged(sealed), anyCookies, anyText).map((text) => text.replaceAll(';', ''))
    fc.assert(
      fc.property(value, (changed) => {
        const run = () => transactions.take(requestWith(`${name}=${changed}`), responseWithCookies().res, 'state')
        const { value: taken } = syncOutcomeOf(run, /^ERR_OIDC_TRANSACTION_INVALID$/)
        const isSame = Buffer.from(changed, 'base64url').equals(Buffer.from(sealed, 'base64url'))
        assert.deepEqual(taken, isSame ? given : undefined)
      }),
      { numRuns: 500 },
    )
  })

  it('never adds up: whatever is in the browser, six cookies of 6000 characters are left', () => {
    const value = fc.oneof(
      fc.nat({ max: 8000 }).map((length) => 'A'.repeat(length)),
      anyText,
    )
    const others = fc.array(fc.tuple(fc.string({ unit: fc.constantFrom(...'abc012-_'), maxLength: 22 }), value), {
      maxLength: 30,
    })
    fc.assert(
      fc.property(others, fc.nat({ max: 1000 }), (cookies, length) => {
        const browser = new Map(cookies.map(([name, text]) => [`__Host-oidc-tx.${name}`, text.replaceAll(';', '')]))
        const { res, kept } = responseWithCookies()
        for (const [name, text] of browser) kept.set(name, text)
        const one: Transaction = {
          ...{ state: 'state', nonce: 'nonce', codeVerifier: 'verifier', issuer: 'https://op.example.com' },
          ...{ redirectUri: 'https://app.example/callback', returnTo: `/${'x'.repeat(length)}` },
          startedAt: Date.now() / 1000,
        }
        transactions.begin(requestWith(headerOf(browser)), res, one)
        holds(kept.size <= 6)
        holds([...kept.values()].join('').length <= 6000)
        assert.equal(transactions.take(requestWith(headerOf(kept)), res, 'state').returnTo, one.returnTo)
      }),
      { numRuns: 50 },
    )
  })

  it('is missing, and nothing else, in a browser that has none', () => {
    fc.assert(
      fc.property(anyCookies, anyText, (header, state) => {
        const { res, headers } = responseWithCookies()
        const run = () => transactions.take(requestWith(header), res, state)
        assert.throws(run, (error) => error instanceof OidcError && error.code === 'ERR_OIDC_TRANSACTION_MISSING')
        assert.deepEqual(headers, [])
      }),
    )
  })
})
