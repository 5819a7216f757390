import { createRequire } from 'node:module'
import { after, describe, mock } from 'node:test'
import { modulePath, moduleUrl } from '../support/app/project.ts'
import { separateMockedTimers } from './mocked-timers.ts'
import { limitProcess, MAX_PROCESS_SECONDS } from './process-limit.ts'

const require = createRequire(import.meta.url)

const noteFile = limitProcess(MAX_PROCESS_SECONDS)
separateMockedTimers()

/**
 * Runs test files in this process, one after the other, each in a suite of its own: its hooks are for its own tests only,
 * and what it has mocked is undone.
 */
export async function describeFiles(files: readonly string[]): Promise<void> {
  for (const file of files) await describeFile(file)
}

/** `require()` loads a module at once, so that the suite is still open for its tests. `import()` could not. */
function describeFile(file: string): Promise<void> {
  return new Promise((resolve) => {
    noteFile(file)
    describe(file, () => {
      try {
        require(modulePath(file))
      } finally {
        // The last of its hooks, also of a file that cannot be loaded: the next file has its turn.
        after(() => {
          mock.reset()
          resolve()
        })
      }
    })
  })
}

/** For a file with an `await` at its top, which has to be alone: only the first import of a process finds its suite. */
export function describeAsyncFile(file: string): void {
  noteFile(file)
  describe(file, async () => {
    await import(moduleUrl(file))
  })
}
