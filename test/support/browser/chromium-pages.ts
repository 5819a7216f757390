import assert from 'node:assert/strict'
import { after, afterEach, before } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { launchChromium } from './chromium.ts'

/** Pages of one Chromium for all tests of a `describe`: each test has a context, and so cookies, of its own. */
export function createChromiumPages(): () => Promise<Page> {
  let browser: Browser | undefined
  let context: BrowserContext | undefined
  before(async () => {
    browser = await launchChromium()
  })
  afterEach(async () => {
    await context?.close()
    context = undefined
  })
  after(() => browser?.close())
  return async () => {
    assert.ok(browser, 'Chromium is there while tests run')
    context ??= await browser.newContext()
    context.setDefaultTimeout(10_000)
    return context.newPage()
  }
}
