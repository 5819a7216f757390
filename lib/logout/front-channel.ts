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
 * specification uses GET, but Okta documents an example with POST. A frame of another site usually gets no cookies,
 * so the session is found by its `sid`. The response is always the same, so that it does not show whether the user
 * was logged in.
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
  // Another middleware may have forbidden all frames, but the providers' pages must be able to frame this one.
  res.removeHeader('X-Frame-Options')
  const ancestors = [...new Set(origins.flat())].join(' ')
  res.setHeader('Content-Security-Policy', `default-src 'none'; frame-ancestors ${ancestors}`)
  send(res, 200, 'text/html', PAGE)
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

function configuredIssuers({ clients }: RelyingParty): readonly string[] {
  return [...clients.values()].map(({ config }) => config.issuer)
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
  // Some providers send a `sid` here but none in the ID Token. It cannot be compared, so the session cookie selects
  // the login.
  if (login !== undefined && !login.claims.sid) await endSessionOfThisBrowser(rp, req, res, issuer)
}

/** Ends the login that the session cookie belongs to. If there is an `iss`, the login must be of that issuer. */
async function endSessionOfThisBrowser(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  issuer: string | undefined,
): Promise<void> {
  const login = readLastLogin(req, rp.config)
  if (login === undefined || (issuer !== undefined && login.claims.iss !== issuer)) return
  // A browser that sends cookies to frames sends them for every site that frames or links this page. So accept only the
  // pages of the provider.
  const sender = headerOf(req, 'origin') ?? headerOf(req, 'referer') ?? ''
  const client = rp.clients.get(login.provider ?? ONLY_PROVIDER)
  // If a function finds the providers, each has its own logout page. This one belongs to another provider than the
  // login.
  if (client === undefined) return
  const isFromProvider = URL.canParse(sender) && (await originsOf(client)).includes(new URL(sender).origin)
  if (isFromProvider) await endLocalLogin(rp, req, res, 'frontchannel')
}

/** Returns the origins of a provider's pages: those of its issuer and of the endpoints that browsers open. */
async function originsOf({ config, findProvider }: Client): Promise<readonly string[]> {
  const metadata = await findProvider().then(
    (provider) => provider.metadata,
    () => undefined,
  )
  const pages = [config.issuer, metadata?.authorization_endpoint, metadata?.end_session_endpoint]
  return pages.flatMap((page) => policyOriginOf(page) ?? [])
}
