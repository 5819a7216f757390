import type { WireParams } from '../config/authorization-params.ts'
import { ONLY_PROVIDER } from '../config/config.ts'
import { ProviderError } from '../errors.ts'
import { publish } from '../events.ts'
import { type Request, type Response, redirect, wantsPage } from '../http.ts'
import type { LoginRequest } from '../protocol/authorization-request.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { noteCheck } from '../session/last-check.ts'
import { readLogin, readTokensId } from '../session/login-session.ts'

/** Proxies refuse addresses of more than 4 to 8 kB: a provider that has its cookie needs no hint. */
const LONGEST_HINT = 2000

/**
 * The login that a silent login at this provider holds against the provider's session, by the id of its tokens; `undefined`
 * where it holds none. A page is needed: in a frame the provider may have no cookie, and know nobody. With any parameter of
 * its own a link does not ask whether the person is there, but for something else, and whoever made it must end nothing.
 */
export function checkedLogin(
  rp: RelyingParty,
  client: Client,
  req: Request,
  { isSilent, requirement, authorizationParams }: LoginRequest,
): string | undefined {
  const isPlain = requirement === undefined && Object.keys(authorizationParams).length === 0
  return isSilent === true && isPlain && wantsPage(req) ? tokensIdAt(rp, client, requireSession(req)) : undefined
}

/** Whether a page has sent somebody here on its own, and will not do so again. */
export function isUnasked(rp: RelyingParty, req: Request, { isSilent, checks }: LoginRequest): boolean {
  if (checks !== undefined) return true
  return isSilent === true && rp.silentLogins.isMarked(req) && readLogin(req, rp.config) === undefined
}

/** Pages are there while the provider is not. Throws what does not come from that. */
export async function goBack(
  { config }: RelyingParty,
  req: Request,
  res: Response,
  { returnTo, checks }: LoginRequest,
  error: unknown,
): Promise<void> {
  if (!(error instanceof ProviderError) || res.headersSent) throw error
  publish['express-oidc:error'](() => ({ code: error.code, error }))
  if (checks !== undefined) await noteCheck(requireSession(req), config)
  redirect(res, config.origin + returnTo)
}

/**
 * What is asked of a check beyond what every login asks: nothing but who is there. How recent a login is says nothing of
 * whether it is over, and whoever is meant, the ID Token says (OIDC Core 3.1.2.1, OIDC Session Management 3.1).
 */
export function checkParams({ max_age: _age, login_hint: _hint, ...params }: WireParams): WireParams {
  return params
}

/** The ID Token as a hint, so that the provider answers for this person alone. */
export async function sessionHint(rp: RelyingParty, client: Client, req: SessionRequest): Promise<WireParams> {
  const id = tokensIdAt(rp, client, req)
  const idToken = id === undefined ? undefined : (await rp.tokenRecords.read(req.sessionStore, id))?.idToken
  return idToken === undefined || idToken.length > LONGEST_HINT ? {} : { id_token_hint: idToken }
}

/** Of a login at that very provider. */
function tokensIdAt(rp: RelyingParty, { config }: Client, req: SessionRequest): string | undefined {
  const login = readLogin(req, rp.config)
  const isThere = login !== undefined && (login.provider ?? ONLY_PROVIDER) === config.name
  return isThere ? readTokensId(req, rp.config) : undefined
}
