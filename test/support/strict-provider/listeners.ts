import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type PeerCertificate, TLSSocket } from 'node:tls'
import { listen } from '../servers/http-server.ts'
import { LOOPBACK_CERTIFICATE } from '../servers/tls-certificate.ts'
import type { ShownCertificate } from './context.ts'

/** Where a provider is listened for. */
export interface Listeners {
  readonly origin: string
  /** Where client certificates are asked for; absent: nowhere. */
  readonly mtlsOrigin: string | undefined
  stop(): Promise<void>
}

/** Listens by http; with an authority for client certificates by https, and on another port with certificates. */
export async function startListeners(answer: RequestListener, clientAuthority: string | undefined): Promise<Listeners> {
  if (clientAuthority === undefined) {
    const { port, stop } = await listen(createServer(answer))
    return { origin: `http://localhost:${port}`, mtlsOrigin: undefined, stop }
  }
  const plain = await listen(createHttpsServer(LOOPBACK_CERTIFICATE, answer))
  // Whoever shows none, or one of nobody, is told so by the endpoints.
  const settings = { ...LOOPBACK_CERTIFICATE, requestCert: true, rejectUnauthorized: false, ca: clientAuthority }
  const mtls = await listen(createHttpsServer(settings, answer))
  return {
    origin: `https://localhost:${plain.port}`,
    mtlsOrigin: `https://localhost:${mtls.port}`,
    stop: async () => {
      await Promise.all([plain.stop(), mtls.stop()])
    },
  }
}

/** The certificate that came with a request. */
export function certificateOf({ socket }: IncomingMessage): ShownCertificate | undefined {
  if (!(socket instanceof TLSSocket)) return undefined
  const shown: Partial<PeerCertificate> = socket.getPeerCertificate()
  if (!shown.raw) return undefined
  return {
    thumbprint: createHash('sha256').update(shown.raw).digest('base64url'),
    subject: `CN=${shown.subject?.CN}`,
    isTrusted: socket.authorized,
    der: shown.raw,
  }
}

/** The port that a request came to. */
export function portOf({ socket }: IncomingMessage): number | undefined {
  return socket.localPort
}
