import { isDeepStrictEqual } from 'node:util'
import { OidcError } from '../errors.ts'
import type { Config, FindProviderConfig } from '../options/config.ts'
import { isFoundName } from '../options/provider-names.ts'
import { withTimeLimit } from '../time/limit.ts'
import { createSingleFlight } from '../time/single-flight.ts'

/** The providers that the function in the option `providers` has returned lately. */
export interface FoundProviders {
  /** True if the latest answer for this name is recent: then it need not be asked for. */
  isFresh(name: string): boolean
  /**
   * Asks the function, unless its latest answer is recent. False: there is no such provider. Rejects with
   * `ERR_OIDC_PROVIDER_LOOKUP` if the function fails, and with `ERR_OIDC_CONFIG` if it returns invalid options.
   */
  find(name: string, req: unknown): Promise<boolean>
}

/** How long an answer is kept, in milliseconds. */
const KEPT = {
  /** A provider that is removed or changed is noticed after this time. */
  found: 60_000,
  /** A new provider is noticed after this time. */
  unknown: 10_000,
  /** A failure. Users must not wait long for its end, and it must not call the function for every request. */
  failed: 5000,
  /** While the function fails, its last answer counts for this time. */
  stale: 600_000,
}
/** The number of names of each kind. Anyone can invent names, so those that are unknown never push out a provider. */
const MAX_NAMES = 1000

/** Creates the memory of the answers. `onFound` gets a configuration that is new or has changed, `onGone` a name without one. */
export function createFoundProviders(
  findConfig: FindProviderConfig,
  {
    timeout,
    onFound,
    onGone,
  }: {
    /** In seconds. */
    readonly timeout: number
    readonly onFound: (config: Config) => void
    readonly onGone: (name: string) => void
  },
): FoundProviders {
  const found = new Map<string, { readonly config: Config; readonly at: number }>()
  const unknown = new Map<string, number>()
  const failed = new Map<string, { readonly error: unknown; readonly at: number }>()
  const askOnce = createSingleFlight<string, boolean>()

  function forget(name: string): void {
    if (found.delete(name)) onGone(name)
  }

  /** The name that was not used for the longest time is the first. */
  function keepFound(name: string, config: Config): void {
    const earlier = found.get(name)
    found.delete(name)
    found.set(name, { config, at: Date.now() })
    // The same options mean the same client, whose metadata, keys and connections stay.
    if (earlier === undefined || !isDeepStrictEqual(earlier.config, config)) onFound(config)
    const [oldest] = found.keys()
    if (found.size > MAX_NAMES && oldest !== undefined) forget(oldest)
  }

  async function ask(name: string, req: unknown): Promise<boolean> {
    try {
      const config = await withTimeLimit(
        timeout,
        () => findConfig(name, req),
        () => new Error('The function in the option providers took longer than timeout.'),
      )
      failed.delete(name)
      if (config === undefined) {
        forget(name)
        keep(unknown, name, Date.now())
        return false
      }
      unknown.delete(name)
      keepFound(name, config)
      return true
    } catch (cause) {
      const error = cause instanceof OidcError ? cause : lookupFailed(cause, timeout)
      keep(failed, name, { error, at: Date.now() })
      return afterFailure(name, error)
    }
  }

  /** A provider that is known serves for a while, so that a short outage of the application's database ends no session. */
  function afterFailure(name: string, error: unknown): boolean {
    const last = found.get(name)
    if (last !== undefined && isWithin(KEPT.stale, last.at)) return true
    forget(name)
    throw error
  }

  function isFresh(name: string): boolean {
    const answer = found.get(name)
    if (answer === undefined || !isWithin(KEPT.found, answer.at)) return false
    found.delete(name)
    found.set(name, answer)
    return true
  }

  return {
    isFresh,
    async find(name, req) {
      if (!isFoundName(name)) return false
      if (isFresh(name)) return true
      if (isWithin(KEPT.unknown, unknown.get(name))) return false
      const failure = failed.get(name)
      if (isWithin(KEPT.failed, failure?.at)) return afterFailure(name, failure?.error)
      return await askOnce(name, () => ask(name, req))
    },
  }
}

/** Keeps the latest answers only. */
function keep<Answer>(answers: Map<string, Answer>, name: string, answer: Answer): void {
  answers.delete(name)
  answers.set(name, answer)
  const [oldest] = answers.keys()
  if (answers.size > MAX_NAMES && oldest !== undefined) answers.delete(oldest)
}

/** False if the clock was set back. */
function isWithin(milliseconds: number, since: number = Number.NEGATIVE_INFINITY): boolean {
  const age = Date.now() - since
  return age >= 0 && age < milliseconds
}

function lookupFailed(cause: unknown, timeout: number): OidcError {
  return new OidcError(
    'ERR_OIDC_PROVIDER_LOOKUP',
    `The function in the option providers has failed, or took longer than the ${timeout} seconds of timeout. The cause has its error.`,
    { cause, headers: { 'Retry-After': String(KEPT.failed / 1000) } },
  )
}
