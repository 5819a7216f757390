import { existsSync } from 'node:fs'
import { type Browser, chromium, type LaunchOptions } from 'playwright-core'

const EXECUTABLE = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium'

/** Where the one Chromium of `npm test` listens. Without it, each `launchChromium()` starts another. */
const SHARED = 'OIDC_TEST_CHROMIUM'

/** Without a window. Nothing that it does by itself leaves the machine. */
export const CHROMIUM_SETTINGS: LaunchOptions = {
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
}

/** Why the tests that need Chromium are skipped, or `false`: for node:test's `skip`. */
export const skipWithoutChromium: string | false = existsSync(EXECUTABLE)
  ? false
  : 'skipped: chromium is not installed (CHROMIUM_PATH tells where it is)'

/** Starts Chromium, or connects to that of this run: its own contexts, and so cookies, are gone when it is closed. Close it. */
export async function launchChromium(): Promise<Browser | undefined> {
  if (skipWithoutChromium) return undefined
  const endpoint = process.env[SHARED]
  return endpoint === undefined ? chromium.launch(CHROMIUM_SETTINGS) : chromium.connect(endpoint)
}

/** Starts the Chromium for this process and those that it starts from now on; does nothing where it is not installed. */
export async function shareChromium(): Promise<{ stop(): Promise<void> }> {
  if (skipWithoutChromium) return { stop: async () => undefined }
  const server = await chromium.launchServer(CHROMIUM_SETTINGS)
  process.env[SHARED] = server.wsEndpoint()
  return { stop: () => server.close() }
}
