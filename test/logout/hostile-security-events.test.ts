import assert from 'node:assert/strict'
import { after, before, describe, it, mock } from 'node:test'
import type { ErrorCode } from '../../lib/index.ts'
import { startApp, type TestApp } from '../support/app/app.ts'
import { isIn, observeLogouts, subjectOf } from '../support/app/logout-observer.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { createStage, share } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import type { Answer } from '../support/browser/http-exchange.ts'
import {
  CREDENTIAL_CHANGE,
  push,
  SESSION_REVOKED,
  startTransmitter,
  type Transmitter,
  VERIFICATION,
} from '../support/servers/transmitter.ts'
import { type JsonObject, now } from '../support/strict-provider/context.ts'

// One good SET, with one thing changed: the answer, its err (RFC 8935 2.4), and that the session stands.

const seen = observeLogouts()

const HEADER = 'Bearer the-value-of-the-header'
const CODE = 'ERR_OIDC_SECURITY_EVENT_'

interface Sent {
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

type Err =
  | ('invalid_request' | 'invalid_key' | 'invalid_issuer' | 'invalid_audience')
  | ('authentication_failed' | 'invalid_state')
type Change = (good: JsonObject, transmitter: Transmitter, user: JsonObject) => Sent | string
type Row = readonly [name: string, change: Change, err: Err, code: ErrorCode]

const stranger = createRsaKeyPair()
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const authorized = { authorization: HEADER }

const claims =
  (edit: (good: JsonObject) => JsonObject): Change =>
  (good, transmitter) =>
    transmitter.sign(edit(good))
const withClaims = (more: JsonObject): Change => claims((good) => ({ ...good, ...more }))
const without = (name: string): Change =>
  claims((good) => Object.fromEntries(Object.entries(good).filter(([one]) => one !== name)))
const header =
  (more: JsonObject): Change =>
  (good, transmitter) =>
    transmitter.sign(good, more)
const withEvent = (type: string, event: unknown): Change => withClaims({ events: { [type]: event } } as JsonObject)
const text =
  (edit: (set: string) => string): Change =>
  (good, transmitter) =>
    edit(transmitter.sign(good))
const sent =
  (edit: (set: string) => Partial<Sent>): Change =>
  (good, transmitter) => {
    const set = transmitter.sign(good)
    return { body: set, headers: authorized, ...edit(set) }
  }
const values = (name: string, bad: readonly unknown[], err: Err, code: ErrorCode): readonly Row[] =>
  bad.map((value) => [
    `${name} ${JSON.stringify(value)?.slice(0, 50)}`,
    withClaims({ [name]: value } as JsonObject),
    err,
    code,
  ])

const REQUEST: readonly Row[] = [
  ['no body', () => '', 'invalid_request', `${CODE}MISSING`],
  ...['text/plain', 'application/jwt', 'application/json', 'application/secevent', 'application/logout+jwt', ''].map(
    (type): Row => [
      `the content type ${type}`,
      sent(() => ({ headers: { ...authorized, 'content-type': type } })),
      'invalid_request',
      `${CODE}MISSING`,
    ],
  ),
  ['a SET in a form', sent((set) => ({ body: `SET=${set}` })), 'invalid_request', `${CODE}MALFORMED`],
  ['a SET in JSON', sent((set) => ({ body: JSON.stringify({ set }) })), 'invalid_request', `${CODE}MALFORMED`],
  ['three SETs', sent((set) => ({ body: `${set}\n${set}\n${set}` })), 'invalid_request', `${CODE}MALFORMED`],
  ['more than 128 KiB', sent(() => ({ body: 'x'.repeat(131_073) })), 'invalid_request', 'ERR_OIDC_CALLBACK_INVALID'],
  ['no Authorization', sent(() => ({ headers: {} })), 'authentication_failed', `${CODE}AUTHORIZATION`],
  ...['', 'Bearer', `${HEADER}x`, HEADER.slice(0, -1), HEADER.toUpperCase(), 'Basic dTpw'].map(
    (authorization): Row => [
      `the Authorization ${JSON.stringify(authorization)}`,
      sent(() => ({ headers: { authorization } })),
      'authentication_failed',
      `${CODE}AUTHORIZATION`,
    ],
  ),
]

const SHAPE: readonly Row[] = [
  ['text that is no JWS', () => 'token', 'invalid_request', `${CODE}MALFORMED`],
  ['two parts', text((set) => set.split('.').slice(0, 2).join('.')), 'invalid_request', `${CODE}MALFORMED`],
  ['four parts', text((set) => `${set}.x`), 'invalid_request', `${CODE}MALFORMED`],
  ['a line break', text((set) => `${set}\n`), 'invalid_request', `${CODE}MALFORMED`],
  ['a space in front', text((set) => ` ${set}`), 'invalid_request', `${CODE}MALFORMED`],
  [
    'a header that is not JSON',
    text((set) => `e30x${set.slice(set.indexOf('.'))}`),
    'invalid_request',
    `${CODE}MALFORMED`,
  ],
  [
    'a header that is a list',
    text((set) => encode([]) + set.slice(set.indexOf('.'))),
    'invalid_request',
    `${CODE}MALFORMED`,
  ],
  ['more than 64 KiB', withClaims({ padding: 'x'.repeat(65_536) }), 'invalid_request', `${CODE}TOO_LARGE`],
  ['five parts', text((set) => `${set}.x.x`), 'invalid_key', `${CODE}ENCRYPTED`],
  ['a kid that is a number', header({ kid: 5 }), 'invalid_request', `${CODE}MALFORMED`],
]

const SIGNATURE: readonly Row[] = [
  [
    'alg none without a signature',
    (good) => `${encode({ alg: 'none', typ: 'secevent+jwt' })}.${encode(good)}.`,
    'invalid_request',
    `${CODE}MALFORMED`,
  ],
  ['alg none with a signature', header({ alg: 'none' }), 'invalid_key', `${CODE}ALG`],
  ['alg rs256', header({ alg: 'rs256' }), 'invalid_key', `${CODE}ALG`],
  ['alg RS512', header({ alg: 'RS512' }), 'invalid_key', `${CODE}ALG`],
  ['alg PS256', header({ alg: 'PS256' }), 'invalid_key', `${CODE}ALG`],
  ['no alg', header({ alg: null }), 'invalid_key', `${CODE}ALG`],
  [
    'HS256 with the public key',
    (good, { key: { kid } }) => signJws('HS256', 'x'.repeat(32), { alg: 'HS256', kid, typ: 'secevent+jwt' }, good),
    'invalid_key',
    `${CODE}ALG`,
  ],
  ['a critical extension', header({ crit: ['exp'], exp: 1 }), 'invalid_request', `${CODE}CRIT`],
  ['an unencoded payload', header({ b64: false }), 'invalid_request', `${CODE}CRIT`],
  ['a kid that is not published', header({ kid: 'unknown' }), 'invalid_key', `${CODE}KEY`],
  [
    'the signature of another key',
    (good, { key: { kid } }) => signJws('RS256', stranger.privateKey, { alg: 'RS256', kid, typ: 'secevent+jwt' }, good),
    'invalid_key',
    `${CODE}SIGNATURE`,
  ],
  [
    'another signature, with its key in the header',
    (good, { key: { kid } }) =>
      signJws(
        'RS256',
        stranger.privateKey,
        { alg: 'RS256', kid, typ: 'secevent+jwt', jwk: stranger.publicKey.export({ format: 'jwk' }) },
        good,
      ),
    'invalid_key',
    `${CODE}SIGNATURE`,
  ],
  [
    'the signature of another SET',
    (good, transmitter) => {
      const [head, , signature] = transmitter.sign(good).split('.')
      return `${head}.${encode({ ...good, jti: 'another' })}.${signature}`
    },
    'invalid_key',
    `${CODE}SIGNATURE`,
  ],
  ['an empty signature', text((set) => set.replace(/[^.]+$/, '')), 'invalid_request', `${CODE}MALFORMED`],
  ['a signature with another end', text((set) => `${set.slice(0, -8)}AAAAAAAA`), 'invalid_key', `${CODE}SIGNATURE`],
]

const TYPES: readonly Row[] = [
  ['no typ', header({ typ: undefined } as unknown as JsonObject), 'invalid_request', `${CODE}TYPE`],
  ...[
    'JWT',
    'jwt',
    'logout+jwt',
    'at+jwt',
    'secevent',
    'secevent+jwt+x',
    'xsecevent+jwt',
    'text/secevent+jwt',
    '',
    5,
    null,
    ['secevent+jwt'],
    {},
  ].map((typ): Row => [`typ ${JSON.stringify(typ)}`, header({ typ } as JsonObject), 'invalid_request', `${CODE}TYPE`]),
]

const PARTIES: readonly Row[] = [
  ['no iss', without('iss'), 'invalid_issuer', `${CODE}ISSUER`],
  ...values('iss', ['', 'https://evil.example', 5, null, {}], 'invalid_issuer', `${CODE}ISSUER`),
  ['iss with a slash more', claims((good) => ({ ...good, iss: `${good['iss']}/` })), 'invalid_issuer', `${CODE}ISSUER`],
  ['iss in a list', claims((good) => ({ ...good, iss: [good['iss'] ?? ''] })), 'invalid_issuer', `${CODE}ISSUER`],
  [
    'iss in upper case',
    claims((good) => ({ ...good, iss: String(good['iss']).toUpperCase() })),
    'invalid_issuer',
    `${CODE}ISSUER`,
  ],
  ['no aud', without('aud'), 'invalid_audience', `${CODE}AUDIENCE`],
  ...values(
    'aud',
    ['', 'https://app.example', 'https://other.example/events', 5, null, {}, [], ['another'], [['x']]],
    'invalid_audience',
    `${CODE}AUDIENCE`,
  ),
  [
    'aud with a slash more',
    claims((good) => ({ ...good, aud: `${good['aud']}/` })),
    'invalid_audience',
    `${CODE}AUDIENCE`,
  ],
  [
    'aud in a list in a list',
    claims((good) => ({ ...good, aud: [[good['aud'] ?? '']] })),
    'invalid_audience',
    `${CODE}AUDIENCE`,
  ],
]

const CLAIMS: readonly Row[] = [
  ...values('exp', [9_999_999_999, 1, null, 'x', {}], 'invalid_request', `${CODE}EXPIRES`),
  ...values('sub', ['user-subject', '', null, 5, {}], 'invalid_request', `${CODE}SUBJECT`),
  ['no iat', without('iat'), 'invalid_request', `${CODE}ISSUED_AT`],
  ...values('iat', ['5', null, [], {}, 1e300, '2026-01-01'], 'invalid_request', `${CODE}ISSUED_AT`),
  ['iat in the future', claims((good) => ({ ...good, iat: now() + 70 })), 'invalid_request', `${CODE}ISSUED_AT`],
  ['iat in milliseconds', claims((good) => ({ ...good, iat: Date.now() })), 'invalid_request', `${CODE}ISSUED_AT`],
  ['nbf in the future', claims((good) => ({ ...good, nbf: now() + 70 })), 'invalid_request', `${CODE}ISSUED_AT`],
  ...values('nbf', ['5', {}], 'invalid_request', `${CODE}ISSUED_AT`),
  ['no jti', without('jti'), 'invalid_request', `${CODE}ID`],
  ...values('jti', ['', 5, null, [], 'x'.repeat(1025)], 'invalid_request', `${CODE}ID`),
  [
    'claims that are a list',
    (_good, { key: { kid, privateKey } }) =>
      signJws('RS256', privateKey, { alg: 'RS256', kid, typ: 'secevent+jwt' }, []),
    'invalid_request',
    `${CODE}MALFORMED`,
  ],
]

const EVENTS: readonly Row[] = [
  ['no events', without('events'), 'invalid_request', `${CODE}EVENTS`],
  ...values(
    'events',
    [
      null,
      5,
      SESSION_REVOKED,
      [SESSION_REVOKED],
      [{ [SESSION_REVOKED]: {} }],
      {},
      { '': {} },
      { ['x'.repeat(1025)]: {} },
      Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`urn:${index}`, {}])),
    ],
    'invalid_request',
    `${CODE}EVENTS`,
  ),
  ...[true, null, [], 'x', 5].map(
    (event): Row => [
      `the event ${JSON.stringify(event)}`,
      withEvent(SESSION_REVOKED, event),
      'invalid_request',
      `${CODE}EVENTS`,
    ],
  ),
  [
    'a second event that is no object',
    withClaims({ events: { [SESSION_REVOKED]: {}, 'urn:x': 1 } }),
    'invalid_request',
    `${CODE}EVENTS`,
  ],
  ...[undefined, '', 'UPDATE', 'rotate', 5, null, ['update']].map(
    (change_type): Row => [
      `credential-change with change_type ${JSON.stringify(change_type)}`,
      withEvent(CREDENTIAL_CHANGE, {
        credential_type: 'password',
        ...(change_type === undefined ? {} : { change_type }),
      }),
      'invalid_request',
      `${CODE}EVENTS`,
    ],
  ),
  ...['now', -1, null, {}, 1e300].map(
    (event_timestamp): Row => [
      `event_timestamp ${JSON.stringify(event_timestamp)}`,
      withEvent(SESSION_REVOKED, { event_timestamp }),
      'invalid_request',
      `${CODE}TIMESTAMP`,
    ],
  ),
  [
    'a verification with a state of nobody',
    withEvent(VERIFICATION, { state: 'guessed' }),
    'invalid_state',
    `${CODE}STATE`,
  ],
  [
    'a verification with a state that is an object',
    withEvent(VERIFICATION, { state: {} }),
    'invalid_state',
    `${CODE}STATE`,
  ],
]

const subject = (sub_id: unknown): Change => withClaims({ sub_id } as JsonObject)

const SUBJECTS: readonly Row[] = [
  ['no subject', without('sub_id'), 'invalid_request', `${CODE}SUBJECT`],
  ...values('sub_id', [5, 'user-subject', [], true, null], 'invalid_request', `${CODE}SUBJECT`),
  [
    'a subject in the event that is text',
    withEvent(SESSION_REVOKED, { subject: 'user-subject' }),
    'invalid_request',
    `${CODE}SUBJECT`,
  ],
  ...[
    {},
    { format: 5 },
    { format: null, sub: 'user-subject' },
    { sub: 'user-subject' },
    { format: 'iss_sub' },
    { format: 'iss_sub', sub: 'user-subject' },
    { format: 'iss_sub', iss: 'https://id.example' },
    { format: 'iss_sub', iss: 5, sub: 'user-subject' },
    { format: 'iss_sub', iss: 'https://id.example', sub: '' },
    { format: 'iss_sub', iss: 'https://id.example', sub: ['user-subject'] },
    { format: 'iss_sub', iss: 'https://id.example', sub: 'x'.repeat(1025) },
    { format: 'opaque' },
    { format: 'opaque', id: '' },
    { format: 'opaque', id: 5 },
    { format: 'email' },
    { format: 'email', email: '' },
    { format: 'email', email: {} },
    { format: 'complex', user: 'user-subject' },
    { format: 'complex', user: [] },
    { format: 'complex', user: null },
    { format: 'complex', user: {} },
    { format: 'complex', user: { format: 'iss_sub', sub: 'user-subject' } },
    { format: 'complex', session: { format: 'opaque' } },
    { format: 'complex', session: 'one' },
    { user: { sub: 'user-subject' } },
  ].map(
    (sub_id): Row => [
      `the subject ${JSON.stringify(sub_id).slice(0, 70)}`,
      subject(sub_id),
      'invalid_request',
      `${CODE}SUBJECT`,
    ],
  ),
]

// A SET of another provider's transmitter, which is good for that one.
const FOREIGN: readonly Row[] = [
  [
    'the iss of another transmitter of the application, signed with the keys of this one',
    withClaims({ iss: 'https://transmitter.partner.example' }),
    'invalid_issuer',
    `${CODE}ISSUER`,
  ],
  [
    'the Authorization of another transmitter of the application',
    sent(() => ({ headers: { authorization: 'Bearer the-value-of-the-partner' } })),
    'invalid_issuer',
    `${CODE}ISSUER`,
  ],
]

/** Accepted with 202, without an effect. */
const HARMLESS: readonly (readonly [name: string, change: Change])[] = [
  [
    'the user of another issuer',
    (good, transmitter, user) => transmitter.sign({ ...good, sub_id: { ...user, iss: 'https://evil.example' } }),
  ],
  ['another user', (good, transmitter, user) => transmitter.sign({ ...good, sub_id: { ...user, sub: 'another' } })],
  [
    'the user with a space behind',
    (good, transmitter, user) => transmitter.sign({ ...good, sub_id: { ...user, sub: `${user['sub']} ` } }),
  ],
  [
    'a format of nobody',
    (good, transmitter, user) => transmitter.sign({ ...good, sub_id: { ...user, format: 'ISS_SUB' } }),
  ],
  ['the prototype as a format', (good, transmitter) => transmitter.sign({ ...good, sub_id: { format: '__proto__' } })],
  ['an unknown event', withEvent('urn:example:unknown', {})],
  ['an event in upper case', withEvent(SESSION_REVOKED.toUpperCase(), {})],
  ['an event with a slash behind', withEvent(`${SESSION_REVOKED}/`, {})],
  ['an event of the prototype', withEvent('constructor', {})],
  ['a verification without a state', withEvent(VERIFICATION, {})],
  [
    'a stream that is paused',
    withEvent('https://schemas.openid.net/secevent/ssf/event-type/stream-updated', { status: 'paused' }),
  ],
  ['a logout event', withEvent('http://schemas.openid.net/event/backchannel-logout', {})],
]

/** Good in another form: the session ends. */
const GOOD: readonly (readonly [name: string, change: Change])[] = [
  ['as it is', text((set) => set)],
  ...['application/secevent+jwt', 'SECEVENT+JWT'].map((typ) => [`typ ${typ}`, header({ typ })] as const),
  ['aud in a list, among others', claims((good) => ({ ...good, aud: ['another', good['aud'] ?? ''] }))],
  ['without a kid', header({ kid: undefined } as unknown as JsonObject)],
  [
    'a content type with a charset',
    sent(() => ({ headers: { ...authorized, 'content-type': 'Application/SecEvent+JWT; charset=utf-8' } })),
  ],
  ['more claims and more members', claims((good) => ({ ...good, txn: 'x', toe: 1, nonce: 'n', more: {} }))],
]

describe('a security event', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })
  const transmitter = share(() => startTransmitter())
  let app: TestApp
  let browser: Browser
  let user: JsonObject

  /** One app and one login for all rows that are refused: the session stands after each of them. */
  async function arrive(): Promise<void> {
    transmitter().reset()
    const { issuer, clientId, clientSecret } = stage.provider
    const { issuer: transmitterIssuer, audience } = transmitter()
    const sharedSignals = { issuer: transmitterIssuer, audience, authorizationHeader: HEADER }
    const partner = {
      issuer: 'https://id.partner.example',
      clientId: 'partner',
      clientSecret,
      sharedSignals: {
        issuer: 'https://transmitter.partner.example',
        audience,
        authorizationHeader: 'Bearer the-value-of-the-partner',
      },
    }
    app = await startApp({
      errorHandler: 'json',
      options: { providers: { own: { issuer, clientId, clientSecret, sharedSignals }, partner } },
    })
    browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 200)
    const { sub } = await subjectOf(browser)
    user = { format: 'iss_sub', iss: transmitterIssuer, sub }
  }

  before(arrive)
  after(() => app.stop())

  async function send(change: Change): Promise<Answer> {
    const good = transmitter().claims({ sub_id: user, events: { [SESSION_REVOKED]: { event_timestamp: now() } } })
    const changed = change(good, transmitter(), user)
    const { body, headers } = typeof changed === 'string' ? { body: changed, headers: authorized } : changed
    return await push(`${app.baseUrl}/security-events`, body, headers)
  }

  for (const [name, change, err, code] of [
    ...[...REQUEST, ...SHAPE, ...SIGNATURE, ...TYPES, ...PARTIES],
    ...[...CLAIMS, ...EVENTS, ...SUBJECTS, ...FOREIGN],
  ]) {
    it(`is refused with ${err}: ${name}`, async () => {
      const answer = await send(change)
      assert.deepEqual([answer.status, seen.errors, seen.logouts], [400, [code], []])
      const { err: told, description, ...more } = JSON.parse(answer.body)
      assert.deepEqual([told, more], [err, {}])
      // A sentence, and nothing of what was sent.
      assert.match(String(description), /^[A-Z][ -~]+\.$/)
      assert.doesNotMatch(String(description), /evil|user-subject|guessed/)
      const { 'cache-control': cache, 'content-type': type, 'content-language': language } = answer.headers
      assert.deepEqual([cache, type, language], ['no-store', 'application/json; charset=utf-8', 'en'])
      assert.deepEqual([answer.setCookies, await app.sessions(), app.errors], [[], 1, []])
    })
  }

  it('that was refused leaves the user logged in', async () => {
    assert.equal(await isIn(browser), true)
  })

  for (const [name, change] of HARMLESS) {
    it(`is accepted and ends no session: ${name}`, async () => {
      const answer = await send(change)
      assert.deepEqual([answer.status, answer.body, seen.errors, seen.logouts], [202, '', [], []])
      assert.deepEqual([await app.sessions(), app.errors], [1, []])
    })
  }

  for (const [index, [name, change]] of GOOD.entries()) {
    it(`is accepted and ends the session: ${name}`, async () => {
      // A login that begins in the second of the last event does not complete.
      mock.timers.enable({ apis: ['Date'], now: Date.now() + 2000 * (index + 1) })
      await browser.open('/profile')
      const answer = await send(change)
      assert.deepEqual([answer.status, answer.body, seen.errors], [202, '', []])
      assert.equal(await app.sessions(), 0)
    })
  }

  it('is tried in at least 120 hostile forms', () => {
    const tables = [REQUEST, SHAPE, SIGNATURE, TYPES, PARTIES, CLAIMS, EVENTS, SUBJECTS, FOREIGN]
    assert.ok(tables.flat().length + HARMLESS.length >= 120)
  })
})
