import { ERROR_STATUS } from '../error-codes.ts'
import { type ErrorCode, OidcError } from '../errors.ts'
import { type JsonObject, parseJsonObject } from './json.ts'

/** The parts of a JWS in compact form (RFC 7515 7.1). Nothing in it is verified yet. */
export interface CompactJws {
  readonly header: JsonObject
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  /** The whole token, as received. */
  readonly token: string
}

/** Tokens with some thousand groups are smaller than this, even encrypted. */
const MAX_LENGTH = 65_536

/** Returns the token if it is text of an acceptable length. Throws `MISSING`, `MALFORMED` and `TOO_LARGE`. */
export function requireCompact(token: unknown, tokenError: TokenErrorFactory): string {
  if (token === undefined || token === '') throw tokenError('MISSING', 'is missing.')
  if (typeof token !== 'string') throw tokenError('MALFORMED', 'is not a string.')
  if (token.length > MAX_LENGTH) throw tokenError('TOO_LARGE', `is larger than ${MAX_LENGTH / 1024} KiB.`)
  return token
}

/** True for a JWE, which has five parts (RFC 7516 9). */
export function isJwe(token: string): boolean {
  return token.split('.', 6).length === 5
}

/** Headers that were parsed before, by their text. An issuer writes the same one into all its tokens. */
export type KnownHeaders = ReadonlyMap<string, JsonObject>

/** Splits a JWS. Returns `undefined` unless it has exactly three parts in strict base64url, the first a JSON object. */
export function parseCompactJws(token: string, known?: KnownHeaders): CompactJws | undefined {
  const parts = token.split('.', 4)
  const [head = '', body = '', end = ''] = parts
  const header = known?.get(head) ?? parseJsonObject(decodeBase64url(head) ?? new Uint8Array())
  const [payload, signature] = [decodeBase64url(body), decodeBase64url(end)]
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined) return undefined
  return { header, payload, signature, token }
}

/**
 * Decodes one part of a token. Returns `undefined` if it is empty or not strict base64url: Node skips invalid characters,
 * but each value must have exactly one spelling (RFC 7515 2, RFC 4648 3.5).
 */
export function decodeBase64url(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url')
  return part !== '' && bytes.toString('base64url') === part ? bytes : undefined
}

/** The kinds of tokens that a provider signs and may encrypt. Each has its own error codes. */
export type TokenKind =
  | 'ID_TOKEN'
  | 'RESPONSE_JWT'
  | 'USERINFO_JWT'
  | 'LOGOUT_TOKEN'
  | 'REVOCATION_JWT'
  | 'INTROSPECTION_JWT'
  | 'SECURITY_EVENT'

/** How messages call each kind, and how the options begin that say how it is signed and encrypted. */
const KINDS: Readonly<Record<TokenKind, { readonly noun: string; readonly prefix: string }>> = {
  ID_TOKEN: { noun: 'ID Token', prefix: 'idToken' },
  RESPONSE_JWT: { noun: 'authorization response', prefix: 'authorization' },
  USERINFO_JWT: { noun: 'UserInfo response', prefix: 'userinfo' },
  LOGOUT_TOKEN: { noun: 'logout token', prefix: 'idToken' },
  REVOCATION_JWT: { noun: 'revocation token', prefix: 'idToken' },
  INTROSPECTION_JWT: { noun: 'introspection response', prefix: 'introspection' },
  SECURITY_EVENT: { noun: 'security event token', prefix: '' },
}

/** What is wrong with a token. Both texts continue the sentence "The ID Token …". */
export interface TokenProblem {
  /** Names only values of our own configuration, because it may be shown to a browser. */
  readonly message: string
  /** Also names the received value. Used for errors with a 5xx status, which a browser never sees. */
  readonly details?: string
}

/** How messages call a kind of token, as in "The ID Token …". */
export function nounOf(kind: TokenKind): string {
  return KINDS[kind].noun
}

/** An error about a token. `status`: the HTTP status, if not the usual one of the code. */
export function tokenProblemError(
  noun: string,
  code: ErrorCode,
  { message, details = message }: TokenProblem,
  status: number = ERROR_STATUS[code],
): OidcError {
  return new OidcError(code, `The ${noun} ${status < 500 ? message : details}`, { status })
}

/** How a token can fail before its claims are checked: the last part of the error code. */
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

/** Creates the errors of one kind of token. For `message` and `details` see {@link TokenProblem}. */
export interface TokenErrorFactory {
  (name: TokenErrorName, message: string, details?: string): OidcError
  /** The options that say how tokens of this kind are signed and encrypted, for messages. */
  readonly options: Readonly<Record<'signatureAlg' | 'encryptionAlg' | 'encryptionEnc', string>>
}

/** The errors of this kind of token, with the codes `ERR_OIDC_{kind}_{name}`. */
export function tokenErrors(kind: TokenKind, status?: number): TokenErrorFactory {
  const { noun, prefix } = KINDS[kind]
  return Object.assign(
    (name: TokenErrorName, message: string, details: string = message) =>
      tokenProblemError(noun, codeOf(kind, name), { message, details }, status),
    {
      options: {
        signatureAlg: prefix === '' ? 'sharedSignals.signingAlg' : `${prefix}SignedResponseAlg`,
        encryptionAlg: `${prefix}EncryptedResponseAlg`,
        encryptionEnc: `${prefix}EncryptedResponseEnc`,
      },
    },
  )
}

function codeOf(kind: TokenKind, name: TokenErrorName): ErrorCode {
  // The caller of the revocation endpoint only learns that its token proves nothing, whatever the reason.
  if (kind === 'REVOCATION_JWT') return 'ERR_OIDC_REVOCATION_JWT'
  if (kind === 'SECURITY_EVENT') return codeOfSecurityEvent(name)
  return kind === 'INTROSPECTION_JWT' ? 'ERR_OIDC_INTROSPECTION_RESPONSE' : `ERR_OIDC_${kind}_${name}`
}

/** Security events are never encrypted, so there is one code for all that can be wrong with that. */
function codeOfSecurityEvent(name: TokenErrorName): ErrorCode {
  if (name === 'UNENCRYPTED' || name === 'ENCRYPTION_ALG' || name === 'DECRYPTION')
    return 'ERR_OIDC_SECURITY_EVENT_ENCRYPTED'
  return `ERR_OIDC_SECURITY_EVENT_${name}`
}
