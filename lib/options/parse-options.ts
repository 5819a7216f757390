import { ConfigError } from '../errors.ts'
import { APP_RULES, createAppConfig } from './app-table.ts'
import { type Configuration, ONLY_PROVIDER } from './config.ts'
import { findAppConflicts, findProviderConflicts } from './conflicts.ts'
import type { ApplicationOptions } from './options.ts'
import { applyProfile } from './profile.ts'
import type { NamedProviderOptions } from './provider-options.ts'
import { createProviderConfig, PROVIDER_RULES } from './provider-table.ts'
import { frozenCopy, isPlainObject, type Rule, unknownNames } from './rule.ts'

type Given = Readonly<Record<string, unknown>>

/** What may be given at the top: the callback of a single provider is a route like others. */
const SHARED_NAMES: readonly string[] = Object.keys(PROVIDER_RULES).filter((name) => name !== 'callback')

/** The options of one provider, as they were given or as they come from the top. */
interface GivenProvider {
  readonly name: string
  /** What stands before the names of its options in a fault: nothing, or `providers.okta.`. */
  readonly prefix: string
  readonly options: Given
  /** The names of those that come from the top. */
  readonly inherited: readonly string[]
  readonly problems: readonly string[]
}

/**
 * Makes the configuration out of the options of `oidc()`. They are copied first: the caller's object is never written
 * to, and what it becomes later changes nothing.
 *
 * @throws ConfigError with one sentence for each fault of the options, all at once. None holds a secret.
 */
export function parseOptions(options: unknown): Configuration {
  const given = copyOptions(options)
  const providers = givenProviders(given)
  const problems = [
    ...unknownNames(given, [...Object.keys(APP_RULES), ...SHARED_NAMES, 'providers']),
    ...providersRule(given['providers'], 'providers'),
    ...appFaults(given),
    ...providers.flatMap((provider) => [...provider.problems, ...providerFaults(given, provider)]),
  ]
  // What is wrong at the top is so for each provider.
  if (problems.length > 0) throw new ConfigError([...new Set(problems)])
  // Each rule has passed: the foreign values get their types here.
  const sound = providers.map(({ name, options }) => ({ name, options: options as unknown as NamedProviderOptions }))
  const app = createAppConfig(given as unknown as ApplicationOptions, sound)
  const clients = sound.map((one) => createProviderConfig(app, one.name, one.options))
  return Object.freeze({ app, clients: Object.freeze(clients) })
}

/** Without a prototype, so that nothing is ever read from one. */
function copyOptions(options: unknown): Given {
  if (isRequestOrApp(options)) throw new ConfigError([FORGOTTEN_CALL])
  const copy = frozenCopy(options)
  if (!isPlainObject(copy)) throw new ConfigError(['options must be a plain object: oidc({ issuer, clientId, ... }).'])
  return withoutPrototype(copy)
}

const FORGOTTEN_CALL = 'It seems you wrote app.use(oidc); it must be app.use(oidc({ ... })).'

function isRequestOrApp(value: unknown): boolean {
  if (typeof value === 'function') return 'handle' in value && 'use' in value
  return typeof value === 'object' && value !== null && 'headers' in value && 'method' in value && 'url' in value
}

function withoutPrototype(...members: readonly Given[]): Given {
  return Object.assign(Object.create(null), ...members)
}

/** A name stands in paths and in the query of the login route. */
const providersRule: Rule = (value, name) => {
  if (value === undefined) return []
  const isFilled = isPlainObject(value) && Object.keys(value).length > 0
  if (!isFilled) return [`${name} must be a plain object with the options of each provider by its name.`]
  return Object.entries(value).flatMap(([key, options]) => {
    const isName = /^[A-Za-z0-9_-]{1,32}$/.test(key) && !(key in Object.prototype)
    if (!isName) return [`${name} must have names of 1 to 32 letters, digits, hyphens and underscores.`]
    return isPlainObject(options) ? [] : [`${name}.${key} must be a plain object with the options of that provider.`]
  })
}

function givenProviders(given: Given): readonly GivenProvider[] {
  const { providers, ...shared } = given
  const own = Object.fromEntries(Object.entries(shared).filter(([name]) => SHARED_NAMES.includes(name)))
  if (!isPlainObject(providers)) {
    return [
      { name: ONLY_PROVIDER, prefix: '', options: withoutPrototype(applyProfile(own)), inherited: [], problems: [] },
    ]
  }
  return Object.entries(providers).flatMap(([name, options]) => {
    if (!isPlainObject(options)) return []
    const prefix = `providers.${name}.`
    const problems = unknownNames(options, Object.keys(PROVIDER_RULES), prefix)
    const inherited = Object.keys(own).filter((shared) => !Object.hasOwn(options, shared))
    return [{ name, prefix, options: withoutPrototype(applyProfile({ ...own, ...options })), inherited, problems }]
  })
}

function appFaults(given: Given): readonly string[] {
  const problems = faultsByName(given, APP_RULES)
  const ofProvider = faultsByName(given, PROVIDER_RULES)
  const hasNoProblem = (name: string): boolean => (problems.get(name) ?? ofProvider.get(name))?.length === 0
  return [...[...problems.values()].flat(), ...findAppConflicts(given, hasNoProblem)]
}

function providerFaults(given: Given, { options, prefix, inherited }: GivenProvider): readonly string[] {
  const problems = faultsByName(options, PROVIDER_RULES, (name) => (inherited.includes(name) ? name : prefix + name))
  const ofApp = faultsByName(given, APP_RULES)
  const hasNoProblem = (name: string): boolean => (problems.get(name) ?? ofApp.get(name))?.length === 0
  const conflicts = findProviderConflicts(withoutPrototype(given, options), hasNoProblem)
  return [...[...problems.values()].flat(), ...conflicts.map((sentence) => prefix + sentence)]
}

function faultsByName(
  given: Given,
  rules: Readonly<Record<string, Rule>>,
  called: (name: string) => string = (name) => name,
): ReadonlyMap<string, readonly string[]> {
  return new Map(Object.entries(rules).map(([name, rule]) => [name, rule(given[name], called(name))]))
}
