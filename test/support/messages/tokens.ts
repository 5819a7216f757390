/** One token of a TypeScript source. White space and comments are left out. */
export interface Token {
  readonly kind: 'word' | 'string' | 'template' | 'regex' | 'punctuation'
  readonly text: string
  readonly line: number
  /** What a string holds, its escapes resolved; of a template the text before, between and behind its expressions. */
  readonly texts: readonly string[]
  /** The expressions of a template. */
  readonly expressions: readonly (readonly Token[])[]
}

const SKIPPED = /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\//y
const WORD = /[\p{L}\p{N}_$#@]+/uy
const STRING = /'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*"/y
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y
const PUNCTUATION = /=>|\?\.|\?\?|\.\.\.|&&|\|\||[<>=!]==?|[\s\S]/y

/** Behind these a slash begins a regular expression, and is no division. */
const BEFORE_REGEX = /^(?:return|typeof|case|[([{,;:=!?&|+]|=>|&&|\|\||\?\?|[=!]==?)$/

/** Takes a source apart. It knows as much of the language as this repository uses. */
export function tokensOf(source: string): readonly Token[] {
  return readTokens(source, 0, 1, () => false).tokens
}

interface Read {
  readonly tokens: readonly Token[]
  readonly end: number
  readonly line: number
}

function readTokens(
  source: string,
  start: number,
  firstLine: number,
  isEnd: (tokens: readonly Token[]) => boolean,
): Read {
  const tokens: Token[] = []
  let [position, line] = [start, firstLine]
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = position
    return pattern.exec(source)?.[0]
  }
  while (position < source.length && !isEnd(tokens)) {
    const skipped = match(SKIPPED)
    if (skipped === undefined) {
      const token =
        source[position] === '`' ? readTemplate(source, position, line) : readPlain(match, tokens.at(-1), line)
      tokens.push(token.token)
      position = token.end ?? position + token.token.text.length
      line += newlinesIn(token.token.text)
    } else {
      position += skipped.length
      line += newlinesIn(skipped)
    }
  }
  return { tokens, end: position, line }
}

function newlinesIn(text: string): number {
  return text.split('\n').length - 1
}

function readPlain(
  match: (pattern: RegExp) => string | undefined,
  last: Token | undefined,
  line: number,
): { token: Token; end?: number } {
  const empty = { line, texts: [], expressions: [] }
  const string = match(STRING)
  if (string !== undefined)
    return { token: { ...empty, kind: 'string', text: string, texts: [unescaped(string.slice(1, -1))] } }
  const word = match(WORD)
  if (word !== undefined) return { token: { ...empty, kind: 'word', text: word } }
  const regex = last === undefined || BEFORE_REGEX.test(last.text) ? match(REGEX) : undefined
  if (regex !== undefined) return { token: { ...empty, kind: 'regex', text: regex } }
  return { token: { ...empty, kind: 'punctuation', text: match(PUNCTUATION) ?? '' } }
}

function readTemplate(source: string, start: number, line: number): { token: Token; end: number } {
  const texts: string[] = []
  const expressions: (readonly Token[])[] = []
  let [position, text] = [start + 1, '']
  while (source[position] !== '`') {
    if (source[position] === '\\') {
      text += source.slice(position, position + 2)
      position += 2
    } else if (source.startsWith('${', position)) {
      texts.push(unescaped(text))
      text = ''
      const inside = readTokens(source, position + 2, line + newlinesIn(source.slice(start, position)), isClosed)
      expressions.push(inside.tokens.slice(0, -1))
      position = inside.end
    } else {
      text += source[position++]
    }
  }
  texts.push(unescaped(text))
  return {
    token: { kind: 'template', text: source.slice(start, position + 1), line, texts, expressions },
    end: position + 1,
  }
}

/** Whether one brace more has been closed than opened. */
function isClosed(tokens: readonly Token[]): boolean {
  if (tokens.at(-1)?.text !== '}') return false
  const depth = tokens.reduce((sum, { kind, text }) => sum + (kind === 'punctuation' ? depthOf(text) : 0), 0)
  return depth < 0
}

/** How a token changes the depth of brackets. */
export function depthOf(text: string): number {
  if (text === '(' || text === '[' || text === '{') return 1
  return text === ')' || text === ']' || text === '}' ? -1 : 0
}

function unescaped(text: string): string {
  return text.replace(/\\(?:u([\da-f]{4})|([\s\S]))/gi, (_, code: string | undefined, character: string) => {
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
    return { n: '\n', t: '\t', r: '\r', '\n': '' }[character] ?? character
  })
}
