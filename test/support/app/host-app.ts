import { createServer, type Server } from 'node:http'
import connect from 'connect'
import express5 from 'express'
import express4 from 'express4'
import type { ErrorHandler, Handler } from '../../../lib/index.ts'
import type { Host } from './hosts.ts'

/** What the tests need of a framework, whichever it is. */
export interface HostApp {
  use(handler: Handler, path?: string): void
  useErrorHandler(handler: ErrorHandler): void
  /** Answers one path, whatever the method, through each handler in turn. */
  route(path: string, ...handlers: readonly Handler[]): void
  /** Puts this app below a path of an outer one of the same framework, and makes the server. */
  createServer(mountPath: string): Server
}

/** Express prints every error that it answers itself, unless its environment is `test`. Connect always does. */
export function createHostApp(host: Host, env = 'test'): HostApp {
  return host === 'connect' ? createConnectApp() : createExpressApp(host === 'express5' ? express5 : express4, env)
}

function createExpressApp(express: typeof express5, env: string): HostApp {
  const app = express().set('env', env)
  return {
    use: (handler, path = '/') => void app.use(path, handler),
    useErrorHandler: (handler) => void app.use(handler),
    // Not `app.all()`: that adds a layer for each of the thirty-odd methods, to every app of every test.
    route: (path, ...handlers) => void app.route(path).all(...handlers),
    createServer: (mountPath) => createServer(mountPath ? express().set('env', env).use(mountPath, app) : app),
  }
}

function createConnectApp(): HostApp {
  const app = connect()
  return {
    use: (handler, path = '/') => void app.use(path, handler),
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
