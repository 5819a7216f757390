import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { ProviderError } from '../../lib/index.ts'
import type { AnyOptions } from '../support/app/app.ts'
import { createClientKeys, publicKeySet } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import {
  assertLoggedIn,
  assertRefused,
  createStand,
  logIn,
  type Row,
  type Stand,
  startStandAt,
  testRefusals,
} from '../support/hostile/hostile.ts'
import { type ProviderOptions, startProvider, type TestProvider } from '../support/servers/provider.ts'
import { createCertificate } from '../support/servers/tls-certificate.ts'
import type { StrictRequest } from '../support/strict-provider/context.ts'
import type { StrictProvider, StrictProviderOptions } from '../support/strict-provider/provider.ts'

// Making RSA keys takes longer than all the rest.
const keys = createClientKeys()

const SEALED = 'a secret for the cookies of a test'

/** A client that is pushed and refreshes too, so that it proves itself at each endpoint that asks for it. */
const EVERYWHERE: StrictProviderOptions = { pushed: 'required' }

/** By what a request proves the client, and what of it is in the body. */
function proofOf({ headers, form }: StrictRequest): readonly string[] {
  const scheme = headers.authorization?.split(' ')[0]
  const inBody = ['client_id', 'client_secret', 'client_assertion_type', 'client_assertion']
  return [...(scheme === undefined ? [] : [scheme]), ...inBody.filter((name) => form.has(name))]
}

interface Method {
  readonly name: string
  readonly provider: StrictProviderOptions
  readonly options?: Partial<AnyOptions>
  readonly proof: readonly string[]
}

const BY_ASSERTION = ['client_id', 'client_assertion_type', 'client_assertion']

const METHODS: readonly Method[] = [
  { name: 'client_secret_basic', provider: {}, proof: ['Basic'] },
  {
    name: 'client_secret_post',
    provider: { tokenEndpointAuthMethod: 'client_secret_post' },
    options: { tokenEndpointAuthMethod: 'client_secret_post' },
    proof: ['client_id', 'client_secret'],
  },
  {
    name: 'none',
    provider: { tokenEndpointAuthMethod: 'none' },
    options: { clientSecret: '', secret: SEALED },
    proof: ['client_id'],
  },
  ...[undefined, 'HS256', 'HS384', 'HS512'].map((alg) => ({
    name: `client_secret_jwt with ${alg ?? 'no word of an algorithm'}`,
    provider: { tokenEndpointAuthMethod: 'client_secret_jwt', tokenEndpointAuthSigningAlg: alg } as const,
    proof: BY_ASSERTION,
  })),
  ...[undefined, 'RS256', 'RS512', 'PS256', 'PS384', 'ES256', 'ES384', 'ES512', 'EdDSA'].map((alg) => ({
    name: `private_key_jwt with ${alg ?? 'no word of an algorithm'}`,
    provider: { tokenEndpointAuthMethod: 'private_key_jwt', tokenEndpointAuthSigningAlg: alg } as const,
    proof: BY_ASSERTION,
  })),
  ...(['client_secret_jwt', 'private_key_jwt'] as const).map((tokenEndpointAuthMethod) => ({
    name: `${tokenEndpointAuthMethod} for the endpoint that is asked`,
    provider: { tokenEndpointAuthMethod, assertionAudience: 'endpoint' } as const,
    proof: BY_ASSERTION,
  })),
  ...(['tls_client_auth', 'self_signed_tls_client_auth'] as const).map((tokenEndpointAuthMethod) => ({
    name: tokenEndpointAuthMethod,
    provider: { tokenEndpointAuthMethod },
    proof: ['client_id'],
  })),
]

for (const { name, provider, options = {}, proof } of METHODS) {
  describe(`a client with ${name}`, () => {
    const stand = createStand({ provider: { ...EVERYWHERE, ...provider }, app: { options } })

    it('logs in at the strict provider, and authenticates by this one method at each endpoint', async () => {
      await assertLoggedIn(stand, await logIn(stand))
      const { requests, complaints } = stand.provider
      assert.deepEqual(complaints, [])
      const asked = requests.filter(({ endpoint }) => endpoint === '/par' || endpoint === '/token')
      assert.deepEqual(
        asked.map((request) => [request.endpoint, proofOf(request)]),
        [
          ['/par', name === 'client_secret_basic' ? ['Basic', 'client_id'] : proof],
          ['/token', proof],
        ],
      )
    })

    it('sends a certificate only if it authenticates the client', async () => {
      await logIn(stand)
      const shown = stand.provider.requests.filter(({ certificate }) => certificate !== undefined)
      assert.equal(shown.length > 0, name.includes('tls'))
    })
  })
}

describe('an assertion', () => {
  const stand = createStand({ provider: { ...EVERYWHERE, tokenEndpointAuthMethod: 'private_key_jwt' } })

  it('is new for each request of each login', async () => {
    await Promise.all([logIn(stand), logIn(stand), logIn(stand)])
    const assertions = stand.provider.requests.flatMap(({ form }) => form.getAll('client_assertion'))
    assert.deepEqual([assertions.length, new Set(assertions.map((one) => decodeJwt(one).jti)).size], [6, 6])
    for (const one of assertions) {
      const { iss, sub, aud, iat = 0, exp = 0 } = decodeJwt(one)
      assert.deepEqual([iss, sub, aud, exp - iat], ['test-client', 'test-client', stand.provider.issuer, 60])
      assert.deepEqual(Object.keys(decodeProtectedHeader(one)).sort(), ['alg', 'kid'])
    }
    assert.deepEqual(stand.provider.complaints, [])
  })
})

describe('wrong credentials', () => {
  type Change = (provider: StrictProvider) => void
  const refused: Row<Change>['2'] = 'ERR_OIDC_TOKEN_REQUEST'
  const attack =
    (stand: Stand) =>
    async (change: Change): ReturnType<typeof logIn> => {
      change(stand.provider)
      const outcome = await logIn(stand)
      const [error] = stand.app.errors
      assert.ok(error instanceof ProviderError && error.refusal?.error === 'invalid_client', String(error))
      assert.notEqual(stand.provider.complaints.length, 0)
      return outcome
    }
  const calls = { '/token': 1 }

  describe('of client_secret_basic', () => {
    const stand = createStand()
    const rows: readonly Row<Change>[] = [
      ['another secret', (provider) => provider.changeClient({ clientSecret: 'x'.repeat(40) }), refused],
      [
        'a secret that is to be in the body',
        (provider) => provider.changeClient({ tokenEndpointAuthMethod: 'client_secret_post' }),
        refused,
      ],
      [
        'a secret where none is known',
        (provider) => provider.changeClient({ tokenEndpointAuthMethod: 'none' }),
        refused,
      ],
      [
        'a secret where a signature is wanted',
        (provider) => provider.changeClient({ tokenEndpointAuthMethod: 'client_secret_jwt' }),
        refused,
      ],
    ]
    testRefusals(rows, stand, attack(stand), calls)
  })

  describe('of client_secret_jwt', () => {
    const stand = createStand({ provider: { tokenEndpointAuthMethod: 'client_secret_jwt' } })
    const rows: readonly Row<Change>[] = [
      ['another secret', (provider) => provider.changeClient({ clientSecret: 'x'.repeat(40) }), refused],
      ['another algorithm', (provider) => provider.changeClient({ tokenEndpointAuthSigningAlg: 'HS512' }), refused],
    ]
    testRefusals(rows, stand, attack(stand), calls)
  })

  describe('of private_key_jwt', () => {
    const others = publicKeySet(keys)
    const stand = createStand({ provider: { tokenEndpointAuthMethod: 'private_key_jwt' } })
    const rows: readonly Row<Change>[] = [
      ['keys of somebody else', (provider) => provider.changeClient({ clientJwks: others }), refused],
      [
        'another key under the very kid',
        (provider) => {
          const kids = publicKeySet(provider.clientKeys).keys.map(({ ['kid']: kid }) => kid)
          const forged = others.keys.map((key, index) => ({ ...key, kid: kids[index] }))
          provider.changeClient({ clientJwks: { keys: forged } })
        },
        refused,
      ],
      ['no keys any more', (provider) => provider.changeClient({ clientJwks: { keys: [] } }), refused],
      ['another algorithm', (provider) => provider.changeClient({ tokenEndpointAuthSigningAlg: 'ES384' }), refused],
    ]
    testRefusals(rows, stand, attack(stand), calls)
  })

  for (const method of ['tls_client_auth', 'self_signed_tls_client_auth'] as const) {
    describe(`of ${method}`, () => {
      const stand = createStand({ provider: { tokenEndpointAuthMethod: method } })
      const rows: readonly Row<Change>[] = [
        method === 'tls_client_auth'
          ? [
              'the certificate of another subject',
              (provider) => provider.changeClient({ tlsClientAuthSubjectDn: 'CN=another' }),
              refused,
            ]
          : [
              'a certificate that is not registered',
              (provider) => provider.changeClient({ certificates: [] }),
              refused,
            ],
      ]
      testRefusals(rows, stand, attack(stand), calls)

      it('refuses a missing certificate', async () => {
        const { provider } = stand
        const { cert, key } = createCertificate(provider.clientId)
        const { ca } = { ...provider.clientOptions.tlsClientCertificate }
        const tlsClientCertificate = { cert, key, ...(ca === undefined ? {} : { ca }) }
        const other = await startStandAt(provider, { options: { tlsClientCertificate } })
        try {
          await assertRefused(other, await logIn(other), { code: refused, calls })
        } finally {
          await other.stop()
        }
      })
    })
  }
})

describe('a client with a certificate', () => {
  const stage = createStage({
    provider: { tokenEndpointAuthMethod: 'tls_client_auth', tlsClientCertificateBoundAccessTokens: true },
  })

  it('uses the tokens that are bound to it at UserInfo, at the mTLS alias', async () => {
    await stage.startLoggedIn({ userinfo: true })
    const { provider } = stage
    assert.deepEqual([provider.complaints, provider.calls['/userinfo']], [[], 1])
    const urls = provider.requests.flatMap(({ endpoint, url }) => (endpoint === '/userinfo' ? [url] : []))
    assert.deepEqual(urls, [provider.mtlsEndpointUrls?.['/userinfo']])
    assert.notEqual(urls[0], provider.endpointUrls['/userinfo'])
  })

  it('fails if it does not trust the certificate of the provider', async () => {
    const { cert = '', key = '' } = { ...stage.provider.clientCertificate }
    const app = await stage.start({ tlsClientCertificate: { cert, key } })
    const page = await app.browser().open('/profile')
    assert.deepEqual([page.status, app.errors.map(({ code }) => code)], [503, ['ERR_OIDC_PROVIDER_UNREACHABLE']])
    assert.deepEqual([await app.sessions(), stage.provider.requests.length], [0, 0])
  })
})

describe('a client at oidc-provider', () => {
  const stage = createStage({ app: { errorHandler: 'json' } })

  async function logInAt(provider: TestProvider, options: Partial<AnyOptions>): Promise<number> {
    const app = await stage.start(options, { provider })
    const page = await app.browser().open('/profile')
    assert.deepEqual(app.errors.map(String), [])
    assert.equal(page.json()['sub'], 'alice')
    return await app.sessions()
  }

  async function startWith(options: ProviderOptions): Promise<TestProvider> {
    return stage.stopLater(await startProvider(options))
  }

  for (const method of ['client_secret_basic', 'client_secret_post', 'client_secret_jwt'] as const) {
    it(`authenticates by ${method}`, async () => {
      const provider = await startWith({ client: { token_endpoint_auth_method: method } })
      assert.equal(await logInAt(provider, { tokenEndpointAuthMethod: method }), 1)
    })
  }

  it('does not authenticate with none', async () => {
    const provider = await startWith({ client: { token_endpoint_auth_method: 'none', client_secret: undefined } })
    assert.equal(await logInAt(provider, { clientSecret: '', secret: SEALED }), 1)
  })

  for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA'] as const) {
    it(`authenticates by private_key_jwt with ${alg}`, async () => {
      const provider = await startWith({
        client: {
          token_endpoint_auth_method: 'private_key_jwt',
          token_endpoint_auth_signing_alg: alg,
          jwks: publicKeySet(keys),
          client_secret: undefined,
        },
        configuration: { enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] } },
      })
      const options = {
        clientSecret: '',
        secret: SEALED,
        clientKeys: keys,
        tokenEndpointAuthMethod: 'private_key_jwt',
        tokenEndpointAuthSigningAlg: alg,
      } as Partial<AnyOptions>
      assert.equal(await logInAt(provider, options), 1)
    })
  }
})
