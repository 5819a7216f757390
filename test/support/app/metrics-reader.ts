import assert from 'node:assert/strict'
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'

/** The SDK of OpenTelemetry, with metrics that are read when a test wants them. */
export interface Metrics {
  readonly meterProvider: MeterProvider
  /** The metrics as Prometheus would get them. */
  scrape(): Promise<string>
}

class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

export function createMetrics(): Metrics {
  const reader = new Reader()
  return {
    meterProvider: new MeterProvider({ readers: [reader] }),
    async scrape() {
      const { resourceMetrics, errors } = await reader.collect()
      assert.deepEqual(errors, [])
      return new PrometheusSerializer().serialize(resourceMetrics)
    },
  }
}

/** The value of a metric, by the beginning of its line. */
export function metricOf(
  text: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const line = text
    .split('\n')
    .filter((one) => one.startsWith(`${name}{`) || one.startsWith(`${name} `))
    .find((one) => Object.entries(labels).every(([label, value]) => one.includes(`${label}="${value}"`)))
  return line === undefined ? undefined : Number(/ ([\d.e+-]+)(?: \d+)?$/.exec(line)?.[1])
}
