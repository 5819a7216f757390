import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, mock } from 'node:test'
import type { Browser } from '../browser/browser.ts'
import { type StrictProvider, type StrictProviderOptions, startStrictProvider } from '../strict-provider/provider.ts'
import { type AnyOptions, type AppOptions, startApp, type TestApp } from './app.ts'

export type AppSettings = Omit<Partial<AppOptions>, 'options'>

export interface StageSettings {
  readonly provider?: StrictProviderOptions
  /** What the apps are like where a test does not say otherwise. */
  readonly app?: AppSettings
}

/** A provider for all tests of a file or a `describe`, and apps for each one. */
export interface Stage {
  /** As new before each test, but for its keys. It is there while tests and hooks run, not while they are described. */
  readonly provider: StrictProvider
  /** An app at that provider. */
  start(options?: Partial<AnyOptions>, settings?: AppSettings): Promise<TestApp>
  /** An app and a browser in which somebody is logged in. */
  startLoggedIn(options?: Partial<AnyOptions>, settings?: AppSettings): Promise<{ app: TestApp; browser: Browser }>
  /** Another provider, for one test. */
  startOther(options?: StrictProviderOptions): Promise<StrictProvider>
  readonly stopLater: StopLater
}

interface Stoppable {
  stop(): Promise<void>
}

/** Has something stopped after the test, however that ends, and hands it back. */
export type StopLater = <Started extends Stoppable>(started: Started) => Started

/** Sets the stage with hooks: whatever is started on it is stopped after the test, and mocked time goes on. */
export function createStage(settings: StageSettings = {}): Stage {
  const provider = share(() => startStrictProvider(settings.provider))
  beforeEach(() => provider().reset())
  afterEach(() => mock.timers.reset())
  const stopLater = stopAfterEach()

  async function start(options: Partial<AnyOptions> = {}, own: AppSettings = {}): Promise<TestApp> {
    return stopLater(await startApp({ provider: provider(), ...settings.app, ...own, options }))
  }
  return {
    get provider() {
      return provider()
    },
    start,
    startLoggedIn: async (options, own) => {
      const app = await start(options, own)
      const browser = app.browser()
      const page = await browser.open(`${app.baseUrl}/profile`)
      assert.equal(page.status, 200, String(app.errors))
      return { app, browser }
    },
    startOther: async (options) => stopLater(await startStrictProvider(options)),
    stopLater,
  }
}

/** One thing for all tests of a file or a `describe`: started before the first, stopped after the last. */
export function share<Started extends Stoppable>(start: () => Promise<Started>): () => Started {
  let started: Started | undefined
  before(async () => {
    started = await start()
  })
  after(() => started?.stop())
  return () => {
    assert.ok(started, 'nothing is there before the first test, nor after its start has failed')
    return started
  }
}

/** For tests that start more than they share. */
export function stopAfterEach(): StopLater {
  const running: Stoppable[] = []
  afterEach(async () => {
    await Promise.all(running.splice(0).map((one) => one.stop()))
  })
  return (started) => {
    running.push(started)
    return started
  }
}
