import { BEARER_APP_OPTIONS, BEARER_ISSUER_OPTIONS } from '../../../lib/options/bearer-table.ts'
import type { OptionRow } from '../../../lib/options/option-row.ts'
import { APP_OPTIONS, PROVIDER_OPTIONS } from '../../../lib/options/option-table.ts'
import { filesBelow, readText } from './code-blocks.ts'

/** An option and its default, as one source states them. */
export interface DocumentedOption {
  /** As in the documentation: `timeout`, `routes.login`. */
  readonly name: string
  /** `required`, the default without backticks, or empty if there is none. */
  readonly fallback: string
}

type Row = OptionRow & { readonly algOption?: string }

/** All options of `oidc()`, as the table of options has them. */
export const DOCUMENTED_OPTIONS: readonly DocumentedOption[] = [APP_OPTIONS, PROVIDER_OPTIONS].flatMap(optionsOfTable)

/** All options of `bearer()`. */
export const DOCUMENTED_BEARER_OPTIONS: readonly DocumentedOption[] = [
  BEARER_APP_OPTIONS,
  BEARER_ISSUER_OPTIONS,
].flatMap(optionsOfTable)

function optionsOfTable(table: Readonly<Record<string, Row>>): readonly DocumentedOption[] {
  return Object.entries<Row>(table).flatMap(([name, row]) => optionsOf(name, row))
}

/** The option of a row, and those inside it. */
function optionsOf(name: string, row: Row): readonly DocumentedOption[] {
  const inside = Object.entries(row.members ?? {}).flatMap(([member, one]) => optionsOf(`${name}.${member}`, one))
  return [{ name, fallback: fallbackOf(row).replaceAll('`', '') }, ...inside]
}

function fallbackOf({ isRequired, default: value, defaultInWords, algOption }: Row): string {
  if (isRequired) return 'required'
  if (defaultInWords !== undefined) return defaultInWords
  // An empty default means that the option has no effect.
  if (value === undefined || ['""', '[]', '{}'].includes(JSON.stringify(value))) return ''
  const literal =
    typeof value === 'string' ? `'${value}'` : Array.isArray(value) ? `['${value.join("', '")}']` : String(value)
  return algOption === undefined ? literal : `${literal} with ${algOption}`
}

interface Member extends DocumentedOption {
  /** The name of its type, if that is one word. */
  readonly type: string
}

const SOURCES = filesBelow('lib', '.ts').map(readText)

/** The members of an exported interface in `lib/` that have a JSDoc comment. */
export function membersOf(name: string): readonly Member[] {
  const declaration = new RegExp(`^export interface ${name}\\b.*\\{\n([\\s\\S]*?)^\\}`, 'm')
  const bodies = SOURCES.flatMap((text) => declaration.exec(text)?.[1] ?? [])
  if (bodies.length !== 1) throw new Error(`${name} is declared ${bodies.length} times in lib/.`)
  return [
    ...(bodies[0] ?? '').matchAll(/\/\*\*([\s\S]*?)\*\/\n {2}(?:readonly )?(\w+)(\??)(?::|\()(?: (\w+)$)?/gm),
  ].map(([, comment = '', member = '', mark, type = '']) => {
    const [, stated = ''] = /@default (.*?)\s*(?:\*?\s*)$/m.exec(comment) ?? []
    return { name: member, type, fallback: mark === '' ? 'required' : stated.replaceAll('`', '') }
  })
}

/** All options of `oidc()`, as the JSDoc comments of the public interfaces have them. */
export const JSDOC_OPTIONS: readonly DocumentedOption[] = [
  ...membersOf('ApplicationOptions'),
  ...membersOf('ProviderOptions'),
  ...membersOf('NamedProviderOptions'),
  // `providers` is required only in the interface that has no `issuer`.
  ...membersOf('SeveralProvidersOptions').map((member) => ({ ...member, fallback: '' })),
].flatMap(withMembers)

/** All options of `bearer()`, as the JSDoc comments of its interfaces have them. */
export const JSDOC_BEARER_OPTIONS: readonly DocumentedOption[] = [
  ...membersOf('BearerAppOptions'),
  ...membersOf('BearerIssuerOptions'),
].flatMap(withMembers)

/** An option, and those that its type declares. */
function withMembers({ name, type, fallback }: Member): readonly DocumentedOption[] {
  const inside = /^(?:\w+Options|Hooks)$/.test(type) ? membersOf(type) : []
  return [
    { name, fallback },
    ...inside.map((member) => ({ name: `${name}.${member.name}`, fallback: member.fallback })),
  ]
}
