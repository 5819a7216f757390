import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:http'
import { listen } from '../servers/http-server.ts'

/** A program that listens on `localhost`. */
export interface StartedApp {
  readonly origin: string
  stop(): Promise<void>
}

/** How to start a program. */
export interface AppCommand {
  readonly folder: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** What the test runner around these tells its children is not meant for the app of a reader. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(?:npm_|NODE_|CI$)/i.test(name)),
)

/** A port that was free just now, for code that names its port in two places. */
export async function freePort(): Promise<number> {
  const { port, stop } = await listen(createServer())
  await stop()
  return port
}

/** Starts a program of Node, and waits until it prints `Open http://localhost:…`. */
export function startApp({ folder, args, env }: AppCommand): Promise<StartedApp> {
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...ENVIRONMENT, ...env } })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let output = ''
  return new Promise((resolve, reject) => {
    const read = (chunk: unknown): void => {
      output += String(chunk)
      const [, origin] = /^Open (http:\/\/localhost:\d+)$/m.exec(output) ?? []
      if (origin !== undefined) resolve({ origin, stop: () => stop(child, ended) })
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('error', reject)
    void ended.then(() => reject(new Error(`The app has ended: ${output}`)))
  })
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.kill('SIGKILL')
  await ended
}
