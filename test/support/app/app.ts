import express from 'express'
import session, { type SessionData, type SessionOptions, type Store } from 'express-session'
import {
  type ApplicationOptions,
  type ErrorCode,
  type ErrorHandler,
  errorPage,
  type Handler,
  OidcError,
  type OidcMiddleware,
  type Options,
  oidc,
  type ProviderOptions,
  type SeveralProvidersOptions,
} from '../../../lib/index.ts'
import { readOidcSession } from '../../../lib/session/stored-session.ts'
import { type Browser, createBrowser, type Navigation } from '../browser/browser.ts'
import { type Listening, listen, sendJson } from '../servers/http-server.ts'
import { startTlsProxy } from '../servers/tls.ts'
import { defaultRoutes, type Routes } from './app-routes.ts'
import { createHostApp, type HostApp } from './host-app.ts'
import type { Host } from './hosts.ts'
import { isSharedRecord } from './records.ts'

/** The options of `oidc()`, of one provider or of several. Tests also try names of algorithms that do not exist. */
export type AnyOptions = WithAnyNames<ApplicationOptions & ProviderOptions & Pick<SeveralProvidersOptions, 'providers'>>

type WithAnyNames<Given> = {
  [Name in keyof Given]: Name extends `${string}Alg` | `${string}Enc` | 'responseType' ? string : Given[Name]
}

/** What an app is told of its provider. */
export interface Registration {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** What else belongs to that client, as the provider knows it. `options` go before. */
  readonly clientOptions?: Partial<AnyOptions>
}

export interface AppOptions {
  /** `express5` unless told. */
  readonly host?: Host
  /** Gives `issuer`, `clientId` and `clientSecret`, where `options` does not. */
  readonly provider?: Registration
  /** Plain http is allowed unless this says otherwise: the tests run without TLS. */
  readonly options?: Partial<AnyOptions>
  /** Options of express-session that differ; `false`: no session at all. */
  readonly session?: Partial<SessionOptions> | false
  /** Run before everything else. */
  readonly before?: readonly Handler[]
  /** Run after the session, before `oidc()`. */
  readonly beforeOidc?: readonly Handler[]
  /** More routes, or other ones in the place of the usual. */
  readonly routes?: Routes
  /** Everything below this path: `/portal`. */
  readonly mountPath?: string
  /** `express.urlencoded()` in front. */
  readonly bodyParser?: boolean
  /** `page`, the default: `errorPage()` as in production, without its log. `json`: code and status. `default`: what the framework does by itself. */
  readonly errorHandler?: 'page' | 'json' | 'default'
  /** Behind an https proxy; `session` is told to trust it. */
  readonly tls?: boolean
  /** `127.0.0.1`, the default, is cross-site to a provider on `localhost`. */
  readonly hostname?: string
  /** More host names of the same app, for `baseUrl` as a list. */
  readonly moreHosts?: readonly string[]
}

export interface TestApp {
  /** Scheme, host and port. */
  readonly origin: string
  /** `origin` and `mountPath`. */
  readonly baseUrl: string
  readonly port: number
  /** A new browser, with relative addresses resolved against `origin`. */
  browser(): Browser
  /** The number of sessions in the store in which somebody is logged in. */
  sessions(): Promise<number>
  /** Everything in the store, the token records included, by id; but for the state that the nodes share. */
  records(): Promise<Readonly<Record<string, SessionData>>>
  readonly store: Store
  /** What reached the error handlers, in order. */
  readonly errors: OidcError[]
  /** Errors of the same kind that are not the library's. */
  readonly otherErrors: unknown[]
  readonly auth: OidcMiddleware
  stop(): Promise<void>
}

/** Starts an app with `oidc()` and some routes on a free port. It listens first, so that `baseUrl` is known. */
export async function startApp(settings: AppOptions): Promise<TestApp> {
  const app = createHostApp(settings.host ?? 'express5')
  const server = app.createServer(settings.mountPath ?? '')
  const listening = await listen(server)
  const front = settings.tls ? await startTlsProxy(listening.port) : undefined
  const hostname = settings.hostname ?? '127.0.0.1'
  const origin = front ? `https://${hostname}:${front.port}` : `http://${hostname}:${listening.port}`
  const stop = async (): Promise<void> => {
    await Promise.all([listening.stop(), front?.stop()])
  }
  try {
    const assembled = assemble(app, settings, origin)
    const stopAll = async (): Promise<void> => {
      await stop()
      // Its renewals in the background would reach whichever provider gets the port of this one. Not awaited: timers may be mocked.
      void assembled.auth.drain({ seconds: 0 }).catch(() => undefined)
    }
    return { ...assembled, port: listening.port, stop: stopAll }
  } catch (error) {
    await stop()
    throw error
  }
}

function assemble(app: HostApp, settings: AppOptions, origin: string): Omit<TestApp, keyof Listening> {
  const baseUrl = `${origin}${settings.mountPath ?? ''}`
  const sessionSettings = sessionOptions(settings)
  const store = sessionSettings.store ?? new session.MemoryStore()
  const errors: OidcError[] = []
  const otherErrors: unknown[] = []
  const { protocol, port } = new URL(origin)
  const more = (settings.moreHosts ?? []).map((host) => `${protocol}//${host}:${port}${settings.mountPath ?? ''}`)
  const options = createOptions(settings, more.length === 0 ? baseUrl : [baseUrl, ...more])
  const auth = oidc(options)
  for (const handler of settings.before ?? []) app.use(handler)
  if (settings.bodyParser) app.use(asHandler(express.urlencoded({ extended: false })))
  if (settings.session !== false) app.use(asHandler(session({ ...sessionSettings, store })))
  for (const handler of settings.beforeOidc ?? []) app.use(handler)
  app.use(auth)
  for (const [path, handlers] of Object.entries({ ...defaultRoutes(), ...settings.routes })) {
    app.route(path, ...[handlers].flat())
  }
  app.useErrorHandler((error, _req, _res, next) => {
    if (error instanceof OidcError) errors.push(error)
    else otherErrors.push(error)
    next(error)
  })
  const answer = ERROR_HANDLERS[settings.errorHandler ?? 'page']()
  if (answer) app.useErrorHandler(answer)
  const records = (): Promise<Record<string, SessionData>> => readStore(store)
  const isLoggedIn = (record: object): boolean =>
    readOidcSession(record, { sessionKey: options.sessionKey ?? 'oidc' }) !== undefined
  return {
    origin,
    baseUrl,
    browser: () => createBrowser({ origin }),
    sessions: async () => Object.values(await records()).filter(isLoggedIn).length,
    records,
    store,
    errors,
    otherErrors,
    auth,
  }
}

/** The codes of what reached the error handlers, in order. */
export function codesOf({ errors }: TestApp): readonly ErrorCode[] {
  return errors.map(({ code }) => code)
}

/** The same answer, brought to another node of the application. */
export function atNode(answer: Navigation | undefined, { port }: TestApp): Navigation {
  const url = new URL(answer?.url ?? '')
  url.port = String(port)
  return { method: 'GET', ...answer, url: url.href }
}

/** What an app at this provider cannot do without, as long as it has no TLS. */
export function usualOptions(
  { issuer, clientId, clientSecret }: Registration,
  baseUrl: string | readonly string[],
): Options {
  const usual = { issuer, clientId, clientSecret, baseUrl, dangerouslyAllowInsecureRequests: true }
  return clientSecret.length < 32 ? { ...usual, secret: 'a secret for those whose own is short' } : usual
}

function createOptions({ provider, options }: AppOptions, baseUrl: string | readonly string[]): Options {
  if (options?.providers !== undefined) {
    const { issuer: _eachHasItsOwn, providers, ...shared } = options
    const secret = 'the secret of an app with several providers'
    return { baseUrl, secret, dangerouslyAllowInsecureRequests: true, ...shared, providers } as Options
  }
  const registration = { issuer: '', clientId: '', clientSecret: '', ...provider, ...definedIn(options) }
  const all = { ...usualOptions(registration, baseUrl), ...provider?.clientOptions, ...options }
  // What a test leaves out on purpose is for the library to find.
  return ('clientSecret' in all && all.clientSecret === '' ? withoutSecret(all) : all) as Options
}

function definedIn({ issuer, clientId, clientSecret }: Partial<AnyOptions> = {}): Partial<Registration> {
  const given = Object.entries({ issuer, clientId, clientSecret })
  return Object.fromEntries(given.filter(([, value]) => value !== undefined))
}

/** A public client has no secret, and an empty one is a fault. */
function withoutSecret({ clientSecret: _none, ...options }: object & { clientSecret?: unknown }): object {
  return options
}

function sessionOptions({ session: given, tls }: AppOptions): SessionOptions {
  const usual = { secret: 'the secret of the sessions of a test', resave: false, saveUninitialized: false }
  const behindProxy = tls ? { proxy: true, cookie: { secure: true } } : {}
  return { ...usual, ...behindProxy, ...(given === false ? {} : given) }
}

/** Middleware of Express, which runs in Connect too. */
function asHandler(middleware: express.RequestHandler): Handler {
  return middleware as unknown as Handler
}

const ERROR_HANDLERS: Record<NonNullable<AppOptions['errorHandler']>, () => ErrorHandler | undefined> = {
  page: () => errorPage({ development: false, log: () => {} }),
  json: () => (error, _req, res, next) => {
    if (error instanceof OidcError) sendJson(res, error.status, { error: error.code })
    else next(error)
  },
  default: () => undefined,
}

function readStore(store: Store): Promise<Record<string, SessionData>> {
  return new Promise((resolve, reject) => {
    if (!store.all) throw new Error('this store cannot be read')
    store.all((error, records) => {
      if (error) reject(error)
      else resolve(Object.fromEntries(Object.entries(records ?? {}).filter(([id]) => !isSharedRecord(id))))
    })
  })
}
