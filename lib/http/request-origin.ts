import { headerOf, type Request } from './request.ts'

/**
 * Who has sent a request, as far as the browser says: a page of our own origin (or the user, who typed the address), a page
 * of another origin, or `unknown` for a program and for a browser that says nothing.
 *
 * `Sec-Fetch-Site` decides if it is there (Fetch Metadata 2.3), because no page can set it. `Origin` is compared with the
 * origin of `baseUrl`, never with `Host` or `X-Forwarded-Host`, which a proxy may take from the request. An `Origin: null`
 * is another origin: a page in a sandboxed frame can be anyone's.
 */
export function senderOf(req: Request, origin: string): 'own' | 'other' | 'unknown' {
  const site = headerOf(req, 'sec-fetch-site')
  if (site !== undefined) return site === 'same-origin' || site === 'none' ? 'own' : 'other'
  const sender = headerOf(req, 'origin')
  if (sender === undefined) return 'unknown'
  return sender === origin ? 'own' : 'other'
}
