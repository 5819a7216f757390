import assert from 'node:assert/strict'
import type { ErrorCode } from '../../../lib/index.ts'
import { contentsOf } from '../../../lib/options/response-type.ts'
import { assertLoggedIn, assertRefused, logIn, type Outcome } from '../hostile/hostile.ts'
import type { Endpoint } from '../strict-provider/endpoints.ts'
import { firstRequest, type StrictProvider } from '../strict-provider/provider.ts'
import type { Module, ModuleSettings, Run } from './suite.ts'
import type { Variant } from './variant.ts'

type Calls = Partial<Record<Endpoint, number>>

/** FINISHED: at UserInfo, or where there is no access token at the keys. Everything was asked once, but for `calls`. */
export async function assertFinished(run: Run<Variant>, outcome: Outcome, calls: Calls = {}): Promise<void> {
  run.end()
  const { response_type: type, client_registration: registration } = run.variant
  const { code } = contentsOf(type)
  assert.deepEqual(run.provider.complaints, [])
  assertRequestType(run)
  await assertLoggedIn(run, outcome)
  assertCalls(run, {
    ...{ '/discovery': 1, '/register': registration === 'dynamic_client' ? 1 : 0, '/authorize': 1, '/jwks': 1 },
    ...{ '/token': code ? 1 : 0, '/userinfo': type === 'id_token' ? 0 : 1 },
    ...calls,
  })
}

/** What carries a request object is asked for, or is not there. */
function assertRequestType({ provider, variant }: Run<Variant>): void {
  const carriers = ['request', 'request_uri'].filter((name) => firstRequest(provider, '/authorize')?.query.has(name))
  const expected = { plain_http_request: [], request_object: ['request'], request_uri: ['request_uri'] }
  assert.deepEqual(carriers, expected[variant.request_type])
}

/** What the suite counts, we count. */
export function assertCalls({ provider }: Run<Variant>, calls: Calls): void {
  const { calls: all } = provider
  const counted = Object.fromEntries(Object.keys(calls).map((name) => [name, all[name as Endpoint]]))
  assert.deepEqual(counted, calls)
}

/**
 * PASSED: nothing that is forbidden came. A token that the browser has brought is refused before the code is redeemed,
 * one of the token endpoint before UserInfo is asked; `calls` are for what is found out later.
 */
export async function assertStopped(
  run: Run<Variant>,
  outcome: Outcome,
  code: ErrorCode,
  calls: Calls = {},
): Promise<void> {
  run.end()
  const parts = contentsOf(run.variant.response_type)
  const isBrought = code.startsWith('ERR_OIDC_ID_TOKEN_') && parts.idToken
  const status = isBrought ? { status: 400 } : {}
  assert.deepEqual(run.provider.complaints, [])
  await assertRefused(run, outcome, {
    code,
    ...status,
    calls: { '/token': parts.code && !isBrought ? 1 : 0, ...calls },
  })
}

/** What a module does at its provider. */
export type Change = (provider: StrictProvider) => void | Promise<void>

export type Settings = ModuleSettings<Variant>

/** What else there is to see of a login. */
export type Look = (run: Run<Variant>, outcome: Outcome) => void | Promise<void>

/** A login at a provider that does this, and all is well. */
export function finishes(change: Change = () => undefined, settings: Settings = {}, look?: Look): Module<Variant> {
  return async (suite) => {
    const run = await suite.start(settings)
    await change(run.provider)
    const outcome = await logIn(run)
    await assertFinished(run, outcome)
    await look?.(run, outcome)
  }
}

/** A login at a provider that does this, and is not believed. */
export function stops(change: Change, code: ErrorCode, settings: Settings = {}): Module<Variant> {
  return async (suite) => {
    const run = await suite.start(settings)
    await change(run.provider)
    await assertStopped(run, await logIn(run), code)
  }
}
