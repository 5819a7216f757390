import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, globalAgent } from 'node:https'
import { after, before, beforeEach, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { createApiFetch } from '../../lib/provider/api-fetch.ts'
import { createProviderFinder } from '../../lib/provider/provider.ts'
import { findRegistrationEndpoint } from '../../lib/registration.ts'
import { modulePath, NODE_ARGS, ROOT } from '../support/app/project.ts'
import { type ConnectProxy, ProxyAgent, startConnectProxy } from '../support/servers/connect-proxy.ts'
import { type Listening, listen, sendJson } from '../support/servers/http-server.ts'
import { LOOPBACK_CERTIFICATE } from '../support/servers/tls-certificate.ts'

const ca = LOOPBACK_CERTIFICATE.cert

let provider: Listening
let proxy: ConnectProxy
/** How many connections the provider has got. */
let connections = 0
/** Whether the next request is to find its connection broken. */
let breaksNext = false

/** The two names of the provider. */
const named = (host: 'localhost' | '127.0.0.1'): string => `https://${host}:${provider.port}`

before(async () => {
  const server = createServer(LOOPBACK_CERTIFICATE, (req, res) => {
    const issuer = `https://${req.headers.host}`
    const isBroken = breaksNext
    breaksNext = false
    if (isBroken) req.socket.destroy()
    else
      sendJson(res, 200, {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        registration_endpoint: `${issuer}/register`,
      })
  })
  server.on('secureConnection', () => {
    connections += 1
  })
  provider = await listen(server)
  proxy = await startConnectProxy()
})
after(() => Promise.all([provider.stop(), proxy.stop()]))
beforeEach(() => {
  proxy.isOpen = true
  proxy.tunnels.length = 0
  connections = 0
})

function configOf(options: object) {
  const app = { clientId: 'client', baseUrl: 'https://app.example.com', secret: 'a secret of at least 32 characters' }
  const [config] = parseOptions({ ...app, issuer: named('localhost'), ...options }).clients
  assert.ok(config)
  return config
}

describe('a provider behind a proxy, with the option agent', () => {
  const agentOf = () => new ProxyAgent(proxy.url, { keepAlive: true, ca })

  it('is reached through the proxy alone, for a retry too', async () => {
    const { http, metadata } = await createProviderFinder(configOf({ agent: agentOf() }))()
    assert.equal(metadata.issuer, named('localhost'))
    breaksNext = true
    await http.getJson(String(metadata.jwks_uri))
    assert.deepEqual(proxy.tunnels, Array(2).fill(`localhost:${provider.port}`))
    assert.equal(connections, 2, 'No connection goes past the proxy.')
  })

  it('is out of reach if the proxy refuses', async () => {
    proxy.isOpen = false
    await assert.rejects(createProviderFinder(configOf({ agent: agentOf() }))(), {
      code: 'ERR_OIDC_PROVIDER_UNREACHABLE',
    })
    assert.equal(connections, 0)
  })

  it('shares the proxy with the APIs that req.oidc.fetch() calls', async () => {
    const response = await createApiFetch(configOf({ agent: agentOf() }))(new URL(named('localhost')), {})
    assert.deepEqual([response.status, proxy.tunnels.length], [200, 1])
    await response.body?.cancel()
  })

  it('is reached by the functions of registration, too', async () => {
    const { url } = await findRegistrationEndpoint({ issuer: named('localhost'), agent: agentOf() })
    assert.deepEqual([url, proxy.tunnels.length, connections], [`${named('localhost')}/register`, 1, 1])
  })
})

/** True if this version of Node can use the proxies of the environment for `node:https`. */
const CAN_USE_ENV_PROXY = 'proxyEnv' in globalAgent.options

describe('a provider behind a proxy of the environment', () => {
  /** Finds the provider by both names in a process with this environment. */
  async function findIn(env: Readonly<Record<string, string>>): Promise<unknown> {
    const modules = ['lib/provider/http-client.ts', 'lib/registration.ts', 'lib/provider/api-fetch.ts']
    const script = `
      const [{ createHttpClient }, { findRegistrationEndpoint }, { createApiFetch }] = await Promise.all(
        ${JSON.stringify(modules.map(modulePath))}.map((path) => import(path)))
      const [ca, ...urls] = process.argv.slice(1)
      const outcomes = []
      for (const url of urls) {
        const http = createHttpClient({ timeout: 5, fetch: undefined, dangerouslyAllowInsecureRequests: false, ca })
        const work = [
          () => http.getJson(url).then(() => 'found'),
          () => findRegistrationEndpoint({ issuer: url, ca }).then(() => 'found'),
          () => createApiFetch({ ca })(new URL(url), {}).then((response) => response.text()).then(() => 'found'),
        ]
        for (const run of work) outcomes.push(await run().catch((error) => error.code ?? error.name))
      }
      console.log(JSON.stringify(outcomes))`
    const args = [
      ...NODE_ARGS,
      '--input-type=module',
      '--eval',
      script,
      '--',
      ca,
      named('localhost'),
      named('127.0.0.1'),
    ]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env }, cwd: ROOT })
    return JSON.parse(stdout)
  }

  const proxies = () => ({
    HTTPS_PROXY: proxy.url,
    https_proxy: proxy.url,
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
  })
  const found = Array(6).fill('found')

  it('is reached through it, but directly if NO_PROXY has its host, if Node is told so and can', async () => {
    assert.deepEqual(await findIn({ ...proxies(), NODE_USE_ENV_PROXY: '1' }), found)
    const tunnels = CAN_USE_ENV_PROXY ? Array(3).fill(`localhost:${provider.port}`) : []
    assert.deepEqual([proxy.tunnels, connections], [tunnels, 6])
  })

  it('is not reached directly if the proxy refuses', async () => {
    proxy.isOpen = false
    const outcomes = await findIn({ ...proxies(), NODE_USE_ENV_PROXY: '1' })
    const refused = ['ERR_OIDC_PROVIDER_UNREACHABLE', 'ERR_OIDC_PROVIDER_UNREACHABLE', 'TypeError']
    assert.deepEqual(outcomes, CAN_USE_ENV_PROXY ? [...refused, ...found.slice(3)] : found)
  })

  it('is reached directly if Node is not told to use the environment', async () => {
    assert.deepEqual(await findIn({ ...proxies(), NODE_USE_ENV_PROXY: '' }), found)
    assert.deepEqual([proxy.tunnels, connections], [[], 6])
  })

  it('is described in docs/guides/outbound-proxy.md with the versions of Node that can do this', () => {
    const text = readFileSync(`${ROOT}docs/guides/outbound-proxy.md`, 'utf8').replace(/\s+/g, ' ')
    assert.match(text, /on Node 22\.21, Node 24\.5 and later: start the process with `NODE_USE_ENV_PROXY=1`/)
    assert.match(text, /on earlier versions of Node, `HTTPS_PROXY` is not read/)
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
    const isNamed = major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21)
    assert.equal(CAN_USE_ENV_PROXY, isNamed, process.version)
  })
})
