import { OidcError } from '../errors.ts'
import { headerOf, type Request, type Response } from '../http/request.ts'
import { SUBMIT_FORM_SCRIPT, sendFormPage } from '../http/response.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { isStrict, skipNewSession } from '../session/cookies.ts'
import type { SessionRequest } from '../session/express-session.ts'

/**
 * Sends a small page that posts the authorization response to the callback again, now from our own site. It is needed if
 * the browser withheld our cookies, because the response came from another site, or if the response is in the fragment,
 * which no browser sends. Returns true if it sent the page.
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
  // Without the browser's cookie, express-session made a new session. Its cookie must not replace that of the real session.
  skipNewSession(req)
  if (isInFragment) sendFragmentPage(res, client.config.redirectUri)
  else sendRepostPage(res, client.config.redirectUri, [...fields, [REPOSTED_PARAM, markOf(client, req)]])
  return true
}

/** Marks a response that has been through the page, so that it never goes through it twice. */
export const REPOSTED_PARAM = 'express_oidc_relayed'
const AS_REQUESTED = '1'

/** Removes the mark from the fields. Returns true if it was there. */
function removeRepostedParam(fields: URLSearchParams): boolean {
  const isReposted = fields.has(REPOSTED_PARAM)
  fields.delete(REPOSTED_PARAM)
  return isReposted
}

/**
 * Throws `ERR_OIDC_CALLBACK_INVALID` if the response came in another way than `responseMode` requests: a code in a query that
 * should be in a form stays in logs and histories. A provider may send an error in its default mode, because it does not know
 * ours. If our own page posts the response, its mark says whether the response came as requested.
 *
 * @param response As it came.
 * @param params Its parameters, if they came in a JWT.
 */
export function checkResponseMode(
  { config }: Client,
  req: Request,
  response: ReadonlyMap<string, string>,
  params: ReadonlyMap<string, string>,
): void {
  const by = deliveryOf(req, response)
  if (params.has('error') || by === 'as requested' || by === requestedDelivery(config)) return
  throw new OidcError(
    'ERR_OIDC_CALLBACK_INVALID',
    `The authorization response came by ${by}, but responseMode is '${config.responseMode}'. Set responseMode to what the ` +
      'provider uses, or have the provider respond as requested.',
  )
}

/** How a response came first. Our own page, which posts, writes it into its mark. */
function deliveryOf(req: Request, response: ReadonlyMap<string, string>): 'query' | 'form_post' | 'as requested' {
  if (req.method !== 'POST') return 'query'
  const mark = response.get(REPOSTED_PARAM)
  if (mark === AS_REQUESTED) return 'as requested'
  return mark === 'query' ? 'query' : 'form_post'
}

function requestedDelivery({ responseMode, responseType }: Client['config']): string {
  return responseDeliveryOf(responseMode, responseType).by
}

/** The mark of a response that our page posts: how it came, unless that was as requested. */
function markOf({ config }: Client, req: Request): string {
  const by = deliveryOf(req, new Map())
  return by === requestedDelivery(config) ? AS_REQUESTED : by
}

/** True if the response can only be in the fragment: we requested `fragment`, and the query is no response. */
function expectsFragment({ config }: Client, req: Request, fields: URLSearchParams): boolean {
  const isRequested = responseDeliveryOf(config.responseMode, config.responseType).by === 'fragment'
  return isRequested && req.method === 'GET' && !['state', 'error', 'response'].some((name) => fields.has(name))
}

/** A browser withholds Lax cookies from a cross-site POST, and Strict cookies from a cross-site redirect as well. */
function isCookieMissing(rp: RelyingParty, req: SessionRequest, fields: URLSearchParams): boolean {
  if (!fields.has('state') && !fields.has('response')) return false
  if (req.method === 'POST') return !rp.transactions.hasAny(req)
  return isStrict(req.session.cookie) && headerOf(req, 'sec-fetch-site') !== 'same-origin'
}

const TITLE = 'Signing in'

/** Sends a page that posts the same fields. */
function sendRepostPage(
  res: Response,
  callbackUrl: string,
  fields: readonly (readonly [name: string, value: string])[],
): void {
  const notice = '<noscript><p>One more step to sign in.</p></noscript><button>Continue</button>'
  sendFormPage(res, callbackUrl, {
    title: TITLE,
    fields,
    script: SUBMIT_FORM_SCRIPT,
    notice,
  })
}

/** Sends a page that posts the parameters in the fragment of its URL. */
function sendFragmentPage(res: Response, callbackUrl: string): void {
  const notice = '<noscript><p>Please allow JavaScript for this page, and load it again, to sign in.</p></noscript>'
  sendFormPage(res, callbackUrl, {
    title: TITLE,
    fields: [[REPOSTED_PARAM, AS_REQUESTED]],
    script: SUBMIT_FRAGMENT_SCRIPT,
    notice,
  })
}

/**
 * Removes the tokens from the address bar first. Sets the parameters as values, never as HTML, and calls the methods of the
 * prototypes, because a field with the name of a method would hide it.
 */
const SUBMIT_FRAGMENT_SCRIPT = `const form = document.forms[0]
const fields = new URLSearchParams(location.hash.slice(1))
history.replaceState(null, '', location.pathname)
for (const [name, value] of fields) {
  const input = document.createElement('input')
  Object.assign(input, { type: 'hidden', name, value })
  Element.prototype.append.call(form, input)
}
HTMLFormElement.prototype.submit.call(form)`
