import { isDevelopment } from '../console/environment.ts'
import { showFailure } from '../console/failures.ts'
import { OidcError, StepUpError } from '../errors.ts'
import { answerDenial, type ContextRequest } from './denial.ts'
import { developerPage } from './developer-page.ts'
import { createReference, describeForLog, type ErrorLogEntry, writeLogLine, writeUnlogged } from './error-log.ts'
import { type ErrorNotice, noticeFor } from './error-notice.ts'
import { PAGE_STYLE, type Page, sendPage, setPagePolicy } from './page.ts'
import { type Next, type Request, type Response, wantsPage } from './request.ts'
import { escapeHtml, send } from './response.ts'
import type { WayOn } from './way-on.ts'

export type { ErrorLogEntry } from './error-log.ts'

/** An error handler of Express or Connect: a function with four parameters. */
export type ErrorHandler = (error: unknown, req: Request, res: Response, next: Next) => void

/** What a page about a failure can show. It holds no text of the provider, the request or the error. */
export interface ErrorView extends ErrorNotice {
  readonly status: number
  /** The error code, for a text of your own. */
  readonly code: string
  /** What the log has too. Show it: users quote it when they ask for help. */
  readonly reference: string
}

/** The options of {@link errorPage}. */
export interface ErrorPageOptions {
  /**
   * Receives each failure, for example to pass it to the logger of the application. Called with the data for the log, and with
   * the error itself. If it throws or rejects, the failure is written to standard error instead.
   * @default one line of JSON on standard error, and in development a readable block
   */
  log?: (entry: ErrorLogEntry, error: OidcError) => unknown
  /**
   * Returns the HTML of the page, or a promise of it, in the language and look of the application. Escape what you insert. To
   * allow your style sheets, set the header `Content-Security-Policy` on `res`. If it throws, the user gets the usual page.
   */
  render?: (view: ErrorView, req: Request, res: Response) => string | Promise<string>
  /**
   * True shows everything that the developer needs on the page, false what users see. Set it to false if you want to look at
   * `render` during development.
   * @default true, unless `NODE_ENV` is `production`
   */
  development?: boolean
}

/**
 * Returns an error handler for all errors of this library: failed logins, denied requests, and mistakes in the setup. Browsers
 * get a small page, scripts get JSON.
 *
 * In production, the page says what the user can do, and has the error code, a reference and a link that leads on. The log gets
 * one line with the same reference and everything else. In development, the page and the console say what was wrong, with which
 * value, and what to do.
 *
 * A `StepUpError` sends the user to log in once more, or answers a script with 401 and the login URL.
 *
 * Mount it after your routes. You need it if you have no error page of your own. Errors that are not of this library go to the
 * next error handler.
 *
 * @example
 * ```ts
 * app.use(errorPage())
 * ```
 * @example
 * ```ts
 * app.use(errorPage({ log: (entry) => console.info(entry.reference, entry.code, entry.message) }))
 * ```
 */
export function errorPage({ log, render, development = isDevelopment() }: ErrorPageOptions = {}): ErrorHandler {
  const write = log ?? (development ? showInDevelopment : writeLogLine)
  // Express and Connect recognize an error handler by its four parameters.
  return function errorPage(reason, req, res, next) {
    const error = development ? explainMissingContext(reason, req) : reason
    if (!(error instanceof OidcError) || res.headersSent) return next(reason)
    for (const name of BODY_HEADERS) res.removeHeader(name)
    if (error instanceof StepUpError && hasSessionLogin(req)) return answerDenial(req, res, next, error)
    const reference = createReference()
    void writeLog(write, describeForLog(error, req, reference), error)
    respond(error, reference, req, res, { render, development })
  }
}

/**
 * What a handler may have said of its own response before it failed. With it, browsers would download the error page as a
 * file, or could not decode it.
 */
const BODY_HEADERS = [
  ...['Content-Disposition', 'Content-Encoding', 'Content-Language', 'Content-Range', 'ETag', 'Last-Modified'],
] as const

/**
 * A log that fails takes neither the page from the user nor the failure from the operator. Never rejects: that would end the
 * process.
 */
async function writeLog(
  write: NonNullable<ErrorPageOptions['log']>,
  entry: ErrorLogEntry,
  error: OidcError,
): Promise<void> {
  try {
    await write(entry, error)
  } catch (reason) {
    writeUnlogged(entry, reason)
  }
}

/** True if the user can log in again, and come back with a stronger login. */
function hasSessionLogin(req: Request): req is ContextRequest {
  const oidc: unknown = Reflect.get(req, 'oidc')
  return Reflect.get(Object(oidc), 'authenticatedBy') === 'session'
}

function respond(
  error: OidcError,
  reference: string,
  req: Request,
  res: Response,
  { render, development }: { readonly render: ErrorPageOptions['render']; readonly development: boolean },
): void {
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value)
  const { status, code } = error
  const view = { ...noticeFor(error, wayOnOf(req)), status, code, reference }
  if (!wantsPage(req)) sendJson(res, view)
  else if (development) sendPage(res, status, developerPage(error, view))
  else if (render === undefined) sendPage(res, status, usualPage(view))
  else void sendRendered(render, view, req, res)
}

function showInDevelopment(_entry: ErrorLogEntry, error: OidcError): void {
  showFailure(error)
}

/** Undefined behind `bearer()`, and if `oidc()` has not handled the request. */
function wayOnOf(req: Request): WayOn | undefined {
  const oidc: unknown = Reflect.get(req, 'oidc')
  return hasWayOn(oidc) ? oidc.wayOn() : undefined
}

function hasWayOn(value: unknown): value is { wayOn(): WayOn } {
  return typeof value === 'object' && value !== null && 'wayOn' in value
}

/** What V8 says if a handler that is mounted before `oidc()` reads a member of `req.oidc`. */
const MISSING_CONTEXT =
  /^Cannot (?:read|destructure) propert.*'(?:isAuthenticated|authenticatedBy|provider|claims|scope|expiresAt|loginUrl|meets|login|logout|tokens|idToken|accessToken|fetch|userinfo)'/

function explainMissingContext(reason: unknown, req: Request): unknown {
  if (!(reason instanceof TypeError) || 'oidc' in req || !MISSING_CONTEXT.test(reason.message)) return reason
  return new OidcError(
    'ERR_OIDC_NOT_MOUNTED',
    'A handler reads req.oidc, but oidc() has not handled this request. Mount app.use(oidc({ ... })) before this handler.',
    { cause: reason },
  )
}

function sendJson(res: Response, { status, code, text, reference }: ErrorView): void {
  send(res, status, 'application/json', JSON.stringify({ error: code, message: text, reference }))
}

/** Never rejects. */
async function sendRendered(
  render: NonNullable<ErrorPageOptions['render']>,
  view: ErrorView,
  req: Request,
  res: Response,
): Promise<void> {
  setPagePolicy(res, "'unsafe-inline'")
  try {
    const html = await render(view, req, res)
    if (!res.headersSent) send(res, view.status, 'text/html', html)
  } catch {
    if (!res.headersSent) sendPage(res, view.status, usualPage(view))
  }
}

function usualPage({ title, text, link, code, reference }: ErrorView): Page {
  const lines = [
    `<h1>${escapeHtml(title)}</h1>`,
    `<p>${escapeHtml(text)}</p>`,
    ...(link === undefined ? [] : [`<p><a href="${escapeHtml(link.href)}">${escapeHtml(link.text)}</a></p>`]),
    `<p><small>Reference <code>${reference}</code>, <code>${code}</code></small></p>`,
  ]
  return { style: PAGE_STYLE, title, body: lines.join('\n') }
}
