import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { CompactEncrypt } from 'jose'
import { createClientKeys } from '../../lib/jose/client-keys.ts'
import { decodeBase64url, isJwe, parseCompactJws, type TokenKind, tokenErrors } from '../../lib/jose/compact-token.ts'
import { decryptToken } from '../../lib/jose/jwe.ts'
import { verifyJws } from '../../lib/jose/jws.ts'
import { createKeyStore } from '../../lib/provider/keys.ts'
import { anyText, damaged, foreignJson, nearly, repeated, textOf } from '../support/properties/foreign-text.ts'
import { holds, isDeeplyFrozen, outcomeOf, stopped } from '../support/properties/outcome.ts'
import { CLIENT_SECRET, signedWithSecret } from '../support/properties/scripted-provider.ts'

const KINDS: readonly TokenKind[] = ['ID_TOKEN', 'RESPONSE_JWT', 'USERINFO_JWT', 'LOGOUT_TOKEN', 'REVOCATION_JWT']
const TOKEN = signedWithSecret({ sub: 'jane' })
const NO_KEYS = createKeyStore(
  { getJson: async () => ({ json: { keys: [] }, headers: new Headers() }) },
  'https://op.example.com/keys',
)
const EXPECTED = { alg: 'HS256', clientSecret: CLIENT_SECRET }

/** More than the 64 KiB that a token may have. */
const LARGEST = 66_000

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Anything that may stand where a token is expected. */
const anyToken: Arbitrary<unknown> = fc.oneof(
  damaged(TOKEN),
  textOf('.', encoded({ alg: 'HS256' }), encoded({ alg: 'none' }), encoded([]), 'AA', '=', '-'),
  anyText,
  fc.anything(),
)

describe('a compact JWS', () => {
  it('has three parts that are written back as they came, or is none', () => {
    fc.assert(
      fc.property(fc.oneof(damaged(TOKEN), textOf('.', 'e30', 'AA', 'AB', '=', '-', '_', '+')), (token) => {
        const jws = parseCompactJws(token)
        if (jws === undefined) return
        const [header = '', payload, signature = ''] = token.split('.')
        assert.equal(jws.token, token)
        assert.deepEqual(jws.header, JSON.parse(Buffer.from(header, 'base64url').toString()))
        assert.equal(Buffer.from(jws.payload).toString('base64url'), payload)
        assert.equal(decodeBase64url(signature)?.toString('base64url'), signature)
      }),
      { numRuns: 1000 },
    )
  })

  it('is read for any header and payload', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), foreignJson, { maxKeys: 3 }), foreignJson, (header, payload) => {
        const jws = parseCompactJws(signedWithSecret(payload, header))
        if (jws === undefined) return
        assert.deepEqual(jws.header, JSON.parse(JSON.stringify(header)))
        assert.equal(Buffer.from(jws.payload).toString(), JSON.stringify(payload))
      }),
    )
  })

  it('of any length and any number of parts is looked at once', () => {
    fc.assert(
      fc.property(repeated(1_000_000, '.', 'e30.', 'AAAA', '=', '\0'), (token) => {
        stopped(() => [parseCompactJws(token), isJwe(token), decodeBase64url(token)])
      }),
      { numRuns: 20 },
    )
  })
})

describe('a signed token', () => {
  it('is verified, or is refused with a code of its kind', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...KINDS), anyToken, async (kind, token) => {
        const codes = kind === 'REVOCATION_JWT' ? /^ERR_OIDC_REVOCATION_JWT$/ : new RegExp(`^ERR_OIDC_${kind}_[A-Z_]+$`)
        const { value } = await outcomeOf(() => verifyJws(kind, token, NO_KEYS, EXPECTED), codes)
        if (value !== undefined) assert.equal(value.token, token)
      }),
      { numRuns: 300 },
    )
  })

  it('is accepted only with the very signature that its header and payload have', async () => {
    const header = nearly({ alg: 'HS256', typ: 'JWT', kid: 'one' }, 'crit', 'b64', 'jku', 'jwk')
    await fc.assert(
      fc.asyncProperty(header, nearly({ sub: 'jane' }), fc.boolean(), async (head, claims, isRight) => {
        const [protectedHeader, payload, signature = ''] = signedWithSecret(claims, head).split('.')
        const other = createHmac('sha256', 'another secret').update(`${protectedHeader}.${payload}`).digest('base64url')
        const token = [protectedHeader, payload, isRight ? signature : other].join('.')
        const { value, error } = await outcomeOf(() => verifyJws('ID_TOKEN', token, NO_KEYS, EXPECTED))
        if (value === undefined) return holds(error)
        holds(isRight)
        assert.equal(head['alg'], 'HS256')
        holds(!('crit' in head) && !('b64' in head))
        assert.deepEqual(value.claims, JSON.parse(JSON.stringify(claims)))
        holds(isDeeplyFrozen(value.claims))
      }),
      { numRuns: 300 },
    )
  })

  it('is refused for its length before anything is decoded', async () => {
    await fc.assert(
      fc.asyncProperty(repeated(LARGEST, 'A', '.', 'e30.'), async (token) => {
        const { error } = await outcomeOf(() => verifyJws('ID_TOKEN', token, NO_KEYS, EXPECTED))
        assert.equal(error?.code, 'ERR_OIDC_ID_TOKEN_TOO_LARGE')
      }),
      { numRuns: 20 },
    )
  })
})

describe('an encrypted token', () => {
  const fault = tokenErrors('ID_TOKEN')
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const keys = createClientKeys([{ ...privateKey.export({ format: 'jwk' }), kid: 'enc', use: 'enc' }])
  const expected = { alg: 'ECDH-ES', enc: 'A128GCM', keys }
  const bySecret = { alg: 'dir', enc: 'A256GCM', keys: createClientKeys([]) }

  it('opens to what was put in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), async (text) => {
        const jwe = await new CompactEncrypt(Buffer.from(text))
          .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A128GCM', kid: 'enc' })
          .encrypt(publicKey)
        assert.equal(await decryptToken(jwe, expected, undefined, fault), text)
      }),
      { numRuns: 20 },
    )
  })

  it('of any form is opened, or is refused with a code of its kind', async () => {
    const good = await new CompactEncrypt(Buffer.from(TOKEN))
      .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A128GCM', kid: 'enc' })
      .encrypt(publicKey)
    const [, ...rest] = good.split('.')
    const epk = publicKey.export({ format: 'jwk' })
    const header = nearly({ alg: 'ECDH-ES', enc: 'A128GCM', kid: 'enc', epk: { ...epk, kty: 'EC' }, cty: 'JWT' })
    const token = fc.oneof(
      damaged(good),
      header.map((head) => [encoded(head), ...rest].join('.')),
      nearly({ alg: 'dir', enc: 'A256GCM' }).map((head) => `${encoded(head)}..AAAAAAAAAAAAAAAA.AAAA.AAAA`),
      anyToken,
    )
    await fc.assert(
      fc.asyncProperty(token, fc.constantFrom(expected, bySecret), async (jwe, registered) => {
        const run = () => decryptToken(jwe, registered, CLIENT_SECRET, fault)
        const { value } = await outcomeOf(run, /^ERR_OIDC_ID_TOKEN_/)
        if (value !== undefined) assert.equal(value, TOKEN)
      }),
      { numRuns: 300 },
    )
  })
})
