import { type IncomingHttpHeaders, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import { readBody } from '../servers/http-server.ts'
import { LOOPBACK_CERTIFICATE } from '../servers/tls-certificate.ts'

export interface Exchange {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly setCookies: readonly string[]
  readonly body: string
}

/**
 * One request and its whole answer. Every host name leads to 127.0.0.1, so that a test can use `app.example.test` and
 * nothing ever leaves the machine; over https our own certificate is trusted for all of them.
 */
export async function exchange({ method, url, headers, body }: Exchange): Promise<Answer> {
  const isHttps = url.protocol === 'https:'
  const settings = {
    host: '127.0.0.1',
    port: url.port || (isHttps ? 443 : 80),
    path: `${url.pathname}${url.search}`,
    method,
    headers: { host: url.host, ...headers, ...contentLength(method, body) },
    agent: false as const,
  }
  const sent = isHttps ? requestHttps({ ...settings, ...tlsSettings(url) }) : requestHttp(settings)
  return new Promise((resolve, reject) => {
    sent.on('error', reject)
    sent.setTimeout(60_000, () => sent.destroy(new Error(`no answer from ${url.origin} in a minute`)))
    sent.on('response', (answer) => {
      readBody(answer).then((text) => {
        const setCookies = answer.headers['set-cookie'] ?? []
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, setCookies, body: text })
      }, reject)
    })
    sent.end(body)
  })
}

function contentLength(method: string, body: string | undefined): Record<string, string> {
  if (body === undefined && (method === 'GET' || method === 'HEAD')) return {}
  return { 'content-length': String(Buffer.byteLength(body ?? '')) }
}

/** Made once: a new one for each request takes longer than the request. */
let trust: SecureContext | undefined

function tlsSettings(url: URL): object {
  const name = isIP(url.hostname) ? {} : { servername: url.hostname }
  trust ??= createSecureContext({ ca: LOOPBACK_CERTIFICATE.cert })
  return { ...name, secureContext: trust, checkServerIdentity: () => undefined }
}
