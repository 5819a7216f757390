import { API_AUDIENCE, SCRIPT } from './provider/accounts.ts'

// `npm run -s example:token`: prints an access token for the API, as a program gets one (RFC 6749 4.4). It is valid for ten
// minutes. The example must be running.
const issuer = `http://localhost:${process.env['PROVIDER_PORT'] || 3001}`
const { clientId, clientSecret, scope } = SCRIPT

try {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${clientId}:${clientSecret}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource: API_AUDIENCE, scope }),
  })
  const { access_token: token } = Object(await response.json())
  if (!response.ok || typeof token !== 'string') throw new Error(`${issuer} answered ${response.status}.`)
  console.log(token)
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error)
  console.error(`There is no token. Start the example first: npm run example. ${reason}`)
  process.exitCode = 1
}
