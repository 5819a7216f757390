import type { RequestHandler } from 'express'

/** What the pages of one server may do. */
export interface PagePolicy {
  /**
   * Origins that a form may lead to. Chromium applies `form-action` to the redirects after a form too, so the app lists
   * its providers here (for the logout), and a provider lists the app (for the login).
   */
  readonly formTargets: readonly string[]
  /** Whether the server's own script files may run, and send requests to it. */
  readonly scripts: 'own' | 'none'
  /** Whether the server's own pages may be framed in its pages. */
  readonly frames: 'own' | 'none'
}

/** Headers for every response: a strict Content-Security-Policy, no framing, no sniffing, no caching. */
export function securityHeaders({ formTargets, scripts, frames }: PagePolicy): RequestHandler {
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self' data:",
    `form-action ${["'self'", ...formTargets].join(' ')}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
    ...(scripts === 'own' ? ["script-src 'self'", "connect-src 'self'"] : []),
    ...(frames === 'own' ? ["frame-src 'self'"] : []),
  ].join('; ')
  return function setSecurityHeaders(_req, res, next) {
    res.set({
      'Cache-Control': 'no-store',
      'Content-Security-Policy': policy,
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Referrer-Policy': 'same-origin',
      'X-Content-Type-Options': 'nosniff',
      'X-Frame-Options': 'DENY',
    })
    next()
  }
}
