import type { Agent } from 'node:https'
import type { AsymmetricSignatureAlgorithm, SignatureAlgorithm } from '../jose/algorithms.ts'
import type { SharedState } from '../state/shared-state.ts'
import type { ClientAssertionRequest } from '../token-request.ts'
import type { Json } from '../types.ts'
import type { ClientAuthMethod, PrivateJwk, TlsClientCertificate } from './client-credentials.ts'
import type { AllowedTenants } from './issuer.ts'
import type { JwkSet } from './provider-keys-rule.ts'

/** What access tokens of one issuer are like. In `bearer()`, these options are given at the top, or for one of `issuers`. */
export interface BearerIssuerOptions {
  /**
   * The issuer of the access tokens: their `iss`, character by character. May contain `{tenantid}` (Entra ID), see `tenants`.
   * Use `issuers` in place of it for several.
   * @example
   * ```ts
   * import { bearer } from 'express-oidc/bearer'
   *
   * app.use('/api', bearer({ issuer: 'https://example.okta.com/oauth2/default', audience: 'api://default' }))
   * ```
   */
  issuer: string
  /** What the issuer calls this API: a token must name it, or one of a list, in `aud` (RFC 9068 4). */
  audience: string | readonly string[]
  /**
   * The claim that names the audience. Set `'client_id'` for Cognito, whose access tokens have no `aud`: `audience` is then
   * the list of the app clients that may call this API.
   * @default 'aud'
   */
  audienceClaim?: 'aud' | 'client_id'
  /**
   * The only signature algorithms that are accepted (RFC 8725 3.1). Algorithms with a shared secret are not among them:
   * anyone who can verify such a token can also issue one.
   * @default ['RS256']
   */
  algorithms?: readonly AsymmetricSignatureAlgorithm[]
  /**
   * The tenants whose tokens are accepted (Entra ID): a list of ids, or a function that returns true for an allowed `tid`.
   * Required if `issuer` contains `{tenantid}`, and not allowed otherwise.
   */
  tenants?: AllowedTenants
  /**
   * `'rfc9068'` accepts only tokens with the type `at+jwt` and with all claims that RFC 9068 requires. Set it if the
   * provider follows that standard.
   */
  profile?: 'rfc9068'
  /** How long ago a token may have been issued (`iat`), in seconds, even if it has not expired. */
  maxTokenAge?: number
  /**
   * Accept tokens without `sub`. RFC 9068 requires it, but some providers leave it out for machines. Then do not use
   * `req.oidc.claims.sub` without a check.
   * @default false
   */
  allowMissingSub?: boolean
  /**
   * Accept tokens that nothing tells from an ID Token: they have neither the type `at+jwt` nor a claim such as `scope` or
   * `client_id`. Safe only if `audience` is no client of the issuer, because ID Tokens have the client as their audience.
   * @default false
   */
  dangerouslyAllowUnmarkedTokens?: boolean
  /**
   * Where to find the issuer's metadata: `'oidc'` (OIDC Discovery 4), `'oauth2'` (RFC 8414 3.1), or a URL. Cannot be combined
   * with `providerMetadata`.
   * @default 'oidc'
   */
  discovery?: string
  /** The issuer's metadata, for an issuer without discovery: `issuer` and `jwks_uri`. Replaces `discovery`. */
  providerMetadata?: AuthorizationServerMetadata
  /**
   * Ask the issuer about tokens that are not JWTs (RFC 7662), as a client with these credentials. Without it, such tokens are
   * refused. At most one of several issuers can have it: a token that names no issuer is not shown to all of them.
   */
  introspection?: IntrospectionOptions
}

/** How tokens are introspected at one issuer. */
export interface IntrospectionOptions {
  /** The client identifier of this API at the issuer. */
  clientId: string
  /** Its client secret, or a function that returns it. */
  clientSecret?: string | (() => string | Promise<string>)
  /**
   * How the API authenticates, as in `oidc()`. The other methods need `clientKeys` or `tlsClientCertificate`.
   * @default 'client_secret_basic'
   */
  tokenEndpointAuthMethod?: ClientAuthMethod
  /**
   * The algorithm of its assertions, for `private_key_jwt` and `client_secret_jwt`.
   * @default what the first signing key of `clientKeys` is for, or HS256
   */
  tokenEndpointAuthSigningAlg?: SignatureAlgorithm
  /**
   * The audience of its assertions: `'issuer'`, `'endpoint'`, or a text of your own.
   * @default 'issuer', at Okta 'endpoint'
   */
  clientAssertionAudience?: string
  /**
   * Returns the assertion that authenticates the API, in place of a key in this process (RFC 7523 2.2): see the option of
   * `oidc()`. Needs `tokenEndpointAuthMethod: 'private_key_jwt'`. Cannot be combined with `tokenEndpointAuthSigningAlg`.
   */
  clientAssertion?: (request: ClientAssertionRequest) => string | Promise<string>
  /** Its private keys as JWKs, for `private_key_jwt`. */
  clientKeys?: readonly PrivateJwk[]
  /** Its certificate, for `tls_client_auth` and `self_signed_tls_client_auth`. */
  tlsClientCertificate?: TlsClientCertificate
  /** The algorithm of signed responses (RFC 9701). Set it if the issuer signs them: then plain ones are refused. */
  introspectionSignedResponseAlg?: SignatureAlgorithm
  /**
   * Which tokens are introspected: those that are no JWTs, or all. `'all'` notices at once that a token was revoked, and costs a
   * request for each new token.
   * @default 'opaque'
   */
  tokens?: 'opaque' | 'all'
  /**
   * How many seconds the response for an active token is used again. A token that was revoked is accepted for so long.
   * @default 30
   */
  maxAge?: number
}

/** Metadata of an authorization server by the wire names of RFC 8414. */
export interface AuthorizationServerMetadata {
  readonly issuer: string
  readonly jwks_uri?: string
  /** The public keys (RFC 7517 5), in place of `jwks_uri`. */
  readonly jwks?: JwkSet
  readonly introspection_endpoint?: string
  readonly [name: string]: Json | undefined
}

/** The options of the API itself, the same for all issuers. */
export interface BearerAppOptions {
  /**
   * Several issuers: a list, or a function that returns the options of the issuer that a token names, or nothing for one that
   * is not trusted. An entry is an issuer, or its options; those that it leaves out are those at the top.
   *
   * The function is called before the signature is verified, so `iss` is untrusted input: look it up, and never build a URL of
   * it. What it returns is kept for five minutes, and a refusal for ten seconds.
   * @default the one `issuer`
   */
  issuers?: readonly (string | IssuerEntry)[] | FindIssuerOptions
  /**
   * Let requests without a token pass. `req.oidc.isAuthenticated` is false then, and guards deny them. A wrong token never
   * passes.
   * @default false
   */
  allowAnonymous?: boolean
  /**
   * Let a login of `oidc()` authenticate requests without a token. `oidc()` must be mounted before. A request with a token is
   * never authenticated by its session. Sessions expose an API to cross-site requests, which access tokens do not.
   * @default false
   */
  allowSession?: boolean
  /**
   * The name of the protected area in challenges (RFC 9110 11.5).
   * @default 'api'
   */
  realm?: string
  /**
   * The URL under which clients see this application: scheme, host, and the path where it is mounted. It is needed for DPoP,
   * whose proofs name the URL of the request (RFC 9449 4.3). The header `Host` plays no part.
   * @default the origin of `resource`
   */
  baseUrl?: string
  /**
   * Whether every token must be bound to its sender, by DPoP (RFC 9449) or a certificate (RFC 8705). A token that is bound must
   * be proved in any case.
   * @default 'allowed'
   */
  senderConstrained?: 'required' | 'allowed'
  /**
   * The algorithms that DPoP proofs may be signed with. They are listed in challenges.
   * @default ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']
   */
  dpopSigningAlgs?: readonly Exclude<AsymmetricSignatureAlgorithm, `ML-DSA-${string}`>[]
  /**
   * Demand nonces of this API in DPoP proofs (RFC 9449 9), made with this secret of at least 32 characters. In a list, the first
   * secret makes nonces and any is accepted. All nodes need the same secret. With nonces, a proof cannot be made in advance.
   */
  dpopNonceSecret?: string | readonly string[]
  /**
   * Remembers which DPoP proofs were used, so that each is accepted once. With several nodes, pass `redisState()` or
   * `postgresState()`.
   * @default the memory of this process
   */
  sharedState?: SharedState
  /**
   * Where the certificate of a client comes from, for tokens that are bound to one (RFC 8705 3): `'tls'` for a Node server that
   * requests certificates itself, or the header of a proxy. Without it, such tokens are refused.
   */
  clientCertificate?: 'tls' | CertificateHeader
  /**
   * The identifier of this API (RFC 9728 1.2, RFC 8707 2): an https URL. Its metadata is served then, and challenges name the URL of
   * the metadata, so that a client such as an MCP client finds the issuer by itself.
   */
  resource?: string
  /** Further members of that metadata, by the wire names of RFC 9728 2: `{ resource_name: 'Orders', scopes_supported: [] }`. */
  resourceMetadata?: Readonly<Record<string, Json>>
  /**
   * How many bytes the memory of verified tokens may take. A token that comes again is not verified again until it expires or
   * its key is withdrawn. `0` turns it off.
   * @default 4194304
   */
  tokenCacheSize?: number
  /**
   * The allowed difference between the clocks here and at the issuer, in seconds, at most 300.
   * @default 60
   */
  clockTolerance?: number
  /**
   * The time limit of one request to the issuer, in seconds, at most 120.
   * @default 10
   */
  timeout?: number
  /** Sends every request to the issuer, for example through a proxy. The time and size limits still apply. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** The agent for the https connections to the issuer. Cannot be combined with `fetch`. */
  agent?: Agent
  /**
   * The certificates of the authorities that sign the issuer's certificate, in PEM: text or bytes, or a list. They replace
   * those that Node trusts. Cannot be combined with `agent` and `fetch`.
   */
  ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /**
   * Allow plain http for issuers and their endpoints. For development only.
   * @default false
   */
  dangerouslyAllowInsecureRequests?: boolean
}

/** How a proxy that ends TLS passes the certificate of a client on. */
export interface CertificateHeader {
  /** The name of the header. The proxy must set or remove it on each request. */
  readonly header: string
  /** How it writes the certificate: percent-encoded PEM (nginx, AWS), `x-forwarded-client-cert` (Envoy), or RFC 9440. */
  readonly format: 'escaped-pem' | 'xfcc' | 'rfc9440'
  /** The addresses of the proxy: `10.0.0.5`, `10.0.0.0/8`. The header of any other sender is ignored. */
  readonly trustedProxies: readonly string[]
}

/** The options of one of several issuers. */
export type IssuerEntry = Partial<BearerIssuerOptions> & Pick<BearerIssuerOptions, 'issuer'>

/** Finds the options of the issuer that a token names, if it is trusted. */
export type FindIssuerOptions = (iss: string) => MaybeIssuer | Promise<MaybeIssuer>

type MaybeIssuer = string | IssuerEntry | undefined

/** The options of `bearer()`: with `issuer`, or with `issuers`. */
export type BearerOptions = BearerAppOptions &
  (
    | (BearerIssuerOptions & { issuers?: never })
    | (Partial<BearerIssuerOptions> & { issuer?: never; issuers: SeveralIssuers })
  )

type SeveralIssuers = NonNullable<BearerAppOptions['issuers']>
