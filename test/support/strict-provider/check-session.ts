import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { sendText } from '../servers/http-server.ts'
import type { StrictContext, StrictRequest } from './context.ts'

/** Cookies are shared by all ports of a host: each provider has one of its own. A script reads it. */
export function browserStateCookie({ issuer }: Pick<StrictContext, 'issuer'>): string {
  return `op_browser_state_${new URL(issuer).port}`
}

/**
 * Keeps who is logged in in this browser, and tells the client how that looks to it (OIDC Session Management 2, 3.2).
 * Somebody else has another state, and so has whoever comes back.
 */
export function beginBrowserSession(
  context: StrictContext,
  request: StrictRequest,
  params: URLSearchParams,
  res: ServerResponse,
): Record<string, string> {
  if (context.sessionManagement === 'absent') return {}
  const { sub } = context.account
  const last = stateOf(context, request)
  const state = context.browserStates.get(last) === sub ? last : randomBytes(12).toString('base64url')
  context.browserStates.set(state, sub)
  context.loggedIn = true
  res.appendHeader('Set-Cookie', `${browserStateCookie(context)}=${state}; Path=/`)
  const { origin } = new URL(params.get('redirect_uri') ?? '')
  const salt = randomBytes(6).toString('base64url')
  const seen = `${params.get('client_id')} ${origin} ${state} ${salt}`
  return { session_state: `${createHash('sha256').update(seen).digest('hex')}.${salt}` }
}

/** Nobody is logged in in this browser any more. */
export function endBrowserSession(context: StrictContext, request: StrictRequest, res: ServerResponse): void {
  if (context.sessionManagement === 'absent') return
  context.loggedIn = false
  context.browserStates.delete(stateOf(context, request))
  res.appendHeader('Set-Cookie', `${browserStateCookie(context)}=; Path=/; Max-Age=0`)
}

function stateOf(context: StrictContext, { headers }: StrictRequest): string {
  const name = browserStateCookie(context)
  return new RegExp(`(?:^|; )${name}=([^;]*)`).exec(headers.cookie ?? '')?.[1] ?? ''
}

/** OIDC Session Management 3.3: whoever frames it is told whether what it knows is still so. */
export function answerCheckSession(context: StrictContext, res: ServerResponse): void {
  res.setHeader('Cache-Control', 'no-store')
  sendText(res, 200, 'text/html; charset=utf-8', framePage(browserStateCookie(context)))
}

function framePage(cookieName: string): string {
  return `<!doctype html>
<html lang="en"><head><title>session</title></head><body><script>
async function judge(message, origin) {
  const [, clientId, hash, salt] = /^([^ ]+) ([0-9a-f]{64})\\.([\\w-]+)$/.exec(message) ?? []
  if (clientId === undefined) return 'error'
  const state = /(?:^|; )${cookieName}=([^;]*)/.exec(document.cookie)?.[1] ?? ''
  const seen = new TextEncoder().encode(clientId + ' ' + origin + ' ' + state + ' ' + salt)
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', seen))
  const hex = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex === hash ? 'unchanged' : 'changed'
}
addEventListener('message', async ({ data, origin, source }) => source.postMessage(await judge(data, origin), origin))
</script></body></html>`
}
