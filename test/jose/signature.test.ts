import assert from 'node:assert/strict'
import crypto, {
  constants,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { describe, it, mock } from 'node:test'
import fc from 'fast-check'
import { CompactSign, compactVerify } from 'jose'
import { findJwsAlgorithm, SIGNATURE_ALGORITHMS } from '../../lib/jose/algorithms.ts'
import { type CompactJws, parseCompactJws } from '../../lib/jose/compact-token.ts'
import { isSignedBy } from '../../lib/jose/signature.ts'

/** What signs, and what verifies. */
interface Pair {
  readonly own: KeyObject
  readonly shared: KeyObject
}

const rsa = pairOf(generateKeyPairSync('rsa', { modulusLength: 2048 }))
const [p256, p384, p521] = ['P-256', 'P-384', 'P-521'].map((namedCurve) =>
  pairOf(generateKeyPairSync('ec', { namedCurve })),
)
const ed25519 = pairOf(generateKeyPairSync('ed25519'))
const secret = createSecretKey(Buffer.alloc(64, 7))

function pairOf({ privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject }): Pair {
  return { own: privateKey, shared: publicKey }
}

function pairFor(alg: string): Pair {
  if (alg.startsWith('HS')) return { own: secret, shared: secret }
  if (alg.startsWith('ML-DSA')) return pairOf(generateKeyPairSync(alg.toLowerCase() as 'ed25519'))
  const pair = { ES256: p256, ES384: p384, ES512: p521, EdDSA: ed25519, Ed25519: ed25519 }[alg] ?? rsa
  return pair
}

const PAIRS = new Map(SIGNATURE_ALGORITHMS.map((alg) => [alg, pairFor(alg)]))

async function signed(alg: string): Promise<{ readonly jws: CompactJws; readonly key: KeyObject }> {
  const { own, shared } = PAIRS.get(alg) ?? rsa
  const token = await new CompactSign(Buffer.from('{"sub":"jane"}')).setProtectedHeader({ alg }).sign(own)
  return { jws: parsed(token), key: shared }
}

function parsed(token: string): CompactJws {
  const jws = parseCompactJws(token)
  assert.ok(jws)
  return jws
}

/** The same token with another signature. */
function withSignature({ token }: CompactJws, signature: Uint8Array): CompactJws {
  return parsed(`${token.slice(0, token.lastIndexOf('.'))}.${Buffer.from(signature).toString('base64url')}`)
}

async function joseAccepts(token: string, alg: string, key: KeyObject): Promise<boolean> {
  return compactVerify(token, key, { algorithms: [alg] }).then(
    () => true,
    () => false,
  )
}

describe('the signature of a token', () => {
  it('is refused without its leading zero byte, with RSA (RFC 8017 8.1.2)', async () => {
    // One PSS signature in 256 begins with a zero byte: 20,000 without one are as good as impossible.
    const key = pairOf(generateKeyPairSync('rsa', { modulusLength: 2048 }))
    const [header, payload] = ['{"alg":"PS256"}', '{"sub":"jane"}'].map((text) =>
      Buffer.from(text).toString('base64url'),
    )
    const signing = { key: key.own, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
    let signature = Buffer.alloc(0)
    for (let count = 0; count < 20_000 && signature[0] !== 0; count++) {
      signature = sign('sha256', Buffer.from(`${header}.${payload}`), signing)
    }
    const whole = parsed(`${header}.${payload}.${signature.toString('base64url')}`)
    assert.deepEqual([signature[0], isSignedBy(whole, 'PS256', key.shared)], [0, true])
    assert.equal(isSignedBy(withSignature(whole, signature.subarray(1)), 'PS256', key.shared), false)
  })

  for (const alg of SIGNATURE_ALGORITHMS) {
    it(`is verified with ${alg}, and only with the key that made it`, async () => {
      const { jws, key } = await signed(alg)
      assert.equal(isSignedBy(jws, alg, key), true)
      const others = [rsa, p256, p384, p521, ed25519, pairOf(generateKeyPairSync('rsa', { modulusLength: 2048 }))]
      const keys = [...others.flatMap((pair) => pair?.shared ?? []), createSecretKey(Buffer.alloc(64, 8))]
      for (const other of keys.filter((one) => !one.equals(key))) assert.equal(isSignedBy(jws, alg, other), false)
    })

    it(`is verified with ${alg} exactly if jose verifies it`, async () => {
      const { jws, key } = await signed(alg)
      const size = jws.signature.byteLength
      const change = fc.record({
        at: fc.nat(size - 1),
        bits: fc.nat(255),
        length: fc.oneof(fc.constant(size), fc.integer({ min: 1, max: size + 3 })),
      })
      await fc.assert(
        fc.asyncProperty(change, async ({ at, bits, length }) => {
          const bytes = Buffer.alloc(length)
          bytes.set(jws.signature.subarray(0, length))
          if (at < length) bytes[at] = (bytes[at] ?? 0) ^ bits
          const changed = withSignature(jws, bytes)
          const isUnchanged = Buffer.from(jws.signature).equals(bytes)
          assert.equal(isSignedBy(changed, alg, key), isUnchanged)
          assert.equal(await joseAccepts(changed.token, alg, key), isUnchanged)
        }),
        { numRuns: 40 },
      )
    })
  }

  it('is not verified with an algorithm other than the one that made it', async () => {
    for (const alg of SIGNATURE_ALGORITHMS) {
      const { jws, key } = await signed(alg)
      for (const other of SIGNATURE_ALGORITHMS) {
        const isSame = findJwsAlgorithm(alg) === findJwsAlgorithm(other)
        assert.equal(isSignedBy(jws, other, key), isSame, `${alg} with ${other}`)
      }
      for (const other of ['none', 'RSA-OAEP', '']) assert.equal(isSignedBy(jws, other, key), false)
    }
  })

  it('is not verified for another header or payload', async () => {
    const { jws, key } = await signed('RS256')
    const [header = '', payload = '', signature = ''] = jws.token.split('.')
    const otherHeader = Buffer.from('{"alg":"RS256","kid":"x"}').toString('base64url')
    const otherPayload = Buffer.from('{"sub":"john"}').toString('base64url')
    assert.equal(isSignedBy(parsed([otherHeader, payload, signature].join('.')), 'RS256', key), false)
    assert.equal(isSignedBy(parsed([header, otherPayload, signature].join('.')), 'RS256', key), false)
  })

  it('of ECDSA is not taken as DER, nor with zeros for R and S', async () => {
    const { jws, key } = await signed('ES256')
    const { own } = PAIRS.get('ES256') ?? rsa
    const der = sign('sha256', Buffer.from(jws.token.slice(0, jws.token.lastIndexOf('.'))), own)
    assert.equal(isSignedBy(withSignature(jws, der), 'ES256', key), false)
    assert.equal(isSignedBy(withSignature(jws, Buffer.alloc(64)), 'ES256', key), false)
  })

  it('of RSA-PSS must have a salt as long as its hash', async () => {
    const { jws, key } = await signed('PS256')
    const { own } = PAIRS.get('PS256') ?? rsa
    const message = Buffer.from(jws.token.slice(0, jws.token.lastIndexOf('.')))
    for (const saltLength of [0, 20, 32, 64]) {
      const signature = sign('sha256', message, { key: own, padding: 6, saltLength })
      assert.equal(isSignedBy(withSignature(jws, signature), 'PS256', key), saltLength === 32)
    }
  })

  it('is not verified with a private key, nor with a public key as the secret of an HMAC', async () => {
    const { jws } = await signed('RS256')
    assert.equal(isSignedBy(jws, 'RS256', rsa.own), false)
    const pem = createPublicKey(rsa.own).export({ type: 'spki', format: 'pem' })
    const forged = await new CompactSign(Buffer.from('{}')).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(pem))
    assert.equal(isSignedBy(parsed(forged), 'HS256', rsa.shared), false)
    assert.equal(isSignedBy(parsed(forged), 'RS256', rsa.shared), false)
  })
})

describe('a signature', () => {
  it('by a key of another curve verifies nothing, although OpenSSL would verify it', async () => {
    const { jws } = await signed('ES256')
    const content = Buffer.from(jws.token.slice(0, jws.token.lastIndexOf('.')))
    for (const pair of [p384, p521]) {
      assert.ok(pair)
      const signature = sign('sha256', content, { key: pair.own, dsaEncoding: 'ieee-p1363' })
      assert.ok(crypto.verify('sha256', content, { key: pair.shared, dsaEncoding: 'ieee-p1363' }, signature))
      assert.equal(isSignedBy(withSignature(jws, signature), 'ES256', pair.shared), false)
    }
  })

  it('is not trusted if OpenSSL throws', async () => {
    const { jws, key } = await signed('ES256')
    assert.equal(isSignedBy(jws, 'ES256', key), true)
    const { mock: verify } = mock.method(crypto, 'verify', () => {
      throw new Error('error:0A000086')
    })
    syncBuiltinESMExports()
    try {
      assert.equal(isSignedBy(jws, 'ES256', key), false)
      assert.equal(verify.callCount(), 1)
    } finally {
      verify.restore()
      syncBuiltinESMExports()
    }
  })
})
