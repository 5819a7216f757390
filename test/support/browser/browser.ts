import type { IncomingHttpHeaders } from 'node:http'
import { type Cookie, type CookieJar, createCookieJar } from './cookie-jar.ts'
import { autoSubmittedForm, type HtmlForm, readForms } from './html-form.ts'
import { type Answer, exchange } from './http-exchange.ts'
import { fetchSite, isTrustworthy, site } from './site.ts'

/** What leads a browser to another page: an address typed in, a link, a form, a redirect. */
export interface Navigation {
  readonly method: string
  /** Absolute. A test may change it on the way: `{ ...page.next, url: … }`. */
  readonly url: string
  readonly fields?: URLSearchParams | undefined
  /** The origin of the page that this comes from; absent: the person typed the address. */
  readonly from?: string | undefined
  /** The `Referrer-Policy` of that page. */
  readonly referrerPolicy?: string | undefined
  /** The URLs that redirected here, oldest first. */
  readonly chain?: readonly string[]
}

/** Where a navigation has ended. */
export interface Page {
  readonly url: string
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly history: readonly { readonly method: string; readonly url: string; readonly status: number }[]
  /** The navigation that was not made, because of `follow: false` or `stopBefore`. */
  readonly next?: Navigation
  /** The body as a JSON object. */
  json(): Record<string, unknown>
}

export interface OpenOptions {
  /** The origin of the page with the link; absent: the person types the address. */
  readonly from?: string
  readonly referrerPolicy?: string
  /** `false` stops at the first redirect or self-submitting form. */
  readonly follow?: boolean
  /** Stops before the first navigation of which this is true, for example one to `/callback`. */
  readonly stopBefore?: (url: URL) => boolean
  /** More request headers. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface FetchOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The origin of the page with the script. Another one than the target's sends cookies as `credentials: 'include'`. */
  readonly from?: string
}

export interface Browser {
  /** Opens a page, follows redirects, and submits forms that submit themselves. */
  open(url: string, options?: OpenOptions): Promise<Page>
  /** Submits a form of a page of ours, or of `from`. */
  post(url: string, fields?: Readonly<Record<string, string>>, options?: OpenOptions): Promise<Page>
  /** Submits the first form of a page, with these fields set or added. */
  submit(page: Page, fields?: Readonly<Record<string, string>>, options?: OpenOptions): Promise<Page>
  /** Goes on from `page.next`. */
  go(navigation: Navigation | undefined, options?: OpenOptions): Promise<Page>
  /** Fetches as a script of our page does. It never follows a redirect. */
  fetch(url: string, options?: FetchOptions): Promise<Page>
  /** The cookies that have not expired, of one host or of all. */
  cookies(host?: string): readonly Cookie[]
  readonly jar: CookieJar
  /** Another window with a copy of the cookies. */
  clone(): Browser
  /** Closes and opens the browser: cookies without an expiry are gone. */
  restart(): void
}

export interface BrowserOptions {
  /** What relative addresses are resolved against, and where `post` and `fetch` come from. */
  readonly origin?: string
  /** An old browser sends no `Sec-Fetch-*` headers. */
  readonly fetchMetadata?: 'sent' | 'absent'
}

const PAGE = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
const MAX_NAVIGATIONS = 20

/** A small browser: cookies, redirects, self-submitting forms, and the headers that tell a navigation from a script. */
export function createBrowser(options: BrowserOptions = {}): Browser {
  return createWindow(options, createCookieJar())
}

function createWindow(options: BrowserOptions, jar: CookieJar): Browser {
  const absolute = (url: string): string => new URL(url, options.origin).href
  const metadata = (url: URL, headers: Record<string, string>): Record<string, string> =>
    options.fetchMetadata === 'absent' || !isTrustworthy(url) ? {} : headers

  async function send(url: URL, method: string, headers: Record<string, string>, body?: string): Promise<Answer> {
    const answer = await exchange({ method, url, headers, body })
    jar.store(url, answer.setCookies)
    return answer
  }

  function load(navigation: Navigation, extra: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const url = new URL(navigation.url)
    const isSafe = navigation.method === 'GET' || navigation.method === 'HEAD'
    const cookie = jar.header(url, { sameSite: isSameSite(navigation), safeNavigation: isSafe })
    const chain = [...(navigation.chain ?? []), navigation.url]
    const form = isSafe
      ? {}
      : { 'content-type': 'application/x-www-form-urlencoded', origin: originOf(navigation) ?? 'null' }
    const fetchHeaders = metadata(url, {
      'sec-fetch-site': fetchSite(navigation.from, chain),
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
      'sec-fetch-user': '?1',
    })
    const headers = { accept: PAGE, ...fetchHeaders, ...form, ...(cookie ? { cookie } : {}), ...extra }
    return send(url, navigation.method, headers, isSafe ? undefined : String(navigation.fields ?? ''))
  }

  async function go(start: Navigation | undefined, how: OpenOptions = {}): Promise<Page> {
    if (!start) throw new Error('the page leads nowhere')
    const history: { method: string; url: string; status: number }[] = []
    let navigation = start
    while (history.length <= MAX_NAVIGATIONS) {
      const answer = await load(navigation, history.length === 0 ? how.headers : {})
      history.push({ method: navigation.method, url: navigation.url, status: answer.status })
      const next = redirectOf(navigation, answer) ?? autoSubmissionOf(navigation, answer)
      const stops = next && (how.follow === false || how.stopBefore?.(new URL(next.url)))
      if (!next || stops) return createPage(navigation.url, answer, history, next)
      navigation = next
    }
    throw new Error(`more than ${MAX_NAVIGATIONS} navigations:\n${history.map((step) => step.url).join('\n')}`)
  }

  async function fetchAsScript(
    path: string,
    { method = 'GET', headers = {}, body, from }: FetchOptions,
  ): Promise<Page> {
    const url = new URL(absolute(path))
    const initiator = from ?? options.origin ?? url.origin
    const cookie = jar.header(url, { sameSite: site(new URL(initiator)) === site(url), safeNavigation: false })
    const hasOrigin = initiator !== url.origin || !/^(GET|HEAD)$/.test(method)
    const fetchHeaders = metadata(url, {
      'sec-fetch-site': fetchSite(initiator, [url.href]),
      'sec-fetch-mode': 'cors',
      'sec-fetch-dest': 'empty',
    })
    const own = { accept: '*/*', ...fetchHeaders, ...(hasOrigin ? { origin: initiator } : {}) }
    const answer = await send(url, method, { ...own, ...(cookie ? { cookie } : {}), ...headers }, body)
    return createPage(url.href, answer, [{ method, url: url.href, status: answer.status }])
  }

  return {
    jar,
    go,
    open: (url, how = {}) =>
      go({ method: 'GET', url: absolute(url), from: how.from, referrerPolicy: how.referrerPolicy }, how),
    post: (url, fields = {}, how = {}) =>
      go({ ...formOf(how), method: 'POST', url: absolute(url), fields: new URLSearchParams(fields) }, how),
    submit: (page, fields = {}, how = {}) => go(submissionOf(page, fields), how),
    fetch: (url, how = {}) => fetchAsScript(url, how),
    cookies: (host) => jar.all().filter((cookie) => !host || cookie.host === host),
    clone: () => createWindow(options, createCookieJar(jar.all())),
    restart: () => jar.remove((cookie) => cookie.expiresAt === undefined),
  }

  function formOf(how: OpenOptions): Pick<Navigation, 'from' | 'referrerPolicy'> {
    return { from: how.from ?? options.origin, referrerPolicy: how.referrerPolicy }
  }
}

function createPage(url: string, answer: Answer, history: Page['history'], next?: Navigation): Page {
  const { status, headers, body } = answer
  const json = (): Record<string, unknown> => JSON.parse(body)
  return { url, status, headers, body, history, json, ...(next ? { next } : {}) }
}

/** Fetch 4.4: after 303, and a POST after 301 and 302, the next request is a GET. */
function redirectOf(navigation: Navigation, answer: Answer): Navigation | undefined {
  const { location } = answer.headers
  if (location === undefined || ![301, 302, 303, 307, 308].includes(answer.status)) return undefined
  const target = new URL(location, navigation.url)
  // A fragment outlives redirects that bring none of their own.
  if (!target.hash) target.hash = new URL(navigation.url).hash
  if (!/^https?:$/.test(target.protocol)) throw new Error('redirected to something that is not http')
  const keepsMethod = answer.status >= 307 || navigation.method === 'HEAD'
  const chain = [...(navigation.chain ?? []), navigation.url]
  const { method, fields, ...kept } = navigation
  // Fetch 4.4 (19): a redirect can set the policy anew.
  const referrerPolicy = referrerPolicyOf(answer.headers) ?? kept.referrerPolicy
  const rest = { ...kept, referrerPolicy }
  return { ...rest, url: target.href, chain, method: keepsMethod ? method : 'GET', ...(keepsMethod ? { fields } : {}) }
}

function autoSubmissionOf(navigation: Navigation, answer: Answer): Navigation | undefined {
  if (!answer.headers['content-type']?.startsWith('text/html')) return undefined
  const policy = answer.headers['content-security-policy']
  const form = autoSubmittedForm(answer.body, navigation.url, [policy].flat().join(';'))
  return form && formNavigation(form.method, form.action, form.fields, navigation.url, answer.headers)
}

function submissionOf(page: Page, fields: Readonly<Record<string, string>>): Navigation | undefined {
  const form = readForms(page.body, page.url)[0]
  if (!form) return undefined
  const kept = form.fields.filter(([name]) => !(name in fields))
  return formNavigation(form.method, form.action, [...kept, ...Object.entries(fields)], page.url, page.headers)
}

function formNavigation(
  method: HtmlForm['method'],
  action: string,
  fields: HtmlForm['fields'],
  pageUrl: string,
  headers: IncomingHttpHeaders,
): Navigation {
  const params = new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value]))
  const origin = { from: new URL(pageUrl).origin, referrerPolicy: referrerPolicyOf(headers) }
  if (method === 'POST') return { ...origin, method, url: action, fields: params }
  const url = new URL(action)
  url.search = String(params)
  return { ...origin, method, url: url.href }
}

function referrerPolicyOf(headers: IncomingHttpHeaders): string | undefined {
  const policy = headers['referrer-policy']
  return policy === undefined ? undefined : String(policy)
}

/**
 * RFC 6265bis 5.2: the page it comes from and every URL it was redirected through have to be of the same site. Chromium
 * forgives the redirects; a library that works with the stricter reading works with both.
 */
function isSameSite({ url, from, chain = [] }: Navigation): boolean {
  const target = site(new URL(url))
  return [...chain, ...(from === undefined ? [] : [from])].every((other) => site(new URL(other)) === target)
}

/** Fetch 3.2: the referrer policy of a page can hide its origin, even from itself. */
function originOf({ url, from, referrerPolicy }: Navigation): string | undefined {
  if (from === undefined || referrerPolicy === 'no-referrer') return undefined
  const isDowngrade = from.startsWith('https:') && url.startsWith('http:')
  const hidesDowngrade = referrerPolicy !== 'unsafe-url' && referrerPolicy !== 'origin' && isDowngrade
  const hidesFromOthers = referrerPolicy === 'same-origin' && new URL(url).origin !== from
  return hidesDowngrade || hidesFromOthers ? undefined : from
}
