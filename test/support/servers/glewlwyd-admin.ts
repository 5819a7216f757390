import { createBrowser, type Page } from '../browser/browser.ts'

/** A client as glewlwyd keeps it. */
export interface GlewlwydClient {
  readonly client_id: string
  readonly client_secret?: string
  readonly redirect_uri: readonly string[]
  readonly [name: string]: unknown
}

/** What an administrator does, by glewlwyd's REST interface. */
export interface GlewlwydAdmin {
  addScope(name: string): Promise<void>
  addUser(user: Readonly<Record<string, unknown>>): Promise<void>
  addClient(client: GlewlwydClient): Promise<void>
  /** An issuer: `module` is `oidc`. */
  addPlugin(module: string, name: string, parameters: Readonly<Record<string, unknown>>): Promise<void>
  /** What clients may have beside what a new database knows; `multiple`: a list. */
  addClientProperties(properties: Readonly<Record<string, { readonly multiple: boolean }>>): Promise<void>
}

/** Of every new database. */
const PASSWORD = { username: 'admin', password: 'password' }

/** Logs in as the administrator that a new database has. */
export async function createGlewlwydAdmin(origin: string): Promise<GlewlwydAdmin> {
  const browser = createBrowser({ origin })

  async function send(method: string, path: string, json?: object): Promise<Page> {
    const headers = { 'content-type': 'application/json' }
    const body = json === undefined ? {} : { headers, body: JSON.stringify(json) }
    const page = await browser.fetch(`/api${path}`, { method, ...body })
    if (page.status !== 200) throw new Error(`glewlwyd: ${method} ${path}: ${page.status} ${page.body}`)
    return page
  }

  async function addClientProperties(properties: Readonly<Record<string, { multiple: boolean }>>): Promise<void> {
    const path = '/mod/client/database'
    const { parameters, ...rest } = (await send('GET', path)).json() as { parameters: { 'data-format': object } }
    const added = Object.entries(properties).map(([name, kind]) => [name, { ...kind, read: true, write: true }])
    const format = { ...parameters['data-format'], ...Object.fromEntries(added) }
    await send('PUT', path, { ...rest, parameters: { ...parameters, 'data-format': format } })
    await send('PUT', `${path}/reset`)
  }

  await send('POST', '/auth/', PASSWORD)
  return {
    addScope: async (name) => void (await send('POST', '/scope/', { name, password_required: true, scheme: {} })),
    addUser: async (user) => void (await send('POST', '/user/', user)),
    addClient: async (client) => void (await send('POST', '/client/', client)),
    addPlugin: async (module, name, parameters) =>
      void (await send('POST', '/mod/plugin/', { module, name, display_name: name, parameters })),
    addClientProperties,
  }
}
