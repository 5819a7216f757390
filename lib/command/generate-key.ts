import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { algorithmsOf, keyIdOf, publicMembersOf } from '../jose/client-keys.ts'
import { type Arguments, type Terminal, textOf, UsageError } from './arguments.ts'
import { printedJson } from './output.ts'

/** RSA keys are to last for years: 3072 bits, as strong as the curve P-256. */
const rsa = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey
const ec = (namedCurve: string) => (): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey

/** How a key for an algorithm is made. */
const MAKERS: ReadonlyMap<string, () => KeyObject> = new Map([
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => [alg, rsa] as const),
  ...['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512'].map((alg) => [alg, rsa] as const),
  ['ES256', ec('P-256')],
  ['ES384', ec('P-384')],
  ['ES512', ec('P-521')],
  ...['EdDSA', 'Ed25519'].map((alg) => [alg, () => generateKeyPairSync('ed25519').privateKey] as const),
  ...['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW'].map((alg) => [alg, ec('P-256')] as const),
])

/** `generate-key`: a private key for `clientKeys`, as a JWK with `alg`, `use` and `kid`. */
export async function generateKeyCommand({ values }: Arguments, terminal: Terminal): Promise<void> {
  const alg = textOf(values, 'alg')
  const make = MAKERS.get(alg ?? '')
  if (alg === undefined || make === undefined) {
    throw new UsageError(`--alg must be one of ${[...MAKERS.keys()].join(', ')}.`)
  }
  const key = make()
  const members = key.export({ format: 'jwk' })
  const use = algorithmsOf({ ...members, alg }, 'sig').length > 0 ? 'sig' : 'enc'
  if (![use, undefined].includes(textOf(values, 'use') as typeof use))
    throw new UsageError(`--use is ${use} for ${alg}.`)
  const kid = textOf(values, 'kid') ?? keyIdOf(members, publicMembersOf(key))
  terminal.print(printedJson({ ...members, kid, use, alg }))
  terminal.warn('Keep it secret: it is for clientKeys, and its public part for the provider.\n')
}
