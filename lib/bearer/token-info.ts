import type { BearerConfig } from '../options/bearer-config.ts'
import type { AccessTokenGrant } from '../protocol/access-token-claims.ts'
import { accessTokenError } from '../protocol/jwt-access-token.ts'
import type { AccessTokenClaims } from '../types.ts'

/** A verified access token, in the form that the MCP SDK calls `AuthInfo`. */
export interface AccessTokenInfo {
  token: string
  /** Empty if the token names no client. */
  clientId: string
  scopes: string[]
  /** Seconds since 1970. */
  expiresAt: number
  /** The audience of the token, if it is a URL (RFC 8707). Of several, the first. */
  resource?: URL
  extra: { claims: AccessTokenClaims }
}

/**
 * Describes a verified token for other middleware. Throws `ERR_OIDC_ACCESS_TOKEN_CONFIRMATION` for a token that is bound to a key
 * or certificate: without the request, nobody has proved that its sender has it.
 */
export function describeToken(
  token: string,
  grant: AccessTokenGrant,
  { senderConstrained }: Pick<BearerConfig, 'senderConstrained'>,
): AccessTokenInfo {
  const { claims, scope, clientId = '', expiresAt, confirmation } = grant
  if (senderConstrained === 'required') throw accessTokenError('CONFIRMATION', { message: NOT_PROVED })
  if (confirmation !== undefined) throw accessTokenError('CONFIRMATION', { message: BOUND })
  const resource = [claims['aud']]
    .flat()
    .find((aud) => typeof aud === 'string' && /^https?:/.test(aud) && URL.canParse(aud))
  return {
    token,
    clientId,
    scopes: scope.split(' ').filter((name) => name !== ''),
    expiresAt,
    ...(typeof resource === 'string' ? { resource: new URL(resource) } : {}),
    // The rules for the claims of an access token have checked what this type says.
    extra: { claims: claims as unknown as AccessTokenClaims },
  }
}

const BOUND =
  'is bound to its sender (cnf), which verifyAccessToken() cannot check. Put bearer() in front of the route.'

const NOT_PROVED =
  "cannot be accepted by verifyAccessToken(), because senderConstrained is 'required' and it does not see the request. " +
  'Put bearer() in front of the route.'
