import assert from 'node:assert/strict'
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

describe('the declarations of the package', { concurrency: 2 }, () => {
  let projects: Projects | undefined
  before(() => {
    projects = createProjects()
  })
  after(() => projects?.remove())

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
