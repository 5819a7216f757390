import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Profiler } from 'node:inspector'
import { fileURLToPath } from 'node:url'
import type { Contender } from './contenders.ts'
import type { ProviderSettings } from './logged-in-app.ts'

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

/** A provider in a process of its own. */
export interface ChildProvider extends ProviderSettings {
  stop(): Promise<void>
}

const CLIENT = { clientId: 'benchmark', clientSecret: 'a-Secret_of.40-characters_0123456789abcd' }

/** @param who With `one user` each login is of the same user. */
export async function startProvider(
  who: 'each another user' | 'one user' = 'each another user',
): Promise<ChildProvider> {
  const child = forkChild('provider.ts', {
    CLIENT_ID: CLIENT.clientId,
    ...(who === 'one user' ? { ONE_USER: 'yes' } : {}),
  })
  return { ...CLIENT, issuer: await baseUrlOf(child), stop: () => end(child) }
}

/** Starts the app of one library. */
export async function startChildApp(contender: Contender, provider: ProviderSettings): Promise<ChildApp> {
  const child = forkChild('apps/serve.js', appEnvironment(contender, provider))
  const ask = async (question: string): Promise<unknown> => {
    child.send(question)
    const [answer] = await once(child, 'message')
    return answer
  }
  return {
    baseUrl: await baseUrlOf(child),
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

/** What the apps in processes of their own are told. */
export function appEnvironment({ url }: Contender, provider: ProviderSettings): Readonly<Record<string, string>> {
  return { APP: url, ISSUER: provider.issuer, CLIENT_ID: provider.clientId, CLIENT_SECRET: provider.clientSecret }
}

/** Runs a file of this folder. The apps are plain JavaScript, so that nothing but the app is in their process. */
export function forkChild(file: string, env: Readonly<Record<string, string>>): ChildProcess {
  const execArgv = file.endsWith('.ts') ? ['--import', 'tsx'] : []
  return fork(fileURLToPath(new URL(file, import.meta.url)), {
    execArgv,
    env: { ...process.env, NODE_ENV: 'production', ...env },
  })
}

async function baseUrlOf(child: ChildProcess): Promise<string> {
  const early = new AbortController()
  child.once('exit', () => early.abort(new Error('the process ended before it listened')))
  const [baseUrl] = await once(child, 'message', { signal: early.signal })
  return String(baseUrl)
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.kill()) await once(child, 'exit')
}
