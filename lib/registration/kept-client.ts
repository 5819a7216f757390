import type { RegisteredClient } from '../client-metadata.ts'
import type { ClientStore } from '../client-store.ts'
import { OidcError } from '../errors.ts'

/** One client in a store, and in memory once it was read or made. */
export interface KeptClient {
  /** The client in memory, where it is in the store too. */
  readonly atHand: RegisteredClient | undefined
  /** Whether a client is in memory that the store has not taken: what was told only once must not get lost. */
  readonly isUnsaved: boolean
  /** The client in the store; one that is unsaved is written first. Without the store, the one in memory will do. */
  read(): Promise<RegisteredClient | undefined>
  /** Writes a client, and holds it in memory even where that fails. */
  keep(client: RegisteredClient): Promise<RegisteredClient>
  /** Forgets what is in memory, where it is in the store. */
  forget(): void
}

/** Failures of the store are `ERR_OIDC_REGISTRATION_STORE`. */
export function createKeptClient(store: ClientStore, key: string): KeptClient {
  let held: RegisteredClient | undefined
  let isUnsaved = false

  async function keep(client: RegisteredClient): Promise<RegisteredClient> {
    held = client
    isUnsaved = true
    await guarded(() => store.write(key, client))
    isUnsaved = false
    return client
  }

  async function read(): Promise<RegisteredClient | undefined> {
    if (held !== undefined && isUnsaved) return await keep(held)
    try {
      held = checkStored(await guarded(() => store.read(key))) ?? held
    } catch (error) {
      if (held === undefined) throw error
    }
    return held
  }

  return {
    get atHand() {
      return isUnsaved ? undefined : held
    },
    get isUnsaved() {
      return isUnsaved
    },
    read,
    keep,
    forget() {
      if (!isUnsaved) held = undefined
    },
  }
}

/** A store of the application's own may give anything. */
function checkStored(value: RegisteredClient | undefined): RegisteredClient | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value.client_id === 'string' && value.client_id !== '' && typeof value.registeredAt === 'number')
    return value
  throw new OidcError('ERR_OIDC_REGISTRATION_STORE', 'The store of clients holds something that is not a client.')
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof OidcError) throw error
    throw new OidcError('ERR_OIDC_REGISTRATION_STORE', 'The store of clients has failed.', { cause: error })
  }
}
