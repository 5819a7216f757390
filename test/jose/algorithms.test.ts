import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, type JsonWebKey, type KeyPairKeyObjectResult, randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { CompactSign, calculateJwkThumbprint, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { ConfigError } from '../../lib/errors.ts'
import {
  adviseOnNode,
  CONTENT_ENCRYPTIONS,
  ENCRYPTION_ALGORITHMS,
  findJweAlgorithm,
  findJwsAlgorithm,
  isSameAlgorithm,
  SIGNATURE_ALGORITHMS,
  usesClientSecret,
} from '../../lib/jose/algorithms.ts'
import { createClientKeys } from '../../lib/jose/client-keys.ts'
import { findKeyKind, PRIVATE_MEMBERS } from '../../lib/jose/jwk.ts'
import { verifyJws } from '../../lib/jose/jws.ts'
import { clientKeysRule } from '../../lib/options/client-keys-rule.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { verifyIdToken } from '../../lib/protocol/id-token.ts'
import { createKeyStore } from '../../lib/provider/keys.ts'
import { findMetadataProblems } from '../../lib/registration/client-metadata.ts'

const ML_DSA = ['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87']
const WITHOUT_ML_DSA = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519 HS256 HS384 HS512'.split(
  ' ',
)

/** The types of Node 20 do not know ML-DSA. */
const generateMlDsa = generateKeyPairSync as unknown as (type: string) => KeyPairKeyObjectResult
const hasMlDsa = canGenerate('ml-dsa-44')

function canGenerate(type: string): boolean {
  try {
    generateMlDsa(type)
    return true
  } catch {
    return false
  }
}

function faultsOf(options: object): readonly string[] {
  const valid = { issuer: 'https://op.example.com', clientId: 'client', baseUrl: 'https://app.example.com' }
  try {
    parseOptions({ ...valid, secret: 's'.repeat(32), ...options })
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.faults
  }
}

describe('the table of algorithms', () => {
  it('has the signature algorithms of every Node, and ML-DSA exactly if this Node has it', () => {
    const common = SIGNATURE_ALGORITHMS.filter((alg) => !ML_DSA.includes(alg))
    assert.deepEqual(common, WITHOUT_ML_DSA)
    assert.deepEqual(
      SIGNATURE_ALGORITHMS.filter((alg) => ML_DSA.includes(alg)),
      hasMlDsa ? ML_DSA : [],
    )
  })

  it('has no algorithm that is a known weakness', () => {
    for (const alg of ['none', 'RSA1_5', 'PBES2-HS256+A128KW', 'ES256K', '__proto__', 'constructor', '']) {
      assert.deepEqual(
        [findJwsAlgorithm(alg), findJweAlgorithm(alg), usesClientSecret(alg)],
        [undefined, undefined, false],
      )
    }
  })

  it('says which algorithms use the client secret', () => {
    const bySecret = [...SIGNATURE_ALGORITHMS, ...ENCRYPTION_ALGORITHMS].filter(usesClientSecret)
    assert.deepEqual(bySecret, [
      ...['HS256', 'HS384', 'HS512', 'dir'],
      ...['A128KW', 'A192KW', 'A256KW', 'A128GCMKW', 'A192GCMKW', 'A256GCMKW'],
    ])
    assert.equal(usesClientSecret(undefined), false)
  })

  it('gives each algorithm either a client secret or kinds of key pairs', () => {
    for (const alg of SIGNATURE_ALGORITHMS) assertOneKey(findJwsAlgorithm(alg), 'sig')
    for (const alg of ENCRYPTION_ALGORITHMS) assertOneKey(findJweAlgorithm(alg), 'enc')
    assert.equal(CONTENT_ENCRYPTIONS.length, 6)
  })

  function assertOneKey(row: ReturnType<typeof findJwsAlgorithm>, use: 'sig' | 'enc'): void {
    assert.deepEqual([row?.use, row?.usesClientSecret], [use, row?.keyKinds.length === 0])
  }

  it('does not mix up signatures and encryption', () => {
    for (const alg of SIGNATURE_ALGORITHMS) assert.equal(findJweAlgorithm(alg), undefined)
    for (const alg of ENCRYPTION_ALGORITHMS) assert.equal(findJwsAlgorithm(alg), undefined)
  })

  it('knows one algorithm with two names', () => {
    const pairs = SIGNATURE_ALGORITHMS.flatMap((alg) => SIGNATURE_ALGORITHMS.map((other) => [alg, other] as const))
    const same = pairs.filter(([alg, other]) => alg !== other && isSameAlgorithm(alg, other))
    assert.deepEqual(same, [
      ['EdDSA', 'Ed25519'],
      ['Ed25519', 'EdDSA'],
    ])
    assert.equal(isSameAlgorithm('none', 'none'), false)
  })

  it('lists every member of a key that is private or secret', () => {
    assert.deepEqual([...PRIVATE_MEMBERS].sort(), ['d', 'dp', 'dq', 'k', 'oth', 'p', 'priv', 'q', 'qi'])
  })
})

describe('ML-DSA', () => {
  it('has an advice only on a Node that lacks it', () => {
    const advice = `ML-DSA-65 needs Node 24.7 or later, and this is Node ${process.versions.node}.`
    assert.equal(adviseOnNode('ML-DSA-65'), hasMlDsa ? undefined : advice)
    for (const alg of ['RS256', 'ML-DSA-99', '', undefined, null, 7]) assert.equal(adviseOnNode(alg), undefined)
  })

  it('can be an option only on a Node that has it', () => {
    const options = ['idTokenSignedResponseAlg', 'requestObjectSigningAlg']
    for (const option of options) {
      const faults = faultsOf({ [option]: 'ML-DSA-44' })
      const sentence = `${option} is not available: ${adviseOnNode('ML-DSA-44')}`
      if (hasMlDsa) assert.ok(!faults.some((fault) => fault.includes('needs Node')), String(faults))
      else assert.deepEqual(faults, [sentence])
    }
  })

  it('is not for DPoP keys, which would be too large for a header', () => {
    const [fault = ''] = faultsOf({ dpopBoundAccessTokens: true, dpopSigningAlg: 'ML-DSA-44' })
    assert.match(fault, /^dpopSigningAlg must be one of 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'\. /)
  })

  it('never lets a private key into the metadata of a client', () => {
    const jwk = { kty: 'AKP', alg: 'ML-DSA-44', pub: 'AAAA', priv: 'AAAA' }
    assert.equal(findMetadataProblems({ redirect_uris: [], jwks: { keys: [jwk] } }).length, 1)
  })

  it('has keys that a Node without it does not accept', () => {
    const priv = randomBytes(32).toString('base64url')
    const faults = clientKeysRule([{ kty: 'AKP', alg: 'ML-DSA-44', pub: 'AAAA', priv }], 'clientKeys')
    const sentence = `clientKeys[0].alg is not available: ${adviseOnNode('ML-DSA-44')}`
    if (!hasMlDsa) assert.deepEqual(faults, [sentence])
    else assert.match(String(faults), /must be complete/)
  })
})

if (hasMlDsa) for (const alg of ML_DSA) describe(alg, () => describeMlDsa(alg))

function describeMlDsa(alg: string): void {
  const { privateKey, publicKey } = generateMlDsa(alg.toLowerCase())
  const privateJwk = privateKey.export({ format: 'jwk' })
  const publicJwk = publicKey.export({ format: 'jwk' })
  const now = Math.floor(Date.now() / 1000)
  const expected = { issuer: 'https://op.example.com', clientId: 'client', clockTolerance: 60, nonce: 'n' }
  const claims = { iss: 'https://op.example.com', sub: 'jane', aud: 'client', nonce: 'n', iat: now, exp: now + 60 }

  const storeOf = (...keys: readonly JsonWebKey[]) => {
    const json = JSON.parse(JSON.stringify({ keys }))
    return createKeyStore({ getJson: async () => ({ json, headers: new Headers() }) }, 'https://op.example.com/keys')
  }
  const verify = async (payload: object, keys = storeOf({ ...publicJwk, kid: 'one' }), accessToken = 'at') => {
    const token = await new CompactSign(Buffer.from(JSON.stringify(payload)))
      .setProtectedHeader({ alg, kid: 'one' })
      .sign(privateKey)
    return await verifyIdToken((jws) => verifyJws('ID_TOKEN', jws, keys, { alg }), token, { ...expected, accessToken })
  }

  it('verifies an ID Token, and at_hash with half of 512 bits of SHAKE256', async () => {
    const hash = createHash('shake256', { outputLength: 64 }).update('at').digest()
    const good = { ...claims, at_hash: hash.subarray(0, 32).toString('base64url') }
    assert.equal((await verify(good)).claims.sub, 'jane')
    await assert.rejects(verify({ ...claims, at_hash: hash.toString('base64url') }), {
      code: 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH',
    })
  })

  it('refuses the signature of another key, and keys of other kinds', async () => {
    const other = generateMlDsa(alg.toLowerCase()).publicKey.export({ format: 'jwk' })
    await assert.rejects(verify(claims, storeOf({ ...other, kid: 'one' })), { code: 'ERR_OIDC_ID_TOKEN_SIGNATURE' })
    const [otherAlg = ''] = ML_DSA.filter((name) => name !== alg)
    const sets: readonly JsonWebKey[] = [
      { ...publicJwk, alg: otherAlg, kid: 'one' },
      { ...publicJwk, alg: undefined, kid: 'one' } as unknown as JsonWebKey,
      { ...publicJwk, use: 'enc', kid: 'one' },
      { ...privateJwk, kid: 'one' },
      generateMlDsa(otherAlg.toLowerCase()).publicKey.export({ format: 'jwk' }),
      generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }),
    ]
    for (const jwk of sets) {
      await assert.rejects(
        verify(claims, storeOf(jwk)),
        { code: 'ERR_OIDC_ID_TOKEN_KEY' },
        JSON.stringify(jwk).slice(0, 60),
      )
    }
  })

  it('takes a private key of the client, and publishes no private member of it', async () => {
    assert.deepEqual(clientKeysRule([privateJwk], 'clientKeys'), [])
    const keys = createClientKeys([privateJwk])
    const [published = {}] = keys.publicJwks.keys
    assert.deepEqual(Object.keys(published).sort(), ['alg', 'kid', 'kty', 'pub'])
    assert.equal(published['kid'], await calculateJwkThumbprint({ ...publicJwk } as { kty: string }))
    const found = keys.signingKey(alg)
    assert.ok(found)
    const token = await new SignJWT({}).setProtectedHeader({ alg, kid: found.kid }).sign(found.key)
    assert.equal(decodeProtectedHeader(token).alg, alg)
    await jwtVerify(token, publicKey)
    assert.deepEqual(keys.decryptionKeys({ alg: 'RSA-OAEP' }), [])
  })

  const rules: readonly (readonly [name: string, change: object, fault: RegExp])[] = [
    ['no private part', { priv: undefined }, /must be a private key.*priv/],
    ['the public part of another key', { pub: 'AAAA' }, /must be complete/],
    ['the private part of another key', { priv: randomBytes(32).toString('base64url') }, /must be complete/],
    ['no alg', { alg: undefined }, /must be an RSA key/],
    ['another alg', { alg: 'RS256' }, /must be an RSA key/],
    ['a use for encryption', { use: 'enc' }, /must have an alg, use and key_ops that fit each other/],
  ]
  for (const [name, change, fault] of rules) {
    it(`refuses a client key with ${name}`, () => {
      assert.match(String(clientKeysRule([{ ...privateJwk, ...change }], 'clientKeys')), fault)
    })
  }

  it('is the kind of a key by its alg', () => {
    assert.deepEqual(findKeyKind(publicJwk)?.alg, alg)
  })
}
