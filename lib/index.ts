export type { AuthRequirement } from './authentication-requirement.ts'
export type { AddressClaim, IdTokenClaims, LanguageTaggedClaim, StandardClaims, VerifiedClaim } from './claims.ts'
export { type ErrorHandler, errorPage } from './error-page.ts'
export type { ErrorCode } from './error-status.ts'
export {
  AccessDeniedError,
  AuthorizationError,
  ConfigError,
  OidcError,
  type OidcErrorOptions,
  ProviderError,
  type ProviderErrorOptions,
  type ProviderRefusal,
} from './errors.ts'
export type { Events } from './events.ts'
export { attemptSilentLogin } from './guards/attempt-silent-login.ts'
export { checkSession, type SessionCheckOptions } from './guards/check-session.ts'
export type { ClaimPath, ClaimRequirement, ClaimValue } from './guards/claim-requirement.ts'
export type { Authenticated, Guard, GuardedHandler } from './guards/guard.ts'
export { requireAmr } from './guards/require-amr.ts'
export { requireAuth } from './guards/require-auth.ts'
export { requireClaim } from './guards/require-claim.ts'
export { type GroupOptions, requireGroup } from './guards/require-group.ts'
export { requireScope, type ScopeRequirement } from './guards/require-scope.ts'
export type { AfterLoginEvent, AfterRefreshEvent, BeforeLoginEvent, HookEvent, Hooks, LogoutEvent } from './hooks.ts'
export type { Handler, Next, Request, Response } from './http.ts'
export type { Json } from './json-object.ts'
export { type OidcMiddleware, oidc } from './oidc.ts'
export type { AnonymousContext, AuthenticatedContext, LoginOptions, OidcContext } from './oidc-context.ts'
export type {
  ApplicationOptions,
  Options,
  RoutesOptions,
  SeveralProvidersOptions,
  SingleProviderOptions,
} from './options.ts'
export { discoverIssuer, type WebFingerOptions } from './protocol/webfinger.ts'
export type {
  AuthorizationParams,
  ClientAuthMethod,
  NamedProviderOptions,
  PrivateJwk,
  ProviderMetadata,
  ProviderOptions,
  TlsClientCertificate,
} from './provider-options.ts'
export type { Lease, SharedState } from './shared-state.ts'
export type { AccessToken, AuthenticationRequirement, DpopKey, Login, TokenRecord } from './types.ts'
