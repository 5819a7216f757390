import type { ErrorCode } from '../error-status.ts'
import { OidcError } from '../errors.ts'

/** What the provider signs, and may encrypt. Each kind has error codes of its own. */
export type TokenKind = 'ID_TOKEN' | 'RESPONSE_JWT' | 'USERINFO_JWT' | 'LOGOUT_TOKEN' | 'REVOCATION_JWT'

/** How a token can fail before anybody has looked at its claims: the end of the error code. */
export type TokenFaultName =
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
export type TokenFault = (name: TokenFaultName, message: string) => OidcError

/** What a token is called in messages. */
const NOUNS: Readonly<Record<TokenKind, string>> = {
  ID_TOKEN: 'ID Token',
  RESPONSE_JWT: 'authorization response',
  USERINFO_JWT: 'UserInfo response',
  LOGOUT_TOKEN: 'logout token',
  REVOCATION_JWT: 'revocation token',
}

/** The errors of this kind of token: codes `ERR_OIDC_{kind}_{name}`. */
export function faultsOf(kind: TokenKind): TokenFault {
  // Of this one a machine is told that it proves nothing, whatever it is.
  const codeOf = (name: TokenFaultName): ErrorCode =>
    kind === 'REVOCATION_JWT' ? 'ERR_OIDC_REVOCATION_JWT' : `ERR_OIDC_${kind}_${name}`
  return (name, message) => new OidcError(codeOf(name), `The ${NOUNS[kind]} ${message}`)
}
