import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import express from 'express'
import { AuthorizationError, type ErrorCode, type Handler } from '../../lib/index.ts'
import { createSeal } from '../../lib/session/seal.ts'
import { type AppOptions, codesOf } from '../support/app/app.ts'
import { stopAfterEach } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Browser, FetchOptions } from '../support/browser/browser.ts'
import type { Cookie } from '../support/browser/cookie-jar.ts'
import { isTransaction } from '../support/browser/login-cookies.ts'
import {
  type Arrival,
  arrive,
  assertLoggedIn,
  assertNobodyLoggedIn,
  assertRefused,
  createStand,
  createStandInProduction,
  EVIL_HTML,
  type Outcome,
  paramsOf,
  type Row,
  type Stand,
  startStand,
  testRefusals,
  withParams,
} from '../support/hostile/hostile.ts'

type ParamsChange = (params: URLSearchParams) => void

const FORM = 'application/x-www-form-urlencoded'
const FORM_POST = { responseMode: 'form_post' } as const

const set =
  (values: Readonly<Record<string, string>>): ParamsChange =>
  (params) => {
    for (const [name, value] of Object.entries(values)) params.set(name, value)
  }

const drop =
  (...names: readonly string[]): ParamsChange =>
  (params) => {
    for (const name of names) params.delete(name)
  }

const append =
  (name: string, value: string): ParamsChange =>
  (params) =>
    params.append(name, value)

/** Gives a parameter another name. */
const rename =
  (name: string, other: string): ParamsChange =>
  (params) => {
    params.append(other, params.get(name) ?? '')
    params.delete(name)
  }

const edit =
  (name: string, change: (value: string) => string): ParamsChange =>
  (params) =>
    params.set(name, change(params.get(name) ?? ''))

const repeat =
  (count: number): ParamsChange =>
  (params) => {
    for (let index = 0; index < count; index++) params.append(`x${index}`, index === 0 ? EVIL_HTML : 'x')
  }

const STATES: readonly Row<ParamsChange>[] = [
  ['no state', drop('state'), 'ERR_OIDC_STATE_MISSING'],
  ['an empty state', set({ state: '' }), 'ERR_OIDC_STATE_MISSING'],
  ['a blank state', set({ state: ' ' }), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state of another login', set({ state: 'A'.repeat(43) }), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state with a character added', edit('state', (state) => `${state}A`), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state cut short', edit('state', (state) => state.slice(0, -1)), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state with a space after it', edit('state', (state) => `${state} `), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state with a NUL after it', edit('state', (state) => `${state}\0`), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state in capitals', edit('state', (state) => state.toUpperCase()), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state encoded twice', edit('state', (state) => `%${state}`), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state of 512 characters', set({ state: 's'.repeat(512) }), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state of 513 characters', set({ state: 's'.repeat(513) }), 'ERR_OIDC_STATE_MISSING'],
  ['a state of HTML', set({ state: EVIL_HTML }), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state named __proto__', set({ state: '__proto__' }), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state named constructor', set({ state: 'constructor' }), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state that is the word null', set({ state: 'null' }), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state that is a JSON list', set({ state: '["a","b"]' }), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state under a name in capitals', rename('state', 'STATE'), 'ERR_OIDC_STATE_MISSING'],
]

const DOUBLED: readonly Row<ParamsChange>[] = [
  ...['state', 'code', 'iss'].map(
    (name): Row<ParamsChange> => [
      `${name} twice, both the same`,
      (params) => params.append(name, params.get(name) ?? ''),
      'ERR_OIDC_CALLBACK_INVALID',
    ],
  ),
  ...['state', 'code', 'iss'].map(
    (name): Row<ParamsChange> => [
      `a second ${name} of HTML`,
      (params) => params.append(name, EVIL_HTML),
      'ERR_OIDC_CALLBACK_INVALID',
    ],
  ),
  ...['state', 'code', 'iss'].map(
    (name): Row<ParamsChange> => [`a second ${name} that is empty`, append(name, ''), 'ERR_OIDC_CALLBACK_INVALID'],
  ),
  ...['error', 'error_description', 'session_state', 'id_token', 'unknown'].map(
    (name): Row<ParamsChange> => [
      `two parameters ${name}`,
      (params) => {
        params.append(name, EVIL_HTML)
        params.append(name, EVIL_HTML)
      },
      'ERR_OIDC_CALLBACK_INVALID',
    ],
  ),
  ['201 parameters', repeat(198), 'ERR_OIDC_CALLBACK_INVALID'],
]

const ISSUERS: readonly Row<ParamsChange>[] = [
  ['no iss, although the metadata announces it', drop('iss'), 'ERR_OIDC_RESPONSE_ISSUER_MISSING'],
  ['an empty iss', set({ iss: '' }), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['the iss of another issuer', set({ iss: 'https://evil.example' }), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['an iss with a slash after it', edit('iss', (iss) => `${iss}/`), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['an iss in capitals', edit('iss', (iss) => iss.toUpperCase()), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['an iss with a space after it', edit('iss', (iss) => `${iss} `), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['an iss of https', edit('iss', (iss) => iss.replace('http:', 'https:')), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['an iss with a fragment', edit('iss', (iss) => `${iss}#`), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['an iss with a user in it', edit('iss', (iss) => iss.replace('//', '//a@')), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['an iss of HTML', set({ iss: EVIL_HTML }), 'ERR_OIDC_RESPONSE_ISSUER'],
  [
    'an error of another issuer',
    set({ error: 'access_denied', iss: 'https://evil.example' }),
    'ERR_OIDC_RESPONSE_ISSUER',
  ],
  [
    'an error without iss',
    (params) => {
      params.set('error', 'access_denied')
      params.delete('iss')
    },
    'ERR_OIDC_RESPONSE_ISSUER_MISSING',
  ],
]

const CONTENTS: readonly Row<ParamsChange>[] = [
  ['no code', drop('code'), 'ERR_OIDC_CODE_MISSING'],
  ['an empty code', set({ code: '' }), 'ERR_OIDC_CODE_MISSING'],
  ['a code under another name', rename('code', 'Code'), 'ERR_OIDC_CODE_MISSING'],
  ['state and iss alone', drop('code', 'session_state'), 'ERR_OIDC_CODE_MISSING'],
  ['an id_token beside the code', set({ id_token: `${EVIL_HTML}.e30.` }), 'ERR_OIDC_RESPONSE_TOKEN'],
  ['an empty id_token', set({ id_token: '' }), 'ERR_OIDC_RESPONSE_TOKEN'],
  ['an access_token', set({ access_token: EVIL_HTML, token_type: 'Bearer' }), 'ERR_OIDC_RESPONSE_TOKEN'],
  ['an error beside a code', set({ error: 'access_denied' }), 'ERR_OIDC_AUTHORIZATION', 403],
  ['an empty error beside a code', set({ error: '' }), 'ERR_OIDC_AUTHORIZATION'],
]

/** A token in a query is refused first, because logs have it by then. In a form the error counts. */
const errorBesideToken = (...end: readonly [ErrorCode, number]): Row<ParamsChange> => [
  'an error beside an id_token',
  set({ error: 'login_required', id_token: 'x' }),
  ...end,
]

// RFC 6749 4.1.2.1, OIDC Core 3.1.2.6, OIDC Unmet Authentication Requirements, RFC 8707 2, RFC 9396 5; Okta's own.
const ERROR_STATUSES: Readonly<Record<number, readonly string[]>> = {
  400: [
    ...['invalid_request', 'unauthorized_client', 'unsupported_response_type', 'invalid_scope'],
    ...['invalid_request_uri', 'invalid_request_object', 'request_not_supported', 'request_uri_not_supported'],
    ...['registration_not_supported', 'unsupported_response_mode', 'insufficient_scope', 'invalid_client'],
    ...['invalid_grant', 'invalid_token', 'invalid_target', 'invalid_authorization_details'],
    ...['a_code_of_tomorrow', 'ACCESS_DENIED', '__proto__', 'constructor', 'toString', '200', ' ', EVIL_HTML],
    'e'.repeat(4000),
  ],
  401: ['interaction_required', 'login_required', 'account_selection_required', 'consent_required'],
  403: ['access_denied', 'user_canceled_request', 'unmet_authentication_requirements'],
  502: ['server_error'],
  503: ['temporarily_unavailable'],
}

const ERRORS: readonly Row<ParamsChange>[] = Object.entries(ERROR_STATUSES).flatMap(([status, errors]) =>
  errors.map(
    (error): Row<ParamsChange> => [
      `the error ${error.slice(0, 40)} with ${status}`,
      (params) => {
        params.delete('code')
        set({ error, error_description: EVIL_HTML, error_uri: 'javascript:alert(1)' })(params)
      },
      'ERR_OIDC_AUTHORIZATION',
      Number(status),
    ],
  ),
)

/** Names that a body parser with `qs` turns into lists and objects. Without one they are plain names. */
const BRACKETS: readonly Row<ParamsChange>[] = [
  ['state[a]', rename('state', 'state[a]'), 'ERR_OIDC_STATE_MISSING'],
  ['state[] twice', (params) => twice(params, 'state[]'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['state[0][0]', rename('state', 'state[0][0]'), 'ERR_OIDC_STATE_MISSING'],
  ['state[__proto__]', rename('state', 'state[__proto__]'), 'ERR_OIDC_STATE_MISSING'],
  ['state[length]', rename('state', 'state[length]'), 'ERR_OIDC_STATE_MISSING'],
  ['code[a]', rename('code', 'code[a]'), 'ERR_OIDC_CODE_MISSING'],
  ['iss[a]', rename('iss', 'iss[a]'), 'ERR_OIDC_RESPONSE_ISSUER_MISSING'],
]

/** The same names, read by such a body parser. */
const PARSED_BRACKETS: readonly Row<ParamsChange>[] = [
  ['state[a]', rename('state', 'state[a]'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['state[] twice', (params) => twice(params, 'state[]'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['state beside state[]', append('state[]', 'x'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['state beside state[a]', append('state[a]', 'x'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['state[0][0]', rename('state', 'state[0][0]'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['state[__proto__]', rename('state', 'state[__proto__]'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['__proto__[state]', rename('state', '__proto__[state]'), 'ERR_OIDC_STATE_MISSING'],
  ['code[a]', rename('code', 'code[a]'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['code[] twice', (params) => twice(params, 'code[]'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['iss[a]', rename('iss', 'iss[a]'), 'ERR_OIDC_CALLBACK_INVALID'],
  ['an unknown parameter that is an object', append('x[a][b]', EVIL_HTML), 'ERR_OIDC_CALLBACK_INVALID'],
]

function twice(params: URLSearchParams, name: string): void {
  const value = params.get('state') ?? ''
  params.delete('state')
  params.append(name, value)
  params.append(name, value)
}

const sample = <Item>(rows: readonly Item[]): readonly Item[] => rows.filter((_, index) => index % 4 === 0)

async function respondWith(stand: Stand, change: ParamsChange): Promise<Outcome> {
  const { browser, answer } = await arrive(stand)
  const params = paramsOf(answer)
  change(params)
  return { browser, page: await browser.go(withParams(answer, params)) }
}

const qsParser = express.urlencoded({ extended: true }) as unknown as Handler

const WAYS: readonly (readonly [name: string, app: Partial<AppOptions>, rows: readonly Row<ParamsChange>[]])[] = [
  [
    'in the query',
    {},
    [
      ...[...STATES, ...DOUBLED, ...ISSUERS, ...CONTENTS, ...ERRORS, ...BRACKETS],
      errorBesideToken('ERR_OIDC_RESPONSE_TOKEN', 400),
    ],
  ],
  [
    'by form_post',
    { options: FORM_POST },
    [
      ...[...STATES, ...DOUBLED, ...ISSUERS, ...CONTENTS, ...ERRORS, ...BRACKETS],
      errorBesideToken('ERR_OIDC_AUTHORIZATION', 401),
    ],
  ],
  [
    'by form_post, read by a body parser',
    { options: FORM_POST, bodyParser: true },
    [...sample([...STATES, ...DOUBLED, ...ISSUERS, ...CONTENTS]), ...BRACKETS],
  ],
  [
    'by form_post, read by a body parser that makes lists and objects',
    { options: FORM_POST, before: [qsParser] },
    [...sample([...STATES, ...DOUBLED, ...ISSUERS, ...CONTENTS]), ...PARSED_BRACKETS],
  ],
]

for (const [name, app, rows] of WAYS) {
  describe(`a response ${name}`, () => {
    const stand = createStand({ app })

    it('logs the user in if it is valid', async () => {
      await assertLoggedIn(stand, await respondWith(stand, () => undefined))
      assert.deepEqual(stand.provider.complaints, [])
    })

    it('logs the user in with unknown parameters', async () => {
      const strangers = { session_state: EVIL_HTML, __proto__2: 'x', constructor: 'x', hasOwnProperty: 'x', '': 'x' }
      await assertLoggedIn(stand, await respondWith(stand, set(strangers)))
    })

    testRefusals(rows, stand, (change) => respondWith(stand, change))
  })
}

describe('the callback', () => {
  const stand = createStand({ app: { options: FORM_POST } })

  const METHODS: readonly Row<string>[] = ['PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND'].map(
    (method) => [method, method, 'ERR_OIDC_METHOD_NOT_ALLOWED'],
  )
  testRefusals(METHODS, stand, async (method) => {
    const { browser, answer } = await arrive(stand)
    const page = await browser.fetch(`/callback?${paramsOf(answer)}`, { method })
    assert.equal(page.headers['allow'], 'GET, POST')
    return { browser, page }
  })

  type Body = (params: URLSearchParams) => Pick<FetchOptions, 'headers' | 'body'>
  const typed = (type: string, body: (params: URLSearchParams) => string): Body => {
    return (params) => ({ headers: { 'content-type': type }, body: body(params) })
  }
  const multipart = (params: URLSearchParams): string =>
    [...params]
      .map(([name, value]) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
      .join('')
  const BODIES: readonly Row<Body>[] = [
    ['a form without Content-Type', (params) => ({ body: String(params) }), 'ERR_OIDC_CALLBACK_INVALID'],
    ['no body', () => ({}), 'ERR_OIDC_CALLBACK_INVALID'],
    ['an empty Content-Type', typed('', String), 'ERR_OIDC_CALLBACK_INVALID'],
    ['a form sent as text', typed('text/plain', String), 'ERR_OIDC_CALLBACK_INVALID'],
    ['a form of another type', typed(`${FORM}-2`, String), 'ERR_OIDC_CALLBACK_INVALID'],
    ['two types at once', typed(`text/plain, ${FORM}`, String), 'ERR_OIDC_CALLBACK_INVALID'],
    [
      'JSON',
      typed('application/json', (params) => JSON.stringify(Object.fromEntries(params))),
      'ERR_OIDC_CALLBACK_INVALID',
    ],
    [
      'JSON sent as a form',
      typed(FORM, (params) => JSON.stringify(Object.fromEntries(params))),
      'ERR_OIDC_STATE_MISSING',
    ],
    ['multipart', typed('multipart/form-data; boundary=b', multipart), 'ERR_OIDC_CALLBACK_INVALID'],
    ['an empty form', typed(FORM, () => ''), 'ERR_OIDC_STATE_MISSING'],
    ['&&&', typed(FORM, () => '&&&'), 'ERR_OIDC_STATE_MISSING'],
    ['a form of equal signs', typed(FORM, () => '=&==&='), 'ERR_OIDC_CALLBACK_INVALID'],
    ['a form of semicolons', typed(FORM, (params) => String(params).replaceAll('&', ';')), 'ERR_OIDC_STATE_MISSING'],
    ['a form of 1 MiB', typed(FORM, (params) => `${params}&x=${'x'.repeat(1_048_576)}`), 'ERR_OIDC_CALLBACK_INVALID'],
    ['a form of 128 KiB', typed(FORM, (params) => `${params}&x=${'x'.repeat(131_072)}`), 'ERR_OIDC_CALLBACK_INVALID'],
    ['1000 parameters', typed(FORM, (params) => manyMore(params, 1000)), 'ERR_OIDC_CALLBACK_INVALID'],
    ['1000 times the same', typed(FORM, (params) => `${params}${'&x'.repeat(1000)}`), 'ERR_OIDC_CALLBACK_INVALID'],
  ]

  function manyMore(params: URLSearchParams, count: number): string {
    const copy = new URLSearchParams(params)
    repeat(count)(copy)
    return String(copy)
  }

  describe('as a POST of our own page', () => {
    testRefusals(BODIES, stand, async (body) => {
      const { browser, answer } = await arrive(stand)
      const page = await browser.fetch('/callback', { method: 'POST', ...body(paramsOf(answer)) })
      return { browser, page }
    })
  })

  const QUERIES: readonly Row<string>[] = [
    ['no query', '', 'ERR_OIDC_STATE_MISSING'],
    ['an empty query', '?', 'ERR_OIDC_STATE_MISSING'],
    ['a query of separators', '?&&&', 'ERR_OIDC_STATE_MISSING'],
    ['a query of equal signs', '?=&==&=', 'ERR_OIDC_CALLBACK_INVALID'],
    ['a query of question marks', '????', 'ERR_OIDC_STATE_MISSING'],
    ['a query of broken encoding', '?state=%&code=%zz%ff&iss=%c3', 'ERR_OIDC_TRANSACTION_MISSING'],
    ['a query with __proto__ twice', '?state=x&__proto__=1&__proto__=2', 'ERR_OIDC_CALLBACK_INVALID'],
    ['a query of 1000 parameters', `?state=x${'&x'.repeat(1000)}`, 'ERR_OIDC_CALLBACK_INVALID'],
    ['a query of HTML', `?${encodeURIComponent(EVIL_HTML)}`, 'ERR_OIDC_STATE_MISSING'],
  ]
  describe('as a GET', () => {
    testRefusals(QUERIES, stand, async (query) => {
      const { browser } = await arrive(stand)
      return { browser, page: await browser.open(`/callback${query}`) }
    })
  })

  it('reposts planted HTML as text, which is not executed', async () => {
    const { browser, answer } = await arrive(stand)
    const params = new URLSearchParams([...paramsOf(answer), ['session_state', EVIL_HTML], [EVIL_HTML, 'x']])
    const page = await browser.go(withParams(answer, params), { follow: false })
    assert.equal(page.status, 200)
    assert.doesNotMatch(page.body, /<script>alert|<img/)
    assert.match(page.body, /value="&lt;script&gt;alert\(1\)&lt;\/script&gt;&quot;&gt;&lt;img/)
    assert.match(String(page.headers['content-security-policy']), /default-src 'none'; script-src 'nonce-[\w+/=]{24}'/)
    await assertLoggedIn(stand, { browser, page: await browser.go(page.next) })
  })

  it('trusts nothing because of the mark of its own page', async () => {
    const { browser, answer } = await arrive(stand)
    const params = new URLSearchParams([...paramsOf(answer), ['express_oidc_relayed', '1']])
    const page = await browser.go(withParams(answer, params))
    await assertRefused(stand, { browser, page }, { code: 'ERR_OIDC_TRANSACTION_MISSING' })
  })

  it('passes on the error response of the provider unchanged in error.refusal', async () => {
    await respondWith(stand, set({ error: EVIL_HTML, error_description: EVIL_HTML, error_uri: 'javascript:alert(1)' }))
    const [error] = stand.app.errors
    assert.ok(error instanceof AuthorizationError)
    assert.deepEqual(error.refusal, {
      error: EVIL_HTML,
      errorDescription: EVIL_HTML,
      errorUri: 'javascript:alert(1)',
    })
  })
})

const SECRET_OF_ANOTHER = 'the secret of another application, of 40'

describe('the cookie of a login in progress', () => {
  const stand = createStand()

  const cookieOf = (browser: Browser): Cookie => {
    const cookie = browser.cookies().find(isTransaction)
    assert.ok(cookie, 'there is no transaction cookie')
    return cookie
  }
  const put = (browser: Browser, name: string, value: string): void =>
    browser.jar.store(new URL(stand.app.origin), [`${name}=${value}; Path=/; HttpOnly; SameSite=Lax`])
  const change = (edited: (value: string, name: string) => string): CookieChange => {
    return ({ browser }) => {
      const { name, value } = cookieOf(browser)
      put(browser, name, edited(value, name))
    }
  }
  /** Encrypts a changed transaction with our own secret. */
  const reseal = (changed: (transaction: object) => object, purpose = 'transaction', place?: string): CookieChange =>
    change((value, name) => {
      const { clientSecret } = stand.provider
      const text = createSeal([clientSecret], 'transaction').open(value, name)
      return createSeal([clientSecret], purpose).seal(JSON.stringify(changed(JSON.parse(text ?? ''))), place ?? name)
    })
  const flipped = (value: string, at: number): string => {
    const bytes = Buffer.from(value, 'base64url')
    const index = at < 0 ? bytes.length + at : at
    bytes[index] = (bytes[index] ?? 0) ^ 1
    return bytes.toString('base64url')
  }
  const cut = (value: string, from: number, to?: number): string =>
    Buffer.from(value, 'base64url').subarray(from, to).toString('base64url')

  type CookieChange = (arrival: Arrival) => void | Promise<void>
  const now = (): number => Math.floor(Date.now() / 1000)
  const MISSING = 'ERR_OIDC_TRANSACTION_MISSING'
  const INVALID = 'ERR_OIDC_TRANSACTION_INVALID'
  // 12 bytes of IV, the text, 16 bytes of tag.
  const FLIPPED = [0, 1, 5, 11, 12, 13, 20, 30, 50, 100, 150, 200, 250, 300, -30, -18, -17, -16, -15, -8, -2, -1]
  const COOKIES: readonly Row<CookieChange>[] = [
    ['no cookie', ({ browser }) => browser.jar.remove(isTransaction), MISSING],
    ['no cookie, and a malformed header', ({ browser }) => malformed(browser), MISSING],
    ['an empty value', change(() => ''), INVALID],
    ...FLIPPED.map((at): Row<CookieChange> => [`a bit of byte ${at} flipped`, change((v) => flipped(v, at)), INVALID]),
    ...[1, 12, 27, 28, 29, -16, -1].map(
      (to): Row<CookieChange> => [`the end cut at ${to}`, change((value) => cut(value, 0, to)), INVALID],
    ),
    ['the beginning cut', change((value) => cut(value, 1)), INVALID],
    ['the first part cut', change((value) => cut(value, 12)), INVALID],
    ['more bytes at the end', change((value) => cut(`${value}AAAA`, 0)), INVALID],
    ['the value twice', change((value) => cut(value + value, 0)), INVALID],
    ['in capitals', change((value) => value.toUpperCase()), INVALID],
    ['HTML', change(() => encodeURIComponent(EVIL_HTML)), INVALID],
    ['the transaction without encryption', change(() => Buffer.from('{"state":"x"}').toString('base64url')), INVALID],
    ['4000 characters', change(() => 'A'.repeat(4000)), INVALID],
    ['the value for another state', exchangeWithAnother, INVALID],
    [
      'a value encrypted for another name',
      reseal((transaction) => transaction, 'transaction', 'oidc-tx.other'),
      INVALID,
    ],
    ['a value encrypted for another purpose', reseal((transaction) => transaction, 'tokens'), INVALID],
    [
      'a value encrypted with another secret',
      change((_, name) => createSeal([SECRET_OF_ANOTHER], 'transaction').seal('{}', name)),
      INVALID,
    ],
    ['a transaction with another state', reseal((transaction) => ({ ...transaction, state: 'A'.repeat(43) })), INVALID],
    [
      'an expired transaction that the browser kept',
      reseal((transaction) => ({ ...transaction, startedAt: now() - 1801 })),
      'ERR_OIDC_TRANSACTION_EXPIRED',
    ],
    [
      'a transaction of another issuer',
      reseal((transaction) => ({ ...transaction, issuer: 'https://evil.example' })),
      'ERR_OIDC_RESPONSE_ISSUER',
    ],
    ['a cookie named __proto__', ({ browser }) => renamed(browser, '__proto__'), MISSING],
    ['a cookie named oidc-tx.__proto__', ({ browser }) => renamed(browser, 'oidc-tx.__proto__'), MISSING],
    [
      'a cookie with its name in capitals',
      ({ browser }) => renamed(browser, cookieOf(browser).name.toUpperCase()),
      MISSING,
    ],
  ]

  function renamed(browser: Browser, name: string): void {
    const { value } = cookieOf(browser)
    browser.jar.remove(isTransaction)
    put(browser, name, value)
  }

  function malformed(browser: Browser): void {
    browser.jar.remove(isTransaction)
    put(browser, '__proto__', '%')
    put(browser, 'constructor', '"')
    browser.jar.store(new URL(stand.app.origin), ['=nameless', 'oidc-tx.', 'oidc-tx.=', 'a b=c d', 'x==='])
  }

  async function exchangeWithAnother({ browser, answer }: Arrival): Promise<void> {
    const { name } = cookieOf(browser)
    await browser.open('/login', { stopBefore: isCallback })
    const other = browser.cookies().find((cookie) => isTransaction(cookie) && cookie.name !== name)
    assert.ok(other && answer)
    put(browser, name, other.value)
  }

  testRefusals(COOKIES, stand, async (attack) => {
    const arrival = await arrive(stand)
    await attack(arrival)
    return { browser: arrival.browser, page: await arrival.browser.go(arrival.answer) }
  })

  it('is found beside cookies named like members of objects', async () => {
    const { browser, answer } = await arrive(stand)
    for (const name of ['__proto__', 'constructor', 'oidc-tx.__proto__', 'oidc-tx.', 'toString'])
      put(browser, name, 'x')
    await assertLoggedIn(stand, { browser, page: await browser.go(answer) })
  })

  it('is deleted after a successful and after a failed login', async () => {
    const { browser, answer } = await arrive(stand)
    const params = paramsOf(answer)
    params.set('error', 'access_denied')
    await browser.go(withParams(answer, params))
    assert.deepEqual(browser.cookies().filter(isTransaction), [])
    const page = await browser.go(answer)
    assert.deepEqual(codesOf(stand.app), ['ERR_OIDC_AUTHORIZATION', MISSING])
    assert.equal(page.status, 400)
    await assertNobodyLoggedIn(stand.app, browser)
  })

  it('stays for the valid response if a response with another state comes first', async () => {
    const { browser, answer } = await arrive(stand)
    await browser.open(`/callback?state=${'A'.repeat(43)}&code=x`)
    assert.equal((await browser.go(answer)).status, 200)
    assert.equal(await stand.app.sessions(), 1)
  })
})

describe('a response to another user’s login', () => {
  const stand = createStand()
  const stopLater = stopAfterEach()

  it('logs no user in in another browser (login CSRF)', async () => {
    const attacker = await arrive(stand)
    const victim = stand.app.browser()
    const page = await victim.go({ ...attacker.answer, from: 'http://localhost:1' })
    await assertRefused(stand, { browser: victim, page }, { code: 'ERR_OIDC_TRANSACTION_MISSING' })
  })

  it('logs no user in in another browser that has a login in progress', async () => {
    const attacker = await arrive(stand)
    const victim = await arrive(stand)
    const page = await victim.browser.go(attacker.answer)
    await assertRefused(stand, { browser: victim.browser, page }, { code: 'ERR_OIDC_TRANSACTION_MISSING' })
    assert.equal((await victim.browser.go(victim.answer)).status, 200)
  })

  it('does not replace an existing login', async () => {
    const attacker = await arrive(stand)
    stand.provider.account = { sub: 'victim', claims: {} }
    const victim = await arrive(stand)
    await victim.browser.go(victim.answer)
    const page = await victim.browser.go(attacker.answer)
    assert.equal(page.url, `${stand.app.origin}/`)
    assert.equal((await victim.browser.fetch('/profile')).json()['sub'], 'victim')
    assert.deepEqual([await stand.app.sessions(), stand.provider.calls['/token']], [1, 1])
  })

  it('is refused as a response of another provider (mix-up)', async () => {
    const honest = stopLater(await startStand())
    // Both apps are on one host, so the browser sends the cookies of both to each.
    const { browser, answer } = await arrive(stand)
    const page = await browser.go({ ...answer, url: answer.url.replace(stand.app.origin, honest.app.origin) })
    await assertRefused(honest, { browser, page }, { code: 'ERR_OIDC_RESPONSE_ISSUER' })
    assert.equal((await browser.fetch(`${honest.app.origin}/profile`, { from: honest.app.origin })).status, 401)
    assert.deepEqual([stand.provider.calls['/token'], honest.provider.calls['/token']], [0, 0])
  })

  it('has a code that another login cannot redeem, because of PKCE', async () => {
    const attacker = await arrive(stand)
    const victim = await arrive(stand)
    const params = paramsOf(victim.answer)
    params.set('code', paramsOf(attacker.answer).get('code') ?? '')
    const page = await victim.browser.go(withParams(victim.answer, params))
    const refusal = { code: 'ERR_OIDC_TOKEN_REQUEST', status: 400, calls: { '/token': 1 } } as const
    await assertRefused(stand, { browser: victim.browser, page }, refusal)
    assert.deepEqual(stand.provider.complaints, ['/token: code_verifier does not match'])
  })

  it('is refused with an unknown code', async () => {
    const outcome = await respondWith(stand, set({ code: EVIL_HTML }))
    const refusal = { code: 'ERR_OIDC_TOKEN_REQUEST', status: 400, calls: { '/token': 1 } } as const
    await assertRefused(stand, outcome, refusal)
  })
})

describe('a response that was used before', () => {
  const stand = createStand()

  it('leads to the home page in the same browser, and is not redeemed again', async () => {
    const { browser, answer } = await arrive(stand)
    await browser.go(answer)
    const page = await browser.go(answer)
    assert.deepEqual([page.status, page.url], [200, `${stand.app.origin}/`])
    assert.deepEqual([stand.provider.calls['/token'], await stand.app.sessions()], [1, 1])
  })

  it('is refused in another browser', async () => {
    const { browser, answer } = await arrive(stand)
    await browser.go(answer)
    const thief = stand.app.browser()
    const page = await thief.go(answer)
    assert.equal(page.status, 400)
    assert.deepEqual(codesOf(stand.app), ['ERR_OIDC_TRANSACTION_MISSING'])
    assert.equal((await thief.fetch('/profile')).status, 401)
    assert.deepEqual([stand.provider.calls['/token'], await stand.app.sessions()], [1, 1])
  })

  it('is not sent to the provider again if the cookie was copied too', async () => {
    const { browser, answer } = await arrive(stand)
    const thief = browser.clone()
    await browser.go(answer)
    const page = await thief.fetch(answer.url)
    assert.equal(page.status, 400)
    assert.deepEqual(codesOf(stand.app), ['ERR_OIDC_STATE_USED'])
    assert.equal((await thief.fetch('/profile')).status, 401)
    assert.deepEqual([stand.provider.complaints, await stand.app.sessions()], [[], 1])
  })
})

const SAMPLE: readonly Row<ParamsChange>[] = [
  ...sample([...STATES, ...DOUBLED, ...ISSUERS, ...CONTENTS]),
  ...ERRORS.filter(([name]) => /access_denied|login_required|server_error|temporarily|<script/.test(name)),
]

describe('a script that calls the callback', () => {
  const stand = createStand()

  testRefusals(SAMPLE, stand, async (change) => {
    const { browser, answer } = await arrive(stand)
    const params = paramsOf(answer)
    change(params)
    const page = await browser.fetch(withParams(answer, params).url)
    assert.equal(page.headers['content-type'], 'application/json; charset=utf-8')
    assert.deepEqual(Object.keys(page.json()), ['error', 'message', 'reference'])
    assert.equal(page.json()['error'], stand.app.errors[0]?.code)
    return { browser, page }
  })
})

for (const host of ['express5', 'express4'] as const) {
  describe(`the default error response of ${host} in production`, () => {
    const { stand, printed } = createStandInProduction(host)

    testRefusals(SAMPLE, stand, (change) => respondWith(stand, change))

    it('prints one error for each request, without the planted text', () => {
      const texts = printed.map(String)
      assert.equal(texts.length, SAMPLE.length)
      for (const text of texts) assert.doesNotMatch(text, /alert\(|onerror/)
    })
  })
}
