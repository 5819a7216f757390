import { createLocalLock } from './locks.ts'
import { toMilliseconds } from './operation.ts'
import type { SharedState, StoreLike } from './shared-state.ts'
import { recordKey } from './store-record.ts'
import { createStoreSets, MAX_WAIT_SECONDS, readEntries, writeEntries } from './store-sets.ts'

/**
 * Shared state in the application's session store, for applications without `sharedState`. Its records are shaped like anonymous
 * sessions, under keys that look like session ids: one for each mark, and one or more for each set (see store-sets.ts). Create
 * only one for each store of a process.
 *
 * Within one process nothing is lost. Between nodes it is a best effort, because a store can only read and write: if two
 * nodes write the same set at the same moment, a change may be lost; both may be the first to mark a key; and `lock` locks
 * this process only.
 */
export function createStoreState(store: StoreLike): SharedState {
  const withMarkLock = createLocalLock()
  return {
    ...createStoreSets(store),
    once: (key, seconds) =>
      withMarkLock(key, MAX_WAIT_SECONDS, async () => {
        const name = recordKey('once', key)
        if ((await readEntries(store, name)).length > 0) return false
        await writeEntries(store, name, [['', Date.now() + toMilliseconds(seconds)]])
        return true
      }),
    async seen(key) {
      return (await readEntries(store, recordKey('once', key))).length > 0
    },
    lock: createLocalLock(),
  }
}
