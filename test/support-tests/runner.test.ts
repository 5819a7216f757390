import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it, mock } from 'node:test'
import { groupFiles, isLong } from '../run/groups.ts'
import { separateMockedTimers } from '../run/mocked-timers.ts'
import { noteOutcome, type Outcome, slowest, type TestEvent, withoutPasses } from '../run/report.ts'
import { moduleUrl, ROOT, sourceOf } from '../support/app/project.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { filesBelow } from '../support/docs/code-blocks.ts'

const FILES = filesBelow('test', '.test.ts')

async function* stream(events: readonly TestEvent[]): AsyncIterable<TestEvent> {
  yield* events
}

async function namesOf(events: AsyncIterable<TestEvent>): Promise<readonly string[]> {
  const names: string[] = []
  for await (const { type, data } of events) names.push(`${type} ${data.name ?? data.message}`)
  return names
}

const started = (name: string, nesting: number): TestEvent => ({ type: 'test:start', data: { name, nesting } })
const passed = (name: string, nesting: number, more: object = {}): TestEvent => ({
  type: 'test:pass',
  data: { name, nesting, details: { duration_ms: 1500 }, ...more },
})
const failed = (name: string, nesting: number): TestEvent => ({
  type: 'test:fail',
  data: { name, nesting, details: { duration_ms: 1 } },
})

describe('the groups of test files', () => {
  it('hold every file once', () => {
    const grouped = groupFiles(FILES).flatMap(({ files }) => files)
    assert.deepEqual([...grouped].sort(), FILES)
    assert.ok(FILES.length > 100)
  })

  it('leave out only files that exist', () => {
    const left = FILES.filter(isLong)
    assert.equal(left.length, 31)
    assert.ok(left.length < FILES.length / 8)
  })

  it('have different names, and no file beside one with an await at its top', () => {
    const groups = groupFiles(FILES)
    assert.equal(new Set(groups.map(({ name }) => name)).size, groups.length)
    assert.deepEqual(
      groups.filter(({ isAsync, files }) => isAsync && files.length > 1),
      [],
    )
  })

  it('hold no suite that awaits, whose tests node:test would not find', () => {
    const suites = FILES.filter((file) => /^ *describe\([^\n]*\basync\b/m.test(readFileSync(join(ROOT, file), 'utf8')))
    assert.deepEqual(suites, [])
  })

  it('hold only what was asked for', () => {
    const file = 'test/time/single-flight.test.ts'
    assert.deepEqual(groupFiles([file]), [{ name: 'time', files: [file], isAsync: false }])
  })
})

describe('the report of a test run', () => {
  it('leaves out the tests within a file that pass', async () => {
    const events = [started('file', 0), started('suite', 1), started('test', 2), passed('test', 2), passed('suite', 1)]
    assert.deepEqual(await namesOf(withoutPasses(stream([...events, passed('file', 0)]))), [
      'test:start file',
      'test:pass file',
    ])
  })

  it('shows a failure with the suites around it', async () => {
    const events = [
      ...[started('file', 0), started('suite', 1), started('good', 2), passed('good', 2), started('bad', 2)],
      ...[failed('bad', 2), started('other', 2), passed('other', 2), failed('suite', 1), failed('file', 0)],
    ]
    assert.deepEqual(await namesOf(withoutPasses(stream(events))), [
      ...[
        'test:start file',
        'test:start suite',
        'test:start bad',
        'test:fail bad',
        'test:fail suite',
        'test:fail file',
      ],
    ])
  })

  it('shows what is skipped', async () => {
    const events = [
      started('file', 0),
      started('test', 1),
      passed('test', 1, { skip: 'skipped: …' }),
      passed('file', 0),
    ]
    assert.ok((await namesOf(withoutPasses(stream(events)))).includes('test:pass test'))
  })

  it('notes how long each file took, and failures', async () => {
    const outcome: Outcome = { durations: new Map(), hasFailed: false }
    await namesOf(noteOutcome(outcome)(stream([passed('one', 0), passed('within', 1)])))
    assert.deepEqual([[...outcome.durations], outcome.hasFailed], [[['one', 1500]], false])
    assert.equal(slowest(outcome, 1), '    1.5 s  one')
    await namesOf(noteOutcome(outcome)(stream([failed('within', 3)])))
    assert.equal(outcome.hasFailed, true)
  })

  it('counts an error after the end of its test as a failure', async () => {
    const outcome: Outcome = { durations: new Map(), hasFailed: false }
    const message = 'Error: Test "x" at a.ts:1:1 generated asynchronous activity after the test ended. This activity …'
    await namesOf(noteOutcome(outcome)(stream([{ type: 'test:diagnostic', data: { message } }])))
    assert.equal(outcome.hasFailed, true)
  })
})

describe('a process of the tests', () => {
  it('ends after its limit, and names the file that hangs', () => {
    const lines = [
      `const { limitProcess } = await import(${JSON.stringify(moduleUrl('test/run/process-limit.ts'))})`,
      "const { createServer } = await import('node:http')",
      'const noteFile = limitProcess(0.1)',
      "noteFile('test/some/good.test.ts')",
      "noteFile('test/some/hanging.test.ts')",
      'createServer().listen(0)',
    ]
    const args = [...process.execArgv.filter((arg) => !arg.startsWith('--test')), '--input-type=module', '--eval']
    const { status, stderr } = spawnSync(process.execPath, [...args, lines.join('\n')], { encoding: 'utf8' })
    const said = '✖ test/some/hanging.test.ts hangs: its process has not ended within 0.1 seconds\n'
    assert.deepEqual([status, stderr], [1, said])
  })
})

describe('what compiled tests need', () => {
  it('finds the source of a module, and none of other packages', () => {
    assert.equal(sourceOf(moduleUrl('lib/oidc.ts')), 'lib/oidc.ts')
    assert.equal(sourceOf(`${moduleUrl('lib/oidc.ts')}?copy`), 'lib/oidc.ts')
    assert.equal(sourceOf(moduleUrl('node_modules/jose/index.js')), undefined)
    assert.equal(sourceOf('node:fs'), undefined)
  })

  it('makes another RSA key each time', () => {
    const [one, other] = [createRsaKeyPair(), createRsaKeyPair()]
    assert.equal(one.publicKey.equals(other.publicKey), false)
    assert.equal(one.privateKey.asymmetricKeyDetails?.modulusLength, 2048)
  })
})

describe('mocked timers', () => {
  // For this file on its own: the runner has done so already.
  before(separateMockedTimers)

  function mocking(work: () => void): void {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
    try {
      work()
    } finally {
      mock.timers.reset()
    }
  }

  for (const [name, set, clear] of [
    ['setTimeout', setTimeoutOf, (timer: NodeJS.Timeout) => clearTimeout(timer)],
    ['setInterval', setIntervalOf, (timer: NodeJS.Timeout) => clearInterval(timer)],
  ] as const) {
    it(`go off although one of an earlier mocking is cleared: ${name}`, () => {
      let earlier: NodeJS.Timeout | undefined
      let calls = 0
      mocking(() => {
        earlier = set(() => {})
      })
      mocking(() => {
        assert.ok(earlier)
        clear(earlier)
        const timer = set(() => {
          calls += 1
        })
        clear(earlier)
        mock.timers.tick(1000)
        clear(timer)
        mock.timers.tick(1000)
      })
      assert.equal(calls, 1)
    })

    it(`let a real one be cleared: ${name}`, () => {
      const timer = set(() => {})
      mocking(() => clear(timer))
      assert.equal(Reflect.get(timer, '_destroyed'), true)
    })
  }
})

function setTimeoutOf(run: () => void): NodeJS.Timeout {
  return setTimeout(run, 1000)
}

function setIntervalOf(run: () => void): NodeJS.Timeout {
  return setInterval(run, 1000)
}
