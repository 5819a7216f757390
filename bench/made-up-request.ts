import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** A GET that never saw a network. */
export interface MadeUpRequest {
  readonly url: string
  /** By names in lower case, as the HTTP parser leaves them. */
  readonly headers: Readonly<Record<string, string>>
  /** What the response has to be. */
  readonly answer: 'page' | 'redirect'
}

const STATUSES: Readonly<Record<MadeUpRequest['answer'], readonly number[]>> = { page: [200], redirect: [302, 303] }

/** How many requests are under way at a time: stores answer later, and a busy server has others to serve meanwhile. */
const LANES = 20

/** Calls an app so many times, with Node's own request and response over sockets that discard what is written. */
export async function callApp(app: RequestListener, request: MadeUpRequest, times: number): Promise<void> {
  const lane = async (): Promise<void> => {
    const socket = discardingSocket()
    for (let call = 0; call < times / LANES; call++) await callOnce(app, request, socket)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

function callOnce(app: RequestListener, { url, headers, answer }: MadeUpRequest, socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const req = new IncomingMessage(socket)
    const res = new ServerResponse(req)
    req.method = 'GET'
    req.url = url
    req.httpVersion = '1.1'
    req.headers = { ...headers }
    req.complete = true
    req.push(null)
    res.assignSocket(socket)
    res.on('finish', () => {
      res.detachSocket(socket)
      if (STATUSES[answer].includes(res.statusCode)) resolve()
      else reject(new Error(`${url} was answered with ${res.statusCode}`))
    })
    app(req, res)
  })
}

/** As much of a socket as a response needs. */
function discardingSocket(): Socket {
  const duplex = new Duplex({
    read: () => {},
    write: (_chunk, _encoding, done) => done(),
    writev: (_chunks, done) => done(),
  })
  return duplex as unknown as Socket
}
