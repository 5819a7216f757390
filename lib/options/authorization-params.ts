import { ConfigError } from '../errors.ts'
import type { IdTokenClaims } from '../types.ts'
import type { ProviderOptions } from './provider-options.ts'
import { firstFailing, frozenCopy, isJson, isPlainObject, must, nonEmptyString, objectWith, type Rule } from './rule.ts'

/** Authorization request parameters as they are sent. Only `resource` may be sent several times. */
export type WireParams = Readonly<Record<string, string | readonly string[]>>

/**
 * Checks the authorization request parameters of the options or of one login, and turns their values into text.
 * `undefined` means no parameters.
 *
 * @throws ConfigError with one message for each problem.
 */
export function parseAuthorizationParams(params: unknown): WireParams {
  const given = frozenCopy(params ?? {})
  const problems = authorizationParamsRule(given, 'authorizationParams')
  if (problems.length > 0 || !isPlainObject(given)) throw new ConfigError(problems)
  return Object.freeze(Object.fromEntries(Object.entries(given).map(([name, value]) => [name, wireValue(name, value)])))
}

/**
 * The parameters of one logout at the provider. Throws a ConfigError if the function `endSessionParams` returns wrong
 * ones.
 */
export function readEndSessionParams(
  { endSessionParams: given }: { readonly endSessionParams: ProviderOptions['endSessionParams'] | undefined },
  claims: IdTokenClaims | undefined,
): Readonly<Record<string, string>> {
  if (typeof given !== 'function') return given ?? {}
  const params = given(claims)
  const problems = endSessionParamsRule(params, 'endSessionParams')
  if (problems.length > 0) throw new ConfigError(problems)
  return params
}

const PROTECTS_LOGIN = 'it protects the login and is made anew for each one'
const REPLACES_PARAMS = 'it would replace every other parameter'
const BELONGS_TO_RESPONSE = 'it belongs to the response'
const IS_SECRET = 'it would be visible in the browser'

/**
 * Parameters that the application may not set, and why. A parameter that is sent twice, or has another value than the
 * middleware expects, would defeat the checks of the response (OIDC Core 3.1.2.1).
 */
export const RESERVED_PARAMS: ReadonlyMap<string, string> = new Map([
  ['client_id', 'use the option clientId'],
  ['redirect_uri', 'it is made of baseUrl and routes.callback'],
  ['response_type', 'use the option responseType'],
  ['response_mode', 'use the option responseMode'],
  ['scope', 'use the option scope, or login({ scope }) for one login'],
  ['state', PROTECTS_LOGIN],
  ['nonce', PROTECTS_LOGIN],
  ['code_challenge', PROTECTS_LOGIN],
  ['code_challenge_method', PROTECTS_LOGIN],
  ['dpop_jkt', PROTECTS_LOGIN],
  ['request', REPLACES_PARAMS],
  ['request_uri', REPLACES_PARAMS],
  ['iss', BELONGS_TO_RESPONSE],
  ['response', BELONGS_TO_RESPONSE],
  ['client_secret', IS_SECRET],
  ['client_assertion', IS_SECRET],
  ['client_assertion_type', IS_SECRET],
])

// No message shows a value: parameters such as login_hint and id_token_hint are about a user.

const textOrNumber: Rule = must('be a string or a finite number', (value) =>
  typeof value === 'number' ? Number.isFinite(value) : typeof value === 'string',
)

const claims: Rule = must('be a JSON object (OIDC Core 5.5)', (value) => isPlainObject(parseJson(value)))

const authorizationDetails: Rule = must('be a list of objects that each have a type (RFC 9396 2)', (value) => {
  const details = parseJson(value)
  return (
    Array.isArray(details) && details.every((detail) => isPlainObject(detail) && typeof detail['type'] === 'string')
  )
})

/** The JSON in a text; any other value as it is. */
function parseJson(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    return undefined
  }
}

const jsonValue: Rule = must('be a string, a number, or an object or list that JSON can hold', (value) => {
  return value !== null && typeof value !== 'boolean' && isJson(value)
})

/** RFC 8707 2. */
const resource: Rule = must('be an absolute URI without fragment, or a list of such URIs', (value) => {
  const list = [value].flat()
  return list.length > 0 && list.every((uri) => typeof uri === 'string' && URL.canParse(uri) && !uri.includes('#'))
})

/** OIDC Core 3.1.2.1: `none` together with another value is an error. */
const prompt: Rule = must('not combine none with another value', (value) => {
  const values = String(value).split(/\s+/)
  return !values.includes('none') || values.length === 1
})

const maxAge: Rule = must('be a whole number of seconds, 0 or more', (value) => /^\d{1,15}$/.test(String(value)))

const PARAM_RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['max_age', firstFailing(textOrNumber, maxAge)],
  ['prompt', firstFailing(textOrNumber, prompt)],
  ['resource', resource],
  ['claims', firstFailing(jsonValue, claims)],
  ['authorization_details', firstFailing(jsonValue, authorizationDetails)],
  // Values separated by spaces, not lists.
  ...['acr_values', 'ui_locales', 'claims_locales', 'display', 'login_hint', 'id_token_hint'].map(
    (name) => [name, textOrNumber] as const,
  ),
])

/** The option `authorizationParams`, and the parameters of one login. */
export const authorizationParamsRule: Rule = objectWith((params, name) =>
  Object.entries(params).flatMap(([param, value]) => [
    ...paramNameProblems(param, name, RESERVED_PARAMS.get(param)),
    ...(PARAM_RULES.get(param) ?? jsonValue)(value, `${name}.${param}`),
  ]),
)

function paramNameProblems(param: string, name: string, reserved: string | undefined): readonly string[] {
  if (reserved !== undefined) return [`${name}.${param} must not be set: ${reserved}.`]
  const isName = /^[\w.-]+$/.test(param) && param !== '__proto__'
  return isName ? [] : [`${name} must have names of letters, digits, dots, hyphens and underscores (RFC 6749 A).`]
}

/** OIDC Core 5.5, RFC 9396 2: objects and lists are sent as JSON. */
function wireValue(name: string, value: unknown): string | readonly string[] {
  if (name === 'resource') return [value].flat().map(String)
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** Parameters that the middleware sets itself (OIDC RP-Initiated Logout 2). */
const END_SESSION_PARAMS: readonly string[] = ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state']

/** The option `endSessionParams`, and the result of its function. */
export const endSessionParamsRule: Rule = objectWith((params, name) =>
  Object.entries(params).flatMap(([param, value]) => {
    const reserved = END_SESSION_PARAMS.includes(param) ? 'the middleware sets it itself' : undefined
    const problems = paramNameProblems(param, name, reserved)
    return problems.length > 0 ? problems : nonEmptyString(value, `${name}.${param}`)
  }),
)
