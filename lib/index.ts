export { type ErrorHandler, errorPage } from './error-page.ts'
export {
  AccessDeniedError,
  AuthorizationError,
  ConfigError,
  type ErrorCode,
  OidcError,
  type OidcErrorOptions,
  ProviderError,
  type ProviderRefusal,
} from './errors.ts'
export type { Events } from './events.ts'
export type { Authenticated, Guard, GuardedHandler } from './guards/guard.ts'
export { requireAuth } from './guards/require-auth.ts'
export { type ClaimPath, type ClaimRequirement, requireClaim } from './guards/require-claim.ts'
export { requireScope, type ScopeRequirement } from './guards/require-scope.ts'
export type { Handler, Next, Request, Response } from './http.ts'
export { type OidcMiddleware, oidc } from './oidc.ts'
export type { AnonymousContext, AuthenticatedContext, LoginOptions, OidcContext } from './oidc-context.ts'
export type {
  AfterLoginEvent,
  AuthorizationParams,
  BeforeLoginEvent,
  HookEvent,
  Hooks,
  LogoutEvent,
  Options,
  ProviderMetadata,
  RoutesOptions,
} from './options.ts'
export type { AddressClaim, IdTokenClaims, Json, Login, StandardClaims, TokenRecord } from './types.ts'
