// `npm run example:pictures`: takes the pictures of the documentation. It starts the example on its usual ports, so that their
// addresses are in the pictures.
import { mkdirSync, statSync } from 'node:fs'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { readSettings } from '../example-app/settings.ts'
import { startExample } from '../example-app/start.ts'
import { launchChromium } from '../test/support/browser/chromium.ts'

const FOLDER = 'docs/images'
const MOST_BYTES = 150_000
/** As wide as a README is shown: 864 pixels. */
const LOOK = {
  viewport: { width: 1080, height: 900 },
  deviceScaleFactor: 0.8,
  colorScheme: 'light',
} as const satisfies BrowserContextOptions

const browser = await launchChromium()
if (browser === undefined) throw new Error('Chromium is not installed. Set CHROMIUM_PATH.')
const example = await startExample(readSettings({}))
mkdirSync(FOLDER, { recursive: true })
try {
  const page = await (await browser.newContext(LOOK)).newPage()
  await page.goto(`${example.baseUrl}/anatomy`)
  await signIn(page)
  await take(page, 'anatomy', 'The way there and back')
  await page.goto(`${example.baseUrl}/api`)
  await page.getByText('You are Alice Adams.').waitFor()
  await page.getByRole('button', { name: 'Call the API' }).click()
  await page.getByRole('status').getByText('200').waitFor()
  await page.mouse.move(0, 0)
  await take(page, 'api', 'The response')
} finally {
  await browser.close()
  await example.close()
}

async function signIn(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Harbourline Accounts' }).click()
  await page.getByLabel('User name').fill('alice')
  await page.getByLabel('Password').fill('tide-table')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: 'Allow' }).click()
  await page.waitForURL((url) => url.pathname === '/anatomy')
}

/** From the top of the page to the end of this panel. */
async function take(page: Page, name: string, lastPanel: string): Promise<void> {
  const path = `${FOLDER}/${name}.png`
  const { y, height } = (await page.getByRole('region', { name: lastPanel }).boundingBox()) ?? { y: 0, height: 900 }
  await page.screenshot({
    path,
    fullPage: true,
    clip: { x: 0, y: 0, width: LOOK.viewport.width, height: y + height + 12 },
  })
  const { size } = statSync(path)
  process.stdout.write(`${path}: ${Math.round(size / 1000)} kB\n`)
  if (size > MOST_BYTES) throw new Error(`${path} has ${size} bytes. Make the picture smaller.`)
}
