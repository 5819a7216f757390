import assert from 'node:assert/strict'
import { createHash, createPrivateKey, createPublicKey, type JsonWebKey } from 'node:crypto'
import { createServer } from 'node:http'
import { beforeEach, describe, it } from 'node:test'
import { compactDecrypt } from 'jose'
import type { PrivateJwk } from '../../lib/options/client-credentials.ts'
import { createClientKeys, publicKeySet } from '../support/app/signing-keys.ts'
import { share } from '../support/app/stage.ts'
import {
  ask,
  createClientByHand,
  type HandAnswer,
  type HandClient,
  type Signed,
} from '../support/hostile/plain-client.ts'
import { listen, sendJson, sendText } from '../support/servers/http-server.ts'
import { createCertificate } from '../support/servers/tls-certificate.ts'
import { startClaimsProvider } from '../support/strict-provider/claims-provider.ts'
import { answered, type JsonObject } from '../support/strict-provider/context.ts'
import { secretKey } from '../support/strict-provider/encryption.ts'
import { encryptJwe } from '../support/strict-provider/jwe.ts'
import {
  type StrictProvider,
  type StrictProviderOptions,
  startStrictProvider,
} from '../support/strict-provider/provider.ts'

/** A provider for a `describe`, and the client that it knows. */
function useProvider(options: StrictProviderOptions) {
  const started = share(() => startStrictProvider(options))
  beforeEach(() => started().reset())
  return {
    get provider() {
      return started()
    },
    get client() {
      return createClientByHand(started())
    },
  }
}

type Form = Record<string, string>

function assertGood(provider: StrictProvider, answer: HandAnswer, status = 200): void {
  assert.deepEqual([answer.status, provider.complaints], [status, []], answer.body)
}

function assertComplaint(provider: StrictProvider, answer: HandAnswer, complaint: RegExp, error: string): void {
  assert.match(provider.complaints.join('\n'), complaint)
  assert.equal(answer.json()['error'], error, answer.body)
  assert.ok(answer.status >= 400)
}

const now = (): number => Math.floor(Date.now() / 1000)

describe('client assertions', () => {
  const clientKeys = createClientKeys() as readonly JsonWebKey[] as readonly PrivateJwk[]
  const stage = useProvider({ tokenEndpointAuthMethod: 'private_key_jwt', clientKeys })

  for (const alg of ['RS256', 'PS384', 'ES256', 'ES512', 'EdDSA']) {
    it(`are taken with ${alg}`, async () => {
      assertGood(stage.provider, await stage.client.redeem(stage.client.assertion({}, { alg })))
    })
  }

  const rows: readonly (readonly [
    name: string,
    changed: (client: HandClient) => Form,
    complaint: RegExp,
    error?: string,
  ])[] = [
    ['no aud', (client) => client.assertion({ aud: undefined }), /aud is not the one string/],
    ['aud in a list', (client) => client.assertion({ aud: [stage.provider.issuer] }), /aud is not the one string/],
    ['the endpoint as aud', (client) => client.assertion({ aud: stage.provider.endpointUrls['/token'] }), /aud/],
    ['another iss', (client) => client.assertion({ iss: 'another' }), /iss and sub/],
    ['no exp', (client) => client.assertion({ exp: undefined }), /exp is missing/],
    ['exp in two hours', (client) => client.assertion({ exp: now() + 7200 }), /exp is missing, past, or more/],
    ['exp in the past', (client) => client.assertion({ exp: now() - 1 }), /exp is missing, past/],
    ['iat in the future', (client) => client.assertion({ iat: now() + 60 }), /iat is missing/],
    ['no jti', (client) => client.assertion({ jti: undefined }), /jti is missing/],
    ['typ of a proof', (client) => client.assertion({}, { header: { typ: 'dpop+jwt' } }), /typ/],
    ['no kid among several keys', (client) => client.assertion({}, { header: { kid: 'x' } }), /is refused/],
    ['the secret', (client) => client.assertion({}, { alg: 'HS256' }), /is refused/],
    ['no signature', (client) => client.assertion({}, { alg: 'none' }), /is refused/],
    ['another type', (client) => ({ ...client.assertion(), client_assertion_type: 'jwt' }), /client_assertion_type/],
    ['no assertion', () => ({ client_id: 'test-client' }), /client_assertion_type is wrong/],
    [
      'a secret besides',
      (client) => ({ ...client.assertion(), client_secret: stage.provider.clientSecret }),
      /more than one method/,
      'invalid_request',
    ],
  ]
  for (const [name, changed, complaint, error = 'invalid_client'] of rows) {
    it(`are refused with ${name}`, async () => {
      const { client, provider } = stage
      const answer = await client.redeem(changed(client))
      assertComplaint(provider, answer, complaint, error)
      assert.equal(answer.status, error === 'invalid_client' ? 401 : 400)
    })
  }

  it('are verified with the keys that the client publishes, where it is registered with their address', async () => {
    const { client, provider } = stage
    let published: object = publicKeySet(provider.clientKeys)
    const site = await listen(createServer((_req, res) => sendJson(res, 200, published)))
    provider.changeClient({ clientJwksUri: `http://127.0.0.1:${site.port}/jwks` })
    assertGood(provider, await client.redeem(client.assertion()))
    published = { keys: provider.clientKeys }
    const answer = await client.redeem(client.assertion())
    await site.stop()
    assertComplaint(provider, answer, /jwks_uri: the client publishes a private key/, 'invalid_client')
    provider.reset()
    assertGood(provider, await client.redeem(client.assertion()))
  })

  it('are refused where they come twice', async () => {
    const { client, provider } = stage
    const once = client.assertion()
    assertGood(provider, await client.redeem(once))
    assertComplaint(provider, await client.redeem(once), /jti is missing or was used/, 'invalid_client')
  })
})

describe('client assertions of Okta', () => {
  const stage = useProvider({
    tokenEndpointAuthMethod: 'client_secret_jwt',
    tokenEndpointAuthSigningAlg: 'HS384',
    assertionAudience: 'endpoint',
  })
  const aud = (): string => stage.provider.endpointUrls['/token']

  it('have the endpoint as their audience', async () => {
    assertGood(stage.provider, await stage.client.redeem(stage.client.assertion({ aud: aud() }, { alg: 'HS384' })))
  })

  it('are refused with the issuer, or with another algorithm than is registered', async () => {
    const { client, provider } = stage
    const other = client.assertion({}, { alg: 'HS384' })
    assertComplaint(provider, await client.redeem(other), /aud is not/, 'invalid_client')
    provider.reset()
    const weaker = client.assertion({ aud: aud() }, { alg: 'HS256' })
    assertComplaint(provider, await client.redeem(weaker), /is refused: ERR_JOSE_ALG_NOT_ALLOWED/, 'invalid_client')
  })
})

for (const method of ['tls_client_auth', 'self_signed_tls_client_auth'] as const) {
  describe(`a client of ${method}`, () => {
    const stage = useProvider({ tokenEndpointAuthMethod: method, tlsClientCertificateBoundAccessTokens: true })
    const tokenUrl = (): string | undefined => stage.provider.mtlsEndpointUrls?.['/token']

    it('shows its certificate, and uses its tokens with it alone', async () => {
      const { client, provider } = stage
      const certificate = provider.clientCertificate
      const tokens = await client.redeem({ client_id: provider.clientId }, { url: tokenUrl(), certificate })
      assertGood(provider, tokens)
      const headers = { authorization: `Bearer ${tokens.json()['access_token']}` }
      const userinfo = provider.mtlsEndpointUrls?.['/userinfo'] ?? ''
      assertGood(provider, await ask(userinfo, { headers, certificate }))
      assertComplaint(provider, await ask(userinfo, { headers }), /another certificate/, 'invalid_token')
    })

    it('is told of the other addresses', async () => {
      const { json } = await ask(stage.provider.endpointUrls['/discovery'])
      const { mtls_endpoint_aliases: aliases, token_endpoint: plain, issuer } = json()
      assert.deepEqual([Object(aliases).token_endpoint, issuer], [tokenUrl(), stage.provider.issuer])
      assert.notEqual(Object(aliases).token_endpoint, plain)
    })

    it('is refused without a certificate, and at the plain address', async () => {
      const { client, provider } = stage
      const without = await client.redeem({ client_id: provider.clientId }, { url: tokenUrl() })
      assertComplaint(provider, without, /there is no client certificate/, 'invalid_client')
      provider.reset()
      const plain = await client.redeem({ client_id: provider.clientId }, { certificate: provider.clientCertificate })
      assertComplaint(provider, plain, /there is no client certificate/, 'invalid_client')
    })

    it('is refused with the certificate of another', async () => {
      const { client, provider } = stage
      const certificate = createCertificate(provider.clientId)
      const answer = await client.redeem({ client_id: provider.clientId }, { url: tokenUrl(), certificate })
      assertComplaint(provider, answer, /no authority that is trusted|is not registered/, 'invalid_client')
    })
  })
}

describe('pushed requests', () => {
  const stage = useProvider({ pushed: 'required' })

  async function push(form: Form, headers: Form = stage.client.basic()): Promise<HandAnswer> {
    return ask(stage.provider.endpointUrls['/par'], { form, headers })
  }

  async function pushed(form: Form): Promise<Form> {
    const { request_uri } = (await push(form)).json()
    return { client_id: stage.provider.clientId, request_uri: String(request_uri) }
  }

  it('are answered with a reference that is good once', async () => {
    const { client, provider } = stage
    const answer = await push(client.params)
    assertGood(provider, answer, 201)
    assert.equal(answer.json()['expires_in'], 60)
    const sent = { client_id: provider.clientId, request_uri: String(answer.json()['request_uri']) }
    const code = (await client.authorize(sent)).get('code')
    assert.deepEqual([typeof code, provider.complaints], ['string', []])
    assert.equal(provider.authorizationRequests[0]?.get('scope'), 'openid email')
    assert.equal((await client.authorize(sent)).get('error'), 'invalid_request_uri')
    assert.deepEqual(provider.complaints, ['/authorize: request_uri was used before'])
  })

  it('are demanded', async () => {
    const { client, provider } = stage
    assert.equal((await client.authorize()).get('error'), 'invalid_request')
    assert.deepEqual(provider.complaints, ['/authorize: the request was not pushed'])
  })

  it('are the whole request', async () => {
    const { client, provider } = stage
    const sent = await pushed(client.params)
    await client.authorize({ ...sent, scope: 'openid' })
    assert.deepEqual(provider.complaints, ['/authorize: scope came beside the pushed request'])
  })

  it('are refused where they would be refused in the browser, or without the client proved', async () => {
    const { client, provider } = stage
    const short = await push({ ...client.params, state: 'x' })
    assertComplaint(provider, short, /\/par: state is missing/, 'invalid_request')
    const unproved = await push(client.params, {})
    assertComplaint(provider, unproved, /\/par: Basic credentials are wrong/, 'invalid_client')
    const nested = await push({ ...client.params, request_uri: 'urn:x' })
    assertComplaint(provider, nested, /request_uri was pushed/, 'invalid_request')
  })

  it('are known to nobody else', async () => {
    const { provider } = stage
    const answer = await ask(
      `${provider.endpointUrls['/authorize']}?${new URLSearchParams({ client_id: provider.clientId, request_uri: 'urn:x' })}`,
    )
    assert.deepEqual([answer.status, provider.complaints], [400, ['/authorize: request_uri is not known']])
  })
})

describe('proofs of possession', () => {
  const stage = useProvider({ dpop: 'nonce', pushed: 'optional' })

  it('are asked for a nonce at each of the endpoints, and bind what they get', async () => {
    const { client, provider } = stage
    const { '/par': par, '/token': token, '/userinfo': userinfo } = provider.endpointUrls
    const headers = (url: string, method: string, changes: JsonObject = {}): Form => ({
      dpop: client.proof(method, url, changes),
    })
    const untold = await ask(par, { form: client.params, headers: { ...client.basic(), ...headers(par, 'POST') } })
    assert.deepEqual([untold.status, untold.json()['error']], [400, 'use_dpop_nonce'])
    const nonce = String(untold.headers['dpop-nonce'])
    const sent = { ...client.basic(), ...headers(par, 'POST', { nonce }) }
    const pushed = await ask(par, { form: client.params, headers: sent })
    assertGood(provider, pushed, 201)
    const reference = { client_id: provider.clientId, request_uri: String(pushed.json()['request_uri']) }
    const form = client.codeForm((await client.authorize(reference)).get('code') ?? '')
    const again = await ask(token, { form, headers: { ...client.basic(), ...headers(token, 'POST') } })
    assert.equal(again.json()['error'], 'use_dpop_nonce')
    const tokens = await ask(token, { form, headers: { ...client.basic(), ...headers(token, 'POST', { nonce }) } })
    assertGood(provider, tokens)
    assert.deepEqual([tokens.json()['token_type'], tokens.headers['dpop-nonce']], ['DPoP', nonce])

    const accessToken = String(tokens.json()['access_token'])
    const ath = hashOf(accessToken)
    const authorization = `DPoP ${accessToken}`
    const first = await ask(userinfo, { headers: { authorization, ...headers(userinfo, 'GET', { ath }) } })
    assert.deepEqual([first.status, /use_dpop_nonce/.test(first.headers['www-authenticate'] ?? '')], [401, true])
    const told = { ath, nonce: first.headers['dpop-nonce'] }
    const second = await ask(userinfo, { headers: { authorization, ...headers(userinfo, 'GET', told) } })
    assertGood(provider, second)
    assert.equal(second.json()['sub'], 'user-subject')
    const borne = await ask(userinfo, { headers: { authorization: `Bearer ${accessToken}` } })
    assertComplaint(provider, borne, /bound to a key came as Bearer/, 'invalid_token')
  })
})

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

describe('a proof of possession', () => {
  const stage = useProvider({ dpop: 'no-nonce' })
  const url = (): string => stage.provider.endpointUrls['/token']

  async function redeem(dpop: string | undefined): Promise<HandAnswer> {
    return stage.client.redeem({}, { headers: { ...stage.client.basic(), ...(dpop === undefined ? {} : { dpop }) } })
  }

  it('needs no nonce here', async () => {
    assertGood(stage.provider, await redeem(stage.client.proof('POST', url())))
  })

  const rows: readonly (readonly [
    name: string,
    proof: (client: HandClient) => string | undefined,
    complaint: RegExp,
  ])[] = [
    ['that is missing', () => undefined, /there is no DPoP proof/],
    ['of another method', (client) => client.proof('GET', url()), /htm is not/],
    ['of another address', (client) => client.proof('POST', `${url()}?x=1`), /htu is not/],
    ['of an hour ago', (client) => client.proof('POST', url(), { iat: now() - 3600 }), /iat is missing, too old/],
    ['without jti', (client) => client.proof('POST', url(), { jti: undefined }), /jti is missing/],
    ['with ath', (client) => client.proof('POST', url(), { ath: 'x' }), /ath is not/],
    ['of another type', (client) => client.proof('POST', url(), {}, { typ: 'JWT' }), /typ is not dpop/],
    ['without a key', (client) => client.proof('POST', url(), {}, { jwk: undefined }), /no jwk/],
    [
      'with a private key',
      (client) => client.proof('POST', url(), {}, { jwk: client.possessed.privateKey.export({ format: 'jwk' }) }),
      /private key/,
    ],
    ['that is two', (client) => `${client.proof('POST', url())}, ${client.proof('POST', url())}`, /more than one/],
    ['with a wrong signature', (client) => `${client.proof('POST', url()).slice(0, -8)}AAAAAAAA`, /DPoP proof: ERR_/],
  ]
  for (const [name, proof, complaint] of rows) {
    it(`is refused: one ${name}`, async () => {
      assertComplaint(stage.provider, await redeem(proof(stage.client)), complaint, 'invalid_dpop_proof')
    })
  }

  it('is good once', async () => {
    const once = stage.client.proof('POST', url())
    assertGood(stage.provider, await redeem(once))
    assertComplaint(stage.provider, await redeem(once), /was used before/, 'invalid_dpop_proof')
  })

  it('has to be of the key that the request named', async () => {
    const { client, provider } = stage
    const code = (await client.authorize({ ...client.params, dpop_jkt: 'x'.repeat(43) })).get('code') ?? ''
    const headers = { ...client.basic(), dpop: client.proof('POST', url()) }
    const answer = await ask(url(), { form: client.codeForm(code), headers })
    assertComplaint(provider, answer, /bound to another key/, 'invalid_dpop_proof')
  })
})

describe('request objects', () => {
  const stage = useProvider({ requestObjectSigningAlg: 'ES256' })
  const how = { alg: 'ES256' }

  function send(request: string, changes: Form = {}): Promise<URLSearchParams> {
    const { client_id, response_type, scope } = stage.client.params
    return stage.client.authorize({ client_id, response_type, scope, request, ...changes })
  }

  it('are taken by value', async () => {
    const answer = await send(stage.client.requestObject({}, how))
    assert.deepEqual([typeof answer.get('code'), stage.provider.complaints], ['string', []])
  })

  it('are fetched', async () => {
    const object = stage.client.requestObject({}, how)
    const type = 'application/oauth-authz-req+jwt'
    const site = await listen(createServer((_req, res) => sendText(res, 200, type, object)))
    const { client_id, response_type, scope } = stage.client.params
    const request_uri = `http://127.0.0.1:${site.port}/request/1`
    const answer = await stage.client.authorize({ client_id, response_type, scope, request_uri })
    await site.stop()
    assert.deepEqual([typeof answer.get('code'), stage.provider.complaints], ['string', []])
  })

  it('are demanded where one is registered', async () => {
    assert.equal((await stage.client.authorize()).get('error'), 'invalid_request')
    assert.deepEqual(stage.provider.complaints, ['/authorize: there is no request object'])
  })

  const rows: readonly (readonly [name: string, changes: JsonObject, complaint: RegExp, how?: Signed])[] = [
    ['another iss', { iss: 'x' }, /iss and client_id/],
    ['another client_id', { client_id: 'x' }, /iss and client_id/],
    ['another aud', { aud: 'x' }, /aud is not/],
    ['no exp', { exp: undefined }, /exp is missing/],
    ['exp in two hours', { exp: now() + 7200 }, /exp is missing/],
    ['nbf in the future', { nbf: now() + 60 }, /nbf is missing/],
    ['no jti', { jti: undefined }, /jti is missing/],
    ['another scope than outside', { scope: 'openid' }, /scope beside the request object is not/],
    ['a request_uri', { request_uri: 'urn:x' }, /request_uri does not belong there/],
    ['a subject', { sub: 'test-client' }, /sub does not belong there/],
    ['another typ', {}, /typ is not/, { alg: 'ES256', header: { typ: 'JWT' } }],
    ['another algorithm', {}, /ERR_JOSE_ALG_NOT_ALLOWED/, { alg: 'PS256' }],
    ['no signature', {}, /request object: ERR_/, { alg: 'none' }],
    ['a short state', { state: 'x' }, /state is missing/],
  ]
  for (const [name, changes, complaint, signed = how] of rows) {
    it(`are refused with ${name}`, async () => {
      const answer = await send(stage.client.requestObject(changes, signed))
      assert.match(stage.provider.complaints.join('\n'), complaint)
      assert.equal(answer.get('code'), null)
    })
  }

  it('are good once', async () => {
    const object = stage.client.requestObject({}, how)
    await send(object)
    assert.equal((await send(object)).get('error'), 'invalid_request_object')
    assert.match(stage.provider.complaints.join('\n'), /jti is missing or was used before/)
  })
})

describe('request objects of other kinds', () => {
  for (const [alg, enc] of [
    ['RSA-OAEP-256', 'A256GCM'],
    ['ECDH-ES', 'A128CBC-HS256'],
    ['A256KW', 'A128GCM'],
    ['dir', 'A128CBC-HS256'],
  ] as const) {
    it(`are taken encrypted with ${alg} and ${enc}`, async () => {
      const provider = await startStrictProvider({
        ...{ requestObjectSigningAlg: 'HS256', requestObjectEncryptionAlg: alg, requestObjectEncryptionEnc: enc },
      })
      const client = createClientByHand(provider)
      const { keys = [] } = (await ask(provider.endpointUrls['/jwks'])).json() as { keys?: JsonWebKey[] }
      const published = keys.find((jwk) => jwk['use'] === 'enc' && jwk['alg'] === alg)
      const key = published
        ? createPublicKey({ key: published, format: 'jwk' })
        : secretKey(provider.clientSecret, alg, enc)
      const object = client.requestObject({}, { alg: 'HS256' })
      const { client_id, response_type, scope } = client.params
      const request = encryptJwe(object, { alg, enc, key, header: { cty: 'JWT' } })
      const answer = await client.authorize({ client_id, response_type, scope, request })
      const plain = await client.authorize({ client_id, response_type, scope, request: object })
      await provider.stop()
      assert.equal(typeof answer.get('code'), 'string')
      assert.equal(plain.get('code'), null)
      assert.deepEqual(provider.complaints, ['/authorize: request object: it is not encrypted'])
    })
  }

  it('are taken unsigned where that is registered, and then not signed', async () => {
    const provider = await startStrictProvider({ requestObjectSigningAlg: 'none' })
    const client = createClientByHand(provider)
    const { client_id, response_type, scope } = client.params
    const sent = { client_id, response_type, scope }
    const unsigned = await client.authorize({ ...sent, request: client.requestObject({}, { alg: 'none' }) })
    assert.deepEqual([typeof unsigned.get('code'), provider.complaints], ['string', []])
    await client.authorize({ ...sent, request: client.requestObject({}, { alg: 'HS256' }) })
    await provider.stop()
    assert.deepEqual(provider.complaints, ['/authorize: request object: it is not unsigned'])
  })

  it('are pushed alone', async () => {
    const provider = await startStrictProvider({ pushed: 'optional', requestObjectSigningAlg: 'HS256' })
    const client = createClientByHand(provider)
    const push = (form: Form): Promise<HandAnswer> =>
      ask(provider.endpointUrls['/par'], { form: { client_id: provider.clientId, ...form }, headers: client.basic() })
    assertGood(provider, await push({ request: client.requestObject({}, { alg: 'HS256' }) }), 201)
    await push({ request: client.requestObject({}, { alg: 'HS256' }), scope: 'openid email' })
    await provider.stop()
    assert.deepEqual(provider.complaints, ['/par: scope was pushed beside the request object'])
  })
})

/** Who has encrypted what, decrypted by the library that does it in the relying party. */
async function decrypt(provider: StrictProvider, jwe: unknown): Promise<{ header: JsonObject; text: string }> {
  const { plaintext, protectedHeader } = await compactDecrypt(String(jwe), ({ alg, enc, kid }) => {
    const jwk = provider.clientKeys.find((one) => one['kid'] === kid)
    return jwk ? createPrivateKey({ key: jwk, format: 'jwk' }) : secretKey(provider.clientSecret, alg, enc)
  })
  return { header: { ...protectedHeader }, text: Buffer.from(plaintext).toString() }
}

function claimsOf(jwt: unknown): JsonObject {
  return JSON.parse(Buffer.from(String(jwt).split('.')[1] ?? '', 'base64url').toString())
}

describe('encryption', () => {
  const ALGS = [
    ...['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512'],
    ...['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW'],
    ...['A128KW', 'A192KW', 'A256KW', 'A128GCMKW', 'A256GCMKW', 'dir'],
  ]
  const ENCS = ['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512']

  ALGS.forEach((alg, index) => {
    const enc = ENCS[index % ENCS.length] ?? ''
    it(`with ${alg} and ${enc} is right`, async () => {
      const provider = await startStrictProvider({ idTokenEncryptedResponseAlg: alg, idTokenEncryptedResponseEnc: enc })
      const client = createClientByHand(provider)
      const tokens = await client.redeem({}, { headers: client.basic() })
      await provider.stop()
      const { header, text } = await decrypt(provider, tokens.json()['id_token'])
      assert.deepEqual([header['alg'], header['enc'], header['cty']], [alg, enc, 'JWT'])
      assert.equal(claimsOf(text)['sub'], 'user-subject')
    })
  })

  const stage = useProvider({
    idTokenEncryptedResponseAlg: 'RSA-OAEP-256',
    userinfoSignedResponseAlg: 'ES256',
    userinfoEncryptedResponseAlg: 'ECDH-ES',
    authorizationEncryptedResponseAlg: 'RSA-OAEP',
  })

  it('is what a test changes of it', async () => {
    const { client, provider } = stage
    provider.change.jweHeader = (header) => ({ ...header, alg: 'RSA1_5' })
    const answer = await client.redeem({}, { headers: client.basic() })
    const [header = ''] = String(answer.json()['id_token']).split('.')
    assert.equal(JSON.parse(Buffer.from(header, 'base64url').toString()).alg, 'RSA1_5')
    provider.change.encryptedIdToken = (_jwe, jwt) => jwt
    const plain = await client.redeem({}, { headers: client.basic() })
    assert.equal(claimsOf(plain.json()['id_token'])['sub'], 'user-subject')
  })

  it('is of UserInfo and of answers too', async () => {
    const { client, provider } = stage
    const tokens = await client.redeem({}, { headers: client.basic() })
    const headers = { authorization: `Bearer ${tokens.json()['access_token']}` }
    const userinfo = await ask(provider.endpointUrls['/userinfo'], { headers })
    assert.equal(userinfo.headers['content-type'], 'application/jwt')
    const { iss, aud, email } = claimsOf((await decrypt(provider, userinfo.body)).text)
    assert.deepEqual([iss, aud, email], [provider.issuer, provider.clientId, 'alice@example.test'])
    const answer = await client.authorize({ ...client.params, response_mode: 'jwt' })
    const { text } = await decrypt(provider, answer.get('response'))
    assert.deepEqual([claimsOf(text)['state'], provider.complaints], [client.params.state, []])
  })
})

describe('UserInfo', () => {
  const stage = useProvider({ userinfoBearerMethod: 'body' })

  async function accessToken(): Promise<string> {
    const { client } = stage
    return String((await client.redeem({}, { headers: client.basic() })).json()['access_token'])
  }

  it('takes the token by the way that it wants alone', async () => {
    const { provider } = stage
    const { '/userinfo': url } = provider.endpointUrls
    const token = await accessToken()
    assertGood(provider, await ask(url, { form: { access_token: token } }))
    const byHeader = await ask(url, { headers: { authorization: `Bearer ${token}` } })
    assertComplaint(provider, byHeader, /is not in the body/, 'invalid_request')
    const twice = await ask(url, { headers: { authorization: `Bearer ${token}` }, form: { access_token: token } })
    assertComplaint(provider, twice, /was sent twice/, 'invalid_request')
  })

  it('is signed with iss and aud where that is registered', async () => {
    const provider = await startStrictProvider({ userinfoSignedResponseAlg: 'RS256' })
    const client = createClientByHand(provider)
    const token = (await client.redeem({}, { headers: client.basic() })).json()['access_token']
    const headers = { authorization: `Bearer ${token}` }
    const good = await ask(provider.endpointUrls['/userinfo'], { headers })
    provider.change.userinfo = answered(500, { error: 'x' })
    const bad = await ask(provider.endpointUrls['/userinfo'], { headers })
    await provider.stop()
    assert.deepEqual([claimsOf(good.body)['iss'], claimsOf(good.body)['aud']], [provider.issuer, provider.clientId])
    assert.deepEqual([bad.status, bad.json()], [500, { error: 'x' }])
  })

  for (const by of ['aggregated', 'distributed'] as const) {
    it(`has ${by} claims of another issuer`, async () => {
      const claims = await startClaimsProvider()
      const provider = await startStrictProvider({ claimsFrom: { provider: claims, by } })
      const client = createClientByHand(provider)
      const token = (await client.redeem({}, { headers: client.basic() })).json()['access_token']
      const headers = { authorization: `Bearer ${token}` }
      const userinfo = (await ask(provider.endpointUrls['/userinfo'], { headers })).json()
      const { src1 } = Object(userinfo['_claim_sources'])
      const jwt =
        src1.JWT ?? (await ask(src1.endpoint, { headers: { authorization: `Bearer ${src1.access_token}` } })).body
      const refused = await ask(`${claims.issuer}/claims`)
      await Promise.all([provider.stop(), claims.stop()])
      assert.equal(Object(userinfo['_claim_names']).phone_number, 'src1')
      assert.deepEqual([claimsOf(jwt)['iss'], claimsOf(jwt)['phone_number']], [claims.issuer, '+43 316 7654321'])
      assert.deepEqual([refused.status, claims.complaints], [401, ['/claims: the access token is wrong']])
      assert.deepEqual(provider.clientOptions.claimsProviders, [claims.issuer])
    })
  }
})

describe('refreshing', () => {
  async function logIn(provider: StrictProvider): Promise<{ client: HandClient; tokens: JsonObject }> {
    const client = createClientByHand(provider)
    const code = (await client.authorize({ ...client.params, scope: 'openid email offline_access' })).get('code') ?? ''
    const form = client.codeForm(code)
    const answer = await ask(provider.endpointUrls['/token'], { form, headers: client.basic() })
    return { client, tokens: answer.json() }
  }

  function refresh(
    provider: StrictProvider,
    { client, tokens }: Awaited<ReturnType<typeof logIn>>,
    changes: Form = {},
  ) {
    const form = { grant_type: 'refresh_token', refresh_token: String(tokens['refresh_token']), ...changes }
    return ask(provider.endpointUrls['/token'], { form, headers: client.basic() })
  }

  const statusOf = async (provider: StrictProvider, accessToken: unknown): Promise<number> =>
    (await ask(provider.endpointUrls['/userinfo'], { headers: { authorization: `Bearer ${accessToken}` } })).status

  const stage = useProvider({})

  it('rotates, and an old token ends the whole family', async () => {
    const { provider } = stage
    const login = await logIn(provider)
    const refreshed = await refresh(provider, login)
    assertGood(provider, refreshed)
    assert.notEqual(refreshed.json()['refresh_token'], login.tokens['refresh_token'])
    assert.equal(claimsOf(refreshed.json()['id_token'])['nonce'], claimsOf(login.tokens['id_token'])['nonce'])
    assertComplaint(provider, await refresh(provider, login), /refresh_token was used before/, 'invalid_grant')
    assert.equal(await statusOf(provider, refreshed.json()['access_token']), 401)
  })

  it('changes what a test says, and nothing of the login', async () => {
    const { provider } = stage
    provider.change.refreshedIdTokenClaims = (claims) => ({ ...claims, sub: 'another' })
    const login = await logIn(provider)
    const refreshed = await refresh(provider, login, { scope: 'openid' })
    const { scope, id_token: idToken } = refreshed.json()
    assert.deepEqual([claimsOf(login.tokens['id_token'])['sub'], claimsOf(idToken)['sub']], ['user-subject', 'another'])
    assert.equal(scope, 'openid')
    const wider = await refresh(provider, { ...login, tokens: refreshed.json() }, { scope: 'openid profile' })
    assertComplaint(provider, wider, /more than what was granted/, 'invalid_scope')
  })

  it('keeps the same token, says none, or forgives, where that is told', async () => {
    for (const refreshTokenRotation of ['same', 'absent', 'reuse-leeway'] as const) {
      const provider = await startStrictProvider({ refreshTokenRotation, refreshedIdToken: 'without-nonce' })
      const login = await logIn(provider)
      const first = await refresh(provider, login)
      const second = await refresh(provider, login)
      await provider.stop()
      assertGood(provider, first)
      assertGood(provider, second)
      assert.equal(claimsOf(first.json()['id_token'])['nonce'], undefined)
      const { refresh_token: next } = first.json()
      const expected = { same: login.tokens['refresh_token'], absent: undefined, 'reuse-leeway': next }
      assert.equal(next, expected[refreshTokenRotation])
    }
  })

  it('ends by revocation, and with it the access tokens', async () => {
    const { provider } = stage
    const login = await logIn(provider)
    const { '/revoke': url } = provider.endpointUrls
    const revoke = (form: Form, headers = login.client.basic()): Promise<HandAnswer> => ask(url, { form, headers })
    const token = String(login.tokens['refresh_token'])
    assertGood(provider, await revoke({ token: 'unknown' }))
    assertGood(provider, await revoke({ token, token_type_hint: 'refresh_token' }))
    assert.deepEqual([await statusOf(provider, login.tokens['access_token']), provider.calls['/revoke']], [401, 2])
    assert.deepEqual(provider.complaints, [])
    assertComplaint(provider, await revoke({ token }, {}), /Basic credentials/, 'invalid_client')
    const wrong = await revoke({ token, token_type_hint: 'access_token' })
    assertComplaint(provider, wrong, /token_type_hint is of another/, 'invalid_request')
    const refused = await refresh(provider, login)
    assertComplaint(provider, refused, /refresh_token was revoked/, 'invalid_grant')
  })
})

describe('what a request asks of the login', () => {
  const stage = useProvider({})

  async function idTokenFor(changes: Form): Promise<JsonObject> {
    const { client, provider } = stage
    const code = (await client.authorize({ ...client.params, ...changes })).get('code') ?? ''
    const answer = await ask(provider.endpointUrls['/token'], { form: client.codeForm(code), headers: client.basic() })
    assertGood(provider, answer)
    return { ...answer.json(), ...claimsOf(answer.json()['id_token']) }
  }

  it('is in the ID Token', async () => {
    const { acr, amr, auth_time: authTime } = await idTokenFor({ acr_values: 'urn:b urn:a', max_age: '60' })
    assert.deepEqual([acr, amr, typeof authTime], ['urn:b', ['pwd'], 'number'])
    const claims = JSON.stringify({
      id_token: { acr: { values: ['urn:c'] }, auth_time: null, name: { essential: true } },
    })
    const asked = await idTokenFor({ claims })
    assert.deepEqual([asked['acr'], typeof asked['auth_time'], asked['name']], ['urn:c', 'number', 'Alice Example'])
    const details = [{ type: 'payment' }]
    const granted = await idTokenFor({ authorization_details: JSON.stringify(details), resource: 'https://a.example' })
    assert.deepEqual(granted['authorization_details'], details)
  })

  it('is answered with how the person has logged in', async () => {
    stage.provider.amr = ['pwd', 'otp']
    assert.deepEqual((await idTokenFor({}))['amr'], ['pwd', 'otp'])
    stage.provider.reset()
    assert.equal((await idTokenFor({}))['amr'], undefined)
  })

  it('is refused silently where nobody is logged in', async () => {
    const { client, provider } = stage
    const silent = { ...client.params, prompt: 'none' }
    assert.equal(typeof (await client.authorize(silent)).get('code'), 'string')
    provider.loggedIn = false
    assert.equal((await client.authorize(silent)).get('error'), 'login_required')
    assert.deepEqual(provider.complaints, [])
  })

  const rows: readonly (readonly [name: string, changes: Form, complaint: RegExp])[] = [
    ['prompt=none login', { prompt: 'none login' }, /prompt has none and something else/],
    ['claims that are no JSON', { claims: '{' }, /claims is no JSON/],
    ['authorization_details without type', { authorization_details: '[{}]' }, /authorization_details is no list/],
    ['a relative resource', { resource: '/a' }, /resource is no absolute URI/],
    ['the hint of another', { id_token_hint: 'x.y.z' }, /id_token_hint is not ours/],
  ]
  for (const [name, changes, complaint] of rows) {
    it(`is complained of: ${name}`, async () => {
      const { client, provider } = stage
      assert.equal((await client.authorize({ ...client.params, ...changes })).get('code'), null)
      assert.match(provider.complaints.join('\n'), complaint)
    })
  }
})

describe('registration', () => {
  const stage = useProvider({ registration: 'protected' })
  const metadata = { redirect_uris: ['http://127.0.0.1:1/callback'], client_name: 'Test' }

  function register(json: JsonObject, token = stage.provider.initialAccessToken): Promise<HandAnswer> {
    return ask(stage.provider.endpointUrls['/register'], { json, headers: { authorization: `Bearer ${token}` } })
  }

  it('gives odd ids and secrets, with which the client logs in', async () => {
    const { provider } = stage
    const answer = await register(metadata)
    assertGood(provider, answer, 201)
    const { client_id: clientId, client_secret: clientSecret } = answer.json()
    assert.match(String(clientId), /^client_[\w-]{20}.*\W/)
    const client = createClientByHand({ ...provider, clientId: String(clientId), clientSecret: String(clientSecret) })
    assertGood(provider, await client.redeem({}, { headers: client.basic() }))
  })

  it('is managed at an address of its own', async () => {
    const { provider } = stage
    const registered = (await register(metadata)).json()
    const url = String(registered['registration_client_uri'])
    const headers = { authorization: `Bearer ${registered['registration_access_token']}` }
    const { client_id } = registered
    assert.equal((await ask(url, { headers })).json()['client_name'], 'Test')
    const changed = await ask(url, { method: 'PUT', json: { ...metadata, client_id, client_name: 'New' }, headers })
    assert.deepEqual([changed.status, changed.json()['client_name'], provider.complaints], [200, 'New', []])
    const foreign = await ask(url, { headers: { authorization: 'Bearer x' } })
    assertComplaint(provider, foreign, /the access token is wrong/, 'invalid_token')
    assert.equal((await ask(url, { method: 'DELETE', headers })).status, 204)
    assert.equal((await ask(url, { headers })).status, 401)
  })

  const jwks = { keys: [{ kty: 'RSA', n: 'x', e: 'AQAB', d: 'x' }] }
  const rows: readonly (readonly [name: string, json: JsonObject, complaint: RegExp, error: string])[] = [
    ['no redirect_uris', { redirect_uris: [] }, /redirect_uris is no list/, 'invalid_redirect_uri'],
    ['a fragment', { redirect_uris: ['https://a.example/#b'] }, /with a fragment/, 'invalid_redirect_uri'],
    [
      'both jwks and jwks_uri',
      { jwks: { keys: [] }, jwks_uri: 'https://a.example' },
      /both/,
      'invalid_client_metadata',
    ],
    ['a private key', { jwks }, /publishes a private key/, 'invalid_client_metadata'],
    ['an unknown method', { token_endpoint_auth_method: 'x' }, /is not known/, 'invalid_client_metadata'],
    ['no keys', { token_endpoint_auth_method: 'private_key_jwt' }, /no keys for/, 'invalid_client_metadata'],
    ['types without grants', { response_types: ['id_token'] }, /grant type implicit/, 'invalid_client_metadata'],
    ['an id', { client_id: 'x' }, /for the provider to give/, 'invalid_client_metadata'],
  ]
  for (const [name, json, complaint, error] of rows) {
    it(`is refused with ${name}`, async () => {
      assertComplaint(stage.provider, await register({ ...metadata, ...json }), complaint, error)
    })
  }

  it('is refused without the token', async () => {
    assertComplaint(stage.provider, await register(metadata, 'x'), /access token is wrong/, 'invalid_token')
  })
})

describe('webfinger', () => {
  const stage = useProvider({ webfinger: 'announced', layout: 'trailing-slash' })
  const REL = 'http://openid.net/specs/connect/1.0/issuer'

  it('tells the issuer, which nobody can guess', async () => {
    const { provider } = stage
    const { host } = new URL(provider.issuer)
    for (const resource of [`acct:joe@${host}`, `http://${host}/joe`]) {
      const url = `${provider.endpointUrls['/webfinger']}?${new URLSearchParams({ resource, rel: REL })}`
      const answer = await ask(url)
      assertGood(provider, answer)
      assert.equal(Object(answer.json()['links'])[0].href, provider.issuer)
    }
    assert.match(provider.issuer, /\/tenant\/[\w-]{16}$/)
    assertGood(provider, await ask(provider.endpointUrls['/discovery']))
  })

  it('complains of what is no resource of its own', async () => {
    for (const resource of ['joe', 'acct:joe@elsewhere.example', 'https://elsewhere.example/joe']) {
      const url = `${stage.provider.endpointUrls['/webfinger']}?${new URLSearchParams({ resource, rel: REL })}`
      assert.equal((await ask(url)).status, 404)
    }
    assert.equal(stage.provider.complaints.length, 3)
  })
})

describe('the profile fapi2', () => {
  const stage = useProvider({ profile: 'fapi2' })

  it('demands all of it', async () => {
    const { json } = await ask(stage.provider.endpointUrls['/discovery'])
    const metadata = json()
    assert.deepEqual(
      [metadata['require_pushed_authorization_requests'], metadata['token_endpoint_auth_methods_supported']],
      [true, ['private_key_jwt']],
    )
    assert.ok(metadata['dpop_signing_alg_values_supported'])
    const { keys } = (await ask(stage.provider.endpointUrls['/jwks'])).json() as { keys: JsonWebKey[] }
    const sameKid = keys.filter((jwk) => jwk['kid'] === stage.provider.keys.rsa.kid).map((jwk) => jwk['alg'])
    assert.deepEqual(sameKid, ['ES256', 'EdDSA', 'PS256'])
    assert.equal((await stage.client.authorize()).get('error'), 'invalid_request')
  })
})

describe('the keys of the conformance suite', () => {
  it('are several of a kind, with those for encryption beside them', async () => {
    const provider = await startStrictProvider({ suiteKeys: true })
    const { keys } = (await ask(provider.endpointUrls['/jwks'])).json() as { keys: JsonWebKey[] }
    await provider.stop()
    const signing = keys.filter((jwk) => jwk['use'] === 'sig').map(({ kty, crv }) => crv ?? kty)
    const others = keys.filter((jwk) => jwk['use'] === 'enc').map((jwk) => jwk['alg'])
    assert.deepEqual(signing, ['secp256k1', 'RSA', 'P-256', 'RSA', 'P-256', 'P-384', 'P-521', 'Ed25519'])
    assert.deepEqual(others, ['RSA-OAEP-256', 'ECDH-ES'])
  })
})
