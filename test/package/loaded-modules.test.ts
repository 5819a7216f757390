import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { modulePath, NODE_ARGS, sourceOf } from '../support/app/project.ts'

const PROGRAM = modulePath('test/support/app/two-logins.ts')
const LIB = 'lib/'

/** Parts that most applications do not use. They are loaded when they are first needed. */
const RARE = ['protocol/request-object.ts', 'protocol/claims-sources.ts', 'provider/dpop.ts']

let folder: string
let afterLogin: ReadonlySet<string>
let afterwards: ReadonlySet<string>

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'loaded-modules-'))
  const env = { ...process.env, NODE_V8_COVERAGE: folder }
  await promisify(execFile)(process.execPath, [...NODE_ARGS, PROGRAM], { env })
  const names = (await readdir(folder)).sort((one, other) => numberOf(one) - numberOf(other))
  const reports = await Promise.all(names.map(readReport))
  ;[afterLogin = new Set(), afterwards = new Set()] = reports.filter((modules) => modules.size > 0)
})

after(() => rm(folder, { recursive: true }))

/** The number of a report: `coverage-{pid}-{time}-{number}.json`. */
function numberOf(name: string): number {
  return Number(/-(\d+)\.json$/.exec(name)?.[1])
}

/** The modules of lib/ that have run, in a report of V8. */
async function readReport(name: string): Promise<ReadonlySet<string>> {
  const { result }: { result: readonly { url: string }[] } = JSON.parse(await readFile(join(folder, name), 'utf8'))
  const modules = result.map(({ url }) => sourceOf(url) ?? '').filter((file) => file.startsWith(LIB))
  return new Set(modules.map((file) => file.slice(LIB.length)))
}

describe('the modules that a login loads', () => {
  it('are those of the login and the callback', () => {
    for (const module of ['login/start.ts', 'login/callback.ts', 'protocol/id-token.ts', 'protocol/userinfo.ts']) {
      assert.ok(afterLogin.has(module), `${module} is not among ${[...afterLogin].join(', ')}`)
    }
  })

  for (const module of RARE) {
    it(`do not include ${module} unless an option needs it`, () => {
      assert.deepEqual([afterLogin.has(module), afterwards.has(module)], [false, true])
    })
  }

  it('do not include registration, logout, or what an API call needs', () => {
    const others = [...afterLogin].filter((module) => /^(registration|logout|tokens|command)\//.test(module))
    // A middleware that the application may use. It loads the rest at its first request.
    assert.deepEqual(others, ['tokens/attach-access-token.ts'])
  })
})
