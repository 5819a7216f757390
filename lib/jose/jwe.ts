import type { KeyObject } from 'node:crypto'
import { compactDecrypt } from 'jose'
import type { Json } from '../json-object.ts'
import { isObject, type JsonObject, parseJsonObject } from '../json-object.ts'
import { decodeBase64url } from './base64url.ts'
import type { ClientKeys } from './client-keys.ts'
import { isJwe, requireCompact } from './compact-jws.ts'
import { findKeyManagement } from './jwe-algorithms.ts'
import { ENCRYPTION_HEADER_RULES, type RegisteredEncryption } from './jwe-header.ts'
import { encryptionKeyOfSecret } from './jwe-secret-key.ts'
import type { TokenFault } from './token-kind.ts'

/** What an encrypted token is held against, and opened with. */
export interface EncryptionExpectations extends RegisteredEncryption {
  /** The client's own keys. With `dir` and the AES key wraps, the client secret is the key instead. */
  readonly keys: ClientKeys
}

/**
 * Opens an encrypted token (RFC 7516 7.1) and gives what is inside, unverified: whoever knows the public key of the client
 * can have made it. By the registered algorithms only. That no key opens it is one error, whatever the reason, so that
 * nobody learns anything about the key by asking (RFC 7516 11.5).
 */
export async function decryptToken(
  token: unknown,
  expected: EncryptionExpectations,
  clientSecret: string | undefined,
  fault: TokenFault,
): Promise<string> {
  const jwe = requireCompact(token, fault)
  if (!isJwe(jwe)) throw fault('UNENCRYPTED', 'is not encrypted, as the configuration demands.')
  const header = parseHeader(jwe)
  if (header === undefined) throw fault('MALFORMED', 'is not a JWE in compact form.')
  const broken = ENCRYPTION_HEADER_RULES.find(({ holds }) => !holds(header, expected))
  if (broken !== undefined) throw fault(broken.name, broken.message)
  for (const key of candidates(header, expected, clientSecret)) {
    const plaintext = await open(jwe, key, expected)
    // What is not ASCII is no token: it becomes something that is not base64url either.
    if (plaintext !== undefined) return Buffer.from(plaintext).toString('latin1')
  }
  throw fault('DECRYPTION', 'cannot be opened with any key of this client.')
}

/** Strict base64url throughout; only the encrypted key may be empty (RFC 7516 5.1, `dir` and ECDH-ES). */
function parseHeader(jwe: string): JsonObject | undefined {
  const [header = '', encryptedKey = '', ...rest] = jwe.split('.')
  const filled = encryptedKey === '' ? rest : [encryptedKey, ...rest]
  const bytes = decodeBase64url(header)
  if (bytes === undefined || filled.some((part) => decodeBase64url(part) === undefined)) return undefined
  return parseJsonObject(bytes)
}

function candidates(
  header: JsonObject,
  { alg, enc, keys }: EncryptionExpectations,
  clientSecret: string | undefined,
): readonly KeyObject[] {
  if (findKeyManagement(alg)?.kty === 'oct') {
    return [encryptionKeyOfSecret(clientSecret ?? '', alg, enc)].filter((key) => key !== undefined)
  }
  const { kid, epk } = header
  const crv = isObject(epk) ? epk['crv'] : undefined
  return keys.decryptionKeys({ alg, kid: textOf(kid), crv: textOf(crv) })
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

async function open(jwe: string, key: KeyObject, { alg, enc }: RegisteredEncryption): Promise<Uint8Array | undefined> {
  try {
    const { plaintext } = await compactDecrypt(jwe, key, {
      keyManagementAlgorithms: [alg],
      contentEncryptionAlgorithms: [enc],
      maxDecompressedLength: 0,
    })
    return plaintext
  } catch {
    return undefined
  }
}
