import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Options } from '../../../lib/index.ts'
import { type Browser, createBrowser } from '../browser/browser.ts'
import { type Listening, listen } from '../servers/http-server.ts'
import type { NodeSettings } from './cluster-node.ts'
import { modulePath, NODE_ARGS } from './project.ts'

/** Several processes of one application behind one address. */
export interface Cluster {
  /** Where browsers see it. */
  readonly origin: string
  browser(): Browser
  /** Ends one node and starts another in its place, while the others go on. */
  restart(index: number): Promise<void>
  /** Ends a node at once, in the middle of whatever it does. */
  kill(index: number): Promise<void>
  /** The node that got the last request. */
  lastNode(): number
  readonly size: number
  stop(): Promise<void>
}

interface Node {
  readonly child: ChildProcess
  readonly port: number
}

/**
 * Starts the nodes behind a proxy that sends each request to the next one in turn, whoever it is from. `options` are made
 * for the address of the proxy; they are sent to the processes as JSON.
 */
export async function startCluster(
  size: number,
  server: NodeSettings['server'],
  options: (origin: string) => Options,
): Promise<Cluster> {
  const nodes: (Node | undefined)[] = []
  const agent = new Agent({ keepAlive: true, maxSockets: 256, timeout: 2000 })
  let turn = 0
  let last = 0
  const proxy = createServer((req, res) => {
    const running = nodes.filter((node) => node !== undefined)
    const node = running[turn++ % running.length]
    last = nodes.indexOf(node)
    if (node === undefined) res.writeHead(503).end()
    else forward(req, res, node.port, agent)
  })
  const front: Listening = await listen(proxy)
  const origin = `http://127.0.0.1:${front.port}`
  const settings = JSON.stringify({ server, options: options(origin) } satisfies NodeSettings)
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node && end(node.child)))
    agent.destroy()
    await front.stop()
  }
  try {
    nodes.push(...(await Promise.all(Array.from({ length: size }, () => startNode(settings)))))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    origin,
    size,
    stop,
    browser: () => createBrowser({ origin }),
    lastNode: () => last,
    async restart(index) {
      const old = nodes[index]
      nodes[index] = undefined
      if (old !== undefined) await end(old.child)
      nodes[index] = await startNode(settings)
    },
    async kill(index) {
      const old = nodes[index]
      nodes[index] = undefined
      if (old === undefined) return
      old.child.kill('SIGKILL')
      await once(old.child, 'exit')
    },
  }
}

const NODE_PROGRAM = modulePath('test/support/app/cluster-node.ts')

async function startNode(settings: string): Promise<Node> {
  const child = fork(NODE_PROGRAM, [settings], {
    execArgv: [...NODE_ARGS],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const told = await Promise.race([once(child, 'message'), once(child, 'exit')])
  const port = Number(Reflect.get(Object(told[0]), 'port'))
  if (!(port > 0)) throw new Error('a node of the cluster did not start')
  return { child, port }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  if (child.connected) child.send('stop')
  else child.kill('SIGKILL')
  await exit
}

/** What a node leaves half said, because it ended, is a failure of the gateway. */
function forward(req: IncomingMessage, res: ServerResponse, port: number, agent: Agent): void {
  const outgoing = request({ host: '127.0.0.1', port, method: req.method, path: req.url, headers: req.headers, agent })
  outgoing.on('response', (incoming) => {
    res.writeHead(incoming.statusCode ?? 502, incoming.headers)
    incoming.pipe(res)
  })
  outgoing.on('error', () => {
    if (res.headersSent) res.destroy()
    else res.writeHead(502).end()
  })
  req.pipe(outgoing)
}
