import { randomBytes } from 'node:crypto'
import type { Config } from '../config/config.ts'
import type { Login, TokenRecord } from '../types.ts'
import { type StoreLike, storeOperation } from './express-session.ts'
import { createSeal } from './sealed-value.ts'

/**
 * The tokens of a login, beside its session in the same store. express-session reads and writes the whole session at
 * each request, and the last writer wins; a record of its own keeps guarded requests cheap and a rotated token safe. It
 * has a random id, which the session knows, so it stays with the login when the session id changes.
 */
export interface TokenRecords {
  /** Keeps the tokens until the login ends, encrypted. Returns their id. */
  save(store: StoreLike, tokens: TokenRecord, login: Login): Promise<string>
  read(store: StoreLike, id: string): Promise<TokenRecord | undefined>
  remove(store: StoreLike, id: string): Promise<void>
}

export function createTokenRecords(config: Pick<Config, 'secrets'>): TokenRecords {
  const seal = createSeal(config.secrets, 'tokens')
  const keyOf = (id: string): string => `oidc-tokens:${id}`
  return {
    async save(store, tokens, login) {
      // Short, since every request of the session carries it to the store and back; nothing hangs on guessing it.
      const id = randomBytes(12).toString('base64url')
      const key = keyOf(id)
      const record = { cookie: lifetimeUntil(login.expiresAt), tokens: seal.seal(JSON.stringify(tokens), key) }
      await storeOperation((done) => store.set(key, record, done))
      return id
    },
    async read(store, id) {
      const key = keyOf(id)
      const record = await storeOperation<unknown>((done) => store.get(key, done))
      const sealed = typeof record === 'object' && record !== null && 'tokens' in record ? record.tokens : undefined
      const text = typeof sealed === 'string' ? seal.open(sealed, key) : undefined
      return text === undefined ? undefined : JSON.parse(text)
    },
    async remove(store, id) {
      await storeOperation((done) => store.destroy(keyOf(id), done))
    },
  }
}

/** Stores learn a record's life from `cookie`, some from `expires`, others from `maxAge`. */
function lifetimeUntil(expiresAt: number): Record<string, unknown> {
  const maxAge = Math.max(0, expiresAt * 1000 - Date.now())
  return { path: '/', httpOnly: true, originalMaxAge: maxAge, maxAge, expires: new Date(expiresAt * 1000) }
}
