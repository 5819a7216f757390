import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { describe, it } from 'node:test'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, type JWK } from 'jose'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson } from '../support/app/app-routes.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { startAged } from '../support/hostile/fault-injection.ts'
import { listen } from '../support/servers/http-server.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

// Nonces that servers demand in proofs of possession.

function refreshForms({ requests }: StrictProvider): readonly URLSearchParams[] {
  return requests.map(({ form }) => form).filter((form) => form.get('grant_type') === 'refresh_token')
}

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

describe('refreshes with a proof of possession', () => {
  const bound = createStage({
    provider: { dpop: 'nonce', tokenEndpointAuthMethod: 'private_key_jwt' },
    app: { errorHandler: 'json' },
  })

  it('of mod_auth_openidc, 2026-07-29: no assertion is sent twice when a new nonce is demanded', async () => {
    const { app, browser } = await startAged(bound)
    bound.provider.dpopNonces = { authorizationServer: 'another-nonce', resource: 'another-nonce' }
    assert.equal((await browser.fetch('/access-token')).status, 200)
    const ids = refreshForms(bound.provider).map((form) => decodeJwt(form.get('client_assertion') ?? '').jti)
    assert.deepEqual([ids.length, new Set(ids).size], [2, 2])
    bound.provider.dpopNonces = { authorizationServer: 'a-third-nonce', resource: 'a-third-nonce' }
    assert.equal((await browser.post('/logout')).status, 200)
    assert.deepEqual([bound.provider.calls['/revoke'], bound.provider.complaints, codesOf(app)], [1, [], []])
  })

  it('CVE-2026-40155: users who get nonces at the same time send their own tokens and proofs', async () => {
    const requests: { readonly token: string; readonly key: JWK; readonly nonce: unknown }[] = []
    let [count, nonce] = [0, 'first']
    const server = createServer((req, res) => {
      const proof = String(req.headers['dpop'])
      const given = decodeJwt(proof)['nonce']
      requests.push({ token: tokenIn(req), key: decodeProtectedHeader(proof).jwk as JWK, nonce: given })
      count += 1
      if (count % 4 === 0) nonce = randomUUID()
      res.setHeader('DPoP-Nonce', nonce)
      res.writeHead(given === nonce ? 200 : 401, { 'WWW-Authenticate': 'DPoP error="use_dpop_nonce"' }).end()
    })
    const api = bound.stopLater(await listen(server))
    const call = answerJson(async ({ oidc }) => ({
      status: (await oidc.fetch(`http://127.0.0.1:${api.port}/`)).status,
    }))
    const app = await bound.start({}, { routes: { '/call': call } })
    const browsers: Browser[] = []
    for (const name of ['ann', 'bea', 'cay']) {
      bound.provider.account = { sub: name, claims: { name } }
      browsers.push(await logIn(app))
    }
    await Promise.all(Array.from({ length: 6 }, () => browsers.map((browser) => browser.fetch('/call'))).flat())
    assert.ok(requests.length >= 18)
    for (const { token, key } of requests) {
      assert.equal(bound.provider.accessTokens.get(token)?.jkt, await calculateJwkThumbprint(key))
    }
    assert.equal(new Set(requests.map(({ key }) => JSON.stringify(key))).size, browsers.length)
  })

  function tokenIn({ headers }: IncomingMessage): string {
    return String(headers.authorization).replace(/^DPoP /, '')
  }
})
