/** How deep a value may be nested. What lies deeper is kept as it is, so that a circle ends. */
const MAX_DEPTH = 16

/** Whether this is an object made by a literal or without a prototype: not an instance, not a list. Any realm will do. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/**
 * A deeply frozen copy of plain objects and lists, so that what was checked is what is used. Own members only; those
 * that are `undefined` are left out, as if they had not been given. Functions and instances are kept as they are.
 */
export function frozenCopy(value: unknown, depth: number = 0): unknown {
  if (depth > MAX_DEPTH) return value
  if (Array.isArray(value)) return Object.freeze(value.map((item) => frozenCopy(item, depth + 1)))
  if (!isPlainObject(value)) return value
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.freeze(Object.fromEntries(members.map(([name, member]) => [name, frozenCopy(member, depth + 1)])))
}

/** Whether JSON can hold this value and give it back unchanged (RFC 8259). */
export function isJson(value: unknown, depth: number = 0): boolean {
  if (depth > MAX_DEPTH) return false
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1))
  return isPlainObject(value) && Object.values(value).every((member) => isJson(member, depth + 1))
}
