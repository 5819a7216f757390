import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLimiter } from '../../lib/time/limiter.ts'

describe('a limiter', () => {
  it('runs so many at the same time, and the others in the order in which they came', async () => {
    const limit = createLimiter(3)
    let [running, most] = [0, 0]
    const order: number[] = []
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        limit(async () => {
          order.push(index)
          running += 1
          most = Math.max(most, running)
          await new Promise((resolve) => setImmediate(resolve))
          running -= 1
        }),
      ),
    )
    assert.equal(most, 3)
    assert.deepEqual(
      order,
      order.map((_, index) => index),
    )
  })

  it('goes on after a failure, and passes it on', async () => {
    const limit = createLimiter(1)
    const outcomes = await Promise.allSettled([
      limit(async () => 'one'),
      limit(() => Promise.reject(new Error('no'))),
      limit(() => {
        throw new Error('not even a promise')
      }),
      limit(async () => 'two'),
    ])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
    )
    assert.equal(await limit(async () => 'three'), 'three')
  })
})
