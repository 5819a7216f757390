import { AuthorizationError, OidcError } from '../errors.ts'
import { type Next, type Request, type Response, wantsPage } from './request.ts'
import { escapeHtml, send } from './response.ts'

/** An error handler of Express or Connect: a function with four parameters. */
export type ErrorHandler = (error: unknown, req: Request, res: Response, next: Next) => void

/** What the user reads. It never repeats text of the provider, the request or the cause. */
interface Notice {
  readonly title: string
  readonly text: string
}

/**
 * Returns an error handler that explains a failed login or a denied request to the user. Browsers get a small page, scripts
 * get JSON. Both contain the error code, and nothing that the request or the provider sent.
 *
 * Mount it after your routes. You need it if you have no error page of your own. Other errors, and errors with status 500
 * (a mistake in the setup), go to the next error handler.
 *
 * @example
 * ```ts
 * app.use(errorPage())
 * ```
 */
export function errorPage(): ErrorHandler {
  // Express and Connect recognize an error handler by its four parameters.
  return function errorPage(error, req, res, next) {
    if (!(error instanceof OidcError) || error.status === 500 || res.headersSent) return next(error)
    for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value)
    const notice = noticeFor(error)
    if (!wantsPage(req)) return sendJson(res, error, notice)
    sendPage(res, error, notice, 'oidc' in req && canLogIn(req.oidc) ? req.oidc.loginUrl('/') : undefined)
  }
}

/** False behind `bearer()`, where there is no login page. */
function canLogIn(value: unknown): value is { loginUrl(returnTo: string): string } {
  return typeof value === 'object' && value !== null && 'loginUrl' in value && !('tokenType' in value)
}

function noticeFor(error: OidcError): Notice {
  if (error instanceof AuthorizationError && error.refusal.error === 'access_denied') {
    return {
      title: 'You are not signed in',
      text: 'The sign-in was cancelled, or your account is not allowed to use this application.',
    }
  }
  if (error.code.startsWith('ERR_OIDC_FORM_')) {
    return { title: 'Your form was not sent', text: 'Please open the page with the form again, and send it once more.' }
  }
  if (error.status === 403) return { title: 'No access', text: 'Your account is not allowed to open this page.' }
  if (error.status === 503 || error.status === 504) {
    return { title: 'Sign-in is temporarily unavailable', text: 'Please try again in a minute.' }
  }
  return { title: 'Sign-in failed', text: 'Please try again. If it fails again, contact us and quote the code below.' }
}

function sendJson(res: Response, error: OidcError, { text }: Notice): void {
  send(res, error.status, 'application/json', JSON.stringify({ error: error.code, message: text }))
}

function sendPage(res: Response, error: OidcError, { title, text }: Notice, retryUrl: string | undefined): void {
  res.setHeader('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
  const retry = retryUrl === undefined ? '' : `<p><a href="${escapeHtml(retryUrl)}">Try again</a></p>`
  send(
    res,
    error.status,
    'text/html',
    `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem}code{opacity:.7}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p>${text}</p>
${retry}
<p><code>${error.code}</code></p>
</main>
</body>
</html>
`,
  )
}
