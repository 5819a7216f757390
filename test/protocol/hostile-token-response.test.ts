import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import { inspect } from 'node:util'
import { ProviderError } from '../../lib/index.ts'
import {
  arrive,
  assertLoggedIn,
  createStand,
  createStandInProduction,
  EVIL_HTML,
  logIn,
  type Outcome,
  type Row,
  testRefusals,
} from '../support/hostile/hostile.ts'
import { CONNECTION_FAULTS } from '../support/hostile/transport-faults.ts'
import {
  answered,
  type JsonAnswer,
  type JsonChange,
  type JsonObject,
  type RawHandler,
} from '../support/strict-provider/context.ts'

const CALLS = { '/token': 1 } as const
const REQUEST = 'ERR_OIDC_TOKEN_REQUEST'
const RESPONSE = 'ERR_OIDC_TOKEN_RESPONSE'
const MALFORMED = 'ERR_OIDC_ID_TOKEN_MALFORMED'

const refused = (error: string, status = 400, headers: Readonly<Record<string, string>> = {}): JsonChange =>
  answered(status, { error, error_description: EVIL_HTML, error_uri: 'javascript:alert(1)' }, headers)

const put =
  (members: JsonObject): JsonChange =>
  (good) => ({ ...good, ...members })
const text =
  (edit: (good: string) => string): JsonChange =>
  (good) =>
    edit(JSON.stringify(good))

const html = (status: number): JsonChange => answered(status, EVIL_HTML, { 'Content-Type': 'text/html' })

function refusedWith(good: JsonObject, answer: JsonAnswer): JsonObject {
  answer.status = 400
  return { ...good, error: 'invalid_grant', refresh_token: JWT }
}

function refusedWith200(answer: JsonAnswer, token?: null): JsonObject {
  answer.status = 200
  return { error: 'invalid_client', error_description: 'unknown', ...(token === null ? { access_token: null } : {}) }
}

/** Looks like a token, wherever it turns up. */
const JWT = `eyJ${'x'.repeat(40)}`

const CHALLENGE = `Basic realm="${EVIL_HTML.replaceAll('"', "'")}"`

const REFUSALS: readonly Row<JsonChange>[] = [
  ['invalid_grant', refused('invalid_grant'), REQUEST, 400],
  ['invalid_client', refused('invalid_client'), REQUEST],
  ['invalid_request', refused('invalid_request'), REQUEST],
  ['unauthorized_client', refused('unauthorized_client'), REQUEST],
  ['unsupported_grant_type', refused('unsupported_grant_type'), REQUEST],
  ['invalid_scope', refused('invalid_scope'), REQUEST],
  ['use_dpop_nonce', refused('use_dpop_nonce', 400, { 'DPoP-Nonce': 'x' }), REQUEST],
  ['an error of HTML', refused(EVIL_HTML), REQUEST],
  ['an error named __proto__', refused('__proto__'), REQUEST],
  ['an empty error', refused(''), REQUEST],
  ['an error that is no text', answered(400, { error: { a: 1 } }), REQUEST],
  ['an error that is null', answered(400, { error: null }), REQUEST],
  ['a refusal with tokens in it', (good, answer) => refusedWith(good, answer), REQUEST, 400],
  ['400 with nothing', answered(400, ''), REQUEST],
  ['400 with HTML', html(400), REQUEST],
  ['400 with a list', answered(400, [{ error: 'invalid_grant' }]), REQUEST],
  ['401 with a challenge', refused('invalid_client', 401, { 'WWW-Authenticate': CHALLENGE }), REQUEST],
  [
    '401 with a challenge of Bearer',
    answered(401, '', { 'WWW-Authenticate': 'Bearer error="invalid_token"' }),
    REQUEST,
  ],
  ['401 with a challenge and nothing else', answered(401, '', { 'WWW-Authenticate': 'Basic' }), REQUEST],
  ['401 with a challenge that is none', answered(401, '', { 'WWW-Authenticate': ',,="' }), REQUEST],
  ['401 with nothing', answered(401, ''), REQUEST],
  ['403 with HTML', html(403), REQUEST],
  ['429 with HTML', html(429), 'ERR_OIDC_PROVIDER_BUSY'],
  ['404 in the manner of Okta', answered(404, { errorCode: 'E0000007', errorSummary: EVIL_HTML }), REQUEST],
  ['418', answered(418, ''), REQUEST],
]

const RESPONSES: readonly Row<JsonChange>[] = [
  ['an error with 200', refused('invalid_request', 200), REQUEST],
  ['an empty object', () => '{}', RESPONSE],
  ['nothing', () => '', RESPONSE],
  ['HTML as JSON', () => EVIL_HTML, RESPONSE],
  ['HTML', html(200), RESPONSE],
  ['a list', text((good) => `[${good}]`), RESPONSE],
  ['null', () => 'null', RESPONSE],
  ['text', text(JSON.stringify), RESPONSE],
  ['a form', (good) => String(new URLSearchParams({ access_token: String(good['access_token']) })), RESPONSE],
  ['half of it', text((good) => good.slice(0, -20)), RESPONSE],
  ['twice the same', text((good) => good + good), RESPONSE],
  ['all of it in __proto__', text((good) => `{"__proto__":${good}}`), RESPONSE],
  ['all of it in a member', text((good) => `{"tokens":${good}}`), RESPONSE],
  ['all of it under other names', text((good) => good.replaceAll('_', '-')), RESPONSE],
  ['a JWT', answered(200, 'e30.e30.', { 'Content-Type': 'application/jwt' }), RESPONSE],
  ['the right JSON as HTML', (good, answer) => as('text/html', good, answer), RESPONSE],
  ['the right JSON as text', (good, answer) => as('text/plain', good, answer), RESPONSE],
  ...[undefined, null, '', 5, true, ['x'], { a: EVIL_HTML }].map(
    (token): Row<JsonChange> => [
      `access_token ${inspect(token)}`,
      put({ access_token: token, refresh_token: JWT }),
      RESPONSE,
    ],
  ),
  ...[undefined, null, '', 5, ['Bearer'], {}, 'mac', 'N_A', 'dpop', 'DPoP', 'bearer ', EVIL_HTML, '__proto__'].map(
    (type): Row<JsonChange> => [`token_type ${inspect(type)}`, put({ token_type: type, refresh_token: JWT }), RESPONSE],
  ),
  ...[-1, 'soon', {}, [], true, '-1', '1e999', [3600], '12 hours'].map(
    (expiry): Row<JsonChange> => [`expires_in ${inspect(expiry)}`, put({ expires_in: expiry }), RESPONSE],
  ),
  ...[5, true, [5], ['openid profile'], [''], { openid: true }].map(
    (scope): Row<JsonChange> => [`scope ${inspect(scope)}`, put({ scope }), RESPONSE],
  ),
  ...[5, ['x'], {}, 'a\tb', 'a\u00e9'].map(
    (token): Row<JsonChange> => [`refresh_token ${inspect(token)}`, put({ refresh_token: token }), RESPONSE],
  ),
  ['no id_token', put({ id_token: undefined }), 'ERR_OIDC_ID_TOKEN_MISSING'],
  ['an empty id_token', put({ id_token: '' }), 'ERR_OIDC_ID_TOKEN_MISSING'],
  ['an id_token that is null', put({ id_token: null }), 'ERR_OIDC_ID_TOKEN_MISSING'],
  ['N-24: an error with status 200', (_good, answer) => refusedWith200(answer), REQUEST],
  ['N-24: an error with status 200 and no token but null', (_g, answer) => refusedWith200(answer, null), REQUEST],
  ...[' ', ' a', 'a ', 'a\tb', 'a\u00e9'].map(
    (token): Row<JsonChange> => [`access_token ${inspect(token)}`, put({ access_token: token }), RESPONSE],
  ),
  ...[5, true, [], {}, ['e30.e30.']].map(
    (token): Row<JsonChange> => [`id_token ${inspect(token)}`, put({ id_token: token }), MALFORMED],
  ),
  ['an id_token in a list', (good) => ({ ...good, id_token: [good['id_token']] }), MALFORMED],
  [
    'an unsigned id_token under an escaped name',
    (good) =>
      JSON.stringify({ ...good, id_token: unsigned(String(good['id_token'])) }).replace('id_token', 'id\\u005ftoken'),
    MALFORMED,
  ],
  ['a second id_token of HTML', text((good) => `${good.slice(0, -1)},"id_token":"<script>alert(1)"}`), MALFORMED],
  [
    'a second access_token',
    text((good) => `${good.slice(0, -1)},"access_token":"another"}`),
    'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH',
  ],
  ['the access_token of another', put({ access_token: 'another' }), 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH'],
]

function as(type: string, good: JsonObject, { headers }: JsonAnswer): JsonObject {
  headers['Content-Type'] = type
  return good
}

function unsigned(jwt: string): string {
  return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${jwt.split('.')[1]}.`
}

const GOOD: readonly (readonly [name: string, change: JsonChange])[] = [
  ['as it is', (good) => good],
  ['with token_type in odd letters', put({ token_type: 'bEARER' })],
  ['without expires_in', put({ expires_in: undefined })],
  ['with expires_in as text', put({ expires_in: '3600' })],
  ['without scope', put({ scope: undefined })],
  ['N-18: with spaces in the refresh token', put({ refresh_token: 'a b  c' })],
  ['N-19: with members that are null', put({ refresh_token: null, expires_in: null, scope: null })],
  ['N-19: with empty members', put({ refresh_token: '', expires_in: '' })],
  ['N-20: with the scope as a list', put({ scope: ['openid', 'profile'] })],
  ['N-25: with status 201', (good, answer) => withStatus201(good, answer)],
  ['N-25: with content-encoding none', (good, answer) => withNoneEncoding(good, answer)],
  ['N-25: with an empty content type', (good, answer) => as('', good, answer)],
  ['N-25: without a content type', (good, answer) => withoutType(good, answer)],
  ['N-25: with token_type BearerToken', put({ token_type: 'BearerToken' })],
  ['with members that nobody knows', put({ a: { b: [EVIL_HTML] }, constructor: 'x' })],
  ['with a member __proto__', text((good) => `{"__proto__":{"x":1},${good.slice(1)}`)],
  ['with our own name for the ID Token', put({ express_oidc_id_token: EVIL_HTML })],
  ['with cookies', (good, answer) => withCookie(good, answer)],
]

function withoutType(good: JsonObject, { headers }: JsonAnswer): JsonObject {
  delete headers['Content-Type']
  return good
}

function withStatus201(good: JsonObject, answer: JsonAnswer): JsonObject {
  answer.status = 201
  return good
}

function withNoneEncoding(good: JsonObject, { headers }: JsonAnswer): JsonObject {
  headers['Content-Encoding'] = 'none'
  return good
}

function withCookie(good: JsonObject, { headers }: JsonAnswer): JsonObject {
  headers['Set-Cookie'] = 'connect.sid=evil; Path=/'
  return good
}

describe('a token response', () => {
  const scope = 'openid profile email reports:read'
  const stand = createStand({ app: { options: { userinfo: true, scope } } })
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))

  const attack = async (change: JsonChange): Promise<Outcome> => {
    stand.provider.change.tokenResponse = change
    const outcome = await logIn(stand)
    assert.deepEqual(stand.provider.complaints, [])
    return outcome
  }

  for (const [name, change] of GOOD) {
    it(`is accepted ${name}`, async () => {
      await assertLoggedIn(stand, await attack(change))
      assert.equal(Reflect.get({}, 'x'), undefined)
    })
  }

  testRefusals([...REFUSALS, ...RESPONSES], stand, attack, CALLS)

  testRefusals<RawHandler>(
    CONNECTION_FAULTS,
    stand,
    async (handler) => {
      stand.provider.change.raw['/token'] = handler
      const outcome = await logIn(stand)
      // No redirect was followed: the form with the code and the credentials went to one place.
      assert.deepEqual(stand.provider.complaints, [])
      return outcome
    },
    CALLS,
  )

  it('gives programs the error response as received', async () => {
    await attack(refused(EVIL_HTML))
    const [error] = stand.app.errors
    assert.ok(error instanceof ProviderError)
    assert.deepEqual([error.refusal?.error, error.refusal?.errorDescription], [EVIL_HTML, EVIL_HTML])
  })

  it('with a challenge and an error is read', async () => {
    await attack(refused('invalid_client', 401, { 'WWW-Authenticate': CHALLENGE }))
    const [error] = stand.app.errors
    assert.ok(error instanceof ProviderError)
    assert.equal(error.refusal?.error, 'invalid_client')
  })

  it('with a rate limit says when to retry', async () => {
    const { page } = await attack(answered(429, '', { 'Retry-After': '7' }))
    assert.deepEqual([page.status, page.headers['retry-after']], [503, '7'])
  })

  it('without a scope grants openid only', async () => {
    const { browser } = await attack(put({ scope: undefined }))
    assert.deepEqual([(await browser.fetch('/reports')).status, (await browser.fetch('/profile')).status], [403, 200])
  })

  for (const [name, scope] of [
    ['an empty scope', ''],
    ['a scope of spaces', '   '],
    ['a narrower scope', 'openid'],
    ['a scope that only begins alike', 'openid reports:readonly'],
    ['a scope in capitals', 'openid REPORTS:READ'],
    ['a scope with commas', 'openid,reports:read'],
    ['a scope with tabs', 'openid\treports:read'],
  ] as const) {
    it(`with ${name} grants no more than it says`, async () => {
      const { browser } = await attack(put({ scope }))
      const page = await browser.fetch('/reports')
      assert.deepEqual([page.status, page.json()['error']], [403, 'ERR_OIDC_INSUFFICIENT_SCOPE'])
      assert.equal((await browser.fetch('/profile')).status, 200)
    })
  }

  it('with an access token that expires at once gives none', async () => {
    const { browser } = await attack(put({ expires_in: 0 }))
    const page = await browser.fetch('/access-token')
    assert.deepEqual([page.status, page.json()['error']], [401, 'ERR_OIDC_TOKEN_UNAVAILABLE'])
  })

  it('gives the access token to the application until it expires', async () => {
    const { browser } = await attack((good) => good)
    assert.equal((await browser.fetch('/access-token')).status, 200)
    mock.timers.reset()
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_601_000 })
    assert.equal((await browser.fetch('/access-token')).status, 401)
  })
})

/** Some of each: refusals, answers that are none, and tokens that are not good. */
const SAMPLE = [...REFUSALS, ...RESPONSES].filter((_row, index) => index % 6 === 0)

describe('a token response that is refused, to a script', () => {
  const stand = createStand()

  testRefusals(
    SAMPLE,
    stand,
    async (change) => {
      stand.provider.change.tokenResponse = change
      const { browser, answer } = await arrive(stand)
      const page = await browser.fetch(answer.url)
      assert.deepEqual(Object.keys(page.json()), ['error', 'message', 'reference'])
      return { browser, page }
    },
    CALLS,
  )
})

describe('a token response that is refused, in production without an error handler', () => {
  const { stand, printed } = createStandInProduction('express5')

  testRefusals(
    SAMPLE,
    stand,
    (change) => {
      stand.provider.change.tokenResponse = change
      return logIn(stand)
    },
    CALLS,
  )

  it('is logged once for each error, without tokens', () => {
    const texts = printed.map((error) => inspect(error, { customInspect: false }))
    assert.equal(texts.length, SAMPLE.length)
    for (const text of texts) assert.doesNotMatch(text, /eyJ[\w-]{20}/)
  })
})
