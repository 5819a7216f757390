import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { APP_RULES } from '../../lib/options/app-table.ts'
import { parseOptions } from '../../lib/options/parse-options.ts'
import { PROVIDER_RULES } from '../../lib/options/provider-table.ts'
import { runBlock } from '../support/docs/code-block-runner.ts'
import { codeBlocks, readText } from '../support/docs/code-blocks.ts'
import { DOCUMENTED_OPTIONS } from '../support/docs/documented-options.ts'

const FILE = 'docs/options.md'

interface Entry {
  readonly name: string
  readonly text: string
}

/** One for each heading of the third level; what follows the next heading of any level is not its text. */
const ENTRIES: readonly Entry[] = readText(FILE)
  .split(/^(?=#{1,3} )/m)
  .filter((section) => section.startsWith('### '))
  .map((section) => ({ name: /^### `(.*)`$/m.exec(section)?.[1] ?? section, text: section }))

/** What the first paragraph of an entry says of the default. */
function toldFallback({ text }: Entry): string | undefined {
  const [, paragraph = ''] = text.split('\n\n')
  if (paragraph === 'Required.') return 'required'
  if (paragraph === 'No default.') return ''
  return /^Default: (.*)\.$/.exec(paragraph)?.[1]?.replaceAll('`', '')
}

describe('docs/options.md', () => {
  it('has one entry for each option, and no other', () => {
    const told = ENTRIES.map(({ name }) => name)
    const declared = DOCUMENTED_OPTIONS.map(({ name }) => name)
    assert.deepEqual(
      declared.filter((name) => !told.includes(name)),
      [],
      'not documented',
    )
    assert.deepEqual(
      told.filter((name, index) => !declared.includes(name) || told.indexOf(name) !== index),
      [],
      'no option, or documented twice',
    )
  })

  it('tells the default of each', () => {
    const told = ENTRIES.map((entry) => [entry.name, toldFallback(entry)] as const)
    const declared = new Map(DOCUMENTED_OPTIONS.map(({ name, fallback }) => [name, fallback]))
    assert.deepEqual(
      told.filter(([name, fallback]) => declared.get(name) !== fallback),
      [],
    )
  })

  it('shows each in use', () => {
    for (const { name, text } of ENTRIES) {
      const code = text.split('```ts').slice(1).join('')
      assert.match(code, new RegExp(`\\b${name.split('.').at(-1)}\\b`), name)
    }
  })

  it('shows options that oidc() accepts together', async () => {
    const blocks = codeBlocks(FILE).filter(({ code }) => /\boidc\(/.test(code))
    assert.ok(blocks.length >= ENTRIES.length)
    for (const block of blocks) {
      await assert.doesNotReject(runBlock(block), `${FILE}:${block.line}`)
    }
  })
})

describe('the options that the documentation is held to', () => {
  it('are those that the configuration knows', () => {
    const known = [...Object.keys(APP_RULES), ...Object.keys(PROVIDER_RULES), 'providers'].sort()
    const declared = DOCUMENTED_OPTIONS.map(({ name }) => name).filter((name) => !name.includes('.'))
    assert.deepEqual([...declared].sort(), known)
  })

  it('have the defaults that the configuration has', () => {
    const required = { issuer: 'https://op.example.com', clientId: 'app', baseUrl: 'https://app.example.com' }
    const { clients } = parseOptions({ ...required, clientSecret: 'a'.repeat(32) })
    const config: Readonly<Record<string, unknown>> = { ...clients[0] }
    const routes = Object.entries(config['routes'] ?? {}).map(([name, path]) => [`routes.${name}`, path] as const)
    const actual = new Map([...Object.entries(config), ...routes])
    const literals = DOCUMENTED_OPTIONS.filter(({ name, fallback }) => {
      return /^(?:'[^']*'|\d+|true|false)$/.test(fallback) && !name.startsWith('registration.')
    })
    assert.ok(literals.length > 10)
    for (const { name, fallback } of literals) {
      assert.equal(String(actual.get(name)), fallback.replaceAll("'", ''), name)
    }
  })
})
