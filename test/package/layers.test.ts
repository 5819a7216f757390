import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, it } from 'node:test'
import { ROOT } from '../support/app/project.ts'

const LIB = `${ROOT}lib/`

/** Which rooms, and which packages, a room may import beside itself and the vocabulary. */
interface Room {
  readonly imports: readonly string[]
  /** Rooms of which only types may be imported. */
  readonly types?: readonly string[]
  /** Rooms that are only loaded at first use, by `import()`. */
  readonly lazily?: readonly string[]
  readonly packages?: readonly string[]
}

/** The words that every room may use. They import nothing but one another, and what the console shows of an error. */
const VOCABULARY = [
  ...[
    'claims',
    'error-codes',
    'errors',
    'events',
    'hooks',
    'operations',
    'status',
    'login-options',
    'token-request',
    'types',
    'console',
  ],
]

/** A feature meets the others nowhere: what two of them need stands on the ground floor. */
const FEATURE: Room = {
  imports: ['relying-party', 'protocol', 'provider', 'jose', 'session', 'state', 'http', 'options', 'time'],
}

/** The house of DESIGN section 2, from the ground up. */
const ROOMS: Readonly<Record<string, Room>> = {
  vocabulary: { imports: [] },
  time: { imports: [] },
  jose: { imports: ['time'], packages: ['jose'] },
  state: { imports: ['time'] },
  options: { imports: ['jose', 'time'], types: ['state'] },
  http: { imports: ['options', 'time'] },
  provider: { imports: ['jose', 'options', 'time'], packages: ['jose', 'openid-client'] },
  protocol: { imports: ['provider', 'jose', 'options', 'time'], packages: ['jose', 'openid-client'] },
  session: { imports: ['state', 'http', 'options', 'time'] },
  registration: { imports: ['provider', 'jose', 'options', 'time'] },
  'relying-party': {
    imports: ['session', 'state', 'options', 'time'],
    types: ['provider', 'http'],
    lazily: ['provider', 'registration'],
  },
  login: FEATURE,
  logout: FEATURE,
  tokens: FEATURE,
  guards: FEATURE,
  bearer: FEATURE,
  // The command, and what an application imports: the top may use everything.
  command: { imports: ['registration', 'protocol', 'provider', 'jose', 'options', 'time', 'entry'] },
  context: {
    imports: ['relying-party', 'protocol', 'session', 'http', 'options', 'time'],
    lazily: ['login', 'logout', 'tokens', 'protocol'],
  },
  oidc: {
    imports: ['relying-party', 'context', 'session', 'http', 'options', 'jose', 'time'],
    lazily: ['login', 'logout'],
  },
  // A provider for the tests of applications. Only its own entry point loads it.
  testing: { imports: ['jose', 'options', 'http', 'time'], packages: ['jose'] },
  // Spans and metrics. Only its own entry point loads it.
  telemetry: { imports: [], packages: ['@opentelemetry/api'] },
  entry: {
    types: ['jose'],
    imports: [
      'telemetry',
      'testing',
      'oidc',
      'guards',
      'tokens',
      'bearer',
      'http',
      'options',
      'protocol',
      'registration',
      'state',
      'time',
    ],
  },
}

interface Import {
  readonly from: string
  readonly target: string
  readonly kind: 'value' | 'type' | 'lazy'
}

const FILES = readdirSync(LIB, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))

const STATIC = /^(?:import|export)\s+(type\s+)?(\{[^}]*\}|\* as \w+|\*|\w+)\s+from\s+'([^']+)'/gm
const DYNAMIC = /\bimport\('([^']+)'\)/g

function importsOf(file: string): readonly Import[] {
  const source = readFileSync(join(LIB, file), 'utf8')
  const statics = [...source.matchAll(STATIC)].map(([, type, names = '', target = '']) => {
    const words = names.replace(/[{}]/g, '').split(',')
    const isType = type !== undefined || words.every((word) => /^\s*(type\s|$)/.test(word))
    return { target, kind: isType ? ('type' as const) : ('value' as const) }
  })
  const lazy = [...source.matchAll(DYNAMIC)].map(([, target = '']) => ({ target, kind: 'lazy' as const }))
  return [...statics, ...lazy].map(({ target, kind }) => ({
    from: file,
    target: target.startsWith('.') ? normalize(join(dirname(file), target)) : target,
    kind,
  }))
}

function roomOf(file: string): string {
  const [first = '', second] = file.split('/')
  const name = first.replace(/\.ts$/, '')
  if (VOCABULARY.includes(name)) return 'vocabulary'
  if (second !== undefined) return first
  return name in ROOMS && !['registration', 'bearer', 'testing'].includes(name) ? name : 'entry'
}

function isAllowed({ from, target, kind }: Import): boolean {
  const [room, other] = [roomOf(from), roomOf(target)]
  if (room === other || other === 'vocabulary') return true
  const { imports = [], types = [], lazily = [] } = ROOMS[room] ?? {}
  if (imports.includes(other)) return true
  return (kind === 'type' && types.includes(other)) || (kind === 'lazy' && lazily.includes(other))
}

const IMPORTS = FILES.flatMap(importsOf)
const OWN = IMPORTS.filter(({ target }) => target.endsWith('.ts'))
const PACKAGES = IMPORTS.filter(({ target }) => !target.endsWith('.ts') && !target.startsWith('node:'))

/** The first cycle that is reached from here, of files that have not been looked at before. */
function cycleFrom(file: string, path: readonly string[], done: Set<string>): readonly string[] | undefined {
  if (path.includes(file)) return [...path, file]
  if (done.has(file)) return undefined
  for (const { target } of OWN.filter(({ from }) => from === file)) {
    const cycle = cycleFrom(target, [...path, file], done)
    if (cycle !== undefined) return cycle
  }
  done.add(file)
  return undefined
}

/** The file, and all that it imports in these ways, and those, and so on. */
function reachedFrom(entry: string, ...kinds: readonly Import['kind'][]): ReadonlySet<string> {
  const reached = new Set([entry])
  // A set grows while it is walked through.
  for (const file of reached) {
    for (const { from, target, kind } of IMPORTS) if (from === file && kinds.includes(kind)) reached.add(target)
  }
  return reached
}

describe('the rooms of lib/', () => {
  it('are all found', () => {
    assert.ok(FILES.length > 20)
    assert.ok(OWN.length > FILES.length)
    assert.ok(PACKAGES.length > 0)
    assert.deepEqual(
      FILES.map(roomOf).filter((room) => !(room in ROOMS)),
      [],
    )
  })

  it('import only downwards', () => {
    const upwards = OWN.filter((one) => !isAllowed(one))
    assert.deepEqual(
      upwards.map(({ from, target, kind }) => `${from} imports ${target} (${kind})`),
      [],
    )
  })

  it('have no cycle', () => {
    const done = new Set<string>()
    for (const file of FILES) assert.equal(cycleFrom(file, [], done), undefined)
  })

  it('use packages only where they are allowed', () => {
    const foreign = PACKAGES.filter(({ from, target }) => !ROOMS[roomOf(from)]?.packages?.includes(target))
    assert.deepEqual(foreign, [])
  })

  for (const entry of ['index.ts', 'bearer.ts']) {
    it(`are loaded at the start without openid-client, jose and the network of Node: ${entry}`, () => {
      const reached = [...reachedFrom(entry, 'value')]
      assert.deepEqual(
        reached.filter((file) => /^(testing|registration|command|opentelemetry|telemetry)\b/.test(file)),
        [],
      )
      const outside = reached.filter((target) => !target.endsWith('.ts')).sort()
      assert.deepEqual(outside, ['node:crypto', 'node:diagnostics_channel', 'node:util'])
    })
  }

  it('hold nothing of bearer/ that an application without bearer() loads, now or later', () => {
    const loaded = [...reachedFrom('index.ts', 'value', 'lazy')]
    assert.ok(loaded.includes('login/callback.ts'))
    assert.deepEqual(
      loaded.filter((file) => file.startsWith('bearer') || file === 'options/bearer-config.ts'),
      [],
    )
  })

  it('hold nothing of logins that an API without sessions loads, now or later', () => {
    const loaded = [...reachedFrom('bearer.ts', 'value', 'lazy')]
    assert.ok(loaded.includes('bearer/verify-token.ts'))
    assert.deepEqual(
      loaded.filter((file) => /^(?:login|logout|tokens|registration)\/|^(?:oidc|context|relying-party)\b/.test(file)),
      [],
    )
  })

  it('load the test kit only for who imports it', () => {
    const importers = OWN.filter(({ from, target }) => roomOf(target) === 'testing' && roomOf(from) !== 'testing')
    assert.deepEqual([...new Set(importers.map(({ from }) => from))], ['testing.ts'])
  })

  it('load OpenTelemetry only for who imports it', () => {
    const importers = OWN.filter(({ from, target }) => roomOf(target) === 'telemetry' && roomOf(from) !== 'telemetry')
    assert.deepEqual([...new Set(importers.map(({ from }) => from))], ['opentelemetry.ts'])
  })

  it('have no folder within a folder, and no barrel but index.ts', () => {
    assert.deepEqual(
      FILES.filter((file) => file.split('/').length > 2 || (file.endsWith('/index.ts') && file !== 'index.ts')),
      [],
    )
  })

  it('have no two files of one name', () => {
    const names = FILES.filter((file) => roomOf(file) !== 'entry').map((file) => basename(file))
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    )
  })

  it('hold files of at most 300 lines, the manual pages of types, errors and options of 400', () => {
    const long = FILES.filter((file) => {
      const lines = readFileSync(join(LIB, file), 'utf8').split('\n').length - 1
      return lines > (/^(types|errors)\.ts$|options\.ts$/.test(file) ? 400 : 300)
    })
    assert.deepEqual(long, [])
  })

  it('ask the table of algorithms for what an algorithm is, not its name', () => {
    const byName = FILES.filter((file) =>
      /startsWith\('(?:HS|RS|PS|ES)|\/\^(?:\(\?:)?(?:HS|RS|PS|ES)/.test(readFileSync(join(LIB, file), 'utf8')),
    )
    assert.deepEqual(byName, [])
  })

  it('hold plain ASCII, no console, no any, and process.env in the command, the code that it prints and two files alone', () => {
    for (const file of FILES) {
      const source = readFileSync(join(LIB, file), 'utf8')
      const mayReadIt = /^(?:command\/(?:main|suggested-options)|options\/from-env|console\/environment)\.ts$/.test(
        file,
      )
      const text = mayReadIt ? source.replaceAll('process.env', '') : source
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      assert.doesNotMatch(code, /\P{ASCII}|\bconsole\.|process\.env|[:<,]\s*any\b|\bas any\b|@ts-/u, file)
    }
  })
})
