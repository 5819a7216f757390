const UNITS: ReadonlyArray<readonly [unit: Intl.RelativeTimeFormatUnit, seconds: number]> = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
]

const words = new Intl.RelativeTimeFormat('en', { numeric: 'always' })
const calendar = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })

/** A time in seconds since 1970, relative to now: `in 59 minutes`, `2 days ago`. */
export function toRelativeTime(at: number, now: number): string {
  const distance = Math.round(at - now)
  if (Math.abs(distance) < 10) return 'just now'
  for (const [unit, seconds] of UNITS) {
    if (Math.abs(distance) >= seconds) return words.format(Math.trunc(distance / seconds), unit)
  }
  return 'just now'
}

/** A time in seconds since 1970 as a date: `23 Nov 2026, 09:30 UTC`. */
export function toDate(at: number): string {
  return `${calendar.format(at * 1000)} UTC`
}

/** The same as ISO 8601, for `<time datetime>`. */
export function toMachineTime(at: number): string {
  return new Date(at * 1000).toISOString()
}
