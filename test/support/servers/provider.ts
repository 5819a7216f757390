import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Provider } from 'oidc-provider'
import { ACCOUNTS, type Account, SCOPE_CLAIMS } from '../app/accounts.ts'
import { createSigningKeys, type SigningKey, type SigningKeys } from '../app/signing-keys.ts'
import { escapeHtml, type Listening, listen, sendText } from './http-server.ts'
import { createProviderStorage } from './provider-storage.ts'

export interface ProviderOptions {
  /** The path of the issuer, for example `/oauth2/default`, or `/tenant/` for one that ends with a slash. */
  readonly issuerPath?: string
  /** Registered metadata of `test-client` that differs from the usual, by wire names. */
  readonly client?: Readonly<Record<string, unknown>>
  /** Further clients, by wire names. */
  readonly clients?: readonly Readonly<Record<string, unknown>>[]
  /** `fat`: the claims of the scopes are in the ID Token. `thin`, the default: they are at UserInfo only (OIDC Core 5.4). */
  readonly idToken?: 'thin' | 'fat'
  /** Features of oidc-provider besides those that are always on. */
  readonly features?: Readonly<Record<string, unknown>>
  /** More or other configuration of oidc-provider. */
  readonly configuration?: Readonly<Record<string, unknown>>
}

/** A running oidc-provider. Accounts log in and consent by themselves. */
export interface TestProvider {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Who logs in where the request has no `login_hint`: `alice`, `bob`, or anybody. */
  account: string
  /** What happens at the provider's pages. `refuse` answers `access_denied`, `wait` shows a page with a button. */
  consent: 'give' | 'refuse' | 'wait'
  /** Scopes, and types of `authorization_details`, that are not granted though asked for. */
  withheld: readonly string[]
  /** The seconds by which its clock is ahead. Needs `whileClocksDiffer()`. */
  clock: number
  /** Method and path of every request, in order. */
  readonly requests: (readonly [method: string, path: string])[]
  /** How many requests came for a path below the issuer's. */
  count(path: string): number
  readonly provider: Provider
  stop(): Promise<void>
}

/** The seconds by which the clock of the code that runs is ahead. */
const clockAhead = new AsyncLocalStorage<number>()

/** Lets the clocks of providers differ from that of the process while this runs. */
export async function whileClocksDiffer<Result>(run: () => Promise<Result>): Promise<Result> {
  const { now } = Date
  Date.now = () => now() + (clockAhead.getStore() ?? 0) * 1000
  try {
    return await run()
  } finally {
    Date.now = now
  }
}

const CLIENT_ID = 'test-client'
const CLIENT_SECRET = 'a-Secret_of.40-characters_0123456789abcd'
const SCOPES = ['openid', 'profile', 'email', 'offline_access', 'address', 'phone', 'groups']
const CUSTOM_SCOPES = ['reports:read', 'reports:write']

let sharedKeys: SigningKeys | undefined

/** Starts oidc-provider on a free port; the issuer is `http://localhost:port`, cross-site to an app on 127.0.0.1. */
export async function startProvider(options: ProviderOptions = {}): Promise<TestProvider> {
  sharedKeys ??= createSigningKeys()
  const keys = sharedKeys
  const { Provider: Implementation } = await importQuietly()
  let answer = (_req: IncomingMessage, res: ServerResponse): void => void res.writeHead(503).end()
  const listening = await listen(createServer((req, res) => answer(req, res)))
  const issuerPath = options.issuerPath ?? ''
  const issuer = `http://localhost:${listening.port}${issuerPath}`
  const provider = new Implementation(issuer, configurationOf(options, keys))
  acceptLoopbackRedirects(provider)
  const test = createTestProvider(provider, listening, issuer)
  answer = createAnswer(test, issuerPath.replace(/\/$/, ''))
  return test
}

/** oidc-provider warns on import where Node is older than it likes; once, and of no use to who runs our tests. */
async function importQuietly(): Promise<typeof import('oidc-provider')> {
  const { warn } = console
  console.warn = () => {}
  try {
    return await import('oidc-provider')
  } finally {
    console.warn = warn
  }
}

function createTestProvider(provider: Provider, listening: Listening, issuer: string): TestProvider {
  const requests: TestProvider['requests'] = []
  const base = new URL(issuer).pathname.replace(/\/$/, '')
  return {
    issuer,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    account: 'alice',
    consent: 'give',
    withheld: [],
    clock: 0,
    requests,
    count: (path) => requests.filter(([, requested]) => requested === base + path).length,
    provider,
    stop: listening.stop,
  }
}

/** The ports of the apps are not known when the provider starts: any loopback redirect URI will do. */
function acceptLoopbackRedirects(provider: Provider): void {
  const isLoopback = (uri: string): boolean => ['127.0.0.1', 'localhost'].includes(new URL(uri).hostname)
  Object.assign(provider.Client.prototype, { redirectUriAllowed: isLoopback, postLogoutRedirectUriAllowed: isLoopback })
}

/** Serves the provider below the path of its issuer, and its interaction pages beside it. */
function createAnswer(test: TestProvider, base: string): (req: IncomingMessage, res: ServerResponse) => void {
  const callback = test.provider.callback()
  return (req, res) => {
    const url = req.url ?? '/'
    const path = url.split('?')[0] ?? '/'
    test.requests.push([req.method ?? 'GET', path])
    if (path.startsWith('/interaction/')) {
      finishInteraction(test, req, res).catch((error) => sendText(res, 500, 'text/plain', String(error)))
      return
    }
    if (base && !path.startsWith(`${base}/`)) {
      res.writeHead(404).end()
      return
    }
    // oidc-provider finds its mount path as Express leaves it: by what `url` lacks of `originalUrl`.
    if (base) Object.assign(req, { originalUrl: url, url: url.slice(base.length) })
    clockAhead.run(test.clock, () => callback(req, res).catch(() => res.destroy()))
  }
}

async function finishInteraction(test: TestProvider, req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (test.consent === 'wait' && req.method === 'GET') {
    sendText(res, 200, 'text/html', '<form method="post"><button>Continue</button></form>')
    return
  }
  const { prompt, params, session, grantId } = await test.provider.interactionDetails(req, res)
  if (test.consent === 'refuse') {
    const result = { error: 'access_denied', error_description: 'the person said no' }
    return test.provider.interactionFinished(req, res, result)
  }
  if (prompt.name === 'login') {
    const login = { accountId: params['login_hint'] ?? test.account, amr: ['pwd'] }
    return test.provider.interactionFinished(req, res, { login })
  }
  const account = { accountId: session?.accountId ?? test.account, clientId: params['client_id'] ?? CLIENT_ID }
  const grant = (grantId && (await test.provider.Grant.find(grantId))) || new test.provider.Grant(account)
  for (const scope of (params['scope'] ?? '').split(' ')) {
    if (test.withheld.includes(scope)) grant.rejectOIDCScope(scope)
    else grant.addOIDCScope(scope)
  }
  const details: { type: string }[] = JSON.parse(String(params['authorization_details'] ?? '[]'))
  for (const detail of details) {
    if (!test.withheld.includes(detail.type)) Object(grant).addRar(detail)
  }
  return test.provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } })
}

function configurationOf(options: ProviderOptions, keys: SigningKeys): object {
  return {
    adapter: createProviderStorage(),
    jwks: { keys: [keys.rsa, keys.p256, keys.ed25519].map(privateJwk) },
    clients: [{ ...usualClient(), ...options.client }, ...(options.clients ?? [])],
    scopes: [...SCOPES, ...CUSTOM_SCOPES],
    claims: { openid: ['sub'], ...SCOPE_CLAIMS },
    conformIdTokenClaims: options.idToken !== 'fat',
    cookies: { keys: ['the key of the cookies of a test'] },
    pkce: { required: () => true },
    findAccount: (_context: unknown, sub: string) => findAccount(ACCOUNTS[sub] ?? { sub, claims: {} }),
    interactions: { url: (_context: unknown, interaction: { uid: string }) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true, allowedPolicy: () => true },
      introspection: { enabled: true, allowedPolicy: () => true },
      rpInitiatedLogout: { enabled: true, logoutSource: logOutAtOnce, postLogoutSuccessSource: saySignedOut },
      ...options.features,
    },
    clientBasedCORS: () => false,
    renderError,
    ttl: TTL,
    ...options.configuration,
  }
}

/** Told one by one, since oidc-provider prints a notice for each that is left out. Seconds. */
const TTL = {
  AccessToken: 3600,
  AuthorizationCode: 60,
  ClientCredentials: 600,
  Grant: 86_400,
  IdToken: 3600,
  Interaction: 3600,
  RefreshToken: 86_400,
  Session: 86_400,
}

function usualClient(): Record<string, unknown> {
  return {
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    redirect_uris: ['http://127.0.0.1/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
  }
}

function privateJwk({ privateKey, kid }: SigningKey): object {
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig' }
}

async function findAccount({ sub, claims }: Account): Promise<object> {
  return { accountId: sub, claims: async () => ({ sub, ...claims }) }
}

function logOutAtOnce(context: { body: unknown }, form: string): void {
  const button = '<input type="hidden" name="logout" value="yes"></form>'
  context.body = `${form.replace('</form>', button)}<script>document.forms[0].submit()</script>`
}

function saySignedOut(context: { body: unknown }): void {
  context.body = '<p>Signed out.</p>'
}

function renderError(context: { body: unknown; type: string }, out: object): void {
  context.type = 'html'
  context.body = `<pre>${escapeHtml(JSON.stringify(out))}</pre>`
}
