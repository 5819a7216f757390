import { after, afterEach, before, beforeEach, mock } from 'node:test'
import { parseOptions } from '../../../lib/options/parse-options.ts'
import { createProviderFinder, type Provider } from '../../../lib/provider/provider.ts'
import { type AnyOptions, type AppOptions, startApp, type TestApp } from '../app/app.ts'
import { type Okta, startOkta } from './provider.ts'

export interface OktaStage {
  /** As new before each test. It is there while tests and hooks run, not while they are described. */
  readonly okta: Okta
  /** An app at one of Okta's servers, stopped after the test. */
  start(serverId: string, options?: Partial<AnyOptions>, settings?: Omit<AppOptions, 'options'>): Promise<TestApp>
  /** The provider as the library has it, for requests that no route makes by itself. */
  findProvider(serverId: string, options?: object): Promise<Provider>
}

/** An Okta-like provider for all tests of a file or a `describe`, and apps for each. Mocked time goes on after each. */
export function createOktaStage(): OktaStage {
  let okta: Okta | undefined
  const running: { stop(): Promise<void> }[] = []
  const current = (): Okta => {
    if (okta === undefined) throw new Error('nothing is there before the first test')
    return okta
  }
  before(async () => {
    okta = await startOkta()
  })
  after(() => okta?.stop())
  beforeEach(() => okta?.reset())
  afterEach(async () => {
    mock.timers.reset()
    await Promise.all(running.splice(0).map((one) => one.stop()))
  })
  return {
    get okta() {
      return current()
    },
    async start(serverId, options = {}, settings = {}) {
      const app = await startApp({ provider: registrationOf(current(), serverId), ...settings, options })
      running.push(app)
      return app
    },
    findProvider: (serverId, options) => findProvider(registrationOf(current(), serverId), options),
  }
}

async function findProvider({ issuer, clientId }: AppRegistration, options: object = {}): Promise<Provider> {
  const secret = 'what the cookies are sealed with, of 32 and more'
  const usual = { issuer, clientId, secret, baseUrl: 'http://127.0.0.1:1', dangerouslyAllowInsecureRequests: true }
  const [config] = parseOptions({ ...usual, ...options }).clients
  if (config === undefined) throw new Error('there is no provider in the options')
  return createProviderFinder(config)()
}

type AppRegistration = NonNullable<AppOptions['provider']>

/** What an app is told of the application at Okta. */
export function registrationOf(okta: Okta, serverId: string): AppRegistration {
  const { client_id: clientId, client_secret: clientSecret = '' } = okta.client
  return { issuer: okta.issuer(serverId), clientId, clientSecret }
}
