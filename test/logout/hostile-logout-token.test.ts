import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ErrorCode } from '../../lib/index.ts'
import { verifyLogoutToken } from '../../lib/protocol/logout-token.ts'
import type { Provider } from '../../lib/provider/provider.ts'
import { codesOf } from '../support/app/app.ts'
import { isIn, logoutUri, observeLogouts, postAsServer, subjectOf } from '../support/app/logout-observer.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { signJws } from '../support/app/signing-keys.ts'
import type { Browser } from '../support/browser/browser.ts'
import type { Answer } from '../support/browser/http-exchange.ts'
import { createStand, logIn, type Stand } from '../support/hostile/hostile.ts'
import { type JsonObject, now } from '../support/strict-provider/context.ts'
import { LOGOUT_EVENT } from '../support/strict-provider/logout-token.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

const seen = observeLogouts()

/** Changes one thing in what the provider posts. */
type Change = (provider: StrictProvider) => void
type Row = readonly [name: string, change: Change, code: ErrorCode]

const CODE = 'ERR_OIDC_LOGOUT_TOKEN_'

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const decode = (part: string | undefined): JsonObject =>
  JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'))

const claims =
  (edit: (good: JsonObject) => JsonObject): Change =>
  ({ change }) => {
    change.logoutTokenClaims = edit
  }

const withClaims = (more: JsonObject): Change => claims((good) => ({ ...good, ...more }))

const without = (...names: readonly string[]): Change =>
  claims((good) => Object.fromEntries(Object.entries(good).filter(([name]) => !names.includes(name))))

const header =
  (edit: (good: JsonObject) => JsonObject): Change =>
  ({ change }) => {
    change.logoutTokenHeader = edit
  }

const token =
  (edit: (jwt: string, provider: StrictProvider) => string): Change =>
  (provider) => {
    provider.change.logoutToken = (jwt) => edit(jwt, provider)
  }

const fields =
  (edit: (good: URLSearchParams) => URLSearchParams): Change =>
  ({ change }) => {
    change.logoutFields = edit
  }

/** The same claims, signed with another key. */
function signedAnew(alg: string, key: (provider: StrictProvider) => Parameters<typeof signJws>[1], more: object = {}) {
  return token((jwt, provider) => {
    const [head, payload] = jwt.split('.')
    return signJws(alg, key(provider), { ...decode(head), alg, ...more }, decode(payload))
  })
}

const stranger = createRsaKeyPair()

const FORM: readonly Row[] = [
  ['no field', fields(() => new URLSearchParams('a=b')), `${CODE}MISSING`],
  ['an empty field', fields(() => new URLSearchParams('logout_token=')), `${CODE}MISSING`],
  [
    'two tokens, both of them good',
    fields((good) => new URLSearchParams(`${good}&logout_token=${good.get('logout_token')}`)),
    `${CODE}MISSING`,
  ],
  [
    'the field name in upper case',
    fields((good) => new URLSearchParams({ LOGOUT_TOKEN: good.get('logout_token') ?? '' })),
    `${CODE}MISSING`,
  ],
]

const SHAPE: readonly Row[] = [
  ['text that is no JWS', token(() => 'token'), `${CODE}MALFORMED`],
  ['four parts', token((jwt) => `${jwt}.x`), `${CODE}MALFORMED`],
  ['a header that is not JSON', token((jwt) => `e30x.${jwt.split('.').slice(1).join('.')}`), `${CODE}MALFORMED`],
  ['a line break', token((jwt) => `${jwt}\n`), `${CODE}MALFORMED`],
  ['more than 64 KiB', withClaims({ padding: 'x'.repeat(65_536) }), `${CODE}TOO_LARGE`],
  ['five parts', token((jwt) => `${jwt}.x.x`), `${CODE}ENCRYPTED`],
  [
    'claims that are a list',
    token((jwt, { keys }) => signJws('RS256', keys.rsa.privateKey, decode(jwt.split('.')[0]), [])),
    `${CODE}MALFORMED`,
  ],
  ['a kid that is a number', header((good) => ({ ...good, kid: 5 })), `${CODE}MALFORMED`],
]

const SIGNATURE: readonly Row[] = [
  ['no signature', token((jwt) => `${encode({ alg: 'none' })}.${jwt.split('.')[1]}.`), `${CODE}MALFORMED`],
  ['alg none, with a signature', header((good) => ({ ...good, alg: 'none' })), `${CODE}ALG`],
  ['alg RS256 in small letters', header((good) => ({ ...good, alg: 'rs256' })), `${CODE}ALG`],
  ['no alg', header(({ kid }) => ({ kid })), `${CODE}ALG`],
  ['HS256 with the client secret', signedAnew('HS256', ({ clientSecret }) => clientSecret), `${CODE}ALG`],
  ['HS256 with the public key', signedAnew('HS256', ({ keys }) => JSON.stringify(keys.rsa.jwk)), `${CODE}ALG`],
  [
    'another algorithm, with another published key',
    signedAnew('ES256', ({ keys }) => keys.p256.privateKey),
    `${CODE}ALG`,
  ],
  ['another algorithm, with the same key', signedAnew('PS256', ({ keys }) => keys.rsa.privateKey), `${CODE}ALG`],
  ['a critical extension', header((good) => ({ ...good, crit: ['exp'], exp: 1 })), `${CODE}CRIT`],
  ['a kid that is not published', header((good) => ({ ...good, kid: 'unknown' })), `${CODE}KEY`],
  ['the signature of another key', signedAnew('RS256', () => stranger.privateKey), `${CODE}SIGNATURE`],
  [
    'another signature, with its key in the header',
    signedAnew('RS256', () => stranger.privateKey, { jwk: stranger.publicKey.export({ format: 'jwk' }) }),
    `${CODE}SIGNATURE`,
  ],
  [
    'the signature of another token',
    token((jwt) => {
      const [head, payload, signature] = jwt.split('.')
      return `${head}.${encode({ ...decode(payload), sub: 'another' })}.${signature}`
    }),
    `${CODE}SIGNATURE`,
  ],
  ['an empty signature', token((jwt) => jwt.replace(/[^.]+$/, '')), `${CODE}MALFORMED`],
]

const TYPES: readonly Row[] = [
  'at+jwt',
  'dpop+jwt',
  'secevent+jwt',
  'logout',
  'logout+jwt+x',
  '',
  5,
  null,
  ['JWT'],
].map((typ): Row => [`typ ${JSON.stringify(typ)}`, header((good) => ({ ...good, typ })), `${CODE}TYPE`])

const values = (name: string, bad: readonly unknown[], code: ErrorCode): readonly Row[] =>
  bad.map((value) => [`${name} ${JSON.stringify(value)}`, withClaims({ [name]: value }), code])

const PARTIES: readonly Row[] = [
  ['no iss', without('iss'), `${CODE}ISSUER`],
  ...values('iss', ['', 'https://evil.example', 5, null, ['x']], `${CODE}ISSUER`),
  ['iss with a slash more', claims((good) => ({ ...good, iss: `${good['iss']}/` })), `${CODE}ISSUER`],
  ['iss in a list', claims((good) => ({ ...good, iss: [good['iss']] })), `${CODE}ISSUER`],
  ['no aud', without('aud'), `${CODE}AUDIENCE`],
  ...values('aud', ['', 'test-clientINVALID', 5, null, {}, [], ['another']], `${CODE}AUDIENCE`),
  ['aud in a list in a list', claims((good) => ({ ...good, aud: [[good['aud']]] })), `${CODE}AUDIENCE`],
]

const TIMES: readonly Row[] = [
  ['no iat', without('iat'), `${CODE}ISSUED_AT`],
  ...values('iat', ['5', null, [], -1e300, 1e300], `${CODE}ISSUED_AT`),
  ['iat as text', claims((good) => ({ ...good, iat: String(good['iat']) })), `${CODE}ISSUED_AT`],
  ['iat in the future', claims((good) => ({ ...good, iat: now() + 65 })), `${CODE}ISSUED_AT`],
  ['iat eleven minutes ago, with a valid exp', claims((good) => ({ ...good, iat: now() - 665 })), `${CODE}ISSUED_AT`],
  [
    'iat three minutes ago, and no exp',
    claims(({ exp: _, ...good }) => ({ ...good, iat: now() - 185 })),
    `${CODE}ISSUED_AT`,
  ],
  ['no exp', without('exp'), `${CODE}EXPIRED`],
  ['an exp in the past', claims((good) => ({ ...good, exp: now() - 61 })), `${CODE}EXPIRED`],
  ...values('exp', ['5', null, [], 1e300], `${CODE}EXPIRED`),
  ['nbf in the future', claims((good) => ({ ...good, nbf: now() + 65 })), `${CODE}NOT_BEFORE`],
  ...values('nbf', ['5', null], `${CODE}NOT_BEFORE`),
]

const LOGOUT: readonly Row[] = [
  ['no events', without('events'), `${CODE}EVENT`],
  ...values(
    'events',
    [
      ...[null, 5, LOGOUT_EVENT, [LOGOUT_EVENT], [{ [LOGOUT_EVENT]: {} }], {}],
      ...[{ [LOGOUT_EVENT]: true }, { [LOGOUT_EVENT]: null }, { [LOGOUT_EVENT]: [] }],
      { 'http://schemas.openid.net/event/foobar': {} },
      { [`${LOGOUT_EVENT}/`]: {} },
    ],
    `${CODE}EVENT`,
  ),
  ...values('nonce', ['n', '', null, 5, {}], `${CODE}NONCE`),
  ['neither sub nor sid', without('sub', 'sid'), `${CODE}SUBJECT`],
  ...values('sub', ['', 5, null, [], {}], `${CODE}SUBJECT`),
  ...values('sid', ['', 5, null, [], {}, 'x'.repeat(1025)], `${CODE}SUBJECT`),
  ['no jti', without('jti'), `${CODE}ID`],
  ...values('jti', ['', 5, null, []], `${CODE}ID`),
]

const GOOD: readonly (readonly [name: string, change: Change])[] = [
  ['as the provider sends it', () => undefined],
  ...['logout+jwt', 'LOGOUT+JWT', 'application/logout+jwt', 'JWT'].map(
    (typ) => [`with typ ${typ}`, header((good) => ({ ...good, typ }))] as const,
  ),
  ['with aud in a list, among others', claims((good) => ({ ...good, aud: ['another', good['aud']] }))],
  ['nine minutes old, after an outage', claims((good) => ({ ...good, iat: now() - 540, exp: now() + 1 }))],
  ['with an exp of years', claims((good) => ({ ...good, exp: now() + 1e9 }))],
  ['with only a sub', without('sid')],
  ['with only a sid', without('sub')],
  [
    'with more members in the event, and more events',
    withClaims({ events: { [LOGOUT_EVENT]: { a: 1 }, 'urn:other': {} } }),
  ],
  ['without a kid', header(({ alg }) => ({ alg }))],
]

/** A browser in which a user is logged in, and the user's sub and sid. */
async function arrive(stand: Stand): Promise<{ browser: Browser; subject: { sub: string; sid: string } }> {
  const { browser, page } = await logIn(stand)
  assert.equal(page.status, 200, page.body)
  return { browser, subject: await subjectOf(browser) }
}

async function assertRefused({ app }: Stand, browser: Browser, answer: Answer, code: ErrorCode): Promise<void> {
  assert.deepEqual([answer.status, seen.errors, seen.logouts], [400, [code], []])
  const { error, error_description: description, ...more } = JSON.parse(answer.body)
  assert.deepEqual([error, more], ['invalid_request', {}])
  // The characters of RFC 6749 5.2, and nothing of what was sent.
  assert.match(String(description), /^[A-Z][ !#-[\]-~]+$/)
  assert.doesNotMatch(String(description), /evil|INVALID|unknown/)
  const { 'cache-control': cache, 'content-type': type } = answer.headers
  assert.deepEqual([cache, type, answer.setCookies], ['no-store', 'application/json; charset=utf-8', []])
  assert.deepEqual([await isIn(browser), await app.sessions(), codesOf(app)], [true, 1, []])
}

function testRows(stand: Stand, rows: readonly Row[]): void {
  for (const [name, change, code] of rows) {
    it(`is refused with ${name}`, async () => {
      const { browser, subject } = await arrive(stand)
      change(stand.provider)
      const answer = await stand.provider.postLogoutToken(logoutUri(stand.app), subject)
      await assertRefused(stand, browser, answer, code)
    })
  }
}

describe('a logout token', () => {
  const stand = createStand()

  for (const [name, change] of GOOD) {
    it(`ends the session ${name}`, async () => {
      const { browser, subject } = await arrive(stand)
      change(stand.provider)
      const answer = await stand.provider.postLogoutToken(logoutUri(stand.app), subject)
      assert.deepEqual([answer.status, answer.body, seen.errors], [200, '', []])
      assert.deepEqual([await isIn(browser), await stand.app.sessions()], [false, 0])
    })
  }

  testRows(stand, [...FORM, ...SHAPE, ...SIGNATURE, ...TYPES, ...PARTIES, ...TIMES, ...LOGOUT])

  it('is refused the second time, and does not end a later session', async () => {
    const { browser, subject } = await arrive(stand)
    const token = await stand.provider.issueLogoutToken({ sub: subject.sub })
    const body = String(new URLSearchParams({ logout_token: token }))
    assert.equal((await postAsServer(logoutUri(stand.app), body)).status, 200)
    assert.equal(await isIn(browser), false)
    await browser.open('/profile')
    seen.logouts.length = 0
    await assertRefused(stand, browser, await postAsServer(logoutUri(stand.app), body), `${CODE}REPLAYED`)
  })

  it('is refused if it is an ID Token', async () => {
    const { browser } = await arrive(stand)
    const { token } = (await browser.fetch('/id-token')).json()
    const answer = await postAsServer(logoutUri(stand.app), `logout_token=${token}`)
    await assertRefused(stand, browser, answer, `${CODE}EVENT`)
  })

  it('is refused if it is an ID Token with a logout event', async () => {
    stand.provider.change.idTokenClaims = (good) => ({ ...good, jti: 'x', events: { [LOGOUT_EVENT]: {} } })
    const { browser } = await arrive(stand)
    const { token } = (await browser.fetch('/id-token')).json()
    const answer = await postAsServer(logoutUri(stand.app), `logout_token=${token}`)
    await assertRefused(stand, browser, answer, `${CODE}NONCE`)
  })

  for (const [name, body, type] of [
    ['JSON', '{"logout_token":"x"}', 'application/json'],
    ['text', 'logout_token=x', 'text/plain'],
    ['of no type', 'logout_token=x', ''],
    ['a form of more than 128 KiB', `a=${'x'.repeat(131_072)}`, 'application/x-www-form-urlencoded'],
  ] as const) {
    it(`is refused in a body that is ${name}`, async () => {
      const { browser } = await arrive(stand)
      const answer = await postAsServer(logoutUri(stand.app), body, type === '' ? {} : { 'content-type': type })
      await assertRefused(stand, browser, answer, 'ERR_OIDC_CALLBACK_INVALID')
    })
  }

  it('is not accepted as an ID Token', async () => {
    const logoutToken = await stand.provider.issueLogoutToken({ sub: 'user-subject' })
    stand.provider.change.idToken = () => logoutToken
    await logIn(stand)
    assert.deepEqual([await stand.app.sessions(), codesOf(stand.app)], [0, ['ERR_OIDC_ID_TOKEN_NONCE']])
  })
})

describe('a logout token of a client with encrypted ID Tokens', () => {
  const stand = createStand({ provider: { idTokenEncryptedResponseAlg: 'RSA-OAEP-256' } })

  it('is encrypted too, and ends the session', async () => {
    const { browser, subject } = await arrive(stand)
    assert.equal((await stand.provider.issueLogoutToken(subject)).split('.').length, 5)
    assert.equal((await stand.provider.postLogoutToken(logoutUri(stand.app), subject)).status, 200)
    assert.equal(await isIn(browser), false)
  })

  const jweHeader =
    (edit: (good: JsonObject) => JsonObject): Change =>
    ({ change }) => {
      change.jweHeader = edit
    }
  const jwe =
    (edit: (jwe: string, jws: string) => string): Change =>
    ({ change }) => {
      change.encryptedLogoutToken = edit
    }
  testRows(stand, [
    ['a signature only', jwe((_jwe, jws) => jws), `${CODE}UNENCRYPTED`],
    ['another alg', jweHeader((good) => ({ ...good, alg: 'RSA-OAEP' })), `${CODE}ENCRYPTION_ALG`],
    ['another enc', jweHeader((good) => ({ ...good, enc: 'A256GCM' })), `${CODE}ENCRYPTION_ALG`],
    [
      'another authentication tag',
      jwe((good) => {
        const parts = good.split('.')
        return [...parts.slice(0, 4), Buffer.alloc(16).toString('base64url')].join('.')
      }),
      `${CODE}DECRYPTION`,
    ],
    ['no signature inside', token((jws) => `${encode({ alg: 'none' })}.${jws.split('.')[1]}.`), `${CODE}MALFORMED`],
    ['nonce inside', withClaims({ nonce: 'n' }), `${CODE}NONCE`],
  ])
})

describe('a logout token signed with the client secret', () => {
  const stand = createStand({ provider: { alg: 'HS256' }, app: { options: { idTokenSignedResponseAlg: 'HS256' } } })

  it('ends the session', async () => {
    const { browser, subject } = await arrive(stand)
    assert.equal((await stand.provider.postLogoutToken(logoutUri(stand.app), subject)).status, 200)
    assert.equal(await isIn(browser), false)
  })

  testRows(stand, [
    ['another secret', signedAnew('HS256', () => 'another secret of at least 32 characters'), `${CODE}SIGNATURE`],
    ['the key of the provider', signedAnew('RS256', ({ keys }) => keys.rsa.privateKey), `${CODE}ALG`],
  ])
})

describe('N-61: a logout token, with dangerouslyAllowLogoutTokenWithoutExp', () => {
  const stand = createStand({ app: { options: { dangerouslyAllowLogoutTokenWithoutExp: true } } })

  for (const [name, change] of [
    ['without exp', without('exp')],
    ['without exp, two minutes old', claims(({ exp: _, ...good }) => ({ ...good, iat: now() - 120 }))],
    ['with exp', () => undefined],
  ] as const) {
    it(`ends the session ${name}`, async () => {
      const { browser, subject } = await arrive(stand)
      change(stand.provider)
      const answer = await stand.provider.postLogoutToken(logoutUri(stand.app), subject)
      assert.deepEqual([answer.status, await isIn(browser), seen.errors], [200, false, []])
    })
  }

  testRows(
    stand,
    TIMES.filter(([name]) => name !== 'no exp'),
  )
})

describe('the verification of a logout token', () => {
  const clientSecret = 'a secret of at least 32 characters'

  function providerOf(clientId: string): Provider {
    const keys = { keysFor: () => assert.fail('it looks for a key') }
    const config = { issuer: 'https://op.test', clientId, clientSecret, idTokenSignedResponseAlg: 'HS256' }
    // Only what the verification reads.
    return { config: { ...config, clockTolerance: 60 }, keys } as unknown as Provider
  }

  function tokenFor(aud: string): string {
    const good = { iss: 'https://op.test', aud, iat: now(), exp: now() + 60, jti: 'j', sub: 's' }
    return signJws('HS256', clientSecret, { alg: 'HS256' }, { ...good, events: { [LOGOUT_EVENT]: {} } })
  }

  it('returns the issuer, sub, sid and jti', async () => {
    assert.deepEqual(await verifyLogoutToken(providerOf('client'), tokenFor('client')), {
      ...{ issuer: 'https://op.test', sub: 's', sid: undefined, jti: 'j' },
    })
  })

  it('refuses a token for a client without a client id', async () => {
    await assert.rejects(verifyLogoutToken(providerOf(''), tokenFor('')), { code: `${CODE}AUDIENCE` })
  })
})
