import { readSettings } from './settings.ts'
import { type Example, startExample } from './start.ts'

try {
  const example = await startExample(readSettings(process.env))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop(example))
  greet(example)
} catch (error) {
  console.error(`The example cannot start. ${explain(error)}`)
  process.exitCode = 1
}

function greet({ baseUrl, providers, isEmbedded, apiCommand }: Example): void {
  const column = (text: string): string => text.padEnd(28)
  const remark = isEmbedded ? '   (embedded; its sign-in page shows names and passwords)' : ''
  console.log(`${column('Harbourline Reports')}${baseUrl}`)
  for (const { title, issuer } of providers) console.log(`${column(title)}${issuer}${remark}`)
  if (apiCommand) console.log(`\nCall the API from another terminal, in this folder:\n  ${apiCommand}\n`)
  console.log('Stop with Ctrl+C.')
  console.log(`Ready: ${baseUrl}`)
}

async function stop(example: Example): Promise<void> {
  try {
    await example.close()
  } catch (error) {
    console.error(explain(error))
    process.exitCode = 1
  }
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (Reflect.get(error, 'code') !== 'EADDRINUSE') return error.message
  const port = Reflect.get(error, 'port')
  return `Port ${port} is in use: set PORT, PROVIDER_PORT and PARTNER_PORT to others, or to 0 for any free ones.`
}
