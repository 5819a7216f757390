import { randomBytes } from 'node:crypto'
import { AuthorizationError, type OidcError, ProviderError, type ProviderRefusal } from '../errors.ts'
import { type Request, requestPath } from './request.ts'

/**
 * One failure, for the log of the application. All members are data that JSON can hold. It contains no token, code, secret or
 * cookie. `refusal`, `causes` and `path` may hold text of others: escape them where you show them.
 */
export interface ErrorLogEntry {
  /** When it happened, as an ISO date. */
  readonly time: string
  /** `warn` for a 4xx status, `error` for a 5xx status. */
  readonly level: 'warn' | 'error'
  readonly code: string
  readonly status: number
  /** The reference that the user sees: 8 letters and digits. */
  readonly reference: string
  readonly message: string
  readonly method: string
  /** The path of the request, without its query. */
  readonly path: string
  /** The error response of the provider, if there was one. */
  readonly refusal?: ProviderRefusal | undefined
  /** Okta's id of this error. */
  readonly errorId?: string | undefined
  /** Okta's id of the request to the provider. */
  readonly requestId?: string | undefined
  /** The messages of the errors that have caused this one, the nearest first. */
  readonly causes: readonly string[]
  readonly stack: string
}

/** Crockford's Base32: no letter looks like a digit, so that people can read it out on the phone. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** Creates a reference for one failure. It is random, so it says nothing about the user. */
export function createReference(): string {
  return Array.from(randomBytes(8), (byte) => ALPHABET.charAt(byte % ALPHABET.length)).join('')
}

export function describeForLog(error: OidcError, req: Request, reference: string): ErrorLogEntry {
  const { code, status, message } = error
  const refusal = error instanceof AuthorizationError || error instanceof ProviderError ? error.refusal : undefined
  const { errorId, requestId } = error instanceof ProviderError ? error : {}
  return {
    time: new Date().toISOString(),
    level: status < 500 ? 'warn' : 'error',
    ...{ code, status, reference, message },
    method: req.method ?? '',
    path: requestPath({ url: req.originalUrl ?? req.url } as Request),
    ...{ refusal, errorId, requestId },
    causes: causesOf(error),
    stack: String(error.stack),
  }
}

/** A chain of causes may be a cycle. */
const MAX_CAUSES = 5

function causesOf({ cause }: { readonly cause?: unknown }): readonly string[] {
  const causes: string[] = []
  for (let next = cause; next instanceof Error && causes.length < MAX_CAUSES; next = next.cause) {
    const code: unknown = Reflect.get(next, 'code')
    causes.push(typeof code === 'string' ? `${code}: ${next.message}` : `${next.name}: ${next.message}`)
  }
  return causes
}

/** Writes a failure that the option `log` of `errorPage()` has not taken, for this reason. */
export function writeUnlogged(entry: ErrorLogEntry, reason: unknown): void {
  const causes = [...entry.causes, 'The option log of errorPage() failed.', ...causesOf({ cause: reason })]
  writeLogLine({ ...entry, causes })
}

/** One line on standard error: log collectors read it as JSON. */
export function writeLogLine(entry: ErrorLogEntry): void {
  process.stderr.write(`${JSON.stringify(entry)}\n`)
}
