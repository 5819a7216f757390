import http from 'node:http'
import https from 'node:https'
import type { LookupFunction, Socket } from 'node:net'
import type { Readable } from 'node:stream'
import * as tls from 'node:tls'
import { ConfigError } from '../errors.ts'
import type { Config } from '../options/config.ts'
import type { TimeLimit } from '../time/limit.ts'

export interface ConnectionSettings {
  /** The client's certificate in TLS (RFC 8705 2). */
  readonly tlsClientCertificate?: Config['tlsClientCertificate']
  /** The authorities that sign the server's certificate. Default: those that Node trusts. */
  readonly ca?: Config['ca']
  /** For https connections. Default: one of our own. */
  readonly agent?: https.Agent | undefined
  /** Resolves host names. Default: Node's own. */
  readonly lookup?: LookupFunction | undefined
  /** True if the server may also have a certificate of an authority that Node trusts, whatever `ca` names. */
  readonly trustsDefaultAuthorities?: boolean
  /** Ends a request after so many milliseconds without a byte. Default: never, because the limit of the request does so. */
  readonly inactivityTimeout?: number
}

/** A request as it is sent. */
export interface OutgoingRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | Readable | undefined
}

/**
 * Sends a request and waits for the head of its response. If the limit stops, so do both, and the connection is freed. A
 * GET is retried once, on a new connection, if the server had just closed the old one. A POST is never retried, because a
 * code must not be sent twice (RFC 6749 4.1.2).
 */
export interface Connections {
  (url: URL, request: OutgoingRequest, limit: Pick<TimeLimit, 'isStopped' | 'onStop'>): Promise<http.IncomingMessage>
  /** Closes the connections, except those of an agent that was given. A later request opens a new one. */
  close(): void
}

/** A little less than the five seconds after which Node's own servers and Apache close an idle connection. */
const IDLE_MILLISECONDS = 4000

/**
 * Connections over `node:http` and `node:https`. They stay open between requests, but do not keep the process alive. Throws
 * `ERR_OIDC_CONFIG` if certificate and key do not match.
 */
export function createConnections(settings: ConnectionSettings = {}): Connections {
  const { agent: given, lookup, inactivityTimeout } = settings
  const { agentFor, close } = createAgents(settings)
  const secureContext = secureContextOf(settings)
  const connection = {
    // A server that offers HTTP/2 alone then says so in TLS (RFC 7301 3.2), and does not answer in a language of its own.
    ALPNProtocols: ['http/1.1'],
    ...(lookup === undefined ? {} : { lookup }),
    // Set on each request, because an agent that was given does not have it.
    ...(secureContext === undefined ? {} : { secureContext }),
  }

  const send = (...[url, request, limit, isRetry]: [...Parameters<Connections>, boolean]): ReturnType<Connections> =>
    new Promise((resolve, reject) => {
      const { method, headers, body } = request
      const isHttps = url.protocol === 'https:'
      // A retry has a new connection, but never leaves the proxy or the authorities of an agent that was given.
      const agent = (isHttps ? given : undefined) ?? agentFor(isHttps, isRetry)
      const start = isHttps ? https.request : http.request
      const outgoing = start(url, { method, headers: { ...headers }, agent, ...connection })
      limit.onStop(() => outgoing.destroy())
      if (inactivityTimeout !== undefined) {
        outgoing.setTimeout(inactivityTimeout, () =>
          outgoing.destroy(new Error('The body or the head of the response did not go on in time.')),
        )
      }
      const hasReceived = watchReceived(outgoing)
      const failResponse = resolveWithResponse(outgoing, resolve)
      outgoing.on('error', (error) => {
        failResponse(error)
        const isClosedUnused = outgoing.reusedSocket && isReset(error) && !hasReceived()
        const isRepeatable = method === 'GET' && body === undefined
        // Only while this promise is pending: a retry that starts later would have no owner (N-1).
        if (!isRetry && isRepeatable && isClosedUnused && !limit.isStopped) resolve(send(url, request, limit, true))
        else reject(withoutPacket(error))
      })
      sendBody(outgoing, body)
    })

  const connections = (...call: Parameters<Connections>) => send(...call, false)
  return Object.assign(connections, { close })
}

/** Chooses the agent for a request: one that keeps connections, or, for a retry, one that does not reuse any. */
function createAgents({ lookup }: ConnectionSettings) {
  // Set if Node was told to use the proxies of the environment (NODE_USE_ENV_PROXY). Absent on versions that cannot do so.
  // An address that must be public is resolved here, and not by a proxy.
  const proxyEnv: unknown = lookup === undefined ? Reflect.get(https.globalAgent.options, 'proxyEnv') : undefined
  const proxy: http.AgentOptions & { proxyEnv?: unknown } = proxyEnv === undefined ? {} : { proxyEnv }
  const kept = { ...proxy, keepAlive: true, timeout: IDLE_MILLISECONDS }
  const agents = [
    [new http.Agent(kept), new http.Agent(proxy)],
    [new https.Agent(kept), new https.Agent(proxy)],
  ] as const
  return {
    agentFor: (isHttps: boolean, isRetry: boolean): http.Agent => agents[isHttps ? 1 : 0][isRetry ? 1 : 0],
    close(): void {
      for (const agent of agents.flat()) agent.destroy()
    },
  }
}

function sendBody(outgoing: http.ClientRequest, body: OutgoingRequest['body']): void {
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) outgoing.end(body)
  else {
    body.on('error', (error) => outgoing.destroy(error))
    outgoing.on('close', () => body.destroy())
    body.pipe(outgoing)
  }
}

/** Resolves with the head of the response. Returns the function that ends the body with an error of the connection. */
function resolveWithResponse(
  outgoing: http.ClientRequest,
  resolve: (incoming: http.IncomingMessage) => void,
): (error: Error) => void {
  let response: http.IncomingMessage | undefined
  outgoing.on('response', (incoming) => {
    response = incoming
    resolve(incoming)
  })
  // Without a listener Node closes the connection of a 101, and reports nothing.
  outgoing.on('upgrade', (incoming, socket) => {
    socket.destroy()
    resolve(incoming)
  })
  // Node takes a reset for the end of a body whose length the head does not say.
  return (error) => response?.destroy(error)
}

/** Returns a function that tells whether any byte of the response has arrived. */
function watchReceived(outgoing: http.ClientRequest): () => boolean {
  let socket: Socket | undefined
  let receivedBefore = 0
  outgoing.once('socket', (used) => {
    socket = used
    receivedBefore = used.bytesRead
  })
  return () => socket !== undefined && socket.bytesRead > receivedBefore
}

/** Created at the start, so that a wrong key does not show only at the first login. */
function secureContextOf(settings: ConnectionSettings): tls.SecureContext | undefined {
  const { tlsClientCertificate: certificate } = settings
  const ca = authoritiesOf(settings)
  if (certificate === undefined && ca === undefined) return undefined
  try {
    return tls.createSecureContext({
      ...(certificate === undefined ? {} : keyPairOf(certificate)),
      ...(ca === undefined ? {} : { ca }),
    })
  } catch {
    // The error of OpenSSL may hold parts of the key, so it is not the cause.
    throw new ConfigError(['tlsClientCertificate must have a cert and its key in PEM, and the passphrase if any.'])
  }
}

function keyPairOf({ cert, key, passphrase }: NonNullable<Config['tlsClientCertificate']>): tls.SecureContextOptions {
  return { cert: Buffer.from(cert), key: Buffer.from(key), ...(passphrase === undefined ? {} : { passphrase }) }
}

/** The authorities of the server's certificate; `undefined` for those that Node trusts. */
function authoritiesOf(settings: ConnectionSettings): tls.SecureContextOptions['ca'] {
  const { ca, tlsClientCertificate, agent, trustsDefaultAuthorities = false } = settings
  const own = [ca ?? tlsClientCertificate?.ca ?? []].flat()
  // A context replaces that of an agent. So it has the authorities of the agent, if it has none of its own.
  if (own.length === 0) return ca === undefined && tlsClientCertificate !== undefined ? agent?.options?.ca : undefined
  return [...own.map((pem) => Buffer.from(pem)), ...(trustsDefaultAuthorities ? defaultAuthorities() : [])]
}

/** Those of NODE_EXTRA_CA_CERTS are among them only from Node 22.15 on. */
function defaultAuthorities(): readonly string[] {
  const read: unknown = Reflect.get(tls, 'getCACertificates')
  return typeof read === 'function' ? read('default') : tls.rootCertificates
}

/** The code of an error that says that a server speaks HTTP/2 alone. */
export const HTTP2_ONLY = 'ERR_OIDC_HTTP2_ONLY'

function isReset(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET' || error.code === 'EPIPE'
}

/** Errors of the HTTP parser hold the bytes that it could not parse. They may be tokens, and errors are logged. */
function withoutPacket(error: NodeJS.ErrnoException & { rawPacket?: unknown }): Error {
  const isHttp2 = isProtocolAlert(error) || isSettingsFrame(error.rawPacket)
  Reflect.deleteProperty(error, 'rawPacket')
  return isHttp2
    ? Object.assign(new Error('The OpenID provider or API speaks HTTP/2 only.', { cause: error }), { code: HTTP2_ONLY })
    : error
}

/** RFC 7301 3.2: the alert no_application_protocol (120). Which code Node gives it depends on when it arrives. */
function isProtocolAlert({ code, message }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' || /\bSSL alert number 120\b/.test(message)
}

/** RFC 9113 3.4: a server begins an HTTP/2 connection with a frame of the type SETTINGS (4), without flags, of the stream 0. */
function isSettingsFrame(packet: unknown): boolean {
  return packet instanceof Uint8Array && Buffer.from(packet).toString('hex', 3, 9) === '040000000000'
}
