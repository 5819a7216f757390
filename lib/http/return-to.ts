import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import { parseLocalPath } from '../options/urls.ts'
import type { Login } from '../types.ts'
import { isKeptFormPage, isOwnRoute, type RoutesConfig } from './own-routes.ts'
import { headerOf, isFramed, isHtmx, type Request } from './request.ts'

/**
 * Returns the path of this application that `value` names, with query and fragment, or `undefined` if the browser must not
 * be sent there. The WHATWG URL parser serializes the path, so it can go into a `Location` header unchanged.
 *
 * Refused are other origins in any disguise, paths outside of `basePath`, and values that are no string. Our own routes are
 * refused too: a login that returns to the login route would loop, and one that returns to the logout route would log out.
 *
 * @example
 * ```ts
 * safeReturnTo('/reports?year=2026#q3', config) // '/reports?year=2026#q3'
 * safeReturnTo('//evil.example', config)        // undefined
 * ```
 */
export function safeReturnTo(value: unknown, config: RoutesConfig & Pick<AppConfig, 'origin'>): string | undefined {
  const url = parseLocalPath(value, config.origin)
  if (url === undefined || !isAtOrBelow(url.pathname, config.basePath)) return undefined
  // If a proxy removes basePath, the rest of the path must not begin with two slashes either.
  const rest = url.pathname.slice(config.basePath.length)
  if (parseLocalPath(rest || '/', config.origin) === undefined) return undefined
  return isOwnRoute(url.pathname, config) ? undefined : url.pathname + url.search + url.hash
}

/**
 * Returns the URL of a request as the browser sees it. Pass `req.originalUrl ?? req.url`, because a framework removes the
 * mount path from `req.url`. A proxy may remove `basePath`, so it is added if it is missing. The result is not checked:
 * call {@link safeReturnTo} for that.
 */
export function appPath(url: string, config: Pick<AppConfig, 'basePath'>): string {
  return isAtOrBelow(url.replace(/[?#].*$/s, ''), config.basePath) ? url : config.basePath + url
}

function isAtOrBelow(path: string, basePath: string): boolean {
  return path === basePath || path.startsWith(`${basePath}/`)
}

/** Returns the page that this request is for, or the page with the form if the request is not a GET or HEAD. */
export function currentPage(config: AppConfig, req: Request): string {
  return isRead(req) ? thisPage(config, req) : callingPage(config, req)
}

/**
 * Returns the page that the user is on: our page that has sent this request, by a form or script, or has it in a frame. If
 * none is known, a frame returns to its own page and any other request to the home page. A link that htmx follows by itself
 * (`hx-boost`) is like a navigation.
 */
export function callingPage(config: AppConfig, req: Request): string {
  const isBoosted = isHtmx(req) && headerOf(req, 'hx-boosted') === 'true'
  if (isRead(req) && isBoosted) return thisPage(config, req)
  return senderPage(config, req) ?? (isRead(req) && isFramed(req) ? thisPage(config, req) : homePage(config))
}

function isRead({ method }: Request): boolean {
  return method === 'GET' || method === 'HEAD'
}

/** Returns the page of this request as the browser sees it. */
export function thisPage(config: AppConfig, req: Request): string {
  return appPath(req.originalUrl ?? req.url ?? '/', config)
}

/** The page that htmx or the `Referer` names, if it is a page of ours that a login may return to. Without its fragment. */
function senderPage(config: AppConfig, req: Request): string | undefined {
  const address = (isHtmx(req) ? headerOf(req, 'hx-current-url') : undefined) ?? headerOf(req, 'referer') ?? ''
  const url = URL.canParse(address) ? new URL(address) : undefined
  const page = url?.origin === config.origin ? safeReturnTo(url.pathname + url.search, config) : undefined
  // It has posted its form, and has nothing more to show.
  return page === undefined || isKeptFormPage(page, config) ? undefined : page
}

/** Returns the path of the home page: `/`, or `/portal/` if `baseUrl` has the path `/portal`. */
export function homePage({ basePath }: Pick<AppConfig, 'basePath'>): string {
  return `${basePath}/`
}

/** Returns the path of the login route with these query parameters. */
export function loginUrl(config: AppConfig, params: Readonly<Record<string, string>>): string {
  return config.basePath + config.routes.login + queryOf(params)
}

/** Returns the path of the page on which the user chooses a provider, or `undefined` without the option `providerChooser`. */
export function providerChooserUrl(config: AppConfig, returnTo: string): string | undefined {
  return config.providerChooser && config.basePath + config.providerChooser + queryOf({ returnTo })
}

/** Returns the query parameter that names the provider of this login. It is empty if there is only one provider. */
export function providerParam(config: AppConfig, login: Login | undefined): Readonly<Record<string, string>> {
  const isOnly = config.issuers.size === 1 && !config.findsProviders
  return login === undefined || isOnly ? {} : { provider: login.provider ?? ONLY_PROVIDER }
}

function queryOf(params: Readonly<Record<string, string>>): string {
  return `?${Object.entries(params)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')}`
}
