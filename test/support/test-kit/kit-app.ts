import connect from 'connect'
import express from 'express'
import session, { type SessionOptions } from 'express-session'
import express4 from 'express4'
import { errorPage, type Handler, type Options, oidc, requireAuth, requireGroup } from '../../../lib/index.ts'
import type { TestProvider } from '../../../lib/testing.ts'

export const BASE_URL = 'http://localhost:3000'

/** The options of an app at a test provider. */
export function kitOptions(provider: TestProvider, more: object = {}): Options {
  return { ...provider.options, baseUrl: BASE_URL, ...more }
}

export interface KitAppSettings {
  readonly session?: SessionOptions | object
  readonly trustProxy?: boolean
}

/** An app as users write them. It listens nowhere. */
export function createKitApp(options: Options, settings: KitAppSettings = {}): express.Express {
  const app = express()
  if (settings.trustProxy) app.set('trust proxy', 1)
  app.set('env', 'test')
  app.use(session({ ...SESSION, ...settings.session }))
  app.use(oidc(options))
  app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
  app.get('/staff', requireGroup('staff'), (_req, res) => res.send('for the staff'))
  app.get(
    '/tokens',
    requireAuth().before(async (req, res) => {
      res.setHeader('Content-Type', 'application/json')
      res.end(JSON.stringify({ idToken: await req.oidc.idToken(), accessToken: await req.oidc.accessToken() }))
    }),
  )
  app.get('/open', (_req, res) => res.send('for everybody'))
  app.get('/loop', (_req, res) => res.redirect('/loop'))
  app.get('/away', (_req, res) => res.redirect('https://elsewhere.example.com/'))
  app.use(errorPage())
  return app
}

const SESSION = { secret: 'the secret of the sessions', resave: false, saveUninitialized: false }

/** The same with each framework. */
export const FRAMEWORKS = {
  'Express 5': createKitApp,
  'Express 4': (options: Options) => {
    const app = express4()
    app.use(session(SESSION) as unknown as express4.RequestHandler)
    app.use(oidc(options))
    app.get('/profile', requireAuth(), (req, res) => res.json(req.oidc.claims))
    return app
  },
  Connect: (options: Options) => {
    const app = connect()
    app.use(session(SESSION) as unknown as connect.NextHandleFunction)
    app.use(oidc(options) as connect.NextHandleFunction)
    app.use('/profile', requireAuth() as connect.NextHandleFunction)
    const profile: Handler = (req, res) => res.end(JSON.stringify(Reflect.get(req, 'oidc').claims))
    app.use('/profile', profile as connect.NextHandleFunction)
    return app
  },
} as const

/** `close()` is what users call; the tests of this repository stop things. */
export function stoppable(provider: TestProvider): TestProvider & { stop(): Promise<void> } {
  return { ...provider, stop: provider.close }
}
