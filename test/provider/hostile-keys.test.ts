import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { before, beforeEach, describe, it, mock } from 'node:test'
import { codesOf } from '../support/app/app.ts'
import { createSigningKeys, type SigningKey, type SigningKeys } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import {
  assertLoggedIn,
  assertRefused,
  EVIL_HTML,
  logIn,
  type Refusal,
  type Row,
  type Stand,
  startStandAt,
} from '../support/hostile/hostile.ts'
import { CONNECTION_FAULTS, DOCUMENT_FAULTS } from '../support/hostile/transport-faults.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'

/** Makes another key set of the good keys. A string is sent as it is. */
type Change = (keys: SigningKeys, attacker: SigningKeys) => unknown

const KEY = 'ERR_OIDC_ID_TOKEN_KEY'
const INVALID = 'ERR_OIDC_KEYS_INVALID'

/** The key that signs, changed, and no other. */
const only =
  (edit: (jwk: SigningKey['jwk'], keys: SigningKeys) => unknown): Change =>
  (keys) => ({ keys: [edit(keys.rsa.jwk, keys)] })
const withMembers = (members: JsonObject): Change => only((jwk) => ({ ...jwk, ...members }))
const of =
  (keys: unknown): Change =>
  () => ({ keys })

const SMALL = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })

/** As many keys of others in front. */
const behind =
  (count: number): Change =>
  ({ rsa, p256 }) => ({
    keys: [...Array.from({ length: count }, (_, index) => ({ ...p256.jwk, kid: `k${index}` })), rsa.jwk],
  })

const SETS: readonly Row<Change>[] = [
  ['no keys member', () => ({}), INVALID],
  ['keys that are null', of(null), INVALID],
  ['keys that are an object', of({ 0: {} }), INVALID],
  ['keys that are text', of(EVIL_HTML), INVALID],
  ['keys that are a number', of(1), INVALID],
  ['keys that hide in __proto__', ({ rsa }) => `{"__proto__":{"keys":[${JSON.stringify(rsa.jwk)}]}}`, INVALID],
  ['a key in the place of the set', ({ rsa }) => rsa.jwk, INVALID],
  ['no key', of([]), KEY],
  ['keys that are none', of([null, 5, true, EVIL_HTML, [], {}, [[]], { kty: null }]), KEY],
  ['keys of other types', ({ p256, ed25519, secp256k1 }) => ({ keys: [p256.jwk, ed25519.jwk, secp256k1.jwk] }), KEY],
  ['a key for encryption', withMembers({ use: 'enc' }), KEY],
  ['a use of HTML', withMembers({ use: EVIL_HTML }), KEY],
  ['key_ops for encryption', withMembers({ key_ops: ['encrypt', 'wrapKey'] }), KEY],
  ['key_ops for signing alone', withMembers({ key_ops: ['sign'] }), KEY],
  ['key_ops that are text', withMembers({ key_ops: 'verify' }), KEY],
  ['the alg RS512', withMembers({ alg: 'RS512' }), KEY],
  ['the alg PS256', withMembers({ alg: 'PS256' }), KEY],
  ['the alg RSA-OAEP', withMembers({ alg: 'RSA-OAEP' }), KEY],
  ['the alg none', withMembers({ alg: 'none' }), KEY],
  ['an alg of HTML', withMembers({ alg: EVIL_HTML }), KEY],
  ['another kid', withMembers({ kid: 'another' }), KEY],
  ['a kid of HTML', withMembers({ kid: EVIL_HTML }), KEY],
  ['no kid', withMembers({ kid: undefined }), KEY],
  ['a kid in a list', only((jwk) => ({ ...jwk, kid: [jwk.kid] })), KEY],
  ['a kid that is a number', withMembers({ kid: 5 }), KEY],
  ['the type in small letters', withMembers({ kty: 'rsa' }), KEY],
  ['the type of another', withMembers({ kty: 'EC' }), KEY],
  ['no type', withMembers({ kty: undefined }), KEY],
  ['the type __proto__', withMembers({ kty: '__proto__' }), KEY],
  ['a secret under the kid', only(({ kid }) => ({ kty: 'oct', kid, use: 'sig', alg: 'RS256', k: 'c2VjcmV0' })), KEY],
  ['a private key', only((jwk, { rsa }) => ({ ...rsa.privateKey.export({ format: 'jwk' }), kid: jwk.kid })), KEY],
  ['a member of a private key', withMembers({ d: 'AQAB' }), KEY],
  ['a member of a private key that is null', withMembers({ d: null }), KEY],
  ['1024 bits', only(({ kid }) => ({ ...SMALL, kid })), KEY],
  ['the exponent 1', withMembers({ e: 'AQ' }), KEY],
  ['an even exponent', withMembers({ e: 'BA' }), KEY],
  ['the exponent 0', withMembers({ e: 'AA' }), KEY],
  ['a huge exponent', only((jwk) => ({ ...jwk, e: jwk.n })), KEY],
  ['no modulus', withMembers({ n: undefined }), KEY],
  ['an empty modulus', withMembers({ n: '' }), KEY],
  ['a modulus that is no text', withMembers({ n: [5] }), KEY],
  ['a modulus of HTML', withMembers({ n: EVIL_HTML }), KEY],
  ['a modulus of 100 kB', withMembers({ n: 'x'.repeat(100_000) }), KEY],
  ['a certificate alone', only(({ kid }) => ({ kty: 'RSA', kid, x5c: ['MIIB'], x5u: 'https://evil.example' })), KEY],
  ['1000 keys in front of it', behind(1000), KEY],
  [
    'the key of another under the kid',
    ({ rsa }, attacker) => ({ keys: [{ ...attacker.rsa.jwk, kid: rsa.kid }] }),
    'ERR_OIDC_ID_TOKEN_SIGNATURE',
  ],
  [
    'twenty keys of others under the kid in front of it',
    ({ rsa }, attacker) => ({
      keys: [...Array.from({ length: 20 }, () => ({ ...attacker.rsa.jwk, kid: rsa.kid })), rsa.jwk],
    }),
    'ERR_OIDC_ID_TOKEN_SIGNATURE',
  ],
]

const GOOD: readonly (readonly [name: string, change: Change])[] = [
  ['N-19: with members that are null', withMembers({ use: null, alg: null, key_ops: null, x5c: null })],
  ['N-19: with members that are empty', withMembers({ use: '', alg: '' })],
  ['with the alg of the token', withMembers({ alg: 'RS256' })],
  ['with key_ops for verifying', withMembers({ key_ops: ['verify'] })],
  ['behind 50 others', behind(50)],
  ['beside things that are none', ({ rsa }) => ({ keys: [null, {}, { kty: 'oct', k: 'x' }, [rsa.jwk], rsa.jwk] })],
  [
    'beside the key of another under its kid',
    ({ rsa }, attacker) => ({ keys: [{ ...attacker.rsa.jwk, kid: rsa.kid }, rsa.jwk] }),
  ],
  ['beside one of another type under its kid', ({ rsa, p256 }) => ({ keys: [{ ...p256.jwk, kid: rsa.kid }, rsa.jwk] })],
  ['with members of HTML', withMembers({ x5t: EVIL_HTML, [EVIL_HTML]: EVIL_HTML, x5u: 'https://evil.example' })],
]

const CALLS: Refusal['calls'] = { '/token': 1 }

describe('the keys of the provider', () => {
  const stage = createStage()
  let attacker: SigningKeys
  let stand: Stand
  before(async () => {
    attacker = createSigningKeys()
  })
  beforeEach(async () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() })
    stand = stage.stopLater(await startStandAt(stage.provider, { options: { userinfo: true } }))
  })

  const publish = (change: Change): void => {
    stage.provider.change.jwks = () => change(stage.provider.keys, attacker)
  }

  async function assertGood(): Promise<void> {
    await stand.reset()
    await assertLoggedIn(stand, await logIn(stand))
  }

  for (const [name, change] of GOOD) {
    it(`verify a token ${name}`, async () => {
      publish(change)
      await assertLoggedIn(stand, await logIn(stand))
      assert.deepEqual(stage.provider.complaints, [])
    })
  }

  for (const [name, change, code, status] of SETS) {
    it(`verify nothing with ${name}, until they are valid`, async () => {
      publish(change)
      await assertRefused(stand, await logIn(stand), { code, status, calls: CALLS })
      assert.deepEqual(stage.provider.complaints, [])
      await assertGood()
    })
  }

  for (const [name, handler, code, status] of DOCUMENT_FAULTS) {
    it(`verify nothing if there is ${name}, until they are valid`, async () => {
      stage.provider.change.raw['/jwks'] = handler
      await assertRefused(stand, await logIn(stand), { code, status, calls: CALLS })
      assert.deepEqual(stage.provider.complaints, [])
      assert.ok(stage.provider.calls['/jwks'] <= 2)
      await assertGood()
    })
  }

  for (const [name, handler] of CONNECTION_FAULTS) {
    it(`are still used while there is ${name} instead of new ones`, async () => {
      await assertGood()
      // No timer fires: a renewal in the background would hide that a login survives its own attempt.
      mock.timers.setTime(Date.now() + 7200 * 1000)
      await stand.reset()
      stage.provider.change.raw['/jwks'] = handler
      await assertLoggedIn(stand, await logIn(stand))
      // A GET on a connection that has just been closed is sent once more; what is down is not asked at each login.
      const calls = stage.provider.calls['/jwks']
      assert.ok(calls === 1 || calls === 2)
      assert.equal((await logIn(stand)).page.status, 200)
      assert.equal(stage.provider.calls['/jwks'], calls)
    })
  }

  it('are used for at most a week if there are no new ones', async () => {
    await assertGood()
    mock.timers.tick(8 * 86_400 * 1000)
    await stand.reset()
    stage.provider.change.raw['/jwks'] = (_req, res) => void res.destroy()
    const refusal = { code: 'ERR_OIDC_PROVIDER_UNREACHABLE', calls: CALLS } as const
    await assertRefused(stand, await logIn(stand), refusal)
  })

  it('are kept if the new set is not a key set', async () => {
    await assertGood()
    mock.timers.tick(7200 * 1000)
    await stand.reset()
    publish(of(EVIL_HTML))
    await assertLoggedIn(stand, await logIn(stand))
  })

  it('verify no signature of a new key while they cannot be fetched', async () => {
    await assertGood()
    await stand.reset()
    stage.provider.change.raw['/jwks'] = (_req, res) => void res.writeHead(500).end()
    stage.provider.change.idTokenHeader = (header) => ({ ...header, kid: 'new' })
    await assertRefused(stand, await logIn(stand), { code: KEY, calls: { ...CALLS, '/jwks': 1 } })
  })

  it('are fetched at most six times in a flood of unknown kids', async () => {
    stage.provider.change.idTokenHeader = (header) => ({ ...header, kid: `made-up-${Math.random()}` })
    for (let count = 0; count < 15; count++) await logIn(stand)
    assert.deepEqual(new Set(codesOf(stand.app)), new Set([KEY]))
    assert.deepEqual([stage.provider.calls['/token'], stage.provider.calls['/jwks']], [15, 6])
    await assertGood()
  })

  it('are fetched at most six times in a flood of bad signatures', async () => {
    stage.provider.change.idToken = (jwt) => `${jwt.slice(0, jwt.lastIndexOf('.'))}.${'A'.repeat(342)}`
    for (let count = 0; count < 15; count++) await logIn(stand)
    assert.deepEqual(new Set(codesOf(stand.app)), new Set(['ERR_OIDC_ID_TOKEN_SIGNATURE']))
    assert.deepEqual([stage.provider.calls['/token'], stage.provider.calls['/jwks']], [15, 6])
    await assertGood()
  })

  it('verify nothing after they were removed from the set', async () => {
    await assertGood()
    const old = stage.provider.keys.rsa
    await stage.provider.rotateKeys()
    await stand.reset()
    await assertLoggedIn(stand, await logIn(stand))
    const rotated = stage.provider.keys.rsa
    Object.assign(stage.provider.keys, { rsa: { ...old, jwk: rotated.jwk } })
    await stand.reset()
    await assertRefused(stand, await logIn(stand), { code: KEY, calls: CALLS })
    Object.assign(stage.provider.keys, { rsa: rotated })
  })
})
