import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { createStateEpoch, STORE_EPOCH } from '../../lib/state/epoch.ts'
import { memoryState } from '../../lib/state/memory-state.ts'
import type { SharedState } from '../../lib/state/shared-state.ts'

/** A state that can be saved and restored, out of reach or without a response. Nothing expires. */
function createState() {
  let entries: readonly string[] = []
  let saved: readonly string[] = []
  let failure: (() => Promise<never>) | undefined
  const operations: string[] = []
  const run = async <Value>(name: string, act: () => Value): Promise<Value> => {
    operations.push(name)
    await failure?.()
    return act()
  }
  const state: SharedState = {
    ...memoryState(),
    add: (key, member) =>
      run('add', () => {
        entries = [...entries, `${key} ${member}`]
      }),
    remove: (key, member) =>
      run('remove', () => {
        entries = entries.filter((entry) => entry !== `${key} ${member}`)
      }),
    members: (key) =>
      run('members', () =>
        entries.flatMap((entry) => (entry.startsWith(`${key} `) ? [entry.slice(key.length + 1)] : [])),
      ),
    once: (key) =>
      run('once', () => {
        entries = [...entries, `once ${key}`]
        return true
      }),
    seen: (key) => run('seen', () => entries.includes(`once ${key}`)),
  }
  return {
    state,
    operations,
    save: () => {
      saved = entries
    },
    restore: () => {
      entries = saved
    },
    empty: () => {
      entries = []
    },
    fail: (how: (() => Promise<never>) | undefined) => {
      failure = how
    },
  }
}

const mockTime = ({ mock }: TestContext): ((seconds: number) => void) => {
  mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
  return (seconds) => mock.timers.tick(seconds * 1000)
}

/** Lets what runs in the background finish. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('N-10: the epoch of a shared state', () => {
  it('is begun by the first and the same for all, also if they begin at the same moment', async () => {
    const { state } = createState()
    const epochs = Array.from({ length: 3 }, () => createStateEpoch(state))
    await Promise.all(epochs.map((epoch) => epoch.read()))
    const [first, ...others] = await Promise.all(epochs.map((epoch) => epoch.read()))
    assert.match(first ?? '', /^[\w-]{8}$/)
    assert.deepEqual(others, [first, first])
    assert.equal(await createStateEpoch(state).read(), first)
  })

  it('is another one after the state was emptied', async () => {
    const { state, empty } = createState()
    const epoch = createStateEpoch(state)
    const before = await epoch.read()
    empty()
    assert.notEqual(await epoch.read(), before)
  })

  it('is always the same for a session store', async () => {
    assert.deepEqual([STORE_EPOCH.latest, await STORE_EPOCH.current(), await STORE_EPOCH.read()], ['', '', ''])
    assert.deepEqual([STORE_EPOCH.isCurrent(''), STORE_EPOCH.isCurrent('of Redis')], [true, false])
  })

  it('is read at most once in two seconds, in the background, while it is asked for', async (context) => {
    const tick = mockTime(context)
    const { state, operations } = createState()
    const epoch = createStateEpoch(state)
    const id = await epoch.read()
    await settle()
    operations.length = 0
    for (let half = 0; half < 20; half++) {
      for (let request = 0; request < 50; request++) assert.equal(epoch.isCurrent(id), true)
      await settle()
      tick(0.5)
    }
    assert.deepEqual(operations, Array(4).fill(['members', 'seen']).flat())
    tick(3600)
    await settle()
    assert.equal(operations.length, 8)
  })

  it('is not current before it was read, nor if it was read long ago or the clock was set back', async (context) => {
    const tick = mockTime(context)
    const { state } = createState()
    const id = await createStateEpoch(state).read()
    const epoch = createStateEpoch(state)
    assert.equal(epoch.isCurrent(id), false)
    assert.deepEqual([await epoch.current(), epoch.isCurrent(id)], [id, true])
    tick(60)
    assert.equal(epoch.isCurrent(id), false)
    assert.deepEqual([await epoch.current(), epoch.isCurrent(id)], [id, true])
    context.mock.timers.setTime(1_600_000_000_000)
    assert.equal(epoch.isCurrent(id), false)
  })

  it('is not waited for during an outage, and is known again afterwards', async (context) => {
    const tick = mockTime(context)
    const { state, operations, fail } = createState()
    const epoch = createStateEpoch(state)
    const id = await epoch.read()
    fail(() => Promise.reject(new Error('down')))
    tick(60)
    assert.equal(await epoch.current(), undefined)
    fail(() => new Promise(() => undefined))
    operations.length = 0
    for (let second = 0; second < 10; second++) {
      assert.equal(await epoch.current(), undefined)
      tick(0.1)
    }
    assert.deepEqual([operations, epoch.latest], [[], id])
    fail(undefined)
    tick(2)
    await epoch.current()
    await settle()
    assert.deepEqual([await epoch.current(), epoch.isCurrent(id)], [id, true])
    await assert.doesNotReject(epoch.read())
  })

  it('cannot be read from a state out of reach', async () => {
    const { state, fail } = createState()
    fail(() => Promise.reject(new Error('down')))
    await assert.rejects(createStateEpoch(state).read(), { message: 'down' })
  })
})

describe('N-10: a shared state that goes back to an older copy of itself', () => {
  it('gets another epoch from a process that has added something since', async () => {
    const { state, save, restore } = createState()
    const [one, other] = [createStateEpoch(state), createStateEpoch(state)]
    const before = await one.read()
    save()
    one.leaveMark()
    await settle()
    assert.equal(await one.read(), before)
    restore()
    const now = await one.read()
    assert.notEqual(now, before)
    assert.deepEqual([await one.read(), await other.read()], [now, now])
  })

  it('gets another epoch from a process that has added nothing, after ten seconds', async (context) => {
    const tick = mockTime(context)
    const { state, save, restore } = createState()
    const epoch = createStateEpoch(state)
    const before = await epoch.read()
    await settle()
    save()
    tick(10)
    await epoch.read()
    await settle()
    restore()
    assert.notEqual(await epoch.read(), before)
  })

  it('keeps its epoch if nothing was added since', async () => {
    const { state, save, restore } = createState()
    const epoch = createStateEpoch(state)
    const before = await epoch.read()
    epoch.leaveMark()
    await settle()
    save()
    restore()
    assert.equal(await epoch.read(), before)
  })

  it('gets another epoch also if the last of several additions at once is lost', async () => {
    const { state, operations, save, restore } = createState()
    const epoch = createStateEpoch(state)
    const before = await epoch.read()
    await settle()
    operations.length = 0
    for (let addition = 0; addition < 10; addition++) {
      epoch.leaveMark()
      if (addition === 0) await Promise.resolve().then(save)
    }
    await settle()
    assert.equal(operations.filter((name) => name === 'once').length, 2)
    restore()
    assert.notEqual(await epoch.read(), before)
  })

  it('gets another epoch at most once in a minute from each process', async (context) => {
    const tick = mockTime(context)
    const { state, save, restore } = createState()
    const epoch = createStateEpoch(state)
    const seen = new Set([await epoch.read()])
    for (let second = 0; second < 50; second += 5) {
      save()
      epoch.leaveMark()
      await settle()
      restore()
      seen.add(await epoch.read())
      tick(5)
    }
    assert.equal(seen.size, 2)
  })

  it('gets another epoch hours after the last addition, while there are requests', async (context) => {
    const tick = mockTime(context)
    const { state, save, restore } = createState()
    const epoch = createStateEpoch(state)
    const before = await epoch.read()
    save()
    epoch.leaveMark()
    await settle()
    for (let minute = 0; minute < 180; minute += 10) {
      tick(600)
      assert.equal(await epoch.read(), before)
      await settle()
    }
    restore()
    assert.notEqual(await epoch.read(), before)
  })

  it('keeps its epoch if a mark has expired', async (context) => {
    const tick = mockTime(context)
    const { state, save, restore } = createState()
    const epoch = createStateEpoch(state)
    const before = await epoch.read()
    save()
    epoch.leaveMark()
    await settle()
    restore()
    tick(7200)
    assert.equal(await epoch.read(), before)
  })
})
