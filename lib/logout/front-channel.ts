import { OidcError, shown } from '../errors.ts'
import { allowMethods, headerOf, type Request, type Response, readForm, requestQuery } from '../http/request.ts'
import { policyOriginOf, send } from '../http/response.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import { isIssuerOrTenant } from '../options/issuer.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { skipNewSession } from '../session/cookies.ts'
import { readLastLogin } from '../session/current-login.ts'
import { endLocalLogin } from '../session/end-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { matchesTarget } from '../session/session-index.ts'

const PAGE = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Signed out</title></head></html>\n'

/**
 * The page that the provider loads in a hidden frame when the user logs out there (OIDC Front-Channel Logout 2). The
 * specification uses GET, an example of Okta uses POST. A frame of another site usually gets no cookies, so the session
 * is found by its `sid`. The response is always the same, so that it does not show whether the user was logged in.
 */
export async function frontchannelLogoutRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET', 'POST')
  const sessionReq = requireSession(req)
  const params = req.method === 'POST' ? await readForm(req) : requestQuery(req)
  const { issuer, sid } = readLogoutParams(rp, params)
  if (issuer !== undefined && sid !== undefined) await endSessionBySid(rp, sessionReq, res, issuer, sid)
  else await endSessionOfThisBrowser(rp, sessionReq, res, issuer)
  skipNewSession(sessionReq)
  const origins = await Promise.all([...rp.clients.values()].map(originsOf))
  // Another middleware may forbid frames. Pages of the providers must be able to frame this one.
  res.removeHeader('X-Frame-Options')
  const ancestors = [...new Set(origins.flat())].join(' ')
  res.setHeader('Content-Security-Policy', `default-src 'none'; frame-ancestors ${ancestors}`)
  send(res, 200, 'text/html', PAGE)
}

function configuredIssuers({ clients }: RelyingParty): readonly string[] {
  return [...clients.values()].map(({ config }) => config.issuer)
}

interface LogoutParams {
  readonly issuer: string | undefined
  readonly sid: string | undefined
}

/** A `sid` is unique at one issuer only, so it comes together with `iss` (OIDC Front-Channel Logout 2). */
function readLogoutParams(rp: RelyingParty, params: URLSearchParams): LogoutParams {
  const [issuer, sid] = [params.getAll('iss'), params.getAll('sid')]
  const isKnown = [...rp.clients.values()].some(({ config }) => isIssuerOrTenant(config.issuer, issuer[0] ?? ''))
  const isValid = issuer.length <= 1 && sid.length <= 1 && (issuer.length === 0 || isKnown)
  if (isValid && (sid.length === 0 || (issuer.length === 1 && sid[0] !== ''))) return { issuer: issuer[0], sid: sid[0] }
  throw new OidcError(
    'ERR_OIDC_FRONTCHANNEL_LOGOUT',
    'The front-channel logout request has a sid without iss, a parameter twice, or an iss that is not configured ' +
      `(${shown(configuredIssuers(rp))}). Register ${rp.config.origin}${rp.config.basePath}` +
      `${rp.config.routes.frontchannelLogout} as frontchannel_logout_uri at these issuers only.`,
  )
}

/** The `sid` is proof enough: besides the provider, only the ID Token and the URL of this frame contain it. */
async function endSessionBySid(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  issuer: string,
  sid: string,
): Promise<void> {
  const login = readLastLogin(req, rp.config)
  for (const { config } of rp.clients.values()) {
    if (!isIssuerOrTenant(config.issuer, issuer)) continue
    const target = { provider: config.name, issuer, sid }
    if (login !== undefined && matchesTarget(login, target)) await endLocalLogin(rp, req, res, 'frontchannel')
    await rp.providerLogouts.endSessions(req.sessionStore, target, 'frontchannel')
  }
  // Some providers name the session here, but not in the ID Token. Then the session cookie says which login is meant.
  if (login !== undefined && !login.claims.sid) await endSessionOfThisBrowser(rp, req, res, issuer)
}

/** Without a `sid`: ends the login of this browser if it is of that issuer. Without an `iss`, any issuer will do. */
async function endSessionOfThisBrowser(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  issuer: string | undefined,
): Promise<void> {
  const login = readLastLogin(req, rp.config)
  if (login === undefined || (issuer !== undefined && login.claims.iss !== issuer)) return
  // If the browser sends cookies to frames, any site can frame this page or link to it: so the page must be the provider's.
  const source = headerOf(req, 'origin') ?? headerOf(req, 'referer') ?? ''
  // If a function finds the providers, each has a page of its own, and this one is of another provider than the login.
  const client = rp.clients.get(login.provider ?? ONLY_PROVIDER)
  if (client === undefined) return
  const isFromProvider = URL.canParse(source) && (await originsOf(client)).includes(new URL(source).origin)
  if (isFromProvider) await endLocalLogin(rp, req, res, 'frontchannel')
}

/** The origins of a provider's pages: that of its issuer, and those of its endpoints for browsers. */
async function originsOf({ config, findProvider }: Client): Promise<readonly string[]> {
  const metadata = await findProvider().then(
    (provider) => provider.metadata,
    () => undefined,
  )
  const pages = [config.issuer, metadata?.authorization_endpoint, metadata?.end_session_endpoint]
  return pages.flatMap((page) => policyOriginOf(page) ?? [])
}
