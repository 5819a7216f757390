import { OidcError, ProviderError } from '../errors.ts'
import { publish } from '../events.ts'
import type { Json } from '../json-object.ts'
import { isObject, type JsonObject } from '../json-object.ts'
import { verifyClaimsJwt } from './claims-jwt.ts'
import type { ClaimsContext } from './claims-provider.ts'
import { fetchClaimsJwt } from './distributed-claims.ts'
import { SECURING_CLAIMS } from './securing-claims.ts'

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
