import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { escapeHtml, sendText } from '../servers/http-server.ts'
import { nowInSeconds } from './context.ts'

/** `X-Okta-Request-Id` of every answer: Okta's support asks for it. */
export function nameRequest(res: ServerResponse): void {
  res.setHeader('X-Okta-Request-Id', `req${randomBytes(16).toString('base64url')}`)
}

export interface RateLimit {
  readonly limit: number
  readonly remaining: number
  /** Epoch seconds by the clock of Okta, which is the `Date` of its answers. */
  readonly reset: number
}

/** On everything but the keys and what is below `/.well-known/`. There is never a `Retry-After`. */
export function tellRateLimit(res: ServerResponse, { limit, remaining, reset }: RateLimit): void {
  res.setHeader('X-Rate-Limit-Limit', String(limit))
  res.setHeader('X-Rate-Limit-Remaining', String(remaining))
  res.setHeader('X-Rate-Limit-Reset', String(reset))
}

/** As on a good answer: far from the limit. */
export function tellUsualRateLimit(res: ServerResponse): void {
  tellRateLimit(res, { limit: 2000, remaining: 1999, reset: nowInSeconds() + 60 })
}

/** JSON with what else Okta's front sends along: cookies, policies, reports. */
export function sendOktaJson(res: ServerResponse, status: number, json: unknown): void {
  res.setHeader('Cache-Control', 'no-cache, no-store')
  res.setHeader('Pragma', 'no-cache')
  res.setHeader('Expires', '0')
  res.setHeader('Set-Cookie', ['sid=; Path=/; Max-Age=0', `JSESSIONID=${randomBytes(12).toString('hex')}; Path=/`])
  res.setHeader('Content-Security-Policy-Report-Only', "default-src 'self'")
  sendText(res, status, 'application/json;charset=UTF-8', JSON.stringify(json))
}

/** RFC 6749 5.2. */
export function sendOAuthError(res: ServerResponse, status: number, error: string, text: string): void {
  sendOktaJson(res, status, { error, error_description: text })
}

/** The form of Okta's own APIs: not OAuth's. */
export function sendOktaError(res: ServerResponse, status: number, errorCode: string, errorSummary: string): void {
  const errorId = `oae${randomBytes(12).toString('base64url')}`
  sendOktaJson(res, status, { errorCode, errorSummary, errorLink: errorCode, errorId, errorCauses: [] })
}

/** What a person sees, and no application: nobody is sent back. */
export function sendOktaPage(res: ServerResponse, status: number, text: string): void {
  res.setHeader('X-Frame-Options', 'SAMEORIGIN')
  res.setHeader('Cache-Control', 'no-cache, no-store')
  sendText(res, status, 'text/html;charset=utf-8', `<!doctype html><title>Okta</title><p>${escapeHtml(text)}</p>`)
}

/** Too many requests: `limit` and `remaining` are 0 where it is too many at the same time. */
export function sendTooManyRequests(res: ServerResponse, rateLimit: RateLimit, status: 400 | 429 = 429): void {
  tellRateLimit(res, rateLimit)
  sendOktaError(res, status, 'E0000047', 'API call exceeded rate limit due to too many requests.')
}
