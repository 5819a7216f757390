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
 * `GET /session-check`: the page for a hidden frame of the application (the RP iframe). It asks a frame of the provider
 * whether the user's session there has changed. If it has, it makes the page around it recheck the login without showing
 * anything (OIDC Session Management 3.1). It is empty without a login, and if the provider has no `check_session_iframe`.
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

/** How often the provider's frame is asked, in milliseconds. It responds from a cookie, without a request. */
const INTERVAL = 5000

/** After a failed recheck the page has no frame for this many seconds. Otherwise it would recheck again and again. */
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
  return { frame, settings: { origin: new URL(frame).origin, message, loginUrl: recheckUrl, interval: INTERVAL } }
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
  // The script sets the URL of the frame, so that nothing in it can be HTML. The sandbox forbids the frame to navigate the page.
  const body = `<iframe id="provider" hidden sandbox="allow-scripts allow-same-origin" title="Session at the provider"></iframe>
<script nonce="${nonce}">${values}
${SCRIPT}
provider.src = frame</script>`
  sendPage(res, body, policy)
}

/**
 * Asks the provider's frame whether its session has changed, and makes the page around this one recheck the login if it has.
 * After `error` it stops, because another question would not help.
 *
 * If the browser withholds the provider's cookies from frames, the provider's frame always responds `changed`, and a recheck
 * would not help. So `changed` counts only after the frame has responded `unchanged` once, and after a recheck only for
 * another session state. The value in `localStorage` is empty after `unchanged`, and is the message
 * of the last recheck after a recheck.
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

/** JSON in which nothing can end the script element. */
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
