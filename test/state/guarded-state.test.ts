import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OidcError } from '../../lib/errors.ts'
import { createGuardedState } from '../../lib/state/guarded-state.ts'
import { memoryState } from '../../lib/state/memory-state.ts'
import type { SharedState } from '../../lib/state/shared-state.ts'

const fail = (): never => {
  throw new Error('the server of s3cret is down')
}

/** A shared state of an application whose methods throw. */
const broken: SharedState = { add: fail, remove: fail, members: fail, take: fail, once: fail, seen: fail, lock: fail }

const CALLS: Readonly<Record<string, (state: SharedState) => Promise<unknown>>> = {
  add: (state) => state.add('set', 'member', 60),
  remove: (state) => state.remove('set', 'member'),
  members: (state) => state.members('set'),
  take: (state) => state.take('set'),
  once: (state) => state.once('mark', 60),
  seen: (state) => state.seen('mark'),
}

describe('the shared state of an application', () => {
  for (const [name, call] of Object.entries(CALLS)) {
    it(`fails with ERR_OIDC_SHARED_STATE if its ${name}() throws`, async () => {
      await assert.rejects(call(createGuardedState(broken)), (error) => {
        assert.ok(error instanceof OidcError)
        assert.deepEqual(
          [error.code, error.status, error.message.includes('s3cret')],
          ['ERR_OIDC_SHARED_STATE', 503, false],
        )
        return true
      })
    })
  }

  it('does what it does unguarded', async () => {
    const state = createGuardedState(memoryState())
    await state.add('set', 'one', 60)
    await state.add('set', 'two', 60)
    await state.remove('set', 'two')
    assert.deepEqual(
      [await state.members('set'), await state.take('set'), await state.members('set')],
      [['one'], ['one'], []],
    )
    assert.deepEqual(
      [await state.once('mark', 60), await state.once('mark', 60), await state.seen('mark')],
      [true, false, true],
    )
    assert.equal(await state.lock('key', 5, async () => 'done'), 'done')
  })
})
