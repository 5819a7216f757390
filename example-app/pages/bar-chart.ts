import { type Html, html } from '../html.ts'
import type { Bar } from './figures.ts'

/** The content of a bar chart. */
export interface BarChart {
  /** What it shows, for screen readers. */
  readonly title: string
  readonly bars: readonly Bar[]
  /** In units of the view box, which is 640 wide. */
  readonly height: number
}

const WIDTH = 640
const FOOT = 28
const HEAD = 22

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 0 })

/** A bar chart as inline SVG: colours come from the style sheet, so it follows light and dark. */
export function barChart({ title, bars, height }: BarChart): Html {
  const most = Math.max(...bars.map(({ value }) => value), 1)
  const step = WIDTH / bars.length
  const room = height - FOOT - HEAD
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}">
    ${[0, 0.5, 1].map((part) => {
      const y = round(HEAD + room * (1 - part))
      return html`<line class="chart-line" x1="0" x2="${WIDTH}" y1="${y}" y2="${y}"/>`
    })}
    ${bars.map(({ label, value }, index) => {
      const tall = round((room * value) / most)
      const middle = round(step * (index + 0.5))
      const top = round(HEAD + room - tall)
      const look = value === most ? 'chart-bar chart-peak' : 'chart-bar'
      const left = round(middle - step * 0.3)
      return html`<rect class="${look}" x="${left}" y="${top}" width="${round(step * 0.6)}" height="${tall}" rx="3"/>
      <text class="chart-value" x="${middle}" y="${round(top - 7)}">${compact.format(value)}</text>
      <text class="chart-label" x="${middle}" y="${height - 7}">${label}</text>`
    })}
  </svg>`
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
