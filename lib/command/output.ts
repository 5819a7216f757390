import { type ErrorCode, OidcError, ProviderError } from '../errors.ts'
import { concealSecrets } from '../provider/sent-secrets.ts'
import type { ClientInformation } from '../registration.ts'
import type { Values } from './arguments.ts'

/** What the command needs from its process. */
export interface CommandEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Writes results. */
  readonly print: (text: string) => unknown
  /** Writes everything else: errors, advice, and what was done. */
  readonly warn: (text: string) => unknown
}

/** The environment of a command that knows secrets. */
export interface Terminal extends CommandEnvironment {
  /** Hides this text in later warnings, because a provider may repeat a token in its error. */
  readonly conceal: (secret: string | undefined) => void
}

export function createTerminal(environment: CommandEnvironment): Terminal {
  const secrets = new Set<string>()
  return {
    ...environment,
    conceal(secret) {
      if (secret !== undefined) secrets.add(secret)
    },
    warn(text) {
      environment.warn(concealSecrets(text, secrets))
    },
  }
}

/** Members that are printed only with `--show-secret`. */
const SECRETS: readonly string[] = ['client_secret', 'registration_access_token']

/** One client as JSON without its secrets, or as a table with its secrets hidden. */
export function formatClient(client: ClientInformation, values: Values): string {
  const isShown = (name: string): boolean => values['show-secret'] === true || !SECRETS.includes(name)
  const members = Object.entries(client).filter(([name]) => name !== 'registeredAt')
  if (values['json'] === true)
    return formatMembers(Object.fromEntries(members.filter(([name]) => isShown(name))), values)
  return formatTable(members.map(([name, value]) => [name, isShown(name) ? value : '******** (--show-secret)']))
}

/** Members without secrets: as JSON, or as a table. */
export function formatMembers(members: Readonly<Record<string, unknown>>, values: Values): string {
  return values['json'] === true ? formatJson(members) : formatTable(Object.entries(members))
}

/** Clients as a JSON list without secrets, or one on each line. */
export function formatClients(clients: readonly ClientInformation[], values: Values): string {
  const members = clients.map((client) => Object.entries(client).filter(([name]) => !SECRETS.includes(name)))
  if (values['json'] === true) return formatJson(members.map((list) => Object.fromEntries(list)))
  return formatTable(clients.map((client) => [client.client_id, client.client_name ?? '']))
}

/** JSON escapes only some control characters (RFC 8259 7). Those that it leaves get its escapes too: a parser reads the same. */
export function formatJson(value: unknown): string {
  const lines = JSON.stringify(value, null, 2).split('\n')
  return `${lines.map((line) => line.replace(CONTROL, jsonEscapes)).join('\n')}\n`
}

/** With these, text of the provider could deceive the reader or send commands to the terminal. */
const CONTROL = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

function jsonEscapes(character: string): string {
  // One escape for each UTF-16 unit (RFC 8259 7).
  return character.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Replaces control characters by spaces. */
export function escapeForTerminal(text: string): string {
  return text.replace(CONTROL, ' ')
}

function formatTable(rows: readonly (readonly [name: string, value: unknown])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  const lines = rows.flatMap(([name, value]) =>
    linesOf(value).map((line, index) => `${(index === 0 ? escapeForTerminal(name) : '').padEnd(width)}  ${line}`),
  )
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}

function linesOf(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.length > 0) return value.flatMap(linesOf)
  return [escapeForTerminal(typeof value === 'string' ? value : JSON.stringify(value))]
}

/** What to do after the most common errors. docs/errors.md has more. */
const ADVICE: Partial<Readonly<Record<ErrorCode, string>>> = {
  ERR_OIDC_REGISTRATION_UNSUPPORTED:
    'Set --registration-endpoint, or register the client in the admin console of the provider, and set clientId.',
  ERR_OIDC_REGISTRATION_UNAUTHORIZED:
    'Check the token in --token-file or EXPRESS_OIDC_TOKEN. An API token of Okta needs --scheme SSWS. ' +
    'The client may also have been deleted at the provider.',
  ERR_OIDC_REGISTRATION_SECRET: 'Register a new client, then delete this one.',
  ERR_OIDC_REGISTRATION_RESPONSE: 'Check that the URL is that of the registration endpoint.',
  ERR_OIDC_STREAM_REFUSED:
    'Check the token in --token-file or EXPRESS_OIDC_TOKEN, and its scopes: at Okta ssf.manage and ssf.read.',
  ERR_OIDC_PROVIDER_BUSY:
    'Wait before you try again: a transmitter allows one verification in min_verification_interval seconds.',
  ERR_OIDC_METADATA_INVALID: 'In development, --insecure allows plain http.',
}

/** The text for an error. It has no secret in it, and nothing that a terminal could read as a command. */
export function describeError(error: unknown): string {
  if (!(error instanceof OidcError)) {
    return `error: ${error instanceof Error ? escapeForTerminal(error.message) : 'unknown'}\n`
  }
  const refusal = error instanceof ProviderError ? error.refusal : undefined
  const lines = [
    `${error.code}: ${error.message}${causeOf(error)}`,
    ...(refusal === undefined ? [] : [`The provider says ${joined([refusal.error, refusal.errorDescription])}`]),
    ...[ADVICE[error.code] ?? []].flat(),
  ]
  return `${lines.join('\n')}\n`
}

/** Only the name of a system error: `ECONNREFUSED`, `EACCES`. */
function causeOf({ cause }: OidcError): string {
  const code: unknown = Object(cause).code
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code) ? ` (${code})` : ''
}

function joined(texts: readonly (string | undefined)[]): string {
  return escapeForTerminal(texts.filter((text) => text !== undefined).join(': '))
}
