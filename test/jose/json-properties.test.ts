import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { shown } from '../../lib/errors.ts'
import { parseJson, parseJsonObject } from '../../lib/jose/json.ts'
import { damaged, foreignJson, repeated } from '../support/properties/foreign-text.ts'
import { holds, isDeeplyFrozen, stopped } from '../support/properties/outcome.ts'

/** More than the 1 MiB that a response may have. */
const LARGEST = 1_100_000

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

describe('JSON from outside', () => {
  it('is read as JSON.parse reads it, and is deeply frozen', () => {
    fc.assert(
      fc.property(foreignJson, (value) => {
        const text = JSON.stringify(value)
        const read = parseJson(Buffer.from(text))
        if (depthOf(value) > 32) return assert.equal(read, undefined)
        assert.deepEqual(read, JSON.parse(text))
        holds(isDeeplyFrozen(read))
      }),
      { numRuns: 500 },
    )
  })

  it('never throws for any bytes, and gives an object or nothing where an object is needed', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      foreignJson.chain((value) => damaged(JSON.stringify(value))).map((text) => new Uint8Array(Buffer.from(text))),
    )
    fc.assert(
      fc.property(bytes, (input) => {
        const value = parseJson(input)
        const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
        assert.equal(JSON.stringify(parseJsonObject(input)), isObject ? JSON.stringify(value) : undefined)
      }),
      { numRuns: 1000 },
    )
  })

  it('keeps a member named __proto__ a member, and no object gets another prototype', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 2 }), (value) => {
        const object = parseJsonObject(Buffer.from(`{"__proto__":${JSON.stringify(value)}}`)) ?? assert.fail()
        assert.equal(Object.getPrototypeOf(object), Object.prototype)
        holds(Object.hasOwn(object, '__proto__'))
      }),
    )
  })

  it('may be as large as a response, and nested as deeply as that allows', () => {
    fc.assert(
      fc.property(repeated(LARGEST, '[', '{"a":', '"', '\\', '1', ',', ' '), (text) => {
        assert.equal(
          stopped(() => parseJsonObject(Buffer.from(text))),
          undefined,
        )
      }),
      { numRuns: 20 },
    )
  })
})

describe('a value in an error message', () => {
  /** 80 characters, each of which may become an escape of six, and the three dots. */
  const LONGEST = 80 * 6 + 3

  it('is printable ASCII of a bounded length, whatever the value is', () => {
    const value = fc.oneof(
      fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }),
      fc.string({ unit: 'binary', maxLength: 300 }),
    )
    fc.assert(
      fc.property(value, (given) => {
        const text = shown(given)
        assert.match(text, /^[ -~]+$/)
        holds(text.length <= LONGEST)
      }),
      { numRuns: 1000 },
    )
  })

  it('is shown too where JSON cannot hold it', () => {
    const circle: Record<string, unknown> = {}
    circle['itself'] = circle
    const thrower = {
      toJSON() {
        throw new Error('no')
      },
    }
    for (const value of [circle, thrower, 10n, Symbol('one'), undefined, Object.create(null), () => 1]) {
      assert.match(shown(value), /^[ -~]+$/)
    }
  })

  it('reads back as the value where it is short and plain', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 30 }), fc.integer(), fc.boolean()), (value) => {
        assert.equal(JSON.parse(shown(value)), value)
      }),
    )
  })
})
