import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ROOT } from '../support/app/project.ts'
import { readText } from '../support/docs/code-blocks.ts'

const PAGE = readText('docs/ipsie.md')
/** The cells of all tables that name tests. */
const TEST_CELLS = PAGE.split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| Requirement'))
  .map((line) => line.split('|')[3] ?? '')

describe('docs/ipsie.md', () => {
  it('names tests that exist', () => {
    const source = readText('test/login/ipsie.test.ts')
    const names = TEST_CELLS.flatMap((cell) => [...cell.matchAll(/\*([^*]+)\*/g)].map(([, name = '']) => name))
    assert.ok(names.length > 20)
    // A row of a table has only the end of its name in the source.
    const missing = names.filter((name) => !source.includes(name.replace(/^(conflict with|refuses) /, '')))
    assert.deepEqual(missing, [])
  })

  it('names files that exist, and has a test for each requirement', () => {
    const files = TEST_CELLS.flatMap((cell) => [...cell.matchAll(/`(test\/[^`]+)`/g)].map(([, file = '']) => file))
    assert.deepEqual(
      files.filter((file) => !existsSync(join(ROOT, file))),
      [],
    )
    // What only the application can do, and what is not met, has no test here.
    const untested = TEST_CELLS.filter((cell) => !/[*`]/.test(cell))
    assert.deepEqual(
      untested.map((cell) => cell.trim()),
      ['yours', 'yours', 'none'],
    )
  })
})
