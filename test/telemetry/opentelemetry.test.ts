import assert from 'node:assert/strict'
import { tracingChannel } from 'node:diagnostics_channel'
import { after, afterEach, before, beforeEach, describe, it, mock } from 'node:test'
import { inspect } from 'node:util'
import { context, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { ERROR_STATUS, type ErrorCode } from '../../lib/error-codes.ts'
import { OidcError } from '../../lib/errors.ts'
import { publish, publishError } from '../../lib/events.ts'
import { type Instrumentation, instrumentOidc } from '../../lib/opentelemetry.ts'
import { traced } from '../../lib/operations.ts'
import type { OidcStatus } from '../../lib/status.ts'
import { startApi } from '../support/app/api-app.ts'
import { atNode, type TestApp } from '../support/app/app.ts'
import { createMetrics, type Metrics, metricOf } from '../support/app/metrics-reader.ts'
import { createSharedStores } from '../support/app/nodes.ts'
import { createStage } from '../support/app/stage.ts'
import { readText } from '../support/docs/code-blocks.ts'
import { onItsWay, REFRESH_SCOPE } from '../support/hostile/fault-injection.ts'

const stage = createStage()
const exporter = new InMemorySpanExporter()
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
let collected: Metrics
let instrumentation: Instrumentation | undefined

before(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
})
beforeEach(() => exporter.reset())
afterEach(() => mock.timers.reset())
after(() => {
  instrumentation?.disable()
  context.disable()
})

function instrument(...auth: readonly TestApp['auth'][]): void {
  instrumentation?.disable()
  collected = createMetrics()
  instrumentation = instrumentOidc({ auth, tracerProvider, meterProvider: collected.meterProvider })
}

function parentOf(span: ReadableSpan, spans: readonly ReadableSpan[]): ReadableSpan | undefined {
  return spans.find((one) => one.spanContext().spanId === span.parentSpanContext?.spanId)
}

/** Logs in at one node, with the response at another one. */
async function logInOverTwoNodes(options: object = {}) {
  const [one, other] = createSharedStores(2)
  if (!one || !other) throw new Error('there are no stores')
  const first = await stage.start(options, { session: { store: one } })
  const second = await stage.start({ ...options, baseUrl: first.baseUrl }, { session: { store: other } })
  instrument(first.auth, second.auth)
  const { browser, next } = await onItsWay(first)
  const page = await browser.go(atNode(next, second))
  return { first, second, browser, page }
}

describe('the spans of a login', () => {
  it('are one trace over two nodes, from the login route to the session, with all requests as children', async () => {
    const { page } = await logInOverTwoNodes()
    assert.ok(page.status < 400, page.body)
    const spans = exporter.getFinishedSpans()
    const login = spans.find(({ name }) => name === 'oidc login') ?? assert.fail()
    const callback = spans.find(({ name }) => name === 'oidc callback') ?? assert.fail()
    assert.deepEqual([...new Set(spans.map((span) => span.spanContext().traceId))], [login.spanContext().traceId])
    assert.equal(login.parentSpanContext, undefined)
    assert.equal(parentOf(callback, spans), login)
    assert.equal(callback.parentSpanContext?.isRemote, true)
    for (const span of spans) if (span !== login) assert.notEqual(parentOf(span, spans), undefined, span.name)
    const path = (span: ReadableSpan): string => {
      const parent = parentOf(span, spans)
      return parent === undefined ? span.name : `${path(parent)} > ${span.name}`
    }
    const paths = new Set(spans.map(path))
    for (const expected of [
      'oidc login > oidc metadata fetch > oidc request',
      'oidc login > oidc callback > oidc metadata fetch > oidc request',
      'oidc login > oidc callback > oidc token request > oidc request',
      'oidc login > oidc callback > oidc key fetch > oidc request',
      'oidc login > oidc callback > oidc session store',
    ]) {
      assert.ok(paths.has(expected), `${expected} is not among:\n${[...paths].join('\n')}`)
    }
    const requests = spans.filter(({ name }) => name === 'oidc request').map(({ attributes }) => attributes['url.full'])
    // Each node fetches the metadata. The keys and the tokens are fetched once.
    assert.equal(requests.length, 4)
    assert.equal(login.attributes['oidc.login.id'], callback.attributes['oidc.login.id'])
    assert.deepEqual([login.attributes['oidc.provider'], login.attributes['http.route']], ['default', '/login'])
  })

  it('are linked with the span of the HTTP request that the callback belongs to', async () => {
    const app = await stage.start({}, { before: [(_req, _res, next) => inHttpSpan(next)] })
    instrument(app.auth)
    await app.browser().open('/login')
    const callback = exporter.getFinishedSpans().find(({ name }) => name === 'oidc callback') ?? assert.fail()
    assert.equal(callback.links.length, 1)
    assert.notEqual(callback.links[0]?.context.traceId, callback.spanContext().traceId)
  })

  it('have the code of a failure, and no token, code, secret, cookie or sub', async () => {
    const app = await stage.start({ scope: REFRESH_SCOPE, sessionClaims: ['name'] })
    instrument(app.auth)
    stage.provider.change.raw['/token'] = (_req, res) => void res.writeHead(500).end()
    await app.browser().open('/login')
    Reflect.deleteProperty(stage.provider.change.raw, '/token')
    const browser = app.browser()
    await browser.open('/login')
    const cookies = browser.cookies().map(({ value }) => value)
    await browser.post('/logout')
    const spans = exporter.getFinishedSpans()
    const [failed] = spans.filter(({ name }) => name === 'oidc callback')
    assert.deepEqual(
      [failed?.attributes['error.type'], failed?.status.code],
      ['ERR_OIDC_PROVIDER_STATUS', SpanStatusCode.ERROR],
    )
    const urls = spans.flatMap(({ attributes }) => attributes['url.full'] ?? [])
    assert.ok(urls.length > 3)
    for (const url of urls) assert.doesNotMatch(String(url), /[?#]/)
    const told = spans.map(({ name, attributes, status, events }) => [name, attributes, status, events])
    const text = `${JSON.stringify(told)}${await collected.scrape()}`
    assert.doesNotMatch(text, /eyJ|[?&]code=|state=|Bearer|cookie/i)
    const { accessTokens, refreshTokens, requests, authorizationRequests, clientSecret } = stage.provider
    const sent = requests.flatMap(({ form }) => ['code', 'code_verifier'].flatMap((name) => form.getAll(name)))
    const own = authorizationRequests.flatMap((params) => ['state', 'nonce'].flatMap((name) => params.getAll(name)))
    const secrets = [...accessTokens.keys(), ...refreshTokens.keys(), ...sent, ...own, ...cookies, clientSecret]
    assert.ok(secrets.length > 9)
    for (const secret of [...secrets, 'user-subject']) assert.ok(!text.includes(secret))
  })

  it('have the id that Okta gives the request, for its support', async () => {
    const app = await stage.start({})
    instrument(app.auth)
    stage.provider.change.tokenResponse = (response, { headers }) => {
      headers['X-Okta-Request-Id'] = 'WnKkvUMZG0s7nO3EbTsY_QAAAAc'
      return response
    }
    await app.browser().open('/login')
    const ids = exporter.getFinishedSpans().flatMap(({ attributes }) => attributes['oidc.request.id'] ?? [])
    assert.deepEqual(ids, ['WnKkvUMZG0s7nO3EbTsY_QAAAAc'])
  })

  it('are two traces with a response JWT: state is unknown before it is verified', async () => {
    const app = await stage.start({ responseMode: 'jwt' })
    instrument(app.auth)
    await app.browser().open('/login')
    const spans = exporter.getFinishedSpans()
    const [login, callback] = ['oidc login', 'oidc callback'].map((title) => spans.find(({ name }) => name === title))
    assert.ok(login && callback)
    assert.notEqual(callback.spanContext().traceId, login.spanContext().traceId)
    assert.equal(callback.parentSpanContext, undefined)
  })

  it('are 10 to 20, and the refresh and the logout have their own', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const app = await stage.start({ scope: REFRESH_SCOPE })
    instrument(app.auth)
    const browser = app.browser()
    await browser.open('/login')
    const ofLogin = exporter.getFinishedSpans()
    const [{ traceId } = assert.fail()] = ofLogin.map((span) => span.spanContext())
    assert.ok(ofLogin.every((span) => span.spanContext().traceId === traceId))
    assert.ok(ofLogin.length >= 10 && ofLogin.length <= 20, String(ofLogin.length))
    exporter.reset()
    await browser.fetch('/access-token')
    await browser.post('/logout')
    const names = new Set(exporter.getFinishedSpans().map(({ name }) => name))
    for (const name of ['oidc refresh', 'oidc logout', 'oidc lock wait']) assert.ok(names.has(name), name)
  })

  it('are none after disable()', async () => {
    const app = await stage.start({})
    instrument(app.auth)
    instrumentation?.disable()
    await app.browser().open('/login')
    assert.deepEqual(exporter.getFinishedSpans(), [])
  })
})

/** What the HTTP instrumentation of OpenTelemetry does. */
function inHttpSpan(next: () => void): void {
  const span = tracerProvider.getTracer('http').startSpan('GET')
  context.with(trace.setSpan(context.active(), span), next)
}

describe('an operation that fails with an error of the application', () => {
  it('is "unknown" in spans and metrics, and nothing of the error is in them', async () => {
    instrument()
    const failure = Object.assign(new Error('holds secret-of-the-app'), { code: 'secret-of-the-app' })
    const store = (): Promise<never> => Promise.reject(failure)
    await assert.rejects(
      traced('express-oidc:store', () => ({ operation: 'get' }), store),
      failure,
    )
    const text = await collected.scrape()
    const labels = { oidc_operation: 'store', error_type: 'unknown' }
    assert.equal(metricOf(text, 'oidc_operation_duration_count', labels), 1)
    const [span] = exporter.getFinishedSpans()
    assert.equal(span?.attributes['error.type'], 'unknown')
    assert.ok(!`${text}${inspect(span, { depth: 9 })}`.includes('secret-of-the-app'))
  })

  it('belongs to no trace in the background, and is not recorded if it began before the recording', async () => {
    instrument()
    const describeFetch = () => ({ issuer: 'https://id.example', isBackground: true })
    const fetchInRequest = (): Promise<void> => traced('express-oidc:key-fetch', describeFetch, async () => undefined)
    await new Promise<void>((resolve) => inHttpSpan(() => void fetchInRequest().then(resolve)))
    const [span] = exporter.getFinishedSpans()
    assert.deepEqual([span?.name, span?.parentSpanContext], ['oidc key fetch', undefined])
    assert.equal(span?.attributes['oidc.background'], true)
    let end = (): void => undefined
    const gate = new Promise<void>((resolve) => {
      end = resolve
    })
    instrumentation?.disable()
    const observer = tracingChannel<object, object>('express-oidc:store')
    const handlers = { start() {}, end() {}, asyncStart() {}, asyncEnd() {}, error() {} }
    observer.subscribe(handlers)
    const early = traced(
      'express-oidc:store',
      () => ({ operation: 'get' }),
      () => gate,
    )
    instrument()
    exporter.reset()
    end()
    await early
    observer.unsubscribe(handlers)
    assert.equal(
      metricOf(await collected.scrape(), 'oidc_operation_duration_count', { oidc_operation: 'store' }),
      undefined,
    )
    assert.deepEqual(exporter.getFinishedSpans(), [])
  })
})

describe('the metrics', () => {
  it('say what is stale, and nothing of a part that was not used or has no budget', async () => {
    const [stale, configured] = [
      { state: 'stale', ageSeconds: 4000, expiresAt: 1, lastError: null },
      { state: 'configured', ageSeconds: null, expiresAt: null, lastError: null },
    ] as const
    const provider = { issuer: 'i', isReachable: null, lastError: null, endpoints: {} }
    const fetchBudget = { metadata: 2, keys: null }
    const part = { isReachable: null, lastError: null }
    const status = (): OidcStatus => ({
      providers: { acme: { ...provider, metadata: stale, keys: configured, fetchBudget } },
      sharedState: { isReachable: false, lastError: null },
      sessionStore: part,
      requestsUnderWay: 3,
      loginsUnderWay: 0,
      isDraining: false,
    })
    instrument({ status } as TestApp['auth'])
    const text = await collected.scrape()
    const value = (name: string, labels = {}): number | undefined => metricOf(text, name, labels)
    assert.deepEqual(
      ['metadata', 'keys'].map((document) => value('oidc_document_stale', { oidc_document: document })),
      [1, 0],
    )
    assert.equal(value('oidc_document_age', { oidc_document: 'keys' }), undefined)
    assert.equal(value('oidc_fetch_budget', { oidc_document: 'keys' }), undefined)
    assert.equal(value('oidc_reachable', { oidc_part: 'session-store' }), undefined)
    assert.equal(value('oidc_reachable', { oidc_part: 'shared-state' }), 0)
    assert.equal(value('oidc_requests_under_way'), 3)
  })

  it('count each failure by its code', async () => {
    instrument()
    const codes = Object.keys(ERROR_STATUS) as ErrorCode[]
    assert.ok(codes.length > 50)
    for (const code of codes) publishError(new OidcError(code, 'a failure'))
    const text = await collected.scrape()
    for (const code of codes) assert.equal(metricOf(text, 'oidc_failures_total', { error_type: code }), 1, code)
  })

  it('count how often an expired copy began to serve, and how often a fetch budget was used up', async () => {
    instrument()
    const source = { document: 'keys', issuer: 'https://id.example' } as const
    publish['express-oidc:stale'](() => ({ ...source, ageSeconds: 4000, code: 'ERR_OIDC_PROVIDER_TIMEOUT' }))
    for (const _ of [1, 2]) publish['express-oidc:fetch-budget'](() => source)
    const text = await collected.scrape()
    const labels = { oidc_document: 'keys' }
    assert.equal(metricOf(text, 'oidc_stale_episodes_total', labels), 1)
    assert.equal(metricOf(text, 'oidc_fetch_budget_exhausted_total', labels), 2)
  })

  it('count logins, refreshes, denials and ended sessions, and measure operations', async () => {
    // The age of a document that was fetched just now is 0.
    mock.timers.enable({ apis: ['Date'], now: Date.now() })
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const app = await stage.start({ scope: REFRESH_SCOPE })
    instrument(app.auth)
    const browser = app.browser()
    await browser.fetch('/profile')
    await browser.open('/login')
    await browser.fetch('/access-token')
    await browser.post('/logout')
    const text = await collected.scrape()
    // For the sample in docs/operations.md.
    if (process.env['PRINT_METRICS'] !== undefined) process.stderr.write(text)
    const provider = { oidc_provider: 'default' }
    assert.equal(metricOf(text, 'oidc_logins_total', provider), 1)
    assert.equal(metricOf(text, 'oidc_refreshes_total', provider), 1)
    assert.equal(metricOf(text, 'oidc_sessions_ended_total', { ...provider, oidc_logout_how: 'application' }), 1)
    assert.equal(metricOf(text, 'oidc_denials_total'), 1)
    for (const [operation, count] of [
      ['login', 1],
      ['callback', 1],
      ['logout', 1],
      ['refresh', 1],
      ['token-request', 2],
    ] as const) {
      const labels = { oidc_operation: operation }
      assert.equal(metricOf(text, 'oidc_operation_duration_count', labels), count, operation)
    }
    assert.equal(metricOf(text, 'oidc_document_age', { oidc_document: 'keys' }), 0)
    assert.equal(metricOf(text, 'oidc_document_stale', { oidc_document: 'metadata' }), 0)
    assert.equal(metricOf(text, 'oidc_fetch_budget', { oidc_document: 'keys' }), 5)
    assert.equal(metricOf(text, 'oidc_reachable', { oidc_part: 'provider' }), 1)
    assert.equal(metricOf(text, 'oidc_requests_under_way'), 0)
    assert.doesNotMatch(text, /eyJ|Bearer|user-/)
    // The sample of the documentation comes from this run: each of its lines is there. Only durations differ.
    const [sample = ''] = /(?<=## Sample[\s\S]*?```text\n)[\s\S]*?(?=```)/.exec(readText('docs/operations.md')) ?? []
    const lines = sample.split('\n').filter((line) => line !== '')
    assert.ok(lines.length > 35)
    const withoutTime = (line: string): string => line.replace(/(_sum\{.*\}|le="[\d.]+"\}) .*/, '$1')
    const measured = new Set(text.split('\n').map(withoutTime))
    assert.deepEqual(
      lines.map(withoutTime).filter((line) => !measured.has(line)),
      [],
    )
  })

  it('count the requests that bearer() has denied', async () => {
    instrument()
    const api = stage.stopLater(await startApi({ issuer: stage.provider.issuer, audience: 'https://api.example' }))
    const answer = await api.call('of-nobody')
    assert.equal(answer.status, 401)
    const text = await collected.scrape()
    assert.equal(metricOf(text, 'oidc_denials_total', { error_type: 'ERR_OIDC_ACCESS_TOKEN_MALFORMED' }), 1, text)
  })

  it('say that a provider is away', async () => {
    const app = await stage.start({})
    instrument(app.auth)
    stage.provider.change.raw['/discovery'] = (_req, res) => void res.writeHead(503).end()
    await app.browser().open('/login')
    Reflect.deleteProperty(stage.provider.change.raw, '/discovery')
    const text = await collected.scrape()
    assert.equal(metricOf(text, 'oidc_reachable', { oidc_part: 'provider' }), 0)
    assert.equal(metricOf(text, 'oidc_failures_total', { error_type: 'ERR_OIDC_PROVIDER_STATUS' }), 1)
  })
})
