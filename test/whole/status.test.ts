import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { afterEach, describe, it, mock } from 'node:test'
import { createUnderWay } from '../../lib/time/under-way.ts'
import { codesOf } from '../support/app/app.ts'
import { createStage } from '../support/app/stage.ts'
import { FaultyStore } from '../support/hostile/fault-injection.ts'

const stage = createStage()

afterEach(() => mock.timers.reset())

describe('auth.status()', () => {
  it('says that nothing is known before the first login, and sends no request', async () => {
    const app = await stage.start({})
    const nothing = { state: 'none', ageSeconds: null, expiresAt: null, lastError: null }
    assert.deepEqual(JSON.parse(JSON.stringify(app.auth.status())), {
      providers: {
        default: {
          issuer: stage.provider.issuer,
          isReachable: null,
          lastError: null,
          endpoints: {},
          metadata: nothing,
          keys: nothing,
          fetchBudget: { keys: null, metadata: null },
        },
      },
      sessionStore: { isReachable: null, lastError: null },
      requestsUnderWay: 0,
      loginsUnderWay: 0,
      isDraining: false,
    })
    assert.equal(stage.provider.calls['/discovery'], 0)
  })

  it('says what is fresh after a login', async () => {
    const { app } = await stage.startLoggedIn({})
    const { providers, sessionStore } = app.auth.status()
    const { isReachable, lastError, metadata, keys, fetchBudget } = providers['default'] ?? assert.fail()
    assert.deepEqual([isReachable, lastError, metadata.state, keys.state], [true, null, 'fresh', 'fresh'])
    assert.deepEqual(fetchBudget, { keys: 5, metadata: 3 })
    assert.equal(sessionStore.isReachable, true)
  })

  it('sends no request and uses no store, also when its copies have expired', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const store = new FaultyStore()
    const { app } = await stage.startLoggedIn({}, { session: { store } })
    const calls = { ...stage.provider.calls }
    const used: string[] = []
    store.act = (name, run) => {
      used.push(name)
      run()
    }
    for (const state of ['fresh', 'expired']) {
      assert.equal(app.auth.status().providers['default']?.keys.state, state)
      await new Promise((resolve) => setImmediate(resolve))
      mock.timers.tick(2 * 86_400_000)
    }
    mock.timers.reset()
    assert.deepEqual([stage.provider.calls, used], [calls, []])
  })

  it('does not count a refusal as an outage, and holds no secret', async () => {
    const app = await stage.start({ clientSecret: 'a wrong secret that nobody registered' })
    await app.browser().open('/login')
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_REQUEST'])
    const status = app.auth.status()
    assert.equal(status.providers['default']?.isReachable, true)
    assert.doesNotMatch(JSON.stringify(status), /wrong secret|code=|state=/)
  })

  it('says that metadata comes from the options', async () => {
    const { issuer } = stage.provider
    const endpoints = { authorization_endpoint: `${issuer}/a`, token_endpoint: `${issuer}/t`, jwks_uri: `${issuer}/k` }
    const app = await stage.start({ providerMetadata: { issuer, ...endpoints } })
    assert.equal(app.auth.status().providers['default']?.metadata.state, 'configured')
    await app.auth.ready().catch(() => undefined)
    const { metadata, fetchBudget } = app.auth.status().providers['default'] ?? assert.fail()
    assert.deepEqual([metadata.state, fetchBudget], ['configured', { keys: 5, metadata: null }])
  })
})

describe('auth.drain()', () => {
  it('waits for a login that is under way, and counts it until then', async () => {
    const app = await stage.start({})
    let answer = (): void => undefined
    const asked = new Promise<void>((resolve) => {
      stage.provider.change.raw['/discovery'] = (_req, res) => {
        answer = () => void res.writeHead(503).end()
        resolve()
      }
    })
    const login = app.browser().open('/login')
    await asked
    assert.deepEqual([app.auth.status().requestsUnderWay, app.auth.status().loginsUnderWay], [1, 1])
    let isOver = false
    const drained = app.auth.drain().finally(() => {
      isOver = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([isOver, app.auth.status().isDraining], [false, true])
    answer()
    await login
    assert.deepEqual(await drained, { requestsUnderWay: 0 })
    assert.equal(app.auth.status().loginsUnderWay, 0)
    Reflect.deleteProperty(stage.provider.change.raw, '/discovery')
    // Requests that come later still work.
    assert.equal((await app.browser().open('/profile')).status, 200)
  })

  it('resolves when its time is over, and says what is left', async () => {
    const app = await stage.start({})
    const asked = new Promise<ServerResponse>((resolve) => {
      stage.provider.change.raw['/discovery'] = (_req, res) => resolve(res)
    })
    const login = app.browser().open('/login')
    const res = await asked
    assert.deepEqual(await app.auth.drain({ seconds: 0 }), { requestsUnderWay: 1 })
    res.writeHead(503).end()
    await login
    Reflect.deleteProperty(stage.provider.change.raw, '/discovery')
  })

  it('closes the connections to the provider', async () => {
    const sockets = new Set<Socket>()
    const { port } = new URL(stage.provider.issuer)
    const collect = (message: unknown): void => {
      const { socket } = message as { socket: Socket }
      if (socket.localPort === Number(port)) sockets.add(socket)
    }
    subscribe('http.server.request.start', collect)
    const app = await stage.start({})
    await app.auth.ready()
    unsubscribe('http.server.request.start', collect)
    const open = [...sockets].filter(({ destroyed }) => !destroyed)
    assert.ok(open.length > 0)
    const closed = Promise.all(open.map((socket) => once(socket, 'close')))
    await app.auth.drain()
    await closed
  })

  for (const seconds of [-1, Number.NaN, 3601, Number.POSITIVE_INFINITY]) {
    it(`refuses to wait for ${seconds} seconds`, async () => {
      const app = await stage.start({})
      await assert.rejects(app.auth.drain({ seconds }), { code: 'ERR_OIDC_CONFIG' })
    })
  }
})

describe('work under way', () => {
  it('is counted by its kind, also if it fails', async () => {
    const underWay = createUnderWay()
    let fail = (_error: Error): void => undefined
    const failing = underWay.run(
      'login',
      () =>
        new Promise<void>((_, reject) => {
          fail = reject
        }),
    )
    assert.deepEqual([underWay.count(), underWay.count('login'), underWay.count('logout')], [1, 1, 0])
    const ended = Promise.all([underWay.ended(60), underWay.ended(60)])
    fail(new Error('no'))
    await assert.rejects(failing)
    assert.deepEqual(await ended, [0, 0])
    assert.equal(underWay.count('login'), 0)
  })
})
