import { readFile } from 'node:fs/promises'
import type { ClientInformation, RegisteredClient } from '../client-metadata.ts'
import { clientKey } from '../client-store.ts'
import { fileClientStore } from '../file-client-store.ts'
import { findRegistrationEndpoint, type RegistrationEndpoint } from '../registration.ts'
import { type Arguments, textOf, type Values } from './arguments.ts'
import { harmless } from './printed.ts'
import { type Terminal, UsageError } from './surroundings.ts'

/** Where a client is kept. */
export interface ClientPlace {
  readonly directory: string
  read(): Promise<RegisteredClient | undefined>
  write(client: RegisteredClient): Promise<void>
  remove(): Promise<void>
  /** Fails where nothing can be kept there. */
  probe(): Promise<void>
}

/** What the commands about clients work with. */
export interface Registrar {
  readonly endpoint: RegistrationEndpoint
  /** Absent without `--store`. */
  readonly place: ClientPlace | undefined
  readonly token: string | undefined
}

/** Finds the endpoint, the token and the store that a call names. */
export async function createRegistrar({ values }: Arguments, terminal: Terminal): Promise<Registrar> {
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

function placeOf(values: Values, issuer: string | undefined): ClientPlace | undefined {
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
  { place, token }: Registrar,
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
export async function keepClient({ place }: Registrar, client: RegisteredClient, terminal: Terminal): Promise<void> {
  try {
    await place?.write(client)
  } catch (error) {
    terminal.warn(
      `${harmless(client.client_id)} could not be kept. A secret that was told just now is lost: renew it.\n`,
    )
    throw error
  }
}

/** Refuses a call that would lose what the provider tells only once. */
export function requireKeeping({ values }: Arguments): void {
  if (values['store'] !== undefined || values['show-secret'] === true) return
  throw new UsageError('Secrets are told only once: give --store to keep them, or --show-secret to print them.')
}
