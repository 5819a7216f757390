import { createServer, type Socket } from 'node:net'
import { createHttpClient } from '../../../lib/provider/http-client.ts'

// Run with --unhandled-rejections=strict: resets the connection at every byte position of a response, for GET and POST,
// on fresh and on reused connections, and prints what came of it. A promise without an owner ends the process.

const BODY = '{"keys":[]}'
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n'
const COMPLETE = `${HEAD}Content-Length: ${BODY.length}\r\n\r\n${BODY}`
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n${BODY.slice(0, 5)}\r\n6\r\n${BODY.slice(5)}\r\n0\r\n\r\n`

type Plan = 'complete' | 'silent' | { readonly response: string; readonly bytes: number }

/** What the next requests get. When the plan is used up, requests get a complete response. */
const plans: Plan[] = []
let requests = 0

function serve(socket: Socket): void {
  socket.on('error', () => undefined)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    const end = text.indexOf('\r\n\r\n')
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
    if (end < 0 || text.length < end + 4 + length) return
    text = ''
    requests += 1
    const plan = plans.shift() ?? 'complete'
    if (plan === 'silent') return
    if (plan === 'complete') socket.write(COMPLETE)
    else if (plan.bytes === 0) socket.resetAndDestroy()
    else socket.write(plan.response.slice(0, plan.bytes), () => setImmediate(() => socket.resetAndDestroy()))
  })
}

interface Outcome {
  readonly method: 'GET' | 'POST'
  readonly isReused: boolean
  readonly form: string
  readonly bytes: number
  readonly code: string
  readonly requests: number
}

const server = createServer(serve).listen(0, '127.0.0.1')
await new Promise((resolve) => server.once('listening', resolve))
const { port } = Object(server.address())
const url = `http://127.0.0.1:${port}/keys`

async function attempt(method: 'GET' | 'POST', isReused: boolean, form: string, bytes: number): Promise<Outcome> {
  const client = createHttpClient({ timeout: 5, fetch: undefined, dangerouslyAllowInsecureRequests: true })
  const send = () => client.request(url, { method, ...(method === 'POST' ? { body: 'grant_type=x' } : {}) })
  if (isReused) await send()
  const response = form === 'chunked' ? CHUNKED : COMPLETE
  // A needless retry gets no response: when the first request gives up, nobody owns the second.
  plans.push({ response, bytes }, ...(bytes === 0 ? [] : (['silent'] as const)))
  const before = requests
  const code = await send().then(
    ({ status }) => String(status),
    (error: unknown) => String(Object(error).code),
  )
  // Whatever was started too late has its chance to fail here.
  await new Promise((resolve) => setImmediate(resolve))
  plans.length = 0
  return { method, isReused, form, bytes, code, requests: requests - before }
}

const outcomes: Outcome[] = []
for (const method of ['GET', 'POST'] as const) {
  for (const isReused of [false, true]) {
    for (const [form, response] of Object.entries({ complete: COMPLETE, chunked: CHUNKED })) {
      for (let bytes = 0; bytes < response.length; bytes += 1) {
        outcomes.push(await attempt(method, isReused, form, bytes))
      }
    }
  }
}
server.close()
process.stdout.write(JSON.stringify(outcomes), () => process.exit(0))
