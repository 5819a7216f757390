import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { runInNewContext } from 'node:vm'
import type { Browser, Page } from './browser.ts'

/** What a window gets. */
interface Message {
  readonly data: unknown
  readonly origin: string
  readonly source: unknown
}

type Listener = (message: Message) => unknown

/** A page of the application with the hidden frame in it, and the provider's frame in that. */
export interface SessionFrames {
  /** Where the page around was sent, in order. */
  readonly left: readonly string[]
  /** What was posted to the provider's frame, with the origin that it was for. */
  readonly asked: readonly (readonly [message: unknown, targetOrigin: string])[]
  /** Whether the provider is asked again and again. */
  readonly isAsking: boolean
  /** The address of the provider's frame; absent where the page has none. */
  readonly frame: string | undefined
  /** The time between two questions goes by, and whatever is posted arrives. */
  tick(): Promise<void>
  /** Posts something to our page. */
  post(data: unknown, from?: Partial<Message>): void
}

export interface SessionFramesOptions {
  /** The page that has the frame in it. */
  readonly around?: string
  /** What the browser keeps for the origin of the application. */
  readonly storage?: Map<string, string>
  /** In the place of the provider's own frame: what it answers to a question. */
  readonly answer?: (message: unknown) => unknown
  /** The provider's frame gets no cookies, as one of another site. */
  readonly cookies?: 'sent' | 'kept back'
  /** Nothing is around the page. */
  readonly isTop?: boolean
}

/** Our page while its script is run: what it has done, and what can be done to it. */
interface OurWindow {
  readonly left: string[]
  /** The listeners for messages. */
  readonly heard: Listener[]
  readonly timers: Map<number, () => void>
  readonly loaded: (() => void)[]
  frame: string | undefined
}

/** What the script of our page finds around it. */
function globalsOf(ours: OurWindow, frameWindow: object, around: URL, options: SessionFramesOptions): object {
  const { storage = new Map<string, string>(), isTop = false } = options
  const { pathname, search, hash } = around
  const element = {
    contentWindow: frameWindow,
    addEventListener: (_load: string, listener: () => void) => void ours.loaded.push(listener),
    set src(url: string) {
      ours.frame = url
    },
  }
  const globals = {
    document: { getElementById: (id: string) => (id === 'provider' ? element : null) },
    localStorage: {
      getItem: (key: string) => storage.get(key) ?? null,
      setItem: (key: string, value: string) => void storage.set(key, value),
    },
    addEventListener: (_message: string, listener: Listener) => void ours.heard.push(listener),
    setInterval: (ask: () => void) => {
      ours.timers.set(ours.timers.size, ask)
      return ours.timers.size - 1
    },
    clearInterval: (timer: number) => ours.timers.delete(timer),
    encodeURIComponent,
  }
  const replace = (url: string): void => void ours.left.push(url)
  const parent = isTop ? globals : { location: { pathname, search, hash, replace } }
  return Object.assign(globals, { window: globals, parent })
}

/**
 * Opens the page for the hidden frame in a small browser, and plays the windows: the scripts of both pages are run as they
 * are. It heeds no policy; a real browser does.
 */
export async function openSessionFrames(
  browser: Browser,
  page: Page,
  options: SessionFramesOptions = {},
): Promise<SessionFrames> {
  const { origin } = new URL(page.url)
  const ours: OurWindow = { left: [], heard: [], timers: new Map(), loaded: [], frame: undefined }
  const asked: [unknown, string][] = []
  const pending: Promise<void>[] = []
  const frameWindow = {
    postMessage(data: unknown, targetOrigin: string) {
      asked.push([data, targetOrigin])
      if (ours.frame !== undefined && targetOrigin === new URL(ours.frame).origin) pending.push(answer(data))
    },
  }
  run(page.body, globalsOf(ours, frameWindow, new URL(options.around ?? '/', origin), options))
  const isPlayed = ours.frame !== undefined && options.answer === undefined
  const theirs = isPlayed ? await openProviderFrame(browser, ours.frame ?? '', options.cookies) : undefined

  function post(data: unknown, from: Partial<Message> = {}): void {
    const usual = { data, origin: new URL(ours.frame ?? origin).origin, source: frameWindow }
    for (const listener of ours.heard) listener({ ...usual, ...from })
  }
  async function answer(data: unknown): Promise<void> {
    if (options.answer) return post(options.answer(data))
    const source = { postMessage: (reply: unknown, target: string) => target === origin && post(reply) }
    await theirs?.({ data, origin, source })
  }
  async function settle(acts: Iterable<() => void>): Promise<void> {
    for (const act of [...acts]) act()
    await Promise.all(pending.splice(0))
  }
  if (ours.frame !== undefined) await settle(ours.loaded)
  return {
    ...{ left: ours.left, asked, frame: ours.frame, post },
    get isAsking() {
      return ours.timers.size > 0
    },
    tick: () => settle(ours.timers.values()),
  }
}

/** Runs the provider's own frame; what it would do with a message. */
async function openProviderFrame(browser: Browser, url: string, cookies = 'sent'): Promise<Listener | undefined> {
  const page = await browser.open(url, { headers: { 'sec-fetch-dest': 'iframe' } })
  assert.equal(page.status, 200)
  const heard: Listener[] = []
  const { hostname } = new URL(url)
  run(page.body, {
    addEventListener: (_message: string, listener: Listener) => void heard.push(listener),
    document: {
      // Of the moment: it changes while the frame is open.
      get cookie() {
        const kept = cookies === 'sent' ? browser.cookies(hostname) : []
        return kept.map(({ name, value }) => `${name}=${value}`).join('; ')
      },
    },
    ...{ crypto: webcrypto, TextEncoder, Uint8Array },
  })
  return heard[0]
}

function run(html: string, globals: object): void {
  const script = /<script[^>]*>([\s\S]*?)<\/script>/.exec(html)?.[1]
  if (script !== undefined) runInNewContext(script, globals)
}
