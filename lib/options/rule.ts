import { shown } from '../errors.ts'

/**
 * Checks one value of the options. Returns one message for each problem, beginning with `name`, and none for a valid
 * value. `name` is the path that the user wrote: `timeout`, `routes.login`, `providers.okta.scope`.
 */
export type Rule = (value: unknown, name: string) => readonly string[]

/** How a message shows the value that was given. `undefined`: it says nothing about the value. */
type Describe = (value: unknown) => string | undefined

/**
 * A rule with one condition. `be` completes the sentence "clientId must ...". By default the message shows no text that
 * was given, because it may be a secret; pass {@link showValue} or {@link showUrl} for an option that is never one.
 */
export function must(be: string, isValid: (value: unknown) => boolean, describe: Describe = showKind): Rule {
  return (value, name) => {
    if (isValid(value)) return []
    const received = describe(value)
    return [`${name} must ${be}.${received === undefined ? '' : ` Received ${received}.`}`]
  }
}

/** Only what kind of value it is. Says nothing about text: a rule that rejects text says why itself. */
function showKind(value: unknown): string | undefined {
  if (value === undefined || value === null) return String(value)
  if (value === '') return 'an empty string'
  if (typeof value === 'string') return undefined
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** The value itself, if it is text, a number or a boolean. Not for options that may hold a secret. */
export function showValue(value: unknown): string | undefined {
  return ['string', 'number', 'boolean'].includes(typeof value) ? shown(plain(value)) : showKind(value)
}

/** `NaN` and `Infinity` have no JSON form. */
function plain(value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

/** A URL, unless it may hold credentials. */
export function showUrl(value: unknown): string | undefined {
  return typeof value === 'string' && value.includes('@') ? undefined : showValue(value)
}

/** Applies the rule only to a value that is given. */
export function optional(rule: Rule): Rule {
  return (value, name) => (value === undefined ? [] : rule(value, name))
}

/**
 * Applies rules in order and returns the problems of the first that finds any, so that a rule can rely on those before.
 */
export function firstFailing(...rules: readonly Rule[]): Rule {
  return (value, name) => {
    for (const rule of rules) {
      const problems = rule(value, name)
      if (problems.length > 0) return problems
    }
    return []
  }
}

/** Accepts what either rule accepts. The message is that of the second. */
export function anyOf(first: Rule, second: Rule): Rule {
  return (value, name) => (first(value, name).length === 0 ? [] : second(value, name))
}

/** Checks the members of a plain object, and rejects anything else. */
export function objectWith(
  check: (members: Readonly<Record<string, unknown>>, name: string) => readonly string[],
): Rule {
  const plainObject = must('be a plain object', isPlainObject)
  return (value, name) => (isPlainObject(value) ? check(value, name) : plainObject(value, name))
}

/**
 * A list with at least `least` items that each follow the rule. `of` completes the sentence "scopes must be a list of
 * ...".
 */
export function listOf(of: string, item: Rule, least: number = 0): Rule {
  return firstFailing(
    must(`be a list of ${of}`, (value) => Array.isArray(value) && value.length >= least),
    (value, name) => [value].flat().flatMap((one, index) => item(one, `${name}[${index}]`)),
  )
}

export const nonEmptyString: Rule = must('be a non-empty string', (value) => typeof value === 'string' && value !== '')

/** Does not accept truthy values such as `1` or `'true'`. */
export const booleanRule: Rule = must('be true or false', (value) => typeof value === 'boolean', showValue)

export const functionRule: Rule = must('be a function', (value) => typeof value === 'function')

/**
 * Returns what a function of the application has returned, or `undefined` for a promise: the function must not be async. The
 * promise has no other owner, so its rejection would end the process.
 */
export function resultOf(returned: unknown): unknown {
  // Only a function named `then` makes a promise: a claim may have that name too.
  if (typeof Object(returned).then !== 'function') return returned
  Promise.resolve(returned).catch(() => undefined)
  return undefined
}

/** One of these values. */
export function oneOf(...values: readonly (string | boolean)[]): Rule {
  const list = values.map((value) => (typeof value === 'string' ? `'${value}'` : value)).join(', ')
  return must(`be one of ${list}`, (value) => values.some((one) => one === value), showValue)
}

/** A whole number of seconds. Both bounds are allowed. */
export function seconds(least: number, most: number): Rule {
  return wholeNumber('seconds', least, most)
}

/** A whole number of such things. Both bounds are allowed. */
export function wholeNumber(things: string, least: number, most: number): Rule {
  return must(
    `be a whole number of ${things} from ${least} to ${most}`,
    (value) => typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most,
    showValue,
  )
}

/** An object of the application with these methods. They may be inherited, as in an instance of a class. */
export function withMethods(be: string, ...methods: readonly string[]): Rule {
  return must(be, (value) => methods.every((method) => typeof Object(value)[method] === 'function'))
}

/** A rule about several options at once. */
export interface Conflict<Options> {
  /** The options that it looks at. It applies only if each of them is valid on its own. */
  readonly between: readonly (string & keyof Options)[]
  readonly problems: (options: Readonly<Partial<Options>>) => readonly string[]
}

/** A conflict with one message. Pass a function if the message shows a value. */
export function conflict<Options>(
  between: Conflict<Options>['between'],
  message: string | ((options: Readonly<Partial<Options>>) => string),
  isConflict: (options: Readonly<Partial<Options>>) => boolean,
): Conflict<Options> {
  const messageOf = typeof message === 'function' ? message : () => message
  return { between, problems: (options) => (isConflict(options) ? [messageOf(options)] : []) }
}

/** The messages of all conflicts between options that are valid on their own. */
export function findConflicts<Options>(
  conflicts: readonly Conflict<Options>[],
  options: Readonly<Partial<Options>>,
  isValid: (name: string) => boolean,
): readonly string[] {
  return conflicts.filter(({ between }) => between.every(isValid)).flatMap(({ problems }) => problems(options))
}

/** RFC 9700 2.6, OIDC Core 16.17. Loopback is no exception, because the same options are later used in production. */
export function insecureUrl(isAllowed: boolean | undefined, url: unknown, name: string): readonly string[] {
  if (isAllowed === true || typeof url !== 'string' || !url.startsWith('http:')) return []
  return [
    `${name} must be https. Received ${showUrl(url)}. In development, allow http with dangerouslyAllowInsecureRequests: true.`,
  ]
}

/** Deeper values are kept as they are, so that a circular object does no harm. */
const MAX_DEPTH = 16

/** True for an object literal or an object without prototype, from any realm. False for instances and lists. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/**
 * A deeply frozen copy of plain objects and lists, so that later changes do not bypass the checks. It has own members
 * only. Members that are `undefined` are left out. Functions and instances are not copied.
 */
export function frozenCopy(value: unknown, depth: number = 0): unknown {
  if (depth > MAX_DEPTH) return value
  if (Array.isArray(value)) return Object.freeze(value.map((item) => frozenCopy(item, depth + 1)))
  if (!isPlainObject(value)) return value
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.freeze(Object.fromEntries(members.map(([name, member]) => [name, frozenCopy(member, depth + 1)])))
}

/** True if JSON keeps this value unchanged (RFC 8259). */
export function isJson(value: unknown, depth: number = 0): boolean {
  if (depth > MAX_DEPTH) return false
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1))
  return isPlainObject(value) && Object.values(value).every((member) => isJson(member, depth + 1))
}
