import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { discoverOAuthProtectedResourceMetadata, UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { ClientCredentialsProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { getOAuthProtectedResourceMetadataUrl } from '@modelcontextprotocol/sdk/server/auth/router.js'
import type { AuthInfo } from '@modelcontextprotocol/sdk/server/auth/types.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import { createResourceMetadataHandler, resourceMetadataUrl } from '../../lib/bearer/resource-metadata.ts'
import { type AccessTokenInfo, bearer, OidcError, requireScope } from '../../lib/bearer.ts'
import { type Listening, listen } from '../support/servers/http-server.ts'
import { startProvider, type TestProvider } from '../support/servers/provider.ts'
import { startTokenIssuer } from '../support/servers/token-issuer.ts'

const SECRET = 'a client secret of more than thirty-two octets'

/** What the tool of the server has seen of each caller. */
const seen: (AuthInfo | undefined)[] = []

let op: TestProvider
let listening: Listening
let origin = ''

/** The MCP servers of the app: with the SDK's own middleware, and with `bearer()` in front. */
const RESOURCES = ['sdk', 'ours'] as const
const resourceOf = (name: string): string => `${origin}/${name}/mcp`

/** A server with one tool, which answers who calls. Stateless: each request has its own. */
async function handleMcp(req: express.Request & { auth?: AuthInfo }, res: express.Response): Promise<void> {
  const server = new McpServer({ name: 'orders', version: '1.0.0' })
  server.registerTool('whoami', { description: 'Says who calls.' }, ({ authInfo }) => {
    seen.push(authInfo)
    return { content: [{ type: 'text', text: `${authInfo?.clientId} may ${authInfo?.scopes.join(' and ')}` }] }
  })
  const transport = new StreamableHTTPServerTransport({})
  await server.connect(transport as Parameters<typeof server.connect>[0])
  res.on('close', () => void server.close())
  await transport.handleRequest(req, res, req.body)
}

/** `requireBearerAuth()` only knows its own errors: every other one becomes status 500. */
function verifierOf(verify: (token: string) => Promise<AccessTokenInfo>) {
  return {
    verifyAccessToken: (token: string): Promise<AuthInfo> =>
      verify(token).catch((error: unknown) => {
        throw error instanceof OidcError && error.status === 401 ? new InvalidTokenError('Invalid token') : error
      }),
  }
}

function createApp(): express.Express {
  const app = express()
  const apiOf = (name: string) =>
    bearer({
      issuer: op.issuer,
      audience: resourceOf(name),
      algorithms: ['ES256'] as const,
      allowMissingSub: true,
      dangerouslyAllowInsecureRequests: true,
    })
  for (const name of RESOURCES) {
    const settings = { resource: resourceOf(name), authorizationServers: [op.issuer], scopesSupported: ['tools:call'] }
    app.use(createResourceMetadataHandler(settings))
  }
  app.use(express.json())
  const sdk = requireBearerAuth({
    verifier: verifierOf(apiOf('sdk').verifyAccessToken),
    requiredScopes: ['tools:call'],
    resourceMetadataUrl: resourceMetadataUrl(resourceOf('sdk')),
    expectedResource: new URL(resourceOf('sdk')),
  })
  app.post('/sdk/mcp', sdk, handleMcp)
  // As docs/guides/mcp-server.md has it.
  app.use('/ours/mcp', apiOf('ours'), requireScope('tools:call'))
  app.post('/ours/mcp', (req: express.Request & { auth?: AuthInfo }, res) => {
    if (req.oidc.authenticatedBy !== 'access_token') throw new Error('bearer() is not in front of this route.')
    const { token, clientId = '', scope, expiresAt, claims } = req.oidc
    req.auth = { token, clientId, scopes: scope.split(' '), expiresAt, extra: { claims } }
    return handleMcp(req, res)
  })
  return app
}

before(async () => {
  const server = createServer((req, res) => createdApp(req, res))
  listening = await listen(server)
  origin = `http://127.0.0.1:${listening.port}`
  op = await startProvider({
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: (_context: unknown, audience: string) => ({
          scope: 'tools:call tools:list',
          audience,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    clients: [
      {
        client_id: 'mcp-client',
        client_secret: SECRET,
        redirect_uris: [],
        response_types: [],
        grant_types: ['client_credentials'],
      },
    ],
  })
  const createdApp = createApp()
})
after(async () => {
  await listening.stop()
  await op.stop()
})

const authProvider = (scope = 'tools:call'): ClientCredentialsProvider =>
  new ClientCredentialsProvider({ clientId: 'mcp-client', clientSecret: SECRET, scope, expectedIssuer: op.issuer })

async function connect(
  name: string,
  options: ConstructorParameters<typeof StreamableHTTPClientTransport>[1],
): Promise<Client> {
  const client = new Client({ name: 'a client', version: '1.0.0' })
  const transport = new StreamableHTTPClientTransport(new URL(resourceOf(name)), options)
  await client.connect(transport as Parameters<typeof client.connect>[0])
  return client
}

/** A token of the client credentials grant for a resource. */
async function tokenFor(resource: string, scope = 'tools:call'): Promise<string> {
  const response = await fetch(`${op.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`mcp-client:${encodeURIComponent(SECRET)}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope }),
  })
  const { access_token: token }: Readonly<Record<string, unknown>> = Object(await response.json())
  assert.equal(typeof token, 'string')
  return String(token)
}

/** A request as an MCP client sends it. */
function post(name: string, headers: Readonly<Record<string, string>>): Promise<Response> {
  const accept = 'application/json, text/event-stream'
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami' } })
  return fetch(resourceOf(name), {
    method: 'POST',
    headers: { accept, 'content-type': 'application/json', ...headers },
    body,
  })
}

for (const name of RESOURCES) {
  describe(`an MCP server with ${name === 'sdk' ? "the SDK's requireBearerAuth() and our verifyAccessToken()" : 'bearer() in front'}`, () => {
    it('is found, authorized and called by the MCP client, which knows only its URL', async () => {
      seen.length = 0
      const client = await connect(name, { authProvider: authProvider() })
      const result = await client.callTool({ name: 'whoami' })
      assert.deepEqual(result.content, [{ type: 'text', text: 'mcp-client may tools:call' }])
      await client.close()
      const [info] = seen
      const claims: Readonly<Record<string, unknown>> = Object(info?.extra?.['claims'])
      assert.deepEqual([claims['iss'], claims['aud'], claims['client_id']], [op.issuer, resourceOf(name), 'mcp-client'])
      assert.equal(info?.expiresAt, claims['exp'])
    })

    it('has metadata that the MCP client accepts, at the URL where it looks', async () => {
      const metadata = await discoverOAuthProtectedResourceMetadata(resourceOf(name))
      assert.deepEqual(
        [metadata.resource, metadata.authorization_servers, metadata.scopes_supported],
        [resourceOf(name), [op.issuer], ['tools:call']],
      )
      const url = new URL(resourceOf(name))
      assert.equal(resourceMetadataUrl(url.href), getOAuthProtectedResourceMetadataUrl(url))
    })

    if (name === 'sdk') {
      it('names the metadata in its challenge', async () => {
        const response = await post(name, {})
        await response.text()
        const expected = `resource_metadata="${resourceMetadataUrl(resourceOf(name))}"`
        assert.ok(response.headers.get('www-authenticate')?.endsWith(expected))
      })
    }

    it('refuses a client without a token', async () => {
      await assert.rejects(
        connect(name, {}),
        (error) => error instanceof UnauthorizedError || Object(error).code === 401,
      )
    })

    const refused: readonly (readonly [string, () => Promise<string>, number])[] = [
      ['no token at all', async () => 'not-a-token', 401],
      ['a token for another resource', () => tokenFor(`${origin}/other/mcp`), 401],
      ['a token for the other server of this app', () => tokenFor(resourceOf(name === 'sdk' ? 'ours' : 'sdk')), 401],
      ['a token without the scope', () => tokenFor(resourceOf(name), 'tools:list'), 403],
      [
        'a token whose signature was changed',
        async () => `${(await tokenFor(resourceOf(name))).slice(0, -8)}AAAAAAAA`,
        401,
      ],
    ]
    for (const [what, create, status] of refused) {
      it(`refuses ${what}, and calls no tool`, async () => {
        seen.length = 0
        const response = await post(name, { authorization: `Bearer ${await create()}` })
        await response.text()
        assert.equal(response.status, status)
        assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer /)
        assert.deepEqual(seen, [])
      })
    }
  })
}

describe('verifyAccessToken()', () => {
  const api = () =>
    bearer({
      issuer: op.issuer,
      audience: resourceOf('sdk'),
      algorithms: ['ES256'] as const,
      allowMissingSub: true,
      dangerouslyAllowInsecureRequests: true,
    })

  it('describes a token as the MCP SDK does', async () => {
    const token = await tokenFor(resourceOf('sdk'), 'tools:call tools:list')
    const info: AuthInfo = await api().verifyAccessToken(token)
    assert.deepEqual(
      [info.token, info.clientId, info.scopes, info.resource?.href],
      [token, 'mcp-client', ['tools:call', 'tools:list'], resourceOf('sdk')],
    )
    assert.ok(Number(info.expiresAt) > Date.now() / 1000)
  })

  it('refuses what bearer() refuses, with its codes', async () => {
    await assert.rejects(api().verifyAccessToken('not-a-token'), {
      code: 'ERR_OIDC_ACCESS_TOKEN_MALFORMED',
      status: 401,
    })
    const other = await tokenFor(`${origin}/other/mcp`)
    await assert.rejects(api().verifyAccessToken(other), { code: 'ERR_OIDC_ACCESS_TOKEN_AUDIENCE', status: 401 })
  })

  it('refuses a token that is bound to its sender, because it does not see who sends it', async () => {
    const issuer = await startTokenIssuer()
    try {
      const own = { issuer: issuer.issuer, audience: issuer.audience, algorithms: ['ES256'] as const }
      const { verifyAccessToken } = bearer({ ...own, dangerouslyAllowInsecureRequests: true })
      for (const cnf of [{ jkt: 'A'.repeat(43) }, { 'x5t#S256': 'A'.repeat(43) }]) {
        await assert.rejects(verifyAccessToken(issuer.token({ cnf })), { code: 'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION' })
      }
      const info = await verifyAccessToken(
        issuer.token({ client_id: undefined, scope: undefined, aud: [issuer.audience, 'urn:other'] }),
      )
      assert.deepEqual([info.clientId, info.scopes, info.resource?.href], ['', [], `${issuer.audience}/`])
      // Other names of the API, of which none is a URL that says where it is.
      for (const aud of ['urn:other', 'urn:https://other.example', 'https://', 'https://a b.example']) {
        const { resource } = await verifyAccessToken(issuer.token({ aud: [aud, issuer.audience] }))
        assert.equal(resource?.href, `${issuer.audience}/`, JSON.stringify(aud))
      }
      const binding = { senderConstrained: 'required', clientCertificate: 'tls' } as const
      const strict = bearer({ ...own, ...binding, dangerouslyAllowInsecureRequests: true })
      await assert.rejects(strict.verifyAccessToken(issuer.token()), {
        code: 'ERR_OIDC_ACCESS_TOKEN_CONFIRMATION',
        message: /senderConstrained is 'required'/,
      })
      const plain = bearer({ ...own, audience: 'api', dangerouslyAllowInsecureRequests: true })
      assert.equal(Object.hasOwn(await plain.verifyAccessToken(issuer.token({ aud: 'api' })), 'resource'), false)
    } finally {
      await issuer.stop()
    }
  })
})
