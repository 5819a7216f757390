import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { OidcError } from '../errors.ts'
import type { ClientStore, RegisteredClient } from '../options/registration-options.ts'

/** Readable and writable for the owner only. */
const OWNER_ONLY = 0o600
/** Permissions of the group and of others. Windows has none, and the ones that Node reports there mean nothing. */
const FOREIGN = new Map<string, number>([['win32', 0]]).get(process.platform) ?? 0o077
const WRITABLE_BY_ALL = FOREIGN & 0o002
/** Does not follow a link, and does not wait for the other end of a pipe. Windows has neither flag. */
const READ_ONLY = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

/**
 * Stores clients in a directory, one file for each, readable for the owner only. A write replaces the file in one step,
 * so a crash leaves the old client or the new one. Several processes may share the directory. The first write creates
 * it.
 *
 * A file that the group or others can read is rejected, because its secret is no longer secret. So is a directory that
 * all users can write, because any of them could replace the client, and a link in the place of either. Every failure is
 * an `OidcError` with the code `ERR_OIDC_REGISTRATION_STORE`.
 *
 * @param directory A directory that survives a deployment and that no web server serves.
 * @example
 * ```ts
 * const registration = { store: fileClientStore('/var/lib/portal/clients'), metadata: { client_name: 'Portal' } }
 * app.use(oidc({ issuer, baseUrl, secret, registration }))
 * ```
 */
export function fileClientStore(directory: string): ClientStore {
  const pathOf = (key: string): string => join(directory, `${createHash('sha256').update(key).digest('hex')}.json`)
  return {
    read: (key) => inStore(directory, pathOf(key), (path) => readFile(path, key)),
    write: (key, client) => inStore(directory, pathOf(key), (path) => writeFile(directory, path, { key, client })),
    remove: (key) => inStore(directory, pathOf(key), (path) => rm(path, { force: true })),
  }
}

async function inStore<T>(directory: string, path: string, work: (path: string) => Promise<T>): Promise<T> {
  try {
    await checkDirectory(directory)
    return await work(path)
  } catch (error) {
    throw error instanceof OidcError ? error : storeError(path, 'cannot be read or written. See the cause', error)
  }
}

async function checkDirectory(directory: string): Promise<void> {
  const found = await lstat(directory).catch(ignoreMissing)
  if (found?.isSymbolicLink()) {
    throw storeError(directory, 'is a symbolic link. Pass the path that it leads to')
  }
  if (found !== undefined && (found.mode & WRITABLE_BY_ALL) !== 0) {
    throw storeError(directory, 'can be written by all users, so any of them can replace the client. Run chmod o-w')
  }
}

function storeError(path: string, problem: string, cause?: unknown): OidcError {
  return new OidcError('ERR_OIDC_REGISTRATION_STORE', `${path} ${problem}.`, { cause })
}

async function readFile(path: string, key: string): Promise<RegisteredClient | undefined> {
  const file = await open(path, READ_ONLY).catch(ignoreMissing).catch(rejectLink(path))
  if (file === undefined) return undefined
  try {
    // Of the open file, because the path may name another file by now.
    const stats = await file.stat()
    if (!stats.isFile()) throw notAFile(path)
    const { mode } = stats
    if ((mode & FOREIGN) !== 0) {
      throw storeError(path, 'can be read or written by other users. Run chmod 600, and renew the client secret')
    }
    return checkContent(parseJson(await file.readFile('utf8')), path, key)
  } finally {
    await file.close()
  }
}

/** The errors of `O_NOFOLLOW` for a link: `ELOOP`, on FreeBSD `EMLINK`. */
function rejectLink(path: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    throw ['ELOOP', 'EMLINK'].includes(error.code ?? '') ? notAFile(path, error) : error
  }
}

function notAFile(path: string, cause?: unknown): OidcError {
  return storeError(path, 'is not a file of its own, but a link, a directory or a device. Remove it', cause)
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

/** The error of `JSON.parse` contains a part of its input, so it is dropped. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function checkContent(content: unknown, path: string, key: string): RegisteredClient {
  const { key: found, client } = Object(content)
  if (found !== key || typeof client?.client_id !== 'string' || typeof client.registeredAt !== 'number') {
    throw storeError(path, 'does not contain the client that belongs to its name. Restore it, or delete it')
  }
  return client
}

async function writeFile(directory: string, path: string, content: unknown): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(8).toString('hex')}.tmp`
  try {
    const file = await open(draft, 'wx', OWNER_ONLY)
    try {
      // The umask of the process may have removed permissions of the owner.
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
  // Makes the new name survive a power failure. Windows cannot sync a directory.
  await Promise.allSettled([syncDirectory(directory)])
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  await handle.sync().finally(() => handle.close())
}
