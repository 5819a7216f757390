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
import { withTimeLimit } from '../time/limit.ts'
import type { Login, TokenRecord } from '../types.ts'

/**
 * `POST /logout` from a page of the application: ends the login here and at the provider. A user who opens the address gets a
 * page with a button, because a link of another site must not log the user out.
 */
export async function logoutRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  if (req.method === 'GET' && !rp.config.logoutByGet && wantsPage(req)) return sendConfirmationPage(res, rp.config)
  allowMethods(req, ...(rp.config.logoutByGet ? ['POST', 'GET'] : ['POST']))
  checkOrigin(req, rp.config)
  await logOut(rp, req, res)
}

/**
 * Ends the session, then redirects the browser to the provider to end its session too. In this order, because some providers
 * do not redirect back. It also works without a login, and with one that has expired.
 */
export async function logOut(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  await traced(
    'express-oidc:logout',
    () => ({ how: 'application' }),
    () => endLogin(rp, req, res),
  )
}

async function endLogin(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  const { config } = rp
  const sessionReq = requireSession(req)
  const [login, lastLogin] = [readLogin(req, config), readLastLogin(req, config)]
  // The hooks get the claims of a valid login only, but the provider of an expired one too.
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

/** The button posts to the logout route, which checks that the request comes from a page of ours. */
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

function isFromOwnOrigin(req: Request, origin: string): boolean {
  // A prefetch is no request of the user.
  if (isPrefetch(req)) return false
  const sender = senderOf(req, origin)
  if (sender !== 'unknown' || req.method === 'GET') return sender !== 'other'
  const referer = headerOf(req, 'referer') ?? ''
  return URL.canParse(referer) && new URL(referer).origin === origin
}

/**
 * Ends the login at the provider: revokes its tokens (RFC 7009) and returns the request for the provider's own logout, if it
 * has one. If the provider is down, or is no longer configured, the logout is local only: the user must be logged out here
 * in any case, and no other provider may see the tokens.
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
  return createEndSessionRequest(provider, tokens.idToken, readEndSessionParams(provider.config, login.claims))
}

/** How long the user waits for the revocation, in seconds. The revocation continues after that. */
const MAX_REVOCATION_SECONDS = 2

/** Revokes the tokens of a login that has ended (RFC 7009), if the option `revokeTokens` says so. Never rejects. */
export async function revokeEndedLogin(rp: RelyingParty, login: Login, tokens: TokenRecord): Promise<void> {
  if (!rp.config.revokeTokens) return
  const client = await findClient(rp, login.provider ?? ONLY_PROVIDER, undefined).catch(() => undefined)
  const provider = await client?.findProvider().catch(() => undefined)
  if (provider !== undefined) await revokeWithinLimit(provider, tokens)
}

async function revokeWithinLimit(provider: Provider, tokens: TokenRecord): Promise<void> {
  const timeoutError = (): Error => new Error(`The revocation took longer than ${MAX_REVOCATION_SECONDS} seconds.`)
  await withTimeLimit(MAX_REVOCATION_SECONDS, () => revoke(provider, tokens), timeoutError).catch(() => undefined)
}

/** A failed revocation must not fail the logout, so it is only published. */
async function revoke(provider: Provider, tokens: TokenRecord): Promise<void> {
  try {
    await revokeTokens(provider, tokens)
  } catch (error) {
    publish['express-oidc:error'](() => ({ code: 'ERR_OIDC_REVOCATION', error }))
  }
}

/** A page is redirected. A script cannot follow a redirect to another site, so it gets the URL to open. */
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
