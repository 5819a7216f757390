import { OidcError } from '../errors.ts'
import { allowMethods, type Request, type Response, redirect, requestQuery } from '../http.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { readForm } from '../request-body.ts'
import { safeReturnTo } from '../return-to.ts'
import { startLogin } from './login.ts'

const LONGEST_HINT = 1024

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
  return hint === null || hint === '' || hint.length > LONGEST_HINT ? {} : { login_hint: hint }
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
