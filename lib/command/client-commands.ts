import { OidcError } from '../errors.ts'
import {
  adviseOnClient,
  type ClientInformation,
  type ClientMetadata,
  deleteClient,
  listClients,
  registerClient,
  rotateClientSecret,
} from '../registration.ts'
import { type Arguments, textOf } from './arguments.ts'
import { readMembers } from './members.ts'
import { printedClient, printedClients, printedJson } from './printed.ts'
import { createRegistrar, findClient, keepClient, type Registrar, requireKeeping } from './registrar.ts'
import { type Terminal, UsageError } from './surroundings.ts'

/** `register`: a new client, kept before anything of it is printed. */
export async function registerCommand(given: Arguments, terminal: Terminal): Promise<void> {
  requireKeeping(given)
  const members = Object.entries(await readMembers(given.values)).filter(([, value]) => value !== null)
  const metadata: ClientMetadata = Object.fromEntries(members)
  const registrar = await createRegistrar(given, terminal)
  await prepareStore(registrar)
  if (isOkta(registrar)) for (const sentence of adviseOnClient(metadata)) terminal.warn(`advice: ${sentence}\n`)
  const client = await registerClient(registrar.endpoint, metadata)
  await keepClient(registrar, client, terminal)
  terminal.warn(`Registered${keptIn(registrar)}.\n`)
  terminal.print(printedClient(client, given.values))
}

/** `list`: all pages. */
export async function listCommand(given: Arguments, terminal: Terminal): Promise<void> {
  const { endpoint } = await createRegistrar(given, terminal)
  const query = textOf(given.values, 'query')
  const limit = textOf(given.values, 'limit')
  if (limit !== undefined && !/^[1-9]\d{0,3}$/.test(limit)) throw new UsageError('--limit must be a number from 1.')
  const clients: ClientInformation[] = []
  const options = {
    ...(query === undefined ? {} : { query }),
    ...(limit === undefined ? {} : { limit: Number(limit) }),
  }
  for await (const client of listClients(endpoint, options)) clients.push(client)
  terminal.print(printedClients(clients, given.values))
}

/** `delete`: at the provider first, then in the store. */
export async function deleteCommand(given: Arguments, terminal: Terminal): Promise<void> {
  const registrar = await createRegistrar(given, terminal)
  const client = await findClient(registrar, given, terminal)
  await deleteClient(registrar.endpoint, client)
  await registrar.place?.remove()
  terminal.warn('Deleted.\n')
  if (given.values['json'] === true) terminal.print(printedJson({ client_id: client.client_id }))
}

/** `rotate-secret`: the client is kept in any case, for its registration token may be new although the secret is not. */
export async function rotateSecretCommand(given: Arguments, terminal: Terminal): Promise<void> {
  requireKeeping(given)
  const registrar = await createRegistrar(given, terminal)
  const { client, isNew } = await rotateClientSecret(registrar.endpoint, await findClient(registrar, given, terminal))
  await keepClient(registrar, client, terminal)
  terminal.warn(`${isNew ? 'A new secret was given' : 'The secret is the same'}${keptIn(registrar)}.\n`)
  terminal.print(printedClient(client, given.values))
  if (!isNew) throw new OidcError('ERR_OIDC_REGISTRATION_SECRET', 'The provider gave no new secret.')
}

function keptIn({ place }: Registrar): string {
  return place === undefined ? '' : `, and kept in ${place.directory}`
}

/** A client that is made and cannot be kept is lost: so it is tried whether the store takes one. */
async function prepareStore({ place }: Registrar): Promise<void> {
  if (place === undefined) return
  if ((await place.read()) !== undefined) {
    throw new Error('There is a client in the store: update or delete it, or give this one another --provider name.')
  }
  await place.probe()
}

function isOkta({ endpoint }: Registrar): boolean {
  const { hostname } = new URL(endpoint.url)
  return endpoint.initialAccessTokenScheme === 'SSWS' || /\.okta(?:preview|-emea)?\.com$/.test(hostname)
}
