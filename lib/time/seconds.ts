/** The time now, in seconds since 1970, with its fraction. */
export function nowInSeconds(): number {
  return Date.now() / 1000
}

/** The last time that ECMAScript's `Date` can hold, in seconds since 1970 (ECMA-262 21.4.1.1). */
const MAX_INSTANT = 8.64e12

/** True for a NumericDate: seconds since 1970 that a `Date` can hold (RFC 7519 2). */
export function isInstant(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= MAX_INSTANT
}
