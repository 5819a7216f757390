import type { KeySet } from '../app/signing-keys.ts'
import { exchange } from '../browser/http-exchange.ts'
import type { StrictClient } from './client.ts'
import { findFault, type StrictContext } from './context.ts'

const LONGEST = 100_000
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** A document that the client publishes; `undefined` where it cannot be had. */
export async function fetchFromClient(
  context: StrictContext,
  name: string,
  url: string,
  types: RegExp,
): Promise<string | undefined> {
  const answer = await exchange({ method: 'GET', url: new URL(url), headers: {} }).catch(() => undefined)
  const type = answer?.headers['content-type'] ?? ''
  const fault = findFault(context, name, [
    [answer?.status !== 200, 'invalid_request', `the client answers ${answer?.status ?? 'nothing'}`],
    [answer?.status === 200 && !types.test(type), 'invalid_request', `the client answers with the type ${type}`],
    [(answer?.body.length ?? 0) > LONGEST, 'invalid_request', 'the client answers at too great a length'],
  ])
  return fault ? undefined : answer?.body
}

/** The keys of a client: those that are registered, or those that it publishes at the moment. */
export async function clientKeysOf(context: StrictContext, client: StrictClient): Promise<KeySet> {
  if (client.clientJwksUri === undefined) return client.clientJwks ?? { keys: [] }
  const types = /^application\/(jwk-set\+)?json(;|$)/
  const body = await fetchFromClient(context, 'jwks_uri', client.clientJwksUri, types)
  return readClientKeys(context, 'jwks_uri', body === undefined ? { keys: [] } : JSON.parse(body))
}

/** RFC 7517 5. Nobody publishes a private key, nor a secret. */
export function readClientKeys(context: StrictContext, name: string, set: unknown): KeySet {
  const { keys } = Object(set)
  const listed: readonly unknown[] = Array.isArray(keys) ? keys : []
  const fault = findFault(context, name, [
    [!Array.isArray(keys), 'invalid_client_metadata', 'the client has no list of keys'],
    [listed.some(holdsSecret), 'invalid_client_metadata', 'the client publishes a private key'],
  ])
  return fault ? { keys: [] } : { keys: listed as KeySet['keys'] }
}

function holdsSecret(jwk: unknown): boolean {
  return PRIVATE_MEMBERS.some((name) => Object.hasOwn(Object(jwk), name))
}
