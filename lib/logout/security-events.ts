import { createHash, timingSafeEqual } from 'node:crypto'
import { type ErrorCode, OidcError } from '../errors.ts'
import { publish, publishError } from '../events.ts'
import { allowMethods, headerOf, type Request, type Response, readSecurityEvent } from '../http/request.ts'
import { type EventSubject, readEventSubject } from '../protocol/event-subject.ts'
import {
  issuerOfSecurityEvent,
  rejectUnknownTransmitter,
  type SecurityEvent,
  type SecurityEventToken,
  verifySecurityEventToken,
} from '../protocol/security-event-token.ts'
import { isVerificationState } from '../protocol/verification-state.ts'
import { type Transmitter, transmitterIssuer } from '../provider/transmitter.ts'
import type { Client, RelyingParty } from '../relying-party.ts'
import { skipNewSession } from '../session/cookies.ts'
import { requireSession, type SessionRequest } from '../session/express-session.ts'
import { isFaultOfSender, replayKey, sendEmpty, sendJson, type VerifiedFor, verifyForEach } from './provider-message.ts'

/**
 * `POST` by a transmitter (SSF, Push-Based SET Delivery, RFC 8935): ends the sessions that the event is about. The
 * response is 202 if they have ended, or if there are none. The signature of the token proves who sent it.
 */
export async function securityEventsRoute(rp: RelyingParty, req: Request, res: Response): Promise<void> {
  allowMethods(req, 'POST')
  const sessionReq = requireSession(req)
  skipNewSession(sessionReq)
  try {
    const text = await readSecurityEvent(req)
    await handleEvents(rp, sessionReq, await verifyForClients(rp, req, text))
  } catch (error) {
    if (!isFaultOfSender(error)) throw error
    publishError(error)
    // The response must name the language of its description (RFC 8935 2.3).
    res.setHeader('Content-Language', 'en')
    return sendJson(res, 400, { err: ERR_OF_CODE[error.code] ?? 'invalid_request', description: error.message })
  }
  sendEmpty(res, 202)
}

/** The values of `err` in the response (RFC 8935 2.4, SSF 8.1.4.1). For any other error it is `invalid_request`. */
const ERR_OF_CODE: Partial<Readonly<Record<ErrorCode, string>>> = {
  ERR_OIDC_SECURITY_EVENT_ENCRYPTED: 'invalid_key',
  ERR_OIDC_SECURITY_EVENT_ALG: 'invalid_key',
  ERR_OIDC_SECURITY_EVENT_KEY: 'invalid_key',
  ERR_OIDC_SECURITY_EVENT_SIGNATURE: 'invalid_key',
  ERR_OIDC_SECURITY_EVENT_ISSUER: 'invalid_issuer',
  ERR_OIDC_SECURITY_EVENT_AUDIENCE: 'invalid_audience',
  ERR_OIDC_SECURITY_EVENT_AUTHORIZATION: 'authentication_failed',
  ERR_OIDC_SECURITY_EVENT_STATE: 'invalid_state',
}

/** An event that has passed all checks: nothing in it can be refused any more. */
interface CheckedEvent extends SecurityEvent {
  readonly endsSessions: boolean
  /** `undefined` if no session can belong to the subject. */
  readonly user: EventSubject | undefined
}

interface CheckedToken extends Omit<SecurityEventToken, 'events'> {
  readonly events: readonly CheckedEvent[]
}

/**
 * Verifies the token for the clients that it may be for. A transmitter may end only the sessions of its own provider.
 * So these are the clients with this transmitter, by the token's `iss`, and with the header `Authorization` of this
 * request.
 */
async function verifyForClients(
  rp: RelyingParty,
  req: Request,
  text: string,
): Promise<readonly VerifiedFor<CheckedToken>[]> {
  const clients = [...rp.clients.values()].filter(({ config }) => config.sharedSignals !== undefined)
  const authenticated = clients.filter((client) => hasAuthorization(client, headerOf(req, 'authorization')))
  if (authenticated.length === 0) {
    throw new OidcError(
      'ERR_OIDC_SECURITY_EVENT_AUTHORIZATION',
      'The header Authorization is missing or is not sharedSignals.authorizationHeader. Check authorization_header of the stream.',
    )
  }
  const named = authenticated.filter(({ config }) => transmitterIssuer(config) === issuerOfSecurityEvent(text))
  if (named.length === 0) rejectUnknownTransmitter(text)
  return await verifyForEach(named, async (client) => {
    const transmitter = await client.findTransmitter()
    const token = await verifySecurityEventToken(transmitter, client.config, text).catch((error: unknown) => {
      throw retryIfKeysUnavailable(transmitter, error)
    })
    return { ...token, events: token.events.map((event) => checkEvent(client, transmitter, event)) }
  })
}

/**
 * Compares hashes in constant time, so that the duration reveals neither the content nor the length of the right
 * value.
 */
function hasAuthorization({ config }: Client, given: string | undefined): boolean {
  const expected = authorizationHeadersOf(config)
  if (expected.length === 0) return true
  const results = expected.map((value) => timingSafeEqual(hashOf(value), hashOf(given ?? '')))
  return given !== undefined && results.includes(true)
}

function authorizationHeadersOf({ sharedSignals }: Client['config']): readonly string[] {
  return [sharedSignals?.authorizationHeader ?? []].flat()
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/**
 * If the keys could not be fetched again: replaces an error about the token's key or signature by a 503, so that the
 * transmitter retries. The token may be valid.
 */
function retryIfKeysUnavailable({ keys }: Transmitter, error: unknown): unknown {
  const isKeyUnavailable =
    error instanceof OidcError && /^ERR_OIDC_SECURITY_EVENT_(KEY|SIGNATURE)$/.test(error.code) && keys.isAway()
  if (!isKeyUnavailable) return error
  return new OidcError(
    'ERR_OIDC_SECURITY_EVENT_KEY',
    `The security event token cannot be verified, because ${keys.jwksUri} cannot be fetched. Check the transmitter.`,
    { status: 503, cause: error },
  )
}

const CAEP = 'https://schemas.openid.net/secevent/caep/event-type/'
const RISC = 'https://schemas.openid.net/secevent/risc/event-type/'
const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification'
const CREDENTIAL_CHANGE = `${CAEP}credential-change`

/**
 * Events that end the user's sessions. If claims have changed, only a new login renews them. Until then the user must
 * not use a right that was taken away.
 */
const ENDING_EVENTS: ReadonlySet<string> = new Set([
  ...[`${CAEP}session-revoked`, `${CAEP}token-claims-change`],
  ...[`${RISC}account-disabled`, `${RISC}account-purged`, `${RISC}sessions-revoked`],
])

/**
 * The values of `change_type` (CAEP 3.3.1). True if a credential that the user may have logged in with has become
 * invalid.
 */
const CREDENTIAL_CHANGES: ReadonlyMap<unknown, boolean> = new Map([
  ['create', false],
  ['update', true],
  ['revoke', true],
  ['delete', true],
])

function checkEvent({ config }: Client, transmitter: Transmitter, event: SecurityEvent): CheckedEvent {
  if (event.type === VERIFICATION) {
    checkState(config, transmitter, event)
    return { ...event, endsSessions: false, user: undefined }
  }
  const endsSessions = event.type === CREDENTIAL_CHANGE ? endsByCredentialChange(event) : ENDING_EVENTS.has(event.type)
  if (event.subject === undefined && !endsSessions) return { ...event, endsSessions, user: undefined }
  const context = {
    providerIssuer: config.issuer,
    transmitterIssuer: transmitter.issuer,
    criticalSubjectMembers: transmitter.criticalSubjectMembers,
  }
  if (event.subject !== undefined) return { ...event, endsSessions, user: readEventSubject(event.subject, context) }
  throw new OidcError(
    'ERR_OIDC_SECURITY_EVENT_SUBJECT',
    'The security event has no subject. Send sub_id, or the member subject of the event.',
  )
}

function endsByCredentialChange({ event: { change_type: change } }: SecurityEvent): boolean {
  const isEnding = CREDENTIAL_CHANGES.get(change)
  if (isEnding !== undefined) return isEnding
  throw new OidcError(
    'ERR_OIDC_SECURITY_EVENT_EVENTS',
    'The event credential-change must have the change_type create, update, revoke or delete (CAEP 3.3.1).',
  )
}

/**
 * Checks the state of a verification event (SSF 8.1.4.1). A transmitter may also send one that nobody has requested,
 * without a state.
 */
function checkState(config: Client['config'], { issuer }: Transmitter, { event: { state } }: SecurityEvent): void {
  if (state === undefined) return
  if (typeof state === 'string' && isVerificationState(state, authorizationHeadersOf(config), issuer)) return
  throw new OidcError(
    'ERR_OIDC_SECURITY_EVENT_STATE',
    'The verification event has a state that nobody has requested here. Request it with npx express-oidc streams verify, with ' +
      'the same Authorization header as in sharedSignals.authorizationHeader.',
  )
}

const REFUSED_BY_HOOK =
  'The hook onSecurityEvent threw an error for a user. A transmitter has none: throw another error.'

/**
 * How long a token is remembered at least, in seconds. Tokens do not expire. After `loginLifetime`, every login that
 * started before the event is over, so a replay ends none. The week protects the hook, which a replay would call
 * again.
 */
const MIN_REPLAY_SECONDS = 604_800

/** Handles the events of a token. A repeated token is acknowledged, but has no effect (RFC 8935 2). */
async function handleEvents(
  rp: RelyingParty,
  req: SessionRequest,
  verified: readonly VerifiedFor<CheckedToken>[],
): Promise<void> {
  const state = rp.sharedStateOf(req.sessionStore)
  try {
    for (const { client, token } of verified) {
      const key = replayKey('security-event', [client.config.name, token.issuer, token.jti])
      if (await state.seen(key)) continue
      for (const event of token.events) await handleEvent(rp, req, client, token, event)
      // Mark the token at the end, so that the transmitter can retry with the same token if something above fails.
      await state.once(key, Math.max(rp.config.loginLifetime, MIN_REPLAY_SECONDS))
    }
  } catch (error) {
    // All checks have passed, so a failure here is not the transmitter's fault, even if a hook throws an error for a
    // user.
    throw isFaultOfSender(error) ? new TypeError(REFUSED_BY_HOOK, { cause: error }) : error
  }
}

async function handleEvent(
  rp: RelyingParty,
  req: SessionRequest,
  { config: { name: provider } }: Client,
  { issuer }: CheckedToken,
  { type, event, subject, user, occurredAt, endsSessions }: CheckedEvent,
): Promise<void> {
  const target = user && { ...user, provider, startedUpTo: occurredAt, isWhole: true }
  let ended = 0
  if (endsSessions && target !== undefined) {
    await rp.providerLogouts.recordLogout(req.sessionStore, target)
    ended = (await rp.providerLogouts.endSessions(req.sessionStore, target, 'security-event')).length
  }
  publish['express-oidc:security-event'](() => ({ provider, issuer, type, isKnownSubject: user !== undefined, ended }))
  if (type === VERIFICATION) return
  await rp.config.hooks.onSecurityEvent?.({ req, provider, issuer, type, event, subject, occurredAt, ended })
}
