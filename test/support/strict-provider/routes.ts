import type { ServerResponse } from 'node:http'
import { answerAuthorize } from './authorize.ts'
import { answerCheckSession } from './check-session.ts'
import type { Endpoint, StrictContext, StrictRequest } from './context.ts'
import { answerDiscovery, answerJwks } from './discovery.ts'
import { answerLogout } from './logout.ts'
import { answerPar } from './par.ts'
import { answerRegister } from './register.ts'
import { answerRevocation } from './revocation.ts'
import { answerToken } from './token.ts'
import { answerUserinfo } from './userinfo.ts'
import { answerWebfinger } from './webfinger.ts'

/** Whether there is anything at an endpoint. */
export function isOffered(context: StrictContext, endpoint: Endpoint): boolean {
  switch (endpoint) {
    case '/par':
      return context.pushed !== 'absent'
    case '/register':
      return context.registration !== 'absent'
    case '/revoke':
      return context.revocation !== 'absent'
    case '/webfinger':
      return context.webfinger !== 'absent'
    case '/check-session':
      return context.sessionManagement !== 'absent'
    default:
      return true
  }
}

/** One line for each endpoint. */
export function answerEndpoint(
  context: StrictContext,
  request: StrictRequest & { readonly endpoint: Endpoint },
  res: ServerResponse,
): Promise<void> | void {
  switch (request.endpoint) {
    case '/discovery':
    case '/oauth-discovery':
      return answerDiscovery(context, res)
    case '/webfinger':
      return answerWebfinger(context, request, res)
    case '/jwks':
      return answerJwks(context, res)
    case '/register':
      return answerRegister(context, request, res)
    case '/par':
      return answerPar(context, request, res)
    case '/authorize':
      return answerAuthorize(context, request, res)
    case '/token':
      return answerToken(context, request, res)
    case '/userinfo':
      return answerUserinfo(context, request, res)
    case '/revoke':
      return answerRevocation(context, request, res)
    case '/logout':
      return answerLogout(context, request, res)
    case '/check-session':
      return answerCheckSession(context, res)
  }
}
