import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { ROOT } from '../support/app/project.ts'
import { publicApi } from '../support/docs/public-api.ts'

const SNAPSHOT = `${ROOT}test/package/public-api.txt`

const ADVICE =
  'What the entry points export is not what test/package/public-api.txt has. If that is an accident, undo it: an ' +
  'application may use what is gone. If it is meant, say so in CHANGELOG.md and run\n\n' +
  '  UPDATE_PUBLIC_API=1 node --import tsx --test test/package/public-api.test.ts\n'

describe('the public API', () => {
  it('is the one that is written down', () => {
    const found = publicApi(ROOT)
    if (process.env['UPDATE_PUBLIC_API'] === '1') writeFileSync(SNAPSHOT, found)
    const written = readFileSync(SNAPSHOT, 'utf8')
    const [gone, added] = [linesOnlyIn(written, found), linesOnlyIn(found, written)]
    assert.equal([...gone, ...added].length, 0, `${ADVICE}\n${[...gone, ...added].join('\n')}\n`)

    function linesOnlyIn(text: string, other: string): readonly string[] {
      const sign = text === written ? '-' : '+'
      return linesOf(text)
        .filter((line) => !linesOf(other).includes(line))
        .map((line) => `${sign} ${line}`)
    }
  })

  it('is found: functions, classes and types of every entry point', () => {
    const lines = linesOf(publicApi(ROOT))
    for (const line of ['express-oidc: function oidc', 'express-oidc/redis: function redisState']) {
      assert.ok(lines.includes(line), line)
    }
    const patterns = [
      /^express-oidc: interface AnonymousContext .*\bloginUrl\b/,
      /^express-oidc: class OidcError .*\bcode\b/,
    ]
    for (const pattern of patterns)
      assert.ok(
        lines.some((line) => pattern.test(line)),
        String(pattern),
      )
  })
})

/** The lines of a report, each with its entry point in front. */
function linesOf(text: string): readonly string[] {
  return text.split('\n\n').flatMap((section) => {
    const [entry, ...lines] = section.trimEnd().split('\n')
    return lines.map((line) => `${entry}: ${line.trim()}`)
  })
}
