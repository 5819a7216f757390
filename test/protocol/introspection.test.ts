import assert from 'node:assert/strict'
import { generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { after, before, describe, it, mock } from 'node:test'
import { CompactEncrypt } from 'jose'
import { type ErrorCode, OidcError, ProviderError } from '../../lib/errors.ts'
import { createClientKeys } from '../../lib/jose/client-keys.ts'
import type { AccessTokenGrant } from '../../lib/protocol/access-token-claims.ts'
import {
  type IntrospectionClient,
  type IntrospectionExpectations,
  introspectToken,
} from '../../lib/protocol/introspection.ts'
import { createIntrospectionCache } from '../../lib/protocol/introspection-cache.ts'
import { createDpopNonces } from '../../lib/provider/dpop-nonces.ts'
import { createHttpClient } from '../../lib/provider/http-client.ts'
import { createKeyStore } from '../../lib/provider/keys.ts'
import { createSigningKeys, signJws } from '../support/app/signing-keys.ts'
import { startProvider, type TestProvider } from '../support/servers/provider.ts'

type Members = Readonly<Record<string, unknown>>

const ISSUER = 'https://as.example.com'
const ENDPOINT = `${ISSUER}/introspect`
const AUDIENCE = 'https://api.example.com'
const TOKEN = 'an-opaque.token~with+all/kinds_of-characters=='
const SECRET = 'a client secret of more than thirty-two octets'
const now = (): number => Math.floor(Date.now() / 1000)
const keys = createSigningKeys()
const recipient = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const EXPECTED: IntrospectionExpectations = {
  issuer: ISSUER,
  audience: [AUDIENCE],
  audienceClaim: 'aud',
  allowMissingSub: false,
  dangerouslyAllowUnmarkedTokens: false,
  clockTolerance: 5,
}

const good = (): Members => ({
  active: true,
  iss: ISSUER,
  aud: AUDIENCE,
  sub: 'alice',
  client_id: 'cli-1',
  scope: 'orders:read profile',
  token_type: 'Bearer',
  exp: now() + 300,
  iat: now(),
})

/** What the server was sent, and how it answers. */
interface Sent {
  readonly url: string
  readonly headers: Headers
  readonly form: URLSearchParams
}
type Answer = (sent: Sent) => Response | Promise<Response>

const json = (members: unknown, init: ResponseInit = {}): Response =>
  new Response(JSON.stringify(members), { ...init, headers: { 'content-type': 'application/json', ...init.headers } })

const CONFIG: IntrospectionClient['config'] = {
  issuer: ISSUER,
  clientId: 'api',
  clientSecret: SECRET,
  profile: undefined,
  tokenEndpointAuthMethod: 'client_secret_basic',
  tokenEndpointAuthSigningAlg: undefined,
  clientAssertionAudience: undefined,
  tlsClientCertificate: undefined,
  dangerouslyAllowInsecureRequests: false,
}

/** A server whose every answer to an introspection is this one. */
function serverOf(answer: Answer, config: Partial<IntrospectionClient['config']> = {}, metadata: Members = {}) {
  const sent: Sent[] = []
  const http = createHttpClient({
    timeout: 5,
    dangerouslyAllowInsecureRequests: false,
    fetch: async (url, { headers, body }) => {
      if (url.endsWith('/jwks')) return json({ keys: [keys.p256.jwk, keys.rsa.jwk] })
      const one = { url, headers: new Headers(headers), form: new URLSearchParams(String(body)) }
      sent.push(one)
      return await answer(one)
    },
  })
  const client: IntrospectionClient = {
    config: { ...CONFIG, ...config },
    metadata: { introspection_endpoint: ENDPOINT, ...metadata } as IntrospectionClient['metadata'],
    http,
    clientKeys: createClientKeys([privateJwk(recipient.privateKey.export({ format: 'jwk' }))]),
    dpopNonces: createDpopNonces(),
    keys: createKeyStore(http, `${ISSUER}/jwks`),
  }
  return { client, sent }
}

function privateJwk(jwk: JsonWebKey) {
  return { ...jwk, kty: 'EC', kid: 'ours' } as Parameters<typeof createClientKeys>[0][number]
}

function introspect(
  answer: Answer,
  expected: Partial<IntrospectionExpectations> = {},
  token = TOKEN,
): Promise<AccessTokenGrant> {
  return introspectToken(serverOf(answer).client, token, { ...EXPECTED, ...expected })
}

/** `Promise.withResolvers()`, which Node 20 does not have. */
function deferred<Value>(): { readonly promise: Promise<Value>; readonly resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => {}
  const promise = new Promise<Value>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

async function errorOf(work: Promise<unknown>): Promise<OidcError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OidcError, `no error of ours: ${error}`)
  assert.ok(!error.message.includes(TOKEN) && !error.message.includes(SECRET) && !error.message.includes('alice'))
  return error
}

/** A signed response (RFC 9701 5), of which a row changes one thing. */
interface SignedDraft {
  readonly header: Members
  readonly claims: Members
  readonly key: Parameters<typeof signJws>[1]
  readonly alg: string
  readonly type: string
}

const signedDraft = (): SignedDraft => ({
  header: { alg: 'ES256', typ: 'token-introspection+jwt', kid: keys.p256.kid },
  claims: { iss: ISSUER, aud: 'api', iat: now(), token_introspection: good() },
  key: keys.p256.privateKey,
  alg: 'ES256',
  type: 'application/token-introspection+jwt',
})

const signedOf = ({ header, claims, key, alg, type }: SignedDraft): Response =>
  new Response(signJws(alg, key, header, claims), { headers: { 'content-type': type } })

describe('introspectToken()', () => {
  it('posts the token with its hint, and answers with what it grants', async () => {
    const exp = now() + 300
    const { client, sent } = serverOf(() => json({ ...good(), exp, uid: '00u1', username: 'Alice' }))
    const grant = await introspectToken(client, TOKEN, EXPECTED)
    const [{ url, headers, form } = sent[0] as Sent] = sent
    assert.deepEqual([url, Object.fromEntries(form)], [ENDPOINT, { token: TOKEN, token_type_hint: 'access_token' }])
    assert.equal(headers.get('accept'), 'application/json')
    assert.match(headers.get('authorization') ?? '', /^Basic /)
    assert.deepEqual(
      [grant.scope, grant.clientId, grant.expiresAt, grant.confirmation],
      ['orders:read profile', 'cli-1', exp, undefined],
    )
    assert.deepEqual([grant.claims['sub'], grant.claims['uid'], grant.claims['iss']], ['alice', '00u1', ISSUER])
    assert.equal(Object.hasOwn(grant.claims, 'active'), false)
    assert.ok(Object.isFrozen(grant.claims))
  })

  const accepted: readonly (readonly [string, Members, Partial<IntrospectionExpectations>?])[] = [
    ['without iss', { iss: undefined }],
    ['without exp', { exp: undefined }],
    ['with members that are null or empty', { exp: null, nbf: null, username: '', cnf: null }],
    ['with a list of audiences', { aud: ['other', AUDIENCE] }],
    ['with scp as a list', { scope: undefined, scp: ['orders:read', 'profile'] }],
    ['without sub, if that is allowed', { sub: undefined }, { allowMissingSub: true }],
    ['with client_id as its audience', { aud: undefined }, { audienceClaim: 'client_id', audience: ['cli-1'] }],
    ['with token_type in small letters', { token_type: 'bearer' }],
    ['without token_type', { token_type: undefined }],
    ['that has just expired', { exp: Math.floor(Date.now() / 1000) - 2 }],
    ["with Keycloak's typ", { typ: 'Bearer' }],
  ]
  for (const [name, change, expected] of accepted) {
    it(`accepts a response ${name}`, async () => {
      const { claims } = await introspect(() => json({ ...good(), ...change }), expected)
      assert.equal(claims['iss'], ISSUER)
    })
  }

  it('accepts a token of 32 KiB', async () => {
    assert.equal((await introspect(() => json(good()), {}, 'a'.repeat(32_768))).clientId, 'cli-1')
  })

  it('hands on what a token is bound to', async () => {
    const cnf = { jkt: 'A'.repeat(43), 'x5t#S256': 'B'.repeat(43) }
    const { confirmation } = await introspect(() => json({ ...good(), token_type: 'DPoP', cnf }))
    assert.deepEqual(confirmation, cnf)
  })

  it('says of a token without exp that nobody knows when it expires', async () => {
    const { expiresAt, claims } = await introspect(() => json({ ...good(), exp: undefined }))
    assert.deepEqual([expiresAt, Object.hasOwn(claims, 'exp')], [Number.POSITIVE_INFINITY, false])
  })

  it('takes claims that have the names of members of every object for what they are', async () => {
    const response = JSON.stringify(good()).replace('{', '{"__proto__":{"scope":"admin"},')
    const { scope } = await introspect(
      () => new Response(response, { headers: { 'content-type': 'application/json' } }),
    )
    assert.equal(scope, 'orders:read profile')
  })
})

describe('a token that is never sent', () => {
  const rows: readonly (readonly [string, string, ErrorCode])[] = [
    ['an empty one', '', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one of more than 32 KiB', 'a'.repeat(32_769), 'ERR_OIDC_ACCESS_TOKEN_TOO_LARGE'],
    ['one with a space', 'a b', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one with a line break', 'a\r\nb', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one with a line break at its end', 'a\n', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one with = inside', 'a=b', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one that is = alone', '==', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one with a quote', 'a"b', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one with a comma', 'a,b', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one with & and a field', 'a&client_id=b', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one with a NUL', 'a\0b', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
    ['one with a letter beyond ASCII', 'tok\u00e9n', 'ERR_OIDC_ACCESS_TOKEN_MALFORMED'],
  ]
  for (const [name, token, code] of rows) {
    it(`is ${name}`, async () => {
      const { client, sent } = serverOf(() => json(good()))
      const error = await introspectToken(client, token, EXPECTED).catch((reason: unknown) => reason)
      assert.ok(error instanceof OidcError)
      assert.deepEqual([error.code, error.status, sent.length], [code, 401, 0])
      if (code === 'ERR_OIDC_ACCESS_TOKEN_TOO_LARGE') assert.match(error.message, /is larger than 32 KiB/)
    })
  }
})

describe('a hostile introspection response', () => {
  const TOKEN_CODES: readonly (readonly [string, Members, ErrorCode])[] = [
    ['active: false', { active: false }, 'ERR_OIDC_ACCESS_TOKEN_INACTIVE'],
    ['another issuer', { iss: 'https://evil.example' }, 'ERR_OIDC_ACCESS_TOKEN_ISSUER'],
    ['an issuer with a slash more', { iss: `${ISSUER}/` }, 'ERR_OIDC_ACCESS_TOKEN_ISSUER'],
    ['another audience', { aud: 'https://other.example.com' }, 'ERR_OIDC_ACCESS_TOKEN_AUDIENCE'],
    ['no audience', { aud: undefined }, 'ERR_OIDC_ACCESS_TOKEN_AUDIENCE'],
    ['an empty audience', { aud: '' }, 'ERR_OIDC_ACCESS_TOKEN_AUDIENCE'],
    ['an empty list of audiences', { aud: [] }, 'ERR_OIDC_ACCESS_TOKEN_AUDIENCE'],
    ['an audience that only begins so', { aud: `${AUDIENCE}.evil.example` }, 'ERR_OIDC_ACCESS_TOKEN_AUDIENCE'],
    ['exp in the past', { exp: now() - 60 }, 'ERR_OIDC_ACCESS_TOKEN_EXPIRED'],
    ['exp 0', { exp: 0 }, 'ERR_OIDC_ACCESS_TOKEN_EXPIRED'],
    ['nbf in the future', { nbf: now() + 60 }, 'ERR_OIDC_ACCESS_TOKEN_NOT_BEFORE'],
    ['iat in the future', { iat: now() + 60 }, 'ERR_OIDC_ACCESS_TOKEN_ISSUED_AT'],
    ['no sub', { sub: undefined }, 'ERR_OIDC_ACCESS_TOKEN_SUBJECT'],
    ['an empty sub', { sub: '' }, 'ERR_OIDC_ACCESS_TOKEN_SUBJECT'],
    ['token_type refresh_token', { token_type: 'refresh_token' }, 'ERR_OIDC_ACCESS_TOKEN_TYPE'],
    ['token_type N_A', { token_type: 'N_A' }, 'ERR_OIDC_ACCESS_TOKEN_TYPE'],
    ['token_type mac', { token_type: 'mac' }, 'ERR_OIDC_ACCESS_TOKEN_TYPE'],
    ["Hydra's token_use of a refresh token", { token_use: 'refresh_token' }, 'ERR_OIDC_ACCESS_TOKEN_TYPE'],
    ["Keycloak's typ of a refresh token", { typ: 'Refresh' }, 'ERR_OIDC_ACCESS_TOKEN_TYPE'],
    ["Keycloak's typ of an ID Token", { typ: 'ID' }, 'ERR_OIDC_ACCESS_TOKEN_TYPE'],
    ['the hash of an ID Token', { at_hash: 'abc' }, 'ERR_OIDC_ACCESS_TOKEN_TYPE'],
    ['the events of a logout token', { events: {} }, 'ERR_OIDC_ACCESS_TOKEN_TYPE'],
    [
      'no mark of an access token',
      { scope: undefined, client_id: undefined, token_type: undefined },
      'ERR_OIDC_ACCESS_TOKEN_TYPE',
    ],
    ['token_type DPoP without cnf', { token_type: 'DPoP' }, 'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION'],
    [
      'token_type DPoP with a certificate alone',
      { token_type: 'dpop', cnf: { 'x5t#S256': 'A'.repeat(43) } },
      'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION',
    ],
    ['an unknown member of cnf', { cnf: { jwk: {} } }, 'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION'],
    [
      'an unknown member of cnf beside a known one',
      { cnf: { jkt: 'A'.repeat(43), osc: {} } },
      'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION',
    ],
    ['an empty cnf', { cnf: {} }, 'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION'],
    ['a jkt that is no thumbprint', { cnf: { jkt: 'abc' } }, 'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION'],
  ]
  for (const [name, change, code] of TOKEN_CODES) {
    it(`refuses the token for ${name}`, async () => {
      const error = await errorOf(introspect(() => json({ ...good(), ...change })))
      assert.deepEqual([error.code, error.status], [code, 401])
    })
  }

  const NOT_BOOLEAN = ['true', 'false', 1, 0, null, undefined, '', [], [true], {}]
  const RESPONSES: readonly (readonly [string, Members])[] = [
    ...NOT_BOOLEAN.map((active) => [`active: ${JSON.stringify(active)}`, { active }] as const),
    ...[String(now() + 300), true, {}, [now() + 300], 1e300].map(
      (exp) => [`exp: ${JSON.stringify(exp)}`, { exp }] as const,
    ),
    ['nbf as text', { nbf: String(now()) }],
    ['iat as text', { iat: String(now()) }],
    ['iss in a list', { iss: [ISSUER] }],
    ['sub as a number', { sub: 5 }],
    ['client_id in a list', { client_id: ['cli-1'] }],
    ['username as a number', { username: 5 }],
    ['jti as a number', { jti: 5 }],
    ['token_type in a list', { token_type: ['Bearer'] }],
    ['scope as an object', { scope: { 'orders:read': true } }],
    ['scope with a list inside', { scope: [['orders:read']] }],
    ['scp as an object', { scp: { 'orders:read': true } }],
    ['scp with a list inside', { scp: [['orders:read']] }],
    ['aud as an object', { aud: { [AUDIENCE]: true } }],
    ['aud as a number', { aud: 5 }],
    ['cnf as text', { cnf: 'A'.repeat(43) }],
    ['cnf as a list', { cnf: [] }],
  ]
  for (const [name, change] of RESPONSES) {
    it(`says that the server is at fault for ${name}`, async () => {
      const error = await errorOf(introspect(() => json({ ...good(), ...change })))
      assert.deepEqual([error.code, error.status, error.expose], ['ERR_OIDC_INTROSPECTION_RESPONSE', 502, false])
    })
  }

  const html = { 'content-type': 'text/html' }
  const FORMS: readonly (readonly [string, Answer, ErrorCode, number])[] = [
    ['HTML', () => new Response('<p>Hello', { headers: html }), 'ERR_OIDC_INTROSPECTION_RESPONSE', 502],
    ['JSON as HTML', () => json(good(), { headers: html }), 'ERR_OIDC_INTROSPECTION_RESPONSE', 502],
    ['a list', () => json([good()]), 'ERR_OIDC_INTROSPECTION_RESPONSE', 502],
    [
      'broken JSON',
      () => new Response('{"active":true', { headers: { 'content-type': 'application/json' } }),
      'ERR_OIDC_INTROSPECTION_RESPONSE',
      502,
    ],
    ['no body', () => new Response(null, { status: 200 }), 'ERR_OIDC_INTROSPECTION_RESPONSE', 502],
    ['status 204', () => new Response(null, { status: 204 }), 'ERR_OIDC_INTROSPECTION_REQUEST', 502],
    ['status 201', () => json(good(), { status: 201 }), 'ERR_OIDC_INTROSPECTION_REQUEST', 502],
    ['more than 1 MiB', () => json({ ...good(), fat: 'a'.repeat(1_100_000) }), 'ERR_OIDC_INTROSPECTION_RESPONSE', 502],
    [
      'a redirect',
      () => new Response(null, { status: 302, headers: { location: 'https://evil.example/' } }),
      'ERR_OIDC_INTROSPECTION_RESPONSE',
      502,
    ],
    ['a signed response that is not expected', () => signedOf(signedDraft()), 'ERR_OIDC_INTROSPECTION_RESPONSE', 502],
    [
      'JSON that says it is signed',
      () => json(good(), { headers: { 'content-type': 'application/token-introspection+jwt' } }),
      'ERR_OIDC_INTROSPECTION_RESPONSE',
      502,
    ],
    [
      '401 invalid_client',
      () => json({ error: 'invalid_client' }, { status: 401 }),
      'ERR_OIDC_INTROSPECTION_REQUEST',
      502,
    ],
    [
      '400 invalid_grant',
      () => json({ error: 'invalid_grant' }, { status: 400 }),
      'ERR_OIDC_INTROSPECTION_REQUEST',
      502,
    ],
    ['403 that says active: true', () => json(good(), { status: 403 }), 'ERR_OIDC_INTROSPECTION_REQUEST', 502],
    ['404', () => json({}, { status: 404 }), 'ERR_OIDC_INTROSPECTION_REQUEST', 502],
    ['500', () => json({}, { status: 500 }), 'ERR_OIDC_INTROSPECTION_UNAVAILABLE', 503],
    ['500 that says active: true', () => json(good(), { status: 500 }), 'ERR_OIDC_INTROSPECTION_UNAVAILABLE', 503],
    ['503', () => json({}, { status: 503 }), 'ERR_OIDC_INTROSPECTION_UNAVAILABLE', 503],
    ['429', () => json({}, { status: 429 }), 'ERR_OIDC_INTROSPECTION_UNAVAILABLE', 503],
    [
      'not HTTP',
      () => Promise.reject(Object.assign(new Error('x'), { code: 'HPE_INVALID_CONSTANT' })),
      'ERR_OIDC_INTROSPECTION_RESPONSE',
      502,
    ],
    ['no connection', () => Promise.reject(new TypeError('fetch failed')), 'ERR_OIDC_INTROSPECTION_UNAVAILABLE', 503],
  ]
  for (const [name, answer, code, status] of FORMS) {
    it(`is ${name}`, async () => {
      const error = await errorOf(introspect(answer))
      assert.deepEqual([error.code, error.status, error.expose], [code, status, false])
      assert.equal(error.headers['Retry-After'], status === 503 ? '5' : undefined)
    })
  }

  it('repeats neither token nor secret in an error of ours', async () => {
    const error = await errorOf(
      introspect(({ form }) =>
        json({ error: 'invalid_request', error_description: `${form.get('token')} ${SECRET}` }, { status: 400 }),
      ),
    )
    assert.ok(error instanceof ProviderError)
    assert.equal(error.refusal?.errorDescription, '******** ********')
  })

  it('names the time to wait if the server does', async () => {
    const error = await errorOf(introspect(() => json({}, { status: 429, headers: { 'retry-after': '17' } })))
    assert.equal(error.headers['Retry-After'], '17')
  })

  it('does not respond within the time limit', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      const { promise, resolve } = deferred<void>()
      const work = errorOf(
        introspect(() => {
          resolve()
          return new Promise(() => {})
        }),
      )
      await promise
      mock.timers.tick(5000)
      const error = await work
      assert.deepEqual([error.code, error.headers['Retry-After']], ['ERR_OIDC_INTROSPECTION_UNAVAILABLE', '5'])
    } finally {
      mock.timers.reset()
    }
  })

  it('is never requested without an endpoint', async () => {
    const { client, sent } = serverOf(() => json(good()), {}, { introspection_endpoint: undefined })
    const error = await errorOf(introspectToken(client, TOKEN, EXPECTED))
    assert.deepEqual([error.code, sent.length], ['ERR_OIDC_METADATA_INVALID', 0])
  })

  for (const [name, endpoint] of [
    ['over plain http', 'http://as.example.com/introspect'],
    ['at a URL with a password', 'https://api:word@as.example.com/introspect'],
  ]) {
    it(`is never requested ${name}`, async () => {
      const { client, sent } = serverOf(() => json(good()), {}, { introspection_endpoint: endpoint })
      const error = await errorOf(introspectToken(client, TOKEN, EXPECTED))
      assert.deepEqual([error.code, sent.length], ['ERR_OIDC_METADATA_INVALID', 0])
    })
  }
})

describe('a signed introspection response', () => {
  const signed = { signedResponseAlg: 'ES256' }

  it('is requested and verified', async () => {
    const { client, sent } = serverOf(() => signedOf(signedDraft()))
    const grant = await introspectToken(client, TOKEN, { ...EXPECTED, ...signed })
    assert.equal(grant.claims['sub'], 'alice')
    assert.equal(sent[0]?.headers.get('accept'), 'application/token-introspection+jwt')
  })

  it('may be signed with the client secret, if that is registered', async () => {
    const draft = {
      ...signedDraft(),
      alg: 'HS256',
      key: SECRET,
      header: { alg: 'HS256', typ: 'token-introspection+jwt' },
    }
    const grant = await introspect(() => signedOf(draft), { signedResponseAlg: 'HS256' })
    assert.equal(grant.clientId, 'cli-1')
  })

  it('is decrypted, if it must be encrypted', async () => {
    const { client } = serverOf(async () => {
      const { header, claims, key, alg, type } = signedDraft()
      const jwe = await new CompactEncrypt(Buffer.from(signJws(alg, key, header, claims)))
        .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A128GCM', cty: 'JWT', kid: 'ours' })
        .encrypt(recipient.publicKey)
      return new Response(jwe, { headers: { 'content-type': type } })
    })
    const ourKeys = createClientKeys([privateJwk(recipient.privateKey.export({ format: 'jwk' }))])
    const encryption = { alg: 'ECDH-ES', enc: 'A128GCM', keys: ourKeys }
    assert.equal(
      (await introspectToken(client, TOKEN, { ...EXPECTED, ...signed, encryption })).scope,
      'orders:read profile',
    )
    const error = await errorOf(introspect(() => signedOf(signedDraft()), { ...signed, encryption }))
    assert.equal(error.code, 'ERR_OIDC_INTROSPECTION_RESPONSE')
  })

  type Change = (draft: SignedDraft) => SignedDraft
  const header =
    (members: Members): Change =>
    (draft) => ({ ...draft, header: { ...draft.header, ...members } })
  const claims =
    (members: Members): Change =>
    (draft) => ({ ...draft, claims: { ...draft.claims, ...members } })
  const rows: readonly (readonly [string, Change])[] = [
    ['plain JSON as its type', (draft) => ({ ...draft, type: 'application/json' })],
    ['application/jwt as its type', (draft) => ({ ...draft, type: 'application/jwt' })],
    [
      'the right type behind another',
      (draft) => ({ ...draft, type: 'text/plain, application/token-introspection+jwt' }),
    ],
    ['no typ', header({ typ: undefined })],
    ['typ JWT', header({ typ: 'JWT' })],
    ['typ at+jwt', header({ typ: 'at+jwt' })],
    ['alg none', (draft) => ({ ...draft, alg: 'none', header: { ...draft.header, alg: 'none' } })],
    [
      'another alg',
      (draft) => ({
        ...draft,
        alg: 'RS256',
        key: keys.rsa.privateKey,
        header: { ...draft.header, alg: 'RS256', kid: keys.rsa.kid },
      }),
    ],
    [
      'HS256 with the client secret',
      (draft) => ({ ...draft, alg: 'HS256', key: SECRET, header: { ...draft.header, alg: 'HS256' } }),
    ],
    ['a key that is not published', (draft) => ({ ...draft, key: recipient.privateKey })],
    ['the kid of another key', header({ kid: 'unknown' })],
    ['crit', header({ crit: ['exp'] })],
    ['another issuer', claims({ iss: 'https://evil.example' })],
    ['no issuer', claims({ iss: undefined })],
    ['another audience', claims({ aud: 'another api' })],
    ['no audience', claims({ aud: undefined })],
    ['no iat', claims({ iat: undefined })],
    ['an iat of two minutes ago', claims({ iat: now() - 120 })],
    ['an iat in the future', claims({ iat: now() + 120 })],
    ['an exp in the past', claims({ exp: now() - 60 })],
    ['no token_introspection', claims({ token_introspection: undefined })],
    ['token_introspection as text', claims({ token_introspection: JSON.stringify(good()) })],
    ['its members at the top', (draft) => ({ ...draft, claims: { ...good(), iss: ISSUER, aud: 'api', iat: now() } })],
  ]
  for (const [name, change] of rows) {
    it(`is refused with ${name}`, async () => {
      const error = await errorOf(introspect(() => signedOf(change(signedDraft())), signed))
      assert.deepEqual([error.code, error.status], ['ERR_OIDC_INTROSPECTION_RESPONSE', 502])
    })
  }

  it('is never replaced by plain JSON', async () => {
    const error = await errorOf(introspect(() => json(good()), signed))
    assert.equal(error.code, 'ERR_OIDC_INTROSPECTION_RESPONSE')
  })

  it('is not verified without keys', async () => {
    const { client } = serverOf(() => signedOf(signedDraft()))
    const error = await errorOf(introspectToken({ ...client, keys: undefined }, TOKEN, { ...EXPECTED, ...signed }))
    assert.equal(error.code, 'ERR_OIDC_INTROSPECTION_RESPONSE')
  })

  it('is verified with a key of one tenant only if that tenant has issued it', async () => {
    const member = { iss: `${ISSUER}/t-1`, tid: 't-1' }
    const draft = claims({ ...member, token_introspection: { ...good(), ...member } })(signedDraft())
    const introspectWithKeyOf = (tenant: string) => {
      const json = { keys: [{ ...keys.p256.jwk, issuer: `${ISSUER}/${tenant}` }] }
      const keyStore = createKeyStore({ getJson: async () => ({ json, headers: new Headers() }) }, `${ISSUER}/jwks`)
      const { client } = serverOf(() => signedOf(draft))
      const expected = { ...EXPECTED, ...signed, issuer: `${ISSUER}/{tenantid}` }
      return introspectToken({ ...client, keys: keyStore }, TOKEN, expected)
    }
    assert.equal((await introspectWithKeyOf('t-1')).claims['sub'], 'alice')
    assert.equal((await errorOf(introspectWithKeyOf('t-2'))).code, 'ERR_OIDC_INTROSPECTION_RESPONSE')
  })

  it('refuses a token that is not active', async () => {
    const error = await errorOf(
      introspect(() => signedOf(claims({ token_introspection: { active: false } })(signedDraft())), signed),
    )
    assert.equal(error.code, 'ERR_OIDC_ACCESS_TOKEN_INACTIVE')
  })
})

describe('a client with a TLS certificate', () => {
  it('introspects at the alias, and is named in the form', async () => {
    const alias = 'https://mtls.as.example.com/introspect'
    const { client, sent } = serverOf(
      () => json(good()),
      { tokenEndpointAuthMethod: 'tls_client_auth' },
      {
        mtls_endpoint_aliases: { introspection_endpoint: alias },
      },
    )
    await introspectToken(client, TOKEN, EXPECTED)
    assert.deepEqual(
      [sent[0]?.url, sent[0]?.form.get('client_id'), sent[0]?.headers.get('authorization')],
      [alias, 'api', null],
    )
  })
})

describe('createIntrospectionCache()', () => {
  const grant = (change: Partial<AccessTokenGrant> = {}): AccessTokenGrant => {
    const claims = Object.freeze({ iss: ISSUER, sub: 'alice' })
    return {
      claims,
      scope: '',
      authorizationDetails: [],
      clientId: 'cli-1',
      expiresAt: now() + 300,
      confirmation: undefined,
      ...change,
    }
  }
  const inactive = new OidcError('ERR_OIDC_ACCESS_TOKEN_INACTIVE', 'The access token is not active.')

  /** Counts the requests for each token. */
  function counting(
    settings = { maxBytes: 1_000_000, maxAge: 60 },
    answer: () => Promise<AccessTokenGrant> = async () => grant(),
  ) {
    const requests: string[] = []
    const cache = createIntrospectionCache(settings)
    return {
      requests,
      ask: (token: string): Promise<AccessTokenGrant> =>
        cache(token, () => {
          requests.push(token)
          return answer()
        }),
    }
  }

  /** Runs work with a clock that only moves when it is told to. */
  async function withClock(work: (tick: (seconds: number) => void) => Promise<void>): Promise<void> {
    mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
    try {
      await work((seconds) => mock.timers.tick(seconds * 1000))
    } finally {
      mock.timers.reset()
    }
  }

  it('remembers an active token for maxAge seconds', () =>
    withClock(async (tick) => {
      const { ask, requests } = counting()
      const first = await ask('a')
      tick(59)
      assert.equal(await ask('a'), first)
      tick(1)
      await ask('a')
      assert.deepEqual(requests, ['a', 'a'])
    }))

  it('never remembers it for longer than it is valid', () =>
    withClock(async (tick) => {
      const { ask, requests } = counting(undefined, async () => grant({ expiresAt: now() + 10 }))
      await ask('a')
      tick(9)
      await ask('a')
      tick(1)
      await ask('a')
      assert.equal(requests.length, 2)
    }))

  it('does not remember one that has expired within clockTolerance', () =>
    withClock(async () => {
      const { ask, requests } = counting(undefined, async () => grant({ expiresAt: now() - 1 }))
      await ask('a')
      await ask('a')
      assert.equal(requests.length, 2)
    }))

  it('remembers for five seconds that a token is not active', () =>
    withClock(async (tick) => {
      const { ask, requests } = counting(undefined, () => Promise.reject(inactive))
      await assert.rejects(ask('a'), inactive)
      tick(4)
      await assert.rejects(ask('a'), inactive)
      tick(1)
      await assert.rejects(ask('a'), inactive)
      assert.equal(requests.length, 2)
    }))

  it('remembers nothing with maxAge 0', async () => {
    const { ask, requests } = counting({ maxBytes: 1_000_000, maxAge: 0 })
    await ask('a')
    await ask('a')
    assert.equal(requests.length, 2)
    const refusing = counting({ maxBytes: 1_000_000, maxAge: 0 }, () => Promise.reject(inactive))
    await assert.rejects(refusing.ask('a'), inactive)
    await assert.rejects(refusing.ask('a'), inactive)
    assert.equal(refusing.requests.length, 2)
  })

  it('remembers no other failure', async () => {
    const failures = [
      new ProviderError('ERR_OIDC_INTROSPECTION_RESPONSE', 'x'),
      new ProviderError('ERR_OIDC_INTROSPECTION_UNAVAILABLE', 'x', { retryAfter: 5 }),
      new OidcError('ERR_OIDC_ACCESS_TOKEN_AUDIENCE', 'x'),
      new Error('x'),
    ]
    for (const failure of failures) {
      const { ask, requests } = counting(undefined, () => Promise.reject(failure))
      await assert.rejects(ask('a'), failure)
      await assert.rejects(ask('a'), failure)
      assert.equal(requests.length, 2)
    }
  })

  it('shares one request between callers with the same token, and its failure', async () => {
    const { promise, resolve } = deferred<AccessTokenGrant>()
    const { ask, requests } = counting(undefined, () => promise)
    const all = Promise.all([ask('a'), ask('a'), ask('b')])
    resolve(grant())
    await all
    assert.deepEqual(requests, ['a', 'b'])
    const failing = counting(undefined, () => Promise.reject(inactive))
    const outcomes = await Promise.allSettled([failing.ask('a'), failing.ask('a')])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    assert.equal(failing.requests.length, 1)
  })

  it('keeps to its bytes: the entry that was not used for the longest time goes first', async () => {
    // Each entry takes about 750 bytes.
    const { ask, requests } = counting({ maxBytes: 2000, maxAge: 60 })
    await ask('a')
    await ask('b')
    await ask('a')
    await ask('c')
    await ask('a')
    assert.deepEqual(requests, ['a', 'b', 'c'])
    await ask('b')
    assert.deepEqual(requests, ['a', 'b', 'c', 'b'])
  })

  it('does not remember an answer that is larger than the memory, and forgets no other one for it', async () => {
    const answers = [grant(), grant({ claims: { fat: 'a'.repeat(10_000) } })]
    const { ask, requests } = counting({ maxBytes: 10_000, maxAge: 60 }, async () => answers.shift() ?? grant())
    for (const token of ['a', 'fat', 'a', 'fat']) await ask(token)
    assert.deepEqual(requests, ['a', 'fat', 'fat'])
  })

  it('forgets no token for one that has expired within clockTolerance', async () => {
    const answers = [grant(), grant(), grant({ expiresAt: now() - 1 })]
    // Room for two entries.
    const { ask, requests } = counting({ maxBytes: 2000, maxAge: 60 }, async () => answers.shift() ?? grant())
    for (const token of ['a', 'b', 'expired', 'a', 'b']) await ask(token)
    assert.deepEqual(requests, ['a', 'b', 'expired'])
  })

  it('remembers nothing with maxBytes 0', async () => {
    const { ask, requests } = counting({ maxBytes: 0, maxAge: 60 })
    await ask('a')
    await ask('a')
    assert.equal(requests.length, 2)
  })

  it('loses no active token to a flood of invented ones', async () => {
    let isActive = true
    const { ask, requests } = counting({ maxBytes: 20_000, maxAge: 60 }, async () => {
      if (isActive) return grant()
      throw inactive
    })
    await ask('a')
    isActive = false
    for (let index = 0; index < 500; index += 1) await assert.rejects(ask(`invented-${index}`), inactive)
    await ask('a')
    assert.equal(requests.filter((token) => token === 'a').length, 1)
  })

  it('remembers refusals within an eighth of its bytes', async () => {
    // Each refusal takes 600 bytes, so there is room for two.
    const { ask, requests } = counting({ maxBytes: 9600, maxAge: 60 }, () => Promise.reject(inactive))
    for (const token of ['a', 'b', 'a', 'c', 'a', 'b']) await assert.rejects(ask(token), inactive)
    assert.deepEqual(requests, ['a', 'b', 'c', 'b'])
    const one = counting({ maxBytes: 4800, maxAge: 60 }, () => Promise.reject(inactive))
    for (const token of ['a', 'a', 'b', 'b']) await assert.rejects(one.ask(token), inactive)
    assert.deepEqual(one.requests, ['a', 'b'])
  })

  it('sends no request while the server asks for a pause, but uses what it remembers', () =>
    withClock(async (tick) => {
      const busy = new ProviderError('ERR_OIDC_PROVIDER_BUSY', 'x', { retryAfter: 17 })
      const unavailable = new ProviderError('ERR_OIDC_INTROSPECTION_UNAVAILABLE', 'x', { cause: busy, retryAfter: 17 })
      let isBusy = false
      const { ask, requests } = counting(undefined, async () => {
        if (isBusy) throw unavailable
        return grant()
      })
      await ask('a')
      isBusy = true
      await assert.rejects(ask('b'), unavailable)
      isBusy = false
      tick(16)
      await assert.rejects(ask('c'), unavailable)
      await ask('a')
      tick(1)
      await ask('c')
      assert.deepEqual(requests, ['a', 'b', 'c'])
    }))

  it('keeps the longest pause that requests of the same moment are answered with', () =>
    withClock(async (tick) => {
      const failure = (retryAfter?: number, code: ErrorCode = 'ERR_OIDC_INTROSPECTION_UNAVAILABLE') =>
        new ProviderError(code, 'x', { cause: new ProviderError('ERR_OIDC_PROVIDER_BUSY', 'x', { retryAfter }) })
      // The last one is no request for a pause: the server has answered, but not as it should.
      const failures = [failure(17), failure(3), failure(), failure(60, 'ERR_OIDC_INTROSPECTION_RESPONSE')]
      const { ask, requests } = counting(undefined, async () => {
        throw failures.shift() ?? inactive
      })
      await Promise.allSettled(['a', 'b', 'c', 'd'].map(ask))
      tick(16)
      await assert.rejects(ask('e'), { code: 'ERR_OIDC_INTROSPECTION_UNAVAILABLE' })
      tick(1)
      await assert.rejects(ask('e'), inactive)
      assert.deepEqual(requests, ['a', 'b', 'c', 'd', 'e'])
    }))

  it('leaves a server alone for a minute at most', () =>
    withClock(async (tick) => {
      const busy = new ProviderError('ERR_OIDC_PROVIDER_BUSY', 'x', { retryAfter: 3600 })
      const unavailable = new ProviderError('ERR_OIDC_INTROSPECTION_UNAVAILABLE', 'x', {
        cause: busy,
        retryAfter: 3600,
      })
      const { ask, requests } = counting(undefined, () => Promise.reject(unavailable))
      await assert.rejects(ask('a'))
      tick(60)
      await assert.rejects(ask('a'))
      assert.equal(requests.length, 2)
    }))

  it('sends at most 200 requests at a time', async () => {
    let current = deferred<AccessTokenGrant>()
    const { ask, requests } = counting(undefined, () => current.promise)
    for (const round of [1, 2]) {
      const waiting = Array.from({ length: 200 }, (_, index) => ask(`${round}-${index}`))
      await assert.rejects(ask('one too many'), { code: 'ERR_OIDC_INTROSPECTION_UNAVAILABLE', retryAfter: 1 })
      assert.equal(requests.length, 200 * round)
      current.resolve(grant())
      await Promise.all(waiting)
      current = deferred()
    }
    current.resolve(grant())
    await ask('one too many')
  })
})

describe('introspection at oidc-provider', () => {
  let op: TestProvider
  const CLIENTS = [
    { client_id: 'basic', token_endpoint_auth_method: 'client_secret_basic' },
    { client_id: 'post', token_endpoint_auth_method: 'client_secret_post' },
    { client_id: 'secret-jwt', token_endpoint_auth_method: 'client_secret_jwt' },
    {
      client_id: 'key-jwt',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [{ ...recipient.publicKey.export({ format: 'jwk' }), kid: 'ours', alg: 'ES256' }] },
    },
    {
      client_id: 'signed',
      token_endpoint_auth_method: 'client_secret_basic',
      introspection_signed_response_alg: 'ES256',
    },
  ]

  before(async () => {
    op = await startProvider({
      features: { clientCredentials: { enabled: true }, jwtIntrospection: { enabled: true } },
      clients: CLIENTS.map((client) => ({
        client_secret: SECRET,
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
        ...client,
      })),
    })
  })
  after(() => op.stop())

  interface StoredToken {
    save(): Promise<string>
    destroy(): Promise<void>
  }

  /** An opaque token, as the client credentials grant makes it. */
  async function issueToken(members: Members = {}): Promise<{ readonly token: string; readonly stored: StoredToken }> {
    const { Client, ClientCredentials } = op.provider as unknown as {
      Client: { find(id: string): Promise<unknown> }
      ClientCredentials: new (members: Members) => StoredToken
    }
    const stored = new ClientCredentials({
      client: await Client.find('basic'),
      scope: 'orders:read',
      aud: AUDIENCE,
      ...members,
    })
    return { token: await stored.save(), stored }
  }

  function clientOf(clientId: string): IntrospectionClient {
    const method = CLIENTS.find((one) => one.client_id === clientId)?.token_endpoint_auth_method
    const http = createHttpClient({ timeout: 10, dangerouslyAllowInsecureRequests: true, fetch: undefined })
    return {
      ...serverOf(() => json({})).client,
      config: {
        ...CONFIG,
        issuer: op.issuer,
        clientId,
        tokenEndpointAuthMethod: method as 'client_secret_basic',
        dangerouslyAllowInsecureRequests: true,
      },
      metadata: { introspection_endpoint: `${op.issuer}/token/introspection` },
      http,
      keys: createKeyStore(http, `${op.issuer}/jwks`),
    }
  }

  const expected = (): IntrospectionExpectations => ({ ...EXPECTED, issuer: op.issuer, allowMissingSub: true })

  for (const { client_id: clientId, token_endpoint_auth_method: method } of CLIENTS) {
    it(`works with ${method} (client ${clientId})`, async () => {
      const { token } = await issueToken()
      const signedResponseAlg = clientId === 'signed' ? 'ES256' : undefined
      const work = introspectToken(clientOf(clientId), token, { ...expected(), signedResponseAlg })
      const { scope, clientId: holder, claims } = await work
      assert.deepEqual([scope, holder, claims['aud']], ['orders:read', 'basic', AUDIENCE])
    })
  }

  it('refuses a token that is unknown, and one that is gone', async () => {
    const unknown = await errorOf(introspectToken(clientOf('basic'), TOKEN, expected()))
    assert.equal(unknown.code, 'ERR_OIDC_ACCESS_TOKEN_INACTIVE')
    const { token, stored } = await issueToken()
    await introspectToken(clientOf('basic'), token, expected())
    await stored.destroy()
    assert.equal(
      (await errorOf(introspectToken(clientOf('basic'), token, expected()))).code,
      'ERR_OIDC_ACCESS_TOKEN_INACTIVE',
    )
  })

  it('refuses a token for another API', async () => {
    const { token } = await issueToken({ aud: 'https://other.example.com' })
    const error = await errorOf(introspectToken(clientOf('basic'), token, expected()))
    assert.equal(error.code, 'ERR_OIDC_ACCESS_TOKEN_AUDIENCE')
  })

  it('hands on the key of a DPoP token', async () => {
    const { token } = await issueToken({ jkt: 'A'.repeat(43) })
    const { confirmation, claims } = await introspectToken(clientOf('basic'), token, expected())
    assert.deepEqual([confirmation, claims['token_type']], [{ jkt: 'A'.repeat(43) }, 'DPoP'])
  })

  it('says that the secret of the API is wrong', async () => {
    const client = clientOf('basic')
    const wrong = { ...client, config: { ...client.config, clientSecret: 'another secret of thirty-two octets' } }
    const { token } = await issueToken()
    const error = await errorOf(introspectToken(wrong, token, expected()))
    assert.ok(error instanceof ProviderError)
    assert.deepEqual(
      [error.code, error.status, error.refusal?.error],
      ['ERR_OIDC_INTROSPECTION_REQUEST', 502, 'invalid_client'],
    )
    assert.match(error.message, /Check clientId, clientSecret and tokenEndpointAuthMethod/)
  })
})
