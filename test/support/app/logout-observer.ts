import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { after, before, beforeEach } from 'node:test'
import type { ErrorCode, Events } from '../../../lib/index.ts'
import type { Browser } from '../browser/browser.ts'
import { type Answer, exchange } from '../browser/http-exchange.ts'
import type { TestApp } from './app.ts'

/** What is published of logouts while tests run: a provider that is refused gets no more than our text. */
export interface LogoutObserver {
  readonly errors: (ErrorCode | string)[]
  readonly logouts: Events['express-oidc:logout'][]
}

/** Observes with hooks, as new before each test. */
export function observeLogouts(): LogoutObserver {
  const seen: LogoutObserver = { errors: [], logouts: [] }
  const onError = (message: unknown): void => void seen.errors.push((message as Events['express-oidc:error']).code)
  const onLogout = (message: unknown): void => void seen.logouts.push(message as Events['express-oidc:logout'])
  before(() => {
    subscribe('express-oidc:error', onError)
    subscribe('express-oidc:logout', onLogout)
  })
  beforeEach(() => {
    seen.errors.length = 0
    seen.logouts.length = 0
  })
  after(() => {
    unsubscribe('express-oidc:error', onError)
    unsubscribe('express-oidc:logout', onLogout)
  })
  return seen
}

/** Where an app takes logout tokens. */
export function logoutUri({ baseUrl }: Pick<TestApp, 'baseUrl'>): string {
  return `${baseUrl}/backchannel-logout`
}

/** Posts as a server does: without cookies, without an origin, without fetch metadata. */
export function postAsServer(
  uri: string,
  body: string,
  headers: Readonly<Record<string, string>> = { 'content-type': 'application/x-www-form-urlencoded' },
): Promise<Answer> {
  return exchange({ method: 'POST', url: new URL(uri), headers, body })
}

/** What the provider calls the person and the session of a browser. */
export async function subjectOf(browser: Browser, app?: TestApp): Promise<{ sub: string; sid: string }> {
  const { claims } = (await browser.fetch(app ? `${app.baseUrl}/` : '/')).json()
  const { sub, sid } = Object(claims)
  return { sub: String(sub), sid: String(sid) }
}

export async function isIn(browser: Browser, app?: TestApp): Promise<boolean> {
  return (await browser.fetch(app ? `${app.baseUrl}/profile` : '/profile')).status === 200
}
