import { headerOf, type Request, type Response } from '../http.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { carriageOf } from '../response-type.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { destroySession } from '../session/login-session.ts'
import { isStrict, sessionCookieName } from '../session/session-cookie.ts'
import { sendFragmentPage, sendRelayPage, takeRelayMark } from './relay-page.ts'

/**
 * Sends an answer home by a page of our own, where the browser has kept something back that it needs: a cookie, since
 * another site sent it here, or the fragment. Whether it did: then the answer comes again.
 */
export async function relayAnswer(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  res: Response,
  fields: URLSearchParams,
): Promise<boolean> {
  const isRelayed = takeRelayMark(fields)
  const isInFragment = awaitsFragment(client, req, fields)
  if (isRelayed || !(isInFragment || lacksCookie(rp, req, fields))) return false
  // The session that express-session has made in the absence of the browser's own must not take its place.
  if (sessionCookieName(req, req.sessionID) === undefined) await destroySession(req)
  if (isInFragment) sendFragmentPage(res, client.config.redirectUri)
  else sendRelayPage(res, client.config.redirectUri, fields)
  return true
}

/** A browser keeps the fragment of its address to itself: an answer that is in it looks like none. */
function awaitsFragment({ config }: Client, req: Request, fields: URLSearchParams): boolean {
  const isAwaited = carriageOf(config.responseMode, config.responseType).by === 'fragment'
  return isAwaited && req.method === 'GET' && !['state', 'error', 'response'].some((name) => fields.has(name))
}

function lacksCookie(rp: RelyingParty, req: SessionRequest, fields: URLSearchParams): boolean {
  if (!fields.has('state') && !fields.has('response')) return false
  if (req.method === 'POST') return !rp.transactions.hasAny(req)
  return isStrict(req.session.cookie) && headerOf(req, 'sec-fetch-site') !== 'same-origin'
}
