import { OidcError } from '../errors.ts'
import { statusError } from '../http-client/provider-status.ts'
import { hasInternalAddress } from '../http-client/public-address.ts'
import type { Json, JsonObject } from '../json-object.ts'
import type { ClaimsContext } from './claims-provider.ts'

/** RFC 6750 2.1, and short enough for the header of a request. */
const BEARER_TOKEN = /^[\w.~+/-]{1,8192}={0,2}$/

/**
 * Fetches distributed claims (OIDC Core 5.6.2), with the access token that came along, if any, and never with ours. Only
 * the OpenID provider and the claims providers of the configuration are asked, and no internal address. Throws
 * `ERR_OIDC_CLAIMS_SOURCE` and `ERR_OIDC_PROVIDER_...`.
 *
 * @returns A JWT that nobody has looked at yet.
 */
export async function fetchClaimsJwt(source: JsonObject, { config, claimsProviders }: ClaimsContext): Promise<string> {
  const url = allowedUrl(source['endpoint'], config)
  const headers = { accept: 'application/jwt', ...authorization(source['access_token']) }
  const answer = await claimsProviders.http.request(url.href, { method: 'GET', headers })
  if (answer.status !== 200) throw statusError(answer)
  if (!/^application\/jwt *(;|$)/i.test(answer.headers.get('content-type') ?? '')) {
    throw refusal('A source of claims did not answer a JWT.')
  }
  return Buffer.from(answer.body).toString('latin1')
}

/** Whoever writes UserInfo would otherwise choose where this server sends requests to. */
function allowedUrl(endpoint: Json | undefined, config: ClaimsContext['config']): URL {
  const url = typeof endpoint === 'string' && URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const origins = [config.issuer, ...config.claimsProviders].map((issuer) => new URL(issuer).origin)
  if (url === undefined || !origins.includes(url.origin)) {
    throw refusal('A source of claims is neither at the provider nor where claimsProviders are.')
  }
  if (!config.dangerouslyAllowInsecureRequests && hasInternalAddress(url)) {
    throw refusal('A source of claims is at an internal address.')
  }
  return url
}

function authorization(accessToken: Json | undefined): Record<string, string> {
  if (accessToken === undefined) return {}
  if (typeof accessToken === 'string' && BEARER_TOKEN.test(accessToken)) {
    return { authorization: `Bearer ${accessToken}` }
  }
  throw refusal('The access token of a source of claims is none.')
}

function refusal(message: string): OidcError {
  return new OidcError('ERR_OIDC_CLAIMS_SOURCE', message)
}
