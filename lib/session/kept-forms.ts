import { hash, randomBytes } from 'node:crypto'
import type { Request, Response } from '../http/request.ts'
import type { AppConfig } from '../options/config.ts'
import { createCookieWriter, readCookies } from './cookies.ts'
import { createSeal } from './seal.ts'

/**
 * The forms that met a login, each encrypted in a cookie of its own, as a transaction is: the browser keeps it, visitors who do
 * not log in leave nothing in the session store, and any node can continue. Its name has a hash of a random id.
 */
export interface KeptForms {
  /** Stores a text in the browser, and returns its new id. `undefined`: it is too long. Deletes the oldest if there are too many. */
  keep(req: Request, res: Response, text: string): string | undefined
  /** Reads and deletes the text with this id. `undefined`: this browser has none. */
  take(req: Request, res: Response, id: string): string | undefined
  /** A proof that the login with these tokens was the one that the form waited for. */
  ticketFor(id: string, tokensId: string): string
  isTicketFor(ticket: string, id: string, tokensId: string): boolean
}

const PREFIX = 'oidc-form.'
/** RFC 6265 6.1 promises 4096 bytes for a whole cookie. */
const MAX_VALUE = 3500
/** All kept forms together. Proxies reject a Cookie header of about 8 kB, and a login in progress needs a part of it. */
const MAX_CHARACTERS = 5200

export function createKeptForms(config: Pick<AppConfig, 'origin' | 'secrets' | 'transactionLifetime'>): KeptForms {
  const seal = createSeal(config.secrets, 'kept form')
  const tickets = createSeal(config.secrets, 'kept form ticket')
  const cookies = createCookieWriter(config.origin)
  const prefix = cookies.name(PREFIX)
  const nameOf = (id: string): string => prefix + hash('sha256', id, 'base64url').slice(0, 22)

  /** Browsers send older cookies first (RFC 6265 5.4). */
  function makeRoom(req: Request, res: Response, size: number): void {
    const newestFirst = [...readCookies(req)].filter(([name]) => name.startsWith(prefix)).reverse()
    let characters = size
    for (const [name, { length }] of newestFirst) {
      characters += length
      if (characters > MAX_CHARACTERS) cookies.clear(res, name)
    }
  }

  return {
    keep(req, res, text) {
      const id = randomBytes(16).toString('base64url')
      const value = seal.seal(text, nameOf(id))
      if (value.length > MAX_VALUE) return undefined
      makeRoom(req, res, value.length)
      cookies.set(res, nameOf(id), value, config.transactionLifetime)
      return id
    },
    take(req, res, id) {
      const name = nameOf(id)
      const value = readCookies(req).get(name)
      if (value === undefined) return undefined
      cookies.clear(res, name)
      return seal.open(value, name)
    },
    ticketFor: (id, tokensId) => tickets.seal(tokensId, id),
    isTicketFor: (ticket, id, tokensId) => tickets.open(ticket, id) === tokensId,
  }
}
