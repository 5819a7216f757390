import assert from 'node:assert/strict'
import { createServer as createHttp2Server, createSecureServer } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { inspect } from 'node:util'
import { ProviderError } from '../../lib/errors.ts'
import { createHttpClient } from '../../lib/provider/http-client.ts'
import { createStage } from '../support/app/stage.ts'
import { LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

/** RFC 9113 3.4: what a server says first. */
const SETTINGS = Buffer.from('00000604000000000000040000ffff', 'hex')

describe('a provider that speaks HTTP/2 only', () => {
  const client = createHttpClient({
    ...{ timeout: 5, fetch: undefined, dangerouslyAllowInsecureRequests: true, ca: LOOPBACK_CERTIFICATE.cert },
  })
  let server: Server | undefined
  afterEach(() => {
    server?.close()
  })

  const SERVERS: readonly (readonly [name: string, scheme: string, create: () => Server])[] = [
    ['by TLS', 'https', () => createSecureServer(LOOPBACK_CERTIFICATE)],
    ['without TLS', 'http', () => createHttp2Server()],
    ['whatever TLS says', 'https', () => createTlsServer(LOOPBACK_CERTIFICATE, (socket) => socket.end(SETTINGS))],
  ]
  for (const [name, scheme, create] of SERVERS) {
    it(`N-25: is refused with a message that says so: ${name}`, async () => {
      const started = create()
      server = started
      started.on('sessionError', () => undefined)
      started.on('tlsClientError', () => undefined)
      await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve))
      const url = `${scheme}://localhost:${(started.address() as AddressInfo).port}/jwks`
      const error: unknown = await client.getJson(url).catch((reason: unknown) => reason)
      assert.ok(error instanceof ProviderError, inspect(error))
      assert.equal(error.code, 'ERR_OIDC_PROVIDER_RESPONSE_INVALID')
      assert.ok(error.message.startsWith(`${url} speaks HTTP/2 only, and this middleware HTTP/1.1.`), error.message)
      assert.ok(!inspect(error, { depth: 9 }).includes('rawPacket'), 'What was received may be a secret.')
    })
  }
})

describe('a message about a provider', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })

  /** The message of a login that fails. */
  async function messageOfLogin(): Promise<string> {
    const app = await stage.start()
    assert.notEqual((await app.browser().open('/profile')).status, 200)
    return String(app.errors[0])
  }

  it('N-25: names key_ops and its value if they forbid a key to verify', async () => {
    const { jwk } = stage.provider.keys.rsa
    stage.provider.change.jwks = () => ({ keys: [{ ...jwk, key_ops: ['sign'] }] })
    const message = await messageOfLogin()
    assert.match(message, /\[ERR_OIDC_ID_TOKEN_KEY\].* publishes it with key_ops \["sign"\]\./)
    assert.match(message, /leave key_ops out \(RFC 7517 4\.2, 4\.3\)/)
  })

  it('N-25: names the content type of a token response that is not JSON, and the remedy', async () => {
    stage.provider.change.tokenResponse = (good, { headers }) => {
      headers['Content-Type'] = 'text/html'
      return good
    }
    const message = await messageOfLogin()
    assert.match(message, /\[ERR_OIDC_TOKEN_RESPONSE\].*\(content-type: "text\/html"\).*option fetch/)
  })
})
