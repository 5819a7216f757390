import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { modulePath, NODE_ARGS } from '../support/app/project.ts'

const PROGRAM = modulePath('test/support/hostile/reset-sweep.ts')

interface Outcome {
  readonly method: 'GET' | 'POST'
  readonly isReused: boolean
  readonly bytes: number
  readonly code: string
  readonly requests: number
}

function sweep(): readonly Outcome[] {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--unhandled-rejections=strict', ...NODE_ARGS, PROGRAM],
    { encoding: 'utf8', timeout: 120_000, maxBuffer: 16 * 1024 * 1024 },
  )
  assert.equal(status, 0, stderr)
  return JSON.parse(stdout)
}

describe('a connection that is reset at any byte of a response', () => {
  const outcomes = sweep()

  it('N-1: never ends the process, and each request has one outcome', () => {
    assert.ok(outcomes.length > 900)
    const others = outcomes.filter(({ code }) => code !== '200' && code !== 'ERR_OIDC_PROVIDER_UNREACHABLE')
    assert.deepEqual(others, [])
  })

  it('N-1: is retried only for a GET on a reused connection that has sent nothing', () => {
    for (const outcome of outcomes) {
      const isRetried = outcome.method === 'GET' && outcome.isReused && outcome.bytes === 0
      assert.equal(outcome.requests, isRetried ? 2 : 1, JSON.stringify(outcome))
      assert.equal(outcome.code === '200', isRetried, JSON.stringify(outcome))
    }
  })
})
