import { OidcError } from '../errors.ts'
import {
  adviseOnClient,
  type ClientInformation,
  type ClientMetadata,
  clientKey,
  deleteClient,
  fileClientStore,
  findRegistrationEndpoint,
  listClients,
  type RegisteredClient,
  type RegistrationEndpoint,
  readClient,
  registerClient,
  rotateClientSecret,
  updateClient,
} from '../registration.ts'
import {
  type Arguments,
  readAuthorities,
  readMembers,
  readToken,
  textOf,
  UsageError,
  type Values,
} from './arguments.ts'
import { escapeForTerminal, formatClient, formatClients, formatJson, type Terminal } from './output.ts'

/** `register`: saves the new client before it prints anything. */
export async function registerCommand(given: Arguments, terminal: Terminal): Promise<void> {
  requireStore(given)
  const members = Object.entries(await readMembers(given.values)).filter(([, value]) => value !== null)
  const metadata: ClientMetadata = Object.fromEntries(members)
  const context = await createContext(given, terminal)
  await checkStoreIsReady(context)
  if (isOkta(context)) for (const sentence of adviseOnClient(metadata)) terminal.warn(`advice: ${sentence}\n`)
  const client = await registerClient(context.endpoint, metadata)
  await saveClient(context, client, terminal)
  terminal.warn(`Registered${savedIn(context)}.\n`)
  terminal.print(formatClient(client, given.values))
}

/** `show`: reads the client at the provider, and saves what is new in the response (RFC 7592 2.1). */
export async function showCommand(given: Arguments, terminal: Terminal): Promise<void> {
  if (given.values['registration-client-uri'] !== undefined) requireStore(given)
  const context = await createContext(given, terminal)
  const client = await readClient(context.endpoint, await findClient(context, given, terminal))
  await saveClient(context, client, terminal)
  terminal.print(formatClient(client, given.values))
}

/** `list`: all pages. */
export async function listCommand(given: Arguments, terminal: Terminal): Promise<void> {
  const { endpoint } = await createContext(given, terminal)
  const query = textOf(given.values, 'query')
  const limit = textOf(given.values, 'limit')
  if (limit !== undefined && !/^[1-9]\d{0,3}$/.test(limit)) {
    throw new UsageError('--limit must be a number from 1 to 9999.')
  }
  const options = {
    ...(query === undefined ? {} : { query }),
    ...(limit === undefined ? {} : { limit: Number(limit) }),
  }
  const clients: ClientInformation[] = []
  for await (const client of listClients(endpoint, options)) clients.push(client)
  terminal.print(formatClients(clients, given.values))
}

/** `update`: reads the client first, because an update replaces all of it. */
export async function updateCommand(given: Arguments, terminal: Terminal): Promise<void> {
  if (given.values['registration-client-uri'] !== undefined) requireStore(given)
  const changes = await readMembers(given.values)
  if (Object.keys(changes).length === 0) {
    throw new UsageError('There is nothing to change. Add --metadata, or an option such as --redirect-uri.')
  }
  const context = await createContext(given, terminal)
  const before = await readClient(context.endpoint, await findClient(context, given, terminal))
  await saveClient(context, before, terminal)
  const client = await updateClient(context.endpoint, before, changes)
  await saveClient(context, client, terminal)
  terminal.warn('Updated.\n')
  terminal.print(formatClient(client, given.values))
}

/** `rotate-secret`: saves the client even if its secret is the same, because its registration token may be new. */
export async function rotateSecretCommand(given: Arguments, terminal: Terminal): Promise<void> {
  requireStore(given)
  const context = await createContext(given, terminal)
  const { client, isNew } = await rotateClientSecret(context.endpoint, await findClient(context, given, terminal))
  await saveClient(context, client, terminal)
  terminal.warn(`${isNew ? 'The secret is new' : 'The secret is the same as before'}${savedIn(context)}.\n`)
  terminal.print(formatClient(client, given.values))
  if (!isNew) throw new OidcError('ERR_OIDC_REGISTRATION_SECRET', 'The provider has not renewed the client_secret.')
}

/** `delete`: first at the provider, then in the store. */
export async function deleteCommand(given: Arguments, terminal: Terminal): Promise<void> {
  const context = await createContext(given, terminal)
  const client = await findClient(context, given, terminal)
  await deleteClient(context.endpoint, client)
  await context.store?.remove()
  terminal.warn('Deleted.\n')
  if (given.values['json'] === true) terminal.print(formatJson({ client_id: client.client_id }))
}

/** What every command about clients needs. */
interface CommandContext {
  readonly endpoint: RegistrationEndpoint
  /** `undefined` without `--store`. */
  readonly store: StoreLocation | undefined
  readonly token: string | undefined
}

/** One client in the directory `--store`. */
interface StoreLocation {
  readonly directory: string
  read(): Promise<RegisteredClient | undefined>
  write(client: RegisteredClient): Promise<void>
  remove(): Promise<void>
  /** Rejects if the directory cannot be written. */
  checkIsWritable(): Promise<void>
}

/** Finds the endpoint, the token and the store of a call. */
async function createContext({ values }: Arguments, terminal: Terminal): Promise<CommandContext> {
  const issuer = textOf(values, 'issuer')
  const registrationEndpoint = textOf(values, 'registration-endpoint')
  if (issuer === undefined && registrationEndpoint === undefined) throw new UsageError('--issuer is missing.')
  const store = storeLocationOf(values, issuer)
  const token = await readToken(values, terminal.env)
  terminal.conceal(token)
  const endpoint = await findRegistrationEndpoint({
    ...(issuer === undefined ? {} : { issuer }),
    ...(registrationEndpoint === undefined ? {} : { registrationEndpoint }),
    ...(token === undefined ? {} : { initialAccessToken: token }),
    initialAccessTokenScheme: schemeOf(values),
    ...(await readAuthorities(values)),
    dangerouslyAllowInsecureRequests: values['insecure'] === true,
  })
  return { endpoint, store, token }
}

function storeLocationOf(values: Values, issuer: string | undefined): StoreLocation | undefined {
  const directory = textOf(values, 'store')
  if (directory === undefined) return undefined
  if (issuer === undefined)
    throw new UsageError('--store needs --issuer, which is part of the name of the client there.')
  const store = fileClientStore(directory)
  const key = clientKey(issuer, textOf(values, 'provider'))
  return {
    directory,
    read: () => store.read(key),
    write: (client) => store.write(key, client),
    remove: () => store.remove(key),
    async checkIsWritable() {
      // Under another key, so that an interruption leaves no false client.
      await store.write(`${key} probe`, { client_id: 'probe', registeredAt: 0 })
      await store.remove(`${key} probe`)
    },
  }
}

function schemeOf(values: Values): 'Bearer' | 'SSWS' {
  const scheme = textOf(values, 'scheme') ?? 'Bearer'
  if (scheme !== 'Bearer' && scheme !== 'SSWS') throw new UsageError('--scheme must be SSWS or Bearer.')
  return scheme
}

/** The client of a call: the one in the store, or the one with `CLIENT_ID`. */
async function findClient(
  { store, token }: CommandContext,
  { clientId, values }: Arguments,
  terminal: Terminal,
): Promise<ClientInformation> {
  const stored = await store?.read()
  terminal.conceal(stored?.client_secret)
  terminal.conceal(stored?.registration_access_token)
  if (stored !== undefined && (clientId === undefined || clientId === stored.client_id)) return stored
  if (stored !== undefined) throw new UsageError('The store contains another client. Leave out --store or CLIENT_ID.')
  if (clientId === undefined && store !== undefined) throw new Error('The store contains no client.')
  if (clientId === undefined) throw new UsageError('CLIENT_ID or --store is missing.')
  const url = textOf(values, 'registration-client-uri')
  if (url === undefined) return { client_id: clientId }
  if (token === undefined) {
    throw new UsageError('--registration-client-uri needs the registration token of the client in --token-file.')
  }
  return { client_id: clientId, registration_client_uri: url, registration_access_token: token }
}

/** A client that cannot be saved after its registration would be lost. */
async function checkStoreIsReady({ store }: CommandContext): Promise<void> {
  if (store === undefined) return
  if ((await store.read()) !== undefined) {
    throw new Error('The store already contains a client. Update or delete it, or choose another name with --provider.')
  }
  await store.checkIsWritable()
}

async function saveClient({ store }: CommandContext, client: RegisteredClient, terminal: Terminal): Promise<void> {
  try {
    await store?.write(client)
  } catch (error) {
    const id = escapeForTerminal(client.client_id)
    terminal.warn(`The client ${id} could not be saved. If its secret is new, it is lost: rotate it.\n`)
    throw error
  }
}

function savedIn({ store }: CommandContext): string {
  return store === undefined ? '' : ` and saved in ${store.directory}`
}

/** Rejects a call that would lose a secret, which the provider sends only once. */
function requireStore({ values }: Arguments): void {
  if (values['store'] !== undefined || values['show-secret'] === true) return
  throw new UsageError(
    'The provider sends secrets only once. Add --store to save them, or --show-secret to print them.',
  )
}

function isOkta({ endpoint }: CommandContext): boolean {
  const { hostname } = new URL(endpoint.url)
  return endpoint.initialAccessTokenScheme === 'SSWS' || /\.okta(?:preview|-emea)?\.com$/.test(hostname)
}
