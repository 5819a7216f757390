import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { OidcError } from '../errors.ts'
import type { ClientStore, RegisteredClient } from '../options/registration-options.ts'

/** Readable and writable for its owner, and for nobody else. */
const OWNER_ONLY = 0o600
/** Permissions of group and others. Windows has none: Node makes some up, which tell nothing. */
const FOREIGN = new Map<string, number>([['win32', 0]]).get(process.platform) ?? 0o077

/**
 * Keeps clients in a folder, a file for each, which only its owner can read. A file is written beside its place, brought
 * to the disk and then moved there: a crash leaves the old one or the new one, never a part. Several processes may share
 * the folder. It is made at the first write.
 *
 * A file that group or others can read is refused, for its secret is no secret any more:
 * `ERR_OIDC_REGISTRATION_STORE`, as for every failure.
 *
 * @param directory A folder that outlives the process, and is nothing that a web server serves.
 * @example
 * ```ts
 * const registration = { store: fileClientStore('/var/lib/portal/clients'), metadata: { client_name: 'Portal' } }
 * app.use(oidc({ issuer, baseUrl, secret, registration }))
 * ```
 */
export function fileClientStore(directory: string): ClientStore {
  const pathOf = (key: string): string => join(directory, `${createHash('sha256').update(key).digest('hex')}.json`)
  return {
    read: (key) => guarded(pathOf(key), (path) => readFile(path, key)),
    write: (key, client) => guarded(pathOf(key), (path) => writeFile(directory, path, { key, client })),
    remove: (key) => guarded(pathOf(key), (path) => rm(path, { force: true })),
  }
}

async function readFile(path: string, key: string): Promise<RegisteredClient | undefined> {
  const file = await open(path, 'r').catch(ignoreMissing)
  if (file === undefined) return undefined
  try {
    // Of the open file, not of the path: that might be another one by now.
    const { mode } = await file.stat()
    if ((mode & FOREIGN) !== 0) throw failure(path, 'can be read or written by others than its owner: chmod 600 it')
    return checkContent(parse(await file.readFile('utf8')), path, key)
  } finally {
    await file.close()
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

/** The error of a JSON parser holds a piece of its input. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function checkContent(content: unknown, path: string, key: string): RegisteredClient {
  const { key: found, client } = Object(content)
  if (found !== key || typeof client?.client_id !== 'string' || typeof client.registeredAt !== 'number') {
    throw failure(path, 'does not hold the client that it is named for')
  }
  return client
}

async function writeFile(directory: string, path: string, content: unknown): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(8).toString('hex')}.tmp`
  try {
    const file = await open(draft, 'wx', OWNER_ONLY)
    try {
      // The mask of the process may have taken from these permissions, and must not.
      await file.chmod(OWNER_ONLY)
      await file.writeFile(`${JSON.stringify(content, null, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  // The new name is in the folder, which is to be on the disk as well; Windows knows no such thing.
  await Promise.allSettled([syncFolder(directory)])
}

async function syncFolder(directory: string): Promise<void> {
  const folder = await open(directory, 'r')
  await folder.sync().finally(() => folder.close())
}

async function guarded<T>(path: string, work: (path: string) => Promise<T>): Promise<T> {
  try {
    return await work(path)
  } catch (error) {
    throw error instanceof OidcError ? error : failure(path, 'cannot be read or written', error)
  }
}

function failure(path: string, fault: string, cause?: unknown): OidcError {
  return new OidcError('ERR_OIDC_REGISTRATION_STORE', `${path} ${fault}.`, { cause })
}
