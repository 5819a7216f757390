import { type Spread, spreadOf } from './statistics.ts'

/** One line of the result. */
export interface Figure {
  readonly name: string
  readonly unit: string
  /** One number of each round. Absent where there is nothing to compare with. */
  readonly bare: readonly number[]
  readonly ours: readonly number[]
  readonly aim: { readonly of: 'ratio' | 'ours'; readonly most: number }
}

const HEAD = ['', 'without', 'with express-oidc', 'ratio', 'quartiles', 'aim', '']

/** The figures as a Markdown table. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = [HEAD, HEAD.map(() => '---'), ...figures.map(cellsOf)]
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function cellsOf({ name, unit, bare, ours, aim }: Figure): readonly string[] {
  const ratio = spreadOf(ours.map((value, round) => value / (bare[round] ?? Number.NaN)))
  const own = spreadOf(ours)
  const isMet = (aim.of === 'ratio' ? ratio : own).median <= aim.most
  return [
    name,
    bare.length > 0 ? `${short(spreadOf(bare).median)} ${unit}` : '',
    `${short(own.median)} ${unit}`,
    bare.length > 0 ? ratio.median.toFixed(3) : '',
    quartiles(bare.length > 0 ? ratio : undefined),
    aim.of === 'ratio' ? `at most ${aim.most.toFixed(2)}` : `at most ${aim.most} ${unit}`,
    isMet ? 'met' : 'missed',
  ]
}

function quartiles(spread: Spread | undefined): string {
  return spread === undefined ? '' : `${spread.lower.toFixed(3)} to ${spread.upper.toFixed(3)}`
}

function short(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)
}
