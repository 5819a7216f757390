/** What the middleware that `oidc()` returns has for health checks and for the end of a process. */
export interface Operating {
  /**
   * Returns what this process has last seen of the providers, the session store and the shared state: plain data for
   * `JSON.stringify()`. It sends no request and never waits, so a health check can call it as often as it likes.
   *
   * Use it for a readiness check only with care: a provider that is down must not take all nodes out of the load balancer.
   *
   * @example
   * ```ts
   * const auth = oidc(options)
   * app.get('/healthz', (req, res) => res.json({ status: 'up' }))
   * app.get('/readyz', (req, res) => {
   *   const status = auth.status()
   *   res.status(status.isDraining || status.sessionStore.isReachable === false ? 503 : 200).json(status)
   * })
   * ```
   */
  status(): OidcStatus
  /**
   * Prepares the end of the process. It ends the renewal of metadata and keys in the background, waits until the requests that
   * are under way at our routes and in `req.oidc` have ended, and closes the connections to the provider.
   *
   * Call it after `server.close()`, before you close the client of the session store. Requests that come later still work.
   *
   * Resolves after `seconds` at the latest. The result says how many requests were still under way then.
   *
   * @param options `seconds`: how long to wait at most, from 0 to 3600. Default: 30, enough for every request to a provider.
   * @throws {ConfigError} for other seconds
   * @example
   * ```ts
   * const auth = oidc(options)
   * const server = app.use(auth).listen(3000)
   * process.once('SIGTERM', async () => {
   *   server.close()
   *   await auth.drain({ seconds: 20 })
   * })
   * ```
   */
  drain(options?: { readonly seconds?: number }): Promise<{ readonly requestsUnderWay: number }>
}

/**
 * What `auth.status()` returns: what this process has last seen of the parts that it depends on. It is plain data for
 * `JSON.stringify()`, has no secret, and reading it sends no request.
 */
export interface OidcStatus {
  /** By the name of the provider, which is `default` if there is only one. */
  readonly providers: Readonly<Record<string, ProviderStatus>>
  /** The option `sharedState`, as last used. Absent without the option. */
  readonly sharedState?: PartStatus
  /** The session store, as the routes and `req.oidc` last used it. express-session uses it beside that. */
  readonly sessionStore: PartStatus
  /** The requests at our own routes and the calls of `req.oidc` that have not ended yet. `auth.drain()` waits for them. */
  readonly requestsUnderWay: number
  /** How many of them are logins: at the login route, the callback, and in `req.oidc.login()`. */
  readonly loginsUnderWay: number
  /** True after `auth.drain()` was called. */
  readonly isDraining: boolean
}

/** A part of the system, as its last use has shown it. */
export interface PartStatus {
  /** False if the last use has failed; `null` if it was not used yet. */
  readonly isReachable: boolean | null
  /** The last failure, even if the part works again; `null` if there was none. */
  readonly lastError: LastError | null
}

/** A failure in the past. */
export interface LastError {
  /** The error code, as in `error.code`. */
  readonly code: string
  /** In seconds since 1970. */
  readonly at: number
}

/** One provider. `isReachable` is false if the last request to any endpoint has failed. A refusal is no failure. */
export interface ProviderStatus extends PartStatus {
  readonly issuer: string
  /** The last request to each endpoint, by its URL without the query. */
  readonly endpoints: Readonly<Record<string, PartStatus>>
  readonly metadata: DocumentStatus
  readonly keys: DocumentStatus
  /**
   * How many more fetches strangers can cause at present: of keys, by tokens with an unknown `kid`, and of metadata, by requests
   * that fail. `null` as long as nothing was fetched, and for what is an option.
   */
  readonly fetchBudget: Readonly<Record<'keys' | 'metadata', number | null>>
}

/** A document of the provider in the memory of this process. */
export interface DocumentStatus {
  /**
   * - `none`: not fetched yet, or its last good copy is too old to be used. The next login fetches it.
   * - `fresh`: a copy that has not expired.
   * - `stale`: a copy that has expired, and that could not be renewed. It still serves, for a week at most.
   * - `expired`: a copy that has expired because no login needed it. The next login renews it.
   * - `configured`: the option `providerMetadata`, which is never fetched.
   */
  readonly state: 'none' | 'fresh' | 'stale' | 'expired' | 'configured'
  /** How long ago it was fetched, in seconds; `null` if there is no copy. */
  readonly ageSeconds: number | null
  /** When the copy expires, in seconds since 1970; `null` if there is no copy. */
  readonly expiresAt: number | null
  /** The last failed fetch, even if a later one succeeded; `null` if there was none. */
  readonly lastError: LastError | null
}

/** A document that was not needed yet. */
export const NOT_FETCHED: DocumentStatus = { state: 'none', ageSeconds: null, expiresAt: null, lastError: null }
/** Metadata that is an option. */
export const CONFIGURED: DocumentStatus = { ...NOT_FETCHED, state: 'configured' }
