import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import { concealSecrets } from '../../lib/provider/sent-secrets.ts'
import type { TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage, type Stage } from '../support/app/stage.ts'
import { REFRESH_SCOPE } from '../support/hostile/fault-injection.ts'
import type { Endpoint } from '../support/strict-provider/context.ts'

// A provider that repeats in its error what it was sent, in each form that it may have.

let published: unknown[] = []
const listener = (message: unknown): void => void published.push(message)
beforeEach(() => {
  published = []
  subscribe('express-oidc:error', listener)
})
afterEach(() => unsubscribe('express-oidc:error', listener))

const PUBLIC = ['grant_type', 'redirect_uri', 'client_id', 'client_assertion_type', 'scope', 'token_type_hint']

/** The values of a request that are secrets, and the forms in which they were sent. */
function secretsOf({ requests }: Stage['provider'], endpoint: Endpoint): readonly string[] {
  return requests
    .filter((request) => request.endpoint === endpoint)
    .flatMap(({ form, headers }) => [
      ...[...form].flatMap(([name, value]) => (PUBLIC.includes(name) ? [] : [value, encodeURIComponent(value)])),
      ...[headers.authorization?.split(' ')[1] ?? []].flat(),
      ...[headers['dpop'] ?? []].flat(),
    ])
}

/** Repeats the last request to the endpoint in all members of an error. */
function echo(stage: Stage, endpoint: Endpoint, member: 'error' | 'error_description' | 'challenge'): void {
  stage.provider.change.raw[endpoint] = (_req: IncomingMessage, res: ServerResponse) => {
    const last = stage.provider.requests.filter((one) => one.endpoint === endpoint).at(-1)
    const { body = '', form = new URLSearchParams() } = { ...last }
    const headers: IncomingHttpHeaders = last?.headers ?? {}
    const basic = Buffer.from(headers.authorization?.split(' ')[1] ?? '', 'base64').toString('latin1')
    const values = [...form].map(([, value]) => value)
    const text = ['bad request', body, headers.authorization, headers['dpop'], basic, ...values].join(' ')
    const error = { error: 'invalid_request', [member]: text, error_uri: `https://op.example/?${body}` }
    const challenge = `Bearer error="invalid_token", error_description="${text.replace(/[^ -~]|["\\]/g, '')}"`
    res.writeHead(400, {
      'Content-Type': 'application/json',
      ...(member === 'challenge' ? { 'WWW-Authenticate': challenge } : {}),
    })
    res.end(JSON.stringify(member === 'challenge' ? {} : error))
  }
}

function assertConcealed(stage: Stage, endpoint: Endpoint, app?: TestApp): void {
  const secrets = secretsOf(stage.provider, endpoint)
  assert.ok(secrets.length > 0)
  const seen = [...published, ...(app?.errors ?? [])]
  assert.ok(seen.length > 0, 'nothing was published')
  const text = seen.map((message) => inspect(message, { depth: 10, customInspect: false })).join('\n')
  for (const secret of secrets) assert.ok(!text.includes(secret), `a secret was published: ${text}`)
  assert.ok(!text.includes(stage.provider.clientSecret), text)
}

const routes = { '/userinfo': answerJson(({ oidc }) => oidc.userinfo()) }
const app = { errorHandler: 'json', routes } as const
const BY_POST = { tokenEndpointAuthMethod: 'client_secret_post' } as const
const clientSecret = 'a client secret with spaces & signs: ü=+/%'
const STAGES: Readonly<Record<string, Stage>> = {
  client_secret_post: createStage({ provider: BY_POST, app }),
  client_secret_basic: createStage({ app }),
  private_key_jwt: createStage({ provider: { tokenEndpointAuthMethod: 'private_key_jwt' }, app }),
  'client_secret_jwt and DPoP': createStage({
    provider: { tokenEndpointAuthMethod: 'client_secret_jwt', dpop: 'no-nonce' },
    app,
  }),
}

for (const [method, stage] of Object.entries(STAGES)) {
  const options = method === 'client_secret_post' ? BY_POST : {}
  for (const member of ['error', 'error_description', 'challenge'] as const) {
    describe(`an event of a refusal at a client with ${method} that repeats the request in ${member}`, () => {
      it('N-52: holds no secret of a login', async () => {
        echo(stage, '/token', member)
        await (await stage.start(options)).browser().open('/profile')
        assertConcealed(stage, '/token')
      })

      it('N-52: holds no secret of a refresh', async () => {
        stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
        const { app, browser } = await stage.startLoggedIn({ scope: REFRESH_SCOPE, ...options })
        echo(stage, '/token', member)
        await browser.fetch('/access-token')
        assertConcealed(stage, '/token', app)
      })

      it('N-52: holds no access token of UserInfo', async () => {
        const { app, browser } = await stage.startLoggedIn(options)
        echo(stage, '/userinfo', member)
        await browser.fetch('/userinfo')
        assertConcealed(stage, '/userinfo', app)
      })

      it('N-52: holds no token of a revocation', async () => {
        const { browser } = await stage.startLoggedIn(options)
        echo(stage, '/revoke', member)
        await browser.post('/logout', {}, { follow: false })
        assertConcealed(stage, '/revoke')
      })
    })
  }
}

describe('an event of a refused authorization request', () => {
  const stage = createStage({ app })

  it('N-52: holds no token and no nonce that the provider repeats', async () => {
    const hint = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl'
    stage.provider.change.authorizationResponse = (params) => {
      const [request] = stage.provider.authorizationRequests
      return new URLSearchParams({
        state: params.get('state') ?? '',
        iss: params.get('iss') ?? '',
        error: 'invalid_request',
        error_description: `nonce ${request?.get('nonce')} id_token_hint ${hint}`,
      })
    }
    await (await stage.start()).browser().open('/profile')
    const text = inspect(published, { depth: 10, customInspect: false })
    assert.match(text, /nonce \*{8} id_token_hint \*{8}/)
  })
})

describe('concealSecrets()', () => {
  it('N-52: hides each secret in all forms that a provider may send back', () => {
    const forms = [
      clientSecret,
      encodeURIComponent(clientSecret),
      new URLSearchParams([['', clientSecret]]).toString().slice(1),
    ]
    for (const form of forms) assert.equal(concealSecrets(`wrong: ${form}.`, [clientSecret]), 'wrong: ********.')
  })

  it('N-52: hides the longer secret first, and every JWT', () => {
    assert.equal(concealSecrets('abcd-efgh abcd', ['abcd', 'abcd-efgh']), '******** ********')
    assert.equal(concealSecrets('got eyJhbGciOiJub25lIn0.eyJzdWIiOiJqYW5lIn0.', []), 'got ********')
  })

  it('N-52: takes no time that grows with the square of the text', () => {
    for (const part of ['eyJ-', 'eyJaaaaaaaa-', 'eyJ.', '.', 'eyJaaaaaaaa.']) {
      const text = part.repeat(1_000_000 / part.length)
      assert.ok(runInNewContext('conceal()', { conceal: () => concealSecrets(text, ['secret']) }, { timeout: 5000 }))
    }
  })

  it('N-52: takes half of a surrogate pair, and no secret at all', () => {
    assert.equal(concealSecrets('a text', ['\ud800secret', undefined]), 'a text')
  })

  it('N-52: leaves a text without secrets as it is', () => {
    assert.equal(concealSecrets('The code has expired.', ['', 'xyzw']), 'The code has expired.')
  })
})
