import assert from 'node:assert/strict'
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { describe, it } from 'node:test'
import type { ErrorCode } from '../../lib/index.ts'
import type { PrivateJwk } from '../../lib/options/client-credentials.ts'
import type { AnyOptions } from '../support/app/app.ts'
import { createClientKeys, createSigningKeys, type KeySet, publicKeySet, signJws } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import {
  assertLoggedIn,
  assertRefused,
  createStand,
  logIn,
  type Outcome,
  type Row,
  type Stand,
  testRefusals,
} from '../support/hostile/hostile.ts'
import { encryptJwe } from '../support/strict-provider/jwe.ts'
import { firstRequest, type StrictProvider } from '../support/strict-provider/provider.ts'

/** Sets one change of the provider's good answer. */
type Change = (provider: StrictProvider) => void

/** Keys of a client: as the application gets them, and as the provider does. */
function createKeys(): { readonly own: readonly PrivateJwk[]; readonly published: KeySet } {
  const keys = createClientKeys()
  // What `node:crypto` exports has a type of its own.
  return { own: keys as readonly JsonWebKey[] as readonly PrivateJwk[], published: publicKeySet(keys) }
}

const { own: clientKeys, published: clientJwks } = createKeys()
const attacker = createSigningKeys()
const stranger = createKeys().published.keys

const ALG = 'RSA-OAEP-256'
const ENC = 'A256GCM'

/** The public key of a kind and use that the provider may encrypt to. */
function keyOf(keys: readonly JsonWebKey[], kty: string, use: string): KeyObject {
  const jwk = keys.find((key) => key.kty === kty && key['use'] === use)
  assert.ok(jwk)
  return createPublicKey({ key: jwk, format: 'jwk' })
}

/** What the provider would have sent, encrypted in another way. */
function reencrypted(text: string, changes: Partial<Parameters<typeof encryptJwe>[1]> = {}): string {
  return encryptJwe(text, { alg: ALG, enc: ENC, key: keyOf(clientJwks.keys, 'RSA', 'enc'), ...changes })
}

/** Changes a character in the middle of one part. */
function tampered(token: string, part: number): string {
  const parts = token.split('.')
  const value = parts[part] ?? ''
  const at = Math.floor(value.length / 2)
  parts[part] = `${value.slice(0, at)}${value[at] === 'A' ? 'B' : 'A'}${value.slice(at + 1)}`
  return parts.join('.')
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const payloadOf = (jws: string): string => jws.split('.')[1] ?? ''
const claimsOf = (jws: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(payloadOf(jws), 'base64url').toString())

/** What is registered, by names that the options and the provider share. */
type Registered = Partial<
  Record<
    `${'idToken' | 'userinfo' | 'authorization'}EncryptedResponse${'Alg' | 'Enc'}` | 'userinfoSignedResponseAlg',
    string
  >
>

/** One kind of token, how it is registered and where its changes are. */
interface Kind {
  readonly name: string
  readonly code: 'ID_TOKEN' | 'RESPONSE_JWT' | 'USERINFO_JWT'
  readonly client: (alg: string, enc: string) => Registered
  readonly options: Partial<AnyOptions>
  readonly calls: Readonly<Record<string, number>>
  readonly change: (edit: (jwe: string, jws: string) => string) => Change
  /** The change of what is only signed. */
  readonly signed: 'idToken' | 'responseJwt' | 'userinfoJwt'
}

const KINDS: readonly Kind[] = [
  {
    name: 'ID Token',
    code: 'ID_TOKEN',
    client: (alg, enc) => ({ idTokenEncryptedResponseAlg: alg, idTokenEncryptedResponseEnc: enc }),
    options: {},
    calls: { '/token': 1 },
    change: (edit) => (provider) => {
      provider.change.encryptedIdToken = edit
    },
    signed: 'idToken',
  },
  {
    name: 'authorization response',
    code: 'RESPONSE_JWT',
    client: (alg, enc) => ({ authorizationEncryptedResponseAlg: alg, authorizationEncryptedResponseEnc: enc }),
    options: { responseMode: 'query.jwt' },
    calls: {},
    change: (edit) => (provider) => {
      provider.change.encryptedResponseJwt = edit
    },
    signed: 'responseJwt',
  },
  {
    name: 'UserInfo',
    code: 'USERINFO_JWT',
    client: (alg, enc) => ({
      userinfoSignedResponseAlg: 'RS256',
      userinfoEncryptedResponseAlg: alg,
      userinfoEncryptedResponseEnc: enc,
    }),
    options: { userinfo: true },
    calls: { '/token': 1, '/userinfo': 1 },
    change: (edit) => (provider) => {
      provider.change.encryptedUserinfo = edit
    },
    signed: 'userinfoJwt',
  },
]

function standFor(kind: Kind, alg: string, enc: string): Stand {
  const registered = kind.client(alg, enc)
  return createStand({
    provider: { ...registered, clientJwks },
    app: { options: { ...kind.options, ...registered, clientKeys } },
  })
}

/** What is wrong, and the end of the code. */
const ROWS: readonly (readonly [name: string, edit: (jwe: string, jws: string) => string, code: string])[] = [
  ['only signed', (_jwe, jws) => jws, 'UNENCRYPTED'],
  ['neither', (_jwe, jws) => `${encode({ alg: 'none' })}.${payloadOf(jws)}.`, 'UNENCRYPTED'],
  ['with claims that nobody has signed', (_jwe, jws) => reencrypted(JSON.stringify(claimsOf(jws))), 'MALFORMED'],
  [
    'with an unsigned token inside',
    (_jwe, jws) => reencrypted(`${encode({ alg: 'none' })}.${payloadOf(jws)}.`),
    'MALFORMED',
  ],
  [
    'with a token inside that another has signed',
    (_jwe, jws) => reencrypted(signJws('RS256', attacker.rsa.privateKey, { alg: 'RS256' }, claimsOf(jws))),
    'SIGNATURE',
  ],
  ['encrypted twice', (jwe) => reencrypted(jwe), 'ENCRYPTED'],
  [
    'encrypted by RSA1_5',
    (_jwe, jws) => reencrypted(jws, { alg: 'RSA1_5', header: { alg: 'RSA1_5' } }),
    'ENCRYPTION_ALG',
  ],
  ['encrypted by another alg', (_jwe, jws) => reencrypted(jws, { alg: 'RSA-OAEP' }), 'ENCRYPTION_ALG'],
  [
    'encrypted to another of our keys',
    (_jwe, jws) => reencrypted(jws, { alg: 'ECDH-ES', key: keyOf(clientJwks.keys, 'EC', 'enc') }),
    'ENCRYPTION_ALG',
  ],
  [
    'encrypted by the client secret',
    (_jwe, jws) => reencrypted(jws, { alg: 'dir', key: Buffer.alloc(32, 7) }),
    'ENCRYPTION_ALG',
  ],
  ['encrypted with another enc', (_jwe, jws) => reencrypted(jws, { enc: 'A128GCM' }), 'ENCRYPTION_ALG'],
  [
    'said to be encrypted as registered, by RSA1_5',
    (_jwe, jws) => reencrypted(jws, { alg: 'RSA1_5', header: { alg: ALG } }),
    'DECRYPTION',
  ],
  ['encrypted to a stranger', (_jwe, jws) => reencrypted(jws, { key: keyOf(stranger, 'RSA', 'enc') }), 'DECRYPTION'],
  [
    'encrypted to the key that signs',
    (_jwe, jws) => reencrypted(jws, { key: keyOf(clientJwks.keys, 'RSA', 'sig') }),
    'DECRYPTION',
  ],
  ['with a tampered key', (jwe) => tampered(jwe, 1), 'DECRYPTION'],
  ['with a tampered iv', (jwe) => tampered(jwe, 2), 'DECRYPTION'],
  ['with a tampered ciphertext', (jwe) => tampered(jwe, 3), 'DECRYPTION'],
  ['with a tampered tag', (jwe) => tampered(jwe, 4), 'DECRYPTION'],
  ['that is compressed', (_jwe, jws) => reencrypted(jws, { header: { zip: 'DEF' } }), 'CRIT'],
  ['with crit', (_jwe, jws) => reencrypted(jws, { header: { crit: ['x'], x: 1 } }), 'CRIT'],
  ['that holds something else', (_jwe, jws) => reencrypted(jws, { header: { cty: 'json' } }), 'TYPE'],
  ['of five parts of rubbish', () => 'a.b.c.d.e', 'MALFORMED'],
]

for (const kind of KINDS) {
  describe(`an encrypted ${kind.name} is refused`, () => {
    const stand = standFor(kind, ALG, ENC)
    const rows = ROWS.map(
      ([name, edit, code]): Row<Change> => [name, kind.change(edit), `ERR_OIDC_${kind.code}_${code}` as ErrorCode],
    )

    async function logInWith(change: Change): Promise<Outcome> {
      change(stand.provider)
      return await logIn(stand)
    }

    it('unless it is valid', async () => {
      await assertLoggedIn(stand, await logIn(stand))
      assert.deepEqual(stand.provider.complaints, [])
    })

    it('unless it is valid in another form', async () => {
      await assertLoggedIn(stand, await logInWith(kind.change((_jwe, jws) => reencrypted(jws))))
    })

    testRefusals(rows, stand, logInWith, kind.calls)
  })

  describe(`an encrypted ${kind.name} that was not configured`, () => {
    const signed = kind.code === 'USERINFO_JWT' ? { userinfoSignedResponseAlg: 'RS256' } : {}
    const stand = createStand({
      provider: { ...signed, clientJwks },
      app: { options: { ...kind.options, ...signed, clientKeys } },
    })

    it('is refused, even if it is valid', async () => {
      stand.provider.change[kind.signed] = (jws) => reencrypted(jws)
      const code = `ERR_OIDC_${kind.code}_ENCRYPTED` as const
      await assertRefused(stand, await logIn(stand), { code, calls: kind.calls })
    })
  })
}

describe('an encrypted ID Token in the front channel', () => {
  const registered = { idTokenEncryptedResponseAlg: ALG, idTokenEncryptedResponseEnc: ENC }
  const stand = createStand({
    provider: { ...registered, clientJwks },
    app: { options: { ...registered, clientKeys, responseType: 'id_token' } },
  })

  it('logs in', async () => {
    await assertLoggedIn(stand, await logIn(stand))
    assert.deepEqual(stand.provider.complaints, [])
  })

  for (const [name, edit, code] of ROWS) {
    it(`is refused ${name}, with status 400`, async () => {
      stand.provider.change.encryptedFrontIdToken = edit
      const refusal = { code: `ERR_OIDC_ID_TOKEN_${code}` as ErrorCode, status: 400 }
      await assertRefused(stand, await logIn(stand), refusal)
    })
  }
})

describe('encryption', () => {
  const stage = createStage()
  const pairs: readonly (readonly [alg: string, enc: string])[] = [
    ['RSA-OAEP', 'A128CBC-HS256'],
    ['RSA-OAEP-384', 'A256GCM'],
    ['RSA-OAEP-512', 'A256CBC-HS512'],
    ['ECDH-ES', 'A128GCM'],
    ['ECDH-ES+A128KW', 'A192GCM'],
    ['ECDH-ES+A256KW', 'A192CBC-HS384'],
    ['dir', 'A128CBC-HS256'],
    ['dir', 'A256CBC-HS512'],
    ['A192KW', 'A128GCM'],
    ['A256GCMKW', 'A256GCM'],
  ]
  for (const [alg, enc] of pairs) {
    it(`works for every kind of token with ${alg} and ${enc}`, async () => {
      const registered: Registered = Object.assign({}, ...KINDS.map(({ client }) => client(alg, enc)))
      const provider = await stage.startOther({ ...registered, clientJwks })
      const options = { ...registered, clientKeys, responseMode: 'query.jwt', userinfo: true } as const
      const { app } = await stage.startLoggedIn(options, { provider })
      assert.deepEqual([provider.complaints, app.errors, await app.sessions()], [[], [], 1])
    })
  }

  it('has the default enc of the standard if none is registered', async () => {
    const registered = { idTokenEncryptedResponseAlg: ALG }
    const provider = await stage.startOther({ ...registered, clientJwks })
    const { app } = await stage.startLoggedIn({ ...registered, clientKeys }, { provider })
    assert.deepEqual([provider.complaints, app.errors], [[], []])
  })

  it('gives the signed ID Token to the application and to the logout', async () => {
    const registered = { idTokenEncryptedResponseAlg: ALG, idTokenEncryptedResponseEnc: ENC }
    const provider = await stage.startOther({ ...registered, clientJwks })
    const { app, browser } = await stage.startLoggedIn({ ...registered, clientKeys }, { provider })
    const { token } = (await browser.fetch('/id-token')).json()
    assert.equal(String(token).split('.').length, 3)
    await browser.post(`${app.baseUrl}/logout`)
    assert.equal(firstRequest(provider, '/logout')?.query.get('id_token_hint'), token)
    assert.deepEqual(provider.complaints, [])
  })

  it('accepts the old key during a key rotation', async () => {
    const [old, fresh] = [createKeys(), createKeys()]
    const registered = { idTokenEncryptedResponseAlg: ALG, idTokenEncryptedResponseEnc: ENC }
    const provider = await stage.startOther({ ...registered, clientJwks: old.published })
    const both = await stage.startLoggedIn({ ...registered, clientKeys: [...fresh.own, ...old.own] }, { provider })
    assert.deepEqual(both.app.errors, [])
    const app = await stage.start({ ...registered, clientKeys: fresh.own }, { provider })
    await app.browser().open('/profile')
    assert.deepEqual(
      app.errors.map(({ code }) => code),
      ['ERR_OIDC_ID_TOKEN_DECRYPTION'],
    )
  })
})
