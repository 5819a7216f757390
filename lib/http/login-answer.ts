import type { ErrorCode } from '../errors.ts'
import { isFramed, isHtmx, type Request, type Response } from './request.ts'
import { escapeHtml, send } from './response.ts'

/** What a request that is no navigation gets if it needs a login. */
interface LoginAnswer {
  readonly error: ErrorCode
  /** For the user. */
  readonly message: string
  /** Leads to the login and back to the page that the user is on. */
  readonly loginUrl: string
}

/**
 * Sends 401 with the login URL. A script gets JSON. htmx also gets `HX-Redirect`, which it follows by itself, whatever the
 * status. A frame gets a page with a link, because providers refuse to be framed.
 */
export function sendLoginAnswer(req: Request, res: Response, answer: LoginAnswer): void {
  if (isFramed(req)) {
    sendFramePage(res, answer)
    return
  }
  if (isHtmx(req)) res.setHeader('HX-Redirect', answer.loginUrl)
  send(res, 401, 'application/json', JSON.stringify(answer))
}

/** The policy is added to that of the application, which may say who can frame its pages: browsers obey both. */
function sendFramePage(res: Response, { message, loginUrl }: LoginAnswer): void {
  const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
  res.appendHeader('Content-Security-Policy', policy)
  send(
    res,
    401,
    'text/html',
    `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>Sign in</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;margin:1.5rem}</style>
</head>
<body>
<p>${escapeHtml(message)}</p>
<p><a href="${escapeHtml(loginUrl)}" target="_top">Sign in</a></p>
</body>
</html>
`,
  )
}
