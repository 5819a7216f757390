/**
 * The state that the requests of an application share, on all its nodes: which sessions a logout at the provider ends (OIDC
 * Back-Channel Logout 2.7), which tokens were used before, which request is refreshing a token.
 *
 * You need one when the application runs on more than one node: `redisState()`, `postgresState()`, or your own object with
 * these seven methods. Without one, the session store serves, which cannot order what two nodes do at the same moment.
 *
 * Sets (`add`, `remove`, `members`, `take`), marks (`once`, `seen`) and locks (`lock`) of the same key are separate. Keys and
 * members may hold any character. A lifetime is at least one millisecond and at most ten years; other values are raised or
 * lowered to that. Every method rejects with `ERR_OIDC_SHARED_STATE` if the state cannot be reached or does not respond
 * within five seconds. The operation may then have been carried out, or may be carried out later.
 *
 * @example
 * ```ts
 * import { redisState, type SharedState } from 'express-oidc/redis'
 * import { createClient } from 'redis'
 *
 * const sharedState: SharedState = redisState({ client: await createClient().connect() })
 * app.use(oidc({ issuer, clientId, clientSecret, baseUrl, sharedState }))
 * ```
 */
export interface SharedState {
  /**
   * Adds a member to the set of this key. It stays for at least this many seconds: adding it again can extend its lifetime,
   * never shorten it. A set is removed with its last member, so pass the lifetime of what the member stands for.
   */
  add(key: string, member: string, seconds: number): Promise<void>
  /** Removes a member. Does nothing if it is not in the set. */
  remove(key: string, member: string): Promise<void>
  /** Returns the current members, in no order. They stay in the set. */
  members(key: string): Promise<readonly string[]>
  /**
   * Empties the set and returns its members, in no order. A member that is added at the same time is in this result or in the
   * next one, never in none and never in both. If the response is lost, the members are lost.
   */
  take(key: string): Promise<readonly string[]>
  /** Marks the key for this many seconds. Returns true to the first caller only; to all others the mark is a replay. */
  once(key: string, seconds: number): Promise<boolean>
  /** Returns true if `once` has marked the key and the mark has not expired. */
  seen(key: string): Promise<boolean>
  /**
   * Runs `work` while no other caller, on any node, runs work under the same key. Returns the result of `work`.
   *
   * `seconds` limits two things: how long the call waits for the lock (then it rejects with `ERR_OIDC_SHARED_STATE`), and how
   * long it may hold it. After that time the lock goes to the next caller, so a node that dies or hangs blocks no other for
   * longer. Do not take the lock of the same key inside `work`: it would wait for itself.
   */
  lock<T>(key: string, seconds: number, work: (lease: Lease) => Promise<T>): Promise<T>
}

/** The lock that `work` holds, until its seconds have passed. */
export interface Lease {
  /**
   * Throws `ERR_OIDC_SHARED_STATE` if another caller may hold the lock by now, because the work or the whole process took
   * longer than the lock's seconds. Call it right before a step that must not be done twice. A request that is already sent
   * can still arrive late: the server that gets it must handle that, as a provider does with a used refresh token.
   */
  assertHeld(): void
}

/** What this library needs of an express-session store. */
export interface StoreLike {
  get(id: string, done: (error: unknown, data?: unknown) => void): void
  set(id: string, data: unknown, done: (error?: unknown) => void): void
  destroy(id: string, done: (error?: unknown) => void): void
}
