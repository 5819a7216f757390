import { OidcError } from '../errors.ts'
import { headerOf, type Request, type Response } from '../http/request.ts'
import { SUBMIT_FORM_SCRIPT, sendFormPage } from '../http/response.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { isStrict, skipNewSession } from '../session/cookies.ts'
import type { SessionRequest } from '../session/express-session.ts'

/**
 * Sends a small page that posts the authorization response to the callback again, now from our own site. Two cases
 * need it: the browser withheld our cookies because the response came from another site, or the response is in the
 * fragment, which no browser sends. Returns true if it sent the page.
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
  // express-session saw no cookie and made a new session. The new cookie must not replace that of the user's session.
  skipNewSession(req)
  if (isInFragment) sendFragmentPage(res, client.config.redirectUri)
  else sendRepostPage(res, client.config.redirectUri, [...fields, [REPOSTED_PARAM, repostedParamOf(client, req)]])
  return true
}

/**
 * The parameter that our page adds to a response, so that no response is posted again twice. Its value is how the
 * response first came: `1` if it came as `responseMode` requests, or else `query` or `form_post`.
 */
export const REPOSTED_PARAM = 'express_oidc_relayed'
const AS_REQUESTED = '1'

/** Returns true if the parameter was there. */
function removeRepostedParam(fields: URLSearchParams): boolean {
  const isReposted = fields.has(REPOSTED_PARAM)
  fields.delete(REPOSTED_PARAM)
  return isReposted
}

/** True if the response must be in the fragment: we requested `fragment`, and the query contains no response. */
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

/** Returns the value of {@link REPOSTED_PARAM} for the response in this request. */
function repostedParamOf({ config }: Client, req: Request): string {
  const by = deliveryOf(req, new Map())
  return by === requestedDelivery(config) ? AS_REQUESTED : by
}

const TITLE = 'Signing in'

/** Sends a page that posts these fields. */
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
 * First removes the tokens from the address bar. Sets the parameters as values, never as HTML. Calls the methods on the
 * prototypes, because a field named `append` or `submit` would hide the method of the form.
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

/**
 * Throws `ERR_OIDC_CALLBACK_INVALID` if the response did not come in the way that `responseMode` requests. For
 * example, a code that should be posted as a form would stay in logs and histories if it came in the query. An error
 * is accepted in any way, because a provider that could not read the request uses its default mode.
 *
 * @param response The parameters as they were sent.
 * @param params The same, or those in the JWT if the response is one.
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

/** Returns how the response first came. If our own page posted it, {@link REPOSTED_PARAM} has the answer. */
function deliveryOf(req: Request, response: ReadonlyMap<string, string>): 'query' | 'form_post' | 'as requested' {
  if (req.method !== 'POST') return 'query'
  const reposted = response.get(REPOSTED_PARAM)
  if (reposted === AS_REQUESTED) return 'as requested'
  return reposted === 'query' ? 'query' : 'form_post'
}

function requestedDelivery({ responseMode, responseType }: Client['config']): string {
  return responseDeliveryOf(responseMode, responseType).by
}
