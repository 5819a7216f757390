import type { StrictClient } from './client.ts'
import { clientKeysOf } from './client-documents.ts'
import { type Demand, isNewId, now, type StrictContext, type StrictRequest } from './context.ts'
import { ASYMMETRIC_ALGS, SYMMETRIC_ALGS, type VerifiedJws, verifyClientJws } from './jws.ts'

/** RFC 7523 2.2. */
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
/** Okta takes no assertion that lives longer, in seconds. */
const LONGEST_LIFE = 3600
/** How far the client's clock may be off, in seconds. */
const TOLERANCE = 5

/** `client_secret_jwt` and `private_key_jwt` (OIDC Core 9). */
export async function checkAssertion(
  context: StrictContext,
  client: StrictClient,
  request: StrictRequest,
): Promise<readonly Demand[]> {
  const { form } = request
  const isOfSecret = client.tokenEndpointAuthMethod === 'client_secret_jwt'
  const { tokenEndpointAuthSigningAlg: registered, clientSecret } = client
  const kind = isOfSecret ? SYMMETRIC_ALGS : ASYMMETRIC_ALGS
  const algorithms = registered === undefined ? kind : [registered]
  const key = isOfSecret ? clientSecret : await clientKeysOf(context, client)
  const verified = await verifyClientJws(form.get('client_assertion') ?? '', algorithms, key)
  const typed: Demand = [
    form.get('client_assertion_type') !== ASSERTION_TYPE,
    'invalid_client',
    'client_assertion_type is wrong',
  ]
  if (typeof verified === 'string') {
    return [typed, [true, 'invalid_client', `client_assertion is refused: ${verified}`]]
  }
  return [typed, ...claimDemands(context, client, request, verified)]
}

/** RFC 7523 3. */
function claimDemands(
  context: StrictContext,
  { clientId }: StrictClient,
  request: StrictRequest,
  { header, claims }: VerifiedJws,
): readonly Demand[] {
  const { iss, sub, aud, exp, iat, nbf, jti } = claims
  const audience = context.assertionAudience === 'issuer' ? context.issuer : request.url
  const isIn = (value: unknown, from: number, to: number): boolean =>
    typeof value === 'number' && value > now() + from && value <= now() + to
  const typ = header['typ']
  const isKnownType = typ === undefined || typ === 'JWT' || typ === 'client-authentication+jwt'
  const demands: readonly (readonly [isBroken: boolean, fault: string])[] = [
    [!isKnownType, 'typ of another kind of token'],
    [iss !== clientId || sub !== clientId, 'iss and sub are not both the client'],
    [aud !== audience, 'aud is not the one string that it must be'],
    [!isIn(exp, 0, LONGEST_LIFE + TOLERANCE), 'exp is missing, past, or more than an hour ahead'],
    [!isIn(iat, -LONGEST_LIFE, TOLERANCE), 'iat is missing, long ago, or in the future'],
    [nbf !== undefined && !isIn(nbf, -Number.MAX_SAFE_INTEGER, TOLERANCE), 'nbf is in the future'],
    [!isNewId(context, 'assertion', jti), 'jti is missing or was used before'],
  ]
  return demands.map(([isBroken, fault]) => [isBroken, 'invalid_client', `client_assertion: ${fault}`])
}
