import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { compactDecrypt } from 'jose'
import type { Json } from '../types.ts'
import { contentKeyBits, findKeyManagement } from './algorithms.ts'
import type { ClientKeys } from './client-keys.ts'
import { decodeBase64url, isJwe, requireCompact, type TokenErrorFactory, type TokenErrorName } from './compact-token.ts'
import { isObject, type JsonObject, parseJsonObject } from './json.ts'

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
  fault: TokenErrorFactory,
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

/** What the client is registered with. */
interface RegisteredEncryption {
  readonly alg: string
  readonly enc: string
}

/** One rule about the header of an encrypted token. Nobody has signed it: it is a hint, and grants nothing. */
interface EncryptionHeaderRule {
  readonly name: TokenErrorName
  /** How the sentence about the token goes on. */
  readonly message: string
  readonly holds: (header: JsonObject, registered: RegisteredEncryption) => boolean
}

/** What the header must fulfil, in this order, before any key is touched. */
const ENCRYPTION_HEADER_RULES: readonly EncryptionHeaderRule[] = [
  {
    // OIDC Core 3.1.3.7 (1), RFC 8725 3.1. What is not in the tables equals nothing.
    name: 'ENCRYPTION_ALG',
    message: 'is not encrypted with the algorithms that the configuration names.',
    holds: ({ alg, enc }, registered) =>
      alg === registered.alg &&
      enc === registered.enc &&
      findKeyManagement(registered.alg) !== undefined &&
      contentKeyBits(registered.enc) !== undefined,
  },
  {
    // RFC 7516 4.1.13: we understand no extension. RFC 8725 3.6: nor is anything inflated, whose size nobody knows before.
    name: 'CRIT',
    message: 'demands an extension that is not understood.',
    holds: (header) => !Object.hasOwn(header, 'crit') && !Object.hasOwn(header, 'zip'),
  },
  {
    // RFC 7519 5.2: what is inside is a JWT. Some providers do not say so.
    name: 'TYPE',
    message: 'is said to hold something else than a JWT.',
    holds: ({ cty }) => cty === undefined || (typeof cty === 'string' && /^(application\/)?jwt$/i.test(cty)),
  },
  {
    name: 'MALFORMED',
    message: 'has a key identifier that is not a string.',
    holds: ({ kid }) => kid === undefined || typeof kid === 'string',
  },
]

/**
 * The key that `dir`, the AES key wraps and their GCM kin take (OIDC Core 10.2): the left-most bits of a hash of the client
 * secret. For what is decrypted, and for requests that are encrypted. `undefined` for every other algorithm.
 */
export function encryptionKeyOfSecret(clientSecret: string, alg: string, enc: string): KeyObject | undefined {
  const management = findKeyManagement(alg)
  const bits = management?.kty === 'oct' ? (management.bits ?? contentKeyBits(enc)) : undefined
  if (bits === undefined || clientSecret === '') return undefined
  const digest = createHash(hashFor(bits)).update(clientSecret, 'utf8').digest()
  return createSecretKey(digest.subarray(0, bits / 8))
}

function hashFor(bits: number): string {
  if (bits <= 256) return 'sha256'
  return bits <= 384 ? 'sha384' : 'sha512'
}
