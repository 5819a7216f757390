// The script of the page /api. express-oidc/browser sends the user to log in at a 401, and back to this page.
import { fetch as fetchWithLogin, onLogout, user } from '/assets/express-oidc.js'

const URL_OF_API = '/api/v1/traffic'
const byId = (id) => document.getElementById(id)

async function show(request) {
  const response = await request
  const body = await response.json()
  const chip = document.createElement('span')
  chip.className = response.ok ? 'chip strong' : 'chip alarm'
  chip.textContent = `${response.status} ${response.statusText}`
  const by = response.ok ? ` authenticated by ${body.authenticatedBy}` : ''
  byId('answer-status').replaceChildren(chip, by)
  byId('answer').textContent = JSON.stringify(body, null, 2)
}

byId('call').addEventListener('click', () => show(fetchWithLogin(URL_OF_API)))
// The global fetch follows no login. Without cookies the API sees neither a session nor a token.
byId('call-anonymous').addEventListener('click', () => show(fetch(URL_OF_API, { credentials: 'omit' })))

byId('copy')?.addEventListener('click', async ({ target }) => {
  await navigator.clipboard.writeText(byId('command').textContent)
  target.textContent = 'Copied'
})

const found = await user()
byId('who').textContent = found
  ? `You are ${found.claims.name ?? found.claims.sub}. The browser sends your session cookie. No token ever reaches this page.`
  : 'You are not signed in. The call sends you to sign in, and back to this page.'
// After a logout in another tab, or at the provider, the page shows nobody.
if (found) onLogout(() => location.reload())
