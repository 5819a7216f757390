import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import type { AnyOptions, AppOptions } from '../app/app.ts'
import { type Stand, startStandAt } from '../hostile/hostile.ts'
import { type StrictProvider, type StrictProviderOptions, startStrictProvider } from '../strict-provider/provider.ts'

/** What a module has otherwise than the rest of its plan. */
export interface ModuleSettings<Variant> {
  readonly variant?: Partial<Variant>
  readonly provider?: StrictProviderOptions
  readonly options?: Partial<AnyOptions>
  readonly app?: Omit<Partial<AppOptions>, 'options'>
}

/** The suite's provider, and a client as one would register it there. */
export interface VariantSettings {
  readonly provider: StrictProviderOptions
  readonly app: Partial<AppOptions>
}

/** One module on its way: a provider and a client of its own, so that no key and no metadata is known from before. */
export interface Run<Variant> extends Stand {
  readonly variant: Variant
  /** To be called where the suite would write FINISHED, or begin to wait for quiet: nothing may be asked after that. */
  end(): void
}

/** What the modules of one plan are acted out with. */
export interface Suite<Variant> {
  readonly variant: Variant
  start(settings?: ModuleSettings<Variant>): Promise<Run<Variant>>
  /** For a client that has to look for its provider first. */
  startProvider(settings?: ModuleSettings<Variant>): Promise<StrictProvider>
  startClient(provider: StrictProvider, settings?: ModuleSettings<Variant>): Promise<Run<Variant>>
}

/** Acts a module out, its end included. */
export type Module<Variant> = (suite: Suite<Variant>) => Promise<void>

export type Modules<Variant> = Readonly<Record<string, Module<Variant>>>

/** How the suite's provider and its client are, for each variant of a family of plans. */
export type SettingsFor<Variant> = (variant: Variant) => VariantSettings

interface Started<Variant> {
  readonly run: Run<Variant>
  /** How many requests there had been at the end. */
  requestsAtEnd: number | undefined
}

/** Starts providers and clients, and stops them after each module. */
function createSuite<Variant>(variant: Variant, settingsFor: SettingsFor<Variant>): Suite<Variant> {
  const providers: StrictProvider[] = []
  const started: Started<Variant>[] = []
  const variantFor = (settings?: ModuleSettings<Variant>): Variant => ({ ...variant, ...settings?.variant })

  afterEach(async () => {
    const [runs, ended] = [started.splice(0), providers.splice(0)]
    await Promise.all(runs.map(({ run }) => run.stop()))
    await Promise.all(ended.map((provider) => provider.stop()))
    for (const run of runs) assertQuiet(run)
  })

  async function startProvider(settings?: ModuleSettings<Variant>): Promise<StrictProvider> {
    const { provider: usual } = settingsFor(variantFor(settings))
    const provider = await startStrictProvider({ ...usual, ...settings?.provider })
    providers.push(provider)
    return provider
  }

  async function startClient(provider: StrictProvider, settings: ModuleSettings<Variant> = {}): Promise<Run<Variant>> {
    const { options, ...usual } = settingsFor(variantFor(settings)).app
    const app = { ...usual, ...settings.app, options: { ...options, ...settings.options } }
    const stand = await startStandAt(provider, app)
    // Held to it exactly, as whatever is registered is.
    provider.redirectUris = [`${stand.app.baseUrl}/callback`]
    const one: Started<Variant> = {
      requestsAtEnd: undefined,
      run: {
        ...stand,
        variant: variantFor(settings),
        end: () => {
          one.requestsAtEnd = provider.requests.length
        },
      },
    }
    started.push(one)
    return one.run
  }

  const start = async (settings?: ModuleSettings<Variant>): Promise<Run<Variant>> =>
    startClient(await startProvider(settings), settings)
  return { variant, start, startProvider, startClient }
}

/** A doubled slash, or whatever else there is nothing at, fails a module, and so does what comes after its end. */
function assertQuiet<Variant>({ run: { provider }, requestsAtEnd }: Started<Variant>): void {
  const asked = provider.requests.map(({ endpoint }) => endpoint)
  assert.deepEqual([provider.complaints, asked.slice(requestsAtEnd ?? 0)], [[], []])
}

/** One plan in one variant: a test for each of its modules, by its name. */
export function describePlan<Variant extends object>(
  plan: string,
  variant: Variant,
  names: readonly string[],
  { modules, settingsFor }: { readonly modules: Modules<Variant>; readonly settingsFor: SettingsFor<Variant> },
): void {
  describe(`${plan} ${JSON.stringify(variant)}`, () => {
    const suite = createSuite(variant, settingsFor)
    for (const name of names) {
      it(name, async () => {
        const act = modules[name]
        assert.ok(act, 'there is nothing that acts this module out')
        await act(suite)
      })
    }
  })
}
