import { afterEach, beforeEach, mock } from 'node:test'
import type { NamedProviderOptions } from '../../../lib/options/provider-options.ts'
import { type StrictProvider, type StrictProviderOptions, startStrictProvider } from '../strict-provider/provider.ts'
import { type AnyOptions, startApp, type TestApp } from './app.ts'
import { type AppSettings, type StopLater, share, stopAfterEach } from './stage.ts'

/** Several providers for all tests of a file or a `describe`, and apps that know them all. */
export interface SeveralProviders<Name extends string> {
  /** As new before each test. */
  provider(name: Name): StrictProvider
  /** What an app is told of one of them. */
  optionsFor(name: Name): NamedProviderOptions
  /** An app at these providers, or at all. `options` go before. */
  start(options?: Partial<AnyOptions>, settings?: AppSettings, names?: readonly Name[]): Promise<TestApp>
  readonly stopLater: StopLater
}

/** Sets the stage with hooks: whatever is started on it is stopped after the test, and mocked time goes on. */
export function createSeveralProviders<Name extends string>(
  settings: Readonly<Record<Name, StrictProviderOptions>>,
): SeveralProviders<Name> {
  // The names of the settings, in their order.
  const all = Object.keys(settings) as Name[]
  const running = new Map(all.map((name) => [name, share(() => startStrictProvider(settings[name]))]))
  const stopLater = stopAfterEach()
  beforeEach(() => {
    for (const provider of running.values()) provider().reset()
  })
  afterEach(() => mock.timers.reset())

  function provider(name: Name): StrictProvider {
    const found = running.get(name)
    if (found === undefined) throw new Error('there is no such provider')
    return found()
  }

  function optionsFor(name: Name): NamedProviderOptions {
    const { issuer, clientId, clientSecret, clientOptions } = provider(name)
    return { issuer, clientId, clientSecret, ...clientOptions } as NamedProviderOptions
  }
  return {
    provider,
    optionsFor,
    start: async (options = {}, own = {}, names = all) => {
      const providers = Object.fromEntries(names.map((name) => [name, optionsFor(name)]))
      return stopLater(await startApp({ ...own, options: { providers, ...options } }))
    },
    stopLater,
  }
}
