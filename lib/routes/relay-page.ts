import type { Response } from '../http.ts'
import { SUBMIT, sendFormPage } from './form-page.ts'

/** Marks an answer that has been through the page, so that it never goes through twice. */
const RELAYED = 'express_oidc_relayed'
const MARK = [RELAYED, '1'] as const

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
export function takeRelayMark(fields: URLSearchParams): boolean {
  const isRelayed = fields.has(RELAYED)
  fields.delete(RELAYED)
  return isRelayed
}

/**
 * Sends a small page that posts the same fields to the callback once more, now from our own site. A browser sends no Lax
 * cookie with a provider's cross-site POST and no Strict cookie with its redirect; with this page's POST it sends both.
 */
export function sendRelayPage(res: Response, callbackUrl: string, fields: URLSearchParams): void {
  const notice = '<noscript><p>One more step to sign in.</p></noscript><button>Continue</button>'
  sendFormPage(res, callbackUrl, { title: TITLE, fields: [...fields, MARK], script: SUBMIT, notice })
}

/** Sends a small page that posts what is in the fragment of its address to the callback: no server ever sees that. */
export function sendFragmentPage(res: Response, callbackUrl: string): void {
  const notice = '<noscript><p>Please allow JavaScript for this page, and load it again, to sign in.</p></noscript>'
  sendFormPage(res, callbackUrl, { title: TITLE, fields: [MARK], script: SUBMIT_FRAGMENT, notice })
}
