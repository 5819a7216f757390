import type { AppConfig } from '../options/config.ts'
import { foldRoute, ownRoutes } from './own-routes.ts'
import { type Request, requestQuery } from './request.ts'
import { currentPage, homePage, loginUrl, safeReturnTo } from './return-to.ts'

/** Where a request has failed, and where the user can go on. All members are paths that the browser can open. */
export interface WayOn {
  readonly step: 'login' | 'logout' | 'page'
  readonly home: string
  /** The page that the user wanted, if it is known and is a page of the application. */
  readonly page: string | undefined
  /** Logs in, and leads to that page, or to the home page. */
  readonly loginUrl: string
  readonly logoutUrl: string
}

/** The member of a request that takes part in a login: the page that the login leads to. */
const RETURN_TO: unique symbol = Symbol('express-oidc.returnTo')

/** Remembers for the error page that this request takes part in a login that leads to this page. */
export function rememberReturnTo(req: Request, returnTo: string): void {
  Object.assign(req, { [RETURN_TO]: returnTo })
}

export function findWayOn(config: AppConfig, req: Request & { readonly [RETURN_TO]?: string }): WayOn {
  const home = homePage(config)
  const route = routeNameOf(config, req)
  const wanted = req[RETURN_TO] ?? (route === 'login' ? requestQuery(req).get('returnTo') : currentPage(config, req))
  const page = safeReturnTo(wanted, config)
  return {
    step: req[RETURN_TO] === undefined ? stepOf(route) : 'login',
    home,
    page,
    loginUrl: loginUrl(config, { returnTo: page ?? home }),
    logoutUrl: config.basePath + config.routes.logout,
  }
}

function routeNameOf(config: AppConfig, req: Request): string | undefined {
  const path = foldRoute((req.originalUrl ?? req.url ?? '/').replace(/[?#].*$/s, ''))
  return ownRoutes(config).find((route) => foldRoute(route.path) === path)?.name
}

function stepOf(route: string | undefined): WayOn['step'] {
  if (route === 'logout') return 'logout'
  return route === 'login' || route === 'callback' || route === 'initiateLogin' ? 'login' : 'page'
}
