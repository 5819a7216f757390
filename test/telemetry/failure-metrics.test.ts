import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { ErrorCode } from '../../lib/index.ts'
import { type Instrumentation, instrumentOidc } from '../../lib/opentelemetry.ts'
import type { AnyOptions, TestApp } from '../support/app/app.ts'
import { logoutUri, postAsServer } from '../support/app/logout-observer.ts'
import { createMetrics, type Metrics } from '../support/app/metrics-reader.ts'
import { type AppSettings, createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Page } from '../support/browser/browser.ts'
import { FaultyStore } from '../support/hostile/fault-injection.ts'
import { answered, type Endpoint, type JsonObject, now, type RawHandler } from '../support/strict-provider/context.ts'
import { LOGOUT_EVENT } from '../support/strict-provider/logout-token.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

// Each row causes one real failure, in a real app at a real provider, and expects its code in the metrics and no other one.
// test/telemetry/opentelemetry.test.ts shows that every code of lib/error-codes.ts is counted.

const stage = createStage({ provider: { pushed: 'optional' }, app: { errorHandler: 'json' } })
let collected: Metrics
let instrumentation: Instrumentation | undefined

before(() => {
  collected = createMetrics()
  instrumentation = instrumentOidc({ meterProvider: collected.meterProvider })
})
after(() => instrumentation?.disable())

type Change = (provider: StrictProvider) => void
type Act = (app: TestApp, provider: StrictProvider) => Promise<unknown>
type Row = readonly [code: ErrorCode, change: Change, act?: Act, options?: Partial<AnyOptions>, settings?: AppSettings]

const logIn: Act = (app) => app.browser().open('/login')
const nothing: Change = () => undefined

const claim =
  (more: JsonObject): Change =>
  ({ change }) => {
    change.idTokenClaims = (good) => ({ ...good, ...more })
  }
const header =
  (more: JsonObject): Change =>
  ({ change }) => {
    change.idTokenHeader = (good) => ({ ...good, ...more })
  }
const idToken =
  (edit: (jwt: string) => string): Change =>
  ({ change }) => {
    change.idToken = edit
  }
const raw =
  (endpoint: Endpoint, handler: RawHandler): Change =>
  ({ change }) => {
    change.raw[endpoint] = handler
  }
const json =
  (
    name: 'tokenResponse' | 'discovery' | 'jwks' | 'userinfo' | 'parResponse',
    edit: (good: JsonObject) => unknown,
  ): Change =>
  ({ change }) => {
    change[name] = edit
  }
const refused =
  (name: 'tokenResponse' | 'userinfo' | 'parResponse', status: number, body: object): Change =>
  ({ change }) => {
    change[name] = answered(status, body)
  }
const response =
  (edit: (params: URLSearchParams) => void): Change =>
  ({ change }) => {
    change.authorizationResponse = (params) => {
      edit(params)
      return params
    }
  }
const brokenSignature = (jwt: string): string => `${jwt.split('.').slice(0, 2).join('.')}.${'A'.repeat(342)}`

const encryptionKey = {
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
  kty: 'EC',
  use: 'enc' as const,
}

const ID_TOKENS: readonly Row[] = [
  ['ERR_OIDC_ID_TOKEN_ISSUER', claim({ iss: 'https://other.example' })],
  ['ERR_OIDC_ID_TOKEN_SUBJECT', claim({ sub: '' })],
  ['ERR_OIDC_ID_TOKEN_AUDIENCE', claim({ aud: 'other' })],
  ['ERR_OIDC_ID_TOKEN_AUTHORIZED_PARTY', claim({ azp: 'other' })],
  ['ERR_OIDC_ID_TOKEN_EXPIRED', claim({ exp: now() - 3600 })],
  ['ERR_OIDC_ID_TOKEN_ISSUED_AT', claim({ iat: now() + 3600 })],
  ['ERR_OIDC_ID_TOKEN_NOT_BEFORE', claim({ nbf: now() + 3600 })],
  ['ERR_OIDC_ID_TOKEN_NONCE', claim({ nonce: 'other' })],
  ['ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH', claim({ at_hash: 'other' })],
  ['ERR_OIDC_ID_TOKEN_CODE_HASH', claim({ c_hash: 'other' })],
  ['ERR_OIDC_ID_TOKEN_STATE_HASH', claim({ s_hash: 'other' })],
  ['ERR_OIDC_ID_TOKEN_SESSION_EXPIRY', claim({ session_expiry: 'soon' })],
  ['ERR_OIDC_ID_TOKEN_AUTH_TIME', claim({ auth_time: 'soon' }), logIn, { authorizationParams: { max_age: 60 } }],
  ['ERR_OIDC_LOGIN_EXPIRED', claim({ session_expiry: now() - 3600 })],
  ['ERR_OIDC_ID_TOKEN_ALG', header({ alg: 'none' })],
  ['ERR_OIDC_ID_TOKEN_TYPE', header({ typ: 'at+jwt' })],
  ['ERR_OIDC_ID_TOKEN_CRIT', header({ crit: ['exp'] })],
  ['ERR_OIDC_ID_TOKEN_KEY', header({ kid: 'unknown' })],
  ['ERR_OIDC_ID_TOKEN_SIGNATURE', idToken(brokenSignature)],
  ['ERR_OIDC_ID_TOKEN_MALFORMED', idToken(() => 'x')],
  ['ERR_OIDC_ID_TOKEN_ENCRYPTED', idToken(() => 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0.a.a.a.a')],
  [
    'ERR_OIDC_ID_TOKEN_UNENCRYPTED',
    nothing,
    logIn,
    { idTokenEncryptedResponseAlg: 'ECDH-ES', clientKeys: [encryptionKey] },
  ],
  ['ERR_OIDC_ID_TOKEN_MISSING', json('tokenResponse', ({ id_token: _, ...rest }) => rest)],
]

const PROVIDER: readonly Row[] = [
  ['ERR_OIDC_TOKEN_REQUEST', refused('tokenResponse', 400, { error: 'invalid_grant' })],
  ['ERR_OIDC_TOKEN_RESPONSE', json('tokenResponse', (good) => ({ ...good, token_type: 5 }))],
  ['ERR_OIDC_PROVIDER_UNREACHABLE', raw('/token', (_req, res) => void res.destroy())],
  ['ERR_OIDC_PROVIDER_TIMEOUT', raw('/token', () => undefined), logIn, { timeout: 1 }],
  ['ERR_OIDC_PROVIDER_STATUS', raw('/token', (_req, res) => void res.writeHead(500).end())],
  ['ERR_OIDC_PROVIDER_BUSY', raw('/token', (_req, res) => void res.writeHead(429).end())],
  ['ERR_OIDC_PROVIDER_REDIRECT', raw('/discovery', (_req, res) => void res.writeHead(302, { Location: '/' }).end())],
  ['ERR_OIDC_PROVIDER_RESPONSE_INVALID', raw('/discovery', (_req, res) => void res.end('<p>'))],
  [
    'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE',
    raw('/discovery', (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'application/json' })
      res.end(`{"a":"${'x'.repeat(3_000_000)}"}`)
    }),
  ],
  ['ERR_OIDC_DISCOVERY_ISSUER', json('discovery', (good) => ({ ...good, issuer: 'https://other.example' }))],
  ['ERR_OIDC_METADATA_INVALID', json('discovery', ({ authorization_endpoint: _, ...rest }) => rest)],
  ['ERR_OIDC_KEYS_INVALID', json('jwks', () => ({ keys: 5 }))],
  ['ERR_OIDC_USERINFO', refused('userinfo', 400, { error: 'invalid_request' }), logIn, { userinfo: true }],
  ['ERR_OIDC_USERINFO_SUBJECT', json('userinfo', (good) => ({ ...good, sub: 'other' })), logIn, { userinfo: true }],
]

/** A login whose response is changed on its way through the browser. */
const bent =
  (edit: (url: URL) => void, times: number = 1): Act =>
  async (app) => {
    const browser = app.browser()
    const { next } = await browser.open('/login', { stopBefore: isCallback })
    assert.ok(next)
    const url = new URL(next.url)
    edit(url)
    const pages: Page[] = []
    for (let time = 0; time < times; time += 1) pages.push(await browser.go({ ...next, url: url.href }))
    return pages
  }

const BROWSER: readonly Row[] = [
  ['ERR_OIDC_STATE_MISSING', nothing, bent((url) => url.searchParams.delete('state'))],
  ['ERR_OIDC_TRANSACTION_MISSING', nothing, bent((url) => url.searchParams.set('state', 's'.repeat(43)))],
  ['ERR_OIDC_CALLBACK_INVALID', nothing, bent((url) => url.searchParams.append('code', 'other'))],
  ['ERR_OIDC_RESPONSE_ISSUER', response((params) => params.set('iss', 'https://other.example'))],
  ['ERR_OIDC_RESPONSE_TOKEN', response((params) => params.set('access_token', 'a'))],
  ['ERR_OIDC_CODE_MISSING', response((params) => params.delete('code'))],
  [
    'ERR_OIDC_AUTHORIZATION',
    response((params) => {
      params.delete('code')
      params.set('error', 'access_denied')
    }),
  ],
  [
    'ERR_OIDC_RESPONSE_JWT_MISSING',
    nothing,
    bent((url) => url.searchParams.delete('response')),
    { responseMode: 'jwt' },
  ],
  ['ERR_OIDC_METHOD_NOT_ALLOWED', nothing, (app) => app.browser().fetch('/login', { method: 'DELETE' })],
  [
    'ERR_OIDC_CROSS_SITE_LOGOUT',
    nothing,
    (app) => postAsServer(`${app.baseUrl}/logout`, '', { origin: 'https://evil.example' }),
  ],
]

const JWT = 'ERR_OIDC_RESPONSE_JWT_'
const responseJwt = (code: string, change: Change): Row => [
  `${JWT}${code}` as ErrorCode,
  change,
  logIn,
  { responseMode: 'jwt' },
]
const RESPONSE_JWTS: readonly Row[] = [
  responseJwt(
    'ISSUER',
    ({ change }) => (change.responseJwtClaims = (good) => ({ ...good, iss: 'https://other.example' })),
  ),
  responseJwt('AUDIENCE', ({ change }) => (change.responseJwtClaims = (good) => ({ ...good, aud: 'other' }))),
  responseJwt('EXPIRED', ({ change }) => (change.responseJwtClaims = (good) => ({ ...good, exp: now() - 3600 }))),
  responseJwt('NOT_BEFORE', ({ change }) => (change.responseJwtClaims = (good) => ({ ...good, nbf: now() + 3600 }))),
  responseJwt('ALG', ({ change }) => (change.responseJwtHeader = (good) => ({ ...good, alg: 'none' }))),
  responseJwt('TYPE', ({ change }) => (change.responseJwtHeader = (good) => ({ ...good, typ: 'at+jwt' }))),
  responseJwt('CRIT', ({ change }) => (change.responseJwtHeader = (good) => ({ ...good, crit: ['exp'] }))),
  responseJwt('KEY', ({ change }) => (change.responseJwtHeader = (good) => ({ ...good, kid: 'unknown' }))),
  responseJwt('SIGNATURE', ({ change }) => (change.responseJwt = brokenSignature)),
  responseJwt('MALFORMED', ({ change }) => (change.responseJwt = () => 'x')),
]

const postLogout: Act = (app, provider) => provider.postLogoutToken(logoutUri(app), { sub: 'user-subject' })
const logout = (code: string, change: Change, act: Act = postLogout): Row => [
  `ERR_OIDC_LOGOUT_TOKEN_${code}` as ErrorCode,
  change,
  act,
]
const logoutClaim =
  (more: JsonObject): Change =>
  ({ change }) => {
    change.logoutTokenClaims = (good) => ({ ...good, ...more })
  }
const logoutHeader =
  (more: JsonObject): Change =>
  ({ change }) => {
    change.logoutTokenHeader = (good) => ({ ...good, ...more })
  }
const LOGOUT_TOKENS: readonly Row[] = [
  logout('MISSING', ({ change }) => (change.logoutFields = () => new URLSearchParams('a=b'))),
  logout('MALFORMED', ({ change }) => (change.logoutToken = () => 'x')),
  logout('SIGNATURE', ({ change }) => (change.logoutToken = brokenSignature)),
  logout('ALG', logoutHeader({ alg: 'none' })),
  logout('TYPE', logoutHeader({ typ: 'at+jwt' })),
  logout('CRIT', logoutHeader({ crit: ['exp'] })),
  logout('KEY', logoutHeader({ kid: 'unknown' })),
  logout('ISSUER', logoutClaim({ iss: 'https://other.example' })),
  logout('AUDIENCE', logoutClaim({ aud: 'other' })),
  logout('ISSUED_AT', logoutClaim({ iat: now() + 3600 })),
  logout('EXPIRED', logoutClaim({ exp: now() - 3600 })),
  logout('NOT_BEFORE', logoutClaim({ nbf: now() + 3600 })),
  logout('ID', logoutClaim({ jti: '' })),
  logout('EVENT', logoutClaim({ events: {} })),
  logout('NONCE', logoutClaim({ nonce: 'n' })),
  logout('SUBJECT', logoutClaim({ sub: 5 })),
  logout('REPLAYED', nothing, async (app, provider) => {
    const token = await provider.issueLogoutToken({ sub: 'user-subject' })
    const body = String(new URLSearchParams({ logout_token: token, events: LOGOUT_EVENT }))
    await postAsServer(logoutUri(app), body)
    await postAsServer(logoutUri(app), body)
  }),
]

const away = async (): Promise<never> => {
  throw new Error('away')
}
const awayState = { add: away, remove: away, members: away, take: away, once: away, seen: away, lock: away }

function awayStore(): FaultyStore {
  const store = new FaultyStore()
  store.act = (_name, _run, fail) => fail(new Error('away'))
  return store
}

const OWN_PARTS: readonly Row[] = [
  ['ERR_OIDC_SESSION_MISSING', nothing, logIn, {}, { session: false }],
  ['ERR_OIDC_SESSION_STORE', nothing, logIn, {}, { session: { store: awayStore() } }],
  ['ERR_OIDC_SHARED_STATE', nothing, postLogout, { sharedState: awayState }],
  ['ERR_OIDC_CLIENT_SECRET', nothing, logIn, { clientSecret: away }],
  ['ERR_OIDC_CLIENT_ASSERTION', nothing, logIn, { tokenEndpointAuthMethod: 'private_key_jwt', clientAssertion: away }],
  [
    'ERR_OIDC_PUSHED_REQUEST',
    refused('parResponse', 400, { error: 'invalid_request' }),
    logIn,
    { requirePushedAuthorizationRequests: true },
  ],
  ['ERR_OIDC_PUSHED_RESPONSE', json('parResponse', () => ({})), logIn, { requirePushedAuthorizationRequests: true }],
]

const DENIALS: readonly Row[] = [
  ['ERR_OIDC_LOGIN_REQUIRED', nothing, (app) => app.browser().fetch('/profile')],
  ['ERR_OIDC_INSUFFICIENT_SCOPE', nothing, (app) => visit(app, '/reports')],
  ['ERR_OIDC_INSUFFICIENT_CLAIM', nothing, (app) => visit(app, '/admin')],
]

async function visit(app: TestApp, path: string): Promise<Page> {
  const browser = app.browser()
  await browser.open('/login')
  return await browser.fetch(path)
}

/** How often each code was counted so far, as a failure or as a denial. */
async function counts(): Promise<ReadonlyMap<string, number>> {
  const lines = (await collected.scrape()).matchAll(/^oidc_(?:failures|denials)_total\{error_type="(\w+)".*\} (\d+)/gm)
  return new Map([...lines].map(([, code = '', count]) => [code, Number(count)]))
}

describe('a failure is counted by its code', () => {
  const rows = [...ID_TOKENS, ...PROVIDER, ...OWN_PARTS, ...BROWSER, ...RESPONSE_JWTS, ...LOGOUT_TOKENS, ...DENIALS]
  for (const [code, change, act = logIn, options, settings] of rows) {
    it(code, async () => {
      const app = await stage.start(options, settings)
      const earlier = await counts()
      change(stage.provider)
      await act(app, stage.provider)
      const risen = [...(await counts())].filter(([name, count]) => count !== (earlier.get(name) ?? 0))
      assert.deepEqual(risen, [[code, (earlier.get(code) ?? 0) + 1]])
    })
  }
})
