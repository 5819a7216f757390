import type { ClientStore, RegisteredClient } from '../../../lib/options/registration-options.ts'

/** Keeps registered clients for as long as a test. */
export function createMemoryClientStore(): ClientStore {
  const kept = new Map<string, RegisteredClient>()
  return {
    read: async (key) => kept.get(key),
    write: async (key, client) => void kept.set(key, client),
    remove: async (key) => void kept.delete(key),
  }
}
