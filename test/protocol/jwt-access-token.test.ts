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
  restrictionOf: () => undefined,
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

describe('an access token with a wrong signature and wrong claims', () => {
  it('is refused for its signature', async () => {
    const token = tokenOf({ exp: 1 }, { key: createSigningKeys().p256.privateKey })
    assert.equal(await codeOf(token), 'ERR_OIDC_ACCESS_TOKEN_SIGNATURE')
  })
})
