import { findKeyManagement } from './jwe-algorithms.ts'
import { findJwsAlgorithm } from './jws-algorithms.ts'

/** Whether what is signed or encrypted by this algorithm takes the client secret, and no pair of keys. */
export function isBySecret(alg: string | undefined): boolean {
  return alg !== undefined && [findJwsAlgorithm(alg)?.kty, findKeyManagement(alg)?.kty].includes('oct')
}
