import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { type AuthorizationError, OidcError, ProviderError, requireAuth } from '../../lib/index.ts'
import { type AnyOptions, codesOf } from '../support/app/app.ts'
import { answerBy, answerJson, type Routes } from '../support/app/app-routes.ts'
import { isTokens } from '../support/app/records.ts'
import { createClientKeys, createEncryptionKeys, publicKeySet } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Page } from '../support/browser/browser.ts'
import {
  assertHarmless,
  assertLoggedIn,
  assertNobodyLoggedIn,
  createStand,
  logIn,
  type Outcome,
  type Row,
  type Stand,
  type StandSettings,
  startStandAt,
  testRefusals,
} from '../support/hostile/hostile.ts'
import { type ProviderOptions, startProvider } from '../support/servers/provider.ts'
import { answered, type JsonChange } from '../support/strict-provider/context.ts'
import type { StrictProviderOptions } from '../support/strict-provider/provider.ts'

/** Parameters that an app may add, as they are sent. */
const ASKED = {
  prompt: 'login',
  max_age: 300,
  login_hint: 'alice&scope=x',
  ui_locales: 'de en',
  display: 'page',
  acr_values: 'urn:example:mfa urn:example:pwd',
  claims: { id_token: { given_name: { essential: true } }, userinfo: { birthdate: null } },
  authorization_details: [{ type: 'payment', amount: { value: '12.50', currency: 'EUR' } }],
  resource: ['https://api.example/orders', 'https://api.example/stock'],
} as const

const ON_THE_WIRE: Readonly<Record<string, readonly string[]>> = {
  prompt: ['login'],
  max_age: ['300'],
  login_hint: ['alice&scope=x'],
  ui_locales: ['de en'],
  display: ['page'],
  acr_values: ['urn:example:mfa urn:example:pwd'],
  claims: [JSON.stringify(ASKED.claims)],
  authorization_details: [JSON.stringify(ASKED.authorization_details)],
  resource: ASKED.resource,
}

/** The parameters of the last request, as the provider read them. */
function understood({ provider }: Pick<Stand, 'provider'>, names: readonly string[] = Object.keys(ON_THE_WIRE)) {
  const params = provider.authorizationRequests.at(-1) ?? new URLSearchParams()
  return Object.fromEntries(names.map((name) => [name, params.getAll(name)]))
}

/** The parameters that the browser sends to the provider. */
async function sentByBrowser({ app }: Stand, path = '/login'): Promise<URLSearchParams> {
  return paramsOf(await app.browser().open(path, { stopBefore: isAtProvider }))
}

function paramsOf(page: Page): URLSearchParams {
  assert.ok(page.next, `there was no redirect to the provider: ${page.status} ${page.body}`)
  return new URL(page.next.url).searchParams
}

interface Form {
  readonly name: string
  readonly provider: StrictProviderOptions
  readonly options?: Partial<AnyOptions>
  /** The parameters that the browser sends. Absent for all of them, unsigned. */
  readonly brings?: readonly string[]
}

const BY_VALUE = ['client_id', 'response_type', 'scope', 'request']
const BY_REFERENCE = ['client_id', 'response_type', 'scope', 'request_uri']
const PUSHED = ['client_id', 'request_uri']

const FORMS: readonly Form[] = [
  { name: 'in the clear', provider: {} },
  { name: 'pushed', provider: { pushed: 'required' }, brings: PUSHED },
  {
    name: 'pushed by choice',
    provider: { pushed: 'optional' },
    options: { requirePushedAuthorizationRequests: true },
    brings: PUSHED,
  },
  ...['none', 'HS256', 'HS512', 'RS256', 'PS256', 'ES256', 'ES512', 'EdDSA'].map((requestObjectSigningAlg) => ({
    name: `signed with ${requestObjectSigningAlg}`,
    provider: { requestObjectSigningAlg },
    brings: BY_VALUE,
  })),
  ...['none', 'HS256', 'PS256'].map((requestObjectSigningAlg) => ({
    name: `by reference, signed with ${requestObjectSigningAlg}`,
    provider: { requestObjectSigningAlg },
    options: { requestObjectBy: 'reference' } as const,
    brings: BY_REFERENCE,
  })),
  ...[
    ['RSA-OAEP-256', 'A256CBC-HS512'],
    ['ECDH-ES', 'A128GCM'],
    ['dir', 'A256GCM'],
    ['A192GCMKW', 'A192GCM'],
  ].map(([requestObjectEncryptionAlg, requestObjectEncryptionEnc]) => ({
    name: `signed, then encrypted by ${requestObjectEncryptionAlg} and ${requestObjectEncryptionEnc}`,
    provider: { requestObjectSigningAlg: 'ES256', requestObjectEncryptionAlg, requestObjectEncryptionEnc },
    brings: BY_VALUE,
  })),
  {
    name: 'by reference, signed and encrypted',
    provider: { requestObjectSigningAlg: 'RS256', requestObjectEncryptionAlg: 'RSA-OAEP-256' },
    options: { requestObjectBy: 'reference' },
    brings: BY_REFERENCE,
  },
  {
    name: 'signed and pushed',
    provider: { pushed: 'required', requestObjectSigningAlg: 'PS256' },
    brings: PUSHED,
  },
  {
    name: 'signed, encrypted and pushed',
    provider: {
      pushed: 'required',
      requestObjectSigningAlg: 'ES384',
      requestObjectEncryptionAlg: 'RSA-OAEP-256',
    },
    brings: PUSHED,
  },
  {
    name: 'signed, to be fetched, but pushed since the provider demands it',
    provider: { pushed: 'required', requestObjectSigningAlg: 'PS256' },
    options: { requestObjectBy: 'reference' },
    brings: PUSHED,
  },
]

for (const { name, provider, options = {}, brings } of FORMS) {
  describe(`a request ${name}`, () => {
    const app = { options: { ...options, authorizationParams: ASKED } }
    const stand = createStand({ provider: { ...provider, idToken: 'thin' }, app })

    it('logs the user in, and the provider gets all parameters', async () => {
      const outcome = await logIn(stand)
      await assertLoggedIn(stand, outcome)
      assert.deepEqual(stand.provider.complaints, [])
      assert.deepEqual(understood(stand), ON_THE_WIRE)
      const { given_name, birthdate, acr, auth_time } = outcome.page.json()
      assert.deepEqual([given_name, birthdate, acr], ['Alice', '1990-04-01', 'urn:example:mfa'])
      assert.equal(typeof auth_time, 'number')
    })

    it('shows the browser only what is necessary', async () => {
      const params = await sentByBrowser(stand)
      if (brings === undefined) assert.deepEqual([params.has('state'), params.has('request')], [true, false])
      else assert.deepEqual([...params.keys()].sort(), [...brings].sort())
    })

    it('works for several logins at the same time', async () => {
      const outcomes = await Promise.all([logIn(stand), logIn(stand), logIn(stand)])
      assert.deepEqual(
        outcomes.map(({ page }) => page.status),
        [200, 200, 200],
      )
      const states = stand.provider.authorizationRequests.map((params) => params.get('state'))
      assert.deepEqual([new Set(states).size, stand.provider.complaints], [3, []])
    })
  })
}

describe('a request object', () => {
  const stand = createStand({ provider: { requestObjectSigningAlg: 'PS256' } })

  it('has aud, iat, exp and a new jti each time', async () => {
    const objects = await Promise.all([1, 2].map(async () => (await sentByBrowser(stand)).get('request') ?? ''))
    const claims = objects.map((object) => decodeJwt(object))
    for (const { iss, aud, client_id, iat = 0, nbf, exp, sub } of claims) {
      const { clientId, issuer } = stand.provider
      assert.deepEqual([iss, aud, client_id, sub, nbf, exp], [clientId, issuer, clientId, undefined, iat, iat + 300])
    }
    assert.equal(new Set(claims.map(({ jti }) => jti)).size, 2)
    assert.equal(decodeProtectedHeader(objects[0] ?? '').typ, 'oauth-authz-req+jwt')
  })

  it('is reported as missing if the provider requires one', async () => {
    const stage = { provider: stand.provider }
    stage.provider.change.discovery = (json) => ({ ...json, require_signed_request_object: true })
    const plain = await startStandAt(stand.provider, { options: { requestObjectSigningAlg: undefined } as object })
    try {
      const { browser, page } = await logIn(plain)
      assert.deepEqual([page.status, codesOf(plain.app)], [500, ['ERR_OIDC_CONFIG']])
      assert.match(String(plain.app.errors[0]?.message), /requestObjectSigningAlg must name an algorithm/)
      assert.equal(stand.provider.calls['/authorize'], 0)
      await assertNobodyLoggedIn(plain.app, browser)
    } finally {
      await plain.stop()
    }
  })

  const refusals: readonly (readonly [name: string, change: (provider: Stand['provider']) => void])[] = [
    ['with another algorithm', (provider) => provider.changeClient({ requestObjectSigningAlg: 'RS256' })],
    ['with an unknown key', (provider) => provider.changeClient({ clientJwks: { keys: [] } })],
    [
      'without the registered encryption',
      (provider) => provider.changeClient({ requestObjectEncryptionAlg: 'RSA-OAEP' }),
    ],
  ]
  for (const [name, change] of refusals) {
    it(`fails the login if the provider refuses it: signed ${name}`, async () => {
      change(stand.provider)
      const { browser, page } = await logIn(stand)
      // If the provider cannot read the object, it does not know where to redirect to.
      assert.deepEqual([page.status, new URL(page.url).origin], [400, stand.provider.issuer])
      await assertNobodyLoggedIn(stand.app, browser)
    })
  }
})

describe('a request that is encrypted', () => {
  const registered = { requestObjectSigningAlg: 'ES256', requestObjectEncryptionAlg: 'RSA-OAEP-256' }
  const stand = createStand({ provider: registered })

  it('is not sent unencrypted if the provider publishes no key for it', async () => {
    const { provider } = stand
    provider.change.jwks = (json) => ({ keys: [json['keys']].flat().filter((jwk) => Object(jwk).use !== 'enc') })
    const fresh = await startStandAt(provider)
    try {
      // A key without `use` would be accepted. There is none here.
      const { browser, page } = await logIn(fresh)
      assert.deepEqual([page.status, codesOf(fresh.app)], [502, ['ERR_OIDC_KEYS_INVALID']])
      assert.equal(provider.calls['/authorize'], 0)
      await assertNobodyLoggedIn(fresh.app, browser)
    } finally {
      await fresh.stop()
    }
  })

  it('hides its parameters', async () => {
    const params = await sentByBrowser(stand)
    const request = params.get('request') ?? ''
    assert.deepEqual([request.split('.').length, decodeProtectedHeader(request).alg], [5, 'RSA-OAEP-256'])
    assert.equal(params.has('state'), false)
  })
})

describe('a pushed request', () => {
  const stand = createStand({ provider: { pushed: 'required' } })

  it('is sent without an option if the provider requires it', async () => {
    assert.deepEqual([...(await sentByBrowser(stand)).keys()].sort(), PUSHED)
    assert.equal(stand.provider.calls['/par'], 1)
  })

  it('gets a request_uri that is valid once', async () => {
    const browser = stand.app.browser()
    const page = await browser.open('/login', { stopBefore: isAtProvider })
    assert.equal((await browser.clone().go(page.next)).status, 200)
    const again = await browser.clone().go(page.next)
    assert.deepEqual([again.status, codesOf(stand.app)], [400, ['ERR_OIDC_AUTHORIZATION']])
    const [error] = stand.app.errors as AuthorizationError[]
    assert.equal(error?.refusal.error, 'invalid_request_uri')
  })

  it('fails after its request_uri has expired, and the next one succeeds', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const browser = stand.app.browser()
    const page = await browser.open('/login?returnTo=/profile', { stopBefore: isAtProvider })
    mock.timers.tick(61_000)
    const late = await browser.go(page.next)
    assert.deepEqual([late.status, codesOf(stand.app)], [400, ['ERR_OIDC_AUTHORIZATION']])
    const [error] = stand.app.errors.splice(0) as AuthorizationError[]
    assert.equal(error?.refusal.error, 'invalid_request_uri')
    await assertNobodyLoggedIn(stand.app, browser)
    await assertLoggedIn(stand, { browser, page: await browser.open('/login?returnTo=/profile') })
  })

  it('accepts 200 instead of 201, which several providers send', async () => {
    stand.provider.change.parResponse = (json, answer) => {
      answer.status = 200
      return json
    }
    await assertLoggedIn(stand, await logIn(stand))
  })

  it('is not sent if the metadata has no endpoint for it', async () => {
    const { provider } = stand
    provider.change.discovery = ({ pushed_authorization_request_endpoint: _, ...json }) => json
    const fresh = await startStandAt(provider)
    try {
      const { browser, page } = await logIn(fresh)
      assert.deepEqual([page.status, codesOf(fresh.app)], [502, ['ERR_OIDC_METADATA_INVALID']])
      assert.equal(provider.calls['/authorize'], 0)
      await assertNobodyLoggedIn(fresh.app, browser)
    } finally {
      await fresh.stop()
    }
  })
})

describe('the response to a pushed request', () => {
  const stand = createStand({ provider: { pushed: 'required', tokenEndpointAuthMethod: 'client_secret_post' } })
  const options = { tokenEndpointAuthMethod: 'client_secret_post' } as const
  const posting = createStand({
    provider: { pushed: 'required', tokenEndpointAuthMethod: 'client_secret_post' },
    app: { options },
  })

  async function attack(change: JsonChange): Promise<Outcome> {
    posting.provider.change.parResponse = change
    const outcome = await logIn(posting)
    assert.deepEqual([posting.provider.calls['/par'], posting.provider.calls['/authorize']], [1, 0])
    return outcome
  }

  const without =
    (name: string): JsonChange =>
    ({ [name]: _, ...json }) =>
      json
  const having =
    (changes: Readonly<Record<string, unknown>>): JsonChange =>
    (json) => ({ ...json, ...changes })

  const rows: readonly Row<JsonChange>[] = [
    ['an error', answered(400, { error: 'invalid_request' }), 'ERR_OIDC_PUSHED_REQUEST'],
    ['an unknown client', answered(401, { error: 'invalid_client' }), 'ERR_OIDC_PUSHED_REQUEST'],
    ['no permission', answered(403, { error: 'access_denied' }), 'ERR_OIDC_PUSHED_REQUEST'],
    ['not found', answered(404, '<h1>Not found</h1>'), 'ERR_OIDC_PUSHED_REQUEST'],
    ['a request that is too large', answered(413, {}), 'ERR_OIDC_PUSHED_REQUEST'],
    ['accepted, for later', answered(202, {}), 'ERR_OIDC_PUSHED_REQUEST'],
    ['no content', answered(204, ''), 'ERR_OIDC_PUSHED_REQUEST'],
    ['too many requests', answered(429, {}, { 'Retry-After': '3' }), 'ERR_OIDC_PROVIDER_BUSY'],
    ['a server error', answered(500, {}), 'ERR_OIDC_PROVIDER_STATUS'],
    ['a redirect', answered(302, '', { Location: 'https://evil.example/' }), 'ERR_OIDC_PROVIDER_REDIRECT'],
    ['no request_uri', without('request_uri'), 'ERR_OIDC_PUSHED_RESPONSE'],
    ['a request_uri that is empty', having({ request_uri: '' }), 'ERR_OIDC_PUSHED_RESPONSE'],
    ['a request_uri that is a number', having({ request_uri: 7 }), 'ERR_OIDC_PUSHED_RESPONSE'],
    ['a request_uri in a list', having({ request_uri: ['urn:x'] }), 'ERR_OIDC_PUSHED_RESPONSE'],
    [
      'a request_uri with a line break',
      having({ request_uri: 'urn:x\r\nSet-Cookie: a=b' }),
      'ERR_OIDC_PUSHED_RESPONSE',
    ],
    ['a request_uri beyond ASCII', having({ request_uri: 'urn:\u00fc' }), 'ERR_OIDC_PUSHED_RESPONSE'],
    [
      'a request_uri of 3000 characters',
      having({ request_uri: `urn:${'x'.repeat(3000)}` }),
      'ERR_OIDC_PUSHED_RESPONSE',
    ],
    ['no expires_in', without('expires_in'), 'ERR_OIDC_PUSHED_RESPONSE'],
    ['expires_in of 0', having({ expires_in: 0 }), 'ERR_OIDC_PUSHED_RESPONSE'],
    ['a negative expires_in', having({ expires_in: -1 }), 'ERR_OIDC_PUSHED_RESPONSE'],
    ['expires_in as a string', having({ expires_in: '60' }), 'ERR_OIDC_PUSHED_RESPONSE'],
    ['a list', () => '[]', 'ERR_OIDC_PUSHED_RESPONSE'],
    ['an HTML page', answered(201, '<p>', { 'Content-Type': 'text/html' }), 'ERR_OIDC_PUSHED_RESPONSE'],
    ['an empty body', () => '', 'ERR_OIDC_PUSHED_RESPONSE'],
  ]
  testRefusals(rows, posting, attack)

  it('gives the operator the error of the provider, and no secret', async () => {
    const said = { error: 'invalid_scope', error_description: 'no <script> for you', error_uri: 'https://id.example/e' }
    await attack(answered(400, said))
    const [error] = posting.app.errors
    assert.ok(error instanceof ProviderError)
    assert.deepEqual(error.refusal, {
      error: 'invalid_scope',
      errorDescription: 'no <script> for you',
      errorUri: 'https://id.example/e',
    })
    assert.match(error.message, /\/par answered 400 invalid_scope\./)
    assert.doesNotMatch(`${error.message} ${error.stack}`, /<script|id\.example/)
    assert.ok(!JSON.stringify({ ...error }).includes(posting.provider.clientSecret))
  })

  it('gives a clear error if the client is not registered', async () => {
    const { page, browser } = await logIn(stand)
    assert.deepEqual([page.status, codesOf(stand.app)], [502, ['ERR_OIDC_PUSHED_REQUEST']])
    const [error] = stand.app.errors
    assert.ok(error instanceof ProviderError && error.refusal?.error === 'invalid_client')
    assertHarmless(stand, page)
    await assertNobodyLoggedIn(stand.app, browser)
  })
})

describe('a request object by reference', () => {
  const settings: StandSettings = {
    provider: { requestObjectSigningAlg: 'ES256' },
    app: { options: { requestObjectBy: 'reference' } },
  }
  const stand = createStand(settings)

  async function requestUri(): Promise<string> {
    return (await sentByBrowser(stand)).get('request_uri') ?? ''
  }
  const fetchObject = (uri: string, method = 'GET'): Promise<Page> => stand.app.browser().fetch(uri, { method })

  it('has an unguessable URL that is short enough (RFC 9101 5.2)', async () => {
    const [one, other] = [await requestUri(), await requestUri()]
    assert.match(one, /^http:\/\/127\.0\.0\.1:\d+\/request\?id=[\w-]{32}$/)
    assert.ok(one !== other && one.length <= 512)
  })

  it('is sent with its content type until it expires, without a session', async () => {
    const uri = await requestUri()
    const [first, second] = [await fetchObject(uri), await fetchObject(uri)]
    assert.deepEqual([first.status, second.status, first.body], [200, 200, second.body])
    assert.match(first.headers['content-type'] ?? '', /^application\/oauth-authz-req\+jwt/)
    assert.deepEqual(
      [first.headers['cache-control'], first.headers['x-content-type-options'], first.headers['set-cookie']],
      ['no-store', 'nosniff', undefined],
    )
    assert.equal(decodeJwt(first.body)['client_id'], stand.provider.clientId)
  })

  it('sets no cookie and starts no session, even with saveUninitialized', async () => {
    const eager = await startStandAt(stand.provider, {
      options: { requestObjectBy: 'reference' },
      session: { saveUninitialized: true, rolling: true, resave: true },
    })
    try {
      const uri = (await sentByBrowser(eager)).get('request_uri') ?? ''
      const page = await eager.app.browser().fetch(uri)
      assert.deepEqual([page.status, page.headers['set-cookie']], [200, undefined])
      const before = Object.keys(await eager.app.records()).length
      assert.equal((await eager.app.browser().fetch('/request?id=x')).headers['set-cookie'], undefined)
      assert.equal(Object.keys(await eager.app.records()).length, before)
    } finally {
      await eager.stop()
    }
  })

  it('expires after five minutes, even in a store that keeps everything', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const uri = await requestUri()
    const records = await new Promise<object>((resolve) => stand.app.store.all?.((_error, all) => resolve(Object(all))))
    const record = Object.values(records)
      .reverse()
      .find((one) => 'requestObject' in one)
    assert.equal(Date.parse(String(record?.cookie.expires)), Date.now() + 300_000)
    mock.timers.tick(299_000)
    assert.equal((await fetchObject(uri)).status, 200)
    const { store } = stand.app
    const { get } = store
    const kept = { requestObject: (await fetchObject(uri)).body, expiresAt: Math.floor(Date.now() / 1000) + 1 }
    store.get = (_id, done) => done(null, kept as never)
    try {
      assert.equal((await fetchObject(uri)).status, 200)
      mock.timers.tick(2000)
      assert.equal((await fetchObject(uri)).status, 404)
    } finally {
      store.get = get
    }
    assert.equal((await fetchObject(uri)).status, 404)
  })

  const others: readonly (readonly [name: string, query: string])[] = [
    ['no id', ''],
    ['an empty id', '?id='],
    ['an unknown id', `?id=${'x'.repeat(32)}`],
    ['an id that is too long', `?id=${'x'.repeat(33)}`],
    ['a path', '?id=../../../../../../../../etc/passwd'],
    ['a prototype', '?id=__proto__'],
    ['a pattern', '?id=********************************'],
  ]
  for (const [name, query] of others) {
    it(`is not found with ${name}`, async () => {
      await requestUri()
      const page = await fetchObject(`/request${query}`)
      assert.deepEqual([page.status, page.headers['set-cookie']], [404, undefined])
      assert.deepEqual([page.headers['cache-control'], stand.app.errors], ['no-store', []])
    })
  }

  it('gives no access to sessions and tokens', async () => {
    await assertLoggedIn(stand, await logIn(stand))
    const ids = Object.keys(await stand.app.records())
    assert.ok(ids.some(isTokens))
    for (const id of ids) {
      for (const shown of [id, encodeURIComponent(id), id.replace(/^oidc-(tokens-)?/, '').padEnd(32, 'x')]) {
        const page = await fetchObject(`/request?id=${shown}`)
        assert.equal(page.status, 404, id)
      }
    }
  })

  it('is sent for GET only', async () => {
    const uri = await requestUri()
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const page = await fetchObject(uri, method)
      assert.deepEqual([page.status, page.headers.allow], [405, 'GET'])
    }
    assert.equal((await fetchObject(uri)).status, 200)
  })

  it('can be fetched twice by the provider, which accepts it once', async () => {
    const browser = stand.app.browser()
    const page = await browser.open('/login?returnTo=/profile', { stopBefore: isAtProvider })
    assert.equal((await fetchObject(paramsOf(page).get('request_uri') ?? '')).status, 200)
    assert.equal((await browser.clone().go(page.next)).status, 200)
    assert.deepEqual(stand.provider.complaints, [])
    const again = await browser.clone().go(page.next)
    assert.deepEqual([again.status, codesOf(stand.app)], [400, ['ERR_OIDC_AUTHORIZATION']])
    assert.match(stand.provider.complaints.join(), /jti is missing or was used before/)
  })

  it('has no route if requests are sent by value', async () => {
    const app = await startStandAt(stand.provider)
    try {
      assert.equal((await app.app.browser().open('/request?id=x')).status, 404)
    } finally {
      await app.stop()
    }
  })

  for (const how of ['by its callback', 'at once'] as const) {
    it(`cannot be stored if the store fails ${how}: the user is not redirected`, async () => {
      const { store } = stand.app
      const { set } = store
      store.set = (_id, _data, done) => {
        if (how === 'at once') throw new Error('planted: the store is full')
        done?.(new Error('planted: the store is full'))
      }
      try {
        const { browser, page } = await logIn(stand)
        assert.deepEqual([page.status, codesOf(stand.app)], [503, ['ERR_OIDC_SESSION_STORE']])
        assert.deepEqual([page.headers.location, stand.provider.calls['/authorize']], [undefined, 0])
        assert.deepEqual([browser.cookies(), page.body.includes('planted')], [[], false])
      } finally {
        store.set = set
      }
      await assertLoggedIn({ ...stand, app: { ...stand.app, errors: [] } }, await logIn(stand))
    })
  }

  it('cannot be read if the store fails: the provider gets no details', async () => {
    const uri = await requestUri()
    const { store } = stand.app
    const { get } = store
    store.get = (_id, done) => done(new Error('planted: the store is gone'))
    try {
      const page = await fetchObject(uri)
      assert.deepEqual([page.status, codesOf(stand.app)], [503, ['ERR_OIDC_SESSION_STORE']])
      assert.deepEqual([page.headers['cache-control'], page.body.includes('planted')], ['no-store', false])
    } finally {
      store.get = get
    }
  })

  it('is stored beside the session, wherever the app is mounted', async () => {
    const mounted = await startStandAt(stand.provider, {
      options: { requestObjectBy: 'reference', routes: { requestObjects: '/oidc/asked' } },
      mountPath: '/portal',
    })
    try {
      const page = await mounted.app.browser().open('/portal/login', { stopBefore: isAtProvider })
      const uri = paramsOf(page).get('request_uri') ?? ''
      assert.ok(uri.startsWith(`${mounted.app.baseUrl}/oidc/asked?id=`))
      assert.equal((await mounted.app.browser().fetch(uri)).status, 200)
    } finally {
      await mounted.stop()
    }
  })
})

/** A page that logs in with these parameters. */
function entering(authorizationParams: object): Routes {
  return { '/enter': answerBy(({ oidc }) => oidc.login({ returnTo: '/profile', authorizationParams } as never)) }
}

describe('parameters of a single login', () => {
  for (const [name, provider] of [
    ['as plain parameters', {}],
    ['pushed', { pushed: 'required' }],
    ['signed', { requestObjectSigningAlg: 'ES256' }],
  ] as const) {
    const stand = createStand({
      provider,
      app: { options: { authorizationParams: { prompt: 'consent', tenant: 'a' } }, routes: entering(ASKED) },
    })
    it(`take precedence over those of the options: ${name}`, async () => {
      assert.equal((await stand.app.browser().open('/enter')).status, 200)
      assert.deepEqual(understood(stand), ON_THE_WIRE)
      assert.deepEqual(understood(stand, ['tenant']), { tenant: ['a'] })
      assert.deepEqual(stand.provider.complaints, [])
    })
  }
})

describe('parameters as a function of the request', () => {
  const stage = createStage({ provider: { requestObjectSigningAlg: 'HS256' }, app: { errorHandler: 'json' } })

  async function requestWith(
    authorizationParams: AnyOptions['authorizationParams'],
    path = '/login?returnTo=/profile',
  ) {
    const app = await stage.start({ authorizationParams } as Partial<AnyOptions>)
    const page = await app.browser().open(path)
    return { app, page }
  }

  it('are created for each request, synchronously or not', async () => {
    const seen: unknown[] = []
    const functions: readonly AnyOptions['authorizationParams'][] = [
      (req) => {
        seen.push(req.url)
        return ASKED
      },
      async (req) => {
        seen.push(req.url)
        await Promise.resolve()
        return ASKED
      },
    ]
    for (const authorizationParams of functions) {
      const { page } = await requestWith(authorizationParams)
      assert.equal(page.status, 200)
      assert.deepEqual(understood(stage), ON_THE_WIRE)
    }
    assert.deepEqual([seen, stage.provider.complaints], [Array(2).fill('/login?returnTo=/profile'), []])
  })

  it('may be undefined', async () => {
    for (const nothing of [() => ({}), () => undefined as never, async () => null as never]) {
      assert.equal((await requestWith(nothing)).page.status, 200)
    }
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('are used at a guarded page, and by req.oidc.login() too', async () => {
    const routes = entering({ ui_locales: 'de' })
    const app = await stage.start({ authorizationParams: () => ({ display: 'popup' }) }, { routes })
    for (const path of ['/profile', '/enter']) {
      await app.browser().open(path)
      assert.deepEqual(understood(stage, ['display']), { display: ['popup'] })
    }
    assert.deepEqual(understood(stage, ['ui_locales']), { ui_locales: ['de'] })
  })

  const reserved = [
    ...['client_id', 'redirect_uri', 'response_type', 'response_mode', 'scope', 'state', 'nonce', 'code_challenge'],
    ...['code_challenge_method', 'request', 'request_uri', 'iss', 'response', 'dpop_jkt', 'client_secret'],
    ...['client_assertion', 'client_assertion_type'],
  ]
  for (const name of reserved) {
    it(`cannot set ${name}`, async () => {
      const { app, page } = await requestWith(() => ({ [name]: 'planted' }))
      assert.deepEqual([page.status, codesOf(app)], [500, ['ERR_OIDC_CONFIG']])
      assert.match(String(app.errors[0]?.message), new RegExp(`authorizationParams\\.${name} must not be set`))
      assert.doesNotMatch(String(app.errors[0]?.message), /planted/)
      assert.deepEqual([stage.provider.calls['/authorize'], page.headers.location], [0, undefined])
    })
  }

  const unfit: readonly (readonly [name: string, made: unknown])[] = [
    ['a string', 'prompt=login'],
    ['a list', [['prompt', 'login']]],
    ['a number', 7],
    ['URLSearchParams', new URLSearchParams('prompt=login')],
    ['an invalid name', { 'a&state': 'x' }],
    ['a boolean', { x: true }],
    ['a function', { x: () => 'y' }],
    ['claims that are no JSON', { claims: '{planted' }],
    ['claims that are a list', { claims: [] }],
    ['details without a type', { authorization_details: [{ amount: 1 }] }],
    ['details that are no list', { authorization_details: { type: 'payment' } }],
    ['a list of classes', { acr_values: ['urn:a', 'urn:b'] }],
    ['a list of languages', { ui_locales: ['de'] }],
    ['prompts that exclude each other', { prompt: 'none login' }],
  ]
  for (const [name, made] of unfit) {
    it(`cannot be ${name}`, async () => {
      const { app, page } = await requestWith(() => made as never)
      assert.deepEqual([page.status, codesOf(app)], [500, ['ERR_OIDC_CONFIG']])
      assert.doesNotMatch(String(app.errors[0]?.message), /planted/)
      assert.equal(stage.provider.calls['/authorize'], 0)
    })
  }

  const failures: readonly (readonly [name: string, fails: () => never | Promise<never>])[] = [
    [
      'throws',
      () => {
        throw new TypeError('of the application')
      },
    ],
    ['rejects', () => Promise.reject(new TypeError('of the application'))],
  ]
  for (const [name, fails] of failures) {
    it(`stop the login if the function ${name}, with the error of the app`, async () => {
      const { app, page } = await requestWith(fails)
      assert.deepEqual(
        [page.status, codesOf(app), app.otherErrors.map(String)],
        [500, [], ['TypeError: of the application']],
      )
      assert.deepEqual([page.headers.location, stage.provider.calls['/authorize']], [undefined, 0])
      assert.deepEqual(page.headers['set-cookie'], undefined)
    })
  }

  it('stop the login if the function rejects without an error', async () => {
    const { app, page } = await requestWith(() => Promise.reject(undefined))
    assert.deepEqual([page.status, app.otherErrors.length], [500, 1])
    assert.equal(stage.provider.calls['/authorize'], 0)
  })

  it('pass on an OidcError of the function unchanged', async () => {
    const { app } = await requestWith(() => {
      throw new OidcError('ERR_OIDC_TENANT', 'Not for you.')
    })
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TENANT'])
  })
})

describe('parameters in a link to the login route', () => {
  const passthroughParams = [
    'login_hint',
    'ui_locales',
    'display',
    'claims',
    'authorization_details',
    'resource',
    'prompt',
  ]
  const stage = createStage({ provider: { requestObjectSigningAlg: 'ES256' } })

  async function paramsFor(query: URLSearchParams | Record<string, string>, options: Partial<AnyOptions> = {}) {
    const app = await stage.start({ passthroughParams, ...options })
    const page = await app.browser().open(`/login?returnTo=/profile&${new URLSearchParams(query)}`)
    assert.deepEqual([page.status, stage.provider.complaints], [200, []], String(app.errors))
    return understood(stage, [...passthroughParams, 'scope', 'acr_values', 'max_age'])
  }

  it('are passed on if passthroughParams names them, and replace those of the options', async () => {
    const { login_hint, ui_locales, display, resource } = await paramsFor(
      new URLSearchParams([
        ['login_hint', 'bob&state=x'],
        ['resource', 'https://api.example/a'],
        ['resource', 'https://api.example/b'],
      ]),
      { authorizationParams: { login_hint: 'alice', ui_locales: 'de' } },
    )
    assert.deepEqual([login_hint, ui_locales, display], [['bob&state=x'], ['de'], []])
    assert.deepEqual(resource, ['https://api.example/a', 'https://api.example/b'])
  })

  it('may be valid JSON structures', async () => {
    const { claims, authorization_details: details } = await paramsFor({
      claims: '{"id_token":{"email":null}}',
      authorization_details: '[{"type":"payment"}]',
    })
    assert.deepEqual([claims, details], [['{"id_token":{"email":null}}'], ['[{"type":"payment"}]']])
  })

  const ignored: readonly (readonly [name: string, query: Record<string, string>])[] = [
    ['not named', { scope: 'openid admin', state: 'x', redirect_uri: 'https://evil.example', request_uri: 'urn:x' }],
    ['claims that are no JSON', { claims: '{' }],
    ['claims that are a list', { claims: '[]' }],
    ['details without a type', { authorization_details: '[{}]' }],
    ['resources with a fragment', { resource: 'https://api.example/#x' }],
    ['prompts that exclude each other', { prompt: 'none login' }],
  ]
  for (const [name, query] of ignored) {
    it(`are ignored if they are ${name}`, async () => {
      const params = await paramsFor(query)
      const { scope, ...others } = params
      assert.deepEqual(scope, ['openid profile email'])
      assert.deepEqual(Object.values(others).flat(), [])
    })
  }

  it('count once if they are repeated', async () => {
    const twice = new URLSearchParams([
      ['login_hint', 'alice'],
      ['login_hint', 'mallory'],
    ])
    assert.deepEqual((await paramsFor(twice))['login_hint'], ['alice'])
  })
})

describe('max_age of the options and of one page', () => {
  const stage = createStage()
  for (const [told, maxAge, sent] of [
    [300, 60, '60'],
    [60, 300, '60'],
    [0, 300, '0'],
    [undefined, 60, '60'],
  ] as const) {
    it(`give the smaller one: ${told} and ${maxAge}`, async () => {
      const authorizationParams = told === undefined ? {} : { max_age: told }
      const recent = answerJson(({ oidc }) => oidc.claims)
      const app = await stage.start(
        { authorizationParams },
        { routes: { '/recent': [requireAuth({ maxAge }), recent] } },
      )
      assert.equal((await app.browser().open('/recent')).status, 200)
      assert.deepEqual([understood(stage, ['max_age']), stage.provider.complaints], [{ max_age: [sent] }, []])
    })
  }
})

// Generating RSA keys takes most of the time.
const [keys, own, { rsa, p256 }] = [createClientKeys(), createClientKeys(), createEncryptionKeys()] as const

describe('oidc-provider accepts', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })

  async function logInAt(given: ProviderOptions, options: Partial<AnyOptions>): Promise<Record<string, unknown>> {
    const provider = stage.stopLater(await startProvider(given))
    const app = await stage.start(options, { provider })
    const page = await app.browser().open('/profile')
    assert.deepEqual([app.errors.map(String), page.status], [[], 200], page.body)
    assert.equal(await app.sessions(), 1)
    return page.json()
  }
  const pushing = { pushedAuthorizationRequests: { enabled: true } }

  it('a pushed request', async () => {
    const client = { require_pushed_authorization_requests: true }
    await logInAt({ features: pushing, client }, { requirePushedAuthorizationRequests: true })
  })

  it('a pushed request that it requires', async () => {
    const features = { pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true } }
    await logInAt({ features }, {})
  })

  for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256']) {
    it(`a request that is signed with ${alg}`, async () => {
      await logInAt(withRequestObjects({ request_object_signing_alg: alg, jwks: publicKeySet(keys) }), {
        clientKeys: keys as NonNullable<AnyOptions['clientKeys']>,
        requestObjectSigningAlg: alg,
        authorizationParams: { max_age: 300, claims: { id_token: { auth_time: { essential: true } } } },
      })
    })
  }

  for (const alg of ['RSA-OAEP-256', 'ECDH-ES', 'dir']) {
    it(`a request that is encrypted by ${alg}, and pushed`, async () => {
      const enc = [rsa, p256].map(({ privateKey, jwk }) => {
        return { ...privateKey.export({ format: 'jwk' }), kid: jwk.kid, use: 'enc', alg: jwk['alg'] }
      })
      const settings = withRequestObjects({
        request_object_signing_alg: 'ES256',
        request_object_encryption_alg: alg,
        request_object_encryption_enc: 'A128CBC-HS256',
        jwks: publicKeySet(keys),
      })
      const jwks = { keys: [...own.filter(({ ['use']: use }) => use === 'sig'), ...enc] }
      await logInAt(
        { ...settings, configuration: { ...settings.configuration, jwks } },
        {
          clientKeys: keys as NonNullable<AnyOptions['clientKeys']>,
          requestObjectSigningAlg: 'ES256',
          requestObjectEncryptionAlg: alg,
          requirePushedAuthorizationRequests: true,
        },
      )
    })
  }

  it('single claims, a resource, and further parameters', async () => {
    const claims = await logInAt(
      {
        features: {
          claimsParameter: { enabled: true },
          resourceIndicators: {
            enabled: true,
            getResourceServerInfo: () => ({ scope: 'reports:read', accessTokenFormat: 'opaque' }),
            useGrantedResource: () => true,
          },
        },
      },
      {
        authorizationParams: {
          ...{ prompt: 'login', ui_locales: 'de en', display: 'page', login_hint: 'bob' },
          claims: { id_token: { auth_time: { essential: true } } },
          resource: 'https://api.example/orders',
        },
        userinfo: false,
      },
    )
    assert.deepEqual([claims['sub'], typeof claims['auth_time']], ['bob', 'number'])
  })
})

/** Enables request objects and their encryption in oidc-provider. */
function withRequestObjects(client: Readonly<Record<string, unknown>>): ProviderOptions {
  return {
    client,
    features: {
      claimsParameter: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      encryption: { enabled: true },
      requestObjects: { enabled: true, requireSignedRequestObject: false },
    },
    configuration: {
      enabledJWA: {
        requestObjectSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'],
        requestObjectEncryptionAlgValues: ['RSA-OAEP-256', 'ECDH-ES', 'dir'],
        requestObjectEncryptionEncValues: ['A128CBC-HS256'],
      },
    },
  }
}
