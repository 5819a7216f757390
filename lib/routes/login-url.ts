import { ONLY_PROVIDER } from '../config/config.ts'
import type { Request } from '../http.ts'
import type { RelyingParty } from '../relying-party.ts'
import { appPath } from '../return-to.ts'
import type { Login } from '../types.ts'

/** The address of the login route, with these parameters. */
export function loginUrl({ config }: RelyingParty, params: Readonly<Record<string, string>>): string {
  return config.basePath + config.routes.login + queryOf(params)
}

/** The address of the application's own page where people choose among the providers; `undefined` where there is none. */
export function chooserUrl({ config }: RelyingParty, returnTo: string): string | undefined {
  return config.providerChooser && config.basePath + config.providerChooser + queryOf({ returnTo })
}

/** The parameter that names the provider of a login, where there is more than one. */
export function providerParam({ clients }: RelyingParty, login: Login | undefined): Readonly<Record<string, string>> {
  return login === undefined || clients.size === 1 ? {} : { provider: login.provider ?? ONLY_PROVIDER }
}

/** The page that this request is for; a request that changes something cannot be come back to. */
export function pageOf({ config }: RelyingParty, req: Request): string {
  const isRead = req.method === 'GET' || req.method === 'HEAD'
  return isRead ? appPath(req.originalUrl ?? req.url ?? '/', config) : `${config.basePath}/`
}

function queryOf(params: Readonly<Record<string, string>>): string {
  return `?${Object.entries(params)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')}`
}
