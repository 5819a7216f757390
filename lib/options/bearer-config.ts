import { ConfigError, shown } from '../errors.ts'
import { BEARER_APP_CONFLICTS, BEARER_ISSUER_CONFLICTS } from './bearer-conflicts.ts'
import type { BearerAppOptions, BearerIssuerOptions, IntrospectionOptions, IssuerEntry } from './bearer-options.ts'
import {
  BEARER_APP_OPTIONS,
  BEARER_ISSUER_OPTIONS,
  type BearerAppWithoutDefault,
  type BearerIssuerWithoutDefault,
  INTROSPECTION_OPTIONS,
  type IntrospectionWithoutDefault,
} from './bearer-table.ts'
import { misplacedNames, type OptionTable, unknownNames, type WithDefaults, withDefaults } from './option-row.ts'
import { type Conflict, findConflicts, frozenCopy, insecureUrl, isPlainObject } from './rule.ts'

/** The checked options of introspection at one issuer. */
export type IntrospectionConfig = WithDefaults<IntrospectionOptions, IntrospectionWithoutDefault>

type AppConfig = Omit<WithDefaults<BearerAppOptions, BearerAppWithoutDefault>, 'issuers'>

/** The checked options for the tokens of one issuer, with those of the API. */
export interface BearerIssuerConfig
  extends AppConfig,
    Omit<WithDefaults<BearerIssuerOptions, BearerIssuerWithoutDefault>, 'audience' | 'introspection'> {
  readonly audience: readonly string[]
  readonly introspection: IntrospectionConfig | undefined
}

/** The checked options of one `bearer()` call. */
export interface BearerConfig extends AppConfig {
  /** A list with at least one issuer, or a function that finds one. */
  readonly issuers: readonly BearerIssuerConfig[] | FindIssuerConfig
}

/** Finds the configuration for a token by its `iss`. Throws {@link ConfigError} for options that are invalid. */
export type FindIssuerConfig = (iss: string) => Promise<BearerIssuerConfig | undefined>

type Given = Readonly<Record<string, unknown>>

/**
 * Turns the options of `bearer()` into a configuration: copies them, checks each option and each combination, and fills in
 * the defaults.
 *
 * @throws ConfigError with one message for each problem, all at once.
 */
export function parseBearerOptions(options: unknown): BearerConfig {
  const copy = frozenCopy(options)
  if (!isPlainObject(copy)) throw new ConfigError(['options must be a plain object: bearer({ issuer, audience }).'])
  const given = withoutPrototype(copy)
  const shared = Object.fromEntries(
    Object.entries(given).filter(([name]) => Object.hasOwn(BEARER_ISSUER_OPTIONS, name)),
  )
  const { issuers } = given
  const entries = Array.isArray(issuers) ? issuers.map(entryOf) : []
  const problems = [
    ...unknownNames(given, ALL_NAMES, '', 'bearer'),
    ...problemsOf(given, BEARER_APP_OPTIONS, BEARER_APP_CONFLICTS),
    ...(issuers === undefined ? issuerProblems(given, given, '') : sharedProblems(shared)),
    ...entries.flatMap((entry, index) => issuerProblems(given, { ...shared, ...entry }, `issuers[${index}].`)),
    ...duplicates(entries),
    ...severalIntrospections(entries.map((entry) => ({ ...shared, ...entry }))),
    ...['baseUrl', 'resource'].flatMap((name) => insecureUrl(isInsecureAllowed(given), given[name], name)),
  ]
  if (problems.length > 0) throw new ConfigError([...new Set(problems)])
  // Every rule has passed, so the values have the types of the public interfaces.
  const { issuers: _, ...app } = withDefaults<BearerAppOptions, BearerAppWithoutDefault>(BEARER_APP_OPTIONS, given)
  const configure = (entry: Given): BearerIssuerConfig => createIssuerConfig(app, { ...shared, ...entry })
  if (typeof issuers !== 'function') {
    return Object.freeze({
      ...app,
      issuers: Object.freeze((issuers === undefined ? [shared] : entries).map(configure)),
    })
  }
  return Object.freeze({ ...app, issuers: finderOf(issuers as (iss: string) => unknown, given, shared, configure) })
}

/** The function is the application's, so what it returns is checked as other options are. */
function finderOf(
  find: (iss: string) => unknown,
  given: Given,
  shared: Given,
  configure: (entry: Given) => BearerIssuerConfig,
): FindIssuerConfig {
  return async (iss) => {
    const found = await find(iss)
    if (found === undefined || found === null || found === false) return undefined
    const entry = entryOf(frozenCopy(found))
    const problems = issuerProblems(given, { ...shared, ...entry }, 'issuers().')
    if (problems.length > 0) throw new ConfigError([...new Set(problems)])
    return configure(entry)
  }
}

function entryOf(entry: unknown): Given {
  return isPlainObject(entry) ? withoutPrototype(entry) : { issuer: entry }
}

/** The copy has no prototype, so that no option is read from one. */
function withoutPrototype(members: Given): Given {
  return Object.assign(Object.create(null), members)
}

function createIssuerConfig(app: AppConfig, entry: Given): BearerIssuerConfig {
  const options = entry as unknown as IssuerEntry & BearerIssuerOptions
  const rest = withDefaults<BearerIssuerOptions, BearerIssuerWithoutDefault>(BEARER_ISSUER_OPTIONS, options)
  const introspection =
    options.introspection &&
    withDefaults<IntrospectionOptions, IntrospectionWithoutDefault>(INTROSPECTION_OPTIONS, options.introspection)
  return Object.freeze({ ...app, ...rest, audience: Object.freeze([options.audience].flat()), introspection })
}

/** With several issuers, those at the top are defaults, so none is required there. */
function sharedProblems(shared: Given): readonly string[] {
  return [
    ...(shared['issuer'] === undefined ? [] : ['issuer cannot be combined with issuers. Add it to the list.']),
    ...Object.entries(BEARER_ISSUER_OPTIONS).flatMap(([name, { rule }]) =>
      shared[name] === undefined || name === 'issuer' ? [] : rule(shared[name], name),
    ),
  ]
}

const ALL_NAMES = [...Object.keys(BEARER_APP_OPTIONS), ...Object.keys(BEARER_ISSUER_OPTIONS)]

function issuerProblems(given: Given, options: Given, prefix: string): readonly string[] {
  return [
    ...(prefix === '' ? [] : misplacedNames(options, BEARER_APP_OPTIONS, prefix, 'issuers')),
    ...(prefix === '' ? [] : unknownNames(options, ALL_NAMES, prefix, 'bearer')),
    ...problemsOf(options, BEARER_ISSUER_OPTIONS, BEARER_ISSUER_CONFLICTS, prefix),
    ...insecureUrl(isInsecureAllowed(given), options['issuer'], `${prefix}issuer`),
  ]
}

function problemsOf<Options>(
  given: Given,
  table: OptionTable<Options, never> | object,
  conflicts: readonly Conflict<Options>[],
  prefix = '',
): readonly string[] {
  const rows = Object.entries(table as typeof BEARER_APP_OPTIONS)
  const problems = new Map(rows.map(([name, { rule }]) => [name, rule(given[name], prefix + name)]))
  const found = findConflicts(conflicts, given as Partial<Options>, (name) => problems.get(name)?.length === 0)
  return [...[...problems.values()].flat(), ...found.map((message) => prefix + message)]
}

function isInsecureAllowed(given: Given): boolean {
  return given['dangerouslyAllowInsecureRequests'] === true
}

/** A token that names no issuer would have to be shown to all of them. */
function severalIntrospections(entries: readonly Given[]): readonly string[] {
  const count = entries.filter((entry) => entry['introspection'] !== undefined).length
  return count > 1 ? ['introspection is allowed for one of several issuers only: opaque tokens name no issuer.'] : []
}

/** The second of two entries would never be used. */
function duplicates(entries: readonly Given[]): readonly string[] {
  const names = entries.map((entry) => entry['issuer'])
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  return twice.map((name) => `issuers contains ${shown(name)} twice.`)
}
