import { createHash } from 'node:crypto'
import { OidcError } from '../errors.ts'
import { publish } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, send } from '../http.ts'
import { type RevocationJwt, revocationRememberedSeconds, verifyRevocationJwt } from '../protocol/revocation-jwt.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { readJsonBody } from '../request-body.ts'
import { requireSession, type StoreLike } from '../session/express-session.ts'
import { dropNewSession } from '../session/session-cookie.ts'

/**
 * `POST` by the provider (Global Token Revocation 3, Okta's Universal Logout): ends all sessions of a person, with their
 * tokens. 204 where that is done, 400 for a body that is none, 401 for a token that proves nothing, 422 for a person who
 * is named in a way that we do not know people by.
 */
export async function tokenRevocationRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'POST')
  const request = requireSession(req)
  await dropNewSession(request)
  const token = /^Bearer +([\w.~+/=-]+)$/i.exec(headerOf(req, 'authorization') ?? '')?.[1]
  const { client, jwt } = await verify(rp, token).catch((error: unknown) => refuse(error, res))
  if (res.headersSent || client === undefined || jwt === undefined) return
  const body = await readJsonBody(req)
  const person = subjectOf(body)
  if (person === undefined) return send(res, 400, 'application/json', JSON.stringify({ error: 'invalid_request' }))
  // RFC 9493 3.2.2, 3.2.6: we know people by issuer and subject, and by nothing else.
  if (person.sub === undefined || person.iss !== jwt.issuer) {
    return send(res, 422, 'application/json', JSON.stringify({ error: 'unprocessable' }))
  }
  await end(rp, request.sessionStore, client, jwt, person.sub)
  res.statusCode = 204
  res.setHeader('Cache-Control', 'no-store')
  res.end()
}

interface Verified {
  readonly client?: Client
  readonly jwt?: RevocationJwt
}

async function verify(rp: RelyingParty, token: string | undefined): Promise<Verified> {
  const { origin, basePath, routes } = rp.config
  const failures: unknown[] = []
  for (const client of rp.clients.values()) {
    try {
      const provider = await client.findProvider()
      return {
        client,
        jwt: await verifyRevocationJwt(provider, token, `${origin}${basePath}${routes.tokenRevocation}`),
      }
    } catch (error) {
      failures.push(error)
    }
  }
  // A provider that could not be asked may be the one.
  throw failures.find((error) => !(error instanceof OidcError) || error.status >= 500) ?? failures[0]
}

/** What is no fault of the token is passed on: the provider gets a 5xx, and tries again. */
function refuse(error: unknown, res: Response): Verified {
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

async function end(
  rp: RelyingParty,
  store: StoreLike,
  { config: { name: provider } }: Client,
  { issuer, jti }: RevocationJwt,
  sub: string,
): Promise<void> {
  const key = `revocation:${createHash('sha256')
    .update(JSON.stringify([provider, issuer, jti]))
    .digest('base64url')}`
  // Doing it again does no harm, but a copied token must not throw the person out for ever.
  if (await rp.stateOf(store).seen(key)) return
  // Logins that are on their way end too.
  await rp.remoteLogouts.announce(store, { provider, issuer, sub })
  for (const { claims } of await rp.remoteLogouts.end(store, { provider, issuer, sub })) {
    publish['express-oidc:logout'](() => ({ provider, how: 'token-revocation', issuer, sub: claims.sub }))
  }
  await rp.stateOf(store).once(key, revocationRememberedSeconds(rp.config.clockTolerance))
}
