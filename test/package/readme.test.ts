import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, it } from 'node:test'
import { transformSync } from 'esbuild'
import * as library from '../../lib/index.ts'
import { ROOT } from '../support/app/project.ts'
import { compileBlocks } from '../support/docs/code-block-compiler.ts'
import { codeBlocks, filesBelow, readText } from '../support/docs/code-blocks.ts'
import { DOCUMENTED_OPTIONS, membersOf } from '../support/docs/documented-options.ts'

const README = readText('README.md')
const DOCUMENTS = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...filesBelow('docs', '.md')]
const SOURCES = filesBelow('lib', '.ts')

const LOADERS: Readonly<Record<string, 'js' | 'jsx' | 'ts' | 'tsx' | 'json'>> = {
  ...{ js: 'js', jsx: 'jsx', typescript: 'ts', tsx: 'tsx', json: 'json' },
}

/** The blocks of a document in the other languages that can be parsed here. */
function otherBlocks(file: string): readonly { file: string; line: number; language: string; code: string }[] {
  const text = readText(file)
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .map(({ index, 1: language = '', 2: code = '' }) => ({
      ...{ file, line: text.slice(0, index).split('\n').length, language, code },
    }))
    .filter(({ language }) => language in LOADERS)
}

/** Throws if the code is not in its language. Decorators are those of NestJS. */
function parse({ language, code }: { readonly language: string; readonly code: string }): void {
  const tsconfigRaw = { compilerOptions: { experimentalDecorators: true } }
  transformSync(code, {
    loader: LOADERS[language] ?? 'js',
    format: 'esm',
    target: 'es2022',
    tsconfigRaw,
    logLevel: 'silent',
  })
}

/** The rows of the table that begins with this head, cells trimmed. */
function tableAfter(file: string, head: string): readonly (readonly string[])[] {
  const [, after = ''] = readText(file).split(`\n${head}\n`)
  const rows = after.split('\n').slice(1)
  const end = rows.findIndex((row) => !row.startsWith('|'))
  return rows.slice(0, end).map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

function namesMissingIn(file: string, names: readonly string[]): readonly string[] {
  const text = readText(file)
  return names.filter((name) => !new RegExp(`(?<![\\w-])${name}(?![\\w-])`).test(text))
}

describe('README.md', () => {
  it('is read in two minutes', () => {
    const lines = README.trimEnd().split('\n').length
    assert.ok(lines >= 150 && lines <= 200, `${lines} lines`)
  })

  it('names the two commands as they are', () => {
    assert.match(README, /^ {4}npm ci && npm run example$/m)
    assert.match(README, /^ {4}npm ci && npm test$/m)
    const { scripts } = JSON.parse(readText('package.json'))
    assert.ok('example' in scripts && 'test' in scripts)
  })

  it('starts with an app of at most 15 lines', () => {
    const [first = assert.fail('no code')] = codeBlocks('README.md')
    assert.ok(first.code.split('\n').length <= 15)
    assert.match(first.code, /startTestProvider/)
  })

  it('leaves the list of options to docs/options.md', () => {
    assert.equal(tableAfter('README.md', '| Option | Default | |').length, 0)
    const names = DOCUMENTED_OPTIONS.map(({ name }) => name)
    const headings = [...readText('docs/options.md').matchAll(/^### `(.*)`$/gm)].map(([, name]) => name)
    assert.deepEqual([...headings].sort(), [...names].sort())
  })
})

describe('the reference', () => {
  it('names every hook and every event', () => {
    const hooks = membersOf('Hooks').map(({ name }) => name)
    const events = [...readText('lib/events.ts').matchAll(/^ {2}'(express-oidc:[\w-]+)': \{/gm)].map(
      ([, name = '']) => name,
    )
    assert.ok(hooks.length >= 4)
    assert.ok(events.length >= 6)
    const told = ['| Hook | Runs | If it throws or sends a response |', '| Channel | When |'].flatMap((head) =>
      tableAfter('docs/events.md', head).map(([name = '']) => name.replaceAll('`', '')),
    )
    assert.deepEqual([...told].sort(), [...hooks, ...events].sort())
  })

  it('names every operation', () => {
    const told = tableAfter('docs/events.md', '| Tracing channel | From start to end |').map(([name = '']) => name)
    const names = [...readText('lib/operations.ts').matchAll(/^ {2}'(express-oidc:[\w-]+)': Operation/gm)]
    assert.ok(names.length > 10)
    assert.deepEqual(
      told,
      names.map(([, name]) => `\`${name}\``),
    )
  })

  it('names every export, and every entry point', () => {
    assert.deepEqual(namesMissingIn('docs/exports.md', Object.keys(library)), [])
    const { exports } = JSON.parse(readText('package.json'))
    const paths = Object.keys(exports).filter((path) => path !== '.' && path !== './package.json')
    assert.ok(paths.length >= 6)
    const text = readText('docs/exports.md')
    assert.deepEqual(
      paths.filter((path) => !text.includes(`${path.slice(1)}\``)),
      [],
    )
  })

  it('names every member of req.oidc, and no other', () => {
    const interfaces = ['OidcMethods', 'AuthenticatedContext', 'TokenContext']
    const names = new Set(interfaces.flatMap(membersOf).map(({ name }) => name))
    assert.ok(names.size > 12)
    const told = tableAfter('docs/req-oidc.md', '| Member | |').flatMap(([cell = '']) =>
      [...cell.matchAll(/`(\w+)/g)].map(([, name = '']) => name),
    )
    assert.deepEqual([...told].sort(), ['isAuthenticated', ...names].sort())
  })
})

describe('the documentation', () => {
  const blocks = [...DOCUMENTS, ...SOURCES].flatMap(codeBlocks)

  it('has code that compiles', () => {
    const canary = { file: 'canary.md', line: 7, code: "app.get('/', requireAuth())\nrequireScope(1)" }
    assert.ok(blocks.length > 20)
    const [told = '', ...faults] = compileBlocks([canary, ...blocks])
    assert.match(told, /^canary\.md:8: error TS2769|^canary\.md:8: error TS2345/)
    assert.deepEqual(faults, [])
  })

  it('has no other code that does not parse', () => {
    const others = DOCUMENTS.flatMap(otherBlocks)
    assert.ok(others.length > 20)
    assert.throws(() => parse({ language: 'jsx', code: 'const a = <b>' }))
    for (const block of others) assert.doesNotThrow(() => parse(block), `${block.file}:${block.line}`)
  })

  it('has a block of code for each @example', () => {
    for (const file of SOURCES) {
      const examples = readText(file).match(/^\s*\* @example$/gm)?.length ?? 0
      assert.equal(codeBlocks(file).length, examples, file)
    }
  })

  it('shows in a comment how each function that is exported is called', () => {
    const { exports } = JSON.parse(readText('package.json'))
    const entries = Object.keys(exports).filter((path) => path !== './package.json')
    const without = entries.flatMap((path) => functionsWithoutExample(path === '.' ? 'index' : path.slice(2)))
    assert.deepEqual(without, [])
    assert.equal(functionsWithoutExample('jose/json').length, 4)
  })

  it('links to files and headings that are there', () => {
    const links = DOCUMENTS.flatMap((file) =>
      [...readText(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ file, target })),
    ).filter(({ target }) => !/^https:/.test(target))
    assert.ok(links.length > 20)
    assert.deepEqual(
      links.filter(({ file, target }) => !isThere(file, target)).map(({ file, target }) => `${file}: ${target}`),
      [],
    )
  })

  it('is listed in its index', () => {
    const index = readText('docs/README.md')
    for (const file of filesBelow('docs', '.md').filter((name) => name !== 'docs/README.md')) {
      assert.ok(index.includes(`(${file.slice('docs/'.length)})`), file)
    }
  })
})

/** The functions that a module exports, its own or those of others, whose comment has no `@example`. */
function functionsWithoutExample(module: string): readonly string[] {
  const text = readText(`lib/${module}.ts`)
  const exported = [...text.matchAll(/^export \{([^}]*)\} from '\.\/(.*)\.ts'/gm)].flatMap(([, list = '', from = '']) =>
    list.split(',').map((name) => ({ name: name.trim(), source: readText(`lib/${from}.ts`) })),
  )
  const own = [...text.matchAll(/^export (?:async )?function\*? (\w+)/gm)].map(([, name = '']) => ({
    name,
    source: text,
  }))
  return [...exported, ...own]
    .filter(({ name, source }) => {
      const at = name === '' ? -1 : source.search(new RegExp(`^export (?:async )?function\\*? ${name}\\b`, 'm'))
      const comment = source.slice(source.lastIndexOf('/**', at), at)
      return at >= 0 && !(comment.includes('\n * @example\n') && comment.endsWith(' */\n'))
    })
    .map(({ name }) => `${module}: ${name}`)
}

function isThere(from: string, target: string): boolean {
  const [path = '', heading] = target.split('#')
  const file = path === '' ? from : normalize(join(dirname(from), path))
  if (!existsSync(join(ROOT, file))) return false
  return heading === undefined || headingsOf(file).includes(heading)
}

/** The anchors that GitHub makes of headings. */
function headingsOf(file: string): readonly string[] {
  return [...readText(file).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}
