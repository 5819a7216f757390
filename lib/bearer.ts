export { type BearerMiddleware, bearer } from './bearer/bearer.ts'
export type { AccessTokenInfo } from './bearer/token-info.ts'
export {
  AccessDeniedError,
  ConfigError,
  type ErrorCode,
  OidcError,
  type OidcErrorOptions,
  ProviderError,
  type ProviderErrorOptions,
  type ProviderRefusal,
} from './errors.ts'
export type { Authenticated, Guard, GuardedHandler, GuardOptions } from './guards/guard.ts'
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
export type { AsymmetricSignatureAlgorithm, SignatureAlgorithm } from './jose/algorithms.ts'
export type {
  AuthorizationServerMetadata,
  BearerAppOptions,
  BearerIssuerOptions,
  BearerOptions,
  CertificateHeader,
  FindIssuerOptions,
  IntrospectionOptions,
  IssuerEntry,
} from './options/bearer-options.ts'
export type { ClientAssertionRequest } from './token-request.ts'
export type { AccessTokenClaims, AuthRequirement, OidcContext, TokenContext } from './types.ts'
