import { hash } from 'node:crypto'
import { OidcError } from '../errors.ts'
import type { Response } from '../http/request.ts'
import type { ResponseParams } from '../protocol/authorization-response.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { type SessionRequest, storeError } from '../session/express-session.ts'
import type { Transaction } from '../types.ts'
import { logIn } from './start.ts'

/**
 * A response counts once, on all nodes: a provider that gets a code twice revokes its tokens (RFC 6749 4.1.2), and a copied
 * response must not log in again (OIDC Core 15.5.2). The mark lasts longer than the transaction.
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
    'The authorization response was redeemed before: its state was used by the same response or a copy. Start the login again.',
  )
}

/** True for the error of a response that was redeemed before. */
export function isUsed(error: unknown): error is OidcError {
  return error instanceof OidcError && error.code === 'ERR_OIDC_STATE_USED'
}

/** Holds all that a redemption depends on, so that only a repeated request shares it. */
export function responseId({ config }: Client, params: ResponseParams, transaction: Transaction): string {
  return hash('sha256', JSON.stringify([config.name, transaction, [...params]]), 'base64url')
}

/**
 * Starts a login again whose response was used before: a second click has reached another node, or a proxy has sent the
 * request again. The browser may not get the session of the first response. It counts as a login for the loop brake, because
 * a shared state that takes every state for a used one would restart for ever.
 */
export async function restartLogin(
  rp: RelyingParty,
  client: Client,
  req: SessionRequest,
  res: Response,
  { returnTo, requirement, scope }: Transaction,
): Promise<void> {
  rp.loopBrake.countLogin(req, res)
  const given = { ...(requirement === undefined ? {} : { requirement }), ...(scope === undefined ? {} : { scope }) }
  await logIn(rp, req, res, { returnTo, provider: client.config.name, ...given })
}
