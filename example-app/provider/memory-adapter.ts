interface Payload {
  readonly uid?: string
  readonly grantId?: string
  readonly consumed?: number
}

interface Entry {
  readonly payload: Payload
  /** Seconds since 1970. */
  readonly expiresAt: number
}

/** The storage of one model of oidc-provider. */
export interface Adapter {
  upsert(id: string, payload: Payload, expiresIn: number | undefined): Promise<void>
  find(id: string): Promise<Payload | undefined>
  findByUid(uid: string): Promise<Payload | undefined>
  findByUserCode(): Promise<undefined>
  consume(id: string): Promise<void>
  destroy(id: string): Promise<void>
  revokeByGrantId(grantId: string): Promise<void>
}

const now = (): number => Math.floor(Date.now() / 1000)

/**
 * Keeps all state of a provider in one Map, until the process stops. Searches read the whole Map: it has few users, and
 * each write removes what has expired.
 */
export function createMemoryAdapter(): (model: string) => Adapter {
  const entries = new Map<string, Entry>()

  const remove = (unwanted: (entry: Entry) => boolean): void => {
    for (const [key, entry] of entries) if (unwanted(entry)) entries.delete(key)
  }

  return (model) => {
    const keyOf = (id: string): string => `${model}:${id}`
    const find = async (id: string): Promise<Payload | undefined> => {
      const entry = entries.get(keyOf(id))
      return entry && entry.expiresAt > now() ? entry.payload : undefined
    }
    return {
      find,
      async upsert(id, payload, expiresIn) {
        remove((entry) => entry.expiresAt <= now())
        entries.set(keyOf(id), {
          payload,
          expiresAt: expiresIn === undefined ? Number.POSITIVE_INFINITY : now() + expiresIn,
        })
      },
      async findByUid(uid) {
        const found = [...entries].find(([key, { payload }]) => key.startsWith(`${model}:`) && payload.uid === uid)
        return found && find(found[0].slice(model.length + 1))
      },
      findByUserCode: async () => undefined,
      async consume(id) {
        const entry = entries.get(keyOf(id))
        if (entry) entries.set(keyOf(id), { ...entry, payload: { ...entry.payload, consumed: now() } })
      },
      async destroy(id) {
        entries.delete(keyOf(id))
      },
      async revokeByGrantId(grantId) {
        remove(({ payload }) => payload.grantId === grantId)
      },
    }
  }
}
