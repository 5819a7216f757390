import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { allowsUse, type KeyUse } from '../../lib/jose/jwk.ts'

/** The operations of RFC 7517 4.3, and what a key that names one of them alone may be used for. */
const OPERATIONS: readonly [string, readonly string[]][] = [
  ['sign', ['private sig']],
  ['verify', ['public sig']],
  ['encrypt', ['public enc']],
  ['decrypt', ['private enc']],
  ['wrapKey', ['public enc']],
  ['unwrapKey', ['private enc']],
  ['deriveKey', ['private enc', 'public enc']],
  ['deriveBits', ['private enc', 'public enc']],
  ['Verify', []],
  ['', []],
]

const PARTS = ['private', 'public'] as const
const USES = ['sig', 'enc'] as const

function usesOf(jwk: { use?: unknown; key_ops?: unknown }): readonly string[] {
  const all = PARTS.flatMap((part) => USES.map((use): readonly ['private' | 'public', KeyUse] => [part, use]))
  return all.filter(([part, use]) => allowsUse(jwk, use, part)).map((pair) => pair.join(' '))
}

describe('key_ops', () => {
  for (const [operation, uses] of OPERATIONS) {
    it(`with '${operation}' alone allows ${uses.join(', ') || 'nothing'}`, () => {
      assert.deepEqual(usesOf({ key_ops: [operation] }), uses)
      assert.deepEqual(usesOf({ key_ops: ['of another kind', operation] }), uses)
    })
  }

  it('allows nothing in another form', () => {
    for (const operations of [[], 'verify', null, { verify: true }, [['verify']]])
      assert.deepEqual(usesOf({ key_ops: operations }), [])
  })
})

describe('use', () => {
  it('allows what it says, together with key_ops', () => {
    assert.deepEqual(usesOf({}), ['private sig', 'private enc', 'public sig', 'public enc'])
    assert.deepEqual(usesOf({ use: 'sig' }), ['private sig', 'public sig'])
    assert.deepEqual(usesOf({ use: 'enc' }), ['private enc', 'public enc'])
    assert.deepEqual(usesOf({ use: 'sig', key_ops: ['verify', 'encrypt'] }), ['public sig'])
    for (const use of [null, '', 'SIG', ['sig']]) assert.deepEqual(usesOf({ use }), [])
  })
})
