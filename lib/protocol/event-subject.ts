import { OidcError } from '../errors.ts'
import { isObject, type JsonObject } from '../jose/json.ts'
import { isIssuerOrTenant, TENANT_PLACEHOLDER } from '../options/issuer.ts'
import type { Json } from '../types.ts'

/** Whose sessions an event is about. All members that are given must match a session. */
export interface EventSubject {
  /** The issuer of the user's ID Tokens. */
  readonly issuer: string
  readonly sub?: string | undefined
  /** In lower case. */
  readonly email?: string | undefined
  readonly sid?: string | undefined
}

/** Whose subjects are understood. */
export interface SubjectContext {
  /** The issuer of the ID Tokens. Can contain `{tenantid}`. */
  readonly providerIssuer: string
  readonly transmitterIssuer: string
  readonly criticalSubjectMembers: readonly string[]
}

/**
 * Reads the subject of an event (SSF 3, RFC 9493). Returns `undefined` if it names nobody that a session can be of: another
 * issuer, a format that sessions do not know, only a device, tenant or group, or a critical member that is not understood. Throws
 * `ERR_OIDC_SECURITY_EVENT_SUBJECT` if it is malformed.
 */
export function readEventSubject(subject: JsonObject, context: SubjectContext): EventSubject | undefined {
  const { format } = subject
  // Okta leaves out the format of a complex subject.
  const isComplex = format === 'complex' || (format === undefined && Object.values(subject).some(isObject))
  const names = isComplex ? readMembers(subject, context) : [readIdentifier(subject, 'alone', context)]
  const known = names.filter((name) => name !== 'unknown')
  if (known.length === 0 || known.includes('nobody')) return undefined
  const subjects = known.filter((name) => name !== 'nobody')
  const issuers = new Set(subjects.map(({ issuer }) => issuer))
  return issuers.size === 1 ? Object.assign({}, ...subjects) : undefined
}

/** `nobody`: no user of this provider. `unknown`: it may be one, but sessions cannot be found by it. */
type Name = EventSubject | 'nobody' | 'unknown'

/** The members of a complex subject that a session has, too. They all describe the same one (SSF 3.3.1). */
const SESSION_MEMBERS = ['user', 'session'] as const

function readMembers(subject: JsonObject, context: SubjectContext): readonly Name[] {
  const names = SESSION_MEMBERS.flatMap((member) => {
    const identifier = subject[member]
    return identifier === undefined ? [] : [{ member, name: readIdentifier(identifier, member, context) }]
  })
  const understood: readonly string[] = names.flatMap(({ member, name }) => (name === 'unknown' ? [] : [member]))
  // SSF 3.6: an event with a critical member that cannot be processed is discarded.
  const isDiscarded = context.criticalSubjectMembers.some(
    (member) => Object.hasOwn(subject, member) && !understood.includes(member),
  )
  return isDiscarded ? ['nobody'] : names.map(({ name }) => name)
}

/** Reads one subject identifier (RFC 9493 3.2). An opaque one is the id of a session at the provider (`sid`). */
function readIdentifier(identifier: Json, of: Role, context: SubjectContext): Name {
  if (!isObject(identifier)) throw malformed('has a member that is not an object')
  const { format } = identifier
  if (typeof format !== 'string') throw malformed('has no format')
  const read = FORMATS.get(format)
  if (read === undefined) return 'unknown'
  const { iss, ...name } = read(identifier, of)
  const issuer = iss === undefined ? concreteIssuer(context) : ownIssuer(iss, context)
  const isNamed = Object.keys(name).length > 0
  if (issuer === 'nobody') return issuer
  return issuer === 'unknown' || !isNamed ? 'unknown' : { issuer, ...name }
}

/** What an identifier describes. `alone`: it is the whole subject. */
type Role = 'user' | 'session' | 'alone'

type ReadFormat = (identifier: JsonObject, of: Role) => Omit<EventSubject, 'issuer'> & { readonly iss?: string }

/** The formats that sessions can be found by. Any other is `unknown`. */
const FORMATS: ReadonlyMap<string, ReadFormat> = new Map<string, ReadFormat>([
  [
    'iss_sub',
    (identifier, of) => {
      const [iss, sub] = [nameIn(identifier, 'iss'), nameIn(identifier, 'sub')]
      return of === 'session' ? { iss, sid: sub } : { iss, sub }
    },
  ],
  [
    'opaque',
    (identifier, of) => {
      const id = nameIn(identifier, 'id')
      return of === 'user' ? {} : { sid: id }
    },
  ],
  [
    'email',
    (identifier, of) => {
      const email = nameIn(identifier, 'email').toLowerCase()
      return of === 'session' ? {} : { email }
    },
  ],
])

/** The transmitter may name its own issuer or that of the ID Tokens: at Okta, the users of both are the same. */
function ownIssuer(iss: string, context: SubjectContext): string {
  if (isIssuerOrTenant(context.providerIssuer, iss)) return iss
  return iss === context.transmitterIssuer ? concreteIssuer(context) : 'nobody'
}

/** Without a tenant, nothing says whose user it is. */
function concreteIssuer({ providerIssuer }: SubjectContext): string {
  return providerIssuer.includes(TENANT_PLACEHOLDER) ? 'unknown' : providerIssuer
}

const MAX_LENGTH = 1024

function nameIn(identifier: JsonObject, member: string): string {
  const value = identifier[member]
  if (typeof value === 'string' && value !== '' && value.length <= MAX_LENGTH) return value
  throw malformed(`lacks ${member}, which its format requires`)
}

function malformed(problem: string): OidcError {
  return new OidcError(
    'ERR_OIDC_SECURITY_EVENT_SUBJECT',
    `The subject of the security event ${problem}. Send a subject identifier of RFC 9493.`,
  )
}
