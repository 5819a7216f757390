import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ErrorCode } from '../../lib/index.ts'
import { type AnyOptions, atNode, codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createSeveralProviders } from '../support/app/several-providers.ts'
import { isAtProvider } from '../support/app/url-predicates.ts'
import type { Browser, Navigation } from '../support/browser/browser.ts'
import { isTransaction } from '../support/browser/login-cookies.ts'
import { assertRefused, type Outcome, paramsOf, type Refusal, withParams } from '../support/hostile/hostile.ts'

// Two providers of one app, each of which may attack the other (RFC 9700 4.4). Both sign with the same keys, so that the
// tests cover the checks of names, and not those of signatures.

type Name = 'honest' | 'other'

const stage = createSeveralProviders<Name>({
  honest: { clientId: 'app-at-honest', clientSecret: 'honest-secret_of.40-characters_012345678' },
  other: { clientId: 'app-at-other', issParameter: 'absent' },
})

const SECRET = 'the secret that seals the cookies of an app'
const routes = { '/who': answerJson(({ oidc }) => ({ provider: oidc.provider ?? null })) }

function start(options: Partial<AnyOptions> = {}): Promise<TestApp> {
  return stage.start({ secret: SECRET, ...options }, { routes })
}

function isCallback({ pathname }: URL): boolean {
  return pathname.startsWith('/callback')
}

/** A valid response of a provider, before its callback. */
async function responseOf(name: Name, browser: Browser): Promise<Navigation> {
  const page = await browser.open(`/login?provider=${name}&returnTo=/profile`, { stopBefore: isCallback })
  assert.ok(page.next, page.body)
  return page.next
}

/** A browser with a login in progress at each provider, and the responses of both. */
interface BothLogins {
  readonly app: TestApp
  readonly browser: Browser
  readonly answers: Readonly<Record<Name, Navigation>>
}

async function startBothLogins(options: Partial<AnyOptions> = {}): Promise<BothLogins> {
  const app = await start(options)
  const browser = app.browser()
  const answers = { honest: await responseOf('honest', browser), other: await responseOf('other', browser) }
  assert.equal(browser.cookies().filter(isTransaction).length, 2)
  return { app, browser, answers }
}

/** The response, sent to the callback of this provider. */
function at(name: Name, answer: Navigation): Navigation {
  const url = new URL(answer.url)
  url.pathname = `/callback/${name}`
  return { ...answer, url: url.href }
}

/** The response with some parameters set or removed. */
function withChanged(answer: Navigation, changes: Readonly<Record<string, string | undefined>>): Navigation {
  const params = paramsOf(answer)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) params.delete(name)
    else params.set(name, value)
  }
  return withParams(answer, params)
}

const stateOf = (answer: Navigation): string => paramsOf(answer).get('state') ?? ''

async function assertAllRefused(app: TestApp, outcome: Outcome, refusal: Refusal): Promise<void> {
  for (const name of ['honest', 'other'] as const) {
    const stand = { app, provider: stage.provider(name), reset: async () => undefined, stop: app.stop }
    await assertRefused(stand, outcome, refusal)
  }
}

type Attack = (crossroads: BothLogins, from: Name, to: Name) => Navigation

const ISSUER: ErrorCode = 'ERR_OIDC_RESPONSE_ISSUER'

const ATTACKS: readonly (readonly [name: string, attack: Attack])[] = [
  ['at the callback of the other', ({ answers }, from, to) => at(to, answers[from])],
  [
    'at the callback of the other, with the iss of its own provider',
    ({ answers }, from, to) => at(to, withChanged(answers[from], { iss: stage.provider(from).issuer })),
  ],
  [
    'at the callback of the other, with the iss of the other',
    ({ answers }, from, to) => at(to, withChanged(answers[from], { iss: stage.provider(to).issuer })),
  ],
  [
    'at the callback of the other, without iss',
    ({ answers }, from, to) => at(to, withChanged(answers[from], { iss: undefined })),
  ],
  [
    'at its own callback, with the state of the other',
    ({ answers }, from, to) => withChanged(answers[from], { state: stateOf(answers[to]) }),
  ],
  [
    'at its own callback, with the state and the iss of the other',
    ({ answers }, from, to) =>
      withChanged(answers[from], { state: stateOf(answers[to]), iss: stage.provider(to).issuer }),
  ],
  [
    'at the callback of the other with its state, but with the iss of its own provider',
    ({ answers }, from, to) =>
      at(to, withChanged(answers[from], { state: stateOf(answers[to]), iss: stage.provider(from).issuer })),
  ],
]

const DIRECTIONS: readonly (readonly [from: Name, to: Name])[] = [
  ['honest', 'other'],
  ['other', 'honest'],
]

describe('the response of one provider', () => {
  for (const [from, to] of DIRECTIONS) {
    for (const [name, attack] of ATTACKS) {
      it(`is refused ${name}: ${from}`, async () => {
        const crossroads = await startBothLogins()
        const { app, browser } = crossroads
        const page = await browser.go(attack(crossroads, from, to))
        await assertAllRefused(app, { browser, page }, { code: ISSUER })
      })
    }

    it(`has a code that the token endpoint of the other refuses: ${from}`, async () => {
      const { app, browser, answers } = await startBothLogins()
      const { issuer } = stage.provider(to)
      const forged = withChanged(answers[from], { state: stateOf(answers[to]), iss: issuer })
      const page = await browser.go(at(to, forged))
      assert.deepEqual([page.status, codesOf(app)], [400, ['ERR_OIDC_TOKEN_REQUEST']])
      assert.deepEqual([stage.provider(from).calls['/token'], stage.provider(to).calls['/token']], [0, 1])
      assert.equal(await app.sessions(), 0)
    })

    it(`does not count as an error of the other: ${from}`, async () => {
      stage.provider(from).change.authorizationResponse = (params) => {
        params.delete('code')
        params.set('error', 'access_denied')
        return params
      }
      const { app, browser, answers } = await startBothLogins()
      const page = await browser.go(at(to, answers[from]))
      await assertAllRefused(app, { browser, page }, { code: ISSUER })
    })

    it(`keeps an existing login: ${from}`, async () => {
      const app = await start()
      const browser = app.browser()
      await browser.open(`/login?provider=${to}`)
      const answer = await responseOf(from, browser)
      const page = await browser.go(at(to, answer))
      assert.deepEqual([page.status, codesOf(app)], [400, [ISSUER]])
      assert.equal((await browser.fetch('/who')).json()['provider'], to)
      assert.equal(stage.provider(from).calls['/token'], 0)
    })

    it(`is accepted at its own callback only, even while it is being redeemed there: ${from}`, async () => {
      let redeem = (): void => undefined
      const gate = new Promise<void>((resolve) => {
        redeem = resolve
      })
      let arrived = (): void => undefined
      const underWay = new Promise<void>((resolve) => {
        arrived = resolve
      })
      const { app, browser, answers } = await startBothLogins({
        fetch: async (url, init) => {
          if (url.endsWith('/token')) {
            arrived()
            await gate
          }
          return await fetch(url, init)
        },
      })
      const thief = browser.clone()
      const good = browser.go(answers[from])
      await underWay
      const page = await thief.go(at(to, answers[from]))
      redeem()
      assert.deepEqual([page.status, codesOf(app)], [400, [ISSUER]])
      assert.deepEqual([(await good).status, await app.sessions()], [200, 1])
      assert.equal((await thief.fetch('/profile')).status, 401)
    })
  }
})

describe('the response of one provider in other forms', () => {
  const forms: readonly (readonly [Partial<AnyOptions>, ErrorCode])[] = [
    [{ responseMode: 'form_post' }, ISSUER],
    [{ responseType: 'id_token' }, ISSUER],
    [{ responseType: 'code id_token' }, ISSUER],
    [{ responseType: 'code id_token', responseMode: 'fragment' }, ISSUER],
    [{ responseMode: 'query.jwt' }, 'ERR_OIDC_RESPONSE_JWT_ISSUER'],
    [{ responseMode: 'form_post.jwt' }, 'ERR_OIDC_RESPONSE_JWT_ISSUER'],
  ]

  for (const [options, code] of forms) {
    it(`is refused at the callback of the other: ${Object.values(options).join(', ')}`, async () => {
      const { app, browser, answers } = await startBothLogins(options)
      const page = await browser.go(at('other', answers.honest))
      await assertAllRefused(app, { browser, page }, { code, status: 400 })
    })
  }

  for (const responseType of ['id_token', 'code id_token']) {
    it(`has an ID Token that the other cannot use: ${responseType}`, async () => {
      const { app, browser, answers } = await startBothLogins({ responseType })
      const idToken = paramsOf(answers.honest).get('id_token') ?? assert.fail()
      const page = await browser.go(withChanged(answers.other, { id_token: idToken }))
      await assertAllRefused(app, { browser, page }, { code: 'ERR_OIDC_ID_TOKEN_ISSUER', status: 400 })
    })
  }
})

describe('a provider that redirects users to another (mix-up)', () => {
  /** The malicious provider redirects a browser to the honest one, with the client id of the app. */
  async function followRedirect(
    changes: Readonly<Record<string, string>>,
  ): Promise<{ app: TestApp; browser: Browser; request: URL }> {
    const app = await start()
    stage.provider('honest').redirectUris = [`${app.baseUrl}/callback/honest`]
    const browser = app.browser()
    const page = await browser.open('/login?provider=other&returnTo=/profile', { stopBefore: isAtProvider })
    const request = new URL(stage.provider('honest').endpointUrls['/authorize'])
    request.search = new URL(page.next?.url ?? '').search
    for (const [name, value] of Object.entries(changes))
      request.searchParams.set(name, value.replace('APP', app.baseUrl))
    return { app, browser, request }
  }

  it('gets neither the code nor the token of the other', async () => {
    const changes = { client_id: 'app-at-honest', redirect_uri: 'APP/callback/honest' }
    const { app, browser, request } = await followRedirect(changes)
    const page = await browser.open(request.href)
    assert.equal(stage.provider('honest').calls['/authorize'], 1)
    await assertAllRefused(app, { browser, page }, { code: ISSUER })
  })

  it('gets no response of the other at its own callback, which is not registered there', async () => {
    const { app, browser, request } = await followRedirect({ client_id: 'app-at-honest' })
    const page = await browser.open(request.href)
    assert.equal(page.url, request.href)
    assert.deepEqual(stage.provider('honest').complaints, ['/authorize: redirect_uri is not registered'])
    assert.deepEqual([page.status, await app.sessions(), codesOf(app)], [400, 0, []])
  })

  it('gets no response of the other by using its endpoint and client id', async () => {
    const honest = stage.provider('honest')
    stage.provider('other').change.discovery = (metadata) => ({
      ...metadata,
      authorization_endpoint: honest.endpointUrls['/authorize'],
    })
    const other = { ...stage.optionsFor('other'), clientId: honest.clientId }
    const app = await start({ providers: { honest: stage.optionsFor('honest'), other } })
    honest.redirectUris = [`${app.baseUrl}/callback/honest`]
    const page = await app.browser().open('/login?provider=other')
    assert.equal(new URL(page.url).pathname, new URL(honest.endpointUrls['/authorize']).pathname)
    assert.deepEqual([page.status, honest.calls['/token'], await app.sessions()], [400, 0, 0])
  })
})

describe('a token of one provider', () => {
  it('is refused by the other, although its signature is valid', async () => {
    stage.provider('other').change.idTokenClaims = (claims) => ({ ...claims, iss: stage.provider('honest').issuer })
    const app = await start()
    const browser = app.browser()
    const page = await browser.open('/login?provider=other')
    await assertAllRefusedAfterToken(app, { browser, page }, 'ERR_OIDC_ID_TOKEN_ISSUER')
  })

  it('is verified with the keys of its own provider only', async () => {
    const signed: string[] = []
    stage.provider('honest').change.idToken = (jwt) => {
      signed.push(jwt)
      return jwt
    }
    const app = await start()
    await app.browser().open('/login?provider=honest')
    await stage.provider('other').rotateKeys()
    stage.provider('other').change.idToken = () => signed[0] ?? assert.fail()
    const browser = app.browser()
    const page = await browser.open('/login?provider=other')
    assert.deepEqual([page.status, codesOf(app)], [502, ['ERR_OIDC_ID_TOKEN_KEY']])
    assert.equal((await browser.fetch('/who')).json()['provider'], null)
  })

  async function assertAllRefusedAfterToken(app: TestApp, outcome: Outcome, code: ErrorCode): Promise<void> {
    const provider = stage.provider('other')
    const stand = { app, provider, reset: async () => undefined, stop: app.stop }
    await assertRefused(stand, outcome, { code, calls: { '/token': 1 } })
    assert.equal(stage.provider('honest').requests.length, 0)
  }
})

describe('a login in progress', () => {
  /** Sends the response to a login of one app to another app with the same secret. */
  async function bringTo(
    asked: Partial<AnyOptions>,
    now: Partial<AnyOptions>,
    path: string,
  ): Promise<{ app: TestApp; outcome: Outcome }> {
    const [was, app] = [await start(asked), await start(now)]
    const browser = was.browser()
    const page = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    const answer = atNode(page.next, app)
    const url = new URL(answer.url)
    url.pathname = path
    return { app, outcome: { browser, page: await browser.go({ ...answer, url: url.href }) } }
  }

  const honest = (): NonNullable<AnyOptions['providers']> => ({ honest: stage.optionsFor('honest') })

  it('is redeemed by another node with the same options', async () => {
    const { app, outcome } = await bringTo({ providers: honest() }, { providers: honest() }, '/callback/honest')
    assert.deepEqual([outcome.page.status, codesOf(app), await app.sessions()], [200, [], 1])
  })

  it('is refused if its provider has another name now', async () => {
    const renamed = { renamed: stage.optionsFor('honest') }
    const { app, outcome } = await bringTo({ providers: honest() }, { providers: renamed }, '/callback/renamed')
    await assertAllRefused(app, outcome, { code: ISSUER })
  })

  it('is refused if its provider had no name', async () => {
    const nameless = { default: stage.optionsFor('honest') }
    const { app, outcome } = await bringTo({ providers: nameless }, { providers: honest() }, '/callback/honest')
    await assertAllRefused(app, outcome, { code: ISSUER })
  })

  it('is refused if its name is that of another issuer now', async () => {
    const replaced = { honest: stage.optionsFor('other') }
    const { app, outcome } = await bringTo({ providers: honest() }, { providers: replaced }, '/callback/honest')
    await assertAllRefused(app, outcome, { code: ISSUER })
  })

  it('is refused if its provider is no longer in the options', async () => {
    const { app, outcome } = await bringTo(
      { providers: honest() },
      { providers: { other: stage.optionsFor('other') } },
      '/callback/honest',
    )
    assert.deepEqual([outcome.page.status, codesOf(app), await app.sessions()], [404, [], 0])
    assert.equal(stage.provider('honest').calls['/token'], 0)
  })

  it('does not change its provider with the name of its cookie', async () => {
    const { app, browser, answers } = await startBothLogins()
    const [first, second] = browser.cookies().filter(isTransaction)
    assert.ok(first && second)
    const url = new URL(app.baseUrl)
    browser.jar.store(url, [`${first.name}=${second.value}; Path=/`, `${second.name}=${first.value}; Path=/`])
    const page = await browser.go(answers.honest)
    await assertAllRefused(app, { browser, page }, { code: 'ERR_OIDC_TRANSACTION_INVALID' })
  })
})

describe('two clients at one issuer', () => {
  async function startTwins(options: Partial<AnyOptions> = {}): Promise<TestApp> {
    const provider = stage.provider('honest')
    const first = provider.clients.get(provider.clientId) ?? assert.fail()
    const clientSecret = 'the-Secret_of.the-second-client_01234567'
    provider.clients.set('second', { ...first, clientId: 'second', clientSecret })
    const second = { issuer: provider.issuer, clientId: 'second', clientSecret }
    return await start({ ...options, providers: { honest: stage.optionsFor('honest'), other: second } })
  }

  for (const responseType of ['code', 'code id_token', 'id_token']) {
    it(`refuse the responses of each other: ${responseType}`, async () => {
      const app = await startTwins({ responseType })
      const browser = app.browser()
      const answer = await responseOf('honest', browser)
      const page = await browser.go(at('other', answer))
      await assertAllRefused(app, { browser, page }, { code: ISSUER, status: 400 })
    })
  }

  it('do not redeem the codes of each other', async () => {
    const app = await startTwins()
    const browser = app.browser()
    const [one, other] = [await responseOf('honest', browser), await responseOf('other', browser)]
    const page = await browser.go(at('other', withChanged(one, { state: stateOf(other) })))
    assert.deepEqual([page.status, codesOf(app), await app.sessions()], [400, ['ERR_OIDC_TOKEN_REQUEST'], 0])
  })

  it('refuse the ID Tokens of each other', async () => {
    const app = await startTwins({ responseType: 'id_token' })
    const browser = app.browser()
    const [one, other] = [await responseOf('honest', browser), await responseOf('other', browser)]
    const idToken = paramsOf(one).get('id_token') ?? assert.fail()
    const page = await browser.go(withChanged(other, { id_token: idToken }))
    await assertAllRefused(app, { browser, page }, { code: 'ERR_OIDC_ID_TOKEN_AUDIENCE', status: 400 })
  })
})
