import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runBlocks } from '../support/docs/code-block-runner.ts'
import { codeBlocks, readText } from '../support/docs/code-blocks.ts'
import { DOCUMENTED_OPTIONS, type DocumentedOption, JSDOC_OPTIONS } from '../support/docs/documented-options.ts'

const FILE = 'docs/options.md'

interface Entry extends DocumentedOption {
  readonly text: string
}

/** One for each heading of the third level. Its text ends before the next heading of any level. */
const ENTRIES: readonly Entry[] = readText(FILE)
  .split(/^(?=#{1,3} )/m)
  .filter((section) => section.startsWith('### '))
  .map((text) => ({ name: /^### `(.*)`$/m.exec(text)?.[1] ?? text, fallback: statedFallback(text), text }))

/** The default in the first paragraph of an entry. */
function statedFallback(text: string): string {
  const [, paragraph = ''] = text.split('\n\n')
  if (paragraph === 'Required.') return 'required'
  if (paragraph === 'No default.') return ''
  return /^Default: (.*)\.$/.exec(paragraph)?.[1]?.replaceAll('`', '') ?? `nothing that can be read: ${paragraph}`
}

type Sources = Readonly<Record<string, readonly DocumentedOption[]>>

/** The three places where every option stands. */
const SOURCES = {
  'row in lib/options/option-table.ts': DOCUMENTED_OPTIONS,
  'JSDoc comment on its public interface': JSDOC_OPTIONS,
  [`entry in ${FILE}`]: ENTRIES,
}

/** One sentence for each option that is missing in a place, or stands there twice. */
function findMissing(sources: Sources): readonly string[] {
  const names = new Set(Object.values(sources).flatMap((options) => options.map(({ name }) => name)))
  return Object.entries(sources).flatMap(([place, options]) =>
    [...names].flatMap((name) => {
      const count = options.filter((option) => option.name === name).length
      return count === 1 ? [] : [`${name} has ${count === 0 ? 'no' : count} ${place}`]
    }),
  )
}

/** One sentence for each default that is not the one of the first place. */
function findOtherDefaults(sources: Sources): readonly string[] {
  const [[, rows] = ['', []], ...others] = Object.entries(sources)
  const expected = new Map(rows.map(({ name, fallback }) => [name, fallback]))
  return others.flatMap(([place, options]) =>
    options
      .filter(({ name, fallback }) => fallback !== expected.get(name))
      .map(({ name, fallback }) => `the ${place} of ${name} has the default ${fallback}, not ${expected.get(name)}`),
  )
}

describe('every option', () => {
  it('has a row in the table, a JSDoc comment and an entry in the documentation', () => {
    assert.ok(DOCUMENTED_OPTIONS.length > 80)
    assert.deepEqual(findMissing(SOURCES), [])
  })

  it('has the same default in all three', () => {
    assert.deepEqual(findOtherDefaults(SOURCES), [])
  })

  it('is reported with the place where it is missing', () => {
    const [timeout, scope] = [
      { name: 'timeout', fallback: '10' },
      { name: 'scope', fallback: '' },
    ]
    assert.deepEqual(findMissing({ row: [timeout, scope], comment: [timeout], entry: [timeout, timeout, scope] }), [
      'scope has no comment',
      'timeout has 2 entry',
    ])
    assert.deepEqual(findOtherDefaults({ row: [timeout, scope], entry: [{ ...timeout, fallback: '5' }, scope] }), [
      'the entry of timeout has the default 5, not 10',
    ])
  })
})

describe(FILE, () => {
  it('shows each option in use', () => {
    for (const { name, text } of ENTRIES) {
      const code = text.split('```ts').slice(1).join('')
      assert.match(code, new RegExp(`\\b${name.split('.').at(-1)}\\b`), name)
    }
  })

  it('shows options that oidc() accepts together', async () => {
    const blocks = codeBlocks(FILE).filter(({ code }) => /\boidc\(/.test(code))
    assert.ok(blocks.length >= ENTRIES.length)
    assert.deepEqual(await runBlocks(blocks), [])
  })
})
