import type { ClientAuthMethod } from '../options/client-credentials.ts'
import type { Provider } from '../provider/provider.ts'
import type { FormParams } from '../provider/requests.ts'
import type { DpopKey, OtherAuthorizationServer } from '../types.ts'
import { requestTokens, TOKEN_TYPE_URNS, type TokenRequestingClient, type TokenResponse } from './token-endpoint.ts'

/** A token, and its type. */
interface TypedToken {
  readonly token: string
  /** RFC 8693 3. */
  readonly type: string
}

/** A token exchange (RFC 8693 2.1). */
export interface ExchangeGrant {
  readonly subject: TypedToken
  readonly actor: TypedToken | undefined
  readonly audience: readonly string[]
  readonly resource: readonly string[]
  readonly scope: string | undefined
  /** The key that the new token is bound to (RFC 9449 5). */
  readonly dpopKey: DpopKey | undefined
}

const EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'
/** RFC 7523 2.1. */
const ASSERTION_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

/**
 * Exchanges a token for an access token (RFC 8693). Throws what {@link requestTokens} throws: `ERR_OIDC_TOKEN_RESPONSE` also if
 * the response names another type of token. A refresh token in the response is not used.
 */
export async function exchangeToken(provider: Provider, grant: ExchangeGrant): Promise<TokenResponse> {
  const issuedTokenType = TOKEN_TYPE_URNS.accessToken
  return await requestTokens(provider, exchangeParams(grant, issuedTokenType), {
    dpopKey: grant.dpopKey,
    issuedTokenType,
  })
}

/**
 * Gets an access token of another authorization server (draft-ietf-oauth-identity-assertion-authz-grant, Okta's Cross App
 * Access). The provider issues an assertion about the user, for that server and this client alone; the server issues the
 * token for the assertion. Throws what {@link requestTokens} throws.
 */
export async function exchangeAcrossApps(
  provider: Provider,
  server: OtherAuthorizationServer,
  grant: ExchangeGrant,
): Promise<TokenResponse> {
  const issuedTokenType = TOKEN_TYPE_URNS.identityAssertion
  const params = exchangeParams({ ...grant, audience: [server.issuer] }, issuedTokenType)
  // The assertion is no access token, so it is not bound to the key.
  const unbound = { ...provider, config: { ...provider.config, dpopBoundAccessTokens: false } }
  const { access_token: assertion = '' } = await requestTokens(unbound, params, { issuedTokenType })
  const redemption = { grant_type: ASSERTION_GRANT, assertion }
  return await requestTokens(clientAt(provider, server), redemption, { dpopKey: grant.dpopKey })
}

function exchangeParams({ subject, actor, audience, resource, scope }: ExchangeGrant, requested: string): FormParams {
  return {
    grant_type: EXCHANGE_GRANT,
    requested_token_type: requested,
    subject_token: subject.token,
    subject_token_type: subject.type,
    ...(actor === undefined ? {} : { actor_token: actor.token, actor_token_type: actor.type }),
    ...(audience.length === 0 ? {} : { audience }),
    ...(resource.length === 0 ? {} : { resource }),
    ...(scope === undefined ? {} : { scope }),
  }
}

/** The app as a client of the other server. What the options relax for the provider, they do not relax there. */
function clientAt(
  { config, clientKeys, dpopNonces, findOtherHttp }: Provider,
  { issuer, tokenEndpoint, clientId, clientSecret, tokenEndpointAuthMethod }: OtherAuthorizationServer,
): TokenRequestingClient {
  const usualMethod: ClientAuthMethod = clientSecret === undefined ? 'none' : 'client_secret_basic'
  return {
    config: {
      ...config,
      issuer,
      clientId,
      clientSecret,
      tokenEndpointAuthMethod: tokenEndpointAuthMethod ?? usualMethod,
      tokenEndpointAuthSigningAlg: undefined,
      // It is for the provider.
      clientAssertion: undefined,
      clientAssertionAudience: 'issuer',
      tlsClientCertificate: undefined,
      allowMissingAccessToken: false,
      assumeBearerTokenType: false,
      dpopBoundAccessTokens: false,
    },
    clientKeys,
    dpopNonces,
    metadata: { token_endpoint: tokenEndpoint },
    http: findOtherHttp(),
  }
}
