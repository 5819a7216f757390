import { createServer, type RequestListener } from 'node:http'
import express from 'express'
import session, { type Store } from 'express-session'
import { createBrowser } from '../test/support/browser/browser.ts'
import { type Listening, listen } from '../test/support/servers/http-server.ts'
import { type StrictProvider, startStrictProvider } from '../test/support/strict-provider/provider.ts'
import { fifteenClaims } from './claims.ts'

/** An app in which somebody has logged in. */
export interface LoggedInApp {
  readonly app: RequestListener
  /** The Cookie header of the person who is logged in. */
  readonly cookie: string
  /** The bytes that the session takes in its store. */
  readonly sessionBytes: number
}

type Build = (app: express.Express, baseUrl: string, provider: StrictProvider) => void

// By a name that tsc does not follow: what is measured is the built package, which need not be there to check types.
const BUILT: string = 'express-oidc'
const { oidc, requireAuth } = (await import(BUILT)) as typeof import('../lib/index.ts')

/** express-session alone, with a check in the handler that one writes oneself. */
export function startBareApp(store: Store): Promise<LoggedInApp> {
  return startLoggedIn(store, (app, _baseUrl, { issuer, clientId }) => {
    app.get('/', (_req, res) => res.end('hello'))
    app.get('/profile', (req, res) => {
      const user: unknown = Reflect.get(req.session, 'user')
      if (user) res.end(Reflect.get(user, 'name'))
      else res.redirect(`/login?returnTo=${encodeURIComponent(req.originalUrl)}`)
    })
    app.get('/login', (req, res) => {
      Object.assign(req.session, { user: fifteenClaims(issuer, clientId) })
      res.redirect('/profile')
    })
  })
}

/** The same with `oidc()` and `requireAuth()`. */
export function startOwnApp(store: Store): Promise<LoggedInApp> {
  return startLoggedIn(store, (app, baseUrl, { issuer, clientId, clientSecret }) => {
    app.use(oidc({ issuer, clientId, clientSecret, baseUrl, dangerouslyAllowInsecureRequests: true }))
    app.get('/', (_req, res) => res.end('hello'))
    app.get('/profile', requireAuth(), (req, res) => res.end(req.oidc.claims?.name))
  })
}

async function startLoggedIn(store: Store, build: Build): Promise<LoggedInApp> {
  const provider = await startStrictProvider()
  provider.change.idTokenClaims = ({ nonce }) => ({ ...fifteenClaims(provider.issuer, provider.clientId), nonce })
  const app = express()
  const listening = await listen(createServer(app))
  try {
    const baseUrl = `http://127.0.0.1:${listening.port}`
    app.use(session({ secret: 'only for benchmarks', resave: false, saveUninitialized: false, store }))
    build(app, baseUrl, provider)
    return { app, ...(await logIn(baseUrl, store)) }
  } finally {
    await stopAll(provider, listening)
  }
}

async function logIn(baseUrl: string, store: Store): Promise<Omit<LoggedInApp, 'app'>> {
  const browser = createBrowser({ origin: baseUrl })
  const page = await browser.open('/profile')
  if (page.body !== 'Ada Lovelace') throw new Error(`the login has failed: ${page.status}`)
  const cookie = browser.cookies('127.0.0.1').find(({ name }) => name === 'connect.sid')
  if (cookie === undefined) throw new Error('the login has left no session cookie')
  const [, id = ''] = /^s:([^.]+)/.exec(decodeURIComponent(cookie.value)) ?? []
  const held = await new Promise((resolve, reject) => {
    store.get(id, (error, data) => (error ? reject(error) : resolve(data)))
  })
  return { cookie: `connect.sid=${cookie.value}`, sessionBytes: Buffer.byteLength(JSON.stringify(held)) }
}

async function stopAll(...started: readonly Pick<Listening, 'stop'>[]): Promise<void> {
  await Promise.all(started.map((one) => one.stop()))
}
