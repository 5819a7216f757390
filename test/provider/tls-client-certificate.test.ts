import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Agent, createServer } from 'node:https'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { inspect } from 'node:util'
import { ConfigError, OidcError } from '../../lib/errors.ts'
import type { TlsClientCertificate } from '../../lib/options/client-credentials.ts'
import type { Config } from '../../lib/options/config.ts'
import { requestTokens } from '../../lib/protocol/token-endpoint.ts'
import { createHttpClient } from '../../lib/provider/http-client.ts'
import { createNodeTransport } from '../../lib/provider/http-transport.ts'
import { requestResource } from '../../lib/provider/requests.ts'
import { CLIENT_ID, CLIENT_SECRET, createDirectProvider, sendAnswer } from '../support/hostile/back-channel.ts'
import { type Listening, listen, readBody } from '../support/servers/http-server.ts'
import { createCertificate, LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

const authority = createCertificate('the authority')
const ofAuthority = createCertificate('client:one', authority)
const selfSigned = createCertificate('client:one')
const other = createCertificate('client:one')

const fingerprint = ({ cert }: { readonly cert: string }): string => new X509Certificate(cert).fingerprint256

/** What the server has seen of a request. */
interface Seen {
  readonly path: string
  /** The fingerprint of the client's certificate; absent: it showed none. */
  readonly certificate: string | undefined
  readonly form: URLSearchParams
  readonly authorization: string | undefined
}

interface TlsServer {
  readonly origin: string
  readonly seen: Seen[]
  /** Whether the next request is to find its connection broken. */
  breaksNext: boolean
  stop(): Promise<void>
}

/** A server that asks each client for a certificate; a `strict` one talks to none without one of its authority. */
async function startTlsServer(demand: 'strict' | 'lenient'): Promise<TlsServer> {
  const seen: Seen[] = []
  const answer = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const { raw } = (req.socket as TLSSocket).getPeerCertificate()
    const form = new URLSearchParams(await readBody(req))
    const certificate = raw && new X509Certificate(raw).fingerprint256
    seen.push({ path: String(req.url), certificate, form, authorization: req.headers.authorization })
    const isBroken = server.breaksNext
    server.breaksNext = false
    if (isBroken) req.socket.destroy()
    else sendAnswer(res, 200, { access_token: 'at-1', token_type: 'Bearer' })
  }
  const options = {
    ...LOOPBACK_CERTIFICATE,
    requestCert: true,
    rejectUnauthorized: demand === 'strict',
    ca: authority.cert,
  }
  const listening: Listening = await listen(createServer(options, (req, res) => void answer(req, res)))
  const server: TlsServer = {
    origin: `https://localhost:${listening.port}`,
    seen,
    breaksNext: false,
    stop: listening.stop,
  }
  return server
}

const trusting = ({ cert, key }: { readonly cert: string; readonly key: string }): TlsClientCertificate => {
  return { cert, key, ca: LOOPBACK_CERTIFICATE.cert }
}

function createClient(tlsClientCertificate?: TlsClientCertificate) {
  return createHttpClient({
    ...{ timeout: 5, fetch: undefined, dangerouslyAllowInsecureRequests: false },
    ...(tlsClientCertificate === undefined ? {} : { tlsClientCertificate }),
  })
}

async function refuses(work: Promise<unknown>, code: string): Promise<void> {
  const error = await work.then(
    () => assert.fail('nothing was refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OidcError, inspect(error))
  assert.equal(error.code, code)
}

describe('the option agent', () => {
  let server: TlsServer
  before(async () => {
    server = await startTlsServer('lenient')
  })
  after(() => server.stop())

  const clientWith = (agent?: Agent) =>
    createHttpClient({ timeout: 5, fetch: undefined, dangerouslyAllowInsecureRequests: false, agent })

  it('reaches a provider with a private certificate authority', async () => {
    await refuses(clientWith().request(`${server.origin}/a`, { method: 'GET' }), 'ERR_OIDC_PROVIDER_UNREACHABLE')
    const agent = new Agent({ keepAlive: true, ca: LOOPBACK_CERTIFICATE.cert })
    const client = clientWith(agent)
    assert.equal((await client.request(`${server.origin}/b`, { method: 'GET' })).status, 200)
    server.breaksNext = true
    assert.equal((await client.request(`${server.origin}/c`, { method: 'GET' })).status, 200, 'The retry uses it too.')
    agent.destroy()
  })
})

describe('the option ca', () => {
  let server: TlsServer
  before(async () => {
    server = await startTlsServer('lenient')
  })
  after(() => server.stop())

  const clientWith = (ca: Config['ca']) =>
    createHttpClient({ timeout: 5, fetch: undefined, dangerouslyAllowInsecureRequests: false, ca })
  const { cert } = LOOPBACK_CERTIFICATE

  for (const [name, ca] of [
    ['text', cert],
    ['bytes', Buffer.from(cert)],
    ['one of a list', [authority.cert, cert]],
    ['one of a file', `# ours\n${authority.cert}# theirs\n${cert}`],
  ] as const) {
    it(`reaches a provider with a private certificate authority, without an agent, as ${name}`, async () => {
      const client = clientWith(ca)
      assert.equal((await client.request(`${server.origin}/a`, { method: 'GET' })).status, 200)
      server.breaksNext = true
      assert.equal(
        (await client.request(`${server.origin}/b`, { method: 'GET' })).status,
        200,
        'The retry uses it too.',
      )
    })
  }

  it('trusts no other authority', async () => {
    await refuses(
      clientWith(authority.cert).request(`${server.origin}/a`, { method: 'GET' }),
      'ERR_OIDC_PROVIDER_UNREACHABLE',
    )
    const wrongHost = clientWith(cert).request(server.origin.replace('localhost', '127.0.0.2'), { method: 'GET' })
    await refuses(wrongHost, 'ERR_OIDC_PROVIDER_UNREACHABLE')
  })
})

describe('the certificate of the client', () => {
  let strict: TlsServer
  let lenient: TlsServer
  before(async () => {
    strict = await startTlsServer('strict')
    lenient = await startTlsServer('lenient')
  })
  after(() => Promise.all([strict.stop(), lenient.stop()]))
  beforeEach(() => {
    strict.seen.length = 0
    lenient.seen.length = 0
  })

  const encrypted = createPrivateKey(ofAuthority.key).export({
    ...{ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' },
  })
  const FORMS: readonly (readonly [name: string, certificate: TlsClientCertificate])[] = [
    ['PEM', trusting(ofAuthority)],
    ['PEM with a passphrase', { ...trusting(ofAuthority), key: String(encrypted), passphrase: 'open sesame' }],
    [
      'buffers',
      {
        cert: Buffer.from(ofAuthority.cert),
        key: new TextEncoder().encode(ofAuthority.key),
        ca: Buffer.from(LOOPBACK_CERTIFICATE.cert),
      },
    ],
  ]
  for (const [name, certificate] of FORMS) {
    it(`is sent if it is given as ${name}`, async () => {
      const { status } = await createClient(certificate).request(`${strict.origin}/a`, { method: 'GET' })
      assert.deepEqual([status, strict.seen[0]?.certificate], [200, fingerprint(ofAuthority)])
    })
  }

  it('is sent once for all requests over an open connection', async () => {
    const client = createClient(trusting(ofAuthority))
    for (const path of ['/a', '/b', '/c']) await client.request(strict.origin + path, { method: 'POST', body: 'a=b' })
    assert.deepEqual(
      strict.seen.map(({ certificate }) => certificate),
      Array(3).fill(fingerprint(ofAuthority)),
    )
  })

  it('is sent again on a new connection after the old one broke', async () => {
    const client = createClient(trusting(ofAuthority))
    await client.request(`${strict.origin}/a`, { method: 'GET' })
    strict.breaksNext = true
    const { status } = await client.request(`${strict.origin}/b`, { method: 'GET' })
    const paths = strict.seen.map(({ path, certificate }) => [path, certificate])
    const shown = fingerprint(ofAuthority)
    assert.deepEqual(
      [status, paths],
      [
        200,
        [
          ['/a', shown],
          ['/b', shown],
          ['/b', shown],
        ],
      ],
    )
  })

  it('may be self-signed', async () => {
    await createClient(trusting(selfSigned)).request(`${lenient.origin}/a`, { method: 'GET' })
    assert.equal(lenient.seen[0]?.certificate, fingerprint(selfSigned))
  })

  it('is refused if the server trusts another authority', async () => {
    const work = createClient(trusting(other)).request(`${strict.origin}/a`, { method: 'POST', body: 'secret' })
    await refuses(work, 'ERR_OIDC_PROVIDER_UNREACHABLE')
    assert.equal(strict.seen.length, 0)
  })

  it('does not make a server trusted', async () => {
    const { cert, key } = ofAuthority
    await refuses(
      createClient({ cert, key }).request(`${lenient.origin}/a`, { method: 'GET' }),
      'ERR_OIDC_PROVIDER_UNREACHABLE',
    )
    const wrong = { cert, key, ca: authority.cert }
    await refuses(
      createClient(wrong).request(`${lenient.origin}/a`, { method: 'GET' }),
      'ERR_OIDC_PROVIDER_UNREACHABLE',
    )
    assert.equal(lenient.seen.length, 0)
  })

  for (const method of ['tls_client_auth', 'self_signed_tls_client_auth']) {
    it(`is the only authentication of ${method} besides the client_id, at the mTLS alias`, async () => {
      const provider = await createDirectProvider(
        { tokenEndpointAuthMethod: method, tlsClientCertificate: trusting(ofAuthority) },
        { mtls_endpoint_aliases: { token_endpoint: `${strict.origin}/mtls/token` } },
        lenient.origin,
      )
      await requestTokens(provider, { grant_type: 'authorization_code', code: 'c-1' })
      assert.equal(lenient.seen.length, 0)
      const [seen] = strict.seen
      assert.deepEqual(
        [seen?.path, seen?.certificate, seen?.authorization],
        ['/mtls/token', fingerprint(ofAuthority), undefined],
      )
      assert.deepEqual(Object.fromEntries(seen?.form ?? []), {
        grant_type: 'authorization_code',
        code: 'c-1',
        client_id: CLIENT_ID,
      })
    })
  }

  it('binds tokens even if the client authenticates by another method, and is sent with them', async () => {
    const options = { clientSecret: CLIENT_SECRET, tlsClientCertificate: trusting(selfSigned) }
    const provider = await createDirectProvider(options, {}, lenient.origin)
    const { access_token: accessToken } = await requestTokens(provider, {})
    await requestResource(provider, `${lenient.origin}/userinfo`, {
      accessToken: String(accessToken),
      tokenType: 'Bearer',
    })
    const shown = fingerprint(selfSigned)
    assert.deepEqual(
      lenient.seen.map(({ path, certificate }) => [path, certificate]),
      [
        ['/token', shown],
        ['/userinfo', shown],
      ],
    )
    assert.match(String(lenient.seen[0]?.authorization), /^Basic /)
  })

  const { cert, key } = ofAuthority
  const BROKEN: readonly (readonly [name: string, certificate: TlsClientCertificate])[] = [
    ['a key that belongs to another', { cert, key: other.key }],
    ['a certificate that is none', { cert: 'planted', key }],
    ['a key that is none', { cert, key: 'planted' }],
    ['the two in each other place', { cert: key, key: cert }],
    ['nothing', { cert: '', key: '' }],
    ['a passphrase that does not open', { cert, key: String(encrypted), passphrase: 'planted' }],
    ['no passphrase where one is needed', { cert, key: String(encrypted) }],
  ]
  for (const [name, tlsClientCertificate] of BROKEN) {
    it(`is refused by the options if it has ${name}`, () => {
      assert.throws(
        () => createNodeTransport({ tlsClientCertificate }),
        (error: unknown) => error instanceof ConfigError && !/planted|PRIVATE/.test(inspect(error)),
      )
    })
  }
})
