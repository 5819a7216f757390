import { adviseOnPeerOption, fold, type OptionPlace } from './peer-options.ts'
import { frozenCopy, objectWith, optional, type Rule } from './rule.ts'

/** One row of the table of options: what `oidc()` knows about one option. */
export interface OptionRow<Default = unknown, IsRequired extends boolean = boolean> {
  /** Checks the value. Called with `undefined` if the option is not given. */
  readonly rule: Rule
  readonly isRequired: IsRequired
  /** The value in the configuration if the option is not given. */
  readonly default: Default
  /** The default as the manual words it, if it is not one fixed value. */
  readonly defaultInWords?: string
  /** The options inside this one, as in `routes.login`. */
  readonly members?: AnyTable
}

/** What the client does with the algorithm of an option. */
export type AlgorithmUse = 'verify' | 'sign' | 'decrypt' | 'encrypt' | 'encryptContent'

/** The row of an option that names a JOSE algorithm. */
export interface AlgorithmRow<Default = unknown> extends OptionRow<Default, false> {
  readonly use: AlgorithmUse
  /** Its name in the metadata of a client (OIDC Dynamic Client Registration 2). */
  readonly wireName: string
}

type AnyTable = Readonly<Record<string, OptionRow>>

/**
 * A table with one row for each member of a public interface: a missing row, an unknown one, or a default of another type
 * does not compile. `WithoutDefault` names the options whose row has no fixed default.
 */
export type OptionTable<Options, WithoutDefault extends keyof Options> = {
  readonly [Name in keyof Options]-?: undefined extends Options[Name]
    ? OptionRow<Name extends WithoutDefault ? undefined : NonNullable<Options[Name]>, false>
    : OptionRow<undefined, true>
}

/** The options of an interface with their defaults filled in. Those without a default may be `undefined`. */
export type WithDefaults<Options, WithoutDefault extends keyof Options> = {
  readonly [Name in keyof Options]-?: Name extends WithoutDefault
    ? Options[Name] | undefined
    : NonNullable<Options[Name]>
}

/** An option that must be given. */
export function required(rule: Rule): OptionRow<undefined, true> {
  return { rule, isRequired: true, default: undefined }
}

/** An option with a fixed default. Leave the default out if the option then has no effect. */
export function option(rule: Rule): OptionRow<undefined, false>
export function option<const Default>(rule: Rule, fallback: Default): OptionRow<Default, false>
export function option(rule: Rule, fallback?: unknown): OptionRow<unknown, false> {
  return { rule: optional(rule), isRequired: false, default: frozenCopy(fallback) }
}

/** An option whose default depends on something else. `defaultInWords` is the text of the manual. */
export function derived(rule: Rule, defaultInWords: string): OptionRow<undefined, false> {
  return { ...option(rule), defaultInWords }
}

/** An option that holds further options, each with a row of its own. */
export function group(members: AnyTable): OptionRow<undefined, false>
export function group<const Default>(members: AnyTable, fallback: Default): OptionRow<Default, false>
export function group(members: AnyTable, fallback?: unknown): OptionRow<unknown, false> {
  return { ...option(objectOf(members), fallback), members }
}

/** An option that names a JOSE algorithm. */
export function algorithm(use: AlgorithmUse, rule: Rule, wireName: string): AlgorithmRow<undefined>
export function algorithm<const Default>(
  use: AlgorithmUse,
  rule: Rule,
  wireName: string,
  fallback: Default,
): AlgorithmRow<Default>
export function algorithm(use: AlgorithmUse, rule: Rule, wireName: string, fallback?: unknown): AlgorithmRow {
  return { ...option(rule, fallback), use, wireName }
}

/** The options with the default of each that is not given. Other names are left out. */
export function withDefaults<Options, WithoutDefault extends keyof Options>(
  table: OptionTable<Options, WithoutDefault>,
  given: Readonly<Partial<Options>>,
): WithDefaults<Options, WithoutDefault> {
  const rows: AnyTable = { ...table }
  const values: Readonly<Record<string, unknown>> = { ...given }
  const entries = Object.entries(rows).map(([name, row]) => [name, values[name] ?? row.default])
  return Object.fromEntries(entries) as WithDefaults<Options, WithoutDefault>
}

/** A plain object whose members are the options of this table. */
export function objectOf(table: AnyTable): Rule {
  return objectWith((given, name) => [
    ...unknownNames(given, Object.keys(table), `${name}.`, name === 'routes' ? 'routes' : undefined),
    ...Object.entries(table).flatMap(([member, { rule }]) => rule(given[member], `${name}.${member}`)),
  ])
}

/** Names of other middleware and of the wire that do not resemble ours in spelling. */
const KNOWN_ALIASES: ReadonlyMap<string, string> = new Map([
  ['redirecturi', 'baseUrl'],
  ['redirecturl', 'baseUrl'],
  ['aftercallback', 'afterLogin'],
  ['jwksuri', 'providerMetadata'],
  ['signin', 'login'],
  ['signout', 'logout'],
])

/** The least similarity at which a name is suggested. */
const MIN_SIMILARITY = 0.4

/**
 * One message for each unknown name: what to use in place of an option of another library, or the most similar known name.
 * `prefix` stands before both: `routes.`.
 */
export function unknownNames(
  given: object,
  known: readonly string[],
  prefix: string = '',
  place?: OptionPlace,
): readonly string[] {
  return Object.keys(given)
    .filter((name) => !known.includes(name))
    .map((name) => `${prefix}${name} ${adviceOn(name, known, place) ?? suggestion(nearestName(name, known), prefix)}`)
}

/** One message for each option of the application that stands in one of the options in `list`. `prefix` stands before its name. */
export function misplacedNames(given: object, ofApp: AnyTable, prefix: string, list: string): readonly string[] {
  return Object.keys(given)
    .filter((name) => Object.hasOwn(ofApp, name))
    .map((name) => `${prefix}${name} is not an option of one of the ${list}: set ${name} beside ${list}.`)
}

/** A name that differs from ours in its spelling only is not one of another library, unless it is spelled as there. */
function adviceOn(name: string, known: readonly string[], place: OptionPlace | undefined): string | undefined {
  if (place === undefined) return undefined
  const isOurs = known.some((one) => fold(one) === fold(name))
  return isOurs ? adviseOnPeerOption(name, place, 'exactly') : adviseOnPeerOption(name, place)
}

function suggestion(nearest: string | undefined, prefix: string): string {
  return nearest === undefined ? 'is not an option.' : `is not an option; did you mean ${prefix}${nearest}?`
}

/** The known name that is most similar, or that means the same in other software. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  // No suggestion for names that every object has, such as `toString`.
  if (name in Object.prototype) return undefined
  const folded = fold(name)
  const alias = KNOWN_ALIASES.get(folded)
  return known.find((candidate) => candidate === alias) ?? mostSimilar(folded, known)
}

function mostSimilar(folded: string, known: readonly string[]): string | undefined {
  let best: { name?: string; similarity: number } = { similarity: MIN_SIMILARITY }
  for (const name of known) {
    const similarity = similarityOf(pairsOf(folded), pairsOf(fold(name)))
    if (similarity >= best.similarity) best = { name, similarity }
  }
  return best.name
}

/** Dice's coefficient: the share of adjacent letter pairs that two names have in common, from 0 to 1. */
function similarityOf(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  const shared = [...one].filter((pair) => other.has(pair))
  return (2 * shared.length) / (one.size + other.size)
}

function pairsOf(name: string): ReadonlySet<string> {
  return new Set(Array.from(name, (_, index) => name.slice(index, index + 2)).slice(0, -1))
}
