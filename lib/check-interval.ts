import { ConfigError } from './errors.ts'

/** Nobody is to be sent away more often than that, in seconds: two servers' clocks may differ by some. */
const LEAST = 10

/** How often a session is checked, in seconds. Anything that is no number would check it at every page, without an end. */
export function checkInterval(given: unknown): number {
  if (typeof given === 'number' && Number.isInteger(given) && given >= LEAST) return given
  throw new ConfigError([
    `A session is checked every so many whole seconds, at least ${LEAST}: checkSession({ every: 300 }).`,
  ])
}
