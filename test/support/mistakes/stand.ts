import { createServer } from 'node:http'
import cookieSession from 'cookie-session'
import express, { type Express } from 'express'
import session, { type SessionOptions } from 'express-session'
import { type ErrorHandler, errorPage, type Options, oidc, requireAuth } from '../../../lib/index.ts'
import { createBrowser } from '../browser/browser.ts'
import { type Listening, listen } from '../servers/http-server.ts'
import type { TestProvider } from '../servers/provider.ts'

/** What a developer reads after one mistake. */
export interface Reading {
  /** All that is written to the console, by the library and by Express. */
  readonly console: string
  /** The body of the last page. Empty if the application did not start. */
  readonly page: string
  /** Where that page is. */
  readonly url: string
  readonly status: number
}

/** An application with one mistake in it. Each member replaces a line of the README's example. */
export interface Mistake {
  readonly options?: Readonly<Record<string, unknown>>
  readonly session?: Partial<SessionOptions>
  /** Mounts the parts itself. */
  readonly mount?: (app: Express, parts: Parts) => void
  /** Undefined: none. */
  readonly errorPage?: ErrorHandler | undefined
  /** What the application does after it has sent the page. */
  readonly until?: () => Promise<unknown>
  /** The page to open. */
  readonly path?: string
}

/** The lines of the README's example. */
export interface Parts {
  readonly sessions: express.RequestHandler
  readonly cookieSessions: express.RequestHandler
  readonly auth: () => ReturnType<typeof oidc>
}

/** Starts the application, opens the page, and returns what a developer then reads. */
export async function readAfter(provider: TestProvider, mistake: Mistake): Promise<Reading> {
  const written = captureConsole()
  const app = express().set('env', 'development')
  let listening: Listening | undefined
  try {
    listening = await listen(createServer(app))
    const origin = `http://127.0.0.1:${listening.port}`
    assemble(app, provider, origin, mistake)
    const page = await createBrowser({ origin }).open(mistake.path ?? '/profile')
    await mistake.until?.()
    // Express prints an error after it has sent the page.
    await new Promise(setImmediate)
    return { console: written(), page: page.body, url: page.url, status: page.status }
  } catch (error) {
    console.error(error)
    return { console: written(), page: '', url: '', status: 0 }
  } finally {
    written()
    await listening?.stop()
  }
}

function assemble(app: Express, provider: TestProvider, origin: string, mistake: Mistake): void {
  const { issuer, clientId, clientSecret } = provider
  const options = {
    ...{ issuer, clientId, clientSecret, baseUrl: origin, dangerouslyAllowInsecureRequests: true },
    ...mistake.options,
  } as Options
  const secret = 'the secret of the sessions of a test'
  const parts: Parts = {
    sessions: session({ secret, resave: false, saveUninitialized: false, ...mistake.session }),
    cookieSessions: cookieSession({ secret }),
    auth: () => oidc(options),
  }
  if (mistake.mount === undefined) app.use(parts.sessions, parts.auth())
  else mistake.mount(app, parts)
  app.get('/', (_req, res) => void res.send('home'))
  app.get('/profile', requireAuth(), (req, res) => void res.json(req.oidc.claims))
  if (!('errorPage' in mistake)) app.use(errorPage())
  else if (mistake.errorPage !== undefined) app.use(mistake.errorPage)
}

/**
 * Collects what is written to standard error. The function that it returns ends that, and returns the text. Standard output is
 * left alone: node:test reports on it.
 */
export function captureConsole(): () => string {
  const chunks: string[] = []
  const { write } = process.stderr
  process.stderr.write = (chunk: unknown) => chunks.push(String(chunk)) > 0
  return () => {
    process.stderr.write = write
    return chunks.join('')
  }
}
