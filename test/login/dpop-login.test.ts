import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it, mock } from 'node:test'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, type JWK } from 'jose'
import { ProviderError } from '../../lib/index.ts'
import type { AnyOptions } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { isTokens } from '../support/app/records.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Page } from '../support/browser/browser.ts'
import {
  assertLoggedIn,
  assertRefused,
  createStand,
  logIn,
  type Outcome,
  type Row,
  type StandSettings,
  startStandAt,
  testRefusals,
} from '../support/hostile/hostile.ts'
import { startProvider } from '../support/servers/provider.ts'
import { answered, type Endpoint, type JsonChange, type StrictRequest } from '../support/strict-provider/context.ts'
import {
  type StrictProvider,
  type StrictProviderOptions,
  startStrictProvider,
} from '../support/strict-provider/provider.ts'

/** A demand for a nonce, without the nonce. */
const untold: JsonChange = (_good, answer) => {
  delete answer.headers['DPoP-Nonce']
  answer.status = 400
  return { error: 'use_dpop_nonce' }
}

const SCOPE = 'openid profile offline_access'
const USERINFO = { '/userinfo': answerJson(({ oidc }) => oidc.userinfo()) }

/** A login with bound tokens that calls the token endpoint and UserInfo. */
function settingsFor(provider: StrictProviderOptions = {}, options: Partial<AnyOptions> = {}): StandSettings {
  return {
    provider: { dpop: 'nonce', ...provider },
    app: { options: { userinfo: true, scope: SCOPE, ...options }, routes: USERINFO },
  }
}

function proofsAt({ requests }: StrictProvider, endpoint: Endpoint): readonly StrictRequest[] {
  return requests.filter((request) => request.endpoint === endpoint && request.headers['dpop'] !== undefined)
}

/** The thumbprint of the key that signed a proof. */
async function keyOf({ headers }: StrictRequest): Promise<string> {
  return calculateJwkThumbprint(decodeProtectedHeader(String(headers['dpop'])).jwk as JWK)
}

async function keysAt(provider: StrictProvider, ...endpoints: readonly Endpoint[]): Promise<readonly string[]> {
  const proofs = endpoints.flatMap((endpoint) => proofsAt(provider, endpoint))
  return [...new Set(await Promise.all(proofs.map(keyOf)))]
}

const FORMS: readonly (readonly [name: string, provider: StrictProviderOptions])[] = [
  ['as plain parameters', {}],
  ['pushed', { pushed: 'required' }],
  ['signed', { requestObjectSigningAlg: 'ES256' }],
  ['signed and pushed', { requestObjectSigningAlg: 'ES256', pushed: 'required' }],
  ['by a client with a key', { tokenEndpointAuthMethod: 'private_key_jwt', pushed: 'required' }],
  ['by a public client', { tokenEndpointAuthMethod: 'none', pushed: 'required' }],
]

for (const [name, provider] of FORMS) {
  describe(`a login whose tokens are bound to a key, requested ${name}`, () => {
    const isPublic = provider.tokenEndpointAuthMethod === 'none'
    const options = isPublic ? { clientSecret: '', secret: 'a secret for the cookies of a test' } : {}
    const stand = createStand(settingsFor(provider, options))
    const isPushed = provider.pushed !== undefined

    it('gets the nonce of each endpoint once, and then uses it', async () => {
      const { app, provider: at } = await startStandAt(stand.provider, {
        options: { userinfo: true, ...options },
        routes: USERINFO,
      })
      try {
        const fresh = { ...stand, app }
        await assertLoggedIn(fresh, await logIn(fresh))
        const first = { ...at.calls }
        // The endpoints of the authorization server share their nonces. A resource has its own.
        assert.deepEqual([first['/par'], first['/token'], first['/userinfo']], isPushed ? [2, 1, 2] : [0, 2, 2])
        await logIn(fresh)
        const { '/par': par, '/token': token, '/userinfo': userinfo } = at.calls
        assert.deepEqual(
          [par - first['/par'], token - first['/token'], userinfo - first['/userinfo']],
          [isPushed ? 1 : 0, 1, 1],
        )
        assert.deepEqual(at.complaints, [])
      } finally {
        await app.stop()
      }
    })

    it('uses one key from the request to UserInfo, and another key for each login', async () => {
      const { browser, page } = await logIn(stand)
      await assertLoggedIn(stand, { browser, page })
      const keys = await keysAt(stand.provider, '/par', '/token', '/userinfo')
      assert.equal(keys.length, 1)
      const asked = stand.provider.authorizationRequests[0]?.get('dpop_jkt') ?? null
      assert.equal(asked, isPushed ? null : keys[0])
      const tokens = (await browser.fetch('/tokens')).json()
      const record = stand.provider.accessTokens.get(String(tokens['accessToken']))
      assert.deepEqual([tokens['tokenType'], record?.jkt], ['DPoP', keys[0]])
      await logIn(stand)
      assert.equal((await keysAt(stand.provider, '/token')).length, 2)
      assert.deepEqual(stand.provider.complaints, [])
    })

    it('uses that key later for UserInfo and for refreshes', async () => {
      const start = Date.now()
      mock.timers.enable({ apis: ['Date'], now: start })
      const { browser } = await logIn(stand)
      const [key] = await keysAt(stand.provider, '/token')
      mock.timers.tick(3_590_000)
      const refreshed = await browser.fetch('/access-token')
      assert.equal(refreshed.status, 200, refreshed.body)
      assert.equal((await browser.fetch('/userinfo')).status, 200)
      const { requests, complaints, accessTokens } = stand.provider
      const grants = requests.flatMap(({ endpoint, form }) => (endpoint === '/token' ? [form.get('grant_type')] : []))
      assert.equal(grants.at(-1), 'refresh_token')
      assert.deepEqual(await keysAt(stand.provider, '/token', '/userinfo'), [key])
      assert.equal(accessTokens.get(String(refreshed.json()['token']))?.jkt, key)
      assert.deepEqual(complaints, [])
    })
  })
}

for (const alg of ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']) {
  describe(`proofs signed with ${alg}`, () => {
    const stand = createStand(settingsFor({ pushed: 'optional' }, { dpopSigningAlg: alg }))

    it('are accepted at each endpoint', async () => {
      await assertLoggedIn(stand, await logIn(stand))
      const proofs = stand.provider.requests.flatMap(({ headers }) => headers['dpop'] ?? []).map(String)
      assert.ok(proofs.length >= 2)
      for (const proof of proofs) {
        const { alg: signed, typ, jwk, ...others } = decodeProtectedHeader(proof)
        assert.deepEqual([signed, typ, others, Object(jwk).d], [alg, 'dpop+jwt', {}, undefined])
      }
      assert.equal(new Set(proofs.map((proof) => decodeJwt(proof).jti)).size, proofs.length)
      assert.deepEqual(stand.provider.complaints, [])
    })

    it('work in six tabs at once', async () => {
      const { app } = stand
      const browser = app.browser()
      const tabs: Page[] = []
      for (let tab = 1; tab <= 6; tab++)
        tabs.push(await browser.open(`/profile?tab=${tab}`, { stopBefore: isCallback }))
      const cookies = browser.cookies().filter((cookie) => cookie.name.startsWith('oidc-tx.'))
      assert.equal(cookies.length, 6)
      const header = browser.jar.header(new URL(app.baseUrl), { sameSite: true, safeNavigation: true })
      assert.ok(header.length < 7000, `${header.length}`)
      for (const { next } of tabs) assert.equal((await browser.clone().go(next)).status, 200)
      assert.deepEqual([app.errors, stand.provider.complaints], [[], []])
      assert.equal((await keysAt(stand.provider, '/token')).length, 6)
    })
  })
}

describe('six tabs', () => {
  const stand = createStand(settingsFor({ layout: 'okta-custom' }))

  it('fit into the cookies even with long names', async () => {
    const mountPath = '/portal-for-customers/europe'
    const { app } = await startStandAt(stand.provider, { options: { userinfo: false }, mountPath })
    try {
      const browser = app.browser()
      const paths = [1, 2, 3, 4, 5, 6].map((tab) => `/portal-for-customers/europe/profile?orders=open&page=${tab}`)
      const tabs: Page[] = []
      for (const path of paths)
        tabs.push(await browser.open(path, { stopBefore: ({ pathname }) => /callback/.test(pathname) }))
      for (const [index, { next }] of tabs.entries()) {
        const page = await browser.clone().go(next)
        assert.deepEqual([page.status, page.url], [200, app.origin + paths[index]])
      }
    } finally {
      await app.stop()
    }
  })
})

describe('the key of a login', () => {
  const stand = createStand(settingsFor())

  it('is readable neither in the cookie nor in the store', async () => {
    const browser = stand.app.browser()
    const page = await browser.open('/login', { stopBefore: isCallback })
    const names = ['"d"', '"kty"', '"crv"', 'P-256', 'dpopKey']
    const sent = browser.cookies().map(({ value }) => value + Buffer.from(value, 'base64url').toString('latin1'))
    await browser.go(page.next)
    const records = Object.entries(await stand.app.records())
    const tokens = records.filter(([id]) => isTokens(id)).map(([, record]) => String(Reflect.get(record, 'tokens')))
    const kept = [...tokens.map((text) => Buffer.from(text, 'base64url').toString('latin1')), JSON.stringify(records)]
    assert.deepEqual([sent.length, tokens.length], [1, 1])
    for (const text of [...sent, ...kept]) {
      for (const name of names) assert.ok(!text.includes(name), name)
    }
  })
})

describe('nonces that change', () => {
  const stand = createStand(settingsFor({ pushed: 'required' }))

  it('cost one more request at each endpoint, and no login fails', async () => {
    const { browser } = await logIn(stand)
    const { provider } = stand
    provider.dpopNonces = { authorizationServer: 'second-server-nonce', resource: 'second-resource-nonce' }
    const before = { ...provider.calls }
    assert.equal((await browser.fetch('/userinfo')).status, 200)
    await assertLoggedIn({ ...stand, app: { ...stand.app, sessions: async () => 1 } }, await logIn(stand))
    const { '/par': par, '/token': token, '/userinfo': userinfo } = provider.calls
    // The page has learned the nonce of UserInfo, so the login knows it.
    assert.deepEqual([par - before['/par'], token - before['/token'], userinfo - before['/userinfo']], [2, 1, 3])
    const nonces = provider.requests
      .flatMap(({ headers }) => headers['dpop'] ?? [])
      .map((one) => decodeJwt(String(one)))
    assert.ok(nonces.some(({ nonce }) => nonce === 'second-resource-nonce'))
    assert.deepEqual(provider.complaints, [])
  })

  it('are retried with the same code', async () => {
    const browser = stand.app.browser()
    const page = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    stand.provider.dpopNonces = { ...stand.provider.dpopNonces, authorizationServer: 'third-server-nonce' }
    await assertLoggedIn(stand, { browser, page: await browser.go(page.next) })
    const codes = stand.provider.requests.flatMap(({ endpoint, form }) =>
      endpoint === '/token' ? form.get('code') : [],
    )
    assert.deepEqual([codes.length, new Set(codes).size, stand.provider.complaints], [2, 1, []])
  })
})

describe('a token endpoint', () => {
  const stand = createStand(settingsFor())

  async function attack(change: (provider: StrictProvider) => void): Promise<Outcome> {
    change(stand.provider)
    return await logIn(stand)
  }

  const answering =
    (change: JsonChange) =>
    (provider: StrictProvider): void => {
      provider.change.tokenResponse = change
    }
  const typed = (type: unknown): ((provider: StrictProvider) => void) =>
    answering((json) => ({ ...json, token_type: type }))

  describe('that responds with another type of token than requested', () => {
    const rows: readonly Row<(provider: StrictProvider) => void>[] = [
      ['a bearer token', typed('Bearer'), 'ERR_OIDC_TOKEN_RESPONSE'],
      ['a bearer token in odd case', typed('bEARER'), 'ERR_OIDC_TOKEN_RESPONSE'],
      ['a token without a type', typed(undefined), 'ERR_OIDC_TOKEN_RESPONSE'],
      ['a token of two types', typed(['DPoP', 'Bearer']), 'ERR_OIDC_TOKEN_RESPONSE'],
      ['a token of an unknown type', typed('mac'), 'ERR_OIDC_TOKEN_RESPONSE'],
      ['a token with a space in its type', typed('DPoP '), 'ERR_OIDC_TOKEN_RESPONSE'],
    ]
    // All rows use the same provider, so its nonce is known after the first row.
    for (const [name, change, code] of rows) {
      it(`is refused: ${name}`, async () => {
        await logIn(stand)
        await stand.reset()
        await assertRefused(stand, await attack(change), { code, calls: { '/token': 1 } })
        assert.deepEqual(stand.provider.complaints, [])
      })
    }

    it('is accepted with the type in any case', async () => {
      await assertLoggedIn(stand, await attack(typed('dpOp')))
    })
  })

  describe('that refuses a proof', () => {
    const failures: readonly (readonly [name: string, change: JsonChange, requests: number])[] = [
      ['that calls the proof invalid', answered(400, { error: 'invalid_dpop_proof' }), 1],
      [
        'that calls the proof invalid and sends a nonce',
        answered(400, { error: 'invalid_dpop_proof' }, { 'DPoP-Nonce': 'x' }),
        1,
      ],
      ['that demands a nonce and sends none', untold, 1],
      ['that sends an empty nonce', answered(400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': '' }), 1],
      ['that sends a nonce with a space', answered(400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'a b' }), 1],
      ['that sends a nonce with a quote', answered(400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'a"b' }), 1],
      [
        'that tells one of 2000 characters',
        answered(400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'x'.repeat(2000) }),
        1,
      ],
      ['that demands another nonce each time', answered(400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'y' }), 2],
    ]
    for (const [name, change, requests] of failures) {
      it(`gets no more requests than needed: one ${name}`, async () => {
        await logIn(stand)
        await stand.reset()
        const outcome = await attack(answering(change))
        await assertRefused(stand, outcome, { code: 'ERR_OIDC_TOKEN_REQUEST', calls: { '/token': requests } })
        const [error] = stand.app.errors
        assert.ok(error instanceof ProviderError && /dpop/.test(error.refusal?.error ?? ''))
      })
    }
  })
})

describe('an endpoint that changes its nonce with each request', () => {
  const stand = createStand(settingsFor({ pushed: 'required' }))
  const calls = { '/par': 2, '/token': 0, '/userinfo': 0 }

  it('is called twice, not endlessly, for a pushed request', async () => {
    const { provider } = stand
    provider.change.dpopChallenge = (json) => {
      const authorizationServer = randomBytes(8).toString('hex')
      provider.dpopNonces = { ...provider.dpopNonces, authorizationServer }
      return json
    }
    provider.dpopNonces = { ...provider.dpopNonces, authorizationServer: randomBytes(8).toString('hex') }
    await assertRefused(stand, await logIn(stand), { code: 'ERR_OIDC_PUSHED_REQUEST', calls })
  })

  it('is called twice, not endlessly, for UserInfo', async () => {
    const { provider } = stand
    const browser = stand.app.browser()
    const page = await browser.open('/login', { stopBefore: isCallback })
    provider.change.dpopChallenge = (json) => {
      provider.dpopNonces = { ...provider.dpopNonces, resource: randomBytes(8).toString('hex') }
      return json
    }
    provider.dpopNonces = { ...provider.dpopNonces, resource: randomBytes(8).toString('hex') }
    const outcome = { browser, page: await browser.go(page.next) }
    const counted = { '/token': provider.calls['/token'], '/userinfo': 2 }
    await assertRefused(stand, outcome, { code: 'ERR_OIDC_USERINFO', calls: counted })
  })
})

describe('UserInfo that refuses the proof', () => {
  const stand = createStand(settingsFor({ dpop: 'no-nonce' }))
  const challenge = (text: string): JsonChange => answered(401, {}, { 'WWW-Authenticate': text })
  const refusals: readonly Row<JsonChange>[] = [
    ['the proof', challenge('DPoP error="invalid_dpop_proof"'), 'ERR_OIDC_USERINFO'],
    ['a proof without a nonce, and sends none', challenge('DPoP error="use_dpop_nonce"'), 'ERR_OIDC_USERINFO'],
  ]
  const refusalsOfTokens: readonly Row<JsonChange>[] = [
    ['the token', challenge('DPoP error="invalid_token"'), 'ERR_OIDC_USERINFO'],
    ['everything but bearer tokens', challenge('Bearer error="invalid_token"'), 'ERR_OIDC_USERINFO'],
  ]
  // CL-5: one refresh follows a refused token, and then nothing more. None follows a refused proof.
  for (const [rows, requests] of [
    [refusals, 1],
    [refusalsOfTokens, 2],
  ] as const) {
    const logInWith = async (change: JsonChange) => {
      stand.provider.change.userinfo = change
      return await logIn(stand)
    }
    testRefusals(rows, stand, logInWith, { '/token': requests, '/userinfo': requests })
  }

  it('never gets the token as a bearer token', async () => {
    stand.provider.change.userinfo = challenge('Bearer error="invalid_token"')
    await logIn(stand)
    const schemes = stand.provider.requests.flatMap(({ endpoint, headers }) =>
      endpoint === '/userinfo' ? [headers.authorization?.split(' ')[0]] : [],
    )
    assert.deepEqual(schemes, ['DPoP', 'DPoP'])
  })
})

describe('a provider that binds tokens without a request', () => {
  const stand = createStand({ app: { options: { userinfo: true } } })

  it('is refused, because there is no key', async () => {
    stand.provider.change.tokenResponse = (json) => ({ ...json, token_type: 'DPoP' })
    await assertRefused(stand, await logIn(stand), { code: 'ERR_OIDC_TOKEN_RESPONSE', calls: { '/token': 1 } })
  })

  it('may require it: then the login fails with a clear error', async () => {
    const provider = await startStrictProvider({ dpop: 'no-nonce' })
    const { dpopBoundAccessTokens: _, ...clientOptions } = provider.clientOptions
    const other = await startStandAt(Object.assign(provider, { clientOptions }))
    try {
      await assertRefused(other, await logIn(other), { code: 'ERR_OIDC_TOKEN_REQUEST', calls: { '/token': 1 } })
      const [error] = other.app.errors
      assert.ok(error instanceof ProviderError && error.refusal?.error === 'invalid_dpop_proof')
    } finally {
      await Promise.all([other.stop(), provider.stop()])
    }
  })
})

describe('a refresh that responds with a bearer token', () => {
  const stand = createStand(settingsFor())

  it('is refused, and the login stays', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { browser } = await logIn(stand)
    mock.timers.tick(3_590_000)
    stand.provider.change.refreshResponse = (json) => ({ ...json, token_type: 'Bearer' })
    const page = await browser.fetch('/access-token')
    assert.deepEqual([page.status, stand.app.errors.map(({ code }) => code)], [502, ['ERR_OIDC_TOKEN_RESPONSE']])
    assert.equal((await browser.fetch('/profile')).status, 200)
    assert.equal((await browser.fetch('/tokens')).json()['tokenType'], 'DPoP')
  })
})

describe('oidc-provider binds tokens', () => {
  const stage = createStage({ app: { errorHandler: 'json', routes: USERINFO } })

  for (const [name, dPoP, pushed] of [
    ['without nonces', { enabled: true }, false],
    ['with nonces', { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true }, false],
    [
      'with nonces, for a pushed request',
      { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
      true,
    ],
  ] as const) {
    for (const dpopSigningAlg of ['ES256', 'EdDSA']) {
      it(`${name}, by ${dpopSigningAlg}`, async () => {
        const client = { dpop_bound_access_tokens: true }
        const features = { dPoP, pushedAuthorizationRequests: { enabled: true } }
        const provider = stage.stopLater(await startProvider({ features, client }))
        const options = { dpopBoundAccessTokens: true, dpopSigningAlg, requirePushedAuthorizationRequests: pushed }
        const authorizationParams = { prompt: 'consent' }
        const app = await stage.start({ ...options, scope: SCOPE, authorizationParams }, { provider })
        const browser = app.browser()
        const page = await browser.open('/profile')
        assert.deepEqual([app.errors.map(String), page.json()['name']], [[], 'Alice Example'])
        const { tokenType, accessToken, refreshToken } = (await browser.fetch('/tokens')).json()
        assert.deepEqual([tokenType, typeof refreshToken], ['DPoP', 'string'])
        const headers = { authorization: `Bearer ${accessToken}` }
        assert.equal((await fetch(`${provider.issuer}/me`, { headers })).status, 401)
        mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_590_000 })
        const refreshed = await browser.fetch('/access-token')
        assert.deepEqual([refreshed.status, app.errors.map(String)], [200, []])
        assert.notEqual(refreshed.json()['token'], accessToken)
        assert.equal((await browser.fetch('/userinfo')).json()['sub'], 'alice')
      })
    }
  }
})
