import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { checkWith, compilers, skipWithout } from '../support/docs/compilers/compilers.ts'
import { createProjects, type Projects } from '../support/docs/compilers/projects.ts'

// All of them take a minute of the processor: `.ci/run` asks for them once, and every other run has the oldest and the newest.
const used = process.env['OIDC_ALL_COMPILERS']
  ? compilers
  : compilers.filter((_, index, { length }) => index % (length - 1) === 0)

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
      // The last project has a mistake, so a compiler that checks nothing fails here.
      const last = lines.at(-1) ?? ''
      assert.deepEqual(lines.slice(0, -1), [])
      assert.match(last, /^mistake: mistake\.ts:2: TS2345: /)
    })
  }
})
