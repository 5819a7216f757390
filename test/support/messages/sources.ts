import { filesBelow, readText } from '../docs/code-blocks.ts'
import { depthOf, type Token, tokensOf } from './tokens.ts'

/** A piece of a source: an expression, an argument, the body of a function. */
export interface Piece {
  readonly source: Source
  readonly start: number
  /** The first token behind it. */
  readonly end: number
}

/** A function of a source, by the place of its body. */
export interface SourceFunction {
  /** Empty for a function that is handed on at once. */
  readonly name: string
  /** Each parameter, with the names that it takes apart if it is destructured. */
  readonly params: readonly Piece[]
  readonly body: Piece
  /** Whether the body is an expression, and no block. */
  readonly isExpression: boolean
}

/** One file of `lib/`. */
export interface Source {
  readonly file: string
  readonly tokens: readonly Token[]
  readonly functions: readonly SourceFunction[]
}

/** All of `lib/`. */
export const SOURCES: readonly Source[] = filesBelow('lib', '.ts').map(readSource)

function readSource(file: string): Source {
  const functions: SourceFunction[] = []
  const source: Source = { file, tokens: tokensOf(readText(file)), functions }
  source.tokens.forEach((token, index) => {
    const found =
      token.text === 'function' ? declaredAt(source, index) : token.text === '=>' ? arrowAt(source, index) : undefined
    if (found !== undefined) functions.push(found)
  })
  return source
}

function textAt({ tokens }: Source, index: number): string {
  return tokens[index]?.text ?? ''
}

/** The token behind the bracket that closes the one here. */
export function endOfBrackets(source: Source, open: number): number {
  let depth = 0
  for (let index = open; index < source.tokens.length; index++) {
    if (source.tokens[index]?.kind === 'punctuation') depth += depthOf(textAt(source, index))
    if (depth === 0) return index + 1
  }
  return source.tokens.length
}

function declaredAt(source: Source, index: number): SourceFunction | undefined {
  const named = index + (textAt(source, index + 1) === '*' ? 2 : 1)
  const open = source.tokens.findIndex(({ text }, at) => at > index && text === '(')
  const close = endOfBrackets(source, open)
  // The result's type may hold braces of its own: the body is what follows the last one before a new line of code.
  const body = bodyAfter(source, close)
  if (open < 0 || body === undefined) return undefined
  return { name: textAt(source, named), params: splitAt(source, open + 1, close - 1, ','), body, isExpression: false }
}

function bodyAfter(source: Source, from: number): Piece | undefined {
  for (let index = from; index < source.tokens.length; index++) {
    const text = textAt(source, index)
    if (text === '{' && !/^[:|&<]$/.test(textAt(source, index - 1))) {
      return { source, start: index + 1, end: endOfBrackets(source, index) - 1 }
    }
    if (text === '{' || text === '(' || text === '[') index = endOfBrackets(source, index) - 1
  }
  return undefined
}

function arrowAt(source: Source, index: number): SourceFunction | undefined {
  const [open, close] = paramsBefore(source, index)
  if (open < 0) return undefined
  const isBlock = textAt(source, index + 1) === '{'
  const end = isBlock ? endOfBrackets(source, index + 1) - 1 : endOfExpression(source, index + 1)
  const body = { source, start: index + (isBlock ? 2 : 1), end }
  return { name: nameBefore(source, open), params: splitAt(source, open + 1, close, ','), body, isExpression: !isBlock }
}

/** Where the brackets of an arrow function's parameters open and close. */
function paramsBefore(source: Source, arrow: number): readonly [open: number, close: number] {
  for (let index = arrow - 1; index >= 0; index--) {
    if (textAt(source, index) !== ')') continue
    let depth = 0
    for (let at = index; at >= 0; at--) {
      depth -= depthOf(textAt(source, at))
      if (depth === 0) return [at, index]
    }
  }
  return [-1, -1]
}

/** `const NAME: Type = (...) =>`, or nothing. */
function nameBefore(source: Source, open: number): string {
  const start = textAt(source, open - 1) === 'async' ? open - 2 : open - 1
  if (textAt(source, start) !== '=') return ''
  for (let index = start; index > start - 12 && index > 0; index--) {
    if (/^(?:const|let)$/.test(textAt(source, index))) return textAt(source, index + 1)
  }
  return ''
}

/** The first token that no longer belongs to the expression that begins here. */
export function endOfExpression(source: Source, start: number): number {
  let depth = 0
  for (let index = start; index < source.tokens.length; index++) {
    const { kind, text } = source.tokens[index] ?? { kind: 'punctuation', text: '' }
    const change = kind === 'punctuation' ? depthOf(text) : 0
    if (depth === 0 && (change < 0 || text === ',' || text === ';')) return index
    if (depth === 0 && index > start && isNewStatement(source, index)) return index
    depth += change
  }
  return source.tokens.length
}

/** Without semicolons, a statement ends where a line begins with a word or bracket that nothing before it asks for. */
function isNewStatement(source: Source, index: number): boolean {
  const [last, token] = [source.tokens[index - 1], source.tokens[index]]
  if (last === undefined || token === undefined || last.line + newlinesOf(last) === token.line) return false
  const isOpen = last.kind === 'punctuation' && !/^[)\]}]$/.test(last.text)
  return !isOpen && token.kind === 'word' && !/^(?:as|in|of|instanceof|satisfies)$/.test(token.text)
}

function newlinesOf({ text }: Token): number {
  return text.split('\n').length - 1
}

/** The pieces between separators of this level. */
export function splitAt(source: Source, start: number, end: number, separator: string): readonly Piece[] {
  const pieces: Piece[] = []
  let [depth, from] = [0, start]
  for (let index = start; index < end; index++) {
    const { kind, text } = source.tokens[index] ?? { kind: 'punctuation', text: '' }
    if (depth === 0 && kind === 'punctuation' && text === separator) {
      pieces.push({ source, start: from, end: index })
      from = index + 1
    }
    if (kind === 'punctuation') depth += depthOf(text)
  }
  pieces.push({ source, start: from, end })
  return pieces.filter((piece) => piece.end > piece.start)
}

export function tokensIn({ source, start, end }: Piece): readonly Token[] {
  return source.tokens.slice(start, end)
}

/** A call of a function, by its arguments. */
interface Call {
  readonly source: Source
  readonly args: readonly Piece[]
}

const CALLS = new Map<string, Call[]>()
for (const source of SOURCES) {
  source.tokens.forEach(({ kind, text }, index) => {
    const isCall = kind === 'word' && textAt(source, index + 1) === '('
    if (!isCall || /^(?:function|\.|\*)$/.test(textAt(source, index - 1))) return
    const args = splitAt(source, index + 2, endOfBrackets(source, index + 1) - 1, ',')
    CALLS.set(text, [...(CALLS.get(text) ?? []), { source, args }])
  })
}

/** The arguments of each call of a function: in the file that declares it, and in those that import it. */
export function callsOf(name: string, declaredIn: Source): readonly (readonly Piece[])[] {
  const calls = CALLS.get(name) ?? []
  return calls
    .filter(({ source }) => source === declaredIn || imports(source, declaredIn, name))
    .map(({ args }) => args)
}

/** Whether a file imports this name of another one; without a name, anything of it. */
export function imports(source: Source, other: Source, name?: string): boolean {
  const [path = ''] = /[^/]+$/.exec(other.file) ?? []
  const names = importsOf(source).get(path)
  return names !== undefined && (name === undefined || names.includes(name))
}

const IMPORTS = new WeakMap<Source, ReadonlyMap<string, readonly string[]>>()

/** The names that a file imports, by the name of the file that they are from. */
function importsOf(source: Source): ReadonlyMap<string, readonly string[]> {
  const found = IMPORTS.get(source)
  if (found !== undefined) return found
  const names = new Map<string, readonly string[]>()
  source.tokens.forEach(({ kind, texts: [path = ''] }, index) => {
    if (kind !== 'string' || textAt(source, index - 1) !== 'from') return
    const open = source.tokens
      .slice(0, index)
      .map(({ text }) => text)
      .lastIndexOf('{')
    names.set(
      path.replace(/^.*\//, ''),
      source.tokens.slice(open, index).map(({ text }) => text),
    )
  })
  IMPORTS.set(source, names)
  return names
}

/** The functions around a token, the innermost first. */
export function functionsAround({ source, start }: Pick<Piece, 'source' | 'start'>): readonly SourceFunction[] {
  const around = source.functions.filter(({ body }) => body.start <= start && start < body.end)
  return [...around].sort((one, other) => other.body.start - one.body.start)
}
