import type { Options } from '../options.ts'
import { findResponseType, RESPONSE_MODES, RESPONSE_TYPES } from '../response-type.ts'
import { authorizationParamsRule } from './authorization-params.ts'
import { hasPlaceholder } from './issuer-advice.ts'
import {
  callable,
  filledText,
  inOrder,
  members,
  must,
  oneOf,
  optional,
  type Rule,
  seconds,
  trueOrFalse,
} from './rule.ts'
import { baseUrl, issuer, landing, providerMetadata, routePath } from './url-rules.ts'

/** Whatever goes beyond is a mistake in the unit. */
const TEN_YEARS = 10 * 365 * 86400

/** What express-session's session object has itself. */
const SESSION_MEMBERS: readonly unknown[] =
  'cookie id req save reload destroy regenerate touch resetMaxAge prototype'.split(' ')

// RFC 6749 A.1 and A.2 allow VSCHAR only; white space around comes from copying.
const credential: Rule = inOrder(
  filledText,
  must('hold printable ASCII characters only, with no space around', (value) =>
    /^[!-~](?:[ -~]*[!-~])?$/.test(String(value)),
  ),
  must('be the value of your own client: it holds a placeholder', (value) => !hasPlaceholder(String(value))),
)

// RFC 6749 3.3: scope-token = 1*NQCHAR. OIDC Core 3.1.2.1: openid makes it an authentication.
const scope: Rule = must('be scopes with single spaces between them, openid among them', (value) => {
  const tokens = typeof value === 'string' ? value.split(' ') : []
  return tokens.includes('openid') && tokens.every((token) => /^[!#-[\]-~]+$/.test(token))
})

const sessionKey: Rule = inOrder(
  filledText,
  must(
    'be a name that the session itself does not use',
    (value) => !SESSION_MEMBERS.includes(value) && !(String(value) in Object.prototype),
  ),
)

const secret: Rule = must('be a string of at least 32 characters, or a list of one or more such strings', (value) => {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  return list.length > 0 && list.every((item) => typeof item === 'string' && item.length >= 32)
})

const sessionClaims: Rule = must(
  'be a list of claim names or a function',
  (value) =>
    typeof value === 'function' ||
    (Array.isArray(value) && value.every((claim) => typeof claim === 'string' && claim !== '')),
)

const signatureAlgorithm: Rule = oneOf(
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'],
  ...['EdDSA', 'Ed25519', 'HS256', 'HS384', 'HS512'],
)

/** What each option must be on its own. An option without a rule does not compile. */
export const OPTION_RULES: Readonly<Record<keyof Options, Rule>> = {
  issuer,
  clientId: credential,
  clientSecret: optional(credential),
  baseUrl,
  scope: optional(scope),
  responseType: optional(
    must(`be one of ${RESPONSE_TYPES.join(', ')}`, (value) => findResponseType(value) !== undefined),
  ),
  responseMode: optional(oneOf(...RESPONSE_MODES)),
  authorizationSignedResponseAlg: optional(signatureAlgorithm),
  authorizationParams: optional(authorizationParamsRule),
  routes: optional(members({ login: optional(routePath), callback: optional(routePath), logout: optional(routePath) })),
  logoutByGet: optional(trueOrFalse),
  idTokenSignedResponseAlg: optional(signatureAlgorithm),
  tokenEndpointAuthMethod: optional(oneOf('client_secret_basic', 'client_secret_post', 'none')),
  clockTolerance: optional(seconds(0, 300)),
  timeout: optional(
    must(
      'be a number of seconds above 0, at most 120',
      (value) => typeof value === 'number' && value > 0 && value <= 120,
    ),
  ),
  sessionKey: optional(sessionKey),
  secret: optional(secret),
  postLogoutRedirectUri: optional(landing),
  loginLifetime: optional(seconds(60, TEN_YEARS)),
  transactionLifetime: optional(seconds(60, 86400)),
  sessionClaims: optional(sessionClaims),
  userinfo: optional(oneOf(true, false, 'when-needed')),
  providerMetadata: optional(providerMetadata),
  fetch: optional(callable),
  hooks: optional(
    members({
      beforeLogin: optional(callable),
      afterLogin: optional(callable),
      beforeLogout: optional(callable),
      afterLogout: optional(callable),
    }),
  ),
  dangerouslyAssumeRequestedScope: optional(trueOrFalse),
  dangerouslyAllowInsecureRequests: optional(trueOrFalse),
}
