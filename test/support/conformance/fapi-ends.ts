import assert from 'node:assert/strict'
import type { ErrorCode } from '../../../lib/index.ts'
import { assertLoggedIn, assertRefused, logIn, type Outcome } from '../hostile/hostile.ts'
import type { Endpoint } from '../strict-provider/endpoints.ts'
import type { StrictProvider } from '../strict-provider/provider.ts'
import type { Module, ModuleSettings, Run, Suite } from './suite.ts'

/** What a module does at its provider. */
export type Change = (provider: StrictProvider) => void

/** What a module may have of its own. */
export interface Further<Variant> {
  readonly settings?: ModuleSettings<Variant>
  /** What else there is to see. */
  readonly look?: (run: Run<Variant>) => void
}

/** What the browser may carry: a reference to what was pushed, or a request object with what must be beside it. */
const BROWSED = [
  ['client_id', 'request_uri'],
  ['client_id', 'request', 'response_type', 'scope'],
]

/** Which calls are forbidden while a module waits for quiet, and how many have come before. */
const QUIET: Readonly<Record<'resource' | 'token' | 'authorization', Partial<Record<Endpoint, number>>>> = {
  resource: { '/token': 1, '/userinfo': 0 },
  token: { '/token': 0, '/userinfo': 0 },
  authorization: { '/par': 0, '/authorize': 0, '/token': 0 },
}

/** A client and a provider that does this. */
export async function startAt<Variant>(
  suite: Suite<Variant>,
  change: Change,
  settings?: ModuleSettings<Variant>,
): Promise<Run<Variant>> {
  const run = await suite.start(settings)
  change(run.provider)
  addDecoys(run.provider)
  return run
}

/** The aliases for clients with certificates are always there: without one, they are nobody's business. */
function addDecoys({ change, issuer, mtlsEndpointUrls }: StrictProvider): void {
  if (mtlsEndpointUrls !== undefined) return
  const { discovery } = change
  change.discovery = (good, answer) => {
    const aliases = { token_endpoint: `${issuer}mtls/token`, userinfo_endpoint: `${issuer}mtls/userinfo` }
    const all = { ...good, mtls_endpoint_aliases: aliases }
    return discovery ? discovery(all, answer) : all
  }
}

/** At the resource, with whatever nonces had to be learned on the way there. */
export async function assertFinished<Variant>(run: Run<Variant>, outcome: Outcome): Promise<void> {
  run.end()
  const { complaints, requests, calls } = run.provider
  assert.deepEqual(complaints, [])
  await assertLoggedIn(run, outcome)
  assert.equal(requests.at(-1)?.endpoint, '/userinfo')
  assert.deepEqual([calls['/discovery'], calls['/authorize']], [1, 1])
  const browsed = requests.find(({ endpoint }) => endpoint === '/authorize')
  assert.deepEqual([...(browsed?.query.keys() ?? [])].sort(), BROWSED[calls['/par'] > 0 ? 0 : 1])
}

/** Where nothing may come any more. */
export async function assertStopped<Variant>(
  run: Run<Variant>,
  outcome: Outcome,
  code: ErrorCode,
  quiet: keyof typeof QUIET = 'resource',
): Promise<void> {
  run.end()
  assert.deepEqual(run.provider.complaints, [])
  await assertRefused(run, outcome, { code, calls: QUIET[quiet] })
}

/** A login at a provider that does this, and all is well. */
export function finishes<Variant>(
  change: Change = () => undefined,
  { settings, look }: Further<Variant> = {},
): Module<Variant> {
  return async (suite) => {
    const run = await startAt(suite, change, settings)
    await assertFinished(run, await logIn(run))
    look?.(run)
  }
}

/** A login at a provider that does this, and is not believed. */
export function stops<Variant>(
  change: Change,
  code: ErrorCode,
  quiet: keyof typeof QUIET = 'resource',
  settings?: ModuleSettings<Variant>,
): Module<Variant> {
  return async (suite) => {
    const run = await startAt(suite, change, settings)
    await assertStopped(run, await logIn(run), code, quiet)
  }
}

/** The same modules, by their whole names. */
export function named<Variant>(
  prefix: string,
  modules: Readonly<Record<string, Module<Variant>>>,
): Readonly<Record<string, Module<Variant>>> {
  return Object.fromEntries(Object.entries(modules).map(([name, act]) => [prefix + name, act]))
}
