import { createServer, type Server } from 'node:http'
import connect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import type { ErrorHandler, Handler } from '../../../lib/index.ts'
import type { Host } from './hosts.ts'

/** What the tests need of a framework, whichever it is. */
export interface HostApp {
  use(handler: Handler): void
  useErrorHandler(handler: ErrorHandler): void
  /** Answers one path, whatever the method, through each handler in turn. */
  route(path: string, ...handlers: readonly Handler[]): void
  /** Puts this app below a path of an outer one of the same framework, and makes the server. */
  createServer(mountPath: string): Server
}

export function createHostApp(host: Host): HostApp {
  return host === 'connect' ? createConnectApp() : createExpressApp(host === 'express5' ? express5 : express4)
}

function createExpressApp(express: typeof express5): HostApp {
  const app = quiet(express())
  return {
    use: (handler) => void app.use(handler),
    useErrorHandler: (handler) => void app.use(handler),
    // Not `app.all()`: that adds a layer for each of the thirty-odd methods, to every app of every test.
    route: (path, ...handlers) => void app.route(path).all(...handlers),
    createServer: (mountPath) => createServer(mountPath ? quiet(express()).use(mountPath, app) : app),
  }
}

/** Express prints every error that it answers itself, unless its environment is `test`. */
function quiet(app: express5.Express): express5.Express {
  return app.set('env', 'test')
}

function createConnectApp(): HostApp {
  const app = connect()
  return {
    use: (handler) => void app.use(handler),
    useErrorHandler: (handler) => void app.use(handler),
    // Connect matches the beginning of a path and cuts it off; a route matches the whole and leaves it as it is.
    route: (path, ...handlers) =>
      void app.use((req, res, next) => {
        if ((req.url ?? '/').split('?')[0] === path) runInTurn(handlers)(req, res, next)
        else next()
      }),
    createServer: (mountPath) => createServer(mountPath ? connect().use(mountPath, app) : app),
  }
}

function runInTurn([first, ...rest]: readonly Handler[]): Handler {
  return (req, res, next) => {
    if (!first) next()
    else first(req, res, (error) => (error === undefined ? runInTurn(rest)(req, res, next) : next(error)))
  }
}
