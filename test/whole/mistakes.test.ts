import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { ROOT } from '../support/app/project.ts'
import { joinReadings, MISTAKES, readMistake, splitReadings, textOf } from '../support/mistakes/mistakes.ts'
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

describe('a developer reads on the console and in the browser what is wrong and what to do', () => {
  for (const mistake of MISTAKES) {
    it(`after this mistake: ${mistake.name}`, async () => {
      const reading = await readMistake(provider, mistake)
      const text = textOf(reading, provider)
      readings.set(mistake.name, text)
      if (!isUpdate) assert.equal(text, expected.get(mistake.name))
      // The page of the provider shows the state, and is not ours.
      const ours = reading.url.startsWith('http://127.0.0.1:') ? reading.console + reading.page : reading.console
      assert.doesNotMatch(ours, /[?&](?:code|state|nonce)=|\beyJ[\w-]{10}|connect\.sid/)
      assert.ok(!ours.includes(provider.clientSecret))
    })
  }

  it('and there is a text for each mistake, and no other', () => {
    if (!isUpdate)
      assert.deepEqual(
        [...expected.keys()],
        MISTAKES.map(({ name }) => name),
      )
  })
})
