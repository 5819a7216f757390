import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { inspect, promisify } from 'node:util'
import { OidcError } from '../../lib/errors.ts'
import type { ClientStore, RegisteredClient } from '../../lib/options/registration-options.ts'
import { fileClientStore } from '../../lib/registration/file-client-store.ts'
import { clientKey } from '../../lib/registration/own-client.ts'
import { moduleUrl, NODE_ARGS } from '../support/app/project.ts'

const KEY = 'https://op.example.com'
const CLIENT: RegisteredClient = {
  client_id: 'a',
  client_secret: 'secret-value',
  registeredAt: 1,
  x_more: { deep: [1] },
}

describe('the key of a client', () => {
  it('is the issuer, followed by the name of one of several providers', () => {
    assert.equal(clientKey(KEY), KEY)
    assert.equal(clientKey(KEY, 'default'), KEY)
    assert.equal(clientKey(KEY, 'okta'), `${KEY} okta`)
  })
})

describe('a store of clients in files', () => {
  let folder: string
  let store: ClientStore

  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'express-oidc-')), 'clients')
    store = fileClientStore(folder)
  })

  afterEach(() => rm(join(folder, '..'), { recursive: true, force: true }))

  async function onlyFile(): Promise<string> {
    const files = await readdir(folder)
    assert.equal(files.length, 1, files.join())
    return join(folder, String(files[0]))
  }

  async function refuses(promise: Promise<unknown>, sentence?: RegExp): Promise<void> {
    const error = await promise.then(
      () => assert.fail('nothing was refused'),
      (reason: unknown) => reason,
    )
    assert.ok(error instanceof OidcError, inspect(error))
    assert.equal(error.code, 'ERR_OIDC_REGISTRATION_STORE')
    assert.equal(error.status, 503)
    assert.doesNotMatch(inspect(error), /secret-value/)
    if (sentence !== undefined) assert.match(error.message, sentence)
  }

  it('returns what was written, and nothing before that and after its removal', async () => {
    assert.equal(await store.read(KEY), undefined)
    await store.write(KEY, CLIENT)
    assert.deepEqual(await store.read(KEY), CLIENT)
    assert.deepEqual(await fileClientStore(folder).read(KEY), CLIENT)
    await store.write(KEY, { ...CLIENT, client_id: 'b' })
    assert.equal((await store.read(KEY))?.client_id, 'b')
    await store.remove(KEY)
    await store.remove(KEY)
    assert.equal(await store.read(KEY), undefined)
    assert.deepEqual(await readdir(folder), [])
  })

  it('separates keys, whatever characters they have', async () => {
    const keys = [KEY, `${KEY}/`, `${KEY} okta`, '../../etc/passwd', '', 'a'.repeat(5000)]
    for (const [index, key] of keys.entries()) await store.write(key, { ...CLIENT, client_id: String(index) })
    for (const [index, key] of keys.entries()) assert.equal((await store.read(key))?.client_id, String(index))
    assert.ok((await readdir(folder)).every((file) => /^[0-9a-f]{64}\.json$/.test(file)))
  })

  for (const mask of [0o000, 0o022, 0o277]) {
    it(`creates files for the owner only, with the umask ${mask.toString(8)}`, async () => {
      await mkdir(folder)
      const before = process.umask(mask)
      try {
        await store.write(KEY, CLIENT)
      } finally {
        process.umask(before)
      }
      assert.equal((await stat(await onlyFile())).mode & 0o777, 0o600)
    })
  }

  it('creates its directory for the owner only', async () => {
    await store.write(KEY, CLIENT)
    assert.equal((await stat(folder)).mode & 0o077, 0)
  })

  for (const mode of [0o640, 0o604, 0o620, 0o602]) {
    it(`rejects a file with the mode ${mode.toString(8)}`, async () => {
      await store.write(KEY, CLIENT)
      await chmod(await onlyFile(), mode)
      await refuses(store.read(KEY), /chmod 600/)
      await store.write(KEY, CLIENT)
      assert.deepEqual(await store.read(KEY), CLIENT)
    })
  }

  it('ignores what a crash has left behind', async () => {
    await store.write(KEY, CLIENT)
    const file = await onlyFile()
    await writeFile(`${file}.0123456789abcdef.tmp`, '{"key":"https://op.exam', { mode: 0o600 })
    assert.deepEqual(await store.read(KEY), CLIENT)
    await store.write(KEY, { ...CLIENT, client_id: 'b' })
    assert.equal((await store.read(KEY))?.client_id, 'b')
  })

  it('leaves no draft if the file cannot be replaced', async () => {
    await store.write(KEY, CLIENT)
    const file = await onlyFile()
    await rm(file)
    await mkdir(join(file, 'occupied'), { recursive: true })
    await refuses(store.write(KEY, CLIENT))
    await refuses(store.read(KEY))
    assert.deepEqual(await readdir(folder), [file.slice(folder.length + 1)])
  })

  it('does not write through a symbolic link', async () => {
    await mkdir(folder)
    const target = join(folder, '..', 'target')
    await writeFile(target, 'untouched', { mode: 0o600 })
    await store.write(KEY, CLIENT)
    const file = await onlyFile()
    await rm(file)
    await symlink(target, file)
    await store.write(KEY, CLIENT)
    assert.equal(await readFile(target, 'utf8'), 'untouched')
    assert.deepEqual(await store.read(KEY), CLIENT)
  })

  for (const mode of [0o777, 0o1777, 0o702]) {
    it(`N-53: rejects a directory with the mode ${mode.toString(8)}, because everybody can replace its files`, async () => {
      await store.write(KEY, CLIENT)
      await chmod(folder, mode)
      await refuses(store.read(KEY), /can be written by all users.*chmod o-w/)
      await refuses(store.write(KEY, CLIENT), /can be written by all users/)
      await refuses(store.remove(KEY), /can be written by all users/)
      await chmod(folder, 0o770)
      assert.deepEqual(await store.read(KEY), CLIENT)
    })
  }

  it('N-53: does not read through a symbolic link', async () => {
    await store.write(KEY, CLIENT)
    const file = await onlyFile()
    const target = join(folder, '..', 'target')
    await rename(file, target)
    await symlink(target, file)
    await refuses(store.read(KEY), /is not a file of its own/)
  })

  it('N-53: does not follow a link that is its directory', async () => {
    await store.write(KEY, CLIENT)
    const link = join(folder, '..', 'link')
    await symlink(folder, link)
    const linked = fileClientStore(link)
    await refuses(linked.read(KEY), /is a symbolic link/)
    await refuses(linked.write(KEY, CLIENT), /is a symbolic link/)
    await refuses(linked.remove(KEY), /is a symbolic link/)
    assert.deepEqual(await store.read(KEY), CLIENT)
  })

  it('N-53: does not read a file that is a directory or a pipe', async () => {
    await store.write(KEY, CLIENT)
    const file = await onlyFile()
    await rm(file)
    await promisify(execFile)('mkfifo', ['-m', '600', file])
    await refuses(store.read(KEY), /is not a file of its own/)
  })

  const contents: readonly [string, string][] = [
    ['half a file', '{"key":"https://op.example.com","client":{"client_id":"a","client_secret":"secret-value'],
    ['nothing', ''],
    ['null', 'null'],
    ['a text', '"secret-value"'],
    ['no client', JSON.stringify({ key: KEY })],
    ['a client without id', JSON.stringify({ key: KEY, client: { registeredAt: 1 } })],
    ['a client without its time', JSON.stringify({ key: KEY, client: { client_id: 'a' } })],
    ['the client of another key', JSON.stringify({ key: 'https://other.example.com', client: CLIENT })],
  ]
  for (const [name, content] of contents) {
    it(`rejects a file that contains ${name}`, async () => {
      await store.write(KEY, CLIENT)
      await writeFile(await onlyFile(), content)
      await refuses(store.read(KEY), /does not contain/)
    })
  }

  it('fails if its directory is a file', async () => {
    await writeFile(folder, '')
    await refuses(store.write(KEY, CLIENT))
    await refuses(store.read(KEY))
  })

  it('never returns half a file while two processes write', { timeout: 180_000 }, async () => {
    const script = `
      import { fileClientStore } from '${moduleUrl('lib/registration/file-client-store.ts')}'
      const store = fileClientStore(process.argv[1])
      const client = { client_id: process.argv[2], registeredAt: 1, filling: process.argv[2].repeat(50_000) }
      for (let count = 0; count < 100; count += 1) await store.write('${KEY}', client)`
    const write = (name: string) =>
      promisify(execFile)(process.execPath, [...NODE_ARGS, '--input-type=module', '--eval', script, folder, name])
    let isWriting = true
    const writers = Promise.all([write('a'), write('b')]).finally(() => {
      isWriting = false
    })
    const seen = new Set<string>()
    while (isWriting) {
      const client = await store.read(KEY)
      if (client === undefined) await new Promise((resolve) => setImmediate(resolve))
      else assert.equal(client['filling'], client.client_id.repeat(50_000))
      seen.add(client?.client_id ?? '')
    }
    await writers
    assert.ok(seen.has('a') || seen.has('b'))
    assert.equal((await readdir(folder)).length, 1)
  })
})
