import { randomBytes } from 'node:crypto'
import type { Config } from '../config/config.ts'
import { type StoreLike, storeOperation } from './express-session.ts'

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
export async function readRequestObject(store: StoreLike, id: string): Promise<string | undefined> {
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
