import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError, OidcError, ProviderError, shown } from '../../lib/errors.ts'

describe('an OidcError', () => {
  it('shows its class and code in its text and in its stack', () => {
    const error = new ProviderError('ERR_OIDC_PROVIDER_TIMEOUT', 'The provider is slow.')
    assert.equal(String(error), 'ProviderError [ERR_OIDC_PROVIDER_TIMEOUT]: The provider is slow.')
    assert.match(error.stack ?? '', /^ProviderError \[ERR_OIDC_PROVIDER_TIMEOUT\]: The provider is slow\.\n/)
  })

  it('exposes its message for a 4xx status only', () => {
    assert.equal(new OidcError('ERR_OIDC_STATE_MISSING', 'x').expose, true)
    assert.equal(new OidcError('ERR_OIDC_STATE_MISSING', 'x', { status: 502 }).expose, false)
  })

  it('has the status under both names that frameworks read: Express, and NestJS', () => {
    for (const status of [400, 502]) {
      const error = new OidcError('ERR_OIDC_STATE_MISSING', 'x', { status })
      assert.deepEqual([error.status, error.statusCode], [status, status])
    }
  })
})

describe('a ConfigError', () => {
  it('lists each problem in a line of its own', () => {
    assert.equal(new ConfigError(['a is wrong.']).message, 'The configuration has a problem:\n- a is wrong.')
    const { message, faults } = new ConfigError(['a is wrong.', 'b is wrong.'])
    assert.equal(message, 'The configuration has 2 problems:\n- a is wrong.\n- b is wrong.')
    assert.deepEqual(faults, ['a is wrong.', 'b is wrong.'])
  })
})

describe('a value in an error message', () => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const rows: readonly (readonly [name: string, value: unknown, text: string])[] = [
    ['a string in quotes', 'a "b"', '"a \\"b\\""'],
    ['a list as JSON', ['a', 7, null], '["a",7,null]'],
    ['undefined by its type', undefined, 'undefined'],
    ['a function by its type', () => 'source', 'function'],
    ['a symbol by its type', Symbol('x'), 'symbol'],
    ['a BigInt by its type', 7n, 'bigint'],
    ['a cycle by its type', cycle, 'object'],
    ['control characters and line separators escaped', 'a\u0000\n\u2028b', '"a\\u0000\\n\\u2028b"'],
    ['letters beyond ASCII escaped', 'schön 🙂', '"sch\\u00f6n \\ud83d\\ude42"'],
    ['HTML tags escaped', '<b>', '"\\u003cb\\u003e"'],
    ['at most 80 characters', 'x'.repeat(100), `"${'x'.repeat(79)}...`],
  ]
  for (const [name, value, text] of rows) it(`is shown: ${name}`, () => assert.equal(shown(value), text))
})
