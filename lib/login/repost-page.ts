import { OidcError } from '../errors.ts'
import { headerOf, type Request, type Response } from '../http/request.ts'
import { SUBMIT_FORM_SCRIPT, sendFormPage } from '../http/response.ts'
import { responseDeliveryOf } from '../options/response-type.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { destroyUnsentSession, isStrict } from '../session/cookies.ts'
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
  await destroyUnsentSession(req)
  if (isInFragment) sendFragmentPage(res, client.config.redirectUri)
  else
    sendRepostPage(res, client.config.redirectUri, [
      ...fields,
      [REPOSTED_PARAM, isAsRequested(client, req) ? '1' : '0'],
    ])
  return true
}

/**
 * Marks a response that has been through the page, so that it never goes through it twice. `0`: it had come in another way than
 * requested.
 */
export const REPOSTED_PARAM = 'express_oidc_relayed'

/** Removes the mark from the fields. Returns true if it was there. */
function removeRepostedParam(fields: URLSearchParams): boolean {
  const isReposted = fields.has(REPOSTED_PARAM)
  fields.delete(REPOSTED_PARAM)
  return isReposted
}

/**
 * Throws `ERR_OIDC_CALLBACK_INVALID` if the response came in another way than `responseMode` requests: a code in a query that
 * should be in a form stays in logs and histories. A provider may send an error in its default mode, because it does not know
 * ours. Our own page says of a response that it posts whether it came as requested.
 *
 * @param response As it came.
 * @param params Its parameters, if they came in a JWT.
 */
export function checkResponseMode(
  client: Client,
  req: Request,
  response: ReadonlyMap<string, string>,
  params: ReadonlyMap<string, string>,
): void {
  const [{ config }, reposted] = [client, response.get(REPOSTED_PARAM)]
  if (params.has('error') || (reposted === undefined ? isAsRequested(client, req) : reposted === '1')) return
  throw new OidcError(
    'ERR_OIDC_CALLBACK_INVALID',
    `The authorization response came in another way than requested: responseMode is '${config.responseMode}'. Set ` +
      'responseMode to what the provider uses, or have the provider respond as requested.',
  )
}

/** True if a response that came by this request was sent as `responseMode` requests. */
function isAsRequested({ config }: Client, req: Request): boolean {
  const by = req.method === 'POST' ? 'form_post' : 'query'
  return responseDeliveryOf(config.responseMode, config.responseType).by === by
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
    fields: [[REPOSTED_PARAM, '1']],
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
