import { type Html, html } from '../html.ts'
import { toDate, toMachineTime, toRelativeTime } from '../relative-time.ts'

/** An instant in epoch seconds: how far off it is, and when that is. */
export function instant(at: number, now: number): Html {
  const away = toRelativeTime(at, now)
  return html`<time datetime="${toMachineTime(at)}">${away}</time> <small>${toDate(at)}</small>`
}
