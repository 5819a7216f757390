import { fileClientStore } from '../lib/registration.ts'
import { createApp, type Registration } from './app.ts'
import { API_AUDIENCE } from './provider/accounts.ts'
import { FAIRHAVEN, HARBOURLINE, type Identity } from './provider/identities.ts'
import { startEmbeddedProvider } from './provider.ts'
import { openServer } from './server.ts'
import { connectSharedSessions } from './session-store.ts'
import type { RegisteredClient, Settings } from './settings.ts'

/** The running example. */
export interface Example {
  /** The app's origin as browsers see it. */
  readonly baseUrl: string
  /** How the app is registered: at two embedded providers, or at one other. */
  readonly providers: readonly Registration[]
  readonly isEmbedded: boolean
  /** A line for the terminal that calls the API with a token of an embedded provider. */
  readonly apiCommand: string | undefined
  /** Stops the app, the embedded providers and the connection to the store. */
  close(): Promise<void>
}

/** Starts all parts that the settings need. If one of them fails, the others are stopped. */
export async function startExample(settings: Settings): Promise<Example> {
  const parts: Array<{ close(): Promise<void> }> = []
  const close = async (): Promise<void> => {
    await Promise.all(parts.splice(0).map((part) => part.close()))
  }
  const start = async <Part extends { close(): Promise<void> }>(starting: Promise<Part>): Promise<Part> => {
    const part = await starting
    parts.push(part)
    return part
  }
  const embed = async (identity: Identity, port: number, baseUrl: string): Promise<Registration> => {
    const { issuer, clientId, clientSecret, scope } = await start(
      startEmbeddedProvider({ identity, port, host: settings.host, baseUrl }),
    )
    const { name, owner, title, mark, audience } = identity
    return { name, title: `${owner} ${title}`, mark, audience, issuer, scope, client: { clientId, clientSecret } }
  }
  try {
    const server = await start(openServer(settings.port, settings.host))
    const baseUrl = settings.baseUrl ?? server.origin
    const sessions = settings.redisUrl ? await start(connectSharedSessions(settings.redisUrl)) : undefined
    const { client, providerPort, partnerPort, sessionSecret, oidcSecret } = settings
    const providers: readonly [Registration, ...Registration[]] = client
      ? [registration(client)]
      : [await embed(HARBOURLINE, providerPort, baseUrl), await embed(FAIRHAVEN, partnerPort, baseUrl)]
    const [{ issuer }] = providers
    const audience = client ? client.apiAudience : API_AUDIENCE
    const apiCommand = client ? undefined : toApiCommand(baseUrl, issuer)
    const {
      app,
      auth,
      close: stopApp,
    } = createApp({
      ...{ providers, baseUrl, sessionSecret, oidcSecret, apiCommand },
      api: audience === undefined ? undefined : { issuer, audience },
      ...{ store: sessions?.store, sharedState: sessions?.sharedState },
    })
    parts.push({ close: async () => stopApp() })
    server.serve(app)
    // Fails now, not at the first login. The app must respond already: to register it, a provider may fetch its keys.
    await auth.ready()
    return { baseUrl, providers, isEmbedded: client === undefined, apiCommand, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** It gets a fresh token each time, so it contains no secret. */
function toApiCommand(baseUrl: string, issuer: string): string {
  const { port } = new URL(issuer)
  const token = `${port === '3001' ? '' : `PROVIDER_PORT=${port} `}npm run -s example:token`
  return `curl -H "Authorization: Bearer $(${token})" ${baseUrl}/api/v1/traffic`
}

/** The provider with the name `default` has the callback `/callback`. */
function registration({ issuer, scope, ...known }: RegisteredClient): Registration {
  const look = { name: 'default', title: new URL(issuer).host, mark: '/assets/mark.svg', audience: '' }
  return { ...look, issuer, scope: scope ?? 'openid profile email', client: clientOf(known) }
}

function clientOf(known: Omit<RegisteredClient, 'issuer' | 'scope' | 'apiAudience'>): Registration['client'] {
  const { clientId, clientSecret, clientStore, initialAccessToken } = known
  if (clientId !== undefined) return { clientId, ...(clientSecret && { clientSecret }) }
  const registration = { store: fileClientStore(clientStore), metadata: { client_name: 'Harbourline' } }
  return { registration: { ...registration, ...(initialAccessToken && { initialAccessToken }) } }
}
