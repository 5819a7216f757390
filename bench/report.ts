import { OURS } from './contenders.ts'
import { type Spread, spreadOf } from './statistics.ts'

/** One row of the table. */
export interface Figure {
  readonly measure: string
  readonly library: string
  /** What the library is compared with. */
  readonly reference: string
  readonly unit: string
  /** One number of each round. */
  readonly values: readonly number[]
  readonly referenceValues: readonly number[]
  /** The aim for our own row. */
  readonly mostRatio: number
}

const HEAD = ['', 'library', 'median', 'compared with', 'ratio', 'quartiles', 'aim', '']

/** The figures as a Markdown table, the libraries of one measure beside each other. */
export function tableOf(figures: readonly Figure[]): string {
  const measures = [...new Set(figures.map(({ measure }) => measure))]
  const sorted = measures.flatMap((name) => figures.filter(({ measure }) => measure === name))
  const rows = [HEAD, HEAD.map(() => '---'), ...sorted.map(cellsOf)]
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function cellsOf(figure: Figure): readonly string[] {
  const { measure, library, reference, unit, values, referenceValues, mostRatio } = figure
  const ratio = spreadOf(values.map((value, round) => value / (referenceValues[round] ?? Number.NaN)))
  const aim =
    library === OURS.name ? [`at most ${mostRatio.toFixed(2)}`, ratio.median <= mostRatio ? 'met' : 'missed'] : ['', '']
  return [
    measure,
    library,
    `${short(spreadOf(values).median)} ${unit}`,
    `${reference}: ${short(spreadOf(referenceValues).median)} ${unit}`,
    ratio.median.toFixed(3),
    quartiles(ratio),
    ...aim,
  ]
}

function quartiles({ lower, upper }: Spread): string {
  return `${lower.toFixed(3)} to ${upper.toFixed(3)}`
}

function short(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)
}
