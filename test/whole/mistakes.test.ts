import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { HOSTS } from '../support/app/hosts.ts'
import { ROOT } from '../support/app/project.ts'
import {
  joinReadings,
  MISTAKES,
  readingName,
  readMistake,
  splitReadings,
  textOf,
} from '../support/mistakes/mistakes.ts'
import { forgetFailures } from '../support/mistakes/stand.ts'
import { startProvider, type TestProvider } from '../support/servers/provider.ts'

/** What developers read, word by word. `UPDATE_MISTAKES=1` writes it anew: then read it, by the rules of PROSE. */
const FILE = `${ROOT}test/support/mistakes/readings.txt`
const isUpdate = process.env['UPDATE_MISTAKES'] === '1'
const expected = existsSync(FILE) ? splitReadings(readFileSync(FILE, 'utf8')) : new Map<string, string>()

let provider: TestProvider
const readings = new Map<string, string>()
const { NODE_ENV: mode } = process.env

before(async () => {
  process.env['NODE_ENV'] = 'development'
  provider = await startProvider()
})

after(async () => {
  if (mode === undefined) delete process.env['NODE_ENV']
  else process.env['NODE_ENV'] = mode
  if (isUpdate) writeFileSync(FILE, joinReadings(readings))
  await provider.stop()
})

for (const host of HOSTS) {
  describe(`a developer on ${host} reads on the console and in the browser what is wrong and what to do`, () => {
    before(forgetFailures)

    for (const mistake of MISTAKES) {
      it(`after this mistake: ${mistake.name}`, async () => {
        const reading = await readMistake(provider, mistake, host)
        const text = textOf(reading, provider)
        // Another framework has a text of its own only where it differs.
        const isSame = text === readings.get(mistake.name)
        if (!isSame) readings.set(readingName(mistake, host), text)
        if (!isUpdate && !isSame) assert.equal(text, expected.get(readingName(mistake, host)))
        // The page of the provider shows the state, and is not ours.
        const ours = reading.url.startsWith('http://127.0.0.1:') ? reading.console + reading.page : reading.console
        assert.doesNotMatch(ours, /[?&](?:code|state|nonce)=|\beyJ[\w-]{10}|connect\.sid/)
        assert.ok(!ours.includes(provider.clientSecret))
      })
    }
  })
}

describe('the texts', () => {
  it('are one for each mistake and each difference of a framework, and no other', () => {
    if (!isUpdate) assert.deepEqual([...expected.keys()], [...readings.keys()])
  })
})
