import { readClient, updateClient } from '../registration.ts'
import type { Arguments } from './arguments.ts'
import { readMembers } from './members.ts'
import { printedClient } from './printed.ts'
import { createRegistrar, findClient, keepClient, requireKeeping } from './registrar.ts'
import { type Terminal, UsageError } from './surroundings.ts'

/** `show`: as the provider has it; what it tells anew is kept (RFC 7592 2.1). */
export async function showCommand(given: Arguments, terminal: Terminal): Promise<void> {
  if (given.values['registration-client-uri'] !== undefined) requireKeeping(given)
  const registrar = await createRegistrar(given, terminal)
  const client = await readClient(registrar.endpoint, await findClient(registrar, given, terminal))
  await keepClient(registrar, client, terminal)
  terminal.print(printedClient(client, given.values))
}

/** `update`: reads the entry first, for an update replaces all of it. */
export async function updateCommand(given: Arguments, terminal: Terminal): Promise<void> {
  if (given.values['registration-client-uri'] !== undefined) requireKeeping(given)
  const changes = await readMembers(given.values)
  if (Object.keys(changes).length === 0) throw new UsageError('Nothing is to be changed: give --metadata or members.')
  const registrar = await createRegistrar(given, terminal)
  const before = await readClient(registrar.endpoint, await findClient(registrar, given, terminal))
  await keepClient(registrar, before, terminal)
  const client = await updateClient(registrar.endpoint, before, changes)
  await keepClient(registrar, client, terminal)
  terminal.warn('Updated.\n')
  terminal.print(printedClient(client, given.values))
}
