import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import express from 'express'
import session from 'express-session'
import { moduleUrl, ROOT } from '../app/project.ts'
import { createRsaKeyPair } from '../app/rsa-keys.ts'
import { LOOPBACK_CERTIFICATE } from '../servers/tls-certificate.ts'
import { headerOf, PRELUDE } from './code-block-compiler.ts'
import type { CodeBlock } from './code-blocks.ts'

const ISSUER = 'https://op.example.com'
const BASE_URL = 'https://app.example.com'
const SECRET = 'a secret of more than 32 characters'

/** What every block may use: the same for all of them, because RSA keys are slow to make. */
const SIGNING_KEY = privateJwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'sig')
const ENCRYPTION_KEY = privateJwk(createRsaKeyPair(), 'enc')

/** The blocks are checked by `compileBlocks`; what they import is not looked at here. */
const ONLY_STRIP_TYPES = {
  module: 'nodenext',
  target: 'es2022',
  verbatimModuleSyntax: true,
  noCheck: true,
  noResolve: true,
  types: [],
}

/** What blocks use without saying where it is from, as the prelude of the compiler declares it. */
function surroundings(): Readonly<Record<string, unknown>> {
  const needed = { issuer: ISSUER, clientId: 'app', clientSecret: SECRET.replaceAll(' ', '-'), baseUrl: BASE_URL }
  return {
    ...needed,
    app: express(),
    options: needed,
    secret: SECRET,
    oldSecret: `the old one: ${SECRET}`,
    signingKey: SIGNING_KEY,
    encryptionKey: ENCRYPTION_KEY,
    certificate: LOOPBACK_CERTIFICATE.cert,
    certificateKey: LOOPBACK_CERTIFICATE.key,
    sessionSecret: SECRET,
    store: new session.MemoryStore(),
    ...Object.fromEntries(HANDLERS.map((name) => [name, () => {}])),
  }
}

/** The pages that blocks guard. */
const HANDLERS = [...PRELUDE.matchAll(/\b(\w+): Handler\b/g)].map(([, name = '']) => name)

function privateJwk({ privateKey }: KeyPairKeyObjectResult, use: 'sig' | 'enc'): object {
  return { ...privateKey.export({ format: 'jwk' }), use }
}

/** Runs blocks one after the other, each as a module of its own. Returns one `file:line: message` for each that throws. */
export function runBlocks(blocks: readonly CodeBlock[]): Promise<readonly string[]> {
  return withModules(blocks, async (modules) => {
    const faults: string[] = []
    for (const [index, { file, line }] of blocks.entries()) {
      await runModule(modules[index] ?? '').catch((error) => faults.push(`${file}:${line}: ${error}`))
    }
    return faults
  })
}

/** Calls `use` with the URL of a module for each block. The modules are removed afterwards. */
async function withModules<Result>(
  blocks: readonly CodeBlock[],
  use: (urls: readonly string[]) => Promise<Result>,
): Promise<Result> {
  const cache = join(ROOT, 'node_modules/.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'run-blocks-'))
  try {
    return await use(stripTypes(folder, blocks))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The last line of a whole program. */
const LISTENS = /^app\.listen\(\d+\)$/m

/** A whole program, and what it reads from `process.env`. */
export interface Program extends CodeBlock {
  readonly env: Readonly<Record<string, string>>
}

/** Runs whole programs, each of which ends with `app.listen(3000)`. Returns their apps, which do not listen. */
export function loadApps(programs: readonly Program[]): Promise<readonly express.Express[]> {
  const blocks = programs.map((program) => ({ ...program, code: program.code.replace(LISTENS, 'export { app }') }))
  return withModules(blocks, async (urls) => {
    const apps: express.Express[] = []
    for (const [index, { env }] of programs.entries()) apps.push((await importWith(env, urls[index] ?? '')).app)
    return apps
  })
}

/** Imports a module that reads `process.env` while it is loaded. */
export async function importWith(
  env: Readonly<Record<string, string>>,
  url: string,
): Promise<{ app: express.Express }> {
  const before = { ...process.env }
  Object.assign(process.env, env)
  try {
    return await import(url)
  } finally {
    for (const name of Object.keys(env)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, before)
  }
}

async function runModule(url: string): Promise<void> {
  const names = surroundings()
  Object.assign(globalThis, names)
  try {
    await import(url)
  } finally {
    for (const name of Object.keys(names)) Reflect.deleteProperty(globalThis, name)
  }
}

/** Writes the blocks into the folder without their types, and returns the URL of each module. */
function stripTypes(folder: string, blocks: readonly CodeBlock[]): readonly string[] {
  const names = blocks.map((_, index) => `block-${index}`)
  for (const [index, block] of blocks.entries()) {
    writeFileSync(join(folder, `${names[index]}.ts`), withOurModules([...headerOf(block), block.code].join('\n')))
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: ONLY_STRIP_TYPES }))
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`The compiler failed: ${stdout}`)
  return names.map((name) => pathToFileURL(join(folder, `${name}.js`)).href)
}

/** The package as the tests run it, which needs no build. */
function withOurModules(code: string): string {
  return code
    .replaceAll("'express-oidc'", `'${moduleUrl('lib/index.ts')}'`)
    .replaceAll(/'express-oidc\/(\w+)'/g, (_, name) => `'${moduleUrl(`lib/${name}.ts`)}'`)
}
