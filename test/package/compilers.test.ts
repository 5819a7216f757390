import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { checkWith, compilers, skipWithout } from '../support/docs/compilers/compilers.ts'
import { createProjects, type Projects } from '../support/docs/compilers/projects.ts'

// All of them take a minute of the processor: `.ci/run` asks for them once, and every other run has the oldest and the newest.
const used = process.env['OIDC_ALL_COMPILERS']
  ? compilers
  : compilers.filter((_, index, { length }) => index % (length - 1) === 0)

/** What each mistake says: where it is, and the value that is wrong with what is allowed. */
const READABLE: readonly RegExp[] = [
  /^mistake: mistake\.ts:2: TS2345: .*'number' is not assignable to .*'ScopeRequirement'/,
  /^mistake: mistake\.ts:5: TS2322: Type 'string \| undefined' is not assignable to type 'string'/,
  /^mistake: mistake\.ts:6: TS2\d+: .*Type '"RS265"' is not assignable to type 'SignatureAlgorithm/,
  /^mistake: mistake\.ts:7: TS2\d+: .*Type '"token"' is not assignable to type 'ResponseType/,
]

/** Checked with @types/node 20 and 26. `JsonWebKey` of `node:crypto`, for example, is not in the latter. */
const NODE_TYPES: readonly string[] = [
  ...['Agent', 'IncomingHttpHeaders', 'IncomingMessage', 'KeyObject', 'LookupFunction', 'Readable', 'Server'],
  ...['ServerResponse', 'VerifyKeyObjectInput'],
]

describe('the declarations of the package', { concurrency: 2 }, () => {
  let projects: Projects | undefined
  before(() => {
    projects = createProjects()
  })
  after(() => projects?.remove())

  it('take from Node only types that every version of @types/node has', () => {
    assert.ok(projects)
    const dist = join(projects.folder, 'node_modules/express-oidc/dist')
    const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.d.cts'))
    const names = files.flatMap((file) => {
      const imports = readFileSync(join(dist, file), 'utf8').matchAll(
        /^import (?:type )?\{([^}]*)\} from 'node:\w+';/gm,
      )
      return [...imports].flatMap(([, list = '']) => list.split(',').map((name) => name.replace('type', '').trim()))
    })
    assert.deepEqual([...new Set(names)].sort(), NODE_TYPES)
  })

  for (const compiler of used) {
    const { version, resolutions } = compiler
    it(`N-58: compile with TypeScript ${version} and the module resolutions ${resolutions.join(', ')}`, {
      skip: skipWithout(compiler),
    }, async () => {
      assert.ok(projects)
      const lines = await checkWith(compiler, projects.folder, [...resolutions, 'mistake'])
      // The last project has mistakes, so a compiler that checks nothing fails here.
      const mistakes = lines.filter((line) => line.startsWith('mistake: '))
      assert.deepEqual(lines.slice(0, -mistakes.length), [])
      assert.equal(mistakes.length, READABLE.length, mistakes.join('\n'))
      for (const [index, text] of READABLE.entries()) assert.match(mistakes[index] ?? '', text)
    })
  }
})
