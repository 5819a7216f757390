import { X509Certificate } from 'node:crypto'
import { checkAssertion } from './assertion.ts'
import type { StrictClient } from './client.ts'
import { clientKeysOf } from './client-documents.ts'
import type { Demand, StrictContext, StrictRequest } from './context.ts'

/** Which client a request is from, and what is wrong with its proof. */
export interface Authentication {
  readonly client: StrictClient | undefined
  readonly demands: readonly Demand[]
}

/** OAuth 2.0 2.3.1: one method, and exactly the one that is registered. */
export async function authenticateClient(context: StrictContext, request: StrictRequest): Promise<Authentication> {
  const client = context.clients.get(claimedClientId(request) ?? '')
  if (waysUsed(request).length > 1) {
    return { client, demands: [[true, 'invalid_request', 'more than one method of client authentication']] }
  }
  const asked = client ?? context.clients.get(context.clientId)
  if (!asked) return { client, demands: [[true, 'invalid_client', 'there is no client']] }
  return { client, demands: await demandsOf(context, asked, request) }
}

function waysUsed({ headers, form }: StrictRequest): readonly string[] {
  return [
    ...(headers.authorization === undefined ? [] : ['header']),
    ...(form.has('client_secret') ? ['body'] : []),
    ...(form.has('client_assertion') || form.has('client_assertion_type') ? ['assertion'] : []),
  ]
}

/** Who the request says that it is from: nothing of it is proved. */
function claimedClientId({ headers, form }: StrictRequest): string | undefined {
  const [id] = basicHalves(headers.authorization)?.split(':') ?? []
  return id === undefined ? (form.get('client_id') ?? subjectOf(form.get('client_assertion'))) : formDecode(id)
}

function subjectOf(assertion: string | null): string | undefined {
  try {
    const claims = JSON.parse(Buffer.from(assertion?.split('.')[1] ?? '', 'base64url').toString())
    return String(claims.sub)
  } catch {
    return undefined
  }
}

async function demandsOf(
  context: StrictContext,
  client: StrictClient,
  request: StrictRequest,
): Promise<readonly Demand[]> {
  const method = client.tokenEndpointAuthMethod
  if (method === 'client_secret_jwt' || method === 'private_key_jwt') {
    return [...strayDemands(client, request, 'assertion'), ...(await checkAssertion(context, client, request))]
  }
  if (method === 'client_secret_basic') return basicDemands(client, request)
  const demands = strayDemands(client, request, method === 'client_secret_post' ? 'body' : undefined)
  if (method === 'tls_client_auth') return [...demands, ...authorityDemands(client, request)]
  if (method === 'self_signed_tls_client_auth')
    return [...demands, ...(await ownCertificateDemands(context, client, request))]
  return demands
}

function basicDemands(
  { clientId, clientSecret }: StrictClient,
  { endpoint, headers, form }: StrictRequest,
): readonly Demand[] {
  const isRight = basicHalves(headers.authorization) === `${formEncode(clientId)}:${formEncode(clientSecret)}`
  return [
    [!isRight, 'invalid_client', 'Basic credentials are wrong'],
    ...(endpoint === '/par' ? [] : [besideHeader(form)]),
    [form.has('client_secret'), 'invalid_client', 'client_secret is wrong, or does not belong into the body'],
    [form.has('client_assertion'), 'invalid_client', 'a client_assertion was sent'],
  ]
}

/** The header says it. What is pushed has it too, as every authorization request (RFC 9126 2.1). */
function besideHeader(form: URLSearchParams): Demand {
  return [form.has('client_id'), 'invalid_request', 'client_id was sent beside the Authorization header']
}

/** What does not belong to a method that has the client's id in the body. */
function strayDemands(
  { clientId, clientSecret }: StrictClient,
  { headers, form }: StrictRequest,
  proof: 'body' | 'assertion' | undefined,
): readonly Demand[] {
  const wrongSecret = proof === 'body' ? form.get('client_secret') !== clientSecret : form.has('client_secret')
  // RFC 7521 4.2: an assertion says itself whose it is.
  const needsId = proof !== 'assertion' || form.has('client_id')
  return [
    [headers.authorization !== undefined, 'invalid_client', 'an Authorization header was sent'],
    [needsId && form.get('client_id') !== clientId, 'invalid_client', 'client_id is wrong'],
    [wrongSecret, 'invalid_client', 'client_secret is wrong, or does not belong into the body'],
    [proof !== 'assertion' && form.has('client_assertion'), 'invalid_client', 'a client_assertion was sent'],
  ]
}

/** RFC 8705 2.1. */
function authorityDemands(client: StrictClient, { certificate }: StrictRequest): readonly Demand[] {
  if (!certificate) return [[true, 'invalid_client', 'there is no client certificate']]
  const expected = client.tlsClientAuthSubjectDn ?? `CN=${client.clientId}`
  return [
    [!certificate.isTrusted, 'invalid_client', 'the client certificate is of no authority that is trusted'],
    [certificate.subject !== expected, 'invalid_client', 'the client certificate is of another subject'],
  ]
}

/** RFC 8705 2.2. */
async function ownCertificateDemands(
  context: StrictContext,
  client: StrictClient,
  { certificate }: StrictRequest,
): Promise<readonly Demand[]> {
  if (!certificate) return [[true, 'invalid_client', 'there is no client certificate']]
  const isKnown = (await registeredCertificates(context, client)).some((der) => der.equals(certificate.der))
  return [[!isKnown, 'invalid_client', 'the client certificate is not registered']]
}

async function registeredCertificates(context: StrictContext, client: StrictClient): Promise<readonly Buffer[]> {
  const { keys } = await clientKeysOf(context, client)
  const published = keys.flatMap(({ ['x5c']: x5c }) => (Array.isArray(x5c) ? [Buffer.from(x5c[0], 'base64')] : []))
  return [...client.certificates.map(({ cert }) => new X509Certificate(cert).raw), ...published]
}

/**
 * Base64 in its one canonical form, then `:` once, then both halves as `application/x-www-form-urlencoded` writes them:
 * no character encoded that need not be, since many providers never decode.
 */
function basicHalves(header: string | undefined): string | undefined {
  const [scheme, encoded = '', ...more] = (header ?? '').split(' ')
  const decoded = Buffer.from(encoded, 'base64')
  if (scheme !== 'Basic' || more.length > 0 || decoded.toString('base64') !== encoded) return undefined
  return decoded.toString('utf8')
}

function formEncode(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}

function formDecode(text: string): string {
  return new URLSearchParams(`x=${text}`).get('x') ?? ''
}
