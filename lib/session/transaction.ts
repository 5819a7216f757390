import { hash, timingSafeEqual } from 'node:crypto'
import { OidcError } from '../errors.ts'
import type { Request, Response } from '../http/request.ts'
import type { AppConfig } from '../options/config.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { AuthenticationRequirement, Transaction } from '../types.ts'
import { createCookieWriter, readCookies } from './cookies.ts'
import { createSeal } from './seal.ts'

/**
 * The logins in progress of a browser, each in an encrypted cookie of its own. The cookie's name has a hash of the random
 * `state`. So several tabs can log in at once, visitors who do not complete a login leave nothing in the session store, and
 * any node can handle the response.
 */
export interface Transactions {
  /** Stores a transaction in the browser. Deletes the oldest ones if there are too many. */
  begin(req: Request, res: Response, transaction: Transaction): void
  /** True if this browser sent any transaction, even one that cannot be decrypted. */
  hasAny(req: Request): boolean
  /**
   * Reads and deletes the transaction with this `state`. Throws `ERR_OIDC_TRANSACTION_MISSING`, `_INVALID` or `_EXPIRED`.
   */
  take(req: Request, res: Response, state: string): Transaction
  /**
   * Reads the trace of the transaction with this `state`, for those who observe the login. A response in a JWT does not show its
   * `state` before it is verified: then there is no trace.
   */
  peekTrace(req: Request, state: string | undefined): Pick<Transaction, 'traceparent'>
}

/** The name of a login for those who observe it. It does not tell the `state`, whose hash it is. */
export function loginIdOf({ state }: Pick<Transaction, 'state'>): string {
  return hash('sha256', `login id of ${state}`, 'hex').slice(0, 32)
}

const PREFIX = 'oidc-tx.'
/** Proxies reject a Cookie header of about 8 kB. All transactions together stay below that, or there is only one. */
const MAX_COOKIES = 6
const MAX_CHARACTERS = 6000
/** RFC 6265 6.1 promises 4096 bytes for a whole cookie. A longer value, for a long returnTo, goes into several. */
const MAX_PIECE = 3500
const MAX_PIECES = 10

export function createTransactions(
  config: Pick<AppConfig, 'origin' | 'hosts' | 'secrets' | 'transactionLifetime'>,
): Transactions {
  const seal = createSeal(config.secrets, 'transaction')
  const cookies = createCookieWriter(config.origin)
  const prefix = cookies.name(PREFIX)
  const open = (name: string, value: string): Transaction | undefined => {
    const text = seal.open(value, name)
    return text === undefined ? undefined : JSON.parse(text)
  }

  /** Reads the value of a transaction. Its pieces after the first have the name of the cookie and a number. */
  function readValue(present: ReadonlyMap<string, string>, name: string): string | undefined {
    if (!present.has(name)) return undefined
    return Array.from({ length: MAX_PIECES }, (_, index) => present.get(pieceName(name, index)) ?? '').join('')
  }

  function setValue(req: Request, res: Response, name: string, value: string): void {
    for (let index = 0; index < MAX_PIECES; index++) {
      const piece = value.slice(index * MAX_PIECE, (index + 1) * MAX_PIECE)
      if (piece !== '') cookies.set(res, pieceName(name, index), piece, config.transactionLifetime)
      else if (readCookies(req).has(pieceName(name, index))) cookies.clear(res, pieceName(name, index))
    }
  }

  function makeRoom(req: Request, res: Response, size: number): void {
    const all = readCookies(req)
    const names = [...all.keys()].filter((name) => name.startsWith(prefix))
    const present = [...new Set(names.map((name) => name.replace(PIECE, '')))]
      .map((name) => ({ name, value: readValue(all, name) ?? '' }))
      .map(({ name, value }) => ({ name, size: value.length, startedAt: open(name, value)?.startedAt ?? 0 }))
      // Browsers send older cookies first (RFC 6265 5.4). Reversed, the newest of the same second stays in front.
      .reverse()
      .sort((one, other) => other.startedAt - one.startedAt)
    let characters = size
    present.forEach((cookie, index) => {
      characters += cookie.size
      if (index >= MAX_COOKIES - 1 || characters > MAX_CHARACTERS) setValue(req, res, cookie.name, '')
    })
  }

  return {
    begin(req, res, transaction) {
      const name = prefix + hashOf(transaction.state)
      const value = seal.seal(JSON.stringify(transaction), name)
      makeRoom(req, res, value.length)
      setValue(req, res, name, value)
    },
    hasAny: (req) => [...readCookies(req).keys()].some((name) => name.startsWith(prefix)),
    take(req, res, state) {
      const name = prefix + hashOf(state)
      const value = readValue(readCookies(req), name)
      if (value === undefined) throw missing(config)
      setValue(req, res, name, '')
      const transaction = open(name, value)
      if (transaction === undefined || !isEqual(transaction.state, state)) throw invalid()
      // A copy of the cookie must not complete the login at another host, to which the code was not sent.
      if (config.hosts.length > 1 && !transaction.redirectUri.startsWith(`${config.origin}/`)) throw ofOtherHost(config)
      // The browser deletes the cookie in time, but a copied cookie would live on.
      if (!(nowInSeconds() <= transaction.startedAt + config.transactionLifetime)) throw expired(config)
      return transaction
    },
    peekTrace(req, state = '') {
      const name = prefix + hashOf(state)
      const value = readValue(readCookies(req), name)
      const { traceparent } = (value === undefined ? undefined : open(name, value)) ?? {}
      return traceparent === undefined ? {} : { traceparent }
    },
  }
}

/** What the name of a piece after the first adds to the name of its transaction, which ends with a hash. */
const PIECE = /(?<=\.[\w-]{22})\.[1-9]$/

function pieceName(name: string, index: number): string {
  return index === 0 ? name : `${name}.${index}`
}

function hashOf(state: string): string {
  return hash('sha256', state, 'base64url').slice(0, 22)
}

function isEqual(expected: string, given: string): boolean {
  const [one, other] = [Buffer.from(expected), Buffer.from(given)]
  return one.length === other.length && timingSafeEqual(one, other)
}

function missing({ origin }: Pick<AppConfig, 'origin'>): OidcError {
  return new OidcError(
    'ERR_OIDC_TRANSACTION_MISSING',
    'This browser has no login in progress for this response. Its login was started in another browser or at another host ' +
      `name than ${origin}, was completed before, or cookies are blocked. Start the login again.`,
  )
}

function invalid(): OidcError {
  return new OidcError(
    'ERR_OIDC_TRANSACTION_INVALID',
    'The cookie of the login in progress cannot be decrypted. Start the login again. If it happens often, the option secret ' +
      'was changed, or the nodes have different ones.',
  )
}

function ofOtherHost({ origin }: Pick<AppConfig, 'origin'>): OidcError {
  return new OidcError(
    'ERR_OIDC_TRANSACTION_INVALID',
    `The authorization response came to ${origin}, but this login was started at another host of baseUrl. Start the login again.`,
  )
}

function expired({ transactionLifetime }: Pick<AppConfig, 'transactionLifetime'>): OidcError {
  return new OidcError(
    'ERR_OIDC_TRANSACTION_EXPIRED',
    `The login took longer than the ${transactionLifetime} seconds of transactionLifetime. Start the login again.`,
  )
}

/**
 * The requirement of a step-up, encrypted in the URL of the login route. Only the application can create one: in plain text,
 * anyone could write a link with a weaker `acr`, which would replace the one in `authorizationParams`.
 */
export interface SealedRequirements {
  seal(requirement: AuthenticationRequirement): string
  /** Decrypts a requirement. Text that cannot be decrypted is an empty requirement. */
  open(sealed: string): AuthenticationRequirement
}

const BOUND_TO = 'login'

export function createSealedRequirements(config: Pick<AppConfig, 'secrets'>): SealedRequirements {
  const seal = createSeal(config.secrets, 'requirement')
  return {
    seal: (requirement) => seal.seal(JSON.stringify(requirement), BOUND_TO),
    open: (sealed) => JSON.parse(seal.open(sealed, BOUND_TO) ?? '{}'),
  }
}
