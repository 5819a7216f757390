import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import * as registrationOptions from '../../lib/options/registration-options.ts'
import { moduleUrl, NODE_ARGS, ROOT, sourceOf } from '../support/app/project.ts'

/** A login and a logout in a process of their own, with these options. */
function scriptWith(options: string): string {
  return `
    import assert from 'node:assert/strict'
    import { startApp } from '${moduleUrl('test/support/app/app.ts')}'
    import { startStrictProvider } from '${moduleUrl('test/support/strict-provider/provider.ts')}'

    const provider = await startStrictProvider({ registration: 'open' })
    const app = await startApp({ provider, options: ${options} })
    const browser = app.browser()
    assert.equal((await browser.open('/profile')).status, 200)
    await browser.post('/logout')
    await Promise.all([app.stop(), provider.stop()])`
}

/** The files of lib/ that a process loads, by the list of scripts in its coverage. */
async function filesLoadedBy(script: string): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'express-oidc-'))
  try {
    const args = [...NODE_ARGS, '--input-type=module', '--eval', script]
    const env = { ...process.env, NODE_V8_COVERAGE: folder }
    await promisify(execFile)(process.execPath, args, { cwd: ROOT, env })
    const reports = await Promise.all((await readdir(folder)).map((file) => readFile(join(folder, file), 'utf8')))
    const urls = reports.flatMap((report) => JSON.parse(report).result.map(({ url }: { url: string }) => url))
    const sources = urls.map((url: string) => sourceOf(url))
    return sources.flatMap((file?: string) => (file?.startsWith('lib/') ? [file.slice('lib/'.length)] : []))
  } finally {
    await rm(folder, { recursive: true })
  }
}

describe('the files of lib/registration/', { timeout: 120_000 }, () => {
  it('are not loaded by an application without the option registration', async () => {
    const files = await filesLoadedBy(scriptWith('{}'))
    assert.ok(files.includes('login/callback.ts') && files.includes('logout/logout.ts'), files.join())
    assert.deepEqual(
      files.filter((file) => file.startsWith('registration')),
      [],
    )
  })

  it('are loaded by an application with it', async () => {
    const store = '{ read: async () => undefined, write: async () => {}, remove: async () => {} }'
    const options = `{ clientId: undefined, clientSecret: undefined, secret: 's'.repeat(32), registration: { store: ${store} } }`
    const files = await filesLoadedBy(scriptWith(options))
    assert.ok(files.includes('registration/own-client.ts'), files.join())
  })

  it('are not needed for the check of the option, which has types and rules only', () => {
    assert.deepEqual(Object.keys(registrationOptions).sort(), [
      ...['REGISTRATION_OPTIONS', 'initialAccessTokenRule', 'initialAccessTokenSchemeRule', 'isHeaderToken'],
      'metadataRule',
    ])
  })
})
