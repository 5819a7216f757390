import { CompactEncrypt, importJWK } from 'jose'
import type { OktaClient } from './directory.ts'

/** An ID Token as its client has it registered: signed, and then encrypted to a key of the client's (OIDC Core 10.2). */
export async function encryptFor(
  { id_token_encrypted_response_alg: alg, jwks }: OktaClient,
  jwt: string,
): Promise<string> {
  if (typeof alg !== 'string') return jwt
  const jwk = jwks?.keys.find(({ use }) => use === 'enc')
  if (jwk === undefined) throw new Error('the client has no key to encrypt to')
  const header = { alg, enc: 'A256GCM', cty: 'JWT', ...(typeof jwk['kid'] === 'string' ? { kid: jwk['kid'] } : {}) }
  const text = new TextEncoder().encode(jwt)
  return new CompactEncrypt(text).setProtectedHeader(header).encrypt(await importJWK(jwk, alg))
}
