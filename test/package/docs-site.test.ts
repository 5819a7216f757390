import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { ROOT } from '../support/app/project.ts'
import { launchChromium, skipWithoutChromium } from '../support/browser/chromium.ts'
import { filesBelow, readText } from '../support/docs/code-blocks.ts'
import { buildSite, type Site, serveSite } from '../support/docs/site.ts'

/** Runs in the page: the texts whose contrast is below that of WCAG 1.4.3. */
const FAINT_TEXTS = readText('test/support/browser/faint-texts.js')

let site: Site

before(async () => {
  site = await buildSite()
})

/** The values of an attribute, with `&amp;` and the like decoded. */
function attributesOf(html: string, name: string): readonly string[] {
  return [...html.matchAll(new RegExp(`\\s${name}="([^"]*)"`, 'g'))].map(([, value = '']) =>
    value.replaceAll('&amp;', '&').replaceAll('&#39;', "'"),
  )
}

/** The file of the site that a link of a page leads to. */
function fileOf(page: string, target: string): string {
  const path = decodeURIComponent(target)
  const file = path === '' ? page : new URL(path, `http://site/${page}`).pathname.slice(1)
  return file === '' || file.endsWith('/') ? `${file}index.html` : file
}

describe('the documentation site', () => {
  it('has a page for every document', () => {
    const documents = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...filesBelow('docs', '.md')]
    const expected = documents.map((file) => file.replace(/README\.md$/, 'index.md').replace(/\.md$/, '.html'))
    assert.ok(expected.length > 40)
    assert.deepEqual(
      expected.filter((page) => !site.has(page)),
      [],
    )
  })

  it('has links to pages and headings that are there', () => {
    const ids = new Map(site.pages.map((page) => [page, new Set(attributesOf(site.read(page), 'id'))]))
    const dead = site.pages.flatMap((page) =>
      attributesOf(site.read(page), 'href')
        .filter((href) => !/^(?:https?|mailto|data):/.test(href))
        .filter((href) => {
          const [target = '', heading = ''] = href.split('#')
          const file = fileOf(page, target)
          return !site.has(file) || (heading !== '' && ids.get(file)?.has(decodeURIComponent(heading)) !== true)
        })
        .map((href) => `${page}: ${href}`),
    )
    assert.deepEqual(dead, [])
  })

  it('lists every page in one of four kinds: Start, Guides, Reference, Decisions', () => {
    const html = site.read('index.html')
    const sidebar = html.slice(html.indexOf('id="VPSidebarNav"'), html.indexOf('id="VPContent"'))
    const kinds = [...sidebar.matchAll(/<h2[^>]*>([^<]*)</g)].map(([, title]) => title)
    assert.deepEqual(kinds, ['Start', 'Guides', 'Reference', 'Decisions'])
    const listed = new Set(attributesOf(sidebar, 'href').map((href) => fileOf('index.html', href)))
    const unlisted = site.pages.filter((page) => !listed.has(page))
    assert.deepEqual(unlisted, ['bench/index.html', 'docs/index.html', 'example-app/index.html'])
  })

  it('has the same kinds in the index of docs/README.md', () => {
    const kinds = [...readText('docs/README.md').matchAll(/^## (.*)$/gm)].map(([, title]) => title)
    assert.deepEqual(kinds, ['Start', 'Guides', 'Reference', 'Decisions'])
  })

  it('loads nothing of another host', () => {
    for (const page of site.pages) {
      const html = site.read(page)
      const loaded = [
        ...attributesOf(html, 'src'),
        ...[...html.matchAll(/<link [^>]*>/g)].flatMap(([tag]) => attributesOf(tag, 'href')),
      ]
      assert.deepEqual(
        loaded.filter((url) => /^(?:https?:)?\/\//.test(url)),
        [],
        page,
      )
    }
  })
})

/** Runs in the page: whether nothing of it is wider than the window. */
const FITS = 'document.documentElement.scrollWidth <= innerWidth'

const LOOKS: Readonly<Record<string, BrowserContextOptions>> = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 900 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
  mobile: { colorScheme: 'light', viewport: { width: 390, height: 844 }, hasTouch: true },
}

const LOOKED_AT = [
  '',
  'docs/testing.html',
  'docs/events.html',
  'docs/decisions/0001-express-session-is-the-session-engine.html',
]

describe('the documentation site in Chromium', { skip: skipWithoutChromium }, () => {
  let browser: Browser | undefined
  let served: Awaited<ReturnType<typeof serveSite>>
  before(async () => {
    mkdirSync(join(ROOT, 'screenshots'), { recursive: true })
    served = await serveSite(site)
    browser = await launchChromium()
  })
  after(async () => {
    await browser?.close()
    await served?.stop()
  })

  for (const [look, settings] of Object.entries(LOOKS)) {
    it(`can be read: ${look}`, async () => {
      await withPage(settings, async (page) => {
        for (const path of LOOKED_AT) {
          await page.goto(`${served.url}/${path}`)
          await page.locator('.vp-doc h1').waitFor()
          const isDark = await page.evaluate("document.documentElement.classList.contains('dark')")
          assert.equal(isDark, look === 'dark', path)
          assert.ok(await page.evaluate(FITS), `${path} is clipped`)
          assert.deepEqual(await page.evaluate(FAINT_TEXTS), [], path)
          const name = path === '' ? 'readme' : path.replace(/^.*\/|\.html$/g, '')
          await page.screenshot({ path: join(ROOT, `screenshots/docs-${name}-${look}.png`) })
        }
      })
    })
  }

  it('fits a telephone on every page', async () => {
    // Scripts change nothing about the width, and take most of the time.
    await withPage({ ...LOOKS['mobile'], javaScriptEnabled: false }, async (page) => {
      const clipped: string[] = []
      for (const path of site.pages) {
        await page.goto(`${served.url}/${path}`)
        if (!(await page.evaluate(FITS))) clipped.push(path)
      }
      assert.deepEqual(clipped, [])
      await page.evaluate("document.querySelector('.vp-doc h1').style.width = '391px'")
      assert.equal(await page.evaluate(FITS), false)
    })
  })

  it('finds a page by its text', async () => {
    await withPage({ viewport: { width: 1280, height: 900 } }, async (page) => {
      await page.goto(`${served.url}/`)
      await page.locator('#local-search button').click()
      await page.locator('#localsearch-input').fill('ERR_OIDC_NOT_MOUNTED')
      const first = page.locator('#localsearch-list a').first()
      await first.waitFor()
      assert.match((await first.getAttribute('href')) ?? '', /^\/docs\/errors(?:\.html)?#err_oidc_not_mounted$/)
    })
  })

  /** Fails if the page requests anything of another host, or reports an error. */
  async function withPage(settings: BrowserContextOptions, look: (page: Page) => Promise<void>): Promise<void> {
    assert.ok(browser)
    const context = await browser.newContext(settings)
    const faults: string[] = []
    try {
      context.setDefaultTimeout(300_000)
      const page = await context.newPage()
      page.on('request', (request) => {
        if (!/^(?:data|blob):/.test(request.url()) && !request.url().startsWith(`${served.url}/`))
          faults.push(request.url())
      })
      page.on('pageerror', (error) => faults.push(String(error)))
      page.on('console', (message) => {
        if (message.type() === 'error') faults.push(message.text())
      })
      await look(page)
      assert.deepEqual(faults, [])
    } finally {
      await context.close()
    }
  }
})
