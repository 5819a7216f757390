import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { describe, it } from 'node:test'
import type { TokenRecord } from '../../lib/index.ts'
import { codesOf, type TestApp } from '../support/app/app.ts'
import { answerJson, type Routes } from '../support/app/app-routes.ts'
import { isIn } from '../support/app/logout-observer.ts'
import { createRsaKeyPair } from '../support/app/rsa-keys.ts'
import { signJws } from '../support/app/signing-keys.ts'
import { createStage } from '../support/app/stage.ts'
import type { Browser } from '../support/browser/browser.ts'
import { startAged } from '../support/hostile/fault-injection.ts'
import type { StrictProvider } from '../support/strict-provider/provider.ts'

// Responses to a refresh, and to requests with its tokens, that must not be believed.

const routes: Routes = {
  '/token-for': answerJson(async ({ oidc, url }) => {
    const query = new URLSearchParams(url?.split('?')[1])
    const [scope, resource] = [query.get('scope') ?? undefined, query.get('resource') ?? undefined]
    return { token: await oidc.accessToken({ scope, resource }) }
  }),
  '/userinfo': answerJson(({ oidc }) => oidc.userinfo()),
}

const stage = createStage({ app: { errorHandler: 'json', routes } })

async function tokensOf(browser: Browser): Promise<TokenRecord> {
  // The route sends what req.oidc.tokens() returned.
  return (await browser.fetch('/tokens')).json() as unknown as TokenRecord
}

async function logIn(app: TestApp, browser: Browser = app.browser()): Promise<Browser> {
  const page = await browser.open(`${app.baseUrl}/login?returnTo=/profile`)
  assert.equal(page.status, 200, page.body)
  return browser
}

describe('a hostile response to a refresh', () => {
  const { privateKey, publicKey } = createRsaKeyPair()
  const resigned =
    (alg: string, key: Parameters<typeof signJws>[1], header: object) =>
    (jwt: string): string =>
      signJws(alg, key, { alg, ...header }, JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()))
  const pemOf = ({ keys }: StrictProvider): string => {
    return String(createPublicKey(keys.rsa.privateKey).export({ type: 'spki', format: 'pem' }))
  }
  const unsigned = (jwt: string): string => {
    return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${jwt.split('.')[1]}.`
  }
  type Forge = (provider: StrictProvider) => (jwt: string) => string
  const forgeries: readonly (readonly [name: string, forge: Forge])[] = [
    ['CVE-2021-44878: alg none', () => unsigned],
    ['CVE-2024-37568: the public key as a secret', (provider) => resigned('HS256', pemOf(provider), {})],
    [
      'CVE-2026-27962: a key in its own header',
      () => resigned('RS256', privateKey, { jwk: publicKey.export({ format: 'jwk' }) }),
    ],
    [
      'CVE-2025-59420: an unknown crit',
      ({ keys }) => resigned('RS256', keys.rsa.privateKey, { kid: keys.rsa.kid, crit: ['x'], x: 1 }),
    ],
    [
      'CVE-2017-7474, GHSA-45fh-g845-pj9w: a signature by another key',
      ({ keys }) => resigned('RS256', privateKey, { kid: keys.rsa.kid }),
    ],
    ['CVE-2025-61920: a token of a megabyte', () => (jwt) => `${jwt}${'A'.repeat(900_000)}`],
    ['CVE-2026-29000: a token of five parts', () => (jwt) => `${jwt}..`],
  ]
  for (const [name, forge] of forgeries) {
    it(`of mod_auth_openidc, 2026-07-31, as ${name}: a refreshed ID Token is verified`, async () => {
      const { app, browser } = await startAged(stage)
      const before = await tokensOf(browser)
      const profile = (await browser.fetch('/profile')).body
      stage.provider.change.refreshedIdToken = forge(stage.provider)
      const page = await browser.fetch('/access-token')
      assert.equal(page.status, 502)
      assert.match(String(codesOf(app)), /^ERR_OIDC_ID_TOKEN_\w+$/)
      // The old refresh token is spent, so its successor is kept. It needs an ID Token that passes.
      const { refreshToken } = await tokensOf(browser)
      const expected = { ...before, refreshToken, needsIdToken: true }
      assert.deepEqual([await tokensOf(browser), (await browser.fetch('/profile')).body], [expected, profile])
    })
  }

  it('of mod_auth_openidc, 2026-08-12: req.oidc.userinfo() refuses a list', async () => {
    const { app, browser } = await startAged(stage)
    for (const userinfo of [[], [{ sub: 'user-subject' }], null, 'user-subject', 1]) {
      app.errors.length = 0
      stage.provider.change.userinfo = () => userinfo
      const page = await browser.fetch('/userinfo')
      assert.deepEqual([page.status, codesOf(app)], [502, ['ERR_OIDC_USERINFO']])
    }
    assert.equal(await isIn(browser), true)
  })

  it('of mod_auth_openidc, 2026-05: a demand for a DPoP nonce with a bearer token is an error, and no crash', async () => {
    const { app, browser } = await startAged(stage)
    stage.provider.change.raw['/userinfo'] = (_req, res) => {
      res.writeHead(401, { 'WWW-Authenticate': 'DPoP error="use_dpop_nonce"', 'DPoP-Nonce': 'x' }).end()
    }
    assert.equal((await browser.fetch('/userinfo')).status, 502)
    assert.deepEqual([codesOf(app), stage.provider.calls['/userinfo']], [['ERR_OIDC_USERINFO'], 1])
  })

  it('claims named like members of objects are kept as claims, after a refresh too', async () => {
    const { app, browser } = await startAged(stage)
    stage.provider.change.refreshedIdTokenClaims = (claims) =>
      JSON.parse(
        `{"__proto__":{"groups":["admin"]},"constructor":"x","toString":"y",${JSON.stringify(claims).slice(1)}`,
      )
    await browser.fetch('/access-token')
    assert.deepEqual([codesOf(app), await isIn(browser), (await browser.fetch('/admin')).status], [[], true, 403])
    assert.equal(Object(Object.prototype).groups, undefined)
  })

  it('KCC: each token with an unknown key gives a clear error, but not each causes a request for keys', async () => {
    const { app, browser } = await startAged(stage)
    const before = stage.provider.calls['/jwks']
    for (let count = 0; count < 12; count++) {
      stage.provider.change.refreshedIdTokenHeader = (header) => ({ ...header, kid: `unknown ${count}` })
      await browser.fetch('/access-token')
      // The refused response was not stored, and the refresh token has been used.
      await logIn(app, browser)
    }
    assert.deepEqual([codesOf(app), app.otherErrors], [Array(12).fill('ERR_OIDC_ID_TOKEN_KEY'), []])
    assert.ok(stage.provider.calls['/jwks'] - before <= 6)
  })
})
