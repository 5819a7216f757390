import type { SigningKeys } from '../app/signing-keys.ts'
import { logIn } from '../hostile/hostile.ts'
import type { StrictProvider } from '../strict-provider/provider.ts'
import {
  announceAlgs,
  changeIdTokens,
  type Edit,
  type IdTokenEdits,
  otherKeys,
  unsigned,
  withBrokenSignature,
  withOneAfter,
  without,
} from './changes.ts'
import { assertFinished, type Change, finishes, type Settings, stops } from './ends.ts'
import type { Module, Modules } from './suite.ts'
import type { Variant } from './variant.ts'

const idTokens =
  (edits: IdTokenEdits): Change =>
  (provider) =>
    changeIdTokens(provider, edits)

/** Only those that the browser brings: their hashes are what the modules look at. */
const brought =
  (claims: Edit): Change =>
  ({ change }) => {
    change.frontIdTokenClaims = claims
  }

function onlyRs256(provider: StrictProvider): void {
  announceAlgs(provider, 'RS256')
}

function brokenSignature(alg: string): Change {
  return (provider) => {
    announceAlgs(provider, alg)
    changeIdTokens(provider, { jwt: withBrokenSignature })
  }
}

function unsignedTokens(provider: StrictProvider): void {
  announceAlgs(provider, 'RS256', 'none')
  changeIdTokens(provider, { jwt: unsigned })
}

/** Sets of four keys each, and no `kid` anywhere. */
function withoutKid(provider: StrictProvider, sets: readonly SigningKeys[]): void {
  const keys = sets.flatMap(({ rsa, p256, secp256k1, ed25519 }) => [rsa, p256, secp256k1, ed25519])
  provider.change.jwks = () => ({ keys: keys.map(({ jwk }) => without('kid')({ ...jwk })) })
  changeIdTokens(provider, { header: without('kid') })
}

/** The client and the suite agree on another algorithm than the usual one: a login is well, and then one is not. */
function otherAlg(alg: string): Module<Variant> {
  const settings: Settings = { provider: { alg }, options: { idTokenSignedResponseAlg: alg } }
  return async (suite) => {
    const good = await suite.start(settings)
    const calls = alg.startsWith('HS') ? { '/jwks': 0 } : {}
    await assertFinished(good, await logIn(good), calls)
    await stops(brokenSignature(alg), 'ERR_OIDC_ID_TOKEN_SIGNATURE', settings)(suite)
  }
}

/** What an ID Token is, and what it must be. */
export const ID_TOKEN_MODULES: Modules<Variant> = {
  'oidcc-client-test': finishes(),
  'oidcc-client-test-invalid-iss': stops(idTokens({ claims: withOneAfter('iss') }), 'ERR_OIDC_ID_TOKEN_ISSUER'),
  'oidcc-client-test-missing-sub': stops(idTokens({ claims: without('sub') }), 'ERR_OIDC_ID_TOKEN_SUBJECT'),
  'oidcc-client-test-invalid-aud': stops(idTokens({ claims: withOneAfter('aud') }), 'ERR_OIDC_ID_TOKEN_AUDIENCE'),
  'oidcc-client-test-missing-aud': stops(idTokens({ claims: without('aud') }), 'ERR_OIDC_ID_TOKEN_AUDIENCE'),
  'oidcc-client-test-missing-iat': stops(idTokens({ claims: without('iat') }), 'ERR_OIDC_ID_TOKEN_ISSUED_AT'),
  'oidcc-client-test-nonce-invalid': stops(idTokens({ claims: withOneAfter('nonce') }), 'ERR_OIDC_ID_TOKEN_NONCE'),
  'oidcc-client-test-kid-absent-single-jwks': finishes((provider) => withoutKid(provider, [provider.keys])),
  'oidcc-client-test-kid-absent-multiple-jwks': finishes(async (provider) => {
    withoutKid(provider, [...otherKeys(), provider.keys])
  }),
  'oidcc-client-test-idtoken-sig-rs256': finishes(onlyRs256),
  // The suite takes it for well, or for not supported, where nothing is asked of it any more.
  'oidcc-client-test-idtoken-sig-none': stops(unsignedTokens, 'ERR_OIDC_ID_TOKEN_MALFORMED'),
  'oidcc-client-test-invalid-sig-rs256': stops(brokenSignature('RS256'), 'ERR_OIDC_ID_TOKEN_SIGNATURE'),
  'oidcc-client-test-invalid-sig-hs256': otherAlg('HS256'),
  'oidcc-client-test-invalid-sig-es256': otherAlg('ES256'),
  'oidcc-client-test-invalid-chash': stops(brought(withOneAfter('c_hash')), 'ERR_OIDC_ID_TOKEN_CODE_HASH'),
  'oidcc-client-test-missing-chash': stops(brought(without('c_hash')), 'ERR_OIDC_ID_TOKEN_CODE_HASH'),
  'oidcc-client-test-invalid-athash': stops(brought(withOneAfter('at_hash')), 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH'),
  'oidcc-client-test-missing-athash': stops(brought(without('at_hash')), 'ERR_OIDC_ID_TOKEN_ACCESS_TOKEN_HASH'),
}
