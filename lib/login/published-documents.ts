import { randomBytes } from 'node:crypto'
import { allowMethods, headerOf, type Request, type Response, requestQuery } from '../http/request.ts'
import { send } from '../http/response.ts'
import { createClientKeys } from '../jose/client-keys.ts'
import { clientDocumentOf, findDocumentClient } from '../options/client-document.ts'
import type { Config } from '../options/config.ts'
import type { RelyingParty } from '../relying-party.ts'
import { skipNewSession } from '../session/cookies.ts'
import { requireSession, storeOperation } from '../session/express-session.ts'
import type { StoreLike } from '../state/shared-state.ts'
import { getRecord, lifetimeUntil, recordKey } from '../state/store-record.ts'
import { nowInSeconds } from '../time/seconds.ts'

/**
 * How long a cache may keep a document: long enough to save requests, and short enough to replace a compromised key
 * (OIDC Core 10.1.1) or a redirect URI.
 */
const MAX_AGE_SECONDS = 3600

/**
 * `GET /jwks`: publishes the public parts of the client's keys (RFC 7517 5). Providers use them to verify
 * and encrypt. Create the route once for an application, so that the keys are imported once.
 */
export function createJwksRoute(rp: RelyingParty): DocumentRoute {
  const all = [...rp.clients.values()].flatMap(({ config }) => createClientKeys(config.clientKeys).publicJwks.keys)
  // Clients at several providers may share keys.
  const keys = [...new Map(all.map((key) => [JSON.stringify(key), key])).values()]
  return createDocumentRoute('application/jwk-set+json', JSON.stringify({ keys }))
}

/**
 * `GET` at the URL that is the `clientId`: publishes the metadata of this client (OAuth Client ID Metadata Document
 * 4). Create the route once for an application.
 */
export function createClientMetadataRoute(rp: RelyingParty): DocumentRoute {
  const config = findDocumentClient([...rp.clients.values()].map((client) => client.config))
  return createDocumentRoute('application/json', JSON.stringify(config === undefined ? {} : clientDocumentOf(config)))
}

type DocumentRoute = (rp: RelyingParty, req: Request, res: Response) => Promise<void>

function createDocumentRoute(type: string, body: string): DocumentRoute {
  return async (_rp, req, res) => {
    allowMethods(req, 'GET', 'HEAD')
    skipNewSession(req)
    // express-session may add a cookie to the response to a browser with a session. A shared cache must not store
    // that cookie.
    const isCacheable = headerOf(req, 'cookie') === undefined
    send(res, 200, type, body, isCacheable ? `public, max-age=${MAX_AGE_SECONDS}` : 'no-store')
  }
}

/** `GET /request?id=`: sends a signed request object to the provider (RFC 9101 5.2.3). */
export async function requestObjectsRoute(_rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET')
  const { sessionStore } = requireSession(req)
  skipNewSession(req)
  const requestObject = await readRequestObject(sessionStore, requestQuery(req).get('id') ?? '')
  if (requestObject === undefined)
    return send(res, 404, 'text/plain', 'This request object is unknown or has expired.\n')
  send(res, 200, 'application/oauth-authz-req+jwt', requestObject)
}

/** Returns the request object with this id if it has not expired. The provider may read it several times. */
async function readRequestObject(store: StoreLike, id: string): Promise<string | undefined> {
  if (!/^[\w-]{32}$/.test(id)) return undefined
  const record = await storeOperation('get', (done) => getRecord(store, recordKey('request', id), done))
  const { requestObject, expiresAt }: Readonly<Record<string, unknown>> = Object(record)
  // Some stores return expired records until they clean up.
  const isLive = typeof expiresAt === 'number' && nowInSeconds() < expiresAt
  return isLive && typeof requestObject === 'string' && requestObject !== '' ? requestObject : undefined
}

/** How long the provider can fetch a request object, in seconds. */
const REQUEST_OBJECT_LIFETIME = 300

/**
 * Stores a signed request object for the provider, and returns its URL (RFC 9101 5.2). It goes into the session
 * store, so that every node can send it.
 */
export async function storeRequestObject(
  store: StoreLike,
  { origin, basePath, routes }: Pick<Config, 'origin' | 'basePath' | 'routes'>,
  requestObject: string,
): Promise<string> {
  // RFC 9101 5.2: the URL must be unguessable, and new each time, because providers may cache by URL.
  const id = randomBytes(24).toString('base64url')
  const expiresAt = nowInSeconds() + REQUEST_OBJECT_LIFETIME
  const record = { cookie: lifetimeUntil(expiresAt), requestObject, expiresAt }
  await storeOperation('set', (done) => store.set(recordKey('request', id), record, done))
  return `${origin}${basePath}${routes.requestObjects}?id=${id}`
}
