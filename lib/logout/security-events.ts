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
 * `POST` by a transmitter (SSF, Push-Based SET Delivery, RFC 8935): ends the sessions that the event is about. 202 means that
 * they have ended, or that there are none. The signature of the token proves where it comes from.
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
    // RFC 8935 2.3: the description says which language it is in.
    res.setHeader('Content-Language', 'en')
    return sendJson(res, 400, { err: ERRORS[error.code] ?? 'invalid_request', description: error.message })
  }
  sendEmpty(res, 202)
}

/** RFC 8935 2.4, SSF 8.1.4.1. Any other error is `invalid_request`. */
const ERRORS: Partial<Readonly<Record<ErrorCode, string>>> = {
  ERR_OIDC_SECURITY_EVENT_ENCRYPTED: 'invalid_key',
  ERR_OIDC_SECURITY_EVENT_ALG: 'invalid_key',
  ERR_OIDC_SECURITY_EVENT_KEY: 'invalid_key',
  ERR_OIDC_SECURITY_EVENT_SIGNATURE: 'invalid_key',
  ERR_OIDC_SECURITY_EVENT_ISSUER: 'invalid_issuer',
  ERR_OIDC_SECURITY_EVENT_AUDIENCE: 'invalid_audience',
  ERR_OIDC_SECURITY_EVENT_AUTHORIZATION: 'authentication_failed',
  ERR_OIDC_SECURITY_EVENT_STATE: 'invalid_state',
}

/** An event whose subject and members have been read: nothing of it can be refused any more. */
interface ReadEvent extends SecurityEvent {
  readonly endsSessions: boolean
  /** `undefined`: no session can be of this subject. */
  readonly user: EventSubject | undefined
}

interface ReadToken extends Omit<SecurityEventToken, 'events'> {
  readonly events: readonly ReadEvent[]
}

/** A transmitter ends the sessions of its own provider alone, so its `iss` says which providers are meant. */
async function verifyForClients(
  rp: RelyingParty,
  req: Request,
  text: string,
): Promise<readonly VerifiedFor<ReadToken>[]> {
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
      throw unlessKeysAreAway(transmitter, error)
    })
    return { ...token, events: token.events.map((event) => readEvent(client, transmitter, event)) }
  })
}

/** Compares hashes, so that neither the content nor the length of the right value can be measured. */
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

/** A key that is unknown because its document is away says nothing about the token: the transmitter must retry. */
function unlessKeysAreAway({ keys }: Transmitter, error: unknown): unknown {
  const isAboutKeys =
    error instanceof OidcError && /^ERR_OIDC_SECURITY_EVENT_(KEY|SIGNATURE)$/.test(error.code) && keys.isAway()
  if (!isAboutKeys) return error
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
 * Events after which a session must not go on. Claims that have changed are renewed by the login that follows: until then,
 * a right that the user has lost must not be used.
 */
const ENDING: ReadonlySet<string> = new Set([
  ...[`${CAEP}session-revoked`, `${CAEP}token-claims-change`],
  ...[`${RISC}account-disabled`, `${RISC}account-purged`, `${RISC}sessions-revoked`],
])

/** CAEP 3.3.1: whether a credential that the user may have logged in with is no longer valid. */
const CREDENTIAL_CHANGES: ReadonlyMap<unknown, boolean> = new Map([
  ['create', false],
  ['update', true],
  ['revoke', true],
  ['delete', true],
])

function readEvent({ config }: Client, transmitter: Transmitter, event: SecurityEvent): ReadEvent {
  if (event.type === VERIFICATION) {
    checkState(config, transmitter, event)
    return { ...event, endsSessions: false, user: undefined }
  }
  const endsSessions = event.type === CREDENTIAL_CHANGE ? endsCredential(event) : ENDING.has(event.type)
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

function endsCredential({ event: { change_type: change } }: SecurityEvent): boolean {
  const isEnding = CREDENTIAL_CHANGES.get(change)
  if (isEnding !== undefined) return isEnding
  throw new OidcError(
    'ERR_OIDC_SECURITY_EVENT_EVENTS',
    'The event credential-change must have the change_type create, update, revoke or delete (CAEP 3.3.1).',
  )
}

/** SSF 8.1.4.1. A transmitter may also send a verification that nobody has requested: it has no state. */
function checkState(config: Client['config'], { issuer }: Transmitter, { event: { state } }: SecurityEvent): void {
  if (state === undefined) return
  if (typeof state === 'string' && isVerificationState(state, authorizationHeadersOf(config), issuer)) return
  throw new OidcError(
    'ERR_OIDC_SECURITY_EVENT_STATE',
    'The verification event has a state that nobody has requested here. Request it with npx express-oidc streams verify, with ' +
      'the same Authorization header as in sharedSignals.authorizationHeader.',
  )
}

/** RFC 8935 2: a token that comes again is acknowledged as the first time, and does nothing. */
async function handleEvents(
  rp: RelyingParty,
  req: SessionRequest,
  verified: readonly VerifiedFor<ReadToken>[],
): Promise<void> {
  const state = rp.sharedStateOf(req.sessionStore)
  try {
    for (const { client, token } of verified) {
      const key = replayKey('security-event', [client.config.name, token.issuer, token.jti])
      if (await state.seen(key)) continue
      for (const event of token.events) await handleEvent(rp, req, client, token, event)
      // Marked at the end, so that the transmitter can retry with the same token if something above fails.
      await state.once(key, Math.max(rp.config.loginLifetime, MIN_REPLAY_SECONDS))
    }
  } catch (error) {
    // What fails from here on is not the transmitter's fault, even if a hook throws an error for a user.
    throw isFaultOfSender(error) ? new TypeError(REFUSED_BY_HOOK, { cause: error }) : error
  }
}

const REFUSED_BY_HOOK =
  'The hook onSecurityEvent threw an error for a user. A transmitter has none: throw another error.'

/** An event does not age, but after `loginLifetime` no login is left that began before it. A week is for the hook. */
const MIN_REPLAY_SECONDS = 604_800

async function handleEvent(
  rp: RelyingParty,
  req: SessionRequest,
  { config: { name: provider } }: Client,
  { issuer }: ReadToken,
  { type, event, subject, user, occurredAt, endsSessions }: ReadEvent,
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
