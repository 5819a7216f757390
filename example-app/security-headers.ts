import type { RequestHandler } from 'express'

/** What the pages of one server may do beyond the least. */
export interface PagePolicy {
  /**
   * Origins that a form may end up at. Chromium applies `form-action` to the redirects after a form as well, so the app
   * names its provider here (signing out) and the provider names the app (signing in).
   */
  readonly formTargets: readonly string[]
  /** Whether the server's own script files may run. */
  readonly scripts: 'own' | 'none'
  /** Whether the server's own pages may be framed in its pages. */
  readonly frames: 'own' | 'none'
}

/** Headers for every answer: a strict Content-Security-Policy, no framing, no sniffing, nothing kept in caches. */
export function securityHeaders({ formTargets, scripts, frames }: PagePolicy): RequestHandler {
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self' data:",
    `form-action ${["'self'", ...formTargets].join(' ')}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
    ...(scripts === 'own' ? ["script-src 'self'"] : []),
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
