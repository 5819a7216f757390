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

const keys = createClientKeys() as NonNullable<AnyOptions['clientKeys']>
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

/** An app that registers itself at a provider that adds these members to its response. */
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
  // They are not known before the registration.
  const unknown = { clientId: undefined, clientSecret: undefined } as unknown as Partial<AnyOptions>
  const all = { ...unknown, secret: 's'.repeat(32), registration: { store }, userinfo: true, ...options }
  return stage.stopLater(await startStandAt(stage.provider, { options: all, errorHandler: 'json' }))
}

/** Asserts that the login is refused before any request to the provider as this client. */
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

// [what is registered, options, members that the provider changes]
const GOOD: readonly (readonly [name: string, options: Partial<AnyOptions>, changes?: JsonObject])[] = [
  ['with the default method', {}],
  ['with client_secret_post', { tokenEndpointAuthMethod: 'client_secret_post' }],
  ['with client_secret_jwt', { tokenEndpointAuthMethod: 'client_secret_jwt' }],
  ['with private_key_jwt', { tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: keys }],
  [
    'with private_key_jwt and PS256',
    { tokenEndpointAuthMethod: 'private_key_jwt', tokenEndpointAuthSigningAlg: 'PS256', clientKeys: keys },
  ],
  ['as a public client', { tokenEndpointAuthMethod: 'none' }],
  ['for ID Tokens with ES256', { idTokenSignedResponseAlg: 'ES256' }],
  [
    'for ID Tokens with EdDSA, which is Ed25519',
    { idTokenSignedResponseAlg: 'EdDSA' },
    { id_token_signed_response_alg: 'Ed25519' },
  ],
  ['for ID Tokens with HS256', { idTokenSignedResponseAlg: 'HS256' }],
  ['for encrypted ID Tokens', { idTokenEncryptedResponseAlg: 'RSA-OAEP', clientKeys: keys }],
  [
    'for ID Tokens that are encrypted with the secret',
    { idTokenEncryptedResponseAlg: 'dir', idTokenEncryptedResponseEnc: 'A256GCM' },
  ],
  [
    'for signed and encrypted UserInfo',
    { userinfoSignedResponseAlg: 'PS256', userinfoEncryptedResponseAlg: 'ECDH-ES', clientKeys: keys },
  ],
  ['for signed responses', { responseMode: 'jwt', authorizationSignedResponseAlg: 'ES256' }],
  ['for signed requests', { requestObjectSigningAlg: 'ES384', clientKeys: keys }],
  ['for requests that are signed with the secret', { requestObjectSigningAlg: 'HS256' }],
]

describe('a client that registers itself', () => {
  for (const [name, options, changes] of GOOD) {
    it(`logs in, registered ${name}`, async () => {
      const stand = await startRegistering(options, changes)
      await assertLoggedIn(stand, await logIn(stand))
      assert.deepEqual([stage.provider.complaints, stage.provider.calls['/register']], [[], 1])
    })
  }

  it('uses what was requested if the response leaves members out', async () => {
    const silent = { id_token_signed_response_alg: undefined, token_endpoint_auth_method: undefined }
    const stand = await startRegistering({ idTokenSignedResponseAlg: 'ES256' }, silent)
    await assertLoggedIn(stand, await logIn(stand))
  })
})

describe('the response to a registration', () => {
  /** The provider registers another client than the options say, and requires what it has registered. */
  async function startAs(options: Partial<AnyOptions>, made: ClientChanges): Promise<Stand> {
    return startRegistering({ ...options, registration: { store: createMemory(), metadata: made } })
  }

  for (const token_endpoint_auth_method of ['client_secret_post', 'client_secret_jwt', 'none']) {
    it(`decides how the client authenticates: ${token_endpoint_auth_method}`, async () => {
      const stand = await startAs({}, { token_endpoint_auth_method })
      await assertLoggedIn(stand, await logIn(stand))
      assert.deepEqual(stage.provider.complaints, [])
    })
  }

  it('decides how the client authenticates: private_key_jwt, with its algorithm', async () => {
    const made = { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES512' }
    const stand = await startAs({ clientKeys: keys }, made)
    await assertLoggedIn(stand, await logIn(stand))
    assert.deepEqual(stage.provider.complaints, [])
  })

  it('does not give a public client a secret', async () => {
    const stand = await startRegistering({ tokenEndpointAuthMethod: 'none' }, { client_secret: 'x'.repeat(40) })
    await assertLoggedIn(stand, await logIn(stand))
    const sent = stage.provider.requests.map(({ headers, body }) => `${headers.authorization} ${body}`).join()
    assert.ok(!sent.includes('x'.repeat(40)))
  })

  it('decides that requests are pushed', async () => {
    const pushing = await stage.startOther({ registration: 'open', pushed: 'optional' })
    pushing.change.registrationResponse = (json) => ({ ...json, require_pushed_authorization_requests: true })
    const unknown = { clientId: undefined, clientSecret: undefined } as unknown as Partial<AnyOptions>
    const options = { ...unknown, secret: 's'.repeat(32), registration: { store: createMemory() } }
    const stand = stage.stopLater(await startStandAt(pushing, { options }))
    await assertLoggedIn(stand, await logIn(stand))
    assert.deepEqual([pushing.calls['/par'], pushing.complaints], [1, []])
  })

  it('decides nothing about messages that this client never uses', async () => {
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

// [what differs, options, the response of the provider, the message]
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
        new RegExp(`has token_endpoint_auth_method ${method}, but no secret, key or certificate for it`),
      ] as const,
  ),
  [
    'the default method without a secret',
    {},
    { token_endpoint_auth_method: undefined, client_secret: undefined },
    /token_endpoint_auth_method client_secret_basic, but no secret/,
  ],
  [
    'private_key_jwt without a key',
    {},
    { token_endpoint_auth_method: 'private_key_jwt' },
    /token_endpoint_auth_method private_key_jwt, but no secret, key/,
  ],
  [
    'private_key_jwt with an algorithm that no key has',
    { clientKeys: keys.slice(0, 1) },
    { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256' },
    /token_endpoint_auth_method private_key_jwt, but no secret, key/,
  ],
  [
    'client_secret_jwt with an algorithm for keys',
    {},
    { token_endpoint_auth_method: 'client_secret_jwt', token_endpoint_auth_signing_alg: 'RS256' },
    /token_endpoint_auth_method client_secret_jwt, but no secret/,
  ],
  [
    'a certificate that the application does not have',
    {},
    { token_endpoint_auth_method: 'tls_client_auth' },
    /token_endpoint_auth_method tls_client_auth, but no secret, key or certificate/,
  ],
  ['an unknown method', {}, { token_endpoint_auth_method: 'magic' }, /unknown token_endpoint_auth_method "magic"/],
  [
    'the name of an object member as the method',
    {},
    { token_endpoint_auth_method: 'constructor' },
    /unknown token_endpoint_auth_method "constructor"/,
  ],
  [
    'another algorithm for assertions',
    { tokenEndpointAuthMethod: 'private_key_jwt', tokenEndpointAuthSigningAlg: 'PS256', clientKeys: keys },
    { token_endpoint_auth_signing_alg: 'RS256' },
    /has token_endpoint_auth_signing_alg "RS256", but the option tokenEndpointAuthSigningAlg is "PS256"/,
  ],
  ...['none', 'ES256', 'HS256', 'rs256', 'magic', ''].map(
    (alg) =>
      [
        `ID Tokens with ${alg || 'no algorithm'}`,
        {},
        { id_token_signed_response_alg: alg },
        /has id_token_signed_response_alg .+, but the option idTokenSignedResponseAlg is "[RP]S256"/,
      ] as const,
  ),
  [
    'ID Tokens with a list',
    {},
    { id_token_signed_response_alg: ['RS256'] },
    /has id_token_signed_response_alg .+, but the option/,
  ],
  [
    'weaker ID Tokens',
    { idTokenSignedResponseAlg: 'PS256' },
    { id_token_signed_response_alg: 'RS256' },
    /has id_token_signed_response_alg .+, but the option/,
  ],
  [
    'encrypted ID Tokens that were not requested',
    {},
    { id_token_encrypted_response_alg: 'RSA-OAEP' },
    /has id_token_encrypted_response_alg .+, but the option/,
  ],
  [
    'ID Tokens with another encryption',
    { idTokenEncryptedResponseAlg: 'RSA-OAEP-256', clientKeys: keys },
    { id_token_encrypted_response_alg: 'RSA1_5' },
    /has id_token_encrypted_response_alg "RSA1_5", but the option idTokenEncryptedResponseAlg is "RSA-OAEP-256"/,
  ],
  [
    'ID Tokens with another content encryption',
    { idTokenEncryptedResponseAlg: 'RSA-OAEP-256', clientKeys: keys },
    { id_token_encrypted_response_enc: 'A256GCM' },
    /has id_token_encrypted_response_enc "A256GCM", but the option idTokenEncryptedResponseEnc is "A128CBC-HS256"/,
  ],
  [
    'signed UserInfo that was not requested',
    {},
    { userinfo_signed_response_alg: 'RS256' },
    /has userinfo_signed_response_alg .+, but the option/,
  ],
  [
    'unsigned UserInfo',
    { userinfoSignedResponseAlg: 'RS256' },
    { userinfo_signed_response_alg: 'none' },
    /has userinfo_signed_response_alg .+, but the option/,
  ],
  [
    'encrypted UserInfo that was not requested',
    {},
    { userinfo_encrypted_response_alg: 'dir' },
    /has userinfo_encrypted_response_alg .+, but the option/,
  ],
  [
    'UserInfo with another content encryption',
    { userinfoEncryptedResponseAlg: 'dir' },
    { userinfo_encrypted_response_enc: 'A128GCM' },
    /has userinfo_encrypted_response_enc .+, but the option/,
  ],
  [
    'responses with another algorithm',
    { responseMode: 'jwt' },
    { authorization_signed_response_alg: 'ES256' },
    /has authorization_signed_response_alg .+, but the option/,
  ],
  [
    'encrypted responses that were not requested',
    { responseMode: 'jwt' },
    { authorization_encrypted_response_alg: 'dir' },
    /has authorization_encrypted_response_alg .+, but the option/,
  ],
  [
    'responses with another content encryption',
    { responseMode: 'jwt', authorizationEncryptedResponseAlg: 'dir' },
    { authorization_encrypted_response_enc: 'A256GCM' },
    /has authorization_encrypted_response_enc .+, but the option/,
  ],
  [
    'requests with another algorithm',
    { requestObjectSigningAlg: 'ES256', clientKeys: keys },
    { request_object_signing_alg: 'RS256' },
    /has request_object_signing_alg .+, but the option/,
  ],
  [
    'unsigned requests',
    { requestObjectSigningAlg: 'ES256', clientKeys: keys },
    { request_object_signing_alg: 'none' },
    /has request_object_signing_alg .+, but the option/,
  ],
  [
    'requests that must be signed',
    {},
    { require_signed_request_object: true },
    /must sign its requests .* Set the option requestObjectSigningAlg/,
  ],
  [
    'requests that must be signed, and are not',
    { requestObjectSigningAlg: 'none' },
    { require_signed_request_object: true },
    /must sign its requests/,
  ],
  [
    'tokens that must be bound',
    {},
    { dpop_bound_access_tokens: true },
    /must bind its tokens .* Set the option dpopBoundAccessTokens/,
  ],
  [
    'HS256 without a secret',
    { idTokenSignedResponseAlg: 'HS256', tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: keys },
    { client_secret: undefined },
    /has no client_secret, which the option idTokenSignedResponseAlg needs/,
  ],
  [
    'dir without a secret',
    { userinfoEncryptedResponseAlg: 'dir', tokenEndpointAuthMethod: 'private_key_jwt', clientKeys: keys },
    { client_secret: undefined },
    /has no client_secret, which the option userinfoEncryptedResponseAlg needs/,
  ],
  [
    'HS256 for a public client',
    { idTokenSignedResponseAlg: 'HS256' },
    { token_endpoint_auth_method: 'none' },
    /has no client_secret, which the option idTokenSignedResponseAlg needs/,
  ],
  [
    'other redirect URIs',
    {},
    { redirect_uris: ['https://planted.example/callback'] },
    /redirect_uris of the registered client do not contain/,
  ],
]

describe('a response to a registration that differs from the options', () => {
  for (const [name, options, changes, says] of MISMATCHES) {
    it(`is refused: ${name}`, async () => {
      await assertMismatch(await startRegistering(options, changes), says)
    })
  }

  it('is refused at every login, and nothing is registered again', async () => {
    const stand = await startRegistering({}, { id_token_signed_response_alg: 'none' })
    for (const _ of [1, 2, 3]) await logIn(stand)
    assert.deepEqual(codesOf(stand.app), Array(3).fill('ERR_OIDC_REGISTRATION_MISMATCH'))
    assert.equal(stage.provider.calls['/register'], 1)
  })

  it('is refused if it comes from the store and the options have changed', async () => {
    const store = createMemory()
    const first = await startRegistering({}, {}, store)
    await assertLoggedIn(first, await logIn(first))
    const kept = store.kept.get(clientKey(stage.provider.issuer))
    assert.equal(typeof kept?.client_secret, 'string')
    stage.provider.reset()
    // The options have changed since.
    const later = await startAt({ idTokenSignedResponseAlg: 'PS256', baseUrl: first.app.baseUrl }, store)
    await assertMismatch(
      later,
      /has id_token_signed_response_alg .+, but the option idTokenSignedResponseAlg is "[RP]S256"/,
    )
  })
})

describe('a registered client of a profile', () => {
  const fapi: StrictProviderOptions = { profile: 'fapi2', registration: 'open' }
  const options = { profile: 'fapi2', clientKeys: keys } as const
  const cases: readonly (readonly [name: string, own: Partial<AnyOptions>, changes: JsonObject, isGood?: true])[] = [
    ['as it was requested', {}, {}, true],
    ['with another allowed key algorithm', {}, { token_endpoint_auth_signing_alg: 'ES256' }, true],
    ['with a secret', {}, { token_endpoint_auth_method: 'client_secret_basic', client_secret: 'x'.repeat(40) }],
    ['as a public client of the profile', {}, { token_endpoint_auth_method: 'none' }],
    ['with RS256', {}, { token_endpoint_auth_signing_alg: 'RS256' }],
    ['with ID Tokens signed with RS256', {}, { id_token_signed_response_alg: 'RS256' }],
    ['with a certificate that it does not have', {}, { token_endpoint_auth_method: 'tls_client_auth' }],
  ]
  for (const [name, own, changes, isGood] of cases) {
    it(`is ${isGood ? 'accepted' : 'refused'} ${name}`, async () => {
      const provider = await stage.startOther(fapi)
      provider.change.registrationResponse = (json) => ({ ...json, ...changes })
      const unknown = { clientId: undefined, clientSecret: undefined } as unknown as Partial<AnyOptions>
      const all = { ...unknown, secret: 's'.repeat(32), registration: { store: createMemory() }, ...options, ...own }
      const stand = stage.stopLater(await startStandAt(provider, { options: all, errorHandler: 'json' }))
      if (isGood) await assertLoggedIn(stand, await logIn(stand))
      else await assertMismatch(stand, /registered client/)
    })
  }

  it('may authenticate with its certificate', async () => {
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
