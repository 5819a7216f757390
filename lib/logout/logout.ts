import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { PAGE_STYLE, sendPage } from '../http/page.ts'
import { allowMethods, headerOf, isPrefetch, type Request, type Response, wantsPage } from '../http/request.ts'
import { senderOf } from '../http/request-origin.ts'
import { escapeHtml, redirect, SUBMIT_FORM_SCRIPT, send, sendFormPage } from '../http/response.ts'
import { homePage } from '../http/return-to.ts'
import { traced } from '../operations.ts'
import { readEndSessionParams } from '../options/authorization-params.ts'
import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import { createEndSessionRequest, type EndSessionRequest, revokeTokens } from '../protocol/end-session-request.ts'
import type { Provider } from '../provider/provider.ts'
import { findClient } from '../relying-party/provider-lookup.ts'
import { clientOf, type RelyingParty } from '../relying-party.ts'
import { readLastLogin, readLogin } from '../session/current-login.ts'
import { endLocalLogin, publishLogout } from '../session/end-login.ts'
import { requireSession } from '../session/express-session.ts'
import { showPostLogoutRedirectUri } from '../session/setup-check.ts'
import { withTimeLimit } from '../time/limit.ts'
import type { Login, TokenRecord } from '../types.ts'

/**
 * `POST /logout` from a page of the application: ends the login here and at the provider. A browser that opens
 * the URL gets a page with a button, because a link of another site must not log the user out.
 */
export async function logoutRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  if (req.method === 'GET' && !rp.config.logoutByGet && wantsPage(req)) return sendConfirmationPage(res, rp.config)
  allowMethods(req, ...(rp.config.logoutByGet ? ['POST', 'GET'] : ['POST']))
  checkOrigin(req, rp.config)
  await logOut(rp, req, res)
}

/** Sends a page with a button that posts to the logout route. */
function sendConfirmationPage(res: Response, config: AppConfig): void {
  const [action, home] = [config.basePath + config.routes.logout, homePage(config)].map(escapeHtml)
  const body = [
    '<h1>Do you want to sign out?</h1>',
    `<form method="post" action="${action}"><button>Sign out</button></form>`,
    `<p><a href="${home}">Stay signed in</a></p>`,
  ]
  sendPage(res, 200, { title: 'Sign out', style: PAGE_STYLE, body: body.join('\n'), hasForm: true })
}

/** Another site must not be able to log the user out. Browsers say where a request comes from (RFC 9700 4.7). */
function checkOrigin(req: Request, { origin, basePath, routes }: AppConfig): void {
  if (isFromOwnOrigin(req, origin)) return
  throw new OidcError(
    'ERR_OIDC_CROSS_SITE_LOGOUT',
    `The logout request does not come from a page at ${origin}, the origin of baseUrl. Log out with a form of your own ` +
      `page: <form method="post" action="${basePath}${routes.logout}">.`,
  )
}

/**
 * Without `Sec-Fetch-Site` and `Origin`, a POST needs a `Referer` of ours. A GET is accepted then: it gets here only
 * if the application has set `logoutByGet`.
 */
function isFromOwnOrigin(req: Request, origin: string): boolean {
  // The user did not start a prefetch.
  if (isPrefetch(req)) return false
  const sender = senderOf(req, origin)
  if (sender !== 'unknown' || req.method === 'GET') return sender !== 'other'
  const referer = headerOf(req, 'referer') ?? ''
  return URL.canParse(referer) && new URL(referer).origin === origin
}

/**
 * Ends the session, then redirects the browser to the provider to end the session there. The session ends first,
 * because some providers do not redirect back. This also works without a login, and with an expired one.
 */
export async function logOut(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  await traced(
    'express-oidc:logout',
    () => ({ how: 'application' }),
    () => endLoginAndRespond(rp, req, res),
  )
}

async function endLoginAndRespond(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  const { config } = rp
  const sessionReq = requireSession(req)
  const [login, lastLogin] = [readLogin(req, config), readLastLogin(req, config)]
  // For an expired login, the hooks get the provider but no claims.
  const event = { req, res, provider: lastLogin?.provider ?? ONLY_PROVIDER, claims: login?.claims }
  await config.hooks.beforeLogout?.(event)
  if (res.headersSent) return
  const tokens = await endLocalLogin(rp, sessionReq, res)
  rp.silentLogins.pauseAfterLogout(res)
  if (config.clearSiteData.length > 0) {
    res.setHeader('Clear-Site-Data', config.clearSiteData.map((type) => `"${type}"`).join(', '))
  }
  await config.hooks.afterLogout?.(event)
  publishLogout('application', event)
  if (res.headersSent) return
  sendLogoutResponse(req, res, await endProviderSession(rp, lastLogin, tokens), config.postLogoutRedirectUri)
}

/**
 * Ends the login at the provider: revokes its tokens (RFC 7009) and returns the request for the provider's own
 * logout, if it has one. If the provider is down or no longer configured, the user is still logged out here. No other
 * provider gets the tokens.
 */
async function endProviderSession(
  rp: RelyingParty,
  login: Login | undefined,
  tokens: TokenRecord | undefined,
): Promise<EndSessionRequest | undefined> {
  if (login === undefined || tokens === undefined) return undefined
  const provider = await clientOf(rp, login)
    .findProvider()
    .catch(() => undefined)
  if (provider === undefined) return undefined
  if (rp.config.revokeTokens) await revokeWithinLimit(provider, tokens)
  const params = readEndSessionParams(provider.config, login.claims)
  const request = createEndSessionRequest(provider, tokens.idToken, params)
  if (request !== undefined) showPostLogoutRedirectUri(rp.notices, provider.config)
  return request
}

/** Redirects a page. A script cannot follow a redirect to another site, so it gets the URL to open. */
function sendLogoutResponse(
  req: Request,
  res: Response,
  request: EndSessionRequest | undefined,
  afterLogoutUrl: string,
): void {
  if (!wantsPage(req))
    send(res, 200, 'application/json', JSON.stringify({ logoutUrl: request?.redirectUrl ?? afterLogoutUrl }))
  else if (request?.method === 'POST') sendLogoutPage(res, request)
  else redirect(res, request?.url ?? afterLogoutUrl)
}

/** Sends a small page that posts the request to the provider, because its ID Token is too long for a URL. */
function sendLogoutPage(res: Response, { url, params }: EndSessionRequest): void {
  const notice = '<noscript><p>One more step to log out.</p></noscript><button>Continue</button>'
  sendFormPage(res, url, { title: 'Logging out', fields: [...params], script: SUBMIT_FORM_SCRIPT, notice })
}

/** How long the user waits for the revocation, in seconds. The revocation continues after that. */
const MAX_REVOCATION_SECONDS = 2

/** Revokes the tokens of a login that has ended (RFC 7009) if the option `revokeTokens` is set. Never rejects. */
export async function revokeEndedLogin(rp: RelyingParty, login: Login, tokens: TokenRecord): Promise<void> {
  if (!rp.config.revokeTokens) return
  const client = await findClient(rp, login.provider ?? ONLY_PROVIDER, undefined).catch(() => undefined)
  const provider = await client?.findProvider().catch(() => undefined)
  if (provider !== undefined) await revokeWithinLimit(provider, tokens)
}

async function revokeWithinLimit(provider: Provider, tokens: TokenRecord): Promise<void> {
  const timeoutError = (): Error => new Error(`The revocation took longer than ${MAX_REVOCATION_SECONDS} seconds.`)
  await withTimeLimit(MAX_REVOCATION_SECONDS, () => revokeOrPublishError(provider, tokens), timeoutError).catch(
    () => undefined,
  )
}

/** A failed revocation must not fail the logout, so it is only published. */
async function revokeOrPublishError(provider: Provider, tokens: TokenRecord): Promise<void> {
  try {
    await revokeTokens(provider, tokens)
  } catch (error) {
    publish['express-oidc:error'](() => ({ code: 'ERR_OIDC_REVOCATION', error }))
  }
}
