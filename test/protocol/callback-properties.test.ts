import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { AuthorizationError } from '../../lib/errors.ts'
import {
  checkAuthorizationResponse,
  readAuthorizationResponse,
  readResponseJwt,
  stateOf,
} from '../../lib/protocol/authorization-response.ts'
import type { Provider } from '../../lib/provider/provider.ts'
import type { ResponseType, Transaction } from '../../lib/types.ts'
import { anyText, damaged, nearly, repeated } from '../support/properties/foreign-text.ts'
import { holds, outcomeOf, stopped, syncOutcomeOf } from '../support/properties/outcome.ts'
import { CLIENT_ID, ISSUER, scriptedProvider, signedWithSecret } from '../support/properties/scripted-provider.ts'

const NOW = Math.floor(Date.now() / 1000)
let provider: Provider
before(async () => {
  const options = { authorizationSignedResponseAlg: 'HS256', responseMode: 'query.jwt' }
  provider = await scriptedProvider(() => ({ body: '{"keys":[]}' }), options)
})

const NAMES = [
  ...['state', 'code', 'iss', 'error', 'error_description', 'error_uri', 'id_token', 'access_token'],
  ...['token_type', 'expires_in', 'scope', 'session_state', 'response', '__proto__'],
]
const value = fc.oneof(
  fc.constantFrom(
    '',
    ISSUER,
    'Bearer',
    'bearer',
    '3600',
    '-1',
    '1e9',
    '99999999999',
    'access_denied',
    'a.b',
    'https://evil',
  ),
  anyText,
)
const anyFields = fc
  .array(fc.tuple(fc.oneof(fc.constantFrom(...NAMES), anyText), value), { maxLength: 8 })
  .map((fields) => new URLSearchParams([...fields]))

const RESPONSE_TYPES: readonly ResponseType[] = [
  ...(['code', 'id_token', 'id_token token', 'code id_token', 'code token', 'code id_token token'] as const),
]
const transaction: Arbitrary<Transaction> = fc.constantFrom(...RESPONSE_TYPES).map((responseType) => ({
  ...{ responseType, state: 'state', nonce: 'nonce', codeVerifier: 'verifier', issuer: ISSUER },
  ...{ redirectUri: 'https://app.example.com/callback', returnTo: '/', startedAt: NOW },
}))

describe('the parameters of the callback', () => {
  it('are each read once, or are refused', () => {
    fc.assert(
      fc.property(anyFields, (fields) => {
        const { value: params } = syncOutcomeOf(() => readAuthorizationResponse(fields), /^ERR_OIDC_CALLBACK_INVALID$/)
        const names = [...fields.keys()]
        assert.equal(params === undefined, new Set(names).size !== names.length)
        if (params === undefined) return
        assert.deepEqual([...params], [...fields])
        const { value: state } = syncOutcomeOf(() => stateOf(params), /^ERR_OIDC_STATE_MISSING$/)
        assert.equal(state, (fields.get('state')?.length ?? 0) > 512 ? undefined : fields.get('state') || undefined)
      }),
      { numRuns: 1000 },
    )
  })

  it('N-25: are at most two hundred, whatever was sent', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), (count) => {
        const fields = new URLSearchParams(Array.from({ length: count }, (_, index) => `name${index}=value`).join('&'))
        const { value: params } = syncOutcomeOf(() => readAuthorizationResponse(fields))
        assert.equal(params?.size, count > 200 ? undefined : count)
      }),
      { numRuns: 20 },
    )
  })

  it('hold what the response type promises and nothing else, or are refused', () => {
    const codes =
      /^ERR_OIDC_(RESPONSE_|CALLBACK_INVALID|CODE_MISSING|ACCESS_TOKEN_MISSING|ID_TOKEN_MISSING|AUTHORIZATION)/
    fc.assert(
      fc.property(anyFields, transaction, (fields, started) => {
        const run = () => checkAuthorizationResponse(new Map(fields), started, provider)
        const { value: response, error } = syncOutcomeOf(run, codes)
        if (error instanceof AuthorizationError) assert.equal(error.refusal.error, new Map(fields).get('error'))
        if (response === undefined) return holds(error && error.status < 600 && error.status >= 400)
        const wanted = started.responseType?.split(' ') ?? []
        assert.equal(response.code !== undefined, wanted.includes('code'))
        assert.equal(response.idToken !== undefined, wanted.includes('id_token'))
        assert.equal(response.accessToken !== undefined, wanted.includes('token'))
        holds([undefined, ISSUER].includes(new Map(fields).get('iss')))
        holds(response.expiresIn === undefined || (response.expiresIn >= 0 && response.expiresIn < 1e10))
        assert.match(response.sessionState ?? 'x', /^[!-~]{1,512}$/)
      }),
      { numRuns: 1000 },
    )
  })

  it('of any length are looked at once', () => {
    fc.assert(
      fc.property(repeated(120_000, 'a', '1', ' ', '.', '-', '\u00e9'), fc.constantFrom(...NAMES), (text, name) => {
        const params = new Map([
          ['iss', ISSUER],
          ['code', 'code'],
          [name, text],
        ])
        const started = { issuer: ISSUER } as Transaction
        stopped(() => [
          syncOutcomeOf(() => stateOf(params)),
          syncOutcomeOf(() => checkAuthorizationResponse(params, started, provider)),
        ])
      }),
      { numRuns: 30 },
    )
  })
})

describe('a response that comes as a JWT', () => {
  const good = { iss: ISSUER, aud: CLIENT_ID, exp: NOW + 300, code: 'code', state: 'state', expires_in: 3600 }

  it('is made into parameters of text, or is refused', async () => {
    const token = signedWithSecret(good)
    const anyJwt = fc.oneof(
      nearly(good).map((claims) => signedWithSecret(claims)),
      damaged(token),
      anyText,
    )
    await fc.assert(
      fc.asyncProperty(anyJwt, async (response) => {
        const beside = new Map([
          ['response', response],
          ['code', 'of somebody else'],
        ])
        const { value: params } = await outcomeOf(() => readResponseJwt(provider, beside), /^ERR_OIDC_RESPONSE_JWT_/)
        if (params === undefined) return
        const claims = JSON.parse(Buffer.from(response.split('.')[1] ?? '', 'base64url').toString())
        holds(claims.iss === ISSUER && [claims.aud].flat().includes(CLIENT_ID) && claims.exp > NOW - 61)
        for (const [name, text] of params)
          assert.equal(text, String(Object.getOwnPropertyDescriptor(claims, name)?.value))
        assert.notEqual(params.get('code'), 'of somebody else')
      }),
      { numRuns: 200 },
    )
  })
})
