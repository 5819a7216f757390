import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { ca as caRule } from '../options/option-rules.ts'
import type { ClientChanges } from '../registration.ts'

/** The names of the commands. */
export type CommandName =
  | 'register'
  | 'show'
  | 'list'
  | 'update'
  | 'delete'
  | 'rotate-secret'
  | 'generate-key'
  | 'generate-secret'
  | 'check'
  | 'streams'

/** The options of a call by their names, without the two dashes. */
export type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

/** A parsed call of the command. */
export interface Arguments {
  readonly command: CommandName
  /** The word after the command: a `CLIENT_ID`, or after `streams` what to do. */
  readonly clientId: string | undefined
  readonly values: Values
}

/** The call is wrong: exit code 2. */
export class UsageError extends Error {}

/** Parses a call. Throws a {@link UsageError} if it is wrong. */
export function parseArguments(args: readonly string[]): Arguments {
  const [command = '', ...rest] = args
  if (!isCommand(command)) {
    throw new UsageError(command === '' ? 'No command is given.' : 'There is no such command.')
  }
  const { options, takesId } = COMMANDS[command]
  const { values, positionals } = parseOptions(rest, options)
  const [clientId, ...more] = positionals
  if (more.length > 0 || (clientId !== undefined && !takesId)) {
    throw new UsageError(`There are too many words after ${command}.`)
  }
  return { command, clientId, values }
}

const TEXT = { type: 'string' } as const
const LIST = { type: 'string', multiple: true } as const
const FLAG = { type: 'boolean' } as const

const PROVIDER = {
  issuer: TEXT,
  'registration-endpoint': TEXT,
  'token-file': TEXT,
  ca: TEXT,
  scheme: TEXT,
  insecure: FLAG,
  json: FLAG,
} as const

const STORE = { store: TEXT, provider: TEXT, 'show-secret': FLAG } as const

const CLIENT = { ...STORE, 'registration-client-uri': TEXT } as const

const MEMBERS = {
  metadata: TEXT,
  name: TEXT,
  'redirect-uri': LIST,
  'post-logout-redirect-uri': LIST,
  'response-type': LIST,
  'grant-type': LIST,
  'auth-method': TEXT,
  'application-type': TEXT,
  'initiate-login-uri': TEXT,
} as const

type OptionTypes = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>['options']>

const STREAM = {
  issuer: TEXT,
  'configuration-url': TEXT,
  'token-file': TEXT,
  'authorization-file': TEXT,
  ca: TEXT,
  'stream-id': TEXT,
  endpoint: TEXT,
  audience: LIST,
  event: LIST,
  replace: FLAG,
  insecure: FLAG,
  json: FLAG,
} as const

const CHECK = {
  issuer: TEXT,
  'client-id': TEXT,
  'base-url': TEXT,
  callback: TEXT,
  ca: TEXT,
  insecure: FLAG,
  json: FLAG,
} as const

/** The options of each command, and whether a word may follow. */
const COMMANDS: Readonly<Record<CommandName, { readonly options: OptionTypes; readonly takesId: boolean }>> = {
  register: { options: { ...PROVIDER, ...STORE, ...MEMBERS }, takesId: false },
  show: { options: { ...PROVIDER, ...CLIENT }, takesId: true },
  list: { options: { ...PROVIDER, query: TEXT, limit: TEXT }, takesId: false },
  update: { options: { ...PROVIDER, ...CLIENT, ...MEMBERS }, takesId: true },
  delete: { options: { ...PROVIDER, ...CLIENT }, takesId: true },
  'rotate-secret': { options: { ...PROVIDER, ...CLIENT }, takesId: true },
  streams: { options: STREAM, takesId: true },
  check: { options: CHECK, takesId: false },
  'generate-secret': { options: {}, takesId: false },
  'generate-key': { options: { alg: TEXT, use: TEXT, kid: TEXT }, takesId: false },
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name)
}

function parseOptions(args: readonly string[], options: OptionTypes) {
  if (args.some((arg) => /^--token(?:=|$)/.test(arg))) {
    throw new UsageError(
      'Other users of this machine can see a token on the command line. Use --token-file or EXPRESS_OIDC_TOKEN.',
    )
  }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(String(Object(error).message))
  }
}

/** The value of an option that takes text. */
export function textOf(values: Values, name: string): string | undefined {
  const value = values[name]
  if (value === '') throw new UsageError(`--${name} must not be empty.`)
  return typeof value === 'string' ? value : undefined
}

/** The token in `--token-file` or in the environment. Never on the command line. */
export async function readToken(
  values: Values,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const path = textOf(values, 'token-file')
  const text = path === undefined ? env['EXPRESS_OIDC_TOKEN'] : await readFile(path, 'utf8').catch(() => undefined)
  if (path !== undefined && !text?.trim()) {
    throw new UsageError('--token-file must name a file that can be read and is not empty.')
  }
  return text?.trim() || undefined
}

/** The certificate authorities in `--ca`, as the option `ca`. */
export async function readAuthorities(values: Values): Promise<{ ca?: string }> {
  const path = textOf(values, 'ca')
  if (path === undefined) return {}
  const ca = await readFile(path, 'utf8').catch(() => undefined)
  if (ca !== undefined && caRule(ca, '--ca').length === 0) return { ca }
  throw new UsageError('--ca must name a file with certificates in PEM that can be read.')
}

/** The member of a client that each of these options sets. */
const MEMBER_OPTIONS: Readonly<Record<string, string>> = {
  name: 'client_name',
  'redirect-uri': 'redirect_uris',
  'post-logout-redirect-uri': 'post_logout_redirect_uris',
  'response-type': 'response_types',
  'grant-type': 'grant_types',
  'auth-method': 'token_endpoint_auth_method',
  'application-type': 'application_type',
  'initiate-login-uri': 'initiate_login_uri',
}

/** The members of a client in a call: those in the file `--metadata`, overridden by the options above. */
export async function readMembers(values: Values): Promise<ClientChanges> {
  const path = textOf(values, 'metadata')
  const members = path === undefined ? {} : await readJsonObject(path)
  const given = Object.entries(MEMBER_OPTIONS).filter(([option]) => values[option] !== undefined)
  return { ...members, ...Object.fromEntries(given.map(([option, member]) => [member, values[option]])) }
}

async function readJsonObject(path: string): Promise<ClientChanges> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // The error of `JSON.parse` contains a part of the file, so it is dropped.
  }
  throw new UsageError('--metadata must name a file that contains a JSON object.')
}
