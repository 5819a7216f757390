import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { nowInSeconds, type OktaContext, type OktaRequest } from './context.ts'
import type { OktaClient } from './directory.ts'

/** Why a client is not believed, or what is wrong with its request. */
export interface ClientRefusal {
  readonly status: 400 | 401
  readonly error: 'invalid_client' | 'invalid_request'
  readonly text: string
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/**
 * Finds the client of a request, which proves itself by exactly one method, and by the one that is registered.
 *
 * @param endpoint The absolute URL that was called: an assertion must be made for it.
 */
export async function authenticateOktaClient(
  context: OktaContext,
  request: OktaRequest,
  endpoint: string,
): Promise<OktaClient | ClientRefusal> {
  const { headers, form } = request
  const methods = [headers.authorization, form.get('client_secret'), form.get('client_assertion')].filter(Boolean)
  if (methods.length > 1) {
    const text =
      'Cannot supply multiple client credentials. Use one of the following: credentials in the Authorization '
    return {
      status: 400,
      error: 'invalid_request',
      text: `${text}header, credentials in the post body, or a client_assertion.`,
    }
  }
  if (headers.authorization !== undefined) return byBasic(context, headers.authorization)
  if (form.has('client_assertion')) return byAssertion(context, form, endpoint)
  const client = context.clients.get(form.get('client_id') ?? '')
  if (form.has('client_secret')) return bySecret(client, form.get('client_secret') ?? '', 'client_secret_post')
  if (client?.token_endpoint_auth_method === 'none') return client
  return unknownClient(
    client === undefined ? "Invalid value for 'client_id' parameter." : 'No client credentials found.',
  )
}

export function isRefusal(found: OktaClient | ClientRefusal): found is ClientRefusal {
  return 'error' in found && 'text' in found
}

function unknownClient(text: string): ClientRefusal {
  return { status: 401, error: 'invalid_client', text }
}

/** RFC 6749 2.3.1: both halves are form-encoded. */
function byBasic({ clients }: OktaContext, authorization: string): OktaClient | ClientRefusal {
  const [scheme, encoded = ''] = authorization.split(' ')
  if (scheme !== 'Basic') return unknownClient('No client credentials found.')
  const [id = '', secret = ''] = Buffer.from(encoded, 'base64').toString().split(':').map(formDecode)
  return bySecret(clients.get(id), secret, 'client_secret_basic')
}

function formDecode(text: string): string {
  return new URLSearchParams(`x=${text}`).get('x') ?? ''
}

function bySecret(client: OktaClient | undefined, secret: string, method: string): OktaClient | ClientRefusal {
  if (client === undefined) return unknownClient("Invalid value for 'client_id' parameter.")
  const isRight = client.token_endpoint_auth_method === method && client.client_secret === secret
  return isRight ? client : unknownClient('The client secret supplied for a confidential client is invalid.')
}

/** RFC 7523 2.2 and 3, with Okta's own demands: the audience is the endpoint, the life at most an hour, each used once. */
async function byAssertion(
  context: OktaContext,
  form: URLSearchParams,
  endpoint: string,
): Promise<OktaClient | ClientRefusal> {
  const assertion = form.get('client_assertion') ?? ''
  if (form.get('client_assertion_type') !== ASSERTION_TYPE)
    return unknownClient("Invalid value for 'client_assertion_type'.")
  const { sub = '', aud, exp = 0, jti = '', iss, iat = 0 } = decodeJwt(assertion)
  const client = context.clients.get(sub)
  if (client === undefined || iss !== sub) return unknownClient("Invalid value for 'client_id' parameter.")
  const key = keyOf(client, assertion)
  if (!(key instanceof Object && 'type' in key)) return key
  if (!(await isSigned(assertion, key))) return unknownClient('The client_assertion signature is invalid.')
  if (aud !== endpoint) {
    return unknownClient('The audience claim for client_assertion must be the endpoint invoked for the request.')
  }
  const now = nowInSeconds()
  if (exp <= now || exp > now + 3600 || iat > now) {
    return unknownClient('The client_assertion token has an expiration too far into the future, or is not yet valid.')
  }
  if (jti === '' || context.seenIds.has(jti)) return unknownClient('The client_assertion token was used before.')
  context.seenIds.add(jti)
  return client
}

function keyOf(client: OktaClient, assertion: string): KeyObject | ClientRefusal {
  const { kid } = decodeProtectedHeader(assertion)
  if (client.token_endpoint_auth_method === 'client_secret_jwt') {
    const secret = client.client_secret ?? ''
    if (secret.length < 32) return unknownClient('The client secret is too short to verify a JWT HMAC.')
    return createSecretKey(secret, 'utf8')
  }
  if (client.token_endpoint_auth_method !== 'private_key_jwt') return unknownClient('No client credentials found.')
  const keys = client.jwks?.keys ?? []
  const key = kid === undefined && keys.length === 1 ? keys[0] : keys.find((one) => one['kid'] === kid)
  if (kid === undefined && keys.length > 1) return unknownClient('A kid is required, since there are several keys.')
  if (key === undefined) return unknownClient('The client_assertion JWT kid is invalid.')
  return createPublicKey({ key: key as JsonWebKey, format: 'jwk' })
}

async function isSigned(assertion: string, key: KeyObject): Promise<boolean> {
  return jwtVerify(assertion, key).then(
    () => true,
    () => false,
  )
}
