import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, wantsPage } from '../http/request.ts'
import { redirect, SUBMIT_FORM_SCRIPT, send, sendFormPage } from '../http/response.ts'
import { readEndSessionParams } from '../options/authorization-params.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import { createEndSessionRequest, type EndSessionRequest, revokeTokens } from '../protocol/end-session-request.ts'
import type { Provider } from '../provider/provider.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import { expireSessionCookie } from '../session/cookies.ts'
import { readLastLogin, readLogin, readTokensId } from '../session/current-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { endSession } from '../session/login-session.ts'
import type { Login, TokenRecord } from '../types.ts'

/** `POST /logout` from one of our own pages: ends the login here and at the provider. */
export async function logoutRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, ...(rp.config.logoutByGet ? ['POST', 'GET'] : ['POST']))
  checkOrigin(req, rp.config.origin)
  await logOut(rp, req, res)
}

/**
 * Ends the session, then sends the browser to the provider to end its session too. The order matters: some providers never
 * send the browser back.
 */
export async function logOut(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  const { config } = rp
  const request = requireSession(req)
  const [login, last] = [readLogin(req, config), readLastLogin(req, config)]
  const event = { req, res, provider: last?.provider ?? ONLY_PROVIDER, claims: login?.claims }
  await config.hooks.beforeLogout?.(event)
  if (res.headersSent) return
  const { sessionID, session } = request
  const tokensId = readTokensId(request, config)
  await endSession(request, rp.storeWatch)
  // Only now: a refresh that is on its way either has kept its tokens before this, or finds that the login has ended.
  const tokens = tokensId === undefined ? undefined : await readAndDeleteTokens(rp, request, tokensId)
  expireSessionCookie(req, res, sessionID, session.cookie)
  if (config.clearSiteData.length > 0) {
    res.setHeader('Clear-Site-Data', config.clearSiteData.map((what) => `"${what}"`).join(', '))
  }
  rp.loopBrake.reset(res)
  rp.silentLogins.pauseAfterLogout(res)
  await config.hooks.afterLogout?.(event)
  publish['express-oidc:logout'](() => ({
    provider: event.provider,
    how: 'application',
    issuer: login?.claims.iss,
    sub: login?.claims.sub,
  }))
  if (res.headersSent) return
  sendLogoutResponse(req, res, await logoutAtProvider(rp, last, tokens), config.postLogoutRedirectUri)
}

/** A script cannot follow a redirect to another site: it is told where to send the person. */
function sendLogoutResponse(
  req: Request,
  res: Response,
  request: EndSessionRequest | undefined,
  afterLogoutUrl: string,
): void {
  if (!wantsPage(req))
    send(res, 200, 'application/json', JSON.stringify({ logoutUrl: request?.address ?? afterLogoutUrl }))
  else if (request?.method === 'POST') sendLogoutPage(res, request)
  else redirect(res, request?.url ?? afterLogoutUrl)
}

async function readAndDeleteTokens(
  { tokenRecords }: RelyingParty,
  { sessionStore }: SessionRequest,
  id: string,
): Promise<TokenRecord | undefined> {
  const tokens = await tokenRecords.read(sessionStore, id)
  await tokenRecords.remove(sessionStore, id)
  return tokens
}

/** Another site must not be able to log anybody out: a browser says where a request comes from (RFC 9700 4.7). */
function checkOrigin(req: Request, origin: string): void {
  if (isFromOwnOrigin(req, origin)) return
  throw new OidcError(
    'ERR_OIDC_CROSS_SITE_LOGOUT',
    'A logout must come from a page of this application: a form with method="post" at the origin of baseUrl.',
  )
}

function isFromOwnOrigin(req: Request, origin: string): boolean {
  const site = headerOf(req, 'sec-fetch-site')
  // What a browser fetches in advance, nobody has asked for yet.
  if (headerOf(req, 'sec-purpose') !== undefined) return false
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  if (req.method === 'GET') return true
  const source = headerOf(req, 'origin') ?? headerOf(req, 'referer') ?? ''
  return URL.canParse(source) && new URL(source).origin === origin
}

/** How long a person waits for the provider to forget tokens, in seconds. */
const LONGEST_WAIT = 2

/**
 * What is to be done at the provider once the login has ended here: its tokens are revoked (RFC 7009), and the way to its
 * own logout is returned where it has one. A provider that is down must not keep anybody logged in: then the logout is
 * local. So it is where the provider of the login is no longer configured: no other one is to see its tokens.
 */
async function logoutAtProvider(
  rp: RelyingParty,
  login: Login | undefined,
  tokens: TokenRecord | undefined,
): Promise<EndSessionRequest | undefined> {
  if (login === undefined || tokens === undefined) return undefined
  const provider = await clientOf(rp, login)
    .findProvider()
    .catch(() => undefined)
  if (provider === undefined) return undefined
  if (rp.config.revokeTokens) await withinWait(revoke(provider, tokens))
  return createEndSessionRequest(provider, tokens.idToken, readEndSessionParams(provider.config, login.claims))
}

/** A logout does not hang on it: those who watch are told. */
async function revoke(provider: Provider, tokens: TokenRecord): Promise<void> {
  try {
    await revokeTokens(provider, tokens)
  } catch (error) {
    publish['express-oidc:error'](() => ({ code: 'ERR_OIDC_REVOCATION', error }))
  }
}

async function withinWait(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const wait = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LONGEST_WAIT * 1000)
  })
  await Promise.race([work, wait])
  clearTimeout(timer)
}

/** Sends a small page that posts the logout to the provider: an ID Token that is too long for an address. */
function sendLogoutPage(res: Response, { url, params }: EndSessionRequest): void {
  const notice = '<noscript><p>One more step to log out.</p></noscript><button>Continue</button>'
  sendFormPage(res, url, { title: 'Logging out', fields: [...params], script: SUBMIT_FORM_SCRIPT, notice })
}
