import assert from 'node:assert/strict'
import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { before, describe, it } from 'node:test'
import type { ErrorCode } from '../../lib/index.ts'
import type { AppOptions } from '../support/app/app.ts'
import { destroyRecords } from '../support/app/records.ts'
import { createSigningKeys, type SigningKeys, signJws, tokenHash } from '../support/app/signing-keys.ts'
import {
  assertLoggedIn,
  createStand,
  EVIL_HTML,
  logIn,
  type Outcome,
  type Row,
  type Stand,
  testRefusals,
} from '../support/hostile/hostile.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'
import type { StrictProvider, StrictProviderOptions } from '../support/strict-provider/provider.ts'

/** Sets one change of the provider's good answer. */
type Change = (provider: StrictProvider) => void | Promise<void>

const CALLS = { '/token': 1 } as const
const now = (): number => Math.floor(Date.now() / 1000)

const claims =
  (edit: (good: JsonObject, provider: StrictProvider) => JsonObject): Change =>
  (provider) => {
    provider.change.idTokenClaims = (good) => edit(good, provider)
  }
const without = (name: string): Change => claims(({ [name]: _dropped, ...rest }) => rest)
const withClaim = (name: string, value: unknown): Change => claims((good) => ({ ...good, [name]: value }))
const header =
  (values: JsonObject): Change =>
  (provider) => {
    provider.change.idTokenHeader = (good) => ({ ...good, ...values })
  }
const token =
  (edit: (jwt: string, provider: StrictProvider) => string | Promise<string>): Change =>
  (provider) => {
    provider.change.idToken = (jwt) => edit(jwt, provider)
  }

/** One row for each value of a claim. */
function each(name: string, code: ErrorCode, values: Readonly<Record<string, unknown>>): readonly Row<Change>[] {
  return Object.entries(values).map(([what, value]) => [`${name} ${what}`, withClaim(name, value), code])
}

const NOT_TEXT = { null: null, 'a number': 5, true: true, 'an object': { a: EVIL_HTML }, 'an empty list': [] }
const NOT_A_TIME = {
  null: null,
  'as text': String(now() + 60),
  'in a list': [now()],
  'an object': {},
  true: true,
  '1e300': 1e300,
  'minus 1e300': -1e300,
  'beyond the end of time': 8.7e12,
  'as a date': '2036-01-01T00:00:00Z',
}

const ISSUER = 'ERR_OIDC_ID_TOKEN_ISSUER'
const AUDIENCE = 'ERR_OIDC_ID_TOKEN_AUDIENCE'
const NONCE = 'ERR_OIDC_ID_TOKEN_NONCE'
const HASH = 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH'

const CLAIMS: readonly Row<Change>[] = [
  ['no iss', without('iss'), ISSUER],
  ...each('iss', ISSUER, { ...NOT_TEXT, empty: '', 'of HTML': EVIL_HTML, 'of another': 'https://evil.example' }),
  ['an iss with 1 after it', claims((good) => ({ ...good, iss: `${good['iss']}1` })), ISSUER],
  ['an iss with a slash after it', claims((good) => ({ ...good, iss: `${good['iss']}/` })), ISSUER],
  ['an iss in capitals', claims((good) => ({ ...good, iss: String(good['iss']).toUpperCase() })), ISSUER],
  ['an iss in a list', claims((good) => ({ ...good, iss: [good['iss']] })), ISSUER],

  ['no sub', without('sub'), 'ERR_OIDC_ID_TOKEN_SUBJECT'],
  [
    'N-27: the same sub for all users',
    withClaim('sub', 'Not supported currently. Use oid claim.'),
    'ERR_OIDC_ID_TOKEN_SUBJECT',
  ],
  ...each('sub', 'ERR_OIDC_ID_TOKEN_SUBJECT', {
    ...NOT_TEXT,
    empty: '',
    'of 256 characters': 's'.repeat(256),
    'in a list': ['user-subject'],
    'beyond ASCII': 'user-ѕubject',
    'with a NUL': 'user-subject\0',
    'with a newline': 'user\nsubject',
  }),

  ['no aud', without('aud'), AUDIENCE],
  ...each('aud', AUDIENCE, {
    ...NOT_TEXT,
    empty: '',
    'of HTML': EVIL_HTML,
    'of another client': 'another-client',
    'with 1 after it': 'test-client1',
    'in capitals': 'TEST-CLIENT',
    'with a space after it': 'test-client ',
    'of two clients in one text': 'test-client another-client',
    'a list of others': ['another-client', 'one-more'],
    'a list in a list': [['test-client']],
    'a list with us and another': ['test-client', 'another-client'],
    'a list with another and us': ['another-client', 'test-client'],
    'a list with us and a number': ['test-client', 5],
    'an object with us as its key': { 'test-client': true },
  }),
  ['us and another, issued to the other', withBoth('another-client'), AUDIENCE],
  ['us and another, issued to nobody', withBoth(null), AUDIENCE],
  ...each('azp', 'ERR_OIDC_ID_TOKEN_AUTHORIZED_PARTY', {
    ...NOT_TEXT,
    empty: '',
    'of HTML': EVIL_HTML,
    'of another client': 'another-client',
    'in a list': ['test-client'],
  }),

  ['no exp', without('exp'), 'ERR_OIDC_ID_TOKEN_EXPIRED'],
  ...each('exp', 'ERR_OIDC_ID_TOKEN_EXPIRED', { ...NOT_A_TIME, zero: 0, 'of a minute ago': now() - 61, past: -1 }),
  ['no iat', without('iat'), 'ERR_OIDC_ID_TOKEN_ISSUED_AT'],
  ...each('iat', 'ERR_OIDC_ID_TOKEN_ISSUED_AT', {
    ...NOT_A_TIME,
    'in the future': now() + 300,
    'in milliseconds': Date.now(),
    'of two days ago': now() - 172_800,
    zero: 0,
  }),
  ...each('nbf', 'ERR_OIDC_ID_TOKEN_NOT_BEFORE', { ...NOT_A_TIME, 'in the future': now() + 300 }),

  ['no nonce', without('nonce'), NONCE],
  ...each('nonce', NONCE, { ...NOT_TEXT, empty: '', 'of another login': 'n'.repeat(43), 'of HTML': EVIL_HTML }),
  ['a nonce with 1 after it', claims((good) => ({ ...good, nonce: `${good['nonce']}1` })), NONCE],
  ['a nonce in capitals', claims((good) => ({ ...good, nonce: String(good['nonce']).toUpperCase() })), NONCE],
  ['a nonce in a list', claims((good) => ({ ...good, nonce: [good['nonce']] })), NONCE],
  ['a hash of the nonce', claims((good) => ({ ...good, nonce: sha256(String(good['nonce'])) })), NONCE],

  ...each('at_hash', HASH, { ...NOT_TEXT, empty: '', 'of HTML': EVIL_HTML, 'of another': tokenHash('RS256', 'x') }),
  ...each('c_hash', 'ERR_OIDC_ID_TOKEN_CODE_HASH', {
    ...NOT_TEXT,
    'of HTML': EVIL_HTML,
    'of another': tokenHash('RS256', 'x'),
  }),
  ...each('s_hash', 'ERR_OIDC_ID_TOKEN_STATE_HASH', {
    ...NOT_TEXT,
    'of HTML': EVIL_HTML,
    'of another': tokenHash('RS256', 'x'),
  }),
  ['an at_hash with padding', claims((good) => ({ ...good, at_hash: `${good['at_hash']}==` })), HASH],
  ['an at_hash cut short', claims((good) => ({ ...good, at_hash: String(good['at_hash']).slice(0, -1) })), HASH],
  ['an at_hash in a list', claims((good) => ({ ...good, at_hash: [good['at_hash']] })), HASH],
]

function withBoth(azp: unknown): Change {
  return claims((good) => ({ ...good, aud: ['test-client', 'another-client'], azp }))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

const ALG = 'ERR_OIDC_ID_TOKEN_ALG'
const TYPE = 'ERR_OIDC_ID_TOKEN_TYPE'
const CRIT = 'ERR_OIDC_ID_TOKEN_CRIT'
const KEY = 'ERR_OIDC_ID_TOKEN_KEY'
const SIGNATURE = 'ERR_OIDC_ID_TOKEN_SIGNATURE'
const MALFORMED = 'ERR_OIDC_ID_TOKEN_MALFORMED'

const HEADERS: readonly Row<Change>[] = [
  ...[null, 5, '', 'none', 'RS', 'rs256', 'RS256 ', 'RS256\0', ['RS256'], { alg: 'RS256' }, EVIL_HTML, '__proto__'].map(
    (alg): Row<Change> => [`alg ${JSON.stringify(alg)}`, header({ alg }), ALG],
  ),
  ['no alg', header({ alg: undefined }), ALG],
  ...[['exp'], [], ['b64'], 'b64', null, {}, [EVIL_HTML]].map(
    (crit): Row<Change> => [`crit ${JSON.stringify(crit)}`, header({ crit, exp: now() + 300 }), CRIT],
  ),
  ['a payload that is not encoded', header({ b64: false, crit: ['b64'] }), CRIT],
  ['b64 without crit', header({ b64: false }), CRIT],
  ...['at+jwt', 'application/at+jwt', 'logout+jwt', 'dpop+jwt', 'secevent+jwt', 'JWE', '', null, 5, EVIL_HTML].map(
    (typ): Row<Change> => [`typ ${JSON.stringify(typ)}`, header({ typ }), TYPE],
  ),
  ...[null, 5, [], { a: 1 }, true].map(
    (kid): Row<Change> => [`kid ${JSON.stringify(kid)}`, header({ kid }), MALFORMED],
  ),
  ...['', 'unknown', '../../../../dev/null', "' OR 1=1 --", '__proto__', 'constructor', EVIL_HTML].map(
    (kid): Row<Change> => [`kid ${JSON.stringify(kid)}`, header({ kid }), KEY],
  ),
  ['the kid of a key of another type', (provider) => header({ kid: provider.keys.p256.kid })(provider), KEY],
]

let attacker: SigningKeys

type KeyOf = (provider: StrictProvider) => KeyObject | string | Buffer

const published: KeyOf = ({ keys }) => keys.rsa.privateKey
const attackers: KeyOf = () => attacker.rsa.privateKey
const publicPem = (type: 'spki' | 'pkcs1'): KeyOf => {
  return ({ keys }) => createPublicKey({ key: keys.rsa.jwk, format: 'jwk' }).export({ type, format: 'pem' })
}

/** A token with the good claims, signed anew. */
const resigned = (alg: string, key: KeyOf, more: (provider: StrictProvider) => JsonObject = () => ({})): Change =>
  token((jwt, provider) => {
    const good = decoded(jwt)
    return signJws(alg, key(provider), { ...good.header, alg, ...more(provider) }, good.claims)
  })

function decoded(jwt: string): { readonly header: JsonObject; readonly claims: JsonObject } {
  const [header = '', payload = ''] = jwt.split('.')
  const parse = (part: string): JsonObject => JSON.parse(Buffer.from(part, 'base64url').toString())
  return { header: parse(header), claims: parse(payload) }
}

/** A token with these bytes as its header and payload, and a good signature over them. */
const signedText = (edit: (header: string, payload: string) => readonly [string | Buffer, string | Buffer]): Change =>
  token((jwt, { keys }) => {
    const { header, claims } = decoded(jwt)
    const parts = edit(JSON.stringify(header), JSON.stringify(claims))
    const content = parts.map((part) => Buffer.from(part).toString('base64url')).join('.')
    return `${content}.${sign('sha256', Buffer.from(content), keys.rsa.privateKey).toString('base64url')}`
  })

const parts = (edit: (header: string, payload: string, signature: string) => string): Change =>
  token((jwt) => {
    const [header = '', payload = '', signature = ''] = jwt.split('.')
    return edit(header, payload, signature)
  })

const onSignature = (edit: (signature: Buffer) => Buffer): Change =>
  parts((h, p, signature) => `${h}.${p}.${edit(Buffer.from(signature, 'base64url')).toString('base64url')}`)

const flipAt = (at: number): Change =>
  onSignature((bytes) => {
    const index = at < 0 ? bytes.length + at : at
    bytes[index] = (bytes[index] ?? 0) ^ 1
    return bytes
  })

/** A change of the payload under the signature of the true one. */
const tampered = (edit: (claims: JsonObject) => JsonObject): Change =>
  token((jwt) => {
    const [header, , signature] = jwt.split('.')
    const payload = Buffer.from(JSON.stringify(edit(decoded(jwt).claims))).toString('base64url')
    return `${header}.${payload}.${signature}`
  })

const SIGNATURES: readonly Row<Change>[] = [
  ['alg none without signature', resigned('none', () => ''), MALFORMED],
  ...['None', 'NONE', 'nOnE'].map(
    (alg): Row<Change> => [
      `alg ${alg} without signature`,
      resigned(
        'none',
        () => '',
        () => ({ alg }),
      ),
      MALFORMED,
    ],
  ),
  ['alg none with the signature kept', header({ alg: 'none' }), ALG],
  ['no signature under the right alg', parts((h, p) => `${h}.${p}.`), MALFORMED],
  ['HS256 with the client secret', resigned('HS256', ({ clientSecret }) => clientSecret), ALG],
  ['HS256 with the public key in PEM', resigned('HS256', publicPem('spki')), ALG],
  ['HS256 with the public key in PKCS 1', resigned('HS256', publicPem('pkcs1')), ALG],
  ['HS256 with the public key as JWK', resigned('HS256', ({ keys }) => JSON.stringify(keys.rsa.jwk)), ALG],
  ['HS256 under the name RS256', resigned('HS256', publicPem('spki'), () => ({ alg: 'RS256' })), SIGNATURE],
  ...['RS384', 'RS512', 'PS256', 'PS512'].map(
    (alg): Row<Change> => [`${alg} with the published key`, resigned(alg, published), ALG],
  ),
  ['ES256 with a published key', resigned('ES256', ({ keys }) => keys.p256.privateKey, kidOf('p256')), ALG],
  ['EdDSA with a published key', resigned('EdDSA', ({ keys }) => keys.ed25519.privateKey, kidOf('ed25519')), ALG],
  ['PS256 under the name RS256', resigned('PS256', published, () => ({ alg: 'RS256' })), SIGNATURE],
  ['the key of an attacker under a known kid', resigned('RS256', attackers), SIGNATURE],
  ['the key of an attacker without kid', resigned('RS256', attackers, () => ({ kid: undefined })), SIGNATURE],
  ['a key in the header (jwk)', resigned('RS256', attackers, () => ({ jwk: attacker.rsa.jwk })), SIGNATURE],
  [
    'a key in the header under its own kid',
    resigned('RS256', attackers, () => ({ jwk: attacker.rsa.jwk, kid: attacker.rsa.kid })),
    KEY,
  ],
  ['a key set elsewhere (jku)', resigned('RS256', attackers, ({ issuer }) => ({ jku: `${issuer}/evil` })), SIGNATURE],
  [
    'a certificate elsewhere (x5u)',
    resigned('RS256', attackers, ({ issuer }) => ({ x5u: `${issuer}/evil` })),
    SIGNATURE,
  ],
  ['a certificate in the header (x5c)', resigned('RS256', attackers, () => ({ x5c: ['MIIB'] })), SIGNATURE],
  ...[0, 1, 128, -1].map((at): Row<Change> => [`a bit of byte ${at} of the signature flipped`, flipAt(at), SIGNATURE]),
  [
    'every byte of the signature changed',
    onSignature((bytes) => Buffer.from(bytes.map((byte) => byte ^ 0x5a))),
    SIGNATURE,
  ],
  ['a signature cut short', onSignature((bytes) => bytes.subarray(0, -1)), SIGNATURE],
  ['a signature with a byte more', onSignature((bytes) => Buffer.concat([bytes, Buffer.alloc(1)])), SIGNATURE],
  ['a signature of zeros', onSignature((bytes) => Buffer.alloc(bytes.length)), SIGNATURE],
  ['a signature of one byte', onSignature(() => Buffer.alloc(1)), SIGNATURE],
  ['another person under the signature', tampered((good) => ({ ...good, sub: 'admin' })), SIGNATURE],
  ['a longer life under the signature', tampered((good) => ({ ...good, exp: now() + 86_400 })), SIGNATURE],
  ['one more claim under the signature', tampered((good) => ({ ...good, groups: ['admin'] })), SIGNATURE],
  ['a payload of HTML under the signature', parts((h, _, s) => `${h}.${base64url(EVIL_HTML)}.${s}`), SIGNATURE],
]

function kidOf(name: keyof SigningKeys): (provider: StrictProvider) => JsonObject {
  return ({ keys }) => ({ kid: keys[name].kid })
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url')
}

/** The order of P-256 (SEC 2, 2.4.2). */
const ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')

function inDer(): Change {
  return token((jwt, { keys }) => {
    const content = jwt.slice(0, jwt.lastIndexOf('.'))
    return `${content}.${sign('sha256', Buffer.from(content), keys.p256.privateKey).toString('base64url')}`
  })
}

const FORMS: readonly Row<Change>[] = [
  ['an empty text', token(() => ''), 'ERR_OIDC_ID_TOKEN_MISSING'],
  ...['.', '..', '...', 'a', 'a.b', 'a.b.c', 'null', '{}', ' ', '\0', '\u{1f600}.a.b', EVIL_HTML].map(
    (text): Row<Change> => [`the text ${JSON.stringify(text)}`, token(() => text), MALFORMED],
  ),
  ['a part less', parts((h, p) => `${h}.${p}`), MALFORMED],
  ['a part more', parts((h, p, s) => `${h}.${p}.${s}.e30`), MALFORMED],
  ['a dot at the end', parts((h, p, s) => `${h}.${p}.${s}.`), MALFORMED],
  ['a dot at the beginning', parts((h, p, s) => `.${h}.${p}.${s}`), MALFORMED],
  ['a thousand dots', token(() => '.'.repeat(1000)), MALFORMED],
  ['white space before it', parts((h, p, s) => ` ${h}.${p}.${s}`), MALFORMED],
  ['a newline after it', parts((h, p, s) => `${h}.${p}.${s}\n`), MALFORMED],
  ['a newline in it', parts((h, p, s) => `${h}\n.${p}.${s}`), MALFORMED],
  ['padding', parts((h, p, s) => `${h}=.${p}.${s}`), MALFORMED],
  ['padding of the signature', parts((h, p, s) => `${h}.${p}.${s}==`), MALFORMED],
  ['characters of plain Base64', parts((h, p, s) => `${h}.${p}.+/${s.slice(2)}`), MALFORMED],
  ['five parts (a JWE)', parts((h, p, s) => `${h}.${p}.${s}.${p}.${s}`), 'ERR_OIDC_ID_TOKEN_ENCRYPTED'],
  ['five empty parts', token(() => '....'), 'ERR_OIDC_ID_TOKEN_ENCRYPTED'],
  [
    'a JWS in JSON',
    parts((h, p, s) => JSON.stringify({ payload: p, signatures: [{ protected: h, signature: s }] })),
    MALFORMED,
  ],
  ['a header that is no JSON', signedText((_, payload) => ['{', payload]), MALFORMED],
  ['a header of HTML', signedText((_, payload) => [EVIL_HTML, payload]), MALFORMED],
  ['a header that is null', signedText((_, payload) => ['null', payload]), MALFORMED],
  ['a header that is a list', signedText((header, payload) => [`[${header}]`, payload]), MALFORMED],
  ['a header that is text', signedText((header, payload) => [JSON.stringify(header), payload]), MALFORMED],
  ['claims that are no JSON', signedText((header) => [header, '{']), MALFORMED],
  ['claims of HTML', signedText((header) => [header, EVIL_HTML]), MALFORMED],
  ['claims that are null', signedText((header) => [header, 'null']), MALFORMED],
  ['claims that are a list', signedText((header, payload) => [header, `[${payload}]`]), MALFORMED],
  ['claims that are text', signedText((header, payload) => [header, JSON.stringify(payload)]), MALFORMED],
  ['claims with something after them', signedText((header, payload) => [header, `${payload}x`]), MALFORMED],
  [
    'claims after a byte order mark twice',
    signedText((header, payload) => [header, `\ufeff\ufeff${payload}`]),
    MALFORMED,
  ],
  [
    'claims that are not UTF-8',
    signedText((header, payload) => [header, Buffer.from(payload.replace('user', '\xff'), 'latin1')]),
    MALFORMED,
  ],
  ['claims in UTF-16', signedText((header, payload) => [header, Buffer.from(payload, 'utf16le')]), MALFORMED],
  [
    'claims that are nested 40 deep',
    signedText((header, payload) => [header, `{"x":${'['.repeat(40)}${']'.repeat(40)},${payload.slice(1)}`]),
    MALFORMED,
  ],
  [
    'claims that are nested 10000 deep',
    signedText((header, payload) => [header, `{"x":${'['.repeat(10_000)}${']'.repeat(10_000)},${payload.slice(1)}`]),
    MALFORMED,
  ],
  [
    'claims whose last iss is another',
    signedText((header, payload) => [header, `${payload.slice(0, -1)},"iss":"https://evil.example"}`]),
    ISSUER,
  ],
  ['claims that hide in __proto__', signedText((header, payload) => [header, `{"__proto__":${payload}}`]), ISSUER],
  ['64 KiB and more', withClaim('x', 'x'.repeat(65_536)), 'ERR_OIDC_ID_TOKEN_TOO_LARGE'],
  ['64 KiB of dots and letters', token(() => 'a.'.repeat(40_000)), 'ERR_OIDC_ID_TOKEN_TOO_LARGE'],
]

const GOOD: readonly (readonly [name: string, change: Change])[] = [
  ['as it is', () => undefined],
  ['for us and another, issued to us', withBoth('test-client')],
  ['for us in a list', withClaim('aud', ['test-client'])],
  ['that expired half a minute ago', withClaim('exp', now() - 30)],
  ['of half a minute hence', withClaim('iat', now() + 30)],
  ['of an hour ago', withClaim('iat', now() - 3600)],
  ['without at_hash', without('at_hash')],
  ['of type JWT', header({ typ: 'JWT' })],
  ['without kid', header({ kid: undefined })],
  ['with addresses of keys that are not asked', (provider) => header({ jku: `${provider.issuer}/evil` })(provider)],
  ['with a sub of 255 characters', withClaim('sub', 's'.repeat(255))],
  ['with claims of HTML', withClaim('name', EVIL_HTML)],
  ['with a claim named __proto__', signedText((h, payload) => [h, `{"__proto__":{"x":1},${payload.slice(1)}`])],
]

async function attack(stand: Stand, change: Change): Promise<Outcome> {
  await change(stand.provider)
  const outcome = await logIn(stand)
  // No address of a token was asked.
  assert.deepEqual(stand.provider.complaints, [])
  return outcome
}

interface Settings {
  readonly provider?: StrictProviderOptions
  readonly options?: AppOptions['options']
}

function describeStand(name: string, { provider = {}, options }: Settings, test: (stand: Stand) => void): void {
  describe(name, () => {
    const stand = createStand({ provider, app: { options: { userinfo: true, ...options } } })
    before(async () => {
      attacker ??= createSigningKeys()
    })
    it('accepts the valid one', async () => {
      await assertLoggedIn(stand, await attack(stand, () => undefined))
    })
    test(stand)
  })
}

function testRows(rows: readonly Row<Change>[]): (stand: Stand) => void {
  return (stand) => testRefusals(rows, stand, (change) => attack(stand, change), CALLS)
}

describeStand('an ID Token', { options: { userinfo: false } }, (stand) => {
  for (const [name, change] of GOOD) {
    it(`is accepted ${name}`, async () => {
      await assertLoggedIn(stand, await attack(stand, change))
    })
  }

  it('keeps members such as __proto__ as plain claims', async () => {
    const { browser } = await attack(
      stand,
      signedText((h, payload) => [h, `{"__proto__":{"x":1},${payload.slice(1)}`]),
    )
    const { body } = await browser.fetch('/session')
    assert.equal(Reflect.get({}, 'x'), undefined)
    assert.match(body, /"__proto__":\{"x":1\}/)
  })
})

describeStand('the claims of an ID Token', {}, testRows(CLAIMS))
describeStand('the header of an ID Token', {}, testRows(HEADERS))
describeStand('the signature of an ID Token', {}, testRows(SIGNATURES))
describeStand('the form of an ID Token', {}, testRows(FORMS))

const AUTH_TIME = 'ERR_OIDC_ID_TOKEN_AUTH_TIME'
describeStand(
  'the auth_time of an ID Token for which max_age was sent',
  { options: { authorizationParams: { max_age: 300 } } },
  testRows([
    ['no auth_time', without('auth_time'), AUTH_TIME],
    ...each('auth_time', AUTH_TIME, {
      ...NOT_A_TIME,
      'of ten minutes ago': now() - 600,
      'in the future': now() + 300,
      'in milliseconds': Date.now(),
      zero: 0,
    }),
  ]),
)

describeStand(
  'an ID Token where HS256 was agreed',
  { provider: { alg: 'HS256' }, options: { idTokenSignedResponseAlg: 'HS256' } },
  testRows([
    ['RS256 with the published key', resigned('RS256', published), ALG],
    ['alg none', resigned('none', () => ''), MALFORMED],
    ['HS512 with the client secret', resigned('HS512', ({ clientSecret }) => clientSecret), ALG],
    ['the public key as the secret', resigned('HS256', publicPem('spki')), SIGNATURE],
    ['an empty secret', resigned('HS256', () => ''), SIGNATURE],
    ['the secret with a newline after it', resigned('HS256', ({ clientSecret }) => `${clientSecret}\n`), SIGNATURE],
    ['the client identifier as the secret', resigned('HS256', ({ clientId }) => clientId), SIGNATURE],
    ['a signature cut short', onSignature((bytes) => bytes.subarray(0, 16)), SIGNATURE],
    ['no signature', parts((h, p) => `${h}.${p}.`), MALFORMED],
    ['a bit of the signature flipped', flipAt(0), SIGNATURE],
  ]),
)

describeStand(
  'an ID Token where ES256 was agreed',
  { provider: { alg: 'ES256' }, options: { idTokenSignedResponseAlg: 'ES256' } },
  testRows([
    ['RS256 with a published key', resigned('RS256', published), ALG],
    ['alg none', resigned('none', () => ''), MALFORMED],
    ['a signature of zeros', onSignature(() => Buffer.alloc(64)), SIGNATURE],
    ['a signature of the order of the group', onSignature(() => Buffer.concat([ORDER, ORDER])), SIGNATURE],
    ['a signature cut short', onSignature((bytes) => bytes.subarray(0, 63)), SIGNATURE],
    ['a signature in DER', inDer(), SIGNATURE],
    ['a key of another curve', resigned('ES256', ({ keys }) => keys.secp256k1.privateKey), SIGNATURE],
    ['the kid of a key of another curve', (provider) => header({ kid: provider.keys.secp256k1.kid })(provider), KEY],
    ['a bit of the signature flipped', flipAt(32), SIGNATURE],
  ]),
)

describe('an ID Token of an earlier login', () => {
  const stand = createStand()

  testRefusals<string>(
    [['the same token again', 'as it was', NONCE]],
    stand,
    async () => {
      const used: string[] = []
      stand.provider.change.idToken = (jwt) => {
        used.push(jwt)
        return used[0] ?? ''
      }
      await logIn(stand)
      assert.equal(await stand.app.sessions(), 1)
      await destroyRecords(stand.app)
      return await logIn(stand)
    },
    { '/token': 2 },
  )
})
