import { createLoginChanges } from '../lib/session/login-changes.ts'
import type { Login } from '../lib/types.ts'

const SESSIONS = 300
const REFRESHES = 9
const CLAIMS_BYTES = 35_000

/** What the memory of changed logins takes after so many refreshes, in megabytes. */
export interface HeapReading {
  readonly afterOne: number
  readonly afterAll: number
}

/** Each refresh changes a claim of each session. Run it with `--expose-gc`. */
export function measureRefreshHeap(): HeapReading {
  const changes = createLoginChanges()
  const before = memoryInUse()
  const refreshAll = (version: number): void => {
    for (let user = 0; user < SESSIONS; user++) {
      changes.add(`tokens-${user}`, loginOf(user, version), loginOf(user, version + 1))
    }
  }
  refreshAll(0)
  const afterOne = memoryInUse() - before
  for (let version = 1; version < REFRESHES; version++) refreshAll(version)
  const afterAll = memoryInUse() - before
  // Used until here, so that it is no garbage.
  changes.latest({ login: loginOf(0, 0), tokensId: 'tokens-0' })
  return { afterOne: afterOne / 1e6, afterAll: afterAll / 1e6 }
}

function loginOf(user: number, version: number): Login {
  const claims = { iss: 'https://op.example.com', sub: `user-${user}`, version, groups: 'g'.repeat(CLAIMS_BYTES) }
  return { claims: claims as never, scope: 'openid', loggedInAt: 1, expiresAt: 2 }
}

/** Heap and buffers in bytes, without garbage. */
function memoryInUse(): number {
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** The reading as a Markdown table. */
export function heapTable({ afterOne, afterAll }: HeapReading): string {
  const head = ['sessions', 'claims of each', 'after one refresh', `after ${REFRESHES} refreshes`]
  const row = [SESSIONS, `${CLAIMS_BYTES / 1000} kB`, `${afterOne.toFixed(1)} MB`, `${afterAll.toFixed(1)} MB`]
  return [head, head.map(() => '---'), row].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
