import { OidcError } from '../errors.ts'
import { publishError } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, readForm, readJsonBody } from '../http/request.ts'
import {
  type GlobalRevocationToken,
  type LogoutToken,
  namesIssuerOf,
  replayWindowSeconds,
  revocationReplaySeconds,
  verifyGlobalRevocationToken,
  verifyLogoutToken,
} from '../protocol/logout-token.ts'
import type { RelyingParty } from '../relying-party.ts'
import { skipNewSession } from '../session/cookies.ts'
import { requireSession } from '../session/express-session.ts'
import type { StoreLike } from '../state/shared-state.ts'
import { isFaultOfSender, replayKey, sendEmpty, sendJson, type VerifiedFor, verifyForEach } from './provider-message.ts'

/**
 * `POST` by the provider's server (OIDC Back-Channel Logout 2.5 to 2.8): ends the sessions that its logout token
 * names. The signature of the token proves where the request comes from, so there is no check of its origin.
 */
export async function backchannelLogoutRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'POST')
  const sessionReq = requireSession(req)
  skipNewSession(sessionReq)
  try {
    await handleLogoutToken(rp, sessionReq.sessionStore, await readLogoutToken(req))
  } catch (error) {
    // Any other error is not the token's fault. It becomes a 5xx, and the provider retries.
    if (!(error instanceof OidcError) || error.status !== 400) throw error
    publishError(error)
    return sendJson(res, 400, { error: 'invalid_request', error_description: descriptionOf(error) })
  }
  // Not 204, because some providers treat it as a failure.
  sendEmpty(res, 200)
}

async function readLogoutToken(req: Request): Promise<string> {
  const [token, ...others] = (await readForm(req)).getAll('logout_token')
  if (token !== undefined && token !== '' && others.length === 0) return token
  throw new OidcError(
    'ERR_OIDC_LOGOUT_TOKEN_MISSING',
    'The form must have exactly one field logout_token. Send it as OIDC Back-Channel Logout 2.5 says.',
  )
}

/** Replaces the characters that `error_description` does not allow (RFC 6749 5.2). */
function descriptionOf({ message }: OidcError): string {
  return message.replace(/["\\]/g, "'")
}

/**
 * One route serves all providers: the token's `iss` says which provider's keys verify it. The `iss` of an encrypted
 * token cannot be read yet, so each provider that encrypts its tokens is tried.
 */
async function verifyForClients(
  rp: RelyingParty,
  text: string,
): Promise<readonly [VerifiedFor<LogoutToken>, ...VerifiedFor<LogoutToken>[]]> {
  const all = [...rp.clients.values()]
  const possible = all.filter(({ config }) => namesIssuerOf(text, config))
  // If no provider is possible, let the first one verify the token, to get its error.
  return await verifyForEach(possible.length === 0 ? all.slice(0, 1) : possible, async ({ findProvider }) =>
    verifyLogoutToken(await findProvider(), text),
  )
}

async function handleLogoutToken(rp: RelyingParty, store: StoreLike, text: string): Promise<void> {
  const verified = await verifyForClients(rp, text)
  const { issuer, jti } = verified[0].token
  const key = replayKey('logout-token', [issuer, jti])
  if (await rp.sharedStateOf(store).seen(key)) throw replayed()
  for (const { client, token } of verified) {
    const target = { provider: client.config.name, issuer: token.issuer, sub: token.sub, sid: token.sid }
    await rp.providerLogouts.recordLogout(store, target)
    await rp.providerLogouts.endSessions(store, target, 'backchannel')
  }
  // Mark the token as used at the end, so that the provider can retry with the same token if something above fails.
  await rp.sharedStateOf(store).once(key, replayWindowSeconds(rp.config))
}

function replayed(): OidcError {
  return new OidcError(
    'ERR_OIDC_LOGOUT_TOKEN_REPLAYED',
    'A logout token with this iss and jti was used before. Send a new token, with a new jti, for each logout.',
  )
}

/**
 * `POST` by the provider's server (Global Token Revocation 3, Okta's Universal Logout): ends all sessions of a user,
 * with their tokens. The response is 204 if the sessions have ended, 400 for an invalid body, and 401 for an invalid
 * token. It is 422 if the body names the user neither by `iss` and `sub` nor by e-mail address, or if `iss` is not
 * the issuer of the token.
 */
export async function tokenRevocationRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'POST')
  const sessionReq = requireSession(req)
  skipNewSession(sessionReq)
  const verified = await verifyRevocations(rp, bearerTokenOf(req)).catch((error: unknown) => refuseToken(error, res))
  if (verified === undefined) return
  const subject = readSubject(await readJsonBody(req))
  if (subject === undefined) return sendJson(res, 400, { error: 'invalid_request' })
  const { iss, ...user } = subject
  // An e-mail address comes without `iss`. It belongs to a user of the token's issuer.
  const matching = verified.filter(({ token }) => iss === undefined || token.issuer === iss)
  if (Object.keys(user).length === 0 || matching.length === 0) return sendJson(res, 422, { error: 'unprocessable' })
  for (const one of matching) await endUserSessions(rp, sessionReq.sessionStore, one, user)
  sendEmpty(res, 204)
}

function bearerTokenOf(req: Request): string | undefined {
  return /^Bearer +([\w.~+/=-]+)$/i.exec(headerOf(req, 'authorization') ?? '')?.[1]
}

async function verifyRevocations(
  rp: RelyingParty,
  text: string | undefined,
): Promise<readonly VerifiedFor<GlobalRevocationToken>[]> {
  const { origin, basePath, routes } = rp.config
  const url = `${origin}${basePath}${routes.tokenRevocation}`
  return await verifyForEach([...rp.clients.values()], async ({ findProvider }) =>
    verifyGlobalRevocationToken(await findProvider(), text, url),
  )
}

/**
 * Responds with 401. Rethrows an error that is not the token's fault: it becomes a 5xx, and the provider retries.
 */
function refuseToken(error: unknown, res: Response): undefined {
  if (!isFaultOfSender(error)) throw error
  publishError(error)
  res.setHeader('WWW-Authenticate', 'Bearer error="invalid_token"')
  sendJson(res, 401, { error: 'invalid_token' })
}

/** A user, named by `sub` or by e-mail address: we can find sessions by these two (RFC 9493 3.2.2, 3.2.3). */
interface NamedUser {
  readonly sub?: string
  /** In lower case. */
  readonly email?: string
}

/** No e-mail address is longer, and no `sub` of a login. */
const MAX_IDENTIFIER_LENGTH = 1024

/**
 * Returns the user in the body. Returns `undefined` if it is malformed, and `{}` for another format, such as a phone
 * number.
 */
function readSubject(body: unknown): (NamedUser & { readonly iss?: string }) | undefined {
  const { format, iss, sub, email } = Object(Object(body).sub_id)
  if (typeof format !== 'string') return undefined
  if (format === 'email') return isIdentifier(email) ? { email: email.toLowerCase() } : undefined
  if (format !== 'iss_sub') return {}
  return typeof iss === 'string' && isIdentifier(sub) ? { iss, sub } : undefined
}

function isIdentifier(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_IDENTIFIER_LENGTH
}

async function endUserSessions(
  rp: RelyingParty,
  store: StoreLike,
  { client, token: { issuer, jti } }: VerifiedFor<GlobalRevocationToken>,
  { sub, email }: NamedUser,
): Promise<void> {
  const provider = client.config.name
  // The token does not name the user, so the key does: the same token for another user is no replay.
  const key = replayKey('revocation', [
    provider,
    issuer,
    jti,
    ...(email === undefined ? [sub ?? ''] : ['email', email]),
  ])
  // The provider may retry, so a repeated token gets the same response. But a stolen token must not log the user out
  // again.
  if (await rp.sharedStateOf(store).seen(key)) return
  const target = { provider, issuer, sub, email, isWhole: true }
  await rp.providerLogouts.recordLogout(store, target)
  await rp.providerLogouts.endSessions(store, target, 'token-revocation')
  await rp.sharedStateOf(store).once(key, revocationReplaySeconds(rp.config.clockTolerance))
}
