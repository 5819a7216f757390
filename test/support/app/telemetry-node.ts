import { createServer } from 'node:http'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import express from 'express'
import session from 'express-session'
import { errorPage, type Options, oidc } from '../../../lib/index.ts'
import { instrumentOidc } from '../../../lib/opentelemetry.ts'
import { listen } from '../servers/http-server.ts'
import { answerJson } from './app-routes.ts'

/** What a node gets from its parent, as JSON. Without `baseUrl`, the address of the application is that of this node. */
export interface TelemetryNodeSettings {
  readonly options: Omit<Options, 'baseUrl'> & { readonly baseUrl?: string }
}

/** A finished span, as the parent gets it. */
export interface SentSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly isParentRemote: boolean
  readonly attributes: Readonly<Record<string, unknown>>
}

/** One node with the SDK of OpenTelemetry, in a process of its own. It sends its spans at each message, and ends with its parent. */
async function main({ options }: TelemetryNodeSettings): Promise<void> {
  const exporter = new InMemorySpanExporter()
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  const app = express().set('env', 'test')
  const { port } = await listen(createServer(app))
  const auth = oidc({ baseUrl: `http://127.0.0.1:${port}`, ...options } as Options)
  instrumentOidc({ auth })
  app.use(session({ secret: 'the secret of all nodes', resave: false, saveUninitialized: false }))
  app.use(auth)
  app.get('/profile', answerJson(({ oidc: { isAuthenticated } }) => ({ isAuthenticated })) as never)
  app.use(errorPage() as never)
  process.once('disconnect', () => process.exit())
  process.on('message', () => {
    const spans = exporter.getFinishedSpans().map(
      (span): SentSpan => ({
        name: span.name,
        traceId: span.spanContext().traceId,
        spanId: span.spanContext().spanId,
        parentSpanId: span.parentSpanContext?.spanId,
        isParentRemote: span.parentSpanContext?.isRemote === true,
        attributes: span.attributes,
      }),
    )
    process.send?.({ pid: process.pid, spans })
  })
  process.send?.({ port })
}

await main(JSON.parse(process.argv[2] ?? '{}'))
