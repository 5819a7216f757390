import { headerOf, type Request, type Response } from '../http/request.ts'
import { SUBMIT_FORM_SCRIPT, sendFormPage } from '../http/response.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { isStrict, sessionCookieName } from '../session/cookies.ts'
import type { SessionRequest } from '../session/express-session.ts'
import { destroySession } from '../session/login-session.ts'

/**
 * Sends an answer home by a page of our own, where the browser has kept something back that it needs: a cookie, since
 * another site sent it here, or the fragment. Whether it did: then the answer comes again.
 */
export async function repostResponse(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  res: Response,
  fields: URLSearchParams,
): Promise<boolean> {
  const isReposted = removeRepostedParam(fields)
  const isInFragment = expectsFragment(client, req, fields)
  if (isReposted || !(isInFragment || isCookieMissing(rp, req, fields))) return false
  // The session that express-session has made in the absence of the browser's own must not take its place.
  if (sessionCookieName(req, req.sessionID) === undefined) await destroySession(req)
  if (isInFragment) sendFragmentPage(res, client.config.redirectUri)
  else sendRepostPage(res, client.config.redirectUri, fields)
  return true
}

/** A browser keeps the fragment of its address to itself: an answer that is in it looks like none. */
function expectsFragment({ config }: Client, req: Request, fields: URLSearchParams): boolean {
  const isAwaited = responseDeliveryOf(config.responseMode, config.responseType).by === 'fragment'
  return isAwaited && req.method === 'GET' && !['state', 'error', 'response'].some((name) => fields.has(name))
}

function isCookieMissing(rp: RelyingParty, req: SessionRequest, fields: URLSearchParams): boolean {
  if (!fields.has('state') && !fields.has('response')) return false
  if (req.method === 'POST') return !rp.transactions.hasAny(req)
  return isStrict(req.session.cookie) && headerOf(req, 'sec-fetch-site') !== 'same-origin'
}

/** Marks an answer that has been through the page, so that it never goes through twice. */
const REPOSTED_PARAM = 'express_oidc_relayed'
const REPOSTED_FIELD = [REPOSTED_PARAM, '1'] as const

const TITLE = 'Signing in'

/**
 * The fields are set as values, never as markup, and none stands in for a method of the form; the tokens leave the
 * address bar before anything else happens.
 */
const SUBMIT_FRAGMENT = `const form = document.forms[0]
const fields = new URLSearchParams(location.hash.slice(1))
history.replaceState(null, '', location.pathname)
for (const [name, value] of fields) {
  const input = document.createElement('input')
  Object.assign(input, { type: 'hidden', name, value })
  Element.prototype.append.call(form, input)
}
HTMLFormElement.prototype.submit.call(form)`

/** Takes the mark off the fields of an answer; whether it was there. */
function removeRepostedParam(fields: URLSearchParams): boolean {
  const isReposted = fields.has(REPOSTED_PARAM)
  fields.delete(REPOSTED_PARAM)
  return isReposted
}

/**
 * Sends a small page that posts the same fields to the callback once more, now from our own site. A browser sends no Lax
 * cookie with a provider's cross-site POST and no Strict cookie with its redirect; with this page's POST it sends both.
 */
function sendRepostPage(res: Response, callbackUrl: string, fields: URLSearchParams): void {
  const notice = '<noscript><p>One more step to sign in.</p></noscript><button>Continue</button>'
  sendFormPage(res, callbackUrl, {
    title: TITLE,
    fields: [...fields, REPOSTED_FIELD],
    script: SUBMIT_FORM_SCRIPT,
    notice,
  })
}

/** Sends a small page that posts what is in the fragment of its address to the callback: no server ever sees that. */
function sendFragmentPage(res: Response, callbackUrl: string): void {
  const notice = '<noscript><p>Please allow JavaScript for this page, and load it again, to sign in.</p></noscript>'
  sendFormPage(res, callbackUrl, { title: TITLE, fields: [REPOSTED_FIELD], script: SUBMIT_FRAGMENT, notice })
}
