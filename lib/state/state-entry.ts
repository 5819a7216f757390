import { createHash } from 'node:crypto'

const TEN_YEARS = 315_360_000_000

/**
 * The name of an entry on a server: of one length, without any character that means something to a server, and without
 * the person whom the key may name.
 */
export function entryName(key: string): string {
  return createHash('sha256').update(asciiJson(key)).digest('base64url')
}

/** Text that every server keeps as it is, in every encoding: printable ASCII, also for a NUL and for half a surrogate pair. */
export function asciiJson(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A life in whole milliseconds: what is none lasts a moment, and nothing lasts for ever. Throws a RangeError for `NaN`. */
export function toMilliseconds(seconds: number): number {
  if (Number.isNaN(seconds)) throw new RangeError('A life in seconds must be a number.')
  return Math.min(Math.max(1, Math.ceil(seconds * 1000)), TEN_YEARS)
}
