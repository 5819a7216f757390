import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Profiler } from 'node:inspector'
import { fileURLToPath } from 'node:url'

/** A process of its own that serves something. */
export interface Child {
  readonly baseUrl: string
  stop(): Promise<void>
}

/** An app in a process of its own, whose CPU time is nobody else's. */
export interface ChildApp extends Child {
  /** CPU microseconds so far. */
  cpu(): Promise<number>
  startProfile(): Promise<void>
  stopProfile(): Promise<Profiler.Profile>
}

/** Starts a file of this folder that tells its address when it listens. */
export async function startChild(file: string, env: Readonly<Record<string, string>>): Promise<Child> {
  const { child, baseUrl } = await start(file, env)
  return { baseUrl, stop: () => end(child) }
}

/** Starts an app of `apps/`. */
export async function startChildApp(file: string, env: Readonly<Record<string, string>>): Promise<ChildApp> {
  const { child, baseUrl } = await start(`apps/${file}`, env)
  const ask = async (question: string): Promise<unknown> => {
    child.send(question)
    const [answer] = await once(child, 'message')
    return answer
  }
  return {
    baseUrl,
    stop: () => end(child),
    cpu: async () => {
      const { user, system } = (await ask('cpu')) as NodeJS.CpuUsage
      return user + system
    },
    startProfile: async () => {
      await ask('startProfile')
    },
    stopProfile: async () => (await ask('stopProfile')) as Profiler.Profile,
  }
}

async function start(
  file: string,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly child: ChildProcess; readonly baseUrl: string }> {
  // The apps are plain JavaScript, so that nothing but the app is in their process.
  const execArgv = file.endsWith('.ts') ? ['--import', 'tsx'] : []
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), { execArgv, env: { ...process.env, ...env } })
  const early = new AbortController()
  child.once('exit', () => early.abort(new Error(`${file} ended before it listened`)))
  const [baseUrl] = await once(child, 'message', { signal: early.signal })
  return { child, baseUrl: String(baseUrl) }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.kill()) await once(child, 'exit')
}
