/** What oidc-provider asks of a storage, for one of its models. */
export interface ProviderStorage {
  upsert(id: string, payload: Record<string, unknown>): Promise<void>
  find(id: string): Promise<Record<string, unknown> | undefined>
  findByUid(uid: string): Promise<Record<string, unknown> | undefined>
  findByUserCode(code: string): Promise<Record<string, unknown> | undefined>
  consume(id: string): Promise<void>
  destroy(id: string): Promise<void>
  revokeByGrantId(grantId: string): Promise<void>
}

/** Keeps everything of one provider in memory, nothing expires. Each provider of a test has its own. */
export function createProviderStorage(): (model: string) => ProviderStorage {
  const records = new Map<string, Record<string, unknown>>()
  return (model) => {
    const key = (id: string): string => `${model}:${id}`
    const search = (name: string, value: string): Record<string, unknown> | undefined =>
      [...records].find(([id, record]) => id.startsWith(`${model}:`) && record[name] === value)?.[1]
    return {
      upsert: async (id, payload) => void records.set(key(id), payload),
      find: async (id) => records.get(key(id)),
      findByUid: async (uid) => search('uid', uid),
      findByUserCode: async (code) => search('userCode', code),
      consume: async (id) => {
        const record = records.get(key(id))
        if (record) record['consumed'] = Math.floor(Date.now() / 1000)
      },
      destroy: async (id) => void records.delete(key(id)),
      revokeByGrantId: async (grantId) => {
        for (const [id, record] of records) if (record['grantId'] === grantId) records.delete(id)
      },
    }
  }
}
