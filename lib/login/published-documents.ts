import { randomBytes } from 'node:crypto'
import { allowMethods, headerOf, type Request, type Response, requestQuery } from '../http/request.ts'
import { send } from '../http/response.ts'
import { createClientKeys } from '../jose/client-keys.ts'
import type { Config } from '../options/config.ts'
import type { RelyingParty } from '../relying-party.ts'
import { skipNewSession } from '../session/cookies.ts'
import { requireSession, storeOperation } from '../session/express-session.ts'
import type { StoreLike } from '../state/shared-state.ts'

/** Long enough to spare the provider requests, short enough for a key that has to go (OIDC Core 10.1.1). */
const SECONDS = 3600

/**
 * `GET /jwks`: the public parts of the client's keys (RFC 7517 5), for providers to verify and to encrypt with. To be made
 * once for an application: private keys are not looked at again.
 */
export function createJwksRoute(rp: RelyingParty): (rp: RelyingParty, req: Request, res: Response) => Promise<void> {
  const sets = [...rp.clients.values()].flatMap(({ config }) => createClientKeys(config.clientKeys).publicJwks.keys)
  // Clients at several providers may share keys.
  const keys = [...new Map(sets.map((key) => [JSON.stringify(key), key])).values()]
  const body = JSON.stringify({ keys })

  return async (_rp, req, res) => {
    allowMethods(req, 'GET', 'HEAD')
    skipNewSession(req)
    // A cache that others share must not keep a session's cookie, which express-session may put onto any answer.
    const isShared = headerOf(req, 'cookie') === undefined
    send(res, 200, 'application/jwk-set+json', body, isShared ? `public, max-age=${SECONDS}` : 'no-store')
  }
}

/** `GET /request?id=`: hands a signed request to the provider (RFC 9101 5.2.3). */
export async function requestObjectsRoute(_rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET')
  const { sessionStore } = requireSession(req)
  skipNewSession(req)
  const found = await readRequestObject(sessionStore, requestQuery(req).get('id') ?? '')
  if (found === undefined) return send(res, 404, 'text/plain', 'There is no such request, or no longer.\n')
  send(res, 200, 'application/oauth-authz-req+jwt', found)
}

/** How long a provider may take to fetch a request object, in seconds. */
const LIFETIME = 300

/**
 * Keeps a signed request for the provider to fetch (RFC 9101 5.2), and gives its address. It lies in the session store, so
 * that any node can hand it out.
 */
export async function keepRequestObject(
  store: StoreLike,
  { origin, basePath, routes }: Pick<Config, 'origin' | 'basePath' | 'routes'>,
  requestObject: string,
): Promise<string> {
  // RFC 9101 5.2: nobody may guess it. A request that a provider has cached is never ours twice.
  const id = randomBytes(24).toString('base64url')
  const maxAge = LIFETIME * 1000
  const expires = new Date(Date.now() + maxAge)
  const cookie = { path: '/', httpOnly: true, originalMaxAge: maxAge, maxAge, expires }
  await storeOperation((done) =>
    store.set(keyOf(id), { cookie, requestObject, expiresAt: Number(expires) / 1000 }, done),
  )
  return `${origin}${basePath}${routes.requestObjects}?id=${id}`
}

/** The request object of this id; `undefined` where there is none, or no longer. It may be read again in its time. */
async function readRequestObject(store: StoreLike, id: string): Promise<string | undefined> {
  if (!/^[\w-]{32}$/.test(id)) return undefined
  const record = await storeOperation<unknown>((done) => store.get(keyOf(id), done))
  const { requestObject, expiresAt }: Readonly<Record<string, unknown>> = Object(record)
  // Some stores clean up when they find the time.
  const isLive = typeof expiresAt === 'number' && Date.now() / 1000 < expiresAt
  return isLive && typeof requestObject === 'string' && requestObject !== '' ? requestObject : undefined
}

function keyOf(id: string): string {
  return `oidc-request:${id}`
}
