import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { depthOf, type Token, tokensOf } from '../messages/tokens.ts'

/** Something that an entry point exports. */
interface Exported {
  readonly name: string
  readonly kind: string
  /** The members of an interface or a class, `?` behind those that may be absent. */
  readonly members: readonly string[]
}

const KINDS = ['function', 'class', 'interface', 'type', 'const']

/**
 * All that the entry points of a package export, a line for each: its kind, its name, and the members of an interface or a
 * class. It is read from the sources: `isolatedDeclarations` has the emitted declarations say the same.
 *
 * @param root The folder of the package.json.
 */
export function publicApi(root: string): string {
  const { exports }: { exports: Readonly<Record<string, unknown>> } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  )
  const entries = Object.entries(exports).filter(([, target]) => typeof target === 'object')
  return entries
    .map(([path, target]) => {
      const [, module] = /"\.\/dist\/([\w-]+)\.js"/.exec(JSON.stringify(target)) ?? []
      const file = `lib/${module}.ts`
      const lines = exportsOf(root, file).map(({ kind, name, members }) => `  ${[kind, name, ...members].join(' ')}`)
      return `${join('express-oidc', path)}\n${lines.sort().join('\n')}\n`
    })
    .join('\n')
}

function exportsOf(root: string, file: string): readonly Exported[] {
  const tokens = tokensOf(readFileSync(join(root, file), 'utf8'))
  return tokens.flatMap(({ text, kind }, index) => {
    if (kind !== 'word' || text !== 'export') return []
    const open = tokens[index + 1]?.text === 'type' ? index + 2 : index + 1
    if (tokens[open]?.text !== '{') return declaredAt(tokens, index + 1)
    const close = tokens.findIndex((token, at) => at > open && token.text === '}')
    const names = tokens.slice(open + 1, close).filter((token) => token.kind === 'word' && token.text !== 'type')
    const path = join(file, '..', tokens[close + 2]?.texts[0] ?? '')
    return names.map((name) => declarationOf(root, path, name.text))
  })
}

function declarationOf(root: string, file: string, name: string): Exported {
  const found = exportsOf(root, file).find((one) => one.name === name)
  if (found === undefined) throw new Error(`${file} does not export ${name}.`)
  return found
}

/** A declaration behind `export`. */
function declaredAt(tokens: readonly Token[], index: number): readonly Exported[] {
  const start = /^(?:async|declare|abstract)$/.test(tokens[index]?.text ?? '') ? index + 1 : index
  const kind = tokens[start]?.text ?? ''
  const named = tokens[start + 1]?.text === '*' ? start + 2 : start + 1
  if (!KINDS.includes(kind)) throw new Error(`An export is not understood: export ${kind}`)
  const members = kind === 'class' || kind === 'interface' ? membersOf(tokens, named) : []
  return [{ name: tokens[named]?.text ?? '', kind, members }]
}

/** Its own members, and those of a base in the same file, which may not be exported by itself. */
function membersOf(tokens: readonly Token[], named: number): readonly string[] {
  const open = tokens.findIndex(({ text }, at) => at > named && text === '{')
  const head = tokens.slice(named, open).map(({ text }) => text)
  const base = head[head.lastIndexOf('extends') + 1]
  const declared = tokens.findIndex(({ text }, at) => text === base && tokens[at - 1]?.text === 'interface')
  const inherited = declared < 0 || !head.includes('extends') ? [] : membersFrom(tokens, declared)
  return [...new Set([...inherited, ...membersFrom(tokens, named)])].sort()
}

/** Each name of an interface or class that begins a line and is followed by a colon, a question mark or parameters. */
function membersFrom(tokens: readonly Token[], from: number): readonly string[] {
  const members: string[] = []
  let depth = 0
  for (let index = tokens.findIndex(({ text }, at) => at > from && text === '{'); index < tokens.length; index++) {
    const [token, next] = [tokens[index], tokens[index + 1]]
    if (token === undefined || next === undefined) break
    const previous = tokens[index - 1]
    const isFirst = previous?.line !== token.line || previous.text === 'readonly' || previous.text === '{'
    const isMember = depth === 1 && isFirst && /^(?:word|string)$/.test(token.kind) && /^[:?(<=]$/.test(next.text)
    if (isMember && token.text !== 'constructor') members.push(token.text + (next.text === '?' ? '?' : ''))
    if (token.kind === 'punctuation') depth += depthOf(token.text)
    if (depth === 0) break
  }
  return members
}
