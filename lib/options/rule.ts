/**
 * Checks one value of a configuration: a sentence that begins with `name` for each fault, none where the value is sound.
 * A sentence never holds the value, which may be a secret.
 */
export type Rule = (value: unknown, name: string) => readonly string[]

/** A rule of one condition; `be` ends the sentence "clientId must ...". */
export function must(be: string, holds: (value: unknown) => boolean): Rule {
  return (value, name) => (holds(value) ? [] : [`${name} must ${be}.`])
}

/** The value may be absent, which `undefined` means too. */
export function optional(rule: Rule): Rule {
  return (value, name) => (value === undefined ? [] : rule(value, name))
}

/** Rules of which each takes the ones before for granted: the faults of the first that finds any. */
export function firstFailing(...rules: readonly Rule[]): Rule {
  return (value, name) => {
    for (const rule of rules) {
      const faults = rule(value, name)
      if (faults.length > 0) return faults
    }
    return []
  }
}

/** Checks the members of a plain object; anything else is a fault of its own. */
export function objectWith(
  check: (members: Readonly<Record<string, unknown>>, name: string) => readonly string[],
): Rule {
  return (value, name) => (isPlainObject(value) ? check(value, name) : [`${name} must be a plain object.`])
}

/** A plain object whose members each have a rule of their own; other names are faults. */
export function members(table: Readonly<Record<string, Rule>>): Rule {
  return objectWith((given, name) => [
    ...unknownNames(given, Object.keys(table), `${name}.`),
    ...Object.entries(table).flatMap(([member, rule]) => rule(given[member], `${name}.${member}`)),
  ])
}

/** Text that is not empty. */
export const nonEmptyString: Rule = must('be a non-empty string', (value) => typeof value === 'string' && value !== '')

/** Either truth value, and nothing that only behaves like one. */
export const booleanRule: Rule = must('be true or false', (value) => typeof value === 'boolean')

/** Anything that can be called. */
export const functionRule: Rule = must('be a function', (value) => typeof value === 'function')

/** One of a closed list. */
export function oneOf(...values: readonly unknown[]): Rule {
  return must(`be one of ${values.join(', ')}`, (value) => values.includes(value))
}

/** A whole number of seconds within bounds, both included. */
export function seconds(least: number, most: number): Rule {
  return must(
    `be a whole number of seconds from ${least} to ${most}`,
    (value) => typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most,
  )
}

/** Whatever the first rule takes, or else the second: it has the word on what is wrong. */
export function anyOf(first: Rule, second: Rule): Rule {
  return (value, name) => (first(value, name).length === 0 ? [] : second(value, name))
}

/** A rule about several options at once. */
export interface Conflict<Options> {
  /** Asked only where each of these is sound on its own. */
  readonly between: readonly (string & keyof Options)[]
  readonly problems: (options: Readonly<Partial<Options>>) => readonly string[]
}

/** A conflict of one sentence. */
export function conflict<Options>(
  between: Conflict<Options>['between'],
  sentence: string,
  holds: (options: Readonly<Partial<Options>>) => boolean,
): Conflict<Options> {
  return { between, problems: (options) => (holds(options) ? [sentence] : []) }
}

/** One sentence for each contradiction between options; `isSound` tells which options have no fault of their own. */
export function findConflicts<Options>(
  conflicts: readonly Conflict<Options>[],
  options: Readonly<Partial<Options>>,
  hasNoProblem: (name: string) => boolean,
): readonly string[] {
  return conflicts.filter(({ between }) => between.every(hasNoProblem)).flatMap(({ problems }) => problems(options))
}

/** RFC 9700 2.6, OIDC Core 16.17: loopback is no exception, for the same value then goes to production. */
export function insecureUrl(isAllowed: boolean | undefined, url: unknown, name: string): readonly string[] {
  if (isAllowed === true || !String(url).startsWith('http:')) return []
  return [`${name} must be https; for development, plain http needs dangerouslyAllowInsecureRequests: true.`]
}

/** How deep a value may be nested. What lies deeper is kept as it is, so that a circle ends. */
const MAX_DEPTH = 16

/** Whether this is an object made by a literal or without a prototype: not an instance, not a list. Any realm will do. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/**
 * A deeply frozen copy of plain objects and lists, so that what was checked is what is used. Own members only; those
 * that are `undefined` are left out, as if they had not been given. Functions and instances are kept as they are.
 */
export function frozenCopy(value: unknown, depth: number = 0): unknown {
  if (depth > MAX_DEPTH) return value
  if (Array.isArray(value)) return Object.freeze(value.map((item) => frozenCopy(item, depth + 1)))
  if (!isPlainObject(value)) return value
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.freeze(Object.fromEntries(members.map(([name, member]) => [name, frozenCopy(member, depth + 1)])))
}

/** Whether JSON can hold this value and give it back unchanged (RFC 8259). */
export function isJson(value: unknown, depth: number = 0): boolean {
  if (depth > MAX_DEPTH) return false
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1))
  return isPlainObject(value) && Object.values(value).every((member) => isJson(member, depth + 1))
} // What people bring from other middlewares and from the wire, where spelling alone does not lead to our name.
const KNOWN_ALIASES: ReadonlyMap<string, string> = new Map([
  ['redirecturi', 'baseUrl'],
  ['redirecturl', 'baseUrl'],
  ['loginredirecturi', 'baseUrl'],
  ['callbackurl', 'baseUrl'],
  ['appbaseurl', 'baseUrl'],
  ['logoutredirecturi', 'postLogoutRedirectUri'],
  ['issuerbaseurl', 'issuer'],
  ['idtokensigningalg', 'idTokenSignedResponseAlg'],
  ['clientauthmethod', 'tokenEndpointAuthMethod'],
  ['maxclockskew', 'clockTolerance'],
  ['httptimeout', 'timeout'],
  ['aftercallback', 'afterLogin'],
  ['signin', 'login'],
  ['signout', 'logout'],
])

/** From which likeness on a name is worth suggesting. */
const LIKENESS = 0.4

/**
 * One sentence for each name that is not known, with the nearest known one. `prefix` stands before both names, as in
 * `routes.`.
 */
export function unknownNames(given: object, known: readonly string[], prefix: string = ''): readonly string[] {
  return Object.keys(given)
    .filter((name) => !known.includes(name))
    .map((name) => {
      const nearest = nearestName(name, known)
      return `${prefix}${name} is not an option${nearest === undefined ? '.' : `; did you mean ${prefix}${nearest}?`}`
    })
}

function nearestName(name: string, known: readonly string[]): string | undefined {
  // What sounds like one of ours is a slip of the pen; what every object has is not.
  if (name in Object.prototype) return undefined
  const wanted = fold(name)
  const relative = KNOWN_ALIASES.get(wanted)
  return known.find((candidate) => candidate === relative) ?? mostAlike(wanted, known)
}

function mostAlike(wanted: string, known: readonly string[]): string | undefined {
  let best: { name?: string; likeness: number } = { likeness: LIKENESS }
  for (const name of known) {
    const likeness = likenessOf(pairsOf(wanted), pairsOf(fold(name)))
    if (likeness >= best.likeness) best = { name, likeness }
  }
  return best.name
}

/** `client_id`, `clientID` and `CLIENT-ID` are one name. */
function fold(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}

/** Dice's coefficient: the share of neighbouring letters that two names have in common, from 0 to 1. */
function likenessOf(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  const shared = [...one].filter((pair) => other.has(pair))
  return (2 * shared.length) / (one.size + other.size)
}

function pairsOf(name: string): ReadonlySet<string> {
  return new Set(Array.from(name, (_, index) => name.slice(index, index + 2)).slice(0, -1))
}
