import { type ErrorCode, OidcError } from '../errors.ts'
import { type JsonObject, parseJsonObject } from './json.ts'

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
export function requireCompact(token: unknown, fault: TokenErrorFactory): string {
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

/**
 * Decodes one part of a token. `undefined` where it is empty or not base64url: Node skips what is not, and here there is
 * one spelling for each value (RFC 7515 2, RFC 4648 3.5).
 */
export function decodeBase64url(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url')
  return part !== '' && bytes.toString('base64url') === part ? bytes : undefined
}

/** What the provider signs, and may encrypt. Each kind has error codes of its own. */
export type TokenKind = 'ID_TOKEN' | 'RESPONSE_JWT' | 'USERINFO_JWT' | 'LOGOUT_TOKEN' | 'REVOCATION_JWT'

/** How a token can fail before anybody has looked at its claims: the end of the error code. */
export type TokenErrorName =
  | 'MISSING'
  | 'MALFORMED'
  | 'TOO_LARGE'
  | 'ENCRYPTED'
  | 'UNENCRYPTED'
  | 'ENCRYPTION_ALG'
  | 'DECRYPTION'
  | 'ALG'
  | 'TYPE'
  | 'CRIT'
  | 'KEY'
  | 'SIGNATURE'

/** Makes the error of one kind of token. The message goes on after its name: "is missing." */
export type TokenErrorFactory = (name: TokenErrorName, message: string) => OidcError

/** What a token is called in messages. */
const NOUNS: Readonly<Record<TokenKind, string>> = {
  ID_TOKEN: 'ID Token',
  RESPONSE_JWT: 'authorization response',
  USERINFO_JWT: 'UserInfo response',
  LOGOUT_TOKEN: 'logout token',
  REVOCATION_JWT: 'revocation token',
}

/** The errors of this kind of token: codes `ERR_OIDC_{kind}_{name}`. */
export function tokenErrors(kind: TokenKind): TokenErrorFactory {
  // Of this one a machine is told that it proves nothing, whatever it is.
  const codeOf = (name: TokenErrorName): ErrorCode =>
    kind === 'REVOCATION_JWT' ? 'ERR_OIDC_REVOCATION_JWT' : `ERR_OIDC_${kind}_${name}`
  return (name, message) => new OidcError(codeOf(name), `The ${NOUNS[kind]} ${message}`)
}
