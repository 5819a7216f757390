import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { after, before, beforeEach, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { publish } from '../../lib/events.ts'
import { type Events, OidcError } from '../../lib/index.ts'
import type { TestApp } from '../support/app/app.ts'
import { moduleUrl, NODE_ARGS } from '../support/app/project.ts'
import { createStage } from '../support/app/stage.ts'
import { isCallback } from '../support/app/url-predicates.ts'
import type { Changes, JsonChange } from '../support/strict-provider/context.ts'

type Name = keyof Events

const NAMES: readonly Name[] = [
  'express-oidc:login-start',
  'express-oidc:login',
  'express-oidc:logout',
  'express-oidc:denied',
  'express-oidc:error',
  'express-oidc:provider',
]

const stage = createStage({ app: { errorHandler: 'json' } })
const { start } = stage
let seen: { readonly name: Name; readonly message: unknown }[] = []
const listeners = NAMES.map((name) => [name, (message: unknown) => void seen.push({ name, message })] as const)

before(() => {
  for (const [name, listener] of listeners) subscribe(name, listener)
})
beforeEach(() => {
  seen = []
})
after(() => {
  for (const [name, listener] of listeners) unsubscribe(name, listener)
})

function messagesOf<Event extends Name>(name: Event): readonly Events[Event][] {
  return seen.filter((one) => one.name === name).map(({ message }) => message as Events[Event])
}

describe('the events', () => {
  it('report the start and the end of a login', async () => {
    const app = await start({ scope: 'openid' })
    await app.browser().open('/profile?a=1')
    const { issuer } = stage.provider
    assert.deepEqual(messagesOf('express-oidc:login-start'), [{ provider: 'default', issuer, path: '/profile' }])
    assert.deepEqual(messagesOf('express-oidc:login'), [
      { provider: 'default', issuer, sub: 'user-subject', scope: 'openid' },
    ])
    assert.deepEqual(messagesOf('express-oidc:error'), [])
  })

  it('report a logout with its user', async () => {
    const app = await start()
    const browser = app.browser()
    await browser.open('/profile')
    await browser.post('/logout')
    await browser.post('/logout')
    const { issuer } = stage.provider
    assert.deepEqual(messagesOf('express-oidc:logout'), [
      { provider: 'default', how: 'application', issuer, sub: 'user-subject' },
      { provider: 'default', how: 'application', issuer: undefined, sub: undefined },
    ])
  })

  it('report a denied request without its query', async () => {
    const app = await start()
    const browser = app.browser()
    await browser.fetch('/profile?token=s3cret')
    await browser.open('/profile')
    await browser.open('/reports')
    await browser.open('/admin')
    assert.deepEqual(messagesOf('express-oidc:denied'), [
      { code: 'ERR_OIDC_LOGIN_REQUIRED', path: '/profile' },
      { code: 'ERR_OIDC_LOGIN_REQUIRED', path: '/profile' },
      { code: 'ERR_OIDC_INSUFFICIENT_SCOPE', path: '/reports' },
      { code: 'ERR_OIDC_INSUFFICIENT_CLAIM', path: '/admin' },
    ])
  })

  it('report requests to the provider without their query, with their duration', async () => {
    const app = await start({ userinfo: true })
    await app.browser().open('/profile')
    const { endpointUrls } = stage.provider
    assert.deepEqual(
      messagesOf('express-oidc:provider').map(({ method, url, outcome }) => [method, url, outcome]),
      [
        ['GET', endpointUrls['/discovery'], 200],
        ['POST', endpointUrls['/token'], 200],
        ['GET', endpointUrls['/jwks'], 200],
        ['GET', endpointUrls['/userinfo'], 200],
      ],
    )
    assert.ok(messagesOf('express-oidc:provider').every(({ milliseconds }) => milliseconds >= 0))
  })

  it('report a provider that does not respond', async () => {
    stage.provider.change.raw['/discovery'] = (_req, res) => void res.destroy()
    await (await start()).browser().open('/login')
    const [event] = messagesOf('express-oidc:provider')
    assert.equal(event?.outcome, 'ERR_OIDC_PROVIDER_UNREACHABLE')
  })

  it('report a failed route with the error that is passed to next', async () => {
    const app = await start()
    await app.browser().open('/callback?code=x&state=y')
    const [event] = messagesOf('express-oidc:error')
    assert.equal(event?.code, 'ERR_OIDC_TRANSACTION_MISSING')
    assert.equal(event?.error, app.errors[0])
  })

  it('report a route that failed with an error of the application', async () => {
    const afterLogin = (): never => {
      throw new RangeError('no such user')
    }
    await (await start({ hooks: { afterLogin } })).browser().open('/profile')
    const [event] = messagesOf('express-oidc:error')
    assert.equal(event?.code, 'unknown')
    assert.match(String(event?.error), /no such user/)
  })

  it('create no message without a subscriber', () => {
    for (const [name, listener] of listeners) unsubscribe(name, listener)
    try {
      publish['express-oidc:logout'](() => assert.fail('the message is made'))
    } finally {
      for (const [name, listener] of listeners) subscribe(name, listener)
    }
  })

  it('are printed by NODE_DEBUG=oidc', () => {
    const script = `const { publish } = await import(${JSON.stringify(moduleUrl('lib/events.ts'))})
      publish['express-oidc:logout'](() => ({ issuer: 'https://op.test', sub: 'alice' }))`
    const print = (debug: string): string => {
      const env = { ...process.env, NODE_DEBUG: debug }
      const flags = [...NODE_ARGS, '--input-type=module', '--eval', script]
      return spawnSync(process.execPath, flags, { env, encoding: 'utf8' }).stderr
    }
    assert.match(print('oidc'), /^OIDC \d+: express-oidc:logout \{ issuer: 'https:\/\/op\.test', sub: 'alice' \}/m)
    assert.doesNotMatch(print('other'), /express-oidc/)
  })
})

/** Every secret that was sent in the test. */
interface Secrets {
  readonly values: Set<string>
  /** Records the token response, after the change under test. */
  watchTokens(change?: JsonChange): JsonChange
}

function createSecrets(): Secrets {
  const values = new Set([stage.provider.clientSecret, Buffer.from(stage.provider.clientSecret).toString('base64')])
  const watchTokens =
    (change?: JsonChange): JsonChange =>
    (json, answer) => {
      for (const name of ['access_token', 'refresh_token', 'id_token']) {
        if (typeof json[name] === 'string') values.add(json[name])
      }
      return change ? change(json, answer) : json
    }
  return { values, watchTokens }
}

function collectSecrets({ values }: Secrets, app: TestApp): void {
  for (const { form, query, headers } of stage.provider.requests) {
    for (const name of ['code', 'code_verifier', 'state', 'nonce', 'id_token_hint']) {
      for (const value of [...form.getAll(name), ...query.getAll(name)]) values.add(value)
    }
    if (headers.authorization !== undefined) values.add(headers.authorization.split(' ')[1] ?? '')
  }
  assert.ok(values.size > 5, String(app.errors))
}

function assertHoldsNone(value: unknown, secrets: Secrets, name: string): void {
  const text = inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true, maxStringLength: null })
  for (const secret of secrets.values) assert.ok(!text.includes(secret), `${name} holds ${secret}:\n${text}`)
}

describe('no secret, code or token is in', () => {
  it('the events of a successful login and logout', async () => {
    const secrets = createSecrets()
    stage.provider.change.tokenResponse = secrets.watchTokens()
    const app = await start({ scope: 'openid email offline_access', userinfo: true })
    const browser = app.browser()
    await browser.open('/profile')
    await browser.open('/admin')
    await browser.post('/logout')
    collectSecrets(secrets, app)
    assert.equal(new Set(seen.map(({ name }) => name)).size, NAMES.length - 1)
    assertHoldsNone(seen, secrets, 'an event')
  })

  type Failure = Pick<Changes, 'idToken' | 'idTokenClaims' | 'idTokenHeader' | 'userinfo' | 'jwks'> & {
    readonly token?: JsonChange
    readonly raw?: Changes['raw']
  }
  const failures: readonly (readonly [name: string, failure: Failure])[] = [
    ['a refusal by the token endpoint', { token: fail(400, ({ code }) => ({ error: 'invalid_grant', code })) }],
    ['a refusal in a challenge', { token: fail(401, () => ({ error: 'invalid_client' }), 'Basic realm="x"') }],
    ['a refusal without a body', { token: fail(403, () => '') }],
    ['a failure of the token endpoint', { token: fail(500, (json) => json) }],
    ['a token response that is no JSON', { token: (json) => `${JSON.stringify(json)}}` }],
    ['a token response that is cut off', { token: (json) => JSON.stringify(json).slice(0, -2) }],
    ['a token response that is a list', { token: (json) => [json] }],
    ['a token response without a type', { token: ({ token_type: _, ...json }) => json }],
    ['a token response of another type', { token: (json) => ({ ...json, token_type: 'DPoP' }) }],
    ['a token response with a type that is a number', { token: (json) => ({ ...json, token_type: 7 }) }],
    ['a token response without an access token', { token: ({ access_token: _, ...json }) => json }],
    ['a token response with a wrong lifetime', { token: (json) => ({ ...json, expires_in: 'soon' }) }],
    ['a token response with a negative lifetime', { token: (json) => ({ ...json, expires_in: -1 }) }],
    ['a token response with a wrong scope', { token: (json) => ({ ...json, scope: 7 }) }],
    ['a token response with a wrong refresh token', { token: (json) => ({ ...json, refresh_token: 7 }) }],
    ['a token response without an ID Token', { token: ({ id_token: _, ...json }) => json }],
    ['an ID Token that is a number', { token: (json) => ({ ...json, id_token: 7 }) }],
    ['an ID Token that is none', { idToken: (jwt) => `${jwt}.x` }],
    ['an ID Token with another signature', { idToken: (jwt) => `${jwt.slice(0, -8)}AAAAAAAA` }],
    ['an ID Token with another nonce', { idTokenClaims: (claims) => ({ ...claims, nonce: 'x'.repeat(43) }) }],
    ['an ID Token with another at_hash', { idTokenClaims: (claims) => ({ ...claims, at_hash: 'x' }) }],
    ['an ID Token with another algorithm', { idTokenHeader: (header) => ({ ...header, alg: 'none' }) }],
    ['keys that are out of reach', { jwks: fail(500, () => ({})) }],
    ['UserInfo about another person', { userinfo: (json) => ({ ...json, sub: 'mallory' }) }],
    ['UserInfo that refuses', { userinfo: fail(401, () => ({}), 'Bearer error="invalid_token"') }],
    ['UserInfo that is no JSON', { userinfo: () => '{' }],
    ['a token endpoint that hangs up', { raw: { '/token': (_req, res) => void res.destroy() } }],
    ['a token endpoint that does not speak HTTP', { raw: { '/token': (req) => void req.socket.end('SSH-2.0\r\n') } }],
    ['a UserInfo endpoint that hangs up', { raw: { '/userinfo': (_req, res) => void res.destroy() } }],
  ]

  for (const [name, { token, ...changes }] of failures) {
    it(`the error after ${name}, nor in the events`, async () => {
      const secrets = createSecrets()
      Object.assign(stage.provider.change, { ...changes, tokenResponse: secrets.watchTokens(token) })
      const app = await start({ scope: 'openid email offline_access', userinfo: true })
      const browser = app.browser()
      const { next } = await browser.open('/profile', { stopBefore: isCallback })
      const page = await browser.go(next)
      assert.ok(page.status >= 400)
      secrets.values.add(new URL(next?.url ?? '').searchParams.get('code') ?? '')
      collectSecrets(secrets, app)
      assert.ok(app.errors[0] instanceof OidcError)
      assert.equal(seen.filter((one) => one.name === 'express-oidc:error').length, 1)
      assertHoldsNone(seen, secrets, 'an event')
      assertHoldsNone(app.errors, secrets, 'an error')
      assertHoldsNone([page.body, page.headers], secrets, 'the response')
    })
  }

  it('the error after a callback without a login', async () => {
    const app = await start({ scope: 'openid' })
    const secrets = createSecrets()
    const values = { code: 'c0de-of-somebody', state: 'st4te-of-somebody', iss: 'https://1ss.test', id_token: 't0ken' }
    for (const value of Object.values(values)) secrets.values.add(value)
    await app.browser().open(`/callback?${new URLSearchParams(values)}`)
    await app.browser().open(`/callback?${new URLSearchParams({ ...values, state: '' })}`)
    await app.browser().open('/callback?code=c0de-of-somebody&code=c0de-of-somebody')
    const browser = app.browser()
    const { next } = await browser.open('/login', { stopBefore: isCallback })
    const url = new URL(next?.url ?? '')
    for (const name of ['iss', 'id_token'] as const) url.searchParams.set(name, values[name])
    await browser.go({ method: 'GET', url: url.href })
    assert.equal(app.errors.length, 4)
    assertHoldsNone([seen, app.errors], secrets, 'an error')
  })
})

/** A response with this status, made from the valid one. */
function fail(status: number, make: (json: Record<string, unknown>) => unknown, challenge?: string): JsonChange {
  return (json, answer) => {
    answer.status = status
    if (challenge !== undefined) answer.headers['WWW-Authenticate'] = challenge
    return make(json)
  }
}
