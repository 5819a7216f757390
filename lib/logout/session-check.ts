import { randomBytes } from 'node:crypto'
import { ProviderError } from '../errors.ts'
import { publishError } from '../events.ts'
import { allowMethods, type Request, type Response } from '../http/request.ts'
import { policyOriginOf, send } from '../http/response.ts'
import { loginUrl, providerParam } from '../http/return-to.ts'
import type { Provider } from '../provider/provider.ts'
import { type Client, clientOf, type RelyingParty } from '../relying-party.ts'
import { checkFailedWithin, readLogin, readTokensId } from '../session/current-login.ts'
import { requireSession } from '../session/express-session.ts'

/**
 * `GET /session-check`: the page for a hidden frame of the application (the RP iframe). Its script checks with a
 * frame of the provider whether the user's session there has changed. If so, the script makes the page around it
 * recheck the login without showing anything (OIDC Session Management 3.1). The page is empty without a login, if the
 * provider is down, sent no `session_state` or has no `check_session_iframe`, and for a minute after a failed recheck.
 */
export async function sessionCheckRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET')
  const check = await prepareCheck(rp, req)
  if (check === undefined) sendPage(res, '', "default-src 'none'")
  else sendCheckPage(res, check.frame, check.settings)
}

/** The URL of the provider's frame, and the settings of the script. */
interface SessionCheck {
  readonly frame: string
  readonly settings: Settings
}

/** What the script in the page needs. */
interface Settings {
  /** The origin of the provider's frame. */
  readonly origin: string
  /** The message to that frame: client id and session state. */
  readonly message: string
  /** The login route for the recheck. It ends in `returnTo=`. */
  readonly loginUrl: string
  /** In milliseconds. */
  readonly interval: number
}

/**
 * How often the script messages the provider's frame, in milliseconds. The frame responds from a cookie, without a
 * request.
 */
const INTERVAL_MILLISECONDS = 5000

/** How long the page is empty after a failed recheck, in seconds. Otherwise it would recheck again and again. */
const PAUSE_SECONDS = 60

async function prepareCheck(rp: RelyingParty, req: Request): Promise<SessionCheck | undefined> {
  const sessionReq = requireSession(req)
  const [login, tokensId] = [readLogin(req, rp.config), readTokensId(sessionReq, rp.config)]
  if (login === undefined || tokensId === undefined) return undefined
  if (checkFailedWithin(PAUSE_SECONDS, req, rp.config)) return undefined
  const sessionState = (await rp.tokenRecords.read(sessionReq.sessionStore, tokensId))?.sessionState
  const provider = sessionState === undefined ? undefined : await providerIfAvailable(clientOf(rp, login))
  const frame = provider && frameOf(provider)
  if (provider === undefined || frame === undefined) return undefined
  const message = `${provider.config.clientId} ${sessionState}`
  const recheckUrl = loginUrl(rp.config, { ...providerParam(rp.config, login), prompt: 'none', returnTo: '' })
  return {
    frame,
    settings: { origin: new URL(frame).origin, message, loginUrl: recheckUrl, interval: INTERVAL_MILLISECONDS },
  }
}

/** The user does not see this page, so if the provider is down the error is only published. */
async function providerIfAvailable({ findProvider }: Client): Promise<Provider | undefined> {
  try {
    return await findProvider()
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    publishError(error)
    return undefined
  }
}

/** The URL of the provider's frame, if it is safe to use. Its origin becomes part of a Content-Security-Policy. */
function frameOf({ metadata, config }: Provider): string | undefined {
  const frame = metadata['check_session_iframe']
  if (typeof frame !== 'string' || !URL.canParse(frame)) return undefined
  const { protocol } = new URL(frame)
  const isSecure = protocol === 'https:' || (config.dangerouslyAllowInsecureRequests && protocol === 'http:')
  return isSecure && policyOriginOf(frame) !== undefined ? frame : undefined
}

function sendCheckPage(res: Response, frame: string, settings: Settings): void {
  const nonce = randomBytes(16).toString('base64')
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; frame-src ${settings.origin}`
  const values = `const settings = ${scriptValue(settings)}\nconst frame = ${scriptValue(frame)}`
  // The script sets the URL of the frame, so nothing in the URL can be read as HTML. The sandbox keeps the frame from
  // navigating the page.
  const body = `<iframe id="provider" hidden sandbox="allow-scripts allow-same-origin" title="Session at the provider"></iframe>
<script nonce="${nonce}">${values}
${SCRIPT}
provider.src = frame</script>`
  sendPage(res, body, policy)
}

/**
 * Messages the provider's frame, which responds `unchanged`, `changed` or `error`. After `changed` it makes the page
 * around this one recheck the login. After `error` it stops, because another message would not help.
 *
 * If the browser withholds the provider's cookies from frames, the provider's frame always responds `changed`, and a
 * recheck would not help. So the script follows `changed` in two cases only: the frame has responded `unchanged`
 * since the last recheck, or the last recheck was for the same session state. `localStorage` keeps that: an empty
 * value after `unchanged`, and the message of the recheck after a recheck.
 */
const SCRIPT = `const provider = document.getElementById('provider')
const key = 'express-oidc ' + settings.origin + settings.loginUrl
const ask = () => provider.contentWindow.postMessage(settings.message, settings.origin)
const timer = setInterval(ask, settings.interval)
const recheck = () => {
  const followed = localStorage.getItem(key)
  if (parent === window || (followed !== '' && followed !== settings.message)) return
  localStorage.setItem(key, settings.message)
  const { pathname, search, hash } = parent.location
  parent.location.replace(settings.loginUrl + encodeURIComponent(pathname + search + hash))
}
addEventListener('message', ({ origin, source, data }) => {
  if (origin !== settings.origin || source !== provider.contentWindow) return
  if (data === 'unchanged') return localStorage.setItem(key, '')
  if (data !== 'changed' && data !== 'error') return
  clearInterval(timer)
  if (data === 'changed') recheck()
})
provider.addEventListener('load', ask)`

/** Returns JSON for a script element. It escapes all characters that could end the element. */
function scriptValue(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** Only pages of the application may frame this page, because it navigates the page around it. */
function sendPage(res: Response, body: string, policy: string): void {
  res.removeHeader('X-Frame-Options')
  res.setHeader('Content-Security-Policy', `${policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'`)
  const head = '<meta charset="utf-8"><title>Session check</title>'
  send(res, 200, 'text/html', `<!doctype html>\n<html lang="en"><head>${head}</head><body>${body}</body></html>\n`)
}
