import { randomBytes } from 'node:crypto'
import express, { type ErrorRequestHandler, type Express } from 'express'
import { Provider } from 'oidc-provider'
import { serveAssets } from './assets.ts'
import { brokenOff, type Client, createConfiguration, SCOPES } from './provider/configuration.ts'
import type { Identity } from './provider/identities.ts'
import { createInteractions } from './provider/interactions.ts'
import { providerProblemPage } from './provider/pages.ts'
import { CrossOriginError, refuseOtherOrigins } from './same-origin.ts'
import { securityHeaders } from './security-headers.ts'
import { openServer } from './server.ts'

/** The settings of an embedded provider. */
export interface EmbeddedProviderOptions {
  readonly identity: Identity
  /** 0 takes any free port. */
  readonly port: number
  readonly host: string
  /** The app's origin as browsers see it. */
  readonly baseUrl: string
}

/** A running provider, and the client of the app there. */
export interface EmbeddedProvider {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Every scope that the provider supports. */
  readonly scope: string
  close(): Promise<void>
}

/** Starts an OpenID provider for development. It has one client, and new keys at each start. */
export async function startEmbeddedProvider(options: EmbeddedProviderOptions): Promise<EmbeddedProvider> {
  const { identity, port, host, baseUrl } = options
  const server = await openServer(port, host)
  const clientId = 'harbourline'
  const clientSecret = randomBytes(32).toString('base64url')
  // Each provider has its own callback, named after it.
  const callback = `/callback/${identity.name}`
  const client = { clientId, clientSecret, clientName: 'Harbourline Reports', baseUrl, callback }
  const provider = new Provider(server.origin, await createConfiguration(identity, client))
  server.serve(createPages(provider, identity, client))
  return { issuer: server.origin, clientId, clientSecret, scope: SCOPES.join(' '), close: server.close }
}

/** Our pages first, then the endpoints of oidc-provider. */
function createPages(provider: Provider, identity: Identity, client: Client): Express {
  const app = express()
  app.disable('x-powered-by')
  app.use(securityHeaders({ formTargets: [client.baseUrl], scripts: 'own', frames: 'none' }))
  app.use('/assets', serveAssets())
  app.use('/interaction', refuseOtherOrigins(provider.issuer))
  app.use(createInteractions(provider, identity, client.clientName))
  app.get('/', (_req, res) => res.redirect(303, client.baseUrl))
  app.use(provider.callback())
  const showBrokenOff: ErrorRequestHandler = (error, _req, res, next) => {
    if (res.headersSent) next(error)
    else {
      const status = error instanceof CrossOriginError ? error.status : 400
      res.status(status).send(providerProblemPage(identity, { ...brokenOff(client), status }))
    }
  }
  app.use(showBrokenOff)
  return app
}
