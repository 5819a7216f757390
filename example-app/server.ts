import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that listens, and responds once `serve()` was called. */
export interface OpenServer {
  /** Its URL for a browser on this machine: `http://localhost:3000`. */
  readonly origin: string
  serve(listener: RequestListener): void
  close(): Promise<void>
}

// How long a stopping server waits for responses in progress, in milliseconds.
const PATIENCE = 1_000

/**
 * Listens before the app exists. App and provider need each other's URL, and with port 0 (any free port) a URL is known
 * only after listening.
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
