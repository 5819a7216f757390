export {
  AccessDeniedError,
  AuthorizationError,
  ConfigError,
  type ErrorCode,
  OidcError,
  type OidcErrorOptions,
  ProviderError,
  type ProviderErrorOptions,
  type ProviderRefusal,
  StepUpError,
} from './errors.ts'
export type { Events } from './events.ts'
export { attemptSilentLogin, checkSession, type SessionCheckOptions } from './guards/check-session.ts'
export type { Authenticated, Guard, GuardedHandler, GuardOptions } from './guards/guard.ts'
export { keepForm } from './guards/keep-form.ts'
export { type AuthOptions, requireAuth, requireScope, type ScopeRequirement } from './guards/require-auth.ts'
export {
  type DetailRequirement,
  type DetailValue,
  requireAuthorizationDetails,
} from './guards/require-authorization-details.ts'
export {
  type ClaimPath,
  type ClaimRequirement,
  type ClaimValue,
  type GroupOptions,
  requireAmr,
  requireClaim,
  requireGroup,
} from './guards/require-claim.ts'
export { requireSameOrigin, type SameOriginOptions } from './guards/require-same-origin.ts'
export type {
  AfterLoginEvent,
  AfterRefreshEvent,
  BeforeLoginEvent,
  HookEvent,
  Hooks,
  LogoutEvent,
  SecurityEventEvent,
} from './hooks.ts'
export type { Otherwise, OtherwiseHandler } from './http/denial.ts'
export type { ErrorNotice } from './http/error-notice.ts'
export {
  type ErrorHandler,
  type ErrorLogEntry,
  type ErrorPageOptions,
  type ErrorView,
  errorPage,
} from './http/error-page.ts'
export type { Handler, Next, Request, Response } from './http/request.ts'
export type {
  AsymmetricSignatureAlgorithm,
  ContentEncryption,
  EncryptionAlgorithm,
  SignatureAlgorithm,
} from './jose/algorithms.ts'
export {
  type OidcMiddleware,
  oidc,
  type SessionInfo,
  type SessionQuery,
  type Sessions,
  type SessionTarget,
} from './oidc.ts'
export type { Operations } from './operations.ts'
export type { ClientAuthMethod, PrivateJwk, TlsClientCertificate } from './options/client-credentials.ts'
export { type EnvironmentOptions, fromEnv } from './options/from-env.ts'
export type {
  ApplicationOptions,
  FindProviderOptions,
  Options,
  RoutesOptions,
  SeveralProvidersOptions,
  SingleProviderOptions,
} from './options/options.ts'
export type { ProviderMetadata } from './options/provider-keys-rule.ts'
export type {
  NamedProviderOptions,
  ProviderOptions,
} from './options/provider-options.ts'
export type { SharedSignalsOptions } from './options/shared-signals-options.ts'
export { discoverIssuer } from './protocol/discover-issuer.ts'
export type { WebFingerOptions } from './protocol/webfinger.ts'
export { type BoundedStoreOptions, boundedStore } from './state/bounded-store.ts'
export type { Lease, SharedState } from './state/shared-state.ts'
export type { DocumentStatus, LastError, OidcStatus, Operating, PartStatus, ProviderStatus } from './status.ts'
export { type AttachOptions, attachAccessToken, type TokenAttacher } from './tokens/attach-access-token.ts'
export type {
  AccessToken,
  AccessTokenClaims,
  AddressClaim,
  AnonymousContext,
  AuthenticatedContext,
  AuthenticationRequirement,
  AuthorizationDetail,
  AuthorizationParams,
  AuthRequirement,
  ClientAssertionRequest,
  DpopKey,
  IdTokenClaims,
  Json,
  LanguageTaggedClaim,
  Login,
  LoginOptions,
  OidcContext,
  OtherAuthorizationServer,
  StandardClaims,
  TokenContext,
  TokenExchange,
  TokenRecord,
  UpgradeLogin,
  UpgradeMiddleware,
  UpgradeOptions,
  VerifiedClaim,
} from './types.ts'
