/** What `docs/errors.md` says about an error code. */
export interface Explanation {
  readonly usualCause: string
  readonly whatToDo: string
  /** Where the rest stands: the path of the document with the line of the heading, relative to the working directory. */
  readonly link: string
}

/** What an explanation needs of an error. */
interface CodedError {
  readonly name: string
  readonly code: string
  readonly message: string
}

const DOCUMENT = 'docs/errors.md'

/** The package, as a stack names it. Empty if it was bundled as CommonJS. */
const ROOT = packageRoot()

/**
 * Returns what the documentation of the package says about this code. `undefined` if the document is not there, because
 * a bundler has left it behind. It is read from the disk, so that it needs no network and stands in one place only.
 */
export function explain(code: string): Explanation | undefined {
  const { text, path } = readDocument()
  const start = text.indexOf(`\n## ${code}\n`) + 1
  if (start === 0) return undefined
  const end = text.indexOf('\n## ', start)
  const section = text.slice(start, end < 0 ? undefined : end)
  const line = text.slice(0, start).split('\n').length
  return { usualCause: part(section, 'Usual cause'), whatToDo: part(section, 'What to do'), link: `${path}:${line}` }
}

/**
 * Returns the stack that a developer reads: the message, its explanation, and the lines of the application. The lines of this
 * library and of the framework help nobody who has set an option wrong. Express prints this stack if there is no error handler.
 */
export function stackForDevelopers(error: CodedError, trace: string): string {
  const explanation = explain(error.code)
  if (explanation === undefined) return trace
  const lines = trace.split('\n').filter((line) => /^ {4}at /.test(line) && !isForeign(line))
  return [explainedText(error, explanation), ...lines.slice(0, 3)].join('\n')
}

function explainedText(error: CodedError, { usualCause, whatToDo, link }: Explanation): string {
  return [
    `${error.name} [${error.code}]: ${error.message}`,
    '',
    wrapped('Usual cause', usualCause),
    wrapped('What to do', whatToDo),
    wrapped('Read more', link),
  ].join('\n')
}

const WIDTH = 100

/** A labelled paragraph for the console, with all lines but the first indented. */
export function wrapped(label: string, text: string): string {
  const lines: string[] = []
  let line = `  ${`${label}:`.padEnd(14)}`
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + word.length >= WIDTH) {
      lines.push(line.trimEnd())
      line = ' '.repeat(16)
    }
    line += `${word} `
  }
  return [...lines, line.trimEnd()].join('\n')
}

function isForeign(line: string): boolean {
  return (
    /node:|node_modules|<anonymous>\)?$/.test(line) || ['lib', 'dist'].some((dir) => line.includes(`${ROOT}${dir}/`))
  )
}

/** The text behind a bold label, on one line, without links. */
function part(section: string, label: string): string {
  const [, text = ''] = section.split(`**${label}.** `)
  const [paragraph = ''] = text.split('\n\n')
  return paragraph
    .trim()
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/\s+/g, ' ')
}

const readDocument = once(() => {
  const { readFileSync } = process.getBuiltinModule('node:fs')
  const { relative } = process.getBuiltinModule('node:path')
  try {
    const path = ROOT + DOCUMENT
    return { text: readFileSync(path, 'utf8'), path: relative(process.cwd(), path) }
  } catch {
    return { text: '', path: '' }
  }
})

function packageRoot(): string {
  try {
    return process.getBuiltinModule('node:url').fileURLToPath(new URL('../..', import.meta.url))
  } catch {
    return ''
  }
}

function once<Result>(read: () => Result): () => Result {
  let result: { readonly value: Result } | undefined
  return () => {
    result ??= { value: read() }
    return result.value
  }
}
