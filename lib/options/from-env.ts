import { ConfigError, shown } from '../errors.ts'
import { type Form, type Variable, variableName, variablesOf } from './environment-table.ts'
import { nearestName, objectOf, option } from './option-row.ts'
import type { SingleProviderOptions } from './options.ts'
import type { ProviderOptions } from './provider-options.ts'
import { isPlainObject, must, oneOf, showValue } from './rule.ts'

/** Where `fromEnv()` reads, and what. */
export interface EnvironmentOptions {
  /**
   * What the names of the variables begin with: capital letters, digits and `_`, and `_` at the end. Every variable that
   * begins with it must be one of `fromEnv()`.
   * @default 'OIDC_'
   */
  prefix?: string
  /**
   * The variables.
   * @default process.env
   */
  env?: Readonly<Record<string, string | undefined>>
  /** `'provider'`: read the options of one of several providers alone. Then `OIDC_BASE_URL` is no variable. */
  only?: 'provider'
}

/**
 * Reads the options of `oidc()` from environment variables: `OIDC_ISSUER` is `issuer`, `OIDC_CLIENT_ID` is `clientId`,
 * `OIDC_ROUTES_LOGIN` is `routes.login`. With `_FILE` behind its name, a variable holds the path of a file with the value,
 * as Docker and Kubernetes provide secrets: `OIDC_CLIENT_SECRET_FILE`. `OIDC_ISSUER` and `OIDC_BASE_URL` are required.
 *
 * Call it once, at startup: files are read while the process waits. Combine it with options that are functions or objects.
 * docs/environment.md lists the variables and how their values are written.
 *
 * @throws {ConfigError} `ERR_OIDC_CONFIG` with all problems: a variable that is empty, unknown, set twice (with and without
 * `_FILE`) or has a wrong value, a file that cannot be read. No message contains a secret or the path of a file.
 * @example
 * ```ts
 * const fromEnvironment = fromEnv()
 * app.use(oidc({ ...fromEnvironment, hooks: { afterLogin: ({ claims }) => console.info(`hello, ${claims.sub}`) } }))
 * ```
 */
export function fromEnv(options?: EnvironmentOptions & { only?: never }): SingleProviderOptions
export function fromEnv(options: EnvironmentOptions & { only: 'provider' }): ProviderOptions
export function fromEnv(options: EnvironmentOptions = {}): SingleProviderOptions | ProviderOptions {
  const problems = environmentRule(options, 'options')
  if (problems.length > 0) throw new ConfigError(problems)
  const { prefix = 'OIDC_', env = process.env, only } = options
  const isProvider = only === 'provider'
  const variables = variablesOf(prefix, isProvider ? ['provider'] : ['app', 'provider'])
  const found = variables.map((variable) => ({ variable, ...read(variable, env) }))
  const all = [
    ...unknownVariables(prefix, env, variables),
    ...found.flatMap((one) => one.problems),
    ...(isProvider ? ['issuer'] : ['issuer', 'baseUrl']).flatMap((name) => missing(name, variables, env)),
  ]
  if (all.length > 0) throw new ConfigError(all)
  return toOptions(found) as unknown as SingleProviderOptions | ProviderOptions
}

const environmentRule = objectOf({
  prefix: option(
    must(
      'be capital letters, digits and underscores, with an underscore at the end',
      (value) => typeof value === 'string' && /^[A-Z][A-Z0-9_]*_$/.test(value),
      showValue,
    ),
  ),
  env: option(must('be an object with variables', (value) => typeof value === 'object' && value !== null)),
  only: option(oneOf('provider')),
})

type Env = NonNullable<EnvironmentOptions['env']>

interface Found {
  /** `undefined`: the variable is not set, or has a problem. */
  readonly value?: unknown
  readonly problems: readonly string[]
}

/** An own variable: an object as `env` may inherit members that nobody has set. */
function textIn(env: Env, name: string): unknown {
  return Object.hasOwn(env, name) ? env[name] : undefined
}

function read(variable: Variable, env: Env): Found {
  const { name, path, form, rule } = variable
  const [given, file] = [textIn(env, name), textIn(env, `${name}_FILE`)]
  if (given === undefined && file === undefined) return { problems: [] }
  if (form === 'code')
    return problem(`${name} is not read, because ${path.join('.')} can only be set in code. Remove it.`)
  if (given !== undefined && file !== undefined) return problem(`${name} and ${name}_FILE are both set. Remove one.`)
  const source = file === undefined ? name : `${name}_FILE`
  const content = readText(source, given ?? file, file !== undefined)
  const { value, problems } = content.text === undefined ? content : PARSERS[form](source, content.text)
  const wrong = value === undefined ? problems : rule(value, source)
  return wrong.length > 0 ? { problems: wrong } : { value, problems: [] }
}

interface Content extends Found {
  readonly text?: string
}

/** An empty value mostly comes from a variable that is not set where this one was made: a secret must not get lost silently. */
function readText(source: string, text: unknown, isPath: boolean): Content {
  if (typeof text !== 'string') return problem(`${source} must be text.`)
  if (text.trim() === '') return problem(`${source} is empty. Give it a value, or remove it.`)
  return isPath ? readFile(source, text) : { text, problems: [] }
}

function problem(message: string): Found {
  return { problems: [message] }
}

/** Neither the path nor the error of Node is shown: someone may have put the secret itself into the variable. */
function readFile(source: string, path: string): Content {
  try {
    const bytes = process.getBuiltinModule('node:fs').readFileSync(path)
    // Editors and `echo` end a file with a line break, which is not part of a secret.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/[\r\n]+$/, '')
    if (text.trim() === '') return problem(`The file that ${source} names is empty.`)
    return { text, problems: [] }
  } catch (error) {
    const { code } = Object(error)
    const reason = typeof code === 'string' && /^[A-Z0-9_]+$/.test(code) ? code : 'an unknown error'
    return problem(
      `The file that ${source} names cannot be read (${reason}). Set it to the path of a text file, not to its content.`,
    )
  }
}

type Parser = (source: string, text: string) => Found

/** Turn the text of a variable into the value of its option. Only the text of flags and numbers is shown: no secret is one. */
const PARSERS: Readonly<Record<Exclude<Form, 'code'>, Parser>> = {
  text: (_source, text) => found(text),
  flag: (source, text) =>
    flagOf(text) === undefined
      ? problem(`${source} must be true or false. Received ${shown(text.trim())}.`)
      : found(flagOf(text)),
  flagOrText: (_source, text) => found(flagOf(text) ?? text.trim()),
  number: (source, text) =>
    /^-?\d+(?:\.\d+)?$/.test(text.trim())
      ? found(Number(text))
      : problem(`${source} must be a number. Received ${shown(text.trim())}.`),
  words: (_source, text) => found(split(text, /[\s,]+/)),
  oneOrMore: (_source, text) => found(oneOrMore(split(text, /[\s,]+/))),
  secrets: (_source, text) => found(oneOrMore(split(text, /\s+/))),
  json: parseJson,
}

function found(value: unknown): Found {
  return { value, problems: [] }
}

function flagOf(text: string): boolean | undefined {
  return text.trim() === 'true' ? true : text.trim() === 'false' ? false : undefined
}

function split(text: string, separator: RegExp): readonly string[] {
  return text.split(separator).filter((word) => word !== '')
}

function oneOrMore(words: readonly string[]): unknown {
  return words.length === 1 ? words[0] : words
}

/** The message of `JSON.parse` is not shown: it quotes the text, which may be a private key. */
function parseJson(source: string, text: string): Found {
  try {
    return found(JSON.parse(text))
  } catch {
    return problem(`${source} must be JSON. Check quotes and commas.`)
  }
}

/** A misspelt variable would have no effect, and the default would hold without anyone noticing. */
function unknownVariables(prefix: string, env: Env, variables: readonly Variable[]): readonly string[] {
  const known = new Set(variables.flatMap(({ name }) => [name, `${name}_FILE`]))
  const paths = variables.filter(({ form }) => form !== 'code').map(({ path }) => path.join('.'))
  return Object.keys(env)
    .filter((name) => name.startsWith(prefix) && !known.has(name))
    .map((name) => {
      const nearest = nearestName(name.slice(prefix.length).replace(/_FILE$/, ''), paths)
      const advice = nearest === undefined ? '' : `; did you mean ${variableName(prefix, nearest.split('.'))}?`
      return (
        `${name} is not a variable of fromEnv()${advice || '.'} If it belongs to other software, set another prefix: ` +
        "fromEnv({ prefix: 'APP_OIDC_' })."
      )
    })
}

function missing(option: string, variables: readonly Variable[], env: Env): readonly string[] {
  const name = variables.find(({ path }) => path.join('.') === option)?.name ?? option
  const isSet = [name, `${name}_FILE`].some((one) => textIn(env, one) !== undefined)
  return isSet ? [] : [`${name} is not set, but the option ${option} is required. Set it, or ${name}_FILE.`]
}

/** The values by the names of their options, with groups as objects. */
function toOptions(found: readonly (Found & { readonly variable: Variable })[]): Readonly<Record<string, unknown>> {
  const options: Record<string, unknown> = {}
  for (const { variable, value } of found) {
    const [name = '', member] = variable.path
    if (value === undefined) continue
    const group = options[name]
    options[name] = member === undefined ? value : { ...(isPlainObject(group) ? group : {}), [member]: value }
  }
  return options
}
