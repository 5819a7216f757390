import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose'
import { OidcError, ProviderError } from '../../lib/errors.ts'
import { pushAuthorizationRequest } from '../../lib/protocol/authorization-request.ts'
import { requestTokens } from '../../lib/protocol/token-endpoint.ts'
import type { EndpointName } from '../../lib/provider/client-authentication.ts'
import { createDpopKey } from '../../lib/provider/dpop.ts'
import { parseChallenges } from '../../lib/provider/error-response.ts'
import { postForm, requestResource } from '../../lib/provider/requests.ts'
import {
  type Asked,
  CLIENT_ID,
  CLIENT_SECRET,
  createBackChannel,
  createDirectProvider,
  sendAnswer,
} from '../support/hostile/back-channel.ts'
import { LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const clientKeys = [{ ...privateKey.export({ format: 'jwk' }), kid: 'one' }]
const dpopKey = createDpopKey('ES256')
const PLANTED = '<script>planted</script>'

const channel = createBackChannel()

const METHODS: Readonly<Record<string, object>> = {
  client_secret_basic: { clientSecret: CLIENT_SECRET },
  client_secret_post: { clientSecret: CLIENT_SECRET },
  client_secret_jwt: { clientSecret: CLIENT_SECRET },
  private_key_jwt: { clientKeys },
  tls_client_auth: { tlsClientCertificate: LOOPBACK_CERTIFICATE },
  self_signed_tls_client_auth: { tlsClientCertificate: LOOPBACK_CERTIFICATE },
  none: {},
}

function providerBy(tokenEndpointAuthMethod: string, options: object = {}, metadata: object = {}) {
  const all = { tokenEndpointAuthMethod, ...METHODS[tokenEndpointAuthMethod], ...options }
  return createDirectProvider(all, { ...metadata }, channel.origin)
}

async function refuses(work: Promise<unknown>, code: string): Promise<OidcError> {
  const error = await work.then(
    () => assert.fail('nothing was refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OidcError, inspect(error))
  assert.equal(error.code, code)
  const told = `${error.message} ${JSON.stringify(error.headers)}`
  assert.doesNotMatch(told, /script|planted|a-Secret|eyJ/)
  return error
}

/** The claims of the proof, whose signature is that of the key in it. */
async function proofOf({ headers }: Asked): Promise<JWTPayload> {
  const proof = String(headers['dpop'])
  const { jwk = {} } = decodeProtectedHeader(proof)
  return (await jwtVerify(proof, createPublicKey({ key: { ...jwk }, format: 'jwk' }))).payload
}

const demandNonce = (res: ServerResponse, nonce: string, status = 400): void => {
  sendAnswer(res, status, { error: 'use_dpop_nonce', error_description: PLANTED }, { 'DPoP-Nonce': nonce })
}

/** How a request proves whose it is. */
function waysOf({ headers, form }: Asked): readonly string[] {
  return [
    ...(headers.authorization === undefined ? [] : [String(headers.authorization.split(' ')[0])]),
    ...['client_secret', 'client_assertion', 'client_assertion_type', 'client_id'].filter((name) => form.has(name)),
  ]
}

const ENDPOINTS: readonly (readonly [name: EndpointName, path: string])[] = [
  ['token_endpoint', '/token'],
  ['pushed_authorization_request_endpoint', '/par'],
  ['revocation_endpoint', '/revoke'],
  ['introspection_endpoint', '/introspect'],
]

describe('an authenticated request', () => {
  const WAYS: Readonly<Record<string, readonly string[]>> = {
    client_secret_basic: ['Basic'],
    client_secret_post: ['client_secret', 'client_id'],
    client_secret_jwt: ['client_assertion', 'client_assertion_type', 'client_id'],
    private_key_jwt: ['client_assertion', 'client_assertion_type', 'client_id'],
    tls_client_auth: ['client_id'],
    self_signed_tls_client_auth: ['client_id'],
    none: ['client_id'],
  }
  for (const [method, ways] of Object.entries(WAYS)) {
    for (const [name, path] of ENDPOINTS) {
      it(`authenticates by ${method} only, at ${path}`, async () => {
        const planted = { client_secret: 'planted', client_assertion: 'planted', client_assertion_type: 'planted' }
        const provider = await providerBy(method)
        await postForm(provider, name, { token: 'a b&c', ...planted })
        assert.equal(channel.asked.length, 1)
        const [asked] = channel.asked
        assert.ok(asked)
        assert.deepEqual([asked.method, asked.path, waysOf(asked)], ['POST', path, ways])
        assert.equal(asked.headers['content-type'], 'application/x-www-form-urlencoded')
        assert.equal(asked.headers['accept'], 'application/json')
        assert.deepEqual([asked.headers['dpop'], asked.form.get('token')], [undefined, 'a b&c'])
        assert.doesNotMatch(asked.body, /planted/)
      })
    }
  }

  it('repeats a parameter for each value of an array, and can accept another media type', async () => {
    const provider = await providerBy('none')
    const resource = ['https://a.example', 'https://b.example']
    await postForm(provider, 'token_endpoint', { resource }, { accept: 'application/jwt' })
    assert.deepEqual(channel.asked[0]?.form.getAll('resource'), resource)
    assert.equal(channel.asked[0]?.headers['accept'], 'application/jwt')
  })

  for (const method of ['private_key_jwt', 'client_secret_jwt']) {
    it(`never sends an assertion of ${method} twice`, async () => {
      const provider = await providerBy(method)
      for (const [name] of ENDPOINTS) await postForm(provider, name, {})
      await Promise.all(ENDPOINTS.map(([name]) => postForm(provider, name, {})))
      const ids = channel.asked.map(({ form }) => decodeJwt(form.get('client_assertion') ?? '').jti)
      assert.deepEqual([ids.length, new Set(ids).size], [8, 8])
    })
  }

  it('has the requested URL as the audience of its assertion if the provider wants that', async () => {
    const provider = await providerBy('private_key_jwt', { clientAssertionAudience: 'endpoint' })
    for (const [name] of ENDPOINTS) await postForm(provider, name, {})
    assert.deepEqual(
      channel.asked.map(({ form }) => decodeJwt(form.get('client_assertion') ?? '').aud),
      ENDPOINTS.map(([, path]) => channel.origin + path),
    )
  })

  it('goes to the mTLS alias', async () => {
    const mtls_endpoint_aliases = { token_endpoint: `${channel.origin}/mtls/token` }
    const provider = await providerBy('tls_client_auth', {}, { mtls_endpoint_aliases })
    await postForm(provider, 'token_endpoint', {})
    assert.equal(channel.asked[0]?.path, '/mtls/token')
  })

  it('is not sent if the provider does not have the endpoint', async () => {
    const provider = await providerBy('client_secret_post', {}, { revocation_endpoint: 5 })
    await refuses(postForm(provider, 'revocation_endpoint', {}), 'ERR_OIDC_METADATA_INVALID')
    await refuses(postForm(provider, 'device_authorization_endpoint', {}), 'ERR_OIDC_METADATA_INVALID')
    assert.equal(channel.asked.length, 0)
  })

  for (const status of [301, 302, 303, 307, 308]) {
    it(`does not follow a redirect with status ${status}`, async () => {
      channel.answer = ({ path }, res) => {
        if (path === '/token') res.writeHead(status, { Location: `/${PLANTED}` }).end()
        else sendAnswer(res, 200, {})
      }
      for (const method of ['client_secret_post', 'private_key_jwt']) {
        await refuses(requestTokens(await providerBy(method), {}, { dpopKey }), 'ERR_OIDC_PROVIDER_REDIRECT')
      }
      assert.deepEqual(
        channel.asked.map(({ path }) => path),
        ['/token', '/token'],
      )
    })
  }

  it('is not repeated if the connection breaks', async () => {
    channel.answer = (_, res) => res.destroy()
    const provider = await providerBy('private_key_jwt')
    await refuses(requestTokens(provider, { code: 'planted' }, { dpopKey }), 'ERR_OIDC_PROVIDER_UNREACHABLE')
    assert.equal(channel.asked.length, 1)
  })
})

describe('a request with a DPoP proof', () => {
  for (const status of [400, 401]) {
    it(`is sent once more with a new proof and assertion if ${status} demands a nonce`, async () => {
      channel.answer = ({ headers }, res) => {
        const nonce = decodeJwt(String(headers['dpop']))['nonce']
        if (nonce === 'n-1') sendAnswer(res, 200, {}, { 'DPoP-Nonce': 'n-2' })
        else demandNonce(res, 'n-1', status)
      }
      const provider = await providerBy('private_key_jwt')
      const answer = await postForm(provider, 'token_endpoint', { code: 'c-1' }, { dpopKey })
      assert.equal(answer.status, 200)
      const [first, second, ...more] = channel.asked
      assert.ok(first && second && more.length === 0)
      const proofs = [await proofOf(first), await proofOf(second)]
      for (const proof of proofs) {
        assert.deepEqual([proof['htm'], proof['htu'], proof['ath']], ['POST', `${channel.origin}/token`, undefined])
      }
      assert.deepEqual(
        proofs.map(({ nonce }) => nonce),
        [undefined, 'n-1'],
      )
      assert.notEqual(proofs[0]?.jti, proofs[1]?.jti)
      const assertions = [first, second].map(({ form }) => decodeJwt(form.get('client_assertion') ?? '').jti)
      assert.notEqual(assertions[0], assertions[1])
      assert.deepEqual([first.form.get('code'), second.form.get('code')], ['c-1', 'c-1'])
      assert.equal(provider.dpopNonces.get(`${channel.origin}/par`, 'authorization'), 'n-2')
      assert.equal(provider.dpopNonces.get(`${channel.origin}/userinfo`), undefined)
    })
  }

  it('uses the nonce of the last response from then on', async () => {
    channel.answer = (_, res) => sendAnswer(res, 200, {}, { 'DPoP-Nonce': `n-${channel.asked.length}` })
    const provider = await providerBy('none')
    for (const [name] of ENDPOINTS) await postForm(provider, name, {}, { dpopKey })
    const nonces = await Promise.all(channel.asked.map(async (asked) => (await proofOf(asked))['nonce']))
    assert.deepEqual(nonces, [undefined, 'n-1', 'n-2', 'n-3'])
  })

  it('is sent twice at most if the provider demands ever new nonces', async () => {
    channel.answer = (_, res) => demandNonce(res, `n-${channel.asked.length}`)
    const provider = await providerBy('private_key_jwt')
    const error = await refuses(requestTokens(provider, {}, { dpopKey }), 'ERR_OIDC_TOKEN_REQUEST')
    assert.ok(error instanceof ProviderError)
    assert.equal(error.refusal?.error, 'use_dpop_nonce')
    assert.equal(channel.asked.length, 2)
    await refuses(requestTokens(provider, {}, { dpopKey }), 'ERR_OIDC_TOKEN_REQUEST')
    assert.equal(channel.asked.length, 4)
  })

  it('uses the nonce of its own response, not one that another request received', async () => {
    const provider = await providerBy('none')
    channel.answer = async (asked, res) => {
      const { nonce } = await proofOf(asked)
      const own = `n-of-${asked.form.get('code')}`
      if (nonce === own) sendAnswer(res, 200, {})
      else demandNonce(res, own)
    }
    const codes = ['a', 'b', 'c', 'd', 'e']
    const answers = await Promise.all(codes.map((code) => postForm(provider, 'token_endpoint', { code }, { dpopKey })))
    assert.deepEqual(
      answers.map(({ status }) => status),
      codes.map(() => 200),
    )
    assert.equal(channel.asked.length, 10)
  })

  const nonce = { 'DPoP-Nonce': 'n-1' }
  const ONCE: readonly (readonly [name: string, status: number, json: unknown, headers: Record<string, string>])[] = [
    ['demands a nonce and brings none', 400, { error: 'use_dpop_nonce' }, {}],
    ['demands a nonce and brings an empty one', 400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': '' }],
    ['demands a nonce and brings one that is none', 400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'a b' }],
    ['refuses the proof', 400, { error: 'invalid_dpop_proof' }, nonce],
    ['refuses the grant', 400, { error: 'invalid_grant' }, nonce],
    ['refuses the client', 401, { error: 'invalid_client' }, nonce],
    ['only speaks of nonces', 400, { error: 'invalid_grant', error_description: 'use_dpop_nonce' }, nonce],
    ['demands a nonce with 403', 403, { error: 'use_dpop_nonce' }, nonce],
    ['demands a nonce with 500', 500, { error: 'use_dpop_nonce' }, nonce],
    ['demands a nonce with 200', 200, { error: 'use_dpop_nonce' }, nonce],
    ['demands a nonce as text', 400, { error: 'use_dpop_nonce' }, { ...nonce, 'Content-Type': 'text/plain' }],
    ['demands a nonce in a list', 400, [{ error: 'use_dpop_nonce' }], nonce],
    ['is busy', 429, { error: 'use_dpop_nonce' }, nonce],
  ]
  for (const [name, status, json, headers] of ONCE) {
    it(`is sent only once if the provider ${name}`, async () => {
      channel.answer = (_, res) => sendAnswer(res, status, json, headers)
      const answer = await postForm(await providerBy('none'), 'token_endpoint', {}, { dpopKey })
      assert.deepEqual([answer.status, channel.asked.length], [status, 1])
    })
  }

  it('is sent only once and without a proof if there is no key', async () => {
    channel.answer = (_, res) => demandNonce(res, 'n-1')
    const answer = await postForm(await providerBy('none'), 'token_endpoint', {})
    assert.deepEqual([answer.status, channel.asked.length], [400, 1])
    assert.equal(channel.asked[0]?.headers['dpop'], undefined)
  })
})

describe('a token request', () => {
  const GOOD = { access_token: 'at-1', token_type: 'Bearer', expires_in: '60' }
  const bound = { dpopBoundAccessTokens: true }
  const answerWith = (members: object): void => {
    channel.answer = (_, res) => sendAnswer(res, 200, { ...GOOD, ...members })
  }

  const TYPES: readonly (readonly [given: string, options: object, key: typeof dpopKey | undefined, type: string])[] = [
    ['Bearer', {}, undefined, 'Bearer'],
    ['bEARER', {}, undefined, 'Bearer'],
    ['DPoP', bound, dpopKey, 'DPoP'],
    ['dpop', bound, dpopKey, 'DPoP'],
    ['DPOP', {}, dpopKey, 'DPoP'],
    ['bearer', {}, dpopKey, 'Bearer'],
  ]
  for (const [given, options, key, type] of TYPES) {
    it(`accepts a token of the type ${given} ${key ? 'with' : 'without'} a key for ${JSON.stringify(options)}`, async () => {
      answerWith({ token_type: given })
      const response = await requestTokens(await providerBy('none', options), {}, { dpopKey: key })
      assert.deepEqual({ ...response }, { access_token: 'at-1', token_type: type, expires_in: 60 })
    })
  }

  const REFUSED: readonly (readonly [
    name: string,
    members: object,
    options: object,
    key: typeof dpopKey | undefined,
  ])[] = [
    ['a bearer token where it must be bound', { token_type: 'Bearer' }, bound, dpopKey],
    ['a bearer token where it must be bound, in another case', { token_type: 'bearer' }, bound, dpopKey],
    ['a bearer token where it must be bound and no key was shown', { token_type: 'Bearer' }, bound, undefined],
    ['a bound token where no key was shown', { token_type: 'DPoP' }, {}, undefined],
    ['a token of another type', { token_type: 'mac' }, {}, dpopKey],
    ['a token without a type', { token_type: undefined }, {}, dpopKey],
    ['a token of the type __proto__', { token_type: '__proto__' }, {}, dpopKey],
    ['an access token with a line in it', { access_token: 'a\nplanted: b' }, {}, undefined],
    ['an access token that is not ASCII', { access_token: 'planted\u00e9' }, {}, undefined],
    ['a refresh token that is not ASCII', { refresh_token: 'planted\u00e9' }, {}, undefined],
  ]
  for (const [name, members, options, key] of REFUSED) {
    it(`refuses ${name}`, async () => {
      answerWith(members)
      const provider = await providerBy('none', options)
      await refuses(requestTokens(provider, {}, { dpopKey: key }), 'ERR_OIDC_TOKEN_RESPONSE')
      assert.equal(channel.asked.length, 1)
    })
  }

  it('does not show the error response of the provider in the message', async () => {
    channel.answer = (_, res) =>
      sendAnswer(res, 400, { error: PLANTED, error_description: PLANTED, error_uri: PLANTED })
    const error = await refuses(requestTokens(await providerBy('client_secret_post'), {}), 'ERR_OIDC_TOKEN_REQUEST')
    assert.ok(error instanceof ProviderError)
    assert.equal(error.refusal?.errorDescription, PLANTED)
  })
})

describe('a pushed authorization request', () => {
  const GOOD = { request_uri: 'urn:ietf:params:oauth:request_uri:abc', expires_in: 90 }
  const params = { client_id: CLIENT_ID, response_type: 'code', scope: 'openid', state: 's' }

  for (const status of [201, 200]) {
    it(`accepts the status ${status}`, async () => {
      channel.answer = (_, res) => sendAnswer(res, status, { ...GOOD, more: PLANTED })
      const pushed = await pushAuthorizationRequest(await providerBy('client_secret_post'), params)
      assert.deepEqual(pushed, { requestUri: GOOD.request_uri, expiresIn: 90 })
      const form = Object.fromEntries(channel.asked[0]?.form ?? [])
      assert.deepEqual(form, { ...params, client_secret: CLIENT_SECRET })
    })
  }

  it('never has a request_uri', async () => {
    channel.answer = (_, res) => sendAnswer(res, 201, GOOD)
    await pushAuthorizationRequest(await providerBy('none'), {
      ...params,
      request_uri: 'urn:planted',
      request: 'a.b.c',
    })
    assert.deepEqual([...(channel.asked[0]?.form.keys() ?? [])].sort(), [...Object.keys(params), 'request'].sort())
  })

  it('has a DPoP proof', async () => {
    channel.answer = ({ headers }, res) => {
      if (decodeJwt(String(headers['dpop']))['nonce'] === undefined) demandNonce(res, 'n-1')
      else sendAnswer(res, 201, GOOD)
    }
    await pushAuthorizationRequest(await providerBy('private_key_jwt'), params, { dpopKey })
    const [, second] = channel.asked
    assert.ok(second)
    assert.deepEqual([(await proofOf(second))['htu'], channel.asked.length], [`${channel.origin}/par`, 2])
  })

  const without = ({ request_uri: _, ...rest }: typeof GOOD): object => rest
  const FAULTS: readonly (readonly [name: string, json: unknown, headers?: Record<string, string>])[] = [
    ['nothing', {}],
    ['a list', [GOOD]],
    ['null', null],
    ['HTML', GOOD, { 'Content-Type': 'text/html' }],
    ['no request_uri', without(GOOD)],
    ['everything in __proto__', JSON.parse(`{"__proto__":${JSON.stringify(GOOD)}}`)],
    ...['', 5, null, ['urn:a'], 'urn:a b', 'urn:\u00e9', 'urn:a\n', `urn:${'x'.repeat(2045)}`].map(
      (request_uri) => [`request_uri ${inspect(request_uri).slice(0, 20)}`, { ...GOOD, request_uri }] as const,
    ),
    ...[undefined, null, 0, -1, '90', 'soon', true, [90]].map(
      (expires_in) => [`expires_in ${inspect(expires_in)}`, { ...GOOD, expires_in }] as const,
    ),
  ]
  for (const [name, json, headers] of FAULTS) {
    it(`refuses a response that is ${name}`, async () => {
      channel.answer = (_, res) => sendAnswer(res, 201, json, headers)
      await refuses(pushAuthorizationRequest(await providerBy('none'), params), 'ERR_OIDC_PUSHED_RESPONSE')
      assert.equal(channel.asked.length, 1)
    })
  }

  const REFUSALS: readonly (readonly [status: number, json: unknown, code: string])[] = [
    [400, { error: 'invalid_request', error_description: PLANTED }, 'ERR_OIDC_PUSHED_REQUEST'],
    [401, { error: 'invalid_client' }, 'ERR_OIDC_PUSHED_REQUEST'],
    [202, GOOD, 'ERR_OIDC_PUSHED_REQUEST'],
    [204, undefined, 'ERR_OIDC_PUSHED_REQUEST'],
    [413, PLANTED, 'ERR_OIDC_PUSHED_REQUEST'],
    [302, GOOD, 'ERR_OIDC_PROVIDER_REDIRECT'],
    [429, {}, 'ERR_OIDC_PROVIDER_BUSY'],
    [500, GOOD, 'ERR_OIDC_PROVIDER_STATUS'],
  ]
  for (const [status, json, code] of REFUSALS) {
    it(`fails if the status is ${status}`, async () => {
      channel.answer = (_, res) => sendAnswer(res, status, json)
      const error = await refuses(pushAuthorizationRequest(await providerBy('none'), params), code)
      assert.equal(channel.asked.length, 1)
      if (status === 400 && error instanceof ProviderError) {
        assert.deepEqual([error.refusal?.error, error.refusal?.errorDescription], ['invalid_request', PLANTED])
      }
    })
  }
})

describe('a request to a resource', () => {
  const url = () => `${channel.origin}/userinfo?a=b`
  const CHALLENGE = 'DPoP error="use_dpop_nonce", algs="ES256"'
  const challenge = (res: ServerResponse, header: string, nonce = 'n-1', status = 401): void => {
    res.writeHead(status, { 'WWW-Authenticate': header, 'DPoP-Nonce': nonce }).end()
  }

  it('sends a bearer token in the header', async () => {
    await requestResource(await providerBy('none'), url(), { accessToken: 'at-1', tokenType: 'Bearer', dpopKey })
    const [{ method, path, headers, body }] = channel.asked as [Asked]
    assert.deepEqual(
      [method, path, headers.authorization, headers['dpop'], body],
      ['GET', '/userinfo?a=b', 'Bearer at-1', undefined, ''],
    )
    assert.equal(headers['accept'], 'application/json')
  })

  it('sends a bearer token in the body only', async () => {
    const request = {
      accessToken: 'at+1',
      tokenType: 'Bearer',
      bearerMethod: 'body',
      accept: 'application/jwt',
    } as const
    await requestResource(await providerBy('none'), url(), request)
    const [{ method, headers, body }] = channel.asked as [Asked]
    assert.deepEqual([method, headers.authorization, body], ['POST', undefined, 'access_token=at%2B1'])
    assert.deepEqual(
      [headers['content-type'], headers['accept']],
      ['application/x-www-form-urlencoded', 'application/jwt'],
    )
  })

  for (const bearerMethod of ['header', 'body'] as const) {
    it(`sends a bound token in the header with a proof, even if bearer tokens are sent in the ${bearerMethod}`, async () => {
      await requestResource(await providerBy('none'), url(), {
        accessToken: 'at-1',
        tokenType: 'DPoP',
        dpopKey,
        bearerMethod,
      })
      const [asked] = channel.asked as [Asked]
      assert.deepEqual([asked.method, asked.headers.authorization, asked.body], ['GET', 'DPoP at-1', ''])
      const { htm, htu, ath } = await proofOf(asked)
      assert.deepEqual([htm, htu, String(ath).length], ['GET', `${channel.origin}/userinfo`, 43])
    })
  }

  const DEMANDS: readonly string[] = [
    CHALLENGE,
    'dpop error="use_dpop_nonce"',
    'dPOP algs="ES256 PS256", ERROR="use_dpop_nonce"',
    'DPoP error=use_dpop_nonce',
    'DPoP  realm="a, b=\\"c\\"" ,error = "use_dpop_nonce"',
    'Bearer error="invalid_token", DPoP error="use_dpop_nonce"',
    'Negotiate abc==, DPoP error="use_dpop_nonce"',
    'DPoP realm="x", Bearer, dpop error="use_dpop_nonce"',
  ]
  for (const header of DEMANDS) {
    it(`is sent once more for ${header}`, async () => {
      channel.answer = ({ headers }, res) => {
        if (decodeJwt(String(headers['dpop']))['nonce'] === 'n-1') sendAnswer(res, 200, { sub: 'a' })
        else challenge(res, header)
      }
      const answer = await requestResource(await providerBy('none'), url(), {
        accessToken: 'at-1',
        tokenType: 'DPoP',
        dpopKey,
      })
      const [first, second, ...more] = await Promise.all(channel.asked.map(proofOf))
      assert.deepEqual([answer.status, more.length], [200, 0])
      assert.deepEqual([first?.['nonce'], second?.['nonce']], [undefined, 'n-1'])
      assert.equal(first?.['ath'], second?.['ath'])
      assert.notEqual(first?.jti, second?.jti)
    })
  }

  const NO_DEMANDS: readonly (readonly [header: string, nonce?: string, status?: number])[] = [
    ['Bearer error="use_dpop_nonce"'],
    ['DPoP error="invalid_token"'],
    ['DPoP error="invalid_token", error="use_dpop_nonce"'],
    ['DPoP error_description="error=use_dpop_nonce"'],
    ['DPoP error_description=", error=\\"use_dpop_nonce\\""'],
    ['DPoP realm="x", Bearer error="use_dpop_nonce"'],
    ['XDPoP error="use_dpop_nonce"'],
    ['error="use_dpop_nonce"'],
    ['use_dpop_nonce'],
    ['DPoP'],
    [CHALLENGE, ''],
    [CHALLENGE, 'a b'],
    [CHALLENGE, 'n-1', 400],
    [CHALLENGE, 'n-1', 403],
  ]
  for (const [header, nonce, status = 401] of NO_DEMANDS) {
    it(`is sent only once for ${status} ${header} with the nonce ${inspect(nonce)}`, async () => {
      channel.answer = (_, res) => challenge(res, header, nonce, status)
      const answer = await requestResource(await providerBy('none'), url(), {
        accessToken: 'at-1',
        tokenType: 'DPoP',
        dpopKey,
      })
      assert.deepEqual([answer.status, channel.asked.length], [status, 1])
    })
  }

  it('is sent twice at most if the resource demands ever new nonces', async () => {
    channel.answer = (_, res) => challenge(res, CHALLENGE, `n-${channel.asked.length}`)
    const answer = await requestResource(await providerBy('none'), url(), {
      accessToken: 'at-1',
      tokenType: 'DPoP',
      dpopKey,
    })
    assert.deepEqual([answer.status, channel.asked.length], [401, 2])
  })

  it('is sent once with a bearer token', async () => {
    channel.answer = (_, res) => challenge(res, CHALLENGE)
    const answer = await requestResource(await providerBy('none'), url(), {
      accessToken: 'at-1',
      tokenType: 'Bearer',
      dpopKey,
    })
    assert.deepEqual([answer.status, channel.asked.length], [401, 1])
  })

  it('does not follow a redirect with the token', async () => {
    channel.answer = (_, res) => res.writeHead(307, { Location: '/elsewhere' }).end()
    for (const tokenType of ['Bearer', 'DPoP'] as const) {
      const work = requestResource(await providerBy('none'), url(), { accessToken: 'at-1', tokenType, dpopKey })
      await refuses(work, 'ERR_OIDC_PROVIDER_REDIRECT')
    }
    assert.equal(channel.asked.length, 2)
  })

  it('is not sent with a bound token whose key is missing', async () => {
    const work = requestResource(await providerBy('none'), url(), { accessToken: 'at-1', tokenType: 'DPoP' })
    await refuses(work, 'ERR_OIDC_TOKEN_UNAVAILABLE')
    assert.equal(channel.asked.length, 0)
  })

  for (const accessToken of ['', 'planted\r\nX-Evil: 1', 'planted\u00e9', 'planted b', 'planted\u0000']) {
    it(`is not sent with the token ${inspect(accessToken)}, which no error shows`, async () => {
      for (const bearerMethod of ['header', 'body'] as const) {
        const work = requestResource(await providerBy('none'), url(), {
          accessToken,
          tokenType: 'Bearer',
          bearerMethod,
        })
        const error = await refuses(work, 'ERR_OIDC_TOKEN_UNAVAILABLE')
        assert.doesNotMatch(inspect(error), /planted/)
      }
      assert.equal(channel.asked.length, 0)
    })
  }
})

describe('a challenge', () => {
  it('is parsed in linear time', () => {
    for (const evil of ['a="', 'a="\\', 'a=', 'a ', '"\\', 'a\t', '\\"a="']) {
      const startedAt = performance.now()
      parseChallenges(evil.repeat(100_000))
      assert.ok(performance.now() - startedAt < 1000, evil)
    }
  })

  it('is not found in an empty header', () => {
    assert.deepEqual([parseChallenges(null), parseChallenges(''), parseChallenges(',,="')], [[], [], []])
  })
})
