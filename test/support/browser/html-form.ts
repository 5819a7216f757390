import { createHash } from 'node:crypto'

/** A form of a page, with the fields that it submits unasked. */
export interface HtmlForm {
  readonly method: 'GET' | 'POST'
  /** Absolute. */
  readonly action: string
  readonly fields: readonly (readonly [name: string, value: string])[]
}

interface Tag {
  readonly attributes: ReadonlyMap<string, string>
  readonly content: string
}

/** The forms of a page, in order. Enough of HTML for the pages that providers and we write; no more. */
export function readForms(html: string, pageUrl: string): readonly HtmlForm[] {
  return findTags(withoutNoscript(html), 'form').map(({ attributes, content }) => ({
    method: attributes.get('method')?.toLowerCase() === 'post' ? 'POST' : 'GET',
    action: new URL(attributes.get('action') ?? '', pageUrl).href,
    fields: [...content.matchAll(/<input\b([^>]*)>/gi)]
      .map(([, text = '']) => readAttributes(text))
      .filter((input) => input.has('name') && !/^(submit|button|image)$/i.test(input.get('type') ?? ''))
      .map((input) => [input.get('name') ?? '', input.get('value') ?? ''] as const),
  }))
}

/**
 * The form that a page submits by itself: by a script that its Content-Security-Policy lets run, by `onload`, or marked
 * with `data-auto-submit`. A script that reads `location.hash` is taken to add what is there.
 */
export function autoSubmittedForm(html: string, pageUrl: string, policy: string | undefined): HtmlForm | undefined {
  const page = withoutNoscript(html)
  const forms = readForms(page, pageUrl)
  const marked = findTags(page, 'form').findIndex(({ attributes }) => attributes.has('data-auto-submit'))
  if (marked !== -1) return forms[marked]
  const submits = /\.(?:submit|requestSubmit)(?:\.call)?\(/
  const sources = scriptSources(policy)
  const scripts = findTags(page, 'script').filter((script) => submits.test(script.content) && mayRun(script, sources))
  const byScript = scripts.length > 0
  if (scripts.some(({ content }) => content.includes('location.hash'))) return withFragment(forms[0], pageUrl)
  const byHandler = (!sources || sources.includes("'unsafe-inline'")) && /\bonload\s*=\s*["'][^"']*submit\(/i.test(page)
  return byScript || byHandler ? forms[0] : undefined
}

/** What a script does that adds the parameters of the page's fragment to the form. */
function withFragment(form: HtmlForm | undefined, pageUrl: string): HtmlForm | undefined {
  return form && { ...form, fields: [...form.fields, ...new URLSearchParams(new URL(pageUrl).hash.slice(1))] }
}

function withoutNoscript(html: string): string {
  return html.replace(/<!--.*?-->/gs, '').replace(/<noscript\b.*?<\/noscript>/gis, '')
}

function findTags(html: string, name: string): readonly Tag[] {
  const pattern = new RegExp(`<${name}\\b([^>]*)>(.*?)</${name}>`, 'gis')
  return [...html.matchAll(pattern)].map(([, attributes = '', content = '']) => ({
    attributes: readAttributes(attributes),
    content,
  }))
}

function readAttributes(text: string): ReadonlyMap<string, string> {
  const pattern = /([\w:-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g
  return new Map(
    [...text.matchAll(pattern)].map(([, name = '', ...values]) => [
      name.toLowerCase(),
      decodeEntities(values.find((value) => value !== undefined) ?? ''),
    ]),
  )
}

function decodeEntities(text: string): string {
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  return text.replace(/&(?:#x([\da-f]+)|#(\d+)|(amp|lt|gt|quot|apos));/gi, (_, hex, decimal, name) => {
    if (name) return named[String(name).toLowerCase()] ?? ''
    return String.fromCodePoint(hex ? Number.parseInt(hex, 16) : Number(decimal))
  })
}

/** What `script-src`, or else `default-src`, allows; undefined: everything (CSP 3, 6.1). */
function scriptSources(policy: string | undefined): readonly string[] | undefined {
  const directives = (policy ?? '').split(';').map((directive) => directive.trim().split(/\s+/))
  const found = ['script-src', 'default-src'].map((name) => directives.find(([first]) => first?.toLowerCase() === name))
  return (found[0] ?? found[1])?.slice(1)
}

function mayRun(script: Tag, sources: readonly string[] | undefined): boolean {
  if (!sources || sources.includes("'unsafe-inline'")) return true
  const hash = createHash('sha256').update(script.content).digest('base64')
  const nonce = script.attributes.get('nonce')
  return sources.includes(`'sha256-${hash}'`) || (!!nonce && sources.includes(`'nonce-${nonce}'`))
}
