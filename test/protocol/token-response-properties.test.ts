import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { refreshTokens } from '../../lib/protocol/refresh-grant.ts'
import { requestTokens } from '../../lib/protocol/token-endpoint.ts'
import type { Provider } from '../../lib/provider/provider.ts'
import { damaged, foreignJson, nearly, repeated, textOf } from '../support/properties/foreign-text.ts'
import { holds, outcomeOf } from '../support/properties/outcome.ts'
import { type ScriptedResponse, scriptedProvider } from '../support/properties/scripted-provider.ts'

const GOOD = {
  access_token: 'an-access-token',
  token_type: 'Bearer',
  expires_in: 3600,
  refresh_token: 'a-refresh-token',
  scope: 'openid',
  id_token: 'a.b.c',
}
const CODES = /^ERR_OIDC_(TOKEN_REQUEST|TOKEN_RESPONSE|PROVIDER_[A-Z_]+)$/

let response: ScriptedResponse = { body: '' }
let provider: Provider
before(async () => {
  provider = await scriptedProvider(() => response)
})

const anyType = fc.oneof(
  { weight: 6, arbitrary: fc.constant('application/json') },
  { weight: 1, arbitrary: textOf('application/', 'json', 'jose+json', ';', 'text/html', ' ').map(headerValue) },
)
/** Those that a Response may have together with a body. */
const anyStatus = fc.oneof(
  { weight: 6, arbitrary: fc.constant(200) },
  { weight: 1, arbitrary: fc.constantFrom(201, 302, 400, 401, 403, 429, 500, 503, 599) },
)
const anyBody: Arbitrary<string | Uint8Array> = fc.oneof(
  { weight: 9, arbitrary: nearly(GOOD).map((json) => JSON.stringify(json)) },
  { weight: 1, arbitrary: damaged(JSON.stringify(GOOD)) },
  { weight: 1, arbitrary: foreignJson.map((json) => JSON.stringify(json)) },
  {
    weight: 1,
    arbitrary: nearly({ error: 'invalid_grant', error_description: 'x' }).map((json) => JSON.stringify(json)),
  },
  { weight: 1, arbitrary: fc.uint8Array() },
)

function headerValue(text: string): string {
  return text.replace(/[^\t -~]/g, '').trim()
}

describe('a token response', () => {
  it('has a usable token, or is refused', async () => {
    await fc.assert(
      fc.asyncProperty(anyBody, anyStatus, anyType, async (body, status, type) => {
        response = { body, status, headers: { 'content-type': type } }
        const { value } = await outcomeOf(() => requestTokens(provider, { grant_type: 'authorization_code' }), CODES)
        if (value === undefined) return
        holds(Number(status) >= 200 && Number(status) < 300)
        assert.equal(value.token_type, 'Bearer')
        // An access token as a header carries it, a refresh token as RFC 6749 A.17 has it.
        assert.match(String(value.access_token), /^[!-~](?:[ -~]*[!-~])?$/)
        assert.match(value.refresh_token ?? 'x', /^[ -~]+$/)
        const { expires_in: seconds = 0 } = value
        holds(seconds >= 0 && seconds <= 1e10)
        assert.equal(typeof (value.scope ?? ''), 'string')
      }),
      { numRuns: 400 },
    )
  })

  it('to a refresh is a record of tokens, or is refused', async () => {
    const tokens = { idToken: 'a.b.c', accessToken: 'old', refreshToken: 'old-refresh', expiresAt: 0 }
    const login = {
      claims: { iss: 'https://op.example.com', sub: 'jane' },
      ...{ scope: 'openid', loggedInAt: 0, expiresAt: Date.now() / 1000 + 1000 },
    }
    const codes = /^ERR_OIDC_(TOKEN_|REFRESH_|ID_TOKEN_|TENANT|PROVIDER_)/
    await fc.assert(
      fc.asyncProperty(anyBody, anyStatus, async (body, status) => {
        response = { body, status }
        await outcomeOf(() => refreshTokens(provider, login, tokens), codes)
      }),
      { numRuns: 100 },
    )
  })

  it('is read up to 1 MiB and not further, and however deep it is', async () => {
    const large = repeated(1_048_576 - 100, '{"access_token":', '[', '"', '\\u0000', ' ', '1', ',', '}')
    await fc.assert(
      fc.asyncProperty(large, fc.constantFrom(0, 1000), async (text, more) => {
        response = { body: text + ' '.repeat(more) }
        const { error } = await outcomeOf(() => requestTokens(provider, {}), CODES)
        const isTooLarge = Buffer.byteLength(String(response.body)) > 1_048_576
        if (isTooLarge) assert.equal(error?.code, 'ERR_OIDC_PROVIDER_RESPONSE_TOO_LARGE')
        else assert.equal(error?.code, 'ERR_OIDC_TOKEN_RESPONSE')
      }),
      { numRuns: 10 },
    )
  })
})
