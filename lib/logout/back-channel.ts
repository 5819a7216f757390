import { createHash } from 'node:crypto'
import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, readForm, readJsonBody } from '../http/request.ts'
import { send } from '../http/response.ts'
import {
  type GlobalRevocationToken,
  type LogoutToken,
  namesIssuerOf,
  replayWindowSeconds,
  revocationReplaySeconds,
  verifyGlobalRevocationToken,
  verifyLogoutToken,
} from '../protocol/logout-token.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { destroyUnsentSession } from '../session/cookies.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import type { StoreLike } from '../state/shared-state.ts'

/**
 * `POST` by the provider (OIDC Back-Channel Logout 2.5 to 2.8): ends the sessions that its logout token names. There is no
 * browser, so nobody is asked where the request comes from: the token's signature tells.
 */
export async function backchannelLogoutRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'POST')
  const request = requireSession(req)
  await destroyUnsentSession(request)
  try {
    await handleLogoutToken(rp, request, await readToken(req))
  } catch (error) {
    // What is no fault of the token is passed on: the provider gets a 5xx, and tries again.
    if (!(error instanceof OidcError) || error.status !== 400) throw error
    publish['express-oidc:error'](() => ({ code: error.code, error }))
    return send(res, 400, 'application/json', JSON.stringify(refusalOf(error)))
  }
  // No other status: some providers take 204 for a failure.
  res.statusCode = 200
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Length', '0')
  res.end()
}

/** OIDC Back-Channel Logout 2.8. The message is one of ours. */
function refusalOf({ message }: OidcError): Readonly<Record<string, string>> {
  return { error: 'invalid_request', error_description: message }
}

async function readToken(req: Request): Promise<string> {
  const [token, ...more] = (await readForm(req)).getAll('logout_token')
  if (token !== undefined && token !== '' && more.length === 0) return token
  throw new OidcError('ERR_OIDC_LOGOUT_TOKEN_MISSING', 'The logout token is missing, or there is more than one.')
}

async function handleLogoutToken(
  rp: RelyingParty,
  { sessionStore: store }: SessionRequest,
  text: string,
): Promise<void> {
  const verified = await verifyForClients(rp, text)
  const key = replayKey(verified[0].token)
  if (await rp.sharedStateOf(store).seen(key)) throw replayed()
  for (const { client, token } of verified) await endAll(rp, store, client.config.name, token)
  // Only now: a token whose work could not be done has to be good for another attempt.
  await rp.sharedStateOf(store).once(key, replayWindowSeconds(rp.config))
}

async function endAll(rp: RelyingParty, store: StoreLike, provider: string, token: LogoutToken): Promise<void> {
  const { issuer, sub, sid } = token
  const target = { provider, issuer, sub, sid }
  await rp.providerLogouts.recordLogout(store, target)
  for (const { claims } of await rp.providerLogouts.endSessions(store, target)) {
    publish['express-oidc:logout'](() => ({ provider, how: 'backchannel', issuer: claims.iss, sub: claims.sub }))
  }
}

/** A token that is verified, and a client that it is for. */
interface VerifiedLogoutToken {
  readonly client: Client
  readonly token: LogoutToken
}

/**
 * One route serves all providers: the token says whose it is, which the keys of that provider then prove. An encrypted one
 * keeps it to itself, so that each who could have sent it is tried. Two names may stand for one client.
 */
async function verifyForClients(
  rp: RelyingParty,
  text: string,
): Promise<readonly [VerifiedLogoutToken, ...VerifiedLogoutToken[]]> {
  const all = [...rp.clients.values()]
  const meant = all.filter(({ config }) => namesIssuerOf(text, config))
  const verified: VerifiedLogoutToken[] = []
  const failures: unknown[] = []
  for (const client of meant.length === 0 ? all.slice(0, 1) : meant) {
    try {
      verified.push({ client, token: await verifyLogoutToken(await client.findProvider(), text) })
    } catch (error) {
      failures.push(error)
    }
  }
  const [first, ...others] = verified
  if (first !== undefined) return [first, ...others]
  // A provider that could not be asked may be the one.
  throw failures.find((error) => !(error instanceof OidcError) || error.status >= 500) ?? failures[0]
}

function replayKey({ issuer, jti }: LogoutToken): string {
  return `logout-token:${createHash('sha256')
    .update(JSON.stringify([issuer, jti]))
    .digest('base64url')}`
}

function replayed(): OidcError {
  return new OidcError('ERR_OIDC_LOGOUT_TOKEN_REPLAYED', 'The logout token has come before.')
}

/**
 * `POST` by the provider (Global Token Revocation 3, Okta's Universal Logout): ends all sessions of a person, with their
 * tokens. 204 where that is done, 400 for a body that is none, 401 for a token that proves nothing, 422 for a person who
 * is named in a way that we do not know people by.
 */
export async function tokenRevocationRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'POST')
  const request = requireSession(req)
  await destroyUnsentSession(request)
  const token = /^Bearer +([\w.~+/=-]+)$/i.exec(headerOf(req, 'authorization') ?? '')?.[1]
  const { client, jwt } = await verifyRevocation(rp, token).catch((error: unknown) => answerInvalidToken(error, res))
  if (res.headersSent || client === undefined || jwt === undefined) return
  const body = await readJsonBody(req)
  const person = subjectOf(body)
  if (person === undefined) return send(res, 400, 'application/json', JSON.stringify({ error: 'invalid_request' }))
  // RFC 9493 3.2.2, 3.2.6: we know people by issuer and subject, and by nothing else.
  if (person.sub === undefined || person.iss !== jwt.issuer) {
    return send(res, 422, 'application/json', JSON.stringify({ error: 'unprocessable' }))
  }
  await endUserSessions(rp, request.sessionStore, client, jwt, person.sub)
  res.statusCode = 204
  res.setHeader('Cache-Control', 'no-store')
  res.end()
}

interface VerifiedRevocation {
  readonly client?: Client
  readonly jwt?: GlobalRevocationToken
}

async function verifyRevocation(rp: RelyingParty, token: string | undefined): Promise<VerifiedRevocation> {
  const { origin, basePath, routes } = rp.config
  const failures: unknown[] = []
  for (const client of rp.clients.values()) {
    try {
      const provider = await client.findProvider()
      return {
        client,
        jwt: await verifyGlobalRevocationToken(provider, token, `${origin}${basePath}${routes.tokenRevocation}`),
      }
    } catch (error) {
      failures.push(error)
    }
  }
  // A provider that could not be asked may be the one.
  throw failures.find((error) => !(error instanceof OidcError) || error.status >= 500) ?? failures[0]
}

/** What is no fault of the token is passed on: the provider gets a 5xx, and tries again. */
function answerInvalidToken(error: unknown, res: Response): VerifiedRevocation {
  if (!(error instanceof OidcError) || error.status >= 500) throw error
  publish['express-oidc:error'](() => ({ code: error.code, error }))
  res.setHeader('WWW-Authenticate', 'Bearer error="invalid_token"')
  send(res, 401, 'application/json', JSON.stringify({ error: 'invalid_token' }))
  return {}
}

/** Who is meant; `undefined` where the body names nobody in any way, and without `sub` where it does so in another way. */
function subjectOf(body: unknown): { readonly iss?: string; readonly sub?: string } | undefined {
  const { format, iss, sub } = Object(Object(body).sub_id)
  if (typeof format !== 'string') return undefined
  if (format !== 'iss_sub') return {}
  return typeof iss === 'string' && typeof sub === 'string' && sub !== '' ? { iss, sub } : undefined
}

async function endUserSessions(
  rp: RelyingParty,
  store: StoreLike,
  { config: { name: provider } }: Client,
  { issuer, jti }: GlobalRevocationToken,
  sub: string,
): Promise<void> {
  const key = `revocation:${createHash('sha256')
    .update(JSON.stringify([provider, issuer, jti]))
    .digest('base64url')}`
  // Doing it again does no harm, but a copied token must not throw the person out for ever.
  if (await rp.sharedStateOf(store).seen(key)) return
  // Logins that are on their way end too.
  await rp.providerLogouts.recordLogout(store, { provider, issuer, sub })
  for (const { claims } of await rp.providerLogouts.endSessions(store, { provider, issuer, sub })) {
    publish['express-oidc:logout'](() => ({ provider, how: 'token-revocation', issuer, sub: claims.sub }))
  }
  await rp.sharedStateOf(store).once(key, revocationReplaySeconds(rp.config.clockTolerance))
}
