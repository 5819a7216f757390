import { filesBelow, readText } from './code-blocks.ts'

/** An option as the sources declare it. */
export interface DocumentedOption {
  /** As it is written in the documentation: `timeout`, `routes.login`. */
  readonly name: string
  /** `required`, what `@default` says without its backticks, or nothing. */
  readonly fallback: string
}

interface Member extends DocumentedOption {
  /** The name of its type, where it is one word. */
  readonly type: string
}

const SOURCES = filesBelow('lib', '.ts').map(readText)

/** The members of an exported interface of `lib/`, as its text has them: those that have a comment. */
export function membersOf(name: string): readonly Member[] {
  const declaration = new RegExp(`^export interface ${name}\\b.*\\{\n([\\s\\S]*?)^\\}`, 'm')
  const bodies = SOURCES.flatMap((text) => declaration.exec(text)?.[1] ?? [])
  if (bodies.length !== 1) throw new Error(`${name} is declared ${bodies.length} times in lib/.`)
  return [
    ...(bodies[0] ?? '').matchAll(/\/\*\*([\s\S]*?)\*\/\n {2}(?:readonly )?(\w+)(\??)(?::|\()(?: (\w+)$)?/gm),
  ].map(([, comment = '', member = '', mark, type = '']) => {
    const [, told = ''] = /@default (.*?)\s*(?:\*?\s*)$/m.exec(comment) ?? []
    return { name: member, type, fallback: mark === '' ? 'required' : told.replaceAll('`', '') }
  })
}

/** An option, and those that are members of it. */
function withMembers({ name, type, fallback }: Member): readonly DocumentedOption[] {
  const inside = /^(?:\w+Options|Hooks)$/.test(type) ? membersOf(type) : []
  return [{ name, fallback }, ...inside.map((member) => ({ ...member, name: `${name}.${member.name}` }))].map(
    ({ name: own, fallback: told }) => ({ name: own, fallback: told }),
  )
}

/** All options of `oidc()`: those of the application, of a provider, and of one of several. */
export const DOCUMENTED_OPTIONS: readonly DocumentedOption[] = [
  ...membersOf('ApplicationOptions'),
  ...membersOf('ProviderOptions'),
  // It is required in their place alone where `issuer` is not.
  ...membersOf('SeveralProvidersOptions').map((member) => ({ ...member, fallback: '' })),
  ...membersOf('NamedProviderOptions'),
].flatMap(withMembers)
