import { readFile } from 'node:fs/promises'
import { OidcError } from '../errors.ts'
import type { ClientInformation, RegisteredClient } from '../options/registration-options.ts'
import { fileClientStore } from '../registration/file-client-store.ts'
import { clientKey } from '../registration/own-client.ts'
import {
  adviseOnClient,
  type ClientMetadata,
  deleteClient,
  findRegistrationEndpoint,
  listClients,
  type RegistrationEndpoint,
  readClient,
  registerClient,
  rotateClientSecret,
  updateClient,
} from '../registration.ts'
import { type Arguments, readMembers, type Terminal, textOf, UsageError, type Values } from './arguments.ts'
import { escapeForTerminal, formatClient, printedClients, printedJson } from './output.ts'

/** `register`: a new client, kept before anything of it is printed. */
export async function registerCommand(given: Arguments, terminal: Terminal): Promise<void> {
  requireStore(given)
  const members = Object.entries(await readMembers(given.values)).filter(([, value]) => value !== null)
  const metadata: ClientMetadata = Object.fromEntries(members)
  const registrar = await createRegistrar(given, terminal)
  await prepareStore(registrar)
  if (isOkta(registrar)) for (const sentence of adviseOnClient(metadata)) terminal.warn(`advice: ${sentence}\n`)
  const client = await registerClient(registrar.endpoint, metadata)
  await keepClient(registrar, client, terminal)
  terminal.warn(`Registered${keptIn(registrar)}.\n`)
  terminal.print(formatClient(client, given.values))
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
  requireStore(given)
  const registrar = await createRegistrar(given, terminal)
  const { client, isNew } = await rotateClientSecret(registrar.endpoint, await findClient(registrar, given, terminal))
  await keepClient(registrar, client, terminal)
  terminal.warn(`${isNew ? 'A new secret was given' : 'The secret is the same'}${keptIn(registrar)}.\n`)
  terminal.print(formatClient(client, given.values))
  if (!isNew) throw new OidcError('ERR_OIDC_REGISTRATION_SECRET', 'The provider gave no new secret.')
}

function keptIn({ place }: CommandContext): string {
  return place === undefined ? '' : `, and kept in ${place.directory}`
}

/** A client that is made and cannot be kept is lost: so it is tried whether the store takes one. */
async function prepareStore({ place }: CommandContext): Promise<void> {
  if (place === undefined) return
  if ((await place.read()) !== undefined) {
    throw new Error('There is a client in the store: update or delete it, or give this one another --provider name.')
  }
  await place.probe()
}

function isOkta({ endpoint }: CommandContext): boolean {
  const { hostname } = new URL(endpoint.url)
  return endpoint.initialAccessTokenScheme === 'SSWS' || /\.okta(?:preview|-emea)?\.com$/.test(hostname)
}

/** `show`: as the provider has it; what it tells anew is kept (RFC 7592 2.1). */
export async function showCommand(given: Arguments, terminal: Terminal): Promise<void> {
  if (given.values['registration-client-uri'] !== undefined) requireStore(given)
  const registrar = await createRegistrar(given, terminal)
  const client = await readClient(registrar.endpoint, await findClient(registrar, given, terminal))
  await keepClient(registrar, client, terminal)
  terminal.print(formatClient(client, given.values))
}

/** `update`: reads the entry first, for an update replaces all of it. */
export async function updateCommand(given: Arguments, terminal: Terminal): Promise<void> {
  if (given.values['registration-client-uri'] !== undefined) requireStore(given)
  const changes = await readMembers(given.values)
  if (Object.keys(changes).length === 0) throw new UsageError('Nothing is to be changed: give --metadata or members.')
  const registrar = await createRegistrar(given, terminal)
  const before = await readClient(registrar.endpoint, await findClient(registrar, given, terminal))
  await keepClient(registrar, before, terminal)
  const client = await updateClient(registrar.endpoint, before, changes)
  await keepClient(registrar, client, terminal)
  terminal.warn('Updated.\n')
  terminal.print(formatClient(client, given.values))
}

/** Where a client is kept. */
interface StoreLocation {
  readonly directory: string
  read(): Promise<RegisteredClient | undefined>
  write(client: RegisteredClient): Promise<void>
  remove(): Promise<void>
  /** Fails where nothing can be kept there. */
  probe(): Promise<void>
}

/** What the commands about clients work with. */
interface CommandContext {
  readonly endpoint: RegistrationEndpoint
  /** Absent without `--store`. */
  readonly place: StoreLocation | undefined
  readonly token: string | undefined
}

/** Finds the endpoint, the token and the store that a call names. */
async function createRegistrar({ values }: Arguments, terminal: Terminal): Promise<CommandContext> {
  const issuer = textOf(values, 'issuer')
  const registrationEndpoint = textOf(values, 'registration-endpoint')
  if (issuer === undefined && registrationEndpoint === undefined) throw new UsageError('--issuer is missing.')
  const place = placeOf(values, issuer)
  const token = await readToken(values, terminal.env)
  terminal.conceal(token)
  const endpoint = await findRegistrationEndpoint({
    ...(issuer === undefined ? {} : { issuer }),
    ...(registrationEndpoint === undefined ? {} : { registrationEndpoint }),
    ...(token === undefined ? {} : { initialAccessToken: token }),
    initialAccessTokenScheme: schemeOf(values),
    dangerouslyAllowInsecureRequests: values['insecure'] === true,
  })
  return { endpoint, place, token }
}

function placeOf(values: Values, issuer: string | undefined): StoreLocation | undefined {
  const directory = textOf(values, 'store')
  if (directory === undefined) return undefined
  if (issuer === undefined) throw new UsageError('--store needs --issuer, which the client is kept under.')
  const store = fileClientStore(directory)
  const key = clientKey(issuer, textOf(values, 'provider'))
  return {
    directory,
    read: () => store.read(key),
    write: (client) => store.write(key, client),
    remove: () => store.remove(key),
    async probe() {
      // Under a name that nobody reads: whatever happens in between, this is no client.
      await store.write(`${key} probe`, { client_id: 'probe', registeredAt: 0 })
      await store.remove(`${key} probe`)
    },
  }
}

async function readToken(values: Values, env: Terminal['env']): Promise<string | undefined> {
  const path = textOf(values, 'token-file')
  const text = path === undefined ? env['EXPRESS_OIDC_TOKEN'] : await readFile(path, 'utf8').catch(() => undefined)
  if (path !== undefined && !text?.trim()) throw new UsageError('--token-file cannot be read, or is empty.')
  return text?.trim() || undefined
}

function schemeOf(values: Values): 'Bearer' | 'SSWS' {
  const scheme = textOf(values, 'scheme') ?? 'Bearer'
  if (scheme !== 'Bearer' && scheme !== 'SSWS') throw new UsageError('--scheme must be SSWS or Bearer.')
  return scheme
}

/** The client that a call is about: the one in the store, or the one with the id that it names. */
export async function findClient(
  { place, token }: CommandContext,
  { clientId, values }: Arguments,
  terminal: Terminal,
): Promise<ClientInformation> {
  const kept = await place?.read()
  terminal.conceal(kept?.client_secret)
  terminal.conceal(kept?.registration_access_token)
  if (kept !== undefined && (clientId === undefined || clientId === kept.client_id)) return kept
  if (kept !== undefined) throw new UsageError('The client in the store is another one: leave --store out, or the id.')
  if (clientId === undefined && place !== undefined) throw new Error('No client is kept in the store.')
  if (clientId === undefined) throw new UsageError('CLIENT_ID or --store is missing.')
  const address = textOf(values, 'registration-client-uri')
  if (address === undefined) return { client_id: clientId }
  if (token === undefined) throw new UsageError('--registration-client-uri needs the registration token as the token.')
  return { client_id: clientId, registration_client_uri: address, registration_access_token: token }
}

/** Keeps what was told, where there is a store. */
async function keepClient({ place }: CommandContext, client: RegisteredClient, terminal: Terminal): Promise<void> {
  try {
    await place?.write(client)
  } catch (error) {
    terminal.warn(
      `${escapeForTerminal(client.client_id)} could not be kept. A secret that was told just now is lost: renew it.\n`,
    )
    throw error
  }
}

/** Refuses a call that would lose what the provider tells only once. */
function requireStore({ values }: Arguments): void {
  if (values['store'] !== undefined || values['show-secret'] === true) return
  throw new UsageError('Secrets are told only once: give --store to keep them, or --show-secret to print them.')
}
