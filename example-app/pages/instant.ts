import { type Html, html } from '../html.ts'
import { toDate, toMachineTime, toRelativeTime } from '../relative-time.ts'

/** The last second that a `Date` can hold. */
const LAST_SECOND = 8_640_000_000_000

/** A time in seconds since 1970: how far away it is, and its date. */
export function instant(at: number, now: number): Html {
  if (Math.abs(at) > LAST_SECOND) return html`${at}`
  const away = toRelativeTime(at, now)
  return html`<time datetime="${toMachineTime(at)}">${away}</time> <small>${toDate(at)}</small>`
}
