import type { StrictClient } from './client.ts'
import { clientKeysOf, fetchFromClient } from './client-documents.ts'
import { type Demand, isNewId, isRegistered, type JsonObject, now, type StrictContext } from './context.ts'
import { decryptFromClient } from './encryption.ts'
import { ASYMMETRIC_ALGS, readUnsignedJws, SYMMETRIC_ALGS, type VerifiedJws, verifyClientJws } from './jws.ts'

/** The parameters of an authorization request, wherever they came from. */
export interface ResolvedRequest {
  readonly params: URLSearchParams
  readonly demands: readonly Demand[]
}

const LONGEST_LIFE = 3600
const TOLERANCE = 5
/** RFC 9101 10.8: told apart from every other JWT of the client. */
const TYPE = 'oauth-authz-req+jwt'
/** What is about the object itself, and no parameter. */
const OF_THE_OBJECT = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti']
/** RFC 9101 4: what no object may hold. */
const FORBIDDEN = ['request', 'request_uri', 'client_assertion', 'client_secret', 'sub']

/** Reads the parameters out of `request`, or out of what `request_uri` leads to (RFC 9101 5, OIDC Core 6). */
export async function resolveRequestObject(
  context: StrictContext,
  client: StrictClient,
  sent: URLSearchParams,
): Promise<ResolvedRequest> {
  const value = sent.get('request')
  const reference = sent.get('request_uri')
  const outside = new URLSearchParams([...sent].filter(([name]) => name !== 'request' && name !== 'request_uri'))
  if (value === null && reference === null) {
    const isMissing = client.requestObjectSigningAlg !== undefined
    return { params: outside, demands: [[isMissing, 'invalid_request', 'there is no request object']] }
  }
  if (value !== null && reference !== null) {
    return refused(outside, 'invalid_request', 'there are both request and request_uri')
  }
  const object = value ?? (await fetchObject(context, reference ?? ''))
  if (object === undefined) return refused(outside, 'invalid_request_uri', 'request_uri leads nowhere')
  const read = await readObject(context, client, object)
  if (typeof read === 'string') return refused(outside, 'invalid_request_object', `request object: ${read}`)
  const params = paramsOf(read.claims)
  const demands = [...claimDemands(context, client, read), ...outsideDemands(outside, params)]
  return { params, demands: demands.map(([isBroken, fault]) => [isBroken, 'invalid_request_object', fault]) }
}

function refused(params: URLSearchParams, error: string, fault: string): ResolvedRequest {
  return { params, demands: [[true, error, fault]] }
}

async function fetchObject(context: StrictContext, url: string): Promise<string | undefined> {
  // RFC 9101 5.2: at most 512 characters. A fragment is for the cache of the provider alone (OIDC Core 6.2).
  const [address = ''] = url.split('#')
  if (url.length > 512 || !isRegistered(undefined, address.split('?')[0] ?? '')) return undefined
  return await fetchFromClient(context, 'request_uri', address, /^application\/(oauth-authz-req\+)?jwt(;|$)/)
}

/** Takes an object apart, in the way that is registered and in no other; or tells why that cannot be done. */
async function readObject(context: StrictContext, client: StrictClient, object: string): Promise<VerifiedJws | string> {
  const { requestObjectEncryptionAlg: alg, requestObjectEncryptionEnc: enc = 'A128CBC-HS256' } = client
  if (object.split('.').length !== 5) {
    return alg === undefined ? await verifyObject(context, client, object) : 'it is not encrypted'
  }
  const decrypted = await decryptFromClient(context, client, object)
  if (typeof decrypted === 'string') return decrypted
  const { header, text } = decrypted
  if (alg !== undefined && (header['alg'] !== alg || header['enc'] !== enc)) return 'it is encrypted another way'
  // RFC 7519 5.2: what is within is a JWT too.
  return header['cty'] === 'JWT' ? await verifyObject(context, client, text) : 'cty is not JWT'
}

async function verifyObject(
  context: StrictContext,
  client: StrictClient,
  object: string,
): Promise<VerifiedJws | string> {
  const { requestObjectSigningAlg: registered, clientSecret } = client
  if (registered === 'none') return readUnsignedJws(object)
  const isSymmetric = registered === undefined ? isOfSecret(object) : registered.startsWith('HS')
  const algorithms = registered === undefined ? (isSymmetric ? SYMMETRIC_ALGS : ASYMMETRIC_ALGS) : [registered]
  return await verifyClientJws(object, algorithms, isSymmetric ? clientSecret : await clientKeysOf(context, client))
}

function isOfSecret(object: string): boolean {
  const header = Buffer.from(object.split('.')[0] ?? '', 'base64url').toString()
  return /"alg":"HS\d+"/.test(header)
}

function claimDemands(
  context: StrictContext,
  client: StrictClient,
  { header, claims }: VerifiedJws,
): readonly (readonly [isBroken: boolean, fault: string])[] {
  const { iss, aud, exp, nbf, jti, client_id: clientId } = claims
  const isIn = (value: unknown, from: number, to: number): boolean =>
    typeof value === 'number' && value > now() + from && value <= now() + to
  const isSigned = header['alg'] !== 'none'
  // FAPI 2.0 Message Signing 5.3.1: it must say since when, too.
  const mayLackStart = context.profile !== 'fapi2-message-signing' && nbf === undefined
  return [
    [isSigned && header['typ'] !== TYPE, `request object: typ is not ${TYPE}`],
    [iss !== client.clientId || clientId !== client.clientId, 'request object: iss and client_id are not the client'],
    [![aud].flat().includes(context.issuer), 'request object: aud is not the provider'],
    [!isIn(exp, 0, LONGEST_LIFE + TOLERANCE), 'request object: exp is missing, past, or more than an hour ahead'],
    [!mayLackStart && !isIn(nbf, -LONGEST_LIFE, TOLERANCE), 'request object: nbf is missing, long ago, or ahead'],
    [!isNewId(context, 'request', jti), 'request object: jti is missing or was used before'],
    ...FORBIDDEN.map((name) => [Object.hasOwn(claims, name), `request object: ${name} does not belong there`] as const),
  ]
}

/** Numbers and objects as the same parameters are written outside. */
function paramsOf(claims: JsonObject): URLSearchParams {
  const entries = Object.entries(claims).filter(([name]) => !OF_THE_OBJECT.includes(name))
  return new URLSearchParams(
    entries.flatMap(([name, value]) => {
      const values = name === 'resource' ? [value].flat() : [value]
      return values.map((one): [string, string] => [name, typeof one === 'object' ? JSON.stringify(one) : String(one)])
    }),
  )
}

/** RFC 9101 6.3: whatever is outside is said inside too, and the same. */
function outsideDemands(
  outside: URLSearchParams,
  inside: URLSearchParams,
): readonly (readonly [isBroken: boolean, fault: string])[] {
  return [
    [!outside.has('client_id'), 'client_id is not beside the request object'],
    ...[...outside.keys()].map((name) => {
      const isSame = String(outside.getAll(name)) === String(inside.getAll(name))
      return [!isSame, `${name} beside the request object is not the one in it`] as const
    }),
  ]
}
