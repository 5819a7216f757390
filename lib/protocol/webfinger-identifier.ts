import { OidcError } from '../errors.ts'

/** What a person typed, made into what a WebFinger server is asked. */
export interface WebFingerIdentifier {
  /** `acct:joe@example.com`, or an https URL without fragment. */
  readonly resource: string
  /** Scheme, host and port of the server that knows it. */
  readonly origin: string
  /** The part before the `@` and the host, where it is an account. */
  readonly account: string | undefined
}

/** Far longer than any address of mail. */
const LONGEST = 1024
/** OIDC Discovery 2.1: the global context symbols of XRI. */
const XRI = /^[=@!+$(]|^xri:/i
/** `example.com:8080` has a port, `mailto:joe@example.com` a scheme. */
const SCHEME = /^([a-z][a-z0-9+.-]*):(?!\d+(?:[/?#]|$))/i
/** RFC 3986 3.2.1: a second `@` makes it doubtful which host is meant. */
const TWO_HOSTS = /^(?:[^/?#]*\/\/)?[^/?#]*@[^/?#]*@/
const ACCOUNT = /^([^@/?#]+)@([^@/?#:]+)$/

/**
 * Normalises what a person typed (OIDC Discovery 2.1.2): user and host alone are an account, everything else without a
 * scheme is an https URL, a fragment is dropped.
 *
 * @throws OidcError `ERR_OIDC_WEBFINGER_IDENTIFIER` for anything else: an XRI, another scheme, a password.
 */
export function parseIdentifier(text: string, schemes: readonly string[]): WebFingerIdentifier {
  const identifier = text.trim()
  const isOdd = (): boolean => [XRI, TWO_HOSTS, /[\s\\\p{Cc}\p{Cs}]/u].some((fault) => fault.test(identifier))
  if (identifier.length > LONGEST || isOdd()) throw unusable()
  const scheme = SCHEME.exec(identifier)?.[1]?.toLowerCase()
  if (scheme === 'acct') return accountOf(identifier.slice('acct:'.length).replace(/#.*/, ''))
  if (scheme !== undefined) return addressOf(identifier, schemes)
  return ACCOUNT.test(identifier) ? accountOf(identifier) : addressOf(`https://${identifier}`, schemes)
}

/** RFC 7565 7: what the user's part may not hold is percent-encoded. */
function accountOf(text: string): WebFingerIdentifier {
  const [, user = '', host = ''] = ACCOUNT.exec(text) ?? []
  const url = URL.canParse(`https://${host}`) ? new URL(`https://${host}`) : undefined
  if (url === undefined || user === '') throw unusable()
  const account = `${user.replace(/[^\w.~!$&'()*+,;=%-]/gu, encodeURIComponent)}@${url.host}`
  return { resource: `acct:${account}`, origin: url.origin, account }
}

function addressOf(text: string, schemes: readonly string[]): WebFingerIdentifier {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !schemes.includes(url.protocol) || url.password !== '') throw unusable()
  url.hash = ''
  return { resource: url.href, origin: url.origin, account: undefined }
}

function unusable(): OidcError {
  return new OidcError(
    'ERR_OIDC_WEBFINGER_IDENTIFIER',
    'No provider can be looked for by this: it must be like joe@example.com or https://example.com/joe.',
  )
}
