import { RESERVED_PARAMS } from './authorization-params.ts'
import type { TlsClientCertificate } from './client-credentials.ts'
import { isCredential } from './credential.ts'
import { hasPlaceholder } from './issuer.ts'
import { objectOf, option, required } from './option-row.ts'
import { isProviderName } from './provider-names.ts'
import {
  anyOf,
  firstFailing,
  functionRule,
  isPlainObject,
  listOf,
  must,
  nonEmptyString,
  oneOf,
  type Rule,
  showUrl,
  showValue,
  withMethods,
} from './rule.ts'
import { issuer, parseHttpUrl } from './urls.ts'

// The rules of single options that are more than one of the building blocks in rule.ts.

/** Anything longer is a mistake in the unit. */
export const TEN_YEARS: number = 10 * 365 * 86400

/** The time limit of one request to the provider. */
export const timeout: Rule = must(
  'be a number of seconds from 0.001 to 120',
  (value) => typeof value === 'number' && value >= 0.001 && value <= 120,
  showValue,
)

/** Members of the session object of express-session. */
const SESSION_MEMBERS: readonly unknown[] =
  'cookie id req save reload destroy regenerate touch resetMaxAge prototype'.split(' ')

export const sessionKey: Rule = firstFailing(
  nonEmptyString,
  must(
    'be a name that express-session does not use itself',
    (value) => !SESSION_MEMBERS.includes(value) && !(String(value) in Object.prototype),
    showValue,
  ),
)

export const secret: Rule = must(
  'be a string of at least 32 characters, or a list of such strings',
  (value) => {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value]
    return list.length > 0 && list.every((item) => typeof item === 'string' && item.length >= 32)
  },
  showLength,
)

/** A secret itself is never shown. */
function showLength(value: unknown): string | undefined {
  return typeof value === 'string' ? `${value.length} characters` : undefined
}

export const sessionClaims: Rule = anyOf(functionRule, listOf('claim names, or a function', nonEmptyString))

export const anonymousUserStatus: Rule = must('be 401 or 204', (value) => value === 401 || value === 204, showValue)

export const sharedState: Rule = withMethods(
  'be redisState(), postgresState(), memoryState(), or an object with the same methods',
  ...['add', 'remove', 'members', 'take', 'once', 'seen', 'lock'],
)

/** What the login route reads from its query. */
const LOGIN_ROUTE_PARAMS: readonly unknown[] = ['returnTo', 'provider', 'requirement', '__proto__']

/** Anyone can write a link to the login route, and so chooses the values of these parameters. */
export const passthroughParams: Rule = listOf(
  'names of query parameters',
  firstFailing(
    must('be the name of a query parameter', (name) => typeof name === 'string' && /^[\w.-]+$/.test(name), showValue),
    must(
      'not be a parameter that the middleware sets itself',
      (name) => !RESERVED_PARAMS.has(String(name)) && !LOGIN_ROUTE_PARAMS.includes(name),
      showValue,
    ),
  ),
)

const siteData: Rule = oneOf('cache', 'cookies', 'storage', 'executionContexts')
export const clearSiteData: Rule = listOf(
  "one or more of 'cache', 'cookies', 'storage', 'executionContexts'",
  siteData,
  1,
)

const providersByName: Rule = firstFailing(
  must(
    'be a plain object with the options of each provider under its name, or a function',
    (value) => isPlainObject(value) && Object.keys(value).length > 0,
  ),
  (value, name) =>
    Object.entries(value as object).flatMap(([key, options]) => {
      if (!isProviderName(key)) return [`${name} must have names of 1 to 32 letters, digits, hyphens and underscores.`]
      return must('be a plain object with the options of that provider', isPlainObject)(options, `${name}.${key}`)
    }),
)

/** The providers of an application, or the function that finds them. */
export const providers: Rule = anyOf(functionRule, providersByName)

export const credential: Rule = firstFailing(
  nonEmptyString,
  must('contain only printable ASCII characters, without a space at the start or a line break', isCredential),
  must('be the value of your own client, not a placeholder from documentation', (value) => {
    return !hasPlaceholder(String(value))
  }),
)

/** RFC 6749 3.3: scope-token = 1*NQCHAR. OIDC Core 3.1.2.1: `openid` makes the request an authentication request. */
export const scope: Rule = must(
  'be scopes separated by single spaces, including openid',
  (value) => {
    const tokens = typeof value === 'string' ? value.split(' ') : []
    return tokens.includes('openid') && tokens.every((token) => /^[!#-[\]-~]+$/.test(token))
  },
  showValue,
)

/** How a client authenticates at the provider. */
export const authMethod: Rule = oneOf(
  ...['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'],
  ...['tls_client_auth', 'self_signed_tls_client_auth', 'none'],
)

const pem: Rule = must('be PEM as text or bytes, not the path of a file', (value) => {
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value
  return typeof text === 'string' && text.includes('-----BEGIN ')
})

export const agent: Rule = withMethods('be an https.Agent', 'addRequest', 'destroy')

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** OpenSSL ignores what it cannot read. The provider would then be out of reach for a reason that nobody sees. */
const authority: Rule = must('be certificates in PEM, as text or bytes, not the path of a file', (value) => {
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value
  const found = typeof text === 'string' ? (text.match(CERTIFICATE) ?? []) : []
  return found.length > 0 && found.every(isCertificate)
})

/** The certificates of authorities. */
export const ca: Rule = (value, name) =>
  Array.isArray(value) ? listOf('certificates in PEM', authority, 1)(value, name) : authority(value, name)

function isCertificate(pem: string): boolean {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}

/** RFC 8705 2. The message of OpenSSL is not shown: it may contain parts of the key. */
export const certificate: Rule = firstFailing(
  objectOf({ cert: required(pem), key: required(pem), passphrase: option(nonEmptyString), ca: option(pem) }),
  must('have a cert and the key that belongs to it, and the passphrase if the key is encrypted', (value) =>
    isKeyPair(value as TlsClientCertificate),
  ),
)

function isKeyPair({ cert, key, passphrase = '' }: TlsClientCertificate): boolean {
  // Most applications have no certificate, and start faster without TLS.
  const { createSecureContext } = process.getBuiltinModule('node:tls')
  try {
    return createSecureContext({ cert: Buffer.from(cert), key: Buffer.from(key), passphrase }) !== undefined
  } catch {
    return false
  }
}

export const discovery: Rule = must(
  "be 'oidc', 'oauth2', or the https URL of the metadata",
  (value) => value === 'oidc' || value === 'oauth2' || parseHttpUrl(value)?.hash === '',
  showUrl,
)

export const tenants: Rule = anyOf(
  functionRule,
  listOf(
    'one or more tenant ids, or a function',
    must(
      'be a tenant id of letters, digits, dots and hyphens',
      (id) => typeof id === 'string' && /^[A-Za-z0-9][A-Za-z0-9.-]{0,127}$/.test(id),
      showValue,
    ),
    1,
  ),
)

/** Compared with `aud` character by character. */
export const trustedAudiences: Rule = listOf('audiences', nonEmptyString)

/** Issuers of aggregated and distributed claims (OIDC Core 5.6.2), compared character by character. */
export const claimsProviders: Rule = firstFailing(
  listOf('issuers', issuer),
  must('not contain an issuer twice', (value) => new Set([value].flat()).size === [value].flat().length),
)
