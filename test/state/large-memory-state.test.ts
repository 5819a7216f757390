import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { memoryState } from '../../lib/memory.ts'

const MILLION = 1_000_000

describe('a large memoryState()', () => {
  it('holds a million entries, and removes them after they have expired', { timeout: 120_000 }, async (t) => {
    const state = memoryState({ maxEntries: MILLION })
    const start = { at: performance.now(), memory: process.memoryUsage().heapUsed }
    for (let index = 0; index < MILLION; index++) await state.add(`sid-${index}`, `session-${index}`, 3600)
    const full = { at: performance.now(), memory: process.memoryUsage().heapUsed }
    for (let index = 0; index < MILLION; index += 1000) {
      assert.deepEqual(await state.take(`sid-${index}`), [`session-${index}`])
    }
    mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_600_000 })
    t.after(() => mock.timers.reset())
    const renewal = performance.now()
    for (let index = 0; index < MILLION / 10; index++) await state.add(`later-${index}`, `session-${index}`, 3600)
    const renewed = performance.now()
    for (let index = 0; index < MILLION / 10; index += 1000) {
      assert.deepEqual(await state.take(`sid-${index + 1}`), [])
      assert.deepEqual(await state.take(`later-${index}`), [`session-${index}`])
    }
    t.diagnostic(`a million additions: ${Math.round(full.at - start.at)} ms`)
    t.diagnostic(`a hundred thousand more, each of which removes two: ${Math.round(renewed - renewal)} ms`)
    t.diagnostic(`an entry with its texts: ${Math.round((full.memory - start.memory) / MILLION)} bytes`)
  })

  it('returns a set of a hundred thousand members', { timeout: 180_000 }, async (t) => {
    const state = memoryState()
    const startedAt = performance.now()
    for (let index = 0; index < 100_000; index++) await state.add('everybody', `session-${index}`, 3600)
    assert.equal((await state.take('everybody')).length, 100_000)
    t.diagnostic(`${Math.round(performance.now() - startedAt)} ms`)
  })
})
