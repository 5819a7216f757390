import type { Response } from '../http.ts'
import type { EndSessionRequest } from '../protocol/end-session.ts'
import { SUBMIT, sendFormPage } from './form-page.ts'

/** Sends a small page that posts the logout to the provider: an ID Token that is too long for an address. */
export function sendLogoutPage(res: Response, { url, params }: EndSessionRequest): void {
  const notice = '<noscript><p>One more step to log out.</p></noscript><button>Continue</button>'
  sendFormPage(res, url, { title: 'Logging out', fields: [...params], script: SUBMIT, notice })
}
