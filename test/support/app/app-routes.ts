import {
  type Handler,
  type OidcContext,
  type Request,
  type Response,
  requireAuth,
  requireClaim,
  requireScope,
} from '../../../lib/index.ts'
import { sendJson } from '../servers/http-server.ts'

/** The handlers of each path. They answer every method. */
export type Routes = Readonly<Record<string, Handler | readonly Handler[]>>

/** A request as the routes of a test app see it. */
export interface AppRequest extends Request {
  readonly oidc: OidcContext
  readonly session: Record<string, unknown>
}

/** A handler that answers with JSON; what goes wrong goes to `next`. */
export function answerJson(read: (req: AppRequest) => unknown): Handler {
  return (req, res, next) => {
    // What `oidc()` and express-session have put on the request.
    const answer = async (): Promise<void> => sendJson(res, 200, await read(req as AppRequest))
    answer().catch(next)
  }
}

/** A handler that answers by itself, by `req.oidc.login()` for example; what goes wrong goes to `next`. */
export function answerBy(act: (req: AppRequest, res: Response) => Promise<void>): Handler {
  return (req, res, next) => {
    act(req as AppRequest, res).catch(next)
  }
}

/** The routes of every test app. */
export function defaultRoutes(): Routes {
  const who = answerJson(({ oidc }) => ({ authenticated: oidc.isAuthenticated, claims: oidc.claims ?? null }))
  return {
    '/': who,
    '/profile': [requireAuth(), answerJson(({ oidc }) => oidc.claims)],
    '/reports': [requireScope('reports:read'), answerJson(({ oidc }) => ({ scope: oidc.scope }))],
    '/admin': [requireClaim('groups', 'admin'), answerJson(({ oidc }) => ({ groups: oidc.claims?.groups }))],
    '/session': answerJson(({ session }) => session),
    '/tokens': answerJson(async ({ oidc }) => (await oidc.tokens()) ?? null),
    '/id-token': answerJson(async ({ oidc }) => ({ token: await oidc.idToken() })),
    '/access-token': answerJson(async ({ oidc }) => ({ token: await oidc.accessToken() })),
    '/write': answerJson(({ session }) => {
      session['cart'] = 'book'
      session['app'] = { theme: 'dark' }
      return { written: true }
    }),
  }
}
