import { AuthorizationError, OidcError, ProviderError, shown } from '../errors.ts'
import { hasColors, isConsoleForDevelopers } from './environment.ts'
import { wrapped } from './explanations.ts'

/** How long a failure that repeats itself is only counted, in milliseconds. */
const QUIET_MILLISECONDS = 1000

/** Failures are told apart by code and message. More than these are not remembered. */
const MAX_REMEMBERED = 100

interface Repeated {
  count: number
  shownAt: number
}

/** The console belongs to the process, so its repetitions are counted for the process. */
const repetitions = new Map<string, Repeated>()

/**
 * Writes a failure to standard error for the developer: one block, and one line with a count if it repeats itself. Does
 * nothing in production and in tests. Call it for failures that nothing else prints: neither Express nor the application.
 */
export function showFailure(error: unknown): void {
  if (!isConsoleForDevelopers() || !(error instanceof OidcError)) return
  const text = repetition(error) ?? failureText(error)
  if (text !== '') process.stderr.write(`\n${text}\n`)
}

/** The line for a failure that was shown before; empty if it was shown a moment ago, `undefined` if it is new. */
function repetition({ code, message }: OidcError): string | undefined {
  const key = `${code} ${message}`
  const now = Date.now()
  const known = repetitions.get(key)
  if (known === undefined) {
    if (repetitions.size >= MAX_REMEMBERED) repetitions.clear()
    repetitions.set(key, { count: 1, shownAt: now })
    return undefined
  }
  known.count += 1
  if (now - known.shownAt < QUIET_MILLISECONDS) return ''
  known.shownAt = now
  return `[${code}] again, ${known.count} times now. It is explained above.`
}

function failureText(error: OidcError): string {
  const [head = '', ...rest] = String(error.stack).split('\n\n')
  const said = [refusalOf(error), causeOf(error)].flatMap((text) => (text === undefined ? [] : [text]))
  const first = [hasColors() ? `\u001b[31m${head}\u001b[39m` : head, ''].join('\n')
  return [first, ...said, rest.join('\n\n')].join('\n').trimEnd()
}

/** What the provider said. It is foreign text, so it is shown on the console only. */
function refusalOf(error: OidcError): string | undefined {
  const isRefusal = error instanceof ProviderError || error instanceof AuthorizationError
  const { error: code, errorDescription: text } = (isRefusal ? error.refusal : undefined) ?? {}
  if (code === undefined) return undefined
  return wrapped('Response', text === undefined ? shown(code) : `${shown(code)}: ${shown(text)}`)
}

/** A cause of our own is in the message already. */
function causeOf({ cause }: OidcError): string | undefined {
  if (!(cause instanceof Error) || cause instanceof OidcError) return undefined
  return wrapped('Reason', shown(cause.message || String(Reflect.get(cause, 'code') ?? cause.name)))
}

/** Tells the developer about the setup, each thing once. */
export type Notices = (name: string, text: string) => void

/** Creates the notices of one `oidc()` call. They are written in development only. */
export function createNotices(): Notices {
  const known = new Set<string>()
  return (name, text) => {
    if (known.has(name) || !isConsoleForDevelopers()) return
    known.add(name)
    process.stderr.write(`\n${wrapped('express-oidc', text).trimStart()}\n`)
  }
}
