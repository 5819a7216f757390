import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createAuthorizationRequest } from '../../lib/protocol/authorization-request.ts'
import { createEndSessionRequest } from '../../lib/protocol/end-session-request.ts'
import { endpointOf } from '../../lib/provider/client-authentication.ts'
import { checkMetadata, discoveryUrl } from '../../lib/provider/discovery.ts'
import { createProviderFinder } from '../../lib/provider/provider.ts'
import { registrationEndpointOf } from '../../lib/registration/endpoint.ts'
import { damaged, foreignJson, nearly, textOf } from '../support/properties/foreign-text.ts'
import { outcomeOf, syncOutcomeOf } from '../support/properties/outcome.ts'
import { ISSUER, METADATA, type ScriptedResponse, scriptedConfig } from '../support/properties/scripted-provider.ts'

const GOOD = {
  ...METADATA,
  registration_endpoint: `${ISSUER}/register`,
  mtls_endpoint_aliases: { token_endpoint: 'https://mtls.example.com/token' },
  require_pushed_authorization_requests: false,
  require_signed_request_object: false,
  code_challenge_methods_supported: ['S256'],
}
const ENDPOINTS = [
  ...(['authorization_endpoint', 'token_endpoint', 'userinfo_endpoint', 'end_session_endpoint'] as const),
  ...(['pushed_authorization_request_endpoint', 'revocation_endpoint'] as const),
]

let response: ScriptedResponse = { body: '' }
const config = scriptedConfig(() => response, { providerMetadata: undefined })

const anyUrl = textOf(
  'https:',
  'http:',
  '//',
  '/',
  'op.example.com',
  '@',
  ':',
  '#',
  '?',
  '\\',
  'javascript:',
  '%',
  ' ',
  '[',
)
const metadata = fc
  .tuple(nearly(GOOD), fc.option(fc.tuple(fc.constantFrom(...Object.keys(GOOD)), anyUrl), { nil: undefined }))
  .map(([document, change]) => ({ ...document, ...(change === undefined ? {} : { [change[0]]: change[1] }) }))

describe('the metadata of a provider', () => {
  it('names this issuer and https endpoints, or is refused', () => {
    fc.assert(
      fc.property(metadata, (document) => {
        const run = () => checkMetadata(document, config)
        const { value } = syncOutcomeOf(run, /^ERR_OIDC_(DISCOVERY_ISSUER|METADATA_INVALID)$/)
        if (value === undefined) return
        assert.equal(value.issuer, ISSUER)
        for (const name of ['authorization_endpoint', 'token_endpoint', 'jwks_uri']) {
          assert.equal(new URL(String(value[name])).protocol, 'https:')
        }
        for (const name of ENDPOINTS) {
          const run = (): string => endpointOf({ config, metadata: value }, name)
          const url = syncOutcomeOf(run, /^ERR_OIDC_METADATA_INVALID$/).value
          if (url !== undefined) assert.equal(new URL(url).protocol, 'https:')
        }
        const { value: registration } = syncOutcomeOf(
          () => registrationEndpointOf(value),
          /^ERR_OIDC_(METADATA_INVALID|REGISTRATION_UNSUPPORTED)$/,
        )
        if (registration !== undefined) assert.match(new URL(registration).protocol, /^https?:$/)
      }),
      { numRuns: 500 },
    )
  })

  it('serves the requests that the browser takes to the provider, or they are refused', async () => {
    const login = { returnTo: '/', authorizationParams: {} }
    const codes = /^ERR_OIDC_(CONFIG|METADATA_INVALID|DISCOVERY_ISSUER|PUSHED_|PROVIDER_)/
    await fc.assert(
      fc.asyncProperty(metadata, async (document) => {
        response = { body: JSON.stringify(document) }
        const { value: provider } = await outcomeOf(createProviderFinder(config), codes)
        if (provider === undefined) return
        const request = () => createAuthorizationRequest(provider, login, async () => `${ISSUER}/request`)
        const { value: started } = await outcomeOf(request, codes)
        const endpoint = new URL(String(provider.metadata['authorization_endpoint']))
        if (started !== undefined) assert.equal(new URL(started.url).origin, endpoint.origin)
        await outcomeOf(async () => createEndSessionRequest(provider, 'a.b.c', {}), codes)
      }),
      { numRuns: 150 },
    )
  })

  it('of any form is a document, or is refused', async () => {
    const body = fc.oneof(
      damaged(JSON.stringify(GOOD)),
      foreignJson.map((json) => JSON.stringify(json)),
    )
    const status = fc.constantFrom(200, 200, 200, 301, 404, 429, 500)
    const codes = /^ERR_OIDC_(METADATA_INVALID|DISCOVERY_ISSUER|PROVIDER_)/
    await fc.assert(
      fc.asyncProperty(body, status, async (text, code) => {
        response = { body: text, status: code }
        const { value: provider } = await outcomeOf(createProviderFinder(config), codes)
        if (provider !== undefined) assert.equal(provider.metadata.issuer, ISSUER)
      }),
      { numRuns: 150 },
    )
  })
})

describe('the address of the metadata', () => {
  it('is below the issuer, or the one that the options name', () => {
    const path = fc.array(fc.string({ unit: fc.constantFrom(...'abc019-_.~'), minLength: 1, maxLength: 5 }), {
      maxLength: 3,
    })
    fc.assert(
      fc.property(
        path,
        fc.constantFrom('oidc', 'oauth2'),
        fc.boolean(),
        (segments, discovery, discoveryWithClientId) => {
          const issuer = [ISSUER, ...segments.filter((segment) => !/^\.{1,2}$/.test(segment))].join('/')
          const url = new URL(discoveryUrl({ issuer, discovery, discoveryWithClientId, clientId: 'a b' }))
          assert.equal(url.origin, ISSUER)
          assert.equal(url.pathname.split('/.well-known/').length, 2)
          assert.equal(url.searchParams.get('client_id'), discoveryWithClientId ? 'a b' : null)
        },
      ),
    )
  })
})
