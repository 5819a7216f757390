import type { Config } from '../config/config.ts'
import { OidcError } from '../errors.ts'
import { verifyJws } from '../jose/jws.ts'
import type { JsonObject } from '../json-object.ts'
import type { ResponseParams } from './authorization-response.ts'
import type { Provider } from './provider.ts'
import { expectationsOf } from './token-expectations.ts'

/**
 * Reads an authorization response that came as one signed JWT, in the parameter `response` (JARM 2.4). Whatever came
 * beside it is nobody's word. Throws the codes `ERR_OIDC_RESPONSE_JWT_...`.
 */
export async function readResponseJwt(provider: Provider, params: ResponseParams): Promise<ResponseParams> {
  const expected = await expectationsOf(provider, 'RESPONSE_JWT')
  const { claims } = await verifyJws('RESPONSE_JWT', params.get('response'), provider.keys, expected)
  checkClaims(claims, provider.config)
  // What the issuer says of itself in the JWT has been compared: as a parameter it is RFC 9207's.
  return new Map(Object.entries(claims).flatMap(([name, value]) => (isPlain(value) ? [[name, String(value)]] : [])))
}

function checkClaims({ iss, aud, exp }: JsonObject, { issuer, clientId, clockTolerance }: Config): void {
  if (iss !== issuer) throw fault('ISSUER', 'is of another issuer.')
  if (![aud].flat().includes(clientId)) throw fault('AUDIENCE', 'is for another client.')
  const isFresh = typeof exp === 'number' && exp < 8.64e12 && Date.now() / 1000 < exp + clockTolerance
  if (!isFresh) throw fault('EXPIRED', 'has expired, or does not say when it does. Are the clocks right?')
}

function isPlain(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number'
}

function fault(name: 'ISSUER' | 'AUDIENCE' | 'EXPIRED', message: string): OidcError {
  return new OidcError(`ERR_OIDC_RESPONSE_JWT_${name}`, `The authorization response ${message}`)
}
