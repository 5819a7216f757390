import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, readForm, requestQuery } from '../http/request.ts'
import { send } from '../http/response.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import { isIssuerOrTenant } from '../options/issuer.ts'
import { type Client, clientOf, type RelyingParty } from '../relying-party.ts'
import { destroyUnsentSession } from '../session/cookies.ts'
import { readLastLogin } from '../session/current-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { endLocalLogin } from '../session/login-session.ts'
import { matchesTarget } from '../session/session-index.ts'
import type { Login } from '../types.ts'

const PAGE = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Signed out</title></head></html>\n'

/**
 * The page that the provider frames where somebody logs out there (OIDC Front-Channel Logout 2), by GET, or as one example
 * of Okta's has it by POST. A frame of another site mostly has no cookies, so the session is looked up by what the provider
 * calls it. The answer is always the same: it tells nobody whether anybody was logged in.
 */
export async function frontchannelLogoutRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET', 'POST')
  const request = requireSession(req)
  const params = req.method === 'POST' ? await readForm(req) : requestQuery(req)
  const { issuer, sid } = readParams(rp, params)
  if (issuer !== undefined && sid !== undefined) await endSessionBySid(rp, request, res, issuer, sid)
  else await endSessionOfThisBrowser(rp, request, res, issuer)
  await destroyUnsentSession(request)
  const origins = await Promise.all([...rp.clients.values()].map(originsOf))
  // Whatever another middleware has said of frames: this one is for the provider's pages.
  res.removeHeader('X-Frame-Options')
  const ancestors = [...new Set(origins.flat())].join(' ')
  res.setHeader('Content-Security-Policy', `default-src 'none'; frame-ancestors ${ancestors}`)
  send(res, 200, 'text/html', PAGE)
}

/** What the provider says of the session. */
interface Named {
  readonly issuer: string | undefined
  readonly sid: string | undefined
}

/** OIDC Front-Channel Logout 2: `sid` comes with `iss`, since it is unique at one issuer only. */
function readParams(rp: RelyingParty, params: URLSearchParams): Named {
  const [issuer, sid] = [params.getAll('iss'), params.getAll('sid')]
  const isKnown = [...rp.clients.values()].some(({ config }) => isIssuerOrTenant(config.issuer, issuer[0] ?? ''))
  const isSound = issuer.length <= 1 && sid.length <= 1 && (issuer.length === 0 || isKnown)
  if (isSound && (sid.length === 0 || (issuer.length === 1 && sid[0] !== ''))) return { issuer: issuer[0], sid: sid[0] }
  throw new OidcError(
    'ERR_OIDC_FRONTCHANNEL_LOGOUT',
    'A front-channel logout was asked for at an issuer that is none of ours, or for a session of no issuer.',
  )
}

/** Whoever knows what the provider calls a session may end it: that name is in ID Tokens and in this frame alone. */
async function endSessionBySid(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  issuer: string,
  sid: string,
): Promise<void> {
  const own = readLastLogin(req, rp.config)
  for (const { config } of rp.clients.values()) {
    if (!isIssuerOrTenant(config.issuer, issuer)) continue
    const target = { provider: config.name, issuer, sid }
    if (own !== undefined && matchesTarget(own, target)) await endLocalLogin(rp, req, res, 'frontchannel')
    for (const login of await rp.providerLogouts.endSessions(req.sessionStore, target)) publishLogout(login)
  }
}

/** Without the name of a session, the one of this browser, if it is of that issuer. */
async function endSessionOfThisBrowser(
  rp: RelyingParty,
  req: SessionRequest,
  res: Response,
  issuer: string | undefined,
): Promise<void> {
  const own = readLastLogin(req, rp.config)
  if (own === undefined || (issuer !== undefined && own.claims.iss !== issuer)) return
  // Any site can frame this page in a browser that sends cookies, or link to it.
  const source = headerOf(req, 'origin') ?? headerOf(req, 'referer') ?? ''
  const isFromProvider = URL.canParse(source) && (await originsOf(clientOf(rp, own))).includes(new URL(source).origin)
  if (isFromProvider) await endLocalLogin(rp, req, res, 'frontchannel')
}

function publishLogout({ provider = ONLY_PROVIDER, claims }: Login): void {
  publish['express-oidc:logout'](() => ({ provider, how: 'frontchannel', issuer: claims.iss, sub: claims.sub }))
}

/** Where the pages of a provider are: at its issuer, and wherever its metadata sends browsers. */
async function originsOf({ config, findProvider }: Client): Promise<readonly string[]> {
  const metadata = await findProvider().then(
    (provider) => provider.metadata,
    () => undefined,
  )
  const pages = [config.issuer, metadata?.authorization_endpoint, metadata?.end_session_endpoint]
  return pages.flatMap((page) => (page !== undefined && URL.canParse(page) ? [new URL(page).origin] : []))
}
