import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The top of the repository, with a slash at the end. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A kind of page. `pages` come first, in this order; then all others of `folders`, by their paths. */
interface Kind {
  readonly text: string
  readonly pages: readonly string[]
  readonly folders: readonly { readonly text: string; readonly path: string }[]
}

const KINDS: readonly Kind[] = [
  {
    text: 'Start',
    pages: ['README.md', 'docs/start/javascript.md', 'docs/start/typescript.md', 'docs/start/commonjs.md'],
    folders: [{ text: '', path: 'docs/start' }],
  },
  {
    text: 'Guides',
    pages: [
      'docs/providers.md',
      'docs/production.md',
      'docs/sessions.md',
      'docs/single-page-apps.md',
      'docs/bearer.md',
    ],
    folders: [
      { text: '', path: 'docs/guides' },
      // Every page of docs/ that no other kind names.
      { text: '', path: 'docs' },
      { text: 'Migration', path: 'docs/migration' },
      { text: 'Providers', path: 'docs/providers' },
    ],
  },
  {
    text: 'Reference',
    pages: [
      'docs/options.md',
      'docs/environment.md',
      'docs/errors.md',
      'docs/events.md',
      'docs/req-oidc.md',
      'docs/guards.md',
      'docs/exports.md',
      'docs/commands.md',
      'docs/comparison.md',
      'CHANGELOG.md',
      'SECURITY.md',
      'CONTRIBUTING.md',
    ],
    folders: [],
  },
  { text: 'Decisions', pages: [], folders: [{ text: '', path: 'docs/decisions' }] },
]

interface Entry {
  readonly text: string
  readonly link?: string
  readonly collapsed?: boolean
  readonly items?: Entry[]
}

/** The four kinds, with every page of the repository in the one that it belongs to. */
export function createSidebar(): Entry[] {
  return KINDS.map(({ text, pages, folders }) => ({
    text,
    ...(text === 'Decisions' ? { collapsed: true } : {}),
    items: [...pages.filter(isThere).map(entryOf), ...folders.flatMap(entriesBelow)],
  }))
}

/** The kinds, each with the link of its first page. */
export const PAGES: readonly { readonly text: string; readonly first: string }[] = createSidebar().map(
  ({ text, items = [] }) => ({ text, first: items[0]?.link ?? '/' }),
)

function entriesBelow({ text, path }: Kind['folders'][number]): Entry[] {
  const named = new Set(KINDS.flatMap(({ pages }) => pages))
  const items = filesOf(path)
    .filter((file) => !named.has(file) && file !== 'docs/README.md')
    .map(entryOf)
  if (text === '' || items.length === 0) return items
  return [{ text, collapsed: true, items }]
}

function filesOf(folder: string): readonly string[] {
  try {
    return readdirSync(ROOT + folder)
      .filter((name) => name.endsWith('.md'))
      .sort()
      .map((name) => `${folder}/${name}`)
  } catch {
    // A folder that another version of the documentation does not have.
    return []
  }
}

function isThere(file: string): boolean {
  return filesOf(file.includes('/') ? file.slice(0, file.lastIndexOf('/')) : '.').some(
    (one) => one.replace(/^\.\//, '') === file,
  )
}

/** An entry is named by the first heading of its page. */
function entryOf(file: string): Entry {
  const [, title = file] = /^# (.*)$/m.exec(readFileSync(ROOT + file, 'utf8')) ?? []
  const link = `/${file.replace(/(^|\/)README\.md$/, '$1').replace(/\.md$/, '')}`
  return { text: file === 'README.md' ? 'Overview' : title.replaceAll('`', ''), link }
}
