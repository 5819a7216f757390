import { type OidcSession, readOidcSession, writeOidcSession } from '../../../lib/session/stored-session.ts'
import type { Login } from '../../../lib/types.ts'
import type { TestApp } from './app.ts'

const SESSION_KEY = { sessionKey: 'oidc' }

/** The login in a record of the session store, if it is a session with a login. */
export function loginIn(record: unknown): Login | undefined {
  return readOidcSession(record, SESSION_KEY)?.login
}

/** Writes another login into each session of the store that has one. */
export async function changeLogins(app: TestApp, change: (login: Login) => Login): Promise<void> {
  for (const [id, record] of Object.entries(await app.records())) {
    const session: OidcSession | undefined = readOidcSession(record, SESSION_KEY)
    if (session === undefined) continue
    writeOidcSession(record, SESSION_KEY, { ...session, login: change(session.login) })
    await new Promise((resolve) => app.store.set(id, record, resolve))
  }
}

/** Whether a record of the session store holds the tokens of a login, and not its session. */
export function isTokens(id: string): boolean {
  return id.startsWith('oidc-tokens-')
}

/** Whether a record of the session store holds shared state, the time of a logout or a request object, under a hash. */
export function isSharedRecord(id: string): boolean {
  return /^oidc-[\w-]{27}$/.test(id)
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
