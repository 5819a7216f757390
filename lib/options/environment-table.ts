import type { OptionRow } from './option-row.ts'
import { APP_OPTIONS, type AppOptions, PROVIDER_OPTIONS } from './option-table.ts'
import type { RoutesOptions } from './options.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import type { Rule } from './rule.ts'
import type { SharedSignalsOptions } from './shared-signals-options.ts'

/** The variable of one option. */
export interface Variable {
  /** `OIDC_CLIENT_ID`. */
  readonly name: string
  /** `['clientId']`, or `['routes', 'login']`. */
  readonly path: readonly string[]
  readonly form: Form
  /** The rule of the option. For a member of a group, that of the group checks the whole. */
  readonly rule: Rule
}

/** The variables of the options of `oidc()`, or of one of several providers. */
export function variablesOf(prefix: string, parts: readonly ('app' | 'provider')[]): readonly Variable[] {
  // The callback of the only provider is the option routes.callback.
  const isAlone = parts.length === 1
  return parts.flatMap((part) => {
    const [forms, table]: readonly [Readonly<Record<string, FormOrGroup>>, Readonly<Record<string, OptionRow>>] =
      part === 'app' ? [APP_FORMS, APP_OPTIONS] : [PROVIDER_FORMS, PROVIDER_OPTIONS]
    return Object.entries(forms)
      .filter(([name]) => isAlone || name !== 'callback')
      .flatMap(([name, form]) => variablesOfOption(prefix, name, form, table[name]))
  })
}

function variablesOfOption(
  prefix: string,
  name: string,
  form: FormOrGroup,
  row: OptionRow | undefined,
): readonly Variable[] {
  const rule = row?.rule ?? (() => [])
  if (typeof form === 'string') return [{ name: variableName(prefix, [name]), path: [name], form, rule }]
  return Object.entries(form).map(([member, memberForm]) => {
    const path = [name, member]
    return {
      name: variableName(prefix, path),
      path,
      form: memberForm,
      rule: row?.members?.[member]?.rule ?? (() => []),
    }
  })
}

/** `OIDC_` and `['routes', 'login']` are `OIDC_ROUTES_LOGIN`. */
export function variableName(prefix: string, path: readonly string[]): string {
  return prefix + path.map((name) => name.replace(/[A-Z]/g, '_$&').toUpperCase()).join('_')
}

/**
 * How a value is written. `words`: separated by commas or white space. `oneOrMore`: the same, but one word is no list.
 * `secrets`: separated by white space alone. `code`: the option is a function or an object, so it has no variable.
 */
export type Form = 'text' | 'flag' | 'flagOrText' | 'number' | 'words' | 'oneOrMore' | 'secrets' | 'json' | 'code'

/** One form for each option: the compiler asks for that of a new one. */
type Forms<Options> = { readonly [Name in keyof Options]-?: FormOrGroup }

type FormOrGroup = Form | Readonly<Record<string, Form>>

const ROUTE_FORMS: { readonly [Name in keyof RoutesOptions]-?: Form } = {
  login: 'text',
  callback: 'text',
  logout: 'text',
  backchannelLogout: 'text',
  frontchannelLogout: 'text',
  jwks: 'text',
  requestObjects: 'text',
  sessionCheck: 'text',
  securityEvents: 'text',
  tokenRevocation: 'text',
  initiateLogin: 'text',
  keptForm: 'text',
  user: 'text',
  clientMetadata: 'text',
}

const APP_FORMS: Forms<AppOptions> = {
  providers: 'code',
  baseUrl: 'oneOrMore',
  routes: ROUTE_FORMS,
  providerChooser: 'text',
  passthroughParams: 'words',
  silentLogin: 'flag',
  logoutByGet: 'flag',
  csrfProtection: 'flag',
  trustedOrigins: 'words',
  revokeTokens: 'flag',
  clearSiteData: 'words',
  clockTolerance: 'number',
  timeout: 'number',
  sessionKey: 'text',
  secret: 'secrets',
  postLogoutRedirectUri: 'text',
  loginLifetime: 'number',
  loginExpiry: 'text',
  idleTimeout: 'number',
  transactionLifetime: 'number',
  sessionClaims: 'words',
  anonymousSession: 'text',
  userClaims: 'words',
  anonymousUserStatus: 'number',
  userExtendsSession: 'flag',
  sharedState: 'code',
  fetch: 'code',
  agent: 'code',
  ca: 'text',
  hooks: 'code',
  dangerouslyAllowInsecureRequests: 'flag',
}

const SIGNAL_FORMS: { readonly [Name in keyof SharedSignalsOptions]-?: Form } = {
  issuer: 'text',
  audience: 'oneOrMore',
  authorizationHeader: 'text',
  signingAlg: 'text',
  configurationUrl: 'text',
}

const PROVIDER_FORMS: Forms<NamedProviderOptions> = {
  issuer: 'text',
  clientId: 'text',
  clientSecret: 'text',
  registration: 'code',
  callback: 'text',
  scope: 'text',
  responseType: 'text',
  responseMode: 'text',
  authorizationParams: 'json',
  profile: 'text',
  idTokenSignedResponseAlg: 'text',
  idTokenEncryptedResponseAlg: 'text',
  idTokenEncryptedResponseEnc: 'text',
  userinfoSignedResponseAlg: 'text',
  userinfoEncryptedResponseAlg: 'text',
  userinfoEncryptedResponseEnc: 'text',
  authorizationSignedResponseAlg: 'text',
  authorizationEncryptedResponseAlg: 'text',
  authorizationEncryptedResponseEnc: 'text',
  tokenEndpointAuthMethod: 'text',
  tokenEndpointAuthSigningAlg: 'text',
  clientAssertionAudience: 'text',
  clientAssertion: 'code',
  clientKeys: 'json',
  tlsClientCertificate: { cert: 'text', key: 'text', passphrase: 'text', ca: 'text' },
  requirePushedAuthorizationRequests: 'flag',
  requestObjectSigningAlg: 'text',
  requestObjectEncryptionAlg: 'text',
  requestObjectEncryptionEnc: 'text',
  requestObjectBy: 'text',
  authorizationRequestMethod: 'text',
  requestUriRateLimit: 'number',
  dpopBoundAccessTokens: 'flag',
  dpopSigningAlg: 'text',
  userinfo: 'flagOrText',
  userinfoBearerMethod: 'text',
  claimsProviders: 'words',
  discovery: 'text',
  discoveryWithClientId: 'flag',
  providerMetadata: 'json',
  tenants: 'words',
  endSessionParams: 'json',
  dangerouslyAssumeRequestedScope: 'flag',
  dangerouslyAllowMissingIss: 'flag',
  dangerouslyAllowLogoutTokenWithoutExp: 'flag',
  dangerouslyAllowMissingNonce: 'flag',
  dangerouslyIgnoreSessionExpiry: 'flag',
  dangerouslyDisablePkce: 'flag',
  assumeBearerTokenType: 'flag',
  allowMissingAccessToken: 'flag',
  logoutWithoutIdTokenHint: 'flag',
  trustedAudiences: 'words',
  extraProviderMetadata: 'json',
  sharedSignals: SIGNAL_FORMS,
  clientMetadata: 'json',
}
