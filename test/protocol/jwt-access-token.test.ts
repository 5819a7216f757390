import assert from 'node:assert/strict'
import { createPublicKey, type KeyObject } from 'node:crypto'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { OidcError } from '../../lib/errors.ts'
import type { VerificationKeys } from '../../lib/jose/jws.ts'
import {
  type AccessTokenExpectations,
  type AccessTokenGrant,
  checkAccessToken,
  readGrant,
} from '../../lib/protocol/access-token-claims.ts'
import { parseAccessToken, verifyAccessTokenSignature } from '../../lib/protocol/jwt-access-token.ts'
import { createSecondKeys, createSigningKeys, type SigningKey } from '../support/app/signing-keys.ts'
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

  it('is accepted with a sub of 1024 characters', async () => {
    assert.equal(await codeOf(tokenOf({ sub: 'x'.repeat(1024) })), 'accepted')
  })

  it('has its authorization_details, and an empty list without them', async () => {
    const details = [{ type: 'payment' }]
    const given = await judge(tokenOf({ authorization_details: details }))
    const { authorizationDetails } = await judge(tokenOf({}))
    assert.deepEqual([given.authorizationDetails, authorizationDetails], [details, []])
  })

  it('has the key that it is bound to', async () => {
    const cnf = { jkt: 'x'.repeat(43), 'x5t#S256': 'y'.repeat(43) }
    assert.deepEqual({ ...(await judge(tokenOf({ cnf }))).confirmation }, cnf)
  })

  // Judged here: an API that takes no bound token refuses all of them with the same code.
  const good = 'x'.repeat(43)
  const bindings: readonly (readonly [name: string, cnf: unknown])[] = [
    ['text', good],
    ['null', null],
    ['an empty object', {}],
    ['an unknown member', { kid: good }],
    ['an unknown member beside a known one', { jkt: good, kid: good }],
    ['a key', { jwk: { kty: 'EC' } }],
    ['a jkt in a list', { jkt: [good] }],
    ['a jkt of 42 characters', { jkt: good.slice(1) }],
    ['a jkt of 44 characters', { jkt: `${good}x` }],
    ['a jkt with padding', { jkt: `${good}=` }],
    ['a jkt of other characters', { jkt: `${good.slice(1)}+` }],
    ['an x5t#S256 that is a number', { 'x5t#S256': 1 }],
    ['a wrong x5t#S256 beside a right jkt', { jkt: good, 'x5t#S256': 'x' }],
  ]
  for (const [name, cnf] of bindings) {
    it(`is refused if cnf is, or has, ${name}`, async () => {
      assert.equal(await codeOf(tokenOf({ cnf })), 'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION')
    })
  }

  it('is refused if typ is a list with the right one', async () => {
    for (const typ of [['JWT'], ['at+jwt'], { toString: 'JWT' }]) {
      assert.equal(await codeOf(tokenOf({}, { header: { typ } })), 'ERR_OIDC_ACCESS_TOKEN_TYPE')
    }
  })

  it('is accepted with a key that has replaced another under its kid, and only with that', async () => {
    const [own, other] = [publicKey(SIGNING_KEYS.p256), publicKey(createSecondKeys().p256)]
    const verify = async (before: KeyObject, after: KeyObject, isRenewed: boolean): Promise<KeyObject> => {
      let published = before
      const renew = async (): Promise<boolean> => {
        published = after
        return isRenewed
      }
      const keys = { ...KEYS, keysFor: async () => [published], renew }
      return await verifyAccessTokenSignature(parseAccessToken(tokenOf({})), keys, EXPECTED)
    }
    assert.equal(await verify(other, own, true), own)
    const code = 'ERR_OIDC_ACCESS_TOKEN_SIGNATURE'
    await assert.rejects(verify(other, other, true), { code })
    await assert.rejects(verify(other, own, false), { code })
  })

  it('is accepted without a typ if it has a claim that only together with another marks an authorization response', async () => {
    for (const claim of [{ state: 'Ohio' }, { code: 'DE' }]) {
      assert.equal(await codeOf(untyped({ client_id: 'x', ...claim })), 'accepted')
    }
    assert.equal(await codeOf(untyped({ client_id: 'x', state: 's', code: 'c' })), 'ERR_OIDC_ACCESS_TOKEN_TYPE')
  })

  it('has the scopes of a list, of which none is split', async () => {
    const { scope } = await judge(tokenOf({ scope: ['a', 'b c', 1, 'd"', '', 'e\\', '!#[]~', 'f\u007f'] }))
    assert.equal(scope, 'a !#[]~')
  })

  it('may lie within the tolerance of the clocks', async () => {
    const now = Date.now() / 1000
    assert.equal(await codeOf(tokenOf({ exp: now - 4, nbf: now + 4, iat: now + 4 })), 'accepted')
    assert.equal(await codeOf(tokenOf({ exp: now - 6 })), 'ERR_OIDC_ACCESS_TOKEN_EXPIRED')
  })
})

describe('parseAccessToken()', () => {
  it('looks at no token of more than 32 KiB', () => {
    assert.throws(() => parseAccessToken('x'.repeat(32_768)), { code: 'ERR_OIDC_ACCESS_TOKEN_MALFORMED' })
    const tooLarge = { code: 'ERR_OIDC_ACCESS_TOKEN_TOO_LARGE', message: /is larger than 32 KiB/ }
    assert.throws(() => parseAccessToken('x'.repeat(32_769)), tooLarge)
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

  const marks: readonly Members[] = [
    ...[{ scope: '' }, { scp: [] }, { client_id: 'x' }, { cid: 'x' }, { appid: 'x' }, { appidacr: '1' }],
    ...[{ azpacr: '1' }, { permissions: [] }, { gty: 'x' }, { authorization_details: [] }],
    { cnf: { jkt: 'x'.repeat(43) } },
  ]
  for (const mark of marks) {
    it(`is accepted if it has one claim that only access tokens have: ${Object.keys(mark)}`, async () => {
      assert.equal(await codeOf(untyped(mark)), 'accepted')
    })
  }

  it('is accepted without another mark if typ, token_use or token_type calls it an access token', async () => {
    for (const name of ['typ', 'token_use', 'token_type']) {
      for (const word of ['Bearer', 'DPoP', 'access', 'access_token', 'access-token', 'at+jwt'])
        assert.equal(await codeOf(untyped({ [name]: word })), 'accepted', `${name} ${word}`)
      assert.equal(await codeOf(untyped({ [name]: 'bearer ' })), 'ERR_OIDC_ACCESS_TOKEN_TYPE', name)
    }
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

describe('the times of an access token, to the second', () => {
  const NOW = 1_800_000_000
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: NOW * 1000 }))
  afterEach(() => mock.timers.reset())

  // With a tolerance of 5 seconds.
  const rows: readonly [string, Members, string, Partial<typeof EXPECTED>?][] = [
    ['exp in its last second', { exp: NOW - 4 }, 'accepted'],
    ['exp at its end', { exp: NOW - 5 }, 'ERR_OIDC_ACCESS_TOKEN_EXPIRED'],
    ['exp now, without a tolerance', { exp: NOW }, 'ERR_OIDC_ACCESS_TOKEN_EXPIRED', { clockTolerance: 0 }],
    ['nbf at the end of the tolerance', { nbf: NOW + 5 }, 'accepted'],
    ['nbf beyond it', { nbf: NOW + 6 }, 'ERR_OIDC_ACCESS_TOKEN_NOT_BEFORE'],
    ['iat at the end of the tolerance', { iat: NOW + 5 }, 'accepted'],
    ['iat beyond it', { iat: NOW + 6 }, 'ERR_OIDC_ACCESS_TOKEN_ISSUED_AT'],
    ['iat that is as old as it may be', { iat: NOW - 65 }, 'accepted', { maxTokenAge: 60 }],
    ['iat that is older', { iat: NOW - 66 }, 'ERR_OIDC_ACCESS_TOKEN_ISSUED_AT', { maxTokenAge: 60 }],
    ['iat of long ago, without maxTokenAge', { iat: 1 }, 'accepted'],
  ]
  for (const [name, claims, code, expected] of rows) {
    it(`${name}: ${code}`, async () => {
      assert.equal(await codeOf(tokenOf({ exp: NOW + 300, iat: NOW, ...claims }), expected), code)
    })
  }
})
