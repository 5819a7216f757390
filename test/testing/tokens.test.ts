import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, it, mock } from 'node:test'
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify, SignJWT } from 'jose'
import { startTestProvider, type TestProvider } from '../../lib/testing.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { exchange } from '../support/browser/http-exchange.ts'
import { stoppable } from '../support/test-kit/kit-app.ts'
import {
  assertRefused,
  basic,
  codeFields,
  documentAt,
  getCode,
  getTokens,
  jsonOf,
  post,
} from '../support/test-kit/kit-requests.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const JWK = { ...publicKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'one' }

const shared = share(async () =>
  stoppable(
    await startTestProvider({
      users: [{ sub: 'ada', name: 'Ada', email: 'ada@example.com', groups: ['staff'], roles: ['admin'] }],
      clients: [
        { clientId: 'app', clientSecret: 'the secret of the app' },
        { clientId: 'public' },
        { clientId: 'posting', clientSecret: 'a secret', tokenEndpointAuthMethod: 'client_secret_post' },
        { clientId: 'signing', jwks: { keys: [JWK] } },
      ],
    }),
  ),
)
const stopLater = stopAfterEach()

async function verify(provider: TestProvider, token: string): ReturnType<typeof jwtVerify> {
  const keys = (await documentAt(provider, '/jwks')) as unknown as JSONWebKeySet
  return jwtVerify(token, createLocalJWKSet(keys))
}

async function introspect(token: string): Promise<Readonly<Record<string, unknown>>> {
  return jsonOf(await post(shared(), '/introspect', { token }))
}

function assertion(changed: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const { issuer } = shared()
  const claims = { iss: 'signing', sub: 'signing', aud: issuer, jti: crypto.randomUUID(), exp: soon(), ...changed }
  return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(privateKey)
}

function soon(): number {
  return Math.floor(Date.now() / 1000) + 60
}

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Token requests with one thing wrong. `code` is a good one. */
const REFUSED: readonly [name: string, change: Readonly<Record<string, string | undefined>>, error: string][] = [
  ['no grant type', { grant_type: undefined }, 'invalid_request'],
  ['an unknown grant type', { grant_type: 'password' }, 'unsupported_grant_type'],
  ['no code', { code: undefined }, 'invalid_request'],
  ['an unknown code', { code: 'guessed' }, 'invalid_grant'],
  ['another redirect URI', { redirect_uri: 'http://localhost:3000/other' }, 'invalid_grant'],
  ['no redirect URI', { redirect_uri: undefined }, 'invalid_grant'],
  ['a wrong verifier', { code_verifier: 'another-verifier-of-more-than-forty-three-characters' }, 'invalid_grant'],
  ['no verifier', { code_verifier: undefined }, 'invalid_grant'],
  ['a verifier that is too short', { code_verifier: 'short' }, 'invalid_grant'],
]

/** Ways of a client to prove who it is, with one thing wrong. */
const UNAUTHENTICATED: readonly (readonly [
  name: string,
  fields: () => Promise<Readonly<Record<string, string>>>,
  headers: Readonly<Record<string, string>>,
  error: readonly [string, number],
])[] = [
  ['none at all', async () => ({}), {}, ['invalid_client', 401]],
  ['an unknown client', async () => ({}), { authorization: basic('nobody', 'x') }, ['invalid_client', 401]],
  ['a wrong secret', async () => ({}), { authorization: basic('app', 'wrong') }, ['invalid_client', 401]],
  ['a header that is not Basic', async () => ({}), { authorization: 'Bearer x' }, ['invalid_client', 401]],
  ['a secret client without its secret', async () => ({ client_id: 'app' }), {}, ['invalid_client', 401]],
  ['a secret without an id', async () => ({ client_secret: 'a secret' }), {}, ['invalid_client', 401]],
  [
    'a method that it is not registered for',
    async () => ({}),
    { authorization: basic('posting', 'a secret') },
    ['invalid_client', 401],
  ],
  [
    'two methods at once',
    async () => ({ client_id: 'app', client_secret: 'the secret of the app' }),
    { authorization: basic('app', 'the secret of the app') },
    ['invalid_request', 400],
  ],
  [
    'another client_id than that of the header',
    async () => ({ client_id: 'public' }),
    { authorization: basic('app', 'the secret of the app') },
    ['invalid_request', 400],
  ],
  ['an assertion of another type', async () => ({ client_assertion: await assertion() }), {}, ['invalid_request', 400]],
  [
    'an assertion that is no JWT',
    async () => ({ client_assertion: 'x', client_assertion_type: JWT_BEARER }),
    {},
    ['invalid_client', 401],
  ],
  ...(
    [
      ['an assertion for another provider', { aud: 'https://other.example.com' }],
      ['an assertion that has expired', { exp: 1 }],
      ['an assertion of another issuer', { iss: 'app' }],
      ['an assertion without jti', { jti: undefined }],
    ] as const
  ).map(
    ([name, changed]) =>
      [
        name,
        async () => ({ client_assertion: await assertion(changed), client_assertion_type: JWT_BEARER }),
        {},
        ['invalid_client', 401],
      ] as const,
  ),
]

describe('the token endpoint of the test provider', () => {
  it('redeems a code for tokens that its keys have signed', async () => {
    const tokens = await getTokens(shared())
    const { payload, protectedHeader } = await verify(shared(), tokens['id_token'] ?? '')
    const { iat, exp, auth_time, sid, at_hash, ...claims } = payload
    assert.equal(protectedHeader.typ, 'JWT')
    assert.deepEqual(claims, {
      iss: shared().issuer,
      aud: 'app',
      sub: 'ada',
      nonce: 'a-nonce',
      name: 'Ada',
      email: 'ada@example.com',
      groups: ['staff'],
      roles: ['admin'],
    })
    assert.equal(exp, Number(iat) + 3600)
    assert.ok(auth_time && sid && at_hash)
    assert.deepEqual([tokens['token_type'], tokens['expires_in']], ['Bearer', 3600])
  })

  it('withholds the standard claims of scopes that are not granted', async () => {
    const { id_token } = await getTokens(shared(), { scope: 'openid email' })
    const { name, email, groups } = (await verify(shared(), id_token ?? '')).payload
    assert.deepEqual({ name, email, groups }, { name: undefined, email: 'ada@example.com', groups: ['staff'] })
  })

  for (const [name, change, error] of REFUSED) {
    it(`refuses a token request with ${name}`, async () => {
      assertRefused(await post(shared(), '/token', codeFields(await getCode(shared()), change)), error)
    })
  }

  for (const [name, fields, headers, error] of UNAUTHENTICATED) {
    it(`refuses a client that authenticates with ${name}`, async () => {
      const request = { ...codeFields(await getCode(shared())), ...(await fields()) }
      assertRefused(await post(shared(), '/token', request, headers), ...error)
    })
  }

  it('takes a client with a secret in the body, a public one, and one with a key, whose assertion it takes once', async () => {
    const used = await assertion()
    const byKey = { client_assertion: used, client_assertion_type: JWT_BEARER }
    const ways = [{ client_id: 'posting', client_secret: 'a secret' }, { client_id: 'public' }, byKey]
    for (const way of ways) {
      const clientId = 'client_id' in way ? way.client_id : 'signing'
      const code = await getCode(shared(), { client_id: clientId })
      assert.equal((await post(shared(), '/token', codeFields(code, way), {})).status, 200, clientId)
    }
    const code = await getCode(shared(), { client_id: 'signing' })
    assertRefused(await post(shared(), '/token', codeFields(code, byKey), {}), 'invalid_client', 401)
  })

  it('decodes the two parts of Basic credentials as a form', async () => {
    const clients = [{ clientId: 'a b', clientSecret: '100% & more:' }]
    const provider = stopLater(stoppable(await startTestProvider({ clients })))
    const authorization = basic('a+b', '100%25+%26+more%3A')
    const answer = await post(provider, '/token', codeFields(await getCode(provider)), { authorization })
    assert.equal(answer.status, 200, answer.body)
  })

  it('refuses the code of another client', async () => {
    const code = await getCode(shared(), { client_id: 'public' })
    assertRefused(await post(shared(), '/token', codeFields(code)), 'invalid_grant')
  })

  it('refuses a code that was used, and revokes its tokens', async () => {
    const code = await getCode(shared())
    const { access_token: token } = jsonOf(await post(shared(), '/token', codeFields(code)))
    assert.equal((await introspect(String(token)))['active'], true)
    assertRefused(await post(shared(), '/token', codeFields(code)), 'invalid_grant')
    assert.deepEqual(await introspect(String(token)), { active: false })
  })

  it('refuses a code that has expired', async () => {
    const code = await getCode(shared())
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 61_000 })
    const answer = await post(shared(), '/token', codeFields(code)).finally(() => mock.timers.reset())
    assertRefused(answer, 'invalid_grant')
  })

  it('refuses a verifier for a code without a challenge, and takes the code without', async () => {
    const change = { code_challenge: undefined, code_challenge_method: undefined }
    assertRefused(await post(shared(), '/token', codeFields(await getCode(shared(), change))), 'invalid_grant')
    const fields = codeFields(await getCode(shared(), change), { code_verifier: undefined })
    assert.equal((await post(shared(), '/token', fields)).status, 200)
  })

  it('refuses a body that is no form, is too long, or has a parameter twice', async () => {
    const url = new URL(`${shared().issuer}/token`)
    const send = (type: string, body: string): ReturnType<typeof exchange> =>
      exchange({ method: 'POST', url, headers: { 'content-type': type }, body })
    assertRefused(await send('application/json', '{}'), 'invalid_request')
    const form = 'application/x-www-form-urlencoded'
    assertRefused(await send(form, `a=${'b'.repeat(1_000_001)}`), 'invalid_request', 413)
    assertRefused(await send(form, 'grant_type=refresh_token&grant_type=refresh_token'), 'invalid_request')
  })
})

describe('refresh tokens of the test provider', () => {
  it('come with offline_access only', async () => {
    assert.ok((await getTokens(shared()))['refresh_token'])
    assert.equal((await getTokens(shared(), { scope: 'openid' }))['refresh_token'], undefined)
  })

  it('are replaced at each use, and revoked with their grant at a second use', async () => {
    const first = (await getTokens(shared()))['refresh_token']
    const refresh = (token: unknown): ReturnType<typeof post> =>
      post(shared(), '/token', { grant_type: 'refresh_token', refresh_token: String(token) })
    const second = jsonOf(await refresh(first))
    assert.notEqual(second['refresh_token'], first)
    const { nonce, sub } = (await verify(shared(), String(second['id_token']))).payload
    assert.deepEqual({ nonce, sub }, { nonce: undefined, sub: 'ada' })
    assertRefused(await refresh(first), 'invalid_grant')
    assertRefused(await refresh(second['refresh_token']), 'invalid_grant')
  })

  it('give fewer scopes if asked, and never more', async () => {
    const { refresh_token } = await getTokens(shared())
    const refresh = (scope: string): ReturnType<typeof post> =>
      post(shared(), '/token', { grant_type: 'refresh_token', refresh_token, scope })
    assertRefused(await refresh('openid admin'), 'invalid_scope')
    assert.equal(jsonOf(await refresh('openid'))['scope'], 'openid')
  })

  it('are refused if they are unknown, or of another client', async () => {
    const { refresh_token } = await getTokens(shared())
    const fields = { grant_type: 'refresh_token', refresh_token }
    assertRefused(await post(shared(), '/token', { ...fields, refresh_token: 'guessed' }), 'invalid_grant')
    assertRefused(await post(shared(), '/token', { ...fields, client_id: 'public' }, {}), 'invalid_grant')
  })
})

describe('access tokens of the test provider', () => {
  it('are JWTs of the type at+jwt for the API of the option, and of a program by default', async () => {
    const token = await shared().accessToken()
    const { payload, protectedHeader } = await verify(shared(), token)
    const { iat, exp, jti, ...claims } = payload
    assert.equal(protectedHeader.typ, 'at+jwt')
    assert.ok(jti && exp === Number(iat) + 3600)
    const { issuer: iss } = shared()
    assert.deepEqual(claims, { iss, aud: 'https://api.example.com', sub: 'app', client_id: 'app' })
  })

  it('are as the test wants them', async () => {
    const token = await shared().accessToken({
      scope: 'orders:read orders:write',
      audience: ['https://one.example.com', 'https://two.example.com'],
      sub: 'ada',
      clientId: 'public',
      expiresIn: 60,
      claims: { iss: 'https://other.example.com', permissions: ['read'] },
    })
    const { iat, exp, jti, ...claims } = (await verify(shared(), token)).payload
    assert.deepEqual(claims, {
      iss: 'https://other.example.com',
      aud: ['https://one.example.com', 'https://two.example.com'],
      sub: 'ada',
      client_id: 'public',
      scope: 'orders:read orders:write',
      groups: ['staff'],
      roles: ['admin'],
      permissions: ['read'],
    })
    assert.ok(jti && exp === Number(iat) + 60)
  })

  it('can have expired', async () => {
    const token = await shared().accessToken({ expiresIn: -60 })
    await assert.rejects(verify(shared(), token), { code: 'ERR_JWT_EXPIRED' })
    assert.deepEqual(await introspect(token), { active: false })
  })

  it('can be opaque: introspection explains them', async () => {
    const token = await shared().accessToken({ format: 'opaque', scope: 'orders:read', sub: 'ada' })
    assert.throws(() => decodeProtectedHeader(token))
    const { active, scope, sub, aud, client_id } = await introspect(token)
    const expected = {
      active: true,
      scope: 'orders:read',
      sub: 'ada',
      aud: 'https://api.example.com',
      client_id: 'app',
    }
    assert.deepEqual({ active, scope, sub, aud, client_id }, expected)
  })

  it('are granted to clients that ask for themselves, but not to public ones', async () => {
    const fields = { grant_type: 'client_credentials', scope: 'orders:read', resource: 'https://orders.example.com' }
    const answer = jsonOf(await post(shared(), '/token', fields))
    const { sub, aud, scope } = (await verify(shared(), String(answer['access_token']))).payload
    assert.deepEqual({ sub, aud, scope }, { sub: 'app', aud: 'https://orders.example.com', scope: 'orders:read' })
    assert.deepEqual([answer['id_token'], answer['refresh_token']], [undefined, undefined])
    const plain = await post(shared(), '/token', { grant_type: 'client_credentials' })
    assert.equal(jsonOf(plain)['scope'], undefined)
    assertRefused(await post(shared(), '/token', { ...fields, client_id: 'public' }, {}), 'unauthorized_client')
  })
})

describe('introspection and revocation at the test provider', () => {
  it('tell of refresh tokens, and nothing of unknown ones', async () => {
    const { refresh_token = '' } = await getTokens(shared())
    const { active, sub, client_id } = await introspect(refresh_token)
    assert.deepEqual({ active, sub, client_id }, { active: true, sub: 'ada', client_id: 'app' })
    assert.deepEqual(await introspect('unknown'), { active: false })
  })

  it('are closed to clients that do not prove who they are', async () => {
    assertRefused(await post(shared(), '/introspect', { token: 'x' }, {}), 'invalid_client', 401)
    assertRefused(await post(shared(), '/introspect', { token: 'x', client_id: 'public' }, {}), 'invalid_client', 401)
    assertRefused(await post(shared(), '/revoke', { token: 'x' }, {}), 'invalid_client', 401)
  })

  it('revoke an access token alone, and a refresh token with all of its grant', async () => {
    const { access_token = '', refresh_token = '' } = await getTokens(shared())
    await post(shared(), '/revoke', { token: access_token })
    assert.equal((await introspect(access_token))['active'], false)
    assert.equal((await introspect(refresh_token))['active'], true)
    const other = await getTokens(shared())
    await post(shared(), '/revoke', { token: other['refresh_token'] })
    assert.equal((await introspect(other['access_token'] ?? ''))['active'], false)
    assert.equal((await introspect(other['refresh_token'] ?? ''))['active'], false)
  })

  it('take an unknown token for revoked, and refuse that of another client', async () => {
    const { status, body } = await post(shared(), '/revoke', { token: 'unknown' })
    assert.deepEqual([status, body], [200, ''])
    const { access_token } = await getTokens(shared())
    assertRefused(await post(shared(), '/revoke', { token: access_token, client_id: 'public' }, {}), 'invalid_request')
  })
})
