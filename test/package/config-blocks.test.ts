import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import { Pool } from 'pg'
import { parseArguments } from '../../lib/command/arguments.ts'
import { postgresState } from '../../lib/postgres.ts'
import { filesBelow, readText } from '../support/docs/code-blocks.ts'

// What readme.test.ts does not parse: it compiles the code, and parses JSON, JSX and JavaScript.

interface Block {
  readonly place: string
  readonly code: string
}

const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...filesBelow('docs', '.md')]
const FENCED = /^( *)```(\w+)\n([\s\S]*?)^ *```$/gm

/** Jest brings it. Version 3 and 4 both have `loadAll`. */
const { loadAll } = createRequire(import.meta.url)('js-yaml') as { loadAll(text: string): unknown[] }

function fencedBlocks(language: string): readonly Block[] {
  return DOCUMENTS.flatMap((file) => {
    const text = readText(file)
    return [...text.matchAll(FENCED)]
      .filter(([, , name]) => name === language)
      .map(({ index, 3: code = '' }) => ({ place: `${file}:${text.slice(0, index).split('\n').length}`, code }))
  })
}

/** The commands for a terminal: blocks that are indented and not fenced, without those that only assign variables. */
function commandBlocks(): readonly Block[] {
  return DOCUMENTS.flatMap((file) => {
    const text = readText(file).replace(FENCED, (block) => block.replace(/[^\n]/g, ''))
    return [...text.matchAll(/(?<=\n\n)(?: {4,}\S.*\n)+/g)].map(({ index, 0: code }) => ({
      place: `${file}:${text.slice(0, index).split('\n').length}`,
      code,
    }))
  })
}

/** The faults of an nginx configuration that can be seen without nginx. */
function nginxFaults({ place, code }: Block): readonly string[] {
  let depth = 0
  const faults: string[] = []
  for (const [index, line] of code.split('\n').entries()) {
    const directive = line.replace(/#.*/, '').trim()
    if (directive === '') continue
    if (directive.endsWith('{')) depth += 1
    else if (directive === '}') depth -= 1
    else if (!/^[a-z_]+ [^{}]*;$/.test(directive)) faults.push(`${place}, line ${index + 1}: ${directive}`)
    if (depth < 0) faults.push(`${place}, line ${index + 1}: one } too many`)
  }
  return depth > 0 ? [...faults, `${place}: a block is not closed`] : faults
}

const INSTRUCTION = /^(ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|RUN|USER|WORKDIR) \S/

function dockerfileFaults({ place, code }: Block): readonly string[] {
  const lines = code.replace(/\\\n/g, ' ').split('\n')
  const instructions = lines.filter((line) => line.trim() !== '' && !line.startsWith('#'))
  const faults = instructions.filter((line) => !INSTRUCTION.test(line))
  for (const [, list = ''] of code.matchAll(/^(?:CMD|ENTRYPOINT) (\[.*)$/gm)) JSON.parse(list)
  if (!/^(ARG|FROM) /.test(instructions[0] ?? '')) faults.push('it must begin with FROM')
  return faults.map((fault) => `${place}: ${fault}`)
}

/** Statements without what only makes them easier to read. */
function words(sql: string): string {
  return sql
    .replace(/\s+/g, ' ')
    .replace(/\( | \)/g, (part) => part.trim())
    .replace(/;\s*$/, '')
    .trim()
}

/** The faults of HTML that browsers would correct in silence. */
function htmlFaults({ place, code }: Block): readonly string[] {
  const open: string[] = []
  for (const [, slash, name = ''] of code.matchAll(/<(\/?)([a-z][a-z0-9]*)(?:\s+[^<>]*)?>/g)) {
    if (slash === '') open.push(name)
    else if (open.at(-1) !== name) return [`${place}: </${name}> closes <${open.at(-1)}>`]
    else open.pop()
  }
  return open.length === 0 ? [] : [`${place}: <${open.at(-1)}> is not closed`]
}

/** What the shell says about the syntax of a script, without running it. */
function shellFaults({ place, code }: Block): readonly string[] {
  const { status, stderr } = spawnSync('sh', ['-n'], { input: code, encoding: 'utf8', timeout: 10_000 })
  return status === 0 ? [] : [`${place}: ${stderr}`]
}

/** Calls of the command in text and in blocks, as words. */
function commandCalls(file: string): readonly (readonly string[])[] {
  const text = readText(file).replace(/ *\\\n */g, ' ')
  return [...text.matchAll(/\bnpx express-oidc (?!--)([^\n`|]+)/g)].map(([, call = '']) =>
    (call.replace(/\s[>#].*/, '').match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', '')),
  )
}

describe('the configuration in the documents', () => {
  it('is YAML that can be parsed', () => {
    const blocks = fencedBlocks('yaml')
    assert.ok(blocks.length >= 3)
    for (const { place, code } of blocks) {
      for (const document of loadAll(code)) assert.ok(document !== null && typeof document === 'object', place)
    }
    assert.throws(() => loadAll('a: [1'))
  })

  it('is nginx with closed blocks and directives', () => {
    const blocks = fencedBlocks('nginx')
    assert.ok(blocks.length >= 2)
    assert.deepEqual(blocks.flatMap(nginxFaults), [])
    assert.equal(nginxFaults({ place: 'a', code: 'server {\n  listen 443 ssl\n' }).length, 2)
  })

  it('is a Dockerfile with known instructions', () => {
    const blocks = fencedBlocks('dockerfile')
    assert.ok(blocks.length >= 1)
    assert.deepEqual(blocks.flatMap(dockerfileFaults), [])
    assert.deepEqual(dockerfileFaults({ place: 'a', code: 'FROM node\nCOPPY . .\n' }), ['a: COPPY . .'])
  })

  it('is a .env file with one variable a line', () => {
    const blocks = fencedBlocks('ini')
    assert.ok(blocks.length >= 4)
    for (const { place, code } of blocks) assert.match(code, /^(?:[A-Z][A-Z0-9_]*=\S.*\n)+$/, place)
  })
})

describe('the other blocks in the documents', () => {
  it('are the SQL that postgresState() runs', () => {
    const { sql } = postgresState({ pool: new Pool() })
    // The lock is for nodes that create the table at once. A migration runs alone.
    const [, table = ''] = /^SELECT pg_advisory_xact_lock\([^;]*;([\s\S]*)$/.exec(sql.trim()) ?? []
    assert.deepEqual(
      fencedBlocks('sql').map(({ code }) => words(code)),
      [words(table)],
    )
  })

  it('are HTML whose elements are closed', () => {
    const blocks = fencedBlocks('html')
    assert.ok(blocks.length >= 5)
    assert.deepEqual(blocks.flatMap(htmlFaults), [])
    assert.deepEqual(htmlFaults({ place: 'a', code: '<p><b>x</p>' }), ['a: </p> closes <b>'])
  })

  it('are in languages that a test reads', () => {
    const languages = DOCUMENTS.flatMap((file) => [...readText(file).matchAll(FENCED)].map(([, , name = '']) => name))
    const elsewhere = ['ts', 'js', 'jsx', 'typescript', 'tsx', 'json']
    const here = ['yaml', 'nginx', 'dockerfile', 'ini', 'sh', 'sql', 'html']
    // What a program prints.
    const others = new Set(languages.filter((name) => ![...elsewhere, ...here].includes(name)))
    assert.deepEqual([...others], ['text'])
  })
})

describe('the commands in the documents', () => {
  it('can be parsed by a shell', () => {
    const blocks = [...fencedBlocks('sh'), ...commandBlocks()]
    assert.ok(blocks.length > 30)
    assert.deepEqual(blocks.flatMap(shellFaults), [])
    assert.equal(shellFaults({ place: 'a', code: 'echo "' }).length, 1)
  })

  it('call express-oidc with arguments that it knows', () => {
    // Decisions also name commands that were decided against.
    const manuals = DOCUMENTS.filter((file) => !file.startsWith('docs/decisions/'))
    const calls = manuals.flatMap((file) => commandCalls(file).map((words) => ({ file, words })))
    assert.ok(calls.length > 20)
    for (const { file, words } of calls) {
      assert.doesNotThrow(() => parseArguments(words), `${file}: npx express-oidc ${words.join(' ')}`)
    }
  })
})
