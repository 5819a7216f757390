import { allowMethods, type Request, type Response, requestQuery, send } from '../http.ts'
import type { RelyingParty } from '../relying-party.ts'
import { requireSession } from '../session/express-session.ts'
import { forgoNewSession } from '../session/new-session.ts'
import { readRequestObject } from '../session/request-objects.ts'

/** `GET /request?id=`: hands a signed request to the provider (RFC 9101 5.2.3). */
export async function requestObjectsRoute(_rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET')
  const { sessionStore } = requireSession(req)
  forgoNewSession(req)
  const found = await readRequestObject(sessionStore, requestQuery(req).get('id') ?? '')
  if (found === undefined) return send(res, 404, 'text/plain', 'There is no such request, or no longer.\n')
  send(res, 200, 'application/oauth-authz-req+jwt', found)
}
