import { OidcError, ProviderError, shown } from '../errors.ts'
import { publish } from '../events.ts'
import { findJwsAlgorithm, usesClientSecret } from '../jose/algorithms.ts'
import { type CompactJws, parseCompactJws } from '../jose/compact-token.ts'
import { isObject, type JsonObject, parseJsonObject, presentMembers } from '../jose/json.ts'
import { verifyJws } from '../jose/jws.ts'
import { PROFILE_ALGORITHMS } from '../options/profile.ts'
import type { ClaimsContext } from '../provider/claims-providers.ts'
import { errorFromStatus } from '../provider/error-response.ts'
import { withoutQuery } from '../provider/http-transport.ts'
import type { KeyStore } from '../provider/keys.ts'
import { hasInternalAddress } from '../provider/public-address.ts'
import { withTimeLimit } from '../time/limit.ts'
import { nowInSeconds } from '../time/seconds.ts'
import type { Json } from '../types.ts'
import {
  audienceRule,
  type ClaimContext,
  type ClaimRule,
  checkClaims,
  expiryRule,
  ifPresent,
  notBeforeRule,
  SECURITY_CLAIMS,
} from './claim-rules.ts'

/** The most sources that are read for one login. Further ones are ignored. */
const MAX_SOURCES = 10

type Claim = readonly [name: string, value: Json]

/**
 * Adds the claims of other providers to the claims of a user (OIDC Core 5.6.2): aggregated claims, which came along in a JWT,
 * and distributed claims, which are fetched. Never throws: a source that fails, is not trusted or takes too long is left out,
 * and the login continues. Existing claims are kept, and claims that secure the login are never added. `_claim_names` stays,
 * so that the application sees what is missing. `_claim_sources` is removed, because it may hold access tokens.
 */
export async function resolveClaimsSources(context: ClaimsContext, claims: JsonObject): Promise<JsonObject> {
  const { _claim_sources: sources, ...own } = claims
  const sourceNames = context.config.claimsProviders.length === 0 ? [] : namesBySource(own['_claim_names'])
  if (sourceNames.length === 0) return Object.freeze(own)
  const found = await Promise.all(
    sourceNames.slice(0, MAX_SOURCES).map(async ([name, claimNames]) => {
      const source = isObject(sources) && Object.hasOwn(sources, name) ? sources[name] : undefined
      const all = await claimsOfSource(source, own['sub'], context)
      return all.filter(([claim]) => claimNames.has(claim))
    }),
  )
  return Object.freeze({ ...Object.fromEntries(found.flat()), ...own })
}

/** The names of the claims to add, by the name of their source. */
function namesBySource(claimNames: Json | undefined): readonly (readonly [source: string, names: Set<string>])[] {
  const bySource = new Map<string, Set<string>>()
  for (const [name, source] of Object.entries(isObject(claimNames) ? claimNames : {})) {
    if (typeof source !== 'string' || SECURITY_CLAIMS.has(name) || name.startsWith('_claim_')) continue
    bySource.set(source, (bySource.get(source) ?? new Set()).add(name))
  }
  return [...bySource]
}

/** The claims of one source, or none. An event says why. */
async function claimsOfSource(
  source: Json | undefined,
  sub: Json | undefined,
  context: ClaimsContext,
): Promise<readonly Claim[]> {
  const { timeout, issuer } = context.config
  const startedAt = performance.now()
  try {
    return Object.entries(
      await withTimeLimit(
        timeout,
        () => readSource(source, sub, context),
        () => timeoutError(timeout),
      ),
    )
  } catch (error) {
    const outcome = error instanceof OidcError ? error.code : 'ERR_OIDC_CLAIMS_SOURCE'
    const milliseconds = Math.round(performance.now() - startedAt)
    publish['express-oidc:provider'](() => ({ method: 'GET', url: issuer, outcome, milliseconds }))
    return []
  }
}

function timeoutError(seconds: number): ProviderError {
  return new ProviderError(
    'ERR_OIDC_PROVIDER_TIMEOUT',
    `A claims source did not respond within ${seconds} seconds (option timeout).`,
  )
}

async function readSource(
  source: Json | undefined,
  sub: Json | undefined,
  context: ClaimsContext,
): Promise<JsonObject> {
  if (!isObject(source)) throw sourceError('_claim_sources lacks a source that _claim_names names.')
  const present = presentMembers(source)
  const { JWT: aggregated } = present
  const jwt = typeof aggregated === 'string' ? aggregated : await fetchClaimsJwt(present, context)
  return await verifyClaimsJwt(jwt, sub, context)
}

interface SourceContext extends ClaimContext {
  /** The user who logs in, as the OpenID provider identifies them. */
  readonly sub: Json | undefined
}

/** All of these claims are optional (OIDC Core 5.6.2). Those that are present must be right. */
const RULES: readonly ClaimRule<SourceContext>[] = [
  ifPresent('exp', expiryRule('ERR_OIDC_CLAIMS_SOURCE')),
  notBeforeRule('ERR_OIDC_CLAIMS_SOURCE'),
  ifPresent('aud', audienceRule('ERR_OIDC_CLAIMS_SOURCE')),
  {
    // OIDC Core 5.6.2: a claims provider has its own `sub` for the user, which cannot be compared. The OpenID provider may
    // be a claims provider, too, and then it can.
    code: 'ERR_OIDC_CLAIMS_SOURCE',
    findProblem: ({ iss, sub }, { issuer, sub: expected }) =>
      sub === undefined || iss !== issuer || sub === expected
        ? undefined
        : { message: 'is about another user: its sub differs from that of UserInfo.' },
  },
]

/**
 * Verifies a JWT of a claims provider (OIDC Core 5.6.2): it must be signed with a key of a provider that the option
 * `claimsProviders` names, valid now, and not for another audience. Throws `ERR_OIDC_CLAIMS_SOURCE`,
 * `ERR_OIDC_USERINFO_JWT_…` and the errors of fetching the keys.
 *
 * @param sub The user who logs in.
 */
async function verifyClaimsJwt(jwt: string, sub: Json | undefined, context: ClaimsContext): Promise<JsonObject> {
  const jws = parseCompactJws(jwt)
  if (jws === undefined) throw sourceError('The JWT of a claims source is not a JWS in compact form.')
  const alg = signatureAlgorithm(jws, context.config)
  const { claims } = await verifyJws('USERINFO_JWT', jwt, await findKeys(jws, context), { alg })
  const { issuer, clientId, clockTolerance } = context.config
  checkClaims('JWT of a claims source', claims, RULES, { issuer, clientId, clockTolerance, now: nowInSeconds(), sub })
  return presentMembers(claims)
}

/**
 * No algorithm is agreed on with a claims provider, so any with a key pair is accepted: no secret, and never `none`. A profile
 * allows fewer.
 */
function signatureAlgorithm({ header: { alg } }: CompactJws, { profile }: ClaimsContext['config']): string {
  if (typeof alg !== 'string' || findJwsAlgorithm(alg) === undefined || usesClientSecret(alg)) {
    throw sourceError(
      `The JWT of a claims source is signed with ${shown(alg)}, which is not an algorithm with a key pair.`,
    )
  }
  if (profile === undefined || PROFILE_ALGORITHMS.includes(alg)) return alg
  throw sourceError(`The JWT of a claims source is signed with ${shown(alg)}, which the option profile does not allow.`)
}

/** The issuer is what the token says. The signature then proves it. */
async function findKeys({ payload }: CompactJws, { config, keys, claimsProviders }: ClaimsContext): Promise<KeyStore> {
  const issuer = parseJsonObject(payload)?.['iss']
  const find = typeof issuer === 'string' ? claimsProviders.keys.get(issuer) : undefined
  if (find === undefined) {
    throw sourceError(
      `The JWT of a claims source has the issuer ${shown(issuer)}, which claimsProviders does not list.`,
    )
  }
  return issuer === config.issuer ? keys : await find()
}

/** RFC 6750 2.1, and short enough for a request header. */
const BEARER_TOKEN = /^[\w.~+/-]{1,8192}={0,2}$/

/**
 * Fetches distributed claims (OIDC Core 5.6.2), with the access token of the source, if any, and never with ours. Requests go
 * only to the OpenID provider and to `claimsProviders`, never to internal addresses. Throws `ERR_OIDC_CLAIMS_SOURCE` and
 * `ERR_OIDC_PROVIDER_…`.
 *
 * @returns an unverified JWT.
 */
async function fetchClaimsJwt(source: JsonObject, { config, claimsProviders }: ClaimsContext): Promise<string> {
  const url = allowedUrl(source['endpoint'], config)
  const headers = { accept: 'application/jwt', ...authorization(source['access_token']) }
  const response = await claimsProviders.http.request(url.href, { method: 'GET', headers })
  if (response.status !== 200) throw errorFromStatus(response, url.href)
  if (!/^application\/jwt *(;|$)/i.test(response.headers.get('content-type') ?? '')) {
    throw sourceError(`${withoutQuery(url.href)} did not answer with a JWT.`)
  }
  return Buffer.from(response.body).toString('latin1')
}

/** Otherwise, anybody who can write UserInfo could choose where this server sends requests. */
function allowedUrl(endpoint: Json | undefined, config: ClaimsContext['config']): URL {
  const url = typeof endpoint === 'string' && URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const origins = [config.issuer, ...config.claimsProviders].map((issuer) => new URL(issuer).origin)
  if (url === undefined || !origins.includes(url.origin)) {
    throw sourceError('The endpoint of a claims source is neither at the issuer nor at one of claimsProviders.')
  }
  if (!config.dangerouslyAllowInsecureRequests && hasInternalAddress(url)) {
    throw sourceError(`The endpoint of a claims source has the internal address ${url.host}.`)
  }
  return url
}

function authorization(accessToken: Json | undefined): Record<string, string> {
  if (accessToken === undefined) return {}
  if (typeof accessToken === 'string' && BEARER_TOKEN.test(accessToken)) {
    return { authorization: `Bearer ${accessToken}` }
  }
  throw sourceError('The access_token of a claims source is not a bearer token.')
}

function sourceError(message: string): OidcError {
  return new OidcError('ERR_OIDC_CLAIMS_SOURCE', message)
}
