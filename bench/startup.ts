import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Figure } from './report.ts'

/** The time from the first import to the answer to the first request, each in a new process. */
export async function measureStartup(starts: number): Promise<Figure> {
  const bare: number[] = []
  const ours: number[] = []
  for (let start = -1; start < starts; start++) {
    const [one, other] = [await timeOf('start-bare.js'), await timeOf('start-ours.js')]
    // The first of each reads from the disk.
    if (start < 0) continue
    bare.push(one)
    ours.push(other)
  }
  return { name: 'import to first answer', unit: 'ms', bare, ours, aim: { of: 'ratio', most: 1.3 } }
}

async function timeOf(file: string): Promise<number> {
  const child = fork(fileURLToPath(new URL(`apps/${file}`, import.meta.url)), { execArgv: [] })
  const exit = once(child, 'exit')
  const [milliseconds] = await once(child, 'message')
  child.disconnect()
  await exit
  return Number(milliseconds)
}
