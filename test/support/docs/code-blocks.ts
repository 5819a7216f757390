import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../app/project.ts'

/** A fenced block of TypeScript, in a document or in a comment. */
export interface CodeBlock {
  /** From the top of the repository. */
  readonly file: string
  /** Where its first line of code is, counted from 1. */
  readonly line: number
  readonly code: string
}

/** The files below a folder whose names end so, from the top of the repository. */
export function filesBelow(folder: string, ending: string): readonly string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file))
    .sort()
}

/** The `ts` blocks of a file: of Markdown, or of the JSDoc comments of a source. */
export function codeBlocks(file: string): readonly CodeBlock[] {
  const lines = readText(file)
    .split('\n')
    .map((line) => (file.endsWith('.ts') ? line.replace(/^\s*\* ?/, '') : line))
  return lines.flatMap((line, index) => {
    if (line !== '```ts') return []
    const end = lines.indexOf('```', index)
    if (end < 0) throw new Error(`${file}:${index + 1}: a code block has no end`)
    return [{ file, line: index + 2, code: lines.slice(index + 1, end).join('\n') }]
  })
}

/** The text of a file, named from the top of the repository. */
export function readText(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
}
