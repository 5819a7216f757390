import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { before, describe, it } from 'node:test'
import fc, { type Arbitrary } from 'fast-check'
import { presentMembers } from '../../lib/jose/json.ts'
import { verifyJws } from '../../lib/jose/jws.ts'
import { verifyIdToken } from '../../lib/protocol/id-token.ts'
import { namesIssuerOf, verifyGlobalRevocationToken, verifyLogoutToken } from '../../lib/protocol/logout-token.ts'
import type { Provider } from '../../lib/provider/provider.ts'
import { isInstant } from '../../lib/time/seconds.ts'
import type { Json } from '../../lib/types.ts'
import { anyText, damaged, nearly } from '../support/properties/foreign-text.ts'
import { holds, isDeeplyFrozen, outcomeOf } from '../support/properties/outcome.ts'
import {
  CLIENT_ID,
  CLIENT_SECRET,
  ISSUER,
  scriptedProvider,
  signedWithSecret,
} from '../support/properties/scripted-provider.ts'

const NOW = Math.floor(Date.now() / 1000)
/** Longer than any test takes. */
const TOLERANCE = 60

let provider: Provider
before(async () => {
  provider = await scriptedProvider(() => ({ body: '{"keys":[]}' }), { clockTolerance: TOLERANCE })
})

/** Instants around now, and numbers that are none. */
const instant: Arbitrary<Json> = fc.oneof(
  fc.integer({ min: -100_000, max: 100_000 }).map((seconds) => NOW + seconds),
  fc.constantFrom<Json>(0, -1, 1e300, 0.5, String(NOW), null, [NOW]),
)

/** Nearly good claims, of which one time may be another. */
function claimsLike(good: Readonly<Record<string, Json>>, ...times: readonly string[]) {
  const change = fc.tuple(fc.constantFrom(...times), instant)
  return fc.oneof(
    nearly(good, 'nonce'),
    change.map((changed) => ({ ...good, ...Object.fromEntries([changed]) })),
    fc.constantFrom(...Object.keys(good)).map((absent) => {
      return Object.fromEntries(Object.entries(good).filter(([name]) => name !== absent))
    }),
  )
}

function halfHash(value: string): string {
  return createHash('sha256').update(value).digest().subarray(0, 16).toString('base64url')
}

describe('the claims of an ID Token', () => {
  const good = {
    ...{ iss: ISSUER, sub: 'jane', aud: CLIENT_ID, azp: CLIENT_ID, exp: NOW + 300, iat: NOW, nbf: NOW },
    ...{
      nonce: 'nonce',
      auth_time: NOW,
      at_hash: halfHash('access'),
      c_hash: halfHash('code'),
      s_hash: halfHash('state'),
    },
  }
  const expected = {
    ...{ issuer: ISSUER, clientId: CLIENT_ID, clockTolerance: TOLERANCE, nonce: 'nonce' },
    ...{ accessToken: 'access', code: 'code', state: 'state' },
  }
  const algorithm = { alg: 'HS256', clientSecret: CLIENT_SECRET }
  const verify = (token: unknown) => verifyJws('ID_TOKEN', token, provider.keys, algorithm)

  it('are accepted only if each rule holds, and are frozen then', async () => {
    const changes = fc.record({
      maxAge: fc.option(fc.nat({ max: 1000 }), { nil: undefined }),
      isRefreshed: fc.boolean(),
      requiredHashes: fc.constantFrom([], ['at_hash'] as const, ['at_hash', 'c_hash'] as const),
    })
    await fc.assert(
      fc.asyncProperty(claimsLike(good, 'exp', 'iat', 'nbf', 'auth_time'), changes, async (given, change) => {
        const token = signedWithSecret(given)
        const run = () => verifyIdToken(verify, token, { ...expected, ...change })
        const { value } = await outcomeOf(run, /^ERR_OIDC_ID_TOKEN_[A-Z_]+$/)
        if (value === undefined) return
        const claims: Readonly<Record<string, Json | undefined>> = JSON.parse(JSON.stringify(value.claims))
        const { auth_time: authTime, ...others } = JSON.parse(JSON.stringify(given))
        assert.deepEqual(claims, presentMembers({ ...others, ...(isInstant(authTime) ? { auth_time: authTime } : {}) }))
        holds(isDeeplyFrozen(value.claims))
        assert.equal(claims['iss'], ISSUER)
        assert.match(String(claims['sub']), /^[ -~]{1,255}$/)
        holds([claims['aud']].flat().includes(CLIENT_ID))
        holds(claims['azp'] === undefined || claims['azp'] === CLIENT_ID)
        holds(Number(claims['exp']) > NOW - TOLERANCE - 1)
        holds(Number(claims['iat']) <= NOW + TOLERANCE + 60 && Number(claims['iat']) >= NOW - 86_400 - TOLERANCE)
        holds(claims['nonce'] === 'nonce' || (change.isRefreshed && claims['nonce'] === undefined))
        for (const hash of change.requiredHashes) holds(claims[hash])
        for (const [hash, of] of [
          ['at_hash', 'access'],
          ['c_hash', 'code'],
          ['s_hash', 'state'],
        ] as const) {
          holds(claims[hash] === undefined || claims[hash] === halfHash(of))
        }
        if (change.maxAge === undefined) return
        holds(Number(claims['auth_time']) >= NOW - change.maxAge - TOLERANCE)
      }),
      { numRuns: 300 },
    )
  })
})

describe('the claims of a logout token', () => {
  const event = 'http://schemas.openid.net/event/backchannel-logout'
  const good = {
    ...{ iss: ISSUER, sub: 'jane', sid: 'session', aud: CLIENT_ID, exp: NOW + 120, iat: NOW, nbf: NOW, jti: 'one' },
    events: { [event]: {} },
  }

  it('are accepted only if each rule holds', async () => {
    await fc.assert(
      fc.asyncProperty(claimsLike(good, 'exp', 'iat', 'nbf'), async (given) => {
        const run = () => verifyLogoutToken(provider, signedWithSecret(given))
        const { value } = await outcomeOf(run, /^ERR_OIDC_LOGOUT_TOKEN_[A-Z_]+$/)
        if (value === undefined) return
        const claims = JSON.parse(JSON.stringify(given))
        assert.deepEqual({ ...value }, { issuer: ISSUER, sub: claims.sub, sid: claims.sid, jti: claims.jti })
        holds(value.sub ?? value.sid)
        for (const name of [value.sub ?? 'x', value.sid ?? 'x', value.jti])
          holds(name.length > 0 && name.length <= 1024)
        holds(!('nonce' in claims))
        assert.equal(typeof claims.events[event], 'object')
        holds([claims.aud].flat().includes(CLIENT_ID))
        holds(claims.iat >= NOW - 600 - TOLERANCE && claims.iat <= NOW + TOLERANCE + 60)
        holds(claims.exp === undefined || claims.exp > NOW - TOLERANCE - 1)
      }),
      { numRuns: 250 },
    )
  })

  it('say whose it is before it is verified, or say nothing', () => {
    const token = signedWithSecret(good)
    fc.assert(
      fc.property(
        fc.oneof(
          damaged(token),
          anyText,
          nearly(good).map((claims) => signedWithSecret(claims)),
        ),
        (text) => {
          assert.equal(typeof namesIssuerOf(text, provider.config), 'boolean')
        },
      ),
      { numRuns: 300 },
    )
    holds(namesIssuerOf(token, provider.config))
  })
})

describe('the claims of a token for Global Token Revocation', () => {
  const AUDIENCE = 'https://app.example.com/global-token-revocation'
  const good = { iss: ISSUER, sub: CLIENT_ID, aud: AUDIENCE, exp: NOW + 300, iat: NOW, nbf: NOW, jti: 'one' }
  const header = nearly({ alg: 'HS256', typ: 'global-token-revocation+jwt' })

  it('are accepted only if each rule holds', async () => {
    await fc.assert(
      fc.asyncProperty(claimsLike(good, 'exp', 'iat', 'nbf'), header, async (claims, head) => {
        const token = signedWithSecret(claims, head)
        const run = () => verifyGlobalRevocationToken(provider, token, AUDIENCE)
        const { value } = await outcomeOf(run, /^ERR_OIDC_REVOCATION_JWT$/)
        if (value === undefined) return
        assert.match(String(head['typ']), /^(application\/)?global-token-revocation\+jwt$/i)
        assert.deepEqual({ ...value }, { issuer: ISSUER, jti: claims['jti'] })
        assert.deepEqual([claims['sub'], claims['aud']], [CLIENT_ID, AUDIENCE])
        holds(Number(claims['exp']) - Number(claims['iat']) <= 600)
        holds(Number(claims['exp']) > NOW - TOLERANCE - 1)
      }),
      { numRuns: 300 },
    )
  })
})
