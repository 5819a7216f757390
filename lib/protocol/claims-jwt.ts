import { OidcError } from '../errors.ts'
import { type CompactJws, parseCompactJws } from '../jose/compact-jws.ts'
import { verifyJws } from '../jose/jws.ts'
import { findJwsAlgorithm } from '../jose/jws-algorithms.ts'
import type { KeyStore } from '../jose/key-store.ts'
import type { Json } from '../json-object.ts'
import { type JsonObject, parseJsonObject } from '../json-object.ts'
import type { ClaimsContext } from './claims-provider.ts'

/** What the claims of a claims provider are held against. */
interface Expectations {
  readonly config: ClaimsContext['config']
  /** Who is logged in, by the OpenID provider's name for them. */
  readonly sub: Json | undefined
  /** Seconds since 1970. */
  readonly now: number
}

interface Rule {
  readonly message: string
  readonly holds: (claims: JsonObject, expected: Expectations) => boolean
}

/** None of these claims has to be there (OIDC Core 5.6.2); one that is there has to be right. */
const RULES: readonly Rule[] = [
  {
    // RFC 7519 4.1.4.
    message: 'The claims have expired.',
    holds: ({ exp }, { config, now }) =>
      exp === undefined || (typeof exp === 'number' && now < exp + config.clockTolerance),
  },
  {
    // RFC 7519 4.1.5.
    message: 'The claims are not valid yet.',
    holds: ({ nbf }, { config, now }) =>
      nbf === undefined || (typeof nbf === 'number' && nbf <= now + config.clockTolerance),
  },
  {
    // RFC 7519 4.1.3: what is for others is not for us.
    message: 'The claims are for another audience.',
    holds: ({ aud }, { config }) => aud === undefined || [aud].flat().includes(config.clientId),
  },
  {
    // OIDC Core 5.6.2: `sub` is the claims provider's own name for the person, which tells nothing; but not where it is
    // the OpenID provider that speaks.
    message: 'The claims are about another person.',
    holds: ({ iss, sub }, expected) => sub === undefined || iss !== expected.config.issuer || sub === expected.sub,
  },
]

/**
 * Verifies a JWT of a claims provider (OIDC Core 5.6.2): signed, by one that the configuration names, with a key of its
 * own, valid now, and not for anybody else. Throws `ERR_OIDC_CLAIMS_SOURCE`, `ERR_OIDC_USERINFO_JWT_...`, and what
 * fetching its keys can.
 *
 * @param sub Who is logged in.
 */
export async function verifyClaimsJwt(jwt: string, sub: Json | undefined, context: ClaimsContext): Promise<JsonObject> {
  const jws = parseCompactJws(jwt)
  if (jws === undefined) throw refusal('The claims are not a JWS in compact form.')
  const alg = signatureAlgorithm(jws)
  const { claims } = await verifyJws('USERINFO_JWT', jwt, await findKeys(jws, context), { alg })
  const expected = { config: context.config, sub, now: Date.now() / 1000 }
  const broken = RULES.find(({ holds }) => !holds(claims, expected))
  if (broken !== undefined) throw refusal(broken.message)
  return claims
}

/** Nothing is agreed on with a claims provider, so any that goes by its public keys: no secret, and never `none`. */
function signatureAlgorithm({ header: { alg } }: CompactJws): string {
  const kty = typeof alg === 'string' ? findJwsAlgorithm(alg)?.kty : undefined
  if (kty === undefined || kty === 'oct') throw refusal('The claims are not signed with a private key.')
  return String(alg)
}

/** The issuer is what the token says it is, which the signature then proves. */
async function findKeys({ payload }: CompactJws, { config, keys, claimsProviders }: ClaimsContext): Promise<KeyStore> {
  const issuer = parseJsonObject(payload)?.['iss']
  const find = typeof issuer === 'string' ? claimsProviders.keys.get(issuer) : undefined
  if (find === undefined) throw refusal('The claims are of somebody whom claimsProviders does not name.')
  return issuer === config.issuer ? keys : await find()
}

function refusal(message: string): OidcError {
  return new OidcError('ERR_OIDC_CLAIMS_SOURCE', message)
}
