import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { CHROMIUM_SETTINGS, skipWithoutChromium } from '../support/browser/chromium.ts'
import {
  binOf,
  compileProject,
  createKitProjects,
  DOCUMENTED_FILES,
  documentedTests,
  type Ended,
  type KitProjects,
  RUNNER_PACKAGES,
  type RunnerPackage,
} from '../support/test-kit/projects.ts'

/** Jest loads ES modules from CommonJS with this Node, or a later one. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const JEST_CAN_REQUIRE = major > 24 || (major === 24 && minor >= 9)

const COMMONJS_TEST = `
const express = require('express')
const { oidc, requireAuth } = require('express-oidc')
const { startTestProvider } = require('express-oidc/testing')
const session = require('express-session')
const request = require('supertest')

test('logs in from CommonJS', async () => {
  const provider = await startTestProvider()
  const app = express()
  app.use(session({ secret: 'a secret for sessions', resave: false, saveUninitialized: false }))
  app.use(oidc({ ...provider.options, baseUrl: 'http://localhost:3000' }))
  app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
  const { cookie } = await provider.login(app, { sub: 'grace' })
  const response = await request(app).get('/profile').set('Cookie', cookie)
  await provider.close()
  if (response.status !== 200 || response.body.sub !== 'grace') throw new Error('not logged in')
})
`

/** What a runner prints about a number of tests that have passed. */
function assertPassed({ isSuccess, output }: Ended, summary: RegExp): void {
  assert.ok(isSuccess, output)
  assert.match(output, summary)
}

describe('a project that installs the test kit', { concurrency: 2 }, () => {
  let projects: KitProjects | undefined
  before(() => {
    projects = createKitProjects()
  })
  after(() => projects?.remove())

  function createFor(runner: RunnerPackage): { readonly kit: KitProjects; readonly folder: string } {
    assert.ok(projects)
    const names = ['app.ts', ...documentedTests(runner)]
    assert.ok(names.length > 1, runner)
    const files = new Map([...DOCUMENTED_FILES].filter(([name]) => names.includes(name)))
    return { kit: projects, folder: projects.create(runner.replace(/\W/g, '-'), { type: 'module' }, files) }
  }

  it('is shown by every block of docs/testing.md', () => {
    const tests = RUNNER_PACKAGES.flatMap(documentedTests)
    assert.deepEqual(['app.ts', ...tests].sort(), [...DOCUMENTED_FILES.keys()].sort())
  })

  it('tests a guarded route in ten lines of code', () => {
    const lines = DOCUMENTED_FILES.get('reports.test.ts')?.split('\n') ?? []
    assert.equal(lines.filter((line) => line !== '' && !line.startsWith('//')).length, 10)
  })

  it('runs the documented tests with node:test and supertest', async () => {
    const { kit, folder } = createFor('node:test')
    compileProject(folder)
    assertPassed(await kit.run(folder, ['--test', '--test-reporter=tap']), /^# pass 11\n# fail 0$/m)
  })

  it('runs the documented test with Vitest', async () => {
    const { kit, folder } = createFor('vitest')
    assertPassed(await kit.run(folder, [binOf('vitest', 'vitest'), 'run', '--root', folder]), /Tests {2}1 passed \(1\)/)
  })

  it('runs the documented test with Jest as ES modules', async () => {
    const { kit, folder } = createFor('@jest/globals')
    compileProject(folder)
    const args = ['--experimental-vm-modules', binOf('jest', 'jest'), '--rootDir', folder]
    assertPassed(await kit.run(folder, args), /^Tests: +1 passed, 1 total$/m)
  })

  it('runs with Jest and CommonJS where Jest can load ES modules, and is told so where it cannot', async () => {
    assert.ok(projects)
    const folder = projects.create('jest-commonjs', {}, new Map([['login.test.js', COMMONJS_TEST]]))
    const args = ['--experimental-vm-modules', binOf('jest', 'jest'), '--rootDir', folder]
    const ended = await projects.run(folder, args)
    if (JEST_CAN_REQUIRE) return assertPassed(ended, /^Tests: +1 passed, 1 total$/m)
    assert.ok(!ended.isSuccess)
    assert.match(ended.output, /Use Node v24\.9\+/)
  })

  it('runs with node:test and CommonJS', async () => {
    assert.ok(projects)
    const code = `const { test } = require('node:test')\n${COMMONJS_TEST}`
    const folder = projects.create('node-commonjs', {}, new Map([['login.test.js', code]]))
    const ended = await projects.run(folder, ['--test', '--test-reporter=tap', '--no-warnings'])
    assertPassed(ended, /^# pass 1\n# fail 0$/m)
  })

  it('runs the documented tests with Playwright', { skip: skipWithoutChromium }, async () => {
    const { kit, folder } = createFor('@playwright/test')
    const config = { workers: 1, reporter: 'line', use: { launchOptions: CHROMIUM_SETTINGS } }
    writeFileSync(join(folder, 'playwright.config.js'), `export default ${JSON.stringify(config)}\n`)
    const ended = await kit.run(folder, [binOf('@playwright/test', 'playwright'), 'test'])
    assertPassed(ended, /^ +2 passed/m)
  })

  it('starts in milliseconds, and does not keep the process running', async (context) => {
    assert.ok(projects)
    const code = `
const before = performance.now()
await import('express-oidc')
const { startTestProvider } = await import('express-oidc/testing')
const loaded = performance.now()
const provider = await startTestProvider()
console.log(JSON.stringify({ import: loaded - before, start: performance.now() - loaded }))
`
    const folder = projects.create('start', { type: 'module' }, new Map([['start.js', code]]))
    // Nothing closes the provider, and the process ends all the same.
    const { isSuccess, output } = await projects.run(folder, ['start.js'])
    assert.ok(isSuccess, output)
    const { import: loaded, start } = JSON.parse(output)
    context.diagnostic(`import ${Math.round(loaded)} ms, start ${Math.round(start)} ms`)
  })
})
