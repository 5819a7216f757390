import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import {
  allowMethods,
  headerOf,
  isPrefetch,
  type Request,
  type Response,
  readForm,
  requestQuery,
} from '../http/request.ts'
import { redirect } from '../http/response.ts'
import { currentPage, providerChooserUrl, safeReturnTo } from '../http/return-to.ts'
import { parseAuthorizationParams, type WireParams } from '../options/authorization-params.ts'
import { createAuthorizationRequest, type LoginRequest } from '../protocol/authorization-request.ts'
import { parseRequirement } from '../protocol/step-up.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { checkSecureCookie, isStrict } from '../session/cookies.ts'
import { readLogin } from '../session/current-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import type { LoginOptions } from '../types.ts'
import { keepRequestObject } from './published-documents.ts'
import {
  findLoginToRecheck,
  idTokenHintParam,
  isStartedByPage,
  redirectBack,
  withoutLoginHintAndMaxAge,
} from './silent-login.ts'

/** A login, and whether its parameters are those of a link, which anybody can write. */
interface LinkedRequest extends LoginRequest {
  readonly isFromLink?: boolean
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
  const chooser = name === undefined && !isSilent ? providerChooserUrl(rp.config, returnTo) : undefined
  if (chooser !== undefined) return redirect(res, chooser)
  const client = findClientByName(rp, name)
  const asked = { returnTo, isSilent, ...readLoginQuery(rp, query) }
  const wanted = { ...asked, recheckedTokensId: findLoginToRecheck(rp, client, req, asked), isFromLink: true }
  const start = startLogin(rp, client, req, res, wanted)
  await (isStartedByPage(rp, req, wanted) ? start.catch((error) => redirectBack(rp, req, res, wanted, error)) : start)
}

function readLoginQuery(
  rp: RelyingParty,
  query: URLSearchParams,
): Pick<LoginRequest, 'authorizationParams' | 'requirement'> {
  const sealed = query.get('requirement')
  const requirement = sealed === null ? undefined : rp.requirements.open(sealed)
  return { authorizationParams: readPassthroughParams(rp, query), requirement }
}

/** The client at the provider of this name, or the first where none is named. Throws `ERR_OIDC_PROVIDER_UNKNOWN`. */
export function findClientByName({ clients }: RelyingParty, name: string | undefined): Client {
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
  if (isPrefetch(req)) return rejectPrefetch(res)
  const { config } = client
  const request = requireSession(req)
  checkSecureCookie(request)
  // Who is logged in is no visitor.
  if (wanted.isSilent === true && wanted.recheckedTokensId === undefined) rp.silentLogins.rememberAttempt(res)
  stopLoginLoops(rp, request, res, wanted)
  await config.hooks.beforeLogin?.({ req, res, provider: config.name, returnTo: wanted.returnTo })
  if (res.headersSent) return
  // Whom nobody has asked is not sent to a provider that is down, and does not wait for what may be old.
  if (wanted.recheckedTokensId !== undefined) await client.checkAvailability()
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
  { isSilent, recheckedTokensId: checks, isFromLink = false, authorizationParams: own }: LinkedRequest,
): Promise<WireParams> {
  const { authorizationParams: given } = client.config
  const configured = parseAuthorizationParams(typeof given === 'function' ? await given(req) : given)
  // Whoever names somebody does not mean who is logged in.
  const hint = isSilent === true && own['login_hint'] === undefined ? await idTokenHintParam(rp, client, req) : {}
  const base = checks === undefined ? configured : withoutLoginHintAndMaxAge(configured)
  return { ...base, ...hint, ...(isFromLink ? keepConfiguredMinimum(own, base) : own) }
}

/** HTML 7.4.2.2: what is not ok is no answer for when the person comes to ask. */
function rejectPrefetch(res: Response): void {
  res.statusCode = 503
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Length', '0')
  res.end()
}

/** Nobody is sent to the provider again and again. */
function stopLoginLoops(rp: RelyingParty, req: SessionRequest, res: Response, { requirement }: LoginRequest): void {
  if (readLogin(req, rp.config) === undefined) {
    if (!isSessionCookieWithheld(req)) rp.loopBrake.stopLoginLoop(req, res)
  } else if (requirement !== undefined) {
    rp.loopBrake.stopStepUpLoop(req, res)
  }
}

/** A Strict cookie stays away from what another site began: that it is not there says nothing. */
function isSessionCookieWithheld(req: SessionRequest): boolean {
  const site = headerOf(req, 'sec-fetch-site')
  return isStrict(req.session.cookie) && site !== undefined && site !== 'same-origin'
}

/** Queries may hold what is nobody else's business. */
function pathOf(returnTo: string): string {
  return returnTo.replace(/[?#].*$/, '')
}

/**
 * What an application wants of one login of its own making. Throws `ERR_OIDC_RETURN_TO` for a path that is not its own, and
 * `ERR_OIDC_CONFIG` for parameters that it may not set.
 */
export function readLoginOptions(rp: RelyingParty, req: Request, options: LoginOptions): LoginRequest {
  const returnTo = safeReturnTo(options.returnTo ?? currentPage(rp.config, req), rp.config)
  if (returnTo === undefined && options.returnTo !== undefined) {
    throw new OidcError('ERR_OIDC_RETURN_TO', 'returnTo is not a path of this application that one can come back to.')
  }
  const authorizationParams = parseAuthorizationParams(options.authorizationParams)
  return {
    returnTo: returnTo ?? `${rp.config.basePath}/`,
    authorizationParams,
    requirement: options.requirement && parseRequirement(options.requirement),
    isSilent: authorizationParams['prompt'] === 'none',
  }
}

/**
 * What of the login route's query goes on to the provider: the parameters that the options name, where they are sound. A link
 * with anything else in it is a link without it.
 */
function readPassthroughParams({ config }: RelyingParty, query: URLSearchParams): WireParams {
  const given = config.passthroughParams.map((name) => validParam(name, query.getAll(name)))
  return Object.assign({}, ...given)
}

/** Whoever makes a link may demand more of a login than the options do, never less: both are held against what comes back. */
function keepConfiguredMinimum(passed: WireParams, { max_age: age, claims }: WireParams): WireParams {
  const isOlder = age !== undefined && Number(passed['max_age'] ?? age) >= Number(age)
  return { ...passed, ...(isOlder ? { max_age: age } : {}), ...(claims === undefined ? {} : { claims }) }
}

/** Of one that came twice the first counts; only `resource` may come several times (RFC 8707 2). */
function validParam(name: string, values: readonly string[]): WireParams {
  const [first] = values
  if (first === undefined) return {}
  try {
    return parseAuthorizationParams({ [name]: name === 'resource' ? values : first })
  } catch {
    return {}
  }
}

const MAX_LOGIN_HINT_LENGTH = 1024

/**
 * `GET` or `POST` at `initiate_login_uri`: another site, mostly the provider's own portal, asks for a login (OIDC Core 4).
 * It chooses among our providers and our pages, and nothing else. Throws `ERR_OIDC_INITIATE_LOGIN`.
 */
export async function initiateLoginRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET', 'POST')
  const params = req.method === 'POST' ? await readForm(req) : requestQuery(req)
  const client = findClient(rp, params.get('iss'))
  const returnTo = targetOf(rp, params.get('target_link_uri'))
  const hint = hintOf(params.get('login_hint'))
  if (req.method === 'POST') return redirect(res, addressOf(rp, client, returnTo, hint))
  await startLogin(rp, client, req, res, { returnTo, authorizationParams: hint })
}

/** A hint is for people's comfort: one that is too long is left aside. */
function hintOf(hint: string | null): Readonly<Record<string, string>> {
  return hint === null || hint === '' || hint.length > MAX_LOGIN_HINT_LENGTH ? {} : { login_hint: hint }
}

/**
 * The same, to be asked for by GET. With what another site has posted the browser sends no cookie of ours: who posts
 * again and again would fill it with logins on their way, since there would be none to make room of.
 */
function addressOf(
  { config }: RelyingParty,
  client: Client,
  returnTo: string,
  hint: Readonly<Record<string, string>>,
): string {
  const query = { iss: client.config.issuer, target_link_uri: config.origin + returnTo, ...hint }
  return `${config.basePath}${config.routes.initiateLogin}?${new URLSearchParams(query)}`
}

function findClient(rp: RelyingParty, iss: string | null): Client {
  const client = [...rp.clients.values()].find(({ config }) => config.issuer === iss)
  if (client !== undefined) return client
  throw new OidcError('ERR_OIDC_INITIATE_LOGIN', 'A login was asked for at an issuer that is none of ours.')
}

/** OIDC Core 4: it must not be used as an open redirector, so it is one of our own pages. */
function targetOf({ config }: RelyingParty, target: string | null): string {
  if (target === null || target === '') return `${config.basePath}/`
  const origin = /^https?:\/\/[^/?#@\\]+/i.exec(target)?.[0] ?? ''
  const isOurs = URL.canParse(origin) && new URL(origin).origin === config.origin
  const page = isOurs ? safeReturnTo(target.slice(origin.length) || '/', config) : undefined
  if (page !== undefined) return page
  throw new OidcError('ERR_OIDC_INITIATE_LOGIN', 'A login was asked for with a target that is no page of ours.')
}
