import { OidcError } from '../errors.ts'
import { allowMethods, type Request, type Response, readForm, requestQuery } from '../http/request.ts'
import { redirect } from '../http/response.ts'
import { homePage, safeReturnTo } from '../http/return-to.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { startLogin } from './start.ts'

/**
 * `GET` or `POST` at `routes.initiateLogin`: another site, usually the provider's portal, starts a login (OIDC Core
 * 4). That site chooses only the provider, the page to return to, and a login hint. Throws `ERR_OIDC_INITIATE_LOGIN`.
 */
export async function initiateLoginRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'GET', 'POST')
  const params = req.method === 'POST' ? await readForm(req) : requestQuery(req)
  const client = findClientByIssuer(rp, params.get('iss'))
  const returnTo = readTargetLinkUri(rp, params.get('target_link_uri'))
  const hintParam = readLoginHintParam(params.get('login_hint'))
  if (req.method === 'POST') return redirect(res, initiateLoginUrl(rp, client, returnTo, hintParam))
  await startLogin(rp, client, req, res, { returnTo, authorizationParams: hintParam })
}

function findClientByIssuer(rp: RelyingParty, issuer: string | null): Client {
  const client = [...rp.clients.values()].find(({ config }) => config.issuer === issuer)
  if (client !== undefined) return client
  throw new OidcError(
    'ERR_OIDC_INITIATE_LOGIN',
    'The parameter iss is none of the configured issuers. Compare it with the option issuer, character by character.',
  )
}

/** The route must not be an open redirector (OIDC Core 4), so only our own pages are accepted. */
function readTargetLinkUri({ config }: RelyingParty, target: string | null): string {
  if (target === null || target === '') return homePage(config)
  const origin = /^https?:\/\/[^/?#@\\]+/i.exec(target)?.[0] ?? ''
  const isOurs = URL.canParse(origin) && new URL(origin).origin === config.origin
  const page = isOurs ? safeReturnTo(target.slice(origin.length) || '/', config) : undefined
  if (page !== undefined) return page
  throw new OidcError(
    'ERR_OIDC_INITIATE_LOGIN',
    `The parameter target_link_uri must be a page below ${config.origin}${homePage(config)} and no route of this ` +
      'middleware. Correct the start page at the provider, or the option baseUrl.',
  )
}

const MAX_LOGIN_HINT_LENGTH = 1024

/** A hint only saves the user typing, so one that is too long is ignored. */
function readLoginHintParam(hint: string | null): Readonly<Record<string, string>> {
  return hint === null || hint === '' || hint.length > MAX_LOGIN_HINT_LENGTH ? {} : { login_hint: hint }
}

/**
 * Returns the URL at which the browser repeats a posted request as a GET. With a cross-site POST the browser sends no
 * cookie of ours. We could not delete old transaction cookies then, and repeated POSTs would fill the browser with
 * them.
 */
function initiateLoginUrl(
  { config }: RelyingParty,
  client: Client,
  returnTo: string,
  hintParam: Readonly<Record<string, string>>,
): string {
  const query = { iss: client.config.issuer, target_link_uri: config.origin + returnTo, ...hintParam }
  return `${config.basePath}${client.config.routes.initiateLogin}?${new URLSearchParams(query)}`
}
