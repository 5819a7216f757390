import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import fc from 'fast-check'
import { asciiJson, entryName, toMilliseconds } from '../../lib/state/operation.ts'
import type { StoreLike } from '../../lib/state/shared-state.ts'
import { createStoreState } from '../../lib/state/store-state.ts'
import { anyText, foreignJson } from '../support/properties/foreign-text.ts'
import { holds, outcomeOf } from '../support/properties/outcome.ts'

describe('text for a server', () => {
  it('is printable ASCII, and reads back as it was, half of a surrogate pair too', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const written = asciiJson(text)
        assert.match(written, /^[ -~]+$/)
        assert.equal(JSON.parse(written), text)
      }),
      { numRuns: 1000 },
    )
  })

  it('that names an entry has one length, and is another for another key', () => {
    fc.assert(
      fc.property(anyText, anyText, (one, other) => {
        assert.match(entryName(one), /^[\w-]{43}$/)
        assert.equal(entryName(one) === entryName(other), one === other)
      }),
    )
  })

  it('that is a life lasts a moment at least, and ten years at most', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (seconds) => {
        const milliseconds = toMilliseconds(seconds)
        holds(Number.isInteger(milliseconds) && milliseconds >= 1 && milliseconds <= 315_360_000_000)
      }),
    )
  })
})

describe('a record in the session store', () => {
  function storeOf(record: unknown): StoreLike {
    let kept: unknown = record
    return {
      get: (_id: string, done: (error: unknown, value?: unknown) => void) => done(null, kept),
      set: (_id: string, value: unknown, done: (error?: unknown) => void) => {
        kept = JSON.parse(JSON.stringify(value))
        done()
      },
      destroy: (_id: string, done: (error?: unknown) => void) => {
        kept = undefined
        done()
      },
    } as unknown as StoreLike
  }

  it('gives back the members that were added, whatever text they are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.string(), { maxLength: 5 }), async (members) => {
        const state = createStoreState(storeOf(undefined))
        for (const member of members) await state.add('key', member, 60)
        assert.deepEqual(await state.members('key'), members)
        assert.deepEqual(await state.take('key'), members)
        assert.deepEqual(await state.members('key'), [])
      }),
      { numRuns: 50 },
    )
  })

  it('that holds anything else is read as nothing, or as what is right in it', async () => {
    const future = Date.now() + 100_000
    const entry = fc.oneof(foreignJson, fc.tuple(anyText, fc.oneof(fc.constant(future), foreignJson)))
    const record = fc.oneof(
      { weight: 3, arbitrary: fc.record({ oidcState: fc.oneof(fc.array(entry, { maxLength: 4 }), foreignJson) }) },
      { weight: 1, arbitrary: foreignJson },
    )
    await fc.assert(
      fc.asyncProperty(record, async (value) => {
        const state = createStoreState(storeOf(value))
        const { value: members = [] } = await outcomeOf(() => state.members('key'), /^ERR_OIDC_SHARED_STATE$/)
        holds(members.every((member) => typeof member === 'string'))
        await outcomeOf(() => state.add('key', 'another', 60), /^ERR_OIDC_SHARED_STATE$/)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a set in the session store', () => {
  /** Small numbers, so that the same member is added and removed again in several pages. */
  const change = fc.record({
    act: fc.constantFrom('add', 'add', 'add', 'remove', 'wait', 'take'),
    member: fc.integer({ min: 0, max: 50 }).map(String),
    seconds: fc.integer({ min: 1, max: 60 }),
    times: fc.integer({ min: 1, max: 20 }),
  })

  it('N-43: has the members that a simple set has', async () => {
    mock.timers.enable({ apis: ['Date'], now: 1_000_000_000_000 })
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(change, { maxLength: 60 }), async (changes) => {
          const records = new Map<string, string>()
          const state = createStoreState({
            get: (id, done) => done(null, JSON.parse(records.get(id) ?? 'null')),
            set(id, data, done) {
              records.set(id, JSON.stringify(data))
              done()
            },
            destroy(id, done) {
              records.delete(id)
              done()
            },
          })
          const model = new Map<string, number>()
          const alive = (): string[] => [...model].flatMap(([name, end]) => (end > Date.now() ? [name] : [])).sort()
          for (const { act, member, seconds, times } of changes) {
            if (act === 'wait') mock.timers.tick(seconds * 500)
            if (act === 'take') {
              assert.deepEqual([...(await state.take('set'))].sort(), alive())
              model.clear()
            }
            for (let index = 0; index < times && (act === 'add' || act === 'remove'); index++) {
              const name = String((Number(member) + index) % 51)
              if (act === 'add') {
                await state.add('set', name, seconds)
                model.set(name, Math.max(model.get(name) ?? 0, Date.now() + seconds * 1000))
              } else {
                await state.remove('set', name)
                model.delete(name)
              }
            }
            assert.deepEqual([...(await state.members('set'))].sort(), alive())
          }
        }),
        { numRuns: 100 },
      )
    } finally {
      mock.timers.reset()
    }
  })
})
