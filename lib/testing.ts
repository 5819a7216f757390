export type { TestTarget } from './testing/app-target.ts'
export type { TestCookie } from './testing/cookie-list.ts'
export type { AccessTokenOptions } from './testing/issued-tokens.ts'
export type { TestLogin, TestLoginOptions } from './testing/login-run.ts'
export type { Misbehavior, MisbehaviorOptions, TestEndpoint } from './testing/misbehavior.ts'
export type {
  TestApiOptions,
  TestClaims,
  TestClient,
  TestClientOptions,
  TestProviderOptions,
  TestUser,
} from './testing/test-options.ts'
export { type BackChannelLogoutOptions, startTestProvider, type TestProvider } from './testing/test-provider.ts'
