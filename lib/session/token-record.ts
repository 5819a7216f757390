import { createHash } from 'node:crypto'
import type { Config } from '../config/config.ts'
import type { Login, TokenRecord } from '../types.ts'
import { type SessionRequest, storeOperation } from './express-session.ts'
import { createSeal } from './sealed-value.ts'

/**
 * The tokens of a login, beside its session in the same store. express-session reads and writes the whole session at
 * each request, and the last writer wins; a record of its own keeps guarded requests cheap and a rotated token safe.
 */
export interface TokenRecords {
  /** Keeps the tokens for the current session id until the login ends, encrypted. */
  save(req: SessionRequest, tokens: TokenRecord, login: Login): Promise<void>
  read(req: SessionRequest): Promise<TokenRecord | undefined>
  remove(req: SessionRequest): Promise<void>
}

export function createTokenRecords(config: Pick<Config, 'secrets' | 'sessionKey'>): TokenRecords {
  const seal = createSeal(config.secrets, 'tokens')
  const keyOf = (req: SessionRequest): string => {
    const hash = createHash('sha256').update(`${config.sessionKey}\n${req.sessionID}`).digest('base64url')
    return `oidc-tokens:${hash}`
  }
  return {
    async save(req, tokens, login) {
      const key = keyOf(req)
      const record = { cookie: lifetimeUntil(login.expiresAt), tokens: seal.seal(JSON.stringify(tokens), key) }
      await storeOperation((done) => req.sessionStore.set(key, record, done))
    },
    async read(req) {
      const key = keyOf(req)
      const record = await storeOperation<unknown>((done) => req.sessionStore.get(key, done))
      const sealed = typeof record === 'object' && record !== null && 'tokens' in record ? record.tokens : undefined
      const text = typeof sealed === 'string' ? seal.open(sealed, key) : undefined
      return text === undefined ? undefined : JSON.parse(text)
    },
    async remove(req) {
      const key = keyOf(req)
      await storeOperation((done) => req.sessionStore.destroy(key, done))
    },
  }
}

/** Stores learn a record's life from `cookie`, some from `expires`, others from `maxAge`. */
function lifetimeUntil(expiresAt: number): Record<string, unknown> {
  const maxAge = Math.max(0, expiresAt * 1000 - Date.now())
  return { path: '/', httpOnly: true, originalMaxAge: maxAge, maxAge, expires: new Date(expiresAt * 1000) }
}
