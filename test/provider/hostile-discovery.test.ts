import assert from 'node:assert/strict'
import { beforeEach, describe, it, mock } from 'node:test'
import { type AnyOptions, codesOf } from '../support/app/app.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import {
  assertLoggedIn,
  assertRefused,
  EVIL_HTML,
  logIn,
  type Outcome,
  type Row,
  type Stand,
  startStandAt,
} from '../support/hostile/hostile.ts'
import { DOCUMENT_FAULTS } from '../support/hostile/transport-faults.ts'
import type { JsonChange, JsonObject } from '../support/strict-provider/context.ts'

type Change = JsonChange

const ISSUER = 'ERR_OIDC_DISCOVERY_ISSUER'
const INVALID = 'ERR_OIDC_METADATA_INVALID'

const issuer =
  (edit: (issuer: string) => unknown): Change =>
  (metadata) => ({ ...metadata, issuer: edit(String(metadata['issuer'])) })
const put =
  (name: string, value: unknown): Change =>
  (metadata) => ({ ...metadata, [name]: value })

const ISSUERS: readonly Row<Change>[] = [
  ['no issuer', issuer(() => undefined), ISSUER],
  ['an issuer that is null', issuer(() => null), ISSUER],
  ['an issuer that is a number', issuer(() => 5), ISSUER],
  ['an issuer in a list', issuer((good) => [good]), ISSUER],
  ['an empty issuer', issuer(() => ''), ISSUER],
  ['an issuer with a slash after it', issuer((good) => `${good}/`), ISSUER],
  ['an issuer in capitals', issuer((good) => good.toUpperCase()), ISSUER],
  ['an issuer with one capital in the host', issuer((good) => good.replace('localhost', 'Localhost')), ISSUER],
  ['an issuer at another port', issuer((good) => good.replace(/\d+$/, '1')), ISSUER],
  ['an issuer at another host', issuer(() => 'https://evil.example'), ISSUER],
  ['an issuer with our host as its user', issuer((good) => `${good}@evil.example`), ISSUER],
  ['an issuer with INVALID after it', issuer((good) => `${good}INVALID`), ISSUER],
  ['an issuer with a space after it', issuer((good) => `${good} `), ISSUER],
  ['an issuer of HTML', issuer(() => EVIL_HTML), ISSUER],
  ['a template for an issuer', issuer(() => 'https://login.example/{tenantid}/v2.0'), ISSUER],
  ['another issuer behind the true one', (good) => `${JSON.stringify(good).slice(0, -1)},"issuer":"evil"}`, ISSUER],
  ['metadata that hides in __proto__', (good) => `{"__proto__":${JSON.stringify(good)}}`, ISSUER],
  ['an empty object', () => '{}', ISSUER],
]

/** Good metadata, but not in an answer that is taken. */
const ANSWERS: readonly Row<Change>[] = [
  [
    'a mark that says it is compressed',
    answered(200, { 'Content-Encoding': 'gzip' }),
    'ERR_OIDC_PROVIDER_RESPONSE_INVALID',
  ],
  ['the type of HTML', answered(200, { 'Content-Type': 'text/html' }), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['the type of a JWT', answered(200, { 'Content-Type': 'application/jwt' }), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['no type', answered(200, { 'Content-Type': '' }), 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'],
  ['201', answered(201), 'ERR_OIDC_PROVIDER_STATUS'],
  ['206', answered(206), 'ERR_OIDC_PROVIDER_STATUS'],
  ['302', answered(302, { Location: '/evil' }), 'ERR_OIDC_PROVIDER_REDIRECT'],
  ['404', answered(404), 'ERR_OIDC_PROVIDER_STATUS'],
  ['500', answered(500), 'ERR_OIDC_PROVIDER_STATUS'],
  ['a byte more than 1 MiB', (good) => padded(good, 1_048_577), 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE'],
]

function answered(status: number, headers: Readonly<Record<string, string>> = {}): Change {
  return (good, answer) => {
    answer.status = status
    Object.assign(answer.headers, headers)
    return good
  }
}

function padded(good: JsonObject, size: number): string {
  const text = JSON.stringify(good)
  return text + ' '.repeat(size - text.length)
}

const REQUIRED = ['authorization_endpoint', 'token_endpoint', 'jwks_uri']
const ENDPOINTS = [...REQUIRED, 'userinfo_endpoint', 'end_session_endpoint']

const URLS: readonly unknown[] = [
  ...[5, true, {}, '/relative', '//evil.example', 'evil.example', 'http://', EVIL_HTML],
  ...['javascript:alert(1)', 'JAVASCRIPT:alert(1)', ' javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd'],
  ...['ftp://evil.example/', 'blob:http://localhost/x', 'about:blank', 'ws://localhost/', 'gopher://evil.example/'],
]

const METADATA: readonly Row<Change>[] = [
  ...REQUIRED.flatMap((name) =>
    [undefined, null, ''].map((url): Row<Change> => [`${name} ${JSON.stringify(url)}`, put(name, url), INVALID]),
  ),
  ...ENDPOINTS.flatMap((name) =>
    URLS.map((url): Row<Change> => [`${name} ${JSON.stringify(url)}`, put(name, url), INVALID]),
  ),
]

const stage = createStage()

describe('metadata', () => {
  let stand: Stand
  beforeEach(async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    stand = stage.stopLater(await startStandAt(stage.provider))
  })

  /** The login does not begin; and when the provider is as it was, it does. */
  async function assertRefusedOnce(code: Row<unknown>[2], status?: number): Promise<void> {
    const calls = { '/discovery': 1, '/authorize': 0, '/jwks': 0 }
    await assertRefused(stand, await logIn(stand), { code, status, calls })
    assert.deepEqual(stage.provider.complaints, [])
    await stand.reset()
    await assertLoggedIn(stand, await logIn(stand))
    assert.equal(stage.provider.calls['/discovery'], 1)
  }

  it('is accepted if it is valid, and fetched once', async () => {
    await assertLoggedIn(stand, await logIn(stand))
    await stand.reset()
    await assertLoggedIn(stand, await logIn(stand))
    assert.equal(stage.provider.calls['/discovery'], 0)
  })

  it('is accepted with unknown members', async () => {
    stage.provider.change.discovery = (good) =>
      `${JSON.stringify(good).slice(0, -1)},"__proto__":{"x":1},"constructor":"${'x'.repeat(1000)}","a":[[{}]]}`
    await assertLoggedIn(stand, await logIn(stand))
    assert.equal(Reflect.get({}, 'x'), undefined)
  })

  for (const [name, change, code, status] of [...ISSUERS, ...ANSWERS, ...METADATA]) {
    it(`is refused with ${name}, until it is valid`, async () => {
      stage.provider.change.discovery = change
      await assertRefusedOnce(code, status)
    })
  }

  for (const [name, handler, code, status] of DOCUMENT_FAULTS) {
    it(`is refused if it is ${name}, until it is valid`, async () => {
      stage.provider.change.raw['/discovery'] = handler
      await assertRefusedOnce(code, status)
    })
  }

  it('passes on Retry-After', async () => {
    stage.provider.change.raw['/discovery'] = (_req, res) => {
      const reset = String(Math.floor(Date.now() / 1000) + 30)
      res.writeHead(429, { 'X-Rate-Limit-Reset': reset, Date: new Date().toUTCString() }).end()
    }
    const { page } = await logIn(stand)
    assert.equal(page.status, 503)
    assert.match(String(page.headers['retry-after']), /^(29|30|31)$/)
  })

  it('is fetched once by simultaneous logins', async () => {
    const pages = await Promise.all(
      Array.from({ length: 20 }, () => stand.app.browser().open('/login', { follow: false })),
    )
    assert.deepEqual(new Set(pages.map(({ status }) => status)), new Set([303]))
    assert.equal(stage.provider.calls['/discovery'], 1)
  })

  it('does not affect pages that need no provider', async () => {
    stage.provider.change.raw['/discovery'] = (_req, res) => void res.destroy()
    const browser = stand.app.browser()
    assert.equal((await browser.open('/')).status, 200)
    assert.equal((await browser.fetch('/profile')).status, 401)
    assert.equal(stage.provider.calls['/discovery'], 0)
  })

  it('gives a script the same error', async () => {
    stage.provider.change.discovery = issuer(() => EVIL_HTML)
    const browser = stand.app.browser()
    const page = await browser.fetch('/login')
    assert.deepEqual(Object.keys(page.json()), ['error', 'message', 'reference'])
    await assertRefused(stand, { browser, page }, { code: ISSUER })
  })
})

describe('metadata over https', () => {
  const PUBLIC = 'https://provider.example.test'
  let stand: Stand
  beforeEach(async () => {
    const { provider } = stage
    provider.change.discovery = toPublic
    provider.change.authorizationResponse = (params) => {
      params.set('iss', PUBLIC)
      return params
    }
    provider.change.idTokenClaims = (claims) => ({ ...claims, iss: PUBLIC })
    const options: Partial<AnyOptions> = {
      issuer: PUBLIC,
      dangerouslyAllowInsecureRequests: false,
      userinfo: true,
      fetch: (url, init) => fetch(url.replace(PUBLIC, provider.issuer), init),
    }
    stand = stage.stopLater(await startStandAt(provider, { tls: true, options }))
  })

  function toPublic(metadata: JsonObject): JsonObject {
    return JSON.parse(JSON.stringify(metadata).replaceAll(stage.provider.issuer, PUBLIC))
  }

  /** As a browser for which the public name leads to the provider. */
  async function logInThere(): Promise<Outcome> {
    const browser = stand.app.browser()
    const away = await browser.open('/login?returnTo=/profile', { stopBefore: ({ origin }) => origin === PUBLIC })
    if (!away.next) return { browser, page: away }
    const url = away.next.url.replace(PUBLIC, stage.provider.issuer)
    const back = await browser.go({ ...away.next, url }, { stopBefore: isCallback })
    return { browser, page: await browser.go(back.next) }
  }

  it('is accepted if it is valid', async () => {
    await assertLoggedIn(stand, await logInThere())
    assert.deepEqual(stage.provider.complaints, [])
  })

  for (const name of ENDPOINTS) {
    it(`is refused with an http URL as ${name}`, async () => {
      stage.provider.change.discovery = (good) => {
        const metadata = toPublic(good)
        return { ...metadata, [name]: String(metadata[name]).replace('https:', 'http:') }
      }
      const outcome = await logInThere()
      await assertRefused(stand, outcome, { code: INVALID, calls: { '/authorize': 0, '/jwks': 0 } })
    })
  }

  for (const name of ['token_endpoint', 'jwks_uri', 'userinfo_endpoint']) {
    it(`sends nothing to a ${name} with a user in its URL`, async () => {
      const another = 'https://user:password@provider.example.test/evil'
      stage.provider.change.discovery = (good) => ({ ...toPublic(good), [name]: another })
      const outcome = await logInThere()
      assert.equal(outcome.page.status, 502)
      assert.deepEqual([codesOf(stand.app), await stand.app.sessions()], [[INVALID], 0])
      assert.deepEqual(stage.provider.complaints, [])
    })
  }
})
