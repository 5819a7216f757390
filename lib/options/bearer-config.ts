import { ConfigError, shown } from '../errors.ts'
import { SIGNATURE_ALGORITHMS, usesClientSecret } from '../jose/algorithms.ts'
import type { BearerAppOptions, BearerIssuerOptions, IssuerEntry } from './bearer-options.ts'
import { availableInThisNode } from './client-keys-rule.ts'
import { TENANT_PLACEHOLDER } from './issuer.ts'
import {
  derived,
  type OptionTable,
  option,
  required,
  unknownNames,
  type WithDefaults,
  withDefaults,
} from './option-row.ts'
import { agent, ca, discovery, tenants, timeout } from './option-rules.ts'
import {
  anyOf,
  booleanRule,
  type Conflict,
  conflict,
  findConflicts,
  firstFailing,
  frozenCopy,
  functionRule,
  insecureUrl,
  isJson,
  isPlainObject,
  listOf,
  must,
  nonEmptyString,
  objectWith,
  oneOf,
  optional,
  seconds,
  showValue,
} from './rule.ts'
import { endpointUrl, issuer } from './urls.ts'

// One row for each option of bearer(): its name, its rule, and its default. What an option is for stands in
// bearer-options.ts. A new option is a row here, a member there, and an entry in docs/bearer.md.

type IssuerWithoutDefault = 'tenants' | 'profile' | 'maxTokenAge' | 'providerMetadata'
type AppWithoutDefault = 'issuers' | 'fetch' | 'agent' | 'ca'

/** Only algorithms with a key pair: an API that shares a secret with the issuer could issue tokens itself. */
const SIGNATURES = SIGNATURE_ALGORITHMS.filter((alg) => !usesClientSecret(alg))

const metadata = firstFailing(
  objectWith((given, name) => [
    ...nonEmptyString(given['issuer'], `${name}.issuer`),
    ...optional(endpointUrl)(given['jwks_uri'], `${name}.jwks_uri`),
    ...optional(endpointUrl)(given['introspection_endpoint'], `${name}.introspection_endpoint`),
  ]),
  must('contain only values that JSON can hold', (value) => isJson(value)),
)

/** Options of an issuer. They are given at the top, or for one under `issuers`. */
export const BEARER_ISSUER_OPTIONS: OptionTable<BearerIssuerOptions, IssuerWithoutDefault> = {
  issuer: required(issuer),
  audience: required(anyOf(nonEmptyString, listOf('one or more audiences', nonEmptyString, 1))),
  audienceClaim: option(oneOf('aud', 'client_id'), 'aud'),
  algorithms: option(listOf('signature algorithms', firstFailing(availableInThisNode, oneOf(...SIGNATURES)), 1), [
    'RS256',
  ]),
  tenants: option(tenants),
  profile: option(oneOf('rfc9068')),
  maxTokenAge: option(seconds(1, 86_400 * 365)),
  allowMissingSub: option(booleanRule, false),
  dangerouslyAllowUnmarkedTokens: option(booleanRule, false),
  discovery: option(discovery, 'oidc'),
  providerMetadata: option(metadata),
}

/** Options of the API. They are given at the top only. */
export const BEARER_APP_OPTIONS: OptionTable<BearerAppOptions, AppWithoutDefault> = {
  issuers: derived(
    anyOf(
      functionRule,
      must('be a list of issuers, or a function', (value) => Array.isArray(value) && value.length > 0),
    ),
    'the one `issuer`',
  ),
  allowAnonymous: option(booleanRule, false),
  allowSession: option(booleanRule, false),
  realm: option(
    must('be 1 to 100 printable ASCII characters without quotes and backslashes', isQuotable, showValue),
    'api',
  ),
  tokenCacheSize: option(
    must(
      'be a whole number of bytes from 0 to 1073741824',
      (value) => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 2 ** 30,
      showValue,
    ),
    4_194_304,
  ),
  clockTolerance: option(seconds(0, 300), 60),
  timeout: option(timeout, 10),
  fetch: option(functionRule),
  agent: option(agent),
  ca: option(ca),
  dangerouslyAllowInsecureRequests: option(booleanRule, false),
}

function isQuotable(value: unknown): boolean {
  return typeof value === 'string' && /^[ !#-[\]-~]{1,100}$/.test(value)
}

type AppConfig = Omit<WithDefaults<BearerAppOptions, AppWithoutDefault>, 'issuers'>

/** The checked options for the tokens of one issuer, with those of the API. */
export interface BearerIssuerConfig
  extends AppConfig,
    Omit<WithDefaults<BearerIssuerOptions, IssuerWithoutDefault>, 'audience'> {
  readonly audience: readonly string[]
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
    ...unknownNames(given, [...Object.keys(BEARER_APP_OPTIONS), ...Object.keys(BEARER_ISSUER_OPTIONS)]),
    ...problemsOf(given, BEARER_APP_OPTIONS, APP_CONFLICTS),
    ...(issuers === undefined ? issuerProblems(given, given, '') : sharedProblems(shared)),
    ...entries.flatMap((entry, index) => issuerProblems(given, { ...shared, ...entry }, `issuers[${index}].`)),
    ...duplicates(entries),
  ]
  if (problems.length > 0) throw new ConfigError([...new Set(problems)])
  // Every rule has passed, so the values have the types of the public interfaces.
  const { issuers: _, ...app } = withDefaults<BearerAppOptions, AppWithoutDefault>(BEARER_APP_OPTIONS, given)
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
  const { audience, ...rest } = withDefaults<BearerIssuerOptions, IssuerWithoutDefault>(BEARER_ISSUER_OPTIONS, options)
  return Object.freeze({ ...app, ...rest, audience: Object.freeze([options.audience].flat()) })
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

function issuerProblems(given: Given, options: Given, prefix: string): readonly string[] {
  return [
    ...(prefix === '' ? [] : unknownNames(options, Object.keys(BEARER_ISSUER_OPTIONS), prefix)),
    ...problemsOf(options, BEARER_ISSUER_OPTIONS, ISSUER_CONFLICTS, prefix),
    ...insecureUrl(given['dangerouslyAllowInsecureRequests'] === true, options['issuer'], `${prefix}issuer`),
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

/** The second of two entries would never be used. */
function duplicates(entries: readonly Given[]): readonly string[] {
  const names = entries.map((entry) => entry['issuer'])
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  return twice.map((name) => `issuers contains ${shown(name)} twice.`)
}

const APP_CONFLICTS: readonly Conflict<BearerAppOptions>[] = [
  conflict(
    ['fetch', 'agent'],
    'agent cannot be combined with fetch, which makes its own connections.',
    ({ fetch, agent }) => fetch !== undefined && agent !== undefined,
  ),
  conflict(
    ['ca', 'agent', 'fetch'],
    'ca cannot be combined with agent or fetch. Give the authorities to your agent or fetch function.',
    ({ ca, agent, fetch }) => ca !== undefined && (agent !== undefined || fetch !== undefined),
  ),
]

function isForTenants(given: unknown): boolean {
  return typeof given === 'string' && given.includes(TENANT_PLACEHOLDER)
}

const ISSUER_CONFLICTS: readonly Conflict<BearerIssuerOptions>[] = [
  conflict(
    ['issuer', 'tenants'],
    'tenants is required if issuer contains {tenantid}. List the tenants whose tokens are accepted.',
    (given) => given.tenants === undefined && isForTenants(given.issuer),
  ),
  conflict(
    ['issuer', 'tenants'],
    'tenants needs an issuer that contains {tenantid}.',
    (given) => given.tenants !== undefined && !isForTenants(given.issuer),
  ),
  conflict(
    ['discovery', 'providerMetadata'],
    'discovery cannot be combined with providerMetadata, which replaces it.',
    (given) => given.discovery !== undefined && given.providerMetadata !== undefined,
  ),
  conflict(
    ['issuer', 'providerMetadata'],
    'providerMetadata must have the issuer of the option issuer.',
    ({ issuer: own, providerMetadata: given }) => given !== undefined && given.issuer !== own,
  ),
]
