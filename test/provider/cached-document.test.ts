import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { ProviderError } from '../../lib/errors.ts'
import { type CachedDocument, createCachedDocument } from '../../lib/provider/cached-document.ts'

/** A document whose copies are numbered, from an endpoint that can be set up in between. */
function startDocument(headers: Record<string, string> = {}) {
  const endpoint = { fetches: 0, headers, fault: undefined as Error | undefined }
  const document: CachedDocument<number> = createCachedDocument({
    load: async () => {
      endpoint.fetches += 1
      await Promise.resolve()
      if (endpoint.fault !== undefined) throw endpoint.fault
      return { value: endpoint.fetches, headers: new Headers(endpoint.headers) }
    },
  })
  return { document, endpoint }
}

function passSeconds(seconds: number): void {
  mock.timers.tick(seconds * 1000)
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
      const { document } = startDocument(headers)
      await document.get()
      passSeconds(life - 1)
      assert.equal(await document.get(), 1)
      passSeconds(1)
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
    endpoint.fault = undefined
    passSeconds(30)
    assert.equal(await document.get(), 4)
    passSeconds(3599)
    assert.equal(await document.get(), 4)
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
