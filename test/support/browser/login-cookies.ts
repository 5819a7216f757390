import type { Browser } from './browser.ts'

/** Whether a cookie keeps a login on its way. */
export function isTransaction({ name }: { readonly name: string }): boolean {
  return /^(__Host-)?oidc-tx\./.test(name)
}

export const SESSION_COOKIE = 'connect.sid'

/** The value of a cookie, or nothing. */
export function cookieOf(browser: Browser, name: string = SESSION_COOKIE): string {
  return browser.cookies().find((cookie) => cookie.name === name)?.value ?? ''
}
