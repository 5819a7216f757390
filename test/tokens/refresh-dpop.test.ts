import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { describe, it } from 'node:test'
import { decodeJwt } from 'jose'
import { codesOf } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import { listen } from '../support/servers/http-server.ts'

const SCOPE = 'openid profile email offline_access'
const stage = createStage({ provider: { dpop: 'nonce' }, app: { errorHandler: 'json' } })

/** An API that demands its own DPoP nonce, and records the requests that it got. */
async function startApi(): Promise<{ readonly url: string; readonly requests: readonly IncomingMessage[] }> {
  const requests: IncomingMessage[] = []
  const server = createServer((req, res) => {
    requests.push(req)
    const { nonce } = decodeJwt(String(req.headers['dpop']))
    res.writeHead(nonce === 'of-the-api' ? 200 : 401, { 'DPoP-Nonce': 'of-the-api' }).end()
  })
  const { port } = stage.stopLater(await listen(server))
  return { url: `http://127.0.0.1:${port}/orders?page=2`, requests }
}

describe('tokens that are bound to a key', () => {
  it('are refreshed with the same key', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { app, browser } = await stage.startLoggedIn({ scope: SCOPE })
    const before = (await browser.fetch('/tokens')).json()
    const { token } = (await browser.fetch('/access-token')).json()
    const after = (await browser.fetch('/tokens')).json()
    assert.deepEqual([after['dpopKey'], after['tokenType'], after['accessToken']], [before['dpopKey'], 'DPoP', token])
    assert.notEqual(token, before['accessToken'])
    assert.deepEqual([stage.provider.complaints, codesOf(app)], [[], []])
  })

  it('are refused if a refresh returns bearer tokens (RFC 9449 5)', async () => {
    stage.provider.change.tokenResponse = (response) => ({ ...response, expires_in: 0 })
    const { app, browser } = await stage.startLoggedIn({ scope: SCOPE })
    stage.provider.change.refreshResponse = (response) => ({ ...response, token_type: 'Bearer' })
    await browser.fetch('/access-token')
    assert.deepEqual(codesOf(app), ['ERR_OIDC_TOKEN_RESPONSE'])
  })

  it('are sent to an API with a proof for this request and token, and again with the nonce that it demands', async () => {
    const api = await startApi()
    const routes: Routes = {
      '/call': answerJson(async ({ oidc }) => ({
        status: (await oidc.fetch(api.url, { method: 'POST', body: 'x' })).status,
      })),
    }
    const { browser } = await stage.startLoggedIn({ scope: SCOPE }, { routes })
    const { accessToken } = (await browser.fetch('/tokens')).json()
    assert.deepEqual((await browser.fetch('/call')).json(), { status: 200 })
    assert.deepEqual(
      api.requests.map(({ headers }) => headers.authorization),
      [`DPoP ${accessToken}`, `DPoP ${accessToken}`],
    )
    const [first, second] = api.requests.map(({ headers }) => decodeJwt(String(headers['dpop'])))
    const ath = createHash('sha256').update(String(accessToken)).digest('base64url')
    assert.deepEqual([second?.['htm'], second?.['htu'], second?.['ath']], ['POST', api.url.split('?')[0], ath])
    assert.notEqual(first?.jti, second?.jti)
    assert.deepEqual((await browser.fetch('/call')).json(), { status: 200 })
    assert.equal(api.requests.length, 3, 'the nonce is remembered')
  })
})
