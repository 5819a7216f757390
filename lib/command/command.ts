import { readFileSync } from 'node:fs'
import {
  type Arguments,
  type CommandEnvironment,
  type CommandName,
  createTerminal,
  parseArguments,
  type Terminal,
  UsageError,
} from './arguments.ts'
import {
  deleteCommand,
  listCommand,
  registerCommand,
  rotateSecretCommand,
  showCommand,
  updateCommand,
} from './client-commands.ts'
import { generateKeyCommand } from './generate-key.ts'
import { describeFailure } from './output.ts'

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
export async function runCommand(args: readonly string[], surroundings: CommandEnvironment): Promise<ExitCode> {
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

/** What follows a fault in the call. */
const HINT = 'Try: express-oidc --help'

/** What `--help` prints. */
const USAGE = `express-oidc: registers this application at an OpenID provider, and looks after the registration.

  express-oidc register       --issuer URL --store DIR [--metadata FILE] [members]
  express-oidc show           --issuer URL (--store DIR | CLIENT_ID)
  express-oidc list           --issuer URL [--query TEXT] [--limit NUMBER]          (Okta)
  express-oidc update         --issuer URL (--store DIR | CLIENT_ID) [--metadata FILE] [members]
  express-oidc rotate-secret  --issuer URL (--store DIR | CLIENT_ID)
  express-oidc delete         --issuer URL (--store DIR | CLIENT_ID)
  express-oidc generate-key   --alg ALG                    prints a private JSON Web Key for clientKeys

The provider
  --issuer URL                 the issuer; its metadata names the registration endpoint
  --registration-endpoint URL  the endpoint itself; with --store, --issuer is needed all the same
  --registration-client-uri URL
                               where the entry of CLIENT_ID is, with its own registration token as the token
  --token-file FILE            holds the initial access token or API token; or the environment variable
                               EXPRESS_OIDC_TOKEN. Never on the command line, where others can see it.
  --scheme SSWS|Bearer         how the token is sent: SSWS for an API token of Okta. Default: Bearer
  --insecure                   allow plain http, for development

The client
  --store DIR                  the folder of fileClientStore() where the client is kept
  --provider NAME              its name under providers, where the application has several
  --metadata FILE              members as JSON, by the names of the standards; a null takes one away
  --name TEXT                  client_name
  --redirect-uri URL           redirect_uris; may be repeated
  --post-logout-redirect-uri URL
                               post_logout_redirect_uris; may be repeated
  --response-type TYPE         response_types; may be repeated
  --grant-type TYPE            grant_types; may be repeated
  --auth-method METHOD         token_endpoint_auth_method
  --application-type TYPE      application_type
  --initiate-login-uri URL     initiate_login_uri

Results
  --json                       prints JSON, without secrets unless --show-secret is given
  --show-secret                prints the client secret and the registration token
  --help, --version

Exit codes: 0 done, 1 refused or failed, 2 called wrongly.
`
