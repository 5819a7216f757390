import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runBlocks } from '../support/docs/code-block-runner.ts'
import { codeBlocks, filesBelow, readText } from '../support/docs/code-blocks.ts'
import {
  DOCUMENTED_BEARER_OPTIONS,
  DOCUMENTED_OPTIONS,
  type DocumentedOption,
  JSDOC_BEARER_OPTIONS,
  JSDOC_OPTIONS,
} from '../support/docs/documented-options.ts'

interface Entry extends DocumentedOption {
  readonly text: string
}

/** One for each heading of the third level. Its text ends before the next heading of any level. */
function entriesOf(file: string): readonly Entry[] {
  return readText(file)
    .split(/^(?=#{1,3} )/m)
    .filter((section) => section.startsWith('### '))
    .map((text) => ({ name: /^### `(.*)`$/m.exec(text)?.[1] ?? text, fallback: statedFallback(text), text }))
}

/** The default in the first paragraph of an entry. */
function statedFallback(text: string): string {
  const [, paragraph = ''] = text.split('\n\n')
  if (paragraph === 'Required.') return 'required'
  if (paragraph === 'No default.') return ''
  return /^Default: (.*)\.$/.exec(paragraph)?.[1]?.replaceAll('`', '') ?? `nothing that can be read: ${paragraph}`
}

type Sources = Readonly<Record<string, readonly DocumentedOption[]>>

/** A function whose options are documented, and the three places where every option stands. */
interface Manual {
  readonly call: RegExp
  readonly file: string
  readonly least: number
  readonly sources: Sources
}

const MANUALS: readonly Manual[] = [
  {
    call: /\boidc\(/,
    file: 'docs/options.md',
    least: 80,
    sources: {
      'row in lib/options/option-table.ts': DOCUMENTED_OPTIONS,
      'JSDoc comment on its public interface': JSDOC_OPTIONS,
      'entry in docs/options.md': entriesOf('docs/options.md'),
    },
  },
  {
    call: /\bbearer\(/,
    file: 'docs/bearer.md',
    least: 15,
    sources: {
      'row in lib/options/bearer-table.ts': DOCUMENTED_BEARER_OPTIONS,
      'JSDoc comment on its public interface': JSDOC_BEARER_OPTIONS,
      'entry in docs/bearer.md': entriesOf('docs/bearer.md'),
    },
  },
]

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
  for (const { file, least, sources } of MANUALS) {
    it(`has a row in the table, a JSDoc comment and an entry in ${file}`, () => {
      for (const options of Object.values(sources)) assert.ok(options.length > least)
      assert.deepEqual(findMissing(sources), [])
    })

    it(`has the same default in all three: ${file}`, () => {
      assert.deepEqual(findOtherDefaults(sources), [])
    })
  }

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

/** Pages whose blocks are steps of one application, or are run by another test. */
const RUN_ELSEWHERE = /^docs\/(options|bearer|testing|environment)\.md$|^docs\/(providers|start|migration|decisions)\//

/** Programs that would listen, connect to a server, or read what only a deployment has. */
const NEEDS_A_DEPLOYMENT =
  /\.listen\(|createClient\(|new (?:\w+\.)?Pool\(|process\.env|registerClient\(|^(?:const .* = )?await /m

describe('the blocks of the other pages', () => {
  it('run without an error', async () => {
    const pages = filesBelow('docs', '.md').filter((file) => !RUN_ELSEWHERE.test(file))
    const blocks = pages.flatMap(codeBlocks).filter(({ code }) => !NEEDS_A_DEPLOYMENT.test(code))
    assert.ok(blocks.length > 50, `${blocks.length} blocks`)
    assert.deepEqual(await runBlocks(blocks), [])
  })
})

for (const { file, call } of MANUALS) {
  describe(file, () => {
    const entries = entriesOf(file)

    it('shows each option in use', () => {
      for (const { name, text } of entries) {
        const code = text.split('```ts').slice(1).join('')
        assert.match(code, new RegExp(`\\b${name.split('.').at(-1)}\\b`), name)
      }
    })

    it('shows options that are accepted together', async () => {
      const blocks = codeBlocks(file).filter(({ code }) => call.test(code) && !code.includes('.listen('))
      assert.ok(blocks.length >= entries.length)
      assert.deepEqual(await runBlocks(blocks), [])
    })
  })
}
