import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { oidc, requireAuth } from 'express-oidc'
import { instrumentOidc } from 'express-oidc/opentelemetry'

/** Takes all spans and sends them nowhere: the exporter of an application costs what it costs. */
const exporter = { export: (_spans, done) => done({ code: 0 }), shutdown: async () => {} }

class Reader extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}

/** This library, built, with its traces and metrics on. */
export function createApp({ express, session, store, issuer, clientId, clientSecret, baseUrl }) {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] }))
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [new Reader()] }))
  const app = express()
  const auth = oidc({ issuer, clientId, clientSecret, baseUrl, dangerouslyAllowInsecureRequests: true })
  instrumentOidc({ auth })
  app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false, store }))
  app.use(auth)
  app.get('/', (_req, res) => res.end('hello'))
  app.get('/profile', requireAuth(), (req, res) => res.end(req.oidc.claims.name))
  return app
}
