import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'

/** What every operation may say. No field holds a token, code, secret, cookie or `sub`. */
interface Operation {
  /** The name of the provider. */
  readonly provider?: string
  /**
   * The same from the start of a login to its end, on all nodes. It is known once the login has a `state`, so read it at the end
   * of an operation.
   */
  loginId?: string
  /** The `traceparent` (W3C Trace Context) under which the callback continues. A subscriber sets it at the start of a login. */
  traceparent?: string
  /** What the operation failed with, as `tracingChannel` sets it. */
  readonly error?: unknown
}

/**
 * The operations of this library, by the name of their `tracingChannel` in `node:diagnostics_channel`. Each publishes its start
 * and its end with one object, so a subscriber can measure it. Without a subscriber an operation costs almost nothing.
 *
 * @example
 * ```ts
 * import { tracingChannel } from 'node:diagnostics_channel'
 *
 * const startedAt = new WeakMap<object, number>()
 * tracingChannel('express-oidc:token-request').subscribe({
 *   start: (message) => startedAt.set(message, performance.now()),
 *   end: () => undefined,
 *   asyncStart: () => undefined,
 *   asyncEnd: (message) => console.log(performance.now() - Number(startedAt.get(message)), 'ms'),
 *   error: () => undefined,
 * })
 * ```
 */
export interface Operations {
  /** A login starts: from the request to the redirect to the provider. */
  'express-oidc:login': Operation & { readonly provider: string; readonly route: string }
  /** The provider's response is validated and the session saved. */
  'express-oidc:callback': Operation & { readonly provider: string; readonly route: string }
  /** A logout, and what started it. */
  'express-oidc:logout': Operation & { readonly how: string }
  /** An access token is refreshed, with the wait for the lock. */
  'express-oidc:refresh': Operation & { readonly provider: string }
  /** A request to the token endpoint. */
  'express-oidc:token-request': Operation & { readonly provider: string; readonly grantType: string }
  /** The keys of an issuer are fetched. `isBackground` says that no request waits for them. */
  'express-oidc:key-fetch': Operation & { readonly issuer: string; readonly isBackground: boolean }
  /** The metadata of an issuer is fetched. */
  'express-oidc:metadata-fetch': Operation & { readonly issuer: string; readonly isBackground: boolean }
  /** An HTTP request to the provider. `status` and the id for the provider's support (`requestId`) are known at the end. */
  'express-oidc:request': Operation & {
    readonly method: string
    /** Without the query. */
    readonly url: string
    status?: number
    requestId?: string
  }
  /** An operation of the session store that this library starts. */
  'express-oidc:store': Operation & { readonly operation: string }
  /** An operation of the shared state. */
  'express-oidc:shared-state': Operation & { readonly operation: string }
  /** The wait for a lock, without the time for which it is held. */
  'express-oidc:lock': Operation
}

type OperationName = keyof Operations

const NAMES: readonly OperationName[] = [
  'express-oidc:login',
  'express-oidc:callback',
  'express-oidc:logout',
  'express-oidc:refresh',
  'express-oidc:token-request',
  'express-oidc:key-fetch',
  'express-oidc:metadata-fetch',
  'express-oidc:request',
  'express-oidc:store',
  'express-oidc:shared-state',
  'express-oidc:lock',
]

const channels: ReadonlyMap<OperationName, TracingChannel<object, object>> = new Map(
  NAMES.map((name) => [name, tracingChannel<object, object>(name)]),
)

/**
 * Runs an operation between the start and the end of its channel. `describe` is called only if there is a subscriber; `work` gets
 * its result then, to add what it learns. The value of the operation is not published: it may hold tokens.
 */
export async function traced<Name extends OperationName, Value>(
  name: Name,
  describe: () => Operations[Name],
  work: (operation: Operations[Name] | undefined) => Promise<Value>,
): Promise<Value> {
  const target = channels.get(name)
  if (target?.hasSubscribers !== true) return work(undefined)
  const operation = describe()
  const outcome: { value?: Value } = {}
  await target.tracePromise(async () => {
    outcome.value = await work(operation)
  }, operation)
  return outcome.value as Value
}
