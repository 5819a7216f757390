import { createHash } from 'node:crypto'
import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, type Request, type Response, send } from '../http.ts'
import { isMeantFor, type LogoutToken, rememberedSeconds, verifyLogoutToken } from '../protocol/logout-token.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { readForm } from '../request-body.ts'
import { requireSession, type SessionRequest, type StoreLike } from '../session/express-session.ts'
import { dropNewSession } from '../session/session-cookie.ts'

/**
 * `POST` by the provider (OIDC Back-Channel Logout 2.5 to 2.8): ends the sessions that its logout token names. There is no
 * browser, so nobody is asked where the request comes from: the token's signature tells.
 */
export async function backchannelLogoutRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'POST')
  const request = requireSession(req)
  await dropNewSession(request)
  try {
    await logOut(rp, request, await readToken(req))
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

async function logOut(rp: RelyingParty, { sessionStore: store }: SessionRequest, text: string): Promise<void> {
  const verified = await verify(rp, text)
  const key = replayKey(verified[0].token)
  if (await rp.stateOf(store).seen(key)) throw replayed()
  for (const { client, token } of verified) await endAll(rp, store, client.config.name, token)
  // Only now: a token whose work could not be done has to be good for another attempt.
  await rp.stateOf(store).once(key, rememberedSeconds(rp.config))
}

async function endAll(rp: RelyingParty, store: StoreLike, provider: string, token: LogoutToken): Promise<void> {
  const { issuer, sub, sid } = token
  const target = { provider, issuer, sub, sid }
  await rp.remoteLogouts.announce(store, target)
  for (const { claims } of await rp.remoteLogouts.end(store, target)) {
    publish['express-oidc:logout'](() => ({ provider, how: 'backchannel', issuer: claims.iss, sub: claims.sub }))
  }
}

/** A token that is verified, and a client that it is for. */
interface Verified {
  readonly client: Client
  readonly token: LogoutToken
}

/**
 * One route serves all providers: the token says whose it is, which the keys of that provider then prove. An encrypted one
 * keeps it to itself, so that each who could have sent it is tried. Two names may stand for one client.
 */
async function verify(rp: RelyingParty, text: string): Promise<readonly [Verified, ...Verified[]]> {
  const all = [...rp.clients.values()]
  const meant = all.filter(({ config }) => isMeantFor(text, config))
  const verified: Verified[] = []
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
