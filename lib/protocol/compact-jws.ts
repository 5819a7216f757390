import { type JsonObject, parseJsonObject } from './json-object.ts'

/** The parts of a JWS in its compact form (RFC 7515 7.1). Nothing of it is verified yet. */
export interface CompactJws {
  readonly header: JsonObject
  readonly payload: Uint8Array
  /** All three parts, as they came. */
  readonly token: string
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

/** Node skips what is not base64url. Here there is one spelling for each value: RFC 7515 2, RFC 4648 3.5. */
function decodeBase64url(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url')
  return part !== '' && bytes.toString('base64url') === part ? bytes : undefined
}
