import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { ENCRYPTION_ALGORITHMS, findJweAlgorithm, findJwsAlgorithm, SIGNATURE_ALGORITHMS } from '../jose/algorithms.ts'
import { keyIdOf, publicMembersOf } from '../jose/client-keys.ts'
import type { KeyKind } from '../jose/jwk.ts'
import { type Arguments, textOf, UsageError } from './arguments.ts'
import { formatJson, type Terminal } from './output.ts'

/** `generate-key`: prints a private key for `clientKeys` as a JWK with `alg`, `use` and `kid`. */
export async function generateKeyCommand({ values }: Arguments, terminal: Terminal): Promise<void> {
  const alg = textOf(values, 'alg') ?? ''
  const generate = GENERATORS.get(alg)
  if (generate === undefined) throw new UsageError(`--alg must be one of ${[...GENERATORS.keys()].join(', ')}.`)
  const use = findJwsAlgorithm(alg) === undefined ? 'enc' : 'sig'
  const wantedUse = textOf(values, 'use') ?? use
  if (wantedUse !== use) throw new UsageError(`--use must be ${use} for ${alg}.`)
  const key = generate()
  const members = key.export({ format: 'jwk' })
  const kid = textOf(values, 'kid') ?? keyIdOf(members, publicMembersOf(key))
  terminal.print(formatJson({ ...members, kid, use, alg }))
  terminal.warn(
    'Keep this key secret. It belongs in the option clientKeys; the route jwks publishes its public part.\n',
  )
}

/** The algorithms that take a key pair, each with the first kind of key that it can have. */
const GENERATORS: ReadonlyMap<string, () => KeyObject> = new Map(
  [...SIGNATURE_ALGORITHMS, ...ENCRYPTION_ALGORITHMS].flatMap((alg) => {
    const [kind] = (findJwsAlgorithm(alg) ?? findJweAlgorithm(alg))?.keyKinds ?? []
    const generate = kind && generatorOf(kind)
    return generate === undefined ? [] : [[alg, generate] as const]
  }),
)

function generatorOf({ kty, crv = '' }: KeyKind): (() => KeyObject) | undefined {
  // Keys should last for years: 3072 bits are as strong as the curve P-256.
  if (kty === 'RSA') return () => generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey
  if (kty === 'EC') return () => generateKeyPairSync('ec', { namedCurve: crv }).privateKey
  return crv === 'Ed25519' ? () => generateKeyPairSync('ed25519').privateKey : undefined
}
