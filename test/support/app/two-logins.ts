import { takeCoverage } from 'node:v8'
import { startStrictProvider } from '../strict-provider/provider.ts'
import { startApp } from './app.ts'

/**
 * A program that logs in twice: first with default options, then with options that need the rare parts of the library. V8
 * writes the loaded scripts to `NODE_V8_COVERAGE` after the first login and at the end.
 */
await logIn({ idToken: 'thin' }, {})
takeCoverage()
await logIn(
  { idToken: 'thin', dpop: 'no-nonce', requestObjectSigningAlg: 'RS256' },
  { claimsProviders: ['https://bank.example.com'] },
)

async function logIn(
  settings: Parameters<typeof startStrictProvider>[0],
  options: NonNullable<Parameters<typeof startApp>[0]>['options'],
): Promise<void> {
  const provider = await startStrictProvider(settings)
  const app = await startApp({ provider, options: { ...provider.clientOptions, ...options } })
  const { status, body } = await app.browser().open('/profile')
  await Promise.all([app.stop(), provider.stop()])
  if (status !== 200 || provider.calls['/userinfo'] === 0) throw new Error(`The login failed with ${status}: ${body}`)
}
