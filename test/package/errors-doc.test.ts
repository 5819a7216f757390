import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ERROR_STATUS } from '../../lib/error-codes.ts'
import { filesBelow, readText } from '../support/docs/code-blocks.ts'

interface Section {
  readonly code: string
  readonly text: string
}

const SECTIONS: readonly Section[] = readText('docs/errors.md')
  .split(/^## /m)
  .slice(1)
  .map((section) => ({ code: section.slice(0, section.indexOf('\n')), text: section }))

describe('docs/errors.md', () => {
  it('has one heading for each code, and no other', () => {
    assert.deepEqual(SECTIONS.map(({ code }) => code).sort(), Object.keys(ERROR_STATUS).sort())
  })

  it('tells the status of each', () => {
    const told = SECTIONS.map(({ code, text }) => [code, Number(/^Status: (\d{3})$/m.exec(text)?.[1])])
    assert.deepEqual(Object.fromEntries(told), ERROR_STATUS)
  })

  it('says of each what happened, why, and what to do', () => {
    for (const { code, text } of SECTIONS) {
      for (const part of ['What happened', 'Usual cause', 'What to do']) {
        assert.equal(text.split(`\n\n**${part}.** `).length, 2, `${code}: ${part}`)
      }
    }
  })

  it('has the codes in the order of the table', () => {
    assert.deepEqual(
      SECTIONS.map(({ code }) => code),
      Object.keys(ERROR_STATUS),
    )
  })
})

describe('the documents', () => {
  it('name only codes that exist', () => {
    const documents = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...filesBelow('docs', '.md')]
    const unknown = documents.flatMap((file) =>
      [...readText(file).matchAll(/\bERR_OIDC_\w+/g)]
        .map(([code]) => code)
        .filter((code) => !(code in ERROR_STATUS))
        .map((code) => `${file}: ${code}`),
    )
    assert.deepEqual(unknown, [])
  })
})
