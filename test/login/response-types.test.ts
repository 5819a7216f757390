import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { BrowserContext } from 'playwright-core'
import { ConfigError, type Options, oidc } from '../../lib/index.ts'
import { RESPONSE_MODES, RESPONSE_TYPES, type ResponseMode } from '../../lib/options/response-type.ts'
import type { ResponseType } from '../../lib/types.ts'
import { type AnyOptions, type AppOptions, startApp, type TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Navigation } from '../support/browser/browser.ts'
import { launchChromium, skipWithoutChromium } from '../support/browser/chromium.ts'
import { arrive, assertLoggedIn, logIn, paramsOf, type Stand, startStandAt } from '../support/hostile/hostile.ts'
import { startProvider, type TestProvider } from '../support/servers/provider.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'
import {
  type StrictProvider,
  type StrictProviderOptions,
  startStrictProvider,
} from '../support/strict-provider/provider.ts'

/** Every response type with every allowed response mode. */
const PAIRS: readonly (readonly [type: ResponseType, mode: ResponseMode])[] = RESPONSE_TYPES.flatMap((type) =>
  RESPONSE_MODES.filter((mode) => type === 'code' || !mode.startsWith('query')).map((mode) => [type, mode] as const),
)

const wordsOf = (type: string): readonly string[] => type.split(' ')
const bringsCode = (type: string): boolean => wordsOf(type).includes('code')
const bringsAccessToken = (type: string): boolean => type !== 'id_token'

/** The parameters of a response type, besides `state` and `iss`. */
function namesOf(type: ResponseType): readonly string[] {
  const ofToken = ['access_token', 'token_type', 'expires_in', 'scope']
  return wordsOf(type).flatMap((word) => (word === 'token' ? ofToken : [word]))
}

/** The claims of a JWT, read without verification. */
function claimsOf(jwt: string | null | undefined): JsonObject {
  return JSON.parse(Buffer.from(jwt?.split('.')[1] ?? '', 'base64url').toString())
}

const isFragment = (type: ResponseType, mode: ResponseMode): boolean =>
  mode.startsWith('fragment') || (mode === 'jwt' && type !== 'code')

/** How a response came: by query, fragment or form. */
function deliveryOf({ url, fields }: Navigation): string {
  const { search, hash } = new URL(url)
  return fields ? 'form_post' : hash === '' && search !== '' ? 'query' : 'fragment'
}

function expectedDelivery(type: ResponseType, mode: ResponseMode): string {
  if (isFragment(type, mode)) return 'fragment'
  return mode.startsWith('form_post') ? 'form_post' : 'query'
}

describe('a login at the strict provider', () => {
  let provider: StrictProvider
  let stand: Stand
  before(async () => {
    provider = await startStrictProvider()
  })
  beforeEach(() => provider.reset())
  afterEach(() => stand.stop())
  after(() => provider.stop())

  for (const [responseType, responseMode] of PAIRS) {
    it(`succeeds with ${responseType} by ${responseMode}`, async () => {
      stand = await startStandAt(provider, { options: { responseType, responseMode, userinfo: true } })
      const { browser, answer } = await arrive(stand)
      assert.equal(deliveryOf(answer), expectedDelivery(responseType, responseMode))
      const came = paramsOf(answer)
      const params = came.has('response') ? Object.keys(claimsOf(came.get('response'))) : [...came.keys()]
      const ofJwt = responseMode.endsWith('jwt') ? ['aud', 'exp'] : []
      assert.deepEqual(params.sort(), [...namesOf(responseType), 'state', 'iss', ...ofJwt].sort())
      assert.equal(came.has('response'), responseMode.endsWith('jwt'))

      const page = await browser.go(answer)
      await assertLoggedIn(stand, { browser, page })
      const { sub, email, groups } = page.json()
      assert.deepEqual([sub, email, groups], ['user-subject', 'alice@example.test', undefined])
      const { calls, complaints } = provider
      assert.deepEqual(complaints, [])
      assert.deepEqual(
        [calls['/token'], calls['/userinfo']],
        [bringsCode(responseType) ? 1 : 0, bringsAccessToken(responseType) ? 1 : 0],
      )
    })
  }

  for (const responseType of RESPONSE_TYPES) {
    it(`requests ${responseType} with a nonce, and with PKCE if there is a code`, async () => {
      stand = await startStandAt(provider, { options: { responseType } })
      await assertLoggedIn(stand, await logIn(stand))
      const query = provider.requests.find(({ endpoint }) => endpoint === '/authorize')?.query
      assert.equal(query?.get('response_type'), responseType)
      assert.equal(query?.get('response_mode'), responseType === 'code' ? null : 'form_post')
      assert.match(query?.get('nonce') ?? '', /^[\w-]{43}$/)
      assert.deepEqual(
        [query?.has('code_challenge'), query?.has('code_challenge_method')],
        [bringsCode(responseType), bringsCode(responseType)],
      )
    })
  }

  const ORDERS = ['token id_token', 'id_token code', 'token code', 'token id_token code', 'id_token code token']
  for (const responseType of ORDERS) {
    it(`accepts the words in the order ${responseType}`, async () => {
      stand = await startStandAt(provider, { options: { responseType } })
      await assertLoggedIn(stand, await logIn(stand))
      assert.deepEqual(provider.complaints, [])
      const asked = provider.requests.find(({ endpoint }) => endpoint === '/authorize')?.query.get('response_type')
      assert.deepEqual([...wordsOf(asked ?? '')].sort(), [...wordsOf(responseType)].sort())
    })
  }

  for (const alg of ['PS256', 'ES256', 'EdDSA', 'HS256']) {
    it(`accepts a response JWT that is signed with the configured ${alg}`, async () => {
      const other = await startStrictProvider({ authorizationSignedResponseAlg: alg })
      try {
        const options = { responseMode: 'jwt', authorizationSignedResponseAlg: alg } as const
        stand = await startStandAt(other, { options })
        await assertLoggedIn(stand, await logIn(stand))
      } finally {
        await other.stop()
      }
    })
  }
})

describe('a login at oidc-provider', () => {
  let provider: TestProvider
  let app: TestApp
  before(async () => {
    provider = await startProvider({
      // It requires https from web clients for tokens in the front channel.
      client: {
        application_type: 'native',
        response_types: RESPONSE_TYPES,
        grant_types: ['authorization_code', 'refresh_token', 'implicit'],
      },
      configuration: { responseTypes: RESPONSE_TYPES },
      features: { jwtResponseModes: { enabled: true } },
    })
  })
  beforeEach(() => {
    provider.requests.length = 0
  })
  afterEach(() => app.stop())
  after(() => provider.stop())

  for (const [responseType, responseMode] of PAIRS) {
    it(`succeeds with ${responseType} by ${responseMode}`, async () => {
      app = await startApp({ host: 'express5', provider, options: { responseType, responseMode } })
      const browser = app.browser()
      const page = await browser.open('/profile')
      assert.deepEqual([page.status, page.url, app.errors], [200, `${app.origin}/profile`, []], page.body)
      const { sub, name, email } = page.json()
      assert.deepEqual([sub, name, email], ['alice', 'Alice Example', 'alice@example.test'])
      const calls = [provider.count('/token'), provider.count('/me')]
      assert.deepEqual(calls, [bringsCode(responseType) ? 1 : 0, bringsAccessToken(responseType) ? 1 : 0])
      assert.equal(await app.sessions(), 1)
    })
  }
})

describe('a response with tokens', () => {
  let provider: StrictProvider
  let stand: Stand
  before(async () => {
    provider = await startStrictProvider()
  })
  beforeEach(() => provider.reset())
  afterEach(() => stand?.stop())
  after(() => provider.stop())

  async function start(options: Partial<AnyOptions>, settings: Partial<AppOptions> = {}): Promise<Stand> {
    stand = await startStandAt(provider, { options, ...settings })
    return stand
  }

  describe('by form_post', () => {
    it('is reposted by our own page, because a cross-site POST has no cookies', async () => {
      await start({ responseType: 'code id_token' })
      const { browser, answer } = await arrive(stand)
      const relay = await browser.go(answer, { follow: false })
      assert.deepEqual(
        [relay.status, relay.next?.method, relay.next?.url],
        [200, 'POST', `${stand.app.origin}/callback`],
      )
      assert.deepEqual(provider.calls['/token'], 0)
      await assertLoggedIn(stand, { browser, page: await browser.go(relay.next) })
    })
  })

  describe('by the fragment', () => {
    it('is posted by our own page, which contains none of it', async () => {
      await start({ responseType: 'code id_token token', responseMode: 'fragment' })
      const { browser, answer } = await arrive(stand)
      const page = await browser.go(answer, { follow: false })
      assert.deepEqual([page.status, page.headers['cache-control']], [200, 'no-store'])
      assert.equal(page.headers['referrer-policy'], 'no-referrer')
      for (const value of paramsOf(answer).values()) assert.ok(value.length < 8 || !page.body.includes(value))
      const nonce = /script-src 'nonce-([\w+/]{22}==)'/.exec(String(page.headers['content-security-policy']))?.[1]
      assert.match(
        String(page.headers['content-security-policy']),
        /default-src 'none'; .*base-uri 'none'; frame-ancestors 'none'/,
      )
      assert.ok(page.body.includes(`<script nonce="${nonce}">`))
      assert.match(page.body, /location\.hash[\s\S]*history\.replaceState[\s\S]*submit/)
      assert.match(page.body, /<noscript><p>Please allow JavaScript/)
      assert.equal(page.next?.url, `${stand.app.origin}/callback`)
      await assertLoggedIn(stand, { browser, page: await browser.go(page.next) })
    })

    it('uses another CSP nonce for each page', async () => {
      await start({ responseType: 'id_token', responseMode: 'fragment' })
      const policies = await Promise.all(
        [1, 2].map(async () => (await stand.app.browser().open('/callback', { follow: false })).headers),
      )
      const [one, other] = policies.map((headers) => headers['content-security-policy'])
      assert.notEqual(one, other)
    })

    it('is not expected if the query has an error', async () => {
      await start({ responseType: 'id_token', responseMode: 'fragment' })
      const { browser, answer } = await arrive(stand)
      const [state, iss] = [paramsOf(answer).get('state') ?? '', provider.issuer]
      const query = new URLSearchParams({ error: 'access_denied', state, iss })
      const page = await browser.open(`/callback?${query}`, { from: provider.issuer })
      assert.deepEqual([page.status, stand.app.errors.map(({ code }) => code)], [403, ['ERR_OIDC_AUTHORIZATION']])
    })

    for (const fetchSaved of [false, true]) {
      const how = fetchSaved ? 'saves every session' : 'saves no empty session'
      it(`logs in if the session cookie is SameSite=Strict and the app ${how}`, async () => {
        const session = { cookie: { sameSite: 'strict' }, saveUninitialized: fetchSaved } as const
        await start({ responseType: 'id_token token', responseMode: 'fragment' }, { session })
        const browser = stand.app.browser()
        await browser.open('/write')
        const page = await browser.open('/profile')
        await assertLoggedIn(stand, { browser, page })
        // The session kept its data, so no other session has replaced it.
        assert.equal((await browser.fetch('/session')).json()['cart'], 'book')
      })
    }
  })

  describe('of a hybrid response type', () => {
    const both = { responseType: 'code id_token token' }

    it('combines the claims of both ID Tokens', async () => {
      await start(both)
      provider.change.frontIdTokenClaims = ({ email: _email, ...good }) => ({ ...good, hired: 2019, acr: 'high' })
      provider.change.idTokenClaims = ({ name: _name, ...good }) => ({ ...good, floor: 3, acr: 'high' })
      const { browser } = await logIn(stand)
      const { name, email, hired, floor, acr } = (await browser.fetch('/profile')).json()
      assert.deepEqual([name, email, hired, floor, acr], ['Alice Example', 'alice@example.test', 2019, 3, 'high'])
    })

    it('may differ in the claims that belong to each ID Token', async () => {
      await start(both)
      provider.change.frontIdTokenClaims = (good) => ({ ...good, jti: 'one', iat: Number(good['iat']) - 9, nbf: 1 })
      provider.change.idTokenClaims = (good) => ({ ...good, jti: 'other', exp: Number(good['exp']) + 9 })
      await assertLoggedIn(stand, await logIn(stand))
    })

    it('may have a first ID Token with few claims', async () => {
      await start(both)
      provider.change.frontIdTokenClaims = ({ name: _name, email: _email, ...good }) => good
      await assertLoggedIn(stand, await logIn(stand))
    })

    for (const responseType of ['code token', 'code id_token token']) {
      it(`stores the tokens of the token endpoint with ${responseType}`, async () => {
        await start({ responseType })
        let given: JsonObject = {}
        provider.change.tokenResponse = (good) => {
          given = good
          return { ...good, scope: 'openid email', expires_in: 60 }
        }
        const { browser, answer } = await arrive(stand)
        await browser.go(answer)
        const tokens = (await browser.fetch('/tokens')).json()
        assert.equal(tokens['accessToken'], given['access_token'])
        assert.notEqual(tokens['accessToken'], paramsOf(answer).get('access_token'))
        assert.equal(tokens['idToken'], given['id_token'])
        assert.ok(Math.abs(Number(tokens['expiresAt']) - Date.now() / 1000 - 60) < 10)
      })
    }
  })

  describe('of an implicit response type', () => {
    const implicit = { responseType: 'id_token token' }
    const scopeRoute = { '/scope': answerJson(({ oidc: { scope } }) => ({ scope })) }

    it('stores the access token, its lifetime and the ID Token', async () => {
      await start(implicit)
      const { browser, answer } = await arrive(stand)
      await browser.go(answer)
      const { expiresAt, issuedAt, ...tokens } = (await browser.fetch('/tokens')).json()
      const params = paramsOf(answer)
      assert.deepEqual(tokens, {
        idToken: params.get('id_token'),
        accessToken: params.get('access_token'),
        tokenType: 'Bearer',
      })
      assert.equal(Number(expiresAt) - Number(issuedAt), 3600)
      assert.ok(Math.abs(Number(issuedAt) - Date.now() / 1000) < 10)
    })

    it('stores the ID Token of id_token, and no access token', async () => {
      await start({ responseType: 'id_token' })
      const { browser, answer } = await arrive(stand)
      await browser.go(answer)
      assert.deepEqual((await browser.fetch('/tokens')).json(), { idToken: paramsOf(answer).get('id_token') })
    })

    const assumed = { dangerouslyAssumeRequestedScope: true }
    const SCOPES: readonly (readonly [
      name: string,
      options: Partial<AnyOptions>,
      scope: string | undefined,
      expected: string,
    ])[] = [
      ['openid, whatever the query has', {}, 'openid reports:read', 'openid'],
      ['of a signed response', { responseMode: 'fragment.jwt' }, 'openid email', 'openid email'],
      ['openid if the response has none', {}, undefined, 'openid'],
      [
        'that was requested if the response has none and the option allows it',
        assumed,
        undefined,
        'openid profile email',
      ],
    ]
    for (const [name, options, scope, expected] of SCOPES) {
      it(`has the scope ${name}`, async () => {
        await start({ ...implicit, ...options }, { routes: scopeRoute })
        provider.change.authorizationResponse = (params) => {
          if (scope === undefined) params.delete('scope')
          else params.set('scope', scope)
          return params
        }
        const { browser } = await logIn(stand)
        assert.equal((await browser.fetch('/scope')).json()['scope'], expected)
      })
    }

    for (const life of ['', '-1', '1e9', 'soon', '99999999999', ' 60']) {
      it(`has a token without an expiry if expires_in is ${JSON.stringify(life)}`, async () => {
        await start(implicit)
        provider.change.authorizationResponse = (params) => {
          params.set('expires_in', life)
          return params
        }
        const { browser, page } = await logIn(stand)
        await assertLoggedIn(stand, { browser, page })
        assert.equal('expiresAt' in (await browser.fetch('/tokens')).json(), false)
      })
    }

    for (const type of ['bearer', 'BEARER', 'bEARER']) {
      it(`accepts the token type ${type}`, async () => {
        await start(implicit)
        provider.change.authorizationResponse = (params) => {
          params.set('token_type', type)
          return params
        }
        await assertLoggedIn(stand, await logIn(stand))
      })
    }

    it('ends at the provider with its ID Token as the hint', async () => {
      await start(implicit)
      const { browser, answer } = await arrive(stand)
      await browser.go(answer)
      const { next } = await browser.post('/logout', {}, { stopBefore: ({ hostname }) => hostname === 'localhost' })
      assert.equal(new URL(next?.url ?? '').searchParams.get('id_token_hint'), paramsOf(answer).get('id_token'))
    })
  })
})

describe('a public client', () => {
  const publicProvider: StrictProviderOptions = { tokenEndpointAuthMethod: 'none' }
  const options = { clientSecret: '', secret: 'a secret of our own, forty characters in' } as const

  async function startPublic(responseType: string): Promise<Stand & { end(): Promise<void> }> {
    const provider = await startStrictProvider(publicProvider)
    provider.change.discovery = ({ token_endpoint: _token, ...good }) => good
    const stand = await startStandAt(provider, { options: { ...options, responseType } })
    return { ...stand, end: async () => void (await Promise.all([stand.stop(), provider.stop()])) }
  }

  for (const responseType of ['id_token', 'id_token token']) {
    it(`logs in by ${responseType} at a provider without a token endpoint`, async () => {
      const stand = await startPublic(responseType)
      try {
        await assertLoggedIn(stand, await logIn(stand))
        assert.deepEqual(stand.provider.complaints, [])
      } finally {
        await stand.end()
      }
    })
  }

  it('needs a token endpoint for a code', async () => {
    const stand = await startPublic('code id_token')
    try {
      await stand.app.browser().open('/login')
      assert.deepEqual(
        stand.app.errors.map(({ code }) => code),
        ['ERR_OIDC_METADATA_INVALID'],
      )
    } finally {
      await stand.end()
    }
  })
})

const BASE: Options = {
  issuer: 'https://id.example',
  clientId: 'web',
  clientSecret: 'a-secret-of-forty-characters-0123456789a',
  baseUrl: 'https://app.example',
}

describe('the configuration', () => {
  for (const responseType of RESPONSE_TYPES.filter((type) => type !== 'code')) {
    for (const responseMode of ['query', 'query.jwt'] as const) {
      it(`refuses ${responseType} by ${responseMode}`, () => {
        assert.throws(
          () => oidc({ ...BASE, responseType, responseMode }),
          (error) => {
            assert.ok(error instanceof ConfigError)
            assert.match(error.faults.join(), /^responseMode must not be query with responseType '[\w ]+'/)
            return true
          },
        )
      })
    }
  }

  for (const responseType of [
    'token',
    'none',
    '',
    'code code',
    'code  id_token',
    ' code',
    'CODE',
    'code,id_token',
    5,
  ]) {
    it(`refuses the response type ${JSON.stringify(responseType)}`, () => {
      // JavaScript may pass anything.
      const given = { ...BASE, responseType } as Options
      assert.throws(() => oidc(given), /responseType must be one of 'code', 'id_token', /)
    })
  }

  for (const responseMode of ['web_message', 'jwt.query', 'QUERY', '', 'form-post', null]) {
    it(`refuses the response mode ${JSON.stringify(responseMode)}`, () => {
      const given = { ...BASE, responseMode } as Options
      assert.throws(() => oidc(given), /responseMode must be /)
    })
  }

  it('refuses responses signed with the client secret if there is none', () => {
    const { clientSecret: _none, ...rest } = BASE
    const given = { ...rest, secret: 's'.repeat(32), authorizationSignedResponseAlg: 'HS256' } as const
    assert.throws(() => oidc(given), /authorizationSignedResponseAlg 'HS256' needs clientSecret/)
  })
})

describe('the warning of an access token in the browser', () => {
  async function warningsOf(responseType: ResponseType): Promise<readonly Error[]> {
    const warnings: Error[] = []
    const note = (warning: Error): void => void warnings.push(warning)
    process.on('warning', note)
    oidc({ ...BASE, responseType })
    // Warnings are emitted at the next tick.
    await setImmediate()
    process.off('warning', note)
    return warnings.filter((warning) => Reflect.get(warning, 'code') === 'EXPRESS_OIDC_FRONT_CHANNEL_TOKEN')
  }

  for (const responseType of RESPONSE_TYPES) {
    const hasToken = wordsOf(responseType).includes('token')
    it(`is ${hasToken ? 'printed once' : 'not printed'} for ${responseType}`, async () => {
      const warnings = await warningsOf(responseType)
      assert.equal(warnings.length, hasToken ? 1 : 0)
      for (const { message, name } of warnings) {
        assert.equal(name, 'SecurityWarning')
        assert.ok(message.includes(`'${responseType}'`))
      }
    })
  }
})

describe('the fragment page in a real browser', { skip: skipWithoutChromium }, () => {
  let provider: StrictProvider
  let stand: Stand
  let context: BrowserContext
  let close: () => Promise<void>
  before(async () => {
    provider = await startStrictProvider()
    stand = await startStandAt(provider, { options: { responseType: 'code id_token token', responseMode: 'fragment' } })
    const browser = await launchChromium()
    assert.ok(browser)
    close = () => browser.close()
    context = await browser.newContext()
    context.setDefaultTimeout(10_000)
  })
  beforeEach(async () => {
    await stand.reset()
    await context.clearCookies()
  })
  after(async () => {
    await Promise.all([close?.(), stand.stop(), provider.stop()])
  })

  it('logs in, and leaves no token in the address, the history or a referrer', async () => {
    const page = await context.newPage()
    const violations: string[] = []
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) violations.push(message.text())
    })
    const [posted] = await Promise.all([
      page.waitForRequest((request) => request.method() === 'POST' && isCallback(new URL(request.url()))),
      page.goto(`${stand.app.origin}/profile`),
    ])
    await page.waitForURL(`${stand.app.origin}/profile`)
    const form = new URLSearchParams(posted.postData() ?? '')
    assert.ok(form.has('id_token') && form.has('access_token') && form.has('code'))
    assert.equal(posted.headers()['referer'], undefined)
    assert.match(await page.content(), /user-subject/)
    assert.deepEqual([violations, stand.app.errors, provider.complaints], [[], [], []])
    await page.goBack().catch(() => undefined)
    assert.doesNotMatch(page.url(), /id_token|access_token|code=/)
    await page.close()
  })

  it('posts fields unchanged, whatever their names', async () => {
    const page = await context.newPage()
    const names = ['append', 'submit', 'action', 'method', 'elements', '__proto__', 'name', 'appendChild', '"><b>']
    const fields = new URLSearchParams(names.map((name): [string, string] => [name, '<img src=x onerror=alert(1)>']))
    const [posted] = await Promise.all([
      page.waitForRequest((request) => request.method() === 'POST'),
      page.goto(`${stand.app.origin}/callback#${fields}`),
    ])
    assert.deepEqual([...new URLSearchParams(posted.postData() ?? '')], [['express_oidc_relayed', '1'], ...fields])
    assert.equal(posted.url(), `${stand.app.origin}/callback`)
    await page.close()
  })
})
