import { readFileSync } from 'node:fs'
import { type Arguments, type CommandName, parseArguments, UsageError } from './arguments.ts'
import { checkCommand } from './check.ts'
import {
  deleteCommand,
  listCommand,
  registerCommand,
  rotateSecretCommand,
  showCommand,
  updateCommand,
} from './client-commands.ts'
import { generateKeyCommand } from './generate-key.ts'
import { generateSecretCommand } from './generate-secret.ts'
import { type CommandEnvironment, createTerminal, describeError, type Terminal } from './output.ts'
import { streamsCommand } from './stream-commands.ts'

/** 0: done. 1: refused or failed. 2: the call is wrong. */
export type ExitCode = 0 | 1 | 2

/** Runs the command line tool `express-oidc`, without the process around it. */
export async function runCommand(args: readonly string[], environment: CommandEnvironment): Promise<ExitCode> {
  const terminal = createTerminal(environment)
  try {
    if (args.includes('--help') || args.includes('-h')) terminal.print(USAGE)
    else if (args.includes('--version')) terminal.print(`${readVersion()}\n`)
    else {
      const given = parseArguments(args)
      return (await COMMANDS[given.command](given, terminal)) === 1 ? 1 : 0
    }
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      terminal.warn(`${error.message}\nTry: express-oidc --help\n`)
      return 2
    }
    terminal.warn(describeError(error))
    return 1
  }
}

/** Resolves with an exit code, or with nothing if that is 0. */
type Command = (given: Arguments, terminal: Terminal) => Promise<void> | Promise<ExitCode>

const COMMANDS: Readonly<Record<CommandName, Command>> = {
  register: registerCommand,
  show: showCommand,
  list: listCommand,
  update: updateCommand,
  delete: deleteCommand,
  'rotate-secret': rotateSecretCommand,
  'generate-key': generateKeyCommand,
  'generate-secret': generateSecretCommand,
  check: checkCommand,
  streams: streamsCommand,
}

/** package.json is two folders above, both in the sources and in the build. */
function readVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}

/** The text of `--help`. */
const USAGE = `express-oidc: checks an OpenID provider, generates secrets and keys, and manages the registration of this application.

  express-oidc check          --issuer URL [--client-id ID] [--base-url URL] [--callback PATH]
                              prints what the provider supports, what to register, and the options for it
  express-oidc generate-secret                             prints a secret for the option secret, or for express-session
  express-oidc generate-key   --alg ALG                    prints a private JSON Web Key for clientKeys
  express-oidc register       --issuer URL --store DIR [--metadata FILE] [members]
  express-oidc show           --issuer URL (--store DIR | CLIENT_ID)
  express-oidc list           --issuer URL [--query TEXT] [--limit NUMBER]          (Okta only)
  express-oidc update         --issuer URL (--store DIR | CLIENT_ID) [--metadata FILE] [members]
  express-oidc rotate-secret  --issuer URL (--store DIR | CLIENT_ID)
  express-oidc delete         --issuer URL (--store DIR | CLIENT_ID)
  express-oidc streams create --issuer URL --endpoint URL  has a transmitter send security events (Shared Signals)
  express-oidc streams status|pause|resume|verify|delete --issuer URL [--stream-id ID]

The provider
  --issuer URL                 the issuer; its metadata names the registration endpoint
  --registration-endpoint URL  the registration endpoint; with --store, --issuer is needed as well
  --registration-client-uri URL
                               the URL of CLIENT_ID; needs the registration token of the client as the token
  --token-file FILE            a file with the initial access token or API token; or use the environment variable
                               EXPRESS_OIDC_TOKEN. Never on the command line, where other users can see it.
  --scheme SSWS|Bearer         the authentication scheme: SSWS for an API token of Okta. Default: Bearer
  --ca FILE                    the certificates of a private certificate authority, in PEM
                               A proxy: set HTTPS_PROXY and NODE_USE_ENV_PROXY=1, where this version of Node can use it.
  --insecure                   allow plain http, in development

The check
  --client-id ID               also ask whether the provider knows this client and its redirect URI
  --base-url URL               the option baseUrl of the application. Default: http://localhost:3000
  --callback PATH              the option routes.callback of the application. Default: /callback

The client
  --store DIR                  the directory of fileClientStore() where the client is saved
  --provider NAME              the name of the provider, if the application has several providers
  --metadata FILE              members of the client as JSON, by their wire names; null removes one
  --name TEXT                  client_name
  --redirect-uri URL           redirect_uris; may be repeated
  --post-logout-redirect-uri URL
                               post_logout_redirect_uris; may be repeated
  --response-type TYPE         response_types; may be repeated
  --grant-type TYPE            grant_types; may be repeated
  --auth-method METHOD         token_endpoint_auth_method
  --application-type TYPE      application_type
  --initiate-login-uri URL     initiate_login_uri

The stream of a transmitter
  --issuer URL                 the issuer of the transmitter
  --configuration-url URL      its configuration document, if that is not at the well-known place
  --endpoint URL               where it sends events: baseUrl followed by the route securityEvents
  --authorization-file FILE    a file with the value of the header Authorization that it sends with each event; or use
                               the environment variable EXPRESS_OIDC_PUSH_AUTHORIZATION
  --audience TEXT              the aud that the stream must have, as in sharedSignals.audience; may be repeated
  --event URI                  the events to request; may be repeated. Default: those that the application acts on
  --stream-id ID               the stream, if there are several
  --replace                    replace the stream that exists already

Output
  --json                       print JSON, without secrets unless --show-secret is given
  --show-secret                print the client secret and the registration token
  --help, --version

Exit codes: 0 done, 1 refused or failed, 2 wrong call.
`
