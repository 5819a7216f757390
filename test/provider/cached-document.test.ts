import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { ProviderError } from '../../lib/errors.ts'
import type { Events } from '../../lib/events.ts'
import { type CachedDocument, createCachedDocument, type DocumentLabel } from '../../lib/provider/cached-document.ts'
import { moduleUrl, NODE_ARGS } from '../support/app/project.ts'

/** A document whose copies are numbered, from an endpoint that can be set up in between. */
function startDocument(headers: Record<string, string> = {}, label?: DocumentLabel) {
  const endpoint = { fetches: 0, headers, fault: undefined as Error | undefined, answer: Promise.resolve() }
  const document: CachedDocument<number> = createCachedDocument({
    label,
    load: async () => {
      endpoint.fetches += 1
      await endpoint.answer
      if (endpoint.fault !== undefined) throw endpoint.fault
      return { value: endpoint.fetches, headers: new Headers(endpoint.headers) }
    },
  })
  return { document, endpoint }
}

function passSeconds(seconds: number): void {
  mock.timers.tick(seconds * 1000)
}

/** Lets a fetch that has its answer end. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
}

/** Calls `act`, and returns the events of this channel meanwhile. */
async function eventsOf<Name extends keyof Events>(name: Name, act: () => Promise<void>): Promise<Events[Name][]> {
  const events: Events[Name][] = []
  const listener = (event: unknown): void => void events.push(event as Events[Name])
  subscribe(name, listener)
  await act().finally(() => unsubscribe(name, listener))
  return events
}

describe('a cached document', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 }))
  afterEach(() => mock.timers.reset())

  it('is not fetched before its first use', async () => {
    const { document, endpoint } = startDocument()
    assert.equal(endpoint.fetches, 0)
    assert.equal(await document.get(), 1)
  })

  it('is fetched once for simultaneous calls', async () => {
    const { document, endpoint } = startDocument()
    const values = await Promise.all([document.get(), document.renew(), document.get(), document.renew()])
    assert.deepEqual(values, [1, 1, 1, 1])
    assert.equal(endpoint.fetches, 1)
  })

  const lives: readonly [string, Record<string, string>, number][] = [
    ['an hour without a header', {}, 3600],
    ['as long as max-age says', { 'Cache-Control': 'public, max-age=7200, must-revalidate' }, 7200],
    ['as long as max-age says in any spelling', { 'Cache-Control': 'Max-Age="7200"' }, 7200],
    ['max-age less Age', { 'Cache-Control': 'max-age=7200', Age: '200' }, 7000],
    ['max-age where Age is no number', { 'Cache-Control': 'max-age=7200', Age: 'old' }, 7200],
    ['a minute at least', { 'Cache-Control': 'max-age=0' }, 60],
    ['a minute at least where Age is more than max-age', { 'Cache-Control': 'max-age=100', Age: '100000' }, 60],
    ['a minute with no-store', { 'Cache-Control': 'no-store, max-age=7200' }, 60],
    ['a minute with no-cache', { 'Cache-Control': 'max-age=7200, no-cache' }, 60],
    ['a day at most', { 'Cache-Control': 'max-age=3885115' }, 86_400],
    ['a day at most for a number without end', { 'Cache-Control': `max-age=${'9'.repeat(400)}` }, 86_400],
    ['an hour where max-age is no number', { 'Cache-Control': 'max-age=soon' }, 3600],
    ['an hour where max-age is negative', { 'Cache-Control': 'max-age=-1' }, 3600],
    ['an hour where only shared caches are told', { 'Cache-Control': 's-maxage=5' }, 3600],
  ]
  for (const [name, headers, life] of lives) {
    it(`is cached ${name}`, async () => {
      const { document, endpoint } = startDocument(headers)
      await document.get()
      document.stop()
      passSeconds(Math.floor(life * 0.69))
      await document.get()
      assert.equal(endpoint.fetches, 1)
      assert.equal(document.status().expiresAt, 1_800_000_000 + life)
      passSeconds(life - Math.floor(life * 0.69))
      assert.equal(await document.get(), 2)
    })
  }

  it('is cached within given bounds', async () => {
    let fetches = 0
    const load = async () => ({ value: ++fetches, headers: new Headers() })
    const document = createCachedDocument({ load, bounds: { unstated: 5 } })
    await document.get()
    passSeconds(5)
    assert.equal(await document.get(), 2)
  })

  it('does not cache a failure', async () => {
    const { document, endpoint } = startDocument()
    endpoint.fault = new Error('down')
    await assert.rejects(document.get(), endpoint.fault)
    endpoint.fault = undefined
    assert.equal(await document.get(), 2)
  })

  it('does not cache an error that is thrown synchronously', async () => {
    const document = createCachedDocument({
      load: () => {
        throw new Error('at once')
      },
    })
    await assert.rejects(document.get(), /at once/)
    await assert.rejects(document.renew(), /at once/)
  })

  it('returns the last good copy while it cannot be renewed, and retries every 30 seconds', async () => {
    const { document, endpoint } = startDocument()
    await document.get()
    endpoint.fault = new Error('down')
    passSeconds(3600)
    assert.equal(await document.get(), 1)
    assert.equal(endpoint.fetches, 2)
    passSeconds(29)
    assert.equal(await document.get(), 1)
    assert.equal(endpoint.fetches, 2)
    passSeconds(1)
    assert.equal(await document.get(), 1)
    assert.equal(endpoint.fetches, 3)
    await settle()
    endpoint.fault = undefined
    passSeconds(30)
    // Nobody waits during an outage. The next call has the new copy.
    assert.equal(await document.get(), 1)
    await settle()
    assert.equal(await document.get(), 4)
    assert.equal(endpoint.fetches, 4)
  })

  it('fails if the copy could not be renewed for a week', async () => {
    const { document, endpoint } = startDocument()
    await document.get()
    endpoint.fault = new Error('down')
    passSeconds(604_799)
    assert.equal(await document.get(), 1)
    passSeconds(1)
    await assert.rejects(document.get(), endpoint.fault)
  })

  it('is fetched again by renew(), whatever its age', async () => {
    const { document } = startDocument()
    await document.get()
    assert.equal(await document.renew(), 2)
    assert.equal(await document.get(), 2)
  })

  it('keeps its copy if renew() fails', async () => {
    const { document, endpoint } = startDocument()
    await document.get()
    endpoint.fault = new Error('down')
    await assert.rejects(document.renew(), endpoint.fault)
    assert.equal(await document.get(), 1)
  })

  it('is fetched again if the clock was set back', async () => {
    const { document } = startDocument()
    await document.get()
    mock.timers.setTime(1_700_000_000_000)
    assert.equal(await document.get(), 2)
    assert.equal(await document.get(), 2)
  })

  it('N-16: shares a failure between attempts that become rarer, without a copy too', async () => {
    const { document, endpoint } = startDocument()
    endpoint.fault = new Error('down')
    const attempts: number[] = []
    for (let tenths = 0; tenths < 100; tenths += 1) {
      const before = endpoint.fetches
      await Promise.all(Array.from({ length: 20 }, () => assert.rejects(document.get(), endpoint.fault)))
      if (endpoint.fetches > before) attempts.push(tenths / 10)
      passSeconds(0.1)
    }
    assert.deepEqual(attempts, [0, 0.1, 0.2, 0.5, 1, 2, 4, 6, 8])
    endpoint.fault = undefined
    passSeconds(2)
    assert.equal(await document.get(), 10)
  })

  for (const hasCopy of [true, false]) {
    it(`N-16: sends no request before Retry-After is over, ${hasCopy ? 'with' : 'without'} a copy`, async () => {
      const { document, endpoint } = startDocument()
      if (hasCopy) await document.get()
      endpoint.fault = new ProviderError('ERR_OIDC_PROVIDER_BUSY', 'busy', { retryAfter: 45 })
      await assert.rejects(document.renew(), endpoint.fault)
      await assert.rejects(document.renew(), endpoint.fault)
      const { fetches } = endpoint
      passSeconds(44)
      await assert.rejects(document.renew(), endpoint.fault)
      await document.get().catch(() => undefined)
      assert.equal(endpoint.fetches, fetches)
      endpoint.fault = undefined
      passSeconds(1)
      assert.equal(await document.renew(), fetches + 1)
    })
  }

  it('N-16: waits a minute at most, whatever Retry-After says', async () => {
    const { document, endpoint } = startDocument()
    endpoint.fault = new ProviderError('ERR_OIDC_PROVIDER_BUSY', 'busy', { retryAfter: 3600 })
    await assert.rejects(document.get(), endpoint.fault)
    await assert.rejects(document.get(), endpoint.fault)
    endpoint.fault = undefined
    passSeconds(60)
    assert.equal(await document.get(), 3)
  })
})

describe('the renewal of a cached document in the background (KR-4)', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_800_000_000_000 }))
  afterEach(() => mock.timers.reset())

  it('keeps no call waiting for a slow provider', async () => {
    const { document, endpoint } = startDocument()
    await document.get()
    let answer = (): void => undefined
    endpoint.answer = new Promise((resolve) => {
      answer = resolve
    })
    passSeconds(2880)
    assert.equal(endpoint.fetches, 2)
    // The slow fetch has not ended, and the copy serves.
    assert.equal(await document.get(), 1)
    answer()
    await settle()
    assert.equal(await document.get(), 2)
    assert.equal(endpoint.fetches, 2)
  })

  it('goes on for as long as the document is used, so that no call ever waits', async () => {
    const { document, endpoint } = startDocument({ 'Cache-Control': 'max-age=600' })
    await document.get()
    for (let call = 0; call < 50; call += 1) {
      // The longest time between two calls in which an application is not idle.
      for (let minute = 0; minute < 59; minute += 1) {
        passSeconds(60)
        await settle()
      }
      const before = endpoint.fetches
      endpoint.answer = new Promise(() => undefined)
      const value = await Promise.race([document.get(), settle().then(() => 'has waited')])
      assert.equal(value, before)
      endpoint.answer = Promise.resolve()
      assert.equal(endpoint.fetches, before)
    }
  })

  it('sends nothing before the first use, and nothing more once the application is idle', async () => {
    const { document, endpoint } = startDocument({ 'Cache-Control': 'max-age=60' })
    passSeconds(86_400)
    assert.equal(endpoint.fetches, 0)
    await document.get()
    for (let minute = 0; minute < 65; minute += 1) {
      passSeconds(60)
      await settle()
    }
    const { fetches } = endpoint
    assert.ok(fetches > 50 && fetches < 100, `${fetches} fetches in an hour`)
    for (let hour = 0; hour < 100; hour += 1) {
      passSeconds(3600)
      await settle()
    }
    assert.equal(endpoint.fetches, fetches)
  })

  it('lets the next use wait after the application was idle: the copy was expired long ago', async () => {
    const { document } = startDocument()
    await document.get()
    passSeconds(2880)
    await settle()
    passSeconds(100_000)
    await settle()
    assert.equal(document.status().state, 'expired')
    assert.equal(await document.get(), 3)
  })

  it('is done by a use if the timer did not fire, because the process was frozen', async () => {
    const { document, endpoint } = startDocument()
    await document.get()
    mock.timers.setTime(1_800_000_000_000 + 2_900_000)
    endpoint.answer = Promise.resolve()
    assert.ok(endpoint.fetches <= 2)
    await document.get()
    assert.equal(endpoint.fetches, 2)
  })

  it('tries again every half minute while the provider is down, and keeps nobody waiting', async () => {
    const { document, endpoint } = startDocument()
    await document.get()
    passSeconds(2000)
    await document.get()
    endpoint.fault = new Error('down')
    passSeconds(880)
    await settle()
    const { fetches } = endpoint
    for (let half = 0; half < 10; half += 1) {
      passSeconds(31)
      await settle()
    }
    assert.ok(endpoint.fetches >= fetches + 9 && endpoint.fetches <= fetches + 10)
    passSeconds(1000)
    endpoint.answer = new Promise(() => undefined)
    assert.equal(await document.get(), 1)
    assert.equal(document.status().state, 'stale')
  })

  it('ends with stop(), and calls still fetch', async () => {
    const { document, endpoint } = startDocument()
    await document.get()
    document.stop()
    passSeconds(3600)
    await settle()
    assert.equal(endpoint.fetches, 1)
    assert.equal(await document.get(), 2)
  })

  it('does not keep the process alive', () => {
    const script = `
      const { createCachedDocument } = await import('${moduleUrl('lib/provider/cached-document.ts')}')
      await createCachedDocument({ load: async () => ({ value: 1, headers: new Headers() }) }).get()`
    const { status } = spawnSync(process.execPath, [...NODE_ARGS, '--input-type=module', '-e', script], {
      timeout: 180_000,
    })
    assert.equal(status, 0)
  })
})

describe('the status of a cached document', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 }))
  afterEach(() => mock.timers.reset())

  it('says how old the copy is, and the last failure', async () => {
    const { document, endpoint } = startDocument()
    assert.deepEqual(document.status(), { state: 'none', ageSeconds: null, expiresAt: null, lastError: null })
    await document.get()
    passSeconds(10)
    const fresh = { state: 'fresh', ageSeconds: 10, expiresAt: 1_800_003_600, lastError: null }
    assert.deepEqual(document.status(), fresh)
    endpoint.fault = new ProviderError('ERR_OIDC_PROVIDER_TIMEOUT', 'slow')
    await assert.rejects(document.renew())
    const lastError = { code: 'ERR_OIDC_PROVIDER_TIMEOUT', at: 1_800_000_010 }
    assert.deepEqual(document.status(), { ...fresh, lastError })
    passSeconds(3600)
    assert.deepEqual(document.status(), { ...fresh, state: 'stale', ageSeconds: 3610, lastError })
    passSeconds(604_800)
    assert.deepEqual(document.status(), { state: 'none', ageSeconds: null, expiresAt: null, lastError })
    assert.equal(endpoint.fetches, 2)
  })

  it('is published once for each time that an expired copy serves', async () => {
    const label = { document: 'keys', issuer: 'https://op.example.com', provider: 'default' } as const
    const { document, endpoint } = startDocument({}, label)
    await document.get()
    endpoint.fault = new ProviderError('ERR_OIDC_PROVIDER_STATUS', 'down')
    passSeconds(3600)
    const outage = async (): Promise<void> => {
      for (let call = 0; call < 5; call += 1) {
        await document.get()
        await settle()
        passSeconds(31)
      }
    }
    const event = { ...label, ageSeconds: 3600, code: 'ERR_OIDC_PROVIDER_STATUS' }
    assert.deepEqual(await eventsOf('express-oidc:stale', outage), [event])
    endpoint.fault = undefined
    await document.get()
    await settle()
    endpoint.fault = new ProviderError('ERR_OIDC_PROVIDER_STATUS', 'down')
    passSeconds(4000)
    assert.equal((await eventsOf('express-oidc:stale', outage)).length, 1)
  })
})
