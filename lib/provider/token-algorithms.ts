import { isBySecret } from '../jose/algorithms.ts'
import type { TokenKind } from '../jose/compact-token.ts'
import type { SignatureExpectations } from '../jose/jws.ts'
import type { Config } from '../options/config.ts'
import { TENANT_PLACEHOLDER } from '../options/issuer.ts'
import { readSecretKey } from './client-signing.ts'
import type { Provider } from './provider.ts'

/** What was registered for a kind of token (OIDC Dynamic Client Registration 2, JARM 3). */
interface Registered {
  readonly alg: string | undefined
  readonly encryptionAlg: string | undefined
  readonly enc: string
}

function ofIdTokens(config: Config): Registered {
  return {
    alg: config.idTokenSignedResponseAlg,
    encryptionAlg: config.idTokenEncryptedResponseAlg,
    enc: config.idTokenEncryptedResponseEnc,
  }
}

const REGISTERED: Readonly<Record<TokenKind, (config: Config) => Registered>> = {
  ID_TOKEN: ofIdTokens,
  // OIDC Back-Channel Logout 2.4: signed, and where they are encrypted, as ID Tokens.
  LOGOUT_TOKEN: ofIdTokens,
  REVOCATION_JWT: ofIdTokens,
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

/**
 * How a token of this kind must be signed and encrypted: as it was registered, whatever its header says (RFC 8725 3.1). An
 * `alg` that is empty fits no token.
 */
export async function registeredAlgorithmsFor(
  { config, clientKeys }: Pick<Provider, 'config' | 'clientKeys'>,
  kind: TokenKind,
): Promise<SignatureExpectations> {
  const { alg = '', encryptionAlg, enc } = REGISTERED[kind](config)
  return {
    alg,
    // Asked for where it is the key: the function of an application may have a long way to it.
    clientSecret: [alg, encryptionAlg].some(isBySecret) ? await readSecretKey(config) : undefined,
    ...(config.issuer.includes(TENANT_PLACEHOLDER) ? { keyIssuers: 'compared' } : {}),
    ...(encryptionAlg === undefined ? {} : { encryption: { alg: encryptionAlg, enc, keys: clientKeys } }),
  }
}
