import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where the processes of one `npm test` share their keys. Without it, every key is new. */
const FOLDER = process.env['OIDC_TEST_KEYS']

let made = 0

/**
 * A key pair of 2048 bits, another one at each call. RSA keys take longer to make than most tests do, so that the
 * processes of one run share them: the first key is the same in each of them, and the second, and so on.
 */
export function createRsaKeyPair(): KeyPairKeyObjectResult {
  if (FOLDER === undefined) return generateKeyPairSync('rsa', { modulusLength: 2048 })
  const file = join(FOLDER, `rsa-${made++}.pem`)
  if (!existsSync(file)) writeKey(file)
  const privateKey = createPrivateKey(readFileSync(file))
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

/** Renames what it has written, so that no other process reads half a key. */
function writeKey(file: string): void {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  renameSync(draft, file)
}
