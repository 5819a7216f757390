import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { ProviderError } from '../../lib/errors.ts'
import { createCachedDocument } from '../../lib/provider/cached-document.ts'
import { createDpopNonces } from '../../lib/provider/dpop-nonces.ts'
import {
  errorFromResponse,
  errorFromStatus,
  parseChallenges,
  readErrorResponse,
} from '../../lib/provider/error-response.ts'
import { foreignJson, nearly, repeated, textOf } from '../support/properties/foreign-text.ts'
import { holds, stopped } from '../support/properties/outcome.ts'

/** What a header can carry: Headers refuses anything else, as node:http does. */
function headerValue(text: string): string {
  return text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '').trim()
}

const anyChallenge: Arbitrary<string> = textOf(
  ...[
    'Bearer',
    'DPoP',
    'Basic',
    ' ',
    ', ',
    ',',
    '=',
    '"',
    '\\',
    '\\"',
    'error="invalid_token"',
    'error=use_dpop_nonce',
  ],
  ...[
    'error',
    'error_description="no"',
    'error_uri=',
    'realm="a, b"',
    'scope="x y"',
    'ERROR = "x"',
    '\t',
    'algs="ES256"',
  ],
).map(headerValue)

const number = fc.oneof(
  fc.integer({ min: -1000, max: 100_000 }).map(String),
  fc.integer({ min: 1, max: 500 }).map((length) => '9'.repeat(length)),
  fc.constantFrom('', '0', '1e9', '0x10', '1.5', ' 3', 'Infinity', 'NaN'),
)
const date = fc.oneof(
  fc.date({ noInvalidDate: true }).map((value) => value.toUTCString()),
  fc.constantFrom('Mon, 01 Jan 2024 00:00:00 GMT', 'Mon, GMT', '2024', 'Xyz, 99 Foo 99999 99:99:99 GMT'),
)

describe('WWW-Authenticate', () => {
  it('is read as challenges, whatever it holds', () => {
    fc.assert(
      fc.property(fc.oneof(anyChallenge, fc.constant(null)), (header) => {
        for (const { scheme, params } of parseChallenges(header)) {
          assert.match(scheme, /^[^A-Z\s",=]+$/)
          for (const [name, value] of params) {
            assert.match(name, /^[^A-Z\s",=]+$/)
            // Nothing is made up: what is not a quoting character was sent.
            holds(value.length <= (header ?? '').length)
          }
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('gives back the parameters that a server writes', () => {
    const name = fc.string({ unit: fc.constantFrom(...'abcxyz_-'), minLength: 1, maxLength: 8 })
    const text = fc.string({ unit: fc.constantFrom(...'abc "\\,=;'), maxLength: 12 })
    const params = fc.uniqueArray(fc.tuple(name, text), { selector: ([own]) => own, maxLength: 4 })
    const challenges = fc.array(fc.tuple(fc.constantFrom('Bearer', 'DPoP', 'Basic'), params), { maxLength: 3 })
    fc.assert(
      fc.property(challenges, (sent) => {
        const written = sent.map(([scheme, list]) => {
          const quoted = list.map(([own, value]) => `${own}="${value.replace(/["\\]/g, '\\$&')}"`)
          return `${scheme} ${quoted.join(', ')}`
        })
        const read = parseChallenges(written.join(', ')).map(({ scheme, params: list }) => [scheme, [...list]])
        assert.deepEqual(
          read,
          sent.map(([scheme, list]) => [scheme.toLowerCase(), list]),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('of any length is read in a bounded time, and at most 4096 characters of it', () => {
    const pieces = ['a', '=', '"', '\\', ' ', '\t', ',', 'a="', '\\"', 'a = ', 'error="', ',error="\\']
    fc.assert(
      fc.property(repeated(500_000, ...pieces), (header) => {
        const challenges = stopped(() => parseChallenges(header))
        const count = challenges.reduce((sum, { params }) => sum + 1 + params.size, 0)
        holds(count <= 4096)
        const headers = new Headers({ 'www-authenticate': headerValue(header) })
        stopped(() => readErrorResponse({ status: 401, headers }))
      }),
      { numRuns: 40 },
    )
  })
})

describe('an error response', () => {
  const body = fc
    .oneof(
      nearly({ error: 'invalid_grant', error_description: 'no', error_uri: 'https://op.example.com/e' }),
      nearly({ errorCode: 'E0000047', errorSummary: 'too many', errorId: 'oae-1_2' }),
      foreignJson,
    )
    .map((json) => new Uint8Array(Buffer.from(JSON.stringify(json))))
  const headers = fc
    .record(
      {
        'www-authenticate': anyChallenge,
        'retry-after': fc.oneof(number, date),
        'x-rate-limit-reset': number,
        date,
        'x-okta-request-id': fc.oneof(fc.constant('Zab.c_1@2-3'), textOf('a', ' ', '<', '\u00e9').map(headerValue)),
      },
      { requiredKeys: [] },
    )
    .map((members) => new Headers({ 'content-type': 'application/json', ...(members as Record<string, string>) }))

  it('becomes an error of ours with text of the provider beside its message, not in it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 400, max: 599 }), headers, body, (status, head, bytes) => {
        const errors = [
          errorFromResponse({ status, headers: head, body: bytes }, 'ERR_OIDC_TOKEN_REQUEST'),
          errorFromStatus({ status, headers: head, body: bytes }, 'https://op.example.com/token'),
        ]
        for (const error of errors) {
          holds(error instanceof ProviderError)
          const { retryAfter, errorId, requestId, refusal, message } = error
          holds(retryAfter === undefined || (Number.isInteger(retryAfter) && retryAfter >= 1 && retryAfter <= 3600))
          for (const id of [errorId, requestId]) assert.match(id ?? 'x', /^[\w.@-]{1,64}$/)
          for (const text of [refusal?.error, refusal?.errorDescription ?? ''])
            assert.equal(typeof (text ?? ''), 'string')
          assert.match(message, /^[ -~]+$/)
          holds(message.length < 500)
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('the headers that say how long a document is good', () => {
  it('never keep a copy for less than the minimum, or for longer than the maximum', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const directives = textOf(
      'max-age=',
      'max-age="',
      '"',
      ', ',
      ',',
      'no-store',
      'no-cache',
      'public',
      '3600',
      '999',
      '=',
    )
    const cacheControl = fc
      .oneof(
        number.map((seconds) => `max-age=${seconds}`),
        directives,
      )
      .map(headerValue)
    await fc.assert(
      fc.asyncProperty(cacheControl, number, async (value, age) => {
        let loads = 0
        const headers = new Headers({ 'cache-control': value, age: headerValue(age) })
        const load = async () => {
          loads += 1
          return { value: loads, headers }
        }
        const cached = createCachedDocument({
          load,
          renewsInBackground: false,
          bounds: { minimum: 60, maximum: 1000, unstated: 600 },
        })
        await cached.get()
        t.mock.timers.tick(59_000)
        await cached.get()
        assert.equal(loads, 1, `${value}, Age: ${age}`)
        t.mock.timers.tick(942_000)
        await cached.get()
        assert.equal(loads, 2)
      }),
      { numRuns: 300 },
    )
  })
})

describe('DPoP-Nonce', () => {
  it('is kept for each server if it has the form of one, for 32 servers at most', () => {
    const nonce = fc.oneof(
      { weight: 6, arbitrary: fc.string({ unit: fc.constantFrom(...'ab!~[]'), minLength: 1, maxLength: 8 }) },
      { weight: 1, arbitrary: textOf('a', '"', '\\', ' ', '!', '~', '\u00e9').map(headerValue) },
      { weight: 1, arbitrary: fc.constant('a'.repeat(2000)) },
    )
    const answers = fc.array(fc.tuple(fc.nat({ max: 100 }), nonce), { maxLength: 100, size: 'max' })
    fc.assert(
      fc.property(answers, (list) => {
        const nonces = createDpopNonces()
        for (const [server, value] of list) {
          const kept = nonces.keep(`https://${server}.example.com/a`, new Headers({ 'dpop-nonce': value }))
          assert.equal(kept, /^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/.test(value) ? value : undefined)
          if (kept !== undefined) assert.equal(nonces.get(`https://${server}.example.com/b`), value)
        }
        const held = Array.from({ length: 101 }, (_, server) => nonces.get(`https://${server}.example.com/`))
        holds(held.filter((one) => one !== undefined).length <= 32)
      }),
      { numRuns: 100 },
    )
  })
})
