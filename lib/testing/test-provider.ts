import type { AddressInfo } from 'node:net'
import { OidcError, shown } from '../errors.ts'
import { closeServer, exchange, type TestTarget, withApp } from './app-target.ts'
import { createEndpointServer } from './endpoint-server.ts'
import { type AccessTokenOptions, issueAccessToken, issueLogoutToken } from './issued-tokens.ts'
import { runLogin, type TestLogin, type TestLoginOptions } from './login-run.ts'
import { createMisbehaviors, type Misbehavior, type MisbehaviorOptions } from './misbehavior.ts'
import { PROVIDER_ROUTES } from './provider-routes.ts'
import { endSessions } from './provider-session.ts'
import { createSigningKeys } from './signing-keys.ts'
import {
  parseTestOptions,
  type TestApiOptions,
  type TestClaims,
  type TestClient,
  type TestClientOptions,
  type TestProviderOptions,
  type TestUser,
} from './test-options.ts'
import { createTestRecords, randomValue, type TestContext } from './test-records.ts'

/** Whom a back-channel logout is for, and where the application receives it. Needs `sub` or `sid`. */
export interface BackChannelLogoutOptions {
  /** The user: ends all their sessions. */
  readonly sub?: string
  /** One session at the provider: `login.sid`. */
  readonly sid?: string
  /**
   * The path of the back-channel route.
   * @default '/backchannel-logout', below the path of the URL if a URL is given
   */
  readonly path?: string
  /**
   * The client whose logout token is sent.
   * @default the first client
   */
  readonly clientId?: string
}

/** An OpenID provider for tests, on a port of this machine. */
export interface TestProvider {
  /** The issuer identifier: `http://127.0.0.1:` and a free port. */
  readonly issuer: string
  /** The identifier of the first client. */
  readonly clientId: string
  /** The secret of the first client. Absent if it has none. */
  readonly clientSecret: string | undefined
  /**
   * The options of `oidc()` for the first client.
   * @example
   * ```ts
   * import { startTestProvider } from 'express-oidc/testing'
   *
   * const provider = await startTestProvider()
   * app.use(oidc({ ...provider.options, baseUrl: 'http://localhost:3000' }))
   * await provider.close()
   * ```
   */
  readonly options: TestClientOptions
  /**
   * The options of `bearer()` for the access tokens of this provider.
   * @example
   * ```ts
   * import { bearer, requireScope } from 'express-oidc/bearer'
   * import { startTestProvider } from 'express-oidc/testing'
   *
   * const provider = await startTestProvider()
   * app.use('/api', bearer(provider.bearerOptions), requireScope('orders:read'))
   * await provider.close()
   * ```
   */
  readonly bearerOptions: TestApiOptions
  /**
   * Runs a whole login at the application, and resolves to the cookies with which a request is logged in. The app needs no
   * port: `login()` has it listen for as long as the login takes, and takes the host of `baseUrl` for it.
   *
   * @param app The app, its server, or the URL where it runs.
   * @param user The `sub` of one of `users`, or claims. Claims are added to those of the user with that `sub`; without a `sub`,
   * to those of the first user.
   * @throws `ERR_OIDC_TESTING` if the login does not succeed. The message says at which step, and `cause` is the error of the
   * library if the application runs in this process.
   */
  login(app: TestTarget, user?: string | TestClaims, options?: TestLoginOptions): Promise<TestLogin>
  /** Issues an access token for tests of an API: a signed JWT (RFC 9068), or an opaque one. */
  accessToken(options?: AccessTokenOptions): Promise<string>
  /**
   * Sends a logout token to the back-channel route of the application (OIDC Back-Channel Logout 2.5), and ends the sessions at
   * the provider, too.
   *
   * @throws `ERR_OIDC_TESTING` if the application does not answer 200 or 204.
   */
  sendBackChannelLogout(app: TestTarget, options: BackChannelLogoutOptions): Promise<void>
  /**
   * Makes the provider do something wrong, from the next response on.
   * @example
   * ```ts
   * import { startTestProvider } from 'express-oidc/testing'
   *
   * const provider = await startTestProvider()
   * provider.misbehave('expiredIdToken', { times: 1 })
   * provider.misbehave('down', { endpoint: 'userinfo' })
   * provider.behave()
   * await provider.close()
   * ```
   */
  misbehave(what: Misbehavior, options?: MisbehaviorOptions): void
  /** Ends one misbehavior, or all. */
  behave(what?: Misbehavior): void
  /**
   * Signs with a new key from now on. The old key stays published until the next rotation; with `removeOld` it is gone at once.
   */
  rotateKeys(options?: { readonly removeOld?: boolean }): void
  /** Stops the provider and closes its connections. */
  close(): Promise<void>
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts an OpenID provider for the tests of an application: a real one over http on 127.0.0.1, with discovery, code flow with
 * PKCE, refresh tokens, client credentials, UserInfo, introspection, revocation and logout. It keeps to the standards, and
 * misbehaves when it is told to. It does not keep the process running. Never use it for anything but tests: anyone who reaches
 * it can log in as any user.
 *
 * @throws ConfigError with all problems of the options.
 * @example
 * ```ts
 * import { startTestProvider } from 'express-oidc/testing'
 *
 * const provider = await startTestProvider({ users: [{ sub: 'alice', email: 'alice@example.com', groups: ['staff'] }] })
 * app.use(oidc({ ...provider.options, baseUrl: 'http://localhost:3000' }))
 * await provider.close()
 * ```
 */
export async function startTestProvider(options: TestProviderOptions = {}): Promise<TestProvider> {
  const setup = parseTestOptions(options, randomValue() + randomValue())
  const keys = createSigningKeys(setup.idTokenSignedResponseAlg)
  const parts = { setup, keys, misbehaviors: createMisbehaviors(), records: createTestRecords() }
  const server = createEndpointServer(() => context, PROVIDER_ROUTES)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  // A test that forgets close() still ends. A client that waits for a response keeps the process running.
  server.unref().on('connection', (socket) => socket.unref())
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const context: TestContext = { issuer, ...parts }
  const [client] = setup.clients
  const close = async (): Promise<void> => {
    parts.misbehaviors.clear()
    await closeServer(server)
  }
  return {
    issuer,
    clientId: client.clientId,
    clientSecret: client.clientSecret,
    options: clientOptions(context, client),
    bearerOptions: {
      ...{ issuer, audience: setup.audience, algorithms: [keys.alg] },
      dangerouslyAllowInsecureRequests: true,
    },
    login: async (app, user, how = {}) => runLogin(context, app, userFor(context, user), how),
    accessToken: (token = {}) => issueAccessToken(context, token),
    sendBackChannelLogout: (app, logout) => sendLogoutToken(context, app, logout),
    misbehave: (what, how) => parts.misbehaviors.add(what, how),
    behave: (what) => parts.misbehaviors.clear(what),
    rotateKeys: (how = {}) => keys.rotate(how),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function clientOptions({ issuer, keys }: TestContext, client: TestClient): TestClientOptions {
  const { clientId, clientSecret, tokenEndpointAuthMethod } = client
  return {
    issuer,
    clientId,
    ...(clientSecret === undefined ? {} : { clientSecret }),
    ...(tokenEndpointAuthMethod === undefined ? {} : { tokenEndpointAuthMethod }),
    idTokenSignedResponseAlg: keys.alg,
    dangerouslyAllowInsecureRequests: true,
  }
}

/** Claims that protect a login, with the misbehavior that makes each wrong. */
const PROTECTED: Readonly<Record<string, string>> = {
  iss: 'wrongIssuer',
  aud: 'wrongAudience',
  nonce: 'wrongNonce',
  exp: 'expiredIdToken',
  iat: 'expiredIdToken',
  at_hash: 'badSignature',
}

function userFor({ setup }: TestContext, given: string | TestClaims | undefined): TestUser {
  if (typeof given === 'string') return knownUser(setup.users, given)
  const [name] = Object.keys(given ?? {}).filter((claim) => claim in PROTECTED)
  if (name !== undefined) {
    throw new OidcError(
      'ERR_OIDC_TESTING',
      `The provider sets the claim ${shown(name)} itself. For a wrong one, call misbehave() with ${shown(PROTECTED[name])}.`,
    )
  }
  const { sub = setup.users[0].sub, ...claims } = given ?? {}
  return { ...setup.users.find((user) => user.sub === sub), ...claims, sub }
}

function knownUser(users: readonly TestUser[], sub: string): TestUser {
  const found = users.find((user) => user.sub === sub)
  if (found !== undefined) return found
  throw new OidcError(
    'ERR_OIDC_TESTING',
    'No member of users has this sub. Add it to the users of startTestProvider(), or pass claims: login(app, { sub }).',
  )
}

async function sendLogoutToken(
  context: TestContext,
  target: TestTarget,
  { sub, sid, path, clientId = context.setup.clients[0].clientId }: BackChannelLogoutOptions,
): Promise<void> {
  if (sub === undefined && sid === undefined) {
    throw new OidcError(
      'ERR_OIDC_TESTING',
      'To send a logout token, sendBackChannelLogout() needs sub or sid, for example { sub: login.sub }.',
    )
  }
  endSessions(context, { sub, sid })
  const token = await issueLogoutToken(context, { clientId, sub, sid })
  const form = new URLSearchParams({ logout_token: token })
  const { status, body, url } = await withApp(target, async ({ origin, basePath }) => {
    const route = origin + (path ?? `${basePath}/backchannel-logout`)
    return { ...(await exchange(route, { method: 'POST', form })), url: new URL(route).pathname }
  })
  if (status === 200 || status === 204) return
  const [reason = 'no reason'] = /(?<="error_description":")[^"]*/.exec(body) ?? []
  throw new OidcError(
    'ERR_OIDC_TESTING',
    `The app answered ${status} to the logout token at ${shown(url)}: ${shown(reason)}. If the back-channel route has another ` +
      'path, pass it: sendBackChannelLogout(app, { sub, path }).',
  )
}
