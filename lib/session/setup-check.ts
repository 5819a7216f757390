import { isConsoleForDevelopers, isOneOfSeveralProcesses } from '../console/environment.ts'
import type { Notices } from '../console/failures.ts'
import { isShortened, misplacementText } from '../http/own-routes.ts'
import { headerOf, type Request, wantsPage } from '../http/request.ts'
import type { AppConfig, Config } from '../options/config.ts'
import { isStrict } from './cookies.ts'
import type { SessionCookie } from './express-session.ts'

/** What is surely wrong, or soon will be, and what to do about it. */
interface Mistake {
  readonly name: string
  readonly isMade: (req: Request, config: AppConfig) => boolean
  readonly text: (config: AppConfig) => string
}

const MISTAKES: readonly Mistake[] = [
  {
    name: 'trust-proxy',
    // Express knows whether it trusts the proxy. Connect does not say.
    isMade: (req) => headerOf(req, 'x-forwarded-proto') === 'https' && Reflect.get(req, 'secure') === false,
    text: () =>
      'A proxy sends X-Forwarded-Proto: https, but Express does not trust it, so secure cookies are not set. Write ' +
      "app.set('trust proxy', 1).",
  },
  {
    name: 'host',
    isMade: isOtherHost,
    text: ({ origin }) =>
      `This page was opened at another host than that of baseUrl (${origin}). The browser sends the cookies of one host to ` +
      'no other, so logins fail. Open baseUrl, or change it.',
  },
  {
    name: 'mount-path',
    isMade: (req, config) => isShortened(config, req),
    text: (config) => `${misplacementText(config)} If a middleware of yours shortens req.url, ignore this.`,
  },
  {
    name: 'memory-store',
    isMade: (req) => nameOfStore(req) === 'MemoryStore' && isOneOfSeveralProcesses(),
    text: () =>
      'Several processes serve this application, but each keeps its sessions in a MemoryStore of its own, so users lose their ' +
      'login from one request to the next. Use a store that all processes share, and sharedState.',
  },
  {
    name: 'same-site-none',
    isMade: (req) => cookieOf(req)?.sameSite === 'none' && cookieOf(req)?.secure !== true,
    text: () =>
      "Browsers discard a session cookie with sameSite: 'none' and without secure: true. Write sameSite: 'lax'.",
  },
  {
    name: 'same-site-strict',
    isMade: (req) => isStrict(cookieOf(req) ?? {}),
    text: () =>
      "The session cookie has sameSite: 'strict', so users who follow a link from another site, such as one in an e-mail, " +
      "look logged out. Write sameSite: 'lax', unless you want this.",
  },
]

/**
 * Creates the check of the setup that runs at each request until it has nothing to say. `undefined` in production and in
 * tests: nobody would read it.
 */
export function createSetupCheck(config: AppConfig, notify: Notices): ((req: Request) => void) | undefined {
  if (!isConsoleForDevelopers()) return undefined
  return (req) => {
    for (const { name, isMade, text } of MISTAKES) if (isMade(req, config)) notify(name, text(config))
  }
}

/**
 * Tells the developer which redirect URI to register, at the first login with it. The provider shows its errors about the
 * client on a page of its own, and nothing of them arrives here.
 */
export function showRedirectUri(notify: Notices, { issuer, clientId, redirectUri }: Config): void {
  notify(
    `redirect URI ${redirectUri} of ${clientId}`,
    `The login continues at ${issuer}. If you see an error page there, check that the client '${clientId}' exists, and ` +
      `register this redirect URI for it: ${redirectUri}`,
  )
}

/** The same at the first logout, for the URL that the provider redirects back to. */
export function showPostLogoutRedirectUri(notify: Notices, { issuer, clientId, postLogoutRedirectUri }: Config): void {
  notify(
    `post-logout redirect URI ${postLogoutRedirectUri} of ${clientId}`,
    `The logout continues at ${issuer}. If you do not come back from there, register this post-logout redirect URI for ` +
      `the client '${clientId}': ${postLogoutRedirectUri}`,
  )
}

function isOtherHost(req: Request, { hosts }: AppConfig): boolean {
  const given = [headerOf(req, 'x-forwarded-host'), headerOf(req, 'host')].filter((host) => host !== undefined)
  // A proxy may replace the header, so one of them must match only if no proxy is there.
  const isProxied = given.length > 1 || headerOf(req, 'x-forwarded-for') !== undefined
  const [host] = given.map((name) => name.toLowerCase())
  // Cookies know no ports (RFC 6265 8.5): a development server such as Vite passes requests on from a port of its own.
  const isKnown = hosts.some(({ origin }) => new URL(origin).hostname === host?.replace(/:\d+$/, ''))
  return wantsPage(req) && !isProxied && given.length === 1 && !isKnown
}

function nameOfStore(req: Request): string | undefined {
  return Object(Reflect.get(req, 'sessionStore')).constructor?.name
}

function cookieOf({ session }: Request): SessionCookie | undefined {
  return typeof session === 'object' && session !== null && 'cookie' in session
    ? (session.cookie as SessionCookie)
    : undefined
}
