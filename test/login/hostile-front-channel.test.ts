import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { before, describe, it } from 'node:test'
import type { ErrorCode } from '../../lib/index.ts'
import type { ResponseType } from '../../lib/types.ts'
import type { AnyOptions, AppOptions } from '../support/app/app.ts'
import { createSigningKeys, type SigningKeys, signJws, tokenHash } from '../support/app/signing-keys.ts'
import type { Navigation } from '../support/browser/browser.ts'
import {
  arrive,
  assertLoggedIn,
  assertRefused,
  createStand,
  EVIL_HTML,
  logIn,
  type Outcome,
  paramsOf,
  type Row,
  type Stand,
  testRefusals,
  withParams,
} from '../support/hostile/hostile.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

/** Sets one change of the provider's valid response. */
type Change = (provider: StrictProvider) => void | Promise<void>
/** Changes the parameters in the browser. */
type ParamsChange = (params: URLSearchParams) => void

const WITH_ID_TOKEN = ['id_token', 'id_token token', 'code id_token', 'code id_token token'] as const
const WITH_TOKENS = [...WITH_ID_TOKEN, 'code token'] as const
const CARRIERS = ['form_post', 'fragment'] as const

const now = (): number => Math.floor(Date.now() / 1000)
const has = (type: ResponseType, word: string): boolean => type.split(' ').includes(word)

let attacker: SigningKeys
before(async () => {
  attacker = createSigningKeys()
})

/** A row for the front channel: the status is 400, whatever the usual status of the code. */
const inFront = <Item>([name, change, code]: Row<Item>): Row<Item> => [name, change, code, 400]

/** A stand for the tests of a `describe`. */
function useStand(options: Partial<AnyOptions>, app: Partial<AppOptions> = {}): Stand {
  return createStand({ app: { ...app, options } })
}

const sample = <Item>(rows: readonly Item[]): readonly Item[] => rows.filter((_, index) => index % 4 === 0)

async function logInWith(stand: Stand, change: Change): Promise<Outcome> {
  await change(stand.provider)
  return await logIn(stand)
}

async function respondWith(stand: Stand, change: ParamsChange): Promise<Outcome> {
  const { browser, answer } = await arrive(stand)
  const params = paramsOf(answer)
  change(params)
  return { browser, page: await browser.go(withParams(answer, params)) }
}

/** The parts of a JWT, decoded. */
function decoded(jwt: string): { readonly header: JsonObject; readonly claims: JsonObject } {
  const [header = '', payload = ''] = jwt.split('.')
  const parse = (part: string): JsonObject => JSON.parse(Buffer.from(part, 'base64url').toString())
  return { header: parse(header), claims: parse(payload) }
}

/** The changes of one kind of JWT of the provider. */
interface JwtChanges {
  readonly claims: (edit: (good: JsonObject, provider: StrictProvider) => JsonObject) => Change
  readonly header: (values: JsonObject) => Change
  readonly jwt: (edit: (jwt: string, provider: StrictProvider) => string) => Change
}

const ID_TOKEN: JwtChanges = {
  claims: (edit) => (provider) => {
    provider.change.frontIdTokenClaims = (good) => edit(good, provider)
  },
  header: (values) => (provider) => {
    provider.change.frontIdTokenHeader = (good) => ({ ...good, ...values })
  },
  jwt: (edit) => (provider) => {
    provider.change.frontIdToken = (jwt) => edit(jwt, provider)
  },
}

const RESPONSE: JwtChanges = {
  claims: (edit) => (provider) => {
    provider.change.responseJwtClaims = (good) => edit(good, provider)
  },
  header: (values) => (provider) => {
    provider.change.responseJwtHeader = (good) => ({ ...good, ...values })
  },
  jwt: (edit) => (provider) => {
    provider.change.responseJwt = (jwt) => edit(jwt, provider)
  },
}

const without = (changes: JwtChanges, name: string): Change => changes.claims(({ [name]: _dropped, ...rest }) => rest)
const withClaim = (changes: JwtChanges, name: string, value: unknown): Change =>
  changes.claims((good) => ({ ...good, [name]: value }))

/** One row for each value of a claim. */
function each(
  changes: JwtChanges,
  name: string,
  code: ErrorCode,
  values: Readonly<Record<string, unknown>>,
): readonly Row<Change>[] {
  return Object.entries(values).map(([what, value]) => [`${name} ${what}`, withClaim(changes, name, value), code])
}

const NOT_A_TIME = { null: null, 'as text': String(now() + 60), true: true, '1e300': 1e300, 'in a list': [now() + 60] }
const OTHER_HASH = tokenHash('RS256', 'another')

/** Faults of the form, header and signature of any JWT. */
function jwtRows(kind: 'ID_TOKEN' | 'RESPONSE_JWT', changes: JwtChanges): readonly Row<Change>[] {
  const { header, jwt } = changes
  const resigned = (
    alg: string,
    sign: (provider: StrictProvider) => Parameters<typeof signJws>[1],
    more = {},
  ): Change =>
    jwt((text, provider) => {
      const good = decoded(text)
      return signJws(alg, sign(provider), { ...good.header, alg, ...more }, good.claims)
    })
  const publicPem = ({ keys }: StrictProvider): string =>
    String(createPublicKey({ key: keys.rsa.jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }))
  const parts = (edit: (header: string, payload: string, signature: string) => string): Change =>
    jwt((text) => {
      const [head = '', payload = '', signature = ''] = text.split('.')
      return edit(head, payload, signature)
    })
  const ofPayload = (payload: unknown): Change =>
    jwt((text, { keys }) => signJws('RS256', keys.rsa.privateKey, decoded(text).header, Object(payload)))
  const tampered = parts((head, payload, signature) => {
    const claims = { ...decoded(`${head}.${payload}`).claims, sub: 'admin', code: 'x'.repeat(32) }
    return `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`
  })
  const code = (name: 'MALFORMED' | 'ALG' | 'TYPE' | 'CRIT' | 'KEY' | 'SIGNATURE' | 'ENCRYPTED' | 'TOO_LARGE') =>
    `ERR_OIDC_${kind}_${name}` as const
  return [
    ['alg none without signature', resigned('none', () => ''), code('MALFORMED')],
    ['alg none with the signature kept', header({ alg: 'none' }), code('ALG')],
    ['the right alg without a signature', parts((head, payload) => `${head}.${payload}.`), code('MALFORMED')],
    ['no alg', header({ alg: undefined }), code('ALG')],
    ...['None', 'rs256', '', null, ['RS256']].map(
      (alg): Row<Change> => [`alg ${JSON.stringify(alg)}`, header({ alg }), code('ALG')],
    ),
    ['HS256 with the client secret', resigned('HS256', ({ clientSecret }) => clientSecret), code('ALG')],
    ['HS256 with the public key', resigned('HS256', publicPem), code('ALG')],
    ['HS256 named RS256', resigned('HS256', publicPem, { alg: 'RS256' }), code('SIGNATURE')],
    ['PS256 with the published key', resigned('PS256', ({ keys }) => keys.rsa.privateKey), code('ALG')],
    [
      'ES256 with a published key',
      (provider) => resigned('ES256', ({ keys }) => keys.p256.privateKey, { kid: provider.keys.p256.kid })(provider),
      code('ALG'),
    ],
    ['the key of an attacker with a known kid', resigned('RS256', () => attacker.rsa.privateKey), code('SIGNATURE')],
    [
      'the key of an attacker in the header',
      (provider) => resigned('RS256', () => attacker.rsa.privateKey, { jwk: attacker.rsa.jwk })(provider),
      code('SIGNATURE'),
    ],
    ['a changed byte of the signature', parts(withOtherSignature), code('SIGNATURE')],
    ['changed claims with the old signature', tampered, code('SIGNATURE')],
    ['an unknown kid', header({ kid: 'unknown' }), code('KEY')],
    ['a kid of HTML', header({ kid: EVIL_HTML }), code('KEY')],
    ['a kid that is a number', header({ kid: 5 }), code('MALFORMED')],
    ...['at+jwt', 'logout+jwt', 'JWE', '', null, EVIL_HTML].map(
      (typ): Row<Change> => [`typ ${JSON.stringify(typ)}`, header({ typ }), code('TYPE')],
    ),
    ['crit', header({ crit: ['exp'] }), code('CRIT')],
    ['b64', header({ b64: false }), code('CRIT')],
    ['five parts', jwt(() => 'eyJhbGciOiJkaXIifQ.a.b.c.d'), code('ENCRYPTED')],
    ['one part', jwt(() => 'x'), code('MALFORMED')],
    ['two parts', parts((head, payload) => `${head}.${payload}`), code('MALFORMED')],
    ['four parts', parts((head, payload, signature) => `${head}.${payload}.${signature}.x`), code('MALFORMED')],
    ['a line break after it', jwt((text) => `${text}\n`), code('MALFORMED')],
    ['a padded signature', jwt((text) => `${text}==`), code('MALFORMED')],
    ['HTML', jwt(() => EVIL_HTML), code('MALFORMED')],
    ['more than 64 KiB', changes.claims((good) => ({ ...good, x: 'x'.repeat(50_000) })), code('TOO_LARGE')],
    ['a list as claims', ofPayload([1]), code('MALFORMED')],
    ['a string as claims', ofPayload('claims'), code('MALFORMED')],
    ['claims nested 40 deep', withClaim(changes, 'x', nested(40)), code('MALFORMED')],
  ]
}

function withOtherSignature(head: string, payload: string, signature: string): string {
  const bytes = Buffer.from(signature, 'base64url').map((byte) => byte ^ 0x5a)
  return `${head}.${payload}.${Buffer.from(bytes).toString('base64url')}`
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)]
}

const ISSUER = 'ERR_OIDC_ID_TOKEN_ISSUER'
const SUBJECT = 'ERR_OIDC_ID_TOKEN_SUBJECT'
const AUDIENCE = 'ERR_OIDC_ID_TOKEN_AUDIENCE'
const NONCE = 'ERR_OIDC_ID_TOKEN_NONCE'
const AT_HASH = 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH'
const AUTH_TIME = 'ERR_OIDC_ID_TOKEN_AUTH_TIME'
const C_HASH = 'ERR_OIDC_ID_TOKEN_CODE_HASH'
const S_HASH = 'ERR_OIDC_ID_TOKEN_STATE_HASH'

const ID_TOKEN_CLAIMS: readonly Row<Change>[] = [
  ['no iss', without(ID_TOKEN, 'iss'), ISSUER],
  ...each(ID_TOKEN, 'iss', ISSUER, { empty: '', 'of another': 'https://evil.example', null: null }),
  ['an iss with a slash after it', ID_TOKEN.claims((good) => ({ ...good, iss: `${good['iss']}/` })), ISSUER],
  ['no sub', without(ID_TOKEN, 'sub'), SUBJECT],
  ...each(ID_TOKEN, 'sub', SUBJECT, { empty: '', 'a number': 5, 'of 256 characters': 's'.repeat(256), null: null }),
  ['no aud', without(ID_TOKEN, 'aud'), AUDIENCE],
  ...each(ID_TOKEN, 'aud', AUDIENCE, {
    empty: '',
    'an empty list': [],
    'of another client': 'another-client',
    'with us and another': ['test-client', 'another-client'],
  }),
  ...each(ID_TOKEN, 'azp', 'ERR_OIDC_ID_TOKEN_AUTHORIZED_PARTY', { empty: '', 'of another': 'another-client' }),
  ['no exp', without(ID_TOKEN, 'exp'), 'ERR_OIDC_ID_TOKEN_EXPIRED'],
  ...each(ID_TOKEN, 'exp', 'ERR_OIDC_ID_TOKEN_EXPIRED', { ...NOT_A_TIME, 'of six minutes ago': now() - 360 }),
  ['no iat', without(ID_TOKEN, 'iat'), 'ERR_OIDC_ID_TOKEN_ISSUED_AT'],
  ...each(ID_TOKEN, 'iat', 'ERR_OIDC_ID_TOKEN_ISSUED_AT', {
    ...NOT_A_TIME,
    'in the future': now() + 300,
    'of a week ago': now() - 604_800,
  }),
  ...each(ID_TOKEN, 'nbf', 'ERR_OIDC_ID_TOKEN_NOT_BEFORE', { ...NOT_A_TIME, 'in the future': now() + 300 }),
  ['no nonce', without(ID_TOKEN, 'nonce'), NONCE],
  ...each(ID_TOKEN, 'nonce', NONCE, { empty: '', 'of another login': 'n'.repeat(43), null: null, 'in a list': ['n'] }),
  ['a nonce with 1 after it', ID_TOKEN.claims((good) => ({ ...good, nonce: `${good['nonce']}1` })), NONCE],
  ...each(ID_TOKEN, 'at_hash', AT_HASH, { empty: '', 'of another': OTHER_HASH, null: null }),
  ...each(ID_TOKEN, 'c_hash', C_HASH, { empty: '', 'of another': OTHER_HASH, null: null }),
  ...each(ID_TOKEN, 's_hash', S_HASH, { empty: '', 'of another': OTHER_HASH, null: null }),
]

const AT_HASHES: readonly Row<Change>[] = [
  ['no at_hash', without(ID_TOKEN, 'at_hash'), AT_HASH],
  ['an at_hash with 1 after it', ID_TOKEN.claims((good) => ({ ...good, at_hash: `${good['at_hash']}1` })), AT_HASH],
  ['an at_hash in a list', ID_TOKEN.claims((good) => ({ ...good, at_hash: [good['at_hash']] })), AT_HASH],
]

const C_HASHES: readonly Row<Change>[] = [
  ['no c_hash', without(ID_TOKEN, 'c_hash'), C_HASH],
  ['a c_hash with 1 after it', ID_TOKEN.claims((good) => ({ ...good, c_hash: `${good['c_hash']}1` })), C_HASH],
  [
    'an at_hash instead of the c_hash',
    ID_TOKEN.claims(({ c_hash, ...rest }) => ({ ...rest, at_hash: c_hash })),
    C_HASH,
  ],
]

for (const responseType of WITH_ID_TOKEN) {
  describe(`the ID Token that comes with ${responseType}`, () => {
    const stand = useStand({ responseType, userinfo: true })

    it('logs the user in if it is valid', async () => {
      const outcome = await logIn(stand)
      await assertLoggedIn(stand, outcome)
      assert.deepEqual(stand.provider.complaints, [])
    })

    it('logs the user in with a valid s_hash', async () => {
      const { provider } = stand
      provider.change.frontIdTokenClaims = (good) => {
        const state = provider.requests.find(({ endpoint }) => endpoint === '/authorize')?.query.get('state') ?? ''
        return { ...good, s_hash: tokenHash('RS256', state) }
      }
      await assertLoggedIn(stand, await logIn(stand))
    })

    // The access token of code id_token comes later, and so does the check of its hash (N-22).
    const isChecked = ([name]: Row<Change>): boolean =>
      responseType !== 'code id_token' || name !== 'at_hash of another'
    const rows = [
      ...ID_TOKEN_CLAIMS.filter(isChecked),
      ...(has(responseType, 'token') ? AT_HASHES : []),
      ...(has(responseType, 'code') && !has(responseType, 'token') ? C_HASHES : []),
      ...(has(responseType, 'code') && has(responseType, 'token') ? C_HASHES.slice(0, 2) : []),
      // The same code checks the form with every response type.
      ...(responseType === 'id_token' ? jwtRows('ID_TOKEN', ID_TOKEN) : sample(jwtRows('ID_TOKEN', ID_TOKEN))),
    ].map(inFront)
    testRefusals(rows, stand, (change) => logInWith(stand, change))
  })
}

const loggedInAt =
  (authTime: number): Change =>
  (provider) => {
    provider.authTime = authTime
  }

describe('auth_time in an ID Token by the front channel', () => {
  for (const responseType of WITH_ID_TOKEN) {
    describe(`with ${responseType} and max_age`, () => {
      const stand = useStand({ responseType, authorizationParams: { max_age: 300 } })

      it('is accepted while it is recent', async () => {
        stand.provider.authTime = now() - 200
        await assertLoggedIn(stand, await logIn(stand))
      })

      const rows = [
        ['a login of ten minutes ago', loggedInAt(now() - 600), AUTH_TIME],
        ['no auth_time', without(ID_TOKEN, 'auth_time'), AUTH_TIME],
        ['a login in the future', withClaim(ID_TOKEN, 'auth_time', now() + 300), AUTH_TIME],
      ] satisfies readonly Row<Change>[]
      testRefusals(rows.map(inFront), stand, (change) => logInWith(stand, change))
    })
  }
})

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

const CODE = 'ERR_OIDC_CODE_MISSING'
const TOKEN = 'ERR_OIDC_ACCESS_TOKEN_MISSING'
const UNASKED = 'ERR_OIDC_RESPONSE_TOKEN'
const INVALID = 'ERR_OIDC_CALLBACK_INVALID'

const PROMISED: Readonly<Record<string, readonly Row<ParamsChange>[]>> = {
  code: [
    ['no code', drop('code'), CODE],
    ['an empty code', set({ code: '' }), CODE],
  ],
  id_token: [
    ['no id_token', drop('id_token'), 'ERR_OIDC_ID_TOKEN_MISSING', 400],
    ['an empty id_token', set({ id_token: '' }), 'ERR_OIDC_ID_TOKEN_MISSING', 400],
  ],
  token: [
    ['no access_token', drop('access_token'), TOKEN],
    ['an empty access_token', set({ access_token: '' }), TOKEN],
    ['no token_type', drop('token_type'), TOKEN],
    ...['mac', 'DPoP', 'N_A', '', 'Bearer ', EVIL_HTML].map(
      (type): Row<ParamsChange> => [`the token type ${JSON.stringify(type)}`, set({ token_type: type }), TOKEN],
    ),
  ],
}

const UNPROMISED: Readonly<Record<string, readonly Row<ParamsChange>[]>> = {
  code: [
    ['a code that was not requested', set({ code: 'x'.repeat(32) }), INVALID],
    ['an empty code that was not requested', set({ code: '' }), INVALID],
  ],
  id_token: [
    ['an ID Token that was not requested', set({ id_token: 'a.b.c' }), UNASKED],
    ['an empty ID Token that was not requested', set({ id_token: '' }), UNASKED],
  ],
  token: [
    ['an access token that was not requested', set({ access_token: 'x', token_type: 'Bearer' }), UNASKED],
    ['an empty access token that was not requested', set({ access_token: '' }), UNASKED],
  ],
}

const ANY_TYPE: readonly Row<ParamsChange>[] = [
  ['no state', drop('state'), 'ERR_OIDC_STATE_MISSING'],
  ['an empty state', set({ state: '' }), 'ERR_OIDC_STATE_MISSING'],
  ['an unknown state', set({ state: 'A'.repeat(43) }), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['the iss of another issuer', set({ iss: 'https://evil.example' }), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['an empty iss', set({ iss: '' }), 'ERR_OIDC_RESPONSE_ISSUER'],
  ['an error beside the rest', set({ error: 'access_denied' }), 'ERR_OIDC_AUTHORIZATION', 403],
  ['an empty error beside the rest', set({ error: '' }), 'ERR_OIDC_AUTHORIZATION'],
  ['an error of another issuer', set({ error: 'x', iss: 'https://evil.example' }), 'ERR_OIDC_RESPONSE_ISSUER'],
  [
    'an error without iss beside the rest',
    (params) => {
      params.set('error', 'login_required')
      params.delete('iss')
    },
    'ERR_OIDC_RESPONSE_ISSUER_MISSING',
  ],
  ['a JWT that was not requested', set({ response: 'a.b.c' }), INVALID],
  ['an empty JWT that was not requested', set({ response: '' }), INVALID],
  ...['unknown', '__proto__', 'error'].map(
    (name): Row<ParamsChange> => [
      `two parameters ${name}`,
      (params) => {
        params.append(name, 'x')
        params.append(name, 'x')
      },
      INVALID,
    ],
  ),
]

/** Each parameter twice: the second one equal, empty, and HTML. */
function doubledRows(type: ResponseType): readonly Row<ParamsChange>[] {
  const ofToken = ['access_token', 'token_type', 'expires_in', 'scope']
  const names = type.split(' ').flatMap((word) => (word === 'token' ? ofToken : [word]))
  return [...names, 'state', 'iss'].flatMap((name) => [
    [`${name} twice, both the same`, (params) => params.append(name, params.get(name) ?? ''), INVALID],
    [`a second ${name} that is empty`, (params) => params.append(name, ''), INVALID],
    [`a second ${name} of HTML`, (params) => params.append(name, EVIL_HTML), INVALID],
  ])
}

const rowsOf = (type: ResponseType): readonly Row<ParamsChange>[] => [
  ...['code', 'id_token', 'token'].flatMap((word) => (has(type, word) ? PROMISED : UNPROMISED)[word] ?? []),
  ...ANY_TYPE,
  ...(has(type, 'id_token')
    ? []
    : [['no iss, which was announced', drop('iss'), 'ERR_OIDC_RESPONSE_ISSUER_MISSING'] satisfies Row<ParamsChange>]),
  ...doubledRows(type),
]

/** The parameters of a response to the attacker's own login. */
async function responseOfAttacker(stand: Stand): Promise<URLSearchParams> {
  return paramsOf((await arrive(stand)).answer)
}

for (const responseType of WITH_TOKENS) {
  for (const responseMode of CARRIERS) {
    describe(`a response with ${responseType} by ${responseMode}`, () => {
      const stand = useStand({ responseType, responseMode, userinfo: true })
      testRefusals(rowsOf(responseType), stand, (change) => respondWith(stand, change))

      it('is accepted with unknown parameters', async () => {
        const strangers = { session_state: EVIL_HTML, constructor: 'x', __proto__2: 'x', '': 'x' }
        await assertLoggedIn(stand, await respondWith(stand, set(strangers)))
      })

      if (has(responseType, 'id_token')) {
        it('is accepted without iss, because the ID Token has one', async () => {
          await assertLoggedIn(stand, await respondWith(stand, drop('iss')))
        })
      }

      const swaps = (
        [
          ['id_token', NONCE],
          ['access_token', AT_HASH],
          ['code', C_HASH],
        ] as const
      ).filter(([name]) => has(responseType, 'id_token') && has(responseType, name.replace('access_', '')))
      for (const [name, code] of swaps) {
        it(`is refused with the ${name} of another login`, async () => {
          const other = await responseOfAttacker(stand)
          const outcome = await respondWith(stand, set({ [name]: other.get(name) ?? '' }))
          await assertRefused(stand, outcome, { code, status: 400 })
        })
      }

      it('is refused with the state of another login of the same browser', async () => {
        const { browser, answer } = await arrive(stand)
        const { answer: other } = await arrive(stand, browser)
        const params = paramsOf(answer)
        params.set('state', paramsOf(other).get('state') ?? '')
        const page = await browser.go(withParams(answer, params))
        const isBound = has(responseType, 'id_token')
        // Without an ID Token, PKCE refuses the code, because the verifier is another.
        await assertRefused(
          stand,
          { browser, page },
          {
            code: isBound ? NONCE : 'ERR_OIDC_TOKEN_REQUEST',
            status: isBound ? 400 : stand.app.errors[0]?.status,
            calls: { '/token': isBound ? 0 : 1 },
          },
        )
      })

      it("is refused in another user's browser", async () => {
        const { answer } = await arrive(stand)
        const victim = await arrive(stand)
        const page = await victim.browser.go(answer)
        await assertRefused(stand, { browser: victim.browser, page }, { code: 'ERR_OIDC_TRANSACTION_MISSING' })
      })

      it('is accepted once', async () => {
        const { browser, answer } = await arrive(stand)
        await browser.go(answer)
        await browser.post('/logout', {}, { stopBefore: ({ hostname }) => hostname === 'localhost' })
        await browser.go(answer)
        assert.deepEqual(
          stand.app.errors.map(({ code }) => code),
          ['ERR_OIDC_TRANSACTION_MISSING'],
        )
        assert.equal(await stand.app.sessions(), 0)
      })
    })
  }
}

/** The same parameters in a query, which must not have them. */
function inQuery(answer: Navigation): Navigation {
  const { fields: _fields, ...rest } = answer
  const url = new URL(answer.url)
  url.hash = ''
  url.search = String(paramsOf(answer))
  return { ...rest, method: 'GET', url: url.href }
}

const STRICT = { session: { cookie: { sameSite: 'strict' } } } as const

describe('tokens in a query', () => {
  for (const responseType of WITH_TOKENS) {
    for (const responseMode of CARRIERS) {
      for (const [session, app] of [
        ['Lax', {}],
        ['Strict', STRICT],
      ] as const) {
        describe(`of ${responseType} by ${responseMode}, with a ${session} session cookie`, () => {
          const stand = useStand({ responseType, responseMode, userinfo: true }, app)

          it('are refused although they were requested', async () => {
            const { browser, answer } = await arrive(stand)
            const page = await browser.go(inQuery(answer))
            await assertRefused(stand, { browser, page }, { code: UNASKED })
          })

          it('are refused if a user is logged in', async () => {
            const browser = stand.app.browser()
            await browser.open('/login')
            const { answer } = await arrive(stand, browser)
            const calls = { ...stand.provider.calls }
            const page = await browser.go(inQuery(answer))
            assert.deepEqual([page.status, stand.app.errors.map(({ code }) => code)], [400, [UNASKED]])
            assert.deepEqual(stand.provider.calls, calls)
          })
        })
      }
    }
  }

  for (const responseType of WITH_TOKENS) {
    for (const [session, app] of [
      ['Lax', {}],
      ['Strict', STRICT],
    ] as const) {
      describe(`of ${responseType} in a JWT, with a ${session} session cookie`, () => {
        const stand = useStand({ responseType, responseMode: 'fragment.jwt' }, app)

        it('are refused although they were requested', async () => {
          const { browser, answer } = await arrive(stand)
          const page = await browser.go(inQuery(answer))
          await assertRefused(stand, { browser, page }, { code: UNASKED })
        })
      })
    }
  }
})

/** Puts one value into the first ID Token and another into the second. */
const saying =
  (name: string, one: unknown, other: unknown): Change =>
  ({ change }) => {
    change.frontIdTokenClaims = (good) => ({ ...good, [name]: one })
    change.idTokenClaims = (good) => ({ ...good, [name]: other })
  }

const second =
  (edit: (good: JsonObject) => JsonObject): Change =>
  ({ change }) => {
    change.idTokenClaims = edit
  }

const DIFFER = 'ERR_OIDC_ID_TOKENS_DIFFER'

/** OIDC Core 3.3.3.6: only iss and sub must be equal. */
const DIFFERENCES: readonly (readonly [name: string, one: unknown, other: unknown])[] = [
  ['name', 'Alice', 'Bob'],
  ['email_verified', false, true],
  ['groups', ['a', 'b'], ['b', 'a']],
  ['groups', 'staff', ['staff', 'admin']],
  ['auth_time', now() - 1, now()],
  ['acr', '1', 1],
  ['amr', ['pwd'], ['pwd', 'mfa']],
  ['sid', 'one', 'other'],
  ['address', { country: 'AT' }, { country: 'DE' }],
  ['https://op.example/token-id', 'one', 'other'],
]

const SECOND_TOKENS: readonly Row<Change>[] = [
  ['another iss', second((good) => ({ ...good, iss: 'https://evil.example' })), ISSUER],
  ['no sub', second(({ sub: _sub, ...rest }) => rest), SUBJECT],
  ['another sub', second((good) => ({ ...good, sub: 'admin' })), DIFFER],
  ['a sub in capitals', second((good) => ({ ...good, sub: String(good['sub']).toUpperCase() })), DIFFER],
  ['another nonce', second((good) => ({ ...good, nonce: 'n'.repeat(43) })), NONCE],
  ['another audience', second((good) => ({ ...good, aud: 'another-client' })), AUDIENCE],
  ['an audience that another client shares', second((good) => ({ ...good, aud: [good['aud'], 'another'] })), AUDIENCE],
  ...(['at_hash', 'c_hash', 's_hash'] as const).map(
    (name): Row<Change> => [
      `a second ${name} that is wrong`,
      second((good) => ({ ...good, [name]: OTHER_HASH })),
      ({ at_hash: AT_HASH, c_hash: C_HASH, s_hash: S_HASH } as const)[name],
    ],
  ),
  [
    'no second ID Token',
    ({ change }) => {
      change.tokenResponse = ({ id_token: _token, ...rest }) => rest
    },
    'ERR_OIDC_ID_TOKEN_MISSING',
  ],
  [
    'no second access token',
    ({ change }) => {
      change.tokenResponse = ({ access_token: _token, ...rest }) => rest
    },
    'ERR_OIDC_TOKEN_RESPONSE',
  ],
]

for (const responseType of ['code id_token', 'code id_token token'] as const) {
  describe(`two ID Tokens of one response with ${responseType}`, () => {
    const stand = useStand({ responseType, userinfo: true })
    testRefusals(SECOND_TOKENS, stand, (change) => logInWith(stand, change), { '/token': 1 })

    for (const [name, one, other] of DIFFERENCES) {
      it(`N-21: may differ in ${name}, ${JSON.stringify(one)} and ${JSON.stringify(other)}: the second counts`, async () => {
        const outcome = await logInWith(stand, saying(name, one, other))
        await assertLoggedIn(stand, outcome)
        assert.deepEqual((await outcome.browser.fetch('/profile')).json()[name], other)
      })
    }
  })
}

describe('two ID Tokens of one response to a request with max_age', () => {
  const stand = useStand({ responseType: 'code id_token', authorizationParams: { max_age: 300 } })

  it('N-21: are refused if the second has an old auth_time, which the message tells', async () => {
    const outcome = await logInWith(stand, saying('auth_time', now(), 0))
    await assertRefused(stand, outcome, { code: AUTH_TIME, calls: { '/token': 1 } })
    assert.match(stand.app.errors[0]?.message ?? '', /auth_time/)
  })
})

describe('N-22: an at_hash in the ID Token that comes with code id_token', () => {
  const stand = useStand({ responseType: 'code id_token' })
  /** Both tokens are made before either is sent, so the front channel can have the hash of a token that comes later. */
  function bindTo(accessToken: string): Change {
    return ({ change }) => {
      change.frontIdTokenClaims = (good) => ({ ...good, at_hash: tokenHash('RS256', accessToken) })
      change.idTokenClaims = (good) => ({ ...good, at_hash: tokenHash('RS256', 'the-later-token') })
      change.tokenResponse = (good) => ({ ...good, access_token: 'the-later-token' })
    }
  }

  it('N-22: is compared with the access token of the token response (OIDC Core 3.3.2.11)', async () => {
    await assertLoggedIn(stand, await logInWith(stand, bindTo('the-later-token')))
  })

  it('N-22: is refused if it is of another access token', async () => {
    const outcome = await logInWith(stand, bindTo('another-token'))
    await assertRefused(stand, outcome, { code: AT_HASH, status: 400, calls: { '/token': 1 } })
  })
})

describe('the ID Token of the token endpoint with code token', () => {
  const stand = useStand({ responseType: 'code token', userinfo: true })
  const rows: readonly Row<Change>[] = [
    ['the hash of the front-channel access token', atHashOfFirst, AT_HASH],
    ['another nonce', second((good) => ({ ...good, nonce: 'n'.repeat(43) })), NONCE],
    ['a wrong c_hash', second((good) => ({ ...good, c_hash: OTHER_HASH })), C_HASH],
  ]
  testRefusals(rows, stand, (change) => logInWith(stand, change), { '/token': 1 })
})

function atHashOfFirst({ change }: StrictProvider): void {
  let first = ''
  change.authorizationResponse = (params) => {
    first = params.get('access_token') ?? ''
    return params
  }
  change.idTokenClaims = (good) => ({ ...good, at_hash: tokenHash('RS256', first) })
}

const FAULTS = {
  issuer: 'ERR_OIDC_RESPONSE_JWT_ISSUER',
  audience: 'ERR_OIDC_RESPONSE_JWT_AUDIENCE',
  expired: 'ERR_OIDC_RESPONSE_JWT_EXPIRED',
} as const

const RESPONSE_CLAIMS: readonly Row<Change>[] = [
  ['no iss', without(RESPONSE, 'iss'), FAULTS.issuer],
  ...each(RESPONSE, 'iss', FAULTS.issuer, {
    empty: '',
    'of another': 'https://evil.example',
    null: null,
    'a list': [],
  }),
  ['an iss with a slash after it', RESPONSE.claims((good) => ({ ...good, iss: `${good['iss']}/` })), FAULTS.issuer],
  ['an iss in a list', RESPONSE.claims((good) => ({ ...good, iss: [good['iss']] })), FAULTS.issuer],
  ['no aud', without(RESPONSE, 'aud'), FAULTS.audience],
  ...each(RESPONSE, 'aud', FAULTS.audience, {
    empty: '',
    null: null,
    'an empty list': [],
    'of another client': 'another-client',
    'with 1 after it': 'test-client1',
    'a list of others': ['another-client'],
    'a list in a list': [['test-client']],
    'an object': { 'test-client': true },
  }),
  ['no exp', without(RESPONSE, 'exp'), FAULTS.expired],
  ...each(RESPONSE, 'exp', FAULTS.expired, {
    ...NOT_A_TIME,
    'of six minutes ago': now() - 360,
    'of a minute ago': now() - 61,
    'of zero': 0,
    'minus 1e300': -1e300,
    'in milliseconds beyond time': 8.7e12,
    'an object': {},
  }),
  ['no state', without(RESPONSE, 'state'), 'ERR_OIDC_STATE_MISSING'],
  ...each(RESPONSE, 'state', 'ERR_OIDC_STATE_MISSING', {
    empty: '',
    null: null,
    true: true,
    'in a list': ['x'],
    'in an object': { state: 'x' },
  }),
  ['an unknown state', withClaim(RESPONSE, 'state', 'A'.repeat(43)), 'ERR_OIDC_TRANSACTION_MISSING'],
  ['a state that is a number', withClaim(RESPONSE, 'state', 5), 'ERR_OIDC_TRANSACTION_MISSING'],
  [
    'no authorization response in it',
    RESPONSE.claims(({ iss, aud, exp }) => ({ iss, aud, exp })),
    'ERR_OIDC_STATE_MISSING',
  ],
  ['a JWT within the JWT', nestedResponse, 'ERR_OIDC_STATE_MISSING'],
  ['an error in it', withClaim(RESPONSE, 'error', 'access_denied'), 'ERR_OIDC_AUTHORIZATION', 403],
  ['an error of HTML in it', withClaim(RESPONSE, 'error', EVIL_HTML), 'ERR_OIDC_AUTHORIZATION'],
]

function nestedResponse(provider: StrictProvider): void | Promise<void> {
  return RESPONSE.jwt((jwt, { keys }) => {
    const { header, claims } = decoded(jwt)
    const { iss, aud, exp } = claims
    return signJws('RS256', keys.rsa.privateKey, header, { iss, aud, exp, response: jwt })
  })(provider)
}

const CODE_IN_JWT: readonly Row<Change>[] = [
  ['no code', without(RESPONSE, 'code'), CODE],
  ...each(RESPONSE, 'code', CODE, { null: null, true: true, 'in a list': ['x'], 'in an object': { a: 'x' } }),
  ['an access token that was not requested', withClaim(RESPONSE, 'access_token', 'x'), UNASKED],
  ['an ID Token that was not requested', withClaim(RESPONSE, 'id_token', 'a.b.c'), UNASKED],
]

const TOKENS_IN_JWT: readonly Row<Change>[] = [
  ['no access_token', without(RESPONSE, 'access_token'), TOKEN],
  ...each(RESPONSE, 'access_token', TOKEN, { null: null, 'in a list': ['x'] }),
  ['the token type mac', withClaim(RESPONSE, 'token_type', 'mac'), TOKEN],
  ['a token type in a list', withClaim(RESPONSE, 'token_type', ['Bearer']), TOKEN],
  ['no id_token', without(RESPONSE, 'id_token'), 'ERR_OIDC_ID_TOKEN_MISSING', 400],
  ['another access token', withClaim(RESPONSE, 'access_token', 'x'), AT_HASH, 400],
  ['a code that was not requested', withClaim(RESPONSE, 'code', 'x'), INVALID],
]

const WAYS = [
  ['code', 'query.jwt', CODE_IN_JWT],
  ['code', 'form_post.jwt', CODE_IN_JWT],
  ['id_token token', 'fragment.jwt', TOKENS_IN_JWT],
] as const

for (const [responseType, responseMode, more] of WAYS) {
  describe(`a response with ${responseType} by ${responseMode}`, () => {
    const stand = useStand({ responseType, responseMode, userinfo: true })
    const calls = { '/token': responseType === 'code' ? 1 : 0, '/userinfo': 1 }

    async function assertGood(outcome: Outcome): Promise<void> {
      await assertLoggedIn(stand, outcome)
      const { provider } = stand
      assert.deepEqual({ '/token': provider.calls['/token'], '/userinfo': provider.calls['/userinfo'] }, calls)
      assert.deepEqual(provider.complaints, [])
    }

    // Node refuses such a URL before the app gets the request.
    const jwts = jwtRows('RESPONSE_JWT', RESPONSE).filter(
      ([, , code]) => code !== 'ERR_OIDC_RESPONSE_JWT_TOO_LARGE' || responseMode === 'form_post.jwt',
    )
    testRefusals([...RESPONSE_CLAIMS, ...more, ...jwts], stand, (change) => logInWith(stand, change))

    const FINE: Readonly<Record<string, Change>> = {
      'with a list of us alone as aud': RESPONSE.claims((good) => ({ ...good, aud: [good['aud']] })),
      'that expired half a minute ago, as clocks differ': RESPONSE.claims((good) => ({ ...good, exp: now() - 30 })),
      'with the type JWT': RESPONSE.header({ typ: 'JWT' }),
      'without a kid': RESPONSE.header({ kid: undefined }),
      'with __proto__ in it': RESPONSE.claims((good) => ({
        ...JSON.parse('{"__proto__":{"state":"x","code":"x","error":"x"}}'),
        ...good,
      })),
      'with constructor and objects in it': withClaim(RESPONSE, 'constructor', { prototype: { error: 'x' } }),
      'with a parameter that is an object': withClaim(RESPONSE, 'error', { a: 'access_denied' }),
    }
    for (const [name, change] of Object.entries(FINE)) {
      it(`is accepted ${name}`, async () => assertGood(await logInWith(stand, change)))
    }

    const BESIDE: Readonly<Record<string, Record<string, string>>> = {
      code: { code: 'x'.repeat(32) },
      state: { state: 'A'.repeat(43) },
      error: { error: 'access_denied' },
      iss: { iss: 'https://evil.example' },
      scope: { scope: 'openid admin', expires_in: '1' },
      aud: { aud: 'another-client', exp: '0' },
    }
    for (const [name, values] of Object.entries(BESIDE)) {
      it(`counts as it is signed, with ${name} beside it`, async () => {
        await assertGood(await respondWith(stand, set(values)))
      })
    }

    it('is refused with two JWTs', async () => {
      const outcome = await respondWith(stand, (params) => params.append('response', params.get('response') ?? ''))
      await assertRefused(stand, outcome, { code: INVALID })
    })

    const PLAIN: readonly Row<ParamsChange>[] = [
      ['the same as plain parameters', unpack, 'ERR_OIDC_RESPONSE_JWT_MISSING'],
      ['an empty JWT', set({ response: '' }), 'ERR_OIDC_RESPONSE_JWT_MISSING'],
      [
        'a plain error',
        (params) => {
          const { state } = decoded(params.get('response') ?? '').claims
          params.delete('response')
          set({ state: String(state), error: 'access_denied' })(params)
        },
        'ERR_OIDC_RESPONSE_JWT_MISSING',
      ],
    ]
    // Only the code is in the query here.
    testRefusals(PLAIN, stand, (change) => respondWith(stand, change))

    it('is refused if it belongs to another login', async () => {
      const other = await responseOfAttacker(stand)
      const outcome = await respondWith(stand, set({ response: other.get('response') ?? '' }))
      await assertRefused(stand, outcome, { code: 'ERR_OIDC_TRANSACTION_MISSING' })
    })

    it('is refused if it is an ID Token', async () => {
      await RESPONSE.jwt((jwt, { issuer, keys }) => {
        const claims = { iss: issuer, aud: 'test-client', exp: now() + 300, iat: now(), sub: 'x', nonce: 'n' }
        return signJws('RS256', keys.rsa.privateKey, decoded(jwt).header, claims)
      })(stand.provider)
      await assertRefused(stand, await logIn(stand), { code: 'ERR_OIDC_STATE_MISSING' })
    })
  })
}

/** Replaces the JWT by its parameters. */
function unpack(params: URLSearchParams): void {
  const { aud: _aud, exp: _exp, ...claims } = decoded(params.get('response') ?? '').claims
  params.delete('response')
  for (const [name, value] of Object.entries(claims)) params.set(name, String(value))
}

describe('an ID Token by the front channel', () => {
  const stand = useStand({ responseType: 'id_token' })

  it('is refused if it is a response JWT', async () => {
    await ID_TOKEN.jwt((jwt, { issuer, keys }) => {
      const claims = { iss: issuer, aud: 'test-client', exp: now() + 600, state: 'x', code: 'x', sub: 'x', iat: now() }
      return signJws('RS256', keys.rsa.privateKey, decoded(jwt).header, claims)
    })(stand.provider)
    await assertRefused(stand, await logIn(stand), { code: NONCE, status: 400 })
  })
})

describe('an ID Token by the front channel whose keys are unavailable', () => {
  const stand = useStand({ responseType: 'id_token' })

  it('is an error of the provider, not of the request', async () => {
    stand.provider.change.raw['/jwks'] = (_req, res) => void res.writeHead(500).end()
    const outcome = await logIn(stand)
    await assertRefused(stand, outcome, { code: 'ERR_OIDC_PROVIDER_STATUS' })
  })
})
