/** What this library needs of an express-session store. */
export interface StoreLike {
  get(id: string, done: (error: unknown, data?: unknown) => void): void
  set(id: string, data: unknown, done: (error?: unknown) => void): void
  destroy(id: string, done: (error?: unknown) => void): void
}

/**
 * What the requests of an application have to know of one another, on whichever node they run: which sessions a logout at
 * the provider ends (OIDC Back-Channel Logout 2.7), which tokens were seen already, who spends a refresh token. `redisState`
 * and `postgresState` keep it for many nodes.
 *
 * Sets, marks and locks of one key are apart. Keys and members may hold any character. A life is at least a millisecond
 * and at most ten years, whatever is asked for. Where the state cannot be reached, or does not answer within five seconds,
 * everything rejects with `ERR_OIDC_SHARED_STATE`; what was asked for may then have been done, or be done later.
 */
export interface SharedState {
  /**
   * Adds a member to the set of this key. It is a member for at least this many seconds; to add it again prolongs that and
   * never shortens it. A set holds no longer than its members, so that one that is added to every day does not grow for
   * ever: give as `seconds` the life of what the member stands for.
   */
  add(key: string, member: string, seconds: number): Promise<void>
  /** Takes a member out; does nothing where it is not in the set. */
  remove(key: string, member: string): Promise<void>
  /** What is in the set at present, in no order. It stays there. */
  members(key: string): Promise<readonly string[]>
  /**
   * Empties the set and gives what was in it, in no order. What is added meanwhile is in this answer or in the next one's,
   * never in none and never in two. An answer that is lost on its way is lost for good.
   */
  take(key: string): Promise<readonly string[]>
  /** Says something, and is true for the first who says it within so many seconds: the others replay it. */
  once(key: string, seconds: number): Promise<boolean>
  /** Whether `once` was said of this key, and those seconds have not passed. */
  seen(key: string): Promise<boolean>
  /**
   * Runs the work while nobody else, on any node, runs work under this key, and gives what it gives. It waits at most so
   * many seconds for its turn, rejects with `ERR_OIDC_SHARED_STATE` where none came, and then holds the lock for as long as
   * the work runs, but no longer than these same seconds: a holder that died, or hangs, blocks the others no longer than
   * that. Work that takes the lock of its own key again waits for itself in vain.
   */
  lock<T>(key: string, seconds: number, work: (lease: Lease) => Promise<T>): Promise<T>
}

/** The right to run alone, until the seconds of the lock have passed. */
export interface Lease {
  /**
   * Throws `ERR_OIDC_SHARED_STATE` where somebody else may hold the lock by now, because the work, or the whole process,
   * took longer than the lock lives. Ask right before what must not be done twice. What is then on its way, and delayed, no
   * lock can hold back: the far end has to tell the second one from the first, as a provider does with a refresh token.
   */
  assertHeld(): void
}
