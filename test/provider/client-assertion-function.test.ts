import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { importJWK, SignJWT } from 'jose'
import { type ClientAssertionRequest, OidcError, type PrivateJwk } from '../../lib/index.ts'
import { authenticateClient } from '../../lib/provider/client-authentication.ts'
import { codesOf } from '../support/app/app.ts'
import { createStage } from '../support/app/stage.ts'

const SECRET = 'a secret for the cookies of a test'

const stage = createStage({
  provider: { tokenEndpointAuthMethod: 'private_key_jwt', tokenEndpointAuthSigningAlg: 'ES256' },
  app: { errorHandler: 'json' },
})

/** Signs with the key that the provider knows, as a key management service does: the app has no key. */
async function signElsewhere({ audience, clientId }: ClientAssertionRequest): Promise<string> {
  const keys: readonly PrivateJwk[] = stage.provider.clientOptions.clientKeys ?? []
  const jwk = keys.find(({ kty }) => kty === 'EC')
  assert.ok(jwk)
  const now = Math.floor(Date.now() / 1000)
  return await new SignJWT({
    iss: clientId,
    sub: clientId,
    aud: audience,
    jti: crypto.randomUUID(),
    iat: now,
    exp: now + 60,
  })
    .setProtectedHeader({ alg: 'ES256', ...(typeof jwk.kid === 'string' ? { kid: jwk.kid } : {}) })
    .sign(await importJWK({ ...jwk }, 'ES256'))
}

describe('clientAssertion', () => {
  it('authenticates the client at each request, without a key in the process', async () => {
    const requests: ClientAssertionRequest[] = []
    const clientAssertion = (request: ClientAssertionRequest): Promise<string> => {
      requests.push(request)
      return signElsewhere(request)
    }
    const app = await stage.start({
      clientKeys: undefined,
      tokenEndpointAuthSigningAlg: undefined,
      secret: SECRET,
      clientAssertion,
      scope: 'openid offline_access',
    } as never)
    const page = await app.browser().open(`${app.baseUrl}/profile`)
    assert.deepEqual([page.status, codesOf(app), stage.provider.complaints], [200, [], []])
    assert.deepEqual(
      requests.map(({ audience, clientId }) => [audience, clientId]),
      [[stage.provider.issuer, stage.provider.clientId]],
    )
  })
})

/** The client authentication of the token endpoint with this function. */
async function authenticateWith(clientAssertion: unknown, timeout = 5): ReturnType<typeof authenticateClient> {
  const config = {
    ...{ issuer: 'https://op.test', clientId: 'client', tokenEndpointAuthMethod: 'private_key_jwt', timeout },
    clientAssertion,
  }
  const client = { config, metadata: {}, clientKeys: { signingKey: () => undefined, publicJwks: { keys: [] } } }
  return await authenticateClient(client as never, 'https://op.test/token')
}

describe('a client assertion that is refused', () => {
  const RETURNED: readonly (readonly [name: string, value: unknown])[] = [
    ['undefined', undefined],
    ['empty text', ''],
    ['an object', { assertion: 'a.b.c' }],
    ['bytes', Buffer.from('a.b.c')],
    ['a line break at the end', 'a.b.c\n'],
    ['a space in front', ' a.b.c'],
    ['two parts', 'a.b'],
    ['five parts, as of a JWE', 'a.b.c.d.e'],
    ['no signature', 'a.b.'],
    ['a part that is no base64url', 'a.b=.c'],
    ['more than 16384 characters', `a.b.${'c'.repeat(16_384)}`],
  ]
  for (const [name, value] of RETURNED) {
    it(name, async () => {
      await assert.rejects(
        authenticateWith(async () => value),
        { code: 'ERR_OIDC_CLIENT_ASSERTION', status: 500 },
      )
    })
  }

  it('is the status 503 for a function that throws, now or later, with its error as the cause', async () => {
    const cause = new Error('The vault is sealed.')
    const throwing = (): never => {
      throw cause
    }
    for (const fail of [throwing, async () => throwing()]) {
      await assert.rejects(authenticateWith(fail), { code: 'ERR_OIDC_CLIENT_ASSERTION', status: 503, cause })
    }
  })

  it('is the status 503 for a function that never returns, whose signal aborts', async (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] })
    let signal: AbortSignal | undefined
    const hanging = (request: ClientAssertionRequest): Promise<never> => {
      signal = request.signal
      return new Promise(() => undefined)
    }
    const result = authenticateWith(hanging).catch((error: unknown) => error)
    for (let turn = 0; turn < 10 && signal === undefined; turn++) await Promise.resolve()
    context.mock.timers.tick(5001)
    const error = await result
    assert.ok(error instanceof OidcError)
    assert.deepEqual([error.code, error.status, signal?.aborted], ['ERR_OIDC_CLIENT_ASSERTION', 503, true])
  })

  it('does not appear in the error', async () => {
    const error: unknown = await authenticateWith(async () => 'a-secret-assertion').catch((reason: unknown) => reason)
    assert.ok(!String(error).includes('a-secret-assertion'))
  })
})
