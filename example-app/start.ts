import { createApp } from './app.ts'
import { startEmbeddedProvider } from './provider.ts'
import { openServer } from './server.ts'
import { connectSharedSessions } from './session-store.ts'
import type { RegisteredClient, Settings } from './settings.ts'

/** The example, running. */
export interface Example {
  /** Where browsers see the app. */
  readonly baseUrl: string
  readonly issuer: string
  /** Whether the provider is the embedded one. */
  readonly isEmbedded: boolean
  /** Stops the app, the embedded provider and the connection to the store. */
  close(): Promise<void>
}

/** Starts all that the settings ask for. When one part cannot start, those that did are stopped again. */
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
  try {
    const server = await start(openServer(settings.port, settings.host))
    const baseUrl = settings.baseUrl ?? server.origin
    const sessions = settings.redisUrl ? await start(connectSharedSessions(settings.redisUrl)) : undefined
    const client =
      settings.client ??
      (await start(startEmbeddedProvider({ port: settings.providerPort, host: settings.host, baseUrl })))
    const { sessionSecret } = settings
    server.serve(await createApp({ ...registration(client), baseUrl, sessionSecret, store: sessions?.store }))
    return { baseUrl, issuer: client.issuer, isEmbedded: settings.client === undefined, close }
  } catch (error) {
    await close()
    throw error
  }
}

function registration({
  issuer,
  clientId,
  clientSecret,
  scope,
}: RegisteredClient): Required<RegisteredClient> & { scope: string } {
  return { issuer, clientId, clientSecret, scope: scope ?? 'openid profile email' }
}
