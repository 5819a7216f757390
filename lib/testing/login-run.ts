import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { OidcError, shown } from '../errors.ts'
import {
  type ExchangeResponse,
  exchange,
  type ListeningApp,
  readForm,
  readLocation,
  type TestTarget,
  unescapeHtml,
  withApp,
} from './app-target.ts'
import { TICKET_HEADER } from './authorize-endpoint.ts'
import { isRegistered } from './client-check.ts'
import { type CookieList, createCookieList, type TestCookie } from './cookie-list.ts'
import type { TestUser } from './test-options.ts'
import { randomValue, type TestContext } from './test-records.ts'

/** How `provider.login()` starts the login. */
export interface TestLoginOptions {
  /**
   * The path of the login route, or of a page that sends the browser to log in.
   * @default '/login', below the path of the URL if a URL is given
   */
  readonly path?: string
}

/** A user who is logged in at the application under test. */
export interface TestLogin {
  /** The `Cookie` header for requests to the application: `.set('Cookie', login.cookie)`. */
  readonly cookie: string
  /** The cookies of the application and of the provider, for Playwright: `context.addCookies(login.cookies)`. */
  readonly cookies: TestCookie[]
  /** The subject identifier of the user. */
  readonly sub: string
  /** The session at the provider, for `sendBackChannelLogout({ sid })`. */
  readonly sid: string
  /** The URL to which the application sent the browser after the login. */
  readonly url: string
}

/** What one login goes through. */
interface Run {
  readonly context: TestContext
  readonly app: ListeningApp
  readonly ticket: string
  readonly cookies: { app: CookieList; readonly provider: CookieList }
  /** The origin that the application has for browsers, once its redirect URI says so. */
  publicOrigin: string
  redirectUri: string
  isHttps: boolean
  /** The errors that the library has published, if the application runs in this process. */
  failures: readonly unknown[]
}

const MAX_STEPS = 20

/** Logs a user in at the application, as a browser would, without a browser. */
export function runLogin(
  context: TestContext,
  target: TestTarget,
  user: TestUser,
  { path }: TestLoginOptions,
): Promise<TestLogin> {
  return withApp(target, async (app) => {
    const ticket = randomValue()
    context.records.tickets.set(ticket, user)
    const cookies = { app: createCookieList(), provider: createCookieList() }
    const place = { publicOrigin: app.origin, redirectUri: '', isHttps: false }
    const run: Run = { context, app, ticket, cookies, ...place, failures: [] }
    const onError = (message: unknown): void => {
      run.failures = [...run.failures, Reflect.get(Object(message), 'error')]
    }
    subscribe('express-oidc:error', onError)
    try {
      return describeLogin(run, user, await follow(run, app.origin + (path ?? `${app.basePath}/login`)))
    } catch (error) {
      throw withCause(error, run.failures.at(-1))
    } finally {
      unsubscribe('express-oidc:error', onError)
      context.records.tickets.delete(ticket)
    }
  })
}

/** In the same process, the library tells what was wrong. That is worth more than the status of its response. */
function withCause(error: unknown, cause: unknown): unknown {
  if (!(error instanceof OidcError) || !hasCode(cause)) return error
  return failure(`${error.message} The cause is ${cause.code}: ${cause.message}`, cause)
}

/** An error of the library, which may be loaded a second time, so that its class proves nothing. */
function hasCode(error: unknown): error is { readonly code: string; readonly message: string } {
  return String(Reflect.get(Object(error), 'code')).startsWith('ERR_OIDC_')
}

/** Where a login has come to. */
interface Step {
  readonly url: string
  readonly response: ExchangeResponse
}

/** Follows the redirects from the application to the provider and back. Resolves to where the application goes on. */
async function follow(run: Run, start: string): Promise<string> {
  let { url, response } = await openLogin(run, start)
  for (let count = 0; count < MAX_STEPS; count++) {
    const target = readLocation(url, response, run.context.issuer)
    if (target === undefined) throw explain(run, url, response)
    if (isCallback(run, url) && !isAtProvider(run, target)) return target
    ;({ url, response } = await open(run, target))
  }
  throw failure(
    `${shown(start)} led to more than ${MAX_STEPS} redirects. Check that the login ends at a page of the app.`,
  )
}

async function open(run: Run, url: string): Promise<Step> {
  if (isAtProvider(run, url)) {
    const response = await askProvider(run, url)
    const form = readForm(response)
    return form === undefined ? { url, response } : submit(run, form, run.context.issuer)
  }
  const response = await askApp(run, url)
  const form = isCallback(run, url) ? readForm(response) : undefined
  return form === undefined ? { url, response } : submit(run, form, run.publicOrigin)
}

/**
 * Posts a form to the callback, as the page does that has it: one of the provider (`response_mode=form_post`), or the one by
 * which the library brings a response home if the session cookie is `SameSite=Strict`.
 */
async function submit(run: Run, form: URLSearchParams, from: string): Promise<Step> {
  return { url: run.redirectUri, response: await askApp(run, run.redirectUri, { form, from }) }
}

function isCallback(run: Run, url: string): boolean {
  return run.redirectUri !== '' && withoutQuery(url) === run.redirectUri
}

/**
 * The first request, which tells the redirect URI. If the application has an https `baseUrl`, it is made again as a proxy in
 * front of it would: express-session sets a `secure` cookie only then.
 */
async function openLogin(run: Run, start: string): Promise<Step> {
  const response = await askApp(run, start)
  const target = readLocation(start, response, run.context.issuer)
  const redirectUri = target === undefined ? null : new URL(target).searchParams.get('redirect_uri')
  const isHttps = redirectUri?.startsWith('https:') ?? response.status === 500
  if (run.app.isPublic || !isHttps) return { url: start, response }
  run.isHttps = true
  run.cookies.app = createCookieList()
  run.failures = []
  return { url: start, response: await askApp(run, start) }
}

function isAtProvider({ context }: Run, url: string): boolean {
  return new URL(url).origin === context.issuer
}

async function askProvider(run: Run, url: string): Promise<ExchangeResponse> {
  const redirectUri = new URL(url).searchParams.get('redirect_uri')
  if (redirectUri !== null && URL.canParse(redirectUri)) noteRedirectUri(run, redirectUri)
  const headers = { accept: 'text/html', [TICKET_HEADER]: run.ticket }
  const response = await exchange(url, { headers }).catch((error: unknown) => {
    throw failure('The test provider does not answer. Call behave() if it is down, and login() before close().', error)
  })
  run.cookies.provider.store(response.headers['set-cookie'])
  return response
}

/** Where browsers reach the application. With a URL, that must be this URL; else, login() takes the place of the name server. */
function noteRedirectUri(run: Run, redirectUri: string): void {
  const { origin } = new URL(redirectUri)
  run.redirectUri = withoutQuery(redirectUri)
  run.publicOrigin = origin
  if (!run.app.isPublic || origin === run.app.origin) return
  throw failure(
    `The app runs at ${shown(run.app.origin)}, but its redirect URI begins with ${shown(origin)}: baseUrl names another place ` +
      "than the one where it is tested, so cookies and redirects go astray. Set baseUrl to the app's own URL, or pass the app " +
      'itself to login() instead of a URL.',
  )
}

/** A form, and the origin of the page that it is on. */
interface Post {
  readonly form: URLSearchParams
  readonly from: string
}

async function askApp(run: Run, url: string, post?: Post): Promise<ExchangeResponse> {
  const { origin, pathname, search } = new URL(url)
  if (origin !== run.publicOrigin && origin !== run.app.origin) {
    throw failure(
      `The app redirected to ${shown(origin)}, which is neither the app nor this provider. Set the issuer of oidc() to ` +
        'provider.issuer, or spread provider.options.',
    )
  }
  const cookie = run.cookies.app.header(pathname)
  const response = await exchange(`${run.app.origin}${pathname}${search}`, {
    method: post === undefined ? 'GET' : 'POST',
    form: post?.form,
    headers: {
      accept: 'text/html',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
      'sec-fetch-site': siteOf(run, post),
      host: new URL(run.publicOrigin).host,
      ...(post === undefined ? {} : { origin: post.from }),
      ...(run.isHttps ? { 'x-forwarded-proto': 'https' } : {}),
      ...(cookie === '' ? {} : { cookie }),
    },
  }).catch((error: unknown) => {
    throw failure(
      `The app at ${shown(run.app.origin)} does not answer. Check that it runs, and the URL or port.`,
      error,
    )
  })
  run.cookies.app.store(response.headers['set-cookie'])
  return response
}

/** Fetch Metadata 2.3: where the request comes from, in the eyes of a browser. */
function siteOf({ redirectUri, publicOrigin }: Run, post: Post | undefined): string {
  if (post?.from === publicOrigin) return 'same-origin'
  return redirectUri === '' ? 'none' : 'cross-site'
}

function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/, '')
}

function isKnown({ context, redirectUri }: Run): boolean {
  return context.setup.clients.some(({ redirectUris }) => isRegistered(redirectUri, redirectUris))
}

/** Why a login has ended at a response that is no redirect. */
function explain(run: Run, url: string, response: ExchangeResponse): OidcError {
  const { status, body } = response
  if (isAtProvider(run, url)) {
    if (!isKnown(run)) {
      return failure(
        `The redirect URI ${shown(run.redirectUri)} is not registered: without a registration it must be http on this machine. ` +
          'Name it: startTestProvider({ clients: [{ clientId, clientSecret, redirectUris }] }).',
      )
    }
    const [, message = ''] = /<p>([^<]*)<\/p>/.exec(body) ?? []
    return failure(
      `The test provider answered ${status} to the authorization request: ${shown(unescapeHtml(message))}.`,
    )
  }
  const { pathname } = new URL(url)
  const [reason = 'without an error code'] = /\bERR_OIDC_\w+/.exec(body) ?? []
  if (run.redirectUri !== '') {
    return failure(`The callback ${shown(pathname)} of the app answered ${status} (${shown(reason)}).`)
  }
  if (status === 404) {
    return failure(
      `The app has no route ${shown(pathname)}: it answered 404. If routes.login or the path of baseUrl is another, pass it: ` +
        "login(app, claims, { path: '/portal/login' }).",
    )
  }
  if (status >= 500) return failure(`The app answered ${status} (${shown(reason)}) to ${shown(pathname)}.`)
  return failure(
    `The app answered ${status} to ${shown(pathname)}, and did not redirect to the provider. Pass the path of its login route: ` +
      'login(app, claims, { path }).',
  )
}

function failure(message: string, cause?: unknown): OidcError {
  return new OidcError('ERR_OIDC_TESTING', message, cause === undefined ? {} : { cause })
}

function describeLogin(run: Run, user: TestUser, url: string): TestLogin {
  const { hostname } = new URL(run.publicOrigin)
  // The library's mark that a response was used says nothing about who is logged in, and expires in seconds.
  const cookies = run.cookies.app.all(hostname).filter(({ name }) => !name.includes('-landed.'))
  if (cookies.length === 0) {
    throw failure(
      'The login succeeded, but the app has set no session cookie. Check the cookie options of express-session: a cookie with ' +
        "secure: true needs app.set('trust proxy', 1) and an https baseUrl.",
    )
  }
  const provider = run.cookies.provider.all(new URL(run.context.issuer).hostname)
  return {
    cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; '),
    cookies: [...cookies, ...provider],
    sub: user.sub,
    sid: run.context.records.sessions.get(provider[0]?.value ?? '')?.sid ?? '',
    url: url.replace(/#$/, ''),
  }
}
