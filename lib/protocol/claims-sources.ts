import { OidcError, ProviderError } from '../errors.ts'
import { publish } from '../events.ts'
import { findJwsAlgorithm } from '../jose/algorithms.ts'
import { type CompactJws, parseCompactJws } from '../jose/compact-token.ts'
import { isObject, type JsonObject, parseJsonObject } from '../jose/json.ts'
import { verifyJws } from '../jose/jws.ts'
import type { ClaimsContext } from '../provider/claims-providers.ts'
import { errorFromStatus } from '../provider/error-response.ts'
import type { KeyStore } from '../provider/keys.ts'
import { hasInternalAddress } from '../provider/public-address.ts'
import type { Json } from '../types.ts'

/** The most that are asked for one login; further ones are left out. */
const MAX_SOURCES = 10

type Claim = readonly [name: string, value: Json]

/**
 * The claims with those that others have to say of the person: aggregated claims, which came along as a JWT, and
 * distributed ones, which are fetched (OIDC Core 5.6.2). A source that fails, that is not trusted or that takes too long is
 * left out, and the login goes on: never throws. A claim that is there already stays, and those that secure the login
 * come from nobody else. `_claim_names` stays and shows what was to come; `_claim_sources` goes, for it may hold access tokens.
 */
export async function resolveClaimsSources(context: ClaimsContext, claims: JsonObject): Promise<JsonObject> {
  const { _claim_sources: sources, ...own } = claims
  const wanted = context.config.claimsProviders.length === 0 ? [] : namesBySource(own['_claim_names'])
  if (wanted.length === 0) return Object.freeze(own)
  const found = await withinTime(context.config.timeout, (deadline) =>
    wanted.slice(0, MAX_SOURCES).map(async ([source, names]) => {
      const jwt = isObject(sources) && Object.hasOwn(sources, source) ? sources[source] : undefined
      const all = await takeClaims(jwt, own['sub'], context, deadline)
      return all.filter(([name]) => names.has(name))
    }),
  )
  return Object.freeze({ ...Object.fromEntries(found.flat()), ...own })
}

/** The names of the claims to take, by the name of their source. */
function namesBySource(claimNames: Json | undefined): readonly (readonly [source: string, names: Set<string>])[] {
  const bySource = new Map<string, Set<string>>()
  for (const [name, source] of Object.entries(isObject(claimNames) ? claimNames : {})) {
    if (typeof source !== 'string' || SECURING_CLAIMS.has(name) || name.startsWith('_claim_')) continue
    bySource.set(source, (bySource.get(source) ?? new Set()).add(name))
  }
  return [...bySource]
}

/** The claims of one source, or none. Those who watch are told why. */
async function takeClaims(
  source: Json | undefined,
  sub: Json | undefined,
  context: ClaimsContext,
  deadline: Promise<never>,
): Promise<readonly Claim[]> {
  const startedAt = performance.now()
  try {
    return Object.entries(await Promise.race([readSource(source, sub, context), deadline]))
  } catch (error) {
    const outcome = error instanceof OidcError ? error.code : 'ERR_OIDC_CLAIMS_SOURCE'
    const milliseconds = Math.round(performance.now() - startedAt)
    publish['express-oidc:provider'](() => ({ method: 'GET', url: context.config.issuer, outcome, milliseconds }))
    return []
  }
}

async function readSource(
  source: Json | undefined,
  sub: Json | undefined,
  context: ClaimsContext,
): Promise<JsonObject> {
  if (!isObject(source)) throw new OidcError('ERR_OIDC_CLAIMS_SOURCE', 'A source of claims is missing.')
  const { JWT: aggregated } = source
  const jwt = typeof aggregated === 'string' ? aggregated : await fetchClaimsJwt(source, context)
  return await verifyClaimsJwt(jwt, sub, context)
}

/** Waits for all, each of which gives up where the deadline is over: one time for all of them. */
async function withinTime<T>(
  seconds: number,
  start: (deadline: Promise<never>) => readonly Promise<T>[],
): Promise<T[]> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new ProviderError('ERR_OIDC_PROVIDER_TIMEOUT', `Sources of claims took longer than ${seconds} s.`))
    }, seconds * 1000)
  })
  try {
    return await Promise.all(start(deadline))
  } finally {
    clearTimeout(timer)
  }
}

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
async function verifyClaimsJwt(jwt: string, sub: Json | undefined, context: ClaimsContext): Promise<JsonObject> {
  const jws = parseCompactJws(jwt)
  if (jws === undefined) throw claimsJwtError('The claims are not a JWS in compact form.')
  const alg = signatureAlgorithm(jws)
  const { claims } = await verifyJws('USERINFO_JWT', jwt, await findKeys(jws, context), { alg })
  const expected = { config: context.config, sub, now: Date.now() / 1000 }
  const broken = RULES.find(({ holds }) => !holds(claims, expected))
  if (broken !== undefined) throw claimsJwtError(broken.message)
  return claims
}

/** Nothing is agreed on with a claims provider, so any that goes by its public keys: no secret, and never `none`. */
function signatureAlgorithm({ header: { alg } }: CompactJws): string {
  const kty = typeof alg === 'string' ? findJwsAlgorithm(alg)?.kty : undefined
  if (kty === undefined || kty === 'oct') throw claimsJwtError('The claims are not signed with a private key.')
  return String(alg)
}

/** The issuer is what the token says it is, which the signature then proves. */
async function findKeys({ payload }: CompactJws, { config, keys, claimsProviders }: ClaimsContext): Promise<KeyStore> {
  const issuer = parseJsonObject(payload)?.['iss']
  const find = typeof issuer === 'string' ? claimsProviders.keys.get(issuer) : undefined
  if (find === undefined) throw claimsJwtError('The claims are of somebody whom claimsProviders does not name.')
  return issuer === config.issuer ? keys : await find()
}

function claimsJwtError(message: string): OidcError {
  return new OidcError('ERR_OIDC_CLAIMS_SOURCE', message)
}

/** RFC 6750 2.1, and short enough for the header of a request. */
const BEARER_TOKEN = /^[\w.~+/-]{1,8192}={0,2}$/

/**
 * Fetches distributed claims (OIDC Core 5.6.2), with the access token that came along, if any, and never with ours. Only
 * the OpenID provider and the claims providers of the configuration are asked, and no internal address. Throws
 * `ERR_OIDC_CLAIMS_SOURCE` and `ERR_OIDC_PROVIDER_...`.
 *
 * @returns A JWT that nobody has looked at yet.
 */
async function fetchClaimsJwt(source: JsonObject, { config, claimsProviders }: ClaimsContext): Promise<string> {
  const url = allowedUrl(source['endpoint'], config)
  const headers = { accept: 'application/jwt', ...authorization(source['access_token']) }
  const answer = await claimsProviders.http.request(url.href, { method: 'GET', headers })
  if (answer.status !== 200) throw errorFromStatus(answer)
  if (!/^application\/jwt *(;|$)/i.test(answer.headers.get('content-type') ?? '')) {
    throw distributedClaimsError('A source of claims did not answer a JWT.')
  }
  return Buffer.from(answer.body).toString('latin1')
}

/** Whoever writes UserInfo would otherwise choose where this server sends requests to. */
function allowedUrl(endpoint: Json | undefined, config: ClaimsContext['config']): URL {
  const url = typeof endpoint === 'string' && URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const origins = [config.issuer, ...config.claimsProviders].map((issuer) => new URL(issuer).origin)
  if (url === undefined || !origins.includes(url.origin)) {
    throw distributedClaimsError('A source of claims is neither at the provider nor where claimsProviders are.')
  }
  if (!config.dangerouslyAllowInsecureRequests && hasInternalAddress(url)) {
    throw distributedClaimsError('A source of claims is at an internal address.')
  }
  return url
}

function authorization(accessToken: Json | undefined): Record<string, string> {
  if (accessToken === undefined) return {}
  if (typeof accessToken === 'string' && BEARER_TOKEN.test(accessToken)) {
    return { authorization: `Bearer ${accessToken}` }
  }
  throw distributedClaimsError('The access token of a source of claims is none.')
}

function distributedClaimsError(message: string): OidcError {
  return new OidcError('ERR_OIDC_CLAIMS_SOURCE', message)
}

/**
 * The claims that secure a login (OIDC Core 2, 3.3.2.11). They come from the ID Token alone, never from UserInfo or from
 * a claims provider.
 */
export const SECURING_CLAIMS: ReadonlySet<string> = new Set([
  ...['iss', 'sub', 'aud', 'azp', 'exp', 'iat', 'nbf', 'jti', 'nonce', 'auth_time', 'acr', 'amr', 'sid'],
  ...['at_hash', 'c_hash', 's_hash'],
])
