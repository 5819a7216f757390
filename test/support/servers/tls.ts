import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { listen } from './http-server.ts'
import { LOOPBACK_CERTIFICATE } from './tls-certificate.ts'

/** An https front before a plain http app, as a load balancer is. */
export interface TlsProxy {
  readonly port: number
  stop(): Promise<void>
}

/**
 * Listens with https on a free port of 127.0.0.1 and forwards to an app there, with `X-Forwarded-Proto`, `-Host` and
 * `-For`. Clients trust it with `ca: LOOPBACK_CERTIFICATE.cert`; our Browser does.
 */
export function startTlsProxy(targetPort: number): Promise<TlsProxy> {
  return listen(createServer(LOOPBACK_CERTIFICATE, (req, res) => forward(targetPort, req, res)))
}

function forward(port: number, req: IncomingMessage, res: ServerResponse): void {
  const headers = {
    ...req.headers,
    'x-forwarded-proto': 'https',
    'x-forwarded-host': req.headers.host ?? '',
    'x-forwarded-for': req.socket.remoteAddress ?? '',
  }
  const onward = request({ host: '127.0.0.1', port, path: req.url, method: req.method, headers, agent: false })
  onward.on('response', (answer) => {
    // The raw list keeps one Set-Cookie header for each cookie.
    res.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    answer.pipe(res)
  })
  onward.on('error', () => res.destroy())
  req.pipe(onward)
}
