import { createHash } from 'node:crypto'
import { OidcError } from '../errors.ts'
import type { Response } from '../http/request.ts'
import { send } from '../http/response.ts'
import type { Client } from '../relying-party.ts'

// What the routes have in common to which the server of a provider posts a signed token that ends sessions.

/** A token, and the client that it is for. */
export interface VerifiedFor<Token> {
  readonly client: Client
  readonly token: Token
}

/**
 * Verifies a token for each of these clients, and returns those for which it is valid: several names in `providers` can stand
 * for the same client. If there are none, it throws the most relevant error: one that is not the token's fault, because that
 * provider may be the right one.
 */
export async function verifyForEach<Token>(
  clients: readonly Client[],
  verify: (client: Client) => Promise<Token>,
): Promise<readonly [VerifiedFor<Token>, ...VerifiedFor<Token>[]]> {
  const verified: VerifiedFor<Token>[] = []
  const failures: unknown[] = []
  for (const client of clients) {
    try {
      verified.push({ client, token: await verify(client) })
    } catch (error) {
      failures.push(error)
    }
  }
  const [first, ...others] = verified
  if (first !== undefined) return [first, ...others]
  throw failures.find((error) => !isFaultOfSender(error)) ?? failures[0]
}

/** False for an error that is not the token's fault. It becomes a 5xx, and the provider retries. */
export function isFaultOfSender(error: unknown): error is OidcError {
  return error instanceof OidcError && error.status < 500
}

/** The key under which a token is remembered. */
export function replayKey(kind: 'logout-token' | 'revocation' | 'security-event', parts: readonly string[]): string {
  return `${kind}:${createHash('sha256').update(JSON.stringify(parts)).digest('base64url')}`
}

export function sendJson(res: Response, status: number, body: Readonly<Record<string, string>>): void {
  send(res, status, 'application/json', JSON.stringify(body))
}

export function sendEmpty(res: Response, status: number): void {
  res.statusCode = status
  res.setHeader('Cache-Control', 'no-store')
  if (status !== 204) res.setHeader('Content-Length', '0')
  res.end()
}
