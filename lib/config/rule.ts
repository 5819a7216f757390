import { isPlainObject } from './frozen-copy.ts'
import { unknownNames } from './option-names.ts'

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
export function inOrder(...rules: readonly Rule[]): Rule {
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
export const filledText: Rule = must('be a non-empty string', (value) => typeof value === 'string' && value !== '')

/** Either truth value, and nothing that only behaves like one. */
export const trueOrFalse: Rule = must('be true or false', (value) => typeof value === 'boolean')

/** Anything that can be called. */
export const callable: Rule = must('be a function', (value) => typeof value === 'function')

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
export function either(first: Rule, second: Rule): Rule {
  return (value, name) => (first(value, name).length === 0 ? [] : second(value, name))
}
