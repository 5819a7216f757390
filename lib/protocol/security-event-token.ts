import { type ErrorCode, OidcError } from '../errors.ts'
import {
  isJwe,
  nounOf,
  parseCompactJws,
  requireCompact,
  type TokenProblem,
  tokenErrors,
} from '../jose/compact-token.ts'
import { isObject, type JsonObject, parseJsonObject } from '../jose/json.ts'
import { verifyJws } from '../jose/jws.ts'
import type { Config } from '../options/config.ts'
import type { Transmitter } from '../provider/transmitter.ts'
import { isInstant, nowInSeconds } from '../time/seconds.ts'
import type { Json } from '../types.ts'
import {
  type ClaimContext,
  type ClaimRule,
  checkClaims,
  issuedAtRule,
  issuerRule,
  notBeforeRule,
} from './claim-rules.ts'

/** One event of a security event token (RFC 8417). */
export interface SecurityEvent {
  /** The URI that says what happened. */
  readonly type: string
  /** The members of the event. */
  readonly event: JsonObject
  /** The primary subject (SSF 3.1). `undefined` if the token names none. */
  readonly subject: JsonObject | undefined
  /** When it happened, in whole seconds since 1970, and never in the future. */
  readonly occurredAt: number
}

/** A verified security event token. */
export interface SecurityEventToken {
  readonly issuer: string
  readonly jti: string
  /** At least one. Several are alternative names of one event (SSF 4.2.1). */
  readonly events: readonly SecurityEvent[]
}

type EventConfig = Pick<Config, 'sharedSignals' | 'clockTolerance'>

/**
 * Verifies a security event token completely (RFC 8417 2, SSF 4.1), except whether it was received before. Unlike a logout
 * token it does not age: it may arrive days after an outage. Throws `ERR_OIDC_SECURITY_EVENT_…` and the errors of fetching the keys.
 */
export async function verifySecurityEventToken(
  { keys, issuer }: Transmitter,
  { sharedSignals, clockTolerance }: EventConfig,
  text: string,
): Promise<SecurityEventToken> {
  if (isJwe(text)) throw encrypted()
  // An empty alg matches no token.
  const { claims } = await verifyJws(KIND, text, keys, { alg: sharedSignals?.signingAlg ?? SIGNING_ALG })
  const audiences = [sharedSignals?.audience ?? []].flat()
  const now = nowInSeconds()
  checkClaims(nounOf(KIND), claims, RULES, { issuer, clientId: '', audiences, clockTolerance, now })
  const { jti, iat, events, sub_id: subject } = claims
  return {
    issuer,
    jti: String(jti),
    events: Object.entries(Object(events)).map(([type, event]) => readEvent(type, Object(event), subject, iat, now)),
  }
}

/** Throws the error of a token that names no transmitter of the application. Nothing is verified. */
export function rejectUnknownTransmitter(text: string): never {
  const tokenError = tokenErrors(KIND)
  requireCompact(text, tokenError)
  if (isJwe(text)) throw encrypted()
  if (parseJsonObject(parseCompactJws(text)?.payload ?? new Uint8Array()) === undefined) {
    throw tokenError('MALFORMED', 'is not a JWS in compact form.')
  }
  throw new OidcError(
    'ERR_OIDC_SECURITY_EVENT_ISSUER',
    'The security event token is not from a transmitter of this application. Check sharedSignals.issuer (a slash at the end counts).',
  )
}

function encrypted(): OidcError {
  return tokenErrors(KIND)('ENCRYPTED', 'is encrypted, which is not supported. Have the transmitter sign only.')
}

/** The issuer that a token names. Nothing is verified. */
export function issuerOfSecurityEvent(text: string): string | undefined {
  const iss = parseJsonObject(parseCompactJws(text)?.payload ?? new Uint8Array())?.['iss']
  return typeof iss === 'string' ? iss : undefined
}

const KIND = 'SECURITY_EVENT'
const SIGNING_ALG = 'RS256'

function readEvent(
  type: string,
  event: JsonObject,
  primary: Json | undefined,
  iat: Json | undefined,
  now: number,
): SecurityEvent {
  // SSF 3.1.1: CAEP and RISC events may name it in the event. Okta's do, and have no sub_id.
  const subject = primary ?? event['subject']
  const { event_timestamp: given = iat } = event
  const occurredAt = Math.floor(Math.min(inSeconds(Number(given)), now))
  return { type, event, subject: isObject(subject) ? subject : undefined, occurredAt }
}

/** The year 5138. In milliseconds it is 1973: Okta sends milliseconds, CAEP 2 says seconds. */
const MAX_SECONDS = 1e11

function inSeconds(time: number): number {
  return time > MAX_SECONDS ? time / 1000 : time
}

interface EventContext extends ClaimContext {
  readonly audiences: readonly string[]
}

type EventRule = ClaimRule<EventContext>

function rule(code: ErrorCode, message: string, isValid: (claims: JsonObject) => boolean): EventRule {
  const problem: TokenProblem = { message }
  return { code, findProblem: (claims) => (isValid(claims) ? undefined : problem) }
}

const ISSUED_AT: ErrorCode = 'ERR_OIDC_SECURITY_EVENT_ISSUED_AT'

/** The most names of one event. */
const MAX_EVENTS = 8
const MAX_LENGTH = 1024

/** The rules for claims, checked in this order. Other claims are ignored (SSF 4.2.3). */
const RULES: readonly EventRule[] = [
  issuerRule('ERR_OIDC_SECURITY_EVENT_ISSUER', (issuer, { iss }) => iss === issuer),
  {
    code: 'ERR_OIDC_SECURITY_EVENT_AUDIENCE',
    findProblem: ({ aud }, { audiences }) =>
      [aud].flat().some((one) => typeof one === 'string' && audiences.includes(one))
        ? undefined
        : { message: 'is not for an audience of sharedSignals.audience. Check that option and the aud of the stream.' },
  },
  // SSF 4.1.6, 4.1.2: both would make it look like an ID Token or an access token.
  rule(
    'ERR_OIDC_SECURITY_EVENT_EXPIRES',
    'has an exp claim, which no security event may have.',
    (claims) => !Object.hasOwn(claims, 'exp'),
  ),
  rule(
    'ERR_OIDC_SECURITY_EVENT_SUBJECT',
    'has a sub claim, which no security event may have. The subject belongs into sub_id.',
    (claims) => !Object.hasOwn(claims, 'sub'),
  ),
  issuedAtRule(ISSUED_AT, () => Number.POSITIVE_INFINITY),
  notBeforeRule(ISSUED_AT),
  rule(
    'ERR_OIDC_SECURITY_EVENT_ID',
    'has no jti claim.',
    ({ jti }) => typeof jti === 'string' && jti !== '' && jti.length <= MAX_LENGTH,
  ),
  rule(
    'ERR_OIDC_SECURITY_EVENT_EVENTS',
    `must have 1 to ${MAX_EVENTS} members in events, each a URI with an object.`,
    ({ events }) => {
      const entries = isObject(events) ? Object.entries(events) : []
      const isEvent = ([type, event]: [string, Json | undefined]): boolean =>
        type !== '' && type.length <= MAX_LENGTH && isObject(event)
      return entries.length > 0 && entries.length <= MAX_EVENTS && entries.every(isEvent)
    },
  ),
  rule(
    'ERR_OIDC_SECURITY_EVENT_SUBJECT',
    'has a sub_id or a subject that is not an object.',
    ({ sub_id: subject, events }) =>
      [subject, ...eventsIn(events).map((event) => event['subject'])].every(
        (one) => one === undefined || isObject(one),
      ),
  ),
  rule('ERR_OIDC_SECURITY_EVENT_TIMESTAMP', 'has an event_timestamp that is no time since 1970.', ({ events }) =>
    eventsIn(events).every(({ event_timestamp: time }) => time === undefined || (isTime(time) && time >= 0)),
  ),
]

/** In seconds or milliseconds. */
function isTime(value: Json): value is number {
  return isInstant(value) || (typeof value === 'number' && isInstant(value / 1000))
}

function eventsIn(events: Json | undefined): readonly JsonObject[] {
  return Object.values(Object(events)).filter(isObject)
}
