import type { Request, RequestHandler } from 'express'

/** A request that could change something, and that none of our own pages sent. */
export class CrossOriginError extends Error {
  override readonly name = 'CrossOriginError'
  readonly status = 403
}

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']

/**
 * Refuses requests that could change something unless a page of this origin sent them (CSRF). `SameSite=Lax` is not
 * enough: a page on a sibling sub-domain is on the same site, so its forms are sent with our session cookie.
 */
export function refuseOtherOrigins(url: string): RequestHandler {
  const { origin } = new URL(url)
  return function checkOrigin(req, _res, next) {
    if (SAFE_METHODS.includes(req.method) || isFrom(req, origin)) next()
    else next(new CrossOriginError(`${req.method} requests must come from a page at ${origin}.`))
  }
}

/** Browsers say where a request comes from: older ones, and all on plain http, with `Origin` alone. */
function isFrom(req: Request, origin: string): boolean {
  const site = req.get('Sec-Fetch-Site')
  return site === undefined ? req.get('Origin') === origin : site === 'same-origin'
}
