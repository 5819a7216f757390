import type { IdTokenClaims } from './claims.ts'
import { type AppConfig, type Config, type Configuration, ONLY_PROVIDER } from './config/config.ts'
import type { FindProvider } from './protocol/provider.ts'
import { createEndedSessions, type EndedSessions } from './session/ended-sessions.ts'
import type { StoreLike } from './session/express-session.ts'
import { createLanding, type Landing } from './session/landing.ts'
import { createRemoteLogouts, type RemoteLogouts } from './session/remote-logout.ts'
import { createSealedRequirements, type SealedRequirements } from './session/sealed-requirements.ts'
import { createSessionIndex } from './session/session-index.ts'
import { createSilentLogins, type SilentLogins } from './session/silent-logins.ts'
import { createTokenRecords, type TokenRecords } from './session/token-record.ts'
import { createTransactions, type Transactions } from './session/transaction.ts'
import type { SharedState } from './shared-state.ts'
import { createSingleFlight } from './single-flight.ts'
import { createStoreState } from './state/store-state.ts'
import type { AccessToken, Login, TokenRecord } from './types.ts'

/** A login as it comes out of the callback, and the tokens that came with it. */
export interface CompletedLogin {
  /** What goes into the session. */
  readonly login: Login
  /** All claims, also those that the session does not keep. */
  readonly claims: IdTokenClaims
  readonly tokens: TokenRecord
}

/** This application as a client of one provider. */
export interface Client {
  readonly config: Config
  readonly findProvider: FindProvider
  /** Asks whether the provider answers at present. Rejects with a `ProviderError` where it does not, within two seconds. */
  readonly checkPulse: () => Promise<void>
}

/** All that one `oidc()` call made: what the routes and `req.oidc` work with. */
export interface RelyingParty {
  readonly config: AppConfig
  /** By the names of their providers, in the order of the options. Never empty. */
  readonly clients: ReadonlyMap<string, Client>
  readonly transactions: Transactions
  readonly tokenRecords: TokenRecords
  readonly landing: Landing
  readonly silentLogins: SilentLogins
  readonly requirements: SealedRequirements
  readonly ended: EndedSessions
  /** That of the options, or one in the session store. */
  readonly stateOf: (store: StoreLike) => SharedState
  readonly remoteLogouts: RemoteLogouts
  /**
   * Redeems an answer once, by its `state`: a doubled callback shares what the first one gets, since a code that is
   * used twice ends the tokens of both (RFC 6749 4.1.2).
   */
  readonly redeemOnce: (state: string, redeem: () => Promise<CompletedLogin>) => Promise<CompletedLogin>
  /** Refreshes once for all requests of this process that want the same token at the same time. */
  readonly refreshOnce: (token: string, refresh: () => Promise<AccessToken>) => Promise<AccessToken>
}

export function createRelyingParty({ app, clients }: Configuration): RelyingParty {
  const { sharedState } = app
  const stateOf = sharedState === undefined ? createStoreStates() : () => sharedState
  const index = createSessionIndex(app, stateOf)
  const ended = createEndedSessions(app, index)
  const tokenRecords = createTokenRecords(app)
  return {
    config: app,
    clients: new Map(clients.map((config) => [config.name, createClient(config)])),
    transactions: createTransactions(app),
    tokenRecords,
    landing: createLanding(app),
    silentLogins: createSilentLogins(app),
    requirements: createSealedRequirements(app),
    ended,
    stateOf,
    remoteLogouts: createRemoteLogouts(app, { index, ended, tokenRecords }),
    redeemOnce: createSingleFlight<string, CompletedLogin>(),
    refreshOnce: createSingleFlight<string, AccessToken>(),
  }
}

/** One for each store: within a process, nothing that is written into it gets lost. */
function createStoreStates(): (store: StoreLike) => SharedState {
  const states = new WeakMap<StoreLike, SharedState>()
  return (store) => {
    const state = states.get(store) ?? createStoreState(store)
    states.set(store, state)
    return state
  }
}

/** The client at the provider of a login. A login that is read from a session is always one of these. */
export function clientOf(rp: RelyingParty, { provider = ONLY_PROVIDER }: Pick<Login, 'provider'>): Client {
  const client = rp.clients.get(provider)
  if (client === undefined) throw new TypeError('A login of no provider of these options was read.')
  return client
}

/** The protocol is loaded when the provider is first looked for, as the routes are. */
function createClient(config: Config): Client {
  return {
    config,
    findProvider: lazily(async () => (await import('./protocol/provider.ts')).createProviderFinder(config)),
    checkPulse: lazily(async () => (await import('./protocol/provider-pulse.ts')).createPulse(config)),
  }
}

function lazily<T>(load: () => Promise<() => Promise<T>>): () => Promise<T> {
  let loading: Promise<() => Promise<T>> | undefined
  return async () => {
    loading ??= load()
    const ask = await loading
    return ask()
  }
}
