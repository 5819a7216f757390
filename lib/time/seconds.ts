import type { Json } from '../types.ts'

/** The end of ECMAScript's time, in seconds: what lies beyond is no instant. */
const LAST_INSTANT = 8.64e12

/** Whether a claim is a time in seconds since 1970 that ECMAScript can tell (RFC 7519 2). */
export function isInstant(value: Json | undefined): value is number {
  return typeof value === 'number' && Math.abs(value) <= LAST_INSTANT
}
