import { ConfigError } from '../errors.ts'
import { frozenCopy, isPlainObject } from './frozen-copy.ts'
import { inOrder, must, objectWith, type Rule } from './rule.ts'

const MADE_FOR_EACH_LOGIN = 'it is made for each login and protects it'

// A parameter set twice, or by another hand, undoes what the middleware checks in the answer (OIDC Core 3.1.2.1).
const RESERVED: ReadonlyMap<string, string> = new Map([
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
])

const textOrNumber: Rule = must('be a string or a finite number', (value) =>
  typeof value === 'number' ? Number.isFinite(value) : typeof value === 'string',
)

// OIDC Core 3.1.2.1: "none" with any other value is an error.
const prompt: Rule = must('not join none with another value', (value) => {
  const values = String(value).split(/\s+/)
  return !values.includes('none') || values.length === 1
})

const PARAM_RULES: ReadonlyMap<string, Rule> = new Map([
  ['max_age', must('be a whole number of seconds, 0 or more', (value) => /^\d{1,15}$/.test(String(value)))],
  ['prompt', prompt],
])

/** What `authorizationParams` must be, in the options and at one login. */
export const authorizationParamsRule: Rule = objectWith((params, name) =>
  Object.entries(params).flatMap(([param, value]) => [
    ...paramNameFaults(param, name),
    ...paramRule(param)(value, `${name}.${param}`),
  ]),
)

function paramNameFaults(param: string, name: string): readonly string[] {
  const reason = RESERVED.get(param)
  if (reason !== undefined) return [`${name}.${param} must not be set: ${reason}.`]
  const isName = /^[\w.-]+$/.test(param) && param !== '__proto__'
  return isName ? [] : [`${name} must have names of letters, digits, dots, hyphens and underscores (RFC 6749 A).`]
}

function paramRule(param: string): Rule {
  const rule = PARAM_RULES.get(param)
  return rule === undefined ? textOrNumber : inOrder(textOrNumber, rule)
}

/**
 * Checks authorization request parameters and makes strings of their values. For those of a single login as for the
 * option: none may set what the middleware sets. Absent parameters are none.
 *
 * @throws ConfigError with one sentence for each fault.
 */
export function parseAuthorizationParams(params: unknown): Readonly<Record<string, string>> {
  const given = frozenCopy(params ?? {})
  const faults = authorizationParamsRule(given, 'authorizationParams')
  if (faults.length > 0 || !isPlainObject(given)) throw new ConfigError(faults)
  return Object.freeze(Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)])))
}
