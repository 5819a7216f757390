import { ConfigError, OidcError } from '../errors.ts'
import { publish, publishError } from '../events.ts'
import { allowMethods, headerOf, isPrefetch, type Request, type Response, requestQuery } from '../http/request.ts'
import { redirect, rejectPrefetch, SUBMIT_FORM_SCRIPT, sendFormPage } from '../http/response.ts'
import { currentPage, homePage, providerChooserUrl, safeReturnTo } from '../http/return-to.ts'
import { rememberReturnTo } from '../http/way-on.ts'
import { type Operations, traced } from '../operations.ts'
import { parseAuthorizationParams, type WireParams } from '../options/authorization-params.ts'
import { ONLY_PROVIDER } from '../options/config.ts'
import {
  type AuthorizationRequest,
  createAuthorizationRequest,
  type LoginRequest,
  usesRequestUri,
} from '../protocol/authorization-request.ts'
import { parseLoginScope, parseRequirement } from '../protocol/step-up.ts'
import { findClient, providerUnknown } from '../relying-party/provider-lookup.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { isStrict } from '../session/cookies.ts'
import { readLogin } from '../session/current-login.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { showRedirectUri } from '../session/setup-check.ts'
import { loginIdOf } from '../session/transaction.ts'
import type { Login, LoginOptions } from '../types.ts'
import { storeRequestObject } from './published-documents.ts'
import {
  findLoginToRecheck,
  idTokenHintParam,
  redirectBackToPage,
  scopesBesideOption,
  withoutLoginHintAndMaxAge,
} from './silent-login.ts'

/** What a request needs to start a login. */
interface LoginStart extends LoginRequest {
  /** True if the parameters come from a URL, which anyone can write. */
  readonly isFromLink?: boolean
}

/**
 * `GET /login`: starts a login. The query parameters are all optional:
 *
 * - `returnTo`: the page to return to. If it is not a page of this application, the user returns to the home page.
 * - `provider`: the name of one of several providers. Without it, `providerChooser` or the first provider is used.
 * - `prompt=none`: a silent login, which shows no page of the provider.
 * - `requirement`: how strong and recent the login must be, encrypted by `req.oidc.loginUrl()`.
 * - The parameters named in the option `passthroughParams`.
 */
export async function loginRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET')
  const query = requestQuery(req)
  const returnTo = readReturnTo(rp, query.get('returnTo'))
  const isSilent = query.get('prompt') === 'none'
  const provider = query.get('provider') ?? undefined
  // A silent login must not show a page, not even the provider chooser.
  const chooser = provider === undefined && !isSilent ? providerChooserUrl(rp.config, returnTo) : undefined
  if (chooser !== undefined) return redirect(res, chooser)
  const client = await findClientByName(rp, req, provider)
  const request = { returnTo, isSilent, ...readLoginQuery(rp, query) }
  const login = { ...request, recheckedTokensId: findLoginToRecheck(rp, client, req, request), isFromLink: true }
  try {
    await startLogin(rp, client, req, res, login)
  } catch (error) {
    await redirectBackToPage(rp, req, res, login, error)
  }
}

/** Publishes an error if `returnTo` is ignored. The error does not contain the value, because anyone can write it. */
function readReturnTo({ config }: RelyingParty, given: string | null): string {
  const returnTo = safeReturnTo(given, config)
  if (returnTo === undefined && given !== null) {
    const error = new OidcError(
      'ERR_OIDC_RETURN_TO',
      'The login route ignores its returnTo, and the login leads to the home page: it is no path below baseUrl, is a ' +
        'route of this middleware, or is longer than 4096 characters. Correct the link that has it.',
    )
    publishError(error)
  }
  return returnTo ?? homePage(config)
}

/**
 * `req.oidc.login()`: starts a login for the application. Throws `ERR_OIDC_RETURN_TO` for a `returnTo` outside of the
 * application, `ERR_OIDC_PROVIDER_UNKNOWN`, and `ERR_OIDC_CONFIG` for parameters that the application may not set.
 */
export async function logIn(rp: RelyingParty, req: Request, res: Response, options: LoginOptions): Promise<void> {
  const current = readLogin(req, rp.config)
  // Without a name, a user who is logged in logs in again at the same provider.
  const client = await findClientByName(rp, req, options.provider ?? (current && (current.provider ?? ONLY_PROVIDER)))
  const login = readLoginOptions(rp, req, options)
  if (login.responseType === 'none') checkEnrollment(client, current, options)
  await startLogin(rp, client, req, res, login)
}

function readLoginOptions(rp: RelyingParty, req: Request, options: LoginOptions): LoginRequest {
  const returnTo = safeReturnTo(options.returnTo ?? currentPage(rp.config, req), rp.config)
  if (returnTo === undefined && options.returnTo !== undefined) {
    throw new OidcError(
      'ERR_OIDC_RETURN_TO',
      `req.oidc.login(): returnTo must be a path that begins with '${homePage(rp.config)}' and is no route of this ` +
        'middleware. Pass a path such as req.originalUrl, not a whole URL.',
    )
  }
  const authorizationParams = parseAuthorizationParams(options.authorizationParams)
  return {
    returnTo: returnTo ?? homePage(rp.config),
    authorizationParams,
    requirement: options.requirement && parseRequirement(options.requirement),
    scope: parseLoginScope(options.scope),
    isSilent: authorizationParams['prompt'] === 'none',
    ...(authorizationParams['prompt'] === ENROLLMENT_PROMPT ? { responseType: 'none' } : {}),
  }
}

/**
 * The prompt with which a user enrolls an authenticator at Okta, such as a passkey. Its response type must be `none`.
 */
const ENROLLMENT_PROMPT = 'enroll_authenticator'

/**
 * Only a user who is logged in can enroll. The response contains no login, so it cannot have a requirement or a scope
 * that the callback checks.
 */
function checkEnrollment({ config }: Client, current: Login | undefined, { requirement, scope }: LoginOptions): void {
  const prompt = `prompt: '${ENROLLMENT_PROMPT}'`
  if (config.profile?.startsWith('fapi2') === true) {
    throw new ConfigError([`login() cannot have ${prompt} with a FAPI profile, which allows only responseType 'code'.`])
  }
  if (requirement !== undefined || scope !== undefined) {
    throw new ConfigError([`login() cannot have a requirement or a scope with ${prompt}, which brings no new login.`])
  }
  if (current === undefined) {
    throw new OidcError('ERR_OIDC_LOGIN_REQUIRED', 'Please sign in.')
  }
}

/** Finds the client at the provider with this name, or at the first provider if there is no name. */
async function findClientByName(rp: RelyingParty, req: Request, name: string | undefined): Promise<Client> {
  // If a function finds the providers, the first of those found so far is arbitrary.
  const [first] = rp.config.findsProviders ? [] : rp.clients.values()
  const client = name === undefined ? first : await findClient(rp, name, req)
  if (client === undefined) throw providerUnknown()
  return client
}

function readLoginQuery(
  rp: RelyingParty,
  query: URLSearchParams,
): Pick<LoginRequest, 'authorizationParams' | 'requirement'> {
  const encrypted = query.get('requirement')
  const requirement = encrypted === null ? undefined : rp.requirements.open(encrypted)
  return { authorizationParams: readPassthroughParams(rp, query), requirement }
}

/** Reads the parameters that the option `passthroughParams` names. Ignores invalid values, and all other parameters. */
function readPassthroughParams({ config }: RelyingParty, query: URLSearchParams): WireParams {
  const params = config.passthroughParams.map((name) => parseParam(name, query.getAll(name)))
  return Object.assign({}, ...params)
}

/** If a parameter is repeated, its first value is used. Only `resource` may have several values (RFC 8707 2). */
function parseParam(name: string, values: readonly string[]): WireParams {
  const [first] = values
  if (first === undefined) return {}
  try {
    return parseAuthorizationParams({ [name]: name === 'resource' ? values : first })
  } catch {
    return {}
  }
}

/**
 * Stores the transaction of the login in a cookie, and redirects the browser to the provider. Throws if the session is
 * missing, cannot be used or is not kept by the browser, because the callback would fail later.
 */
export async function startLogin(
  rp: RelyingParty,
  client: Client,
  req: Request,
  res: Response,
  login: LoginStart,
): Promise<void> {
  if (isPrefetch(req)) return rejectPrefetch(res)
  rememberReturnTo(req, login.returnTo)
  const { config } = client
  const sessionReq = requireSession(req)
  rp.secureCookie.check(sessionReq)
  if (login.isSilent === true && login.recheckedTokensId === undefined) rp.silentLogins.rememberAttempt(res)
  stopLoginLoops(rp, sessionReq, res, login)
  await traced(
    'express-oidc:login',
    () => ({ provider: config.name, route: rp.config.routes.login }),
    (operation) => redirectToProvider(rp, client, sessionReq, res, login, operation),
  )
}

/** Throws if the browser goes to the provider and back again and again. */
function stopLoginLoops(rp: RelyingParty, req: SessionRequest, res: Response, { requirement }: LoginRequest): void {
  if (readLogin(req, rp.config) === undefined) {
    if (!isSessionCookieWithheld(req)) rp.loopBrake.stopLoginLoop(req, res)
  } else if (requirement !== undefined) {
    rp.loopBrake.stopStepUpLoop(req, res)
  }
}

/** A browser withholds a `SameSite=Strict` cookie from navigations that another site started. */
function isSessionCookieWithheld(req: SessionRequest): boolean {
  const site = headerOf(req, 'sec-fetch-site')
  return isStrict(req.session.cookie) && site !== undefined && site !== 'same-origin'
}

async function redirectToProvider(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  res: Response,
  login: LoginStart,
  operation: Operations['express-oidc:login'] | undefined,
): Promise<void> {
  const { config } = client
  await config.hooks.beforeLogin?.({ req, res, provider: config.name, returnTo: login.returnTo })
  if (res.headersSent) return
  // The user did not start the recheck, so the browser must not be sent to a provider that is down. `findProvider()`
  // does not notice that, because it caches the metadata.
  if (login.recheckedTokensId !== undefined) await client.checkAvailability()
  const provider = await client.findProvider()
  if (usesRequestUri(provider) && readLogin(req, config) === undefined) limitAnonymousLogins(client, login)
  const authorizationParams = await createAuthorizationParams(rp, client, req, login)
  const scope = await scopesBesideOption(rp, client, req, login)
  const { url, form, transaction } = await createAuthorizationRequest(
    provider,
    { ...login, authorizationParams, scope },
    (requestObject) => storeRequestObject(req.sessionStore, config, requestObject),
  )
  const { traceparent } = operation ?? {}
  if (operation !== undefined) operation.loginId = loginIdOf(transaction)
  rp.transactions.begin(req, res, { ...transaction, ...(traceparent === undefined ? {} : { traceparent }) })
  showRedirectUri(rp.notices, provider.config)
  publish['express-oidc:login-start'](() => ({
    provider: config.name,
    issuer: config.issuer,
    path: withoutQuery(login.returnTo),
  }))
  if (form === undefined) redirect(res, url)
  else sendLoginForm(res, url, form)
}

/**
 * Limits the logins of visitors who are not logged in. Otherwise a script could use up the provider's rate limit for
 * all our users, or fill the session store. Silent logins may use only half of the limit, so that users can still log
 * in.
 */
function limitAnonymousLogins({ config, requestUriBudget }: Client, { isSilent }: LoginRequest): void {
  const limit = config.requestUriRateLimit
  const reserve = isSilent === true ? Math.floor(limit / 2) : 0
  if (requestUriBudget.take(reserve)) return
  const seconds = Math.max(1, Math.ceil(requestUriBudget.waitSeconds(reserve)))
  throw new OidcError(
    'ERR_OIDC_LOGIN_RATE_LIMIT',
    `Visitors start more logins than requestUriRateLimit allows (${limit} a minute). Retry in ${seconds} seconds. If these ` +
      'are your users, raise the option. If not, limit requests by address in front of the application.',
    { headers: { 'Retry-After': String(seconds) } },
  )
}

/** Combines the parameters of the options with those of this login, which take precedence. */
async function createAuthorizationParams(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  { isSilent, recheckedTokensId, isFromLink = false, authorizationParams: own }: LoginStart,
): Promise<WireParams> {
  const { authorizationParams: option } = client.config
  const configured = parseAuthorizationParams(typeof option === 'function' ? await option(req) : option)
  // A login_hint may name another user than the one who is logged in.
  const hint = isSilent === true && own['login_hint'] === undefined ? await idTokenHintParam(rp, client, req) : {}
  const base = recheckedTokensId === undefined ? configured : withoutLoginHintAndMaxAge(configured)
  return { ...base, ...hint, ...(isFromLink ? keepConfiguredMinimum(own, base) : own) }
}

/**
 * A link cannot weaken what the options require and the callback checks: it can lower `max_age`, but not raise it,
 * and cannot replace `claims`.
 */
function keepConfiguredMinimum(linked: WireParams, { max_age: maxAge, claims }: WireParams): WireParams {
  const isNotStricter = maxAge !== undefined && Number(linked['max_age'] ?? maxAge) >= Number(maxAge)
  return { ...linked, ...(isNotStricter ? { max_age: maxAge } : {}), ...(claims === undefined ? {} : { claims }) }
}

/** Events must not contain the query of a page, which may be private. */
const withoutQuery = (path: string): string => path.replace(/[?#].*$/, '')

/** Sends a small page that posts the request to the provider. */
function sendLoginForm(res: Response, url: string, fields: NonNullable<AuthorizationRequest['form']>): void {
  const notice = '<noscript><p>One more step to sign in.</p></noscript><button>Continue</button>'
  sendFormPage(res, url, { title: 'Signing in', fields, script: SUBMIT_FORM_SCRIPT, notice })
}
