import { randomBytes, randomInt } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { METADATA_DEFAULTS, metadataDemands, needsSecret, readMetadata } from './client-metadata.ts'
import {
  findFault,
  type JsonObject,
  now,
  type Registration,
  type StrictContext,
  type StrictRequest,
  sendChanged,
} from './context.ts'
import { createRegisteredClient } from './registered-client.ts'

interface Answer {
  readonly status: number
  readonly json: JsonObject
}

/** OIDC Registration 3 and 4, RFC 7591 3, RFC 7592 2. */
export function answerRegister(context: StrictContext, request: StrictRequest, res: ServerResponse): void {
  const isNew = request.path === new URL(context.endpointUrls['/register']).pathname
  const { status, json } = isNew ? register(context, request) : manage(context, request)
  if (status === 204) {
    res.writeHead(204).end()
    return
  }
  const headers: Record<string, string> = status === 401 ? { 'WWW-Authenticate': 'Bearer error="invalid_token"' } : {}
  sendChanged(res, json, context.change.registrationResponse, { status, headers })
}

function register(context: StrictContext, request: StrictRequest): Answer {
  const isProtected = context.registration === 'protected'
  const metadata = readMetadata(request)
  const refusal = refuse(context, [
    [request.method !== 'POST', 'invalid_request', 'the method is not POST'],
    [isProtected && !isAllowed(request, context.initialAccessToken), 'invalid_token', 'the access token is wrong'],
    [Object.hasOwn(metadata, 'client_id'), 'invalid_client_metadata', 'client_id is for the provider to give'],
    ...metadataDemands(context, request, metadata),
  ])
  if (refusal) return refusal
  const clientId = `client_${oddText(20)}`
  const given = {
    client_id: clientId,
    client_id_issued_at: now(),
    ...(needsSecret(metadata) ? { client_secret: oddText(40), client_secret_expires_at: 0 } : {}),
  }
  const access = createAccess(context, clientId)
  const registration = {
    clientId,
    accessToken: access.accessToken,
    metadata: { ...METADATA_DEFAULTS, ...metadata, ...given },
  }
  keep(context, access.url.pathname, registration)
  return { status: 201, json: { ...registration.metadata, ...access.announced } }
}

/** How the client gets at its registration later on: by what the answer says, or as Okta has it by what is known. */
function createAccess({ endpointUrls, registrationManagement, initialAccessToken }: StrictContext, clientId: string) {
  const isAnnounced = registrationManagement === 'announced'
  const name = isAnnounced ? randomBytes(8).toString('hex') : encodeURIComponent(clientId)
  const url = new URL(`${endpointUrls['/register']}/${name}`)
  if (!isAnnounced) return { url, accessToken: initialAccessToken, announced: {} }
  const accessToken = randomBytes(24).toString('base64url')
  const announced = { registration_access_token: accessToken, registration_client_uri: url.href }
  return { url, accessToken, announced }
}

function keep(context: StrictContext, path: string, registration: Registration): void {
  context.registrations.set(path, registration)
  context.clients.set(registration.clientId, createRegisteredClient(registration.metadata))
}

function manage(context: StrictContext, request: StrictRequest): Answer {
  const { path, method } = request
  const registration = context.registrations.get(path)
  const refusal = refuse(context, [
    [!registration, 'invalid_token', 'there is no such client'],
    [!/^(GET|PUT|DELETE)$/.test(method), 'invalid_request', 'the method is none of GET, PUT and DELETE'],
    [
      registration !== undefined && !isAllowed(request, registration.accessToken),
      'invalid_token',
      'the access token is wrong',
    ],
  ])
  if (refusal || !registration) return refusal ?? { status: 401, json: {} }
  if (method === 'PUT') return replace(context, request, registration)
  if (method === 'GET') return { status: 200, json: registration.metadata }
  context.registrations.delete(path)
  context.clients.delete(registration.clientId)
  return { status: 204, json: {} }
}

/** RFC 7592 2.2: all of it anew, but for what the provider has given. */
function replace(context: StrictContext, request: StrictRequest, registration: Registration): Answer {
  const metadata = readMetadata(request)
  const { client_id_issued_at, client_secret, client_secret_expires_at } = registration.metadata
  const isOtherSecret = Object.hasOwn(metadata, 'client_secret') && metadata['client_secret'] !== client_secret
  const isOther = metadata['client_id'] !== registration.clientId
  const refusal = refuse(context, [
    [isOther, 'invalid_client_metadata', 'client_id is not that of the address'],
    [isOtherSecret, 'invalid_client_metadata', 'client_secret is not the one that was given'],
    ...metadataDemands(context, request, metadata),
  ])
  if (refusal) return refusal
  const given = { client_id_issued_at, ...(client_secret ? { client_secret, client_secret_expires_at } : {}) }
  const replaced = { ...registration, metadata: { ...METADATA_DEFAULTS, ...metadata, ...given } }
  keep(context, request.path, replaced)
  return { status: 200, json: replaced.metadata }
}

/** Okta has a scheme of its own. */
function isAllowed({ headers }: StrictRequest, accessToken: string): boolean {
  return headers.authorization === `Bearer ${accessToken}` || headers.authorization === `SSWS ${accessToken}`
}

/** As the conformance suite makes them: letters, digits, and then five that want encoding somewhere. */
function oddText(length: number): string {
  const punctuation = ' !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'
  const letters = randomBytes(length).toString('base64url').replace(/[-_]/g, 'x').slice(0, length)
  const odd = Array.from({ length: 5 }, () => punctuation.charAt(randomInt(punctuation.length)))
  return letters + odd.join('')
}

function refuse(context: StrictContext, demands: Parameters<typeof findFault>[2]): Answer | undefined {
  const fault = findFault(context, '/register', demands)
  if (!fault) return undefined
  const status = fault.error === 'invalid_token' ? 401 : 400
  return { status, json: { error: fault.error, error_description: fault.fault } }
}
