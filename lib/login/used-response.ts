import { hash } from 'node:crypto'
import { OidcError } from '../errors.ts'
import type { Response } from '../http/request.ts'
import type { ResponseParams } from '../protocol/authorization-response.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { type SessionRequest, storeError } from '../session/express-session.ts'
import type { Transaction } from '../types.ts'
import { logIn } from './start.ts'

/**
 * Marks a response as used, on all nodes. Throws `ERR_OIDC_STATE_USED` if it was used before. A provider that gets a
 * code twice revokes its tokens (RFC 6749 4.1.2), and nobody may log in with a copied response (OIDC Core 15.5.2).
 * The mark lasts longer than the transaction, so it cannot expire too early.
 */
export async function markUsed(
  { config, sharedStateOf }: RelyingParty,
  req: SessionRequest,
  { state }: Transaction,
): Promise<void> {
  const isFirst = await sharedStateOf(req.sessionStore)
    .once(`state:${state}`, config.transactionLifetime + 1)
    .catch((error: unknown) => {
      // Without the option sharedState, the mark is in the session store.
      throw config.sharedState === undefined ? storeError(Object(error).cause) : error
    })
  if (isFirst) return
  throw new OidcError(
    'ERR_OIDC_STATE_USED',
    'The authorization response came a second time: a login has used its state. The user may have clicked twice or pressed ' +
      'the back button, or a proxy may have repeated the request. Start a new login.',
  )
}

/** True for the error of a response that was used before. */
export function isUsed(error: unknown): error is OidcError {
  return error instanceof OidcError && error.code === 'ERR_OIDC_STATE_USED'
}

/**
 * Returns a hash of everything that the redemption depends on. So only a repeat of the same request has the same id.
 */
export function responseId({ config }: Client, params: ResponseParams, transaction: Transaction): string {
  return hash('sha256', JSON.stringify([config.name, transaction, [...params]]), 'base64url')
}

/**
 * Starts the login again after its response was used before. That happens if a second click reaches another node, or
 * if a proxy repeats the request. The browser may not have got the session that the first request started. The loop
 * brake counts the restart as a login. Otherwise a shared state that reports every response as used would cause an
 * endless loop.
 */
export async function restartLogin(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  res: Response,
  { returnTo, requirement, scope }: Transaction,
): Promise<void> {
  rp.loopBrake.countLogin(req, res)
  const requested = { ...(requirement === undefined ? {} : { requirement }), ...(scope === undefined ? {} : { scope }) }
  await logIn(rp, req, res, { returnTo, provider: client.config.name, ...requested })
}
