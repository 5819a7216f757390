import { readFileSync } from 'node:fs'
import { type Arguments, type CommandName, parseArguments } from './arguments.ts'
import { deleteCommand, listCommand, registerCommand, rotateSecretCommand } from './client-commands.ts'
import { showCommand, updateCommand } from './entry-commands.ts'
import { describeFailure } from './failure.ts'
import { generateKeyCommand } from './generate-key.ts'
import { createTerminal, type Surroundings, type Terminal, UsageError } from './surroundings.ts'
import { HINT, USAGE } from './usage.ts'

/** What the command did, as its exit code: done, refused or failed, called wrongly. */
export type ExitCode = 0 | 1 | 2

type Command = (given: Arguments, terminal: Terminal) => Promise<void>

const COMMANDS: Readonly<Record<CommandName, Command>> = {
  register: registerCommand,
  show: showCommand,
  list: listCommand,
  update: updateCommand,
  delete: deleteCommand,
  'rotate-secret': rotateSecretCommand,
  'generate-key': generateKeyCommand,
}

/** The command line tool `express-oidc`, without the process around it. */
export async function runCommand(args: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const terminal = createTerminal(surroundings)
  try {
    if (args.includes('--help') || args.includes('-h')) terminal.print(USAGE)
    else if (args.includes('--version')) terminal.print(`${readVersion()}\n`)
    else {
      const given = parseArguments(args)
      await COMMANDS[given.command](given, terminal)
    }
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      terminal.warn(`${error.message}\n${HINT}\n`)
      return 2
    }
    terminal.warn(describeFailure(error))
    return 1
  }
}

/** The package lies two folders above, whether this runs from its sources or from what was built of them. */
function readVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
