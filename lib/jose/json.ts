import type { Json } from '../types.ts'

/** A JSON object from the provider: deeply frozen, with `__proto__` as an ordinary own member. */
export type JsonObject = Readonly<Record<string, Json>>

/** Far deeper than any claim, and shallow enough for code that walks through the value by recursion. */
const MAX_DEPTH = 32

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Parses bytes as one JSON value (RFC 8259), deeply frozen. Returns `undefined` if they are not UTF-8, not JSON or nested too deeply. */
export function parseJson(bytes: Uint8Array): Json | undefined {
  try {
    const value: Json = JSON.parse(utf8.decode(bytes))
    return freezeWithin(value, MAX_DEPTH) ? value : undefined
  } catch {
    return undefined
  }
}

/** Parses bytes as one JSON object, as {@link parseJson} does. Returns `undefined` for any other kind of value. */
export function parseJsonObject(bytes: Uint8Array): JsonObject | undefined {
  const value = parseJson(bytes)
  return isObject(value) ? value : undefined
}

/** True for a JSON object: neither null nor an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function freezeWithin(value: Json, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  Object.freeze(value)
  return Object.values(value).every((member: Json) => freezeWithin(member, depth - 1))
}

/**
 * The members that have a value. Many providers write null or empty text for a value that they do not have. RFC 6749 3.2
 * treats an empty parameter of a request as omitted; this does the same for their responses.
 */
export function presentMembers(json: Readonly<Record<string, unknown>>): JsonObject {
  const present = Object.entries(json).filter(([, value]) => value !== null && value !== undefined && value !== '')
  return Object.freeze(Object.fromEntries(present)) as JsonObject
}
