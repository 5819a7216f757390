import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { decodeBase64url } from '../jose/compact-token.ts'

/** The nonces that this API demands in DPoP proofs (RFC 9449 9). */
export interface ServerNonces {
  /** The nonce of this moment, for the header `DPoP-Nonce`. */
  current(now: number): string
  /** True for a nonce of ours that is at most two periods old. */
  accepts(nonce: unknown, now: number): boolean
}

interface ServerNonceSettings {
  /** The first secret makes nonces, and any is accepted, so that a secret can be rotated. Nodes share them. */
  readonly secrets: readonly string[]
  /** After so many seconds the nonce changes. The one before it is accepted for as long again. */
  readonly period: number
  /** How far the clocks of two nodes may differ, in seconds. */
  readonly clockTolerance: number
}

const PERIOD_BYTES = 6
const MAC_BYTES = 16

/**
 * Creates nonces that need no memory: the number of the period, and a MAC of it. So all nodes with the same secret accept
 * one another's nonces, and nobody can make one for a time to come (RFC 9449 8.1: a nonce must be unpredictable).
 */
export function createServerNonces({ secrets, period, clockTolerance }: ServerNonceSettings): ServerNonces {
  const keys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', 'express-oidc dpop-nonce', 32)))
  const [newest] = keys
  if (newest === undefined) throw new TypeError('createServerNonces() needs at least one secret.')
  let latest: { readonly number: number; readonly nonce: string } | undefined

  return {
    current(now) {
      const number = Math.floor(now / period)
      if (latest?.number !== number) latest = { number, nonce: write(newest, number) }
      return latest.nonce
    },
    accepts(nonce, now) {
      const bytes = typeof nonce === 'string' && nonce.length <= 64 ? decodeBase64url(nonce) : undefined
      if (bytes?.byteLength !== PERIOD_BYTES + MAC_BYTES) return false
      const startsAt = bytes.readUIntBE(0, PERIOD_BYTES) * period
      if (startsAt > now + clockTolerance || now - clockTolerance >= startsAt + 2 * period) return false
      return keys.some((key) =>
        timingSafeEqual(macOf(key, bytes.subarray(0, PERIOD_BYTES)), bytes.subarray(PERIOD_BYTES)),
      )
    },
  }
}

function write(key: Buffer, number: number): string {
  const bytes = Buffer.alloc(PERIOD_BYTES)
  bytes.writeUIntBE(number, 0, PERIOD_BYTES)
  return Buffer.concat([bytes, macOf(key, bytes)]).toString('base64url')
}

function macOf(key: Buffer, bytes: Uint8Array): Buffer {
  return createHmac('sha256', key).update(bytes).digest().subarray(0, MAC_BYTES)
}
