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

/** One provider. */
export interface ProviderStatus extends PartStatus {
  readonly issuer: string
  readonly metadata: DocumentStatus
  readonly keys: DocumentStatus
  /**
   * How many more fetches strangers can cause at present: of keys, by tokens with an unknown `kid`, and of metadata, by requests
   * that fail. `null` as long as nothing was fetched.
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
