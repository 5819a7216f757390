import { AsyncLocalStorage } from 'node:async_hooks'
import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import {
  type Attributes,
  type Context,
  context as contexts,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { OidcError } from '../errors.ts'
import type { Operations } from '../operations.ts'

type Name = keyof Operations
type Message = Operations[Name]

/** The attributes of each operation, by the fields of its message. Their names follow OpenTelemetry where it has one. */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  provider: 'oidc.provider',
  issuer: 'oidc.issuer',
  loginId: 'oidc.login.id',
  route: 'http.route',
  how: 'oidc.logout.how',
  grantType: 'oidc.grant_type',
  operation: 'oidc.store.operation',
  isBackground: 'oidc.background',
  method: 'http.request.method',
  url: 'url.full',
  status: 'http.response.status_code',
  requestId: 'oidc.request.id',
}

/** The name and the kind of the span of each operation. */
export const SPANS: Readonly<Record<Name, { readonly name: string; readonly kind: SpanKind }>> = {
  'express-oidc:login': { name: 'oidc login', kind: SpanKind.INTERNAL },
  'express-oidc:callback': { name: 'oidc callback', kind: SpanKind.INTERNAL },
  'express-oidc:logout': { name: 'oidc logout', kind: SpanKind.INTERNAL },
  'express-oidc:refresh': { name: 'oidc refresh', kind: SpanKind.INTERNAL },
  'express-oidc:token-request': { name: 'oidc token request', kind: SpanKind.INTERNAL },
  'express-oidc:key-fetch': { name: 'oidc key fetch', kind: SpanKind.INTERNAL },
  'express-oidc:metadata-fetch': { name: 'oidc metadata fetch', kind: SpanKind.INTERNAL },
  'express-oidc:request': { name: 'oidc request', kind: SpanKind.CLIENT },
  'express-oidc:store': { name: 'oidc session store', kind: SpanKind.CLIENT },
  'express-oidc:shared-state': { name: 'oidc shared state', kind: SpanKind.CLIENT },
  'express-oidc:lock': { name: 'oidc lock wait', kind: SpanKind.INTERNAL },
}

/**
 * The context of the operation that runs. It also becomes the active context of OpenTelemetry, so that the spans of other
 * instrumentations, such as that of a Redis client, are children of ours.
 */
class ContextStore extends AsyncLocalStorage<Context> {
  override run<R>(active: Context, work: () => R): R
  override run<R, Args extends unknown[]>(active: Context, work: (...args: Args) => R, ...args: Args): R
  override run<R, Args extends unknown[]>(active: Context, work: (...args: Args) => R, ...args: Args): R {
    return super.run(active, () => contexts.with(active, work, undefined, ...args))
  }
}

/** Records a span for each operation. Returns the function that ends the recording. */
export function recordSpans(tracer: Tracer): () => void {
  const store = new ContextStore()
  const spans = new WeakMap<object, Span>()
  const ends = (Object.keys(SPANS) as Name[]).map((name) => recordOperation(name, tracer, store, spans))
  return () => {
    for (const end of ends) end()
  }
}

function recordOperation(name: Name, tracer: Tracer, store: ContextStore, spans: WeakMap<object, Span>): () => void {
  const channels: TracingChannel<Context, Message> = tracingChannel<Context, Message>(name)
  const nothing = (): void => undefined
  const handlers = {
    start: nothing,
    end: nothing,
    asyncStart: nothing,
    asyncEnd: (message: Message) => endSpan(spans.get(message), message),
    error: nothing,
  }
  channels.start.bindStore(store, (message) => {
    const { active, span } = startSpan(name, tracer, store.getStore() ?? contexts.active(), message)
    spans.set(message, span)
    return active
  })
  channels.subscribe(handlers)
  return () => {
    channels.start.unbindStore(store)
    channels.unsubscribe(handlers)
  }
}

function startSpan(name: Name, tracer: Tracer, current: Context, message: Message): { active: Context; span: Span } {
  const { name: title, kind } = SPANS[name]
  const remote = name === 'express-oidc:callback' ? remoteContext(message.traceparent) : undefined
  // No request waits for what is done in the background: it belongs to no trace.
  const parent = remote ?? ('isBackground' in message && message.isBackground ? ROOT_CONTEXT : current)
  const local = trace.getSpanContext(current)
  const links: Link[] = remote !== undefined && local !== undefined ? [{ context: local }] : []
  const span = tracer.startSpan(title, { kind, attributes: attributesOf(message), links }, parent)
  if (name === 'express-oidc:login') message.traceparent = traceparentOf(span)
  return { active: trace.setSpan(parent, span), span }
}

function endSpan(span: Span | undefined, message: Message): void {
  if (span === undefined) return
  span.setAttributes(attributesOf(message))
  if (message.error !== undefined) {
    const code = message.error instanceof OidcError ? message.error.code : 'unknown'
    // Not the message or the cause of an error of the application, which may hold anything.
    span.setAttribute('error.type', code)
    span.setStatus({ code: SpanStatusCode.ERROR, message: code })
  }
  span.end()
}

function attributesOf(message: Message): Attributes {
  const known = Object.entries(message).flatMap(([field, value]) => {
    const attribute = ATTRIBUTES[field]
    const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    return attribute === undefined || !isPlain ? [] : [[attribute, value] as const]
  })
  return Object.fromEntries(known)
}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

/** W3C Trace Context 3.2. It comes from our own encrypted cookie, so it has this form. */
function remoteContext(traceparent: string | undefined): Context | undefined {
  const [, traceId, spanId, flags] = /^00-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})$/.exec(traceparent ?? '') ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  return trace.isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : undefined
}
