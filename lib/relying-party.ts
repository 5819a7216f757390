import { type AppConfig, type Config, type Configuration, ONLY_PROVIDER } from './options/config.ts'
import type { FindProvider } from './provider/provider.ts'
import { createLoopBrake, createSilentLogins, type LoopBrake, type SilentLogins } from './session/login-attempts.ts'
import { createProviderLogouts, type ProviderLogouts } from './session/provider-logouts.ts'
import { createSessionIndex } from './session/session-index.ts'
import { createStoreWatch, type StoreWatch } from './session/store-watch.ts'
import { createTokenRecords, type TokenRecords } from './session/token-record.ts'
import {
  createSealedRequirements,
  createTransactions,
  type SealedRequirements,
  type Transactions,
} from './session/transaction.ts'
import type { SharedState, StoreLike } from './state/shared-state.ts'
import { createStoreState } from './state/store-state.ts'
import { createSingleFlight } from './time/single-flight.ts'
import type { AccessToken, IdTokenClaims, Login, TokenRecord } from './types.ts'

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
  readonly checkAvailability: () => Promise<void>
}

/** All that one `oidc()` call made: what the routes and `req.oidc` work with. */
export interface RelyingParty {
  readonly config: AppConfig
  /** By the names of their providers, in the order of the options. Never empty. */
  readonly clients: ReadonlyMap<string, Client>
  readonly transactions: Transactions
  readonly tokenRecords: TokenRecords
  readonly loopBrake: LoopBrake
  readonly silentLogins: SilentLogins
  readonly requirements: SealedRequirements
  readonly storeWatch: StoreWatch
  /** That of the options, or one in the session store. */
  readonly sharedStateOf: (store: StoreLike) => SharedState
  readonly providerLogouts: ProviderLogouts
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
  const sharedStateOf = sharedState === undefined ? createStoreStates() : () => sharedState
  const index = createSessionIndex(app, sharedStateOf)
  const storeWatch = createStoreWatch(app, index)
  const tokenRecords = createTokenRecords(app)
  return {
    config: app,
    clients: new Map(clients.map((config) => [config.name, createClient(config)])),
    transactions: createTransactions(app),
    tokenRecords,
    loopBrake: createLoopBrake(app),
    silentLogins: createSilentLogins(app),
    requirements: createSealedRequirements(app),
    storeWatch,
    sharedStateOf,
    providerLogouts: createProviderLogouts(app, { index, storeWatch, tokenRecords }),
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
    findProvider: lazily(() => loadProviderFinder(config)),
    checkAvailability: lazily(async () => (await import('./provider/discovery.ts')).createAvailabilityCheck(config)),
  }
}

async function loadProviderFinder(config: Config): Promise<FindProvider> {
  const { createProviderFinder } = await import('./provider/provider.ts')
  if (config.registration === undefined) return createProviderFinder(config)
  const { createConfigFor } = await import('./registration/registered-config.ts')
  return createProviderFinder(config, createConfigFor(config, config.registration))
}

function lazily<T>(load: () => Promise<() => Promise<T>>): () => Promise<T> {
  let loading: Promise<() => Promise<T>> | undefined
  return async () => {
    loading ??= load()
    const ask = await loading
    return ask()
  }
}
