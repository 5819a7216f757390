import { createHash, X509Certificate } from 'node:crypto'
import { BlockList, isIP } from 'node:net'
import { ConfigError, OidcError } from '../errors.ts'

/**
 * How a proxy that ends TLS writes the client's certificate into a header.
 *
 * - `'escaped-pem'`: PEM, percent-encoded. nginx: `proxy_set_header X-Client-Cert $ssl_client_escaped_cert`. AWS writes it into
 *   `X-Amzn-Mtls-Clientcert-Leaf`.
 * - `'xfcc'`: Envoy's `x-forwarded-client-cert` with `Cert`, and one element (`SANITIZE_SET`).
 * - `'rfc9440'`: the header `Client-Cert` of RFC 9440.
 */
export type CertificateFormat = 'escaped-pem' | 'xfcc' | 'rfc9440'

/**
 * Checks that the sender of a request has the certificate that its access token is bound to (RFC 8705 3). Throws
 * `ERR_OIDC_CERTIFICATE_MISSING` and `ERR_OIDC_CERTIFICATE_BINDING`.
 *
 * @param thumbprint The member `x5t#S256` of the token's claim `cnf`.
 * @param certificate In DER.
 */
export function checkCertificateBinding(thumbprint: unknown, certificate: Uint8Array | undefined): void {
  if (certificate === undefined) {
    throw new OidcError(
      'ERR_OIDC_CERTIFICATE_MISSING',
      'The access token is bound to a client certificate (cnf), but the request came without one.',
    )
  }
  if (certificateThumbprint(certificate) === thumbprint) return
  throw new OidcError(
    'ERR_OIDC_CERTIFICATE_BINDING',
    'The access token is bound to another client certificate than that of the request (cnf).',
  )
}

/** RFC 8705 3.1: the SHA-256 of the certificate in DER, in base64url. */
export function certificateThumbprint(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest('base64url')
}

/**
 * The certificate that the client has proved in TLS, in DER. Whether an authority has signed it plays no part: the token names
 * this very certificate (RFC 8705 3). Returns `undefined` for a connection without TLS or without a certificate.
 *
 * @param socket `req.socket`
 */
export function peerCertificateOf(socket: {
  getPeerCertificate?(): { readonly raw?: unknown }
}): Uint8Array | undefined {
  // Node returns null on a connection that is closed already.
  const raw = socket.getPeerCertificate?.()?.raw
  return raw instanceof Uint8Array && raw.byteLength > 0 ? raw : undefined
}

/** Node accepts 16 KiB for all headers by default. */
const MAX_LENGTH = 16_384

/**
 * The certificate in the header of a proxy, in DER. Returns `undefined` if there is none. Throws
 * `ERR_OIDC_CERTIFICATE_HEADER` for anything but exactly one certificate in exactly one header.
 *
 * A certificate is no secret. Read the header only of requests that a proxy of yours has sent ({@link createProxyCheck}), and
 * only the header that this proxy sets or removes on each request.
 */
export function readCertificateHeader(value: unknown, format: CertificateFormat): Uint8Array | undefined {
  if (value === undefined || value === '') return undefined
  if (typeof value !== 'string' || value.length > MAX_LENGTH) throw headerError('is repeated or too long.')
  const certificate = READERS[format](value)
  if (certificate === undefined) throw headerError(`is not in the format '${format}'. ${ADVICE[format]}`)
  if (!isCertificate(certificate)) throw headerError('does not hold exactly one X.509 certificate.')
  return certificate
}

const ADVICE: Readonly<Record<CertificateFormat, string>> = {
  'escaped-pem': 'In nginx, send $ssl_client_escaped_cert.',
  xfcc: 'In Envoy, set forward_client_cert_details to SANITIZE_SET, and cert in set_current_client_cert_details.',
  rfc9440: 'The value of Client-Cert is base64 between two colons.',
}

function headerError(problem: string): OidcError {
  return new OidcError('ERR_OIDC_CERTIFICATE_HEADER', `The header with the client certificate ${problem}`)
}

const READERS: Readonly<Record<CertificateFormat, (value: string) => Buffer | undefined>> = {
  'escaped-pem': readEscapedPem,
  xfcc: readForwardedCertificate,
  // RFC 8941 3.3.5: a byte sequence.
  rfc9440: (value) => readBase64(/^:([A-Za-z\d+/=]+):$/.exec(value.trim())?.[1] ?? ''),
}

/** A list of certificates would leave open which of them the client has proved. */
const ONE_PEM = /^\s*-----BEGIN CERTIFICATE-----([A-Za-z\d+/=\s]+)-----END CERTIFICATE-----\s*$/

function readEscapedPem(value: string): Buffer | undefined {
  return readBase64(ONE_PEM.exec(decodePercent(value))?.[1]?.replace(/\s/g, '') ?? '')
}

function decodePercent(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return ''
  }
}

/** Strict: each certificate has one spelling. */
function readBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return text !== '' && bytes.toString('base64') === text ? bytes : undefined
}

/** One `key=value` pair of an element. A value with special characters is quoted. */
const PAIR = /([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;]*))(;|$)/y

/** Of several elements, the client may have sent the first ones itself. So only one is accepted, which has no comma. */
function readForwardedCertificate(value: string): Buffer | undefined {
  const certificates: string[] = []
  PAIR.lastIndex = 0
  for (let isComplete = false; !isComplete; ) {
    const [, key, quoted, plain, end] = PAIR.exec(value) ?? []
    if (key === undefined) return undefined
    if (key.toLowerCase() === 'cert') certificates.push(quoted ?? plain ?? '')
    isComplete = end === ''
  }
  const [certificate] = certificates
  return certificates.length === 1 && certificate !== undefined ? readEscapedPem(certificate) : undefined
}

/** True for one certificate and nothing behind it. */
function isCertificate(bytes: Buffer): boolean {
  try {
    return new X509Certificate(bytes).raw.equals(bytes)
  } catch {
    return false
  }
}

/**
 * Returns a function that tells whether an address of a connection (`req.socket.remoteAddress`) is one of these: `10.0.0.5`,
 * `10.0.0.0/8`, `fd00::/8`. Throws `ERR_OIDC_CONFIG` for anything else.
 */
export function createProxyCheck(addresses: readonly string[], name: string): (address: string | undefined) => boolean {
  const list = new BlockList()
  for (const one of addresses) addAddress(list, one, name)
  return (address = '') => {
    const version = isIP(address)
    // A server that listens on IPv6 shows addresses of IPv4 as ::ffff:10.0.0.5, which the list knows.
    return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6')
  }
}

function addAddress(list: BlockList, given: string, name: string): void {
  const [, address = '', bits] = /^([\da-f.:]+)(?:\/(\d{1,3}))?$/i.exec(given) ?? []
  const version = isIP(address)
  const most = version === 4 ? 32 : 128
  if (version === 0 || Number(bits ?? 0) > most) {
    throw new ConfigError([`${name} must be a list of IP addresses or networks, such as '10.0.0.0/8'.`])
  }
  list.addSubnet(address, Number(bits ?? most), version === 4 ? 'ipv4' : 'ipv6')
}
