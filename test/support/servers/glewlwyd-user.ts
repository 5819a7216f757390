import type { Browser, OpenOptions, Page } from '../browser/browser.ts'
import { GLEWLWYD_USERS } from './glewlwyd-setup.ts'

/** What somebody does at the login page, where it is not the usual. */
export interface GlewlwydLogin extends Pick<OpenOptions, 'stopBefore'> {
  /** `ada` unless told. */
  readonly username?: keyof typeof GLEWLWYD_USERS
  readonly password?: string
  /** The scopes that the client is given; all that it asks for unless told. */
  readonly grant?: string
}

/**
 * Logs in at glewlwyd's page, gives the client what it asks for, and goes on. The page is a script: this makes its
 * requests. A wrong password leads nowhere.
 */
export async function logInAtGlewlwyd(browser: Browser, page: Page, how: GlewlwydLogin = {}): Promise<Page> {
  const { params, request, go } = pageOfGlewlwyd(browser, page)
  const { username = 'ada', password = GLEWLWYD_USERS[username].password } = how
  const answer = await request('POST', '/auth/', { username, password })
  if (answer.status !== 200) return answer
  const scope = how.grant ?? params.get('scope')
  await request('PUT', `/auth/grant/${encodeURIComponent(params.get('client_id') ?? '')}`, { scope })
  const url = params.get('callback_url') ?? ''
  return go(`${url}${url.includes('?') ? '&' : '?'}g_continue`, how.stopBefore && { stopBefore: how.stopBefore })
}

/** Confirms the logout at glewlwyd's page, which leads back where the client has said so. */
export async function logOutAtGlewlwyd(browser: Browser, page: Page): Promise<Page> {
  const { params, request, go } = pageOfGlewlwyd(browser, page)
  await request('DELETE', `/${params.get('plugin')}/session/${params.get('sid')}`)
  const answer = await request('DELETE', '/auth/')
  const url = params.get('callback_url')
  return url === null ? answer : go(url)
}

interface GlewlwydPage {
  /** What the page was told in its address. */
  readonly params: URLSearchParams
  request(method: string, path: string, json?: object): Promise<Page>
  go(url: string, options?: OpenOptions): Promise<Page>
}

function pageOfGlewlwyd(browser: Browser, page: Page): GlewlwydPage {
  const { origin, pathname, searchParams } = new URL(page.url)
  if (!pathname.endsWith('/login.html')) throw new Error(`not a page of glewlwyd: ${pathname}`)
  return {
    params: searchParams,
    request: (method, path, json) => {
      const content = json && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(json) }
      return browser.fetch(`${origin}/api${path}`, { method, from: origin, ...content })
    },
    go: (url, options) => browser.open(url, { ...options, from: origin }),
  }
}
