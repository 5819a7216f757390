import { randomBytes } from 'node:crypto'
import { ProviderError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, type Request, type Response } from '../http/request.ts'
import { send } from '../http/response.ts'
import { loginUrl, providerParam } from '../http/return-to.ts'
import type { Provider } from '../provider/provider.ts'
import { type Client, clientOf, type RelyingParty } from '../relying-party.ts'
import { checkFailedWithin, readLogin, readTokensId } from '../session/current-login.ts'
import { requireSession } from '../session/express-session.ts'

/** How often the provider's frame is asked, in milliseconds: it answers from a cookie, without a request. */
const INTERVAL = 5000

/** For how long a page does without, where the provider was asked in vain, in seconds: or it would be left again and again. */
const PAUSE = 60

/**
 * What the page does: asks the provider's frame whether its session is still the same, and where it is not, has the page
 * around it log in without a question (OIDC Session Management 3.1). `error` means that asking again would not help.
 *
 * A frame that the browser shows no cookie says `changed` for ever, and the login that follows would change nothing: so it is
 * believed only where it has once said `unchanged`, and not a second time when a login has brought another session state.
 */
const SCRIPT = `const provider = document.getElementById('provider')
const key = 'express-oidc ' + settings.origin + settings.loginUrl
const ask = () => provider.contentWindow.postMessage(settings.message, settings.origin)
const timer = setInterval(ask, settings.interval)
const leave = () => {
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
  if (data === 'changed') leave()
})
provider.addEventListener('load', ask)`

/** What the page is told. */
interface Settings {
  readonly origin: string
  readonly message: string
  readonly loginUrl: string
  readonly interval: number
}

/**
 * `GET /session-check`: a page to be used in a hidden frame of ours (the RP iframe). It is empty where nobody is logged in,
 * or the provider has no `check_session_iframe`.
 */
export async function sessionCheckRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET')
  const found = await findFrame(rp, req)
  if (found === undefined) sendPage(res, '', "default-src 'none'")
  else sendCheck(res, found.frame, found.settings)
}

/** The provider's frame, and what our page must know of it. */
interface Found {
  readonly frame: string
  readonly settings: Settings
}

async function findFrame(rp: RelyingParty, req: Request): Promise<Found | undefined> {
  const request = requireSession(req)
  const [login, id] = [readLogin(req, rp.config), readTokensId(request, rp.config)]
  if (login === undefined || id === undefined || checkFailedWithin(PAUSE, req, rp.config)) return undefined
  const sessionState = (await rp.tokenRecords.read(request.sessionStore, id))?.sessionState
  const provider = sessionState === undefined ? undefined : await providerIfAvailable(clientOf(rp, login))
  const frame = provider && frameOf(provider)
  if (provider === undefined || frame === undefined) return undefined
  const { origin } = new URL(frame)
  const message = `${provider.config.clientId} ${sessionState}`
  const silent = loginUrl(rp.config, { ...providerParam(rp.config, login), prompt: 'none', returnTo: '' })
  return { frame, settings: { origin, message, loginUrl: silent, interval: INTERVAL } }
}

/** Nobody looks at this page: that the provider is down is told to those who watch. */
async function providerIfAvailable({ findProvider }: Client): Promise<Provider | undefined> {
  try {
    return await findProvider()
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    publish['express-oidc:error'](() => ({ code: error.code, error }))
    return undefined
  }
}

/** Its origin goes into a policy, in which a semicolon or a comma, both good in a host, would begin something new. */
function frameOf({ metadata, config }: Provider): string | undefined {
  const frame = metadata['check_session_iframe']
  if (typeof frame !== 'string' || !URL.canParse(frame)) return undefined
  const { origin, protocol } = new URL(frame)
  const isSecure = protocol === 'https:' || (config.dangerouslyAllowInsecureRequests && protocol === 'http:')
  return isSecure && /^https?:\/\/[\w.:[\]-]+$/.test(origin) ? frame : undefined
}

function sendCheck(res: Response, frame: string, settings: Settings): void {
  const nonce = randomBytes(16).toString('base64')
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; frame-src ${settings.origin}`
  const told = `const settings = ${scriptValue(settings)}\nconst frame = ${scriptValue(frame)}`
  // The frame's address is set by the script, in which nothing of it is markup. The frame itself may lead nobody away.
  const body = `<iframe id="provider" hidden sandbox="allow-scripts allow-same-origin" title="Session at the provider"></iframe>
<script nonce="${nonce}">${told}
${SCRIPT}
provider.src = frame</script>`
  sendPage(res, body, policy)
}

/** JSON that ends no script element, whatever is in it. */
function scriptValue(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** Only our own pages may frame it: it makes the page around it leave. */
function sendPage(res: Response, body: string, policy: string): void {
  res.removeHeader('X-Frame-Options')
  res.setHeader('Content-Security-Policy', `${policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'`)
  const head = '<meta charset="utf-8"><title>Session check</title>'
  send(res, 200, 'text/html', `<!doctype html>\n<html lang="en"><head>${head}</head><body>${body}</body></html>\n`)
}
