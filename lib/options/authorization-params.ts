import { ConfigError } from '../errors.ts'
import type { IdTokenClaims } from '../types.ts'
import type { Config } from './config.ts'
import { firstFailing, frozenCopy, isJson, isPlainObject, must, nonEmptyString, objectWith, type Rule } from './rule.ts'

const MADE_FOR_EACH_LOGIN = 'it is made for each login and protects it'

// A parameter set twice, or by another hand, undoes what the middleware checks in the answer (OIDC Core 3.1.2.1).
/** Parameters that no one else may set, and why. */
export const RESERVED_PARAMS: ReadonlyMap<string, string> = new Map([
  ['client_id', 'use the option clientId'],
  ['redirect_uri', 'it is made of baseUrl and routes.callback'],
  ['response_type', 'use the option responseType'],
  ['response_mode', 'use the option responseMode'],
  ['scope', 'use the option scope'],
  ['state', MADE_FOR_EACH_LOGIN],
  ['nonce', MADE_FOR_EACH_LOGIN],
  ['code_challenge', MADE_FOR_EACH_LOGIN],
  ['code_challenge_method', MADE_FOR_EACH_LOGIN],
  ['request', 'it would replace every other parameter'],
  ['request_uri', 'it would replace every other parameter'],
  ['iss', 'it belongs to the answer'],
  ['response', 'it belongs to the answer'],
  ['dpop_jkt', MADE_FOR_EACH_LOGIN],
  ['client_secret', 'it would be seen by everybody'],
  ['client_assertion', 'it would be seen by everybody'],
  ['client_assertion_type', 'it would be seen by everybody'],
])

const textOrNumber: Rule = must('be a string or a finite number', (value) =>
  typeof value === 'number' ? Number.isFinite(value) : typeof value === 'string',
)

/** OIDC Core 5.5. */
const claims: Rule = must('be a JSON object (OIDC Core 5.5)', (value) => isPlainObject(parsed(value)))

/** RFC 9396 2. */
const authorizationDetails: Rule = must('be a list of objects that each have a type (RFC 9396 2)', (value) => {
  const details = parsed(value)
  return (
    Array.isArray(details) && details.every((detail) => isPlainObject(detail) && typeof detail['type'] === 'string')
  )
})

/** A value, or where it is text the JSON in it. */
function parsed(value: unknown): unknown {
  if (typeof value !== 'string') return value
  try {
    return JSON.parse(value)
  } catch {
    return undefined
  }
}

const jsonValue: Rule = must('be text, a number, or an object or list that JSON can hold', (value) => {
  return value !== null && typeof value !== 'boolean' && isJson(value)
})

/** RFC 8707 2: each an absolute URI without fragment. */
const resource: Rule = must('be an absolute URI without fragment, or a list of such URIs', (value) => {
  const list = [value].flat()
  return list.length > 0 && list.every((uri) => typeof uri === 'string' && URL.canParse(uri) && !uri.includes('#'))
})

// OIDC Core 3.1.2.1: "none" with any other value is an error.
const prompt: Rule = must('not join none with another value', (value) => {
  const values = String(value).split(/\s+/)
  return !values.includes('none') || values.length === 1
})

const PARAM_RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  [
    'max_age',
    firstFailing(
      textOrNumber,
      must('be a whole number of seconds, 0 or more', (value) => /^\d{1,15}$/.test(String(value))),
    ),
  ],
  ['prompt', firstFailing(textOrNumber, prompt)],
  ['resource', resource],
  ['claims', firstFailing(jsonValue, claims)],
  ['authorization_details', firstFailing(jsonValue, authorizationDetails)],
  // Separated by spaces, where somebody would think of a list.
  ...['acr_values', 'ui_locales', 'claims_locales', 'display', 'login_hint', 'id_token_hint'].map(
    (name) => [name, textOrNumber] as const,
  ),
])

/** What `authorizationParams` must be, in the options and at one login. */
export const authorizationParamsRule: Rule = objectWith((params, name) =>
  Object.entries(params).flatMap(([param, value]) => [
    ...paramNameFaults(param, name),
    ...paramRule(param)(value, `${name}.${param}`),
  ]),
)

function paramNameFaults(param: string, name: string): readonly string[] {
  const reason = RESERVED_PARAMS.get(param)
  if (reason !== undefined) return [`${name}.${param} must not be set: ${reason}.`]
  const isName = /^[\w.-]+$/.test(param) && param !== '__proto__'
  return isName ? [] : [`${name} must have names of letters, digits, dots, hyphens and underscores (RFC 6749 A).`]
}

function paramRule(param: string): Rule {
  return PARAM_RULES.get(param) ?? jsonValue
}

/** Authorization request parameters as they are sent: only `resource` may come several times. */
export type WireParams = Readonly<Record<string, string | readonly string[]>>

/**
 * Checks authorization request parameters and makes text of their values. For those of a single login as for the
 * option: none may set what the middleware sets. Absent parameters are none.
 *
 * @throws ConfigError with one sentence for each fault.
 */
export function parseAuthorizationParams(params: unknown): WireParams {
  const given = frozenCopy(params ?? {})
  const faults = authorizationParamsRule(given, 'authorizationParams')
  if (faults.length > 0 || !isPlainObject(given)) throw new ConfigError(faults)
  return Object.freeze(Object.fromEntries(Object.entries(given).map(([name, value]) => [name, wireValue(name, value)])))
}

/** OIDC Core 5.5, RFC 9396 2: JSON as text. */
function wireValue(name: string, value: unknown): string | readonly string[] {
  if (name === 'resource') return [value].flat().map(String)
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** What the middleware says itself (OIDC RP-Initiated Logout 2). */
const RESERVED: readonly string[] = ['id_token_hint', 'client_id', 'post_logout_redirect_uri', 'state']

/** What `endSessionParams` must be, in the options and out of a function. */
export const endSessionParamsRule: Rule = objectWith((params, name) =>
  Object.entries(params).flatMap(([param, value]) => {
    if (RESERVED.includes(param)) return [`${name}.${param} must not be set: the middleware does.`]
    if (!/^[\w.-]+$/.test(param) || param === '__proto__') {
      return [`${name} must have names of letters, digits, dots, hyphens and underscores.`]
    }
    return nonEmptyString(value, `${name}.${param}`)
  }),
)

/** The parameters for one logout. Throws `ERR_OIDC_CONFIG` where a function of the application gives what may not be sent. */
export function readEndSessionParams(
  { endSessionParams: given }: Pick<Config, 'endSessionParams'>,
  claims: IdTokenClaims | undefined,
): Readonly<Record<string, string>> {
  if (typeof given !== 'function') return given ?? {}
  const params = given(claims)
  const faults = endSessionParamsRule(params, 'endSessionParams')
  if (faults.length > 0) throw new ConfigError(faults)
  return params
}
