import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import type { ErrorCode, Options } from '../lib/index.ts'
import type { ResponseType } from '../lib/response-type.ts'
import { assertLoggedIn, assertRefused, logIn, type Outcome, type Stand, startStandAt } from './support/hostile.ts'
import { createSigningKeys, type SigningKeys } from './support/signing-keys.ts'
import type { Changes, JsonObject } from './support/strict-context.ts'
import { type StrictProvider, type StrictProviderOptions, startStrictProvider } from './support/strict-provider.ts'

// The modules of the OpenID Foundation's plans for relying parties whose answers bring tokens by the browser, acted out by
// their names: what their provider does, and what it sees us do. Where it waits for quiet, we count its calls.

/** As the suite makes them: an issuer with a slash at its end, and credentials with every kind of punctuation. */
const PROVIDER: StrictProviderOptions = {
  layout: 'trailing-slash',
  issParameter: 'absent',
  clientId: 'client_aBc123:%+~',
  clientSecret: 'secret_dEf456 :%&=?/+{~ of forty characters',
}

const SCOPE = 'openid profile email address phone'

const has = (type: ResponseType, word: string): boolean => type.split(' ').includes(word)

/** What a module does at the provider. */
type Act = (provider: StrictProvider, type: ResponseType) => void | Promise<void>

/** How a module ends: in a login, or in a refusal of the ID Token. */
type Module = readonly [name: string, act: Act, end: 'FINISHED' | ErrorCode]

type Edit<Value> = (good: Value) => Value

/** The suite makes each ID Token wrong; the first that comes is the one that is refused. */
function changeIdTokens(
  { change }: StrictProvider,
  changes: Partial<Record<'Header' | 'Claims', Edit<JsonObject>>>,
): void {
  const { Header: header, Claims: claims } = changes
  const edits: Partial<Changes> = {
    ...(header && { idTokenHeader: header, frontIdTokenHeader: header }),
    ...(claims && { idTokenClaims: claims, frontIdTokenClaims: claims }),
  }
  Object.assign(change, edits)
}

const claims =
  (edit: Edit<JsonObject>): Act =>
  (provider) =>
    changeIdTokens(provider, { Claims: edit })

const frontClaims =
  (edit: Edit<JsonObject>): Act =>
  ({ change }) => {
    change.frontIdTokenClaims = edit
  }

const without =
  (name: string): Edit<JsonObject> =>
  ({ [name]: _dropped, ...rest }) =>
    rest
const withOneAfter =
  (name: string): Edit<JsonObject> =>
  (good) => ({ ...good, [name]: `${good[name]}1` })

/** The sets without any `kid`, one after the other. */
const publish =
  (...more: readonly SigningKeys[]): Act =>
  (provider) => {
    const sets = [...more, provider.keys]
    const all = sets.flatMap((set) => Object.values(set).map(({ jwk }) => ({ ...jwk, kid: undefined })))
    provider.change.jwks = () => ({ keys: all })
    changeIdTokens(provider, { Header: without('kid') })
  }

function onlyRs256({ change }: StrictProvider): void {
  change.discovery = (good) => ({ ...good, id_token_signing_alg_values_supported: ['RS256'] })
}

function wrongSignature(provider: StrictProvider): void {
  onlyRs256(provider)
  const spoil = (jwt: string): string => {
    const [header, payload, signature = ''] = jwt.split('.')
    const bytes = Buffer.from(signature, 'base64url').map((byte) => byte ^ 0x5a)
    return `${header}.${payload}.${Buffer.from(bytes).toString('base64url')}`
  }
  Object.assign(provider.change, { idToken: spoil, frontIdToken: spoil })
}

const nothing = (): void => undefined

/** What every response type is asked. */
const COMMON: readonly Module[] = [
  ['oidcc-client-test', nothing, 'FINISHED'],
  ['oidcc-client-test-invalid-iss', claims(withOneAfter('iss')), 'ERR_OIDC_ID_TOKEN_ISSUER'],
  ['oidcc-client-test-missing-sub', claims(without('sub')), 'ERR_OIDC_ID_TOKEN_SUBJECT'],
  ['oidcc-client-test-invalid-aud', claims(withOneAfter('aud')), 'ERR_OIDC_ID_TOKEN_AUDIENCE'],
  ['oidcc-client-test-missing-iat', claims(without('iat')), 'ERR_OIDC_ID_TOKEN_ISSUED_AT'],
  ['oidcc-client-test-kid-absent-single-jwks', publish(), 'FINISHED'],
  [
    'oidcc-client-test-kid-absent-multiple-jwks',
    async (provider, type) => publish(await createSigningKeys(), await createSigningKeys())(provider, type),
    'FINISHED',
  ],
  ['oidcc-client-test-idtoken-sig-rs256', onlyRs256, 'FINISHED'],
  ['oidcc-client-test-invalid-sig-rs256', wrongSignature, 'ERR_OIDC_ID_TOKEN_SIGNATURE'],
  ['oidcc-client-test-nonce-invalid', claims(withOneAfter('nonce')), 'ERR_OIDC_ID_TOKEN_NONCE'],
]

const CODE_HASHES: readonly Module[] = [
  ['oidcc-client-test-invalid-chash', frontClaims(withOneAfter('c_hash')), 'ERR_OIDC_ID_TOKEN_CODE_HASH'],
  ['oidcc-client-test-missing-chash', frontClaims(without('c_hash')), 'ERR_OIDC_ID_TOKEN_CODE_HASH'],
]

const TOKEN_HASHES: readonly Module[] = [
  ['oidcc-client-test-invalid-athash', frontClaims(withOneAfter('at_hash')), 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH'],
  ['oidcc-client-test-missing-athash', frontClaims(without('at_hash')), 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH'],
]

/** The modules that a type is asked in its plan, those that look at more than the end aside. */
const modulesOf = (type: ResponseType): readonly Module[] => [
  ...COMMON,
  ...(has(type, 'code') && has(type, 'id_token') ? CODE_HASHES : []),
  ...(has(type, 'token') && has(type, 'id_token') ? TOKEN_HASHES : []),
]

const IMPLICIT = ['id_token', 'id_token token'] as const
const HYBRID = ['code id_token', 'code token', 'code id_token token'] as const

// The plain plans answer in the fragment, as these response types do where nothing is said.
const PLANS = [
  ['oidcc-client-implicit-certification-test-plan', IMPLICIT, 'fragment', 27],
  ['oidcc-client-hybrid-certification-test-plan', HYBRID, 'fragment', 48],
  ['oidcc-client-formpost-implicit-certification-test-plan', IMPLICIT, 'form_post', 27],
  ['oidcc-client-formpost-hybrid-certification-test-plan', HYBRID, 'form_post', 48],
] as const

for (const [plan, types, responseMode, count] of PLANS) {
  describe(plan, () => {
    const names: string[] = []
    for (const type of types) describe(`with ${type}`, () => actOut(type, { responseMode }, names))

    it(`has ${count} modules`, () => {
      assert.deepEqual([names.length, new Set(names).size], [count, count])
    })
  })
}

function actOut(responseType: ResponseType, options: Partial<Options>, names: string[]): void {
  const bringsCode = has(responseType, 'code')
  const bringsToken = responseType !== 'id_token'
  let provider: StrictProvider
  let stand: Stand
  before(async () => {
    provider = await startStrictProvider(PROVIDER)
  })
  beforeEach(async () => {
    provider.reset()
    // A client of its own for each module: no key and no metadata is known from before.
    stand = await startStandAt(provider, { options: { userinfo: true, scope: SCOPE, responseType, ...options } })
  })
  afterEach(() => stand.stop())
  after(() => provider.stop())

  function module(name: string, end: string, act: () => Promise<void>): void {
    names.push(`${name} ${responseType}`)
    it(`${name} ends with ${end}`, act)
  }

  async function assertFinished(outcome: Outcome): Promise<void> {
    assert.deepEqual(provider.complaints, [])
    await assertLoggedIn(stand, outcome)
    const { '/token': token, '/userinfo': userinfo, '/authorize': authorize, '/jwks': jwks } = provider.calls
    assert.deepEqual([token, userinfo], [bringsCode ? 1 : 0, bringsToken ? 1 : 0])
    assert.deepEqual([authorize, jwks], [1, 1])
  }

  async function assertEnd(outcome: Outcome, end: Module[2]): Promise<void> {
    if (end === 'FINISHED') return await assertFinished(outcome)
    // A doubled slash, or whatever else there is nothing at, fails a module.
    assert.deepEqual(provider.complaints, [])
    // Where no ID Token comes with the browser, it is the token endpoint's that is wrong.
    const isInFront = has(responseType, 'id_token')
    const refusal = isInFront ? { status: 400 } : { calls: { '/token': 1 } }
    await assertRefused(stand, outcome, { code: end, ...refusal })
  }

  const authorizeQuery = (): URLSearchParams | undefined =>
    provider.requests.find(({ endpoint }) => endpoint === '/authorize')?.query

  for (const [name, act, end] of modulesOf(responseType)) {
    module(name, end, async () => {
      await act(provider, responseType)
      await assertEnd(await logIn(stand), end)
    })
  }

  if (bringsToken) {
    module('oidcc-client-test-userinfo-invalid-sub', 'UserInfo, which we do not believe', async () => {
      provider.change.userinfo = (good) => ({ ...good, sub: `${good['sub']}invalid` })
      const outcome = await logIn(stand)
      const calls = { '/token': bringsCode ? 1 : 0, '/userinfo': 1 }
      await assertRefused(stand, outcome, { code: 'ERR_OIDC_USERINFO_SUBJECT', calls })
    })
  }

  module('oidcc-client-test-nonce-unless-code-flow', 'a nonce, and one of plain characters', async () => {
    const outcome = await logIn(stand)
    assert.match(authorizeQuery()?.get('nonce') ?? '', /^[\w-]{43}$/)
    await assertFinished(outcome)
  })

  module('oidcc-client-test-scope-userinfo-claims', 'the claims of all scopes', async () => {
    const outcome = await logIn(stand)
    const { name, email, address, phone_number: phone } = (await outcome.browser.fetch('/profile')).json()
    assert.deepEqual([name, email, phone], ['Alice Example', 'alice@example.test', '+43 1 2345678'])
    assert.equal(Object(address).country, 'AT')
    assert.equal(authorizeQuery()?.get('scope'), SCOPE)
    await assertFinished(outcome)
  })

  if (bringsCode) {
    module('oidcc-client-test-client-secret-basic', 'credentials as the standard has them', async () => {
      const outcome = await logIn(stand)
      const token = provider.requests.find(({ endpoint }) => endpoint === '/token')
      const decoded = Buffer.from(token?.headers.authorization?.split(' ')[1] ?? '', 'base64').toString()
      const halves = decoded.split(':').map((half) => new URLSearchParams(`x=${half}`).get('x'))
      assert.deepEqual(halves, [provider.clientId, provider.clientSecret])
      await assertFinished(outcome)
    })
  }
}

const now = (): number => Math.floor(Date.now() / 1000)

const response =
  (edit: Edit<JsonObject>): Act =>
  ({ change }) => {
    change.responseJwtClaims = edit
  }

const responseJwt =
  (edit: (header: string, payload: string, signature: string) => string): Act =>
  ({ change }) => {
    change.responseJwt = (jwt) => {
      const [header = '', payload = '', signature = ''] = jwt.split('.')
      return edit(header, payload, signature)
    }
  }

function spoiled(signature: string): string {
  return Buffer.from(Buffer.from(signature, 'base64url').map((byte) => byte ^ 0x5a)).toString('base64url')
}

const NONE = Buffer.from('{"alg":"none"}').toString('base64url')
const PREFIX = 'fapi2-security-profile-final-client-test-ensure-jarm-'

const JARM: readonly (readonly [name: string, act: Act, end: ErrorCode])[] = [
  [`${PREFIX}without-iss-fails`, response(without('iss')), 'ERR_OIDC_RESPONSE_JWT_ISSUER'],
  [`${PREFIX}with-invalid-iss-fails`, response(withOneAfter('iss')), 'ERR_OIDC_RESPONSE_JWT_ISSUER'],
  [`${PREFIX}without-aud-fails`, response(without('aud')), 'ERR_OIDC_RESPONSE_JWT_AUDIENCE'],
  [`${PREFIX}with-invalid-aud-fails`, response(withOneAfter('aud')), 'ERR_OIDC_RESPONSE_JWT_AUDIENCE'],
  [`${PREFIX}without-exp-fails`, response(without('exp')), 'ERR_OIDC_RESPONSE_JWT_EXPIRED'],
  [
    `${PREFIX}with-expired-exp-fails`,
    response((good) => ({ ...good, exp: now() - 360 })),
    'ERR_OIDC_RESPONSE_JWT_EXPIRED',
  ],
  [
    `${PREFIX}with-invalid-sig-fails`,
    responseJwt((header, payload, signature) => `${header}.${payload}.${spoiled(signature)}`),
    'ERR_OIDC_RESPONSE_JWT_SIGNATURE',
  ],
  [
    `${PREFIX}signature-is-not-none`,
    responseJwt((_header, payload) => `${NONE}.${payload}.`),
    'ERR_OIDC_RESPONSE_JWT_MALFORMED',
  ],
]

describe('fapi2-message-signing-final-client-test-plan, what it has for JARM', () => {
  let provider: StrictProvider
  let stand: Stand
  before(async () => {
    provider = await startStrictProvider({ ...PROVIDER, alg: 'PS256', authorizationSignedResponseAlg: 'PS256' })
  })
  beforeEach(async () => {
    provider.reset()
    const algs = { idTokenSignedResponseAlg: 'PS256', authorizationSignedResponseAlg: 'PS256' }
    stand = await startStandAt(provider, { options: { responseMode: 'jwt', userinfo: true, ...algs } })
  })
  afterEach(() => stand.stop())
  after(() => provider.stop())

  it('ends with UserInfo where nothing is wrong', async () => {
    await assertLoggedIn(stand, await logIn(stand))
    assert.deepEqual([provider.calls['/token'], provider.calls['/userinfo'], provider.complaints], [1, 1, []])
  })

  for (const [name, act, end] of JARM) {
    it(`${name} ends with ${end}`, async () => {
      await act(provider, 'code')
      await assertRefused(stand, await logIn(stand), { code: end })
      assert.deepEqual(provider.complaints, [])
    })
  }

  it('has eight modules', () => assert.equal(new Set(JARM.map(([name]) => name)).size, 8))
})
