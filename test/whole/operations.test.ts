import assert from 'node:assert/strict'
import { tracingChannel } from 'node:diagnostics_channel'
import { after, before, beforeEach, describe, it } from 'node:test'
import { inspect } from 'node:util'
import type { Operations } from '../../lib/index.ts'
import { traced } from '../../lib/operations.ts'
import { createStage } from '../support/app/stage.ts'
import { REFRESH_SCOPE } from '../support/hostile/fault-injection.ts'

const NAMES: readonly (keyof Operations)[] = [
  'express-oidc:login',
  'express-oidc:callback',
  'express-oidc:logout',
  'express-oidc:refresh',
  'express-oidc:token-request',
  'express-oidc:key-fetch',
  'express-oidc:metadata-fetch',
  'express-oidc:request',
  'express-oidc:store',
  'express-oidc:shared-state',
  'express-oidc:lock',
]

const stage = createStage()
let started: { readonly name: string; readonly message: object }[] = []
let ended: object[] = []
const nothing = (): void => undefined
const subscribers = NAMES.map((name) => {
  const start = (message: object): void => void started.push({ name, message })
  const asyncEnd = (message: object): void => void ended.push(message)
  return { name, handlers: { start, asyncEnd, end: nothing, asyncStart: nothing, error: nothing } }
})

before(() => {
  for (const { name, handlers } of subscribers) tracingChannel(name).subscribe(handlers)
})
after(() => {
  for (const { name, handlers } of subscribers) tracingChannel(name).unsubscribe(handlers)
})
beforeEach(() => {
  started = []
  ended = []
})

function messagesOf(name: keyof Operations): readonly object[] {
  return started.filter((one) => one.name === name).map(({ message }) => message)
}

describe('the operations', () => {
  it('have a start and an end each, from a login to its logout', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { browser } = await stage.startLoggedIn({ scope: REFRESH_SCOPE })
    await browser.fetch('/access-token')
    await browser.post('/logout')
    assert.deepEqual([...new Set(started.map(({ name }) => name))].sort(), [...NAMES.filter(isAlwaysThere)].sort())
    assert.deepEqual(new Set(ended), new Set(started.map(({ message }) => message)))
    assert.equal(ended.length, started.length)
  })

  it('have one login id from the start of a login to its end, which does not tell the state', async () => {
    await stage.startLoggedIn({})
    const [[login = {}], [callback = {}]] = [messagesOf('express-oidc:login'), messagesOf('express-oidc:callback')]
    const id = Reflect.get(login, 'loginId')
    assert.match(id, /^[\da-f]{32}$/)
    assert.equal(Reflect.get(callback, 'loginId'), id)
    assert.deepEqual([Reflect.get(login, 'provider'), Reflect.get(login, 'route')], ['default', '/login'])
    await stage.startLoggedIn({})
    assert.notEqual(Reflect.get(messagesOf('express-oidc:login')[1] ?? {}, 'loginId'), id)
  })

  it('hold no token, code, secret, cookie or sub', async () => {
    const { browser, app } = await stage.startLoggedIn({ scope: REFRESH_SCOPE })
    await browser.fetch('/access-token')
    const text = inspect(started, { depth: 9 })
    assert.doesNotMatch(text, /eyJ|code=|state=|nonce|Bearer|Set-Cookie/i)
    for (const error of app.errors) assert.fail(error)
    assert.doesNotMatch(text, /result: \{/)
  })

  it('say what they failed with', async () => {
    stage.provider.change.raw['/token'] = (_req, res) => void res.writeHead(500).end()
    const app = await stage.start({})
    await app.browser().open('/login')
    Reflect.deleteProperty(stage.provider.change.raw, '/token')
    const [callback = {}] = messagesOf('express-oidc:callback')
    assert.equal(Reflect.get(Reflect.get(callback, 'error'), 'code'), 'ERR_OIDC_PROVIDER_STATUS')
    const statuses = messagesOf('express-oidc:request').map((message) => Reflect.get(message, 'status'))
    assert.deepEqual(statuses, [200, 500])
  })

  it('are none for a guarded request, so it costs nothing more', async () => {
    const { browser } = await stage.startLoggedIn({})
    started = []
    assert.equal((await browser.open('/profile')).status, 200)
    assert.deepEqual(started, [])
  })

  it('do not call describe() without a subscriber', async () => {
    for (const { name, handlers } of subscribers) tracingChannel(name).unsubscribe(handlers)
    const value = await traced(
      'express-oidc:lock',
      () => assert.fail(),
      async (operation) => operation ?? 'nobody',
    )
    for (const { name, handlers } of subscribers) tracingChannel(name).subscribe(handlers)
    assert.equal(value, 'nobody')
  })
})

/** The shared state is an option. */
function isAlwaysThere(name: string): boolean {
  return name !== 'express-oidc:shared-state'
}
