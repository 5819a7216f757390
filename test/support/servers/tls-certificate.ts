import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

/** A private key and the certificate for it, both PEM. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** A certificate that can sign others. */
export interface Authority extends Certificate {
  readonly commonName: string
}

// Made here, with the few lines of DER that it takes (RFC 5280 4.1), so that no private key lies in the repository and
// no other program is needed.
const SEQUENCE = 0x30
const SET = 0x31
const OBJECT_IDENTIFIER = 0x06
const OCTET_STRING = 0x04
const BIT_STRING = 0x03
const ECDSA_WITH_SHA256 = '2a8648ce3d040302'
const COMMON_NAME = '550403'
const SUBJECT_ALT_NAME = '551d11'
const BASIC_CONSTRAINTS = '551d13'

function der(tag: number, ...contents: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(contents.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
  const length =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

const oid = (hex: string): Buffer => der(OBJECT_IDENTIFIER, Buffer.from(hex, 'hex'))
const bits = (content: Buffer): Buffer => der(BIT_STRING, Buffer.from([0]), content)
const extension = (id: string, value: Buffer): Buffer => der(SEQUENCE, oid(id), der(OCTET_STRING, value))

const distinguishedName = (commonName: string): Buffer =>
  der(SEQUENCE, der(SET, der(SEQUENCE, oid(COMMON_NAME), der(0x0c, commonName))))

function toBeSigned(publicKey: KeyObject, commonName: string, issuerName: string): Buffer {
  const validity = der(SEQUENCE, der(0x17, '200101000000Z'), der(0x18, '21200101000000Z'))
  const names = der(SEQUENCE, der(0x82, 'localhost'), der(0x87, Buffer.from([127, 0, 0, 1])))
  const authority = der(SEQUENCE, der(0x01, Buffer.from([0xff])))
  return der(
    SEQUENCE,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1]), randomBytes(8)),
    der(SEQUENCE, oid(ECDSA_WITH_SHA256)),
    distinguishedName(issuerName),
    validity,
    distinguishedName(commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(SEQUENCE, extension(SUBJECT_ALT_NAME, names), extension(BASIC_CONSTRAINTS, authority))),
  )
}

/** A new certificate for `localhost` and `127.0.0.1`, good for a hundred years: self-signed, or signed by an authority. */
export function createCertificate(commonName: string, authority?: Authority): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const content = toBeSigned(publicKey, commonName, authority?.commonName ?? commonName)
  const signature = sign('sha256', content, authority ? createPrivateKey(authority.key) : privateKey)
  const certificate = der(SEQUENCE, content, der(SEQUENCE, oid(ECDSA_WITH_SHA256)), bits(signature))
  return {
    commonName,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64')}\n-----END CERTIFICATE-----\n`,
  }
}

const { key, cert } = createCertificate('localhost')

/** One for each run. */
export const LOOPBACK_CERTIFICATE: Certificate = { key, cert }
