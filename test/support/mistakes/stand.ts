import cookieSession from 'cookie-session'
import session, { type SessionOptions } from 'express-session'
import { showFailure } from '../../../lib/console/failures.ts'
import {
  type ErrorHandler,
  errorPage,
  type Handler,
  OidcError,
  type Options,
  oidc,
  requireAuth,
} from '../../../lib/index.ts'
import { answerJson } from '../app/app-routes.ts'
import { createHostApp, type HostApp } from '../app/host-app.ts'
import type { Host } from '../app/hosts.ts'
import { createBrowser } from '../browser/browser.ts'
import { type Listening, listen, sendText } from '../servers/http-server.ts'
import type { TestProvider } from '../servers/provider.ts'

/** What a developer reads after one mistake. */
export interface Reading {
  /** All that is written to the console, by the library and by the framework. */
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
  readonly mount?: (app: HostApp, parts: Parts) => void
  /** Undefined: none. */
  readonly errorPage?: ErrorHandler | undefined
  /** What the application does after it has sent the page. */
  readonly until?: () => Promise<unknown>
  /** The page to open. */
  readonly path?: string
}

/** The lines of the README's example. */
export interface Parts {
  readonly sessions: Handler
  readonly cookieSessions: Handler
  readonly auth: () => ReturnType<typeof oidc>
}

/** Starts the application, opens the page, and returns what a developer then reads. */
export async function readAfter(provider: TestProvider, mistake: Mistake, host: Host): Promise<Reading> {
  const written = captureConsole()
  const app = createHostApp(host, 'development')
  let listening: Listening | undefined
  try {
    listening = await listen(app.createServer(''))
    const origin = `http://127.0.0.1:${listening.port}`
    assemble(app, provider, origin, mistake)
    const page = await createBrowser({ origin }).open(mistake.path ?? '/profile')
    await mistake.until?.()
    // The framework prints an error after it has sent the page.
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

function assemble(app: HostApp, provider: TestProvider, origin: string, mistake: Mistake): void {
  const { issuer, clientId, clientSecret } = provider
  const options = {
    ...{ issuer, clientId, clientSecret, baseUrl: origin, dangerouslyAllowInsecureRequests: true },
    ...mistake.options,
  } as Options
  const secret = 'the secret of the sessions of a test'
  const parts: Parts = {
    // Middleware of Express, which runs in Connect too.
    sessions: session({ secret, resave: false, saveUninitialized: false, ...mistake.session }) as unknown as Handler,
    cookieSessions: cookieSession({ secret }) as unknown as Handler,
    auth: () => oidc(options),
  }
  const { mount = mountUsual } = mistake
  mount(app, parts)
  app.route('/', (_req, res) => sendText(res, 200, 'text/plain', 'home'))
  app.route(
    '/profile',
    requireAuth(),
    answerJson(({ oidc }) => oidc.claims),
  )
  const handler = 'errorPage' in mistake ? mistake.errorPage : errorPage()
  if (handler !== undefined) app.useErrorHandler(handler)
}

/** Mounts the session and `oidc()` as in the README. */
export function mountUsual(app: HostApp, { sessions, auth }: Parts): void {
  app.use(sessions)
  app.use(auth())
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

/** The console of a process explains a failure once, and remembers 100. So 100 others make it forget the failures before. */
export function forgetFailures(): void {
  const written = captureConsole()
  for (let i = 0; i <= 100; i += 1) showFailure(new OidcError('ERR_OIDC_CONFIG', `Another failure: ${i}.`))
  written()
}
