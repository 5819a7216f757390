import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, it, mock } from 'node:test'
import { inspect } from 'node:util'
import type { Express } from 'express'
import { ERROR_STATUS } from '../../../lib/error-codes.ts'
import type { ErrorCode, Handler, Request } from '../../../lib/index.ts'
import { type AppOptions, codesOf, startApp, type TestApp } from '../app/app.ts'
import { destroyRecords, isTokens } from '../app/records.ts'
import { share } from '../app/stage.ts'
import { isCallback } from '../app/url-predicates.ts'
import type { Browser, Navigation, OpenOptions, Page } from '../browser/browser.ts'
import type { Endpoint } from '../strict-provider/context.ts'
import { type StrictProvider, type StrictProviderOptions, startStrictProvider } from '../strict-provider/provider.ts'

/** One thing that is changed of a good answer, and the code, and status where it is not the usual one, of the refusal. */
export type Row<Change> = readonly [name: string, change: Change, code: ErrorCode, status?: number]

/** What an attacker plants wherever text goes. */
export const EVIL_HTML: string = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'

/** A provider, and an app that logs in there. */
export interface Stand {
  readonly provider: StrictProvider
  readonly app: TestApp
  /** Undoes what a row has changed, and forgets what it has left: sessions, errors, calls. */
  reset(): Promise<void>
  stop(): Promise<void>
}

export interface StandSettings {
  readonly provider?: StrictProviderOptions
  readonly app?: Partial<AppOptions>
}

/** A stand for all tests of a `describe`, reset before each. It is there while tests and hooks run. */
export function createStand(settings: StandSettings = {}): Stand {
  return shareStand(() => startStand(settings))
}

function shareStand(start: () => Promise<Stand>): Stand {
  const stand = share(start)
  beforeEach(() => stand().reset())
  afterEach(() => mock.timers.reset())
  return {
    get provider() {
      return stand().provider
    },
    get app() {
      return stand().app
    },
    reset: () => stand().reset(),
    stop: () => stand().stop(),
  }
}

/** A stand for one test: who starts it stops it. */
export async function startStand(settings: StandSettings = {}): Promise<Stand> {
  const provider = await startStrictProvider(settings.provider)
  const stand = await startStandAt(provider, settings.app)
  const stop = async (): Promise<void> => {
    await Promise.all([provider.stop(), stand.stop()])
  }
  return { ...stand, stop }
}

/** A new app at a provider that is there: one that knows nothing yet of its metadata and keys. */
export async function startStandAt(provider: StrictProvider, settings: Partial<AppOptions> = {}): Promise<Stand> {
  const app = await startApp({ provider, ...settings })
  return {
    provider,
    app,
    stop: app.stop,
    reset: async () => {
      provider.reset()
      app.errors.length = 0
      app.otherErrors.length = 0
      await destroyRecords(app)
    },
  }
}

/**
 * As it is in production with no error handler: Express shows no stack then, but prints every error. `printed` has those.
 */
export function createStandInProduction(host: 'express5' | 'express4'): { stand: Stand; printed: readonly unknown[] } {
  const printed: unknown[] = []
  before(() => void mock.method(console, 'error', (error: unknown) => void printed.push(error)))
  after(() => mock.restoreAll())
  return { stand: shareStand(() => startStandInProduction(host)), printed }
}

/** The environment is read before the first middleware runs, and so the first request is spent here. */
async function startStandInProduction(host: 'express5' | 'express4'): Promise<Stand> {
  const inProduction: Handler = (req, _res, next) => {
    // What Express has put on the request.
    const { app } = req as Request & { readonly app: Express }
    app.set('env', 'production')
    next()
  }
  const stand = await startStand({ app: { host, errorHandler: 'default', before: [inProduction] } })
  await stand.app.browser().open('/')
  return stand
}

/** A browser that has been at the provider and stands before the callback with a good answer. */
export interface Arrival {
  readonly browser: Browser
  readonly answer: Navigation
}

export async function arrive({ app }: Stand, browser: Browser = app.browser()): Promise<Arrival> {
  const page = await browser.open('/login?returnTo=/profile', { stopBefore: isCallback })
  assert.ok(page.next, `the provider sent nobody back: ${page.body}`)
  return { browser, answer: page.next }
}

/** The parameters of an answer, in the query, in the fragment or in the form. */
export function paramsOf({ url, fields }: Navigation): URLSearchParams {
  const { search, hash } = new URL(url)
  return new URLSearchParams(fields ?? (hash === '' ? search : hash.slice(1)))
}

/** The same answer with other parameters. */
export function withParams(answer: Navigation, params: URLSearchParams): Navigation {
  if (answer.fields) return { ...answer, fields: params }
  const url = new URL(answer.url)
  if (url.hash === '') url.search = String(params)
  else url.hash = String(params)
  return { ...answer, url: url.href }
}

/** Where an attack has ended. */
export interface Outcome {
  readonly browser: Browser
  readonly page: Page
}

/** A whole login, for changes at the provider. */
export async function logIn({ app }: Stand, how: OpenOptions = {}): Promise<Outcome> {
  const browser = app.browser()
  return { browser, page: await browser.open('/login?returnTo=/profile', how) }
}

export interface Refusal {
  readonly code: ErrorCode
  readonly status?: number | undefined
  /** How many requests these endpoints have got. None has gone to `/token` and `/userinfo` where nothing is said. */
  readonly calls?: Partial<Record<Endpoint, number>>
}

/** One test for each row: the attack ends in the code and status of the row, and in nothing else. */
export function testRefusals<Change>(
  rows: readonly Row<Change>[],
  stand: Stand,
  attack: (change: Change) => Promise<Outcome>,
  calls: Refusal['calls'] = {},
): void {
  for (const [name, change, code, status] of rows) {
    it(`refuses ${name}`, async () => {
      await assertRefused(stand, await attack(change), { code, status, calls })
    })
  }
}

/** The good answer logs in, so that what a row changes is the one thing that is refused. */
export async function assertLoggedIn({ app }: Stand, { browser, page }: Outcome): Promise<void> {
  assert.equal(page.status, 200, page.body)
  assert.deepEqual([page.url, await app.sessions()], [`${app.origin}/profile`, 1])
  assert.equal((await browser.fetch('/profile')).status, 200)
  assert.deepEqual([app.errors, app.otherErrors], [[], []])
}

/** The answer, the store, the browser, the provider and the error are as they have to be after a refusal. */
export async function assertRefused(stand: Stand, { browser, page }: Outcome, refusal: Refusal): Promise<void> {
  const { app, provider } = stand
  assert.deepEqual([codesOf(app), app.otherErrors], [[refusal.code], []])
  assert.equal(page.status, refusal.status ?? ERROR_STATUS[refusal.code])
  assert.deepEqual([page.headers['cache-control'], page.headers.location], ['no-store', undefined])
  assertHarmless(stand, page)
  await assertNobodyLoggedIn(app, browser)
  for (const [endpoint, count] of Object.entries({ '/token': 0, '/userinfo': 0, ...refusal.calls })) {
    assert.equal(Object.entries(provider.calls).find(([name]) => name === endpoint)?.[1], count, endpoint)
  }
}

export async function isLoggedIn(browser: Browser): Promise<unknown> {
  return (await browser.fetch('/')).json()['authenticated']
}

export async function assertNobodyLoggedIn(app: TestApp, browser: Browser): Promise<void> {
  const tokenRecords = Object.keys(await app.records()).filter(isTokens)
  assert.deepEqual([await app.sessions(), tokenRecords], [0, []])
  const profile = await browser.fetch('/profile')
  assert.deepEqual([profile.status, profile.json()['error']], [401, 'ERR_OIDC_LOGIN_REQUIRED'])
}

const STACK = /\bat (?:async |new )?[\w.<>]+ \(|\.ts:\d|\.js:\d|node:|node_modules/
/** A message may name a planted value, but only with its tags escaped. A page never does. */
const PLANTED_TAG = /<script>|<img/
const PLANTED = /<script>|alert\(|<img|onerror/
/** The beginning of every JWT: an object in base64url. Names and marks of ours are shorter. */
const TOKEN = /eyJ[\w-]{24}/

/** The answer shows no stack and nothing that was planted; neither it nor the errors, as a log has them, hold a secret. */
export function assertHarmless({ app, provider }: Stand, page: Page): void {
  const shown = `${JSON.stringify(page.headers)}\n${page.body}`
  assert.doesNotMatch(shown, STACK)
  const told = app.errors.map(({ message, headers }) => `${message} ${JSON.stringify(headers)}`).join('\n')
  assert.doesNotMatch(shown, PLANTED)
  assert.doesNotMatch(told, PLANTED_TAG)
  const logged = app.errors.map((error) => inspect(error, { depth: 10 })).join('\n')
  for (const text of [shown, logged]) {
    assert.doesNotMatch(text, TOKEN)
    assert.ok(!text.includes(provider.clientSecret), 'the client secret is shown')
    for (const { form, query } of provider.requests) assertNotShown(text, form, query)
    for (const accessToken of provider.accessTokens.keys()) assert.ok(!text.includes(accessToken), 'a token is shown')
  }
}

function assertNotShown(text: string, ...sources: readonly URLSearchParams[]): void {
  for (const name of ['code', 'code_verifier', 'state', 'nonce']) {
    for (const value of sources.flatMap((source) => source.getAll(name))) {
      assert.ok(value.length < 16 || !text.includes(value), `${name} is shown`)
    }
  }
}
