import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const EXECUTABLE = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium'

/** Why the tests that need Chromium are skipped, or `false`: for node:test's `skip`. */
export const skipWithoutChromium: string | false = existsSync(EXECUTABLE)
  ? false
  : 'skipped: chromium is not installed (CHROMIUM_PATH tells where it is)'

/** Starts Chromium without a window. Nothing that it does by itself leaves the machine. Close it. */
export async function launchChromium(): Promise<Browser | undefined> {
  if (skipWithoutChromium) return undefined
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--no-proxy-server',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
