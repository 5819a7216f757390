import type { RegisteredClient } from '../client-metadata.ts'

/** A secret is renewed when a tenth of its life is left, at most a day. */
const LAST_PART = 0.1
const LONGEST_MARGIN = 86_400

type Secret = Pick<RegisteredClient, 'client_secret' | 'client_secret_expires_at' | 'registeredAt'>

/** Whether the client's secret has ended, or is so near its end that a new one is to be had (RFC 7591 3.2.1). */
export function isRenewalDue(client: Secret): boolean {
  const expiresAt = endOf(client)
  const margin = Math.min(LAST_PART * (expiresAt - client.registeredAt), LONGEST_MARGIN)
  return Date.now() / 1000 >= expiresAt - Math.max(margin, 0)
}

/** Whether the client's secret has ended. */
export function isSecretExpired(client: Secret): boolean {
  return Date.now() / 1000 >= endOf(client)
}

/** Zero, and no word of it, means that there is no end. */
function endOf({ client_secret: secret, client_secret_expires_at: expiresAt = 0 }: Secret): number {
  return secret === undefined || expiresAt === 0 ? Number.POSITIVE_INFINITY : expiresAt
}
