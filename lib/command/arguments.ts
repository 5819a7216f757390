import { parseArgs } from 'node:util'
import { UsageError } from './surroundings.ts'

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
