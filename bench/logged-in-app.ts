import { createServer, type RequestListener } from 'node:http'
import express from 'express'
import session, { type Store } from 'express-session'
import { listen } from '../test/support/servers/http-server.ts'
import { fifteenClaims } from './claims.ts'
import type { Contender } from './contenders.ts'
import { visit } from './login-visit.ts'

/** The provider, and this app as its client. */
export interface ProviderSettings {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
}

/** An app in which a user has logged in. */
export interface LoggedInApp {
  readonly name: string
  readonly app: RequestListener
  readonly store: Store
  /** The Cookie header of that user. */
  readonly cookie: string
  /** The bytes of the session in the store. */
  readonly sessionBytes: number
}

interface AppModule {
  createApp(settings: Readonly<Record<string, unknown>>): RequestListener | Promise<RequestListener>
}

export async function startLoggedIn(
  { name, url, sessionCookie }: Contender,
  store: Store,
  provider: ProviderSettings,
): Promise<LoggedInApp> {
  const server = createServer()
  const listening = await listen(server)
  const baseUrl = `http://127.0.0.1:${listening.port}`
  const { createApp } = (await import(url)) as AppModule
  const claims = fifteenClaims(provider.issuer, provider.clientId)
  const app = await createApp({ ...provider, express, session, store, claims, baseUrl })
  server.on('request', app)
  try {
    const value = (await visit(baseUrl)).get(sessionCookie)
    if (value === undefined) throw new Error(`the login with ${name} has left no cookie ${sessionCookie}`)
    const [, id = ''] = /^(?:s:)?([^.]+)/.exec(decodeURIComponent(value)) ?? []
    const held = await readSession(store, id)
    const sessionBytes = Buffer.byteLength(JSON.stringify(held))
    return { name, app, store, cookie: `${sessionCookie}=${value}`, sessionBytes }
  } finally {
    await listening.stop()
  }
}

function readSession(store: Store, id: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    store.get(id, (error, data) => (error ? reject(error) : resolve(data)))
  })
}
