import { randomBytes } from 'node:crypto'
import type { AppConfig } from '../options/config.ts'
import type { StoreLike } from '../state/shared-state.ts'
import type { Login, TokenRecord } from '../types.ts'
import { storeOperation } from './express-session.ts'
import { createSeal } from './seal.ts'

/**
 * The tokens of a login, beside its session in the same store. express-session reads and writes the whole session at
 * each request, and the last writer wins; a record of its own keeps guarded requests cheap and a rotated token safe. It
 * has a random id, which the session knows, so it stays with the login when the session id changes.
 */
export interface TokenRecords {
  /** Keeps the tokens until the login ends, encrypted. Returns their id. */
  save(store: StoreLike, tokens: TokenRecord, login: Login): Promise<string>
  /** Keeps other tokens in the place of a login's own. */
  replace(store: StoreLike, id: string, tokens: TokenRecord, login: Login): Promise<void>
  read(store: StoreLike, id: string): Promise<TokenRecord | undefined>
  remove(store: StoreLike, id: string): Promise<void>
}

export function createTokenRecords(config: Pick<AppConfig, 'secrets'>): TokenRecords {
  const seal = createSeal(config.secrets, 'tokens')
  const keyOf = (id: string): string => `oidc-tokens:${id}`

  async function replace(store: StoreLike, id: string, tokens: TokenRecord, login: Login): Promise<void> {
    const key = keyOf(id)
    const record = { cookie: lifetimeUntil(login.expiresAt), tokens: seal.seal(JSON.stringify(tokens), key) }
    await storeOperation((done) => store.set(key, record, done))
  }

  return {
    async save(store, tokens, login) {
      // Short, since every request of the session carries it to the store and back; nothing hangs on guessing it.
      const id = randomBytes(12).toString('base64url')
      await replace(store, id, tokens, login)
      return id
    },
    replace,
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

/** The `cookie` of a record of ours: stores learn its life from there, some from `expires`, others from `maxAge`. */
export function lifetimeUntil(expiresAt: number): Record<string, unknown> {
  const maxAge = Math.max(0, expiresAt * 1000 - Date.now())
  return { path: '/', httpOnly: true, originalMaxAge: maxAge, maxAge, expires: new Date(expiresAt * 1000) }
}
