import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { afterEach, describe, it } from 'node:test'
import type { BearerOptions } from '../../lib/bearer.ts'
import { type ApiApp, observeDenials, startApi } from '../support/app/api-app.ts'
import { createSigningKeys, signJws } from '../support/app/signing-keys.ts'
import { share } from '../support/app/stage.ts'
import {
  AUDIENCE,
  type Signing,
  signToken,
  startTokenIssuer,
  type TokenIssuer,
} from '../support/servers/token-issuer.ts'

type Members = Readonly<Record<string, unknown>>

const theIssuer = share(() => startTokenIssuer())
const seen = observeDenials()
const theirs = createSigningKeys()
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })

/** One app for each set of options, for all tests of the file. */
const apps = share(async () => {
  const started = new Map<string, ApiApp>()
  return {
    async get(options: Partial<BearerOptions> = {}): Promise<ApiApp> {
      const key = JSON.stringify(options)
      const app = started.get(key) ?? (await startApi(theIssuer(), options))
      started.set(key, app)
      app.reached.length = 0
      return app
    },
    forget: () => Promise.all([...started.values()].map((app) => app.stop())).then(() => started.clear()),
    stop: async () => void (await Promise.all([...started.values()].map((app) => app.stop()))),
  }
})

afterEach(() => theIssuer().reset())

const CHALLENGE = 'Bearer realm="api", error="invalid_token", error_description="The access token is not valid."'

/** Sends the token, and checks the code, and the response that every token gets which is refused. */
async function refuses(token: string, code: string, options?: Partial<BearerOptions>): Promise<void> {
  const app = await apps().get(options)
  const answer = await app.call(token)
  assert.deepEqual([answer.status, answer.challenge], [401, CHALLENGE])
  assert.equal(answer.body, '{"error":"invalid_token","error_description":"The access token is not valid."}')
  assert.deepEqual(seen.denied, [`ERR_OIDC_ACCESS_TOKEN_${code}`])
  assert.match(seen.reasons.join(), /^The access token (?!.*undefined)/)
  assert.deepEqual([app.reached, app.errors, seen.errors], [[], [], []])
}

/** Without a `typ`, as most providers send it, and with nothing that RFC 9068 has beside the basic claims. */
function untyped(change: Members): string {
  const plain = { client_id: undefined, scope: undefined, jti: undefined }
  return theIssuer().token({ ...plain, ...change }, { header: { typ: undefined } })
}

const SEGMENT = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Tokens of other kinds that the same issuer has signed for the same audience. */
const OTHER_KINDS: readonly [string, () => Members][] = [
  ['an ID Token with at_hash', () => ({ at_hash: 'x', scope: 'openid' })],
  ['an ID Token with c_hash', () => ({ c_hash: 'x', scope: 'openid' })],
  ['an ID Token with s_hash', () => ({ s_hash: 'x', scope: 'openid' })],
  ['an ID Token with a nonce', () => ({ nonce: 'n-1', azp: 'web', name: 'Ada' })],
  ['an ID Token without any mark', () => ({ email: 'ada@example.test' })],
  ['an ID Token of Keycloak', () => ({ typ: 'ID', azp: 'web', scope: 'openid' })],
  ['an ID Token of Cognito', () => ({ token_use: 'id', client_id: 'x' })],
  ['a refresh token of Keycloak', () => ({ typ: 'Refresh', azp: 'web', scope: 'openid' })],
  ['an offline token of Keycloak', () => ({ typ: 'Offline', azp: 'web', scope: 'openid' })],
  ['a logout token of Keycloak', () => ({ typ: 'Logout', scope: 'openid' })],
  ['a refresh token of Simple JWT', () => ({ token_type: 'refresh', client_id: 'x' })],
  ['a token whose typ is a list', () => ({ typ: ['Bearer'], client_id: 'x' })],
  ['a logout token', () => ({ events: { 'http://schemas.openid.net/event/backchannel-logout': {} }, client_id: 'x' })],
  ['a security event token', () => ({ events: {}, scope: 'x' })],
  ['a request object', () => ({ response_type: 'code', client_id: 'x', scope: 'openid' })],
  ['a request object with a redirect URI', () => ({ redirect_uri: 'https://c.test/cb', client_id: 'x' })],
  ['a request object of PKCE', () => ({ code_challenge: 'x', client_id: 'x' })],
  ['a signed introspection response', () => ({ token_introspection: { active: true }, scope: 'x' })],
  ['a DPoP proof', () => ({ htm: 'GET', htu: 'https://api.example.test', client_id: 'x' })],
  ['a client assertion', () => ({ sub: theIssuer().issuer, client_id: theIssuer().issuer })],
  ['a signed authorization response', () => ({ code: 'c', state: 's', scope: 'x' })],
]

const TYPES = [
  ...['logout+jwt', 'secevent+jwt', 'dpop+jwt', 'oauth-authz-req+jwt', 'token-introspection+jwt', 'id_token+jwt'],
  ...[
    'client-authentication+jwt',
    'entity-statement+jwt',
    'oauth-id-jag+jwt',
    'JOSE',
    'JWS',
    '',
    'at',
    'at+jwt ',
    'xat+jwt',
    'JWTx',
  ],
]

/** One change of a good token, and the end of the code. */
const CLAIMS: readonly [string, () => Members, string, Partial<BearerOptions>?][] = [
  ['another issuer', () => ({ iss: 'https://other.example.test' }), 'ISSUER'],
  ['an issuer with a slash more', () => ({ iss: `${theIssuer().issuer}/` }), 'ISSUER'],
  ['an issuer in a list', () => ({ iss: [theIssuer().issuer] }), 'ISSUER'],
  ['no issuer', () => ({ iss: undefined }), 'ISSUER'],
  [
    'the issuer with the placeholder itself',
    () => ({ iss: 'https://a.test/{tenantid}' }),
    'ISSUER',
    { issuer: 'https://a.test/{tenantid}', tenants: ['a'] },
  ],
  ['another audience', () => ({ aud: 'https://other.example.test' }), 'AUDIENCE'],
  ['an audience that begins like ours', () => ({ aud: `${AUDIENCE}/x` }), 'AUDIENCE'],
  ['no audience', () => ({ aud: undefined }), 'AUDIENCE'],
  ['an empty list of audiences', () => ({ aud: [] }), 'AUDIENCE'],
  ['a number among the audiences', () => ({ aud: [AUDIENCE, 1] }), 'AUDIENCE'],
  ['an audience that is an object', () => ({ aud: { [AUDIENCE]: true } }), 'AUDIENCE'],
  ['the audience in client_id, which does not count', () => ({ aud: undefined, client_id: AUDIENCE }), 'AUDIENCE'],
  ['no exp', () => ({ exp: undefined }), 'EXPIRED'],
  ['an exp in the past', () => ({ exp: 1 }), 'EXPIRED'],
  ['an exp that is text', () => ({ exp: '99999999999' }), 'EXPIRED'],
  ['an exp beyond all dates', () => ({ exp: 1e18 }), 'EXPIRED'],
  ['an exp that is true', () => ({ exp: true }), 'EXPIRED'],
  ['an nbf in the future', () => ({ nbf: Date.now() }), 'NOT_BEFORE'],
  ['an nbf that is text', () => ({ nbf: '1' }), 'NOT_BEFORE'],
  ['an nbf that is null', () => ({ nbf: null }), 'NOT_BEFORE'],
  ['an iat in the future', () => ({ iat: Date.now() }), 'ISSUED_AT'],
  ['an iat that is text', () => ({ iat: '1' }), 'ISSUED_AT'],
  ['an iat that is older than maxTokenAge', () => ({ iat: 1 }), 'ISSUED_AT', { maxTokenAge: 60 }],
  ['no iat with maxTokenAge', () => ({ iat: undefined }), 'ISSUED_AT', { maxTokenAge: 60 }],
  ['no sub', () => ({ sub: undefined }), 'SUBJECT'],
  ['an empty sub', () => ({ sub: '' }), 'SUBJECT'],
  ['a sub that is a number', () => ({ sub: 1 }), 'SUBJECT'],
  ['a sub of 1025 characters', () => ({ sub: 'x'.repeat(1025) }), 'SUBJECT'],
  ['a sub that is null, although it may be missing', () => ({ sub: null }), 'SUBJECT', { allowMissingSub: true }],
  ['no jti in the profile', () => ({ jti: undefined }), 'CLAIM', { profile: 'rfc9068' }],
  ['no client_id in the profile', () => ({ client_id: undefined }), 'CLAIM', { profile: 'rfc9068' }],
  ['no iat in the profile', () => ({ iat: undefined }), 'CLAIM', { profile: 'rfc9068' }],
  ['authorization_details that are an object', () => ({ authorization_details: { type: 'a' } }), 'CLAIM'],
  ['authorization_details without a type', () => ({ authorization_details: [{ type: 'a' }, {}] }), 'CLAIM'],
  ['authorization_details that are null', () => ({ authorization_details: null }), 'CLAIM'],
  ['a cnf that is text', () => ({ cnf: 'x' }), 'CONFIRMATION'],
  ['an empty cnf', () => ({ cnf: {} }), 'CONFIRMATION'],
  ['a cnf that is null', () => ({ cnf: null }), 'CONFIRMATION'],
  ['a cnf with a key', () => ({ cnf: { jwk: { kty: 'EC' } } }), 'CONFIRMATION'],
  ['a cnf with a kid', () => ({ cnf: { kid: 'x' } }), 'CONFIRMATION'],
  ['a cnf with an unknown member beside jkt', () => ({ cnf: { jkt: 'x'.repeat(43), osc: 1 } }), 'CONFIRMATION'],
  ['a jkt that is too short', () => ({ cnf: { jkt: 'x'.repeat(42) } }), 'CONFIRMATION'],
  ['an x5t#S256 that is no text', () => ({ cnf: { 'x5t#S256': 1 } }), 'CONFIRMATION'],
]

/** One change of a good token, and the end of the code. */
const FORMS: readonly [string, (token: string) => string, string][] = [
  ['two parts', (token) => token.split('.').slice(0, 2).join('.'), 'MALFORMED'],
  ['four parts', (token) => `${token}.x`, 'MALFORMED'],
  ['five parts', () => 'a.b.c.d.e', 'ENCRYPTED'],
  ['padding', (token) => `${token}=`, 'MALFORMED'],
  ['plain base64', (token) => token.replace(/.$/, '+'), 'MALFORMED'],
  ['no signature', (token) => token.replace(/[^.]*$/, ''), 'MALFORMED'],
  ['a header that is a list', (token) => token.replace(/^[^.]*/, SEGMENT([])), 'MALFORMED'],
  ['a header that is no JSON', (token) => token.replace(/^[^.]*/, 'eyJ'), 'MALFORMED'],
  [
    'a header that is not UTF-8',
    (token) => token.replace(/^[^.]*/, Buffer.from('{"a":"\xff"}', 'latin1').toString('base64url')),
    'MALFORMED',
  ],
  ['claims that are a list', (token) => token.replace(/\.[^.]*\./, `.${SEGMENT([1])}.`), 'MALFORMED'],
  [
    'claims that are not UTF-8',
    (token) => token.replace(/\.[^.]*\./, `.${Buffer.from('{"a":"\xff"}', 'latin1').toString('base64url')}.`),
    'MALFORMED',
  ],
  [
    'other claims',
    (token) => token.replace(/\.[^.]*\./, `.${SEGMENT({ ...theIssuer().claims(), sub: 'eve' })}.`),
    'SIGNATURE',
  ],
]

const HEADERS: readonly [string, Signing, string][] = [
  ['alg none', { header: { alg: 'none' } }, 'ALG'],
  ['no alg', { header: { alg: undefined } }, 'ALG'],
  ['an alg that is a list', { header: { alg: ['ES256'] } }, 'ALG'],
  ['an HMAC with the public key', { alg: 'HS256', key: 'a public key' }, 'ALG'],
  ['an algorithm that is not pinned', { alg: 'RS256' }, 'ALG'],
  ['another key', { key: theirs.p256.privateKey }, 'SIGNATURE'],
  ['a crit header', { header: { crit: ['exp'], exp: 1 } }, 'CRIT'],
  ['an empty crit header', { header: { crit: [] } }, 'CRIT'],
  ['b64 without crit', { header: { b64: true } }, 'CRIT'],
  ['a kid that is a number', { header: { kid: 1 } }, 'MALFORMED'],
  ['a kid that is null', { header: { kid: null } }, 'MALFORMED'],
  ['a typ that is a list', { header: { typ: ['at+jwt'] } }, 'TYPE'],
  ['a typ that is null', { header: { typ: null } }, 'TYPE'],
]

/** A JSON array within an array, and so on. */
function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)]
}

/** Replaces a part of the token: 0 the header, 1 the claims, 2 the signature. */
function withPart(token: string, index: number, change: (part: string) => string): string {
  return token
    .split('.')
    .map((part, at) => (at === index ? change(part) : part))
    .join('.')
}

/** The same bytes in another spelling: the last character of base64url has bits that count for nothing. */
function respelled(part: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(part.at(-1) ?? '')
  return part.slice(0, -1) + alphabet[last ^ 1]
}

/** Changes of the bytes of a good token. */
const BYTES: readonly [string, (token: string) => string, string][] = [
  [
    'a signature of one byte less',
    (token) => withPart(token, 2, (part) => Buffer.from(part, 'base64url').subarray(1).toString('base64url')),
    'SIGNATURE',
  ],
  ['a signature of one byte more', (token) => withPart(token, 2, (part) => `${part.slice(0, -2)}AAAA`), 'SIGNATURE'],
  ['a signature of zeros', (token) => withPart(token, 2, () => Buffer.alloc(64).toString('base64url')), 'SIGNATURE'],
  ['a signature in DER', (token) => withPart(token, 2, () => derOf(token)), 'SIGNATURE'],
  [
    'the signature of another token',
    (token) => withPart(token, 2, () => theIssuer().token({ sub: 'bob' }).split('.')[2] ?? ''),
    'SIGNATURE',
  ],
  ['a signature in another spelling', (token) => withPart(token, 2, respelled), 'MALFORMED'],
  ['claims that are empty', (token) => withPart(token, 1, () => ''), 'MALFORMED'],
  ['claims that are null', (token) => withPart(token, 1, () => SEGMENT(null)), 'MALFORMED'],
  ['claims that are text', (token) => withPart(token, 1, () => SEGMENT('x')), 'MALFORMED'],
  ['claims that are nested 40 deep', (token) => withPart(token, 1, () => SEGMENT({ a: nested(40) })), 'MALFORMED'],
  ['a header that is null', (token) => withPart(token, 0, () => SEGMENT(null)), 'MALFORMED'],
  ['a header that is empty', (token) => withPart(token, 0, () => ''), 'MALFORMED'],
  [
    'a header with another kid',
    (token) => withPart(token, 0, () => SEGMENT({ alg: 'ES256', typ: 'at+jwt', kid: 'x' })),
    'KEY',
  ],
  [
    'a header without kid, which was not signed',
    (token) => withPart(token, 0, () => SEGMENT({ alg: 'ES256', typ: 'at+jwt' })),
    'SIGNATURE',
  ],
]

function derOf(token: string): string {
  const content = Buffer.from(token.slice(0, token.lastIndexOf('.')))
  return sign('sha256', content, theIssuer().keys.p256.privateKey).toString('base64url')
}

/** Algorithms that are not pinned, each with a key that the issuer publishes, or a secret that everybody knows. */
const ALGORITHMS: readonly [string, (issuer: TokenIssuer) => Signing][] = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const).map((alg) => ofKey(alg, 'rsa')),
  ofKey('ES384', 'p384'),
  ofKey('ES512', 'p521'),
  ofKey('EdDSA', 'ed25519'),
  ...(['HS256', 'HS384', 'HS512'] as const).flatMap((alg): [string, (issuer: TokenIssuer) => Signing][] => [
    [
      `${alg} with the public key in PEM as the secret`,
      ({ keys }) => ({ alg, key: String(publicOf(keys.p256.privateKey).export({ type: 'spki', format: 'pem' })) }),
    ],
    [`${alg} with the public key as JWK as the secret`, ({ keys }) => ({ alg, key: JSON.stringify(keys.p256.jwk) })],
    [`${alg} with an empty secret`, () => ({ alg, key: '' })],
  ]),
]

function publicOf(key: KeyObject): KeyObject {
  return createPublicKey(key)
}

function ofKey(alg: string, kind: 'rsa' | 'p384' | 'p521' | 'ed25519'): [string, (issuer: TokenIssuer) => Signing] {
  return [alg, ({ keys }) => ({ alg, key: keys[kind].privateKey, kid: keys[kind].kid })]
}

/** `alg` says one thing, and the signature is another. */
const CONFUSED: readonly [string, Signing, string][] = [
  ['alg ES256 and a signature by RS256', { alg: 'RS256', header: { alg: 'ES256' } }, 'SIGNATURE'],
  ['alg RS256 and a signature by ES256', { header: { alg: 'RS256' } }, 'KEY'],
  ['alg es256', { header: { alg: 'es256' } }, 'ALG'],
  ['alg None', { header: { alg: 'None' } }, 'ALG'],
  ['alg NONE', { header: { alg: 'NONE' } }, 'ALG'],
  ['an empty alg', { header: { alg: '' } }, 'ALG'],
  ['alg toString', { header: { alg: 'toString' } }, 'ALG'],
  ['alg RSA-OAEP', { header: { alg: 'RSA-OAEP' } }, 'ALG'],
]

/** Keys that a header names, by which an attacker signs. */
const OWN_KEYS: readonly [string, () => Members][] = [
  ['jwk', () => ({ jwk: theirs.p256.jwk })],
  ['jwk, and no kid', () => ({ jwk: theirs.p256.jwk, kid: undefined })],
  ['jku', () => ({ jku: `${theIssuer().issuer}/evil-jwks` })],
  ['x5u', () => ({ x5u: `${theIssuer().issuer}/evil.pem` })],
  ['x5c', () => ({ x5c: ['MIIB'] })],
  ['the kid of the attacker', () => ({ kid: theirs.p256.kid })],
]

/** What the issuer publishes, and the code for a token that is signed with that key. */
const PUBLISHED: readonly [string, (issuer: TokenIssuer) => readonly object[], string][] = [
  ["a key with use 'enc'", ({ keys }) => [{ ...keys.p256.jwk, use: 'enc' }], 'KEY'],
  ['a key whose use is a list', ({ keys }) => [{ ...keys.p256.jwk, use: ['sig'] }], 'KEY'],
  ["a key with key_ops 'sign'", ({ keys }) => [{ ...keys.p256.jwk, use: undefined, key_ops: ['sign'] }], 'KEY'],
  ['a key with empty key_ops', ({ keys }) => [{ ...keys.p256.jwk, use: undefined, key_ops: [] }], 'KEY'],
  ['a key whose key_ops is text', ({ keys }) => [{ ...keys.p256.jwk, use: undefined, key_ops: 'verify' }], 'KEY'],
  ['a key for another alg', ({ keys }) => [{ ...keys.p256.jwk, alg: 'ES384' }], 'KEY'],
  ['a key for ECDH-ES', ({ keys }) => [{ ...keys.p256.jwk, alg: 'ECDH-ES' }], 'KEY'],
  ['a key of another curve', ({ keys }) => [{ ...keys.p384.jwk, kid: keys.p256.kid }], 'KEY'],
  ['the kid of the token for another key', ({ keys }) => [{ ...theirs.p256.jwk, kid: keys.p256.kid }], 'SIGNATURE'],
  ['the private key', ({ keys }) => [{ ...keys.p256.privateKey.export({ format: 'jwk' }), kid: keys.p256.kid }], 'KEY'],
  ['a point that is not on the curve', ({ keys }) => [{ ...keys.p256.jwk, y: keys.p256.jwk['x'] }], 'KEY'],
  ['a symmetric key', ({ keys }) => [{ kty: 'oct', k: 'AAAA', kid: keys.p256.kid }], 'KEY'],
]

/** The options, and a token that is only wrong with them. */
const OPTIONS: readonly [string, Members, string, Partial<BearerOptions>][] = [
  ['an issuer that is not in the list', {}, 'ISSUER', { issuers: ['https://a.test', 'https://b.test'] }],
  ['the audience of another issuer of the list', { aud: 'b' }, 'AUDIENCE', { audience: 'a', issuers: [] }],
  [
    'a client that is not in the list (Cognito)',
    { aud: undefined, client_id: 'other', token_use: 'access' },
    'AUDIENCE',
    { audience: ['app-1'], audienceClaim: 'client_id' },
  ],
  [
    'no client_id (Cognito)',
    { aud: 'app-1', client_id: undefined, token_use: 'access' },
    'AUDIENCE',
    { audience: ['app-1'], audienceClaim: 'client_id' },
  ],
  [
    'a client in a list of lists (Cognito)',
    { client_id: [['app-1']] },
    'AUDIENCE',
    { audience: ['app-1'], audienceClaim: 'client_id' },
  ],
  ['an audience that differs in a capital letter', { aud: AUDIENCE.toUpperCase() }, 'AUDIENCE', {}],
  ['an audience with a slash more', { aud: `${AUDIENCE}/` }, 'AUDIENCE', {}],
  ['an audience with a space', { aud: ` ${AUDIENCE}` }, 'AUDIENCE', {}],
  ['all audiences in one text', { aud: `x ${AUDIENCE}` }, 'AUDIENCE', {}],
  ['an exp that is a fraction of a second ago', { exp: Date.now() / 1000 - 0.5 }, 'EXPIRED', { clockTolerance: 0 }],
  ['an nbf that is 120 seconds ahead', { nbf: Date.now() / 1000 + 120 }, 'NOT_BEFORE', {}],
  ['an iat that is 120 seconds ahead', { iat: Date.now() / 1000 + 120 }, 'ISSUED_AT', {}],
]

const JKT = 'x'.repeat(43)
/** Tokens that are bound to their sender, who shows nothing of it. */
const BOUND: readonly [string, Members][] = [
  ['a DPoP key', { jkt: JKT }],
  ['a certificate', { 'x5t#S256': JKT }],
  ['both', { jkt: JKT, 'x5t#S256': JKT }],
]

describe('a token of the same issuer that is not an access token is refused:', () => {
  for (const [name, claims] of OTHER_KINDS) it(name, () => refuses(untyped(claims()), 'TYPE'))
  for (const typ of TYPES) it(`typ '${typ}'`, () => refuses(theIssuer().token({}, { header: { typ } }), 'TYPE'))

  it("no typ, with profile 'rfc9068'", () =>
    refuses(theIssuer().token({}, { header: { typ: undefined } }), 'TYPE', { profile: 'rfc9068' }))
  it("typ JWT, with profile 'rfc9068'", () =>
    refuses(theIssuer().token({}, { header: { typ: 'JWT' } }), 'TYPE', { profile: 'rfc9068' }))
})

describe('an access token is refused with', () => {
  for (const [name, claims, code, options] of CLAIMS)
    it(name, () => refuses(theIssuer().token(claims()), code, options))
  for (const [name, claims, code, options] of OPTIONS) {
    it(name, () => {
      const issuers = 'issuers' in options && Array.isArray(options.issuers) && options.issuers.length === 0
      const listed = issuers ? { issuers: [theIssuer().issuer, { issuer: 'https://b.test', audience: 'b' }] } : {}
      return refuses(theIssuer().token(claims), code, { ...options, ...listed } as Partial<BearerOptions>)
    })
  }
  for (const [name, change, code] of [...FORMS, ...BYTES]) it(name, () => refuses(change(theIssuer().token()), code))
  for (const [name, signing, code] of [...HEADERS, ...CONFUSED]) {
    it(name, () => {
      const key = signing.alg === 'RS256' ? { key: theIssuer().keys.rsa.privateKey } : {}
      return refuses(theIssuer().token({}, { ...key, ...signing }), code, {
        algorithms: name.startsWith('alg RS256') ? ['RS256', 'ES256'] : ['ES256'],
      })
    })
  }
  for (const [name, signing] of ALGORITHMS) {
    it(`an algorithm that is not pinned: ${name}`, () =>
      refuses(theIssuer().token({}, signing(theIssuer())), 'ALG', { algorithms: ['ES256'] }))
  }
  for (const [name, header] of OWN_KEYS) {
    it(`a key that its header brings along: ${name}`, async () => {
      const token = theIssuer().token({}, { key: theirs.p256.privateKey, header: header() })
      await refuses(token, name.startsWith('the kid') ? 'KEY' : 'SIGNATURE')
      assert.deepEqual(
        theIssuer().requests.filter((path) => path.includes('evil')),
        [],
      )
    })
  }
  for (const [name, cnf] of BOUND) {
    it(`a binding to its sender, who does not prove it: ${name}`, () =>
      refuses(theIssuer().token({ cnf }), 'CONFIRMATION'))
  }
})

describe('an access token is refused if its issuer publishes', () => {
  for (const [name, jwks, code] of PUBLISHED) {
    it(name, async () => {
      await apps().forget()
      // Beside a key that is right, so that the key set is not useless.
      theIssuer().state.jwks = [...jwks(theIssuer()), theirs.rsa.jwk] as never
      await refuses(theIssuer().token(), code)
      await apps().forget()
    })
  }

  it('an RSA key of 1024 bits', async () => {
    await apps().forget()
    theIssuer().state.jwks = [{ ...weak.publicKey.export({ format: 'jwk' }), kid: 'weak' }, theirs.p256.jwk] as never
    const token = signJws('RS256', weak.privateKey, { alg: 'RS256', typ: 'at+jwt', kid: 'weak' }, theIssuer().claims())
    await refuses(token, 'KEY')
    await apps().forget()
  })
})

describe('the response to a token that is refused', () => {
  it('has nothing of the token in its headers, and says the same whatever is wrong', async () => {
    const app = await apps().get()
    const evil = 'evil"\\r\\nX-Evil: 1'
    const tokens = [
      theIssuer().token({ iss: evil, aud: evil, scope: evil, sub: evil }),
      theIssuer().token({}, { kid: evil, header: { alg: evil } }),
      signToken(theirs.p256, theIssuer().claims({ jti: evil })),
    ]
    const answers = await Promise.all(tokens.map((token) => app.call(token)))
    for (const { headers, body } of answers) {
      assert.doesNotMatch(JSON.stringify(headers) + body, /evil/i)
      assert.deepEqual([headers['www-authenticate'], body], [CHALLENGE, answers[0]?.body])
    }
  })
})
