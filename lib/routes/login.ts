import { parseAuthorizationParams, type WireParams } from '../config/authorization-params.ts'
import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, headerOf, isPrefetch, type Request, type Response, redirect, requestQuery } from '../http.ts'
import { createAuthorizationRequest, type LoginRequest } from '../protocol/authorization-request.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { safeReturnTo } from '../return-to.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { readLogin } from '../session/login-session.ts'
import { keepRequestObject } from '../session/request-objects.ts'
import { checkSecureCookie, isStrict } from '../session/session-cookie.ts'
import { chooserUrl } from './login-url.ts'
import { passedParams, strictestOf } from './passed-params.ts'
import { checkedLogin, checkParams, goBack, isUnasked, sessionHint } from './silent-request.ts'

/** A login, and whether its parameters are those of a link, which anybody can write. */
interface LinkedRequest extends LoginRequest {
  readonly isLinked?: boolean
}

/**
 * `GET /login?returnTo=/path`: starts a login. A `returnTo` that is not ours is as good as none. `provider` names one of
 * several, and without it people choose, where there is a page for that. `prompt=none` demands a silent login,
 * `requirement` one that comes to what `req.oidc.loginUrl()` has sealed in it.
 */
export async function loginRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET')
  const query = requestQuery(req)
  const returnTo = safeReturnTo(query.get('returnTo'), rp.config) ?? `${rp.config.basePath}/`
  const isSilent = query.get('prompt') === 'none'
  const name = query.get('provider') ?? undefined
  // What nobody is to notice asks nobody anything.
  const chooser = name === undefined && !isSilent ? chooserUrl(rp, returnTo) : undefined
  if (chooser !== undefined) return redirect(res, chooser)
  const client = chosenClient(rp, name)
  const asked = { returnTo, isSilent, ...askedBy(rp, query) }
  const wanted = { ...asked, checks: checkedLogin(rp, client, req, asked), isLinked: true }
  const start = startLogin(rp, client, req, res, wanted)
  await (isUnasked(rp, req, wanted) ? start.catch((error) => goBack(rp, req, res, wanted, error)) : start)
}

function askedBy(rp: RelyingParty, query: URLSearchParams): Pick<LoginRequest, 'authorizationParams' | 'requirement'> {
  const sealed = query.get('requirement')
  const requirement = sealed === null ? undefined : rp.requirements.open(sealed)
  return { authorizationParams: passedParams(rp, query), requirement }
}

/** The client at the provider of this name, or the first where none is named. Throws `ERR_OIDC_PROVIDER_UNKNOWN`. */
export function chosenClient({ clients }: RelyingParty, name: string | undefined): Client {
  const [first] = clients.values()
  const client = name === undefined ? first : clients.get(name)
  if (client !== undefined) return client
  throw new OidcError(
    'ERR_OIDC_PROVIDER_UNKNOWN',
    'There is no provider of the name that the login was asked for with.',
  )
}

/**
 * Sends the browser to the provider, with a new transaction in a cookie. Whatever would make the login fail when it comes
 * back is found now: a session that is missing, unfit, or not kept by the browser.
 */
export async function startLogin(
  rp: RelyingParty,
  client: Client,
  req: Request,
  res: Response,
  wanted: LinkedRequest,
): Promise<void> {
  if (isPrefetch(req)) return declinePrefetch(res)
  const { config } = client
  const request = requireSession(req)
  checkSecureCookie(request)
  // Who is logged in is no visitor.
  if (wanted.isSilent === true && wanted.checks === undefined) rp.silentLogins.mark(res)
  checkLanding(rp, request, res, wanted)
  await config.hooks.beforeLogin?.({ req, res, provider: config.name, returnTo: wanted.returnTo })
  if (res.headersSent) return
  // Whom nobody has asked is not sent to a provider that is down, and does not wait for what may be old.
  if (wanted.checks !== undefined) await client.checkPulse()
  const provider = await client.findProvider()
  const authorizationParams = await paramsOf(rp, client, request, wanted)
  const { url, transaction } = await createAuthorizationRequest(
    provider,
    { ...wanted, authorizationParams },
    (requestObject) => keepRequestObject(request.sessionStore, config, requestObject),
  )
  rp.transactions.begin(req, res, transaction)
  publish['express-oidc:login-start'](() => ({
    provider: config.name,
    issuer: config.issuer,
    path: pathOf(wanted.returnTo),
  }))
  redirect(res, url)
}

async function paramsOf(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  { isSilent, checks, isLinked = false, authorizationParams: own }: LinkedRequest,
): Promise<WireParams> {
  const { authorizationParams: given } = client.config
  const configured = parseAuthorizationParams(typeof given === 'function' ? await given(req) : given)
  // Whoever names somebody does not mean who is logged in.
  const hint = isSilent === true && own['login_hint'] === undefined ? await sessionHint(rp, client, req) : {}
  const base = checks === undefined ? configured : checkParams(configured)
  return { ...base, ...hint, ...(isLinked ? strictestOf(own, base) : own) }
}

/** HTML 7.4.2.2: what is not ok is no answer for when the person comes to ask. */
function declinePrefetch(res: Response): void {
  res.statusCode = 503
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Length', '0')
  res.end()
}

/** Nobody is sent to the provider again and again. */
function checkLanding(rp: RelyingParty, req: SessionRequest, res: Response, { requirement }: LoginRequest): void {
  if (readLogin(req, rp.config) === undefined) {
    if (!isBlindToSession(req)) rp.landing.check(req, res)
  } else if (requirement !== undefined) {
    rp.landing.checkStepUp(req, res)
  }
}

/** A Strict cookie stays away from what another site began: that it is not there says nothing. */
function isBlindToSession(req: SessionRequest): boolean {
  const site = headerOf(req, 'sec-fetch-site')
  return isStrict(req.session.cookie) && site !== undefined && site !== 'same-origin'
}

/** Queries may hold what is nobody else's business. */
function pathOf(returnTo: string): string {
  return returnTo.replace(/[?#].*$/, '')
}
