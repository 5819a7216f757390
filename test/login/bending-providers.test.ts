import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError, type ErrorCode, type Options, oidc } from '../../lib/index.ts'
import { type AnyOptions, codesOf } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage, type Stage } from '../support/app/stage.ts'

// Providers that do not follow the standard in one point, by their facts, and the option for each point. docs/providers.md
// has a section for each of them.

const routes = { '/scope': answerJson(({ oidc: { scope } }) => ({ scope })) }
const app = { errorHandler: 'json', routes } as const

async function codesAfterLogin(stage: Stage, options: Partial<AnyOptions>): Promise<readonly ErrorCode[]> {
  const started = await stage.start(options)
  const page = await started.browser().open('/profile')
  assert.equal(page.status === 200, started.errors.length === 0, page.body)
  return codesOf(started)
}

function problemsOf(options: Readonly<Record<string, unknown>>): string {
  const usual = {
    issuer: 'https://op.example',
    clientId: 'a',
    clientSecret: 's'.repeat(32),
    baseUrl: 'https://app.example',
  }
  try {
    oidc({ ...usual, ...options } as unknown as Options)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message
  }
  return ''
}

describe('LinkedIn: no nonce in the ID Token, no token_type, no PKCE', () => {
  const linkedin = createStage({ provider: { pkce: 'refused' }, app })
  const ALL = { dangerouslyDisablePkce: true, dangerouslyAllowMissingNonce: true, assumeBearerTokenType: true } as const

  function bend(): void {
    const { change } = linkedin.provider
    change.idTokenClaims = ({ nonce: _, ...claims }) => claims
    change.tokenResponse = ({ token_type: _, ...response }) => response
  }

  it('logs in with one option for each of them', async () => {
    bend()
    const { app: started, browser } = await linkedin.startLoggedIn(ALL)
    const tokens = (await browser.fetch('/tokens')).json()
    assert.deepEqual([tokens['tokenType'], codesOf(started), linkedin.provider.complaints], ['Bearer', [], []])
    const [request] = linkedin.provider.authorizationRequests
    assert.deepEqual(
      [request?.has('code_challenge'), request?.has('nonce'), request?.has('state')],
      [false, true, true],
    )
  })

  for (const [name, code] of [
    ['dangerouslyDisablePkce', 'ERR_OIDC_AUTHORIZATION'],
    ['dangerouslyAllowMissingNonce', 'ERR_OIDC_ID_TOKEN_NONCE'],
    ['assumeBearerTokenType', 'ERR_OIDC_TOKEN_RESPONSE'],
  ] as const) {
    it(`is refused without ${name}`, async () => {
      bend()
      assert.deepEqual(await codesAfterLogin(linkedin, { ...ALL, [name]: false }), [code])
    })
  }

  for (const nonce of ['another', '', null, 5]) {
    it(`is refused with the nonce ${JSON.stringify(nonce)}, because only a missing one is allowed`, async () => {
      bend()
      linkedin.provider.change.idTokenClaims = (claims) => ({ ...claims, nonce })
      assert.deepEqual(await codesAfterLogin(linkedin, ALL), ['ERR_OIDC_ID_TOKEN_NONCE'])
    })
  }

  for (const type of ['mac', 'DPoP', 5]) {
    it(`is refused with the token_type ${type}, because only a missing one is assumed`, async () => {
      bend()
      linkedin.provider.change.tokenResponse = (response) => ({ ...response, token_type: type })
      assert.deepEqual(await codesAfterLogin(linkedin, ALL), ['ERR_OIDC_TOKEN_RESPONSE'])
    })
  }

  it('is refused with the state of another login', async () => {
    bend()
    linkedin.provider.change.authorizationResponse = (params) => {
      params.set('state', 'a'.repeat(43))
      return params
    }
    assert.deepEqual(await codesAfterLogin(linkedin, ALL), ['ERR_OIDC_TRANSACTION_MISSING'])
  })

  const conflicts: readonly (readonly [options: Readonly<Record<string, unknown>>, problem: RegExp])[] = [
    [
      { dangerouslyAllowMissingNonce: true, responseType: 'code id_token' },
      /dangerouslyAllowMissingNonce needs responseType 'code'/,
    ],
    [
      { dangerouslyDisablePkce: true, responseType: 'code id_token' },
      /dangerouslyDisablePkce needs responseType 'code'/,
    ],
    [
      { dangerouslyDisablePkce: true, clientSecret: undefined, secret: 's'.repeat(32) },
      /dangerouslyDisablePkce needs a client that authenticates/,
    ],
    [
      { assumeBearerTokenType: true, dpopBoundAccessTokens: true },
      /assumeBearerTokenType cannot be combined with dpop/,
    ],
    ...(['dangerouslyDisablePkce', 'dangerouslyAllowMissingNonce', 'assumeBearerTokenType'] as const).map(
      (name) => [{ profile: 'fapi2', [name]: true }, new RegExp(`${name} must be false with profile`)] as const,
    ),
  ]
  for (const [options, problem] of conflicts) {
    it(`rejects ${JSON.stringify(Object.keys(options))} together`, () => assert.match(problemsOf(options), problem))
  }
})
