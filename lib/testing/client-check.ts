import { timingSafeEqual } from 'node:crypto'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { parseHttpUrl } from '../options/urls.ts'
import { type EndpointRequest, paramOf, Refusal } from './endpoint-server.ts'
import type { TestClient } from './test-options.ts'
import type { TestContext } from './test-records.ts'

/** What a client has sent to prove who it is. */
interface Credentials {
  readonly method: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'none'
  readonly clientId: string
  /** The secret or the assertion. */
  readonly proof: string
}

/**
 * Authenticates the client of a request to the token, introspection or revocation endpoint (RFC 6749 2.3). The client must use
 * the method that it is registered for.
 */
export async function authenticateClient(context: TestContext, request: EndpointRequest): Promise<TestClient> {
  const credentials = readCredentials(request)
  const client = context.setup.clients.find(({ clientId }) => clientId === credentials.clientId)
  if (client === undefined) throw invalidClient('There is no client with this client_id. Check clientId.')
  if (!methodsOf(client).includes(credentials.method)) {
    throw invalidClient(
      `The client authenticates with ${credentials.method}, but it is registered for ${methodsOf(client).join(', ')}.`,
    )
  }
  await checkProof(context, client, credentials)
  return client
}

/** The methods that a client may use. */
export function methodsOf({
  tokenEndpointAuthMethod,
  clientSecret,
  jwks,
}: TestClient): readonly Credentials['method'][] {
  if (tokenEndpointAuthMethod !== undefined) return [tokenEndpointAuthMethod]
  if (clientSecret !== undefined) return ['client_secret_basic', 'client_secret_post']
  return jwks === undefined ? ['none'] : ['private_key_jwt']
}

/** RFC 6749 2.3: no more than one method in a request. */
function readCredentials({ headers, params }: EndpointRequest): Credentials {
  const found = [
    basicCredentials(headers.authorization),
    assertionCredentials(params),
    secretCredentials(params),
  ].filter((one) => one !== undefined)
  if (found.length > 1) throw new Refusal('invalid_request', 'The client authenticates in two ways at once.')
  const clientId = paramOf(params, 'client_id')
  const [credentials] = found
  if (credentials !== undefined) {
    if (clientId === undefined || clientId === credentials.clientId) return credentials
    throw new Refusal('invalid_request', 'client_id names another client than the one that authenticates.')
  }
  if (clientId === undefined) throw invalidClient('The client does not authenticate.')
  return { method: 'none', clientId, proof: '' }
}

/** RFC 6749 2.3.1: both parts are encoded as in a form. */
function basicCredentials(header: string | undefined): Credentials | undefined {
  if (header === undefined) return undefined
  const [, encoded] = /^basic +([A-Za-z0-9+/]+=*)$/i.exec(header) ?? []
  const text = Buffer.from(encoded ?? '', 'base64').toString('utf8')
  const [, clientId, proof] = /^([^:]+):(.*)$/s.exec(text) ?? []
  if (clientId === undefined || proof === undefined) throw invalidClient('The header Authorization is malformed.')
  return { method: 'client_secret_basic', clientId: formDecoded(clientId), proof: formDecoded(proof) }
}

function formDecoded(text: string): string {
  return new URLSearchParams(`value=${text.replaceAll('&', '%26')}`).get('value') ?? ''
}

function secretCredentials(params: URLSearchParams): Credentials | undefined {
  const proof = paramOf(params, 'client_secret')
  if (proof === undefined) return undefined
  return { method: 'client_secret_post', clientId: paramOf(params, 'client_id') ?? '', proof }
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** RFC 7523 2.2. */
function assertionCredentials(params: URLSearchParams): Credentials | undefined {
  const proof = paramOf(params, 'client_assertion')
  if (proof === undefined) return undefined
  if (paramOf(params, 'client_assertion_type') !== ASSERTION_TYPE) {
    throw new Refusal('invalid_request', `client_assertion_type must be ${ASSERTION_TYPE}.`)
  }
  return { method: 'private_key_jwt', clientId: subjectOf(proof), proof }
}

/** Who the client says it is; not verified yet. */
function subjectOf(jwt: string): string {
  try {
    return String(JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8')).sub)
  } catch {
    throw invalidClient('client_assertion is not a JWT.')
  }
}

async function checkProof(context: TestContext, client: TestClient, { method, proof }: Credentials): Promise<void> {
  if (method === 'private_key_jwt') await checkAssertion(context, client, proof)
  else if (method !== 'none' && !isEqual(proof, client.clientSecret ?? '')) {
    throw invalidClient('The client secret is wrong. Check clientSecret.')
  }
}

function isEqual(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** RFC 7523 3: issuer and subject are the client, the audience is this provider, it expires, and it comes once. */
async function checkAssertion({ issuer, records }: TestContext, client: TestClient, assertion: string): Promise<void> {
  const { clientId, jwks = { keys: [] } } = client
  const { payload } = await jwtVerify(assertion, createLocalJWKSet(jwks as JSONWebKeySet), {
    issuer: clientId,
    subject: clientId,
    audience: [issuer, `${issuer}/token`, `${issuer}/introspect`, `${issuer}/revoke`],
    requiredClaims: ['exp', 'jti'],
  }).catch(() => {
    throw invalidClient('client_assertion is not valid: check its key, iss, sub, aud, exp and jti.')
  })
  const key = `${clientId} ${payload.jti}`
  if (records.assertions.has(key)) throw invalidClient('client_assertion was used before.')
  records.assertions.add(key)
}

function invalidClient(description: string): Refusal {
  return new Refusal('invalid_client', description, 401, { 'WWW-Authenticate': 'Basic realm="test provider"' })
}

/**
 * True if a client may use this redirect URI. Registered ones are compared character by character (RFC 9700 2.1). Without a
 * registration it must be http on this machine, where the port is not known beforehand (RFC 8252 7.3).
 */
export function isRegistered(url: string, registered: readonly string[] | undefined): boolean {
  if (registered !== undefined) return registered.includes(url)
  const { protocol, hostname, hash } = parseHttpUrl(url) ?? { protocol: '', hostname: '', hash: '' }
  return protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname) && hash === ''
}
