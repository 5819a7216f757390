import { type ErrorCode, OidcError, ProviderError } from '../errors.ts'
import type { ClientInformation } from '../options/registration-options.ts'
import type { Values } from './arguments.ts'

/** What is never printed unless it is asked for. */
const SECRETS: readonly string[] = ['client_secret', 'registration_access_token']

/** A client as it is printed: as JSON without its secrets, or as a table in which they are hidden. */
export function formatClient(client: ClientInformation, values: Values): string {
  const isShown = (name: string): boolean => values['show-secret'] === true || !SECRETS.includes(name)
  const members = Object.entries(client).filter(([name]) => name !== 'registeredAt')
  if (values['json'] === true) return printedJson(Object.fromEntries(members.filter(([name]) => isShown(name))))
  return printedTable(members.map(([name, value]) => [name, isShown(name) ? value : '******** (--show-secret)']))
}

/** Clients, one on each line, or as a list of JSON. */
export function printedClients(clients: readonly ClientInformation[], values: Values): string {
  const members = clients.map((client) => Object.entries(client).filter(([name]) => !SECRETS.includes(name)))
  if (values['json'] === true) return printedJson(members.map((list) => Object.fromEntries(list)))
  return printedTable(clients.map((client) => [client.client_id, client.client_name ?? '']))
}

/** A value as JSON. */
export function printedJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** Text of others for a terminal, which control characters could deceive or command. */
export function escapeForTerminal(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, ' ')
}

function printedTable(rows: readonly (readonly [name: string, value: unknown])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  const lines = rows.flatMap(([name, value]) =>
    wordsOf(value).map((word, index) => `${(index === 0 ? escapeForTerminal(name) : '').padEnd(width)}  ${word}`),
  )
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}

function wordsOf(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.length > 0) return value.flatMap(wordsOf)
  return [escapeForTerminal(typeof value === 'string' ? value : JSON.stringify(value))]
}

/** What to do, for the failures that one meets most. The documentation has more on each. */
const ADVICE: Partial<Readonly<Record<ErrorCode, string>>> = {
  ERR_OIDC_REGISTRATION_UNSUPPORTED: 'Name the endpoint by --registration-endpoint, or register the client by hand.',
  ERR_OIDC_REGISTRATION_UNAUTHORIZED:
    'Look at the token: --token-file or EXPRESS_OIDC_TOKEN, with --scheme SSWS for an API token of Okta. ' +
    'For a client that exists: it may have been deleted.',
  ERR_OIDC_REGISTRATION_SECRET: 'Register another client, and delete this one.',
  ERR_OIDC_REGISTRATION_RESPONSE: 'Look whether the address is that of the registration endpoint.',
  ERR_OIDC_METADATA_INVALID: 'For plain http, in development, there is --insecure.',
}

/** What is printed of a failure: nothing that is secret, and nothing that a terminal could take for a command. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof OidcError))
    return `error: ${error instanceof Error ? escapeForTerminal(error.message) : 'unknown'}\n`
  const refusal = error instanceof ProviderError ? error.refusal : undefined
  const lines = [
    `${error.code}: ${error.message}${causeOf(error)}`,
    ...(refusal === undefined ? [] : [`The provider says ${said([refusal.error, refusal.errorDescription])}`]),
    ...[ADVICE[error.code] ?? []].flat(),
  ]
  return `${lines.join('\n')}\n`
}

/** Of a failure of the system, its name alone: `ECONNREFUSED`, `EACCES`. */
function causeOf({ cause }: OidcError): string {
  const code: unknown = Object(cause).code
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code) ? ` (${code})` : ''
}

function said(texts: readonly (string | undefined)[]): string {
  return escapeForTerminal(texts.filter((text) => text !== undefined).join(': '))
}
