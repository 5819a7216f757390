import { setImmediate } from 'node:timers/promises'
import type { Handler } from '../../../lib/index.ts'

/** Where several requests, callbacks unless told, wait for each other, so that they are under way at the same time. */
export interface Rendezvous {
  /** Counts those that arrive: for the front of an app. */
  readonly count: Handler
  /** Holds an ID Token back until all have arrived, and have had their turns to ask for it. */
  readonly hold: (jwt: string) => Promise<string>
}

/** Turns of the event loop from the arrival of a request to what it asks the provider for; a handful in fact. */
const TURNS = 500

export function createRendezvous(requests: number, path: string = '/callback'): Rendezvous {
  let missing = requests
  let release = (): void => undefined
  const complete = new Promise<void>((resolve) => {
    release = resolve
  })
  return {
    count: (req, _res, next) => {
      if (req.url?.startsWith(path)) missing -= 1
      if (missing === 0) release()
      next()
    },
    hold: async (jwt) => {
      await complete
      for (let turn = 0; turn < TURNS; turn++) await setImmediate()
      return jwt
    },
  }
}
