import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const LIB = fileURLToPath(new URL('../lib/', import.meta.url))

/** Which layers, and which packages, each layer may import. What is not listed here is a file of `base`. */
const LAYERS: Readonly<Record<string, { readonly imports: readonly string[]; readonly packages: readonly string[] }>> =
  {
    base: { imports: ['base', 'config (type)'], packages: [] },
    config: { imports: ['base', 'config'], packages: [] },
    'http-client': { imports: ['base', 'config', 'http-client'], packages: [] },
    jose: { imports: ['base', 'config', 'http-client', 'jose'], packages: ['jose'] },
    registration: { imports: ['base', 'config', 'http-client', 'jose', 'registration'], packages: [] },
    protocol: {
      imports: ['base', 'config', 'http-client', 'jose', 'registration', 'protocol'],
      packages: ['jose', 'openid-client'],
    },
    session: { imports: ['base', 'config', 'session'], packages: [] },
    state: { imports: ['base', 'session', 'state'], packages: [] },
    redis: { imports: ['base', 'state'], packages: [] },
    postgres: { imports: ['base', 'state'], packages: [] },
    'relying-party': { imports: ['base', 'config', 'protocol', 'session', 'state'], packages: [] },
    routes: { imports: ['base', 'config', 'jose', 'protocol', 'session', 'relying-party', 'routes'], packages: [] },
    'token-refresh': { imports: ['base', 'config', 'protocol', 'session', 'relying-party'], packages: [] },
    'api-request': { imports: ['base', 'protocol', 'session', 'relying-party', 'token-refresh'], packages: [] },
    context: {
      imports: ['base', 'config', 'protocol', 'session', 'relying-party', 'routes', 'token-refresh', 'api-request'],
      packages: [],
    },
    guards: { imports: ['base', 'guards'], packages: [] },
    oidc: { imports: ['base', 'config', 'protocol', 'session', 'relying-party', 'routes', 'context'], packages: [] },
    index: { imports: ['base', 'guards', 'oidc', 'protocol'], packages: [] },
    command: { imports: ['base', 'config', 'http-client', 'protocol', 'registration', 'command'], packages: [] },
  }

interface Import {
  readonly from: string
  readonly target: string
  readonly isType: boolean
}

const FILES = readdirSync(LIB, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))

const STATIC = /^(?:import|export)\s+(type\s+)?[^;'"]*?from\s+'([^']+)'/gms
const DYNAMIC = /\bimport\('([^']+)'\)/g

function importsOf(file: string): Import[] {
  const source = readFileSync(join(LIB, file), 'utf8')
  const found: readonly (readonly [target: string, isType: boolean])[] = [
    ...[...source.matchAll(STATIC)].map(([, type, target = '']) => [target, type !== undefined] as const),
    ...[...source.matchAll(DYNAMIC)].map(([, target = '']) => [target, false] as const),
  ]
  return found.map(([target, isType]) => ({
    from: file,
    target: target.startsWith('.') ? normalize(join(dirname(file), target)) : target,
    isType,
  }))
}

function layerOf(file: string): string {
  const [first = '', second] = file.split('/')
  if (second !== undefined) return first
  const name = first.replace(/\.ts$/, '')
  return name in LAYERS ? name : 'base'
}

const IMPORTS = FILES.flatMap(importsOf)
const OWN = IMPORTS.filter(({ target }) => target.endsWith('.ts'))
const PACKAGES = IMPORTS.filter(({ target }) => !target.endsWith('.ts') && !target.startsWith('node:'))

function cycleFrom(file: string, path: readonly string[]): readonly string[] | undefined {
  if (path.includes(file)) return [...path, file]
  for (const { target } of OWN.filter(({ from }) => from === file)) {
    const cycle = cycleFrom(target, [...path, file])
    if (cycle !== undefined) return cycle
  }
  return undefined
}

describe('the layers of lib/', () => {
  it('are read at all', () => {
    assert.ok(FILES.length > 20)
    assert.ok(OWN.length > FILES.length)
    assert.ok(PACKAGES.length > 0)
  })

  it('import only downwards', () => {
    const upwards = OWN.filter(({ from, target, isType }) => {
      const allowed = LAYERS[layerOf(from)]?.imports ?? []
      const layer = layerOf(target)
      return !allowed.includes(layer) && !(isType && allowed.includes(`${layer} (type)`))
    })
    assert.deepEqual(
      upwards.map(({ from, target }) => `${from} imports ${target}`),
      [],
    )
  })

  it('keep protocol and session apart', () => {
    const meeting = OWN.filter(({ from, target }) => {
      return [layerOf(from), layerOf(target)].sort().join() === 'protocol,session'
    })
    assert.deepEqual(meeting, [])
  })

  it('have no cycle', () => {
    for (const file of FILES) assert.equal(cycleFrom(file, []), undefined)
  })

  it('use packages only where they are allowed', () => {
    const strangers = PACKAGES.filter(({ from, target }) => !LAYERS[layerOf(from)]?.packages.includes(target))
    assert.deepEqual(strangers, [])
  })

  it('have no folder within a folder, and no barrel but index.ts', () => {
    assert.deepEqual(
      FILES.filter((file) => file.split('/').length > 2 || (file.endsWith('/index.ts') && file !== 'index.ts')),
      [],
    )
  })

  it('hold files of at most 150 lines, options.ts and error-status.ts of 250', () => {
    const long = FILES.filter((file) => {
      const lines = readFileSync(join(LIB, file), 'utf8').split('\n').length - 1
      return lines > (file.endsWith('options.ts') || file === 'error-status.ts' ? 250 : 150)
    })
    assert.deepEqual(
      long.map((file) => relative('.', file)),
      [],
    )
  })

  it('hold plain ASCII, no console, no process.env but in the command itself, and no any', () => {
    for (const file of FILES) {
      const source = readFileSync(join(LIB, file), 'utf8')
      const text = file === 'command/main.ts' ? source.replace('process.env', '') : source
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      assert.doesNotMatch(code, /\P{ASCII}|\bconsole\.|process\.env|[:<,]\s*any\b|\bas any\b|@ts-/u, file)
    }
  })
})
