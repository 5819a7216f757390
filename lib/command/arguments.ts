import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { ClientChanges } from '../options/registration-options.ts'

const TEXT = { type: 'string' } as const
const LIST = { type: 'string', multiple: true } as const
const FLAG = { type: 'boolean' } as const

const PROVIDER = {
  issuer: TEXT,
  'registration-endpoint': TEXT,
  'token-file': TEXT,
  scheme: TEXT,
  insecure: FLAG,
  json: FLAG,
} as const

const KEPT = { store: TEXT, provider: TEXT, 'show-secret': FLAG } as const

const ENTRY = { ...KEPT, 'registration-client-uri': TEXT } as const

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

/** The names of the commands. */
export type CommandName = 'register' | 'show' | 'list' | 'update' | 'delete' | 'rotate-secret' | 'generate-key'

type OptionTypes = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>['options']>

/** Which options each command takes, and whether an id may follow. */
const COMMANDS: Readonly<Record<CommandName, { readonly options: OptionTypes; readonly takesId: boolean }>> = {
  register: { options: { ...PROVIDER, ...KEPT, ...MEMBERS }, takesId: false },
  show: { options: { ...PROVIDER, ...ENTRY }, takesId: true },
  list: { options: { ...PROVIDER, query: TEXT, limit: TEXT }, takesId: false },
  update: { options: { ...PROVIDER, ...ENTRY, ...MEMBERS }, takesId: true },
  delete: { options: { ...PROVIDER, ...ENTRY }, takesId: true },
  'rotate-secret': { options: { ...PROVIDER, ...ENTRY }, takesId: true },
  'generate-key': { options: { alg: TEXT, use: TEXT, kid: TEXT }, takesId: false },
}

/** The options of all commands by their names. */
export type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

/** A call of the command, understood. */
export interface Arguments {
  readonly command: CommandName
  /** The `CLIENT_ID` that was named. */
  readonly clientId: string | undefined
  readonly values: Values
}

/** Takes a call apart; throws a {@link UsageError} for one that cannot be understood. */
export function parseArguments(args: readonly string[]): Arguments {
  const [command = '', ...rest] = args
  if (!isCommand(command)) {
    throw new UsageError(command === '' ? 'No command is given.' : 'There is no such command.')
  }
  const { options, takesId } = COMMANDS[command]
  const { values, positionals } = parseRest(rest, options)
  const [clientId, ...more] = positionals
  if (more.length > 0 || (clientId !== undefined && !takesId))
    throw new UsageError(`There are too many words after ${command}.`)
  return { command, clientId, values }
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name)
}

function parseRest(args: readonly string[], options: OptionTypes) {
  if (args.some((arg) => /^--token(?:=|$)/.test(arg))) {
    throw new UsageError('A token on the command line can be seen by others: use --token-file or EXPRESS_OIDC_TOKEN.')
  }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(String(Object(error).message))
  }
}

/** One option that is text. */
export function textOf(values: Values, name: string): string | undefined {
  const value = values[name]
  if (value === '') throw new UsageError(`--${name} must not be empty.`)
  return typeof value === 'string' ? value : undefined
}

/** What the command has of the process that it runs in. */
export interface CommandEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Writes results. */
  readonly print: (text: string) => unknown
  /** Writes what is no result: faults, advice, and what was done. */
  readonly warn: (text: string) => unknown
}

/** The same for a command that has come to know secrets. */
export interface Terminal extends CommandEnvironment {
  /** Has `warn` leave this out from now on: a provider may repeat a token in its refusal. */
  readonly conceal: (secret: string | undefined) => void
}

/** Surroundings in which secrets can be concealed. */
export function createTerminal(surroundings: CommandEnvironment): Terminal {
  const secrets = new Set<string>()
  return {
    ...surroundings,
    conceal(secret) {
      if (secret !== undefined) secrets.add(secret)
    },
    warn(text) {
      surroundings.warn([...secrets].reduce((left, secret) => left.replaceAll(secret, '********'), text))
    },
  }
}

/** The command was called in a way that cannot be understood: exit code 2. */
export class UsageError extends Error {}

/** The members of a client that have an option of their own. */
const OPTIONS: Readonly<Record<string, string>> = {
  name: 'client_name',
  'redirect-uri': 'redirect_uris',
  'post-logout-redirect-uri': 'post_logout_redirect_uris',
  'response-type': 'response_types',
  'grant-type': 'grant_types',
  'auth-method': 'token_endpoint_auth_method',
  'application-type': 'application_type',
  'initiate-login-uri': 'initiate_login_uri',
}

/** The members that a call names: those of `--metadata`, and over them those with options of their own. */
export async function readMembers(values: Values): Promise<ClientChanges> {
  const path = textOf(values, 'metadata')
  const members = path === undefined ? {} : await readObject(path)
  const given = Object.entries(OPTIONS).filter(([option]) => values[option] !== undefined)
  return { ...members, ...Object.fromEntries(given.map(([option, member]) => [member, values[option]])) }
}

async function readObject(path: string): Promise<ClientChanges> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // Told below: the error of a JSON parser holds a piece of the file.
  }
  throw new UsageError('--metadata cannot be read, or is no JSON object.')
}
