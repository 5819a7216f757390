import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SOURCES, type SourceFunction } from '../support/messages/sources.ts'

const MOST_LINES = 40

/** From the line on which the body begins to the one on which it ends. */
function linesOf({ body: { source, start, end }, isExpression }: SourceFunction): number {
  const [first, last] = isExpression ? [start, end - 1] : [start - 1, end]
  return (source.tokens[last]?.line ?? 0) - (source.tokens[first]?.line ?? 0) + 1
}

function isInside({ body: inner }: SourceFunction, { body: outer }: SourceFunction): boolean {
  return inner !== outer && inner.start >= outer.start && inner.end <= outer.end
}

/** The lines that are its own: a function that creates others is not read as one piece with them. */
function ownLinesOf(one: SourceFunction, all: readonly SourceFunction[]): number {
  const inside = all.filter((other) => isInside(other, one))
  const direct = inside.filter((other) => !inside.some((between) => isInside(other, between)))
  const lines = direct.map(linesOf).filter((count) => count > 1)
  return linesOf(one) - lines.reduce((sum, count) => sum + count, 0)
}

describe('the functions of lib/', () => {
  const all = SOURCES.flatMap(({ file, functions }) =>
    functions.map((one) => ({ file, name: one.name, lines: ownLinesOf(one, functions) })),
  )

  it('are all found', () => {
    assert.ok(all.length > 2000, `only ${all.length} were found`)
    assert.ok(all.some(({ lines }) => lines > 30))
  })

  it(`have at most ${MOST_LINES} lines, without those of the functions inside them`, () => {
    const long = all.filter(({ lines }) => lines > MOST_LINES)
    assert.deepEqual(
      long.map(({ file, name, lines }) => `${file}: ${name} has ${lines}`),
      [],
    )
  })
})
