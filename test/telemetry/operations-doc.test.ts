import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { METRICS } from '../../lib/opentelemetry.ts'
import { readText } from '../support/docs/code-blocks.ts'

/** The metrics as Prometheus names them. `opentelemetry.test.ts` compares the names with those of a run. */
const COUNTERS: readonly string[] = [
  METRICS.logins,
  METRICS.failures,
  METRICS.denials,
  METRICS.refreshes,
  METRICS.sessionsEnded,
  METRICS.staleEpisodes,
  METRICS.budgetEpisodes,
]
const NAMES = new Set(
  Object.values(METRICS).map((name) => name.replaceAll('.', '_') + (COUNTERS.includes(name) ? '_total' : '')),
)

/** The metrics that a text names, without the suffixes of a histogram and of units. Labels begin with `oidc_`, too. */
function metricsIn(text: string): readonly string[] {
  const LABELS = /^oidc_(provider|document|operation|part|logout_how)$/
  return (text.match(/\boidc_[a-z_]+/g) ?? [])
    .map((name) => name.replace(/_(seconds_)?(bucket|count|sum)$/, '').replace(/_seconds$/, ''))
    .filter((name) => !LABELS.test(name))
}

describe('the page for operators', () => {
  const page = readText('docs/operations.md')

  it('names every metric, and no other', () => {
    assert.deepEqual(new Set(metricsIn(page)), NAMES)
  })

  it('has rules whose codes exist', () => {
    const [rules = ''] = /```yaml[\s\S]*?```/.exec(page) ?? []
    const errors = readText('docs/errors.md')
    const codes = rules.match(/ERR_OIDC_[A-Z_]+[A-Z]/g) ?? []
    assert.ok(codes.length > 5)
    for (const code of codes) assert.ok(errors.includes(code), code)
  })
})

describe('the Grafana dashboard', () => {
  const text = readText('docs/grafana-dashboard.json')
  const { panels } = JSON.parse(text)
  const queries: readonly string[] = panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
    targets.map(({ expr }) => expr),
  )

  it('has queries of metrics that exist, and one for each metric', () => {
    assert.deepEqual(new Set(queries.flatMap(metricsIn)), NAMES)
    for (const query of queries) assert.ok(metricsIn(query).length > 0, query)
  })

  it('has a title, a description and a place of its own for each panel', () => {
    const places = panels.map(({ gridPos }: { gridPos: object }) => JSON.stringify(gridPos))
    assert.equal(new Set(places).size, panels.length)
    for (const { title, description } of panels) assert.ok(title !== '' && description !== '')
  })

  it('has balanced brackets in each query', () => {
    for (const query of queries) {
      for (const [open, close] of ['()', '{}', '[]']) {
        assert.equal(query.split(String(open)).length, query.split(String(close)).length, query)
      }
    }
  })
})
