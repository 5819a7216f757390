/**
 * Traces and metrics of `oidc()` for OpenTelemetry. It needs the peer dependency `@opentelemetry/api`, and is loaded only by those
 * who import it.
 *
 * @example
 * ```ts
 * import { instrumentOidc } from 'express-oidc/opentelemetry'
 *
 * const auth = oidc(options)
 * instrumentOidc({ auth })
 * ```
 *
 * @module
 */
export { type Instrumentation, type InstrumentationOptions, instrumentOidc } from './telemetry/instrument.ts'
export { METRICS } from './telemetry/metrics.ts'
