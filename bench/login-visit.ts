import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'

const agent = new Agent({ keepAlive: true })

/** One user logs in and opens a page: login, provider, callback, page, in four requests. Gives the browser's cookies. */
export async function visit(baseUrl: string): Promise<ReadonlyMap<string, string>> {
  const cookies = new Map<string, string>()
  const toProvider = await follow(`${baseUrl}/login?returnTo=/profile`, cookies)
  // Without a provider, the login route itself logs in.
  const toCallback = toProvider.startsWith(baseUrl) ? toProvider : await follow(toProvider, new Map())
  const toPage = toCallback.includes('code=') ? await follow(toCallback, cookies) : toCallback
  const page = await request(new URL(toPage, baseUrl).href, cookies)
  const body = await text(page)
  if (page.statusCode !== 200 || !body.includes('Lovelace')) throw new Error(`the page answered ${page.statusCode}`)
  return cookies
}

/** Where a redirect leads. */
async function follow(url: string, cookies: Map<string, string>): Promise<string> {
  const response = await request(url, cookies)
  const { location } = response.headers
  const body = await text(response)
  if (location === undefined) throw new Error(`${url} answered ${response.statusCode}: ${body}`)
  return new URL(location, url).href
}

async function request(url: string, cookies: Map<string, string>): Promise<IncomingMessage> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const headers = { accept: 'text/html', ...(cookie === '' ? {} : { cookie }) }
  const response: IncomingMessage = (await once(get(url, { agent, headers }), 'response'))[0]
  for (const line of response.headers['set-cookie'] ?? []) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    if (/Max-Age=0|01 Jan 1970/.test(line)) cookies.delete(name)
    else cookies.set(name, value)
  }
  return response
}
