import assert from 'node:assert/strict'
import { createPublicKey, type KeyObject } from 'node:crypto'
import { describe, it } from 'node:test'
import { OidcError } from '../../lib/errors.ts'
import type { VerificationKeys } from '../../lib/jose/jws.ts'
import {
  type AccessTokenExpectations,
  type AccessTokenGrant,
  checkAccessToken,
  readGrant,
} from '../../lib/protocol/access-token-claims.ts'
import { parseAccessToken, verifyAccessTokenSignature } from '../../lib/protocol/jwt-access-token.ts'
import { createSigningKeys, type SigningKey } from '../support/app/signing-keys.ts'
import { AUDIENCE, rfc9068Claims, type Signing, signToken } from '../support/servers/token-issuer.ts'

type Members = Readonly<Record<string, unknown>>

const ISSUER = 'https://as.example.test'
const SIGNING_KEYS = createSigningKeys()
const EXPECTED: AccessTokenExpectations & { algorithms: readonly string[] } = {
  issuer: ISSUER,
  audience: [AUDIENCE],
  audienceClaim: 'aud',
  algorithms: ['ES256'],
  allowMissingSub: false,
  dangerouslyAllowUnmarkedTokens: false,
  clockTolerance: 5,
}

function publicKey({ jwk }: SigningKey): KeyObject {
  return createPublicKey({ key: jwk, format: 'jwk' })
}

/** One key, whatever the token says. */
const KEYS: VerificationKeys = {
  jwksUri: `${ISSUER}/jwks`,
  keysFor: async () => [publicKey(SIGNING_KEYS.p256)],
  renew: async () => false,
  restrictionOf: async () => undefined,
}

async function judge(token: string, expected: Partial<typeof EXPECTED> = {}): Promise<AccessTokenGrant> {
  const parsed = parseAccessToken(token)
  await verifyAccessTokenSignature(parsed, KEYS, { ...EXPECTED, ...expected })
  checkAccessToken(parsed, { ...EXPECTED, ...expected })
  return readGrant(parsed.claims)
}

function tokenOf(change: Members, signing?: Signing): string {
  return signToken(SIGNING_KEYS.p256, { ...rfc9068Claims(ISSUER), ...change }, signing)
}

/** Without a `typ`, as most providers send it, and with nothing that RFC 9068 has beside the basic claims. */
function untyped(change: Members): string {
  const plain = { client_id: undefined, scope: undefined, jti: undefined }
  return tokenOf({ ...plain, ...change }, { header: { typ: undefined } })
}

async function codeOf(token: string, expected: Partial<typeof EXPECTED> = {}): Promise<string> {
  return judge(token, expected).then(
    () => 'accepted',
    (error: unknown) => (error instanceof OidcError ? error.code : String(error)),
  )
}

const TENANT = '6babcaad-604b-40ac-a9d7-9fd97c0b779f'

/** Access tokens as the providers write them: claims, what is granted, and options. */
const WORLD: readonly [string, Members, Partial<AccessTokenGrant>, Partial<typeof EXPECTED>?][] = [
  [
    'Okta',
    { ver: 1, cid: '0oa1', uid: '00u1', scp: ['orders:read', 'profile'], sub: 'ada@example.test' },
    { scope: 'orders:read profile', clientId: '0oa1' },
  ],
  [
    'Entra ID v2',
    {
      ver: '2.0',
      tid: TENANT,
      azp: 'app-1',
      azpacr: '1',
      scp: 'Orders.Read Orders.Write',
      oid: 'o1',
      roles: ['Reader'],
    },
    { scope: 'Orders.Read Orders.Write', clientId: 'app-1' },
  ],
  [
    'Entra ID v1, of any tenant',
    {
      iss: `https://sts.windows.net/${TENANT}/`,
      ver: '1.0',
      tid: TENANT,
      appid: 'app-1',
      appidacr: '1',
      roles: ['Reader'],
    },
    { scope: '', clientId: 'app-1' },
    { issuer: 'https://sts.windows.net/{tenantid}/' },
  ],
  [
    'Auth0 with permissions',
    { azp: 'cli', aud: [AUDIENCE, `${ISSUER}/userinfo`], scope: 'openid', permissions: ['read:orders'] },
    { scope: 'openid', clientId: 'cli' },
  ],
  [
    'Auth0 for a machine',
    { azp: 'cli', gty: 'client-credentials', sub: 'cli@clients' },
    { scope: '', clientId: 'cli' },
  ],
  [
    'Cognito',
    { aud: undefined, token_use: 'access', client_id: 'cognito-app', scope: 'api/read', version: 2 },
    { scope: 'api/read', clientId: 'cognito-app' },
    { audience: ['cognito-app'], audienceClaim: 'client_id' },
  ],
  [
    'Keycloak',
    {
      typ: 'Bearer',
      azp: 'web',
      scope: 'profile email',
      realm_access: { roles: ['staff'] },
      aud: [AUDIENCE, 'account'],
    },
    { scope: 'profile email', clientId: 'web' },
  ],
  ['an older Keycloak, with a nonce', { typ: 'Bearer', azp: 'web', nonce: 'n-1' }, { scope: '', clientId: 'web' }],
]

/** Tokens of other kinds that the same issuer has signed for the same audience. */
const OTHER_KINDS: readonly [string, Members][] = [
  ['an ID Token with at_hash', { at_hash: 'x', scope: 'openid' }],
  ['an ID Token with c_hash', { c_hash: 'x', scope: 'openid' }],
  ['an ID Token with s_hash', { s_hash: 'x', scope: 'openid' }],
  ['an ID Token with a nonce', { nonce: 'n-1', azp: 'web', name: 'Ada' }],
  ['an ID Token without any mark', { email: 'ada@example.test' }],
  ['an ID Token of Keycloak', { typ: 'ID', azp: 'web', scope: 'openid' }],
  ['an ID Token of Cognito', { token_use: 'id', client_id: 'x' }],
  ['a refresh token of Keycloak', { typ: 'Refresh', azp: 'web', scope: 'openid' }],
  ['an offline token of Keycloak', { typ: 'Offline', azp: 'web', scope: 'openid' }],
  ['a logout token of Keycloak', { typ: 'Logout', scope: 'openid' }],
  ['a refresh token of Simple JWT', { token_type: 'refresh', client_id: 'x' }],
  ['a token whose typ is a list', { typ: ['Bearer'], client_id: 'x' }],
  ['a logout token', { events: { 'http://schemas.openid.net/event/backchannel-logout': {} }, client_id: 'x' }],
  ['a security event token', { events: {}, scope: 'x' }],
  ['a request object', { response_type: 'code', client_id: 'x', scope: 'openid' }],
  ['a request object with a redirect URI', { redirect_uri: 'https://c.test/cb', client_id: 'x' }],
  ['a request object of PKCE', { code_challenge: 'x', client_id: 'x' }],
  ['a signed introspection response', { token_introspection: { active: true }, scope: 'x' }],
  ['a DPoP proof', { htm: 'GET', htu: 'https://api.example.test', client_id: 'x' }],
  ['a client assertion', { sub: ISSUER, client_id: ISSUER }],
  ['a signed authorization response', { code: 'c', state: 's', scope: 'x' }],
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
  ],
]

/** One change of a good token, and the end of the code. */
const CLAIMS: readonly [string, Members, string, Partial<typeof EXPECTED>?][] = [
  ['another issuer', { iss: 'https://other.example.test' }, 'ISSUER'],
  ['an issuer with a slash more', { iss: `${ISSUER}/` }, 'ISSUER'],
  ['an issuer in a list', { iss: [ISSUER] }, 'ISSUER'],
  ['no issuer', { iss: undefined }, 'ISSUER'],
  [
    'the issuer with the placeholder itself',
    { iss: 'https://a.test/{tenantid}' },
    'ISSUER',
    { issuer: 'https://a.test/{tenantid}' },
  ],
  ['another audience', { aud: 'https://other.example.test' }, 'AUDIENCE'],
  ['an audience that begins like ours', { aud: `${AUDIENCE}/x` }, 'AUDIENCE'],
  ['no audience', { aud: undefined }, 'AUDIENCE'],
  ['an empty list of audiences', { aud: [] }, 'AUDIENCE'],
  ['a number among the audiences', { aud: [AUDIENCE, 1] }, 'AUDIENCE'],
  ['an audience that is an object', { aud: { [AUDIENCE]: true } }, 'AUDIENCE'],
  ['the audience in client_id, which does not count', { aud: undefined, client_id: AUDIENCE }, 'AUDIENCE'],
  ['no exp', { exp: undefined }, 'EXPIRED'],
  ['an exp in the past', { exp: 1 }, 'EXPIRED'],
  ['an exp that is text', { exp: '99999999999' }, 'EXPIRED'],
  ['an exp beyond all dates', { exp: 1e18 }, 'EXPIRED'],
  ['an exp that is true', { exp: true }, 'EXPIRED'],
  ['an nbf in the future', { nbf: Date.now() }, 'NOT_BEFORE'],
  ['an nbf that is text', { nbf: '1' }, 'NOT_BEFORE'],
  ['an nbf that is null', { nbf: null }, 'NOT_BEFORE'],
  ['an iat in the future', { iat: Date.now() }, 'ISSUED_AT'],
  ['an iat that is text', { iat: '1' }, 'ISSUED_AT'],
  ['an iat that is older than maxTokenAge', { iat: 1 }, 'ISSUED_AT', { maxTokenAge: 60 }],
  ['no iat with maxTokenAge', { iat: undefined }, 'ISSUED_AT', { maxTokenAge: 60 }],
  ['no sub', { sub: undefined }, 'SUBJECT'],
  ['an empty sub', { sub: '' }, 'SUBJECT'],
  ['a sub that is a number', { sub: 1 }, 'SUBJECT'],
  ['a sub of 1025 characters', { sub: 'x'.repeat(1025) }, 'SUBJECT'],
  ['a sub that is null, although it may be missing', { sub: null }, 'SUBJECT', { allowMissingSub: true }],
  ['no jti in the profile', { jti: undefined }, 'CLAIM', { profile: 'rfc9068' }],
  ['no client_id in the profile', { client_id: undefined }, 'CLAIM', { profile: 'rfc9068' }],
  ['no iat in the profile', { iat: undefined }, 'CLAIM', { profile: 'rfc9068' }],
  ['a cnf that is text', { cnf: 'x' }, 'CONFIRMATION'],
  ['an empty cnf', { cnf: {} }, 'CONFIRMATION'],
  ['a cnf that is null', { cnf: null }, 'CONFIRMATION'],
  ['a cnf with a key', { cnf: { jwk: { kty: 'EC' } } }, 'CONFIRMATION'],
  ['a cnf with a kid', { cnf: { kid: 'x' } }, 'CONFIRMATION'],
  ['a cnf with an unknown member beside jkt', { cnf: { jkt: 'x'.repeat(43), osc: 1 } }, 'CONFIRMATION'],
  ['a jkt that is too short', { cnf: { jkt: 'x'.repeat(42) } }, 'CONFIRMATION'],
  ['an x5t#S256 that is no text', { cnf: { 'x5t#S256': 1 } }, 'CONFIRMATION'],
]

const SEGMENT = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** One change of a good token, and the end of the code. */
const FORMS: readonly [string, (token: string) => string, string][] = [
  ['two parts', (token) => token.split('.').slice(0, 2).join('.'), 'MALFORMED'],
  ['four parts', (token) => `${token}.x`, 'MALFORMED'],
  ['five parts', () => 'a.b.c.d.e', 'ENCRYPTED'],
  ['padding', (token) => `${token}=`, 'MALFORMED'],
  ['a line break', (token) => `${token}\n`, 'MALFORMED'],
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
  ['more than 32 KiB', (token) => token + 'A'.repeat(32_768), 'TOO_LARGE'],
  [
    'other claims',
    (token) => token.replace(/\.[^.]*\./, `.${SEGMENT({ ...rfc9068Claims(ISSUER), sub: 'eve' })}.`),
    'SIGNATURE',
  ],
]

const HEADERS: readonly [string, Signing, string][] = [
  ['alg none', { header: { alg: 'none' } }, 'ALG'],
  ['no alg', { header: { alg: undefined } }, 'ALG'],
  ['an alg that is a list', { header: { alg: ['ES256'] } }, 'ALG'],
  ['an HMAC with the public key', { alg: 'HS256', key: 'a public key' }, 'ALG'],
  ['an algorithm that is not pinned', { alg: 'RS256', key: SIGNING_KEYS.rsa.privateKey }, 'ALG'],
  ['another key', { key: createSigningKeys().p256.privateKey }, 'SIGNATURE'],
  ['a crit header', { header: { crit: ['exp'], exp: 1 } }, 'CRIT'],
  ['an empty crit header', { header: { crit: [] } }, 'CRIT'],
  ['b64 without crit', { header: { b64: true } }, 'CRIT'],
  ['a kid that is a number', { header: { kid: 1 } }, 'MALFORMED'],
  ['a kid that is null', { header: { kid: null } }, 'MALFORMED'],
  ['a typ that is a list', { header: { typ: ['at+jwt'] } }, 'TYPE'],
  ['a typ that is null', { header: { typ: null } }, 'TYPE'],
]

describe('an access token of RFC 9068', () => {
  it('is accepted, with its scopes and its client', async () => {
    const { scope, clientId, expiresAt, claims } = await judge(tokenOf({}), { profile: 'rfc9068' })
    assert.deepEqual([scope, clientId, claims['sub']], ['orders:read profile', 'cli-1', 'alice'])
    assert.ok(expiresAt > Date.now() / 1000)
    assert.ok(Object.isFrozen(claims))
  })

  it('is accepted with the long form of its type, and in capital letters', async () => {
    for (const typ of ['application/at+jwt', 'AT+JWT'])
      assert.equal(await codeOf(tokenOf({}, { header: { typ } })), 'accepted')
  })

  it('is accepted without sub if the option says so', async () => {
    assert.equal(await codeOf(tokenOf({ sub: undefined }), { allowMissingSub: true }), 'accepted')
  })

  it('has the key that it is bound to', async () => {
    const cnf = { jkt: 'x'.repeat(43), 'x5t#S256': 'y'.repeat(43) }
    assert.deepEqual({ ...(await judge(tokenOf({ cnf }))).confirmation }, cnf)
  })

  it('has the scopes of a list, of which none is split', async () => {
    const { scope } = await judge(tokenOf({ scope: ['a', 'b c', 1, 'd"', ''] }))
    assert.equal(scope, 'a')
  })

  it('may lie within the tolerance of the clocks', async () => {
    const now = Date.now() / 1000
    assert.equal(await codeOf(tokenOf({ exp: now - 4, nbf: now + 4, iat: now + 4 })), 'accepted')
    assert.equal(await codeOf(tokenOf({ exp: now - 6 })), 'ERR_OIDC_ACCESS_TOKEN_EXPIRED')
  })
})

describe('an access token without the type of RFC 9068', () => {
  for (const [provider, claims, granted, options] of WORLD) {
    it(`is accepted as ${provider} issues it`, async () => {
      const grant = await judge(untyped(claims), options)
      assert.deepEqual({ scope: grant.scope, clientId: grant.clientId }, granted)
    })
  }

  it('is accepted without a mark if the option says so', async () => {
    assert.equal(await codeOf(untyped({}), { dangerouslyAllowUnmarkedTokens: true }), 'accepted')
  })

  it("is refused with profile 'rfc9068'", async () => {
    const token = tokenOf({}, { header: { typ: 'JWT' } })
    assert.equal(await codeOf(token), 'accepted')
    assert.equal(await codeOf(token, { profile: 'rfc9068' }), 'ERR_OIDC_ACCESS_TOKEN_TYPE')
  })
})

describe('a token of the same issuer that is not an access token is refused:', () => {
  for (const [name, claims] of OTHER_KINDS) {
    it(name, async () => assert.equal(await codeOf(untyped(claims)), 'ERR_OIDC_ACCESS_TOKEN_TYPE'))
  }

  for (const typ of TYPES) {
    it(`typ '${typ}'`, async () => {
      assert.equal(await codeOf(tokenOf({}, { header: { typ } })), 'ERR_OIDC_ACCESS_TOKEN_TYPE')
    })
  }
})

describe('an access token is refused with', () => {
  for (const [name, claims, code, options] of CLAIMS) {
    it(name, async () => assert.equal(await codeOf(tokenOf(claims), options), `ERR_OIDC_ACCESS_TOKEN_${code}`))
  }

  for (const [name, change, code] of FORMS) {
    it(name, async () =>
      assert.equal(await codeOf(change(tokenOf({ jti: 'another' }))), `ERR_OIDC_ACCESS_TOKEN_${code}`),
    )
  }

  for (const [name, signing, code] of HEADERS) {
    it(name, async () => assert.equal(await codeOf(tokenOf({}, signing)), `ERR_OIDC_ACCESS_TOKEN_${code}`))
  }

  it('a signature that is wrong and claims that are wrong, for its signature', async () => {
    const token = tokenOf({ exp: 1 }, { key: createSigningKeys().p256.privateKey })
    assert.equal(await codeOf(token), 'ERR_OIDC_ACCESS_TOKEN_SIGNATURE')
  })
})
