import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createPolledLock } from '../../lib/state/locks.ts'
import type { Lease, SharedState } from '../../lib/state/shared-state.ts'
import { type Ground, KINDS, startLockHolder } from '../support/servers/shared-states.ts'

const UNREACHABLE = { code: 'ERR_OIDC_SHARED_STATE', status: 503 }
const ODD = [
  '',
  ' ',
  'a b',
  'a:b',
  '{a}',
  '}{',
  '%',
  "'; DROP TABLE x; --",
  '\u0000',
  '\n',
  '\ud800',
  '\udfff',
  '\ufffd',
  '😀',
  'é',
  'e\u0301',
  '__proto__',
  'x'.repeat(5000),
]

/** Waits until the condition is met, but not for ever. */
async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  for (let attempt = 1; !(await isSo()); attempt++) {
    assert.ok(attempt < 200, 'the condition is not met')
    await wait(10)
  }
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index)
}

for (const kind of KINDS) {
  describe(`shared state in ${kind.name}`, { skip: kind.skip }, () => {
    let ground: Ground
    let first: SharedState
    let second: SharedState
    before(async () => {
      ground = await kind.start()
      first = await ground.node()
      second = await ground.node()
    })
    after(() => ground.stop())

    describe('a set', () => {
      it('returns at one node what was added at another, and is empty after take', async () => {
        await first.add('set', 'one', 60)
        await second.add('set', 'two', 60)
        assert.deepEqual([...(await second.members('set'))].sort(), ['one', 'two'])
        assert.deepEqual([...(await first.members('set'))].sort(), ['one', 'two'])
        assert.deepEqual(await first.members('another set'), [])
        assert.deepEqual([...(await second.take('set'))].sort(), ['one', 'two'])
        assert.deepEqual(await first.take('set'), [])
      })

      it('has a member only once, and not after it was removed', async () => {
        for (const member of ['one', 'two', 'one', 'three']) await first.add('members', member, 60)
        await second.remove('members', 'two')
        await second.remove('members', 'nobody')
        await second.remove('no such set', 'nobody')
        assert.deepEqual([...(await first.take('members'))].sort(), ['one', 'three'])
      })

      it('is empty after its last member was removed', async () => {
        await first.add('emptied', 'one', 60)
        await first.remove('emptied', 'one')
        assert.deepEqual(await first.take('emptied'), [])
      })

      it('loses each member when its lifetime ends, and not before', async () => {
        await first.add('lives', 'short', 0.05)
        await first.add('lives', 'long', 60)
        await wait(60)
        assert.deepEqual(await second.members('lives'), ['long'])
        assert.deepEqual(await second.take('lives'), ['long'])
        await first.add('over', 'short', 0.05)
        await wait(60)
        assert.deepEqual(await second.take('over'), [])
      })

      it('extends the lifetime of a member that is added again, and never shortens it', async () => {
        await first.add('again', 'longer', 0.05)
        await first.add('again', 'longer', 60)
        await first.add('again', 'not shorter', 60)
        await first.add('again', 'not shorter', 0.05)
        await wait(60)
        assert.deepEqual([...(await first.take('again'))].sort(), ['longer', 'not shorter'])
      })

      it('can have a thousand members', { timeout: 180_000 }, async () => {
        const members = range(1000).map((index) => `session ${index}`)
        await Promise.all(members.map((member, index) => (index % 2 ? first : second).add('many', member, 60)))
        assert.deepEqual([...(await first.take('many'))].sort(), [...members].sort())
      })

      it('returns each member to exactly one of several calls of take', {
        timeout: 180_000,
      }, async () => {
        const taken: string[] = []
        await Promise.all(
          range(100).flatMap((index) => [
            (index % 2 ? first : second).add('raced', `member ${index}`, 60),
            (index % 3 ? second : first).take('raced').then((members) => taken.push(...members)),
          ]),
        )
        taken.push(...(await first.take('raced')))
        assert.deepEqual(
          taken.sort(),
          range(100)
            .map((index) => `member ${index}`)
            .sort(),
        )
      })
    })

    describe('a mark', () => {
      it('is made by the first call only, on any node', async () => {
        assert.equal(await first.seen('jti'), false)
        const answers = await Promise.all(range(50).map((index) => (index % 2 ? first : second).once('jti', 60)))
        assert.equal(answers.filter(Boolean).length, 1)
        assert.equal(await first.seen('jti'), true)
        assert.equal(await second.seen('jti'), true)
        assert.equal(await second.once('jti', 60), false)
      })

      it('expires, and can then be made again', async () => {
        assert.equal(await first.once('short', 0.5), true)
        assert.equal(await second.once('short', 60), false)
        await eventually(async () => !(await second.seen('short')))
        assert.equal(await second.once('short', 60), true)
        assert.equal(await first.once('short', 60), false)
      })

      it('accepts a negative and an infinite lifetime, and refuses NaN', async () => {
        assert.equal(await first.once('no life', -5), true)
        await eventually(async () => !(await first.seen('no life')))
        assert.equal(await first.once('for ever', Number.POSITIVE_INFINITY), true)
        assert.equal(await first.seen('for ever'), true)
        await assert.rejects(first.once('nonsense', Number.NaN), RangeError)
        assert.equal(await first.seen('nonsense'), false)
      })
    })

    describe('a lock', () => {
      it('lets one call after the other work, on any node', { timeout: 180_000 }, async () => {
        let working = 0
        const done: number[] = []
        await Promise.all(
          range(20).map((index) =>
            (index % 2 ? first : second).lock('one by one', 15, async () => {
              working += 1
              assert.equal(working, 1)
              await wait(2)
              working -= 1
              done.push(index)
            }),
          ),
        )
        assert.deepEqual(
          done.sort((one, other) => one - other),
          range(20),
        )
      })

      it('returns or throws what the work does, and is free after either', async () => {
        assert.equal(await first.lock('outcome', 5, async () => 'done'), 'done')
        await assert.rejects(
          first.lock('outcome', 5, () => Promise.reject(new TypeError('mine'))),
          new TypeError('mine'),
        )
        const failing = (): Promise<never> => {
          throw new TypeError('at once')
        }
        await assert.rejects(first.lock('outcome', 5, failing), new TypeError('at once'))
        assert.equal(await second.lock('outcome', 0.05, async () => 'free'), 'free')
      })

      it('does not block the lock of another key', async () => {
        const answer = await first.lock('this', 5, () => first.lock('that', 0.05, async () => 'both'))
        assert.equal(answer, 'both')
      })

      it('rejects a caller that has waited too long with 503, without running its work', async () => {
        await first.lock('busy', 5, async (lease) => {
          await assert.rejects(
            second.lock('busy', 0.05, () => assert.fail('two work at once')),
            UNREACHABLE,
          )
          lease.assertHeld()
        })
        assert.equal(await second.lock('busy', 0.05, async () => 'free'), 'free')
      })

      it('goes to the next caller if the work takes too long, and assertHeld() then throws', async () => {
        const { promise: slow, release } = heldUp()
        const { promise: begun, release: begin } = heldUp()
        let lease: Lease | undefined
        const overdue = first.lock('slow', 0.5, async (mine) => {
          lease = mine
          mine.assertHeld()
          begin()
          await slow
          return 'late'
        })
        await begun
        await second.lock('slow', 5, async (mine) => {
          assert.throws(() => lease?.assertHeld(), UNREACHABLE)
          // The first must not release a lock that is no longer its own.
          release()
          assert.equal(await overdue, 'late')
          mine.assertHeld()
          await assert.rejects(
            first.lock('slow', 0.05, () => assert.fail('two work at once')),
            UNREACHABLE,
          )
        })
      })
    })

    it('separates sets, marks and locks of one key', async () => {
      await first.add('same', 'member', 60)
      assert.equal(await first.seen('same'), false)
      assert.equal(await first.once('same', 60), true)
      await first.lock('same', 5, async () => {
        assert.deepEqual(await second.take('same'), ['member'])
        assert.equal(await second.seen('same'), true)
      })
      assert.deepEqual(await first.take('same'), [])
    })

    it('accepts any characters in keys and members', async () => {
      for (const key of ODD) await first.add(key, `of ${key}`, 60)
      for (const member of ODD) await first.add('odd members', member, 60)
      for (const key of ODD) {
        assert.equal(await first.once(key, 60), true)
        assert.equal(await first.lock(key, 5, async () => key), key)
      }
      for (const key of ODD) {
        assert.equal(await second.seen(key), true)
        assert.deepEqual(await second.take(key), [`of ${key}`])
      }
      await first.remove('odd members', '\ud800')
      assert.deepEqual(
        [...(await second.take('odd members'))].sort(),
        ODD.filter((member) => member !== '\ud800').sort(),
      )
    })
  })
}

function heldUp(): { promise: Promise<void>; release: () => void } {
  let release = (): void => {}
  const promise = new Promise<void>((resolve) => {
    release = resolve
  })
  return { promise, release: () => release() }
}

for (const kind of KINDS.filter(({ name }) => name === 'redis' || name === 'postgres')) {
  describe(`a lock in ${kind.name} whose holder`, { skip: kind.skip, timeout: 180_000 }, () => {
    let ground: Ground
    let state: SharedState
    before(async () => {
      ground = await kind.start()
      state = await ground.node()
    })
    after(() => ground.stop())

    it('was killed is free after its seconds have passed', async () => {
      const holder = await startLockHolder(kind.name, ground.socketPath, 'killed', 1)
      holder.kill('SIGKILL')
      await assert.rejects(
        state.lock('killed', 0.05, async () => {}),
        UNREACHABLE,
      )
      assert.equal(await state.lock('killed', 1, async () => 'mine'), 'mine')
      await holder.stop()
    })

    it('was suspended for too long throws in assertHeld(), and does not release the lock of another', async () => {
      const holder = await startLockHolder(kind.name, ground.socketPath, 'stopped', 1)
      holder.kill('SIGSTOP')
      try {
        await state.lock('stopped', 10, async (lease) => {
          holder.kill('SIGCONT')
          assert.equal(await holder.ask(), 'ERR_OIDC_SHARED_STATE')
          await holder.finished()
          lease.assertHeld()
          await assert.rejects(
            state.lock('stopped', 0.05, async () => {}),
            UNREACHABLE,
          )
        })
      } finally {
        await holder.stop()
      }
    })
  })
}

describe('a lock on a server that responds late', () => {
  it('is asked for once more: it may have become free after the last request', async () => {
    const delays = [0, 100, 0]
    let requests = 0
    const lock = createPolledLock({
      async acquire() {
        await wait(delays[requests++])
        return requests === 3
      },
      release: async () => {},
    })
    assert.equal(await lock('late', 0.08, async () => 'mine'), 'mine')
    assert.equal(requests, 3)
  })
})
