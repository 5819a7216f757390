/*
 * For the scripts of your pages. It runs in the browser, so it imports nothing and uses no API of Node. What follows is
 * shipped as it is: test/whole/browser-module.test.ts keeps it small.
 */

/** Who is logged in, as `routes.user` responds. */
export interface User {
  /** The claims that the option `userClaims` selects. */
  readonly claims: Readonly<Record<string, unknown>>
  /** When the login expires if the user does nothing, in seconds since 1970. */
  readonly expiresAt: number
  /** Post a form to this path to log out. */
  readonly logoutUrl: string
}

/** Which route `onLogout()` requests, and how often. */
export interface LogoutOptions {
  /**
   * The path of `routes.user`.
   * @default '/user'
   */
  url?: string
  /**
   * How often a visible page checks, in seconds.
   * @default 60
   */
  every?: number
}

/** What the module uses of the page. The library is compiled without the types of browsers. */
interface BrowserPage {
  readonly location: URL & { assign(url: string): void }
  readonly document: EventTarget & { readonly hidden: boolean }
  addEventListener: EventTarget['addEventListener']
  removeEventListener: EventTarget['removeEventListener']
}

const page = globalThis as unknown as BrowserPage

/**
 * The global `fetch` for your own server. It sends the header `X-CSRF: 1`. If the login has expired, it sends the user to log
 * in and back to the same page, with query and fragment; the promise then stays pending, because the page is left. Requests
 * to other origins are not changed, and every other response is returned, also a 401 that is not about the login.
 *
 * @example
 * ```ts
 * import { fetch } from 'express-oidc/browser'
 *
 * const orders = await (await fetch('/api/orders')).json()
 * ```
 */
export async function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init)
  if (!isOwn(request.url)) return globalThis.fetch(request)
  request.headers.set('X-CSRF', '1')
  const response = await globalThis.fetch(request)
  const url = response.status === 401 && isOwn(response.url) ? await loginUrlOf(response.clone()) : undefined
  if (url === undefined) return response
  page.location.assign(url)
  return new Promise(() => {})
}

/**
 * Returns who is logged in, or `undefined` if nobody is. Rejects if the server does not say so. It does not keep the user
 * logged in: see the option `userExtendsSession`.
 *
 * @param url The path of `routes.user`.
 * @example
 * ```ts
 * import { user } from 'express-oidc/browser'
 *
 * const name = (await user('/user'))?.claims['name'] ?? 'visitor'
 * ```
 */
export async function user(url: string = '/user'): Promise<User | undefined> {
  const response = await globalThis.fetch(url, { headers: { 'X-CSRF': '1' } })
  if (response.status === 204 || response.status === 401) return undefined
  if (response.ok) return (await response.json()) as User
  throw new Error(`routes.user responded ${response.status}. Pass the path that the option has: user(path).`)
}

/**
 * Calls the listener once when the user who is logged in now no longer is: after a logout in another tab or at the provider,
 * when the login expires, and when another user logs in. It checks when the page becomes visible, when the browser shows it
 * again after "back", when the login should expire, and every minute while the page is visible.
 *
 * Returns a function that stops it.
 *
 * @example
 * ```ts
 * import { onLogout } from 'express-oidc/browser'
 *
 * onLogout(() => location.reload())
 * ```
 */
export function onLogout(listener: () => void, { url = '/user', every = 60 }: LogoutOptions = {}): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let known: string | undefined
  let isStopped = false

  async function check(): Promise<void> {
    clearTimeout(timer)
    // A server that does not respond says nothing about the login.
    const found = page.document.hidden ? null : await user(url).catch(() => null)
    if (isStopped) return
    const current = found === null ? known : found && String(found.claims['sub'])
    if (known !== undefined && current !== known) {
      stop()
      return listener()
    }
    known = current
    clearTimeout(timer)
    timer = setTimeout(check, 1000 * secondsUntilCheck(found?.expiresAt, every))
  }

  function stop(): void {
    isStopped = true
    clearTimeout(timer)
    page.document.removeEventListener('visibilitychange', check)
    page.removeEventListener('pageshow', check)
  }

  page.document.addEventListener('visibilitychange', check)
  page.addEventListener('pageshow', check)
  void check()
  return stop
}

/** Earlier if the login expires before. The clock of the browser may be wrong, so an expiry in the past does not count. */
function secondsUntilCheck(expiresAt: number = 0, every: number): number {
  const left = expiresAt - Date.now() / 1000
  return left > 0 && left < every ? left + 1 : every
}

function isOwn(url: string): boolean {
  return new URL(url).origin === page.location.origin
}

/** The address of the login in a response of our guards, with the page of this moment in `returnTo`. */
async function loginUrlOf(response: Response): Promise<string | undefined> {
  const { error, loginUrl } = Object(await response.json().catch(() => undefined))
  // An API behind a proxy may say anything: whatever follows a slash is at our own origin.
  if (!/^ERR_OIDC_/.test(error) || !/^\//.test(loginUrl)) return undefined
  const { origin, pathname, search, hash } = page.location
  const url = new URL(origin + loginUrl)
  url.searchParams.set('returnTo', pathname + search + hash)
  return url.href
}
