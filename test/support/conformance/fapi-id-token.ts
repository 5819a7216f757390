import assert from 'node:assert/strict'
import { signJws } from '../app/signing-keys.ts'
import { type JsonObject, now } from '../strict-provider/context.ts'
import type { StrictProvider } from '../strict-provider/provider.ts'
import { changeIdTokens, type Edit, type IdTokenEdits, unsigned, withOneAfter, without } from './changes.ts'
import { type Change, finishes, stops } from './fapi-ends.ts'
import type { Modules } from './suite.ts'

export const idTokens =
  (edits: IdTokenEdits): Change =>
  (provider) =>
    changeIdTokens(provider, edits)

/** More than any clock is off. */
export const longAgo: Edit = (good) => ({ ...good, exp: now() - 360 })

/** Another RSA key of the provider, and an algorithm that no profile knows (FAPI 2.0 Security Profile 5.4.1). */
function alternateAlg({ change, secondKeys }: StrictProvider): void {
  const key = secondKeys?.rsa
  assert.ok(key)
  change.idToken = (jwt) => {
    const claims: JsonObject = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
    return signJws('RS256', key.privateKey, { alg: 'RS256', kid: key.kid }, claims)
  }
}

/** What the FAPI plans of both versions ask of ID Tokens and of discovery, by the ends of the names. */
export function fapiIdTokenModules<Variant>(): Modules<Variant> {
  return {
    'discovery-issuer-mismatch': stops(
      ({ change }) => {
        change.discovery = (good) => ({ ...good, issuer: `${good['issuer']}INVALID` })
      },
      'ERR_OIDC_DISCOVERY_ISSUER',
      'authorization',
    ),
    'invalid-iss': stops(idTokens({ claims: withOneAfter('iss') }), 'ERR_OIDC_ID_TOKEN_ISSUER'),
    'invalid-aud': stops(idTokens({ claims: withOneAfter('aud') }), 'ERR_OIDC_ID_TOKEN_AUDIENCE'),
    'invalid-secondary-aud': stops(
      idTokens({ claims: (good) => ({ ...good, aud: [good['aud'], `${good['aud']}1`] }) }),
      'ERR_OIDC_ID_TOKEN_AUDIENCE',
    ),
    'invalid-null-alg': stops(idTokens({ jwt: unsigned }), 'ERR_OIDC_ID_TOKEN_MALFORMED'),
    'invalid-alternate-alg': stops(alternateAlg, 'ERR_OIDC_ID_TOKEN_ALG'),
    'invalid-expired-exp': stops(idTokens({ claims: longAgo }), 'ERR_OIDC_ID_TOKEN_EXPIRED'),
    'invalid-missing-exp': stops(idTokens({ claims: without('exp') }), 'ERR_OIDC_ID_TOKEN_EXPIRED'),
    'invalid-missing-aud': stops(idTokens({ claims: without('aud') }), 'ERR_OIDC_ID_TOKEN_AUDIENCE'),
    'invalid-missing-iss': stops(idTokens({ claims: without('iss') }), 'ERR_OIDC_ID_TOKEN_ISSUER'),
    'valid-aud-as-array': finishes(idTokens({ claims: (good) => ({ ...good, aud: [good['aud']] }) })),
    'invalid-nonce': stops(idTokens({ claims: withOneAfter('nonce') }), 'ERR_OIDC_ID_TOKEN_NONCE'),
    'invalid-missing-nonce': stops(idTokens({ claims: without('nonce') }), 'ERR_OIDC_ID_TOKEN_NONCE'),
  }
}
