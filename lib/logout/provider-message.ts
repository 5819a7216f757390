import { createHash } from 'node:crypto'
import { OidcError } from '../errors.ts'
import type { Response } from '../http/request.ts'
import { send } from '../http/response.ts'
import type { Client } from '../relying-party.ts'

// Shared by the routes of back-channel.ts and security-events.ts. A provider's server posts a signed token to them,
// which ends sessions.

/** A token, and the client that it is for. */
export interface VerifiedFor<Token> {
  readonly client: Client
  readonly token: Token
}

/**
 * Verifies a token for each of these clients, and returns the clients for which it is valid. There can be several,
 * because the option `providers` may list the same client under several names. If there are none, throws one of the
 * errors. It prefers an error that is not the token's fault, because the token may be valid for that client.
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

/**
 * True if the sender must correct the token or the request. For any other error we respond with a 5xx, and the sender
 * retries.
 */
export function isFaultOfSender(error: unknown): error is OidcError {
  return error instanceof OidcError && error.status < 500
}

/** Returns the key in the shared state under which a used token is remembered. */
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
