import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../app/project.ts'
import { type CodeBlock, readText } from './code-blocks.ts'

/** What blocks use without saying where it is from. Each line names one thing that a reader can guess. */
export const PRELUDE = `
type Handler = import('express').RequestHandler
type Store = import('express-session').Store
declare const app: import('express').Express
declare const issuer: string, clientId: string, clientSecret: string, baseUrl: string
declare const secret: string, oldSecret: string, sessionSecret: string, store: Store
declare const options: import('express-oidc').SingleProviderOptions
declare const signingKey: import('express-oidc').PrivateJwk
declare const encryptionKey: import('express-oidc').PrivateJwk
declare const certificate: string, certificateKey: string
declare const showProfile: Handler, showReports: Handler, showOrders: Handler, showAdmin: Handler, showStaff: Handler
declare const showBoard: Handler, showDutch: Handler, showVerified: Handler, showBoth: Handler
declare const showAccount: Handler, showPayments: Handler, showCalendar: Handler
declare function findUser(iss: string, sub: string): Promise<{ id: string } | undefined>
declare const jwksUri: string
interface Keys { readonly keys: readonly unknown[] }
declare function fetchKeys(uri: string): Promise<Keys>
`

/** The same for comments in `lib/`, which may use inner types. */
/** A page has it, and the other projects have the types of a browser for it. */
const INNER_PRELUDE = `declare const location: { reload(): void }\ndeclare const config: import('${ROOT}lib/options/config.ts').Config\n`

/** Names that a block may use without importing them, each with its import. Where two have one name, the first is meant. */
const COMMON: ReadonlyMap<string, string> = new Map([
  ['express', "import express from 'express'"],
  ['session', "import session from 'express-session'"],
  ['bearer', "import { bearer } from 'express-oidc/bearer'"],
  ...['Request', 'Response', 'NextFunction'].map((name) => [name, `import type { ${name} } from 'express'`] as const),
])

const LIBRARY: ReadonlyMap<string, string> = new Map(
  [...readText('lib/index.ts').matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(([, mark = '', list = '']) =>
    (list.match(/(?:type )?\w+/g) ?? []).map((item) => {
      const name = item.replace('type ', '')
      return [name, `import { ${item === name ? mark : 'type '}${name} } from 'express-oidc'`] as const
    }),
  ),
)

/** Compiles blocks, each as a module of its own, and returns one `file:line: message` for each fault. */
export function compileBlocks(blocks: readonly CodeBlock[]): readonly string[] {
  const cache = join(ROOT, 'node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'code-blocks-'))
  try {
    const headers = blocks.map((block, index) => {
      const header = headerOf(block)
      const code = `${[...header, block.code].join('\n')}\n`
      writeFileSync(join(folder, `block-${index}.ts`), code)
      const name = fileNameOf(block)
      if (name !== undefined) writeFileSync(join(folder, name), code)
      return header.length
    })
    writeFileSync(join(folder, 'prelude.d.ts'), PRELUDE + INNER_PRELUDE)
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(projectOf(blocks)))
    return faultsOf(runCompiler(folder), blocks, headers)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A block whose first line is `// app.ts` is a file of this name, which others may import. */
export function fileNameOf({ code }: CodeBlock): string | undefined {
  return /^\/\/ ([\w.-]+\.ts)$/m.exec(code.split('\n', 1)[0] ?? '')?.[1]
}

function projectOf(blocks: readonly CodeBlock[]): unknown {
  return {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: {
      rewriteRelativeImportExtensions: false,
      allowImportingTsExtensions: true,
      noUnusedLocals: false,
      noUnusedParameters: false,
      paths: { 'express-oidc': [join(ROOT, 'lib/index.ts')], 'express-oidc/*': [join(ROOT, 'lib/*.ts')] },
    },
    files: ['prelude.d.ts', ...blocks.map((_, index) => `block-${index}.ts`)],
    // Else it would be all that the project at the top includes.
    include: [],
  }
}

/** One line for each import that a block leaves to its surroundings; at least one, so that it is a module. */
export function headerOf({ file, code }: CodeBlock): readonly string[] {
  const imports = new Map([...LIBRARY, ...exportsOf(file), ...COMMON])
  const isUsed = (name: string): boolean => new RegExp(`(?<![\\w.'"/-])${name}\\b(?!['"-]|:\\s)`).test(code)
  const isDeclared = (name: string): boolean =>
    new RegExp(`^import [^'"]*\\b${name}\\b|\\bconst (?:\\{[^}]*)?\\b${name}\\b`, 'm').test(code)
  const missing = [...imports].filter(([name]) => isUsed(name) && !isDeclared(name))
  return ['export {}', ...missing.map(([, line]) => line)]
}

/** What the file itself exports: the comments of a source take that for granted. */
function exportsOf(file: string): ReadonlyMap<string, string> {
  if (!file.endsWith('.ts')) return new Map()
  const declarations = readText(file).matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)
  return new Map([...declarations].map(([, name = '']) => [name, `import { ${name} } from '${ROOT}${file}'`]))
}

function runCompiler(folder: string): string {
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { stdout, stderr, error } = spawnSync(process.execPath, [compiler, '-p', folder, '--pretty', 'false'], {
    cwd: folder,
    encoding: 'utf8',
  })
  if (error !== undefined || stderr !== '') throw new Error(`The compiler failed: ${error?.message ?? stderr}`)
  return stdout
}

/** Every line of the compiler is accounted for: a fault elsewhere, as in `lib/`, is told as it is. */
function faultsOf(output: string, blocks: readonly CodeBlock[], headers: readonly number[]): readonly string[] {
  const lines = output.split('\n').filter((line) => line !== '' && !line.startsWith(' '))
  return lines.map((line) => {
    const [, index, row, message] = /^block-(\d+)\.ts\((\d+),\d+\): (.*)$/.exec(line) ?? []
    const block = blocks[Number(index)]
    if (block === undefined) return line
    return `${block.file}:${block.line + Number(row) - 1 - (headers[Number(index)] ?? 0)}: ${message}`
  })
}
