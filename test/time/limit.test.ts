import assert from 'node:assert/strict'
import { describe, it, mock, type TestContext } from 'node:test'
import { type TimeLimit, withTimeLimit } from '../../lib/time/limit.ts'

const LATE = new Error('late')

function stopTime(t: TestContext): void {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.after(() => mock.timers.reset())
}

describe('withTimeLimit()', () => {
  it('resolves with the result of the work', async () => {
    assert.equal(
      await withTimeLimit(
        1,
        async () => 'done',
        () => LATE,
      ),
      'done',
    )
  })

  it('rejects when the time is over, even if the work never settles', async (t) => {
    stopTime(t)
    const outcome = assert.rejects(
      withTimeLimit(
        5,
        () => new Promise(() => undefined),
        () => LATE,
      ),
      LATE,
    )
    mock.timers.tick(5000)
    await outcome
  })

  it('aborts the signal when the time is over', async (t) => {
    stopTime(t)
    let signal: AbortSignal | undefined
    const work = (limit: TimeLimit) => {
      signal = limit.signal
      return new Promise<void>(() => undefined)
    }
    const outcome = assert.rejects(
      withTimeLimit(5, work, () => LATE),
      LATE,
    )
    await Promise.resolve()
    mock.timers.tick(5000)
    await outcome
    assert.equal(signal?.reason, LATE)
  })

  it('aborts the signal when the work fails, and keeps its error', async () => {
    const failure = new Error('failed')
    let signal: AbortSignal | undefined
    const work = async (limit: TimeLimit) => {
      signal = limit.signal
      throw failure
    }
    await assert.rejects(
      withTimeLimit(5, work, () => LATE),
      failure,
    )
    assert.equal(signal?.aborted, true)
  })

  it('stops the work when the time is over', async (t) => {
    stopTime(t)
    const stops: unknown[] = []
    let isStoppedBefore: boolean | undefined
    const work = (limit: TimeLimit) => {
      isStoppedBefore = limit.isStopped
      limit.onStop((error) => stops.push(error, limit.isStopped))
      return new Promise<void>(() => undefined)
    }
    const outcome = assert.rejects(
      withTimeLimit(5, work, () => LATE),
      LATE,
    )
    await Promise.resolve()
    mock.timers.tick(5000)
    await outcome
    assert.equal(isStoppedBefore, false)
    assert.deepEqual(stops, [LATE, true])
  })

  it('stops at once what the work starts after its time', async () => {
    const failure = new Error('failed')
    let given: TimeLimit | undefined
    const work = async (limit: TimeLimit) => {
      given = limit
      throw failure
    }
    await assert.rejects(
      withTimeLimit(5, work, () => LATE),
      failure,
    )
    const stops: unknown[] = []
    given?.onStop((error) => stops.push(error))
    assert.deepEqual(stops, [failure])
    assert.equal(given?.signal.reason, failure)
  })

  it('stops nothing if the work is done in time', async () => {
    const stops: unknown[] = []
    const work = async (limit: TimeLimit) => limit.onStop((error) => stops.push(error))
    await withTimeLimit(5, work, () => LATE)
    assert.deepEqual(stops, [])
  })

  it('turns a synchronous throw of the work into a rejection', async () => {
    const failure = new Error('failed')
    const work = (): Promise<void> => {
      throw failure
    }
    await assert.rejects(
      withTimeLimit(5, work, () => LATE),
      failure,
    )
  })

  it('leaves no timer behind', async () => {
    await withTimeLimit(
      600,
      async () => undefined,
      () => LATE,
    )
    assert.deepEqual(
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout'),
      [],
    )
  })

  it('reports no late failure of the work as unhandled', async (t) => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    t.after(() => process.off('unhandledRejection', note))
    let fail: (error: Error) => void = () => undefined
    const work = () =>
      new Promise<void>((_, reject) => {
        fail = reject
      })
    await assert.rejects(
      withTimeLimit(0.001, work, () => LATE),
      LATE,
    )
    fail(new Error('much later'))
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(unhandled, [])
  })
})
