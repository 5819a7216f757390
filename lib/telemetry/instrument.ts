import { type MeterProvider, metrics, type TracerProvider, trace } from '@opentelemetry/api'
import type { OidcStatus } from '../status.ts'
import { recordMetrics } from './metrics.ts'
import { recordSpans } from './spans.ts'

/** The options of {@link instrumentOidc}. */
export interface InstrumentationOptions {
  /**
   * The middleware, or several, whose `status()` gives the ages of keys and metadata and what is left of the fetch budgets. Without
   * it these metrics are missing.
   */
  auth?: { status(): OidcStatus } | readonly { status(): OidcStatus }[]
  /**
   * Where spans go.
   * @default the global provider of `@opentelemetry/api`
   */
  tracerProvider?: TracerProvider
  /**
   * Where metrics go.
   * @default the global provider of `@opentelemetry/api`
   */
  meterProvider?: MeterProvider
}

/** Returned by {@link instrumentOidc}. */
export interface Instrumentation {
  /** Ends the recording, for example between tests. */
  disable(): void
}

const NAME = 'express-oidc'

/**
 * Records spans and metrics of every `oidc()` and `bearer()` in this process with OpenTelemetry. Call it once, after the SDK was
 * started and before the first request.
 *
 * A login is one trace, from the login route to the saved session, whichever nodes it runs on: the callback continues the trace of
 * the login, and has a link to the span of its own HTTP request, if there is one. Spans and metrics hold no token, code, secret or
 * `sub`.
 *
 * @example
 * ```ts
 * import { instrumentOidc } from 'express-oidc/opentelemetry'
 *
 * const auth = oidc(options)
 * instrumentOidc({ auth })
 * app.use(auth)
 * ```
 */
export function instrumentOidc(options: InstrumentationOptions = {}): Instrumentation {
  const { auth = [], tracerProvider = trace, meterProvider = metrics } = options
  const endSpans = recordSpans(tracerProvider.getTracer(NAME))
  const endMetrics = recordMetrics(meterProvider.getMeter(NAME), [auth].flat())
  return {
    disable() {
      endSpans()
      endMetrics()
    },
  }
}
