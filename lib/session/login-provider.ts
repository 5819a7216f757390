import { OidcError } from '../errors.ts'
import { publishError } from '../events.ts'
import type { Request } from '../http/request.ts'
import { type AppConfig, ONLY_PROVIDER } from '../options/config.ts'
import { unlessAbsent } from '../state/store-record.ts'
import { readLastLogin, type SessionConfig } from './current-login.ts'
import { endLocalLogin, type LoginServices } from './end-login.ts'
import { requireSession, type SessionRequest, storeOperation } from './express-session.ts'
import { readOidcSession } from './stored-session.ts'

/*
 * The provider of a login, if a function finds the providers. The function may know it no longer, or return another issuer
 * for its name. Such a login ends with its next request, and does not come back if the function changes its mind.
 */

/** The services that find a provider by its name, and end a login. */
interface ProviderServices extends LoginServices {
  readonly config: LoginServices['config'] & Pick<AppConfig, 'findsProviders'>
  readonly providers?: {
    isFresh(name: string): boolean
    find(name: string, req: unknown): Promise<boolean>
  }
}

/** True if it is not known whether the provider of this request's login is still there. Cheap: it never waits. */
export function needsProvider({ config, providers }: ProviderServices, req: Request): boolean {
  // Each request of each application comes here, and most applications have no such function.
  if (providers === undefined) return false
  const name = providerOfLogin(req.session, config)
  if (name === undefined) return false
  return !providers.isFresh(name) || readLastLogin(req, config) === undefined
}

/** Finds the provider of this request's login. True: it is there, with the issuer of the login. */
export async function findProviderOfLogin({ config, providers }: ProviderServices, req: Request): Promise<boolean> {
  if (providers === undefined) return true
  const name = providerOfLogin(req.session, config)
  if (name === undefined) return true
  return (await providers.find(name, req)) && readLastLogin(req, config) !== undefined
}

/**
 * Ends the login of this request if its provider is gone: the request goes on with a new session. Rejects if the provider
 * cannot be looked up, because then it is not known whether the login is one.
 */
export async function endUnknownLogin(services: ProviderServices, request: Request): Promise<void> {
  if (await findProviderOfLogin(services, request)) return
  const req: SessionRequest = requireSession(request)
  const { session } = req
  await endLocalLogin(services, req)
  publishError(providerGone())
  await storeOperation('regenerate', (done) => session.regenerate(unlessAbsent(done)))
}

function providerOfLogin(session: unknown, config: Pick<SessionConfig, 'sessionKey'>): string | undefined {
  const login = readOidcSession(session, config)?.login
  return login === undefined ? undefined : (login.provider ?? ONLY_PROVIDER)
}

function providerGone(): OidcError {
  return new OidcError(
    'ERR_OIDC_PROVIDER_UNKNOWN',
    'A login has ended, because the function in the option providers does not return its provider any more, or returns ' +
      'another issuer for its name.',
  )
}
