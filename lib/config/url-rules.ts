import { isPlainPath, parseLocalPath } from '../local-path.ts'
import { isIssuer, parseHttpUrl } from './absolute-url.ts'
import { isJson } from './frozen-copy.ts'
import { issuerAdvice } from './issuer-advice.ts'
import { filledText, inOrder, must, objectWith, optional, type Rule } from './rule.ts'

/** The issuer identifier, with advice for values that are typically wrong. */
export const issuer: Rule = inOrder(
  filledText,
  (value, name) => issuerAdvice(withTenant(value)).map((sentence) => `${name} ${sentence}.`),
  must("be an absolute https URL without query, fragment or credentials, as the provider's metadata has it", (value) =>
    isIssuer(withTenant(value)),
  ),
)

/** An issuer that stands for many tenants is an issuer with any one of them in its path: whose host it is, is fixed. */
function withTenant(value: unknown): string {
  return String(value).replace(/^(https?:\/\/[^/]+\/.*)\{tenantid\}/, '$1tenant')
}

/** Where browsers see the application. Its path ends up in front of every route, in redirects and in cookies. */
export const baseUrl: Rule = must(
  'be an absolute https URL without query, fragment or credentials, such as https://example.com/portal',
  (value) => {
    const path = String(value).replace(/^https?:\/\/[^/?#]*/, '')
    return parseHttpUrl(value) !== undefined && (/^\/?$/.test(path) || isPlainPath(path.replace(/\/$/, '')))
  },
)

/** Where a browser lands after a logout. A query is allowed: it is compared with what is registered, whole. */
export const landing: Rule = must(
  'be an absolute https URL without credentials, or a path below baseUrl that begins with one slash',
  (value) => parseHttpUrl(value) !== undefined || parseLocalPath(value, 'http://localhost') !== undefined,
)

/** The path of a route. */
export const routePath: Rule = must('be a path such as /login: plain segments, each after one slash', isPlainPath)

const endpoint: Rule = must(
  'be an absolute https URL without fragment or credentials',
  (value) => parseHttpUrl(value)?.href.includes('#') === false,
)

const ENDPOINTS: Readonly<Record<string, Rule>> = {
  issuer: filledText,
  authorization_endpoint: endpoint,
  token_endpoint: optional(endpoint),
  jwks_uri: endpoint,
  userinfo_endpoint: optional(endpoint),
  end_session_endpoint: optional(endpoint),
}

/** Provider metadata (OIDC Discovery 3): the endpoints that we call; other members are left as they are. */
export const providerMetadata: Rule = inOrder(
  objectWith((given, name) =>
    Object.entries(ENDPOINTS).flatMap(([member, rule]) => rule(given[member], `${name}.${member}`)),
  ),
  must('hold only what JSON can hold', (value) => isJson(value)),
)
