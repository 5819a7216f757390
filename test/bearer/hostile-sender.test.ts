import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { createServer } from 'node:http'
import { createServer as createTlsServer, request as requestTls } from 'node:https'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { type BearerOptions, bearer } from '../../lib/bearer.ts'
import { memoryState } from '../../lib/memory.ts'
import { type ApiAnswer, type ApiApp, observeDenials, startApi } from '../support/app/api-app.ts'
import { makeProof, type ProofChange, thumbprintOf } from '../support/app/dpop-proofs.ts'
import { HOSTS } from '../support/app/hosts.ts'
import { createSigningKeys } from '../support/app/signing-keys.ts'
import { share, stopAfterEach } from '../support/app/stage.ts'
import { listen } from '../support/servers/http-server.ts'
import { createCertificate, LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'
import { startTokenIssuer } from '../support/servers/token-issuer.ts'

const theIssuer = share(() => startTokenIssuer())
const stopLater = stopAfterEach()
const seen = observeDenials()
const client = createSigningKeys()
const other = createSigningKeys()

/** How clients see the API. No request of these tests has this host. */
const BASE_URL = 'https://api.example.test/v1'
const URL_OF_WHO = `${BASE_URL}/who`
const ALGS = 'ES256 EdDSA Ed25519 PS256 RS256'

afterEach(() => {
  mock.timers.reset()
  theIssuer().reset()
})

async function start(options: Partial<BearerOptions> = {}, host: (typeof HOSTS)[number] = 'express5'): Promise<ApiApp> {
  return stopLater(await startApi(theIssuer(), { baseUrl: BASE_URL, ...options }, { host }))
}

/** A token that is bound to the key of the client. */
function boundToken(claims: object = {}): string {
  return theIssuer().token({ cnf: { jkt: thumbprintOf(client.p256) }, ...claims })
}

interface DpopCall {
  readonly token?: string
  readonly method?: string
  readonly change?: ProofChange
  readonly headers?: Record<string, string>
}

/** A request with a token and a proof, which is right but for the change. */
function callWithProof(
  app: ApiApp,
  { token = boundToken(), method = 'GET', change = {}, headers = {} }: DpopCall = {},
): Promise<ApiAnswer> {
  const dpop = makeProof(client.p256, { method, url: URL_OF_WHO, token }, change)
  return app.call(undefined, { method, headers: { authorization: `DPoP ${token}`, dpop, ...headers } })
}

function challengeOf(error: string, description: string): string {
  return `Bearer realm="api", DPoP realm="api", error="${error}", error_description="${description}", algs="${ALGS}"`
}

const INVALID_PROOF = challengeOf('invalid_dpop_proof', 'The DPoP proof is not valid for this request.')
const INVALID_TOKEN = challengeOf('invalid_token', 'The access token is not valid.')

const now = (): number => Math.floor(Date.now() / 1000)
const { kid: _, use: __, ...PUBLIC } = client.p256.jwk

/** One change of a good proof, and the end of the code. */
const PROOFS: readonly [string, () => ProofChange, string][] = [
  ['another method', () => ({ claims: { htm: 'POST' } }), 'METHOD'],
  ['the method in small letters', () => ({ claims: { htm: 'get' } }), 'METHOD'],
  ['no method', () => ({ claims: { htm: undefined } }), 'METHOD'],
  ['a method that is a list', () => ({ claims: { htm: ['GET'] } }), 'METHOD'],
  ['another path', () => ({ claims: { htu: `${BASE_URL}/other` } }), 'URL'],
  ['another host', () => ({ claims: { htu: 'https://evil.example/v1/who' } }), 'URL'],
  ['another scheme', () => ({ claims: { htu: 'http://api.example.test/v1/who' } }), 'URL'],
  ['another port', () => ({ claims: { htu: 'https://api.example.test:8443/v1/who' } }), 'URL'],
  ['the path without that of baseUrl', () => ({ claims: { htu: 'https://api.example.test/who' } }), 'URL'],
  ['a path alone', () => ({ claims: { htu: '/v1/who' } }), 'URL'],
  ['a URL with a user', () => ({ claims: { htu: 'https://a@api.example.test/v1/who' } }), 'URL'],
  ['no URL', () => ({ claims: { htu: undefined } }), 'URL'],
  ['a URL in a list', () => ({ claims: { htu: [URL_OF_WHO] } }), 'URL'],
  ['an iat of long ago', () => ({ claims: { iat: now() - 300 } }), 'ISSUED_AT'],
  [
    'an iat of two minutes ago, beyond its age and clockTolerance',
    () => ({ claims: { iat: now() - 125 } }),
    'ISSUED_AT',
  ],
  ['an iat in the future', () => ({ claims: { iat: now() + 300 } }), 'ISSUED_AT'],
  ['an iat that is text', () => ({ claims: { iat: String(now()) } }), 'ISSUED_AT'],
  ['no iat', () => ({ claims: { iat: undefined } }), 'ISSUED_AT'],
  ['an exp in the past', () => ({ claims: { exp: now() - 100 } }), 'ISSUED_AT'],
  ['an nbf in the future', () => ({ claims: { nbf: now() + 100 } }), 'ISSUED_AT'],
  ['no jti', () => ({ claims: { jti: undefined } }), 'ID'],
  ['an empty jti', () => ({ claims: { jti: '' } }), 'ID'],
  ['a jti that is a number', () => ({ claims: { jti: 1 } }), 'ID'],
  ['a jti of 257 characters', () => ({ claims: { jti: 'x'.repeat(257) } }), 'ID'],
  [
    'the hash of another token',
    () => ({ claims: { ath: createHash('sha256').update('x').digest('base64url') } }),
    'ACCESS_TOKEN_HASH',
  ],
  ['no hash of the token', () => ({ claims: { ath: undefined } }), 'ACCESS_TOKEN_HASH'],
  ['the token in place of its hash', () => ({ claims: { ath: boundToken() } }), 'ACCESS_TOKEN_HASH'],
  ['typ JWT', () => ({ header: { typ: 'JWT' } }), 'TYPE'],
  ['no typ', () => ({ header: { typ: undefined } }), 'TYPE'],
  ['alg none', () => ({ header: { alg: 'none' } }), 'ALG'],
  ['alg HS256', () => ({ header: { alg: 'HS256' } }), 'ALG'],
  ['an alg that is not accepted', () => ({ header: { alg: 'ES384' } }), 'ALG'],
  ['a crit header', () => ({ header: { crit: ['b64'], b64: true } }), 'CRIT'],
  ['no key', () => ({ header: { jwk: undefined } }), 'KEY'],
  ['a key that is text', () => ({ header: { jwk: 'x' } }), 'KEY'],
  ['a private key', () => ({ header: { jwk: client.p256.privateKey.export({ format: 'jwk' }) } }), 'KEY'],
  ['a symmetric key', () => ({ header: { jwk: { kty: 'oct', k: 'AAAA' } } }), 'KEY'],
  ['a key of another kind', () => ({ header: { jwk: client.rsa.jwk } }), 'KEY'],
  ['a key for encryption', () => ({ header: { jwk: { ...PUBLIC, use: 'enc' } } }), 'KEY'],
  ['a key for another alg', () => ({ header: { jwk: { ...PUBLIC, alg: 'ES512' } } }), 'KEY'],
  ['a key whose members are padded', () => ({ header: { jwk: { ...PUBLIC, x: `${PUBLIC.x}=` } } }), 'KEY'],
  ['the signature of another key', () => ({ signer: other.p256 }), 'SIGNATURE'],
]

/** Other values of the header `DPoP`. */
const HEADERS: readonly [string, (proof: string) => string, string][] = [
  ['text that is no JWT', () => 'x', 'MALFORMED'],
  ['two proofs', (proof) => `${proof}, ${proof}`, 'MALFORMED'],
  ['a proof in quotes', (proof) => `"${proof}"`, 'MALFORMED'],
  ['a proof of 8 KiB', (proof) => proof + 'A'.repeat(8192), 'TOO_LARGE'],
  ['a proof without a signature', (proof) => proof.replace(/[^.]*$/, ''), 'MALFORMED'],
  ['a proof with one letter less', (proof) => proof.slice(0, -1), 'MALFORMED'],
]

for (const host of HOSTS) {
  describe(`a token that is bound by DPoP, in ${host}`, () => {
    it('is accepted with a proof, at the URL of the configuration', async () => {
      const app = await start({}, host)
      const answer = await callWithProof(app, { headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example' } })
      assert.deepEqual([answer.status, seen.denied], [200, []])
      assert.deepEqual(answer.json(), { by: 'access_token', sub: 'alice', scope: 'orders:read profile' })
      assert.equal((await callWithProof(app, { method: 'DELETE' })).status, 200)
    })

    it('is accepted once with each proof', async () => {
      const app = await start({}, host)
      const change = { claims: { jti: 'the-same' } }
      assert.equal((await callWithProof(app, { change })).status, 200)
      const again = await callWithProof(app, { change })
      assert.deepEqual(
        [again.status, again.challenge, seen.denied],
        [401, INVALID_PROOF, ['ERR_OIDC_DPOP_PROOF_REPLAYED']],
      )
      assert.deepEqual(app.reached, ['/who'])
    })
  })
}

describe('a token that is bound by DPoP', () => {
  let app: ApiApp
  beforeEach(async () => {
    app = await start()
  })

  for (const [name, change, code] of PROOFS) {
    it(`is refused if the proof has ${name}`, async () => {
      const answer = await callWithProof(app, { change: change() })
      assert.deepEqual([answer.status, answer.challenge], [401, INVALID_PROOF])
      assert.equal(answer.json()['error'], 'invalid_dpop_proof')
      assert.deepEqual([seen.denied, app.reached], [[`ERR_OIDC_DPOP_PROOF_${code}`], []])
    })
  }

  for (const [name, change, code] of HEADERS) {
    it(`is refused if the header DPoP is ${name}`, async () => {
      const token = boundToken()
      const dpop = change(makeProof(client.p256, { url: URL_OF_WHO, token }))
      const answer = await app.call(undefined, { headers: { authorization: `DPoP ${token}`, dpop } })
      assert.deepEqual(
        [answer.status, answer.challenge, seen.denied, app.reached],
        [401, INVALID_PROOF, [`ERR_OIDC_DPOP_PROOF_${code}`], []],
      )
    })
  }

  it('is refused with two headers DPoP', async () => {
    const token = boundToken()
    const proof = makeProof(client.p256, { url: URL_OF_WHO, token })
    const answer = await app.callRaw([`Authorization: DPoP ${token}`, `DPoP: ${proof}`, `DPoP: ${proof}`])
    assert.deepEqual([answer.status, seen.denied, app.reached], [401, ['ERR_OIDC_DPOP_PROOF_MALFORMED'], []])
  })

  it('is refused without a proof', async () => {
    const answer = await app.call(undefined, { headers: { authorization: `DPoP ${boundToken()}` } })
    assert.deepEqual(
      [answer.status, answer.challenge, seen.denied],
      [401, INVALID_PROOF, ['ERR_OIDC_DPOP_PROOF_MISSING']],
    )
  })

  it('is refused with the proof of another key', async () => {
    const token = boundToken()
    const dpop = makeProof(other.p256, { url: URL_OF_WHO, token })
    const answer = await app.call(undefined, { headers: { authorization: `DPoP ${token}`, dpop } })
    assert.deepEqual([answer.status, seen.denied, app.reached], [401, ['ERR_OIDC_DPOP_PROOF_BINDING'], []])
  })

  it('is refused as a bearer token, with or without a proof', async () => {
    const token = boundToken()
    const dpop = makeProof(client.p256, { url: URL_OF_WHO, token })
    for (const headers of [{}, { dpop }]) {
      const answer = await app.call(token, { headers })
      assert.equal(answer.status, 401)
      assert.match(answer.challenge ?? '', /^Bearer realm="api", error="invalid_token", .*, DPoP realm="api", algs="/)
    }
    assert.deepEqual(seen.denied, Array(2).fill('ERR_OIDC_ACCESS_TOKEN_CONFIRMATION'))
  })

  it('is refused while nobody can say whether the proof was used: 503, and no handler', async () => {
    const broken = {
      ...memoryState(),
      once: () => Promise.reject(new Error('the connection to redis.internal is lost')),
    }
    const api = await start({ sharedState: broken })
    const answer = await callWithProof(api)
    assert.deepEqual(
      [answer.status, answer.headers['retry-after'], seen.errors, api.reached],
      [503, '5', ['ERR_OIDC_SHARED_STATE'], []],
    )
    assert.doesNotMatch(answer.body, /redis/)
  })

  it('needs a new proof at every node', async () => {
    const sharedState = memoryState()
    const nodes = [await start({ sharedState }), await start({ sharedState })]
    const change = { claims: { jti: 'once' } }
    const answers = await Promise.all(nodes.map((node) => callWithProof(node, { change })))
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 401])
  })

  it('is proved again each time, although the token is remembered', async () => {
    const token = boundToken()
    assert.equal((await callWithProof(app, { token })).status, 200)
    assert.equal((await app.call(token)).status, 401)
    assert.equal((await callWithProof(app, { token, change: { signer: other.p256 } })).status, 401)
    assert.equal((await callWithProof(app, { token })).status, 200)
  })

  it('is accepted once with a proof, for as long as any node would accept it', async () => {
    mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
    const token = boundToken({ exp: now() + 3600 })
    // By a clock that is as far ahead as clockTolerance allows.
    const change = { claims: { jti: 'early', iat: now() + 60 } }
    assert.equal((await callWithProof(app, { token, change })).status, 200)
    mock.timers.tick(180_000)
    assert.equal((await callWithProof(app, { token, change })).status, 401)
    mock.timers.tick(1000)
    assert.equal((await callWithProof(app, { token, change })).status, 401)
    assert.deepEqual(
      [seen.denied, app.reached],
      [['ERR_OIDC_DPOP_PROOF_REPLAYED', 'ERR_OIDC_DPOP_PROOF_ISSUED_AT'], ['/who']],
    )
  })

  it('does not use up a proof that is refused for another reason', async () => {
    const change = { claims: { jti: 'kept' } }
    assert.equal((await callWithProof(app, { token: boundToken({ exp: 1 }), change })).status, 401)
    assert.equal((await callWithProof(app, { change })).status, 200)
  })
})

describe('the scheme DPoP', () => {
  it('is refused for a token that is not bound to a key', async () => {
    const app = await start()
    const answer = await callWithProof(app, { token: theIssuer().token() })
    assert.deepEqual(
      [answer.status, answer.challenge, seen.denied],
      [401, INVALID_TOKEN, ['ERR_OIDC_ACCESS_TOKEN_CONFIRMATION']],
    )
  })

  it('is offered beside Bearer, and alone if tokens must be bound', async () => {
    const both = await (await start()).call()
    assert.equal(both.challenge, `Bearer realm="api", DPoP realm="api", algs="${ALGS}"`)
    const alone = await (await start({ senderConstrained: 'required', dpopSigningAlgs: ['ES256'] })).call()
    assert.equal(alone.challenge, 'DPoP realm="api", algs="ES256"')
    const none = await stopLater(await startApi(theIssuer())).call()
    assert.equal(none.challenge, 'Bearer realm="api"')
  })

  it('is asked for by the identifier of the API too, and a token that is bound to a certificate as Bearer', async () => {
    const resource = 'https://api.example.test/orders'
    const byResource = await stopLater(await startApi(theIssuer(), { resource })).call()
    assert.match(byResource.challenge ?? '', /^Bearer .*, DPoP /)
    const clientCertificate = { header: 'X-Client-Cert', format: 'escaped-pem', trustedProxies: ['127.0.0.1'] } as const
    const bound = await (await start({ senderConstrained: 'required', clientCertificate })).call()
    assert.match(bound.challenge ?? '', /^Bearer realm="api", DPoP /)
  })

  it('is refused without baseUrl and resource, because no URL could be compared', async () => {
    const app = stopLater(await startApi(theIssuer()))
    const answer = await callWithProof(app)
    const challenge = 'Bearer realm="api", error="invalid_token", error_description="The access token is not valid."'
    assert.deepEqual([answer.status, answer.challenge], [401, challenge])
    assert.deepEqual([seen.denied, app.reached], [['ERR_OIDC_ACCESS_TOKEN_CONFIRMATION'], []])
  })

  it('takes the origin of resource if there is no baseUrl', async () => {
    const app = stopLater(await startApi(theIssuer(), { resource: 'https://api.example.test/v1' }))
    const token = boundToken()
    const dpop = makeProof(client.p256, { url: 'https://api.example.test/who', token })
    assert.equal((await app.call(undefined, { headers: { authorization: `DPoP ${token}`, dpop } })).status, 200)
  })

  it('is for the URL of the request without a framework, too', async () => {
    const { issuer, audience } = theIssuer()
    const usual = { algorithms: ['ES256'], dangerouslyAllowInsecureRequests: true } as const
    const api = bearer({ issuer, audience, baseUrl: BASE_URL, ...usual })
    const { port } = stopLater(await listen(createServer((req, res) => api(req, res, () => res.end('reached')))))
    const token = boundToken()
    const statusOf = async (url: string): Promise<number> => {
      const headers = { authorization: `DPoP ${token}`, dpop: makeProof(client.p256, { url, token }) }
      return (await fetch(`http://127.0.0.1:${port}/who`, { headers })).status
    }
    assert.deepEqual([await statusOf(URL_OF_WHO), await statusOf(BASE_URL)], [200, 401])
    assert.deepEqual(seen.denied, ['ERR_OIDC_DPOP_PROOF_URL'])
  })

  for (const host of HOSTS) {
    it(`is for the whole path if the API is mounted below one: ${host}`, async () => {
      const settings = { host, mountPath: '/api' }
      const app = stopLater(await startApi(theIssuer(), { baseUrl: BASE_URL }, settings))
      const whole = await callWithProof(app, { change: { claims: { htu: `${BASE_URL}/api/who` } } })
      const rest = await callWithProof(app, { change: { claims: { htu: URL_OF_WHO } } })
      assert.deepEqual([whole.status, rest.status, rest.challenge], [200, 401, INVALID_PROOF])
      assert.deepEqual([seen.denied, app.reached], [['ERR_OIDC_DPOP_PROOF_URL'], ['/who']])
    })
  }
})

describe("senderConstrained 'required'", () => {
  it('refuses a token that is not bound, and accepts one that is', async () => {
    const app = await start({ senderConstrained: 'required' })
    const answer = await app.call(theIssuer().token())
    // The scheme that the client has used is not offered, so the error stands in the first one that is.
    const challenge = INVALID_TOKEN.replace('Bearer realm="api", ', '')
    assert.deepEqual([answer.status, answer.challenge], [401, challenge])
    assert.deepEqual([seen.denied, app.reached], [['ERR_OIDC_ACCESS_TOKEN_CONFIRMATION'], []])
    assert.equal((await callWithProof(app)).status, 200)
  })
})

describe('with dpopNonceSecret, a proof', () => {
  const dpopNonceSecret = [
    'a secret of at least 32 characters, the new one',
    'a secret of at least 32 characters, the old one',
  ]

  async function nonceOf(app: ApiApp): Promise<string> {
    const answer = await callWithProof(app)
    assert.deepEqual(
      [answer.status, answer.challenge],
      [401, challengeOf('use_dpop_nonce', 'Make a DPoP proof with the nonce in the header DPoP-Nonce.')],
    )
    assert.equal(answer.json()['error'], 'use_dpop_nonce')
    return String(answer.headers['dpop-nonce'])
  }

  it('is refused without the nonce, which the response has, and accepted with it', async () => {
    const app = await start({ dpopNonceSecret })
    const nonce = await nonceOf(app)
    const answer = await callWithProof(app, { change: { claims: { nonce } } })
    assert.deepEqual([answer.status, answer.headers['dpop-nonce']], [200, undefined])
    assert.deepEqual([seen.denied, app.reached], [['ERR_OIDC_DPOP_PROOF_NONCE'], ['/who']])
  })

  it('gets another nonce every five minutes', async () => {
    mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
    const app = await start({ dpopNonceSecret })
    const nonce = await nonceOf(app)
    mock.timers.tick(299_000)
    assert.equal(await nonceOf(app), nonce)
    mock.timers.tick(1000)
    assert.notEqual(await nonceOf(app), nonce)
  })

  it('is refused with an invented, an old or a changed nonce', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const app = await start({ dpopNonceSecret })
    const nonce = await nonceOf(app)
    mock.timers.tick(700_000)
    for (const wrong of [nonce, `${nonce}A`, 'invented', '', [nonce], 1]) {
      assert.equal((await callWithProof(app, { change: { claims: { nonce: wrong } } })).status, 401)
    }
    assert.deepEqual(new Set(seen.denied), new Set(['ERR_OIDC_DPOP_PROOF_NONCE']))
  })

  it('is accepted with a nonce of an older secret, and the response has the next nonce', async () => {
    const before = await start({ dpopNonceSecret: dpopNonceSecret.slice(1) })
    const nonce = await nonceOf(before)
    const app = await start({ dpopNonceSecret })
    const answer = await callWithProof(app, { change: { claims: { nonce } } })
    assert.equal(answer.status, 200)
    assert.notEqual(answer.headers['dpop-nonce'], undefined)
    assert.notEqual(answer.headers['dpop-nonce'], nonce)
  })
})

const CERTIFICATE = LOOPBACK_CERTIFICATE
const thumbprint = (pem: string | Buffer): string =>
  createHash('sha256').update(new X509Certificate(pem).raw).digest('base64url')

describe('a token that is bound to a certificate', () => {
  const header = { header: 'X-Client-Cert', format: 'escaped-pem', trustedProxies: ['127.0.0.1'] } as const
  const good = encodeURIComponent(String(CERTIFICATE.cert))
  const token = (): string => theIssuer().token({ cnf: { 'x5t#S256': thumbprint(CERTIFICATE.cert) } })

  it('is accepted with the certificate in the header of the proxy, as Bearer', async () => {
    const app = await start({ clientCertificate: header, senderConstrained: 'required' })
    assert.equal((await app.call(token(), { headers: { 'x-client-cert': good } })).status, 200)
    assert.equal((await app.call(theIssuer().token(), { headers: { 'x-client-cert': good } })).status, 401)
  })

  const REFUSED: readonly [string, Record<string, string>, string, number, Partial<BearerOptions>?][] = [
    ['no certificate', {}, 'CERTIFICATE_MISSING', 401],
    ['an empty header', { 'x-client-cert': '' }, 'CERTIFICATE_MISSING', 401],
    [
      'another certificate',
      { 'x-client-cert': encodeURIComponent(String(createCertificate('other').cert)) },
      'CERTIFICATE_BINDING',
      401,
    ],
    ['text that is no certificate', { 'x-client-cert': 'x' }, 'CERTIFICATE_HEADER', 400],
    ['two certificates', { 'x-client-cert': good + good }, 'CERTIFICATE_HEADER', 400],
    ['the certificate in another header', { 'client-cert': good }, 'CERTIFICATE_MISSING', 401],
    [
      'a sender that is no proxy of ours',
      { 'x-client-cert': good },
      'CERTIFICATE_MISSING',
      401,
      { clientCertificate: { ...header, trustedProxies: ['10.0.0.0/8'] } },
    ],
    ['a connection without TLS', { 'x-client-cert': good }, 'CERTIFICATE_MISSING', 401, { clientCertificate: 'tls' }],
    [
      'no option clientCertificate',
      { 'x-client-cert': good },
      'ACCESS_TOKEN_CONFIRMATION',
      401,
      { clientCertificate: undefined } as never,
    ],
  ]
  for (const [name, headers, code, status, options] of REFUSED) {
    it(`is refused with ${name}`, async () => {
      const app = await start({ clientCertificate: header, ...options })
      const answer = await app.call(token(), { headers })
      assert.deepEqual([answer.status, seen.denied, app.reached], [status, [`ERR_OIDC_${code}`], []])
      assert.equal(answer.json()['error'], status === 400 ? 'invalid_request' : 'invalid_token')
    })
  }

  it('is accepted with the certificate that the client has proved in TLS, and with no other', async () => {
    const { issuer, audience } = theIssuer()
    const api = bearer({
      issuer,
      audience,
      algorithms: ['ES256'],
      clientCertificate: 'tls',
      dangerouslyAllowInsecureRequests: true,
    })
    const tls = { cert: CERTIFICATE.cert, key: CERTIFICATE.key, requestCert: true, rejectUnauthorized: false }
    const { port, stop } = stopLater(
      await listen(createTlsServer(tls, (req, res) => api(req, res, () => res.end('reached')))),
    )
    void stop
    const statusWith = (pair: object): Promise<number> =>
      new Promise((resolve, reject) => {
        const options = {
          host: '127.0.0.1',
          port,
          headers: { authorization: `Bearer ${token()}` },
          rejectUnauthorized: false,
          agent: false,
        }
        requestTls({ ...options, ...pair }, (res) => resolve(res.resume().statusCode ?? 0))
          .on('error', reject)
          .end()
      })
    const { cert, key } = createCertificate('another')
    assert.equal(await statusWith({ cert: CERTIFICATE.cert, key: CERTIFICATE.key }), 200)
    assert.equal(await statusWith({ cert, key }), 401)
    assert.equal(await statusWith({}), 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_CERTIFICATE_BINDING', 'ERR_OIDC_CERTIFICATE_MISSING'])
  })

  it('must be proved by both if it is bound to a DPoP key too', async () => {
    const app = await start({ clientCertificate: header })
    const both = boundToken({ cnf: { jkt: thumbprintOf(client.p256), 'x5t#S256': thumbprint(CERTIFICATE.cert) } })
    assert.equal((await callWithProof(app, { token: both, headers: { 'x-client-cert': good } })).status, 200)
    assert.equal((await callWithProof(app, { token: both })).status, 401)
    assert.equal((await app.call(both, { headers: { 'x-client-cert': good } })).status, 401)
    assert.deepEqual(seen.denied, ['ERR_OIDC_CERTIFICATE_MISSING', 'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION'])
  })
})
