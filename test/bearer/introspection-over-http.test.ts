import assert from 'node:assert/strict'
import { afterEach, describe, it, mock } from 'node:test'
import type { BearerOptions, ClientAssertionRequest } from '../../lib/bearer.ts'
import { type ApiApp, observeDenials, startApi } from '../support/app/api-app.ts'
import { makeProof, thumbprintOf } from '../support/app/dpop-proofs.ts'
import { createSigningKeys, signJws } from '../support/app/signing-keys.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { readBody, sendJson, sendText } from '../support/servers/http-server.ts'
import { startTokenIssuer } from '../support/servers/token-issuer.ts'

type Members = Readonly<Record<string, unknown>>

const theIssuer = share(() => startTokenIssuer())
const theOther = share(() => startTokenIssuer({ path: '/other' }))
const stopLater = stopAfterEach()
const seen = observeDenials()
const client = createSigningKeys()

const CLIENT = { clientId: 'my-api', clientSecret: 'a-secret-of-the-api' }

afterEach(() => {
  mock.timers.reset()
  theIssuer().reset()
  theOther().reset()
})

interface Introspected {
  readonly app: ApiApp
  /** The forms that the issuer got, in order. */
  readonly asked: { readonly form: URLSearchParams; readonly authorization: string | undefined }[]
}

/** An issuer that answers with these members, and an API that asks it. */
async function start(response: Members | (() => Members), options: Partial<BearerOptions> = {}): Promise<Introspected> {
  const asked: Introspected['asked'] = []
  theIssuer().state.routes['/introspect'] = async (req, res) => {
    asked.push({ form: new URLSearchParams(await readBody(req)), authorization: req.headers.authorization })
    sendJson(res, 200, typeof response === 'function' ? response() : response)
  }
  const app = stopLater(await startApi(theIssuer(), { introspection: CLIENT, ...options }))
  return { app, asked }
}

const now = (): number => Math.floor(Date.now() / 1000)
const good = (change: Members = {}): Members => ({
  ...{
    active: true,
    sub: 'alice',
    aud: theIssuer().audience,
    client_id: 'cli',
    scope: 'orders:read',
    exp: now() + 300,
  },
  ...change,
})

describe('an API without a secret', () => {
  it('names itself in the form, as a public client does', async () => {
    const { app, asked } = await start(good(), {
      introspection: { clientId: 'my-api', tokenEndpointAuthMethod: 'none' },
    })
    assert.equal((await app.call('an-opaque-token')).status, 200)
    assert.deepEqual(
      asked.map(({ form, authorization }) => [form.get('client_id'), form.has('client_secret'), authorization]),
      [['my-api', false, undefined]],
    )
  })
})

describe('an API whose key is elsewhere', () => {
  const assertion = { clientId: 'my-api', tokenEndpointAuthMethod: 'private_key_jwt' } as const

  it('authenticates with what the function clientAssertion returns, for each request', async () => {
    const requests: (readonly [string, string])[] = []
    const clientAssertion = ({ audience, clientId }: ClientAssertionRequest): string => {
      requests.push([audience, clientId])
      return `e30.e30.${'A'.repeat(requests.length + 1)}`
    }
    const { app, asked } = await start(good(), { introspection: { ...assertion, clientAssertion } })
    for (const token of ['one', 'two']) assert.equal((await app.call(token)).status, 200)
    assert.deepEqual(requests, Array(2).fill([theIssuer().issuer, 'my-api']))
    assert.deepEqual(
      asked.map(({ form, authorization }) => [form.get('client_assertion'), form.get('client_id'), authorization]),
      [
        ['e30.e30.AA', 'my-api', undefined],
        ['e30.e30.AAA', 'my-api', undefined],
      ],
    )
  })

  it('gets no answer while the function fails: 503, and nothing is sent', async () => {
    const clientAssertion = async (): Promise<string> => {
      throw new Error('kms.internal is away')
    }
    const { app, asked } = await start(good(), { introspection: { ...assertion, clientAssertion } })
    const answer = await app.call('an-opaque-token')
    assert.deepEqual([answer.status, seen.errors, asked, app.reached], [503, ['ERR_OIDC_CLIENT_ASSERTION'], [], []])
    assert.doesNotMatch(answer.body, /kms/)
  })
})

describe('an API with a key of its own', () => {
  it('signs an assertion with it', async () => {
    const key = { ...client.p256.privateKey.export({ format: 'jwk' }), kid: 'of-the-api' }
    const { app, asked } = await start(good(), {
      introspection: { clientId: 'my-api', tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: [key] },
    } as Partial<BearerOptions>)
    assert.equal((await app.call('an-opaque-token')).status, 200)
    const [{ form } = { form: new URLSearchParams() }] = asked
    const [header = ''] = (form.get('client_assertion') ?? '').split('.')
    assert.equal(JSON.parse(Buffer.from(header, 'base64url').toString()).kid, 'of-the-api')
  })
})

/** One change of a good response about an active token, and the code. */
const RESPONSES: readonly [string, () => Members, string][] = [
  ['active is false', () => ({ active: false }), 'INACTIVE'],
  ['it is for another audience', () => ({ aud: 'other' }), 'AUDIENCE'],
  ['it names no audience', () => ({ aud: undefined }), 'AUDIENCE'],
  ['it is of another issuer', () => ({ iss: 'https://other.test' }), 'ISSUER'],
  ['it has expired', () => ({ exp: 1 }), 'EXPIRED'],
  ['it is not valid yet', () => ({ nbf: now() + 500 }), 'NOT_BEFORE'],
  ['it was issued in the future', () => ({ iat: now() + 500 }), 'ISSUED_AT'],
  ['it has no sub', () => ({ sub: undefined }), 'SUBJECT'],
  ['it is an ID Token', () => ({ at_hash: 'x' }), 'TYPE'],
  ['it is a logout token', () => ({ events: {} }), 'TYPE'],
  ['it is a refresh token', () => ({ token_use: 'refresh' }), 'TYPE'],
  ['it is bound in an unknown way', () => ({ cnf: { jwk: {} } }), 'CONFIRMATION'],
  [
    'it is bound to a DPoP key, and sent as Bearer',
    () => ({ cnf: { jkt: thumbprintOf(client.p256) } }),
    'CONFIRMATION',
  ],
  ['it is a DPoP token without a key', () => ({ token_type: 'DPoP' }), 'CONFIRMATION'],
]

/** Responses of an issuer that does not follow the rules: they say nothing about the token. */
const BROKEN: readonly [string, Members, string][] = [
  ['active is missing', { active: undefined }, 'RESPONSE'],
  ['active is text', { active: 'true' }, 'RESPONSE'],
  ['active is 1', { active: 1 }, 'RESPONSE'],
  ['active is null', { active: null }, 'RESPONSE'],
  ['exp is text', { exp: '9999999999' }, 'RESPONSE'],
  ['sub is a number', { sub: 1 }, 'RESPONSE'],
  ['scope is an object', { scope: {} }, 'RESPONSE'],
  ['aud has a number', { aud: [1] }, 'RESPONSE'],
]

describe('an opaque token', () => {
  it('is accepted if the issuer says that it is active, and asked about once', async () => {
    const { app, asked } = await start(good())
    for (let number = 0; number < 3; number += 1) {
      const answer = await app.call('opaque.token-1')
      assert.deepEqual(
        [answer.status, answer.json()],
        [200, { by: 'access_token', sub: 'alice', scope: 'orders:read' }],
      )
    }
    const [first, ...more] = asked
    assert.equal(more.length, 0)
    assert.deepEqual(
      [...(first?.form ?? [])],
      [
        ['token', 'opaque.token-1'],
        ['token_type_hint', 'access_token'],
      ],
    )
    assert.equal(first?.authorization, `Basic ${btoa('my-api:a-secret-of-the-api')}`)
  })

  it('is asked about again after maxAge seconds: a revoked one is refused then', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    let active = true
    const { app, asked } = await start(() => good({ active }), { introspection: { ...CLIENT, maxAge: 10 } })
    assert.equal((await app.call('opaque')).status, 200)
    active = false
    assert.equal((await app.call('opaque')).status, 200)
    mock.timers.tick(10_000)
    assert.equal((await app.call('opaque')).status, 401)
    // And a refusal is remembered for seconds.
    assert.equal((await app.call('opaque')).status, 401)
    assert.equal(asked.length, 2)
    mock.timers.tick(5000)
    active = true
    assert.equal((await app.call('opaque')).status, 200)
  })

  it('is accepted for no longer than its exp', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const exp = now() + 5
    const { app } = await start(() => good({ exp, active: now() < exp }), { clockTolerance: 0 })
    assert.equal((await app.call('opaque')).status, 200)
    mock.timers.tick(6000)
    assert.equal((await app.call('opaque')).status, 401)
  })

  it('is accepted if the response names no exp, also without clockTolerance', async () => {
    const { app } = await start(good({ exp: undefined }), { clockTolerance: 0 })
    assert.equal((await app.call('opaque')).status, 200)
  })

  it("is accepted with profile 'rfc9068', which is one of JWTs", async () => {
    const { app } = await start(good({ iat: undefined, jti: undefined }), { profile: 'rfc9068' })
    assert.equal((await app.call('opaque')).status, 200)
  })

  for (const [name, change, code] of RESPONSES) {
    it(`is refused if ${name}`, async () => {
      const { app } = await start(good(change()), { baseUrl: 'https://api.example.test' })
      const answer = await app.call('opaque')
      assert.deepEqual([answer.status, seen.denied, app.reached], [401, [`ERR_OIDC_ACCESS_TOKEN_${code}`], []])
      assert.match(
        answer.challenge ?? '',
        /^Bearer realm="api", error="invalid_token", error_description="The access token is not valid\."/,
      )
    })
  }

  for (const [name, change, code] of BROKEN) {
    it(`gets 503 if the response has a fault: ${name}`, async () => {
      const { app } = await start(good(change))
      const answer = await app.call('opaque')
      assert.deepEqual([answer.status, answer.headers['retry-after'], answer.challenge], [503, '5', undefined])
      assert.deepEqual([seen.errors, seen.denied, app.reached], [[`ERR_OIDC_INTROSPECTION_${code}`], [], []])
    })
  }

  for (const [status, code] of [
    [500, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
    [401, 'REQUEST'],
    [404, 'REQUEST'],
    [302, 'RESPONSE'],
  ] as const) {
    it(`gets 503 if the introspection endpoint answers ${status}`, async () => {
      const { app } = await start({})
      theIssuer().state.routes['/introspect'] = (_req, res) =>
        sendText(res, status, 'application/json', '{"error":"invalid_client"}')
      const answer = await app.call('opaque')
      assert.equal(answer.status, 503)
      assert.match(seen.errors[0] ?? '', new RegExp(`^ERR_OIDC_(?:INTROSPECTION_${code}|PROVIDER_STATUS)$`))
      assert.doesNotMatch(JSON.stringify(answer.headers) + answer.body, /introspect|127\.0\.0\.1:/)
      assert.deepEqual(app.reached, [])
    })
  }

  it('is refused without introspection: nobody is asked', async () => {
    const app = stopLater(await startApi(theIssuer()))
    assert.equal((await app.call('opaque')).status, 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_ACCESS_TOKEN_MALFORMED'])
  })

  it('is never sent if it cannot be a token, or is too long', async () => {
    const { app, asked } = await start(good())
    for (const authorization of ['Bearer a"b', 'Bearer a b', 'Bearer a,b', 'Bearer =']) {
      assert.equal((await app.call(undefined, { headers: { authorization } })).status, 400)
    }
    assert.equal((await app.call('eyJ.x.y')).status, 401)
    assert.equal((await app.call('eyJhbGciOiJub25lIn0.e30.')).status, 401)
    assert.equal((await app.call('eyJhbGciOiJub25lIn0..AAAA')).status, 401)
    assert.equal(asked.length, 0)
  })

  it('is asked about also if parts of it look like a JWT, if it is encrypted, and with every character', async () => {
    const { app, asked } = await start(good())
    const tokens = ['x-eyJ.b.c', 'eyJ.b', 'eyJ.b.c.d', 'eyJ.b.c.d.e', 'x_-.~+/y==']
    for (const token of tokens) assert.equal((await app.call(token)).status, 200, token)
    assert.deepEqual(
      asked.map(({ form }) => form.get('token')),
      tokens,
    )
  })

  it('is sent to the one issuer that may be asked, and to no other', async () => {
    const issuers = [theOther().issuer, { issuer: theIssuer().issuer, introspection: CLIENT }]
    const { app, asked } = await start(good(), { issuers, introspection: undefined } as never)
    theOther().requests.length = 0
    assert.equal((await app.call('opaque')).status, 200)
    assert.deepEqual([asked.length, theOther().requests], [1, []])
  })

  it('that is bound by DPoP needs a proof, also if the response is remembered', async () => {
    const { app } = await start(good({ cnf: { jkt: thumbprintOf(client.p256) } }), {
      baseUrl: 'https://api.example.test',
    })
    const call = (): Promise<{ status: number }> => {
      const dpop = makeProof(client.p256, { url: 'https://api.example.test/who', token: 'opaque' })
      return app.call(undefined, { headers: { authorization: 'DPoP opaque', dpop } })
    }
    assert.equal((await call()).status, 200)
    assert.equal((await app.call(undefined, { headers: { authorization: 'DPoP opaque' } })).status, 401)
    assert.equal((await call()).status, 200)
  })
})

describe('a JWT where introspection is configured', () => {
  it('is verified here, and a wrong one is never asked about', async () => {
    const { app, asked } = await start(good())
    assert.equal((await app.call(theIssuer().token())).status, 200)
    assert.equal((await app.call(theIssuer().token({}, { key: client.p256.privateKey }))).status, 401)
    assert.equal((await app.call(theIssuer().token({ exp: 1 }))).status, 401)
    assert.equal(asked.length, 0)
  })

  it("is asked about with tokens: 'all', at the issuer that it names", async () => {
    let active = true
    const { app, asked } = await start(() => good({ active }), {
      introspection: { ...CLIENT, tokens: 'all', maxAge: 0 },
    })
    const token = theIssuer().token()
    assert.equal((await app.call(token)).status, 200)
    active = false
    assert.equal((await app.call(token)).status, 401)
    assert.equal((await app.call(theIssuer().token({ iss: 'https://other.test' }))).status, 401)
    assert.deepEqual(
      [asked.length, seen.denied],
      [2, ['ERR_OIDC_ACCESS_TOKEN_INACTIVE', 'ERR_OIDC_ACCESS_TOKEN_ISSUER']],
    )
  })
})

describe('introspection at an issuer that a function finds', () => {
  it('authenticates with what the function has returned last, also where that is a function', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    let secret = 'the-first-secret'
    const issuers = (issuer: string) => {
      const current = secret
      const introspection = { clientId: 'my-api', clientSecret: () => current, tokens: 'all', maxAge: 0 } as const
      return { issuer, introspection }
    }
    theIssuer().requests.length = 0
    const { app, asked } = await start(() => good(), { issuers, introspection: undefined } as never)
    const token = theIssuer().token()
    assert.equal((await app.call(token)).status, 200)
    secret = 'the-second-secret'
    mock.timers.tick(300_000)
    assert.equal((await app.call(token)).status, 200)
    assert.deepEqual(
      asked.map(({ authorization }) => authorization),
      ['the-first-secret', 'the-second-secret'].map((one) => `Basic ${btoa(`my-api:${one}`)}`),
    )
    assert.equal(theIssuer().requests.filter((path) => path.includes('/.well-known/')).length, 1)
  })
})

describe('introspection at an issuer of many tenants', () => {
  const tokens: readonly [string, (claims: Members) => string][] = [
    ['an opaque token', () => 'opaque'],
    ['a JWT', (claims) => theIssuer().token(claims)],
  ]
  for (const [name, tokenOf] of tokens) {
    it(`accepts ${name} of the tenants that are allowed, and refuses those of others`, async () => {
      const { origin } = new URL(theIssuer().issuer)
      const issuer = `${origin}/{tenantid}/v2.0`
      theIssuer().state.metadata = { issuer }
      const claimsOf = (tid: string): Members => ({ iss: `${origin}/${tid}/v2.0`, tid })
      let tenant = 't-1'
      const introspection = { ...CLIENT, tokens: 'all', maxAge: 0 } as const
      const { app, asked } = await start(() => good(claimsOf(tenant)), { issuer, tenants: ['t-1'], introspection })
      assert.equal((await app.call(tokenOf(claimsOf(tenant)))).status, 200)
      tenant = 't-2'
      const answer = await app.call(tokenOf(claimsOf(tenant)))
      assert.deepEqual(
        [answer.status, seen.denied, app.reached, asked.length],
        [401, ['ERR_OIDC_ACCESS_TOKEN_ISSUER'], ['/who'], 2],
      )
      assert.match(answer.challenge ?? '', /^Bearer realm="api", error="invalid_token"/)
    })
  }
})

describe('signed introspection responses', () => {
  const introspection = { ...CLIENT, introspectionSignedResponseAlg: 'ES256' } as const
  const type = 'application/token-introspection+jwt'

  async function startSigned(
    change: Members = {},
    header: Members = {},
    contentType = type,
    end = '',
  ): Promise<ApiApp> {
    const { app } = await start({}, { introspection })
    theIssuer().state.routes['/introspect'] = (_req, res) => {
      const { p256 } = theIssuer().keys
      const claims = { iss: theIssuer().issuer, aud: 'my-api', iat: now(), token_introspection: good(), ...change }
      const jwt = signJws(
        'ES256',
        p256.privateKey,
        { alg: 'ES256', kid: p256.kid, typ: 'token-introspection+jwt', ...header },
        claims,
      )
      sendText(res, 200, contentType, jwt + end)
    }
    return app
  }

  it('are accepted', async () => {
    assert.equal((await (await startSigned()).call('opaque')).status, 200)
  })

  it('are accepted with a charset, in capital letters, and with a line end behind the JWT', async () => {
    const app = await startSigned({}, {}, `${type.toUpperCase()}; charset=us-ascii`, '\n')
    assert.equal((await app.call('opaque')).status, 200)
  })

  it('are believed for a minute, and the tolerance of the clocks', async () => {
    mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
    assert.equal((await (await startSigned({ iat: now() - 120 })).call('opaque')).status, 200)
    assert.equal((await (await startSigned({ iat: now() - 121 })).call('opaque')).status, 503)
    assert.deepEqual(seen.errors, ['ERR_OIDC_INTROSPECTION_RESPONSE'])
  })

  const WRONG: readonly [string, Members, Members?, string?][] = [
    ['for another client', { aud: 'other' }],
    ['of another issuer', { iss: 'https://other.test' }],
    ['of long ago', { iat: 1 }],
    ['without token_introspection', { token_introspection: undefined }],
    ['with active at the top only', { token_introspection: {}, active: true }],
    ['of another type', {}, { typ: 'JWT' }],
    ['with alg none', {}, { alg: 'none' }],
    ['with a crit header', {}, { crit: ['x'] }],
    ['with another content type', {}, {}, 'application/jwt'],
    ['with a content type that begins like it', {}, {}, `${type}s`],
  ]
  for (const [name, change, header, contentType] of WRONG) {
    it(`are not believed ${name}: 503`, async () => {
      const app = await startSigned(change, header, contentType)
      assert.deepEqual([(await app.call('opaque')).status, app.reached, seen.denied], [503, [], []])
    })
  }

  it('are not believed if they are plain JSON: 503', async () => {
    const { app } = await start(good(), { introspection })
    assert.deepEqual([(await app.call('opaque')).status, app.reached], [503, []])
  })
})
