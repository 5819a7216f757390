import type { ClientInformation } from '../client-metadata.ts'
import type { Values } from './arguments.ts'

/** What is never printed unless it is asked for. */
const SECRETS: readonly string[] = ['client_secret', 'registration_access_token']

/** A client as it is printed: as JSON without its secrets, or as a table in which they are hidden. */
export function printedClient(client: ClientInformation, values: Values): string {
  const isShown = (name: string): boolean => values['show-secret'] === true || !SECRETS.includes(name)
  const members = Object.entries(client).filter(([name]) => name !== 'registeredAt')
  if (values['json'] === true) return printedJson(Object.fromEntries(members.filter(([name]) => isShown(name))))
  return printedTable(members.map(([name, value]) => [name, isShown(name) ? value : '******** (--show-secret)']))
}

/** Clients, one on each line, or as a list of JSON. */
export function printedClients(clients: readonly ClientInformation[], values: Values): string {
  const members = clients.map((client) => Object.entries(client).filter(([name]) => !SECRETS.includes(name)))
  if (values['json'] === true) return printedJson(members.map((list) => Object.fromEntries(list)))
  return printedTable(clients.map((client) => [client.client_id, client.client_name ?? '']))
}

/** A value as JSON. */
export function printedJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** Text of others for a terminal, which control characters could deceive or command. */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, ' ')
}

function printedTable(rows: readonly (readonly [name: string, value: unknown])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  const lines = rows.flatMap(([name, value]) =>
    wordsOf(value).map((word, index) => `${(index === 0 ? harmless(name) : '').padEnd(width)}  ${word}`),
  )
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}

function wordsOf(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.length > 0) return value.flatMap(wordsOf)
  return [harmless(typeof value === 'string' ? value : JSON.stringify(value))]
}
