import { randomBytes } from 'node:crypto'
import type { Arguments } from './arguments.ts'
import type { Terminal } from './output.ts'

/** `generate-secret`: prints 256 random bits as text, for the option `secret` or for express-session. */
export async function generateSecretCommand(_given: Arguments, terminal: Terminal): Promise<void> {
  terminal.print(`${randomBytes(32).toString('base64url')}\n`)
  terminal.warn(
    'Keep this secret where your other secrets are. Generate one for the option secret and another one for express-session.\n',
  )
}
