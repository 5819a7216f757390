import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSingleFlight, loadOnce } from '../../lib/time/single-flight.ts'

/** A run that the test settles. */
function openFlight() {
  const handles: { land?: (value: number) => void; crash?: (error: Error) => void } = {}
  const promise = new Promise<number>((resolve, reject) => {
    handles.land = resolve
    handles.crash = reject
  })
  return { promise, land: (value: number) => handles.land?.(value), crash: (error: Error) => handles.crash?.(error) }
}

describe('single flight', () => {
  it('shares one run among callers with the same key', async () => {
    const share = createSingleFlight<string, number>()
    const flight = openFlight()
    let runs = 0
    const run = () => {
      runs += 1
      return flight.promise
    }
    const callers = [share('a', run), share('a', run), share('a', run)]
    flight.land(7)
    assert.deepEqual(await Promise.all(callers), [7, 7, 7])
    assert.equal(runs, 1)
  })

  it('keeps callers with different keys apart', async () => {
    const share = createSingleFlight<string, number>()
    assert.deepEqual(await Promise.all([share('a', async () => 1), share('b', async () => 2)]), [1, 2])
  })

  it('keeps two single flights apart', async () => {
    const one = createSingleFlight<string, number>()
    const other = createSingleFlight<string, number>()
    assert.deepEqual(await Promise.all([one('a', async () => 1), other('a', async () => 2)]), [1, 2])
  })

  it('rejects for all callers if the run rejects', async () => {
    const share = createSingleFlight<string, number>()
    const flight = openFlight()
    const callers = [share('a', () => flight.promise), share('a', async () => 1)]
    const fault = new Error('no answer')
    flight.crash(fault)
    for (const caller of await Promise.allSettled(callers)) {
      assert.deepEqual(caller, { status: 'rejected', reason: fault })
    }
  })

  it('runs again after the first run has resolved or rejected', async () => {
    const share = createSingleFlight<string, number>()
    assert.equal(await share('a', async () => 1), 1)
    await assert.rejects(share('a', () => Promise.reject(new Error('down'))))
    assert.equal(await share('a', async () => 3), 3)
  })

  it('runs again for a caller that calls at once after the first run', async () => {
    const share = createSingleFlight<string, number>()
    const second = share('a', async () => 1).then(() => share('a', async () => 2))
    assert.equal(await second, 2)
  })

  it('turns a synchronous throw into a rejection', async () => {
    const share = createSingleFlight<string, number>()
    const fault = new Error('at once')
    const caller = share('a', () => {
      throw fault
    })
    await assert.rejects(caller, fault)
    assert.equal(await share('a', async () => 1), 1)
  })

  it('compares objects by identity', async () => {
    const share = createSingleFlight<object, number>()
    assert.deepEqual(await Promise.all([share({}, async () => 1), share({}, async () => 2)]), [1, 2])
  })
})

describe('loading once', () => {
  it('loads at the first use, and gives every later caller the same value', async () => {
    let loads = 0
    const get = loadOnce(async () => ({ number: ++loads }))
    assert.equal(loads, 0)
    const [first, second] = await Promise.all([get(), get()])
    assert.equal(first, second)
    assert.equal(await get(), first)
    assert.equal(loads, 1)
  })

  it('tries again after a failure', async () => {
    let loads = 0
    const get = loadOnce(async () => {
      loads += 1
      if (loads === 1) throw new Error('not yet')
      return loads
    })
    await assert.rejects(get(), /not yet/)
    assert.equal(await get(), 2)
  })
})
