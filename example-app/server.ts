import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that listens already, and answers as soon as it is told how. */
export interface OpenServer {
  /** Where a browser on this machine finds it: `http://localhost:3000`. */
  readonly origin: string
  serve(listener: RequestListener): void
  close(): Promise<void>
}

// How long a stopping server waits for answers that are under way, in milliseconds.
const PATIENCE = 1_000

/**
 * Listens before there is anything to answer with: the app must know the provider's address and the provider the app's,
 * and with port 0 (any free port) neither is known before both listen.
 */
export async function openServer(port: number, host: string): Promise<OpenServer> {
  const server = createServer()
  server.listen(port, host)
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve).once('error', reject)
  })
  const address = server.address() as AddressInfo
  return {
    origin: `http://localhost:${address.port}`,
    serve: (listener) => {
      server.on('request', listener)
    },
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()))
        server.closeIdleConnections()
        setTimeout(() => server.closeAllConnections(), PATIENCE).unref()
      }),
  }
}
