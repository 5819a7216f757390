import { createHash, timingSafeEqual } from 'node:crypto'
import { OidcError } from '../errors.ts'
import type { Request, Response } from '../http/request.ts'
import type { AppConfig } from '../options/config.ts'
import type { AuthenticationRequirement, Transaction } from '../types.ts'
import { createCookieWriter, readCookies } from './cookies.ts'
import { createSeal } from './seal.ts'

/**
 * The logins on their way of one browser: each in a sealed cookie of its own, named by a hash of its random `state`. So
 * five tabs can log in at once, nothing is written to the session store for a visitor who never comes back, and any
 * node can take the answer.
 */
export interface Transactions {
  /** Keeps a transaction in the browser. The oldest gives way when there are too many. */
  begin(req: Request, res: Response, transaction: Transaction): void
  /** Whether this browser has sent any transaction, in whatever condition. */
  hasAny(req: Request): boolean
  /**
   * Reads and removes the transaction of a `state`. Throws `ERR_OIDC_TRANSACTION_MISSING`, `_INVALID` or `_EXPIRED`.
   */
  take(req: Request, res: Response, state: string): Transaction
}

const PREFIX = 'oidc-tx.'
/** Proxies refuse a Cookie header of some 8 kB: all transactions together stay well below it. */
const MOST_COOKIES = 6
const MOST_CHARACTERS = 6000

export function createTransactions(
  config: Pick<AppConfig, 'origin' | 'secrets' | 'transactionLifetime'>,
): Transactions {
  const seal = createSeal(config.secrets, 'transaction')
  const cookies = createCookieWriter(config.origin)
  const prefix = cookies.name(PREFIX)
  const open = (name: string, value: string): Transaction | undefined => {
    const text = seal.open(value, name)
    return text === undefined ? undefined : JSON.parse(text)
  }

  function makeRoom(req: Request, res: Response, size: number): void {
    const present = [...readCookies(req)]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => ({ name, size: value.length, startedAt: open(name, value)?.startedAt ?? 0 }))
      // Browsers send the oldest first (RFC 6265 5.4), which decides within one second.
      .reverse()
      .sort((one, other) => other.startedAt - one.startedAt)
    let characters = size
    present.forEach((cookie, index) => {
      characters += cookie.size
      if (index >= MOST_COOKIES - 1 || characters > MOST_CHARACTERS) cookies.clear(res, cookie.name)
    })
  }

  return {
    begin(req, res, transaction) {
      const name = prefix + hashOf(transaction.state)
      const value = seal.seal(JSON.stringify(transaction), name)
      makeRoom(req, res, value.length)
      cookies.set(res, name, value, config.transactionLifetime)
    },
    hasAny: (req) => [...readCookies(req).keys()].some((name) => name.startsWith(prefix)),
    take(req, res, state) {
      const name = prefix + hashOf(state)
      const value = readCookies(req).get(name)
      if (value === undefined) throw missing()
      cookies.clear(res, name)
      const transaction = open(name, value)
      if (transaction === undefined || !isEqual(transaction.state, state)) throw invalid()
      // The browser forgets the cookie in time too, but a copied one would not.
      if (!(Date.now() / 1000 <= transaction.startedAt + config.transactionLifetime)) throw expired()
      return transaction
    },
  }
}

function hashOf(state: string): string {
  return createHash('sha256').update(state).digest('base64url').slice(0, 22)
}

function isEqual(expected: string, given: string): boolean {
  const [one, other] = [Buffer.from(expected), Buffer.from(given)]
  return one.length === other.length && timingSafeEqual(one, other)
}

function missing(): OidcError {
  return new OidcError(
    'ERR_OIDC_TRANSACTION_MISSING',
    'This browser has no login on its way for the answer that came: it was started in another browser or at another ' +
      'host name, it was already used, cookies are blocked, or the redirect URI is not at the host of baseUrl.',
  )
}

function invalid(): OidcError {
  return new OidcError(
    'ERR_OIDC_TRANSACTION_INVALID',
    'The cookie of the login on its way cannot be opened: the secret was changed, nodes have different secrets, or ' +
      'the cookie was tampered with.',
  )
}

function expired(): OidcError {
  return new OidcError(
    'ERR_OIDC_TRANSACTION_EXPIRED',
    'The login took longer than transactionLifetime allows. Starting again is safe.',
  )
}

/**
 * What a login must come to, on its way to the login route in the address. It is sealed, so that nobody but the
 * application says it: a link with a class of somebody's own choice would take the place of the one in
 * `authorizationParams`, and a weaker login would do.
 */
export interface SealedRequirements {
  seal(requirement: AuthenticationRequirement): string
  /** What was sealed; what does not open demands nothing. */
  open(sealed: string): AuthenticationRequirement
}

const PLACE = 'login'

export function createSealedRequirements(config: Pick<AppConfig, 'secrets'>): SealedRequirements {
  const seal = createSeal(config.secrets, 'requirement')
  return {
    seal: (requirement) => seal.seal(JSON.stringify(requirement), PLACE),
    open: (sealed) => JSON.parse(seal.open(sealed, PLACE) ?? '{}'),
  }
}
