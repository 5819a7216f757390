import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import session, { type SessionData, type Store } from 'express-session'
import { createClient } from 'redis'
import type { AnyOptions, TestApp } from '../app/app.ts'
import { logoutUri, postAsServer } from '../app/logout-observer.ts'
import type { AppSettings, Stage } from '../app/stage.ts'
import { isCallback } from '../app/url-predicates.ts'
import type { Browser, Page } from '../browser/browser.ts'
import type { Answer } from '../browser/http-exchange.ts'
import { startRedis } from '../servers/redis.ts'
import { assertHarmless } from './hostile.ts'

export const REFRESH_SCOPE = 'openid profile email offline_access'

/** In milliseconds, on a machine that is busy with other tests: what hangs takes longer. */
const BOUND = 20_000

/** Somebody who is logged in at an app. */
export interface LoggedIn {
  readonly app: TestApp
  readonly browser: Browser
}

/** Resolves in time, or the test fails. */
export async function inTime<T>(work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const result = await work()
  assert.ok(performance.now() - startedAt < BOUND, 'it hangs')
  return result
}

/** Somebody whose access token is about to end, while refreshed ones live on. */
export async function startAged(
  stage: Stage,
  options: Partial<AnyOptions> = {},
  settings: AppSettings = {},
): Promise<LoggedIn> {
  stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
  return await stage.startLoggedIn({ scope: REFRESH_SCOPE, ...options }, settings)
}

/** A browser that stands before the callback with a good answer. */
export async function onItsWay({
  browser: open,
}: TestApp): Promise<{ readonly browser: Browser; readonly next: Page['next'] }> {
  const browser = open()
  const { next } = await browser.open('/profile', { stopBefore: isCallback })
  return { browser, next }
}

/** Posts a logout token, which need not be for the first time. */
export async function postToken(app: TestApp, token: string): Promise<Answer> {
  return await inTime(() => postAsServer(logoutUri(app), String(new URLSearchParams({ logout_token: token }))))
}

/** How many requests the token endpoint has got. */
export function tokenCalls({ provider }: Stage): number {
  return provider.calls['/token']
}

const SECRET_FIELDS = ['refresh_token', 'token', 'client_secret', 'client_assertion', 'code', 'code_verifier']

/** Nothing that a log gets of these errors, or a browser of these pages, is a secret. */
export function assertNoSecret({ provider }: Pick<Stage, 'provider'>, app: TestApp, ...pages: readonly Page[]): void {
  const nothing = async (): Promise<void> => undefined
  for (const page of pages) assertHarmless({ app, provider, reset: nothing, stop: nothing }, page)
  const logged = [...app.errors, ...app.otherErrors].map((error) => inspect(error, { depth: 10 })).join('\n')
  const sent = provider.requests.flatMap(({ form }) => SECRET_FIELDS.flatMap((name) => form.getAll(name)))
  for (const text of [...sent, ...provider.refreshTokens.keys(), ...provider.accessTokens.keys()]) {
    assert.ok(!logged.includes(text), 'a secret is in an error')
  }
}

/** A store over another one, of which each operation goes through one function. */
export class FaultyStore extends session.Store {
  readonly inner: Store = new session.MemoryStore()
  /** Calls `run` now, later, or never, or `fail` in its place. The name begins with the operation and has the id in it. */
  act: (name: string, run: () => void, fail: (error: Error) => void) => void = (_name, run) => run()

  get(id: string, done: (error: unknown, data?: SessionData | null) => void): void {
    this.act(`get ${id}`, () => this.inner.get(id, done), done)
  }
  set(id: string, data: SessionData, done: (error?: unknown) => void = () => undefined): void {
    this.act(`set ${id}`, () => this.inner.set(id, data, done), done)
  }
  destroy(id: string, done: (error?: unknown) => void = () => undefined): void {
    this.act(`destroy ${id}`, () => this.inner.destroy(id, done), done)
  }
  override touch(id: string, data: SessionData, done: (error?: unknown) => void = () => undefined): void {
    this.act(`touch ${id}`, () => this.inner.touch?.(id, data, done), done)
  }
  override all(done: (error: unknown, records?: SessionData[] | { [id: string]: SessionData } | null) => void): void {
    this.inner.all?.(done)
  }
  /** From now on it does its work. */
  heal(): void {
    this.act = (_name, run) => run()
  }
}

/** A client of node-redis that queues nothing, as docs/production.md has it, and is back within moments. */
export type RedisClient = ReturnType<typeof createClient>

export async function connectToRedis(path: string): Promise<RedisClient> {
  const client = createClient({ disableOfflineQueue: true, socket: { path, tls: false, reconnectStrategy: 20 } })
  client.on('error', () => undefined)
  return (await client.connect()) as RedisClient
}

export async function untilReady(client: RedisClient): Promise<void> {
  while (!client.isReady) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** A Redis that can die, and has all that it had when it is back. */
export interface MortalRedis {
  readonly client: RedisClient
  /** Ends the server at once. */
  die(): Promise<void>
  /** Starts it again, where it is gone. */
  revive(): Promise<void>
  stop(): Promise<void>
}

export async function startMortalRedis(): Promise<MortalRedis> {
  const redis = await startRedis('kept')
  const client = await connectToRedis(redis?.socketPath ?? '')
  return {
    client,
    async die() {
      await redis?.kill()
      // The client notices with its next command, if not before.
      await client.ping().catch(() => undefined)
    },
    async revive() {
      if (client.isReady) return
      await redis?.start()
      await untilReady(client)
    },
    async stop() {
      client.destroy()
      await redis?.stop()
    },
  }
}
