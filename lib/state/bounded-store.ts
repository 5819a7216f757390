import { ConfigError, OidcError, shown } from '../errors.ts'
import { publishError } from '../events.ts'
import { withTimeLimit } from '../time/limit.ts'
import { isPromise } from './store-record.ts'

/** The options of {@link boundedStore}. */
export interface BoundedStoreOptions {
  /**
   * How long one operation of the store may take, in seconds: from 0.1 to 60.
   * @default 5
   */
  seconds?: number
}

/**
 * Gives every operation of an express-session store a time limit. You need it because express-session waits for its store
 * without one, and the time limits of clients do not hold under traffic: node-redis counts `socketTimeout` anew with each command
 * that it sends, so requests hang for as long as others come.
 *
 * An operation that takes longer fails with `ERR_OIDC_SESSION_STORE` (503), which express-session passes to your error handler.
 * It may still be carried out later. Every other error, every method and every event of the store stays as it is. The result can
 * be used wherever the store can.
 *
 * Some stores have async methods. If such a method rejects and does not call back, express-session gets the error in its callback.
 * A rejection that no callback can receive is published as `express-oidc:error`. Without this it would end the process.
 *
 * The limit does not close connections. Configure the client so that it replaces one that no longer responds: see Production.
 *
 * @throws {ConfigError} if `store` is no store, or `seconds` is not a number from 0.1 to 60
 * @example
 * ```ts
 * import { RedisStore } from 'connect-redis'
 * import { boundedStore } from 'express-oidc'
 * import { createClient } from 'redis'
 *
 * const client = await createClient().connect()
 * const store = boundedStore(new RedisStore({ client }), { seconds: 5 })
 * app.use(session({ secret, store, resave: false, saveUninitialized: false }))
 * ```
 */
export function boundedStore<Store extends object>(store: Store, { seconds = 5 }: BoundedStoreOptions = {}): Store {
  checkArguments(store, seconds)
  // What is set on the result is not set on the store: oidc() replaces `set` of the store that express-session has.
  const own: Store = Object.create(store)
  const adapted = new Map<PropertyKey, { readonly from: Method; readonly method: unknown }>()

  return new Proxy(own, {
    get(_own, name) {
      if (Object.hasOwn(own, name)) return Reflect.get(own, name)
      const from: unknown = Reflect.get(store, name)
      if (!isMethod(from) || UNCHANGED.has(name)) return from
      const known = adapted.get(name)
      if (known?.from === from) return known.method
      // Other methods run on the store itself: with the proxy they could not reach its private fields.
      const method = OPERATIONS.has(name) ? withLimit(store, String(name), from, seconds) : from.bind(store)
      adapted.set(name, { from, method })
      return method
    },
  })
}

type Method = (this: object, ...args: unknown[]) => unknown

/** The methods of a store that wait for its server. */
const OPERATIONS: ReadonlySet<PropertyKey> = new Set([
  'get',
  'set',
  'destroy',
  'touch',
  'all',
  'length',
  'clear',
  'ids',
])

/** Methods of express-session that call the operations. They run on the result, so that these have their limit there too. */
const UNCHANGED: ReadonlySet<PropertyKey> = new Set(['constructor', 'regenerate', 'load', 'createSession'])

function withLimit(store: object, name: string, method: Method, seconds: number): Method {
  const timeoutError = (): OidcError => noResponse(name, seconds)
  return function bounded(...args) {
    const done = args.at(-1)
    if (!isMethod(done)) {
      const result = method.apply(store, args)
      return isPromise(result)
        ? owned(
            withTimeLimit(seconds, async () => result, timeoutError),
            publishError,
          )
        : result
    }
    const finish = once(done)
    const timer = setTimeout(() => finish(timeoutError()), seconds * 1000)
    const finishInTime = (...results: unknown[]): boolean => {
      clearTimeout(timer)
      return finish(...results)
    }
    try {
      const result = method.call(store, ...args.slice(0, -1), finishInTime)
      return owned(result, (error) => finishInTime(error) || publishError(error))
    } catch (error) {
      // express-session sees the error already. It must not get a second one later.
      clearTimeout(timer)
      throw error
    }
  }
}

/**
 * Passes a rejection on. express-session drops the promises that the methods of a store return, and a rejection without an owner
 * ends the process (N-1).
 */
function owned(result: unknown, onRejection: (error: unknown) => unknown): unknown {
  if (isPromise(result)) result.then(undefined, onRejection)
  return result
}

/**
 * Calls the function the first time only, and returns true then: the response of a store may come after the time is over, and
 * a method that is async may reject after it has called back.
 */
function once(done: Method): (...results: unknown[]) => boolean {
  let isDone = false
  return (...results) => {
    if (isDone) return false
    isDone = true
    done.apply(globalThis, results)
    return true
  }
}

function isMethod(value: unknown): value is Method {
  return typeof value === 'function'
}

function noResponse(operation: string, seconds: number): OidcError {
  return new OidcError(
    'ERR_OIDC_SESSION_STORE',
    `The session store did not respond to ${operation}() within ${seconds} seconds, the limit of boundedStore(). Check the ` +
      'connection of the store that you passed to it.',
  )
}

function checkArguments(store: unknown, seconds: unknown): void {
  const faults: string[] = []
  const isStore = ['get', 'set', 'destroy'].every((name) => typeof Object(store)[name] === 'function')
  if (!isStore) faults.push(`The store of boundedStore() must have get, set and destroy, unlike ${shown(store)}.`)
  if (typeof seconds !== 'number' || !(seconds >= 0.1 && seconds <= 60)) {
    const given = typeof seconds === 'number' ? String(seconds) : shown(seconds)
    faults.push(`seconds of boundedStore() must be a number from 0.1 to 60, not ${given}.`)
  }
  if (faults.length > 0) throw new ConfigError(faults)
}
