import fc, { type Arbitrary } from 'fast-check'
import type { Json } from '../../../lib/types.ts'

/** Names that mean something to JavaScript, and nothing in JSON. */
const DANGEROUS_NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'toJSON', 'then', 'length', '']

/** A list within a list within a list, deeper than the library reads. */
const deepJson: Arbitrary<Json> = fc
  .integer({ min: 1, max: 60 })
  .map((depth) => Array.from({ length: depth }).reduce<Json>((inner) => [inner], 0))

/** Any value that JSON can hold, with the names, depths and numbers that programs trip over. */
export const foreignJson: Arbitrary<Json> = fc.oneof(
  { weight: 6, arbitrary: fc.jsonValue({ depthSize: 'small', maxDepth: 4 }) as Arbitrary<Json> },
  {
    weight: 2,
    arbitrary: fc
      .array(fc.tuple(fc.constantFrom(...DANGEROUS_NAMES), fc.jsonValue({ maxDepth: 1 })), { maxLength: 4 })
      .map((members) => Object.fromEntries(members) as Json),
  },
  { weight: 1, arbitrary: deepJson },
  { weight: 1, arbitrary: fc.constantFrom<Json>('', ' ', 0, -1, 1e300, Number.MAX_SAFE_INTEGER, null, [], {}, [null]) },
)

/** The net for a property that fails on a slow machine: what it has found by then is reported. No run takes as long. */
fc.configureGlobal({ interruptAfterTimeLimit: 30_000 })

/** A value that is nearly a good one: text that was damaged, another number, a list with more or less in it. */
function similarTo(value: Json): Arbitrary<Json> {
  if (typeof value === 'string') return damaged(value)
  if (typeof value === 'number') {
    const factor = fc.constantFrom(0, -1, 0.5, 1.5, 1e12, 1e308)
    return fc.oneof(
      factor.map((times) => value * times),
      fc.integer({ min: -100_000, max: 100_000 }).map((more) => value + more),
      fc.constant(String(value)),
    )
  }
  const list: readonly Json[] = Array.isArray(value) ? value : [value]
  return fc.tuple(fc.subarray([...list]), fc.array(foreignJson, { maxLength: 1 })).map((parts) => parts.flat())
}

/**
 * An object that is nearly the good one: one or two of its members mostly are absent or something else, and one more may be
 * there, of these names or of any.
 */
export function nearly(
  good: Readonly<Record<string, Json>>,
  ...names: readonly string[]
): Arbitrary<Readonly<Record<string, Json>>> {
  const change = fc
    .constantFrom(...Object.entries(good))
    .chain(([name, value]) =>
      fc.tuple(
        fc.constant(name),
        fc.oneof(
          { weight: 2, arbitrary: fc.constant(undefined) },
          { weight: 4, arbitrary: similarTo(value) },
          { weight: 2, arbitrary: foreignJson },
          { weight: 1, arbitrary: fc.constantFrom<Json>(...Object.values(good)) },
        ),
      ),
    )
  const changes = fc.oneof(
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 4, arbitrary: fc.array(change, { minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.array(change, { minLength: 2, maxLength: 3 }) },
  )
  const anyName = fc.oneof(fc.constantFrom(...names, ...DANGEROUS_NAMES), fc.string({ maxLength: 8 }))
  const more = fc.oneof(fc.constant([]), fc.array(fc.tuple(anyName, foreignJson), { maxLength: 1 }))
  return fc
    .tuple(changes, more)
    .map(([changed, others]) => Object.fromEntries([...Object.entries(good), ...others, ...changed].filter(isPresent)))
}

function isPresent(member: readonly [string, Json | undefined]): member is [string, Json] {
  return member[1] !== undefined
}

/** Text that is nearly the given one: a piece is cut out, put in twice, or replaced. */
export function damaged(text: string): Arbitrary<string> {
  const position = fc.integer({ min: 0, max: text.length })
  return fc
    .tuple(position, position, fc.oneof(fc.constant(''), anyText, fc.constant(text)))
    .map(([start, end, piece]) => text.slice(0, start) + piece + text.slice(end))
}

/** Text of any characters: ASCII, control characters, other scripts, half of a surrogate pair. */
export const anyText: Arbitrary<string> = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 10 }).map((units) => String.fromCharCode(...units)),
)

/** Text made of the pieces that a grammar is about, in any order, with any other text in between. */
export function textOf(...pieces: readonly string[]): Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...pieces) },
    { weight: 1, arbitrary: anyText },
    { weight: 1, arbitrary: fc.string({ maxLength: 6 }) },
  )
  return fc.array(piece, { maxLength: 12 }).map((parts) => parts.join(''))
}

/** The same pieces, each repeated until they fill the given length: what regular expressions that backtrack dislike. */
export function repeated(length: number, ...pieces: readonly string[]): Arbitrary<string> {
  return fc
    .tuple(fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 4 }), fc.constantFrom('', ...pieces, '\0'))
    .map(
      ([parts, end]) =>
        parts
          .join('')
          .repeat(Math.ceil(length / parts.join('').length))
          .slice(0, length) + end,
    )
}
