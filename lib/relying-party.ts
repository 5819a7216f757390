import { createNotices, type Notices } from './console/failures.ts'
import { OidcError, shown } from './errors.ts'
import type { AfterLoginEvent } from './hooks.ts'
import {
  type AppConfig,
  appConfigAt,
  type Config,
  type Configuration,
  configAt,
  type HostConfig,
  ONLY_PROVIDER,
} from './options/config.ts'
import type { ApiFetch } from './provider/api-fetch.ts'
import type { FindProvider, Provider } from './provider/provider.ts'
import type { FindTransmitter, Transmitter } from './provider/transmitter.ts'
import { createLookup, type ProviderLookup } from './relying-party/provider-lookup.ts'
import { createSecureCookieCheck, type SecureCookieCheck } from './session/cookies.ts'
import { createProviderLogouts, type ProviderLogouts } from './session/end-login.ts'
import { createIndexCheck, type IndexCheck } from './session/index-check.ts'
import { createLoopBrake, createSilentLogins, type LoopBrake, type SilentLogins } from './session/login-attempts.ts'
import { createLoginWatch, type LoginWatch } from './session/login-watch.ts'
import { createSessionIndex } from './session/session-index.ts'
import { createSessionList, type SessionList } from './session/session-list.ts'
import { createStoreWatch, type StoreWatch } from './session/store-watch.ts'
import { createTokenRecords, type TokenRecords } from './session/token-record.ts'
import {
  createSealedRequirements,
  createTransactions,
  type SealedRequirements,
  type Transactions,
} from './session/transaction.ts'
import { createStateEpoch, STORE_EPOCH } from './state/epoch.ts'
import { createGuardedState, withTracedWait } from './state/guarded-state.ts'
import type { SharedState, StoreLike } from './state/shared-state.ts'
import { createStoreState } from './state/store-state.ts'
import { CONFIGURED, NOT_FETCHED, type ProviderStatus } from './status.ts'
import { type Budget, createBudget } from './time/budget.ts'
import { createOutcomeMemory, type OutcomeMemory } from './time/outcome-memory.ts'
import { createSingleFlight } from './time/single-flight.ts'
import { createUnderWay, type UnderWay } from './time/under-way.ts'
import type { AccessToken, IdTokenClaims, Login, TokenRecord } from './types.ts'

/** The result of a login at the callback. */
export interface CompletedLogin {
  /** The part that the session keeps. */
  readonly login: Login
  /** All claims, even those that the session does not keep. */
  readonly claims: IdTokenClaims
  readonly tokens: TokenRecord
  /** What else was received, for the hook `afterLogin`. */
  readonly received: Pick<AfterLoginEvent, 'idTokenClaims' | 'userinfo' | 'responseParams' | 'tokenResponseParams'>
}

/** The app as a client of one provider. */
export interface Client {
  readonly config: Config
  readonly findProvider: () => Promise<Provider>
  /** Checks whether the provider responds now. Rejects with a `ProviderError` within two seconds if it does not. */
  readonly checkAvailability: () => Promise<void>
  /** The function that calls APIs, with the certificate and connections of this client. */
  readonly findApiFetch: () => Promise<ApiFetch>
  /** The logins of strangers that may cost the provider or the store something (option `requestUriRateLimit`). */
  readonly requestUriBudget: Budget
  /** Finds who sends security events about the users of this provider, as the option `sharedSignals` says. */
  readonly findTransmitter: () => Promise<Transmitter>
  /** What the last requests to the provider have shown. Sends none. */
  readonly status: () => ProviderStatus
  /** Ends the work in the background, now and later. */
  readonly stop: () => void
  /** Closes the connections to the provider and to APIs. Call it when no request is under way. */
  readonly close: () => void
}

/** Everything that one `oidc()` call created. The routes and `req.oidc` use it. */
export interface RelyingParty {
  readonly config: AppConfig
  /**
   * The clients by the name of the provider, in the order of the options. If a function finds the providers, these are the
   * ones that it has returned lately: {@link findClient} adds one.
   */
  readonly clients: ReadonlyMap<string, Client>
  /** Set if a function finds the providers. */
  readonly providers?: ProviderLookup<Client>
  readonly transactions: Transactions
  readonly tokenRecords: TokenRecords
  readonly loopBrake: LoopBrake
  readonly secureCookie: SecureCookieCheck
  readonly silentLogins: SilentLogins
  readonly requirements: SealedRequirements
  readonly storeWatch: StoreWatch
  readonly loginWatch: LoginWatch
  /** Returns the shared state of the options, or by default one in the session store. */
  readonly sharedStateOf: (store: StoreLike) => SharedState
  readonly providerLogouts: ProviderLogouts
  readonly sessionList: SessionList
  readonly indexCheck: IndexCheck
  /** Tells the developer about the setup, each thing once. */
  readonly notices: Notices
  /**
   * Redeems a response once, by its `state`. A repeated callback request gets the same result, because the provider revokes
   * the tokens of a code that is used twice (RFC 6749 4.1.2).
   */
  readonly redeemOnce: (state: string, redeem: () => Promise<CompletedLogin>) => Promise<CompletedLogin>
  /** The requests at our routes, and the calls of `req.oidc`. */
  readonly underWay: UnderWay
  /** How the last uses of the option `sharedState` have ended. Absent without the option. */
  readonly sharedStateOutcomes: OutcomeMemory | undefined
  /** How the last uses of the session store have ended. */
  readonly sessionStoreOutcomes: OutcomeMemory
  /** Refreshes once for all concurrent requests of this process that need the same token. */
  readonly refreshOnce: (token: string, refresh: () => Promise<AccessToken>) => Promise<AccessToken>
}

export function createRelyingParty({ app, clients, found }: Configuration): RelyingParty {
  const sharedStateOutcomes = app.sharedState && createOutcomeMemory()
  const sharedState = app.sharedState && createGuardedState(app.sharedState, sharedStateOutcomes)
  const sharedStateOf = sharedState === undefined ? createStoreStates() : () => sharedState
  const epoch = sharedState === undefined ? STORE_EPOCH : createStateEpoch(sharedState)
  const index = createSessionIndex(app, sharedStateOf, epoch)
  const tokenRecords = createTokenRecords(app)
  const storeWatch = createStoreWatch(app, index, tokenRecords)
  const loopBrake = createLoopBrake(app)
  const providerLogouts = createProviderLogouts(app, { index, storeWatch, tokenRecords })
  return {
    config: app,
    ...(found === undefined
      ? { clients: new Map(clients.map((config) => [config.name, createClient(config)])) }
      : createLookup(app, found, createClient)),
    transactions: createTransactions(app),
    tokenRecords,
    loopBrake,
    secureCookie: createSecureCookieCheck(),
    silentLogins: createSilentLogins(app),
    requirements: createSealedRequirements(app),
    storeWatch,
    loginWatch: createLoginWatch(app, tokenRecords),
    sharedStateOf,
    providerLogouts,
    sessionList: createSessionList(app, { index, tokenRecords }),
    notices: createNotices(),
    indexCheck: createIndexCheck({ config: app, index, epoch, providerLogouts, storeWatch, tokenRecords, loopBrake }),
    redeemOnce: createSingleFlight<string, CompletedLogin>(),
    refreshOnce: createSingleFlight<string, AccessToken>(),
    underWay: createUnderWay(),
    sharedStateOutcomes,
    sessionStoreOutcomes: createOutcomeMemory(),
  }
}

/**
 * The same relying party at another host of the application: its URLs differ, and it shares everything else, such as the
 * metadata and keys of the providers. Create it once for each host.
 */
export function relyingPartyAt(rp: RelyingParty, host: HostConfig): RelyingParty {
  const config = appConfigAt(rp.config, host)
  const clients = new Map([...rp.clients].map(([name, client]) => [name, clientAt(client, host)]))
  rp.providers?.watch((name, client) => {
    if (client === undefined) clients.delete(name)
    else clients.set(name, clientAt(client, host))
  })
  return { ...rp, config, clients, transactions: createTransactions(config) }
}

function clientAt(client: Client, host: HostConfig): Client {
  // A client that registers itself has a configuration of its own.
  const configs = new WeakMap<Config, Config>()
  const at = (config: Config): Config => {
    const moved = configs.get(config) ?? configAt(config, host)
    configs.set(config, moved)
    return moved
  }
  return {
    ...client,
    config: at(client.config),
    async findProvider() {
      const provider = await client.findProvider()
      return { ...provider, config: at(provider.config) }
    },
  }
}

/** Returns the client at the provider of a login. `readLogin()` only returns logins of configured providers. */
export function clientOf(rp: RelyingParty, { provider = ONLY_PROVIDER }: Pick<Login, 'provider'>): Client {
  const client = rp.clients.get(provider)
  if (client === undefined)
    throw new TypeError(`The login is of the provider ${shown(provider)}, which the option providers does not have.`)
  return client
}

/** One state for each store, so that all requests of a process use the same locks. */
function createStoreStates(): (store: StoreLike) => SharedState {
  const states = new WeakMap<StoreLike, SharedState>()
  return (store) => {
    const state = states.get(store) ?? withTracedWait(createStoreState(store))
    states.set(store, state)
    return state
  }
}

/** Loads the protocol at the first login, so that an app starts without it. */
function createClient(config: Config): Client {
  const background = createBackground()
  let finder: FindProvider | undefined
  let apiFetch: ApiFetch | undefined

  async function loadFinder(): Promise<FindProvider> {
    finder = background.add(await loadProviderFinder(config))
    return finder
  }

  async function loadApiFetch(): Promise<() => Promise<ApiFetch>> {
    const loaded = (await import('./provider/api-fetch.ts')).createApiFetch(config)
    apiFetch = loaded
    return async () => loaded
  }

  async function loadTransmitterFinder(): Promise<FindTransmitter> {
    return background.add((await import('./provider/transmitter.ts')).createTransmitterFinder(config))
  }

  return {
    config,
    findProvider: lazily(loadFinder),
    checkAvailability: lazily(async () => (await import('./provider/discovery.ts')).createAvailabilityCheck(config)),
    findApiFetch: lazily(loadApiFetch),
    requestUriBudget: createBudget({
      capacity: config.requestUriRateLimit,
      refillSeconds: 60 / config.requestUriRateLimit,
    }),
    findTransmitter: lazily(loadTransmitterFinder),
    status: () => ({ issuer: config.issuer, ...(finder?.status() ?? unusedStatus(config)) }),
    stop: background.stop,
    close() {
      finder?.close()
      apiFetch?.close()
    },
  }
}

/** What renews documents in the background. What is loaded after the stop is stopped at once. */
function createBackground() {
  const running: { stop(): void }[] = []
  let isStopped = false
  return {
    add<Work extends { stop(): void }>(work: Work): Work {
      running.push(work)
      if (isStopped) work.stop()
      return work
    },
    stop(): void {
      isStopped = true
      for (const work of running) work.stop()
    },
  }
}

/** The status of a provider of which nothing was needed yet. */
function unusedStatus({ providerMetadata }: Config): Omit<ProviderStatus, 'issuer'> {
  return {
    isReachable: null,
    lastError: null,
    endpoints: {},
    metadata: providerMetadata === undefined ? NOT_FETCHED : CONFIGURED,
    keys: NOT_FETCHED,
    fetchBudget: { keys: null, metadata: null },
  }
}

/** Kinds of work of which each use reads or writes the session store. */
const STORE_USERS: ReadonlySet<string> = new Set(['callback', 'logout', 'tokens'])

/** Runs work that `drain()` waits for, and remembers whether the session store could be reached. */
export async function runCounted<Value>(rp: RelyingParty, kind: string, work: () => Promise<Value>): Promise<Value> {
  try {
    const value = await rp.underWay.run(kind, work)
    if (STORE_USERS.has(kind)) rp.sessionStoreOutcomes.succeeded()
    return value
  } catch (error) {
    if (error instanceof OidcError && error.code === 'ERR_OIDC_SESSION_STORE')
      rp.sessionStoreOutcomes.failed(error.code)
    throw error
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
    const run = await loading
    return run()
  }
}
