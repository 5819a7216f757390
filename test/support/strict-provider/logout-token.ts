import { randomBytes } from 'node:crypto'
import { type Answer, exchange } from '../browser/http-exchange.ts'
import type { StrictClient } from './client.ts'
import { type AuthorizationGrant, type JsonObject, now, type StrictContext } from './context.ts'
import { encryptForClient } from './encryption.ts'
import { signByProvider } from './id-token.ts'

/** The event that a logout token is about (OIDC Back-Channel Logout 2.4). */
export const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/** Whom a logout token is about. */
export interface LogoutSubject {
  readonly sub?: string | undefined
  readonly sid?: string | undefined
}

/** Signs a logout token as a test leaves it; without a `typ`, as the conformance suite has it, and with a claim too many. */
export async function issueLogoutToken(
  context: StrictContext,
  client: StrictClient,
  { sub, sid }: LogoutSubject,
): Promise<string> {
  const { change } = context
  const good: JsonObject = {
    iss: context.issuer,
    aud: client.clientId,
    iat: now(),
    exp: now() + 120,
    jti: randomBytes(12).toString('base64url'),
    events: { [LOGOUT_EVENT]: {} },
    ...(sub === undefined ? {} : { sub }),
    ...(sid === undefined ? {} : { sid }),
    'a claim to ignore': 'foo',
  }
  const claims = change.logoutTokenClaims?.(good) ?? good
  const signed = signByProvider(context, client, { alg: client.alg, header: change.logoutTokenHeader, claims })
  const jwt = change.logoutToken ? await change.logoutToken(signed) : signed
  const { idTokenEncryptedResponseAlg: alg, idTokenEncryptedResponseEnc: enc } = client
  return await encryptForClient(context, client, { alg, enc }, jwt, change.encryptedLogoutToken)
}

/** Posts one to a client (OIDC Back-Channel Logout 2.5), and a field too many beside it. */
export async function postLogoutToken(
  context: StrictContext,
  uri: string,
  client: StrictClient,
  subject: LogoutSubject,
): Promise<Answer> {
  const good = new URLSearchParams({
    logout_token: await issueLogoutToken(context, client, subject),
    'a field to ignore': 'foo',
  })
  const body = String(context.change.logoutFields?.(good) ?? good)
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const answer = await exchange({ method: 'POST', url: new URL(uri), headers, body })
  context.logoutAnswers.push(answer)
  return answer
}

/** Tells the client of a login that it has ended, where the client wants to be told. */
export async function tellClient(context: StrictContext, { client, account, sid }: AuthorizationGrant): Promise<void> {
  const { backchannelLogoutUri: uri, backchannelLogoutSessionRequired: isSessionRequired = true } = client
  const subject = { sub: account.sub, ...(isSessionRequired ? { sid } : {}) }
  if (uri !== undefined) await postLogoutToken(context, uri, client, subject)
}
