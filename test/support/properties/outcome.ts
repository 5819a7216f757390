import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import { OidcError } from '../../../lib/errors.ts'

/**
 * As `assert.ok`, but always with a message. Without one, Node 20 looks for the text of the condition in the source, and
 * where tsx has compiled that, it looks for ever: a property that fails would hang.
 */
export function holds(condition: unknown, message: string = 'A condition does not hold.'): asserts condition {
  assert.ok(condition, message)
}

/** What reading foreign text came to: a value, or an error of ours. Anything else that is thrown is passed on. */
export type Outcome<T> =
  | { readonly value: T; readonly error?: never }
  | { readonly error: OidcError; readonly value?: never }

/** Runs a parser. Fails for everything that it throws but an {@link OidcError} with a code of this form. */
export async function outcomeOf<T>(run: () => T | Promise<T>, codes: RegExp = /^ERR_OIDC_/): Promise<Outcome<T>> {
  try {
    return { value: await run() }
  } catch (error) {
    return { error: requireOidcError(error, codes) }
  }
}

/** The same for a parser that waits for nothing. */
export function syncOutcomeOf<T>(run: () => T, codes: RegExp = /^ERR_OIDC_/): Outcome<T> {
  try {
    return { value: run() }
  } catch (error) {
    return { error: requireOidcError(error, codes) }
  }
}

function requireOidcError(error: unknown, codes: RegExp): OidcError {
  holds(error instanceof OidcError, `another error than an OidcError: ${inspect(error)}`)
  assert.match(error.code, codes)
  return error
}

/** How long a parser may take for its largest input, in milliseconds. It takes a few: this only ends what would hang. */
const LIMIT = 10_000

/**
 * Runs a parser and stops it where it hangs. A test's own timeout cannot do that: it waits for the event loop, which a
 * loop or a regular expression holds.
 */
export function stopped<T>(run: () => T): T {
  return runInNewContext('run()', { run }, { timeout: LIMIT })
}

/** Whether a value and all that is in it are frozen. */
export function isDeeplyFrozen(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  return Object.isFrozen(value) && Object.values(value).every(isDeeplyFrozen)
}
