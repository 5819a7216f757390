import type { TestApp } from './app.ts'

/** Whether a record of the session store holds the tokens of a login, and not its session. */
export function isTokens(id: string): boolean {
  return id.startsWith('oidc-tokens:')
}

/** Takes records out of the store, as somebody does who can reach it. */
export async function destroyRecords(app: TestApp, which: (id: string) => boolean = () => true): Promise<void> {
  const ids = Object.keys(await app.records()).filter(which)
  await Promise.all(ids.map((id) => destroyRecord(app, id)))
}

function destroyRecord({ store }: TestApp, id: string): Promise<void> {
  return new Promise((resolve, reject) => {
    store.destroy(id, (error) => (error ? reject(error) : resolve()))
  })
}
