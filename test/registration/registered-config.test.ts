import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ClientChanges, type ClientStore, clientKey, type RegisteredClient } from '../../lib/registration.ts'
import { type AnyOptions, codesOf } from '../support/app/app.ts'
import { createClientKeys } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import {
  assertHarmless,
  assertLoggedIn,
  assertNobodyLoggedIn,
  logIn,
  type Stand,
  startStandAt,
} from '../support/hostile/hostile.ts'
import { createCertificate } from '../support/servers/tls-certificate.ts'
import type { JsonObject } from '../support/strict-provider/context.ts'
import type { StrictProviderOptions } from '../support/strict-provider/provider.ts'

const keys = (await createClientKeys()) as NonNullable<AnyOptions['clientKeys']>
const stage = createStage({ provider: { registration: 'open' } })

interface MemoryStore extends ClientStore {
  readonly kept: Map<string, RegisteredClient>
}

function createMemory(): MemoryStore {
  const kept = new Map<string, RegisteredClient>()
  return {
    kept,
    read: async (key) => kept.get(key),
    write: async (key, client) => void kept.set(key, client),
    remove: async (key) => void kept.delete(key),
  }
}

/** An app that registers itself, and whose provider answers that with these members. */
async function startRegistering(
  options: Partial<AnyOptions>,
  changes: JsonObject = {},
  store: ClientStore = createMemory(),
): Promise<Stand> {
  stage.provider.change.registrationResponse = (json) => {
    const members = Object.entries({ ...json, ...changes }).filter(([, value]) => value !== undefined)
    return Object.fromEntries(members)
  }
  return startAt(options, store)
}

async function startAt(options: Partial<AnyOptions>, store: ClientStore): Promise<Stand> {
  // Whose id and secret are not known yet.
  const unknown = { clientId: undefined, clientSecret: undefined } as unknown as Partial<AnyOptions>
  const all = { ...unknown, secret: 's'.repeat(32), registration: { store }, userinfo: true, ...options }
  return stage.stopLater(await startStandAt(stage.provider, { options: all, errorHandler: 'json' }))
}

/** Nobody is sent to the provider as another client than the application can be. */
async function assertMismatch(stand: Stand, says: RegExp): Promise<void> {
  const { browser, page } = await logIn(stand)
  assert.deepEqual(
    [page.status, codesOf(stand.app)],
    [500, ['ERR_OIDC_REGISTRATION_MISMATCH']],
    String(stand.app.errors),
  )
  const { calls } = stand.provider
  assert.deepEqual([calls['/authorize'], calls['/par'], calls['/token']], [0, 0, 0])
  assert.match(String(stand.app.errors[0]?.message), says)
  assert.doesNotMatch(String(stand.app.errors[0]?.message), /planted/)
  assertHarmless(stand, page)
  await assertNobodyLoggedIn(stand.app, browser)
}

// [what is registered, options, what the provider makes of it]
const GOOD: readonly (readonly [name: string, options: Partial<AnyOptions>, changes?: JsonObject])[] = [
  ['by the usual method', {}],
  ['by client_secret_post', { tokenEndpointAuthMethod: 'client_secret_post' }],
  ['by client_secret_jwt', { tokenEndpointAuthMethod: 'client_secret_jwt' }],
  ['by private_key_jwt', { tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: keys }],
  [
    'by private_key_jwt with PS256',
    { tokenEndpointAuthMethod: 'private_key_jwt', tokenEndpointAuthSigningAlg: 'PS256', clientKeys: keys },
  ],
  ['to prove nothing', { tokenEndpointAuthMethod: 'none' }],
  ['for ID Tokens by ES256', { idTokenSignedResponseAlg: 'ES256' }],
  [
    'for ID Tokens by EdDSA, which is Ed25519',
    { idTokenSignedResponseAlg: 'EdDSA' },
    { id_token_signed_response_alg: 'Ed25519' },
  ],
  ['for ID Tokens by HS256', { idTokenSignedResponseAlg: 'HS256' }],
  ['for encrypted ID Tokens', { idTokenEncryptedResponseAlg: 'RSA-OAEP', clientKeys: keys }],
  [
    'for ID Tokens that are encrypted by the secret',
    { idTokenEncryptedResponseAlg: 'dir', idTokenEncryptedResponseEnc: 'A256GCM' },
  ],
  [
    'for signed and encrypted UserInfo',
    { userinfoSignedResponseAlg: 'PS256', userinfoEncryptedResponseAlg: 'ECDH-ES', clientKeys: keys },
  ],
  ['for signed answers', { responseMode: 'jwt', authorizationSignedResponseAlg: 'ES256' }],
  ['for signed requests', { requestObjectSigningAlg: 'ES384', clientKeys: keys }],
  ['for requests that are signed by the secret', { requestObjectSigningAlg: 'HS256' }],
]

describe('a client that registers itself', () => {
  for (const [name, options, changes] of GOOD) {
    it(`logs in, registered ${name}`, async () => {
      const stand = await startRegistering(options, changes)
      await assertLoggedIn(stand, await logIn(stand))
      assert.deepEqual([stage.provider.complaints, stage.provider.calls['/register']], [[], 1])
    })
  }

  it('takes the word of the provider where the answer is silent', async () => {
    const silent = { id_token_signed_response_alg: undefined, token_endpoint_auth_method: undefined }
    const stand = await startRegistering({ idTokenSignedResponseAlg: 'ES256' }, silent)
    await assertLoggedIn(stand, await logIn(stand))
  })
})

describe('what the answer to a registration decides', () => {
  /** The provider makes another client of it than the options say, and holds it to that. */
  async function startAs(options: Partial<AnyOptions>, made: ClientChanges): Promise<Stand> {
    return startRegistering({ ...options, registration: { store: createMemory(), metadata: made } })
  }

  for (const token_endpoint_auth_method of ['client_secret_post', 'client_secret_jwt', 'none']) {
    it(`is how the client proves itself: ${token_endpoint_auth_method}`, async () => {
      const stand = await startAs({}, { token_endpoint_auth_method })
      await assertLoggedIn(stand, await logIn(stand))
      assert.deepEqual(stage.provider.complaints, [])
    })
  }

  it('is how the client proves itself: private_key_jwt, with the algorithm that it tells', async () => {
    const made = { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES512' }
    const stand = await startAs({ clientKeys: keys }, made)
    await assertLoggedIn(stand, await logIn(stand))
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('is that nobody has a secret who proves nothing', async () => {
    const stand = await startRegistering({ tokenEndpointAuthMethod: 'none' }, { client_secret: 'x'.repeat(40) })
    await assertLoggedIn(stand, await logIn(stand))
    const sent = stage.provider.requests.map(({ headers, body }) => `${headers.authorization} ${body}`).join()
    assert.ok(!sent.includes('x'.repeat(40)))
  })

  it('is that requests are pushed', async () => {
    const pushing = await stage.startOther({ registration: 'open', pushed: 'optional' })
    pushing.change.registrationResponse = (json) => ({ ...json, require_pushed_authorization_requests: true })
    const unknown = { clientId: undefined, clientSecret: undefined } as unknown as Partial<AnyOptions>
    const options = { ...unknown, secret: 's'.repeat(32), registration: { store: createMemory() } }
    const stand = stage.stopLater(await startStandAt(pushing, { options }))
    await assertLoggedIn(stand, await logIn(stand))
    assert.deepEqual([pushing.calls['/par'], pushing.complaints], [1, []])
  })

  it('is nothing where it is of no matter to this client', async () => {
    const stand = await startRegistering(
      {},
      {
        request_object_signing_alg: 'ES512',
        request_object_encryption_alg: 'RSA-OAEP',
        authorization_signed_response_alg: 'ES512',
        authorization_encrypted_response_alg: 'RSA-OAEP',
        id_token_encrypted_response_enc: 'A256GCM',
        token_endpoint_auth_signing_alg: 'ES512',
        dpop_bound_access_tokens: false,
        require_signed_request_object: false,
      },
    )
    await assertLoggedIn(stand, await logIn(stand))
  })
})

const { cert, key } = createCertificate('web')

// [what does not agree, options, what the provider answers, what the message says]
const MISMATCHES: readonly (readonly [
  name: string,
  options: Partial<AnyOptions>,
  changes: JsonObject,
  says: RegExp,
])[] = [
  ...['client_secret_basic', 'client_secret_post', 'client_secret_jwt'].map(
    (method) =>
      [
        `${method} without a secret`,
        {},
        { token_endpoint_auth_method: method, client_secret: undefined },
        new RegExp(`is to prove itself by ${method}, and lacks what that takes`),
      ] as const,
  ),
  [
    'the usual method without a secret',
    {},
    { token_endpoint_auth_method: undefined, client_secret: undefined },
    /by client_secret_basic, and lacks/,
  ],
  [
    'private_key_jwt without a key',
    {},
    { token_endpoint_auth_method: 'private_key_jwt' },
    /by private_key_jwt, and lacks/,
  ],
  [
    'private_key_jwt with an algorithm that no key goes by',
    { clientKeys: keys.slice(0, 1) },
    { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256' },
    /by private_key_jwt, and lacks/,
  ],
  [
    'client_secret_jwt with an algorithm of keys',
    {},
    { token_endpoint_auth_method: 'client_secret_jwt', token_endpoint_auth_signing_alg: 'RS256' },
    /by client_secret_jwt, and lacks/,
  ],
  [
    'a certificate that is not there',
    {},
    { token_endpoint_auth_method: 'tls_client_auth' },
    /by tls_client_auth, and lacks/,
  ],
  [
    'a method that nobody knows',
    {},
    { token_endpoint_auth_method: 'planted' },
    /token_endpoint_auth_method that is not known/,
  ],
  [
    'a method of every object',
    {},
    { token_endpoint_auth_method: 'constructor' },
    /token_endpoint_auth_method that is not known/,
  ],
  [
    'another algorithm of assertions',
    { tokenEndpointAuthMethod: 'private_key_jwt', tokenEndpointAuthSigningAlg: 'PS256', clientKeys: keys },
    { token_endpoint_auth_signing_alg: 'RS256' },
    /another token_endpoint_auth_signing_alg than the option tokenEndpointAuthSigningAlg/,
  ],
  ...['none', 'ES256', 'HS256', 'rs256', 'planted', ''].map(
    (alg) =>
      [
        `ID Tokens by ${alg || 'nothing'}`,
        {},
        { id_token_signed_response_alg: alg },
        /another id_token_signed_response_alg than the option idTokenSignedResponseAlg/,
      ] as const,
  ),
  ['ID Tokens by a list', {}, { id_token_signed_response_alg: ['RS256'] }, /another id_token_signed_response_alg/],
  [
    'weaker ID Tokens',
    { idTokenSignedResponseAlg: 'PS256' },
    { id_token_signed_response_alg: 'RS256' },
    /another id_token_signed/,
  ],
  [
    'ID Tokens that are encrypted, unasked',
    {},
    { id_token_encrypted_response_alg: 'RSA-OAEP' },
    /another id_token_encrypted_response_alg/,
  ],
  [
    'ID Tokens that are encrypted otherwise',
    { idTokenEncryptedResponseAlg: 'RSA-OAEP-256', clientKeys: keys },
    { id_token_encrypted_response_alg: 'RSA1_5' },
    /another id_token_encrypted_response_alg than the option idTokenEncryptedResponseAlg/,
  ],
  [
    'ID Tokens with another content encryption',
    { idTokenEncryptedResponseAlg: 'RSA-OAEP-256', clientKeys: keys },
    { id_token_encrypted_response_enc: 'A256GCM' },
    /another id_token_encrypted_response_enc than the option idTokenEncryptedResponseEnc/,
  ],
  ['signed UserInfo, unasked', {}, { userinfo_signed_response_alg: 'RS256' }, /another userinfo_signed_response_alg/],
  [
    'UserInfo that nobody signs',
    { userinfoSignedResponseAlg: 'RS256' },
    { userinfo_signed_response_alg: 'none' },
    /another userinfo_signed/,
  ],
  [
    'encrypted UserInfo, unasked',
    {},
    { userinfo_encrypted_response_alg: 'dir' },
    /another userinfo_encrypted_response_alg/,
  ],
  [
    'UserInfo with another content encryption',
    { userinfoEncryptedResponseAlg: 'dir' },
    { userinfo_encrypted_response_enc: 'A128GCM' },
    /another userinfo_encrypted_response_enc/,
  ],
  [
    'answers by another algorithm',
    { responseMode: 'jwt' },
    { authorization_signed_response_alg: 'ES256' },
    /another authorization_signed_response_alg/,
  ],
  [
    'encrypted answers, unasked',
    { responseMode: 'jwt' },
    { authorization_encrypted_response_alg: 'dir' },
    /another authorization_encrypted_response_alg/,
  ],
  [
    'answers with another content encryption',
    { responseMode: 'jwt', authorizationEncryptedResponseAlg: 'dir' },
    { authorization_encrypted_response_enc: 'A256GCM' },
    /another authorization_encrypted_response_enc/,
  ],
  [
    'requests by another algorithm',
    { requestObjectSigningAlg: 'ES256', clientKeys: keys },
    { request_object_signing_alg: 'RS256' },
    /another request_object_signing_alg/,
  ],
  [
    'requests that nobody signs',
    { requestObjectSigningAlg: 'ES256', clientKeys: keys },
    { request_object_signing_alg: 'none' },
    /another request_object_signing_alg/,
  ],
  [
    'requests that must be signed',
    {},
    { require_signed_request_object: true },
    /has to sign its requests, which the option requestObjectSigningAlg would do/,
  ],
  [
    'requests that must be signed, and are not',
    { requestObjectSigningAlg: 'none' },
    { require_signed_request_object: true },
    /has to sign its requests/,
  ],
  [
    'tokens that must be bound',
    {},
    { dpop_bound_access_tokens: true },
    /has to bind its tokens, which the option dpopBoundAccessTokens would do/,
  ],
  [
    'HS256 without a secret',
    { idTokenSignedResponseAlg: 'HS256', tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: keys },
    { client_secret: undefined },
    /has no secret, which the option idTokenSignedResponseAlg needs/,
  ],
  [
    'dir without a secret',
    { userinfoEncryptedResponseAlg: 'dir', tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: keys },
    { client_secret: undefined },
    /has no secret, which the option userinfoEncryptedResponseAlg needs/,
  ],
  [
    'HS256 for who proves nothing',
    { idTokenSignedResponseAlg: 'HS256' },
    { token_endpoint_auth_method: 'none' },
    /has no secret, which the option idTokenSignedResponseAlg needs/,
  ],
  ['other redirect URIs', {}, { redirect_uris: ['https://planted.example/callback'] }, /other redirect URIs/],
]

describe('an answer to a registration that does not agree with the options', () => {
  for (const [name, options, changes, says] of MISMATCHES) {
    it(`is refused: ${name}`, async () => {
      await assertMismatch(await startRegistering(options, changes), says)
    })
  }

  it('is refused as often as somebody tries, and nothing is registered again', async () => {
    const stand = await startRegistering({}, { id_token_signed_response_alg: 'none' })
    for (const _ of [1, 2, 3]) await logIn(stand)
    assert.deepEqual(codesOf(stand.app), Array(3).fill('ERR_OIDC_REGISTRATION_MISMATCH'))
    assert.equal(stage.provider.calls['/register'], 1)
  })

  it('is refused where it comes from the store of another day', async () => {
    const store = createMemory()
    const first = await startRegistering({}, {}, store)
    await assertLoggedIn(first, await logIn(first))
    const kept = store.kept.get(clientKey(stage.provider.issuer))
    assert.equal(typeof kept?.client_secret, 'string')
    stage.provider.reset()
    // The options have changed since.
    const later = await startAt({ idTokenSignedResponseAlg: 'PS256', baseUrl: first.app.baseUrl }, store)
    await assertMismatch(later, /another id_token_signed_response_alg than the option idTokenSignedResponseAlg/)
  })
})

describe('a registered client of a profile', () => {
  const fapi: StrictProviderOptions = { profile: 'fapi2', registration: 'open' }
  const options = { profile: 'fapi2', clientKeys: keys } as const
  const cases: readonly (readonly [name: string, own: Partial<AnyOptions>, changes: JsonObject, isGood?: true])[] = [
    ['as it is asked for', {}, {}, true],
    ['with another key algorithm that is allowed', {}, { token_endpoint_auth_signing_alg: 'ES256' }, true],
    ['with a secret', {}, { token_endpoint_auth_method: 'client_secret_basic', client_secret: 'x'.repeat(40) }],
    ['with no proof', {}, { token_endpoint_auth_method: 'none' }],
    ['with RS256', {}, { token_endpoint_auth_signing_alg: 'RS256' }],
    ['with ID Tokens by RS256', {}, { id_token_signed_response_alg: 'RS256' }],
    ['with a certificate that it does not have', {}, { token_endpoint_auth_method: 'tls_client_auth' }],
  ]
  for (const [name, own, changes, isGood] of cases) {
    it(`is ${isGood ? 'taken' : 'refused'} ${name}`, async () => {
      const provider = await stage.startOther(fapi)
      provider.change.registrationResponse = (json) => ({ ...json, ...changes })
      const unknown = { clientId: undefined, clientSecret: undefined } as unknown as Partial<AnyOptions>
      const all = { ...unknown, secret: 's'.repeat(32), registration: { store: createMemory() }, ...options, ...own }
      const stand = stage.stopLater(await startStandAt(provider, { options: all, errorHandler: 'json' }))
      if (isGood) await assertLoggedIn(stand, await logIn(stand))
      else await assertMismatch(stand, /registered client/)
    })
  }

  it('may prove itself by the certificate that it has', async () => {
    const provider = await stage.startOther(fapi)
    provider.change.registrationResponse = (json) => ({ ...json, token_endpoint_auth_method: 'tls_client_auth' })
    const unknown = { clientId: undefined, clientSecret: undefined } as unknown as Partial<AnyOptions>
    const registration = { store: createMemory() }
    const own = { ...options, tlsClientCertificate: { cert, key }, dpopBoundAccessTokens: true } as const
    const all = { ...unknown, secret: 's'.repeat(32), registration, ...own }
    const stand = stage.stopLater(await startStandAt(provider, { options: all, errorHandler: 'json' }))
    await stand.app.auth.ready()
    assert.deepEqual(provider.calls['/register'], 1)
  })
})
