import { usesClientSecret } from '../jose/algorithms.ts'
import { type TokenKind, tokenErrors } from '../jose/compact-token.ts'
import { parseJsonObject } from '../jose/json.ts'
import { decryptToken, type EncryptionExpectations } from '../jose/jwe.ts'
import { type SignatureExpectations, type VerifiedToken, verifyJws } from '../jose/jws.ts'
import type { Config } from '../options/config.ts'
import { TENANT_PLACEHOLDER } from '../options/issuer.ts'
import { readSecretKey } from './client-signing.ts'
import type { Provider } from './provider.ts'

/** Verifies one token. `errorStatus`: the HTTP status of errors, if not the usual one of their codes. */
export type VerifyToken = (token: unknown, errorStatus?: number) => Promise<VerifiedToken>

/**
 * Verifies a token of the provider: form, encryption and signature, as registered for this kind, whatever its header says
 * (RFC 8725 3.1). The caller checks the claims. Throws `ERR_OIDC_{kind}_…` and the errors of fetching the keys.
 */
export async function verifyProviderToken(
  provider: Provider,
  kind: RegisteredKind,
  token: unknown,
): Promise<VerifiedToken> {
  const verify = await createTokenVerifier(provider, kind)
  return await verify(token)
}

/**
 * The first half of {@link verifyProviderToken}: reads what verification needs of the configuration. Call it before a code
 * or a refresh token is spent, because the function `clientSecret` may fail.
 */
export async function createTokenVerifier(
  { config, clientKeys, keys }: Pick<Provider, 'config' | 'clientKeys' | 'keys'>,
  kind: RegisteredKind,
): Promise<VerifyToken> {
  const { alg, encryptionAlg, enc } = REGISTERED[kind](config)
  const clientSecret = [alg, encryptionAlg].some(usesClientSecret) ? await readSecretKey(config) : undefined
  const encryption = encryptionAlg === undefined ? undefined : { alg: encryptionAlg, enc, keys: clientKeys }
  if (alg === undefined && encryption !== undefined) {
    return (token) => decryptUnsigned(kind, token, encryption, clientSecret)
  }
  const expected: SignatureExpectations = {
    // An empty alg matches no token.
    alg: alg ?? '',
    clientSecret,
    encryption,
    matchKeyIssuer: config.issuer.includes(TENANT_PLACEHOLDER),
  }
  return (token, errorStatus) => verifyJws(kind, token, keys, { ...expected, errorStatus })
}

/** OIDC Core 5.3.2: UserInfo may be encrypted but not signed. Then it is as trustworthy as the connection it came over. */
async function decryptUnsigned(
  kind: TokenKind,
  token: unknown,
  encryption: EncryptionExpectations,
  clientSecret: string | undefined,
): Promise<VerifiedToken> {
  const tokenError = tokenErrors(kind)
  const plaintext = await decryptToken(token, encryption, clientSecret, tokenError)
  const claims = parseJsonObject(Buffer.from(plaintext, 'latin1'))
  if (claims === undefined) throw tokenError('MALFORMED', 'has claims that are not a JSON object.')
  return { claims, token: plaintext, alg: '' }
}

/** The kinds that a relying party gets. */
type RegisteredKind = Exclude<TokenKind, 'INTROSPECTION_JWT' | 'SECURITY_EVENT'>

/** What is registered for a kind of token (OIDC Dynamic Client Registration 2, JARM 3). */
interface Registered {
  /** Undefined: not signed. */
  readonly alg: string | undefined
  /** Undefined: not encrypted. */
  readonly encryptionAlg?: string | undefined
  readonly enc: string
}

function ofIdTokens(config: Config): Registered {
  return {
    alg: config.idTokenSignedResponseAlg,
    encryptionAlg: config.idTokenEncryptedResponseAlg,
    enc: config.idTokenEncryptedResponseEnc,
  }
}

const REGISTERED: Readonly<Record<RegisteredKind, (config: Config) => Registered>> = {
  ID_TOKEN: ofIdTokens,
  // OIDC Back-Channel Logout 2.4: signed and encrypted as ID Tokens are.
  LOGOUT_TOKEN: ofIdTokens,
  // Global Token Revocation 3: signed, never encrypted.
  REVOCATION_JWT: (config) => ({ ...ofIdTokens(config), encryptionAlg: undefined }),
  RESPONSE_JWT: (config) => ({
    alg: config.authorizationSignedResponseAlg,
    encryptionAlg: config.authorizationEncryptedResponseAlg,
    enc: config.authorizationEncryptedResponseEnc,
  }),
  USERINFO_JWT: (config) => ({
    alg: config.userinfoSignedResponseAlg,
    encryptionAlg: config.userinfoEncryptedResponseAlg,
    enc: config.userinfoEncryptedResponseEnc,
  }),
}
