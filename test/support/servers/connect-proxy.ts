import { createServer, request } from 'node:http'
import { Agent, type AgentOptions, type RequestOptions } from 'node:https'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { type Listening, listen } from './http-server.ts'

/** A proxy that opens tunnels (RFC 9110 9.3.6), and nothing else. */
export interface ConnectProxy extends Listening {
  readonly url: string
  /** The hosts and ports that tunnels were requested to. */
  readonly tunnels: string[]
  /** False: the next tunnels are refused with 403. */
  isOpen: boolean
}

export async function startConnectProxy(): Promise<ConnectProxy> {
  const tunnels: string[] = []
  const sockets = new Set<Duplex>()
  const server = createServer((_, res) => res.writeHead(405).end())
  server.on('connect', ({ url = '' }, near, head) => {
    tunnels.push(url)
    sockets.add(near)
    near.on('error', () => undefined)
    if (!proxy.isOpen) {
      near.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
      return
    }
    const { hostname, port } = new URL(`tunnel://${url}`)
    const far: Socket = connect(Number(port), hostname, () => {
      near.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      far.write(head)
      near.pipe(far).pipe(near)
    })
    sockets.add(far)
    far.on('error', () => near.destroy())
    far.on('close', () => near.destroy())
    near.on('close', () => far.destroy())
  })
  const { port, stop } = await listen(server)
  const proxy = {
    port,
    url: `http://127.0.0.1:${port}`,
    tunnels,
    isOpen: true,
    async stop() {
      for (const socket of sockets) socket.destroy()
      await stop()
    },
  }
  return proxy
}

/** An agent that connects through a proxy, as those of packages such as `https-proxy-agent` do. */
export class ProxyAgent extends Agent {
  readonly #proxy: string

  constructor(proxy: string, options: AgentOptions) {
    super(options)
    this.#proxy = proxy
  }

  override createConnection(options: RequestOptions, done?: (error: Error | null, stream: Duplex) => void): undefined {
    const { host, port } = options
    const target = `${host}:${port}`
    const tunnel = request(this.#proxy, { method: 'CONNECT', path: target, headers: { host: target }, agent: false })
    const fail = (error: Error) => done?.(error, tunnel.socket as Duplex)
    tunnel.on('error', fail)
    tunnel.on('connect', ({ statusCode }, socket) => {
      if (statusCode !== 200) fail(new Error(`The proxy responds with ${statusCode}.`))
      else
        done?.(null, connectTls({ ...(options as object), socket, servername: String(host).replace(/^[\d.]+$/, '') }))
    })
    tunnel.end()
  }
}
