const markup = Symbol('markup')

/** Markup that is safe to send. Only {@link html} creates it, so parsed JSON can never look like it. */
export interface Html {
  readonly [markup]: string
}

/** A value in a template. Text and numbers are escaped; `undefined` and `false` add nothing. */
export type Part = Html | string | number | false | undefined | readonly Part[]

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function render(part: Part): string {
  if (part === undefined || part === false) return ''
  if (typeof part === 'string' || typeof part === 'number') {
    return String(part).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
  }
  return isList(part) ? part.map(render).join('') : part[markup]
}

function isList(part: Part): part is readonly Part[] {
  return Array.isArray(part)
}

/** A template that escapes its values. Use them in text, and in attributes with double quotes. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return { [markup]: strings.reduce((text, string, index) => text + render(parts[index - 1]) + string) }
}

/** Markup from a library that escapes it. */
export function trusted(text: string): Html {
  return { [markup]: text }
}

/** The text to send. */
export function toText(part: Html): string {
  return part[markup]
}
