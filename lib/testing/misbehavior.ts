import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError, shown } from '../errors.ts'

/** The endpoints of the test provider. */
export type TestEndpoint =
  | 'discovery'
  | 'jwks'
  | 'authorization'
  | 'token'
  | 'userinfo'
  | 'introspection'
  | 'revocation'
  | 'end_session'

/**
 * What the test provider can do wrong:
 *
 * - `expiredIdToken`, `wrongAudience`, `wrongIssuer`, `wrongNonce`, `badSignature`: one thing of an ID Token is wrong.
 * - `refuseLogin`: the authorization endpoint answers `access_denied`, as if the user had cancelled.
 * - `refuseRefresh`: the token endpoint answers `invalid_grant` to a refresh token, as if it had been revoked.
 * - `down`: connections are closed without a response.
 * - `unavailable`: the response is 503 with `Retry-After`.
 * - `slow`: the response comes late, by default after five seconds.
 */
export type Misbehavior =
  | 'expiredIdToken'
  | 'wrongAudience'
  | 'wrongIssuer'
  | 'wrongNonce'
  | 'badSignature'
  | 'refuseLogin'
  | 'refuseRefresh'
  | 'down'
  | 'unavailable'
  | 'slow'

/** How often, where and how the test provider misbehaves. */
export interface MisbehaviorOptions {
  /**
   * How many responses are wrong.
   * @default all until `behave()`
   */
  readonly times?: number
  /**
   * The endpoint for `down`, `unavailable` and `slow`.
   * @default all endpoints
   */
  readonly endpoint?: TestEndpoint
  /**
   * How late the response is with `slow`, in seconds.
   * @default 5
   */
  readonly seconds?: number
}

/** What the provider does wrong at the moment. */
export interface Misbehaviors {
  add(name: Misbehavior, options?: MisbehaviorOptions): void
  /** Ends one, or all. Responses that are late by `slow` are sent at once. */
  clear(name?: Misbehavior): void
  /** True if this response is to be wrong in this way. Counts as one of its `times`. */
  take(name: Misbehavior): boolean
  /** What becomes of the response of an endpoint, after the delay that `slow` asks for. */
  respond(endpoint: TestEndpoint): Promise<'respond' | 'down' | 'unavailable'>
}

interface Active {
  readonly name: Misbehavior
  readonly endpoint: TestEndpoint | undefined
  readonly seconds: number
  left: number
}

const NAMES: readonly string[] = [
  ...['expiredIdToken', 'wrongAudience', 'wrongIssuer', 'wrongNonce', 'badSignature'],
  ...['refuseLogin', 'refuseRefresh', 'down', 'unavailable', 'slow'],
]
const OF_ENDPOINTS: readonly string[] = ['down', 'unavailable', 'slow']
const ENDPOINTS: readonly string[] = [
  ...['discovery', 'jwks', 'authorization', 'token', 'userinfo', 'introspection', 'revocation', 'end_session'],
]

export function createMisbehaviors(): Misbehaviors {
  let active: Active[] = []
  let waiting = new AbortController()

  function take(name: Misbehavior, endpoint?: TestEndpoint): Active | undefined {
    const found = active.find((one) => one.name === name && (one.endpoint ?? endpoint) === endpoint)
    if (found === undefined) return undefined
    found.left -= 1
    if (found.left <= 0) active = active.filter((one) => one !== found)
    return found
  }

  return {
    add(name, options = {}) {
      const faults = findFaults(name, options)
      if (faults.length > 0) throw new ConfigError(faults)
      const { times = Number.POSITIVE_INFINITY, endpoint, seconds = 5 } = options
      active = [...active.filter((one) => one.name !== name), { name, endpoint, seconds, left: times }]
    },
    clear(name) {
      active = name === undefined ? [] : active.filter((one) => one.name !== name)
      if (name !== undefined && name !== 'slow') return
      waiting.abort()
      waiting = new AbortController()
    },
    take: (name) => take(name) !== undefined,
    async respond(endpoint) {
      const slow = take('slow', endpoint)
      const { signal } = waiting
      // The timer must not keep the process of the tests running.
      if (slow !== undefined) await sleep(slow.seconds * 1000, undefined, { signal, ref: false }).catch(() => undefined)
      if (take('down', endpoint) !== undefined) return 'down'
      return take('unavailable', endpoint) === undefined ? 'respond' : 'unavailable'
    },
  }
}

function findFaults(name: string, { times = 1, endpoint, seconds = 0 }: MisbehaviorOptions): readonly string[] {
  return [
    ...(NAMES.includes(name)
      ? []
      : [`The name for misbehave() must be one of ${NAMES.join(', ')}, not ${shown(name)}.`]),
    ...(Number.isInteger(times) && times > 0 ? [] : ['The option times must be a whole number above 0.']),
    ...(Number.isFinite(seconds) && seconds >= 0 ? [] : ['The option seconds must be a number from 0.']),
    ...(endpoint === undefined || (OF_ENDPOINTS.includes(name) && ENDPOINTS.includes(endpoint))
      ? []
      : [`The option endpoint must be one of ${ENDPOINTS.join(', ')}, and goes with down, unavailable and slow.`]),
  ]
}
