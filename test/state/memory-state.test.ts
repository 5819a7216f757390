import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it, mock, type TestContext } from 'node:test'
import { ConfigError } from '../../lib/errors.ts'
import { type Lease, memoryState } from '../../lib/memory.ts'
import { moduleUrl, NODE_ARGS, ROOT } from '../support/app/project.ts'

const NO_TURN = { code: 'ERR_OIDC_SHARED_STATE', status: 503 }

function stopTime(t: TestContext): void {
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_800_000_000_000 })
  t.after(() => mock.timers.reset())
}

/** Lets everything run that waits for no timer. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

describe('memoryState()', () => {
  it('expires a member and a mark to the millisecond', async (t) => {
    stopTime(t)
    const state = memoryState()
    await state.add('set', 'short', 10)
    await state.add('set', 'long', 10.001)
    await state.once('mark', 10)
    mock.timers.tick(9999)
    assert.equal(await state.once('mark', 10), false)
    mock.timers.tick(1)
    assert.deepEqual(await state.take('set'), ['long'])
    assert.equal(await state.seen('mark'), false)
    assert.equal(await state.once('mark', 10), true)
    mock.timers.tick(9999)
    assert.equal(await state.seen('mark'), true)
  })

  it('holds at most maxEntries, and removes what expires soonest', async (t) => {
    stopTime(t)
    const state = memoryState({ maxEntries: 3 })
    await state.add('set', 'hours', 7200)
    await state.add('set', 'minutes', 60)
    await state.once('mark', 600)
    await state.once('one too many', 3600)
    assert.deepEqual(await state.take('set'), ['hours'])
    assert.equal(await state.seen('mark'), true)
    assert.equal(await state.seen('one too many'), true)
  })

  it('counts entries that are removed, taken, or added again correctly', async (t) => {
    stopTime(t)
    const state = memoryState({ maxEntries: 3 })
    for (const _ of [1, 2, 3, 4, 5]) {
      await state.add('set', 'one', 60)
      await state.add('set', 'one', 120)
      await state.add('set', 'two', 60)
      await state.remove('set', 'two')
      await state.add('other', 'three', 60)
      await state.add('other', 'four', 60)
      assert.deepEqual(await state.take('set'), ['one'])
      assert.deepEqual(await state.take('other'), ['three', 'four'])
    }
  })

  it('keeps a set whose last member is removed to make room for a new one', async () => {
    const state = memoryState({ maxEntries: 1 })
    await state.add('set', 'first', 60)
    await state.add('set', 'second', 60)
    assert.deepEqual(await state.take('set'), ['second'])
    assert.deepEqual(await state.take('set'), [])
  })

  it('removes expired entries before valid ones to make room', async (t) => {
    stopTime(t)
    const state = memoryState({ maxEntries: 10 })
    for (let index = 0; index < 8; index++) await state.once(`short ${index}`, 1)
    await state.add('set', 'long', 3600)
    mock.timers.tick(1000)
    for (let index = 0; index < 9; index++) await state.once(`new ${index}`, 3000)
    for (let index = 0; index < 9; index++) assert.equal(await state.seen(`new ${index}`), true)
    assert.deepEqual(await state.take('set'), ['long'])
  })

  for (const [maxEntries, shown] of [
    ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY].map((value) => [value, String(value)] as const),
    ['10', '"10"'],
    [null, 'null'],
  ] as const) {
    it(`refuses maxEntries ${shown}, and names it`, () => {
      assert.throws(
        () => memoryState({ maxEntries: maxEntries as number }),
        (error) =>
          error instanceof ConfigError && error.message.endsWith(`must be a whole number from 1, not ${shown}.`),
      )
    })
  }

  it('does not keep the process alive', () => {
    const program = `
      import { memoryState } from '${moduleUrl('lib/memory.ts')}'
      const state = memoryState()
      await state.add('set', 'member', 3600)
      await state.once('mark', 3600)
      void state.lock('key', 3600, () => new Promise(() => {}))
      await new Promise((resolve) => setImmediate(resolve))
      console.log('done')`
    const child = spawnSync(process.execPath, [...NODE_ARGS, '--input-type=module', '--eval', program], {
      cwd: ROOT,
      encoding: 'utf8',
      timeout: 180_000,
    })
    assert.deepEqual([child.status, child.stdout], [0, 'done\n'], child.stderr)
  })
})

describe('a lock of memoryState()', () => {
  it('is granted in the order of the calls', async () => {
    const { lock } = memoryState()
    const order: number[] = []
    await Promise.all([1, 2, 3, 4, 5].map((index) => lock('key', 5, async () => void order.push(index))))
    assert.deepEqual(order, [1, 2, 3, 4, 5])
  })

  it('goes from work that hangs to the next in the queue when its seconds have passed, not before', async (t) => {
    stopTime(t)
    const { lock } = memoryState()
    const begun: string[] = []
    let lease: Lease | undefined
    void lock('key', 10, (mine) => {
      lease = mine
      return new Promise(() => {})
    })
    const next = lock('key', 20, async () => void begun.push('next'))
    const last = lock('key', 20, async () => void begun.push('last'))
    mock.timers.tick(9999)
    await settle()
    assert.deepEqual(begun, [])
    lease?.assertHeld()
    mock.timers.tick(1)
    await settle()
    assert.deepEqual(begun, ['next', 'last'])
    assert.throws(() => lease?.assertHeld(), NO_TURN)
    await Promise.all([next, last])
  })

  it('is granted to a caller that waits as long as the lock lives, if its holder hangs', async (t) => {
    stopTime(t)
    const { lock } = memoryState()
    void lock('key', 10, () => new Promise(() => {}))
    const next = lock('key', 10, async () => 'mine')
    mock.timers.tick(10_000)
    assert.equal(await next, 'mine')
  })

  it('is lost when its seconds have passed, even if no one waits for it', async (t) => {
    stopTime(t)
    const { lock } = memoryState()
    await lock('key', 10, async (lease) => {
      mock.timers.tick(10_000)
      assert.throws(() => lease.assertHeld(), NO_TURN)
      assert.equal(await lock('key', 10, async () => 'another'), 'another')
    })
  })

  it('rejects a caller that has waited too long, and still serves the ones behind it', async (t) => {
    stopTime(t)
    const { lock } = memoryState()
    let finish = (): void => {}
    const holder = lock(
      'key',
      60,
      () =>
        new Promise<void>((resolve) => {
          finish = resolve
        }),
    )
    const impatient = lock('key', 1, () => assert.fail('it works without the lock'))
    const patient = lock('key', 60, async () => 'mine')
    const refused = assert.rejects(impatient, NO_TURN)
    mock.timers.tick(1000)
    await refused
    finish()
    await holder
    assert.equal(await patient, 'mine')
  })

  it('does not expire at once if its seconds exceed the longest timer', async () => {
    const { lock } = memoryState()
    await lock('key', 1e9, async (lease) => {
      await settle()
      lease.assertHeld()
      await assert.rejects(
        lock('key', 0.01, () => assert.fail('two work at once')),
        NO_TURN,
      )
    })
  })
})
