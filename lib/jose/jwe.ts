import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { compactDecrypt } from 'jose'
import { shown } from '../errors.ts'
import type { Json } from '../types.ts'
import { contentKeyBits, findJweAlgorithm, usesClientSecret } from './algorithms.ts'
import type { ClientKeys } from './client-keys.ts'
import {
  decodeBase64url,
  isJwe,
  requireCompact,
  type TokenErrorFactory,
  type TokenErrorName,
  type TokenProblem,
} from './compact-token.ts'
import { isObject, type JsonObject, parseJsonObject } from './json.ts'

/** What an encrypted token must be encrypted with, and the keys to decrypt it. */
export interface EncryptionExpectations extends RegisteredEncryption {
  /** The client's own keys. For `dir` and the AES key wraps, the client secret is the key instead. */
  readonly keys: ClientKeys
}

/** The encryption that the client is registered with. */
interface RegisteredEncryption {
  readonly alg: string
  readonly enc: string
}

/**
 * Decrypts a token (RFC 7516 7.1) and returns its content, unverified: anybody who knows the client's public key can have
 * created it. Accepts only the registered algorithms. Every failed decryption gives the same error, so that no sender
 * learns anything about the key (RFC 7516 11.5).
 */
export async function decryptToken(
  token: unknown,
  expected: EncryptionExpectations,
  clientSecret: string | undefined,
  tokenError: TokenErrorFactory,
): Promise<string> {
  const { encryptionAlg } = tokenError.options
  const jwe = requireCompact(token, tokenError)
  if (!isJwe(jwe)) throw tokenError('UNENCRYPTED', `is not encrypted, but ${encryptionAlg} is '${expected.alg}'.`)
  const header = parseHeader(jwe)
  if (header === undefined) throw tokenError('MALFORMED', 'is not a JWE in compact form.')
  checkHeader(header, expected, tokenError)
  for (const key of decryptionKeys(header, expected, clientSecret)) {
    const plaintext = await decrypt(jwe, key, expected)
    // latin1: a token is ASCII. Any other byte becomes a character that is not base64url either.
    if (plaintext !== undefined) return Buffer.from(plaintext).toString('latin1')
  }
  const source = usesClientSecret(expected.alg) ? 'the clientSecret' : 'any of the clientKeys'
  throw tokenError('DECRYPTION', `cannot be decrypted with ${source}.`)
}

/** Strict base64url in every part. Only the encrypted key may be empty (RFC 7516 5.1: `dir` and ECDH-ES). */
function parseHeader(jwe: string): JsonObject | undefined {
  const [header = '', encryptedKey = '', ...rest] = jwe.split('.')
  const filled = encryptedKey === '' ? rest : [encryptedKey, ...rest]
  const bytes = decodeBase64url(header)
  if (bytes === undefined || filled.some((part) => decodeBase64url(part) === undefined)) return undefined
  return parseJsonObject(bytes)
}

function decryptionKeys(
  header: JsonObject,
  { alg, enc, keys }: EncryptionExpectations,
  clientSecret: string | undefined,
): readonly KeyObject[] {
  if (usesClientSecret(alg)) {
    return [encryptionKeyOfSecret(clientSecret ?? '', alg, enc)].filter((key) => key !== undefined)
  }
  const { kid, epk } = header
  const crv = isObject(epk) ? epk['crv'] : undefined
  return keys.decryptionKeys({ alg, kid: textOf(kid), crv: textOf(crv) })
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}

async function decrypt(
  jwe: string,
  key: KeyObject,
  { alg, enc }: RegisteredEncryption,
): Promise<Uint8Array | undefined> {
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

/** One rule for the header of an encrypted token. The header is not signed: it is a hint, and grants nothing. */
interface EncryptionHeaderRule {
  readonly name: TokenErrorName
  readonly isValid: (header: JsonObject, registered: RegisteredEncryption) => boolean
  readonly problem: (
    header: JsonObject,
    registered: RegisteredEncryption,
    options: TokenErrorFactory['options'],
  ) => TokenProblem
}

/** Checked in this order, before any key is used. */
const HEADER_RULES: readonly EncryptionHeaderRule[] = [
  {
    // OIDC Core 3.1.3.7 (1), RFC 8725 3.1. A name that is not in the tables never matches.
    name: 'ENCRYPTION_ALG',
    isValid: ({ alg, enc }, registered) =>
      alg === registered.alg &&
      enc === registered.enc &&
      findJweAlgorithm(registered.alg) !== undefined &&
      contentKeyBits(registered.enc) !== undefined,
    problem: (header, { alg, enc }, { encryptionAlg, encryptionEnc }) => ({
      message: `is not encrypted with '${alg}' (${encryptionAlg}) and '${enc}' (${encryptionEnc}).`,
      details:
        `is encrypted with ${shown(header['alg'])} and ${shown(header['enc'])}, ` +
        `but ${encryptionAlg} is '${alg}' and ${encryptionEnc} is '${enc}'.`,
    }),
  },
  {
    // RFC 7516 4.1.13. RFC 8725 3.6: nothing is decompressed, because its size is not known beforehand.
    name: 'CRIT',
    isValid: (header) => !Object.hasOwn(header, 'crit') && !Object.hasOwn(header, 'zip'),
    problem: () => ({ message: 'has a crit or zip header. Extensions of JWE and compression are not supported.' }),
  },
  {
    // RFC 7519 5.2: the content is a JWT. Some providers omit cty.
    name: 'TYPE',
    isValid: ({ cty }) => cty === undefined || (typeof cty === 'string' && /^(application\/)?jwt$/i.test(cty)),
    problem: ({ cty }) => ({
      message: "has another cty than 'JWT'.",
      details: `has the cty ${shown(cty)}, expected 'JWT'.`,
    }),
  },
  {
    name: 'MALFORMED',
    isValid: ({ kid }) => kid === undefined || typeof kid === 'string',
    problem: () => ({ message: 'has a kid that is not a string.' }),
  },
]

function checkHeader(header: JsonObject, registered: RegisteredEncryption, tokenError: TokenErrorFactory): void {
  const failedRule = HEADER_RULES.find(({ isValid }) => !isValid(header, registered))
  if (failedRule === undefined) return
  const { message, details } = failedRule.problem(header, registered, tokenError.options)
  throw tokenError(failedRule.name, message, details)
}

/**
 * The key for `dir`, the AES key wraps and their GCM variants (OIDC Core 10.2): the left-most bits of a hash of the client
 * secret. To decrypt tokens, and to encrypt requests. Returns `undefined` for every other algorithm.
 */
export function encryptionKeyOfSecret(clientSecret: string, alg: string, enc: string): KeyObject | undefined {
  const algorithm = findJweAlgorithm(alg)
  const bits = algorithm?.usesClientSecret === true ? (algorithm.secretBits ?? contentKeyBits(enc)) : undefined
  if (bits === undefined || clientSecret === '') return undefined
  const digest = createHash(hashFor(bits)).update(clientSecret, 'utf8').digest()
  return createSecretKey(digest.subarray(0, bits / 8))
}

function hashFor(bits: number): string {
  if (bits <= 256) return 'sha256'
  return bits <= 384 ? 'sha384' : 'sha512'
}
