/** Counts the work that is under way, by kind, and waits for its end. */
export interface UnderWay {
  run<Value>(kind: string, work: () => Promise<Value>): Promise<Value>
  /** How much work of this kind is under way; of all kinds without one. */
  count(kind?: string): number
  /** Resolves when no work is under way, or after so many seconds. The result is how much is left. */
  ended(seconds: number): Promise<number>
}

export function createUnderWay(): UnderWay {
  const counts = new Map<string, number>()
  const waiting = new Set<() => void>()
  let total = 0

  function add(kind: string, change: 1 | -1): void {
    total += change
    counts.set(kind, (counts.get(kind) ?? 0) + change)
    if (total === 0) for (const finish of waiting) finish()
  }

  return {
    async run(kind, work) {
      add(kind, 1)
      try {
        return await work()
      } finally {
        add(kind, -1)
      }
    },
    count: (kind) => (kind === undefined ? total : (counts.get(kind) ?? 0)),
    async ended(seconds) {
      if (total > 0) await waitForEnd(waiting, seconds)
      return total
    },
  }
}

function waitForEnd(waiting: Set<() => void>, seconds: number): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      waiting.delete(finish)
      resolve()
    }
    const timer = setTimeout(finish, seconds * 1000)
    waiting.add(finish)
  })
}
