import type { IdTokenClaims } from '../../lib/types.ts'
import { type Html, html } from '../html.ts'
import { instant } from './instant.ts'

/** What expires, and when. All times are seconds since 1970. */
export interface Expiries {
  readonly claims: IdTokenClaims
  readonly expiresAt: number
  readonly accessTokenExpiresAt: number | undefined
  readonly now: number
}

const WIDTH = 400
const HEIGHT = 8

/** A bar for each thing that expires, all on one scale: from the beginning of the login to the last end. */
export function expiries({ claims, expiresAt, accessTokenExpiresAt, now }: Expiries): Html {
  const all: ReadonlyArray<readonly [label: string, note: string, at: number | undefined]> = [
    ['This sign-in', 'then you sign in again', expiresAt],
    ['Access token', 'the app holds it, your browser does not', accessTokenExpiresAt],
    ['ID Token', 'it was needed once, when you came back', claims.exp],
  ]
  const rows = all.flatMap(([label, note, at]) => (at === undefined ? [] : [[label, note, at] as const]))
  const since = Math.min(claims.iat ?? now, now)
  const scale = WIDTH / Math.max(...rows.map(([, , at]) => at - since), 1)
  return html`<section class="panel" aria-labelledby="expiries">
    <h2 id="expiries">When what expires</h2>
    <dl class="expiries">${rows.map(
      ([label, note, at]) => html`<div>
        <dt class="expiry">${label}<small>${note}</small></dt>
        <dd>${bar((at - since) * scale, (now - since) * scale)}<span>${instant(at, now)}</span></dd>
      </div>`,
    )}</dl>
  </section>`
}

/** The part that is over is darker. */
function bar(length: number, over: number): Html {
  const whole = Math.round(Math.min(Math.max(length, HEIGHT), WIDTH))
  const past = Math.round(Math.min(Math.max(over, 0), whole))
  return html`<svg class="bar" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
    <rect class="bar-rest" width="${WIDTH}" height="${HEIGHT}" rx="4"/>
    <rect class="bar-life" width="${whole}" height="${HEIGHT}" rx="4"/>
    <rect class="bar-past" width="${past}" height="${HEIGHT}" rx="4"/>
  </svg>`
}
