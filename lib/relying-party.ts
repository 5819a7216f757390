import type { Config } from './config/config.ts'
import type { FindProvider } from './protocol/provider.ts'
import { createEndedSessions, type EndedSessions } from './session/ended-sessions.ts'
import { createLanding, type Landing } from './session/landing.ts'
import { createTokenRecords, type TokenRecords } from './session/token-record.ts'
import { createTransactions, type Transactions } from './session/transaction.ts'
import { createSingleFlight } from './single-flight.ts'
import type { IdTokenClaims, Login, TokenRecord } from './types.ts'

/** A login as it comes out of the callback, and the tokens that came with it. */
export interface CompletedLogin {
  /** What goes into the session. */
  readonly login: Login
  /** All claims, also those that the session does not keep. */
  readonly claims: IdTokenClaims
  readonly tokens: TokenRecord
}

/** All that one `oidc()` call made: what the routes and `req.oidc` work with. */
export interface RelyingParty {
  readonly config: Config
  readonly findProvider: FindProvider
  readonly transactions: Transactions
  readonly tokenRecords: TokenRecords
  readonly landing: Landing
  readonly ended: EndedSessions
  /**
   * Redeems an answer once, by its `state`: a doubled callback shares what the first one gets, since a code that is
   * used twice ends the tokens of both (RFC 6749 4.1.2).
   */
  readonly redeemOnce: (state: string, redeem: () => Promise<CompletedLogin>) => Promise<CompletedLogin>
}

export function createRelyingParty(config: Config): RelyingParty {
  return {
    config,
    findProvider: createLazyFinder(config),
    transactions: createTransactions(config),
    tokenRecords: createTokenRecords(config),
    landing: createLanding(config),
    ended: createEndedSessions(),
    redeemOnce: createSingleFlight<string, CompletedLogin>(),
  }
}

/** The protocol is loaded when the provider is first looked for, as the routes are. */
function createLazyFinder(config: Config): FindProvider {
  let loading: Promise<FindProvider> | undefined
  return async () => {
    loading ??= import('./protocol/provider.ts').then(({ createProviderFinder }) => createProviderFinder(config))
    const findProvider = await loading
    return findProvider()
  }
}
