import { setTimeout } from 'node:timers/promises'
import type { Handler } from '../../lib/index.ts'

/** Where several requests wait for each other, so that they are under way at the same time. */
export interface Rendezvous {
  /** Counts the callbacks that arrive: for the front of an app. */
  readonly count: Handler
  /** Holds an ID Token back until all have arrived, and had the time to ask for it. */
  readonly hold: (jwt: string) => Promise<string>
}

export function createRendezvous(callbacks: number): Rendezvous {
  let missing = callbacks
  let release = (): void => undefined
  const complete = new Promise<void>((resolve) => {
    release = resolve
  })
  return {
    count: (req, _res, next) => {
      if (req.url?.startsWith('/callback')) missing -= 1
      if (missing === 0) release()
      next()
    },
    hold: async (jwt) => {
      await complete
      await setTimeout(50)
      return jwt
    },
  }
}
