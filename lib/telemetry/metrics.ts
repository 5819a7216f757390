import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import type { BatchObservableResult, Meter, Observable } from '@opentelemetry/api'
import { OidcError } from '../errors.ts'
import type { Events } from '../events.ts'
import type { Operations } from '../operations.ts'
import type { OidcStatus } from '../status.ts'
import { SPANS } from './spans.ts'

/** The names of all metrics. Prometheus writes the dots as underscores, and adds the unit and `_total`. */
export const METRICS = {
  /** Completed logins, by `oidc.provider`. */
  logins: 'oidc.logins',
  /** Errors, by `error.type` (the error code): what reached `next()`, and what the library handled itself. */
  failures: 'oidc.failures',
  /** Requests that guards and `bearer()` denied, by `error.type`. */
  denials: 'oidc.denials',
  /** Refreshed access tokens, by `oidc.provider`. */
  refreshes: 'oidc.refreshes',
  /** Ended sessions, by `oidc.provider` and `oidc.logout.how`. */
  sessionsEnded: 'oidc.sessions.ended',
  /** How long operations take, by `oidc.operation`, and `error.type` if they failed. */
  operationDuration: 'oidc.operation.duration',
  /** How often an expired copy began to serve, by `oidc.document`. */
  staleEpisodes: 'oidc.stale.episodes',
  /** How often a fetch budget was used up, by `oidc.document`. */
  budgetEpisodes: 'oidc.fetch.budget.exhausted',
  /** How long ago metadata and keys were fetched, by `oidc.provider` and `oidc.document`. */
  documentAge: 'oidc.document.age',
  /** 1 if an expired copy serves, by `oidc.provider` and `oidc.document`. */
  documentStale: 'oidc.document.stale',
  /** How many more fetches strangers can cause, by `oidc.provider` and `oidc.document`. */
  fetchBudget: 'oidc.fetch.budget',
  /** 1 if the last use has succeeded, by `oidc.part`: `provider`, `session-store` or `shared-state`. */
  reachable: 'oidc.reachable',
  /** The requests at our routes, and the calls of `req.oidc`, that have not ended yet. */
  underWay: 'oidc.requests.under_way',
} as const

type StatusSource = { status(): OidcStatus }

/** Records metrics. Returns the function that ends the recording. */
export function recordMetrics(meter: Meter, sources: readonly StatusSource[]): () => void {
  const ends = [...recordEvents(meter), ...recordDurations(meter), observeStatus(meter, sources)]
  return () => {
    for (const end of ends) end()
  }
}

type Count = (labels: Record<string, string>) => void

function recordEvents(meter: Meter): (() => void)[] {
  const counter = (name: string, description: string): Count => {
    const instrument = meter.createCounter(name, { description })
    return (labels) => instrument.add(1, labels)
  }
  const logins = counter(METRICS.logins, 'Completed logins')
  const failures = counter(METRICS.failures, 'Errors, by code')
  const denials = counter(METRICS.denials, 'Requests that guards denied, by code')
  const refreshes = counter(METRICS.refreshes, 'Refreshed access tokens')
  const ended = counter(METRICS.sessionsEnded, 'Ended sessions')
  const stale = counter(METRICS.staleEpisodes, 'How often an expired copy began to serve')
  const budget = counter(METRICS.budgetEpisodes, 'How often a fetch budget was used up')
  return [
    on('express-oidc:login', ({ provider }) => logins({ 'oidc.provider': provider })),
    on('express-oidc:error', ({ code }) => failures({ 'error.type': code })),
    on('express-oidc:denied', ({ code }) => denials({ 'error.type': code })),
    on('express-oidc:refresh', ({ provider }) => refreshes({ 'oidc.provider': provider })),
    on('express-oidc:logout', ({ provider, how }) => ended({ 'oidc.provider': provider, 'oidc.logout.how': how })),
    on('express-oidc:stale', ({ document }) => stale({ 'oidc.document': document })),
    on('express-oidc:fetch-budget', ({ document }) => budget({ 'oidc.document': document })),
  ]
}

function on<Name extends keyof Events>(name: Name, record: (event: Events[Name]) => void): () => void {
  const listener = (event: unknown): void => record(event as Events[Name])
  subscribe(name, listener)
  return () => void unsubscribe(name, listener)
}

/** In seconds: from a read of a store to a provider that does not answer. */
const BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

function recordDurations(meter: Meter): (() => void)[] {
  const duration = meter.createHistogram(METRICS.operationDuration, {
    description: 'How long operations take',
    unit: 's',
    advice: { explicitBucketBoundaries: BUCKETS },
  })
  const nothing = (): void => undefined
  return (Object.keys(SPANS) as (keyof Operations)[]).map((name) => {
    const startedAt = new WeakMap<object, number>()
    const operation = name.slice('express-oidc:'.length)
    const handlers = {
      start: (message: object) => void startedAt.set(message, performance.now()),
      end: nothing,
      asyncStart: nothing,
      asyncEnd: (message: { error?: unknown }) => {
        const began = startedAt.get(message)
        if (began === undefined) return
        const labels = { 'oidc.operation': operation, ...errorLabel(message.error) }
        duration.record((performance.now() - began) / 1000, labels)
      },
      error: nothing,
    }
    const channel = tracingChannel<object, object>(name)
    channel.subscribe(handlers)
    return () => void channel.unsubscribe(handlers)
  })
}

function errorLabel(error: unknown): Record<string, string> {
  if (error === undefined) return {}
  return { 'error.type': error instanceof OidcError ? error.code : 'unknown' }
}

function observeStatus(meter: Meter, sources: readonly StatusSource[]): () => void {
  const gauges = {
    age: meter.createObservableGauge(METRICS.documentAge, { description: 'Age of metadata and keys', unit: 's' }),
    stale: meter.createObservableGauge(METRICS.documentStale, { description: '1 if an expired copy serves' }),
    budget: meter.createObservableGauge(METRICS.fetchBudget, { description: 'Fetches that are left for strangers' }),
    reachable: meter.createObservableGauge(METRICS.reachable, { description: '1 if the last use has succeeded' }),
    underWay: meter.createObservableGauge(METRICS.underWay, { description: 'Requests that have not ended yet' }),
  }
  const all = Object.values(gauges)
  const observe = (result: BatchObservableResult): void => {
    for (const source of sources) observeSource(result, gauges, source.status())
  }
  meter.addBatchObservableCallback(observe, all)
  return () => meter.removeBatchObservableCallback(observe, all)
}

type Gauges = Readonly<Record<'age' | 'stale' | 'budget' | 'reachable' | 'underWay', Observable>>

function observeSource(result: BatchObservableResult, gauges: Gauges, status: OidcStatus): void {
  result.observe(gauges.underWay, status.requestsUnderWay)
  const part = (isReachable: boolean | null | undefined, labels: Record<string, string>): void => {
    if (typeof isReachable === 'boolean') result.observe(gauges.reachable, isReachable ? 1 : 0, labels)
  }
  part(status.sessionStore.isReachable, { 'oidc.part': 'session-store' })
  part(status.sharedState?.isReachable, { 'oidc.part': 'shared-state' })
  for (const [name, provider] of Object.entries(status.providers)) {
    part(provider.isReachable, { 'oidc.part': 'provider', 'oidc.provider': name })
    for (const document of ['metadata', 'keys'] as const) {
      const labels = { 'oidc.provider': name, 'oidc.document': document }
      const { ageSeconds, state } = provider[document]
      if (ageSeconds !== null) result.observe(gauges.age, ageSeconds, labels)
      result.observe(gauges.stale, state === 'stale' ? 1 : 0, labels)
      const left = provider.fetchBudget[document]
      if (left !== null) result.observe(gauges.budget, left, labels)
    }
  }
}
