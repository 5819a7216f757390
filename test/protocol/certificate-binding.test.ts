import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { type ErrorCode, OidcError } from '../../lib/errors.ts'
import {
  type CertificateFormat,
  certificateThumbprint,
  checkCertificateBinding,
  createProxyCheck,
  peerCertificateOf,
  readCertificateHeader,
} from '../../lib/protocol/certificate-binding.ts'
import { createCertificate } from '../support/servers/tls-certificate.ts'

const client = createCertificate('client')
const other = createCertificate('other client')
const der = new X509Certificate(client.cert).raw
const otherDer = new X509Certificate(other.cert).raw
const base64 = der.toString('base64')
const pem = new X509Certificate(client.cert).toString()
const escaped = encodeURIComponent(pem)
const hash = createHash('sha256').update(der).digest('hex')
const thumbprint = createHash('sha256').update(der).digest('base64url')
const xfcc = `By=spiffe://a/b;Hash=${hash};Cert="${escaped}";Subject="CN=a\\"b,O=\\\\c;d";URI=`

function errorOf(work: () => unknown): OidcError {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof OidcError, String(error))
    return error
  }
  assert.fail('nothing was thrown')
}

describe('checkCertificateBinding()', () => {
  it('accepts the certificate that the token names', () => {
    checkCertificateBinding(thumbprint, der)
    assert.equal(certificateThumbprint(der), thumbprint)
  })

  const rows: readonly (readonly [string, unknown, Uint8Array | undefined, ErrorCode])[] = [
    ['no certificate', thumbprint, undefined, 'ERR_OIDC_CERTIFICATE_MISSING'],
    ['neither certificate nor thumbprint', undefined, undefined, 'ERR_OIDC_CERTIFICATE_MISSING'],
    ['another certificate', thumbprint, otherDer, 'ERR_OIDC_CERTIFICATE_BINDING'],
    ['an empty certificate', thumbprint, new Uint8Array(), 'ERR_OIDC_CERTIFICATE_BINDING'],
    [
      'a certificate and a byte more',
      thumbprint,
      Buffer.concat([der, Buffer.alloc(1)]),
      'ERR_OIDC_CERTIFICATE_BINDING',
    ],
    ['no thumbprint', undefined, der, 'ERR_OIDC_CERTIFICATE_BINDING'],
    ['an empty thumbprint', '', der, 'ERR_OIDC_CERTIFICATE_BINDING'],
    ['a thumbprint in a list', [thumbprint], der, 'ERR_OIDC_CERTIFICATE_BINDING'],
    ['a thumbprint in hexadecimal', hash, der, 'ERR_OIDC_CERTIFICATE_BINDING'],
    ['a thumbprint with padding', `${thumbprint}=`, der, 'ERR_OIDC_CERTIFICATE_BINDING'],
    ['the beginning of a thumbprint', thumbprint.slice(0, 20), der, 'ERR_OIDC_CERTIFICATE_BINDING'],
    ['a SHA-1 thumbprint', createHash('sha1').update(der).digest('base64url'), der, 'ERR_OIDC_CERTIFICATE_BINDING'],
    [
      'the thumbprint of its PEM',
      createHash('sha256').update(pem).digest('base64url'),
      der,
      'ERR_OIDC_CERTIFICATE_BINDING',
    ],
  ]
  for (const [name, expected, certificate, code] of rows) {
    it(`refuses ${name}`, () => {
      const error = errorOf(() => checkCertificateBinding(expected, certificate))
      assert.deepEqual([error.code, error.status], [code, 401])
      assert.ok(!error.message.includes(thumbprint))
    })
  }
})

describe('readCertificateHeader()', () => {
  const good: readonly (readonly [string, CertificateFormat, string])[] = [
    ['the escaped PEM of nginx', 'escaped-pem', escaped],
    ['the escaped PEM of AWS, which leaves +, / and = as they are', 'escaped-pem', encodeURI(pem)],
    ['escaped PEM with lines that end in CR LF', 'escaped-pem', encodeURIComponent(pem.replaceAll('\n', '\r\n'))],
    ["Envoy's element", 'xfcc', xfcc],
    ['escaped PEM without a line end behind it', 'escaped-pem', encodeURIComponent(pem.trim())],
    ['escaped PEM between spaces', 'escaped-pem', `%20${escaped}%20`],
    ["Envoy's element with quotes that hold nothing", 'xfcc', `Subject="";Cert="${escaped}";URI=""`],
    ["Envoy's element with Cert alone", 'xfcc', `Cert=${escaped}`],
    ["Envoy's element with a chain", 'xfcc', `Cert="${escaped}";Chain="${escaped}${escaped}"`],
    ['escaped PEM of exactly 16 KiB', 'escaped-pem', escaped.padEnd(16_384)],
    ['the byte sequence of RFC 9440', 'rfc9440', `:${base64}:`],
    ['a byte sequence between spaces', 'rfc9440', ` :${base64}: `],
  ]
  for (const [name, format, value] of good) {
    it(`reads ${name}`, () => {
      assert.deepEqual(readCertificateHeader(value, format), der)
    })
  }

  for (const format of ['escaped-pem', 'xfcc', 'rfc9440'] as const) {
    it(`finds no certificate if a proxy sends none (${format})`, () => {
      assert.deepEqual(
        [undefined, ''].map((value) => readCertificateHeader(value, format)),
        [undefined, undefined],
      )
    })
  }

  const bad: readonly (readonly [string, CertificateFormat, unknown])[] = [
    ['two certificates', 'escaped-pem', escaped + escaped],
    ['two certificates as Node joins headers', 'escaped-pem', `${escaped}, ${escaped}`],
    ['a list of headers', 'escaped-pem', [escaped]],
    ['the header of another format', 'escaped-pem', xfcc],
    ['a byte sequence where PEM is expected', 'escaped-pem', `:${base64}:`],
    ['PEM whose line ends are gone, with text around it', 'escaped-pem', `x${escaped}`],
    ['PEM of a key', 'escaped-pem', encodeURIComponent(client.key)],
    ['a broken percent sign', 'escaped-pem', `${escaped}%`],
    ['percent-encoding that is no UTF-8', 'escaped-pem', `${escaped}%ff`],
    ['PEM that is encoded twice', 'escaped-pem', encodeURIComponent(escaped)],
    ['base64 that is cut', 'escaped-pem', encodeURIComponent(pem.replace(/.{9}\n-----END/, '\n-----END'))],
    ['an empty PEM', 'escaped-pem', encodeURIComponent('-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n')],
    ['(null), as Apache writes it', 'escaped-pem', '(null)'],
    ['more than 16 KiB', 'escaped-pem', escaped + '%0A'.repeat(6000)],
    ['a character more than 16 KiB', 'escaped-pem', escaped.padEnd(16_385)],
    ['two elements, of which the client wrote one', 'xfcc', `Cert="${escaped}",${xfcc}`],
    ['a second element without a certificate', 'xfcc', `${xfcc},By=spiffe://c`],
    ['two Cert in one element', 'xfcc', `Cert="${escaped}";Cert="${escaped}"`],
    ['two Cert in other letters', 'xfcc', `Cert="${escaped}";cert="${encodeURIComponent(other.cert)}"`],
    ['Hash alone', 'xfcc', `By=spiffe://a/b;Hash=${hash}`],
    ['Chain alone', 'xfcc', `Chain="${escaped}"`],
    ['a Cert inside the quotes of another value', 'xfcc', `Subject="CN=a;Cert=${escaped}"`],
    ['a Cert behind a quote that is escaped', 'xfcc', `Subject="CN=a\\";Cert=${escaped}`],
    ['a quote that does not end', 'xfcc', `Subject="CN=a;Cert=${escaped}`],
    ['a semicolon at its end', 'xfcc', `Cert="${escaped}";`],
    ['an empty Cert', 'xfcc', 'Cert=""'],
    ['two certificates in Cert', 'xfcc', `Cert="${escaped}${escaped}"`],
    ['a key without value', 'xfcc', `Cert;By=a`],
    ['a value without key', 'xfcc', `=a;Cert="${escaped}"`],
    ['bare base64', 'rfc9440', base64],
    ['one colon', 'rfc9440', `:${base64}`],
    ['no padding', 'rfc9440', `:${base64.replace(/=*$/, '')}A:`],
    ['a padding character too many', 'rfc9440', `:${base64}=:`],
    [
      'PEM with a padding character too many',
      'escaped-pem',
      encodeURIComponent(pem.replace('\n-----END', '=\n-----END')),
    ],
    ['base64url', 'rfc9440', `:${der.toString('base64url')}-_:`],
    ['a list of two', 'rfc9440', `:${base64}:, :${base64}:`],
    ['a parameter', 'rfc9440', `:${base64}:;a=1`],
    ['nothing between the colons', 'rfc9440', '::'],
    ['text in base64', 'rfc9440', `:${Buffer.from('a certificate').toString('base64')}:`],
    ['PEM in base64', 'rfc9440', `:${Buffer.from(pem).toString('base64')}:`],
    ['a byte behind the certificate', 'rfc9440', `:${Buffer.concat([der, Buffer.alloc(1)]).toString('base64')}:`],
    ['two certificates one after the other', 'rfc9440', `:${Buffer.concat([der, otherDer]).toString('base64')}:`],
    ['a number', 'rfc9440', 5],
  ]
  for (const [name, format, value] of bad) {
    it(`refuses ${name} (${format})`, () => {
      const error = errorOf(() => readCertificateHeader(value, format))
      assert.deepEqual([error.code, error.status], ['ERR_OIDC_CERTIFICATE_HEADER', 400])
      assert.ok(!error.message.includes(base64.slice(0, 20)))
    })
  }

  for (const [format, value, advice] of [
    ['escaped-pem', '(null)', /is not in the format 'escaped-pem'. In nginx, send \$ssl_client_escaped_cert/],
    ['xfcc', `Hash=${hash}`, /is not in the format 'xfcc'. In Envoy, set forward_client_cert_details to SANITIZE_SET/],
    ['rfc9440', '::', /is not in the format 'rfc9440'. The value of Client-Cert is base64 between two colons/],
  ] as const) {
    it(`says how to configure the proxy if the header is not in the format ${format}`, () => {
      assert.match(errorOf(() => readCertificateHeader(value, format)).message, advice)
    })
  }

  it('takes time in proportion to the header', () => {
    const hostile = [`a="${'\\"'.repeat(8000)}`, 'a='.repeat(8000), `${'a=;'.repeat(5000)}!`, `:${'='.repeat(16_000)}:`]
    for (const value of hostile)
      for (const format of ['escaped-pem', 'xfcc', 'rfc9440'] as const) {
        assert.equal(errorOf(() => readCertificateHeader(value, format)).code, 'ERR_OIDC_CERTIFICATE_HEADER')
      }
  })
})

describe('createProxyCheck()', () => {
  const isProxy = createProxyCheck(
    ['10.1.0.0/16', '192.0.2.7', '198.51.100.1/32', 'FD00::/8', '::1', '2001:db8:0:1::/64'],
    'trustedProxies',
  )
  const rows: readonly (readonly [string | undefined, boolean])[] = [
    ['10.1.2.3', true],
    ['::ffff:10.1.2.3', true],
    ['10.2.0.1', false],
    ['192.0.2.7', true],
    ['192.0.2.8', false],
    ['198.51.100.1', true],
    ['198.51.100.2', false],
    ['fd12::1', true],
    ['fe80::1', false],
    ['::1', true],
    ['::2', false],
    ['::', false],
    ['2001:db8:0:1::7', true],
    ['2001:db8:0:2::7', false],
    ['127.0.0.1', false],
    ['', false],
    [undefined, false],
    ['10.1.2.3, 10.1.2.4', false],
    ['unknown', false],
  ]
  for (const [address, isTrusted] of rows) {
    it(`${isTrusted ? 'trusts' : 'does not trust'} ${address}`, () => {
      assert.equal(isProxy(address), isTrusted)
    })
  }

  it('trusts nobody if the list is empty', () => {
    assert.equal(createProxyCheck([], 'trustedProxies')('127.0.0.1'), false)
  })

  for (const wrong of [
    '',
    'localhost',
    '10.0.0.0/33',
    '10.0.0.0/0008',
    'z10.0.0.0/8',
    'fd00::/129',
    '10.0.0.0/',
    '10.0.0',
    '10.0.0.0/8/8',
    '0x7f.0.0.1',
    '*',
  ]) {
    it(`does not accept '${wrong}' as an address`, () => {
      const error = errorOf(() => createProxyCheck([wrong], 'trustedProxies'))
      assert.equal(error.code, 'ERR_OIDC_CONFIG')
      assert.match(error.message, /trustedProxies must be a list of IP addresses/)
    })
  }
})

describe('peerCertificateOf()', () => {
  const seen: (Uint8Array | undefined)[] = []
  const server = https.createServer(
    { ...createCertificate('localhost'), requestCert: true, rejectUnauthorized: false },
    (req, res) => {
      seen.push(peerCertificateOf(req.socket as TLSSocket))
      res.end()
    },
  )
  before(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(() => new Promise((resolve) => server.close(resolve)))

  async function requestWith(options: https.RequestOptions): Promise<Uint8Array | undefined> {
    const { port } = server.address() as AddressInfo
    const request = https.get({ host: '127.0.0.1', port, rejectUnauthorized: false, agent: false, ...options })
    const [response] = await once(request, 'response')
    response.resume()
    await once(response, 'end')
    return seen.pop()
  }

  it('reads the certificate that the client has proved in TLS, self-signed too', async () => {
    const { key, cert } = client
    assert.deepEqual(await requestWith({ key, cert }), der)
  })

  it('finds none if the client has none', async () => {
    assert.equal(await requestWith({}), undefined)
  })

  it('finds none on a connection without TLS, and on one that is closed', () => {
    assert.deepEqual(
      [peerCertificateOf({}), peerCertificateOf({ getPeerCertificate: () => ({}) })],
      [undefined, undefined],
    )
    assert.equal(peerCertificateOf({ getPeerCertificate: () => ({ raw: new Uint8Array() }) }), undefined)
    assert.equal(peerCertificateOf({ getPeerCertificate: () => null as unknown as object }), undefined)
  })
})
