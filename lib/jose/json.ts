import type { Json } from '../types.ts'

/** A JSON object as it came from the provider: deeply frozen, `__proto__` in it an own member like any other. */
export type JsonObject = Readonly<Record<string, Json>>

/** Far deeper than any claim, and shallow enough for whoever walks through the value by recursion. */
const MAX_DEPTH = 32

const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads bytes as one JSON value (RFC 8259), deeply frozen. `undefined` where they are not UTF-8, not JSON, or nested more
 * than 32 deep.
 */
export function parseJson(bytes: Uint8Array): Json | undefined {
  try {
    const value: Json = JSON.parse(utf8.decode(bytes))
    return freezeWithin(value, MAX_DEPTH) ? value : undefined
  } catch {
    return undefined
  }
}

/** Reads bytes as one JSON object, as {@link parseJson} does; `undefined` where it is some other kind of value. */
export function parseJsonObject(bytes: Uint8Array): JsonObject | undefined {
  const value = parseJson(bytes)
  return isObject(value) ? value : undefined
}

/** Whether the value is a JSON object: neither null nor an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function freezeWithin(value: Json, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  Object.freeze(value)
  return Object.values(value).every((member: Json) => freezeWithin(member, depth - 1))
}
