import {
  callsOf,
  endOfBrackets,
  endOfExpression,
  functionsAround,
  imports,
  type Piece,
  SOURCES,
  type Source,
  type SourceFunction,
  splitAt,
  tokensIn,
} from './sources.ts'
import type { Token } from './tokens.ts'

/** A value in a message that is only known when it is thrown, by its expression. */
export interface Placeholder {
  readonly expression: string
}

/** One text that a message may have, put together from the literals and helper functions that it is made of. */
export interface Message {
  readonly parts: readonly (string | Placeholder)[]
  /** `file:line` of each literal in it. */
  readonly places: readonly string[]
}

/** A message and the error that it is for. */
export interface ErrorMessage extends Message {
  /** The class of the error. */
  readonly error: string
  /** Its code, if it is a literal. */
  readonly code: string | undefined
}

/** Expressions that are left as they are: whether one is fit for a message is for the test to say. */
let isKnown: (expression: string) => boolean = () => false

/** Every message of every error that `lib/` constructs. */
export function errorMessages(isPlaceholder: (expression: string) => boolean): readonly ErrorMessage[] {
  isKnown = isPlaceholder
  return SOURCES.flatMap((source) =>
    source.tokens.flatMap(({ text: error }, index) => {
      if (!/Error$/.test(error) || source.tokens[index - 1]?.text !== 'new') return []
      const args = splitAt(source, index + 2, endOfBrackets(source, index + 1) - 1, ',')
      const hasCode = /^(?:Oidc|Provider|AccessDenied)Error$/.test(error)
      const [code, message] = hasCode ? args : [undefined, args[0]]
      if (message === undefined || /^(?:Authorization|StepUp)Error$/.test(error)) return []
      return evaluate(message).map(({ parts, places }) => {
        return { parts: parts.filter((part) => part !== ''), places, error, code: code && literalOf(code) }
      })
    }),
  )
}

function literalOf(piece: Piece): string | undefined {
  const [token, ...more] = tokensIn(piece)
  return token?.kind === 'string' && more.length === 0 ? token.texts[0] : undefined
}

/** What each piece comes to, by its place; `undefined` while it is being found out, so that a circle ends. */
const known = new WeakMap<Source, Map<string, readonly Message[] | undefined>>()

/** All that an expression of a message may come to. */
function evaluate(piece: Piece): readonly Message[] {
  const { source, start, end } = piece
  const ofSource = known.get(source) ?? new Map<string, readonly Message[] | undefined>()
  known.set(source, ofSource)
  const key = `${start}-${end}`
  if (ofSource.has(key)) return ofSource.get(key) ?? []
  ofSource.set(key, undefined)
  const forms = evaluateOnce(piece)
  ofSource.set(key, forms)
  return forms
}

function evaluateOnce(piece: Piece): readonly Message[] {
  const tokens = tokensIn(piece)
  for (const rule of RULES) {
    const forms = rule(piece, tokens)
    if (forms !== undefined) return distinct(forms)
  }
  return [unknown(tokens)]
}

type EvaluationRule = (piece: Piece, tokens: readonly Token[]) => readonly Message[] | undefined

/** How each kind of expression is evaluated. The first rule that fits has the word. */
const RULES: readonly EvaluationRule[] = [
  // ( ... ), and what only matters to the compiler.
  (piece, tokens) => {
    const isWrapped = tokens[0]?.text === '(' && endOfBrackets(piece.source, piece.start) === piece.end
    return isWrapped ? evaluate({ ...piece, start: piece.start + 1, end: piece.end - 1 }) : undefined
  },
  (piece, tokens) => (tokens[0]?.text === '...' ? evaluate({ ...piece, start: piece.start + 1 }) : undefined),
  (piece) => {
    const [before, ...casts] = splitAt(piece.source, piece.start, piece.end, 'as').length > 1 ? [] : withoutCast(piece)
    return before !== undefined && casts.length > 0 ? evaluate(before) : undefined
  },
  // (...) => message
  (piece) => {
    const own = piece.source.functions.find(({ body, params }) => {
      return (
        body.start > piece.start && body.end <= piece.end && (params[0]?.start ?? piece.start + 2) <= piece.start + 2
      )
    })
    return own === undefined || !isArrow(piece) ? undefined : resultsOf(own)
  },
  // condition ? message : message
  (piece) => {
    const question = levelTokens(piece).find((index) => piece.source.tokens[index]?.text === '?')
    if (question === undefined) return undefined
    const colon = colonOf(piece, question)
    return [...evaluate({ ...piece, start: question + 1, end: colon }), ...evaluate({ ...piece, start: colon + 1 })]
  },
  (piece) => unionAt(piece, '??') ?? unionAt(piece, '||'),
  // message + message
  (piece) => {
    const pieces = splitAt(piece.source, piece.start, piece.end, '+')
    if (pieces.length < 2) return undefined
    return pieces.map((one) => evaluate(one)).reduce((left, right) => joined(left, right))
  },
  ({ source }, tokens) => {
    const [token, ...more] = tokens
    if (token?.kind !== 'string' || more.length > 0) return undefined
    return [{ parts: [...token.texts], places: [placeOf(source, token)] }]
  },
  ({ source, start, end }, tokens) => {
    const [token] = tokens
    if (token?.kind !== 'template' || end - start > 1) return undefined
    return templateForms({ source, start, end }, token)
  },
  // [message, message]
  (piece, tokens) => {
    const isList = tokens[0]?.text === '[' && endOfBrackets(piece.source, piece.start) === piece.end
    if (!isList) return undefined
    return splitAt(piece.source, piece.start + 1, piece.end - 1, ',').flatMap((one) => evaluate(one))
  },
  (piece, tokens) => (tokens.length === 1 && tokens[0]?.kind === 'word' ? nameForms(piece, tokens[0].text) : undefined),
  callForms,
  // rule.message, NAMES[kind]
  (piece, tokens) => {
    if (tokens.at(-1)?.text === ']' && tokens[0]?.kind === 'word' && tokens[1]?.text === '[') {
      return membersOf(piece.source, tokens[0].text)
    }
    const isPath =
      tokens.length > 2 && tokens.every(({ kind, text }) => kind === 'word' || text === '.' || text === '?.')
    return isPath ? propertyForms(piece.source, tokens.at(-1)?.text ?? '') : undefined
  },
]

function withoutCast(piece: Piece): readonly Piece[] {
  const at = levelTokens(piece).find((index) => piece.source.tokens[index]?.text === 'as')
  return at === undefined
    ? []
    : [
        { ...piece, end: at },
        { ...piece, start: at },
      ]
}

function isArrow(piece: Piece): boolean {
  return levelTokens(piece).some((index) => piece.source.tokens[index]?.text === '=>')
}

/** The tokens of a piece that are in no brackets of their own. */
function levelTokens({ source, start, end }: Piece): readonly number[] {
  const found: number[] = []
  for (let index = start; index < end; index++) {
    found.push(index)
    if (/^[([{]$/.test(source.tokens[index]?.text ?? '')) index = endOfBrackets(source, index) - 1
  }
  return found
}

function colonOf(piece: Piece, question: number): number {
  let open = 0
  for (const index of levelTokens(piece)) {
    const text = piece.source.tokens[index]?.text
    if (index >= question && text === '?') open += 1
    if (index > question && text === ':') open -= 1
    if (index > question && text === ':' && open === 0) return index
  }
  return piece.end
}

function unionAt(piece: Piece, operator: string): readonly Message[] | undefined {
  const pieces = splitAt(piece.source, piece.start, piece.end, operator)
  return pieces.length < 2 ? undefined : pieces.flatMap((one) => evaluate(one))
}

function templateForms({ source, start }: Piece, token: Token): readonly Message[] {
  const place = placeOf(source, token)
  return token.expressions.reduce<readonly Message[]>(
    (forms, expression, index) => {
      const value = expressionForms(source, start, expression)
      const text: Message = { parts: [token.texts[index + 1] ?? ''], places: [] }
      return joined(joined(forms, value), [text])
    },
    [{ parts: [token.texts[0] ?? ''], places: [place] }],
  )
}

/** The expressions of a template have no place among the tokens of their file: they get a source of their own. */
function expressionForms(source: Source, at: number, tokens: readonly Token[]): readonly Message[] {
  const functions = functionsAround({ source, start: at })
  const isLocal =
    tokens.length === 1 && functions.some(({ body }) => constantIn(body, tokens[0]?.text ?? '') !== undefined)
  if (!isLocal && isKnown(textOf(tokens))) return [unknown(tokens)]
  const inner: Source = { file: source.file, tokens, functions: [] }
  INNER.set(inner, { source, functions })
  const forms = evaluate({ source: inner, start: 0, end: tokens.length })
  return forms.length > 0 && forms.every(isResolved) ? forms : [unknown(tokens)]
}

/** Whether there is a text to see, or an expression that the test knows. */
function isResolved({ parts }: Message): boolean {
  return (
    parts.some((part) => (typeof part === 'string' ? part !== '' : isKnown(part.expression))) || parts.join('') === ''
  )
}

const INNER = new WeakMap<Source, { readonly source: Source; readonly functions: readonly SourceFunction[] }>()

/** What a name stands for: a parameter, by the calls of its function, or a constant. */
function nameForms(piece: Piece, name: string): readonly Message[] | undefined {
  if (/^(?:undefined|true|false|null|\d.*)$/.test(name)) return []
  const inner = INNER.get(piece.source)
  const source = inner?.source ?? piece.source
  for (const around of inner?.functions ?? functionsAround(piece)) {
    const constant = constantIn(around.body, name)
    if (constant !== undefined) return evaluate(constant)
    if (isDestructuredIn(around.body, name)) return propertyForms(source, name)
    const position = around.params.findIndex((param) => tokensIn(param).some(({ text }) => text === name))
    if (position >= 0) return paramForms(around, position, name)
  }
  const constant = constantIn({ source, start: 0, end: source.tokens.length }, name)
  return constant === undefined ? undefined : evaluate(constant)
}

function paramForms(own: SourceFunction, position: number, name: string): readonly Message[] | undefined {
  const [param] = own.params.slice(position)
  const tokens = param === undefined ? [] : tokensIn(param)
  if (tokens[0]?.text === '{') return propertyForms(own.body.source, name)
  const fallback = tokens.findIndex(({ text }) => text === '=')
  const usual = param !== undefined && fallback > 0 ? evaluate({ ...param, start: param.start + fallback + 1 }) : []
  const given = callsTo(own).map((args) => args[position])
  const forms = given.flatMap((arg) => (arg === undefined ? [] : evaluate(arg)))
  return [...usual, ...forms].length === 0 ? undefined : [...usual, ...forms]
}

function callsTo(own: SourceFunction): readonly (readonly Piece[])[] {
  const { source } = own.body
  if (own.name !== '') return callsOf(own.name, source)
  return factoryNames(own).flatMap((name) =>
    SOURCES.flatMap((other) => callsOf(name, other).filter(([arg]) => arg?.source === other)),
  )
}

/** An arrow function that another function returns is called by the names that hold it: by type, or by assignment. */
function factoryNames(own: SourceFunction): readonly string[] {
  const { source, start } = own.body
  const [maker] = functionsAround({ source, start: start - 1 }).filter(({ name }) => name !== '')
  if (maker === undefined) return []
  const type = source.tokens[maker.body.start - 2]?.text
  return SOURCES.flatMap(({ tokens }) =>
    tokens.flatMap(({ text }, index) => {
      const isTyped = text === ':' && tokens[index + 1]?.text === type && /^\p{Lu}/u.test(type ?? '')
      const isAssigned = text === '=' && tokens[index + 1]?.text === maker.name && tokens[index + 2]?.text === '('
      return isTyped || isAssigned ? [tokens[index - 1]?.text ?? ''] : []
    }),
  ).filter((name, index, all) => all.indexOf(name) === index && /^\w+$/.test(name))
}

/** The value of `const NAME = ...` in a piece of a source. */
function constantIn({ source, start, end }: Piece, name: string): Piece | undefined {
  for (let index = start; index < end; index++) {
    const isNamed = source.tokens[index]?.text === name && /^(?:const|let)$/.test(source.tokens[index - 1]?.text ?? '')
    if (!isNamed) continue
    const equals = source.tokens.findIndex(({ text }, at) => at > index && text === '=')
    return { source, start: equals + 1, end: endOfExpression(source, equals + 1) }
  }
  return undefined
}

/** Whether `const { NAME } = ...` is in a piece of a source. */
function isDestructuredIn({ source, start, end }: Piece, name: string): boolean {
  for (let index = start; index < end; index++) {
    if (source.tokens[index]?.text !== 'const' || source.tokens[index + 1]?.text !== '{') continue
    const close = endOfBrackets(source, index + 1)
    if (source.tokens.slice(index, close).some(({ text }) => text === name)) return true
  }
  return false
}

/** What the members of a constant object, list or map are. */
function membersOf(source: Source, name: string): readonly Message[] | undefined {
  const own = INNER.get(source)?.source ?? source
  const constant = constantIn({ source: own, start: 0, end: own.tokens.length }, name)
  if (constant === undefined || tokensIn(constant)[0]?.text !== '{') return undefined
  const members = splitAt(own, constant.start + 1, endOfBrackets(own, constant.start) - 1, ',')
  return members.flatMap((member) => {
    const colon = levelTokens(member).find((index) => own.tokens[index]?.text === ':')
    return colon === undefined ? [] : evaluate({ ...member, start: colon + 1 })
  })
}

/** The values that members of this name have in the same file and in those that import it, or else in those that it imports. */
function propertyForms(from: Source, name: string): readonly Message[] | undefined {
  const source = INNER.get(from)?.source ?? from
  const near = SOURCES.filter((other) => other === source || imports(other, source))
  const own = near.flatMap((other) => propertiesIn(other, name))
  const all =
    own.length > 0
      ? own
      : SOURCES.filter((other) => imports(source, other)).flatMap((other) => propertiesIn(other, name))
  const forms = all.flatMap((value) => evaluate(value)).filter(hasText)
  return forms.length === 0 ? undefined : forms
}

function propertiesIn(source: Source, name: string): readonly Piece[] {
  return source.tokens.flatMap(({ text, kind }, index) => {
    const isMember = kind === 'word' && text === name && /^[{,]$/.test(source.tokens[index - 1]?.text ?? '')
    if (!isMember) return []
    const next = source.tokens[index + 1]?.text
    if (next === ':') return [{ source, start: index + 2, end: endOfExpression(source, index + 2) }]
    return next === ',' || next === '}' ? [{ source, start: index, end: index + 1 }] : []
  })
}

/** A call: of a function of ours, or of a method that keeps the texts of what it is called on. */
function callForms(piece: Piece, tokens: readonly Token[]): readonly Message[] | undefined {
  if (tokens.at(-1)?.text !== ')') return undefined
  const open = [...levelTokens(piece)].reverse().find((index) => piece.source.tokens[index]?.text === '(') ?? -1
  const name = piece.source.tokens[open - 1]?.text ?? ''
  const isMethod = /^\??\.$/.test(piece.source.tokens[open - 2]?.text ?? '')
  if (isMethod && /^(?:map|flatMap)$/.test(name)) return evaluate({ ...piece, start: open + 1, end: piece.end - 1 })
  if (isMethod && /^(?:join|filter|slice)$/.test(name)) return evaluate({ ...piece, end: open - 2 })
  if (isMethod || name === 'shown' || open - 1 !== piece.start) return undefined
  const source = INNER.get(piece.source)?.source ?? piece.source
  const near = [source, ...SOURCES.filter((other) => imports(source, other, name))]
  const own = near.flatMap(({ functions }) => functions).find((one) => one.name === name)
  return own === undefined ? undefined : resultsOf(own)
}

function resultsOf({ body, isExpression }: SourceFunction): readonly Message[] | undefined {
  if (isExpression) return evaluate(body)
  const { source } = body
  const results: Message[] = []
  for (let index = body.start; index < body.end; index++) {
    if (source.tokens[index]?.text !== 'return') continue
    results.push(...evaluate({ source, start: index + 1, end: endOfExpression(source, index + 1) }))
  }
  return results.length === 0 ? undefined : results
}

/** Each alternative of both sides, in as few texts as that takes: not each with each. */
function joined(left: readonly Message[], right: readonly Message[]): readonly Message[] {
  if (left.length === 0 || right.length === 0) return left.length === 0 ? right : left
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index) => {
    const [one, other] = [left[index % left.length] ?? EMPTY, right[index % right.length] ?? EMPTY]
    return { parts: [...one.parts, ...other.parts], places: [...one.places, ...other.places] }
  })
}

const EMPTY: Message = { parts: [], places: [] }

function distinct(forms: readonly Message[]): readonly Message[] {
  return [...new Map(forms.map((form) => [JSON.stringify(form), form])).values()]
}

function hasText({ parts }: Message): boolean {
  return parts.some((part) => typeof part === 'string')
}

function unknown(tokens: readonly Token[]): Message {
  return { parts: [{ expression: textOf(tokens) }], places: [] }
}

/** An expression as it is written, but for its white space. */
function textOf(tokens: readonly Token[]): string {
  return tokens
    .map(({ text, kind }, index) => (kind === 'word' && tokens[index - 1]?.kind === 'word' ? ` ${text}` : text))
    .join('')
}

function placeOf({ file }: Source, { line }: Token): string {
  return `${file}:${line}`
}
