import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { inspect } from 'node:util'
import { OidcError, ProviderError } from '../../lib/index.ts'
import { readClientSecret } from '../../lib/provider/client-signing.ts'
import { type AnyOptions, codesOf } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import {
  assertHarmless,
  assertLoggedIn,
  assertNobodyLoggedIn,
  createStand,
  logIn,
  type Stand,
  startStandAt,
} from '../support/hostile/hostile.ts'
import { startProvider } from '../support/servers/provider.ts'
import type { StrictProvider, StrictProviderOptions } from '../support/strict-provider/provider.ts'

const FIRST = 'a-Secret_of.40-characters_0123456789abcd'
const SECOND = 'another-Secret_of.40-characters_98765432'
const SEALED = 'a secret for the cookies of a test'

/** The secret as an application has it that reads it from elsewhere. */
interface Vault {
  secret: unknown
  /** How often it was asked. */
  asked: number
  readonly get: () => Promise<string>
}

function createVault(secret: unknown = FIRST): Vault {
  const vault: Vault = {
    secret,
    asked: 0,
    get: async () => {
      vault.asked++
      await Promise.resolve()
      if (vault.secret instanceof Error) throw vault.secret
      return vault.secret as string
    },
  }
  return vault
}

const KINDS: readonly (readonly [name: string, provider: StrictProviderOptions, options?: Partial<AnyOptions>])[] = [
  ['client_secret_basic', {}],
  [
    'client_secret_post',
    { tokenEndpointAuthMethod: 'client_secret_post' },
    { tokenEndpointAuthMethod: 'client_secret_post' },
  ],
  ['client_secret_jwt', { tokenEndpointAuthMethod: 'client_secret_jwt' }],
  ['client_secret_jwt, pushed', { tokenEndpointAuthMethod: 'client_secret_jwt', pushed: 'required' }],
  ['an ID Token by HS256', { alg: 'HS256' }, { idTokenSignedResponseAlg: 'HS256' }],
  ['a request by HS256', { requestObjectSigningAlg: 'HS256' }],
  ['a request encrypted by dir', { requestObjectSigningAlg: 'HS256', requestObjectEncryptionAlg: 'dir' }],
  ['an ID Token encrypted by A256KW', { idTokenEncryptedResponseAlg: 'A256KW' }],
  ['UserInfo by HS256', { userinfoSignedResponseAlg: 'HS256' }, { userinfo: true }],
  ['UserInfo encrypted by dir', { userinfoEncryptedResponseAlg: 'dir' }, { userinfo: true }],
  [
    'an answer by HS256',
    { authorizationSignedResponseAlg: 'HS256' },
    { responseMode: 'jwt', authorizationSignedResponseAlg: 'HS256' },
  ],
]

for (const [name, provider, options = {}] of KINDS) {
  describe(`a function clientSecret for ${name}`, () => {
    const vault = createVault()
    const stand = createStand({ provider, app: { options: { clientSecret: vault.get, secret: SEALED, ...options } } })

    it('is called when the secret is needed, so the secret can change without a restart', async () => {
      vault.secret = FIRST
      await assertLoggedIn(stand, await logIn(stand))
      const asked = vault.asked
      assert.ok(asked >= 1)

      await stand.reset()
      vault.secret = SECOND
      stand.provider.changeClient({ clientSecret: SECOND })
      await assertLoggedIn(stand, await logIn(stand))
      assert.deepEqual([stand.provider.complaints, vault.asked], [[], 2 * asked])
    })
  })
}

describe('a function clientSecret', () => {
  it('is not called for requests that need no secret', async () => {
    const vault = createVault()
    const options = { clientSecret: vault.get, secret: SEALED, userinfo: true }
    const stand = stage.stopLater(
      await startStandAt(await stage.startOther({ userinfoSignedResponseAlg: 'ES256' }), { options }),
    )
    await stand.app.auth.ready()
    const browser = stand.app.browser()
    await browser.open('/')
    assert.equal(vault.asked, 0)
    await browser.open('/profile')
    // The token endpoint wants it; an ID Token and UserInfo that are signed with a key do not.
    assert.equal(vault.asked, 1)
    for (const path of ['/profile', '/tokens', '/userinfo']) await browser.open(path)
    assert.equal(vault.asked, 1)
  })

  it('may be synchronous', async () => {
    const stand = stage.stopLater(
      await startStandAt(stage.provider, { options: { clientSecret: () => FIRST, secret: SEALED } }),
    )
    await assertLoggedIn(stand, await logIn(stand))
  })

  it('encrypts no cookie: logins in progress survive a new secret', async () => {
    const vault = createVault()
    const stand = stage.stopLater(
      await startStandAt(stage.provider, { options: { clientSecret: vault.get, secret: SEALED } }),
    )
    const browser = stand.app.browser()
    const page = await browser.open('/login?returnTo=/profile', {
      stopBefore: ({ pathname }) => pathname === '/callback',
    })
    vault.secret = SECOND
    stage.provider.changeClient({ clientSecret: SECOND })
    // The code is still of the client as it was; it is asked for with the secret as it is.
    stage.provider.reset()
    stage.provider.changeClient({ clientSecret: SECOND })
    await assertLoggedIn(stand, { browser, page: await browser.go(page.next) })
  })

  it('is called again if the provider demands a nonce first', async () => {
    const vault = createVault()
    const other = await stage.startOther({ dpop: 'nonce' })
    const stand = stage.stopLater(await startStandAt(other, { options: { clientSecret: vault.get, secret: SEALED } }))
    await assertLoggedIn(stand, await logIn(stand))
    assert.deepEqual([other.calls['/token'], vault.asked], [2, 2])
  })

  it('is called for a refresh', async () => {
    const vault = createVault()
    const stand = stage.stopLater(
      await startStandAt(stage.provider, {
        options: { clientSecret: vault.get, secret: SEALED, scope: 'openid offline_access' },
      }),
    )
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const { browser } = await logIn(stand)
    vault.secret = SECOND
    stage.provider.changeClient({ clientSecret: SECOND })
    mock.timers.tick(3_590_000)
    const page = await browser.fetch('/access-token')
    assert.deepEqual([page.status, codesOf(stand.app), stage.provider.complaints], [200, [], []])
  })

  const stage = createStage()
})

/** Not one of these can be shown to a provider. */
const UNFIT: readonly (readonly [name: string, secret: unknown])[] = [
  ['nothing', undefined],
  ['null', null],
  ['empty text', ''],
  ['a number', 1234567890123456],
  ['a list', [FIRST]],
  ['bytes', Buffer.from(FIRST)],
  ['an object', { secret: FIRST }],
  ['text with the line break of its file', `${FIRST}\n`],
  ['text with a space before it', ` ${FIRST}`],
  ['text beyond ASCII', `${FIRST}\u00fc`],
  ['text with a header in it', `${FIRST}\r\nX-Evil: 1`],
]

describe('a function clientSecret that returns no secret', () => {
  const vault = createVault()
  const stand = createStand({ app: { options: { clientSecret: vault.get, secret: SEALED }, errorHandler: 'json' } })

  for (const [name, secret] of UNFIT) {
    it(`fails the login, and its value is not shown: ${name}`, async () => {
      vault.secret = secret
      await assertSecretFault(stand, 500, 'must return printable ASCII text')
    })
  }

  it('N-23: may return a secret that ends in a space', async () => {
    assert.equal(await readClientSecret({ clientSecret: () => `${FIRST} ` }), `${FIRST} `)
  })

  it('is called again by the next login', async () => {
    vault.secret = undefined
    await logIn(stand)
    await stand.reset()
    vault.secret = FIRST
    await assertLoggedIn(stand, await logIn(stand))
  })
})

describe('a function clientSecret that fails', () => {
  const vault = createVault()
  const options = { clientSecret: vault.get, secret: SEALED }
  const stand = createStand({ app: { options } })
  const pushed = createStand({ provider: { pushed: 'required' }, app: { options } })

  it('fails the login, which can be retried', async () => {
    vault.secret = new Error('the vault is sealed')
    await assertSecretFault(stand, 503, 'function clientSecret failed')
    const [error] = stand.app.errors
    assert.ok(error?.cause instanceof Error && error.cause.message === 'the vault is sealed')
    await stand.reset()
    vault.secret = FIRST
    await assertLoggedIn(stand, await logIn(stand))
  })

  it('fails before the redirect if the secret is needed there', async () => {
    vault.secret = new Error('the vault is sealed')
    await assertSecretFault(pushed, 503, 'function clientSecret failed')
    assert.deepEqual([pushed.provider.calls['/par'], pushed.provider.calls['/authorize']], [0, 0])
  })

  it('does not affect a user who is logged in', async () => {
    vault.secret = FIRST
    const { browser } = await logIn(stand)
    vault.secret = new Error('the vault is sealed')
    assert.equal((await browser.fetch('/profile')).status, 200)
    assert.equal(await stand.app.sessions(), 1)
  })

  it('may throw synchronously', async () => {
    const throwing = await startStandAt(stand.provider, {
      options: {
        secret: SEALED,
        clientSecret: () => {
          throw new TypeError('the vault is sealed')
        },
      },
    })
    try {
      await assertSecretFault(throwing, 503, 'function clientSecret failed')
    } finally {
      await throwing.stop()
    }
  })
})

/** The login has failed for want of a secret, and nothing of any secret is to be seen. */
async function assertSecretFault(stand: Stand, status: number, says: string): Promise<void> {
  const { browser, page } = await logIn(stand)
  assert.deepEqual([page.status, codesOf(stand.app)], [status, ['ERR_OIDC_CLIENT_SECRET']])
  const [error] = stand.app.errors
  assert.ok(error instanceof OidcError && error.message.includes(says), error?.message)
  assert.ok(!inspect(error, { depth: 10 }).includes(FIRST))
  assert.ok(!page.body.includes('vault') && !page.body.includes(FIRST))
  assertHarmless(stand, page)
  await assertNobodyLoggedIn(stand.app, browser)
  const asked: readonly (keyof StrictProvider['calls'])[] = ['/token', '/userinfo']
  for (const endpoint of asked) assert.equal(stand.provider.calls[endpoint], 0)
}

describe('a secret by function that is too short to be a key', () => {
  const short = 'a-Secret_of.31-characters_01234'
  const kinds: readonly (readonly [name: string, provider: StrictProviderOptions, options: Partial<AnyOptions>])[] = [
    ['client_secret_jwt', { tokenEndpointAuthMethod: 'client_secret_jwt' }, {}],
    ['a request by HS256', { requestObjectSigningAlg: 'HS256' }, {}],
    ['a request encrypted by dir', { requestObjectSigningAlg: 'RS256', requestObjectEncryptionAlg: 'dir' }, {}],
    ['an ID Token by HS256', { alg: 'HS256' }, { idTokenSignedResponseAlg: 'HS256' }],
    ['an ID Token encrypted by dir', { idTokenEncryptedResponseAlg: 'dir' }, {}],
  ]
  for (const [name, provider, options] of kinds) {
    describe(`for ${name}`, () => {
      const stand = createStand({
        provider: { ...provider, clientSecret: short },
        app: { options: { clientSecret: () => short, secret: SEALED, ...options }, errorHandler: 'json' },
      })

      it('is refused: whoever sees what was made with it could try all of them', async () => {
        assert.equal(short.length, 31)
        const { browser, page } = await logIn(stand)
        assert.deepEqual([page.status, codesOf(stand.app)], [500, ['ERR_OIDC_CLIENT_SECRET']])
        assertHarmless(stand, page)
        await assertNobodyLoggedIn(stand.app, browser)
      })
    })
  }

  describe('for client_secret_basic', () => {
    const stand = createStand({
      provider: { clientSecret: short },
      app: { options: { clientSecret: () => short, secret: SEALED } },
    })

    it('is what the provider has made it', async () => {
      await assertLoggedIn(stand, await logIn(stand))
    })
  })
})

describe('a secret that the provider no longer knows', () => {
  const vault = createVault()
  const stand = createStand({ app: { options: { clientSecret: vault.get, secret: SEALED } } })

  it('is refused by the provider, and is not in the error', async () => {
    vault.secret = SECOND
    const { browser, page } = await logIn(stand)
    assert.deepEqual([page.status, codesOf(stand.app)], [502, ['ERR_OIDC_TOKEN_REQUEST']])
    const [error] = stand.app.errors
    assert.ok(error instanceof ProviderError && error.refusal?.error === 'invalid_client')
    assert.ok(!inspect(error, { depth: 10 }).includes(SECOND))
    assertHarmless(stand, page)
    await assertNobodyLoggedIn(stand.app, browser)
    // Nothing is tried twice: the code is spent.
    assert.equal(stand.provider.calls['/token'], 1)
  })
})

describe('a secret by function at oidc-provider', () => {
  const stage = createStage({
    app: { errorHandler: 'json', routes: { '/me': answerJson(({ oidc }) => oidc.userinfo()) } },
  })

  for (const method of ['client_secret_basic', 'client_secret_post', 'client_secret_jwt'] as const) {
    it(`is shown by ${method}`, async () => {
      const provider = stage.stopLater(await startProvider({ client: { token_endpoint_auth_method: method } }))
      const vault = createVault(provider.clientSecret)
      const app = await stage.start(
        { clientSecret: vault.get, secret: SEALED, tokenEndpointAuthMethod: method },
        { provider },
      )
      const page = await app.browser().open('/profile')
      assert.deepEqual([app.errors.map(String), page.json()['sub'], vault.asked], [[], 'alice', 1])
    })
  }
})
