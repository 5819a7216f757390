import assert from 'node:assert/strict'
import { OidcError } from '../../../lib/index.ts'
import { assertLoggedIn, logIn } from '../hostile/hostile.ts'
import type { JsonObject } from '../strict-provider/context.ts'
import type { StrictProvider } from '../strict-provider/provider.ts'
import { changeIdTokens, type Edit, unsigned, withBrokenSignature, withOneAfter, without } from './changes.ts'
import { assertFinished, assertStopped, type Change, finishes, named, startAt, stops } from './fapi-ends.ts'
import { fapiIdTokenModules, longAgo } from './fapi-id-token.ts'
import { FAPI2, type Fapi2Settings, type Fapi2Variant, fapi2SettingsFor } from './fapi2-variant.ts'
import { endSoon, RESOURCE_APP, shownTokens } from './refresh.ts'
import { describePlan, type Module, type Modules, type Run } from './suite.ts'

const answerParams =
  (edit: (params: URLSearchParams) => void): Change =>
  ({ change }) => {
    change.authorizationResponse = (params) => {
      edit(params)
      return params
    }
  }

const withOneAfterParam =
  (name: string) =>
  (params: URLSearchParams): void =>
    params.set(name, `${params.get(name)}1`)

const tokenResponse =
  (edit: Edit): Change =>
  ({ change }) => {
    change.tokenResponse = (good) => edit(good)
  }

function oddTokenType(good: JsonObject): JsonObject {
  return { ...good, token_type: good['token_type'] === 'DPoP' ? 'dpOp' : 'bEARER' }
}

function oddScheme({ change }: StrictProvider): void {
  change.dpopChallenge = (good, { headers }) => {
    const { 'WWW-Authenticate': challenge } = headers
    if (challenge !== undefined) headers['WWW-Authenticate'] = challenge.replace(/^DPoP/, 'dPoP')
    return good
  }
}

const response =
  (edit: Edit): Change =>
  ({ change }) => {
    change.responseJwtClaims = edit
  }

const responseJwt =
  (edit: (jwt: string) => string): Change =>
  ({ change }) => {
    change.responseJwt = edit
  }

/** Each is asked twice where its nonce has to be learned: the token endpoint has that of the one before. */
function assertNonces({ provider: { calls }, variant: { sender_constrain: by } }: Run<Fapi2Variant>): void {
  const times = by === 'dpop' ? 2 : 1
  assert.deepEqual([calls['/par'], calls['/token'], calls['/userinfo']], [times, 1, times])
}

function assertNoNonces({ provider: { calls } }: Run<Fapi2Variant>): void {
  assert.deepEqual([calls['/par'], calls['/token'], calls['/userinfo']], [1, 1, 1])
}

const INTENT = 'urn:example:intent:58923'

/** An essential claim of a country's own: what was asked for is the application's to compare (OIDC Core 5.5.1). */
const intentOptions: Fapi2Settings['options'] = {
  userinfo: false,
  authorizationParams: { claims: { id_token: { openbanking_intent_id: { value: INTENT, essential: true } } } },
  hooks: {
    afterLogin: ({ claims }) => {
      if (claims['openbanking_intent_id'] === INTENT) return
      throw new OidcError('ERR_OIDC_INSUFFICIENT_CLAIM', 'Another intent was consented to.')
    },
  },
}

const openbankingIntentId: Module<Fapi2Variant> = async (suite) => {
  const intentId =
    (value: string): Change =>
    (provider) =>
      changeIdTokens(provider, { claims: (good) => ({ ...good, openbanking_intent_id: value }) })
  const good = await startAt(suite, intentId(INTENT), { options: intentOptions })
  const outcome = await logIn(good)
  good.end()
  await assertLoggedIn(good, outcome)
  const bad = await startAt(suite, intentId(`${INTENT}1`), { options: intentOptions })
  await assertStopped(bad, await logIn(bad), 'ERR_OIDC_INSUFFICIENT_CLAIM')
}

/** The tokens that a refresh brings are bound as those before, and shown with a proof of the same key. */
const refreshToken: Module<Fapi2Variant> = async (suite) => {
  const run = await startAt(suite, endSoon, { app: RESOURCE_APP, options: { scope: 'openid offline_access' } })
  const outcome = await logIn(run)
  await assertFinished(run, outcome)
  const page = await outcome.browser.fetch('/userinfo')
  run.end()
  assert.deepEqual([page.status, run.provider.complaints], [200, []])
  assert.notEqual(shownTokens(run.provider).at(-1), shownTokens(run.provider)[0])
}

const SECURITY_PROFILE: Modules<Fapi2Variant> = {
  ...fapiIdTokenModules<Fapi2Variant>(),
  'happy-path': finishes(undefined, { look: assertNonces }),
  'happy-path-no-dpop-nonce': finishes(undefined, {
    settings: { provider: { dpop: 'no-nonce' } },
    look: assertNoNonces,
  }),
  'invalid-authorization-response-iss': stops(
    answerParams(withOneAfterParam('iss')),
    'ERR_OIDC_RESPONSE_ISSUER',
    'token',
  ),
  'remove-authorization-response-iss': stops(
    answerParams((params) => params.delete('iss')),
    'ERR_OIDC_RESPONSE_ISSUER_MISSING',
    'token',
  ),
  'ensure-authorization-response-with-invalid-state-fails': stops(
    answerParams(withOneAfterParam('state')),
    'ERR_OIDC_TRANSACTION_MISSING',
    'token',
  ),
  'ensure-authorization-response-with-invalid-missing-state-fails': stops(
    answerParams((params) => params.delete('state')),
    'ERR_OIDC_STATE_MISSING',
    'token',
  ),
  'token-endpoint-response-without-expires_in': finishes(tokenResponse(without('expires_in'))),
  'token-type-case-insensitivity': finishes(tokenResponse(oddTokenType)),
  'rs-dpop-auth-scheme-case-insensitivity': finishes(oddScheme, { look: assertNonces }),
  'invalid-openbanking-intent-id': openbankingIntentId,
}

const JARM: Modules<Fapi2Variant> = {
  'without-iss-fails': stops(response(without('iss')), 'ERR_OIDC_RESPONSE_JWT_ISSUER', 'token'),
  'with-invalid-iss-fails': stops(response(withOneAfter('iss')), 'ERR_OIDC_RESPONSE_JWT_ISSUER', 'token'),
  'without-aud-fails': stops(response(without('aud')), 'ERR_OIDC_RESPONSE_JWT_AUDIENCE', 'token'),
  'with-invalid-aud-fails': stops(response(withOneAfter('aud')), 'ERR_OIDC_RESPONSE_JWT_AUDIENCE', 'token'),
  'without-exp-fails': stops(response(without('exp')), 'ERR_OIDC_RESPONSE_JWT_EXPIRED', 'token'),
  'with-expired-exp-fails': stops(response(longAgo), 'ERR_OIDC_RESPONSE_JWT_EXPIRED', 'token'),
  'with-invalid-sig-fails': stops(responseJwt(withBrokenSignature), 'ERR_OIDC_RESPONSE_JWT_SIGNATURE', 'token'),
  'signature-is-not-none': stops(responseJwt(unsigned), 'ERR_OIDC_RESPONSE_JWT_MALFORMED', 'token'),
}

/** Every module of the FAPI 2.0 plans, by its name. */
export const FAPI2_MODULES: Modules<Fapi2Variant> = {
  'fapi2-security-profile-final-client-refresh-token-test': refreshToken,
  ...named('fapi2-security-profile-final-client-test-', SECURITY_PROFILE),
  ...named('fapi2-security-profile-final-client-test-ensure-jarm-', JARM),
}

/** A FAPI 2.0 plan. What its variant leaves open is as usual as can be. */
export function describeFapi2Plan(plan: string, variant: Partial<Fapi2Variant>, names: readonly string[]): void {
  describePlan(plan, { ...FAPI2, ...variant }, names, { modules: FAPI2_MODULES, settingsFor: fapi2SettingsFor })
}
