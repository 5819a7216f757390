import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { ErrorCode } from '../lib/index.ts'
import type { AppOptions } from './support/app.ts'
import {
  assertLoggedIn,
  assertRefused,
  logIn,
  type Outcome,
  type Stand,
  startStand,
  startStandAt,
} from './support/hostile.ts'
import { createSigningKeys, type SigningKeys } from './support/signing-keys.ts'
import { createStage, stopAfterEach } from './support/stage.ts'
import { isCallback } from './support/stops.ts'
import type { JsonObject } from './support/strict-context.ts'
import { firstRequest, type StrictProvider, type StrictProviderOptions } from './support/strict-provider.ts'

// The modules of the OpenID Foundation's plans for relying parties, acted out by their names: what their provider does,
// and what it sees us do. Where it waits for quiet, we count its calls.

/** As the suite makes them: an issuer with a slash at its end, and credentials with every kind of punctuation. */
const PROVIDER: StrictProviderOptions = {
  layout: 'trailing-slash',
  issParameter: 'absent',
  clientId: 'client_aBc123:%+~',
  clientSecret: 'secret_dEf456 :%&=?/+{~ of forty characters',
}

const SCOPE = 'openid profile email address phone'

/** What a module does at the provider, and how it ends: in a login that called UserInfo, or in a refusal that did not. */
type Module = readonly [
  name: string,
  act: (provider: StrictProvider) => void | Promise<void>,
  end: 'FINISHED' | ErrorCode,
]

const claims =
  (edit: (good: JsonObject) => JsonObject): Module[1] =>
  ({ change }) => {
    change.idTokenClaims = edit
  }

const withoutKid = (header: JsonObject): JsonObject => ({ alg: header['alg'] })

/** The sets without any `kid`, one after the other. */
const publish =
  (...more: readonly SigningKeys[]): Module[1] =>
  ({ change, keys }) => {
    const all = [...more, keys].flatMap((set) => Object.values(set).map(({ jwk }) => ({ ...jwk, kid: undefined })))
    change.jwks = () => ({ keys: all })
    change.idTokenHeader = withoutKid
  }

function onlyRs256({ change }: StrictProvider): void {
  change.discovery = (good) => ({ ...good, id_token_signing_alg_values_supported: ['RS256'] })
}

function unsigned({ change }: StrictProvider): void {
  change.discovery = (good) => ({ ...good, id_token_signing_alg_values_supported: ['RS256', 'none'] })
  change.idToken = (jwt) => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${jwt.split('.')[1]}.`
}

function wrongSignature(provider: StrictProvider): void {
  onlyRs256(provider)
  provider.change.idToken = (jwt) => {
    const [header, payload, signature = ''] = jwt.split('.')
    const bytes = Buffer.from(signature, 'base64url').map((byte) => byte ^ 0x5a)
    return `${header}.${payload}.${Buffer.from(bytes).toString('base64url')}`
  }
}

const nothing = (): void => undefined

const BASIC: readonly Module[] = [
  ['oidcc-client-test', nothing, 'FINISHED'],
  [
    'oidcc-client-test-invalid-iss',
    claims((good) => ({ ...good, iss: `${good['iss']}1` })),
    'ERR_OIDC_ID_TOKEN_ISSUER',
  ],
  ['oidcc-client-test-missing-sub', claims(({ sub: _sub, ...rest }) => rest), 'ERR_OIDC_ID_TOKEN_SUBJECT'],
  [
    'oidcc-client-test-invalid-aud',
    claims((good) => ({ ...good, aud: `${good['aud']}1` })),
    'ERR_OIDC_ID_TOKEN_AUDIENCE',
  ],
  ['oidcc-client-test-missing-iat', claims(({ iat: _iat, ...rest }) => rest), 'ERR_OIDC_ID_TOKEN_ISSUED_AT'],
  ['oidcc-client-test-kid-absent-single-jwks', publish(), 'FINISHED'],
  [
    'oidcc-client-test-kid-absent-multiple-jwks',
    async (provider) => publish(await createSigningKeys(), await createSigningKeys())(provider),
    'FINISHED',
  ],
  ['oidcc-client-test-idtoken-sig-rs256', onlyRs256, 'FINISHED'],
  ['oidcc-client-test-idtoken-sig-none', unsigned, 'ERR_OIDC_ID_TOKEN_MALFORMED'],
  ['oidcc-client-test-invalid-sig-rs256', wrongSignature, 'ERR_OIDC_ID_TOKEN_SIGNATURE'],
  [
    'oidcc-client-test-nonce-invalid',
    claims((good) => ({ ...good, nonce: `${good['nonce']}1` })),
    'ERR_OIDC_ID_TOKEN_NONCE',
  ],
]

/** Of the plan for everything, what a client with the code flow can be asked without more features. */
const MORE: readonly Module[] = [
  ['oidcc-client-test-missing-aud', claims(({ aud: _aud, ...rest }) => rest), 'ERR_OIDC_ID_TOKEN_AUDIENCE'],
  ['oidcc-client-test-invalid-sig-hs256', wrongAlg('HS256'), 'ERR_OIDC_ID_TOKEN_ALG'],
  ['oidcc-client-test-invalid-sig-es256', wrongAlg('ES256'), 'ERR_OIDC_ID_TOKEN_ALG'],
]

function wrongAlg(alg: string): Module[1] {
  return (provider) => {
    wrongSignature(provider)
    provider.change.discovery = (good) => ({ ...good, id_token_signing_alg_values_supported: [alg] })
    provider.change.idTokenHeader = (header) => ({ ...header, alg })
  }
}

const stopLater = stopAfterEach()

const PLANS = [
  ['oidcc-client-basic-certification-test-plan', 'query'],
  ['oidcc-client-formpost-basic-certification-test-plan', 'form_post'],
] as const

/** An app as one would register it for certification. */
const settingsFor = (mode: 'query' | 'form_post'): Partial<AppOptions> => ({
  options: { userinfo: true, scope: SCOPE, responseMode: mode },
})

for (const [plan, mode] of PLANS) {
  describe(plan, () => {
    const stage = createStage({ provider: PROVIDER })
    let stand: Stand
    beforeEach(async () => {
      // A client of its own for each module: no key and no metadata is known from before.
      stand = stage.stopLater(await startStandAt(stage.provider, settingsFor(mode)))
    })

    async function assertEnd(outcome: Outcome, end: Module[2]): Promise<void> {
      // A doubled slash, or whatever else there is nothing at, fails a module.
      assert.deepEqual(stage.provider.complaints, [])
      if (end !== 'FINISHED') return await assertRefused(stand, outcome, { code: end, calls: { '/token': 1 } })
      await assertLoggedIn(stand, outcome)
      assert.deepEqual([stage.provider.calls['/token'], stage.provider.calls['/userinfo']], [1, 1])
    }

    for (const [name, act, end] of [...BASIC, ...MORE]) {
      it(`${name} ends with ${end}`, async () => {
        await act(stage.provider)
        await assertEnd(await logIn(stand), end)
      })
    }

    it('oidcc-client-test-userinfo-invalid-sub ends with UserInfo, which we do not believe', async () => {
      stage.provider.change.userinfo = (good) => ({ ...good, sub: `${good['sub']}invalid` })
      const outcome = await logIn(stand)
      assert.equal(stage.provider.calls['/userinfo'], 1)
      await assertRefused(stand, outcome, {
        code: 'ERR_OIDC_USERINFO_SUBJECT',
        calls: { '/token': 1, '/userinfo': 1 },
      })
    })

    it('oidcc-client-test-scope-userinfo-claims ends with the claims of all scopes', async () => {
      const outcome = await logIn(stand)
      const { name, email, address, phone_number: phone } = (await outcome.browser.fetch('/profile')).json()
      assert.deepEqual([name, email, phone], ['Alice Example', 'alice@example.test', '+43 1 2345678'])
      assert.equal(Object(address).country, 'AT')
      const authorize = firstRequest(stage.provider, '/authorize')
      assert.equal(authorize?.query.get('scope'), SCOPE)
      await assertEnd(outcome, 'FINISHED')
    })

    it('oidcc-client-test-client-secret-basic ends with credentials as the standard has them', async () => {
      const outcome = await logIn(stand)
      const token = firstRequest(stage.provider, '/token')
      const decoded = Buffer.from(token?.headers.authorization?.split(' ')[1] ?? '', 'base64').toString()
      const halves = decoded.split(':').map((half) => new URLSearchParams(`x=${half}`).get('x'))
      assert.deepEqual(halves, [stage.provider.clientId, stage.provider.clientSecret])
      await assertEnd(outcome, 'FINISHED')
    })

    it('oidcc-client-test-nonce-unless-code-flow would find a nonce, and one of plain characters', async () => {
      const outcome = await logIn(stand)
      const authorize = firstRequest(stage.provider, '/authorize')
      assert.match(authorize?.query.get('nonce') ?? '', /^[\w-]{43}$/)
      await assertEnd(outcome, 'FINISHED')
    })
  })
}

describe('oidcc-client-config-certification-test-plan', () => {
  let stand: Stand
  beforeEach(async () => {
    stand = stopLater(await startStand({ provider: PROVIDER, app: settingsFor('query') }))
  })

  function assertAsked(...endpoints: readonly string[]): void {
    const { requests, complaints } = stand.provider
    assert.deepEqual([requests.map(({ endpoint }) => endpoint), complaints], [endpoints, []])
  }

  it('oidcc-client-test-discovery-openid-config ends with discovery, without a doubled slash', async () => {
    await stand.app.auth.ready()
    assert.equal(stand.provider.requests[0]?.path, '/tenant/.well-known/openid-configuration')
    assertAsked('/discovery', '/jwks')
  })

  it('oidcc-client-test-discovery-jwks-uri-keys ends with the keys before UserInfo', async () => {
    const { endpointUrls } = stand.provider
    Object.assign(endpointUrls, { '/jwks': `${endpointUrls['/jwks']}kqzvjwxyab` })
    await assertLoggedIn(stand, await logIn(stand))
    assertAsked('/discovery', '/authorize', '/token', '/jwks', '/userinfo')
  })

  it('oidcc-client-test-discovery-issuer-mismatch ends before the authorization request', async () => {
    stand.provider.change.discovery = (good) => ({ ...good, issuer: `${good['issuer']}INVALID` })
    await assertRefused(stand, await logIn(stand), { code: 'ERR_OIDC_DISCOVERY_ISSUER', calls: { '/authorize': 0 } })
    assertAsked('/discovery')
  })

  it('oidcc-client-test-idtoken-sig-none ends with a refusal', async () => {
    unsigned(stand.provider)
    const outcome = await logIn(stand)
    await assertRefused(stand, outcome, { code: 'ERR_OIDC_ID_TOKEN_MALFORMED', calls: { '/token': 1 } })
    assertAsked('/discovery', '/authorize', '/token')
  })

  it('oidcc-client-test-signing-key-rotation-just-before-signing ends with the keys fetched again', async () => {
    await stand.app.auth.ready()
    const browser = stand.app.browser()
    const { next } = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
    await stand.provider.rotateKeys()
    await assertLoggedIn(stand, { browser, page: await browser.go(next) })
    assertAsked('/discovery', '/jwks', '/authorize', '/token', '/jwks', '/userinfo')
  })

  it('oidcc-client-test-signing-key-rotation ends with two logins in a row', async () => {
    await assertLoggedIn(stand, await logIn(stand))
    await stand.provider.rotateKeys()
    const { page } = await logIn(stand)
    assert.deepEqual([page.status, stand.app.errors], [200, []])
    const once = ['/authorize', '/token', '/jwks', '/userinfo']
    assertAsked('/discovery', ...once, ...once)
  })
})

describe('a module of the plan for everything', () => {
  it('oidcc-client-test-form-post-error ends with an error that is shown', async () => {
    const options = { responseMode: 'form_post' as const, authorizationParams: { prompt: 'none', max_age: 0 } }
    const stand = stopLater(await startStand({ provider: PROVIDER, app: { options } }))
    stand.provider.change.authorizationResponse = (params) => {
      params.delete('code')
      params.set('error', 'login_required')
      return params
    }
    const outcome = await logIn(stand)
    await assertRefused(stand, outcome, { code: 'ERR_OIDC_AUTHORIZATION', status: 401 })
    assert.match(outcome.page.body, /<h1>/)
    const authorize = firstRequest(stand.provider, '/authorize')
    assert.deepEqual([authorize?.query.get('prompt'), authorize?.query.get('max_age')], ['none', '0'])
  })

  it('oidcc-client-test-userinfo-bearer-header ends with the token in the header and nowhere else', async () => {
    const stand = stopLater(await startStand({ provider: PROVIDER, app: settingsFor('query') }))
    await assertLoggedIn(stand, await logIn(stand))
    const userinfo = firstRequest(stand.provider, '/userinfo')
    assert.match(userinfo?.headers.authorization ?? '', /^Bearer [\w-]+$/)
    assert.deepEqual([[...(userinfo?.query ?? [])], [...(userinfo?.form ?? [])]], [[], []])
  })
})
