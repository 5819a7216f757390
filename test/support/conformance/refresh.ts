import assert from 'node:assert/strict'
import type { ErrorCode } from '../../../lib/index.ts'
import { type AppOptions, codesOf } from '../app/app.ts'
import { answerJson } from '../app/app-routes.ts'
import type { Browser } from '../browser/browser.ts'
import { assertHarmless, logIn } from '../hostile/hostile.ts'
import type { StrictRequest } from '../strict-provider/context.ts'
import type { StrictProvider } from '../strict-provider/provider.ts'
import { type Edit, withOneAfter } from './changes.ts'
import { assertFinished, type Settings } from './ends.ts'
import type { Module, Modules, Run, Suite } from './suite.ts'
import { SCOPE, type Variant } from './variant.ts'

/** A page that asks UserInfo, in the place of any API. */
export const RESOURCE_APP: Pick<AppOptions, 'routes'> = {
  routes: { '/userinfo': answerJson(({ oidc }) => oidc.userinfo()) },
}

/** The first access token has ended when somebody wants one. */
export function endSoon({ change }: StrictProvider): void {
  change.tokenResponse = (good) => ({ ...good, expires_in: 0 })
}

/** The access tokens that UserInfo was shown, in order. */
export function shownTokens({ requests }: Pick<StrictProvider, 'requests'>): readonly string[] {
  const ofUserinfo = requests.filter(({ endpoint }: StrictRequest) => endpoint === '/userinfo')
  return ofUserinfo.map(({ headers }) => headers.authorization ?? '')
}

const settings: Settings = { app: RESOURCE_APP, options: { scope: `${SCOPE} offline_access` } }

/** Somebody is logged in, and the access token is about to end. */
async function startAged(suite: Suite<Variant>): Promise<{ run: Run<Variant>; browser: Browser }> {
  const run = await suite.start(settings)
  endSoon(run.provider)
  const outcome = await logIn(run)
  await assertFinished(run, outcome)
  return { run, browser: outcome.browser }
}

const refreshToken: Module<Variant> = async (suite) => {
  const { run, browser } = await startAged(suite)
  const page = await browser.fetch('/userinfo')
  run.end()
  assert.deepEqual([page.status, run.provider.complaints, codesOf(run.app)], [200, [], []])
  const [first, second, ...more] = shownTokens(run.provider)
  assert.deepEqual([more, run.provider.calls['/token']], [[], 2])
  assert.notEqual(second, first)
}

/** Only the refresh token of the response is kept, since the old one is spent. Its access token is neither used nor stored. */
function refuses(claims: Edit, code: ErrorCode): Module<Variant> {
  return async (suite) => {
    const { run, browser } = await startAged(suite)
    run.provider.change.refreshedIdTokenClaims = claims
    const before = (await browser.fetch('/tokens')).json()
    const page = await browser.fetch('/userinfo')
    run.end()
    assert.deepEqual([codesOf(run.app), page.status, run.provider.complaints], [[code], 502, []])
    assert.deepEqual([shownTokens(run.provider).length, run.provider.calls['/token']], [1, 2])
    const after = (await browser.fetch('/tokens')).json()
    assert.deepEqual(after, { ...before, refreshToken: after['refreshToken'], needsIdToken: true })
    assertHarmless(run, page)
  }
}

/** What a refresh brings. */
export const REFRESH_ACTS: Modules<Variant> = {
  'oidcc-client-test-refresh-token': refreshToken,
  'oidcc-client-test-refresh-token-invalid-issuer': refuses(withOneAfter('iss'), 'ERR_OIDC_ID_TOKEN_ISSUER'),
  'oidcc-client-test-refresh-token-invalid-sub': refuses(withOneAfter('sub'), 'ERR_OIDC_ID_TOKEN_SUBJECT'),
}
