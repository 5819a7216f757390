import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { before, describe, it } from 'node:test'
import { modulePath, NODE_ARGS } from '../support/app/project.ts'
import type { Outcome } from '../support/hostile/reset-sweep.ts'

const PROGRAM = modulePath('test/support/hostile/reset-sweep.ts')

describe('a connection that breaks at any byte of a response', () => {
  let outcomes: readonly Outcome[] = []

  before(() => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--unhandled-rejections=strict', ...NODE_ARGS, PROGRAM],
      { encoding: 'utf8', timeout: 120_000, maxBuffer: 16 * 1024 * 1024 },
    )
    assert.equal(status, 0, stderr)
    outcomes = JSON.parse(stdout)
  })

  it('N-1: never ends the process, and each request has one outcome', () => {
    for (const outcome of outcomes) assert.equal(outcome.code, expectedCode(outcome), JSON.stringify(outcome))
  })

  it('N-1: is tried at every byte of head and body, for GET and POST, on fresh and on reused connections', () => {
    for (const form of ['complete', 'chunked']) {
      for (const method of ['GET', 'POST']) {
        for (const isReused of [false, true]) {
          const tried = outcomes.filter(
            (one) => [one.sender, one.how, one.form, one.method].join() === ['client', 'reset', form, method].join(),
          )
          const bytes = tried.filter((one) => one.isReused === isReused).map((one) => one.bytes)
          assert.deepEqual(
            bytes,
            Array.from({ length: bytes.length }, (_, index) => index),
          )
          assert.ok(bytes.length > 80)
        }
      }
    }
  })

  it('N-1: is retried once, and only for a GET on a reused connection that has sent nothing', () => {
    for (const outcome of outcomes) assert.equal(outcome.requests, isRetried(outcome) ? 2 : 1, JSON.stringify(outcome))
  })
})

/** The global `fetch` is not ours to retry. */
function isRetried({ sender, method, isReused, bytes }: Outcome): boolean {
  return sender !== 'fetch' && method === 'GET' && isReused && bytes === 0
}

function expectedCode(outcome: Outcome): string {
  if (isRetried(outcome)) return '200'
  const { form, isInHead, isWhole } = outcome
  if (form === 'a redirect' && !isInHead) return 'ERR_OIDC_PROVIDER_REDIRECT'
  // Nothing but the end of the connection says that such a response is whole, and this one ends with a reset.
  if (form === 'until the end of the connection' || !isWhole) return 'ERR_OIDC_PROVIDER_UNREACHABLE'
  if (form === 'another protocol') return 'ERR_OIDC_PROVIDER_RESPONSE_INVALID'
  return form === 'a refusal' ? '400' : '200'
}
