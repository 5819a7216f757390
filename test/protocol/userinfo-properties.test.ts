import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { presentMembers } from '../../lib/jose/json.ts'
import { SECURITY_CLAIMS } from '../../lib/protocol/claim-rules.ts'
import { resolveClaimsSources } from '../../lib/protocol/claims-sources.ts'
import { completeClaims, readUserInfo } from '../../lib/protocol/userinfo.ts'
import type { Provider } from '../../lib/provider/provider.ts'
import type { Json } from '../../lib/types.ts'
import { anyText, damaged, foreignJson, nearly } from '../support/properties/foreign-text.ts'
import { holds, outcomeOf } from '../support/properties/outcome.ts'
import {
  CLIENT_ID,
  ISSUER,
  type ScriptedResponse,
  scriptedProvider,
  signedWithSecret,
} from '../support/properties/scripted-provider.ts'

const NOW = Math.floor(Date.now() / 1000)
const BANK = 'https://bank.example.com'
const TOKENS = { idToken: 'a.b.c', accessToken: 'token', tokenType: 'Bearer' }
const CODES = /^ERR_OIDC_(USERINFO|PROVIDER_)/

let response: ScriptedResponse = { body: '' }
let urls: string[] = []
const respond = (url: string): ScriptedResponse => {
  urls.push(url)
  return response
}
let plain: Provider
let signed: Provider
before(async () => {
  plain = await scriptedProvider(respond, { claimsProviders: [BANK, ISSUER] })
  signed = await scriptedProvider(respond, { userinfoSignedResponseAlg: 'HS256' })
})

const good = { sub: 'jane', name: 'Jane', email: 'jane@example.com', iss: ISSUER, aud: CLIENT_ID, exp: NOW + 300 }

const anyStatus = fc.oneof(
  { weight: 5, arbitrary: fc.constant(200) },
  { weight: 1, arbitrary: fc.constantFrom(302, 400, 401, 403, 429, 500, 503) },
)
const anyChallenge = fc.constantFrom('', 'Bearer error="insufficient_scope"', 'DPoP error="use_dpop_nonce"', 'x="')

describe('a UserInfo response', () => {
  const anyBody = fc.oneof(
    nearly(good).map((claims) => JSON.stringify(claims)),
    damaged(JSON.stringify(good)),
    foreignJson.map((json) => JSON.stringify(json)),
  )
  const anyJwt = fc.oneof(
    nearly(good).map((claims) => signedWithSecret(claims)),
    damaged(signedWithSecret(good)),
    anyText,
  )

  it('is about the user who is logged in, or is refused', async () => {
    await fc.assert(
      fc.asyncProperty(anyBody, anyStatus, anyChallenge, async (body, status, challenge) => {
        response = { body, status, headers: { 'www-authenticate': challenge } }
        const { value: claims } = await outcomeOf(() => readUserInfo(plain, TOKENS, 'jane'), CODES)
        if (claims !== undefined) assert.equal(claims['sub'], 'jane')
      }),
      { numRuns: 150 },
    )
  })

  it('that was registered to be signed is taken in no other form', async () => {
    const type = fc.constantFrom('application/jwt', 'application/jwt; charset=utf-8', 'application/json', 'text/plain')
    await fc.assert(
      fc.asyncProperty(fc.oneof(anyJwt, anyBody), type, anyStatus, async (body, contentType, status) => {
        response = { body, status, headers: { 'content-type': contentType } }
        const { value: claims } = await outcomeOf(() => readUserInfo(signed, TOKENS, 'jane'), CODES)
        if (claims === undefined) return
        assert.equal(claims['sub'], 'jane')
        assert.match(contentType, /^application\/jwt/)
        const signedClaims = JSON.parse(Buffer.from(body.split('.')[1] ?? '', 'base64url').toString())
        assert.deepEqual(claims, presentMembers(signedClaims))
      }),
      { numRuns: 200 },
    )
  })

  it('adds claims, and changes none of those that the ID Token has or that secure the login', async () => {
    const idToken = { iss: ISSUER, sub: 'jane', aud: CLIENT_ID, exp: NOW + 300, iat: NOW, name: 'Jane of the ID Token' }
    const others = fc.dictionary(
      fc.oneof(fc.constantFrom(...SECURITY_CLAIMS, 'name', 'email'), fc.string()),
      foreignJson,
    )
    const redeemed = { otherMembers: {}, claims: idToken, scope: 'openid profile email', tokens: TOKENS }
    await fc.assert(
      fc.asyncProperty(others, async (more) => {
        response = { body: JSON.stringify({ ...more, sub: 'jane' }) }
        const provider = { ...plain, config: { ...plain.config, userinfo: true } }
        const { value } = await outcomeOf(() => completeClaims(provider, redeemed), CODES)
        if (value === undefined) return
        const { claims } = value
        assert.deepEqual({ ...claims, ...idToken }, { ...claims })
        for (const name of SECURITY_CLAIMS)
          assert.equal(Object.hasOwn(claims, name), Object.hasOwn(idToken, name), name)
        assert.equal(Object.getPrototypeOf(claims), Object.prototype)
      }),
      { numRuns: 100 },
    )
  })
})

describe('the sources of claims', () => {
  const sourceName = fc.constantFrom('one', 'two', '__proto__', 'toString', '')
  const anySource: Arbitrary<Json> = fc.oneof(
    nearly({ JWT: signedWithSecret({ iss: BANK, account: '1' }) }) as Arbitrary<Json>,
    nearly({ endpoint: `${BANK}/claims`, access_token: 'token' }) as Arbitrary<Json>,
    fc
      .constantFrom('http://127.0.0.1/', 'https://evil.example/', 'file:///etc/passwd', '//x')
      .map((endpoint) => ({ endpoint })),
    foreignJson,
  )
  const names = fc.dictionary(
    fc.oneof(fc.constantFrom('account', 'sub', 'iss', '_claim_sources', '__proto__'), anyText),
    fc.oneof(sourceName, foreignJson),
    { maxKeys: 5 },
  )
  const claimsWithSources = fc.record({
    sub: fc.constant('jane'),
    _claim_names: fc.oneof({ weight: 4, arbitrary: names as Arbitrary<Json> }, { weight: 1, arbitrary: foreignJson }),
    _claim_sources: fc.oneof(
      { weight: 4, arbitrary: fc.dictionary(sourceName, anySource) as Arbitrary<Json> },
      { weight: 1, arbitrary: foreignJson },
    ),
  })

  it('never fail the login, change none of its claims, and are asked only where they may be', async () => {
    await fc.assert(
      fc.asyncProperty(claimsWithSources, anyStatus, anyText, async (claims, status, body) => {
        response = { body, status, headers: { 'content-type': 'application/jwt' } }
        urls = []
        const resolved = await resolveClaimsSources(plain, claims)
        const { _claim_sources: _, ...own } = claims
        assert.deepEqual({ ...resolved, ...own }, { ...resolved })
        holds(!Object.hasOwn(resolved, '_claim_sources'))
        for (const name of SECURITY_CLAIMS) assert.equal(Object.hasOwn(resolved, name), name === 'sub')
        for (const url of urls) assert.match(url, /^https:\/\/(bank|op)\.example\.com\//)
      }),
      { numRuns: 150 },
    )
  })

  it('are ten at most, however many are named', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 300 }), async (count) => {
        const all = Array.from({ length: count }, (_, index) => `source-${index}`)
        response = { body: '', status: 404 }
        urls = []
        await resolveClaimsSources(plain, {
          sub: 'jane',
          _claim_names: Object.fromEntries(all.map((name) => [name, name])),
          _claim_sources: Object.fromEntries(all.map((name) => [name, { endpoint: `${BANK}/${name}` }])),
        })
        assert.equal(urls.length, Math.min(count, 10))
      }),
      { numRuns: 20 },
    )
  })
})
