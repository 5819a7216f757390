import { randomBytes } from 'node:crypto'
import type { AppConfig } from '../options/config.ts'
import type { StoreLike } from '../state/shared-state.ts'
import { destroyRecord, getRecord, lifetimeUntil, tokenRecordKey } from '../state/store-record.ts'
import type { Login, TokenRecord } from '../types.ts'
import { storeOperation } from './express-session.ts'
import { createSeal } from './seal.ts'

/**
 * The tokens of a login, encrypted in a record of their own in the session store. express-session reads and writes the whole
 * session at each request, and the last writer wins. A separate record keeps guarded requests fast and refreshed tokens safe.
 * The session holds its random id, so the record stays with the login when the session id changes.
 */
export interface TokenRecords {
  /** Stores the tokens until the login expires. Returns the id of the record. */
  save(store: StoreLike, tokens: TokenRecord, login: Login): Promise<string>
  /** Replaces the tokens of a login. */
  replace(store: StoreLike, id: string, tokens: TokenRecord, login: Login): Promise<void>
  read(store: StoreLike, id: string): Promise<TokenRecord | undefined>
  /** False if the login is over: each way of ending a login deletes its record. Does not decrypt the record. */
  has(store: StoreLike, id: string): Promise<boolean>
  remove(store: StoreLike, id: string): Promise<void>
}

export function createTokenRecords(config: Pick<AppConfig, 'secrets'>): TokenRecords {
  const seal = createSeal(config.secrets, 'tokens')

  async function replace(store: StoreLike, id: string, tokens: TokenRecord, login: Login): Promise<void> {
    const name = tokenRecordKey(id)
    const record = { cookie: lifetimeUntil(login.expiresAt), tokens: seal.seal(JSON.stringify(tokens), name) }
    await storeOperation('set', (done) => store.set(name, record, done))
  }

  async function read(store: StoreLike, id: string): Promise<TokenRecord | undefined> {
    return (await readRecord(store, tokenRecordKey(id))) ?? (await readRecord(store, formerRecordKey(id)))
  }

  async function readRecord(store: StoreLike, key: string): Promise<TokenRecord | undefined> {
    const sealed = await readSealed(store, key)
    const text = sealed === undefined ? undefined : seal.open(sealed, key)
    return text === undefined ? undefined : JSON.parse(text)
  }

  async function remove(store: StoreLike, id: string): Promise<void> {
    const keys = [tokenRecordKey(id), formerRecordKey(id)]
    await Promise.all(keys.map((key) => storeOperation('destroy', (done) => destroyRecord(store, key, done))))
  }

  return {
    async save(store, tokens, login) {
      // Short, because each request of the session reads and writes it. It is no secret: only the session names a record.
      const id = randomBytes(12).toString('base64url')
      await replace(store, id, tokens, login)
      return id
    },
    replace,
    read,
    async has(store, id) {
      const sealed = (await readSealed(store, tokenRecordKey(id))) ?? (await readSealed(store, formerRecordKey(id)))
      return sealed !== undefined
    },
    remove,
  }
}

async function readSealed(store: StoreLike, key: string): Promise<string | undefined> {
  const record = await storeOperation<Readonly<Record<string, unknown>>>('get', (done) => getRecord(store, key, done))
  const sealed = record?.['tokens']
  return typeof sealed === 'string' ? sealed : undefined
}

/** The key in version 0.2.0. Such records are read and removed until the next minor version. */
function formerRecordKey(id: string): string {
  return `oidc-tokens:${id}`
}
