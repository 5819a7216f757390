import { readFile } from 'node:fs/promises'
import { OidcError, ProviderError, shown } from '../errors.ts'
import { isObject, type JsonObject } from '../jose/json.ts'
import { endpointUrl, issuer as issuerRule } from '../options/urls.ts'
import { createVerificationState } from '../protocol/verification-state.ts'
import { errorFromResponse } from '../provider/error-response.ts'
import { createHttpClient, type HttpClient } from '../provider/http-client.ts'
import { type HttpRequest, jsonValueOf, withoutQuery } from '../provider/http-transport.ts'
import { readConfiguration } from '../provider/transmitter.ts'
import { type Arguments, readAuthorities, readToken, textOf, UsageError, type Values } from './arguments.ts'
import { formatMembers, type Terminal } from './output.ts'

/** `streams create|status|pause|resume|verify|delete`: manages the stream of a transmitter (SSF 8.1). */
export async function streamsCommand({ clientId: word = '', values }: Arguments, terminal: Terminal): Promise<void> {
  const run = ACTIONS.get(word)
  if (run === undefined)
    throw new UsageError(`The command streams must be followed by one of ${[...ACTIONS.keys()].join(', ')}.`)
  await run(await createContext(values, terminal), values, terminal)
}

type Action = (context: StreamContext, values: Values, terminal: Terminal) => Promise<void>

/** What every action needs. */
interface StreamContext {
  readonly http: HttpClient
  readonly issuer: string
  /** The configuration document of the transmitter. */
  readonly configuration: JsonObject
  readonly token: string | undefined
  /** The value of the push header, if it is given. */
  readonly authorization: string | undefined
}

/** What the application acts on, or passes to its hook. A transmitter ignores what it does not know (SSF 8.1.1). */
const EVENTS: readonly string[] = [
  ...['session-revoked', 'credential-change', 'token-claims-change', 'assurance-level-change'].map(
    (name) => `https://schemas.openid.net/secevent/caep/event-type/${name}`,
  ),
  ...['account-disabled', 'account-purged', 'account-credential-change-required'].map(
    (name) => `https://schemas.openid.net/secevent/risc/event-type/${name}`,
  ),
]

const create: Action = async (context, values, terminal) => {
  const { authorization } = context
  const url = textOf(values, 'endpoint')
  if (url === undefined) throw new UsageError('--endpoint is missing: baseUrl followed by the route securityEvents.')
  const header = authorization === undefined ? {} : { authorization_header: authorization }
  const events = [values['event'] ?? []].flat().map(String)
  const body = {
    events_requested: events.length > 0 ? events : EVENTS,
    delivery: { method: 'urn:ietf:rfc:8935', endpoint_url: url, ...header },
  }
  const endpoint = endpointOf(context, 'configuration_endpoint')
  const created = await request(context, { method: 'POST', url: endpoint, body }).catch((error: unknown) =>
    isConflict(error) ? undefined : Promise.reject(error),
  )
  const stream = streamIn(created ?? (await replaceStream(context, values, endpoint, body)))
  terminal.print(formatStream(stream, values))
  checkStream(context, values, stream)
  terminal.warn(
    `${created === undefined ? 'Replaced' : 'Created'}. Set sharedSignals.audience to the aud of the stream.\n`,
  )
}

function isConflict(error: unknown): boolean {
  return error instanceof ProviderError && error.code === 'ERR_OIDC_STREAM_REFUSED' && error.status === 409
}

/** SSF 8.1.1.1: a transmitter may allow one stream for each receiver, as Okta does. */
async function replaceStream(
  context: StreamContext,
  values: Values,
  endpoint: string,
  body: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const { stream_id: id } = await findStream(context, values)
  if (values['replace'] === true) {
    return await request(context, { method: 'PUT', url: endpoint, body: { stream_id: id, ...body } })
  }
  throw new ProviderError(
    'ERR_OIDC_STREAM_REFUSED',
    `The transmitter already has a stream for this token (409): ${shown(id)}. Add --replace to replace it, or delete it first.`,
  )
}

const status: Action = async (context, values, terminal) => {
  const stream = await findStream(context, values)
  const endpoint = statusEndpointOf(context)
  const url = endpoint && withStreamId(endpoint, stream)
  const current = url === undefined ? undefined : streamIn(await request(context, { method: 'GET', url }))
  terminal.print(formatStream({ ...stream, ...(current && { status: current['status'] ?? '' }) }, values))
  checkStream(context, values, stream)
}

const setStatus =
  (value: 'paused' | 'enabled'): Action =>
  async (context, values, terminal) => {
    const url = endpointOf(context, 'status_endpoint')
    const { stream_id: id = '' } = await findStream(context, values)
    const body = { stream_id: id, status: value }
    const answer = streamIn(await request(context, { method: 'POST', url, body }))
    if (answer['status'] !== value) {
      throw invalidResponse(
        `has the status ${shown(answer['status'])}, expected ${shown(value)}. Run streams status later.`,
      )
    }
    terminal.print(formatStream(answer, values))
  }

const verify: Action = async (context, values, terminal) => {
  const { issuer, authorization } = context
  if (authorization === undefined) {
    throw new UsageError(
      'The command streams verify needs the value of sharedSignals.authorizationHeader, in --authorization-file or EXPRESS_OIDC_PUSH_AUTHORIZATION.',
    )
  }
  const url = endpointOf(context, 'verification_endpoint')
  const stream = await findStream(context, values)
  checkStream(context, values, stream)
  const body = { stream_id: stream['stream_id'], state: createVerificationState(authorization, issuer) }
  await request(context, { method: 'POST', url, body })
  terminal.warn(
    'Requested. The application publishes express-oidc:security-event when the event arrives, and express-oidc:error if it is wrong.\n',
  )
}

const remove: Action = async (context, values, terminal) => {
  const stream = await findStream(context, values)
  const url = withStreamId(endpointOf(context, 'configuration_endpoint'), stream)
  await request(context, { method: 'DELETE', url })
  terminal.warn('Deleted.\n')
}

const ACTIONS: ReadonlyMap<string, Action> = new Map([
  ['create', create],
  ['status', status],
  ['pause', setStatus('paused')],
  ['resume', setStatus('enabled')],
  ['verify', verify],
  ['delete', remove],
])

async function createContext(values: Values, terminal: Terminal): Promise<StreamContext> {
  const issuer = textOf(values, 'issuer')
  if (issuer === undefined) throw new UsageError('--issuer is missing: the issuer of the transmitter.')
  const url = textOf(values, 'configuration-url')
  if (issuerRule(issuer, '--issuer').length > 0) throw new UsageError('--issuer must be the https URL of an issuer.')
  if (url !== undefined && endpointUrl(url, '').length > 0) {
    throw new UsageError('--configuration-url must be an absolute https URL.')
  }
  const token = await readToken(values, terminal.env)
  const authorization = await readAuthorization(values, terminal.env)
  terminal.conceal(token)
  terminal.conceal(authorization)
  const config = {
    issuer,
    sharedSignals: { audience: '', ...(url === undefined ? {} : { configurationUrl: url }) },
    timeout: 10,
    fetch: undefined,
    dangerouslyAllowInsecureRequests: values['insecure'] === true,
    ...(await readAuthorities(values)),
  }
  const http = createHttpClient(config)
  return { http, issuer, configuration: await readConfiguration(http, config), token, authorization }
}

async function readAuthorization(values: Values, env: Terminal['env']): Promise<string | undefined> {
  const path = textOf(values, 'authorization-file')
  const text =
    path === undefined ? env['EXPRESS_OIDC_PUSH_AUTHORIZATION'] : await readFile(path, 'utf8').catch(() => undefined)
  const value = text?.trim()
  if (path !== undefined && !value) {
    throw new UsageError('--authorization-file must name a file that can be read and is not empty.')
  }
  return value || undefined
}

function endpointOf(
  { configuration }: StreamContext,
  name: 'configuration_endpoint' | 'status_endpoint' | 'verification_endpoint',
): string {
  const url = configuration[name]
  if (typeof url === 'string' && URL.canParse(url)) return url
  throw new OidcError(
    'ERR_OIDC_STREAM_UNSUPPORTED',
    `The transmitter announces no ${name} in its configuration document. Use its admin console, or delete the stream instead.`,
  )
}

/** Okta has the status of a stream below its configuration endpoint, and does not announce it. */
function statusEndpointOf(context: StreamContext): string | undefined {
  const { status_endpoint: announced } = context.configuration
  if (announced !== undefined) return endpointOf(context, 'status_endpoint')
  const url = endpointOf(context, 'configuration_endpoint')
  return /\/api\/v1\/ssf\/stream$/.test(url) ? `${url}/status` : undefined
}

function withStreamId(endpoint: string, { stream_id: id }: JsonObject): string {
  const url = new URL(endpoint)
  url.searchParams.set('stream_id', String(id))
  return url.href
}

interface StreamRequest {
  readonly method: HttpRequest['method']
  readonly url: string
  readonly body?: Readonly<Record<string, unknown>>
}

/** Resolves with the JSON of the response; `undefined` if it has none. Rejects with what the transmitter says. */
async function request({ http, token }: StreamContext, { method, url, body }: StreamRequest): Promise<unknown> {
  const response = await http.request(url, {
    method,
    headers: {
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (response.status >= 200 && response.status < 300)
    return response.status === 204 ? undefined : jsonValueOf(response)
  const error = errorFromResponse(response, 'ERR_OIDC_STREAM_REFUSED', { url: withoutQuery(url) })
  const { providerStatus, refusal, errorId, requestId } = error
  // The status says whether a stream exists already (409).
  throw error.code === 'ERR_OIDC_STREAM_REFUSED'
    ? new ProviderError(
        error.code,
        `${withoutQuery(url)} answered ${response.status}. Check the token and its scopes.`,
        {
          ...{ providerStatus, refusal, errorId, requestId, cause: error },
          status: response.status,
        },
      )
    : error
}

/** SSF 8.1.1.2: one stream if its id is given, else a list. */
async function findStream(context: StreamContext, values: Values): Promise<JsonObject> {
  const id = textOf(values, 'stream-id')
  const endpoint = endpointOf(context, 'configuration_endpoint')
  const url = id === undefined ? endpoint : withStreamId(endpoint, { stream_id: id })
  const streams = [(await request(context, { method: 'GET', url })) ?? []].flat().filter(isObject)
  const [stream, ...others] = streams.filter((one) => id === undefined || one['stream_id'] === id)
  if (stream !== undefined && others.length === 0) return streamIn(stream)
  if (stream !== undefined) throw new UsageError('The transmitter has several streams for this token. Add --stream-id.')
  throw new ProviderError(
    'ERR_OIDC_STREAM_REFUSED',
    'The transmitter has no such stream for this token. Create one with express-oidc streams create, or check --stream-id.',
  )
}

function streamIn(value: unknown): JsonObject {
  if (isObject(value) && typeof value['stream_id'] === 'string' && value['stream_id'] !== '') return value
  throw invalidResponse('has no stream_id.')
}

/** SSF 8.1.1.1: events of another issuer or for another audience would be refused by the application. */
function checkStream({ issuer }: StreamContext, values: Values, { iss, aud }: JsonObject): void {
  if (iss !== issuer) throw invalidResponse(`has the iss ${shown(iss)}, expected ${shown(issuer)}. Check --issuer.`)
  const audiences = [aud].flat().filter((one) => typeof one === 'string' && one !== '')
  if (audiences.length === 0) throw invalidResponse('has no aud.')
  const expected = [values['audience'] ?? []].flat()
  if (expected.length === 0 || audiences.some((one) => expected.some((given) => given === one))) return
  throw invalidResponse(`has the aud ${shown(aud)}, which is not --audience. Set sharedSignals.audience to that value.`)
}

function invalidResponse(problem: string): ProviderError {
  return new ProviderError(
    'ERR_OIDC_STREAM_RESPONSE',
    `The stream that the transmitter returned at its configuration_endpoint ${problem}`,
  )
}

/** Never the `authorization_header`, which a transmitter may repeat. */
function formatStream(stream: JsonObject, values: Values): string {
  const { stream_id, iss, aud, status, events_delivered, delivery, min_verification_interval } = stream
  const { method, endpoint_url } = Object(delivery)
  const members = { iss, aud, status, events_delivered, method, endpoint_url, min_verification_interval }
  const given = Object.fromEntries(Object.entries({ stream_id, ...members }).filter(([, value]) => value !== undefined))
  return formatMembers(given, values)
}
