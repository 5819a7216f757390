import { allowMethods, headerOf, type Request, type Response, send } from '../http.ts'
import { createClientKeys } from '../jose/client-keys.ts'
import type { RelyingParty } from '../relying-party.ts'
import { forgoNewSession } from '../session/new-session.ts'

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
    forgoNewSession(req)
    // A cache that others share must not keep a session's cookie, which express-session may put onto any answer.
    const isShared = headerOf(req, 'cookie') === undefined
    send(res, 200, 'application/jwk-set+json', body, isShared ? `public, max-age=${SECONDS}` : 'no-store')
  }
}
