import { type JsonObject, parseJsonObject } from '../json-object.ts'
import { decodeBase64url } from './base64url.ts'
import type { TokenFault } from './token-kind.ts'

/** The parts of a JWS in its compact form (RFC 7515 7.1). Nothing of it is verified yet. */
export interface CompactJws {
  readonly header: JsonObject
  readonly payload: Uint8Array
  /** All three parts, as they came. */
  readonly token: string
}

/** A token with some thousand groups stays below this, encrypted too. */
const MAX_LENGTH = 65_536

/** The token as text of a bearable length, whatever it is. Throws `MISSING`, `MALFORMED` and `TOO_LARGE`. */
export function requireCompact(token: unknown, fault: TokenFault): string {
  if (token === undefined || token === '') throw fault('MISSING', 'is missing.')
  if (typeof token !== 'string') throw fault('MALFORMED', 'is not a string.')
  if (token.length > MAX_LENGTH) throw fault('TOO_LARGE', 'is larger than 64 KiB.')
  return token
}

/** RFC 7516 9: five parts are a JWE. */
export function isJwe(token: string): boolean {
  return token.split('.', 6).length === 5
}

/** Takes a JWS apart; `undefined` where it is not exactly three parts in strict base64url, the first a JSON object. */
export function parseCompactJws(token: string): CompactJws | undefined {
  const parts = token.split('.', 4)
  const [header, payload, signature] = parts.map(decodeBase64url)
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined) return undefined
  const parsed = parseJsonObject(header)
  if (parsed === undefined) return undefined
  return { header: parsed, payload, token }
}
