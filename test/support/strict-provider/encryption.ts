import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { compactDecrypt } from 'jose'
import type { JsonObject } from './changes.ts'
import type { StrictClient } from './client.ts'
import { clientKeysOf } from './client-documents.ts'
import type { StrictContext } from './context.ts'
import { encryptJwe, secretKeyLength } from './jwe.ts'

/** What a client has registered for one kind of answer. */
export interface Encryption {
  readonly alg: string | undefined
  readonly enc: string | undefined
}

/** A JWE that a client has made for the provider. */
export interface DecryptedJwe {
  readonly header: JsonObject
  readonly text: string
}

/** OIDC Registration 2: what is used where only the `alg` is registered. */
const DEFAULT_ENC = 'A128CBC-HS256'

type JweChange = ((jwe: string, signed: string) => string | Promise<string>) | undefined

/** Encrypts to the client a JWT, or bare claims, where the client has registered for that (OIDC Core 10.2). */
export async function encryptForClient(
  context: StrictContext,
  client: StrictClient,
  { alg, enc = DEFAULT_ENC }: Encryption,
  signed: string,
  change: JweChange,
): Promise<string> {
  if (alg === undefined) return signed
  const { key, kid } = await keyOf(context, client, alg, enc)
  const isJwt = !signed.startsWith('{')
  // RFC 7519 5.2: said of a JWT within, and of nothing else.
  const header = { ...(kid === undefined ? {} : { kid }), ...(isJwt ? { cty: 'JWT' } : {}) }
  const jwe = encryptJwe(signed, { alg, enc, key, header, change: context.change.jweHeader })
  return change ? await change(jwe, signed) : jwe
}

async function keyOf(
  context: StrictContext,
  client: StrictClient,
  alg: string,
  enc: string,
): Promise<{ readonly key: KeyObject | Buffer; readonly kid?: string | undefined }> {
  if (!/^(RSA|ECDH)/.test(alg)) return { key: secretKey(client.clientSecret, alg, enc) }
  const { keys } = await clientKeysOf(context, client)
  const jwk = keys.find(({ use, kty }) => use === 'enc' && (alg.startsWith('RSA') ? kty === 'RSA' : kty !== 'RSA'))
  if (!jwk) throw new Error(`the client has no key for ${alg}`)
  return { key: createPublicKey({ key: jwk, format: 'jwk' }), kid: kidOf(jwk) }
}

function kidOf({ kid }: JsonWebKey): string | undefined {
  return typeof kid === 'string' ? kid : undefined
}

/** OIDC Core 10.2: the beginning of a hash of the client's secret. */
export function secretKey(clientSecret: string, alg: string, enc: string): Buffer {
  const length = secretKeyLength(alg, enc)
  const hash = length <= 32 ? 'sha256' : length <= 48 ? 'sha384' : 'sha512'
  return createHash(hash).update(clientSecret).digest().subarray(0, length)
}

/** Decrypts what a client has encrypted to one of the provider's keys, or by its secret; or tells why not. */
export async function decryptFromClient(
  context: StrictContext,
  client: StrictClient,
  jwe: string,
): Promise<DecryptedJwe | string> {
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(jwe, ({ alg, enc }) => {
      const keys = context.encryptionKeys
      if (/^(RSA|ECDH)/.test(alg)) {
        if (!keys) throw new Error('the provider has no keys for that')
        return alg.startsWith('RSA') ? keys.rsa.privateKey : keys.p256.privateKey
      }
      return secretKey(client.clientSecret, alg, enc)
    })
    return { header: { ...protectedHeader }, text: Buffer.from(plaintext).toString() }
  } catch (error) {
    return String(error)
  }
}
