import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OidcError } from '../../lib/errors.ts'
import { endpointOf } from '../../lib/provider/client-authentication.ts'
import { errorFromResponse, errorFromStatus } from '../../lib/provider/error-response.ts'
import { createHttpClient } from '../../lib/provider/http-client.ts'
import { ISSUER, scriptedProvider } from '../support/properties/scripted-provider.ts'

const TOKEN = `${ISSUER}/token`
const JSON_TYPE = { 'content-type': 'application/json' }

function responseOf(status: number, json: unknown, headers: Readonly<Record<string, string>> = JSON_TYPE) {
  return { status, headers: new Headers(headers), body: Buffer.from(JSON.stringify(json)) }
}

describe('the message of an error response', () => {
  const config = { tokenEndpointAuthMethod: 'client_secret_basic' } as const
  const newLogin = 'A new login solves this.'
  const settings = 'Compare the options with the settings of this client at the provider.'
  const rows: readonly (readonly [error: unknown, message: string])[] = [
    [
      'invalid_client',
      ` invalid_client. Check clientId, clientSecret and tokenEndpointAuthMethod ('client_secret_basic').`,
    ],
    [
      'invalid_grant',
      ` invalid_grant. The code or refresh token was used before, has expired or was revoked. ${newLogin}`,
    ],
    ['invalid_token', ` invalid_token. The access token has expired or was revoked. ${newLogin}`],
    ['invalid_scope', ' invalid_scope. Check the option scope.'],
    ['insufficient_scope', ' insufficient_scope. Check the option scope.'],
    ['unauthorized_client', ` unauthorized_client. ${settings}`],
    ['E0000047x', ` E0000047x. ${settings}`],
    ['planted <b>text</b>', `. ${settings}`],
    ['x'.repeat(65), `. ${settings}`],
    [7, `. ${settings}`],
  ]
  for (const [error, text] of rows) {
    it(`names the endpoint, the status, a well-formed error code and what to do: ${String(error).slice(0, 20)}`, () => {
      const response = responseOf(400, { error, error_description: 'planted' })
      const { message } = errorFromResponse(response, 'ERR_OIDC_TOKEN_REQUEST', { url: `${TOKEN}?planted`, config })
      assert.equal(message, `${TOKEN} answered 400${text}`)
    })
  }

  it('names clientKeys instead of the secret for private_key_jwt', () => {
    const response = responseOf(401, { error: 'invalid_client' })
    const endpoint = { url: TOKEN, config: { tokenEndpointAuthMethod: 'private_key_jwt' } } as const
    const { message } = errorFromResponse(response, 'ERR_OIDC_TOKEN_REQUEST', endpoint)
    assert.match(message, / Check clientId, clientKeys and tokenEndpointAuthMethod \('private_key_jwt'\)\.$/)
  })

  it('has no advice without options, or if the provider is at fault', () => {
    const error = { error: 'invalid_client' }
    assert.equal(
      errorFromResponse(responseOf(401, error), 'ERR_OIDC_TOKEN_REQUEST').message,
      'The provider answered 401 invalid_client.',
    )
    assert.equal(errorFromStatus(responseOf(500, error), TOKEN).message, `${TOKEN} answered 500 invalid_client.`)
  })

  it('reads the error from a challenge, with and without quotes', () => {
    const header = 'Basic realm="x", Bearer error=invalid_token, error_description="a \\"b\\""'
    const { refusal } = errorFromStatus(responseOf(401, 1, { 'www-authenticate': header }))
    assert.deepEqual(refusal, { error: 'invalid_token', errorDescription: 'a "b"', errorUri: undefined })
    assert.equal(errorFromStatus(responseOf(401, 1, { 'www-authenticate': 'Bearer' })).refusal, undefined)
  })
})

describe('the message of a request that is not sent', () => {
  const client = createHttpClient({ timeout: 1, fetch: () => assert.fail(), dangerouslyAllowInsecureRequests: false })
  const rows: readonly (readonly [url: string, problem: string])[] = [
    ['/planted', 'that is not absolute'],
    ['http://op.example.com/keys?planted', 'that is not https: "http://op.example.com/keys"'],
    ['https://planted:planted@op.example.com/keys', 'with a user or a password at "op.example.com"'],
  ]
  for (const [url, problem] of rows) {
    it(`says what is wrong with the URL ${url}`, async () => {
      const message = `The provider's metadata has a URL ${problem}.`
      await assert.rejects(client.getJson(url), { code: 'ERR_OIDC_METADATA_INVALID', message })
    })
  }

  it('names the issuer and the endpoint that its metadata lacks', async () => {
    const provider = await scriptedProvider(() => ({ body: '' }))
    const message = `The metadata of ${ISSUER} has no https URL for revocation_endpoint (undefined).`
    assert.throws(() => endpointOf(provider, 'revocation_endpoint'), { message })
  })
})

describe('the message of a connection that fails', () => {
  const failing = (error: unknown) =>
    createHttpClient({ timeout: 1, fetch: () => Promise.reject(error), dangerouslyAllowInsecureRequests: false })
  const rows: readonly (readonly [code: unknown, reason: string])[] = [
    ['ECONNREFUSED', ' (ECONNREFUSED)'],
    ['planted text', ''],
    [undefined, ''],
  ]
  for (const [code, reason] of rows) {
    it(`names the endpoint and a system error code: ${String(code)}`, async () => {
      const error = code === undefined ? new Error('planted') : Object.assign(new Error('planted'), { code })
      const message = `The connection to ${TOKEN} failed${reason}. Check the network, DNS and certificates.`
      await assert.rejects(failing(error).getJson(`${TOKEN}?planted`), (reason: unknown) => {
        assert.ok(reason instanceof OidcError)
        assert.equal(reason.message, message)
        return true
      })
    })
  }
})
